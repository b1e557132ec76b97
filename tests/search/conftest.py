"""A space of one's own in a few lines, small enough to enumerate, and its table."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import costmodel
from costmodel.search import Block, LatencyTable, Option, Space
from costmodel.search.layers import Classifier, Conv, MBConv


def small_space() -> Space:
    """Three blocks of 6, 6 and 3 options, whose widths differ, so that shapes between blocks do."""

    def options(stride: int) -> tuple[Option, ...]:
        return tuple(
            Option((MBConv(width, kernel, stride, 3), *(MBConv(width, kernel, 1, 3),) * more), (("width", width), ("kernel_size", kernel), ("more", more)))
            for width, (kernel, more) in product((16, 24), ((3, 0), (5, 0), (3, 1)))
        )

    return Space(
        name="small",
        resolution=(32, 32),
        stem=(Conv(8, 3, 2),),
        blocks=(
            Block(name="one", options=options(1)),
            Block(name="two", options=options(2)),
            Block(name="three", options=(*(Option((Conv(32, k),), (("kernel_size", k),)) for k in (1, 3)), Option((), (("kernel_size", 0),)))),
        ),
        head=(Classifier(64, 10),),
    )


def everything(space: Space) -> Any:
    """All candidates (number, blocks)."""
    return np.array(list(product(*map(range, space.choices))))


@pytest.fixture(scope="session")
def small() -> Space:
    return small_space()


@pytest.fixture(scope="session")
def table(small: Space) -> LatencyTable:
    return LatencyTable(small, costmodel.target("pixel4"))
