"""The page of one estimate: what its template names, and which scripts it runs."""

from __future__ import annotations

import os

from costmodel import durable
from costmodel.estimation import Estimate
from costmodel.opportunities import opportunities
from costmodel.reporting.html import _facts, _timeline
from costmodel.reporting.html._assemble import assembled
from costmodel.reporting.html._data import document
from costmodel.reporting.tables import target_parts

_SCRIPTS = ("base.js", "report.js", "chart.js", "charts.js", "table.js", "graph.js", "whatif.js", "start.js")


def page(report: Estimate) -> str:
    """The estimate as one HTML document: works from a file, without a network, in print, and in part without scripts."""
    return assembled(
        "page.html",
        styles=("page.css",),
        vendored=("echarts.slim.min.js", "dagre.min.js"),
        scripts=_SCRIPTS,
        data=document(report),
        report=report,
        target_words=target_parts(report.target, report.batch),
        latency=_facts.latency(report),
        headline=_facts.headline(report),
        timeline=_timeline.drawing(report),
        opportunities=_facts.opportunity_rows(report, opportunities(report)),
        reproducibility=_facts.reproducibility(report),
    )


def write(report: Estimate, path: str | os.PathLike[str]) -> None:
    """Write the page of an estimate into a file.

    Raises
    ------
    CostModelError
        If the file cannot be written; names it.
    """
    durable.put(path, page(report))
