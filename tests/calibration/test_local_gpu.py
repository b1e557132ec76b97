"""Calibrating this machine's GPU: the plan, a profile from times that a known GPU would take, and the bench on a GPU that the CPU plays."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import costmodel
from costmodel.calibration.fit import priced
from costmodel.calibration.local import cuda
from costmodel.calibration.local.calibrate import LocalCalibration
from costmodel.calibration.local.cuda import CudaBench, TorchCuda
from costmodel.calibration.local.fitting import local_fit, sample_of
from costmodel.calibration.local.gpu import gpu_from_measured, host_us_of
from costmodel.calibration.local.gpu_machine import Peak, Sheet, gpu_text, peaks, sheet_of
from costmodel.calibration.local.measure import Measured
from costmodel.calibration.local.plan import QUICK_ANCHORS, Case, gpu_plan, tensor_bytes
from costmodel.calibration.local.run import Run, run_of
from costmodel.devices import parse_device, resolve_target
from costmodel.errors import UsageError
from tests.calibration.test_local import torch_run

pytestmark = pytest.mark.torch

SHEET = Sheet(name="GPU", capability=(8, 6), multiprocessors=40, clock_hz=1.5e9, memory_bytes=8 << 30, memory_bytes_per_s=400e9, cache_bytes=4 << 20)
#: Networks and batches that no plan measures.
OTHERS = (("resnet-50", 64), ("mobilenet-v1", 16), ("deit-ti", 64), ("shufflenet-v2-0.5", 1), ("googlenet-bn", 8))
HOST_US = 12.0
TRUE = {
    ("kernel_us",): 3.0,
    ("compute_share", "convolution"): 0.45,
    ("compute_share", "pointwise-convolution"): 0.4,
    ("compute_share", "depthwise-convolution"): 0.03,
    ("compute_share", "linear"): 0.5,
    ("memory_share", "elementwise"): 0.8,
    ("memory_share", "batch-normalisation"): 0.7,
}


@cache
def true_target(host_us: float) -> Any:
    rates = peaks(SHEET, "amp", (), {})
    text = gpu_text("true", SHEET, dtype="amp", layout="nchw", rates=rates, bandwidth=380e9, batches=(1, 256), what="nothing")
    return resolve_target(parse_device(text.replace("host_us = 0", f"host_us = {host_us}").encode(), "true"))


def true_seconds(case: Case, *, host_us: float = 0.0) -> float:
    """What the true GPU takes for a graph, or for what a host issues kernel by kernel."""
    return float(priced([sample_of(case, 1.0, true_target(host_us), plans_memory=True)], TRUE)[0])


@cache
def cases() -> tuple[Case, ...]:
    return gpu_plan(SHEET.memory_bytes, quick=True)


def gpu_run(found: Measured) -> Run:
    """A run of torch eager on a GPU."""
    return torch_run(found, processor="gpu", dtype="amp", plans_memory=True, memory_s_per_byte=1 / 380e9)


@cache
def measured() -> LocalCalibration:
    seconds = {}
    for case in cases():
        noise = math.exp(random.Random(case.name).gauss(0, 0.02))
        seconds[case.name] = noise * true_seconds(case, host_us=HOST_US if case.role == "host" else 0.0)
    return gpu_from_measured(cases(), gpu_run(Measured(seconds)), SHEET, name="this-gpu")


def test_the_plan_has_batches_that_memory_holds() -> None:
    operators = [case for case in cases() if case.role == "operator"]
    assert {case.graph.batch for case in operators} == {1, 8, 32, 64}
    assert {case.graph.batch for case in cases() if case.role == "anchor"} == {1, 32, 256}
    small = gpu_plan(64 << 20, quick=True)
    assert {case.graph.batch for case in small if case.role == "anchor"} == {1}
    assert all(tensor_bytes(case.graph) <= 16 << 20 or case.graph.batch == 1 for case in small if case.role == "operator")
    assert len({case.name for case in cases()}) == len(cases())


def test_networks_follow_from_graphs_and_the_host(tmp_path: Path) -> None:
    found = measured()
    profile = tmp_path / "this-gpu.toml"
    profile.write_text(found.profile)
    parameters = resolve_target(found.device).machine.parameters
    assert parameters.host_us == pytest.approx(HOST_US, rel=0.1)
    assert parameters.compute_share["convolution"] == pytest.approx(TRUE["compute_share", "convolution"], rel=0.25)
    for name, batch in OTHERS:
        graph = costmodel.build(name).with_batch(batch)
        wanted = true_seconds(Case(name=name, family=name, role="anchor", graph=graph), host_us=HOST_US)
        assert costmodel.estimate(graph, device=str(profile)).latency_s == pytest.approx(wanted, rel=0.1), name


def test_a_batch_that_memory_does_not_hold_is_left_out() -> None:
    impossible = frozenset(case.name for case in cases() if case.role == "anchor" and (case.graph.batch == 256 or case.name == "resnet-18, batch 1"))
    seconds = {case.name: true_seconds(case, host_us=HOST_US if case.role == "host" else 0.0) for case in cases() if case.name not in impossible}
    missing = dict.fromkeys(impossible, "CUDA out of memory")
    found = gpu_from_measured(cases(), gpu_run(Measured(seconds, missing)), SHEET, name="this-gpu")
    assert set(found.warnings) >= {f"not measured: {name} (CUDA out of memory)" for name in impossible}
    assert resolve_target(found.device).precision.measured_batches == (1, 32)
    assert resolve_target(found.device).machine.parameters.host_us == pytest.approx(HOST_US, rel=0.1)


def test_a_network_is_left_out_with_all_its_batches() -> None:
    (found,) = measured().fits
    assert found.families == len(QUICK_ANCHORS) < len(found.anchors)
    assert f"from {len(QUICK_ANCHORS)} networks" in measured().profile
    # one network takes twice its time at two batches, and no other says so
    slow = {f"mobilenet-v2, batch {batch}" for batch in (32, 256)}
    seconds = {name: (2 if name in slow else 1) * value for name, value in measured().runs[0].measured.seconds.items()}
    target = true_target(0.0)
    errors = {entry.network: entry.left_out for entry in local_fit(cases(), seconds, target, plans_memory=True).anchors}
    alone = tuple(case for case in cases() if case.role != "anchor" or case.family != "mobilenet-v2" or case.graph.batch == 32)
    without = {entry.network: entry.left_out for entry in local_fit(alone, seconds, target, plans_memory=True).anchors}
    assert errors["mobilenet-v2, batch 32"] == pytest.approx(without["mobilenet-v2, batch 32"])


def test_every_number_says_where_it_is_from() -> None:
    found = measured().device
    kinds = {path.rpartition(".")[2]: entry.kind for path, entry in found.provenance.items()}
    v100 = costmodel.device("v100").profile.processors["gpu"].memory
    own = found.profile.processors["gpu"].memory
    ratio = v100.caches[0].bandwidth_gb_per_s / v100.bandwidth_gb_per_s
    assert own.caches[0].bandwidth_gb_per_s == pytest.approx(ratio * own.bandwidth_gb_per_s, rel=1e-3)
    assert (kinds["host_us"], kinds["interval_factor"], kinds["convolution"], kinds["capacity_gib"]) == ("measured", "fitted", "fitted", "datasheet")


def test_where_no_network_waits_the_host_takes_what_it_is_left_at_most() -> None:
    slow = {case.name: 1.0 for case in cases()}
    least, networks = host_us_of(cases(), slow, true_target(0.0))
    assert networks == 0
    assert 0 < least < 1e6


def reached(dtype: str, flops_per_s: float, **sheet: Any) -> dict[str, Peak]:
    """The peaks where a dense contraction ran at so many FLOP a second."""
    case = next(case for case in cases() if case.family == "dense")
    return peaks(dataclasses.replace(SHEET, **sheet), dtype, (case,), {case.name: 2 * case.graph.macs / flops_per_s})


def test_a_peak_is_what_was_reached_where_that_is_more() -> None:
    stated = reached("amp", 1.0)
    assert stated["fp16"] == stated["bf16"] == (2 * 512 * 40 * 1.5e9, "datasheet", "system")
    faster = reached("amp", 2 * stated["fp16"].flops_per_s)
    assert faster == stated | {"fp16": Peak(pytest.approx(2 * stated["fp16"].flops_per_s / 0.95), "measured", "reached")}


def test_convolutions_in_tf32_raise_no_other_peak() -> None:
    # an A100, whose fp16 came out as 1010 TFLOP/s
    a100 = {"capability": (8, 0), "multiprocessors": 108, "clock_hz": 1.41e9}
    found = reached("fp32", 60e12, **a100)
    assert found["fp32"] == (pytest.approx(60e12 / 0.95), "measured", "reached")
    assert found["fp16"] == (2 * 1024 * 108 * 1.41e9, "datasheet", "system")


#: (compute capability, precision measured) -> fp32 and fp16 over what was reached, from operations a cycle.
IN_PROPORTION = {
    ((8, 0), "fp32"): (1.0, 1024 / 512),  # as TF32, at half of fp16's rate
    ((8, 0), "amp"): (64 / 1024, 1.0),
    ((7, 0), "fp32"): (1.0, 512 / 64),  # no TF32
}


@pytest.mark.parametrize(("capability", "dtype"), IN_PROPORTION)
def test_where_no_clock_is_stated_the_others_are_in_proportion(capability: tuple[int, int], dtype: str) -> None:
    found = reached(dtype, 95e12, capability=capability, clock_hz=0.0)
    assert (found["fp32"].flops_per_s, found["fp16"].flops_per_s) == pytest.approx([100e12 * share for share in IN_PROPORTION[capability, dtype]])
    assert {name: peak.kind for name, peak in found.items()} == dict.fromkeys(found, "assumed") | {"fp32" if dtype == "fp32" else "fp16": "measured"}
    sheet = dataclasses.replace(SHEET, capability=capability, clock_hz=0.0)
    text = gpu_text("mine", sheet, dtype=dtype, layout="nchw", rates=found, bandwidth=380e9, batches=(1, 256), what="nothing")
    provenance = parse_device(text.encode(), "mine").provenance
    assert {name: provenance[f"processors.gpu.peak_tflop_per_s.{name}"].kind for name in found} == {name: peak.kind for name, peak in found.items()}


#: Seconds that a played GPU takes for a replayed pass, a played host to issue one, and the played GPU for whatever else is between two events.
PASS_S, ISSUED_S, ELSE_S = 1e-3, 2e-3, 1 / 1024


class PlayedCuda:
    """The calls of torch.cuda that a bench makes, on the CPU: passes that are captured, replayed and issued are counted, and tell the time."""

    def __init__(self) -> None:
        self.captured: list[int] | None = None
        self.replayed = self.issued = 0

    def perf_counter(self) -> float:
        """The host's clock."""
        return ISSUED_S * self.issued

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def get_device_properties(self, _: int) -> Any:
        return SimpleNamespace(name="played", major=8, minor=6, multi_processor_count=2, total_memory=1 << 30, L2_cache_size=1 << 20, clock_rate=1_000_000)

    def current_stream(self) -> Any:
        return self.Stream()

    def synchronize(self) -> None: ...

    def empty_cache(self) -> None: ...

    class Stream:
        def wait_stream(self, _: Any) -> None: ...

    @contextlib.contextmanager
    def stream(self, _: Any) -> Iterator[None]:
        yield

    def Event(self, *, enable_timing: bool) -> Any:  # noqa: N802 - torch's name
        assert enable_timing
        event = SimpleNamespace(at=0, synchronize=lambda: None)
        event.record = lambda: setattr(event, "at", self.replayed)
        event.elapsed_time = lambda end: 1e3 * (PASS_S * (end.at - event.at) or ELSE_S)
        return event

    def CUDAGraph(self) -> Any:  # noqa: N802 - torch's name
        graph = SimpleNamespace(passes=[0])
        graph.replay = lambda: setattr(self, "replayed", self.replayed + graph.passes[0])
        return graph

    @contextlib.contextmanager
    def graph(self, captured: Any) -> Iterator[None]:
        self.captured = captured.passes
        yield
        self.captured = None

    def ran(self) -> None:
        """A pass of the case was issued, or captured."""
        if self.captured is None:
            self.issued += 1
        else:
            self.captured[0] += 1


