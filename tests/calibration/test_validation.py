"""What a validation says of a target beside its scores."""

from __future__ import annotations

from pathlib import Path

import pytest

import costmodel
from costmodel.calibration.profile_text import with_values

TABLE = ("processors", "cpu", "runtimes", "tflite-padded", "dtypes", "fp32")


@pytest.mark.parametrize(("batches", "basis", "wider"), [((1,), "calibrated", 1.0), ((1, 4), "transferred", 1.2)])
def test_rows_of_a_batch_that_the_profile_does_not_know_are_carried_over(batches: tuple[int, ...], basis: str, wider: float, tmp_path: Path) -> None:
    profile, rows = tmp_path / "mine.toml", tmp_path / "mine.csv"
    shipped = costmodel.device("pixel4")
    profile.write_text(with_values(Path(shipped.path).read_text(encoding="utf-8"), {TABLE: {"measured_batches": "[1, 1]"}}), encoding="utf-8")
    lines = [f"mobilenet-v1,pixel4,tflite-padded,{batch},{40 * batch},mine" for batch in batches]
    rows.write_text("\n".join(["network,device,runtime,batch,latency_ms,source", *lines, ""]), encoding="utf-8")
    (target,) = costmodel.validate(str(profile), measurements=rows).targets
    assert target.basis == basis
    stated = shipped.profile.processors["cpu"].runtimes["tflite-padded"].dtypes["fp32"].interval_factor
    assert target.stated_factor == pytest.approx(wider * stated)
    assert [row.stated_factor / target.rows[0].stated_factor for row in target.rows] == pytest.approx([1.0, wider][: len(batches)])
