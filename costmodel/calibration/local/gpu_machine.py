"""The profile of this machine's GPU before the fit: hardware as the driver states it and as it was seen to reach, constants of a sibling as priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from costmodel.calibration.local.backends import TORCH_EAGER
from costmodel.calibration.local.plan import Case
from costmodel.calibration.local.profile import BEST_SHARE, head, precision, precision_table, short
from costmodel.calibration.profile_text import tables
from costmodel.devices import device, resolve_target
from costmodel.devices._machine import KIB, PEAK_OF

#: Profile whose constants are the priors: timm's rows fitted them.
SIBLING = "rtx3090"
#: Multiply-accumulates a cycle and multiprocessor by compute capability: (in fp32, in fp16 on tensor cores, dense). CUDA C++ Programming Guide, table of
#: arithmetic throughput (fp32); NVIDIA's architecture white papers (V100, Turing, A100, GA102, Ada, H100, Blackwell) for tensor cores. GeForce parts
#: reach half of the latter where they accumulate in fp32, which the fitted shares then say.
_MACS_PER_CYCLE: Mapping[tuple[int, int], tuple[int, int]] = {
    (6, 0): (64, 128),
    (6, 1): (128, 128),
    (7, 0): (64, 512),
    (7, 5): (64, 512),
    (8, 0): (64, 1024),
    (8, 6): (128, 512),
    (8, 9): (128, 512),
    (9, 0): (128, 2048),
    (10, 0): (128, 4096),
    (12, 0): (128, 512),
}
#: Of a part that is newer than the table: the last consumer parts'.
_OTHER = (128, 512)
#: From this compute capability on tensor cores take fp32 as TF32, at half the rate of fp16 at most (the white papers of A100, GA102, H100 and Ada); torch lets
#: cuDNN's convolutions do so unasked (torch.backends.cudnn.allow_tf32).
_TF32_SINCE = (8, 0)
#: Profile whose L2, over the memory's bandwidth, stands for what no driver states: its L2 was measured.
_CACHE_LIKE = "v100"
#: Of a kernel in a CUDA graph, from one's end to the next one's: assumed.
_KERNEL_US = 2.0
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What the driver states of a GPU; clocks are 0 where it states none."""

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    clock_hz: float
    memory_bytes: int
    memory_bytes_per_s: float
    cache_bytes: int


def sheet_of(properties: Any) -> Sheet:
    """From ``torch.cuda.get_device_properties``; memory transfers twice a cycle of the stated clock."""
    clock_khz, memory_khz, bits = (getattr(properties, name, 0) for name in ("clock_rate", "memory_clock_rate", "memory_bus_width"))
    return Sheet(
        name=properties.name,
        capability=(properties.major, properties.minor),
        multiprocessors=properties.multi_processor_count,
        clock_hz=clock_khz * 1e3,
        memory_bytes=properties.total_memory,
        memory_bytes_per_s=2 * memory_khz * 1e3 * bits / 8,
        cache_bytes=properties.L2_cache_size,
    )


class Peak(NamedTuple):
    """FLOP a second in a precision, and where they are from in a profile's terms."""

    flops_per_s: float
    kind: str
    source: str


def peaks(sheet: Sheet, dtype: str, cases: Sequence[Case], seconds: Mapping[str, float]) -> dict[str, Peak]:
    """The peak of every precision: as the clock states, and where the fastest contraction measured in `dtype` says more, that for its own precision.

    What it says of one is none of the others' business: convolutions in fp32 may run as TF32. Only where no clock is stated are the others in proportion to it.
    """
    single, tensor = _MACS_PER_CYCLE.get(sheet.capability, _OTHER)
    macs = {"fp32": single, "fp16": tensor, "bf16": tensor}
    own = PEAK_OF.get(dtype, dtype)
    reached = max((2 * case.graph.macs / seconds[case.name] for case in cases if case.name in seconds), default=0.0) / BEST_SHARE
    found = {name: Peak(2.0 * each * sheet.multiprocessors * sheet.clock_hz, "datasheet", "system") for name, each in macs.items()}
    if not sheet.clock_hz:
        fastest = max(single, tensor / 2) if own == "fp32" and sheet.capability >= _TF32_SINCE else macs[own]
        found = {name: Peak(reached * each / fastest, "assumed", "ratio") for name, each in macs.items()}
    if not sheet.clock_hz or reached > found[own].flops_per_s:
        found[own] = Peak(reached, "measured", "reached")
    return found


