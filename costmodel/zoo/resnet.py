"""ResNet 18-152 (arXiv 1512.03385), Table 1, projection shortcuts (option B).

The plain names carry the stride in the 3x3 convolution of a bottleneck, as torch's and most released weights do
(often called v1.5); the suffix ``-v1`` puts it in the first 1x1, as the paper's own network does.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options, pytorchcv
from costmodel.zoo._net import Net, round_channels

PAPER = "arXiv:1512.03385"
WIDTHS = (64, 128, 256, 512)
#: A bottleneck's output over its inner width.
BOTTLENECK_EXPANSION = 4


class Variant(NamedTuple):
    """Blocks in each of the four stages, and whether they are bottlenecks."""

    repeats: tuple[int, int, int, int]
    bottleneck: bool


VARIANTS = {
    18: Variant((2, 2, 2, 2), False),
    34: Variant((3, 4, 6, 3), False),
    50: Variant((3, 4, 6, 3), True),
    101: Variant((3, 4, 23, 3), True),
    152: Variant((3, 8, 36, 3), True),
}


def resnet(options: Options, variant: Variant, *, stride_first: bool = False, width: int = 1, inner: int = 1) -> Graph:
    """ResNet; `stride_first` puts a bottleneck's stride in its first 1x1.

    `width`, and the options' width, multiplies the channels of all stages (the stem keeps its 64, as in timm's builder),
    `inner` those of a bottleneck's first two convolutions alone.
    """
    net = Net(options, padding="symmetric")
    x = net.conv_norm(net.image, 64, 7, 2, activation=ReLU(), name="stem")
    x = net.max_pool(x, 3, 2, name="stem_pool")
    for number, (published, repeats) in enumerate(zip(WIDTHS, variant.repeats, strict=True)):
        channels = round_channels(published * width * options.width)
        for block in range(options.repeats(repeats, number, len(WIDTHS))):
            stride = 2 if number > 0 and block == 0 else 1
            with net.scope(f"stages.{number}.{block}"):
                x = _bottleneck(net, x, channels, channels * inner, stride, stride_first) if variant.bottleneck else _basic(net, x, channels, stride)
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _basic(net: Net, x: Value, width: int, stride: int) -> Value:
    y = net.conv_norm(x, width, 3, stride, activation=ReLU(), name="conv1")
    y = net.conv_norm(y, width, 3, name="conv2")
    return _join(net, x, y, stride)


def _bottleneck(net: Net, x: Value, width: int, inner: int, stride: int, stride_first: bool) -> Value:
    first, second = (stride, 1) if stride_first else (1, stride)
    y = net.conv_norm(x, inner, 1, first, activation=ReLU(), name="conv1")
    y = net.conv_norm(y, inner, 3, second, activation=ReLU(), name="conv2")
    y = net.conv_norm(y, width * BOTTLENECK_EXPANSION, name="conv3")
    return _join(net, x, y, stride)


def _join(net: Net, x: Value, y: Value, stride: int) -> Value:
    """Add the shortcut, projected by a strided 1x1 where the shape changes, then ReLU."""
    if stride != 1 or x.channels != y.channels:
        x = net.conv_norm(x, y.channels, 1, stride, name="shortcut")
    return net.add(ReLU(), net.add(Add(), y, x, name="residual"), name="activation")


#: (metric source, top-1) of torchvision's first weights in timm's uniform evaluation.
_TIMM_TOP1 = {18: 69.752, 34: 73.298, 50: 76.156, 101: 77.404, 152: 78.330}
#: Single-crop top-1 as later papers cite it.
_PAPER_TOP1 = {50: 76.0, 152: 77.8}
#: Top-1 errors of pytorchcv's weights with the stride in the first 1x1.
_STRIDE_FIRST_ERRORS = {50: 22.28, 101: 20.79, 152: 19.29}


def _declare(depth: int, *, stride_first: bool) -> Architecture:
    variant = VARIANTS[depth]  # without bottlenecks both names are the same network
    timm = Accuracy(value=_TIMM_TOP1[depth], resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, resnet{depth}.tv_in1k")
    paper = tuple(Accuracy(value=value, resolution=224, source="arXiv:1905.11946 Table 2") for d, value in _PAPER_TOP1.items() if d == depth)
    return Architecture(
        name=f"resnet-{depth}" + ("-v1" if stride_first else ""),
        family="resnet",
        builder=lambda options: resnet(options, variant, stride_first=stride_first),
        resolution=224,
        year=2015,
        paper=PAPER,
        scalable=True,
        accuracies=(*paper, pytorchcv(f"ResNet-{depth}", _STRIDE_FIRST_ERRORS[depth]) if stride_first and variant.bottleneck else timm),
    )


ARCHITECTURES = (
    *(_declare(depth, stride_first=False) for depth in VARIANTS),
    *(_declare(depth, stride_first=True) for depth in VARIANTS),
)
