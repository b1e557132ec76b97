"""TensorRT on NVIDIA GPUs: ``python -m tests.calibration.tensorrt_profiles`` fits four numbers to the published figures and writes the runtime into profiles.

The law and its constants are those of compiled kernels as assumed before any fit (the RTX 4090's, fp16), with no host time, for an engine runs as a CUDA
graph. Four factors are fitted to twenty figures in fp16 of two networks on an A100 and a V100 (`device_profiles/measurements/tensorrt.csv`):
on the shares of peak of matrix products, on that of depthwise windows, on the shares of bandwidth, and on the time of a kernel. Depthwise
windows run beside the tensor units: their share of the half-precision peak follows the part's fp32 peak.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from costmodel.calibration.metrics import Scores, score
from costmodel.calibration.profile_text import number, tables, with_values, without_tables
from costmodel.calibration.rows import MeasuredRow, read_rows
from costmodel.devices import device, profile_folder, resolve_target
from costmodel.kernel import Program
from costmodel.laws import price
from costmodel.laws.gpu_tiles import GpuTilesParameters
from costmodel.lowering import lower, rule_set
from costmodel.zoo import build

RUNTIME, ORIGIN = "tensorrt", "rtx4090"
FITTED, CARRIED = ("a100", "v100"), ("t4", "l4", "h100", "h200", "rtx3090", "rtx4090", "rtx5090")
#: Of the logarithms: what a factor may be off before any row is seen, and what the law misses of a row.
SPREADS, ROW_ERROR = np.array([0.7, 1.0, 0.7, 1.0]), 0.08
FACTORS = ("matrix products", "depthwise windows", "bandwidth", "time of a kernel")
_DEPTHWISE, _REST = "depthwise-convolution", frozenset({"default", "normalisation", "pooling"})
_MOST = {"compute": 1.05, "memory": 1.0}


class Figure(NamedTuple):
    """A row with the program of its network."""

    row: MeasuredRow
    program: Program


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
    """The parameters of a part under these logarithms of the four factors."""
    matrix, depthwise, memory, kernel = (math.exp(value) for value in logs)
    gpu, found = _gpu(name), dict(origin())
    beside = _plain_over_half(gpu) / _plain_over_half(_gpu(ORIGIN))
    factors = dict.fromkeys(found["compute_share"], matrix) | dict.fromkeys(_REST, 1.0) | {_DEPTHWISE: depthwise * beside}
    found["compute_share"] = {kind: min(_MOST["compute"], share * factors[kind]) for kind, share in found["compute_share"].items()}
    found["memory_share"] = {kind: min(_MOST["memory"], share * memory) for kind, share in found["memory_share"].items()}
    own = _plain(gpu["runtimes"]["torch-compile"]["dtypes"]["fp16"]["parameters"])
    return found | {"kernel_us": found["kernel_us"] * kernel, "host_us": 0, "cache_mib": own["cache_mib"]}


def predicted(chosen: Iterable[Figure], logs: Sequence[float] | np.ndarray) -> np.ndarray:
    """Seconds of figures: (figures,)."""
    machines = {}
    seconds = []
    for figure in chosen:
        name = figure.row.device
        if name not in machines:
            target = resolve_target(device(name), runtime="torch-compile", dtype="fp16")
            machines[name] = target.law, dataclasses.replace(target.machine, parameters=GpuTilesParameters.model_validate(constants(name, logs)))
        law, machine = machines[name]
        seconds.append(price(law, figure.program, machine).latency_s)
    return np.array(seconds)


def fit(chosen: Sequence[Figure]) -> np.ndarray:
    """Logarithms of the four factors, maximum a posteriori."""
    measured = np.log([figure.row.seconds for figure in chosen])

    def misses(logs: np.ndarray) -> np.ndarray:
        return np.concatenate([(np.log(predicted(chosen, logs)) - measured) / ROW_ERROR, logs / SPREADS])

    return np.asarray(least_squares(misses, np.zeros(len(SPREADS)), diff_step=1e-2).x)


def judged(chosen: Sequence[Figure], logs: Sequence[float] | np.ndarray) -> Scores:
    """Scores of figures under the factors."""
    return score(list(predicted(chosen, logs)), [figure.row.seconds for figure in chosen], [figure.row.network for figure in chosen])


def section() -> list[str]:
    """The account: all figures, each network and each part held out, and int8 which took no part."""
    found = figures()
    logs = fit(found)
    lines = [
        "## TensorRT on data centre GPUs",
        "",
        "TensorRT 8.0 with CUDA graphs, batch 1 to 64, EfficientNetV2-S at 384 and EfficientNet-B4, as google/automl's efficientnetv2 publishes it",
        f"(`device_profiles/measurements/tensorrt.csv`). Four factors are fitted to the {len(found)} figures in fp16: "
        + ", ".join(f"{name} {math.exp(value):.2f}" for name, value in zip(FACTORS, logs, strict=True))
        + ".",
        "",
        "| split | figures | mean error | median | largest |",
        "|---|---|---|---|---|",
        _line("fitted", judged(found, logs)),
    ]
    for kind, names in (("network", dict.fromkeys(figure.row.network for figure in found)), ("device", FITTED)):
        for name in names:
            held = [figure for figure in found if getattr(figure.row, kind) == name]
            lines.append(_line(f"{name} held out", judged(held, fit([figure for figure in found if figure not in held]))))
    lines.append(_line("a100 int8, not fitted", judged(figures("int8"), logs)))
    return [*lines, ""]


def _line(split: str, scores: Scores) -> str:
    return f"| {split} | {scores.rows} | {scores.mape:.1%} | {scores.median_ape:.1%} | {scores.largest_ape:.1%} |"


def main() -> None:
    """Fit, and write the runtime into every profile."""
    found = figures()
    logs = fit(found)
    print(*section(), sep="\n")
    for name in (*FITTED, *CARRIED):
        path = Path(device(name).path)
        path.write_text(_profile(path.read_text(encoding="utf-8"), name, logs, judged(found, logs)), encoding="utf-8")


def _profile(text: str, name: str, logs: np.ndarray, scores: Scores) -> str:
    """The profile's text with the runtime."""
    source = (
        f"four factors on the RTX 4090's constants of compiled kernels, fitted to {scores.rows} figures of an A100 and a V100 in tensorrt.csv "
        f"(google/automl efficientnetv2, TensorRT 8.0), mean error {scores.mape:.1%}; python -m tests.calibration.tensorrt_profiles"
    )
    table = ("processors", "gpu", "runtimes", RUNTIME)
    text = with_values(without_tables(text, table), {("sources",): {"fit_tensorrt": f'"{source}"'}})
    made = {key: _rounded(value) for key, value in constants(name, logs).items()}
    peaks = _gpu(name)["peak_tflop_per_s"]
    dtypes = {"fp16": _precision(made, fitted=name in FITTED)}
    if peaks.get("int8", 0) >= 2 * peaks["fp16"]:  # on the tensor units as well
        dtypes["int8"] = _precision(made, fitted=False)
    stack = {"lowering": RUNTIME, "law": "gpu_tiles", "layouts": ["nhwc"], "dtypes": dtypes}
    return text.rstrip("\n") + "\n" + "\n".join(tables(stack, table)) + "\n"


