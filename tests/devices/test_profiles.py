"""Every shipped profile is valid, sourced and physical; and every kind of fault in one is named with its line."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel.devices import load_device, parse_device, profile_folder
from costmodel.errors import InvalidFileError, ProfileError
from costmodel.lowering import lower
from costmodel.work import CONTRACTIONS, WorkKind

PROMISED = (
    *("pixel1", "pixel2", "pixel3", "pixel4", "pixel6", "galaxy-s10", "iphone-xs", "raspberry-pi-4", "raspberry-pi-5", "coral-usb", "coral-devboard"),
    *("jetson-nano", "jetson-tx2", "snapdragon-855plus", "snapdragon-888", "snapdragon-8gen2", "dimensity-9300", "rk3588"),
    *("xeon-e5-2690", "i9-10940x", "i7-12700h", "v100", "t4", "l4", "a100", "h100", "h200", "rtx3090", "rtx4090", "rtx5090", "rtxpro6000maxq"),
    *("snapdragon-820", "titan-x", "k80", "tpu-v3", "coral-usb-rpi3"),
)
PIXEL4 = (profile_folder() / "pixel4.toml").read_text(encoding="utf-8")


def test_all_promised_profiles_exist() -> None:
    assert set(PROMISED) <= set(costmodel.device_names())


@pytest.mark.parametrize("name", costmodel.device_names())
def test_profile_is_named_like_its_file_and_every_number_has_a_source(name: str) -> None:
    device = costmodel.device(name)
    assert device.name == name
    assert len(device.provenance) > 30
    assert all(entry.kind in ("datasheet", "measured", "fitted", "assumed") and len(entry.source) > 10 for entry in device.provenance.values())


@pytest.mark.parametrize("name", costmodel.device_names())
def test_every_source_of_a_profile_is_one_of_a_number(name: str) -> None:
    document = tomllib.loads((profile_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    assert set(document.pop("sources")) == set(_named(document))


def _named(value: Any) -> Iterator[str]:
    """Keys of sources anywhere inside."""
    if isinstance(value, dict):
        yield from [value["source"]] if isinstance(value.get("source"), str) else []
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _named(item)


def _targets() -> list[tuple[str, str, str, str]]:
    return [
        (name, processor, runtime, dtype)
        for name in costmodel.device_names()
        for processor, unit in costmodel.device(name).profile.processors.items()
        for runtime, stack in unit.runtimes.items()
        for dtype in (unit.runtimes[stack.like] if stack.like else stack).dtypes
    ]


@pytest.mark.parametrize(("name", "processor", "runtime", "dtype"), _targets())
def test_no_kernel_beats_its_compute_or_bandwidth_bound(name: str, processor: str, runtime: str, dtype: str) -> None:
    """Arithmetic at most at the peak (5.0625 times fewer MACs under Winograd), traffic at most at the level that holds it."""
    target = costmodel.target(name, processor=processor, runtime=runtime, dtype=dtype)
    machine = target.machine
    transforms = any(constants.winograd_cycles_per_mac for constants in getattr(machine.parameters, "cores", {}).values())
    winograd = 1.0 if target.law.__name__.endswith(("linear_work", "systolic_array")) and not transforms else 36 * 9 / 64
    for network in ("efficientnet-b0", "resnet-18", "mobilenet-v3-small", "deit-ti"):
        graph = costmodel.build(network)
        works = {kernel.name: kernel.works[0] for kernel in lower(graph, target.rules, target.dtype).kernels}
        for kernel in costmodel.estimate(graph, target=target).kernels:
            if name.startswith("coral") and dtype != "int8":
                continue
            peak = machine.peak("fp32") if kernel.kind not in CONTRACTIONS else max(machine.peak_flops_per_s.values())
            if processor == "edgetpu":  # nonlinearities are table look-ups there, and kernels on the host run at the host's rates
                peak = max(peak, machine.host[1].peak("int8")) if machine.host else peak
            factor = winograd if kernel.kind == WorkKind.CONVOLUTION and (works[kernel.name].taps, works[kernel.name].stride) == (9, 1) else 1.0
            assert kernel.latency_s * 1.05 * peak * factor >= 2 * kernel.macs, kernel
            if processor != "edgetpu":
                assert kernel.latency_s * 1.05 * max(level.bytes_per_s for level in machine.levels) >= kernel.traffic_bytes, kernel
            assert kernel.latency_s >= 0
            assert math.isfinite(kernel.latency_s)


@pytest.mark.parametrize(("name", "processor", "runtime", "dtype"), _targets())
def test_everything_in_the_zoo_families_is_modelled(name: str, processor: str, runtime: str, dtype: str) -> None:
    target = costmodel.target(name, processor=processor, runtime=runtime, dtype=dtype)
    for network in ("efficientnet-b0", "efficientnet-lite0", "mobilenet-v1", "mobilenet-v3-large", "resnet-50", "vit-b-32"):
        assert costmodel.estimate(network, target=target).unmodelled == ()


#: (what to replace, with what, the words that the message must have). One fault each; the line is checked too.
FAULTS = {
    "misspelt key": ("default_dtype", "default_dtpye", ("default_dtpye", "no key", "did you mean 'default_dtype'")),
    "negative": ("clock_ghz = { value = 2.84", "clock_ghz = { value = -2.84", ("clock_ghz", "greater than 0", "-2.84")),
    "zero": ("bandwidth_gb_per_s = 34.1", "bandwidth_gb_per_s = 0", ("bandwidth_gb_per_s", "greater than or equal to 0.01")),
    "not a number": ("gemm_cycles_per_mac = { value = 0.1381", "gemm_cycles_per_mac = { value = nan", ("gemm_cycles_per_mac", "finite")),
    "beyond any core": ("flops_per_cycle = { fp32 = 16", "flops_per_cycle = { fp32 = 1e300", ("flops_per_cycle.fp32", "less than or equal to 65536")),
    "infinite": ("tile_cycles_per_output = { value = 1.89", "tile_cycles_per_output = { value = inf", ("tile_cycles_per_output", "finite")),
    "wrong type": ("capacity_gib = 6", 'capacity_gib = "six"', ("capacity_gib", "number", "'six'")),
    "over the peak": (
        "gemm_cycles_per_mac = { value = 0.1381",
        "gemm_cycles_per_mac = { value = 0.110",
        ("gemm_cycles_per_mac", "9.091 MAC a cycle", "peak of 8"),
    ),
    "efficiency over 1.05": ("efficiency = { value = 0.30", "efficiency = { value = 1.2", ("efficiency", "less than or equal to 1.05", "1.2")),
    "link over its ceiling": ("link_gb_per_s = 17", "link_gb_per_s = 40", ("link_gb_per_s", "over link_ceiling_gb_per_s = 34.1")),
    "unknown law": ('law = "systolic_array"', 'law = "systolic"', ("law", "'systolic'", "did you mean 'systolic_array'")),
    "unknown rule set": ('lowering = "edgetpu"', 'lowering = "edgetpux"', ("lowering", "did you mean 'edgetpu'")),
    "unknown work kind": ('"grouped-convolution", "linear"', '"groupd-convolution", "linear"', ("measured_kinds", "did you mean 'grouped-convolution'")),
    "unknown default runtime": ('default_runtime = "edgetpu"', 'default_runtime = "edge"', ("default_runtime", "'edge'")),
    "unknown processor": ('default_processor = "cpu"', 'default_processor = "npu"', ("default_processor", "'npu'")),
    "unknown source": ('source = "cpufp" }\n\n[[', 'source = "cpuf" }\n\n[[', ("source", "'cpuf'", "did you mean 'cpufp'")),
    "faster together": (
        "clock_ghz = { value = 2.42",
        'clock_together_ghz = { value = 2.5, kind = "datasheet", source = "soc" }\nclock_ghz = { value = 2.42',
        ("clock_together_ghz", "2.5 is over the 2.42 GHz of one core"),
    ),
    "unknown kind": ('clock_ghz = { value = 2.42, kind = "datasheet"', 'clock_ghz = { value = 2.42, kind = "rumour"', ("kind", "'rumour'", "datasheet")),
    "no source": (
        'cores = { value = 3, kind = "datasheet", source = "soc" }',
        "cores = 3",
        ("cores", "the number 3 has no kind and source"),
    ),
    "missing table": ('title = "Google Pixel 4"\n', "", ("title", "is missing")),
    "other schema": ("schema = 1", "schema = 2", ("schema", "2")),
    "core without constants": ('core = "cortex-a55"', 'core = "cortex-a56"', ("has no constants for core 'cortex-a56'",)),
    "interval under 1": ("interval_factor = { value = 1.1", "interval_factor = { value = 0.1", ("interval_factor", "greater than or equal to 1")),
    "like nothing": ('like = "tflite-padded"', 'like = "tflite-paded"', ("like", "did you mean 'tflite-padded'")),
    "unknown dtype": ("dtypes.fp16]", "dtypes.fp17]", ("dtypes.fp17", "'fp32'")),
    "host that does not exist": ('host = ["cpu", "tflite"]', 'host = ["cpu", "ncnn"]', ("host", "'ncnn'")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_line(fault: str) -> None:
    before, after, words = FAULTS[fault]
    assert before in PIXEL4
    broken = PIXEL4.replace(before, after, 1)
    with pytest.raises(ProfileError) as caught:
        parse_device(broken.encode(), "p.toml")
    message = "\n".join(caught.value.problems)
    for word in words:
        assert word in message
    line = broken[: broken.index(after)].count("\n") + 1 if after else 1
    lines = [int(match[1]) for match in re.finditer(r"^p\.toml:(\d+): ", message, re.MULTILINE)]
    # A fault of a whole table is reported where the table begins.
    assert any(found == line or after == "" or fault in ("core without constants", "unknown dtype", "unknown work kind") for found in lines)


def test_all_faults_are_listed_at_once() -> None:
    broken = PIXEL4.replace('title = "Google Pixel 4"', 'titel = "Google Pixel 4"').replace("capacity_gib = 6", "capacity_gib = -6")
    broken = broken.replace("clock_ghz = { value = 2.84", "clock_ghz = { value = 99")
    with pytest.raises(ProfileError) as caught:
        parse_device(broken.encode(), "p.toml")
    text = "\n".join(caught.value.problems)
    assert all(word in text for word in ("titel", "title", "capacity_gib", "clock_ghz"))
    assert len(caught.value.problems) >= 5


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"schema = = 1", ("p.toml:1", "not TOML")),
        (b"\xff\xfe", ("not UTF-8",)),
        (b"", ("is missing",)),
        (b"schema = 1\nsources = 3\n", ("sources", "table")),
    ],
)
def test_what_is_no_profile_is_refused(data: bytes, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidFileError) as caught:
        parse_device(data, "p.toml")
    assert all(word in str(caught.value) for word in words)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="cannot be read"):
        load_device(tmp_path / "absent.toml")
    with pytest.raises(InvalidFileError, match="cannot be read"):
        load_device(tmp_path)


def test_a_profile_of_ones_own_is_used_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(PIXEL4.replace('name = "pixel4"', 'name = "mine"'), encoding="utf-8")
    report = costmodel.estimate("resnet-18", device=path)
    assert report.target.device.name == "mine"
    assert report.latency_s == costmodel.estimate("resnet-18", device="pixel4").latency_s
