"""Accuracy against latency as a picture: a panel for each target, its front as a staircase, intervals as bars, families as colours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.decisions import Front, Standing
from costmodel.reporting import plots
from costmodel.reporting.annotate import Name, annotate, line_box, mark_box
from costmodel.reporting.labels import Box
from costmodel.reporting.plots import FAINT, INK, MUTED
from costmodel.reporting.tables import EXTRA_DATA, target_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Families that get a colour of their own; the others are grey, so that a colour stays a name.
_MOST_FAMILIES = 16
#: Up to here every network is labelled; of more, those on the front and those that may belong there.
_FEW = 24
_PANEL = (9.2, 6.0)
#: Room for labels to the left of the fastest network, as a share of the axis.
_LEFT_ROOM = 0.13
#: Room for labels above the most accurate network.
_TOP_ROOM = 0.14
#: How far from its point the label of a network behind the front may go, in points.
_BEHIND_REACH = 20.0
#: And what it may cost: it is left out rather than laid over anything.
_BEHIND_MOST = 9.0
#: The look of the others.
OTHER = plots.Look("#9a9a9a", "o")
#: What marks and figures may call for beside a picture of fronts.
NOTES = {
    "extra": EXTRA_DATA,
    "bound": "accuracies are of full precision where none is published in this one, which may lose some",
}


def draw_pareto(fronts: Sequence[Front], path: str | Path) -> None:
    """Write the picture of `fronts`; the ending of `path` says of what kind.

    Raises
    ------
    UsageError
        If the ending says no kind of picture.
    """
    plots.draw(lambda make: _paint(fronts, make), path)


def _paint(fronts: Sequence[Front], make: Any) -> Figure:
    columns = 1 if len(fronts) == 1 else 2
    rows = math.ceil(len(fronts) / columns)
    figure: Figure = make(figsize=(_PANEL[0] * columns, _PANEL[1] * rows))
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    panels = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    looks = family_looks(fronts)
    for axes, found in zip(panels, fronts, strict=False):
        _panel(axes, found, looks)
    for axes in panels[len(fronts) :]:
        axes.set_axis_off()
    _legend(figure, fronts, looks)
    figure.canvas.draw()  # the frames have their places now, which labels need
    figure.set_layout_engine("none")
    for axes, found in zip(panels, fronts, strict=False):
        _labels(axes, found, looks)
    return figure


def family_looks(fronts: Sequence[Front]) -> dict[str, plots.Look]:
    """A look for each family that matters most: those of the fronts, then those that may belong, then the largest."""
    weight: Counter[str] = Counter()
    for found in fronts:
        for entry in found.standings:
            weight[entry.offer.network.family] += 100 if entry.on_front else 10 if entry.may_belong else 1
    chosen = [family for family, _ in sorted(weight.items(), key=lambda item: (-item[1], item[0]))[:_MOST_FAMILIES]]
    return {family: plots.look(position) for position, family in enumerate(chosen)}


def _panel(axes: Axes, found: Front, looks: dict[str, plots.Look]) -> None:
    """Points, bars, staircase and axes of one target."""
    from matplotlib.ticker import MaxNLocator

    ends = [end for entry in found.standings for end in (entry.offer.cost.latency_low_s, entry.offer.cost.latency_high_s)]
    what = "estimated latency" if found.batch == 1 else f"estimated latency of a batch of {found.batch}"
    plots.latency_axis(axes, ends, label=f"{what} (logarithmic), with its {_level(found)} interval")
    axes.set_ylabel("published ImageNet top-1 (%)")
    plots.title(axes, found.target.device.profile.title, target_words(found.target, found.batch))
    _staircase(axes, found)
    for entry in found.standings:  # the least important first, so that the others lie above
        look = looks.get(entry.offer.network.family, OTHER)
        known = entry.offer.network.family in looks
        cost = entry.offer.cost
        strength = 0.85 if entry.on_front else 0.4 if entry.may_belong else 0.22
        axes.hlines(entry.top1, cost.latency_low_s, cost.latency_high_s, color=look.colour, alpha=strength, linewidth=1.0 if entry.on_front else 0.7, zorder=2)
        face = look.colour if not entry.may_belong else "white"
        axes.plot(
            cost.latency_s,
            entry.top1,
            marker=look.marker,
            markersize=6.4 if entry.on_front else 5.2 if entry.may_belong else 3.9,
            markerfacecolor=face,
            markeredgecolor=INK if entry.on_front else look.colour,
            markeredgewidth=0.8 if entry.on_front else 1.0 if entry.may_belong else 0.0,
            alpha=1.0 if entry.on_front or entry.may_belong else 0.7 if known else 0.5,
            zorder=6 if entry.on_front else 5 if entry.may_belong else 3,
        )
    low, high = axes.get_xlim()
    low /= (high / low) ** _LEFT_ROOM
    axes.set_xlim(low, high)
    plots.log_ticks(axes.xaxis, low, high, plots.seconds)
    lowest, highest = min(entry.top1 for entry in found.standings), max(entry.top1 for entry in found.standings)
    span = max(highest - lowest, 1.0)
    axes.set_ylim(lowest - 0.06 * span, highest + _TOP_ROOM * span)
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))


def _staircase(axes: Axes, found: Front) -> None:
    """The best accuracy within each latency, to the right edge."""
    best = found.best
    x = [entry.offer.cost.latency_s for entry in best] + [axes.get_xlim()[1]]
    y = [entry.top1 for entry in best] + [best[-1].top1]
    axes.step(x, y, where="post", color=INK, linewidth=1.0, alpha=0.75, zorder=1)


def _legend(figure: Figure, fronts: Sequence[Front], looks: dict[str, plots.Look]) -> None:
    """Families, then what fillings and lines mean, to the right of the panels; notes at the foot."""
    from matplotlib.lines import Line2D

    present = {entry.offer.network.family for found in fronts for entry in found.standings}
    handles = [
        Line2D([], [], linestyle="", marker=look.marker, color=look.colour, markersize=5.5, label=plots.label(family)) for family, look in sorted(looks.items())
    ]
    others = len(present) - len(looks)
    if others:
        noun = f"{others} other famil{'y' if others == 1 else 'ies'}"
        handles.append(Line2D([], [], linestyle="", marker=OTHER.marker, color=OTHER.colour, markersize=4.5, alpha=0.6, label=noun))
    key = [
        Line2D([], [], color=INK, linewidth=1.0, marker="o", markersize=6.4, markerfacecolor=FAINT, markeredgecolor=INK, label="on the front"),
        Line2D([], [], linestyle="", marker="o", markersize=5.2, markerfacecolor="white", markeredgecolor=MUTED, label="may belong to it"),
        Line2D([], [], linestyle="", marker="o", markersize=4.2, markerfacecolor=FAINT, markeredgewidth=0, label="beaten"),
        Line2D([], [], color=FAINT, linewidth=1.2, label=f"{_level(fronts[0])} interval"),
    ]
    blank = Line2D([], [], linestyle="", label=" ")
    legend = figure.legend(handles=[*handles, blank, *key], loc="outside right upper", handletextpad=0.6, labelspacing=0.55, alignment="left")
    legend.set_title("family")
    legend.get_title().set(fontsize=8, fontweight="bold")
    notes = front_notes(fronts)
    if notes:
        figure.supxlabel("    ".join(notes), fontsize=7.5, color=MUTED, x=0.01, ha="left")


def front_notes(fronts: Sequence[Front], *, bound: str = NOTES["bound"]) -> list[str]:
    """What a reader of these fronts must know of their accuracies; `bound` says it of those that are of another precision."""
    entries = [entry for found in fronts for entry in found.standings]
    told = {
        "extra": any((figure := entry.offer.figure) is not None and figure.extra_data for entry in entries),
        "bound": any(entry.offer.top1_is_bound for entry in entries),
    }
    words = {**NOTES, "bound": bound}
    return [words[name] for name, holds in told.items() if holds]


def _level(found: Front) -> str:
    return f"{found.standings[0].offer.cost.interval.level:.0%}"


def _labels(axes: Axes, found: Front, looks: dict[str, plots.Look]) -> None:
    """Names beside their points: the front first, then as many others as have room nearby."""
    marks = [mark_box(axes, entry.offer.cost.latency_s, entry.top1) for entry in found.standings] + _lines(axes, found)
    taken = annotate(axes, [_name(entry, looks) for entry in found.best], marks)
    annotate(axes, [_name(entry, looks) for entry in _behind(found)], marks, blocked=taken, reach=_BEHIND_REACH, most=_BEHIND_MOST, direction=-math.pi / 4)


def _behind(found: Front) -> list[Standing]:
    """Networks behind the front that get a label where there is room: those that may belong to it, and all where they are few."""
    wanted = [entry for entry in found.standings if entry.may_belong or (len(found.standings) <= _FEW and not entry.on_front)]
    return sorted(wanted, key=lambda entry: -entry.probability)


def _name(entry: Standing, looks: dict[str, plots.Look]) -> Name:
    figure = entry.offer.figure
    text = plots.label(entry.offer.network.name) + ("†" if figure is not None and figure.extra_data else "")
    colour = looks.get(entry.offer.network.family, OTHER).colour
    return Name(entry.offer.cost.latency_s, entry.top1, text, colour, INK if entry.on_front else MUTED, entry.on_front)


def _lines(axes: Axes, found: Front) -> list[Box]:
    """What the staircase and the intervals of the front cover."""
    corners = [(entry.offer.cost.latency_s, entry.top1) for entry in found.best]
    corners.append((axes.get_xlim()[1], corners[-1][1]))
    level = [line_box(axes, (x, y), (after[0], y)) for (x, y), after in pairwise(corners)]
    rise = [line_box(axes, (after[0], y), after) for (_, y), after in pairwise(corners)]
    bars = [line_box(axes, (entry.offer.cost.latency_low_s, entry.top1), (entry.offer.cost.latency_high_s, entry.top1)) for entry in found.best]
    return level + rise + bars
