"""NAS-Bench-201's cells (arXiv 2001.00326, sections 2.1 and 2.2): one of five operations on each of six edges, the same cell everywhere.

A cell has four nodes; node j is the sum over i < j of an operation on node i: none, skip, 1x1 or 3x3 convolution (ReLU, convolution, batch
normalisation), 3x3 average pooling. Three stages of five cells with 16, 32 and 64 channels, a residual block of stride 2 between them.

All cells are one choice, so the space is one block whose options are whole networks: cells begin and end with what compilers fuse,
hence have no cost of their own. Two departures: cells whose output is zero (no path from the input) are left out of the 5^6, and
operations whose result nothing reads are left out of a network, as exporters do.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from costmodel.graph import Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU
from costmodel.ops.pooling import AvgPool2d
from costmodel.search._space import Block, Option, Space
from costmodel.zoo._net import Net

OPERATIONS = ("none", "skip", "conv1", "conv3", "pool")
#: (from, to), in the order in which the benchmark writes a cell.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CHANNELS, CELLS, CLASSES = (16, 32, 64), 5, 10

Cell = tuple[str, ...]


def used(cell: Cell) -> Cell:
    """The cell with ``none`` for every operation off all paths from its input to its output; all ``none`` if there is no path."""
    live = [edge for edge, operation in zip(EDGES, cell, strict=True) if operation != "none"]
    forward, backward = {0}, {3}
    for start, end in sorted(live, key=lambda edge: edge[1]):
        forward |= {end} if start in forward else set()
    for start, end in sorted(live, key=lambda edge: -edge[0]):
        backward |= {start} if end in backward else set()
    return tuple(operation if start in forward and end in backward else "none" for (start, end), operation in zip(EDGES, cell, strict=True))


class Network(NamedTuple):
    """The whole network of one cell."""

    cell: Cell

    def __call__(self, net: Net, x: Value) -> Value:
        x = net.conv_norm(x, CHANNELS[0], 3, name="stem")
        for stage, channels in enumerate(CHANNELS):
            with net.scope(f"stage{stage}"):
                if stage:
                    with net.scope("reduction"):
                        x = _reduction(net, x, channels)
                for number in range(CELLS):
                    with net.scope(f"cell{number}"):
                        x = self._cell(net, x)
        return net.classifier(net.norm_activation(x, activation=ReLU(), name="last"), CLASSES)

    def _cell(self, net: Net, x: Value) -> Value:
        nodes: dict[int, Value] = {0: x}
        for (start, end), operation in zip(EDGES, self.cell, strict=True):
            if operation != "none":
                y = _operate(net, nodes[start], operation, f"{start}{end}")
                nodes[end] = net.add(Add(), nodes[end], y, name=f"sum{end}") if end in nodes else y
        return nodes[3]


def _operate(net: Net, x: Value, operation: str, name: str) -> Value:
    if operation == "skip":
        return x
    with net.scope(f"edge{name}"):
        if operation == "pool":
            return net.add(AvgPool2d((3, 3), (1, 1), "same"), x, name="pool")
        return _relu_conv_norm(net, x, x.channels, int(operation[-1]))


def _relu_conv_norm(net: Net, x: Value, channels: int, kernel: int, stride: int = 1) -> Value:
    return net.conv_norm(net.add(ReLU(), x, name="relu"), channels, kernel, stride)


def _reduction(net: Net, x: Value, channels: int) -> Value:
    y = _relu_conv_norm(net, _relu_conv_norm(net, x, channels, 3, 2), channels, 3)
    shortcut = net.conv(net.add(AvgPool2d((2, 2), (2, 2), "valid"), x, name="shortcut_pool"), channels, name="shortcut")
    return net.add(Add(), shortcut, y, name="residual")


def make() -> Space:
    """The space on CIFAR-10's images."""
    cells = [cell for cell in product(OPERATIONS, repeat=len(EDGES)) if any(operation != "none" for operation in used(cell))]
    names = tuple(f"{start}-{end}" for start, end in EDGES)
    options = tuple(Option((Network(used(cell)),), tuple(zip(names, cell, strict=True))) for cell in cells)
    return Space(
        name="nas-bench-201",
        resolution=(32, 32),
        stem=(),
        blocks=(Block(name="cell", options=options),),
        head=(),
        padding="symmetric",
        epsilon=1e-5,
        source="arXiv:2001.00326 section 2",
    )
