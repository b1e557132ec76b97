"""Fitted constants carried over to GPUs that nobody fitted: ``python -m tests.calibration.gpu_transfer`` rewrites their profiles.

Eager constants are the RTX 3090's, compiled ones the RTX 4090's (an RTX 5090 has both from the 4090). Shares of peak are multiplied by what the part's
best measured GEMM reaches over what that RTX's does, shares of bandwidth by the same of its copies; both stand in the profile's `efficiency` source.
Depthwise windows run beside the tensor units, so that their share of the half-precision peak also follows the peak of fp32.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.calibration.profile_text import Table, number, with_values

FOLDER = Path(__file__).parents[2] / "device_profiles"
FITTED = {"torch-eager": "rtx3090", "torch-compile": "rtx4090"}
#: Best half-precision GEMM over the stated peak, of the part that was fitted, and the RTX 3090's copies over its bandwidth
#: (zzc0721/torch-performance-test-data).
GEMM = {"torch-eager": 1.08, "torch-compile": 1.05}
COPY = 0.87
TARGETS = ("a100", "h100", "h200", "l4", "t4", "v100", "rtx5090")
SCALARS = ("overlap", "kernel_us", "k_half", "n_half", "m_half", "misaligned_factor", "window_factor", "strided_factor")
#: Not on the tensor units: shares of the fp32 peak, which no GEMM speaks of.
_PLAIN = frozenset({"normalisation", "pooling", "default"})
_MEASURED = re.compile(r"GEMM share of ([0-9.]+).*copy share of ([0-9.]+)")


def main() -> None:
    """Rewrite every target's profile."""
    for name in TARGETS:
        path = FOLDER / f"{name}.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(with_values(text, changes(name, tomllib.loads(text))), encoding="utf-8")


def changes(name: str, profile: Mapping[str, Any]) -> dict[Table, dict[str, str]]:
    """The literals that replace those of a profile, by table."""
    found: dict[Table, dict[str, str]] = {}
    measured = _MEASURED.search(profile["sources"]["efficiency"])
    gpu = profile["processors"]["gpu"]
    for runtime, section in gpu["runtimes"].items():
        source = _gpu("rtx4090" if name == "rtx5090" else FITTED[runtime])
        fitted = source["runtimes"][runtime]["dtypes"]["amp"]["parameters"]
        gemm, copy = (float(measured[1]) / GEMM[runtime], float(measured[2]) / COPY) if measured else (1.0, 1.0)
        depthwise = _plain_over_half(gpu) / _plain_over_half(source)
        for dtype in section["dtypes"]:
            base = ("processors", "gpu", "runtimes", runtime, "dtypes", dtype, "parameters")
            found[base] = {"cache_bonus": '{ value = 0, kind = "assumed", source = "shape" }'}
            if dtype == "fp32":
                continue
            found[base] |= {key: _rounded(_value(fitted[key])) for key in SCALARS}
            compute = {kind: _value(share) * _factor(kind, gemm, depthwise) for kind, share in fitted["compute_share"].items()}
            found[*base, "compute_share"] = {kind: _rounded(min(1.05, share)) for kind, share in compute.items()}
            found[*base, "memory_share"] = {kind: _rounded(min(1.0, _value(share) * copy)) for kind, share in fitted["memory_share"].items()}
            if "relayout_passes" in fitted:
                found[*base, "relayout_passes"] = {kind: _rounded(_value(passes)) for kind, passes in fitted["relayout_passes"].items()}
    return found


def _factor(kind: str, gemm: float, depthwise: float) -> float:
    if kind in _PLAIN:
        return 1.0
    return gemm * depthwise if kind == "depthwise-convolution" else gemm


def _gpu(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))["processors"]["gpu"]
    return found


def _plain_over_half(gpu: Mapping[str, Any]) -> float:
    return float(gpu["peak_tflop_per_s"]["fp32"]) / float(gpu["peak_tflop_per_s"]["fp16"])


def _value(entry: Any) -> float:
    return float(entry["value"] if isinstance(entry, Mapping) else entry)


def _rounded(value: float) -> str:
    return number(value, 3)


if __name__ == "__main__":
    main()
