"""Counts of the zoo, to the unit, against independent counts: every row of the tables in `counts/`.

Columns: network (a zoo name), parameters, macs (empty where no count exists), source.
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
