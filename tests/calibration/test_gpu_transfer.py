"""Depthwise windows of GPUs that nobody fitted follow their fp32 peak, as the command writes it."""

from __future__ import annotations

import pytest

from costmodel.calibration.profile_text import with_values
from costmodel.devices import device, profile_folder
from costmodel.devices._profile import Processor
from tests.calibration import gpu_transfer


@pytest.mark.parametrize("name", gpu_transfer.TARGETS)
def test_the_command_finds_nothing_to_change(name: str) -> None:
    text = (profile_folder() / f"{name}.toml").read_text(encoding="utf-8")
    assert with_values(text, gpu_transfer.changes(gpu_transfer.read(name))) == text


@pytest.mark.parametrize("name", gpu_transfer.TARGETS)
@pytest.mark.parametrize("runtime", gpu_transfer.FITTED)
def test_the_rate_is_a_share_of_the_fp32_peak_in_every_precision(name: str, runtime: str) -> None:
    gpu = device(name).profile.processors["gpu"]
    fitted = device(gpu_transfer.FITTED[runtime]).profile.processors["gpu"]
    shares = [_rate(fitted, runtime, "amp") / fitted.peak_tflop_per_s["fp32"]]
    shares += [_rate(gpu, runtime, dtype) / gpu.peak_tflop_per_s["fp32"] for dtype in gpu.runtimes[runtime].dtypes]
    assert len(shares) > 1
    assert shares == pytest.approx([shares[0]] * len(shares), rel=1e-3)


def _rate(gpu: Processor, runtime: str, dtype: str) -> float:
    """TFLOP/s that depthwise windows reach of a precision's peak; autocast's is that of fp16."""
    peaks = gpu.peak_tflop_per_s
    share = gpu.runtimes[runtime].dtypes[dtype].parameters["compute_share"][gpu_transfer.KIND]
    return float(share * peaks.get(dtype, peaks["fp16"]))
