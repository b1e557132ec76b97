"""A grid of estimates as a picture: latency along one axis, a line for each value of a second, a panel for each of a third."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.decisions import Axis, Cell, Grid, text_of
from costmodel.errors import UsageError
from costmodel.quantity import significant
from costmodel.reporting import plots
from costmodel.reporting.tables import target_parts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (5.4, 4.1)
_PANELS_IN_A_ROW = 3
#: More lines than this cannot be told apart.
_MOST_LINES, _MOST_PANELS = 10, 6
_WORDS = {"batch": "batch (samples)", "resolution": "resolution (pixels)", "width": "width multiplier", "dtype": "precision", "threads": "threads"}
_NUMERIC = ("resolution", "batch", "width", "threads")


def draw_sweep(found: Grid, path: str | Path) -> None:
    """Write the picture of a grid; the ending of `path` says of what kind.

    Raises
    ------
    UsageError
        If nothing changes along the grid, more changes than a picture shows, or the ending says no kind of picture.
    """
    plots.require_picture(path)
    x, lines, panels = _roles(found.axes)
    plots.draw(lambda make: _paint(found, x, lines, panels, make), path)


def _roles(axes: Sequence[Axis]) -> tuple[Axis, Axis | None, Axis | None]:
    """Which axis runs to the right, which makes lines, which makes panels: numbers with the most values run, names make lines."""
    running = sorted((axis for axis in axes if axis.name in _NUMERIC), key=lambda axis: -len(axis.values))
    if not running:
        raise UsageError("a picture needs numbers along one axis: give --batch, --resolution, --width or --threads more than one value, or write a .csv")
    x = running[0]
    rest = sorted((axis for axis in axes if axis is not x), key=lambda axis: -len(axis.values))
    if len(rest) > 2:
        raise UsageError(
            f"a picture shows three axes and {len(axes)} change ({', '.join(axis.name for axis in axes)}): give one of them one value, or write a .csv"
        )
    lines, panels = [*rest, None, None][:2]
    for axis, most, what in ((lines, _MOST_LINES, "lines"), (panels, _MOST_PANELS, "panels")):
        if axis is not None and len(axis.values) > most:
            raise UsageError(f"{len(axis.values)} values of {axis.name} are too many {what} (at most {most}): give fewer, or write a .csv")
    return x, lines, panels


def _paint(found: Grid, x: Axis, lines: Axis | None, panels: Axis | None, make: Any) -> Figure:
    """Panels one below the other where throughput stands beside latency, else side by side, all with the same range."""
    quantities = ("latency", "throughput") if any(axis.name == "batch" for axis in found.axes) else ("latency",)
    values = panels.values if panels else (None,)
    rows, columns = (len(values), 2) if len(quantities) == 2 else (math.ceil(len(values) / _PANELS_IN_A_ROW), min(len(values), _PANELS_IN_A_ROW))
    figure: Figure = make(figsize=(_PANEL[0] * columns + (1.2 if lines else 0.3), _PANEL[1] * rows))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    grid = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    ranges = {quantity: [end for cell in found.cells for end in _figures(cell, quantity)] for quantity in quantities}
    for number, value in enumerate(values):
        cells = [cell for cell in found.cells if panels is None or cell.value(panels.name) == value]
        heading = plots.label(found.model) + (f", {_named(panels, value)}" if panels else "")
        for place, quantity in enumerate(quantities):
            axes = grid[number * len(quantities) + place]
            _panel(axes, cells, x, lines, quantity, ranges[quantity])
            if place == 0:
                plots.title(axes, heading, _conditions(cells, {axis.name for axis in found.axes}))
    for axes in grid[len(values) * len(quantities) :]:
        axes.set_axis_off()
    if lines:
        legend = figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right upper", alignment="left")
        legend.set_title(_WORDS[lines.name].partition(" (")[0])
        legend.get_title().set(fontsize=8, fontweight="bold")
    return figure


def _conditions(cells: Sequence[Cell], changing: set[str]) -> str:
    """Device, target and batch, without what changes within the picture."""
    cell = cells[0]
    words = target_parts(cell.target, cell.batch)
    hidden = {
        "dtype": cell.target.dtype,
        "threads": cell.target.cores_text,
        "batch": f"batch {cell.batch}",
    }
    gone = {text for name, text in hidden.items() if name in changing}
    return " · ".join([cell.target.device.profile.title, *(word for word in words if word not in gone), f"{cell.cost.interval.level:.0%} intervals"])


def _panel(axes: Axes, cells: Sequence[Cell], x: Axis, lines: Axis | None, quantity: str, ends: Sequence[float]) -> None:
    """Lines with their intervals as bands, both axes logarithmic."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    for position, value in enumerate(lines.values if lines else (None,)):
        chosen = [cell for cell in cells if lines is None or cell.value(lines.name) == value]
        look = plots.look(position)
        places = [_number(cell.value(x.name)) for cell in chosen]
        middle, low, high = zip(*(_figures(cell, quantity) for cell in chosen), strict=True)
        axes.fill_between(places, low, high, color=look.colour, alpha=0.13, linewidth=0)
        name = _text(lines, value) if lines else None
        axes.plot(places, middle, color=look.colour, marker=look.marker, markersize=4.5, linewidth=1.4, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    if quantity == "latency":
        plots.latency_axis(axes, ends, label="estimated latency", which="y")
    else:
        axes.set_ylim(min(ends) / 1.25, max(ends) * 1.25)
        plots.log_ticks(axes.yaxis, min(ends) / 1.25, max(ends) * 1.25, lambda value: f"{value:,.0f}" if value >= 1 else significant(value, 1))
        axes.set_ylabel("estimated throughput (samples/s)")
        axes.grid(which="major", color=plots.GRID, linewidth=0.7)
    ticks = _thinned(x.values)
    axes.xaxis.set_major_locator(FixedLocator([_number(value) for value in ticks]))
    axes.xaxis.set_major_formatter(FixedFormatter([_text(x, value) for value in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"{_WORDS[x.name]}, logarithmic")


def _figures(cell: Cell, quantity: str) -> tuple[float, float, float]:
    """(estimate, lower end, upper end) of what a panel shows."""
    cost = cell.cost
    if quantity == "latency":
        return cost.latency_s, cost.latency_low_s, cost.latency_high_s
    return cost.samples_per_s, cell.batch / cost.latency_high_s, cell.batch / cost.latency_low_s


def _thinned(values: Sequence[Any], most: int = 9) -> list[Any]:
    """At most so many of the values, the first and the last among them, spread over a logarithmic axis."""
    ordered = sorted(values, key=_number)
    if len(ordered) <= most:
        return ordered
    wanted = [_number(ordered[0]) * (_number(ordered[-1]) / _number(ordered[0])) ** (k / (most - 1)) for k in range(most)]
    return list(dict.fromkeys(min(ordered, key=lambda value: abs(_number(value) - at)) for at in wanted))


def _number(value: Any) -> float:
    """Where a value lies on an axis: a resolution by its height."""
    return float(value[0] if isinstance(value, tuple) else value)


def _text(axis: Axis, value: Any) -> str:
    return text_of(value) if axis.name == "resolution" else f"{value:g}" if axis.name in _NUMERIC else str(value)


def _named(axis: Axis | None, value: Any) -> str:
    """A value with what it is of, as a heading or a legend says it."""
    assert axis is not None
    text = _text(axis, value)
    if axis.name == "threads":
        return f"{text} thread{'' if value == 1 else 's'}"
    return text if axis.name == "dtype" else f"{axis.name} {text}"
