"""ResNeXt (arXiv 1611.05431, Table 1): ResNet's bottleneck with a grouped 3x3 convolution.

A name such as 32x4d gives the groups and the channels of each in the first stage; both widths double with the stages.
The stride is in the 3x3, as in the released networks.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU, Sigmoid
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net
from costmodel.zoo.resnet import BOTTLENECK_EXPANSION, WIDTHS

PAPER = "arXiv:1611.05431"


class Variant(NamedTuple):
    """Blocks in each of the four stages, groups, and channels of a group in the first stage."""

    repeats: tuple[int, int, int, int]
    groups: int
    group_width: int


VARIANTS = {
    "resnext-50-32x4d": Variant((3, 4, 6, 3), 32, 4),
    "resnext-101-32x4d": Variant((3, 4, 23, 3), 32, 4),
    "resnext-101-32x8d": Variant((3, 4, 23, 3), 32, 8),
    "resnext-101-64x4d": Variant((3, 4, 23, 3), 64, 4),
}


def resnext(options: Options, variant: Variant, *, reduction: int | None = None) -> Graph:
    """ResNeXt: ResNet's stem and stages, the inner width of a block being the groups times their width.

    With `reduction` every block ends with squeeze-and-excitation to its output channels over that.
    """
    net = Net(options, padding="symmetric")
    x = net.conv_norm(net.image, 64, 7, 2, activation=ReLU(), name="stem")
    x = net.max_pool(x, 3, 2, name="stem_pool")
    for number, (width, repeats) in enumerate(zip(WIDTHS, variant.repeats, strict=True)):
        inner = variant.groups * variant.group_width * width // WIDTHS[0]
        for block in range(repeats):
            stride = 2 if number > 0 and block == 0 else 1
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x, inner, width * BOTTLENECK_EXPANSION, stride, variant.groups, reduction)
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _block(net: Net, x: Value, inner: int, out_channels: int, stride: int, groups: int, reduction: int | None) -> Value:
    y = net.conv_norm(x, inner, activation=ReLU(), name="conv1")
    y = net.conv_norm(y, inner, 3, stride, groups=groups, activation=ReLU(), name="conv2")
    y = net.conv_norm(y, out_channels, name="conv3")
    if reduction:
        y = net.squeeze_excite(y, out_channels // reduction, inner=ReLU(), gate=Sigmoid())
    return net.join(x, y, stride, activation=ReLU())


def _timm(value: float, weights: str) -> Accuracy:
    return Accuracy(value=value, resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, {weights}")


_ACCURACIES = {
    "resnext-50-32x4d": (Accuracy(value=77.8, resolution=224, source=f"{PAPER} Tables 3-4"), _timm(77.632, "resnext50_32x4d.tv_in1k")),
    "resnext-101-32x4d": (Accuracy(value=78.8, resolution=224, source=f"{PAPER} Tables 3-4"), _timm(80.336, "resnext101_32x4d.gluon_in1k")),
    "resnext-101-32x8d": (_timm(79.308, "resnext101_32x8d.tv_in1k"),),
    "resnext-101-64x4d": (
        Accuracy(value=79.6, resolution=224, source=f"{PAPER} Tables 3-4"),
        Accuracy(value=80.9, resolution=320, source="arXiv:1905.11946 Table 2"),
        _timm(80.640, "resnext101_64x4d.gluon_in1k"),
    ),
}


def _declare(name: str) -> Architecture:
    return Architecture(
        name=name,
        family="resnext",
        builder=lambda options: resnext(options, VARIANTS[name]),
        resolution=224,
        year=2016,
        paper=PAPER,
        accuracies=_ACCURACIES[name],
    )


ARCHITECTURES = tuple(_declare(name) for name in VARIANTS)
