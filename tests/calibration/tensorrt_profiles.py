"""TensorRT on NVIDIA GPUs: ``python -m tests.calibration.tensorrt_profiles`` fits six numbers to the published figures and writes the runtime into profiles.

The law and its constants are those of compiled kernels as assumed before any fit (the RTX 4090's, fp16), with no host time, for an engine runs as a CUDA
graph. Six factors are fitted to twenty figures in fp16 of two networks on an A100 and a V100 (`device_profiles/measurements/tensorrt.csv`):
on the shares of peak of matrix products, on that of depthwise windows, on the shares of bandwidth, on the time of a kernel, and on the two waits of a
product's steps along K, which are assumed to be some forty cycles and a round trip to memory before any row is seen. Steps are of 64 bytes, so that a
product of int8 takes half as many as one of fp16: small batches are faster in int8 for that. Depthwise
windows are taken to run beside the tensor units, at a rate that follows the part's fp32 peak: what they have of the peak in fp16 is that much smaller a share
where this peak is higher. In int8 they have the same share of a peak twice as high, for what they load is half as large; at the rate of fp16 the windows of
EfficientNet-B4 alone would take longer than the network took. No number is fitted to figures in int8.

Intervals are as wide as the largest error of a figure that took no part, for the two networks are too few to tell a quantile: in fp16 with its network held
out on the two parts themselves, and with its part held out on others; in int8 by the constants of fp16, of which the A100's figures are left out for others.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from costmodel.calibration.conformal import interval_width
from costmodel.calibration.metrics import Scores, score
from costmodel.calibration.profile_text import number, quoted, tables, with_values, without_tables
from costmodel.calibration.rows import MeasuredRow, read_rows
from costmodel.devices import device, profile_folder, resolve_target
from costmodel.kernel import Program
from costmodel.laws import Machine, law, price
from costmodel.laws.gpu_tiles import GpuTilesParameters
from costmodel.lowering import lower, rule_set
from costmodel.zoo import build

RUNTIME, LAW, ORIGIN = "tensorrt", "gpu_tiles", "rtx4090"
FITTED, CARRIED = ("a100", "v100"), ("t4", "l4", "h100", "h200", "rtx3090", "rtx4090", "rtx5090")
#: Of the logarithms: what a factor may be off before any row is seen, and what the law misses of a row.
SPREADS, ROW_ERROR = np.array([0.7, 1.0, 0.7, 1.0, 0.7, 0.7]), 0.08
FACTORS = ("matrix products", "depthwise windows", "bandwidth", "time of a kernel", "wait of a step", "fetch of a step")
#: What the last two multiply, in nanoseconds: a load from shared memory and a barrier, about 40 cycles of 1.4 GHz, and a load from memory.
STEP_NS, FETCH_NS = 30.0, 400.0
_DEPTHWISE, _REST = "depthwise-convolution", frozenset({"default", "normalisation", "pooling"})
_MOST = {"compute": 1.05, "memory": 1.0}
FACTOR_DIGITS = 1000


class Figure(NamedTuple):
    """A row with the program of its network."""

    row: MeasuredRow
    program: Program


class Split(NamedTuple):
    """Figures of one network or one part, and the logarithms of the factors fitted to the others."""

    kind: str
    name: str
    held: tuple[Figure, ...]
    logs: np.ndarray


def figures(dtype: str = "fp16") -> list[Figure]:
    """The published figures of one precision."""
    rows = [row for row in read_rows(profile_folder() / "measurements" / "tensorrt.csv").rows if row.dtype == dtype]
    rules, programs = rule_set(RUNTIME), {}
    for row in rows:
        key = row.network, row.batch
        if key not in programs:
            programs[key] = lower(build(row.network, batch=row.batch), rules, dtype, row.layout)
    return [Figure(row, programs[row.network, row.batch]) for row in rows]


def origin() -> Mapping[str, Any]:
    """The constants that the factors multiply: of the RTX 4090's compiled kernels in fp16."""
    return _plain(_gpu(ORIGIN)["runtimes"]["torch-compile"]["dtypes"]["fp16"]["parameters"])


