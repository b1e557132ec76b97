"""Networks that the zoo does not have, counted by importing the library's own module: every row of `counts.csv`, to the unit.

The parameters and MACs in the table were counted without this package: torch's FlopCounterMode on the meta device, whose FLOPs
are twice the MACs.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from costmodel.importers.torch import count_module, import_module
from tests.importers.torch.helpers import unknown_operators
from tests.peers import peer

pytestmark = [pytest.mark.torch, pytest.mark.peers]

ROWS = list(csv.DictReader(Path(__file__).with_name("counts.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["network"])
def test_counts_are_exact(row: dict[str, str]) -> None:
    sizes = (int(row["height"]), int(row["width"]))
    own_size = {"in_size": sizes} if "cityscapes" in row["network"] or "celeba" in row["network"] else {}  # segmentations resize to it
    network = peer(row["network"], device="meta", **own_size)
    graph = import_module(network, [(1, 3, *sizes)]).graph
    assert (graph.parameters, graph.macs) == (int(row["parameters"]), int(row["macs"]))
    assert unknown_operators(graph) == []
    counts = count_module(network, [(1, 3, *sizes)])
    assert (counts.parameters, counts.macs, dict(counts.unmodelled)) == (graph.parameters, graph.macs, {})
