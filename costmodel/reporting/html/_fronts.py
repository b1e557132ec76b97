"""The page of fronts: accuracy against latency for each target, to point at, filter and sort; the figures are those of the CSV."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from costmodel._version import __version__
from costmodel.decisions import Front, Standing
from costmodel.quantity import duration, duration_between
from costmodel.reporting.decisions import pareto_rows, to_csv
from costmodel.reporting.html._assemble import assembled, put
from costmodel.reporting.html._facts import BASIS_WORDS
from costmodel.reporting.pareto_plot import OTHER, family_looks, front_notes
from costmodel.reporting.plots import Look
from costmodel.reporting.tables import target_parts, target_words

_SCRIPTS = ("base.js", "chart.js", "marks.js", "fronts.js", "fronts_table.js", "fronts_start.js")


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
        notes=front_notes(fronts),
        reproducibility=_reproducibility(fronts),
    )


def write_fronts(fronts: Sequence[Front], path: str | os.PathLike[str]) -> None:
    """Write the page of fronts into a file.

    Raises
    ------
    CostModelError
        If the file cannot be written; names it.
    """
    put(fronts_page(fronts), path)


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
                "top1": f"{entry.top1:g} %",
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
    sources: dict[str, int] = {}
    places = {family["name"]: place for place, family in enumerate(families)}
    return {
        "families": families,
        "fronts": [
            {
                "title": found.target.device.profile.title,
                "batch": found.batch,
                "level": found.standings[0].offer.cost.interval.level,
                "networks": [_network(entry, places.get(entry.offer.network.family, len(families) - 1), sources) for entry in found.standings],
            }
            for found in fronts
        ],
        "sources": list(sources),
        "csv": to_csv(pareto_rows(fronts)),
    }


def _network(entry: Standing, family: int, sources: dict[str, int]) -> dict[str, Any]:
    offer, cost = entry.offer, entry.offer.cost
    figure = offer.figure
    return {
        "name": offer.network.name,
        "family": offer.network.family,
        "look": family,
        "top1": entry.top1,
        "latency_s": cost.latency_s,
        "low_s": cost.latency_low_s,
        "high_s": cost.latency_high_s,
        "basis": cost.interval.basis,
        "macs": cost.macs,
        "memory_bytes": cost.memory_bytes,
        "on_front": entry.on_front,
        "may_belong": entry.may_belong,
        "probability": entry.probability,
        "beaten_by": entry.beaten_by,
        "faster": entry.probability_faster,
        "extra": bool(figure is not None and figure.extra_data),
        "source": sources.setdefault("" if figure is None else figure.source, len(sources)),
    }


def _reproducibility(fronts: Sequence[Front]) -> list[tuple[str, str]]:
    profiles = dict.fromkeys(
        f"{found.target.device.name} version {found.target.device.profile.version}, sha256 {found.target.device.sha256}" for found in fronts
    )
    bases = sorted({entry.offer.cost.interval.basis for found in fronts for entry in found.standings})
    devices = " ".join(dict.fromkeys(f"--device {shlex.quote(found.target.device.name)}" for found in fronts))
    return [
        ("command", f"costmodel pareto {devices}, and the networks and options that were chosen"),
        *(("target", f"{found.target.device.name}: {target_words(found.target, found.batch)}") for found in fronts),
        ("costmodel", __version__),
        *(("device profile", text) for text in profiles),
        *((f"interval: {basis}", BASIS_WORDS[basis]) for basis in bases),
        ("on the front", "no other network is at least as fast and at least as accurate, and better in one of them, by the estimates"),
        (
            "may belong to it",
            "behind the front by the estimates, but on the true front with a probability that is worth knowing; log errors are taken as independent",
        ),
    ]
