"""VGG 11, 13, 16, 19 (arXiv 1409.1556), configurations A, B, D, E of Table 1, and the same with batch normalisation (``-bn``).

Convolutions are 3x3 with bias. Away from 224 the 7x7 map that the first fully connected layer takes comes from adaptive
average pooling, as in torchvision, so that the parameters stay the same.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Dropout, Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1409.1556"
#: Channels of the five groups; a 2x2 max pooling ends each.
WIDTHS = (64, 128, 256, 512, 512)
#: Convolutions in each group.
VARIANTS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
HIDDEN = 4096


def vgg(options: Options, repeats: tuple[int, ...], *, normalised: bool = False) -> Graph:
    """VGG; `normalised` puts batch normalisation between a convolution and its ReLU."""
    net = Net(options, padding="symmetric")
    x = net.image
    for number, (width, count) in enumerate(zip(WIDTHS, repeats, strict=True)):
        with net.scope(f"features.{number}"):
            for position in range(count):
                x = _conv(net, x, width, f"conv{position}", normalised)
            x = net.max_pool(x, 2, 2, padding="valid")
    return net.finish(x if options.features_only else _head(net, x))


def _conv(net: Net, x: Value, width: int, name: str, normalised: bool) -> Value:
    x = net.conv(x, width, 3, bias=True, name=name)
    if normalised:
        x = net.add(BatchNorm(), x, name=f"{name}_norm")
    return net.add(ReLU(), x, name=f"{name}_activation")


def _head(net: Net, x: Value) -> Value:
    with net.scope("head"):
        x = net.add(Flatten(), net.add(AdaptiveAvgPool2d((7, 7)), x, name="pool"), name="flatten")
        for number in range(2):
            x = net.add(ReLU(), net.add(Linear(HIDDEN), x, name=f"hidden{number}"), name=f"hidden{number}_activation")
            x = net.add(Dropout(), x, name=f"dropout{number}")
        return net.add(Linear(net.options.classes or 1000), x, name="classifier")


#: Table 3, one scale (training and test at 256), dense evaluation.
_PAPER_TOP1 = {11: 70.4, 16: 73.0, 19: 72.7}
#: timm's uniform evaluation of torchvision's weights, plain and normalised.
_TIMM_TOP1 = {11: (69.050, 70.374), 13: (69.950, 71.560), 16: (71.594, 73.354), 19: (72.400, 74.230)}


def _declare(depth: int, *, normalised: bool) -> Architecture:
    suffix = "_bn" if normalised else ""
    source = f"timm results-imagenet.csv, vgg{depth}{suffix}.tv_in1k"
    accuracies = [Accuracy(value=_TIMM_TOP1[depth][normalised], resolution=224, evaluation="timm", source=source)]
    if depth in _PAPER_TOP1 and not normalised:
        accuracies.insert(0, Accuracy(value=_PAPER_TOP1[depth], resolution=256, source=f"{PAPER} Table 3, S = Q = 256"))
    return Architecture(
        name=f"vgg-{depth}{suffix.replace('_', '-')}",
        family="vgg",
        builder=lambda options: vgg(options, VARIANTS[depth], normalised=normalised),
        resolution=224,
        year=2014,
        paper=PAPER,
        accuracies=tuple(accuracies),
    )


ARCHITECTURES = tuple(_declare(depth, normalised=normalised) for normalised in (False, True) for depth in VARIANTS)
