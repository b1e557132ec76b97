"""Rows of other laboratories: each names a network and a target that exist, and what they fitted is what other profiles carry."""

from __future__ import annotations

import pytest

import costmodel
from costmodel.calibration.rows import RowFile, read_rows
from costmodel.calibration.samples import collect
from costmodel.devices import device, profile_folder
from costmodel.graph import load_graph
from tests.calibration import hosted_accuracy, nasbench_graphs
from tests.calibration.xnnpack_profiles import DEVICES, RUNTIME, constants_of

FOLDER = profile_folder() / "measurements"


@pytest.fixture(scope="module")
def hosted() -> RowFile:
    return read_rows(FOLDER / hosted_accuracy.FILE)


def test_every_row_takes_part(hosted: RowFile) -> None:
    assert hosted.problems == ()
    assert len(hosted.rows) > 100
    for name in {row.device for row in hosted.rows}:
        found = collect([row for row in hosted.rows if row.device == name], device(name))
        assert (found.problems, found.unbuilt) == ((), ())


def test_no_row_is_of_a_predictor_and_each_names_where_it_stands(hosted: RowFile) -> None:
    assert not [row for row in hosted.rows if "nn-meter" in row.source.lower()]
    assert all(len(row.source) > 30 and "," in row.source for row in hosted.rows)


def test_saved_networks_are_their_cells() -> None:
    cells = nasbench_graphs.cells()
    assert {path.name for path in (FOLDER / "graphs").glob("nasbench201_*")} == {f"nasbench201_{number}.json" for number in cells}
    number = min(cells)
    assert load_graph(FOLDER / "graphs" / f"nasbench201_{number}.json").macs == nasbench_graphs.network(cells[number]).macs


@pytest.mark.parametrize("cell", ["", "|none~0|", "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|"])
def test_what_is_no_cell_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="is no cell: it needs none, skip_connect"):
        nasbench_graphs.network(cell)


@pytest.mark.parametrize("name", DEVICES)
def test_arm_cores_share_one_set_of_constants_under_xnnpack(name: str) -> None:
    """Every profile has what the fitted one gives, so that a fit that was not carried over shows."""
    target = costmodel.target(name, runtime=RUNTIME)
    for cluster in device(name).profile.processors["cpu"].clusters:
        rates = {"core": cluster.core, "flops_per_cycle": {dtype: cluster.flops_per_cycle[dtype] for dtype in ("fp32", "int8")}}
        constants = target.machine.parameters.cores[cluster.core]
        for key, value in constants_of(rates, "fp32", anew=False).items():
            assert getattr(constants, key) == pytest.approx(value, rel=1e-3), (cluster.core, key)


def test_a_line_is_judged_with_one_scale_where_rows_are_enough(hosted: RowFile) -> None:
    members = collect([row for row in hosted.rows if (row.device, row.runtime, row.dtype) == ("pixel2", "tflite", "int8")], device("pixel2")).samples
    factor = hosted_accuracy.scale(members)
    assert factor > 1.5  # TensorFlow Lite of 2018 took nearly twice as long
    once = hosted_accuracy.errors(members, factor)
    assert sum(once) < sum(hosted_accuracy.errors(members))
    ratios = [sample.predicted_s * factor / sample.seconds for sample in members]
    assert sum(once) == pytest.approx(sum(abs(ratio - 1) for ratio in ratios))
