"""The page of a comparison: networks by devices as a heat map, and of two where the difference comes from."""

from __future__ import annotations

import os
import shlex
from typing import Any

from costmodel import durable
from costmodel._version import __version__
from costmodel.decisions import Pair, SideBySide
from costmodel.estimation import Estimate, KernelEstimate
from costmodel.interval import Difference
from costmodel.quantity import chance, duration, duration_between, si, significant
from costmodel.reporting.comparison import Comparison
from costmodel.reporting.html._assemble import assembled
from costmodel.reporting.html._facts import BASIS_WORDS, named
from costmodel.reporting.tables import TARGET_MEANS

_SCRIPTS = ("base.js", "heat.js", "pairs.js", "heat_start.js")
#: A change by less than this share of a latency is not called one.
_EQUAL = 0.0005


def comparison_page(table: Comparison) -> str:
    """The comparison as one HTML document: works from a file, without a network, in print, and in part without scripts."""
    both = table.side_by_side
    head = table.rows[0]
    return assembled(
        "comparison.html",
        styles=("page.css", "choice.css"),
        vendored=(),
        scripts=_SCRIPTS,
        data=_document(table, both),
        title=_title(table),
        subtitle=", ".join(dict.fromkeys(report.target.device.profile.title for report in head)),
        devices=[_device(name, report, table.column_words(place)) for place, (name, report) in enumerate(zip(table.device_names, head, strict=True))],
        networks=[_network(row, table) for row in table.rows],
        level=" or ".join(sorted({f"{report.interval.level:.0%}" for row in table.rows for report in row})),
        verdict=None if table.difference is None or both is None else _verdict(table.difference, both, several=len(table.rows) > 1),
        matched=None if both is None else _matched_words(both),
        warnings=table.warnings,
        reproducibility=_reproducibility(table),
    )


def write_comparison(table: Comparison, path: str | os.PathLike[str]) -> None:
    """Write the page of a comparison into a file.

    Raises
    ------
    CostModelError
        If the file cannot be written; names it.
    """
    durable.put(path, comparison_page(table))


def _title(table: Comparison) -> str:
    names = [row[0].title for row in table.rows]
    return " against ".join(names) if len(names) <= 2 else f"{len(names)} networks"


def _device(name: str, report: Estimate, words: str) -> dict[str, str]:
    return {"name": name, "title": report.target.device.profile.title, "words": words}


def _network(row: tuple[Estimate, ...], table: Comparison) -> dict[str, Any]:
    """A row of the heat map in words, which the page's script may replace by other figures."""
    first = row[0]
    return {"title": first.title, "counts": f"{si(first.macs)} MACs, {si(first.parameters)} parameters", "cells": [_cell_words(report) for report in row]}


def _cell_words(report: Estimate) -> dict[str, str]:
    return {"value": duration(report.latency_s), "note": duration_between(report.latency_low_s, report.latency_high_s, " to ")}


def _document(table: Comparison, both: SideBySide | None) -> dict[str, Any]:
    """What the scripts draw: a cell for each estimate, and of two the pairs of kernels."""
    against = {id(entry.second): entry.difference for entry in table.differences}
    return {
        "networks": [row[0].title for row in table.rows],
        "devices": list(table.device_names),
        "cells": [[_cell(report, against.get(id(report))) for report in row] for row in table.rows],
        "difference_s": None if both is None else both.difference_s,
        "sides": None if both is None else list(_sides(table)),
        "pairs": [] if both is None else [_pair(pair) for pair in both.pairs],
        "kinds": [] if both is None else [change._asdict() | {"difference_s": change.difference_s} for change in both.kinds],
        "document": table.to_dict() if both is None else table.to_dict() | {"side_by_side": None},
    }


