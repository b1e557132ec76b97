"""The profile of the machine that this runs on: every number says what it rests on, and says the number that is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from costmodel.devices import Device, device
from costmodel.devices import _local as local


def numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, float]]:
    """Every number of a profile by its dotted path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from numbers(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from numbers(item, (*path, str(position)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield ".".join(path), value


@pytest.fixture
def machine() -> Device:
    return local.local_device("this-machine", device(local.SIBLING))


def test_every_number_has_its_own_provenance(machine: Device) -> None:
    stated = {path: entry.value for path, entry in machine.provenance.items()}
    defaults = {"processors.cpu.multiprocessors", *(f"processors.cpu.runtimes.{name}.widened_by" for name in machine.profile.processors["cpu"].runtimes)}
    found = dict(numbers(machine.profile.model_dump()["processors"], ("processors",)))
    assert stated == {path: value for path, value in found.items() if path not in defaults}


def test_the_siblings_constants_are_assumed_here(machine: Device) -> None:
    sibling = device(local.SIBLING)
    factor = machine.provenance["processors.cpu.runtimes.torch-eager.dtypes.fp32.interval_factor"]
    overlap = "processors.cpu.runtimes.torch-eager.dtypes.fp32.parameters.overlap"
    assert (factor.value, factor.kind) == (machine.profile.processors["cpu"].runtimes["torch-eager"].dtypes["fp32"].interval_factor, "assumed")
    assert factor.source != sibling.provenance["processors.cpu.runtimes.torch-eager.dtypes.fp32.interval_factor"].source
    assert machine.provenance[overlap].kind == "assumed"
    assert sibling.name in machine.provenance[overlap].source
    assert sibling.provenance[overlap].source in machine.provenance[overlap].source


def test_a_clock_that_is_not_stated_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_read", lambda path: "")
    found = local.local_device("this-machine", device(local.SIBLING)).provenance["processors.cpu.clusters.0.clock_ghz"]
    assert (found.kind, found.source) == ("assumed", "the system states no clock")
