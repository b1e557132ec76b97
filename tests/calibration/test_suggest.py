"""The networks that are suggested narrow the intervals the most, and three of them serve better than three random ones."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

import costmodel
from costmodel.calibration.suggest import CANDIDATES, design
from costmodel.cli import main
from costmodel.errors import UsageError
from tests.calibration.suggested import TRANSFERS, beyond, chosen_of, samples_of, transfer


def width(slopes: np.ndarray, before: np.ndarray, chosen: tuple[int, ...], error: float) -> float:
    """Mean standard deviation of the log times after rows of `chosen`, by the textbook formula."""
    own = slopes[list(chosen)]
    covariance = np.linalg.inv(before + own.T @ own / error**2)
    return float(np.mean([math.sqrt(row @ covariance @ row) for row in slopes]))


@pytest.mark.parametrize("seed", range(5))
def test_the_design_is_hardly_worse_than_the_best_of_all_sets(seed: int) -> None:
    draw = np.random.default_rng(seed)
    slopes, before = draw.dirichlet(np.ones(4), 12), np.diag(draw.uniform(1, 20, 4))
    chosen, widths = design(slopes, before, 3, 0.03)
    best = min(width(slopes, before, subset, 0.03) for subset in itertools.combinations(range(12), 3))
    assert widths[-1] == pytest.approx(width(slopes, before, tuple(chosen), 0.03))
    assert widths[-1] <= 1.05 * best
    assert widths == sorted(widths, reverse=True)
    assert len(set(chosen)) == 3


def test_one_row_of_each_direction_is_taken() -> None:
    slopes = np.array([[1.0, 0.0], [0.99, 0.01], [0.0, 1.0], [0.01, 0.99]])
    chosen, _ = design(slopes, np.eye(2), 2)
    assert {position // 2 for position in chosen} == {0, 1}


@pytest.mark.parametrize(("phone", "like", "cores"), [("galaxy-s10", "pixel4", "medium=1"), ("pixel4", "galaxy-s10", "small=1")])
def test_three_suggested_rows_beat_random_ones(phone: str, like: str, cores: str) -> None:
    # reports/accuracy.md has all phones; these two have room on both sides
    found = transfer(phone, like, cores, "fp32", draws=15)
    assert found.suggested < found.random < found.none


@pytest.mark.parametrize(("phone", "like", "cores"), TRANSFERS)
def test_three_suggested_rows_are_enough(phone: str, like: str, cores: str) -> None:
    # 2.4 to 4.6 % by reports/accuracy.md
    members = samples_of(phone, like, cores, "fp32")
    assert beyond(members, chosen_of(members, "width")) < 0.05


def test_a_device_without_rows_gets_a_suggestion_and_one_with_rows_another(tmp_path: Path) -> None:
    rows = tmp_path / "mine.csv"
    rows.write_text("network,latency_ms,source\nresnet-50,900,mine\nmnasnet-small,12,mine\n", encoding="utf-8")
    (before,) = costmodel.suggest("jetson-nano", 2)
    (after,) = costmodel.suggest("jetson-nano", 2, measurements=rows)
    assert (before.rows, after.rows) == (0, 2)
    assert after.widths[0] < before.widths[0]
    assert after.candidates == before.candidates - 2
    assert not {"resnet-50", "mnasnet-small"} & set(after.networks)
    assert set(before.networks) <= set(CANDIDATES)


def test_rows_that_are_left_out_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "mine.csv"
    rows.write_text("network,latency_ms,source\nresnet-50,0.9,mine\nmnasnet-small,-12,mine\nresnet-18,300,mine\n", encoding="utf-8")
    arguments = ["calibrate", "raspberry-pi-4", "--measurements", str(rows), "--suggest", "1"]
    assert main(arguments) == 4
    assert main([*arguments, "--skip-refused"]) == 0
    said = capsys.readouterr().err
    assert f"refused: {rows}:3: latency_ms must be a number above 0" in said
    assert f"refused: {rows}:2: 0.9 ms is under the" in said


def test_the_command_prints_what_is_gained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "galaxy-s10", "--like", "pixel4", "--runtime", "tflite", "--suggest", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (found,) = document["suggestions"]
    assert len(found["networks"]) == 2
    assert found["mean_interval_factors"][2] < found["mean_interval_factors"][1] < found["mean_interval_factors"][0]
    assert main(["calibrate", "jetson-nano", "--suggest", "2"]) == 0
    printed = capsys.readouterr().out
    assert "(now, no row)" in printed
    assert printed.count("\n") > 4


#: Arguments -> what is said.
REFUSED = {
    "none": (["calibrate", "raspberry-pi-4", "--suggest", "0"], "networks can be chosen to measure"),
    "too many": (["calibrate", "raspberry-pi-4", "--suggest", "999"], "networks can be chosen to measure"),
    "a profile too": (["calibrate", "raspberry-pi-4", "--suggest", "2", "-o", "p.toml"], "--suggest fits nothing"),
    "a batch for a fit": (["calibrate", "raspberry-pi-4", "--batch", "2"], "--batch belongs to --suggest"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_suggested_is_said(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, said = REFUSED[name]
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_times_that_do_not_hang_on_constants_are_said() -> None:
    with pytest.raises(UsageError, match="give a larger --batch"):
        costmodel.suggest("h100", 3)
    (found,) = costmodel.suggest("h100", 3, batch=256)
    assert found.widths[-1] < found.widths[0]
