"""FBNet's layer-wise space (arXiv 1812.03443, Tables 1 and 2): one of nine blocks at each of 22 places.

Kernel 3 or 5 and expansion 1, 1 with two groups, 3 or 6, or a skip that leaves the block out; about 9^22 networks. A skip has no parameters
and cannot change a shape, so places with a stride or other channels do not offer it. Blocks of expansion 1 keep their first
1x1 convolution. Stem and last convolution are those of the released FBNet-C.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.search._space import Block, Option, Space
from costmodel.search.layers import Classifier, Conv, MBConv
from costmodel.zoo.fbnet import HEAD, STEM


class Stage(NamedTuple):
    """A row of Table 1: channels, places, stride of the first."""

    channels: int
    places: int
    stride: int


STAGES = (Stage(16, 1, 1), Stage(24, 4, 2), Stage(32, 4, 2), Stage(64, 4, 2), Stage(112, 4, 1), Stage(184, 4, 2), Stage(352, 1, 1))
#: Table 2: name, kernel, expansion, groups.
CANDIDATES = (
    ("k3_e1", 3, 1, 1),
    ("k3_e1_g2", 3, 1, 2),
    ("k3_e3", 3, 3, 1),
    ("k3_e6", 3, 6, 1),
    ("k5_e1", 5, 1, 1),
    ("k5_e1_g2", 5, 1, 2),
    ("k5_e3", 5, 3, 1),
    ("k5_e6", 5, 6, 1),
)


def _block(name: str, channels: int, stride: int, *, skippable: bool) -> Block:
    options = [
        Option((MBConv(channels, kernel, stride, ratio, groups=groups, always_expand=True),), (("block", label),))
        for label, kernel, ratio, groups in CANDIDATES
    ]
    return Block(name=name, options=(*options, Option((), (("block", "skip"),))) if skippable else tuple(options))


def make() -> Space:
    """The space at 224x224."""
    blocks = []
    before = STEM
    for number, stage in enumerate(STAGES, start=1):
        for place in range(stage.places):
            stride = stage.stride if place == 0 else 1
            blocks.append(_block(f"stage{number}-{place}", stage.channels, stride, skippable=stride == 1 and before == stage.channels))
            before = stage.channels
    return Space(
        name="fbnet",
        resolution=(224, 224),
        stem=(Conv(STEM, 3, 2),),
        blocks=tuple(blocks),
        head=(Classifier(HEAD, dropout=False),),
        padding="symmetric",
        source="arXiv:1812.03443 Tables 1 and 2",
    )
