"""Constants of a relative follow what the datasheets say of both devices, and nothing else."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from costmodel.calibration.profile_text import without_tables
from costmodel.calibration.transfer import DECODED, IN_ORDER, STREAMED, carried_over, profile_text, with_relative
from costmodel.devices import parse_device
from costmodel.errors import InvalidFileError, ProfileError, UsageError
from costmodel.laws._cycle_constants import MOVED, Constants
from tests.calibration.suggested import TRANSFERS
from tests.calibration.transferred import errors

CONSTANTS = dict.fromkeys(Constants.model_fields, 8.0)
WINDOWS = {"depthwise_cycles_per_mac", "depthwise_strided_cycles_per_mac"}


def processor(core: str, *, clock: float = 2.0, bandwidth: float = 20.0, fp32: float = 8.0, int8: float = 16.0) -> dict[str, Any]:
    """A processor of one cluster, as a profile states it."""
    cluster = {"name": "large", "core": core, "cores": 1, "clock_ghz": clock, "flops_per_cycle": {"fp32": fp32, "int8": int8}}
    return {"clusters": [cluster], "memory": {"bandwidth_gb_per_s": bandwidth}}


def scaled(given: Mapping[str, Any], wanted: Mapping[str, Any], dtype: str = "fp32", *, vectorised: bool = False) -> dict[str, float]:
    """What each constant is multiplied by."""
    (origin,), (core,) = given["clusters"], wanted["clusters"]
    found = carried_over({origin["core"]: CONSTANTS}, wanted, given, dtype, vectorised=vectorised)
    return {name: value / 8.0 for name, value in found[core["core"]].items()}


#: (relative, device, precision, vectorised) -> what products, windows, moved elements and all else are multiplied by.
RULES = {
    "nothing differs": (processor("cortex-a75"), processor("cortex-a75"), "fp32", False, (1, 1, 1, 1)),
    "multipliers": (processor("cortex-a75", fp32=8), processor("cortex-a75", fp32=24), "fp32", False, (8 / 24, 8 / 24, 1, 1)),
    "dot products, which windows have no use for": (processor("cortex-a76", int8=32), processor("cortex-a76"), "int8", False, (32 / 16, 1, 1, 1)),
    "a library that uses them": (processor("cortex-a76", int8=32), processor("cortex-a76"), "int8", True, (32 / 16, 32 / 16, 1, 1)),
    "matrix instructions, which no kernel knows": (processor("cortex-a76", int8=32), processor("cortex-a76", int8=64), "int8", False, (1, 1, 1, 1)),
    "a library that knows them": (processor("cortex-a76", int8=64), processor("cortex-a76", int8=32), "int8", True, (64 / 32, 1, 1, 1)),
    "a narrower core": (processor("cortex-a76"), processor("cortex-a75"), "fp32", False, (1, 1, (4 / 3) ** 0.5, (4 / 3) ** 0.5)),
    "a core of unknown width": (processor("cortex-a76"), processor("kryo"), "fp32", False, (1, 1, 1, 1)),
    "a slower memory": (processor("cortex-a76"), processor("cortex-a76", bandwidth=10), "fp32", False, (1, 1, 20 / 10, 1)),
    "a slower clock": (processor("cortex-a76"), processor("cortex-a76", clock=1.5), "fp32", False, (1, 1, 1.5 / 2, 1)),
    "a library that keeps to caches": (processor("cortex-a76"), processor("cortex-a76", bandwidth=10), "fp32", True, (1, 1, 1, 1)),
    "in order": (processor("cortex-a73"), processor("cortex-a53"), "fp32", False, (1, 1, 2, 2)),
    "not any more": (processor("cortex-a53"), processor("cortex-a73"), "fp32", False, (1, 1, 1 / 2, 1 / 2)),
}


@pytest.mark.parametrize("name", RULES)
def test_constants_follow_the_datasheets(name: str) -> None:
    given, wanted, dtype, vectorised, (product, window, moved, rest) = RULES[name]
    found = scaled(given, wanted, dtype, vectorised=vectorised)
    assert found["gemm_cycles_per_mac"] == pytest.approx(product, rel=1e-3)
    assert [found[constant] for constant in sorted(WINDOWS)] == pytest.approx([window] * len(WINDOWS), rel=1e-3)
    assert [found[constant] for constant in sorted(MOVED)] == pytest.approx([moved] * len(MOVED), rel=1e-3)
    assert found["kernel_cycles"] == found["tile_cycles_per_output"] == pytest.approx(rest, rel=1e-3)
    assert found["grouped_cycles_per_mac"] == pytest.approx(window if vectorised else rest, rel=1e-3)


@pytest.mark.parametrize("relative", ["dimensity-9300", "snapdragon-8gen2"])
def test_cores_that_multiply_matrices_are_relatives_of_others(relative: str) -> None:
    """Their constants in int8, fitted with such instructions, are within the peak of a core that has none, under every runtime."""
    mine = without_tables(profile_text("raspberry-pi-5")[0], ("processors", "cpu", "runtimes"))
    found = parse_device(with_relative(mine, "mine.toml", *profile_text(relative)).encode(), "mine.toml")
    assert "int8" in found.profile.processors["cpu"].runtimes["ncnn"].dtypes


def test_the_fastest_cluster_of_a_core_decides() -> None:
    wanted = processor("cortex-a76", clock=3.0)
    wanted["clusters"].append({**wanted["clusters"][0], "name": "medium", "clock_ghz": 1.0})
    found = carried_over({"cortex-a76": CONSTANTS}, wanted, processor("cortex-a76"), "fp32", vectorised=False)
    assert found["cortex-a76"]["pack_cycles_per_element"] == 8 * 3 / 2


#: (given, wanted) in order -> what moved elements are multiplied by, and what streams.
IN_ORDER_WAITS = {
    "a slower memory": (processor("cortex-a55"), processor("cortex-a55", bandwidth=10), (1, 20 / 10)),
    "a faster clock": (processor("cortex-a55"), processor("cortex-a55", clock=3), (3 / 2, 3 / 2)),
    "both": (processor("cortex-a55"), processor("cortex-a55", clock=3, bandwidth=10), (3 / 2, 3 / 2 * 20 / 10)),
}


@pytest.mark.parametrize("name", IN_ORDER_WAITS)
def test_in_order_cores_wait_for_latency(name: str) -> None:
    given, wanted, (moved, streamed) = IN_ORDER_WAITS[name]
    found = scaled(given, wanted)
    assert {found[constant] for constant in MOVED - {STREAMED}} == {moved}
    assert found[STREAMED] == streamed


def test_what_streams_follows_the_last_cache_that_a_cluster_reaches() -> None:
    given, wanted = processor("cortex-a76"), processor("cortex-a76")
    for each, largest in ((given, 2048), (wanted, 4096)):
        each["memory"]["caches"] = [{"capacity_kib": largest / 2}, {"capacity_kib": largest}]
    assert scaled(given, wanted)[STREAMED] == 2048 / 4096
    wanted["clusters"][0]["last_cache_kib"] = {"value": 512, "kind": "assumed"}
    found = scaled(given, wanted)
    assert found[STREAMED] == 2048 / 512
    assert found["pack_cycles_per_element"] == 1


def test_in_order_cores_are_known_by_their_width() -> None:
    assert IN_ORDER - {"cortex-a7", "cortex-a35"} <= DECODED.keys()  # of no profile


#: What a profile lacks -> what is said of it.
LACKING = {
    "bandwidth_gb_per_s = 28.8\n": r"processors\.cpu\.memory\.bandwidth_gb_per_s: is missing",
    "clock_ghz = 2.73\n": r"processors\.cpu\.clusters\.0\.clock_ghz: is missing",
    "flops_per_cycle = { fp32 = 24, fp16 = 32, int8 = 96,": r"processors\.cpu\.clusters\.0\.flops_per_cycle: is missing",
}


@pytest.mark.parametrize("lacking", LACKING)
def test_a_datasheet_that_lacks_a_figure_is_refused_by_its_name_and_line(lacking: str) -> None:
    text, path = profile_text("galaxy-s10")
    assert lacking in text
    without = text.replace(lacking, "" if lacking.endswith("\n") else "flops = { fp32 = 24,", 1)
    with pytest.raises(ProfileError, match=rf"galaxy-s10\.toml:\d+: {LACKING[lacking]}"):
        with_relative(without, path, *profile_text("pixel4"))


#: Faults of a relative: (what to replace in a Pixel 4's profile, with what, what is said of it). An empty first text replaces everything.
FAULTS_OF_A_RELATIVE = {
    "cut off": ("", "[processors.cpu", r"other\.toml: is not TOML|other\.toml:\d+: is not TOML"),
    "nested": ("", "a = " + 5000 * "[" + 5000 * "]", "other.toml: is nested too deeply"),
    "long number": ("", "a = " + 5000 * "9", "other.toml: has a number that cannot be read"),
    "number for a table": ("", "processors = 3", r"other\.toml:1: processors: "),
    "negative clock": ("clock_ghz = { value = 2.84", "clock_ghz = { value = -2.84", r"other\.toml:\d+: processors\.cpu\.clusters\.0\.clock_ghz"),
    "no name": ('name = "pixel4"', 'name = ""', r"other\.toml:\d+: name: "),
}


@pytest.mark.parametrize("fault", FAULTS_OF_A_RELATIVE)
def test_a_faulty_relative_is_refused_by_its_own_name_and_lines(fault: str) -> None:
    relative, (before, after, words) = profile_text("pixel4")[0], FAULTS_OF_A_RELATIVE[fault]
    assert before in relative
    with pytest.raises(InvalidFileError, match=words) as caught:
        with_relative(*profile_text("galaxy-s10"), relative.replace(before, after, 1) if before else after, "other.toml")
    assert "galaxy-s10.toml" not in str(caught.value)


def _hardware(name: str) -> str:
    return without_tables(profile_text(name)[0], ("processors", "cpu", "runtimes"))


def test_a_relative_of_hardware_alone_is_refused_with_the_next_step() -> None:
    with pytest.raises(ProfileError, match=r"other\.toml:\d+: processors\.cpu\.runtimes: is missing; `costmodel calibrate FILE\.toml --like NAME`"):
        with_relative(*profile_text("galaxy-s10"), _hardware("pixel1"), "other.toml")


def test_a_relative_without_the_default_runtime_is_named() -> None:
    # failed before: the error blamed the device's own profile
    with pytest.raises(UsageError, match="--like h100: its gpu has no constants under tflite-gpu, which galaxy-s10's runs, but under torch-eager"):
        with_relative(*profile_text("galaxy-s10"), *profile_text("h100"))


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("", r"mine\.toml:\d+: processors: "),
        ("processors = 3\n", r"mine\.toml:1: processors: "),
        ("[processors]\ncpu = 3\n", r"mine\.toml:\d+: processors\.cpu: "),
        ("a = " + 5000 * "[" + 5000 * "]", "mine.toml: is nested too deeply"),
    ],
)
def test_faulty_hardware_is_refused_before_anything_is_carried_over(after: str, words: str) -> None:
    with pytest.raises(InvalidFileError, match=words):
        with_relative(after, "mine.toml", *profile_text("pixel4"))


def test_runtimes_that_are_no_tables_cannot_be_replaced() -> None:
    mine = _hardware("pixel1").replace("[processors.cpu]\n", "[processors.cpu]\nruntimes = 3\n", 1)
    with pytest.raises(InvalidFileError, match=r"mine\.toml: processors\.cpu\.runtimes is no table .* leave it out"):
        with_relative(mine, "mine.toml", *profile_text("pixel4"))


def test_the_source_says_what_was_done_unless_somebody_wrote_one() -> None:
    text, path = profile_text("galaxy-s10")
    mine = text.replace('like = "constants of pixel4', 'like = "mine: constants of pixel4', 1)
    made, kept = (tomllib.loads(with_relative(given, path, *profile_text("pixel4")))["sources"]["like"] for given in (text, mine))
    assert made.startswith("constants of pixel4 in cycles")
    assert "moved elements by clock over bandwidth" in made
    assert kept == tomllib.loads(mine)["sources"]["like"] != made


@pytest.mark.parametrize("name", ["pixel1", "rk3588", "raspberry-pi-zero-2w", "kirin-970"])
def test_profiles_of_a_relatives_constants_are_valid(name: str) -> None:
    text, path = profile_text(name)
    found = parse_device(with_relative(text, path, *profile_text("pixel4")).encode(), path)
    assert {precision.basis for precision in found.profile.processors["cpu"].runtimes["tflite-padded"].dtypes.values()} == {"transferred"}


#: What `reports/accuracy.md` says of each transfer before any row, and a point of room.
BEFORE_ANY_ROW = (0.142, 0.148, 0.234, 0.114, 0.092, 0.182, 0.133)


@pytest.mark.parametrize(("transfer", "most"), list(zip(TRANSFERS, BEFORE_ANY_ROW, strict=True)))
def test_datasheets_alone_predict_a_phone(transfer: tuple[str, str, str], most: float) -> None:
    found = [abs(error) for error in errors(*transfer, "fp32")]
    assert sum(found) / len(found) < most
