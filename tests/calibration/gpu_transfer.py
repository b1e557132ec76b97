"""Depthwise windows of GPUs that nobody fitted: ``python -m tests.calibration.gpu_transfer`` writes their rates into the profiles.

Depthwise convolutions run on the plain cores beside the tensor units: what an RTX reaches of its fp32 peak is taken for a part of another class, in
any precision. Carried over as a share of the half-precision peak, an A100 would multiply by depthwise windows at twice its fp32 peak.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from costmodel.calibration.profile_text import Table, sourced, with_values
from costmodel.devices import profile_folder

#: Runtime -> the RTX whose fit of its rows says what depthwise windows reach.
FITTED = {"torch-eager": "rtx3090", "torch-compile": "rtx4090"}
TARGETS = ("a100", "h100", "h200", "l4", "t4", "v100")
KIND, SOURCE = "depthwise-convolution", "depthwise"


def main() -> None:
    """Rewrite every target's profile."""
    for name in TARGETS:
        path = profile_folder() / f"{name}.toml"
        path.write_text(with_values(path.read_text(encoding="utf-8"), changes(read(name))), encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """A profile as its file states it."""
    return tomllib.loads((profile_folder() / f"{name}.toml").read_text(encoding="utf-8"))


def changes(profile: Mapping[str, Any]) -> dict[Table, dict[str, str]]:
    """The literals that replace those of a profile, by table."""
    gpu = profile["processors"]["gpu"]
    peaks = gpu["peak_tflop_per_s"]
    reached = {runtime: of_fp32_peak(runtime) for runtime in FITTED}
    stated = ", ".join(f"{share:.0%} under {runtime} ({FITTED[runtime]})" for runtime, share in reached.items())
    text = f'"assumed: of the fp32 peak what the fits of the RTX reach, {stated}; python -m tests.calibration.gpu_transfer"'
    found: dict[Table, dict[str, str]] = {("sources",): {SOURCE: text}}
    for runtime, share in reached.items():
        for dtype in gpu["runtimes"][runtime]["dtypes"]:
            peak = peaks[dtype if dtype in peaks else "fp16"]
            table = ("processors", "gpu", "runtimes", runtime, "dtypes", dtype, "parameters", "compute_share")
            found[table] = {KIND: sourced(share * peaks["fp32"] / peak, "assumed", SOURCE)}
    return found


def of_fp32_peak(runtime: str) -> float:
    """What depthwise windows reach of the fp32 peak on the RTX that was fitted."""
    gpu = read(FITTED[runtime])["processors"]["gpu"]
    share = gpu["runtimes"][runtime]["dtypes"]["amp"]["parameters"]["compute_share"][KIND]["value"]
    return float(share * gpu["peak_tflop_per_s"]["fp16"] / gpu["peak_tflop_per_s"]["fp32"])


if __name__ == "__main__":
    main()
