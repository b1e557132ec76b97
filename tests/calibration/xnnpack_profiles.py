"""XNNPACK's constants for the profiles of Arm devices: ``python -m tests.calibration.xnnpack_profiles`` writes runtime ``tflite-xnnpack`` into them.

XNNPACK packs weights once, reads windows through pointers in place of columns, and splits every operator among its threads (google/XNNPACK, src/operators):
no packing, no Winograd's transforms, all work shared. One set of constants is of cores that issue out of order, one of those in order: multiplications in
multiples of what a core's multipliers need, everything else in cycles. The first set begins as stated here and is fitted to the Raspberry Pi 5's rows of one
core; every other device takes what they gave (those that are calibrated by
``--like pixel4``, from there). The second set is stated here alone.

``python -m tests.calibration.xnnpack_profiles raspberry-pi-5`` writes the beginning, from which ``costmodel calibrate`` fits (README of the measurements).
The Raspberry Pi 5 also gets ``onnxruntime``, whose library for Arm does the same work by kernels of its own: XNNPACK's constants, fitted to none of its rows.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from costmodel.calibration.profile_text import number, without_tables
from costmodel.calibration.transfer import IN_ORDER
from costmodel.devices import profile_folder
from costmodel.laws._cycle_constants import PER_MAC

RUNTIME, ORT = "tflite-xnnpack", "onnxruntime"
#: The device and core whose rows fit the constants of cores that issue out of order.
FITTED, FITTED_CORE = "raspberry-pi-5", "cortex-a76"
DEVICES = (
    *("pixel1", "pixel2", "pixel3", "pixel4", "pixel6"),
    *("raspberry-pi-zero-2w", "raspberry-pi-3b-plus", "raspberry-pi-4"),
)
#: Times what a core's multipliers need at their best. Products: 80 % of a peak, the middle of what XNNPACK's single-threaded MobileNetV1 shows
#: (82 ms on a Kryo at 2.15 GHz and 88 ms on a Cortex-A75 at 2.0 GHz, google/XNNPACK README, are 81 %). Depthwise windows: two loads, of inputs and
#: of weights, for each multiplication (src/f32-dwconv), and as many load pipes as multipliers.
_MULTIPLES = {
    "gemm_cycles_per_mac": 1.25,
    "spatial_gemm_cycles_per_mac": 1.25,
    "depthwise_cycles_per_mac": 2.0,
    "depthwise_strided_cycles_per_mac": 2.0,
    "grouped_cycles_per_mac": 2.0,
}
#: Loads of half a vector: twice as many in order (Arm Cortex-A53 and A55 software optimisation guides).
_IN_ORDER_LOADS = 2.0
#: Cycles for each element of 4 bytes, assumed: a vector of four in four cycles, and what libraries of mathematics take for the others.
_CYCLES = {
    "tile_cycles_per_output": 0.0,
    "gemv_cycles_per_weight": 0.5,
    "elementwise_cycles_per_output": 1.0,
    "transcendental_cycles": 5.0,
    "error_function_cycles": 10.0,
    "normalisation_cycles_per_element": 10.0,
    "softmax_cycles_per_element": 10.0,
    "pad_cycles_per_output": 1.0,
    "concat_cycles_per_output": 1.0,
    "copy_cycles_per_output": 1.0,
    "resize_cycles_per_tap": 1.0,
    "pool_cycles_per_tap": 0.4,
    "reduction_cycles_per_input": 0.5,
    "kernel_cycles": 1000.0,
}
#: An in-order core takes twice the cycles of one that issues out of order, as a Cortex-A55 does under TensorFlow Lite (device_profiles/pixel4.toml).
_IN_ORDER_CYCLES = 2.0
#: Cycles of an element of one byte over those of four, between equal loops and equal bytes; assumed.
_BYTE = 0.5
TILES = {"fp32": (6, 8), "int8": (4, 16)}
#: Kinds that rows show: those that fitted the constants have no depthwise windows.
_KINDS = ("convolution", "pointwise-convolution", "elementwise", "batch-normalisation", "pooling", "reduction", "linear")
SOURCES = {
    "xnnpack": "google/XNNPACK, src/operators and src/configs/gemm-config.c: weights packed once, windows read through pointers, tiles of 6x8 in fp32 and 4x16 "
    "in int8, all operators split among threads",
    "xnnpack_start": "assumed: products at 80 % of a core's peak, depthwise windows at half of it, a cycle for each element that is moved; "
    "tests/calibration/xnnpack_profiles.py",
    "xnnpack_like": "constants of raspberry-pi-5 in cycles, fitted to its rows of one core; what multiplies scaled to the multiply-accumulates a cycle; "
    "in-order cores: products at 80 % of a peak, all else at twice the cycles, assumed",
    "xnnpack_int8": "assumed: the fp32 constants, what multiplies scaled to the multiply-accumulates a cycle in int8, moved elements at half the cycles",
    "xnnpack_interval": "assumed: about the largest factor between rows of other laboratories under XNNPACK, on the Raspberry Pis 3B+ and 4 and a Pixel 2, "
    "and their predictions (reports/accuracy.md); narrower on the one core whose rows fitted the constants",
    "xnnpack_ort": "assumed: the constants of tflite-xnnpack; microsoft/onnxruntime, core/mlas/lib: products over packed weights by NEON kernels",
    "xnnpack_share": "assumed: several cores wait for one memory as under ncnn, by this device's rows of ncnn.csv or those of all others",
}


def main(chosen: Sequence[str] = ()) -> None:
    """Write the profiles: those chosen by name, or all that take over what the fitted one has."""
    for name in chosen or (*DEVICES, FITTED):
        path = profile_folder() / f"{name}.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(with_onnxruntime(text) if name == FITTED and not chosen else with_runtime(text, name), encoding="utf-8")


def with_onnxruntime(text: str) -> str:
    """The text of the fitted profile with ONNX Runtime in place of what it had of it."""
    base = f"processors.cpu.runtimes.{ORT}"
    constants = "".join(f"{key} = {number(value)}\n" for key, value in _constants(FITTED).items())
    parts = [
        f'[{base}]\nlowering = "{ORT}"\nlaw = "linear_work"\nlayouts = ["nchw"]\n',
        _head(f"{base}.dtypes.fp32", "xnnpack_ort", ("2.0", "2.2"), ()),
        _tiles(f"{base}.dtypes.fp32", "fp32", FITTED),
        f"[{base}.dtypes.fp32.parameters.cores.{FITTED_CORE}]\n{constants}",
    ]
    return without_tables(text, ("processors", "cpu", "runtimes", ORT)).rstrip("\n") + "\n\n" + "\n".join(parts)


def with_runtime(text: str, name: str) -> str:
    """The text of a profile with the runtime in place of what it had of it."""
    text = without_tables(text, ("processors", "cpu", "runtimes", RUNTIME)).rstrip("\n") + "\n"
    text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("xnnpack", "fit_cpu_tflite_xnnpack")))
    absent = ("xnnpack_like",) if name == FITTED else ("xnnpack_start", "xnnpack_ort")
    lines = [f'{key} = "{words}"' for key, words in SOURCES.items() if key not in absent]
    text = text.replace("[sources]\n", "\n".join(["[sources]", *lines, ""]), 1)
    clusters = tomllib.loads(text)["processors"]["cpu"]["clusters"]
    base = f"processors.cpu.runtimes.{RUNTIME}"
    parts = [f'[{base}]\nlowering = "{RUNTIME}"\nlaw = "linear_work"\nlayouts = ["nhwc"]\n']
    for dtype in TILES:
        parts += _precision(clusters, name, f"{base}.dtypes.{dtype}", dtype)
    return text + "\n" + "\n".join(parts)


def _precision(clusters: Sequence[Mapping[str, Any]], name: str, base: str, dtype: str) -> list[str]:
    """The tables of a precision."""
    source = "xnnpack_int8" if dtype == "int8" else "xnnpack_start" if name == FITTED else "xnnpack_like"
    one = "1.5" if name == FITTED else "1.9"
    head = _head(base, source, ("2.0", "2.2"), ()) if dtype == "int8" else _head(base, source, (one, "2.0"), _KINDS)
    parts = [head, _tiles(base, dtype, name)]
    for cluster in {cluster["core"]: cluster for cluster in clusters}.values():
        constants = constants_of(cluster, dtype, anew=name == FITTED)
        parts.append(f"[{base}.parameters.cores.{cluster['core']}]\n" + "".join(f"{key} = {number(value)}\n" for key, value in constants.items()))
    return parts


def _head(base: str, source: str, factors: tuple[str, str], kinds: Sequence[str]) -> str:
    """The table of a precision: what its constants are, and its intervals on one core and on several."""
    one, many = factors
    listed = ", ".join(f'"{kind}"' for kind in kinds)
    return (
        f'[{base}]\nkind = "assumed"\nsource = "{source}"\nbasis = "transferred"\n'
        f'interval_factor = {{ value = {one}, kind = "assumed", source = "xnnpack_interval" }}\n'
        f'parallel_interval_factor = {{ value = {many}, kind = "assumed", source = "xnnpack_interval" }}\n'
        f"measured_kinds = [{listed}]\n"
    )


def _tiles(base: str, dtype: str, name: str) -> str:
    """The table of tiles and threads."""
    rows, columns = TILES[dtype]
    return (
        f'[{base}.parameters]\ntile_m = {{ value = {rows}, kind = "assumed", source = "xnnpack" }}\n'
        f'tile_n = {{ value = {columns}, kind = "assumed", source = "xnnpack" }}\nrest_shared = 1\n'
        f'contended_share = {{ value = {number(_share(name))}, kind = "assumed", source = "xnnpack_share" }}\n'
    )


def constants_of(cluster: Mapping[str, Any], dtype: str, *, anew: bool) -> dict[str, float]:
    """Constants of a cluster's core: those that rows gave its kind of core, or what they began as."""
    in_order = cluster["core"] in IN_ORDER
    multiples, cycles = _start() if in_order or anew else _fitted()
    units = _rate(cluster, dtype) / 2
    made = {key: value / units for key, value in multiples.items()}
    if in_order:
        made |= {key: value * _IN_ORDER_LOADS for key, value in made.items() if "gemm" not in key}
    moved = (_IN_ORDER_CYCLES if in_order else 1.0) * (_BYTE if dtype == "int8" else 1.0)
    return made | {key: value if key == "kernel_cycles" else value * moved for key, value in cycles.items()}


