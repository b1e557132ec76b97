"""Once-for-all's space of MobileNetV3s (arXiv 1908.09791, section 4.1): depth, kernels and expansions of five units.

Each unit has 2, 3 or 4 layers, each layer kernel 3, 5 or 7 and expansion 3, 4 or 6: (9^2 + 9^3 + 9^4)^5, about 2e19 networks. Channels are
MobileNetV3-Large's, and so is the classifier, whose hidden layer has a bias.
Source of the stages (strides, squeeze-and-excitation, nonlinearity, first block, last layers):
github.com/mit-han-lab/once-for-all, ofa/imagenet_classification/elastic_nn/networks/ofa_mbv3.py.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from costmodel.search._space import Block, Option, Space
from costmodel.search.layers import Classifier, Conv, MBConv, SeparableConv

KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)


class Unit(NamedTuple):
    """Channels of a unit, stride of its first layer, nonlinearity, whether it squeezes and excites."""

    channels: int
    stride: int
    activation: str
    squeeze: bool


UNITS = (
    Unit(24, 2, "relu", False),
    Unit(40, 2, "relu", True),
    Unit(80, 2, "hard-swish", False),
    Unit(112, 1, "hard-swish", True),
    Unit(160, 2, "hard-swish", True),
)


def _layer(unit: Unit, number: int, kernel: int, expansion: int) -> MBConv:
    squeeze = 0.25 if unit.squeeze else 0
    return MBConv(unit.channels, kernel, unit.stride if number == 0 else 1, expansion, unit.activation, squeeze, "expanded")


def _options(unit: Unit) -> tuple[Option, ...]:
    found = []
    for depth in DEPTHS:
        for chosen in product(product(KERNELS, EXPANSIONS), repeat=depth):
            made = tuple(_layer(unit, number, kernel, expansion) for number, (kernel, expansion) in enumerate(chosen))
            fields = (("depth", depth), ("kernel_sizes", tuple(kernel for kernel, _ in chosen)), ("expansions", tuple(ratio for _, ratio in chosen)))
            found.append(Option(made, fields))
    return tuple(found)


def make() -> Space:
    """The space at 224x224, width 1."""
    return Space(
        name="mobilenet-v3",
        resolution=(224, 224),
        stem=(Conv(16, 3, 2, "hard-swish"), SeparableConv(16)),
        blocks=tuple(Block(name=f"unit{number}", options=_options(unit)) for number, unit in enumerate(UNITS, start=1)),
        head=(Classifier(960, activation="hard-swish", hidden=1280),),
        source="arXiv:1908.09791 section 4.1",
    )