def at_most_64(size: Any) -> Any:
    """A side of a tensor that a bench makes for itself; shapes of a network's own come as tuples."""
    return min(size, 64) if isinstance(size, int) else size


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> TorchCuda:
    """A backend on a GPU that the CPU plays."""
    import torch

    gpu = PlayedCuda()
    for name in ("randn", "ones"):
        made = getattr(torch, name)
        monkeypatch.setattr(
            torch,
            name,
            lambda *shape, made=made, device="cpu": made(*(at_most_64(size) for size in shape)) if device == "cuda" else made(*shape, device=device),
        )
    monkeypatch.setattr(torch, "cuda", gpu)
    monkeypatch.setattr(cuda, "time", gpu)
    for name in ("random_inputs", "random_weights"):
        drawn = getattr(cuda, name)
        monkeypatch.setattr(cuda, name, lambda graph, *, seed, device, drawn=drawn: drawn(graph, seed=seed))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    backend = TorchCuda("amp", "nhwc")
    run = backend._pass

    def issued(_: TorchCuda, *arguments: Any) -> Any:
        gpu.ran()
        return run(*arguments) if gpu.issued <= 3 else None  # the first passes run, others are counted alone

    monkeypatch.setattr(TorchCuda, "_pass", issued)
    return backend


def test_a_case_is_timed_as_a_graph_and_as_it_is_issued(played: TorchCuda) -> None:
    assert sheet_of(played.properties).clock_hz == 1e9
    bench = CudaBench(played, seconds_a_case=0.01)
    graph = costmodel.build("mobilenet-v3-small@32")
    anchor, host = (bench.time(Case(name=role, family="one", role=role, graph=graph)) for role in ("anchor", "host"))
    assert (anchor.seconds, host.seconds) == pytest.approx((PASS_S, ISSUED_S))
    assert (anchor.repeats, host.repeats) == (100, 7)  # no pass is issued while graphs are replayed, and ten are at every repeat on the host
    assert (anchor.fault, anchor.spread, host.fault) == ("", pytest.approx(0), "")
    assert bench.memory_bytes_per_s() == pytest.approx(2 * 4 * 64 / ELSE_S)


