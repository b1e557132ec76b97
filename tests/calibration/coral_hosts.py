"""Coral's USB accelerator behind USB 2.0: ``python -m tests.calibration.coral_hosts`` fits two constants and writes them into the profile.

The array, its parameter cache and what an output costs are those of `coral-usb`, fitted to many networks on a desktop PC. Another host changes the rate
of the link and what an invocation costs: both are fitted to published rows of two Raspberry Pis (`device_profiles/measurements/coral_hosts.csv`), the
rate within what USB 2.0 carries. What the Edge TPU does not take runs on the CPU of `raspberry-pi-3b-plus`.

`costmodel validate` sets all of the law's constants free and comes nearer to these rows, by an output that costs several times what it costs the same chip on
a desktop: a hint that something which grows with the outputs crosses the link and is in no term of the law. Four networks do not say what it is.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from costmodel.calibration.conformal import interval_width
from costmodel.calibration.fit import Fit, fit, priced
from costmodel.calibration.held_out import free_of
from costmodel.calibration.metrics import Scores, score
from costmodel.calibration.parameters import LAUNCH_SPREAD, Free
from costmodel.calibration.profile_text import Table, number, quoted, sourced, tables, with_values, without_tables
from costmodel.calibration.rows import RowFile, read_rows
from costmodel.calibration.samples import Sample, collect
from costmodel.devices import Device, device, parse_device, profile_folder, resolve_target

COMMAND = "python -m tests.calibration.coral_hosts"
PROFILE, ORIGIN, HOST = "coral-usb-rpi3", "coral-usb", "raspberry-pi-3b-plus"
#: The runtimes that the host's CPU has, one the other's relative.
HOST_RUNTIMES = ("tflite", "tflite-padded")
LINK, INVOCATION = ("link_gb_per_s",), ("invocation_ms",)
#: One network that stays on chip and one that streams: what the others are predicted from.
TWO_NETWORKS = ("mobilenet-v1@224", "inception-v4@299")
SOURCE = "fit_host"
_TABLE: Table = ("processors", "edgetpu", "runtimes", "edgetpu", "dtypes", "int8")


def rows() -> RowFile:
    """The published rows."""
    return read_rows(profile_folder() / "measurements" / "coral_hosts.csv")


def samples() -> tuple[Sample, ...]:
    """The rows with their programs.

    Raises
    ------
    ValueError
        If one cannot be had: names it and says why.
    """
    found = collect(rows().rows, parse_device(_with_host(shipped()).encode(), PROFILE))
    left = [*map(str, found.problems), *(f"{entry.row.place}: {entry.reason}" for entry in found.unbuilt)]
    if left:
        raise ValueError("\n".join(left))
    return found.samples


def board(sample: Sample) -> str:
    """The Raspberry Pi of a row."""
    return sample.row.source.rpartition(", ")[2]


def free(sample: Sample) -> list[Free]:
    """The two constants before any row is seen: the share of a link's ceiling, and the time of an invocation, that `coral-usb` has.

    An invocation is work of the host and its driver, of which another host says as little as of a launch on a phone's GPU.
    """
    origin, own = resolve_target(device(ORIGIN)).machine.parameters, sample.target.machine.parameters
    reached = origin.link_gb_per_s / origin.link_ceiling_gb_per_s * own.link_ceiling_gb_per_s
    entries = free_of(sample.target, None, {LINK: reached, INVOCATION: origin.invocation_ms})
    spreads = {LINK: None, INVOCATION: LAUNCH_SPREAD}
    return [dataclasses.replace(entry, spread=spreads[entry.path] or entry.spread) for entry in entries if entry.path in spreads]


def fitted(chosen: Sequence[Sample]) -> Fit:
    """The two constants by these rows."""
    return fit(chosen, free(chosen[0]))


def without(found: Sequence[Sample], group: Callable[[Sample], str]) -> list[float]:
    """Seconds of every sample, by constants that saw none of its group."""
    fits = {name: fitted([sample for sample in found if group(sample) != name]) for name in {group(sample) for sample in found}}
    return [float(priced([sample], fits[group(sample)].values)[0]) for sample in found]


def network(sample: Sample) -> str:
    """The network of a row: what one is held out by."""
    return sample.row.network


def family(sample: Sample) -> str:
    """The family of a row's network."""
    return sample.family


