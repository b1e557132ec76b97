"""The gallery: every picture is there, its page names them all, and the same command draws the same bytes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import costmodel
from tests.benchmarks import gallery


def test_every_picture_has_its_files_and_its_place_on_the_page() -> None:
    expected = {f"{name}.{ending}" for name in gallery.PICTURES for ending in ("png", "csv")} | {"README.md"}
    assert {path.name for path in gallery.FOLDER.iterdir()} == expected
    assert (gallery.FOLDER / "README.md").read_text(encoding="utf-8") == gallery.index()


@pytest.mark.parametrize("name", ["efficientnet_2019", "fused_on_accelerators", "mobilenet_v3_and_v2"])
def test_a_picture_is_drawn_alike_twice_from_estimates(name: str, tmp_path: Path) -> None:
    tables = [gallery.PICTURES[name][0](tmp_path / f"{number}.png") for number in range(2)]
    assert tables[0] == tables[1]
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    for row in tables[0][:3]:
        options = dict(zip(("processor", "cores"), row["target"].split(" · "), strict=False)) if "=" in row["target"] else {}
        dtype, batch = (next(word for word in row["target"].split(" · ") if word.startswith(start)) for start in (("fp", "int"), "batch"))
        again = costmodel.estimate(row["network"], device=row["device"], dtype=dtype, batch=int(batch.split()[1]), **options)
        assert (row["latency_s"], row["latency_high_s"]) == (again.latency_s, again.latency_high_s)


def test_the_tables_beside_the_pictures_are_readable() -> None:
    for name in gallery.PICTURES:
        with (gallery.FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) > 20
        assert all(float(row["latency_low_s"]) < float(row["latency_s"]) < float(row["latency_high_s"]) for row in rows)
