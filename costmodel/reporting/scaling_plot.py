"""A ladder of compound scaling as a picture: MACs by phi beside the power law, and latency where a device was asked about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.errors import UsageError
from costmodel.quantity import si
from costmodel.reporting import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]

_PANEL = (5.4, 4.1)


def draw_ladder(document: Document, path: str | Path) -> None:
    """Write the picture of a ladder, as `scaling_tables.scaling_document` has it; the ending of `path` says of what kind.

    Raises
    ------
    UsageError
        If the document is no ladder, or the ending says no kind of picture.
    """
    plots.require_picture(path)
    if document["kind"] != "ladder":
        raise UsageError(f"{path}: a picture is of --show ladder; write --show {document['kind']} as .csv or .json")
    plots.draw(lambda make: _paint(document, make), path)


def _paint(document: Document, make: Any) -> Figure:
    rungs = sorted(document["rungs"], key=lambda rung: rung["phi"])
    timed = "latency_s" in rungs[0]
    figure: Figure = make(figsize=(_PANEL[0] * (2 if timed else 1), _PANEL[1]))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    panels = figure.subplots(1, 2 if timed else 1, squeeze=False).flatten().tolist()
    phis = [rung["phi"] for rung in rungs]
    product, base_macs = document["coefficients"]["product"], rungs[0]["macs"] / rungs[0]["macs_ratio"]
    law = [base_macs * product**phi for phi in phis]
    _panel(panels[0], phis, [rung["macs"] for rung in rungs], "MACs", si)
    panels[0].plot(phis, law, linestyle="--", color="0.5", label=f"base x {product:.3g}^phi")
    panels[0].legend(loc="upper left", frameon=False)
    if timed:
        _panel(panels[1], phis, [rung["latency_s"] for rung in rungs], "latency", plots.seconds)
        panels[1].fill_between(
            phis, [rung["latency_low_s"] for rung in rungs], [rung["latency_high_s"] for rung in rungs], alpha=0.2, color=plots.look(0).colour
        )
        if document["budget_s"] is not None:
            panels[1].axhline(document["budget_s"], color=plots.look(1).colour, linewidth=1, label="budget")
            panels[1].legend(loc="upper left", frameon=False)
    figure.suptitle(plots.label(f"{document['base']}, {document['device']}" if timed else document["base"]))
    return figure


def _panel(axes: Axes, phis: list[float], values: list[float], what: str, text: Any) -> None:
    """A quantity over phi, logarithmic upwards: a power law is a straight line."""
    style = plots.look(0)
    axes.plot(phis, values, color=style.colour, marker=style.marker, label="networks as built")
    axes.set_yscale("log")
    axes.set_xlabel("phi")
    axes.set_ylabel(what)
    plots.log_ticks(axes.yaxis, min(values), max(values), text)
