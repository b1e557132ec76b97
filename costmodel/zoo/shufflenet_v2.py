"""ShuffleNet V2 0.5x-2.0x (arXiv 1807.11164), Table 5 and Figure 3.

A unit keeps half of its channels as they are and transforms the other half; a unit with stride 2 transforms the whole
input in both branches. The widths are rows of the table, not multiples of one another.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat, Split
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1807.11164"
STEM = 24
REPEATS = (4, 8, 4)


class Variant(NamedTuple):
    """Output channels of the three stages, and of the last convolution."""

    stages: tuple[int, int, int]
    head: int


VARIANTS = {
    0.5: Variant((48, 96, 192), 1024),
    1.0: Variant((116, 232, 464), 1024),
    1.5: Variant((176, 352, 704), 1024),
    2.0: Variant((244, 488, 976), 2048),
}


def shufflenet_v2(options: Options, variant: Variant) -> Graph:
    """ShuffleNet V2."""
    net = Net(options, padding="symmetric")
    x = net.conv_norm(net.image, STEM, 3, 2, activation=ReLU(), name="stem")
    x = net.max_pool(x, 3, 2, name="stem_pool")
    for number, (channels, repeats) in enumerate(zip(variant.stages, REPEATS, strict=True)):
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                x = _unit(net, x, channels // 2) if block else _strided_unit(net, x, channels // 2)
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, variant.head, activation=ReLU(), name="head_conv")
    return net.finish(net.classifier(x, 1000))


def _unit(net: Net, x: Value, half: int) -> Value:
    kept, y = net.add_all(Split((half, half)), x, name="split")
    return _join(net, kept, _branch(net, y, half, 1))


def _strided_unit(net: Net, x: Value, half: int) -> Value:
    with net.scope("shortcut"):
        kept = net.conv_norm(net.depthwise_norm(x, 3, 2), half, activation=ReLU(), name="project")
    return _join(net, kept, _branch(net, x, half, 2))


def _branch(net: Net, x: Value, channels: int, stride: int) -> Value:
    """1x1, depthwise 3x3 without nonlinearity, 1x1."""
    x = net.conv_norm(x, channels, activation=ReLU(), name="conv1")
    return net.conv_norm(net.depthwise_norm(x, 3, stride), channels, activation=ReLU(), name="conv2")


def _join(net: Net, kept: Value, y: Value) -> Value:
    return net.add(ChannelShuffle(2), net.add(Concat(), kept, y, name="concat"), name="shuffle")


#: Top-1 of torchvision's weights at 224.
_TORCHVISION_TOP1 = {0.5: 60.552, 1.0: 69.362, 1.5: 72.996, 2.0: 76.230}


def _declare(width: float, variant: Variant) -> Architecture:
    weights = f"torchvision 0.28.0, ShuffleNet_V2_X{str(width).replace('.', '_')}_Weights.IMAGENET1K_V1"
    return Architecture(
        name=f"shufflenet-v2-{width}",
        family="shufflenet-v2",
        builder=lambda options: shufflenet_v2(options, variant),
        resolution=224,
        year=2018,
        paper=PAPER,
        accuracies=(Accuracy(value=_TORCHVISION_TOP1[width], resolution=224, source=weights),),
    )


ARCHITECTURES = tuple(_declare(width, variant) for width, variant in VARIANTS.items())
