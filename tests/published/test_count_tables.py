"""Counts of the zoo, to the unit, against independent counts: every row of the tables in `counts/`.

Columns: network (a zoo name), parameters, macs (empty where no count exists), source. The counts of timm, torchvision and
pytorchcv were made with torch's FlopCounterMode on device meta (its FLOPs are twice the MACs). What has no name of its own
in the zoo is counted in `test_count_variants`.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from costmodel import zoo

TABLES = sorted((Path(__file__).parent / "counts").glob("*.csv"))
ROWS = [(path.stem, row) for path in TABLES for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=[f"{table}-{row['network']}" for table, row in ROWS])
def test_counts_are_exact(row: dict[str, str]) -> None:
    graph = zoo.build(row["network"])
    assert row["source"]
    assert graph.parameters == int(row["parameters"])
    if row["macs"]:
        assert graph.macs == int(row["macs"])


def test_no_network_is_listed_twice_in_a_table() -> None:
    named = [(table, row["network"]) for table, row in ROWS]
    assert len(named) == len(set(named))


#: Networks of which papers print figures, but nobody else's exact count is at hand: `test_printed` and the claims have those.
PRINTED_ONLY = {
    *(f"efficientnet-lite{number}" for number in (1, 2, 3)),
    *(f"espnetv2-seg-{scale}" for scale in ("0.5", "1.0", "1.25", "1.5", "2.0")),
    *("espnetv2-ssd-300", "espnetv2-ssd-512"),
    *(f"shufflenet-v1-{width}-g{groups}" for width in ("0.5", "1.5") for groups in (2, 4)),
}


def test_every_network_of_the_zoo_is_counted() -> None:
    counted = {zoo.find(row["network"]).architecture.name for _, row in ROWS}
    assert set(zoo.architectures()) - counted == PRINTED_ONLY
