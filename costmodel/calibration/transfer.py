"""A profile for a new device of a known class: constants in cycles from a relative, the device's own clocks and multipliers.

Constants carry over between cores of one kind: an in-order core takes those of the relative's in-order core, any other those of its fastest. What
multiplies scales with how many multiply-accumulates a cycle the core has; everything else is the same number of cycles. Under TensorFlow Lite's own kernels
that is matrix products alone; under libraries whose kernels are all written for vectors, depthwise and grouped windows too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from costmodel.calibration.profile_text import tables, without_tables
from costmodel.devices import device
from costmodel.errors import InvalidFileError, UsageError
from costmodel.laws.linear_work import CHOSEN, PER_MAC, PRODUCTS
from costmodel.lowering import rule_set

#: Cores that issue in order (Arm's and Apple's public core descriptions); their constants are of another kind.
IN_ORDER = frozenset({"cortex-a7", "cortex-a35", "cortex-a53", "cortex-a55", "cortex-a510"})
#: int8 over fp32 rate from which a core has dot products (Arm's SDOT: 16 products an instruction where fp32 makes 4).
DOT_PRODUCTS = 4
#: Key of the source that transferred numbers name.
SOURCE = "like"
#: What a profile of carried-over constants may promise: 90th percentile of zero-row transfers between phones' cores, qed-usc rows.
_FACTOR = 1.5
Document = Mapping[str, Any]


def profile_text(name: str) -> tuple[str, str]:
    """(text, path) of a profile by its name or by the path of its file.

    Raises
    ------
    UnknownNameError, InvalidFileError
        If there is none, or it cannot be read.
    """
    path = Path(name) if name.endswith(".toml") or "/" in name else Path(device(name).path)
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path}: is not UTF-8 text: byte {error.start}") from None
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be read: {error.strerror or error}") from None


def with_relative(text: str, path: str, relative_text: str, relative_path: str) -> str:
    """The text of a hardware profile with the runtimes of a relative, for every processor that the relative has too, in place of its own.

    Parameters
    ----------
    text, path : of the device's profile, which states its hardware; `path` is for messages.
    relative_text, relative_path : the same of the profile that constants come from.

    Raises
    ------
    InvalidFileError
        If `text` is no TOML, or states no hardware.
    UsageError
        If the two have no processor in common.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidFileError(f"{path}: is not TOML: {error}") from None
    other = tomllib.loads(relative_text)
    if not isinstance(document.get("processors"), dict):
        raise InvalidFileError(f"{path}: states no processors: constants come from {relative_path}, the hardware (clusters, clocks, memory) must stand here")
    added: list[str] = []
    for name, processor in document.get("processors", {}).items():
        origin = other["processors"].get(name)
        if not isinstance(processor, Mapping) or origin is None:
            continue
        text = without_tables(text, ("processors", name, "runtimes"))
        for runtime, stack in origin["runtimes"].items():
            own = processor.get("runtimes", {}).get(runtime, {}).get("dtypes", {})
            added += tables(_transferred(stack, own, processor, origin), ("processors", name, "runtimes", runtime))
    if not added:
        raise UsageError(f"{path}: {relative_path} has none of its processors to take constants from; it has {', '.join(other['processors'])}")
    relative = str(other["name"])
    source = f'{SOURCE} = "constants of {relative} in cycles, by kind of core; matrix products scaled to the multiply-accumulates a cycle"'
    if SOURCE not in document.get("sources", {}):
        text = text.replace("[sources]\n", f"[sources]\n{source}\n", 1)
    return text.rstrip("\n") + "\n" + "\n".join(added) + "\n"


def _transferred(stack: Document, own: Document, processor: Document, origin: Document) -> dict[str, Any]:
    """A runtime of the relative for a processor of the device, of which `own` is what its profile states of that runtime's precisions."""
    found = {key: value for key, value in stack.items() if key not in ("dtypes", "kind", "source", "differs", "widened_by")}
    dtypes = {}
    for dtype, precision in stack.get("dtypes", {}).items():
        parameters = _plain(precision["parameters"])
        if not _dot_products(processor):
            parameters.pop("depthwise_shared", None)
        stated = own.get(dtype, {}).get("parameters", {})
        parameters |= {name: stated[name] for name in CHOSEN if name in stated}
        if "cores" in parameters:
            parameters["cores"] = _cores(parameters["cores"], processor, origin, dtype, PER_MAC if rule_set(stack["lowering"]).vectorised else PRODUCTS)
        dtypes[dtype] = {
            "kind": "assumed",
            "source": SOURCE,
            "basis": "transferred",
            "interval_factor": max(_FACTOR, float(_plain(precision.get("interval_factor", _FACTOR)))),
            "measured_kinds": list(precision["measured_kinds"]),
            "parameters": parameters,
        }
    return {**found, **({"dtypes": dtypes} if dtypes else {})}


def _dot_products(processor: Document) -> bool:
    """Whether a core has int8 dot products, four times the fp32 rate: TFLite's depthwise kernels for them are what keeps to one thread."""
    return any(_rate(cluster, "int8") >= DOT_PRODUCTS * _rate(cluster, "fp32") for cluster in processor.get("clusters", ()))


def _plain(value: Any) -> Any:
    """Values without where they are from."""
    if isinstance(value, Mapping):
        return _plain(value["value"]) if "value" in value else {key: _plain(item) for key, item in value.items() if key not in ("kind", "source")}
    return value


def _cores(constants: Document, processor: Document, origin: Document, dtype: str, scaled: Sequence[str]) -> dict[str, Any]:
    """Constants for every core of the processor; those of `scaled` follow its multipliers."""
    if "clusters" not in processor:
        scale = _peak(origin, dtype) / _peak(processor, dtype) * _plain(processor["clock_ghz"]) / _plain(origin["clock_ghz"])
        return {core: _scaled(_plain(values), scale, scaled) for core, values in constants.items()}
    given = {cluster["core"]: cluster for cluster in origin["clusters"] if cluster["core"] in constants}
    found = {}
    for cluster in processor["clusters"]:
        kin = [core for core in given if (core in IN_ORDER) == (cluster["core"] in IN_ORDER)] or list(given)
        core = cluster["core"] if cluster["core"] in given else kin[0]
        found[cluster["core"]] = _scaled(_plain(constants[core]), _rate(given[core], dtype) / _rate(cluster, dtype), scaled)
    return found


def _rate(cluster: Document, dtype: str) -> float:
    rates = _plain(cluster["flops_per_cycle"])
    return float(rates.get(dtype, rates["fp32"]))


def _peak(processor: Document, dtype: str) -> float:
    peaks = _plain(processor["peak_tflop_per_s"])
    return float(peaks.get(dtype, peaks["fp32"]))


def _scaled(constants: dict[str, float], scale: float, scaled: Sequence[str]) -> dict[str, float]:
    return {name: float(f"{value * scale:.4g}") if name in scaled else value for name, value in constants.items()}
