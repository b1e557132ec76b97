"""Grids: each cell is the estimate of that very network on that very target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import costmodel
from costmodel.decisions import Wanted, parse_axis
from costmodel.errors import UsageError


def wanted(**axes: str) -> Wanted:
    return Wanted(**{name: parse_axis(name, text) for name, text in axes.items()})  # type: ignore[arg-type]  # names of axes


def test_every_cell_is_the_estimate_of_its_network() -> None:
    found = costmodel.sweep(
        "mobilenet-v2", device="pixel4", wanted=wanted(batch="1,3", resolution="96,128x160", width="0.5,1", dtype="fp32,int8", threads="1,2")
    )
    assert len(found.cells) == 2 * 2 * 2 * 2 * 2
    assert [axis.name for axis in found.axes] == ["batch", "resolution", "width", "dtype", "threads"]
    seen = set()
    for cell in found.cells:
        assert cell.resolution is not None
        height, width = cell.resolution
        name = f"mobilenet-v2{'-0.5' if cell.width == 0.5 else ''}@{height}x{width}"
        same = costmodel.estimate(name, device="pixel4", batch=cell.batch, dtype=cell.target.dtype, threads=cell.target.threads)
        assert (cell.cost.latency_s, cell.cost.macs, cell.cost.latency_low_s) == (same.latency_s, same.macs, same.latency_low_s)
        seen.add(tuple(cell.value(axis.name) for axis in found.axes))
    assert len(seen) == len(found.cells)


def test_without_axes_there_is_one_cell() -> None:
    found = costmodel.sweep("resnet-18", device="pixel4", wanted=Wanted())
    assert (len(found.cells), found.axes) == (1, ())
    assert found.cells[0].cost.latency_s == costmodel.estimate("resnet-18", device="pixel4").latency_s


def test_a_file_is_swept_over_resolutions_of_its_image(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    costmodel.build("mobilenet-v2").save(path)
    for model in (str(path), path, costmodel.load(path)):
        found = costmodel.sweep(model, device="pixel4", wanted=wanted(resolution="160,224"))
        named = [costmodel.estimate(f"mobilenet-v2@{side}", device="pixel4").latency_s for side in (160, 224)]
        assert [cell.cost.latency_s for cell in found.cells] == named
    with pytest.raises(UsageError, match="--width is for networks of the zoo"):
        costmodel.sweep(path, device="pixel4", wanted=wanted(width="0.5"))


@given(st.integers(1, 50), st.integers(0, 40), st.integers(1, 9))
def test_a_range_includes_both_ends_that_its_step_reaches(first: int, more: int, step: int) -> None:
    assert parse_axis("batch", f"{first}:{first + more * step}:{step}") == tuple(range(first, first + more * step + 1, step))
    assert parse_axis("batch", f"{first}:{first + more * step + step - 1}:{step}")[-1] == first + more * step


#: Axis, text, words of the refusal.
NO_AXIS = {
    "words": ("batch", "many", "--batch must look like 1,8,32"),
    "fraction": ("batch", "1.5", "--batch must look like"),
    "negative": ("threads", "-1", "--threads must look like"),
    "empty": ("resolution", "", "--resolution must look like"),
    "one of several": ("threads", "1,two,4", "--threads must look like 1,2,4 or 1:4:1, where .* not 'two' in '1,two,4'"),
    "ten digits": ("batch", "1:1000000000:9", "numbers have up to 9 digits; not '1:1000000000:9'"),
    "two ends": ("resolution", "128:256", "--resolution: 128:256 lacks the step: a range is first:last:step, such as 128:256:32"),
    "downwards": ("resolution", "32,256:128:32", r"--resolution: 256:128:32 \(first:last:step\) has no values: its last is below its first"),
    "no step": ("batch", "1:8:0", r"--batch: 1:8:0 \(first:last:step\) never reaches its last: give it a step above 0"),
    "far too many": ("batch", "1:9999999:1", "--batch: 1:9999999:1 .* has 9,999,999 values, at most 10,000"),
    "unknown precision": ("dtype", "fp32,fp8", "--dtype takes fp32"),
}


@pytest.mark.parametrize("case", NO_AXIS)
def test_what_is_no_axis_is_refused(case: str) -> None:
    name, text, words = NO_AXIS[case]
    with pytest.raises(UsageError, match=words):
        parse_axis(name, text)  # type: ignore[arg-type]  # a name of an axis


#: Network, axes, options, words of the refusal.
NO_GRID: dict[str, tuple[str, dict[str, str], dict[str, Any], str]] = {
    "too many cells": ("resnet-18", {"batch": "1:200:1", "resolution": "64:223:1"}, {}, "32,000 cells, at most 10,000"),
    "resolution twice": ("resnet-18@224", {"resolution": "96"}, {}, "says its resolution already"),
    "width twice": ("mobilenet-v2-0.5", {"width": "0.75"}, {}, "says its width already"),
    "no width there": ("resnet-18", {"width": "0.5"}, {}, "at width 0.5: .* takes no width multiplier"),
    "too small": ("vit-b-16", {"resolution": "224,8"}, {}, "at resolution 8: .*patches of 16x16"),
    "more threads than cores": ("resnet-18", {"threads": "1,99"}, {}, "threads must lie between 1 and 8, not 99"),
    "no such precision there": ("resnet-18", {"dtype": "bf16"}, {}, "no figures for bf16"),
    "batch of the edge TPU": ("mobilenet-v2", {"batch": "1,4"}, {"processor": "edgetpu"}, "at batch 4: .*batches of at most 1, not 4"),
}


@pytest.mark.parametrize("case", NO_GRID)
def test_what_is_no_grid_is_refused(case: str) -> None:
    model, axes, options, words = NO_GRID[case]
    with pytest.raises(UsageError, match=words):
        costmodel.sweep(model, device="pixel4", wanted=wanted(**axes), **options)