def test_a_run_on_a_gpu_has_no_calls_and_says_its_precision(played: TorchCuda, tmp_path: Path) -> None:
    small = next(case for case in cases() if case.family == "add")
    found = run_of(played, lambda: CudaBench(played, seconds_a_case=0.01), (small,), tmp_path / "journal")
    assert (found.processor, found.dtype, found.layout, found.entry_s) == ("gpu", "amp", "nhwc", 0.0)
    assert found.memory_s_per_byte == pytest.approx(ELSE_S / (2 * 4 * 64))
    first = json.loads((tmp_path / "journal").read_text().splitlines()[0])
    assert {"processor": "played", "dtype": "amp", "layout": "nhwc"}.items() <= first.items()
    assert "threads" not in first


def test_what_cannot_be_captured_says_why(played: TorchCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    bench = CudaBench(played, seconds_a_case=0.01)
    monkeypatch.setattr(TorchCuda, "_pass", refuse)
    timed = bench.time(next(case for case in cases() if case.family == "add"))
    assert timed.lasting
    assert timed.fault == "CUDA error: operation not permitted when stream is capturing"


def test_precisions_and_layouts_that_there_are_not_are_refused() -> None:
    with pytest.raises(UsageError, match="not in int8 and nchw"):
        TorchCuda("int8", "nchw")


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no NVIDIA GPU"):
        costmodel.calibrate_this_gpu()
