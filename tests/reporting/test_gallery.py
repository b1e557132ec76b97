"""The gallery: every picture is there, its page names them all, and the same command draws the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from costmodel.devices import profile_folder
from tests.benchmarks import gallery


def test_every_picture_has_its_files_and_its_place_on_the_page() -> None:
    expected = {f"{name}.{ending}" for name in gallery.PICTURES for ending in ("png", "csv")} | {"README.md", gallery.DRAWN}
    assert {path.name for path in gallery.FOLDER.iterdir()} == expected
    assert (gallery.FOLDER / "README.md").read_text(encoding="utf-8") == gallery.index()


@pytest.mark.parametrize("name", ["efficientnet_2019", "fused_on_accelerators", "mobilenet_v3_and_v2"])
def test_a_picture_is_drawn_alike_twice_from_estimates(name: str, tmp_path: Path) -> None:
    tables = [gallery.PICTURES[name][0](tmp_path / f"{number}.png") for number in range(2)]
    assert tables[0] == tables[1]
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    assert gallery.stale_rows([{key: str(value) for key, value in row.items()} for row in tables[0][:3]]) == []


def test_the_tables_beside_the_pictures_are_readable() -> None:
    for name in gallery.PICTURES:
        rows = gallery.read_rows(gallery.FOLDER / f"{name}.csv")
        assert len(rows) > 20
        assert all(float(row["latency_low_s"]) < float(row["latency_s"]) < float(row["latency_high_s"]) for row in rows)


def test_every_picture_was_drawn_with_the_table_beside_it() -> None:
    rows = gallery.read_rows(gallery.FOLDER / gallery.DRAWN)
    assert [row["picture"] for row in rows] == list(gallery.PICTURES)
    for row in rows:
        for ending, key in (("csv", "table_sha256"), ("png", "picture_sha256")):
            path = gallery.FOLDER / f"{row['picture']}.{ending}"
            assert gallery.digest(path) == row[key], f"{path.name} is not what was drawn: {gallery.COMMAND}"


def test_the_gallery_is_of_the_present_constants() -> None:
    """One network of each family on every target of every picture: whichever constant has changed, some of them use it."""
    chosen = {}
    for name in gallery.PICTURES:
        for row in gallery.read_rows(gallery.FOLDER / f"{name}.csv"):
            where = tuple(row.get(column) for column in ("device", "target", "processor", "runtime", "dtype", "batch"))
            chosen.setdefault((row.get("family") or row["series"], where), row)
    assert len(chosen) > 200
    stale = gallery.stale_rows(chosen.values())
    assert not stale, f"{len(stale)} of {len(chosen)} rows are of other constants, draw anew by {gallery.COMMAND}: {stale[:3]}"


def test_a_gallery_of_other_constants_is_noticed(tmp_path: Path) -> None:
    row = gallery.read_rows(gallery.FOLDER / "pareto_pixel4.csv")[0]
    assert gallery.stale_rows([row]) == []
    text = (profile_folder() / "pixel4.toml").read_text(encoding="utf-8")
    changed = tmp_path / "pixel4.toml"
    changed.write_text(text.replace("clock_ghz = { value = 2.84,", "clock_ghz = { value = 2.8401,"), encoding="utf-8")
    assert changed.read_text(encoding="utf-8") != text
    (problem,) = gallery.stale_rows([row | {"device": str(changed)}])
    assert problem.startswith(f"{row['network']} on {changed}: drawn {row['latency_s']} s, now ")


def test_a_picture_that_is_not_of_its_table_is_noticed(tmp_path: Path) -> None:
    for ending in ("csv", "png"):
        (tmp_path / f"macs_and_latency.{ending}").write_text("drawn", encoding="utf-8")
    gallery.record(tmp_path, "macs_and_latency")
    (row,) = gallery.read_rows(tmp_path / gallery.DRAWN)
    assert row["table_sha256"] == row["picture_sha256"] == gallery.digest(tmp_path / "macs_and_latency.csv")
    (tmp_path / "macs_and_latency.csv").write_text("drawn later", encoding="utf-8")
    assert row["table_sha256"] != gallery.digest(tmp_path / "macs_and_latency.csv")
