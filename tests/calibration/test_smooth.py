"""The smooth law in arrays says what the law says, kernel by kernel."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel import zoo
from costmodel.calibration.fit import priced
from costmodel.calibration.parameters import free_parameters
from costmodel.calibration.rows import MeasuredRow
from costmodel.calibration.samples import Sample, collect
from costmodel.calibration.smooth import SmoothResponses
from costmodel.devices import device

NETWORKS = ("resnet-18", "mobilenet-v3-small", "swin-t", "regnet-y-400mf", "convnext-t")
TARGETS = (("rtx3090", "torch-eager", "nchw", 64), ("rtx4090", "torch-compile", "nchw", 256), ("rtx3090", "torch-eager", "nhwc", 64))


def samples(name: str, runtime: str, layout: str, batch: int) -> tuple[Sample, ...]:
    rows = [MeasuredRow(network=network, device=name, runtime=runtime, layout=layout, batch=batch, seconds=0.05, source="made up") for network in NETWORKS]
    return collect(rows, device(name)).samples


@pytest.mark.parametrize(("name", "runtime", "layout", "batch"), [*TARGETS, ("i9-10940x", "torch-compile", "nchw", 1)])
def test_arrays_and_law_agree(name: str, runtime: str, layout: str, batch: int) -> None:
    found = samples(name, runtime, layout, batch)
    assert len(found) == len(NETWORKS)
    free = free_parameters(found[0].target, None)
    values = {entry.path: min(entry.prior * 1.1, entry.high) for entry in free}
    expected = priced(found, values)
    seconds = SmoothResponses(found, list(values)).seconds(np.log(list(values.values())))
    assert seconds == pytest.approx(expected, rel=0.02)  # a GPU's host counts as a whole there, kernel by kernel here


def test_arrays_and_law_agree_on_fresh_pages_and_few_threads() -> None:
    networks = ("vgg-16@512", "mobilenet-v3-small@64")  # results of over 32 MiB; loops of few elements
    rows = [MeasuredRow(network=network, device="i9-10940x", runtime="torch-compile", seconds=0.05, source="made up") for network in networks]
    found = collect(rows, device("i9-10940x")).samples
    values = {("page_share",): 0.05, ("thread_us",): 20.0}
    responses = SmoothResponses(found, list(values))
    assert responses.columns.fresh.any()
    assert (responses.columns.joined < 1).any()
    assert responses.seconds(np.log(list(values.values()))) == pytest.approx(priced(found, values), rel=1e-9)


@pytest.mark.parametrize("target", [TARGETS[0], ("i9-10940x", "torch-compile", "nchw", 1)])
def test_slopes_are_differences(target: tuple[str, str, str, int]) -> None:
    found = samples(*target)
    free = free_parameters(found[0].target, None)
    known = SmoothResponses(found, [entry.path for entry in free])
    logs = np.log([entry.prior for entry in free]) - 0.01
    slopes = known.slopes(logs)
    for position in range(len(free)):
        moved = logs.copy()
        moved[position] += 1e-5
        difference = (np.log(known.seconds(moved)) - np.log(known.seconds(logs))) / 1e-5
        assert slopes[:, position] == pytest.approx(difference, abs=2e-3), free[position].name


def test_some_rows_are_those_rows() -> None:
    found = samples(*TARGETS[0])
    free = free_parameters(found[0].target, None)
    logs = np.log([entry.prior for entry in free])
    known = SmoothResponses(found, [entry.path for entry in free])
    chosen = np.array([True, False, True, False, True])
    assert known.of(chosen).seconds(logs) == pytest.approx(known.seconds(logs)[chosen])
    assert zoo.find(found[2].row.network).architecture.name == "swin-t"
