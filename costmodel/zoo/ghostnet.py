"""GhostNet (arXiv 1911.11907), Table 1.

A ghost module computes half of its output with a 1x1 convolution and the other half from the first by a cheap depthwise
3x3. Channels round to multiples of 4. Traps: squeeze-and-excitation is a quarter of the *expanded* channels; the shortcut
of a block that changes the shape is a depthwise and a 1x1 convolution; the layer of 1280 channels after the pooling is a
1x1 convolution with bias and keeps its width under multipliers.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import HardSigmoid, ReLU
from costmodel.ops.layout import Concat, Dropout, Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels

PAPER = "arXiv:1911.11907"
STEM, HEAD = 16, 1280


class Block(NamedTuple):
    """A row of Table 1: kernel of the strided depthwise convolutions, expansion size, output, squeeze-and-excitation, stride."""

    kernel_size: int
    expanded: int
    channels: int
    squeeze: bool
    stride: int


BLOCKS = (
    Block(3, 16, 16, False, 1),
    Block(3, 48, 24, False, 2),
    Block(3, 72, 24, False, 1),
    Block(5, 72, 40, True, 2),
    Block(5, 120, 40, True, 1),
    Block(3, 240, 80, False, 2),
    Block(3, 200, 80, False, 1),
    Block(3, 184, 80, False, 1),
    Block(3, 184, 80, False, 1),
    Block(3, 480, 112, True, 1),
    Block(3, 672, 112, True, 1),
    Block(5, 672, 160, True, 2),
    Block(5, 960, 160, False, 1),
    Block(5, 960, 160, True, 1),
    Block(5, 960, 160, False, 1),
    Block(5, 960, 160, True, 1),
)


def ghostnet(options: Options) -> Graph:
    """GhostNet at the options' width multiplier."""
    net = Net(options, padding="symmetric")

    def width(channels: int) -> int:
        return round_channels(channels * options.width, 4)

    x = net.conv_norm(net.image, width(STEM), 3, 2, activation=ReLU(), name="stem")
    for number, block in enumerate(BLOCKS):
        with net.scope(f"blocks.{number}"):
            x = _bottleneck(net, x, block, width(block.expanded), width(block.channels))
    x = net.conv_norm(x, width(BLOCKS[-1].expanded), activation=ReLU(), name="last_conv")
    return net.finish(x if options.features_only else _head(net, x))


def _head(net: Net, x: Value) -> Value:
    with net.scope("head"):
        x = net.conv(net.add(AdaptiveAvgPool2d(), x, name="pool"), HEAD, bias=True)
        x = net.add(Flatten(), net.add(ReLU(), x, name="activation"), name="flatten")
        return net.add(Linear(net.options.classes or 1000), net.add(Dropout(), x, name="dropout"), name="classifier")


def _bottleneck(net: Net, x: Value, block: Block, expanded: int, out_channels: int) -> Value:
    """Ghost module, strided depthwise convolution if any, squeeze-and-excitation if any, linear ghost module; plus the shortcut."""
    with net.scope("expand"):
        y = _ghost_module(net, x, expanded, ReLU())
    if block.stride > 1:
        y = net.depthwise_norm(y, block.kernel_size, block.stride)
    if block.squeeze:
        y = net.squeeze_excite(y, round_channels(expanded / 4, 4), inner=ReLU(), gate=HardSigmoid())
    with net.scope("project"):
        y = _ghost_module(net, y, out_channels, None)
    if block.stride > 1 or x.channels != out_channels:
        with net.scope("shortcut"):
            x = net.conv_norm(net.depthwise_norm(x, block.kernel_size, block.stride), out_channels)
    return net.add(Add(), y, x, name="residual")


def _ghost_module(net: Net, x: Value, out_channels: int, activation: Operator | None) -> Value:
    """Half of the channels by a 1x1 convolution, the other half from them by a depthwise 3x3 (section 3.1)."""
    primary = net.conv_norm(x, out_channels // 2, activation=activation, name="primary")
    return net.add(Concat(), primary, net.depthwise_norm(primary, 3, activation=activation), name="concat")


ARCHITECTURES = (
    Architecture(
        name="ghostnet",
        family="ghostnet",
        builder=ghostnet,
        resolution=224,
        year=2019,
        paper=PAPER,
        widths=(0.5, 1.0, 1.3),
        accuracies=(Accuracy(value=73.958, resolution=224, evaluation="timm", source="timm results-imagenet.csv, ghostnet_100.in1k"),),
    ),
)
