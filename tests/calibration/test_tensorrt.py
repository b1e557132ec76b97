"""TensorRT's constants are what its published figures make of them, within what the parts can do."""

from __future__ import annotations

import pytest

import costmodel
from costmodel.devices import device
from tests.calibration import tensorrt_profiles


def test_the_profiles_constants_come_out_again() -> None:
    logs = tensorrt_profiles.fit(tensorrt_profiles.figures())
    for name in ("a100", "v100", "t4"):
        shipped = device(name).profile.processors["gpu"].runtimes["tensorrt"].dtypes["fp16"].parameters
        made = tensorrt_profiles.constants(name, logs)
        for constant in ("kernel_us", "step_ns", "fetch_ns"):
            assert shipped[constant] == pytest.approx(made[constant], rel=5e-3)
        for table in ("compute_share", "memory_share"):
            assert shipped[table] == pytest.approx(made[table], rel=5e-3)


def test_depthwise_windows_follow_the_fp32_peak_and_double_in_int8() -> None:
    offering, shares = [], {}
    for name in (*tensorrt_profiles.FITTED, *tensorrt_profiles.CARRIED):
        gpu = device(name).profile.processors["gpu"]
        own = {dtype: precision.parameters["compute_share"]["depthwise-convolution"] for dtype, precision in gpu.runtimes["tensorrt"].dtypes.items()}
        assert own == pytest.approx(dict.fromkeys(own, own["fp16"]), rel=1e-3), name
        shares[name] = own["fp16"] * gpu.peak_tflop_per_s["fp16"] / gpu.peak_tflop_per_s["fp32"]
        offering += [name] if "int8" in own else []
    assert shares == pytest.approx(dict.fromkeys(shares, shares["a100"]), rel=5e-3)
    assert {"a100", "h100", "t4", "l4"} <= set(offering)


def test_intervals_are_as_wide_as_what_was_held_out_errs() -> None:
    widths = tensorrt_profiles.factors(tensorrt_profiles.fit(tensorrt_profiles.figures()))
    for name in (*tensorrt_profiles.FITTED, *tensorrt_profiles.CARRIED):
        for dtype, precision in device(name).profile.processors["gpu"].runtimes["tensorrt"].dtypes.items():
            assert precision.interval_factor == pytest.approx(widths[dtype, name in tensorrt_profiles.FITTED], rel=5e-3), (name, dtype)
    for kind, fitted in (("network", True), ("device", False)):
        splits = [split for split in tensorrt_profiles.splits() if split.kind == kind]
        largest = max(tensorrt_profiles.judged(split.held, split.logs).largest_ape for split in splits)
        assert widths["fp16", fitted] >= 1 + largest


@pytest.mark.parametrize(
    ("kind", "name", "most"),
    [("network", "efficientnet-b4", 0.07), ("network", "efficientnetv2-s@384", 0.07), ("device", "v100", 0.06), ("device", "a100", 0.08)],
)
def test_networks_and_parts_that_were_held_out_stay_near_the_figures(kind: str, name: str, most: float) -> None:
    (split,) = (split for split in tensorrt_profiles.splits() if (split.kind, split.name) == (kind, name))
    assert all(getattr(figure.row, kind) == name for figure in split.held)
    assert tensorrt_profiles.judged(split.held, split.logs).mape < most


def test_the_constants_of_fp16_hold_in_int8_which_took_no_part() -> None:
    logs = tensorrt_profiles.fit(tensorrt_profiles.figures())
    assert tensorrt_profiles.judged(tensorrt_profiles.figures("int8"), logs).mape < 0.2
    halved = {}
    for dtype in ("fp16", "int8"):
        chosen = tensorrt_profiles.figures(dtype)
        (one,) = (figure for figure in chosen if (figure.row.device, figure.row.network, figure.row.batch) == ("a100", "efficientnet-b4", 1))
        halved[dtype] = tensorrt_profiles.predicted([one], logs)[0]
    assert 1.2 < halved["fp16"] / halved["int8"] < 2  # steps along K halve, the time of a kernel does not


def test_an_engine_costs_no_host_time_and_less_a_sample_in_batches() -> None:
    one, many = (costmodel.estimate("efficientnet-b4", device="a100", runtime="tensorrt", batch=batch) for batch in (1, 64))
    assert not any("launch" in warning for warning in one.warnings)
    assert many.latency_s / 64 < one.latency_s / 3


def test_integers_are_offered_where_the_tensor_units_multiply_them() -> None:
    assert set(device("a100").profile.processors["gpu"].runtimes["tensorrt"].dtypes) == {"fp16", "int8"}
    assert set(device("v100").profile.processors["gpu"].runtimes["tensorrt"].dtypes) == {"fp16"}
