"""Coral behind USB 2.0: both constants come out again, within what the link carries, and all else is what other profiles have."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

import costmodel
from costmodel.calibration.fit import priced
from costmodel.calibration.samples import Sample
from costmodel.devices import device, profile_folder, resolve_target
from tests.calibration import coral_hosts
from tests.calibration.test_calibrate import assert_same
from tests.calibration.test_fit import planted

#: USB 2.0, section 5.8.4: 13 bulk packets of 512 bytes in each of the 8000 microframes of a second.
USB2_GB_PER_S = 13 * 512 * 8000 / 1e9


@pytest.fixture(scope="module")
def found() -> tuple[Sample, ...]:
    return coral_hosts.samples()


def document(name: str) -> dict[str, Any]:
    return tomllib.loads((profile_folder() / f"{name}.toml").read_text(encoding="utf-8"))["processors"]


def test_the_profile_comes_out_again() -> None:
    assert_same(coral_hosts.made(), coral_hosts.shipped())


def test_only_link_and_host_differ_from_the_accelerator_on_a_desktop() -> None:
    ours, theirs = (device(name).profile.processors["edgetpu"] for name in (coral_hosts.PROFILE, coral_hosts.ORIGIN))
    own, other = (unit.runtimes["edgetpu"].dtypes["int8"] for unit in (ours, theirs))
    differ = {name for name in own.parameters if own.parameters[name] != other.parameters[name]}
    assert differ == {"link_gb_per_s", "link_ceiling_gb_per_s", "invocation_ms"}
    assert own.parameters.keys() == other.parameters.keys()
    assert own.measured_kinds == other.measured_kinds
    assert own.interval_factor > other.interval_factor
    assert (ours.peak_tflop_per_s, ours.clock_ghz, ours.energy) == (theirs.peak_tflop_per_s, theirs.clock_ghz, theirs.energy)
    assert own.parameters["link_ceiling_gb_per_s"] == ours.memory.bandwidth_gb_per_s == USB2_GB_PER_S


def test_the_host_is_the_raspberry_pis_cpu() -> None:
    ours, theirs = document(coral_hosts.PROFILE)["cpu"], document(coral_hosts.HOST)["cpu"]
    assert ours.pop("runtimes") == {name: theirs["runtimes"][name] for name in coral_hosts.HOST_RUNTIMES}
    assert ours == {name: theirs[name] for name in ours}
    on_host = costmodel.estimate("mobilevit-xs", device=coral_hosts.PROFILE)
    alone = costmodel.estimate("mobilevit-xs", device=coral_hosts.HOST, dtype="int8")
    late = {kernel.name: kernel.latency_s for kernel in alone.kernels}
    host = {kernel.name: kernel.latency_s for kernel in on_host.kernels if kernel.partition == "host"}
    assert len(host) > 100
    assert host == pytest.approx({name: late[name] for name in host})


def test_two_networks_predict_the_other_two(found: tuple[Sample, ...]) -> None:
    pair = [sample for sample in found if sample.row.network in coral_hosts.TWO_NETWORKS]
    rest = [sample for sample in found if sample not in pair]
    assert (len(pair), len(rest)) == (4, 4)
    assert coral_hosts.judged(rest, list(priced(rest, coral_hosts.fitted(pair).values))).largest_ape < 0.15


def test_one_board_predicts_the_other(found: tuple[Sample, ...]) -> None:
    """Two Raspberry Pis of one bus: what the four networks miss is the law's error, not the board's."""
    assert {coral_hosts.board(sample) for sample in found} == {"Raspberry Pi 3 B", "Raspberry Pi 3 B+"}
    assert coral_hosts.judged(found, coral_hosts.without(found, coral_hosts.board)).largest_ape < 0.13


def test_the_interval_spans_every_network_that_was_held_out(found: tuple[Sample, ...]) -> None:
    factor = resolve_target(device(coral_hosts.PROFILE)).precision.interval_factor
    for group in (coral_hosts.network, coral_hosts.family):
        for sample, seconds in zip(found, coral_hosts.without(found, group), strict=True):
            assert 1 / factor < seconds / sample.seconds < factor


def test_planted_constants_are_found(found: tuple[Sample, ...]) -> None:
    values = {coral_hosts.LINK: 0.03, coral_hosts.INVOCATION: 6.0}
    assert coral_hosts.fitted(planted(found, values)).values == pytest.approx(values, rel=0.01)


def test_no_link_is_faster_than_usb_2(found: tuple[Sample, ...]) -> None:
    fit = coral_hosts.fitted(planted(found, {coral_hosts.LINK: 0.2, coral_hosts.INVOCATION: 1.0}))
    assert fit.values[coral_hosts.LINK] == pytest.approx(USB2_GB_PER_S)
    assert any("link_gb_per_s stopped at" in warning for warning in fit.warnings)


def test_what_streams_waits_for_the_link() -> None:
    """VGG-16 has 138 MB of parameters, of which the chip holds 6: the link alone takes over two seconds."""
    slow, fast = (costmodel.estimate("vgg-16", device=name).latency_s for name in (coral_hosts.PROFILE, coral_hosts.ORIGIN))
    assert slow > (138e6 - 7e6) / (USB2_GB_PER_S * 1e9)
    assert slow > 8 * fast