def _cell(report: Estimate, difference: Difference | None) -> dict[str, Any]:
    return {
        "latency_s": report.latency_s,
        "low_s": report.latency_low_s,
        "high_s": report.latency_high_s,
        "samples_per_s": report.samples_per_s,
        "peak_activation_bytes": report.peak_activation_bytes,
        "energy_j": report.energy_j,
        "basis": report.interval.basis,
        "fits": report.fits,
        "unmodelled": len(report.unmodelled),
        "ratio": 1.0 if difference is None else difference.ratio,
        "ratio_low": 1.0 if difference is None else difference.ratio_low,
        "ratio_high": 1.0 if difference is None else difference.ratio_high,
        "faster": None if difference is None else difference.probability_faster,
    }


def _pair(pair: Pair) -> list[Any]:
    """(first, second, what they have in common); a kernel as its name, kind, bound and latency."""
    return [_kernel(pair.first), _kernel(pair.second), pair.by]


def _kernel(kernel: KernelEstimate | None) -> list[Any] | None:
    return None if kernel is None else [kernel.name, kernel.kind, kernel.bound, kernel.latency_s, kernel.macs, kernel.traffic_bytes]


def _sides(table: Comparison) -> tuple[str, str]:
    """What the two are called: the networks, or the devices of one network."""
    first, second = (report for row in table.rows for report in row)
    if len(table.rows) > 1:
        return first.title, second.title
    return first.target.device.profile.title, second.target.device.profile.title


def _verdict(found: Difference, both: SideBySide, *, several: bool) -> dict[str, str]:
    first, second = (report.title if several else report.target.device.profile.title for report in (both.first, both.second))
    change = found.ratio - 1
    words = "takes as long as" if abs(change) < _EQUAL else f"takes {significant(found.ratio)} times as long as"
    return {
        "first": first,
        "second": second,
        "words": words,
        "ratio": f"{significant(found.ratio)} x",
        "between": f"{significant(found.ratio_low)} and {significant(found.ratio_high)}",
        "level": f"{found.level:.0%}",
        "faster": chance(found.probability_faster),
        "difference": _signed(both.difference_s),
        "latencies": f"{duration(both.first.latency_s)} and {duration(both.second.latency_s)}",
    }


def _signed(seconds: float) -> str:
    return f"{'−' if seconds < 0 else '+'}{duration(abs(seconds))}"


def _matched_words(both: SideBySide) -> str:
    """How kernels found their counterparts, in words."""
    words = {"name": "by name", "work": "by equal work", "role": "by their part in a block", "kind": "by kind alone", "nothing": "without a counterpart"}
    parts = [f"{both.matched(by)} {text}" for by, text in words.items() if both.matched(by)]  # type: ignore[arg-type]  # the keys are those of MatchedBy
    outside = sum(term.difference_s for term in both.terms)
    return ", ".join(parts) + (f"; outside kernels {_signed(outside)}" if outside else "")


def _reproducibility(table: Comparison) -> list[tuple[str, str]]:
    head = table.rows[0]
    first = head[0]
    words = [
        "costmodel",
        "compare",
        *(word for row in table.rows for word in named(row[0])),
        *(word for report in head for word in ("--device", report.target.device.name)),
    ]
    for option in ("processor", "runtime", "dtype", "layout"):
        shared = {getattr(report.target, option) for row in table.rows for report in row}
        words += [f"--{option}", *shared] if len(shared) == 1 else []
    words += ["--cores", first.target.cores_text] if len(head) == 1 and first.target.cores_text else []
    words += ["--batch", str(first.batch)]
    profiles = dict.fromkeys(
        f"{report.target.device.name} version {report.target.device.profile.version}, sha256 {report.target.device.sha256}" for report in head
    )
    bases = sorted({report.interval.basis for row in table.rows for report in row})
    return [
        ("command", " ".join(map(shlex.quote, words)) + (f"  ({first.changed})" if first.changed else "")),
        ("a target's words", TARGET_MEANS),
        ("costmodel", __version__),
        *(("device profile", text) for text in profiles),
        *((f"interval: {basis}", BASIS_WORDS[basis]) for basis in bases),
        ("unmodelled", "; ".join(_unmodelled(table)) or "none: every operator has a cost"),
    ]


def _unmodelled(table: Comparison) -> list[str]:
    return [f"{report.title} on {report.target.device.name}: {len(report.unmodelled)} kernels" for row in table.rows for report in row if report.unmodelled]
