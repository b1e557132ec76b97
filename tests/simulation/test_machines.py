"""The machines: equal to the estimate where nothing overlaps, and what each does beyond."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.devices import Target, resolve_target
from costmodel.errors import CostModelError, UsageError
from costmodel.graph import Graph
from costmodel.kernel import Buffer, Kernel, Program, Weights
from costmodel.laws import launch_makespan, price_in_picoseconds
from costmodel.laws.systolic_array import cache_bytes
from costmodel.lowering import lower
from costmodel.memory import memory_need
from costmodel.quantity import picoseconds
from costmodel.simulation import Settings, Timeline, simulate
from costmodel.simulation._edgetpu import PIECE_BYTES
from costmodel.simulation._trace import trace_text
from costmodel.tensor import DType
from costmodel.work import Work, WorkKind

#: Fifty networks of all families, small inputs where a family has large ones.
NETWORKS = (
    *("lenet-5", "alexnet", "vgg-11", "vgg-16", "googlenet", "googlenet-bn", "inception-v3", "inception-v4", "resnet-18", "resnet-50", "resnet-50-v1"),
    *("preresnet-18", "se-resnet-50", "resnext-50-32x4d", "densenet-121", "xception", "squeezenet-1.0", "squeezenet-1.1", "mobilenet-v1", "mobilenet-v1-0.5"),
    *("mobilenet-v2", "mobilenet-v2-1.4", "mobilenet-v3-large", "mobilenet-v3-small", "mobilenet-v3-large-minimalistic", "mnasnet-a1", "mnasnet-b1"),
    *("mnasnet-small", "efficientnet-b0", "efficientnet-lite0", "efficientnet-edgetpu-s", "efficientnetv2-b0", "shufflenet-v1-1.0-g3", "shufflenet-v2-1.0"),
    *("espnetv2-1.0", "enet", "erfnet", "segnet", "proxylessnas-cpu", "fbnet-c", "ghostnet", "regnet-x-200mf", "regnet-y-400mf", "nasnet-a-mobile"),
    *("vit-b-32", "deit-ti", "swin-t", "convnext-t", "mobilevit-xxs", "ssdlite-mobilenet-v2"),
)


@functools.cache
def graph_of(network: str) -> Graph:
    return costmodel.build(network)


@functools.cache
def targets() -> tuple[Target, ...]:
    """The default target of every processor of every profile."""
    devices = [costmodel.device(name) for name in costmodel.device_names()]
    return tuple(resolve_target(device, processor=processor) for device in devices for processor in device.profile.processors)


def run(network: str, device: str, batch: int = 1, **chosen: object) -> Timeline:
    options = {name: chosen.pop(name) for name in ("processor", "runtime", "dtype", "threads", "cores") if name in chosen}
    target = costmodel.target(device, **options)
    return simulate(lower(graph_of(network).with_batch(batch), target.rules, target.dtype, target.layout), target, Settings(**chosen))  # type: ignore[arg-type]  # as named


@pytest.mark.parametrize("network", NETWORKS)
def test_without_overlap_the_makespan_is_the_estimate_on_every_profile(network: str) -> None:
    graph, programs = graph_of(network), dict[tuple[str, str, str], Program]()
    for target in targets():
        key = (target.rules.name, target.dtype, target.layout)
        program = programs.get(key) or programs.setdefault(key, lower(graph, target.rules, target.dtype, target.layout))
        timeline = simulate(program, target, Settings(overlap=False, policy="spill"))
        estimated = price_in_picoseconds(target.law, program, target.machine)
        stalled = sum(span.stall_ps for span in timeline.spans)
        assert timeline.makespan_ps - stalled == picoseconds(estimated.latency_s) == timeline.estimate_ps, target.device.name
        assert timeline.illustrative == ("memory_policy_bytes" in timeline.facts) == (stalled > 0)
        need = memory_need(program, capacity_gib=target.hardware.memory.capacity_gib, holds_file=target.memory_holds_file)
        assert bool(timeline.outside) == (need.fits is False)
        assert need.fits is False or (stalled, timeline.peak_memory_bytes) == (0, need.held_bytes)


@pytest.mark.parametrize(("network", "device"), [("googlenet", "i9-10940x"), ("mobilenet-v2", "pixel4"), ("resnet-50", "v100"), ("vit-b-16", "coral-usb")])
def test_the_report_of_an_estimate_is_repeated(network: str, device: str) -> None:
    report = costmodel.estimate(network, device=device)
    timeline = costmodel.simulate(network, device=device, overlap=False)
    assert timeline.makespan_s == timeline.estimate_s == report.latency_s
    assert timeline.energy_j == pytest.approx(report.energy_j)
    assert timeline.samples_per_s == pytest.approx(report.samples_per_s)
    assert timeline.warnings == report.warnings
    combined = report.target.law.combination(report.target.machine)
    if combined is not None and not combined.launch_s:
        assert timeline.bound_shares == pytest.approx(report.bound_shares, abs=1e-9)
        assert (timeline.critical_path_ps < timeline.makespan_ps) == (network == "googlenet")  # the others are chains of kernels
    assert sum(timeline.bound_shares.values()) == pytest.approx(1)
    assert sum(timeline.time_shares.values()) == pytest.approx(1)


def test_shares_are_of_whole_kernels_as_the_estimates_or_of_what_is_drawn() -> None:
    timeline = costmodel.simulate("resnet-18", device="i9-10940x", overlap=False)
    bounds, times = timeline.bound_shares, timeline.time_shares
    apart_ps = sum(span.end_ps - span.start_ps for span in timeline.spans if span.phase in ("dispatch", "barrier"))
    bound_ps = sum(kernel.busy_ps for kernel in timeline.kernels if kernel.bound == "overhead")
    terms_ps = sum(span.end_ps - span.start_ps for span in timeline.spans if span.kernel < 0)
    assert bounds["overhead"] == pytest.approx((bound_ps + terms_ps) / timeline.makespan_ps)
    inside_ps = sum(
        span.end_ps - span.start_ps
        for span in timeline.spans
        if span.phase == "compute" and span.kernel >= 0 and timeline.kernels[span.kernel].bound == "overhead"
    )
    assert times["overhead"] == pytest.approx((apart_ps + terms_ps + inside_ps) / timeline.makespan_ps)
    assert times["overhead"] > bounds["overhead"]
    assert times["transfer"] == 0


def test_branches_run_beside_each_other_on_a_cpu() -> None:
    alone = run("googlenet", "i9-10940x")
    assert alone.makespan_ps == alone.estimate_ps
    two, four = (run("googlenet", "i9-10940x", parallel=count) for count in (2, 4))
    assert four.critical_path_ps <= four.makespan_ps < two.makespan_ps < alone.makespan_ps
    assert two.illustrative
    assert {span.slot for span in four.spans} == {0, 1, 2, 3}
    apart = run("googlenet", "i9-10940x", parallel=2, own_cores=True)
    assert apart.makespan_ps > two.makespan_ps, "what runs alone has half of the cores"
    half = run("googlenet", "i9-10940x", threads=7)
    assert apart.critical_path_ps < apart.makespan_ps < half.makespan_ps
    chain = run("vgg-11", "i9-10940x", parallel=2)
    assert chain.makespan_ps == run("vgg-11", "i9-10940x").makespan_ps, "a chain has no branches"


def test_one_stream_is_the_launch_recursion_and_a_graph_is_one_launch() -> None:
    timeline = run("mobilenet-v2", "v100")
    target = timeline.target
    combined = target.law.combination(target.machine)
    assert combined is not None
    launch_ps = picoseconds(combined.launch_s)
    times = [kernel.estimate_ps for kernel in timeline.kernels]
    floor_ps = picoseconds(target.machine.parameters.floor_us * 1e-6)
    assert timeline.makespan_ps == launch_makespan(times, launch_ps) + floor_ps
    assert timeline.makespan_ps == len(times) * launch_ps + times[-1] + floor_ps, "at batch 1 the host decides: kernels times the cost of a launch"
    graph = run("mobilenet-v2", "v100", cuda_graph=True)
    assert graph.makespan_ps == launch_ps + sum(times) + floor_ps
    assert graph.illustrative


def test_an_engine_that_is_one_graph_already_has_no_launches() -> None:
    plain, graph = (run("resnet-18", "a100", runtime="tensorrt", dtype="fp16", cuda_graph=cuda_graph) for cuda_graph in (False, True))
    assert not any(span.phase == "launch" for span in plain.spans)
    assert graph.makespan_ps == plain.makespan_ps == plain.estimate_ps
    for timeline in (plain, graph):
        assert [mechanism.name for mechanism in timeline.mechanisms] == []
        assert not timeline.illustrative


def test_a_graph_and_a_short_queue_differ_from_the_estimate_also_without_overlap() -> None:
    plain, graph, short = (run("mobilenet-v2", "v100", overlap=False, **chosen) for chosen in ({}, {"cuda_graph": True}, {"queue_depth": 1}))
    assert plain.makespan_ps == plain.estimate_ps
    assert graph.makespan_ps < plain.makespan_ps < short.makespan_ps


def test_the_device_takes_over_from_the_host_smoothly_as_batches_grow() -> None:
    times = [run("resnet-18", "v100", batch=batch) for batch in (1, 2, 4, 8, 16, 32, 64, 128)]
    assert all(first.makespan_ps <= second.makespan_ps for first, second in itertools.pairwise(times))
    busy = [timeline.busy["stream"] for timeline in times]
    assert all(first <= second + 1e-9 for first, second in itertools.pairwise(busy))
    assert busy[0] < 0.5 < 0.95 < busy[-1]


def test_a_queue_of_one_launch_makes_the_host_wait() -> None:
    free, tight = (run("resnet-18", "v100", batch=32, queue_depth=depth) for depth in (1024, 1))
    launches = [span for span in tight.spans if span.phase == "launch"]
    kernels = [span for span in tight.spans if span.phase == "compute"]
    assert all(launch.start_ps >= kernel.end_ps for launch, kernel in zip(launches[1:], kernels, strict=False))
    assert tight.makespan_ps > free.makespan_ps


def test_streams_share_a_gpu() -> None:
    one, four = (run("googlenet", "v100", parallel=count, cuda_graph=True) for count in (1, 4))
    assert four.critical_path_ps <= four.makespan_ps < one.makespan_ps
    assert all(track.peak <= track.limit * (1 + 1e-5) for track in four.links if track.limit is not None)


def test_copies_overlap_between_inferences() -> None:
    serial, flowing = (run("resnet-18", "v100", copies=True, inferences=4, in_flight=count) for count in (1, 2))
    assert flowing.makespan_ps < serial.makespan_ps
    assert [span.name for span in serial.spans if span.phase == "copy"] == ["input", "output"] * 4


def test_the_edge_tpu_keeps_or_streams_parameters() -> None:
    small, large = run("mobilenet-v2", "coral-usb"), run("resnet-50", "coral-usb")
    assert small.facts["streamed_bytes"] == 0
    assert small.makespan_ps == small.estimate_ps, "nothing streams, so nothing overlaps"
    assert large.facts["streamed_bytes"] > large.facts["cached_bytes"] > 0
    to_device = next(track for track in large.links if track.name == "to device")
    inputs = 3 * 224 * 224
    assert to_device.total == pytest.approx(large.facts["streamed_bytes"] + inputs, rel=1e-5)
    firsts = [span for span in large.spans if span.phase == "stream"]
    assert all(span.end_ps - span.start_ps <= picoseconds(PIECE_BYTES / large.facts["link_bytes_per_s"]) + 1 for span in firsts)
    assert 0.9 < large.makespan_ps / large.estimate_ps < 1.1


def test_a_slow_link_co_compilation_and_inferences_in_flight() -> None:
    alone = run("mobilenet-v2", "coral-usb")
    slow = run("mobilenet-v2", "coral-usb", link_bytes_per_s=40e6)
    moved = 3 * 224 * 224 + 1001
    assert slow.makespan_ps - alone.makespan_ps == pytest.approx(moved * (1e12 / 40e6 - 1e12 / alone.facts["link_bytes_per_s"]), rel=2e-3)
    target = alone.target
    other = lower(graph_of("resnet-18"), target.rules, target.dtype, target.layout)
    beside = run("mobilenet-v2", "coral-usb", co_compiled=(other,))
    assert beside.facts["cached_bytes"] == 0
    assert beside.makespan_ps > alone.makespan_ps
    flowing = run("mobilenet-v2", "coral-usb", inferences=6, in_flight=2)
    assert flowing.makespan_ps < flowing.estimate_ps
    slowest = max(flowing.busy, key=flowing.busy.__getitem__)
    assert (slowest, flowing.busy[slowest] > 0.8) == ("array", True), "the bottleneck is nearly always busy"
    quantised = run("mobilenet-v2", "coral-usb", quantise=True)
    assert quantised.makespan_ps > alone.makespan_ps
    assert {"quantise", "dequantise"} <= {span.phase for span in quantised.spans}


def test_what_the_compiler_leaves_to_the_cpu_crosses_the_link() -> None:
    timeline = run("vit-b-16", "coral-usb")
    host = next(number for number, engine in enumerate(timeline.engines) if engine.name == "host cpu")
    assert any(span.engine == host and span.kernel >= 0 for span in timeline.spans)
    assert timeline.makespan_ps == pytest.approx(timeline.estimate_ps, rel=1e-3)


# The parameter cache as parameters grow: invariants 6 and 7.


def layers(weights: list[int]) -> Program:
    """Linear layers of equal work whose parameters take so many bytes."""
    work = Work(kind=WorkKind.LINEAR, m=1, n=64, k=64, parameters=4096, elements_read=64, elements_written=64)
    kernels = tuple(
        Kernel(f"l{number}", (f"l{number}",), WorkKind.LINEAR, (work,), DType.INT8, 64, 64, nbytes, (number,), (number + 1,))
        for number, nbytes in enumerate(weights)
    )
    buffers = tuple(Buffer(f"b{number}", 64, number - 1, number) for number in range(len(weights) + 1))
    return Program(
        name="layers",
        rule_set="edgetpu",
        dtype=DType.INT8,
        batch=1,
        kernels=kernels,
        buffers=buffers,
        input_bytes=64,
        output_bytes=64,
        stored_weight_bytes=sum(weights),
        weights=tuple(Weights(f"l{number}", nbytes, 0, ((number, nbytes),)) for number, nbytes in enumerate(weights)),
    )


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(0, 3 * 2**20), min_size=1, max_size=6), st.integers(0, 5), st.integers(1, 2**18))
def test_the_cliff_of_the_parameter_cache(weights: list[int], grown: int, more: int) -> None:
    coral = costmodel.target("coral-usb")
    grown %= len(weights)
    larger = [nbytes + more * (number == grown) for number, nbytes in enumerate(weights)]
    first, second = (simulate(layers(found), coral) for found in (weights, larger))
    capacity = int(cache_bytes(layers(weights), coral.machine.parameters))
    streamed_more = max(0, sum(larger) - capacity) - max(0, sum(weights) - capacity)
    # some picoseconds for each piece, and the parts of a layer's compute that another cut puts on the other side of a wait
    slack = sum(kernel.estimate_ps for kernel in first.kernels if not kernel.traffic_bytes) + 10**6 + 4 * len(first.spans)
    difference = second.makespan_ps - first.makespan_ps
    assert -slack <= difference <= streamed_more / first.facts["link_bytes_per_s"] * 1e12 + slack
    if sum(larger) <= capacity:
        assert difference == 0
    endless = simulate(layers(larger), coral, Settings(link_bytes_per_s=1e18))
    cached = simulate(layers([0] * len(weights)), coral, Settings(link_bytes_per_s=1e18))
    assert abs(endless.makespan_ps - cached.makespan_ps) <= 2 * len(endless.spans), "an infinitely fast link knows no cliff"


def test_an_operator_of_no_size_costs_its_dispatch() -> None:
    desktop = costmodel.target("i9-10940x")
    empty = Work(kind=WorkKind.ELEMENTWISE, m=0, n=0, k=0)
    program = dataclasses.replace(layers([0]), dtype=DType.FP32)
    kernel = program.kernels[0]._replace(kind=WorkKind.ELEMENTWISE, works=(empty,), read_bytes=0, write_bytes=0, dtype=DType.FP32)
    timeline = simulate(dataclasses.replace(program, kernels=(kernel,)), desktop)
    cost = price_in_picoseconds(desktop.law, dataclasses.replace(program, kernels=(kernel,)), desktop.machine)
    assert cost.kernels[0].latency_s == pytest.approx(cost.kernels[0].overhead_s)
    assert timeline.makespan_ps == picoseconds(cost.kernels[0].overhead_s) + sum(map(picoseconds, cost.terms.values()))


# Traces and refusals.


@pytest.mark.parametrize(
    ("network", "device", "chosen"),
    [
        ("googlenet", "i9-10940x", {"parallel": 3}),
        ("mobilenet-v2", "coral-usb", {"inferences": 2, "in_flight": 2}),
        ("squeezenet-1.0", "v100", {"parallel": 2, "copies": True}),
    ],
)
def test_a_trace_is_sound_and_the_same_each_time(network: str, device: str, chosen: dict[str, object]) -> None:
    timeline = run(network, device, **chosen)
    text = trace_text(timeline)
    assert text == trace_text(run(network, device, **chosen))
    document = json.loads(text)
    events = document["traceEvents"]
    assert document["displayTimeUnit"] == "ms"
    threads = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert len(threads) == len(set(threads.values())) == sum(engine.slots for engine in timeline.engines)
    spans: dict[int, list[tuple[float, float]]] = {}
    for event in events:
        assert {"ph", "pid", "name"} <= set(event)
        if event["ph"] == "X":
            assert event["dur"] >= 0 <= event["ts"]
            assert set(event["args"]) >= {"phase", "inference"}
            spans.setdefault(event["tid"], []).append((event["ts"], event["ts"] + event["dur"]))
    assert set(spans) <= set(threads)
    assert max(end for rows in spans.values() for _, end in rows) == pytest.approx(timeline.makespan_s * 1e6)
    for rows in spans.values():
        rows.sort()
        assert all(first[1] <= second[0] + 1e-6 for first, second in itertools.pairwise(rows)), "steps of a track follow each other"
    starts = {event["id"]: event["ts"] for event in events if event["ph"] == "s"}
    ends = {event["id"]: event["ts"] for event in events if event["ph"] == "f"}
    assert set(starts) == set(ends)
    assert all(starts[number] <= ends[number] for number in starts)
    assert {"memory held", "traffic of kernels"} <= {event["name"] for event in events if event["ph"] == "C"}


def test_memory_policies_on_a_whole_network() -> None:
    with pytest.raises(CostModelError, match=r"memory of 16.0 GiB would have to hold .* too much.*spill.*evict"):
        run("vgg-16", "v100", batch=4000)
    spilled, evicted = (run("vgg-16", "v100", batch=4000, policy=policy) for policy in ("spill", "evict"))
    for timeline in (spilled, evicted):
        assert timeline.makespan_ps > timeline.estimate_ps
        assert timeline.peak_memory_bytes <= 16 * 2**30
        assert timeline.facts["memory_policy_bytes"] > 0
        assert timeline.illustrative
        (policy,) = (made for made in timeline.mechanisms if made.name == "memory policy")
        assert "over the bus to the host at 12.0 GB/s: assumed" in policy.what


def test_what_is_spilled_is_written_once_and_read_by_whoever_reads_it() -> None:
    timeline = run("vgg-16", "pixel4", batch=300, policy="spill")
    outside = timeline.outside["activations"]
    assert outside == 300 * 64 * 224 * 224 * 4  # one image of the first block, at the end of which the next finds room
    assert timeline.facts["memory_policy_bytes"] == outside + outside  # 1 write + 1 read, whatever the phases of a kernel


def test_each_kernel_waits_for_its_own_weights() -> None:
    target = costmodel.target("raspberry-pi-zero-2w")
    program = lower(graph_of("vgg-16"), target.rules, target.dtype, target.layout)
    timeline = simulate(program, target, Settings(policy="spill"))
    stalls = {span.name: span.stall_ps for span in timeline.spans if span.stall_ps}
    nbytes = {kernel.name: kernel.weight_bytes for kernel in program.kernels}
    assert stalls == {"head.hidden1": round(nbytes["head.hidden1"] * 1e12 / 1.16e9)}  # the others, up to 392 MiB, fit in 512 MiB
    assert timeline.outside["weights"] == timeline.facts["memory_policy_bytes"] == nbytes["head.hidden1"]
    assert timeline.outside["model file"] == program.stored_weight_bytes
    facts = timeline.to_dict()["facts"]
    assert {name: facts[name] for name in facts if "outside" in name} == {
        "weights_outside_bytes": timeline.outside["weights"],
        "model_file_outside_bytes": timeline.outside["model file"],
    }
    (waiting,) = (span for span in timeline.spans if span.stall_ps)
    assert [(piece.kind, piece.end_ps - piece.start_ps) for piece in timeline.pieces(waiting)] == [
        ("transfer", waiting.stall_ps),
        ("overhead", waiting.end_ps - waiting.start_ps - waiting.stall_ps),
    ]
    ignored = simulate(program, target, Settings(policy="ignore"))
    need = memory_need(program, capacity_gib=0.5, holds_file=True)
    assert ignored.facts["memory_missing_bytes"] == need.missing_bytes == need.peak_activation_bytes + 2 * need.weight_bytes - 2**29
    assert (ignored.makespan_ps, ignored.illustrative) == (ignored.estimate_ps, False)


@pytest.mark.parametrize(
    ("device", "chosen", "message"),
    [
        ("pixel4", {"policy": "spil"}, "unknown memory policy 'spil'; did you mean spill"),
        ("pixel4", {"parallel": 0}, "the parallel must be at least 1"),
        ("pixel4", {"parallel": 2}, "1 cores in use: 2 operators at once"),
        ("coral-usb", {"parallel": 2}, "one kernel after the other"),
        ("pixel4", {"cuda_graph": True}, "cuda graph is of a machine of kind gpu, and this is of kind cpu"),
        ("pixel4", {"quantise": True}, "quantise is of a machine of kind edgetpu"),
        ("coral-usb", {"quantise": True, "overlap": False}, "not part of the estimate"),
        ("pixel4", {"own_cores": True}, "own cores are those of several operators at once"),
        ("v100", {"overlap": False, "parallel": 2}, "without overlap nothing runs at once"),
        *(
            ("coral-usb", {"link_bytes_per_s": rate}, r"a link of \S+ B/s is none: give it a bandwidth of 1 to 1e\+18 B/s")
            for rate in (0.0, 1e-314, float("inf"))
        ),
        ("pixel4", {"link_bytes_per_s": 1e6}, "no link here"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(device: str, chosen: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run("lenet-5", device, **chosen)
