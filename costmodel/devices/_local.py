"""The profile of the machine that this runs on: hardware as the system states it, constants of its runtimes from a sibling.

Until `costmodel calibrate` measures the machine, its shares of peak are those of the microbenchmarks that the server
profiles carry: the basis is ``datasheet`` and the interval wide.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from pathlib import Path

from costmodel.devices._profile import Cluster, Device, Memory, Processor, Profile, Provenance, Runtime

#: Profile whose constants are taken.
SIBLING = "i9-10940x"

#: fp32 FLOP per cycle and core by instruction set, the widest first: two fused multiply-adds (one on Arm's 128 bits twice).
_FLOPS_PER_CYCLE = (("avx512f", 64), ("fma", 32), ("avx", 16), ("asimd", 16), ("sse2", 8))
#: Bandwidth of one core where nothing was measured, as in the microbenchmarks that the constants come from.
_CORE_GB_PER_S = 16.0
_ASSUMED_GHZ = 2.5
_KIB_PER_GIB = 1024**2
_SYSTEM = "stated by this system (/proc/cpuinfo, /proc/meminfo)"
#: What of the sibling's profile is taken, its interval factors aside.
_RUNTIMES = ("torch-eager", "onnxruntime", "tflite-xnnpack")
_TAKEN = (*(f"processors.cpu.runtimes.{name}." for name in _RUNTIMES), "processors.cpu.memory.caches.")
#: The 90 % factor, and what it rests on.
_FACTOR = 3.0
_FACTOR_SOURCE = (
    "the largest error seen: mobilenet-v2, resnet-18 and -50, at 32 and 224 pixels, and an LSTM on 2-core AVX-512 machines came out 1.7 to 3.0 times too slow"
)


def local_device(name: str, sibling: Device) -> Device:
    """The device of this machine, called `name`, with the constants of `sibling`."""
    text = _read("/proc/cpuinfo")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    clock, flops = _clock(text), _flops_per_cycle(text)
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    total = re.search(r"^MemTotal:\s*(\d+)", _read("/proc/meminfo"), re.MULTILINE)
    capacity_gib = int(total[1]) / _KIB_PER_GIB if total else None
    unit = sibling.profile.processors["cpu"]
    processor = Processor(
        type="cpu",
        default_runtime="torch-eager",
        default_dtype="fp32",
        default_cores=f"large={cores}",
        clusters=(Cluster(name="large", core="local", cores=cores, clock_ghz=clock.value, flops_per_cycle={"fp32": flops}),),
        memory=Memory(bandwidth_gb_per_s=_CORE_GB_PER_S * cores, capacity_gib=capacity_gib, caches=unit.memory.caches),
        runtimes={name: _unmeasured(unit.runtimes[name]) for name in _RUNTIMES},
    )
    profile = Profile.model_validate(
        {
            "schema": 1,
            "name": name,
            "title": "this machine",
            "category": "server-cpu",
            "chip": model[1].strip() if model else platform.processor() or platform.machine(),
            "year": sibling.profile.year,
            "version": sibling.profile.version,
            "default_processor": "cpu",
            "processors": {"cpu": processor},
        }
    )
    return Device(
        profile=profile,
        provenance=_provenance(sibling, cores, clock, flops, capacity_gib),
        path=name,
        sha256=hashlib.sha256(profile.model_dump_json().encode()).hexdigest(),
    )


def _unmeasured(runtime: Runtime) -> Runtime:
    """A runtime whose constants nothing on this machine supports, with the interval that this deserves."""
    dtypes = {
        dtype: precision.model_copy(update={"basis": "datasheet", "interval_factor": _FACTOR, "parallel_interval_factor": _FACTOR})
        for dtype, precision in runtime.dtypes.items()
    }
    return runtime.model_copy(update={"dtypes": dtypes})


def _provenance(sibling: Device, cores: int, clock: Provenance, flops: float, capacity_gib: float | None) -> dict[str, Provenance]:
    """Where each number is from; what is the sibling's is assumed to hold here, with its own source."""
    found = {
        "processors.cpu.clusters.0.cores": Provenance(cores, "datasheet", _SYSTEM),
        "processors.cpu.clusters.0.clock_ghz": clock,
        "processors.cpu.clusters.0.flops_per_cycle.fp32": Provenance(flops, "assumed", "the widest vector instructions in /proc/cpuinfo, two units"),
        "processors.cpu.memory.bandwidth_gb_per_s": Provenance(_CORE_GB_PER_S * cores, "assumed", f"{_CORE_GB_PER_S:g} GB/s for each core"),
    }
    if capacity_gib is not None:
        found["processors.cpu.memory.capacity_gib"] = Provenance(capacity_gib, "datasheet", _SYSTEM)
    for path, entry in sibling.provenance.items():
        if path.endswith("interval_factor") and path.startswith(_TAKEN):
            found[path] = Provenance(_FACTOR, "assumed", _FACTOR_SOURCE)
        elif path.startswith(_TAKEN):
            found[path] = Provenance(entry.value, "assumed", f"as of {sibling.name}, there: {entry.source}")
    return found


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _clock(cpuinfo: str) -> Provenance:
    """The highest clock in GHz that the system states."""
    highest = _read("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").strip()
    if highest.isdigit():
        return Provenance(int(highest) / 1e6, "datasheet", "stated by this system (cpuinfo_max_freq)")
    stated = [float(value) for value in re.findall(r"^cpu MHz\s*:\s*([\d.]+)", cpuinfo, re.MULTILINE)]
    if stated and max(stated) > 0:
        return Provenance(min(10.0, max(stated) / 1e3), "datasheet", _SYSTEM)
    return Provenance(_ASSUMED_GHZ, "assumed", "the system states no clock")


def _flops_per_cycle(cpuinfo: str) -> float:
    flags = set(re.findall(r"\w+", " ".join(re.findall(r"^(?:flags|Features)\s*:\s*(.*)$", cpuinfo, re.MULTILINE))))
    return float(next((flops for flag, flops in _FLOPS_PER_CYCLE if flag in flags), 8))