def judged(found: Sequence[Sample], seconds: Sequence[float]) -> Scores:
    """Scores of predicted seconds."""
    return score([float(one) for one in seconds], [sample.seconds for sample in found], [sample.family for sample in found])


def interval_factor(found: Sequence[Sample]) -> float:
    """What families held out call for, and not less than `coral-usb` promises: its constants, seen by many more networks, are most of these."""
    errors = [math.log(seconds / sample.seconds) for seconds, sample in zip(without(found, family), found, strict=True)]
    called = math.ceil(interval_width(errors, [sample.family for sample in found]).factor * 1000) / 1000
    return max(called, resolve_target(device(ORIGIN)).precision.interval_factor)


def with_constants(text: str, found: Fit) -> str:
    """The profile's text with these constants."""
    values = {entry.path[0]: sourced(entry.value, "fitted", SOURCE, entry.prior) for entry in found.parameters}
    return with_values(text, {(*_TABLE, "parameters"): values})


def shipped() -> str:
    """The profile's text."""
    return _path(PROFILE).read_text(encoding="utf-8")


def fitted_to(chosen: Sequence[Sample]) -> Device:
    """The device with constants by these rows alone."""
    return parse_device(with_constants(shipped(), fitted(chosen)).encode(), f"{PROFILE}, fitted to {len(chosen)} rows")


def made() -> str:
    """The profile's text with the host's runtimes, both constants, the interval and where they are from."""
    found = samples()
    text = with_constants(_with_host(shipped()), fitted(found))
    factor = sourced(interval_factor(found), "fitted", SOURCE)
    return with_values(text, {("sources",): {SOURCE: quoted(_source(found))}, _TABLE: {"interval_factor": factor}})


def _source(found: Sequence[Sample]) -> str:
    """Data, errors and parameter count of the fit, in one text."""
    file, fit_of_all = rows(), fitted(found)
    pair = [sample for sample in found if sample.row.network in TWO_NETWORKS]
    rest = [sample for sample in found if sample not in pair]
    scores = {
        "training": judged(found, list(priced(found, fit_of_all.values))),
        "networks held out": judged(found, without(found, network)),
        "families held out": judged(found, without(found, family)),
        f"from {' and '.join(TWO_NETWORKS)} alone the others": judged(rest, list(priced(rest, fitted(pair).values))),
    }
    errors = "; ".join(f"{words}: mean error {one.mape:.1%}, largest {one.largest_ape:.1%}" for words, one in scores.items())
    return (
        f"maximum a posteriori on {len(found)} rows of {len(set(map(network, found)))} networks on a Raspberry Pi 3 B and a 3 B+ in {Path(file.path).name} "
        f"(sha256 {file.sha256[:16]}), {COMMAND}; {len(fit_of_all.free)} parameters, all else of the Edge TPU as on {ORIGIN}; {errors}; "
        f"{len(set(map(family, found)))} families are too few for an interval at 90 %: it spans the largest error of families held out, or is {ORIGIN}'s"
    )


def _with_host(text: str) -> str:
    """The text with the runtimes of the host's CPU."""
    base: Table = ("processors", "cpu", "runtimes")
    stacks = tomllib.loads(_path(HOST).read_text(encoding="utf-8"))["processors"]["cpu"]["runtimes"]
    lines = [line for name in HOST_RUNTIMES for line in tables(stacks[name], (*base, name))]
    return without_tables(text, base).rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def _path(name: str) -> Path:
    return profile_folder() / f"{name}.toml"


def main() -> None:
    """Write the profile, and print what was found."""
    found = samples()
    _path(PROFILE).write_text(made(), encoding="utf-8")
    for entry in fitted(found).parameters:
        print(f"{entry.name}: {number(entry.value)}, before {number(entry.prior)}, within a factor of {math.exp(entry.spread):.2f}")
    print(f"interval factor: {interval_factor(found):g}")
    print(_source(found))


if __name__ == "__main__":
    main()
