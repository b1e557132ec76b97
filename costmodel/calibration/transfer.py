"""A profile for a new device of a known class: constants in cycles from a relative, scaled by what the two datasheets say of their cores and memories.

Constants carry over between cores of one kind: an in-order core takes those of the relative's in-order core, any other those of its fastest. Cycles are

- of what multiplies with vectors, in inverse proportion to the multiply-accumulates a cycle that the core has: matrix products, and depthwise windows;
  grouped windows too under libraries whose kernels are all written for vectors;
- of everything else, to the square root of the instructions that it decodes a cycle (`DECODED`);
- of what moves elements, besides that in proportion to clock over bandwidth, the cycles in which the main memory delivers a byte; to the clock alone on cores
  that issue in order, which wait for one miss after another, so for the memory's latency (an A55 of a Pixel 4 packs a weight of 4 bytes in 8.4 cycles, 0.9 GB/s
  of 34); not under libraries whose kernels are all written for vectors, of which ncnn's rows do not bear it out;
- of what streams past the caches, as clock over bandwidth on all cores, and in inverse proportion to the last cache that the core reaches;
- of all that does not multiply, twice as many on a core that issues in order where the relative's does not, and half where it is the other way round.

What each rule is worth between phones and boards, in both directions: reports/transfer.md, by `python -m tests.calibration.transferred`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from typing import Any

from costmodel.calibration.profile_text import tables, without_tables
from costmodel.devices import MOST_BYTES, device, parse_device, require_hardware
from costmodel.errors import InvalidFileError, UsageError
from costmodel.files import read_text
from costmodel.laws._cycle_constants import CHOSEN, MOVED, PER_MAC, PRODUCTS, Constants
from costmodel.laws._marks import Mark, marked
from costmodel.lowering import rule_set

#: Cores that issue in order (Arm's and Apple's public core descriptions); their constants are of another kind.
IN_ORDER = frozenset({"cortex-a7", "cortex-a35", "cortex-a53", "cortex-a55", "cortex-a510"})
#: Instructions that a core decodes a cycle, as published by AnandTech in: "ARM A53/A57/T760 investigated" (2015; A53, A57), "The ARM Cortex A73" (2016; A72,
#: A73), "Exploring DynamIQ and ARM's New CPUs" (2017; A75, A55), "Arm's Cortex-A76 CPU Unveiled" (2018; A76), "Arm's New Cortex-A78 and Cortex-X1
#: Microarchitectures" (2020), "Arm Announces Mobile Armv9 CPU Microarchitectures" (2021; A510), and "The iPhone XS & XS Max Review: Unveiling the Silicon
#: Secrets" (2018; Vortex, Tempest); of the M4, LLVM's AArch64SchedExynosM4.td (IssueWidth).
DECODED = {
    "cortex-a53": 2, "cortex-a55": 2, "cortex-a510": 3, "cortex-a57": 3, "cortex-a72": 3, "cortex-a73": 2, "cortex-a75": 3, "cortex-a76": 4,
    "cortex-a78": 4, "cortex-x1": 5, "exynos-m4": 6, "apple-vortex": 7, "apple-tempest": 3,
}  # fmt: skip
#: How cycles fall with the instructions decoded: performance grows with the square root of a core's complexity (Pollack, "New microarchitecture challenges
#: in the coming generations of CMOS process technologies", MICRO-32, 1999), for which this width stands here.
_WIDTH_EXPONENT = 0.5
#: Cycles of an in-order core for those of one that is not: assumed, as what is not measured of a Pixel 4's small cores is (device_profiles/pixel4.toml).
_IN_ORDER_CYCLES = 2.0
#: What moves between caches: it also falls as the last cache grows, whose misses the memory serves.
STREAMED = "streamed_cycles_per_byte"
#: Windows that TensorFlow Lite's own kernels compute with vectors (optimized_ops::DepthwiseConv); grouped ones run on its reference kernel, which is scalar.
DEPTHWISE = marked(Constants, Mark.DEPTHWISE)
#: int8 over fp32 rate from which a core has dot products (Arm's SDOT: 16 products an instruction where fp32 makes 4).
DOT_PRODUCTS = 4
#: Key of the source that transferred numbers name.
SOURCE = "like"
#: What a profile of carried-over constants may promise: more than the 90th percentile of zero-row transfers between phones' cores of one kind, 1.28 in fp32
#: and 1.30 in int8, and less than that from cores of the other kind in fp32, 2.20 (reports/transfer.md).
FACTOR = 1.5
Document = Mapping[str, Any]


def profile_text(name: str) -> tuple[str, str]:
    """(text, path) of a profile by its name or by the path of its file.

    Raises
    ------
    UnknownNameError, InvalidFileError
        If there is none, or it cannot be read.
    """
    path = name if name.endswith(".toml") else device(name).path
    try:
        return read_text(path, MOST_BYTES), path
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path}: is not UTF-8 text: byte {error.start}") from None


def with_relative(text: str, path: str, relative_text: str, relative_path: str) -> str:
    """The text of a hardware profile with the runtimes of a relative, for every processor that the relative has too, in place of its own.

    Parameters
    ----------
    text, path : of the device's profile, which states its hardware; `path` is for messages.
    relative_text, relative_path : the same of the profile that constants come from.

    Raises
    ------
    InvalidFileError
        If `text` is no TOML or states no hardware, or the relative's is no valid profile.
    ProfileError
        If either has faults, of `text` in its hardware: lists them with their lines.
    UsageError
        If the two have no processor in common, or the relative's does not have the runtime that the device's uses.
    """
    parse_device(relative_text.encode("utf-8"), relative_path)
    require_hardware(text, path)
    document, other = tomllib.loads(text), tomllib.loads(relative_text)
    if not document["processors"]:
        raise InvalidFileError(f"{path}: states no processors: constants come from {relative_path}, the hardware (clusters, clocks, memory) must stand here")
    added: list[str] = []
    for name, processor in document["processors"].items():
        origin = other["processors"].get(name)
        if origin is None:
            continue
        text = without_tables(text, ("processors", name, "runtimes"))
        if "runtimes" in tomllib.loads(text)["processors"][name]:
            raise InvalidFileError(f"{path}: processors.{name}.runtimes is no table under a heading of its own: leave it out, {relative_path} has others")
        _require_default(document.get("name", path), name, processor, other)
        for runtime, stack in origin["runtimes"].items():
            own = _stated(processor, "runtimes", runtime, "dtypes")
            added += tables(carried_stack(stack, own, processor, origin), ("processors", name, "runtimes", runtime))
    if not added:
        raise UsageError(f"{path}: {relative_path} has none of its processors to take constants from; it has {', '.join(other['processors'])}")
    relative = str(other["name"])
    source = f'{SOURCE} = "{source_of(relative)}"'
    known = document.get("sources", {}).get(SOURCE)
    if known is None:
        text = text.replace("[sources]\n", f"[sources]\n{source}\n", 1)
    elif str(known).startswith(f"constants of {relative} in cycles"):  # of an earlier time
        text = text.replace(f'{SOURCE} = "{known}"', source, 1)
    return text.rstrip("\n") + "\n" + "\n".join(added) + "\n"


def _require_default(device: str, name: str, processor: Document, other: Document) -> None:
    """Refuse a relative whose processor of that name lacks the runtime that the device's has unless another is asked for."""
    default, offered = processor.get("default_runtime"), other["processors"][name]["runtimes"]
    if isinstance(default, str) and default not in offered:
        raise UsageError(
            f"--like {other['name']}: its {name} has no constants under {default}, which {device}'s runs, but under {', '.join(offered)}; "
            "take a device of the same kind (`costmodel devices` lists them)"
        )


