"""Constants from other devices' rows: they come back where they were planted, no row of the device or family takes part, and real rows are met."""

from __future__ import annotations

import dataclasses
from statistics import mean

import pytest

import costmodel
from costmodel.calibration.fit import priced
from costmodel.calibration.pooled import Pool, fitted_share, leave_device_out, leave_family_out
from costmodel.calibration.samples import Sample
from costmodel.graph import load_graph
from tests.calibration.benchncnn_graphs import NETWORKS
from tests.calibration.ncnn_profiles import all_samples, rows_file

#: Boards of the same core, and what they have in common besides.
BOARDS = ("raspberry-pi-3b-plus", "snapdragon-410", "rk3399", "raspberry-pi-zero-2w")
CORE = "cortex-a53"


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Rows in fp32 of cores of one kind."""
    found, _ = all_samples(dataclasses.replace(rows_file(), rows=tuple(row for row in rows_file().rows if row.device in BOARDS and row.dtype == "fp32")))
    return [sample for sample in found if sample.target.machine.cores[0].core == CORE]


def _with_seconds(sample: Sample, seconds: float) -> Sample:
    return dataclasses.replace(sample, row=dataclasses.replace(sample.row, seconds=seconds))


def test_a_board_follows_from_others_with_the_same_core(samples: list[Sample]) -> None:
    """Real rows, one core: the mean error of boards held out; the bound is what is reached, rounded up."""
    single = [sample for sample in samples if sample.target.threads == 1]
    errors = [abs(seconds / sample.seconds - 1) for seconds, sample in zip(leave_device_out(single), single, strict=True)]
    assert mean(errors) < 0.15


def test_own_rows_do_not_move_the_prediction(samples: list[Sample]) -> None:
    single = [sample for sample in samples if sample.target.threads == 1]
    slower = [_with_seconds(sample, sample.seconds * (3 if sample.row.device == BOARDS[0] else 1)) for sample in single]
    before, after = leave_device_out(single), leave_device_out(slower)
    for sample, one, other in zip(single, before, after, strict=True):
        assert (one == other) == (sample.row.device == BOARDS[0])


def test_no_row_of_a_family_moves_its_prediction(samples: list[Sample]) -> None:
    single = [sample for sample in samples if sample.target.threads == 1]
    slower = [_with_seconds(sample, sample.seconds * (3 if sample.family == "vgg" else 1)) for sample in single]
    before, after = leave_family_out(single), leave_family_out(slower)
    for sample, one, other in zip(single, before, after, strict=True):
        assert (one == other) == (sample.family == "vgg")


def test_a_planted_share_of_the_memory_comes_back(samples: list[Sample]) -> None:
    together = [sample for sample in samples if (sample.target.threads or 1) > 1]
    values = [Pool(samples).values(sample.target) for sample in together]
    planted = [_with_seconds(sample, float(priced([sample], {**known, ("contended_share",): 0.3})[0])) for sample, known in zip(together, values, strict=True)]
    assert fitted_share(planted, values) == pytest.approx(0.3, rel=0.03)


def test_a_pool_without_rows_says_for_which_core(samples: list[Sample]) -> None:
    target = costmodel.target("snapdragon-810", runtime="ncnn", dtype="fp32")
    with pytest.raises(ValueError, match="cortex-a57"):
        Pool([]).constants(target, "cortex-a57")
    assert Pool(samples).constants(target, "cortex-a53")["gemm_cycles_per_mac"] > 1 / (4 * 1.05)


def test_rows_of_mixed_cores_alone_are_judged_without_a_fit() -> None:
    found = costmodel.validate("snapdragon-888")
    assert found.targets
    assert {target.held_out for target in found.targets} == {None}


#: Graph -> (MACs, parameters) as its authors state them, and how exactly they do.
STATED = {
    "mobilenet_ssd": (1.15e9, 5.8e6, 0.01),  # chuanqi305/MobileNet-SSD: a file of 23 MB
    "yolov4-tiny": (6.91e9 / 2, 6.06e6, 0.01),  # AlexeyAB/darknet: 6.9 BFLOPs
    "yolo-fastestv2": (0.212e9 / 2, 0.25e6, 0.01),  # dog-qiuqiu/Yolo-FastestV2: 0.212 BFLOPs, 0.25 M
}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_networks_of_benchncnn_have_the_size_that_is_stated(name: str) -> None:
    graph = NETWORKS[name]()
    macs, parameters, exactly = STATED[name]
    assert graph.macs == pytest.approx(macs, rel=exactly)
    assert graph.parameters == pytest.approx(parameters, rel=exactly)
    shipped = load_graph(costmodel.devices.profile_folder() / "measurements" / "graphs" / f"{name}.json")
    assert (shipped.macs, shipped.parameters) == (graph.macs, graph.parameters)