def _start() -> tuple[dict[str, float], dict[str, float]]:
    """(multiples, cycles) before any row."""
    return _MULTIPLES, _CYCLES


def _fitted() -> tuple[dict[str, float], dict[str, float]]:
    """The same by the profile of the device that was fitted."""
    clusters = _profile(FITTED)["processors"]["cpu"]["clusters"]
    units = next(_rate(cluster, "fp32") for cluster in clusters if cluster["core"] == FITTED_CORE) / 2
    given = _constants(FITTED)
    return {key: given[key] * units for key in given if key in PER_MAC}, {key: given[key] for key in given if key not in PER_MAC}


def _constants(name: str) -> dict[str, float]:
    """The constants of the fitted core in a profile."""
    runtime = _profile(name)["processors"]["cpu"]["runtimes"][RUNTIME]
    return {key: _value(value) for key, value in runtime["dtypes"]["fp32"]["parameters"]["cores"][FITTED_CORE].items()}


def _share(name: str) -> float:
    """The share of the memory's bandwidth that several cores get under ncnn: the device's own, or that of all rows."""
    runtimes = _profile(name)["processors"]["cpu"]["runtimes"]
    dtypes = (runtimes if "ncnn" in runtimes else _profile("raspberry-pi-4")["processors"]["cpu"]["runtimes"])["ncnn"]["dtypes"]
    return _value(dtypes["fp32" if "fp32" in dtypes else "fp16"]["parameters"]["contended_share"])


def _profile(name: str) -> dict[str, Any]:
    return tomllib.loads((profile_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def _rate(cluster: Mapping[str, Any], dtype: str) -> float:
    return float(_value(cluster["flops_per_cycle"][dtype]))


def _value(entry: Any) -> float:
    return float(entry["value"] if isinstance(entry, Mapping) else entry)


if __name__ == "__main__":
    main(sys.argv[1:])