def source_of(relative: str) -> str:
    """What a profile says of constants of a relative."""
    scaled = "what multiplies scaled to the multiply-accumulates a cycle, all else by the width of decoding, moved elements by clock over bandwidth"
    return f"constants of {relative} in cycles, by kind of core; {scaled}, in order by the clock; what streams by the last cache too"


def carried_stack(stack: Document, own: Document, processor: Document, origin: Document) -> dict[str, Any]:
    """A runtime of the relative for a processor of the device, of which `own` is what its profile states of that runtime's precisions."""
    found = {key: value for key, value in stack.items() if key not in ("dtypes", "kind", "source", "differs", "widened_by")}
    dtypes = {}
    for dtype, precision in stack.get("dtypes", {}).items():
        parameters = plain(precision["parameters"])
        if not _dot_products(processor):
            parameters.pop("depthwise_shared", None)
        stated = _stated(own, dtype, "parameters")
        parameters |= {name: stated[name] for name in CHOSEN if name in stated}
        if "cores" in parameters:
            parameters["cores"] = carried_over(parameters["cores"], processor, origin, dtype, vectorised=rule_set(stack["lowering"]).vectorised)
        dtypes[dtype] = {
            "kind": "assumed",
            "source": SOURCE,
            "basis": "transferred",
            "interval_factor": max(FACTOR, float(plain(precision.get("interval_factor", FACTOR)))),
            "measured_kinds": list(precision["measured_kinds"]),
            "parameters": parameters,
        }
    return {**found, **({"dtypes": dtypes} if dtypes else {})}


def _stated(table: Document, *path: str) -> Document:
    """The table at a path; an empty one where there is none."""
    found: Any = table
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _dot_products(processor: Document) -> bool:
    """Whether a core has int8 dot products, four times the fp32 rate: TFLite's depthwise kernels for them are what keeps to one thread."""
    return any(_rate(cluster, "int8") >= DOT_PRODUCTS * _rate(cluster, "fp32") for cluster in processor.get("clusters", ()))


def plain(value: Any) -> Any:
    """Values without where they are from."""
    if isinstance(value, Mapping):
        return plain(value["value"]) if "value" in value else {key: plain(item) for key, item in value.items() if key not in ("kind", "source")}
    return value


