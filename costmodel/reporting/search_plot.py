"""A search as a picture: score against estimated latency of the candidates that were evaluated, the front as a staircase, the target as a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.errors import CostModelError, printable
from costmodel.reporting import plots
from costmodel.reporting.plots import FAINT, INK, MUTED
from costmodel.reporting.search_tables import number_text
from costmodel.reporting.tables import cropped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Document = Mapping[str, Any]

_PANEL = (7.6, 5.0)
#: The largest score that is drawn: matplotlib's margins and squares of distances stay finite.
_LARGEST = 1e100
#: Letters of the note below a picture.
_NOTE = 120


def draw_search(document: Document, path: str | Path) -> None:
    """Write the picture of a search, as ``costmodel search --json`` prints it; the ending of `path` says of what kind.

    Raises
    ------
    CostModelError
        If no candidate within the target has a score, or the file cannot be written.
    UsageError
        If the ending says no kind of picture.
    """
    plots.require_picture(path)
    if not document["candidates"]:
        raise CostModelError(f"{path}: no candidate within the target has a score, so there is nothing to draw")
    if not drawable(document):
        raise CostModelError(f"{path}: there are scores beyond {_LARGEST:g}, for which no axis can be drawn; have the evaluator return smaller ones")
    plots.draw(lambda make: _paint(document, make), path)


def drawable(document: Document) -> bool:
    """Whether a search has scores that an axis can show."""
    return bool(document["candidates"]) and all(abs(row["score"]) <= _LARGEST for row in document["candidates"])


def _paint(document: Document, make: Any) -> Figure:
    figure: Figure = make(figsize=_PANEL)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    axes = figure.subplots()
    rows, front, target_s = document["candidates"], document["front"], document["target_s"]
    ends = [row["latency_s"] for row in rows] + ([] if target_s is None else [target_s])
    level = f"{front[0]['interval']['level']:.0%}"
    plots.latency_axis(axes, ends, label=f"estimated latency (logarithmic); bars: {level} intervals of the front")
    low, high = axes.get_xlim()
    axes.set_ylabel(plots.label(document["quantity"]))
    plots.title(axes, f"{plots.label(document['space'])} on {plots.label(document['device'])}", _words(document))
    style = plots.look(0)
    others = [row for row in rows if not row["on_front"]]
    if others:
        axes.plot([row["latency_s"] for row in others], [row["score"] for row in others], ".", color=FAINT, markersize=4, alpha=0.6, label="evaluated")
    x, y = [row["latency_s"] for row in front], [row["score"] for row in front]
    axes.step([*x, high if target_s is None else target_s], [*y, y[-1]], where="post", color=INK, linewidth=1.0, alpha=0.75)
    for row in front[:: max(1, len(front) // 12)]:
        axes.hlines(row["score"], max(low, row["latency_low_s"]), min(high, row["latency_high_s"]), color=style.colour, alpha=0.25, linewidth=1.0)
    axes.plot(x, y, marker=style.marker, linestyle="", color=style.colour, markersize=5, markeredgecolor=INK, markeredgewidth=0.6, label="on the front")
    if target_s is not None:
        axes.axvline(target_s, color=plots.look(1).colour, linewidth=1.0, label=f"target {plots.seconds(target_s)}")
    axes.set_xlim(low, high)
    axes.legend(loc="upper left")
    axes.annotate(cropped(printable(document["note"]), _NOTE), (0, -0.16), xycoords="axes fraction", fontsize=7.5, color=MUTED)
    return figure


def _words(document: Document) -> str:
    found = f"{number_text(document['evaluated'])} of {number_text(document['space_size'])} candidates by {document['algorithm']}"
    where = [document[key] for key in ("processor", "cores", "runtime", "dtype") if document.get(key)]
    return " · ".join([*where, f"batch {document['batch']}", found])
