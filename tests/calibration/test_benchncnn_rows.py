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
    found = list(rows(tables(readme("  blazeface  min = 1.00  max = 1.00  avg = 1.00"))))
    shipped = rows_file().rows
    assert {(row["device"], row["cores"], row["dtype"], row["network"]): float(row["latency_ms"]) for row in found} == {
        (row.device, row.cores, row.dtype, row.network): pytest.approx(row.seconds * 1e3) for row in shipped
    }


def test_runs_that_something_interrupted_are_left_out() -> None:
    """Four times the least is, a fifth more is not."""
    text = readme()
    line = next(line for line in text.splitlines() if " mnasnet " in line)
    mean = line.rpartition(" ")[2]
    for times, kept in ((0.25, 0), (1 / 1.2, 1)):
        changed = line.replace(f"min = {mean}", f"min = {float(mean) * times:.2f}")
        assert len(list(rows(tables(text.replace(line, changed, 1))))) == len(rows_file().rows) - 1 + kept


def test_a_target_without_its_table_is_said() -> None:
    with pytest.raises(ValueError, match="no table of the README has the figures of snapdragon-855plus"):
        list(rows(tables(readme().replace("avg = ", "avg = 1"))))
