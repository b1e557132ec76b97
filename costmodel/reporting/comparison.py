"""A table of estimates, networks by devices, with the difference of two."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from costmodel._version import __version__
from costmodel.decisions import Pair, SideBySide, side_by_side
from costmodel.devices import profile_folder
from costmodel.estimation import SCHEMA_VERSION, Estimate, KernelEstimate, compare_two
from costmodel.interval import Difference
from costmodel.reporting.tables import target_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """How an estimate's latency relates to that of the first network on its device, or with one network to that of the first device."""

    first: Estimate
    second: Estimate
    difference: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Estimates by network (rows) and device (columns); `difference` only where there are exactly two."""

    rows: tuple[tuple[Estimate, ...], ...]
    difference: Difference | None

    @property
    def differences(self) -> tuple[Versus, ...]:
        """Every later network against the first on each device; of one network, every later device against the first."""
        if len(self.rows) == 1:
            pairs = [(self.rows[0][0], report) for report in self.rows[0][1:]]
        else:
            pairs = [pair for row in self.rows[1:] for pair in zip(self.rows[0], row, strict=True)]
        return tuple(Versus(first=first, second=second, difference=compare_two(first, second)) for first, second in pairs)

    @property
    def side_by_side(self) -> SideBySide | None:
        """The two estimates kernel by kernel, where there are exactly two."""
        return None if self.difference is None else side_by_side(*[report for row in self.rows for report in row])

    @property
    def warnings(self) -> tuple[str, ...]:
        """The estimates' warnings by device, those that differ in their figures alone as one."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for row in self.rows:
            for name, report in zip(self.device_names, row, strict=True):
                for warning in report.warnings:
                    gist = re.sub(r"[\d.,]+", "", warning)
                    found.setdefault((name, gist), []).append((report.title, warning))
        return tuple(
            f"{device}, {cases[0][0]}: {cases[0][1]}" + (f"; likewise {', '.join(name for name, _ in cases[1:])}" if len(cases) > 1 else "")
            for (device, _), cases in found.items()
        )

    @property
    def device_names(self) -> tuple[str, ...]:
        """What the columns are headed by: the devices' names, and where profiles share one, the files of those that do not ship."""
        devices = [report.target.device for report in self.rows[0]]
        paths = [Path(device.path).resolve() for device in devices]
        found = []
        for device, path in zip(devices, paths, strict=True):
            same = {other for one, other in zip(devices, paths, strict=True) if one.name == device.name and other != path}
            alone = all(other.name != path.name for other in same)
            ships = path.parent == profile_folder().resolve()
            found.append(device.name if ships or not same else path.name if alone else device.path)
        return tuple(found)

    def column_words(self, place: int) -> str:
        """What runs in a column, in words; where networks differ in it, as a quantised file and a float one do, which run how."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            found.setdefault(target_words(row[place].target, row[place].batch), []).append(row[0].title)
        return "; ".join(words if len(found) == 1 else f"{', '.join(names)}: {words}" for words, names in found.items())

    def slower_than_first(self, limit: float) -> tuple[str, ...]:
        """Networks that exceed the first one's latency on a device by more than the share `limit`, in words."""
        first, *others = self.rows
        return tuple(
            f"{report.title} on {name} is {report.latency_s / base.latency_s - 1:+.1%} against {base.title}, over {limit:+.1%}"
            for row in others
            for name, base, report in zip(self.device_names, first, row, strict=True)
            if report.latency_s > base.latency_s * (1 + limit)
        )

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel compare --json`` prints."""
        return {
            "schema_version": SCHEMA_VERSION,
            "estimates": [_summary(report) for row in self.rows for report in row],
            "difference": None if self.difference is None else asdict(self.difference),
            "differences": [
                {
                    "model": entry.second.model,
                    "device": entry.second.target.device.name,
                    "against_model": entry.first.model,
                    "against_device": entry.first.target.device.name,
                    **asdict(entry.difference),
                }
                for entry in self.differences
            ],
            "side_by_side": _side_by_side(self.side_by_side),
            "costmodel_version": __version__,
        }

    def to_json(self) -> str:
        """`to_dict` as a JSON document."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def compare(rows: Sequence[Sequence[Estimate]]) -> Comparison:
    """The comparison of a grid of estimates."""
    flat = [report for row in rows for report in row]
    found = compare_two(flat[0], flat[1]) if len(flat) == 2 else None
    return Comparison(rows=tuple(tuple(row) for row in rows), difference=found)


def _side_by_side(found: SideBySide | None) -> dict[str, Any] | None:
    """Matched kernels in the order that they run, and the differences by kind; seconds of the second less those of the first."""
    if found is None:
        return None
    return {
        "difference_s": found.difference_s,
        "kernels": [_pair(pair) for pair in found.pairs],
        "kinds": [change._asdict() | {"difference_s": change.difference_s} for change in found.kinds],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {"matched_by": pair.by, "difference_s": pair.difference_s, "first": _kernel(pair.first), "second": _kernel(pair.second)}


def _kernel(kernel: KernelEstimate | None) -> dict[str, Any] | None:
    """What of a kernel a comparison needs."""
    if kernel is None:
        return None
    fields = ("name", "kind", "macs", "flops", "traffic_bytes", "latency_s", "bound", "basis")
    return {name: getattr(kernel, name) for name in fields}


def _summary(report: Estimate) -> dict[str, Any]:
    """An estimate's document without its kernels."""
    document = report.to_dict()
    del document["kernels"]
    return document