def constants(name: str, logs: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """The parameters of a part under these logarithms of the factors, as shares of the peak of any precision."""
    matrix, depthwise, memory, kernel, step, fetch = (math.exp(value) for value in logs)
    gpu, found = _gpu(name), dict(origin())
    beside = _plain_over_peak(gpu) / _plain_over_peak(_gpu(ORIGIN))
    factors = dict.fromkeys(found["compute_share"], matrix) | dict.fromkeys(_REST, 1.0) | {_DEPTHWISE: depthwise * beside}
    found["compute_share"] = {kind: min(_MOST["compute"], share * factors[kind]) for kind, share in found["compute_share"].items()}
    found["memory_share"] = {kind: min(_MOST["memory"], share * memory) for kind, share in found["memory_share"].items()}
    own = _plain(gpu["runtimes"]["torch-compile"]["dtypes"]["fp16"]["parameters"])
    waits = {"step_ns": STEP_NS * step, "fetch_ns": FETCH_NS * fetch}
    return found | {"kernel_us": found["kernel_us"] * kernel, "host_us": 0, "cache_mib": own["cache_mib"]} | waits


def predicted(chosen: Iterable[Figure], logs: Sequence[float] | np.ndarray) -> np.ndarray:
    """Seconds of figures: (figures,)."""
    machines = {}
    seconds = []
    for figure in chosen:
        key = figure.row.device, figure.row.dtype
        if key not in machines:
            machines[key] = _machine(*key, logs)
        seconds.append(price(law(LAW), figure.program, machines[key]).latency_s)
    return np.array(seconds)


def fit(chosen: Sequence[Figure]) -> np.ndarray:
    """Logarithms of the factors, maximum a posteriori."""
    measured = np.log([figure.row.seconds for figure in chosen])

    def misses(logs: np.ndarray) -> np.ndarray:
        return np.concatenate([(np.log(predicted(chosen, logs)) - measured) / ROW_ERROR, logs / SPREADS])

    return np.asarray(least_squares(misses, np.zeros(len(SPREADS)), diff_step=1e-2).x)


def judged(chosen: Sequence[Figure], logs: Sequence[float] | np.ndarray) -> Scores:
    """Scores of figures under the factors."""
    return score(list(predicted(chosen, logs)), [figure.row.seconds for figure in chosen], [figure.row.network for figure in chosen])


@cache
def splits() -> tuple[Split, ...]:
    """Each network and each part held out of the figures in fp16."""
    found = figures()
    made = []
    for kind in ("network", "device"):
        for name in dict.fromkeys(getattr(figure.row, kind) for figure in found):
            held = tuple(figure for figure in found if getattr(figure.row, kind) == name)
            made.append(Split(kind, name, held, fit([figure for figure in found if getattr(figure.row, kind) != name])))
    return tuple(made)


def factors(logs: Sequence[float] | np.ndarray) -> dict[tuple[str, bool], float]:
    """(precision, whether of a part that was fitted) -> the factor of its 90 % interval, rounded up."""
    integers = figures("int8")
    (foreign,) = {figure.row.device for figure in integers}
    other = next(split.logs for split in splits() if split.name == foreign)
    of_kind = {kind: [(figure, split.logs) for split in splits() if split.kind == kind for figure in split.held] for kind in ("network", "device")}
    unseen = {
        ("fp16", True): of_kind["network"],
        ("fp16", False): of_kind["device"],
        ("int8", True): [(figure, logs) for figure in integers],
        ("int8", False): [(figure, other) for figure in integers],
    }
    return {key: _factor(found) for key, found in unseen.items()}


def _factor(unseen: Sequence[tuple[Figure, Sequence[float] | np.ndarray]]) -> float:
    errors = [math.log(predicted([figure], logs)[0] / figure.row.seconds) for figure, logs in unseen]
    width = interval_width(errors, [f"{figure.row.device} {figure.row.network}" for figure, _ in unseen])
    return math.ceil(width.factor * FACTOR_DIGITS) / FACTOR_DIGITS


def section() -> list[str]:
    """The account: all figures, each network and each part held out, and int8 which took no part."""
    found = figures()
    logs = fit(found)
    lines = [
        "## TensorRT on data centre GPUs",
        "",
        "TensorRT 8.0 with CUDA graphs, batch 1 to 64, EfficientNetV2-S at 384 and EfficientNet-B4, as google/automl's efficientnetv2 publishes it",
        f"(`device_profiles/measurements/tensorrt.csv`). Six factors are fitted to the {len(found)} figures in fp16: "
        + ", ".join(f"{name} {math.exp(value):.2f}" for name, value in zip(FACTORS, logs, strict=True))
        + ".",
        "",
        "| split | figures | mean error | median | largest |",
        "|---|---|---|---|---|",
        _line("fitted", judged(found, logs)),
    ]
    lines += [_line(f"{split.name} held out", judged(split.held, split.logs)) for split in splits()]
    lines += [_line("a100 int8, not fitted", judged(figures("int8"), logs)), "", *_integers(logs)]
    return [*lines, ""]


def _integers(logs: Sequence[float] | np.ndarray) -> list[str]:
    """What int8 is off by, figure by figure, and how much of it depthwise windows and the time of kernels are."""
    lines = [
        "In int8 depthwise windows are taken to run twice as fast as in fp16, as all products do. Milliseconds of the A100:",
        "",
        "| network | batch | measured | predicted | error | depthwise windows | time of kernels | measured, fp16 over int8 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    half = {(figure.row.device, figure.row.network, figure.row.batch): figure.row.seconds for figure in figures()}
    over: dict[str, list[str]] = {"windows": [], "kernels": []}
    for figure in figures("int8"):
        row = figure.row
        cost = price(law(LAW), figure.program, _machine(row.device, row.dtype, logs))
        windows = sum(made.latency_s for kernel, made in zip(figure.program.kernels, cost.kernels, strict=True) if kernel.kind == _DEPTHWISE)
        parts = {"windows": windows, "kernels": sum(made.overhead_s for made in cost.kernels)}
        cells = [row.network, str(row.batch), f"{row.seconds * 1e3:g}", f"{cost.latency_s * 1e3:.2f}", f"{cost.latency_s / row.seconds - 1:+.0%}"]
        cells += [*(f"{seconds * 1e3:.2f}" for seconds in parts.values()), f"{half[row.device, row.network, row.batch] / row.seconds:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
        for part, seconds in parts.items():
            over[part] += [f"{row.network} at batch {row.batch}"] if seconds > row.seconds else []
    held = {part: ", ".join(names) or "none" for part, names in over.items()}
    lines += [
        "",
        "Where a part alone is predicted to take longer than the whole network took, what it assumes does not hold. Depthwise windows, which then ran",
    ]
    lines += [f"faster in int8 than in fp16: {held['windows']}."]
    lines += [f"The time of kernels, which then were fewer or shorter in int8 than in fp16: {held['kernels']}."]
    lines += ["Nothing is fitted to these figures; intervals in int8 are as wide as their errors."]
    return lines


def _line(split: str, scores: Scores) -> str:
    return f"| {split} | {scores.rows} | {scores.mape:.1%} | {scores.median_ape:.1%} | {scores.largest_ape:.1%} |"


def main() -> None:
    """Fit, and write the runtime into every profile."""
    found = figures()
    logs = fit(found)
    print(*section(), sep="\n")
    widths, scores = factors(logs), judged(found, logs)
    for name in (*FITTED, *CARRIED):
        path = Path(device(name).path)
        path.write_text(profile(path.read_text(encoding="utf-8"), name, logs, scores, widths), encoding="utf-8")


def profile(text: str, name: str, logs: np.ndarray, scores: Scores, widths: Mapping[tuple[str, bool], float]) -> str:
    """The profile's text with the runtime."""
    fitted = name in FITTED
    table = ("processors", "gpu", "runtimes", RUNTIME)
    peaks = _gpu(name)["peak_tflop_per_s"]
    dtypes = {"fp16": _precision(name, "fp16", logs, widths["fp16", fitted])}
    if peaks.get("int8", 0) >= 2 * peaks["fp16"]:  # on the tensor units as well
        dtypes["int8"] = _precision(name, "int8", logs, widths["int8", fitted])
    sources = {"fit_tensorrt": quoted(_source(scores)), "tensorrt_interval": quoted(_interval_source(dtypes, fitted=fitted))}
    text = with_values(without_tables(text, table), {("sources",): sources})
    stack = {"lowering": RUNTIME, "law": LAW, "layouts": ["nhwc"], "dtypes": dtypes}
    return text.rstrip("\n") + "\n" + "\n".join(tables(stack, table)) + "\n"


def _source(scores: Scores) -> str:
    return (
        f"six factors on the RTX 4090's constants of compiled kernels, fitted to {scores.rows} figures of an A100 and a V100 in tensorrt.csv "
        f"(google/automl efficientnetv2, TensorRT 8.0), mean error {scores.mape:.1%}; python -m tests.calibration.tensorrt_profiles"
    )


def _interval_source(dtypes: Collection[str], *, fitted: bool) -> str:
    half, integers = ("its network", "the constants of fp16") if fitted else ("its part", "constants of fp16 without the A100's figures")
    unseen = f"in fp16 with {half} held out" + (f", in int8 by {integers}" if "int8" in dtypes else "")
    return (
        f"the largest error of a figure in tensorrt.csv that took no part: {unseen}; two networks are too few for a quantile; "
        "python -m tests.calibration.tensorrt_profiles"
    )


def _precision(name: str, dtype: str, logs: np.ndarray, width: float) -> dict[str, Any]:
    """One precision of the runtime."""
    fitted = name in FITTED and dtype == "fp16"
    return {
        "basis": "calibrated" if fitted else "transferred",
        "interval_factor": {"value": width, "kind": "fitted", "source": "tensorrt_interval"},
        "measured_kinds": list(MEASURED_KINDS),
        "measured_batches": list(BATCHES),
        "parameters": {"kind": "fitted" if fitted else "assumed", "source": "fit_tensorrt", **_rounded(constants(name, logs))},
    }


#: The least and the largest batch of the figures.
BATCHES = (1, 64)
#: Kinds of work that EfficientNets are made of.
MEASURED_KINDS: Collection[str] = (
    *("convolution", "pointwise-convolution", "depthwise-convolution", "linear", "elementwise", "exp", "batch-normalisation", "reduction"),
)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return float(number(value, 4)) if isinstance(value, float) else value


def _machine(name: str, dtype: str, logs: Sequence[float] | np.ndarray) -> Machine:
    machine = resolve_target(device(name), runtime="torch-compile", dtype="fp16").machine
    return dataclasses.replace(machine, parameters=GpuTilesParameters.model_validate(constants(name, logs)))


def _gpu(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = tomllib.loads(Path(device(name).path).read_text(encoding="utf-8"))["processors"]["gpu"]
    return found


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers without where they are from."""
    found = {key: value["value"] if isinstance(value, Mapping) and "value" in value else value for key, value in parameters.items()}
    return {key: _plain(value) if isinstance(value, Mapping) else value for key, value in found.items() if key not in ("kind", "source")}


def _plain_over_peak(gpu: Mapping[str, Any]) -> float:
    return float(gpu["peak_tflop_per_s"]["fp32"]) / float(gpu["peak_tflop_per_s"]["fp16"])


if __name__ == "__main__":
    main()
