"""AmoebaNet A-D (arXiv 1802.01548 and GPipe, arXiv 1811.06965), with the cells of the released code.

Two reduction cells of a quarter and half the width follow the stem, then three equal groups of normal cells with a
reduction cell before the second and third; 1001 outputs, of which one is the background; the auxiliary classifier of
training is left out. `amoebanet-b` is GPipe's (18 cells, 512 filters) at 480; `amoebanet-d` is GPipe's smallest (18, 208).
Trap: the dilated 5x5 of cell B is an ordinary one in that code.
Source: github.com/tensorflow/tpu, models/official/amoeba_net, `amoeba_net_model.py` and `network_utils.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._cells import Cell, Layer, Step, image_stem, run_cell
from costmodel.zoo._net import Net

PAPER, GPIPE = "arXiv:1802.01548", "arXiv:1811.06965"
STEM, OUTPUTS = 32, 1001


class Cells(NamedTuple):
    """The two cells that evolution found."""

    normal: Cell
    reduction: Cell


A = Cells(
    Cell(
        (
            Step("avg3", 0, "max3", 0),
            Step("sep3", 1, "none", 1),
            Step("none", 0, "avg3", 1),
            Step("sep3", 0, "sep5", 2),
            Step("avg3", 5, "sep3", 0),
        ),
        (1, 3, 4, 6),
    ),
    Cell(
        (
            Step("sep3", 1, "avg3", 0),
            Step("max3", 0, "sep7", 2),
            Step("max3", 1, "max3", 0),
            Step("sep3", 4, "1x7_7x1", 0),
            Step("avg3", 1, "sep7", 0),
        ),
        (2, 3, 4, 5, 6),
    ),
)
B = Cells(
    Cell(
        (
            Step("1x1", 1, "max3", 1),
            Step("none", 1, "sep3", 0),
            Step("1x1", 1, "sep3", 0),
            Step("1x1", 2, "none", 2),
            Step("avg3", 1, "1x1", 5),
        ),
        (0, 3, 4, 6),
    ),
    Cell(
        (
            Step("max2", 0, "max3", 0),
            Step("none", 2, "3x3", 1),
            Step("sep5", 2, "max3", 2),
            Step("none", 3, "sep3", 1),
            Step("avg3", 4, "1x1", 3),
        ),
        (5, 6),
    ),
)
C = Cells(
    Cell(
        (
            Step("avg3", 0, "sep3", 0),
            Step("none", 0, "sep3", 0),
            Step("avg3", 2, "sep3", 1),
            Step("none", 0, "sep3", 1),
            Step("avg3", 3, "sep3", 0),
        ),
        (1, 2, 4, 5, 6),
    ),
    Cell(
        (
            Step("max3", 0, "max3", 0),
            Step("sep7", 2, "sep3", 0),
            Step("sep7", 0, "max3", 1),
            Step("sep5", 4, "sep5", 4),
            Step("max3", 1, "sep3", 1),
        ),
        (0, 2, 3, 4, 5, 6),
    ),
)
D = Cells(
    Cell(
        (
            Step("1x1", 1, "max3", 1),
            Step("none", 1, "1x7_7x1", 0),
            Step("1x1", 0, "1x7_7x1", 0),
            Step("max3", 2, "none", 2),
            Step("avg3", 1, "1x1", 5),
        ),
        (0, 3, 4, 6),
    ),
    Cell(
        (
            Step("max2", 0, "max3", 0),
            Step("none", 2, "3x3", 1),
            Step("1x7_7x1", 2, "max3", 2),
            Step("none", 3, "max2", 1),
            Step("avg3", 2, "1x1", 3),
        ),
        (4, 5, 6),
    ),
)


def amoebanet(options: Options, cells: Cells, repeats: int, filters: int) -> Graph:
    """AmoebaNet with `repeats` normal cells in all, of `filters` at first; a reduction cell doubles them."""
    net = Net(options, padding="same", epsilon=1e-3)
    current: Layer = image_stem(net, STEM)
    previous: Layer | None = None
    for number, divisor in enumerate((4, 2)):
        current, previous = run_cell(net, cells.reduction, f"stem_cells.{number}", filters // divisor, current, previous, stride=2), current
    for group in range(3):
        width = filters << group
        if group:
            current, previous = run_cell(net, cells.reduction, f"reduction_cells.{group}", width, current, previous, stride=2), current
        for number in range(repeats // 3):
            current, previous = run_cell(net, cells.normal, f"cells.{group}.{number}", width, current, previous), current
    x = net.add(ReLU(), current.value, name="activation")
    return net.finish(x if options.features_only else net.classifier(x, OUTPUTS, dropout=True))


def _declare(name: str, cells: Cells, filters: int, resolution: int, paper: str, accuracies: tuple[Accuracy, ...] = ()) -> Architecture:
    return Architecture(
        name=f"amoebanet-{name}",
        family="amoebanet",
        builder=lambda options: amoebanet(options, cells, 18, filters),
        resolution=resolution,
        year=2018,
        paper=paper,
        accuracies=accuracies,
    )


def _table2(value: float, resolution: int) -> tuple[Accuracy, ...]:
    return (Accuracy(value=value, resolution=resolution, source="arXiv:1905.11946 Table 2"),)


ARCHITECTURES = (
    _declare("a", A, 190, 331, PAPER, _table2(82.8, 331)),
    _declare("b", B, 512, 480, GPIPE, _table2(84.3, 480)),
    _declare("c", C, 228, 331, PAPER, _table2(83.5, 331)),
    _declare("d", D, 208, 224, GPIPE),
)
