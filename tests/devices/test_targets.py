"""Targets: defaults, cores and threads, and what is refused."""

from __future__ import annotations

import pickle

import pytest

import costmodel
from costmodel.errors import UsageError


def test_pixel4_defaults_to_one_large_core_in_fp32_under_tflite() -> None:
    target = costmodel.target("pixel4")
    assert (target.processor, target.runtime, target.dtype, target.cores_text, target.threads, target.layout) == (
        "cpu",
        "tflite",
        "fp32",
        "large=1",
        1,
        "nhwc",
    )


@pytest.mark.parametrize(("threads", "cores"), [(1, "large=1"), (2, "large=1,medium=1"), (4, "large=1,medium=3"), (6, "large=1,medium=3,small=2")])
def test_threads_take_the_fastest_cores(threads: int, cores: str) -> None:
    assert costmodel.target("pixel4", threads=threads).cores_text == cores


@pytest.mark.parametrize(("cores", "clocks"), [("large=1", (2.5,)), ("large=2", (2.38,)), ("large=1,small=1", (2.5, 1.59)), ("small=4", (1.59,))])
def test_busy_neighbours_lower_the_clock_where_a_profile_says_so(cores: str, clocks: tuple[float, ...]) -> None:
    assert tuple(group.clock_hz / 1e9 for group in costmodel.target("iphone-xs", cores=cores).machine.cores) == pytest.approx(clocks)


def test_servers_use_all_cores_and_gpus_have_none_to_choose() -> None:
    assert costmodel.target("xeon-e5-2690").cores_text == "large=8"
    assert costmodel.target("a100").cores_text is None
    assert costmodel.target("a100").threads is None
    assert costmodel.target("coral-usb").processor == "edgetpu"


@pytest.mark.parametrize(
    ("device", "options", "words"),
    [
        ("pixel4", {"threads": 0}, "between 1 and 8"),
        ("pixel4", {"threads": 9}, "between 1 and 8"),
        ("pixel4", {"threads": 2, "cores": "large=1"}, "not both"),
        ("pixel4", {"cores": "large=2"}, "there is 1 large core"),
        ("pixel4", {"cores": "huge=1"}, "unknown cluster"),
        ("pixel4", {"cores": "large"}, "must look like"),
        ("pixel4", {"cores": "large=1,large=1"}, "cannot be had"),
        ("pixel4", {"processor": "npu"}, "unknown processor of pixel4"),
        ("pixel4", {"runtime": "tflitee"}, "did you mean tflite"),
        ("pixel4", {"runtime": "tflite-gpu"}, "add --processor gpu"),
        ("pixel4", {"dtype": "bf16"}, "has no figures for bf16"),
        ("pixel4", {"layout": "nchw"}, "stores images as nhwc"),
        ("a100", {"threads": 4}, "used as a whole"),
        ("", {}, "empty"),
    ],
)
def test_what_a_device_does_not_offer_is_refused(device: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        costmodel.target(device, **options)  # type: ignore[arg-type]  # options are checked at run time


@pytest.mark.parametrize(
    ("cores", "basis"), [("large=1", "calibrated"), ("large=2", "calibrated"), ("small=1", "transferred"), ("large=4,small=2", "transferred")]
)
def test_cores_that_no_row_was_fitted_to_do_not_count_as_calibrated(cores: str, basis: str) -> None:
    evidence = costmodel.target("khadas-vim3", runtime="ncnn", cores=cores).evidence()
    assert evidence.basis == basis
    assert bool(evidence.borrowed) == ("small" in cores)
    assert all(entry == "constants of cortex-a53 (fitted: cortex-a73)" for entry in evidence.borrowed)


def test_targets_are_picklable() -> None:
    target = costmodel.target("pixel4", processor="edgetpu")
    again = pickle.loads(pickle.dumps(target))
    assert costmodel.estimate("mobilenet-v1", target=again).latency_s == costmodel.estimate("mobilenet-v1", target=target).latency_s
