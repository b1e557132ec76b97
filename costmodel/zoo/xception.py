"""Xception (arXiv 1610.02357), figure 5.

A separable convolution is a depthwise 3x3 and a 1x1 with one batch normalisation after both and nothing in between. The
two stem convolutions do not pad. The order is timm's; the author's Keras network normalises with an epsilon of 1e-3,
timm's with 1e-5. Trap: the paper's count of 36 layers takes a separable convolution for one and leaves out shortcuts.

`xception-41`, `-65` and `-71` are DeepLab's aligned Xceptions (arXiv 1802.02611) as ImageNet classifiers:
strided separable convolutions for the poolings, normalisation after the depthwise convolution too, padding everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU
from costmodel.ops.normalisation import BatchNorm
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER, DEEPLAB = "arXiv:1610.02357", "arXiv:1802.02611"


class Block(NamedTuple):
    """Output channels of a block's separable convolutions, its stride, and whether ReLU stands before the first."""

    channels: tuple[int, ...]
    stride: int
    leading_relu: bool = True


BLOCKS = (
    Block((128, 128), 2, leading_relu=False),
    Block((256, 256), 2),
    Block((728, 728), 2),
    *(Block((728, 728, 728), 1),) * 8,
    Block((728, 1024), 2),
)
#: Separable convolutions after the last block, each with ReLU after it.
EXIT = (1536, 2048)
#: Blocks before the middle flow of the aligned networks, and how often that has its block.
ALIGNED = {
    "xception-41": (((128, 2), (256, 2), (728, 2)), 8),
    "xception-65": (((128, 2), (256, 2), (728, 2)), 16),
    "xception-71": (((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)), 16),
}
ALIGNED_EXIT = (1536, 1536, 2048)


def xception(options: Options) -> Graph:
    """Xception: entry, middle and exit flow, classifier."""
    net = Net(options, padding="same")
    x = net.conv_norm(net.image, 32, 3, 2, activation=ReLU(), padding="valid", name="stem0")
    x = net.conv_norm(x, 64, 3, activation=ReLU(), padding="valid", name="stem1")
    for number, block in enumerate(BLOCKS):
        with net.scope(f"blocks.{number}"):
            x = _block(net, x, block)
    for number, channels in enumerate(EXIT):
        with net.scope(f"exit.{number}"):
            x = net.add(ReLU(), _separable_norm(net, x, channels), name="activation")
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def aligned_xception(options: Options, entry: tuple[tuple[int, int], ...], middle: int) -> Graph:
    """Aligned Xception: blocks of three separable convolutions, of which the last has the block's stride."""
    net = Net(options, padding="symmetric", epsilon=1e-3)
    x = net.conv_norm(net.image, 32, 3, 2, activation=ReLU(), name="stem0")
    x = net.conv_norm(x, 64, 3, activation=ReLU(), name="stem1")
    rows = [((channels,) * 3, stride) for channels, stride in (*entry, *((728, 1),) * middle)]
    for number, (channels, stride) in enumerate((*rows, ((728, 1024, 1024), 2))):
        with net.scope(f"blocks.{number}"):
            y = x
            for position, width in enumerate(channels):
                with net.scope(f"separable{position}"):
                    y = net.add(ReLU(), y, name="activation")
                    y = _aligned_separable(net, y, width, stride if position == len(channels) - 1 else 1)
            shortcut = x if stride == 1 and x.channels == channels[-1] else net.conv_norm(x, channels[-1], 1, stride, name="shortcut")
            x = net.add(Add(), y, shortcut, name="residual")
    for number, width in enumerate(ALIGNED_EXIT):
        with net.scope(f"exit.{number}"):
            x = _aligned_separable(net, x, width, 1, activation=ReLU())
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _aligned_separable(net: Net, x: Value, out_channels: int, stride: int, *, activation: ReLU | None = None) -> Value:
    """Depthwise and 1x1 convolution, each with its own normalisation."""
    x = net.depthwise_norm(x, 3, stride, activation=activation)
    return net.conv_norm(x, out_channels, activation=activation, name="pointwise")


def _block(net: Net, x: Value, block: Block) -> Value:
    y = x
    for number, channels in enumerate(block.channels):
        with net.scope(f"separable{number}"):
            if number or block.leading_relu:
                y = net.add(ReLU(), y, name="activation")
            y = _separable_norm(net, y, channels)
    if block.stride != 1:
        y = net.max_pool(y, 3, block.stride)
        x = net.conv_norm(x, block.channels[-1], 1, block.stride, name="shortcut")
    return net.add(Add(), y, x, name="residual")


def _separable_norm(net: Net, x: Value, out_channels: int) -> Value:
    x = net.conv(x, x.channels, 3, groups=x.channels, name="depthwise")
    return net.add(BatchNorm(net.epsilon), net.conv(x, out_channels, name="pointwise"), name="norm")


#: timm's uniform evaluation of DeepLab's weights.
_ALIGNED_TOP1 = {"xception-41": 78.550, "xception-65": 79.558, "xception-71": 79.920}


def _declare_aligned(name: str) -> Architecture:
    entry, middle = ALIGNED[name]
    source = f"timm results-imagenet.csv, {name.replace('-', '')}.tf_in1k"
    return Architecture(
        name=name,
        family="xception",
        builder=lambda options: aligned_xception(options, entry, middle),
        resolution=299,
        year=2018,
        paper=DEEPLAB,
        accuracies=(Accuracy(value=_ALIGNED_TOP1[name], resolution=299, evaluation="timm", source=source),),
    )


ARCHITECTURES = (
    Architecture(
        name="xception",
        family="xception",
        builder=xception,
        resolution=299,
        year=2016,
        paper=PAPER,
        accuracies=(
            Accuracy(value=79.0, resolution=299, source="arXiv:1905.11946 Table 2"),
            Accuracy(value=79.058, resolution=299, evaluation="timm", source="timm results-imagenet.csv, legacy_xception.tf_in1k"),
        ),
    ),
    *(_declare_aligned(name) for name in ALIGNED),
)
