"""MnasNet's factorised hierarchical space (arXiv 1807.11626, section 4.1): one choice for all layers of a block.

For each block: convolution (regular, depthwise separable, inverted bottleneck of expansion 3 or 6), kernel 3 or 5, squeeze-and-excitation 0 or
0.25, skip (pooling, identity, none), channels 0.75, 1 or 1.25 times and layers -1, 0 or +1 of MobileNetV2's: 432 sub-choices, and with the
five blocks of the paper's example 432^5, about 1.5e13. Of MobileNetV2's seven blocks the first and the last are the same in all
the networks that the paper found (Figure 7 and released code), and are fixed here.

The paper leaves open how channels are rounded (here to the nearest multiple of 8, so that no two choices are one) and what a skip does where shapes
change: an identity needs the same shape, a pooling the same channels; else there is none.
"""

from __future__ import annotations

from itertools import product
from typing import Literal, NamedTuple

from costmodel.graph import Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU, Sigmoid
from costmodel.ops.pooling import AvgPool2d
from costmodel.search._space import Block, Option, Space
from costmodel.search.layers import Classifier, Conv, MBConv, SeparableConv
from costmodel.zoo._net import Net
from costmodel.zoo.efficientnetv2 import nearest

Convolution = Literal["conv", "separable", "mbconv3", "mbconv6"]
Skip = Literal["pool", "identity", "none"]


class MnasLayer(NamedTuple):
    """A layer of a block; squeeze-and-excitation follows the last spatial convolution, to a quarter of the layer's input."""

    convolution: Convolution
    kernel_size: int
    squeeze: float
    skip: Skip
    channels: int
    stride: int

    def __call__(self, net: Net, x: Value) -> Value:
        y = x
        if self.convolution == "conv":
            y = net.conv_norm(y, self.channels, self.kernel_size, self.stride, activation=ReLU())
        else:
            if self.convolution != "separable":
                y = net.conv_norm(y, x.channels * int(self.convolution[-1]), activation=ReLU(), name="expand")
            y = net.depthwise_norm(y, self.kernel_size, self.stride, activation=ReLU())
        if self.squeeze:
            y = net.squeeze_excite(y, max(1, int(x.channels * self.squeeze)), inner=ReLU(), gate=Sigmoid())
        if self.convolution != "conv":
            y = net.conv_norm(y, self.channels, name="project")
        if self.skip == "none" or x.channels != self.channels or (self.skip == "identity" and self.stride != 1):
            return y
        if self.skip == "pool":
            x = net.add(AvgPool2d((3, 3), (self.stride, self.stride), "same"), x, name="skip_pool")
        return net.add(Add(), y, x, name="residual")


class Base(NamedTuple):
    """A block of MobileNetV2 (arXiv 1801.04381, Table 2): channels, layers, stride of the first."""

    channels: int
    layers: int
    stride: int


BASE = (Base(24, 2, 2), Base(32, 3, 2), Base(64, 4, 2), Base(96, 3, 1), Base(160, 3, 2))


def _options(base: Base) -> tuple[Option, ...]:
    convolutions: tuple[Convolution, ...] = ("conv", "separable", "mbconv3", "mbconv6")
    skips: tuple[Skip, ...] = ("pool", "identity", "none")
    found = []
    for convolution, kernel, squeeze, skip, width, more in product(convolutions, (3, 5), (0, 0.25), skips, (0.75, 1.0, 1.25), (-1, 0, 1)):
        channels, layers = nearest(base.channels * width), base.layers + more
        made = tuple(MnasLayer(convolution, kernel, squeeze, skip, channels, base.stride if number == 0 else 1) for number in range(layers))
        fields = {"convolution": convolution, "kernel_size": kernel, "squeeze": squeeze, "skip": skip, "channels": channels, "layers": layers}
        found.append(Option(made, tuple(fields.items())))
    return tuple(found)


def make() -> Space:
    """The space at 224x224."""
    return Space(
        name="mnasnet",
        resolution=(224, 224),
        stem=(Conv(32, 3, 2), SeparableConv(16)),
        blocks=tuple(Block(name=f"block{number}", options=_options(base)) for number, base in enumerate(BASE, start=2)),
        head=(MBConv(320), Classifier()),
        source="arXiv:1807.11626 section 4.1",
    )
