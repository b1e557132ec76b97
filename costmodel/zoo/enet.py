"""ENet (arXiv 1606.02147), Table 1: bottlenecks with PReLU in the encoder, ReLU in the decoder, unpooling with indices.

The structure is that of pytorchcv's `enet_cityscapes`: 358,060 parameters, where papers print 0.36 to 0.37M. Each PReLU has
one slope, and a downsampling bottleneck starts with a 2x2 convolution and pools 3x3 beside it.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import ConvTranspose2d
from costmodel.ops.elementwise import ReLU, SharedPReLU
from costmodel.ops.layout import Concat, Dropout
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.padding import PadChannels
from costmodel.ops.pooling import MaxPoolIndices2d, MaxUnpool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1606.02147"
INITIAL = 16
#: A bottleneck's input over its inner channels.
REDUCTION = 4
DIVISOR = 8


class Unit(NamedTuple):
    """The middle convolution of a bottleneck: its dilation, or the length of a pair of asymmetric ones."""

    dilation: int = 1
    asymmetric: int = 0


class Stage(NamedTuple):
    """A change of resolution to `channels`, and the bottlenecks after it."""

    channels: int
    units: tuple[Unit, ...]


_CONTEXT = (Unit(), Unit(dilation=2), Unit(asymmetric=5), Unit(dilation=4), Unit(), Unit(dilation=8), Unit(asymmetric=5), Unit(dilation=16))
ENCODER = (Stage(64, (Unit(),) * 4), Stage(128, _CONTEXT * 2))
DECODER = (Stage(64, (Unit(),) * 2), Stage(16, (Unit(),)))


def enet(options: Options) -> Graph:
    """The initial block, two stages down, two up, and a transposed convolution to the classes at the image's size."""
    net = Net(options, padding="symmetric")
    net.require_multiple_of(DIVISOR)
    x, indices = _initial(net), []
    for number, stage in enumerate(ENCODER):
        with net.scope(f"encoder.{number}"):
            x, places = _downsample(net, x, stage.channels)
            indices.append(places)
            x = _units(net, x, stage.units, SharedPReLU())
    if options.features_only:
        return net.finish(x)
    for number, stage in enumerate(DECODER):
        with net.scope(f"decoder.{number}"):
            x = _units(net, _upsample(net, x, indices.pop(), stage.channels), stage.units, ReLU())
    return net.finish(net.add(ConvTranspose2d(options.classes or 19, (3, 3), (2, 2), (1, 1), (1, 1)), x, name="classifier"))


def _initial(net: Net) -> Value:
    """A strided 3x3 of 13 channels beside the pooled image."""
    with net.scope("initial"):
        pooled = net.max_pool(net.image, 2, 2, padding="valid")
        y = net.conv(net.image, INITIAL - net.image.channels, 3, 2)
        y = net.add(BatchNorm(net.epsilon), net.add(Concat(), y, pooled, name="concat"), name="norm")
        return net.add(SharedPReLU(), y, name="activation")


def _units(net: Net, x: Value, units: tuple[Unit, ...], activation: Operator) -> Value:
    for number, unit in enumerate(units):
        with net.scope(str(number + 1)):
            y = net.conv_norm(x, x.channels // REDUCTION, activation=activation, name="reduce")
            if unit.asymmetric:
                for name, kernel_size in (("vertical", (unit.asymmetric, 1)), ("horizontal", (1, unit.asymmetric))):
                    y = net.conv_norm(y, y.channels, kernel_size, activation=activation, name=name)
            else:
                y = net.conv_norm(y, y.channels, 3, activation=activation, dilation=unit.dilation)
            x = _join(net, x, net.conv_norm(y, x.channels, activation=activation, name="expand"), activation)
    return x


def _downsample(net: Net, x: Value, channels: int) -> tuple[Value, Value]:
    """The bottleneck beside max pooling with zero channels after it; and the indices of the pooling."""
    activation = SharedPReLU()
    with net.scope("0"):
        pooled, indices = net.add_all(MaxPoolIndices2d((3, 3), (2, 2), (1, 1, 1, 1)), x, name="pool")
        pooled = net.add(PadChannels(channels - x.channels), pooled, name="pad")
        y = net.conv_norm(x, x.channels // REDUCTION, 2, 2, activation=activation, padding="valid", name="reduce")
        y = net.conv_norm(y, y.channels, 3, activation=activation)
        return _join(net, pooled, net.conv_norm(y, channels, activation=activation, name="expand"), activation), indices


def _upsample(net: Net, x: Value, indices: Value, channels: int) -> Value:
    """The bottleneck with a transposed convolution beside a 1x1 that is unpooled."""
    with net.scope("0"):
        spread = net.add(MaxUnpool2d(), net.conv_norm(x, channels, name="shortcut"), indices, name="unpool")
        y = net.conv_norm(x, x.channels // REDUCTION, activation=ReLU(), name="reduce")
        y = net.add(ConvTranspose2d(y.channels, (3, 3), (2, 2), (1, 1), (1, 1)), y, name="conv")
        y = net.add(ReLU(), net.add(BatchNorm(net.epsilon), y, name="conv_norm"), name="conv_activation")
        return _join(net, spread, net.conv_norm(y, channels, activation=ReLU(), name="expand"), ReLU())


def _join(net: Net, x: Value, y: Value, activation: Operator) -> Value:
    y = net.add(Dropout(), y, name="dropout")
    return net.add(activation, net.add(Add(), y, x, name="residual"), name="activation")


ARCHITECTURES = (
    Architecture(
        name="enet",
        family="enet",
        builder=enet,
        resolution=(512, 1024),
        year=2016,
        paper=PAPER,
        accuracies=(Accuracy(value=58.3, metric="miou", source="arXiv:1803.06815 Fig. 6 (recalled, not re-read), Cityscapes test"),),
    ),
)
