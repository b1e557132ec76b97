"""The profile of this machine before the fit: hardware as the system states it and as it was seen to reach, constants of the law as priors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmodel.calibration.local.backends import TORCH_EAGER
from costmodel.calibration.local.plan import Case
from costmodel.calibration.local.profile import BEST_SHARE, head, precision, precision_table, short
from costmodel.calibration.profile_text import literal, tables
from costmodel.devices import device
from costmodel.devices._machine import KIB

#: Classes of cases that move memory and do next to nothing else.
_STREAMS = frozenset({"add", "rectifier", "hard", "gate"})

#: Priors of the law under torch eager on a CPU, `priors_of` says what differs elsewhere: medians of log-normals that measurements
#: move by several times where they say so.
PRIORS: Mapping[str, Any] = {
    "overlap": 2,
    "kernel_us": 6,
    "cold_us": 0,
    "cold_mib": 0.5,
    "thread_us": 3,
    "k_half": 8,
    "n_half": 8,
    "m_half": 12,
    "window_m_half": 12,
    "row_share": 0.2,
    "grouped_k_half": 4,
    "grouped_n_half": 4,
    "depthwise_exponent": 0.5,
    "strided_factor": 0.7,
    "window_factor": 1.0,
    "aligned_to": 16,
    "misaligned_factor": 0.8,
    "weight_share": 0.6,
    "repack_share": 0.6,
    "spilled_weight_share": 0.6,
    "transcendental_share": 0.1,
    "error_function_share": 0.05,
    "compute_share": {
        "convolution": 0.7,
        "pointwise-convolution": 0.7,
        "depthwise-convolution": 0.2,
        "grouped-convolution": 0.5,
        "linear": 0.6,
        "matmul": 0.5,
        "attention": 0.4,
        "pooling": 0.01,
        "pooling-max": 0.005,
        "default": 0.1,
    },
    "memory_share": {
        "convolution": 0.5,
        "pointwise-convolution": 0.5,
        "depthwise-convolution": 0.4,
        "grouped-convolution": 0.4,
        "linear": 0.5,
        "matmul": 0.5,
        "attention": 0.5,
        "batch-normalisation": 0.7,
        "normalisation": 0.5,
        "softmax": 0.5,
        "pooling": 0.5,
        "pooling-max": 0.2,
        "reduction": 0.7,
        "elementwise": 0.8,
        "copy": 0.5,
        "concat": 0.5,
        "pad": 0.5,
        "default": 0.5,
    },
    "kind_us": {
        "convolution": 8,
        "pointwise-convolution": 5,
        "depthwise-convolution": 20,
        "grouped-convolution": 20,
        "linear": 2,
        "matmul": 3,
        "attention": 15,
        "batch-normalisation": 4,
        "normalisation": 3,
        "softmax": 3,
        "pooling": 4,
        "reduction": 3,
        "copy": 3,
        "concat": 2,
        "pad": 3,
    },
}
#: Kinds of work that the plan measures.
MEASURED_KINDS = (
    *("convolution", "pointwise-convolution", "depthwise-convolution", "grouped-convolution", "linear", "matmul", "attention", "elementwise", "exp"),
    *("erf", "batch-normalisation", "normalisation", "softmax", "pooling", "reduction", "copy", "concat", "pad"),
)
#: What an operator costs a runtime that plans its buffers beforehand, of what it costs torch eager.
_LEAN = 0.25
#: What a runtime has no depthwise kernels for. XNNPACK: src/configs/dwconv-config.c has those of 3, 4, 9 and 25 taps. ONNX Runtime's blocked layout takes
#: channels by fours (onnxruntime/core/optimizer/nchwc_transformer.cc); others are products of matrices, one a channel.
_FALLBACKS: Mapping[str, Mapping[str, Any]] = {
    "tflite-xnnpack": {"depthwise_taps": 25, "fallback_factor": 0.2},
    "onnxruntime": {"depthwise_aligned_to": 4, "fallback_factor": 0.2},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the measured threads were seen to reach: FLOP a second in a contraction, bytes a second from the last cache, and from memory."""

    flops_per_s: float
    cache_bytes_per_s: float
    memory_bytes_per_s: float


def seen(cases: Sequence[Case], measured: Iterable[Mapping[str, float]], memory_bytes_per_s: float) -> Seen:
    """The fastest contraction and the fastest stream of a plan under any runtime; a stream's time is what it takes beyond the quickest case of all."""
    flops, streams = [], []
    for seconds in measured:
        overhead = min(seconds.values())
        flops += [2 * case.graph.macs / seconds[case.name] for case in cases if case.name in seconds and case.graph.macs]
        for case in cases:
            if case.family in _STREAMS and seconds.get(case.name, 0) > 3 * overhead:
                node = case.graph.nodes[-1]
                nbytes = 4 * sum(spec.numel for spec in (*node.inputs, *node.outputs))
                streams.append(nbytes / (seconds[case.name] - overhead))
    return Seen(flops_per_s=max(flops), cache_bytes_per_s=max(streams), memory_bytes_per_s=memory_bytes_per_s)