def gpu_text(name: str, sheet: Sheet, *, dtype: str, layout: str, rates: Mapping[str, Peak], bandwidth: float, batches: tuple[int, int], what: str) -> str:
    """The profile's text with the sibling's constants as priors.

    Parameters
    ----------
    rates : as `peaks` gives them.
    bandwidth : bytes a second of the best stream.
    batches : the least and the largest of the networks that are measured.
    what : what is measured, in words.
    """
    stated = bandwidth <= sheet.memory_bytes_per_s
    best = sheet.memory_bytes_per_s if stated else bandwidth / BEST_SHARE
    like = device(_CACHE_LIKE).profile.processors["gpu"].memory
    near = like.caches[0].bandwidth_gb_per_s / like.bandwidth_gb_per_s
    ratio = {} if sheet.clock_hz else {"ratio": "assumed: the measured peak times the ratio of operations a cycle, as no clock is stated; fp32 may be TF32"}
    lines = head(
        name,
        chip=sheet.name,
        category="gpu",
        processor="gpu",
        year=device(SIBLING).profile.year,
        what=what,
        system="stated by the driver (torch.cuda.get_device_properties); operations a cycle of its compute capability by NVIDIA's documents",
        prior=f"assumed: constants of {SIBLING} before any measurement; L2 at {near:.3g} times the memory's bandwidth, as of {_CACHE_LIKE}",
        **ratio,
    )
    clock = {"clock_ghz": short(sheet.clock_hz / 1e9)} if sheet.clock_hz else {}
    unit = {"type": "gpu", "default_runtime": TORCH_EAGER, "default_dtype": dtype, "kind": "datasheet", "source": "system", **clock}
    lines += tables({**unit, "multiprocessors": sheet.multiprocessors}, ("processors", "gpu"))
    stated_rates = {key: {"value": short(peak.flops_per_s / 1e12), "kind": peak.kind, "source": peak.source} for key, peak in rates.items()}
    lines += tables(stated_rates, ("processors", "gpu", "peak_tflop_per_s"))
    memory = {"value": short(best / 1e9), "kind": "datasheet" if stated else "measured", "source": "system" if stated else "reached"}
    capacity = {"value": round(sheet.memory_bytes / _GIB, 2), "kind": "datasheet", "source": "system"}
    lines += tables({"bandwidth_gb_per_s": memory, "capacity_gib": capacity}, ("processors", "gpu", "memory"))
    if sheet.cache_bytes:
        lines += ["", "[[processors.gpu.memory.caches]]", 'name = "L2"']
        lines += tables({"capacity_kib": {"value": sheet.cache_bytes / KIB, "kind": "datasheet", "source": "system"}})
        lines += tables({"bandwidth_gb_per_s": {"value": short(near * best / 1e9), "kind": "assumed", "source": "prior"}})
    lines += tables({"lowering": TORCH_EAGER, "law": "gpu_tiles", "layouts": [layout]}, ("processors", "gpu", "runtimes", TORCH_EAGER))
    # the sibling's constants, but for what is of a queue of launches, which a graph has not
    known = resolve_target(device(SIBLING), runtime=TORCH_EAGER, dtype=dtype).precision
    parameters = {**known.parameters, "kernel_us": _KERNEL_US, "host_us": 0, "floor_us": 0}
    measured = {"measured_kinds": list(known.measured_kinds), "measured_batches": list(batches)}
    return "\n".join([*lines, *precision(precision_table("gpu", TORCH_EAGER, dtype), layout, parameters, **measured)]) + "\n"