def _precision(made: Mapping[str, Any], *, fitted: bool) -> dict[str, Any]:
    """One precision of the runtime. Factors: a part held out errs by at most 1.34, and by over 1.2 in a quarter of its figures."""
    return {
        "basis": "calibrated" if fitted else "transferred",
        "interval_factor": {"value": 1.3 if fitted else 1.5, "kind": "assumed", "source": "fit_tensorrt"},
        "measured_kinds": list(MEASURED_KINDS),
        "parameters": {"kind": "fitted" if fitted else "assumed", "source": "fit_tensorrt", **made},
    }


#: Kinds of work that EfficientNets are made of.
MEASURED_KINDS: Collection[str] = (
    *("convolution", "pointwise-convolution", "depthwise-convolution", "linear", "elementwise", "exp", "batch-normalisation", "reduction"),
)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return float(number(value, 4)) if isinstance(value, float) else value


def _gpu(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = tomllib.loads(Path(device(name).path).read_text(encoding="utf-8"))["processors"]["gpu"]
    return found


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers without where they are from."""
    found = {key: value["value"] if isinstance(value, Mapping) and "value" in value else value for key, value in parameters.items()}
    return {key: _plain(value) if isinstance(value, Mapping) else value for key, value in found.items() if key not in ("kind", "source")}


def _plain_over_half(gpu: Mapping[str, Any]) -> float:
    return float(gpu["peak_tflop_per_s"]["fp32"]) / float(gpu["peak_tflop_per_s"]["fp16"])


if __name__ == "__main__":
    main()