def carried_over(constants: Document, processor: Document, origin: Document, dtype: str, *, vectorised: bool) -> dict[str, dict[str, float]]:
    """`constants` of the cores of `origin`, as those of every core of a processor that only its datasheet is known of: cycles by core and name.

    Parameters
    ----------
    processor, origin : the two processors as their profiles state them.
    vectorised : whether all kernels are written for the vectors of `dtype`, not matrix products and depthwise windows alone.
    """
    if "clusters" not in processor:
        scale = _peak(origin, dtype) / _peak(processor, dtype) * plain(processor["clock_ghz"]) / plain(origin["clock_ghz"])
        return {core: _scaled(plain(values), dict.fromkeys(PER_MAC if vectorised else PRODUCTS, scale)) for core, values in constants.items()}
    given: dict[str, Document] = {}
    for cluster in origin["clusters"]:  # of clusters of one core, here and below, the first is the fastest
        if cluster["core"] in constants:
            given.setdefault(cluster["core"], cluster)
    found: dict[str, dict[str, float]] = {}
    for cluster in processor["clusters"]:
        name = cluster["core"]
        if name not in found:
            kin = [core for core in given if (core in IN_ORDER) == (name in IN_ORDER)] or list(given)
            core = name if name in given else kin[0]
            factors = _factors(given[core], cluster, dtype, vectorised=vectorised)
            if not vectorised:
                wait = _byte_cycles(cluster, processor) / _byte_cycles(given[core], origin)
                waits = _latency_cycles(cluster) / _latency_cycles(given[core]) if name in IN_ORDER else wait
                factors |= {moved: factors[moved] * waits for moved in MOVED}
                factors[STREAMED] *= wait / waits * _cache_ratio(_last_cache_kib(given[core], origin), _last_cache_kib(cluster, processor))
            found[name] = _within_peak(_scaled(plain(constants[core]), factors), _rate(cluster, dtype) / 2)
    return found


def _within_peak(constants: dict[str, float], macs_per_cycle: float) -> dict[str, float]:
    """The constants, where weights that stream past a single row are multiplied no faster than the core's units do."""
    streamed = constants.get("gemv_cycles_per_weight")
    return constants if streamed is None else {**constants, "gemv_cycles_per_weight": max(streamed, float(f"{1 / macs_per_cycle:.4g}"))}


def _factors(given: Document, wanted: Document, dtype: str, *, vectorised: bool) -> dict[str, float]:
    """What each constant of a core is multiplied by for another, memories aside."""
    cores = given["core"], wanted["core"]
    width = math.pow(DECODED[cores[0]] / DECODED[cores[1]], _WIDTH_EXPONENT) if DECODED.keys() >= set(cores) else 1.0
    width *= _IN_ORDER_CYCLES ** ((cores[1] in IN_ORDER) - (cores[0] in IN_ORDER))
    windows = dtype if vectorised or dtype != "int8" else "fp32"  # dot products add over channels, of which a depthwise window has one
    products = _rate if vectorised else _dotted_rate  # TensorFlow Lite's own kernels know no matrices (ruy/path.h), nor does any for windows
    return {
        **dict.fromkeys(Constants.model_fields, width),
        **dict.fromkeys(PER_MAC if vectorised else DEPTHWISE, _dotted_rate(given, windows) / _dotted_rate(wanted, windows)),
        **dict.fromkeys(PRODUCTS, products(given, dtype) / products(wanted, dtype)),
    }


def _byte_cycles(cluster: Document, processor: Document) -> float:
    """Cycles of a core in which the main memory delivers a byte."""
    return float(plain(cluster["clock_ghz"])) / float(plain(processor["memory"]["bandwidth_gb_per_s"]))


def _latency_cycles(cluster: Document) -> float:
    """Cycles of a core in a nanosecond: memories of phones and boards differ little in latency."""
    return float(plain(cluster["clock_ghz"]))


def _cache_ratio(given_kib: float, wanted_kib: float) -> float:
    """How many times the last cache of the one holds what the other's does: the larger, the less of what streams comes from behind it."""
    return given_kib / wanted_kib if given_kib and wanted_kib else 1.0


def _last_cache_kib(cluster: Document, processor: Document) -> float:
    """Capacity of the last cache that a cluster reaches: its own, where it states one, else the processor's largest; 0 where none is stated."""
    if "last_cache_kib" in cluster:
        return float(plain(cluster["last_cache_kib"]))
    return max((float(plain(cache["capacity_kib"])) for cache in processor["memory"].get("caches", ())), default=0.0)


def _rate(cluster: Document, dtype: str) -> float:
    rates = plain(cluster["flops_per_cycle"])
    return float(rates.get(dtype, rates["fp32"]))


def _dotted_rate(cluster: Document, dtype: str) -> float:
    """The same without instructions that multiply matrices in int8 (FEAT_I8MM)."""
    rate = _rate(cluster, dtype)
    return min(rate, DOT_PRODUCTS * _rate(cluster, "fp32")) if dtype == "int8" else rate


def _peak(processor: Document, dtype: str) -> float:
    peaks = plain(processor["peak_tflop_per_s"])
    return float(peaks.get(dtype, peaks["fp32"]))


def _scaled(constants: dict[str, float], factors: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value * factors[name]:.4g}") if factors.get(name, 1.0) != 1 else value for name, value in constants.items()}
