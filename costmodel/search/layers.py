"""Layers that several spaces share: inverted bottlenecks, plain convolutions and classifiers as values that can be compared."""

from __future__ import annotations

from typing import Literal, NamedTuple

from costmodel.errors import unknown
from costmodel.graph import Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.elementwise import HardSigmoid, HardSwish, ReLU, ReLU6, Sigmoid, SiLU
from costmodel.zoo._net import Net, round_channels

#: Nonlinearities by name.
ACTIVATIONS: dict[str, type[Operator]] = {"relu": ReLU, "relu6": ReLU6, "silu": SiLU, "hard-swish": HardSwish}


def activation(name: str) -> Operator:
    """The nonlinearity called `name`: ``relu``, ``relu6``, ``silu`` or ``hard-swish``."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


class Conv(NamedTuple):
    """Convolution, batch normalisation and the nonlinearity ("": none)."""

    channels: int
    kernel_size: int = 3
    stride: int = 1
    activation: str = "relu"

    def __call__(self, net: Net, x: Value) -> Value:
        made = activation(self.activation) if self.activation else None
        return net.conv_norm(x, self.channels, self.kernel_size, self.stride, activation=made)


class SeparableConv(NamedTuple):
    """Depthwise convolution with its nonlinearity and a linear 1x1 convolution: an inverted bottleneck that does not expand."""

    channels: int
    kernel_size: int = 3
    stride: int = 1
    activation: str = "relu"

    def __call__(self, net: Net, x: Value) -> Value:
        return net.mbconv(x, self.channels, self.kernel_size, self.stride, expanded=None, activation=activation(self.activation))


class MBConv(NamedTuple):
    """Inverted bottleneck that expands `expansion` times, with a residual where its shape stays the same.

    `squeeze` is the squeezed part of squeeze-and-excitation, of the channels that it is said to be `squeeze_of`; MobileNetV3 takes it of the
    expanded ones, rounds to 8 and gates by a hard sigmoid, MnasNet and EfficientNet of the block's input. `groups` are those of
    both 1x1 convolutions, with a channel shuffle between (FBNet, arXiv 1812.03443, figure 3). Where nothing expands the first 1x1
    convolution is left out, unless `always_expand`.
    """

    channels: int
    kernel_size: int = 3
    stride: int = 1
    expansion: int = 6
    activation: str = "relu"
    squeeze: float = 0
    squeeze_of: Literal["input", "expanded"] = "input"
    groups: int = 1
    always_expand: bool = False

    def __call__(self, net: Net, x: Value) -> Value:
        act, expanded, y = activation(self.activation), x.channels * self.expansion, x
        if self.expansion != 1 or self.always_expand:
            y = net.conv_norm(y, expanded, activation=act, groups=self.groups, name="expand")
        if self.groups > 1:
            y = net.add(ChannelShuffle(self.groups), y, name="shuffle")
        y = net.depthwise_norm(y, self.kernel_size, self.stride, activation=act)
        if self.squeeze and self.squeeze_of == "input":
            y = net.squeeze_excite(y, max(1, int(x.channels * self.squeeze)), inner=act, gate=Sigmoid())
        elif self.squeeze:
            y = net.squeeze_excite(y, round_channels(expanded * self.squeeze), inner=ReLU(), gate=HardSigmoid())
        y = net.conv_norm(y, self.channels, groups=self.groups, name="project")
        return net.add(Add(), y, x, name="residual") if self.stride == 1 and x.channels == self.channels else y


class FusedMBConv(NamedTuple):
    """Dense convolution to the expanded channels and a linear 1x1; a single convolution where it does not expand (arXiv 2104.00298, figure 2)."""

    channels: int
    kernel_size: int = 3
    stride: int = 1
    expansion: int = 4
    activation: str = "silu"

    def __call__(self, net: Net, x: Value) -> Value:
        act = activation(self.activation)
        if self.expansion == 1:
            y = net.conv_norm(x, self.channels, self.kernel_size, self.stride, activation=act)
        else:
            y = net.conv_norm(x, x.channels * self.expansion, self.kernel_size, self.stride, activation=act, name="expand")
            y = net.conv_norm(y, self.channels, name="project")
        return net.add(Add(), y, x, name="residual") if self.stride == 1 and x.channels == self.channels else y


class Classifier(NamedTuple):
    """A last 1x1 convolution to `channels` (0: none), global average pooling, a hidden layer (0: none), and `classes`."""

    channels: int = 1280
    classes: int = 1000
    activation: str = "relu"
    hidden: int = 0
    dropout: bool = True

    def __call__(self, net: Net, x: Value) -> Value:
        act = activation(self.activation)
        if self.channels:
            x = net.conv_norm(x, self.channels, activation=act, name="last_conv")
        return net.classifier(x, self.classes, dropout=self.dropout, hidden=((self.hidden, act),) if self.hidden else ())
