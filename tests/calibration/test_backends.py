"""Backends of the calibration of this machine: each executes the graph that it is given, on copies in turn, and gives the profile a runtime."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import costmodel
from costmodel.calibration.local.backends import RUNTIMES, LiteRT, backend, in_turn
from costmodel.calibration.local.calibrate import LocalCalibration, from_measured
from costmodel.calibration.local.measure import Measured, about
from costmodel.calibration.local.plan import Case, entry_cases, entry_seconds, plan
from costmodel.calibration.local.timing import Bench, copies_of
from costmodel.devices import resolve_target
from costmodel.errors import UsageError
from costmodel.estimation import estimate
from tests.calibration.test_local import torch_run, true_seconds

pytestmark = pytest.mark.torch

LIBRARY = {"tflite": "ai_edge_litert", "tflite-xnnpack": "ai_edge_litert", "onnxruntime": "onnxruntime"}


@cache
def small_cases() -> dict[str, Case]:
    """A case of each family, the smallest drawn, and a network."""
    found: dict[str, Case] = {}
    for case in plan(quick=True):
        if case.role == "operator" and (case.family not in found or case.graph.macs < found[case.family].graph.macs):
            found[case.family] = case
    network = costmodel.build("mobilenet-v2@64")
    return {**found, "network": Case(name="network", family="network", role="anchor", graph=network)}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_family_of_the_plan_runs(runtime: str) -> None:
    if runtime in LIBRARY:
        pytest.importorskip(LIBRARY[runtime], reason="needs the extra that executes it")
    used = backend(runtime, threads=1, layout="nchw")
    for case in small_cases().values():
        run = used.prepared(case, 2)
        for _ in range(3):
            run()


def test_copies_are_taken_in_turn() -> None:
    taken: list[int] = []
    run = in_turn([lambda: taken.append(0), lambda: taken.append(1), lambda: taken.append(2)])
    for _ in range(5):
        run()
    assert taken == [0, 1, 2, 0, 1]


def test_planned_memory_keeps_activations_warm_and_weights_cold() -> None:
    cases = {case.name: case for case in plan()}
    assert copies_of(cases["add-00"], plans_memory=True) == 1
    assert copies_of(cases["add-00"], plans_memory=False) > 1
    assert copies_of(cases["classifier-00"], plans_memory=True) > 1
    assert copies_of(cases["resnet-18"], plans_memory=False) == 1


def test_measurements_name_the_runtime_and_its_build() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `litert`")
    assert set(about(backend("torch-eager", threads=1, layout="nchw"))) == {"processor", "torch", "threads", "layout"}
    found = about(LiteRT("tflite-xnnpack", 1))
    assert (found["runtime"], found["layout"]) == ("tflite-xnnpack", "nhwc")
    assert "ai-edge-litert" in found


def test_a_case_is_timed_on_the_backend() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra `litert`")
    bench = Bench(LiteRT("tflite", 1), seconds_a_case=0.01)
    seconds = {case.name: bench.time(case).seconds for case in entry_cases()}
    assert 0 <= entry_seconds(seconds) <= seconds["entry"] < 1e-3


def test_an_unknown_runtime_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="did you mean onnxruntime"):
        costmodel.calibrate_this_machine(runtimes=["onnx-runtime"])
    with pytest.raises(UsageError, match="each once, not tflite, tflite"):
        costmodel.calibrate_this_machine(runtimes=["tflite", "tflite"])


@cache
def both() -> LocalCalibration:
    """A machine on which ONNX Runtime takes half of torch's time, and 20 us for any call."""
    cases = plan(quick=True)
    slow = {case.name: true_seconds(case) for case in cases}
    fast = {case.name: 0.5 * true_seconds(case) + (20e-6 if case.role == "operator" else 0) for case in cases}
    runs = [
        torch_run(Measured(slow)),
        torch_run(Measured(fast), runtime="onnxruntime", build="onnxruntime 1", entry_s=20e-6, plans_memory=True),
    ]
    return from_measured(cases, runs, name="here", threads=1)


def test_each_runtime_has_constants_of_its_own() -> None:
    found = both()
    assert found.device.profile.processors["cpu"].default_runtime == "torch-eager"
    document: dict[str, Any] = found.to_dict()
    assert [entry["runtime"] for entry in document["runtimes"]] == ["torch-eager", "onnxruntime"]
    for name in ("resnet-50", "mobilenet-v1", "googlenet-bn"):
        graph = costmodel.build(name)
        seconds = {runtime: estimate(graph, resolve_target(found.device, runtime=runtime, threads=1)).latency_s for runtime in ("torch-eager", "onnxruntime")}
        whole = true_seconds(Case(name=name, family=name, role="anchor", graph=graph))
        assert seconds["torch-eager"] == pytest.approx(whole, rel=0.12)
        assert seconds["onnxruntime"] < 0.62 * whole  # fewer kernels, each in half the time