def hardware_text(name: str, reached: Seen, *, threads: int, layouts: Mapping[str, str], what: str) -> str:
    """The profile's text with priors for the law; `layouts` has that of each runtime, `what` says what was measured, for its sources."""
    local = device("this-machine")
    unit = local.profile.processors["cpu"]
    cluster = unit.clusters[0]
    flops_per_cycle = cluster.flops_per_cycle["fp32"]
    needed_ghz = reached.flops_per_s / BEST_SHARE / threads / flops_per_cycle / 1e9
    clock = {"value": round(max(cluster.clock_ghz, needed_ghz), 3), "kind": "measured" if needed_ghz > cluster.clock_ghz else "datasheet", "source": "system"}
    if needed_ghz > cluster.clock_ghz:
        clock["source"] = "reached"
    memory: dict[str, Any] = {"bandwidth_gb_per_s": {"value": short(reached.memory_bytes_per_s / 1e9), "kind": "measured", "source": "reached"}}
    if unit.memory.capacity_gib is not None:
        memory["capacity_gib"] = {"value": round(unit.memory.capacity_gib, 2), "kind": "datasheet", "source": "system"}
    near = short(reached.cache_bytes_per_s / 1e9 / threads)
    lines = head(
        name,
        chip=local.profile.chip,
        category="server-cpu",
        processor="cpu",
        year=local.profile.year,
        what=what,
        system="stated by the system (/proc/cpuinfo, /proc/meminfo, /sys/devices/system/cpu)",
        prior="assumed: medians before any measurement, of the order that operators take on an AVX-512 server",
    )
    processor = {"type": "cpu", "default_runtime": next(iter(layouts)), "default_dtype": "fp32", "default_cores": f"large={threads}"}
    lines += tables(processor, ("processors", "cpu"))
    lines += ["", "[[processors.cpu.clusters]]", *_flat({"name": "large", "core": cluster.core, "cores": cluster.cores, "clock_ghz": clock})]
    lines += _flat({"flops_per_cycle": {"fp32": flops_per_cycle}, "kind": "datasheet", "source": "system"})
    lines += tables(memory, ("processors", "cpu", "memory"))
    for cache in _last_cache(unit, threads, near):
        lines += ["", "[[processors.cpu.memory.caches]]", *_flat(cache)]
    for runtime, layout in layouts.items():
        lines += _runtime(runtime, layout, threads, near)
    return "\n".join(lines) + "\n"


def priors_of(runtime: str) -> dict[str, Any]:
    """Constants before any measurement: runtimes other than torch spend little between operators, and theirs but TFLite's own kernels pack weights once."""
    found = dict(PRIORS)
    if runtime != TORCH_EAGER:
        found["kernel_us"] = _LEAN * found["kernel_us"]
        found["kind_us"] = {kind: _LEAN * value for kind, value in found["kind_us"].items()}
        del found["cold_us"], found["cold_mib"]
        if runtime != "tflite":
            del found["repack_share"]
        found |= _FALLBACKS.get(runtime, {})
    return found


def _runtime(runtime: str, layout: str, threads: int, near_gb_per_s: float) -> list[str]:
    """The lines of a runtime, with priors."""
    lines = tables({"lowering": runtime, "law": "roofline", "layouts": [layout]}, ("processors", "cpu", "runtimes", runtime))
    parameters = {**priors_of(runtime), "cache_gb_per_s": {"value": near_gb_per_s, "kind": "measured", "source": "reached"}}
    measured = {"measured_kinds": list(MEASURED_KINDS), "measured_cores": [f"large={threads}"], "measured_batches": [1, 1]}
    return lines + precision(precision_table("cpu", runtime, "fp32"), layout, parameters, **measured)


def _flat(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {literal(value)}" for key, value in values.items()]


def _last_cache(unit: Any, threads: int, near_gb_per_s: float) -> list[dict[str, Any]]:
    """The largest cache that the system states; what of a kernel it holds moves no faster than the first-level cache of the cores allows."""
    largest = max((_kib(path) for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")), default=0)
    if not largest:
        return []
    return [
        {
            "name": "last level",
            "capacity_kib": {"value": largest, "kind": "datasheet", "source": "system"},
            "bandwidth_gb_per_s": {"value": short(4 * near_gb_per_s * threads), "kind": "assumed", "source": "prior"},
        }
    ]


def _kib(path: Path) -> int:
    try:
        found = re.fullmatch(r"(\d+)([KM])\s*", path.read_text())
    except OSError:
        return 0
    return int(found[1]) * (KIB if found[2] == "M" else 1) if found else 0
