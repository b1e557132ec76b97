"""The page of fronts: accuracy against latency for each target, to point at, filter and sort; the figures are those of the CSV."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from costmodel import durable
from costmodel._version import __version__
from costmodel.decisions import LEAST_PROBABILITY, Front, zoo_networks
from costmodel.quantity import duration, duration_between
from costmodel.reporting.decisions import pareto_rows, to_csv
from costmodel.reporting.html._assemble import assembled
from costmodel.reporting.html._facts import BASIS_WORDS
from costmodel.reporting.pareto_plot import OTHER, family_looks, front_notes
from costmodel.reporting.plots import Look
from costmodel.reporting.tables import TARGET_MEANS, UPPER_BOUND, target_parts, target_words

#: Networks that a command lists one by one.
_MOST_NAMES = 40
_SCRIPTS = ("base.js", "chart.js", "marks.js", "fronts_data.js", "fronts.js", "fronts_table.js", "fronts_start.js")


def fronts_page(fronts: Sequence[Front]) -> str:
    """The fronts as one HTML document: works from a file, without a network, in print, and in part without scripts."""
    looks = family_looks(fronts)
    return assembled(
        "fronts.html",
        styles=("page.css", "choice.css"),
        vendored=("echarts.slim.min.js",),
        scripts=_SCRIPTS,
        data=_document(fronts, looks),
        title="Published accuracy against estimated latency",
        subtitle=", ".join(dict.fromkeys(found.target.device.profile.title for found in fronts)),
        fronts=[_section(found) for found in fronts],
        notes=front_notes(fronts, bound=UPPER_BOUND),
        reproducibility=_reproducibility(fronts),
    )


def write_fronts(fronts: Sequence[Front], path: str | os.PathLike[str]) -> None:
    """Write the page of fronts into a file.

    Raises
    ------
    CostModelError
        If the file cannot be written; names it.
    """
    durable.put(path, fronts_page(fronts))


def _section(found: Front) -> dict[str, Any]:
    """What of a front stands on the page as text: the target, and the networks that no other beats."""
    may = sum(entry.may_belong for entry in found.standings)
    return {
        "title": found.target.device.profile.title,
        "words": target_parts(found.target, found.batch),
        "counts": f"{len(found.best)} of {len(found.standings)} networks are on the front, {may} more may belong to it",
        "level": f"{found.standings[0].offer.cost.interval.level:.0%}",
        "left_out": [f"{entry.name}: {entry.reason}" for entry in found.left_out],
        "rows": [
            {
                "name": entry.offer.network.name,
                "top1": f"{'≤ ' if entry.offer.top1_is_bound else ''}{entry.top1:.1f} %",
                "latency": duration(entry.offer.cost.latency_s),
                "between": duration_between(entry.offer.cost.latency_low_s, entry.offer.cost.latency_high_s),
            }
            for entry in found.best
        ],
    }


def _document(fronts: Sequence[Front], looks: Mapping[str, Look]) -> dict[str, Any]:
    """What the scripts draw: families with their looks, and for each target its networks, fastest first."""
    present = {entry.offer.network.family for found in fronts for entry in found.standings}
    families = [{"name": name, "colour": look.colour, "marker": look.marker} for name, look in sorted(looks.items())]
    others = sorted(present - set(looks))
    if others:
        families.append({"name": f"{len(others)} other famil{'y' if len(others) == 1 else 'ies'}", "colour": OTHER.colour, "marker": OTHER.marker})
    rows = pareto_rows(fronts)
    starts = accumulate((len(found.standings) for found in fronts), initial=0)
    return {
        "families": families,
        "looks": [[name, place] for place, name in enumerate(sorted(looks))],
        "fronts": [
            {
                "title": found.target.device.profile.title,
                "batch": found.batch,
                "level": found.standings[0].offer.cost.interval.level,
                "first": first,
                "rows": len(found.standings),
            }
            for found, first in zip(fronts, starts, strict=False)
        ],
        "rows": len(rows),
        "table": {name: _column([row[name] for row in rows]) for name in rows[0]},
    }


def _column(values: Sequence[object]) -> dict[str, Any]:
    """A column's cells as the CSV has them; where few differ, those once, and for each row the place of its own."""
    cells = [_cell(value) for value in values]
    different = list(dict.fromkeys(cells))
    if 2 * len(different) > len(cells):
        return {"cells": cells}
    places = {text: place for place, text in enumerate(different)}
    return {"cells": different, "places": [places[text] for text in cells]}


def _cell(value: object) -> str:
    """A value as `to_csv` writes it, quotes included."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    return to_csv([{"": None, "x": value}]).removeprefix(",x\n")[1:-1]


def _reproducibility(fronts: Sequence[Front]) -> list[tuple[str, str]]:
    profiles = dict.fromkeys(
        f"{found.target.device.name} version {found.target.device.profile.version}, sha256 {found.target.device.sha256}" for found in fronts
    )
    bases = sorted({entry.offer.cost.interval.basis for found in fronts for entry in found.standings})
    return [
        ("command", _command(fronts)),
        *(("target", f"{found.target.device.name}: {target_words(found.target, found.batch)}") for found in fronts),
        ("a target's words", TARGET_MEANS),
        ("costmodel", __version__),
        *(("device profile", text) for text in profiles),
        *((f"interval: {basis}", BASIS_WORDS[basis]) for basis in bases),
        ("on the front", "no other network is at least as fast and at least as accurate, and better in one of them, by the estimates"),
        (
            "may belong to it",
            f"behind the front by the estimates, but on the true one with a probability of {LEAST_PROBABILITY:.0%} or more; errors are taken as independent",
        ),
    ]


def _command(fronts: Sequence[Front]) -> str:
    """The command line that gives these fronts again; what the figures do not tell of it is said in words."""
    first = fronts[0]
    offers = [entry.offer for entry in first.standings]
    names = [*(offer.network.name for offer in offers), *(entry.name for entry in first.left_out)]
    chosen = [] if set(names) == {network.name for network in zoo_networks()} else names if len(names) <= _MOST_NAMES else ["MODEL..."]
    words = ["costmodel", "pareto", *chosen, *(word for found in fronts for word in ("--device", found.target.device.name))]
    for option in ("processor", "runtime", "dtype", "layout"):
        shared = {getattr(found.target, option) for found in fronts}
        words += [f"--{option}", *shared] if len(shared) == 1 else []
    words += ["--cores", first.target.cores_text] if len(fronts) == 1 and first.target.cores_text else []
    words += ["--batch", str(first.batch)]
    inputs = next((offer.cost.inputs for offer in offers if offer.network.name.startswith("torch:")), ())
    words += [word for shape in inputs for word in ("--input", "x".join(map(str, shape)))]
    own = any(offer.figure is not None and offer.figure.evaluation == "own" for offer in offers)
    return (
        " ".join(map(shlex.quote, words))
        + f"  ({'--accuracy with your own table, and ' if own else ''}--padding, --evaluation, --no-extra-data if they were given)"
    )
