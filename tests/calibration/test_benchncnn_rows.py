"""Rows out of benchncnn's README: a target's table is found by its figures, and rows that are kept are the README's."""

from __future__ import annotations

import pytest

from tests.calibration.benchncnn_rows import _SOURCE, rows, tables
from tests.calibration.ncnn_profiles import rows_file


def readme(extra: str = "") -> str:
    """A README with the tables that `ncnn.csv` was made of, `extra` at the end of each."""
    found: dict[tuple[str, str | None, str], list[str]] = {}
    for row in rows_file().rows:
        network, run = _SOURCE.search(row.source or "").groups()  # type: ignore[union-attr]
        printed = f"{row.seconds * 1e3:.2f}"
        found.setdefault((row.device, row.cores, run), []).append(f"{network:>20}  min = {printed}  max = {printed}  avg = {printed}")
    return "\n".join("\n".join(["[0 name]  loop_count = 8", "num_threads = 4", *lines, extra]) for lines in found.values())


def test_every_target_has_its_table() -> None:
    found = list(rows(tables(readme("  alexnet  min = 1.00  max = 3.00  avg = 2.50\n  blazeface  min = 1.00  max = 1.00  avg = 1.00"))))
    targets = {(row.device, row.cores) for row in rows_file().rows}
    own = [row for row in found if row["network"] == "alexnet"]
    assert {(row["device"], row["cores"]) for row in own} == targets
    assert {row["latency_ms"] for row in own} == {"2.50"}
    assert {row["dtype"] for row in own} == {"fp32", "fp16"}
    assert {row["network"] for row in found} == {"alexnet", "graphs/squeezenet_ssd.json", "graphs/mobilenetv2_yolov3.json"}


def test_a_target_without_its_table_is_said() -> None:
    with pytest.raises(ValueError, match="no table of the README has the figures of snapdragon-855plus"):
        list(rows(tables(readme().replace("avg = ", "avg = 1"))))
