"""A timeline as a picture: a row for each slot of each engine, bars by what bounds them, and the bytes in memory below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from costmodel.quantity import binary
from costmodel.reporting import plots
from costmodel.reporting.tables import target_words
from costmodel.simulation import Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What a bar's colour says, in the order of the legend.
_CLASSES = ("compute", "memory", "overhead", "transfer")
_COLOURS = dict(zip(_CLASSES, (plots.COLOURS[0], plots.COLOURS[1], plots.COLOURS[5], plots.COLOURS[2]), strict=True))
_WIDTH, _ROW, _MEMORY = 9.0, 0.42, 1.5


def draw_gantt(timeline: Timeline, path: str | Path) -> None:
    """Write the picture; the ending of `path` says of what kind.

    Raises
    ------
    UsageError
        If the ending says no kind of picture.
    """
    plots.draw(lambda make: _paint(timeline, make), path)


def _paint(timeline: Timeline, make: Any) -> Figure:
    rows = [(number, slot) for number, engine in enumerate(timeline.engines) for slot in range(engine.slots)]
    height = 1.3 + _ROW * len(rows)
    figure: Figure = make(figsize=(_WIDTH, height + _MEMORY))
    figure.set_layout_engine("constrained", h_pad=0.08)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (height, _MEMORY)})
    scale, unit = (1e-9, "ms") if timeline.makespan_ps >= 10**9 else (1e-6, "µs")
    _bars(upper, timeline, rows, scale)
    _memory(lower, timeline, scale)
    lower.set_xlabel(f"time ({unit})")
    lower.set_xlim(0, max(1, timeline.makespan_ps) * scale)
    note = "   illustrative" if timeline.illustrative else ""
    plots.title(upper, plots.label(timeline.model), f"{timeline.target.device.profile.title} · {target_words(timeline.target, timeline.batch)}{note}")
    return figure


def _bars(axes: Axes, timeline: Timeline, rows: list[tuple[int, int]], scale: float) -> None:
    place = {row: position for position, row in enumerate(rows)}
    for name in _CLASSES:
        for position in range(len(rows)):
            bars = [
                (piece.start_ps * scale, (piece.end_ps - piece.start_ps) * scale)
                for span in timeline.spans
                if place[span.engine, span.slot] == position
                for piece in timeline.pieces(span)
                if piece.kind == name
            ]
            if bars:
                axes.broken_barh(bars, (position - 0.38, 0.76), color=_COLOURS[name], edgecolor="white", linewidth=0.15)
        axes.plot([], [], color=_COLOURS[name], linewidth=6, label=name)
    axes.set_yticks(range(len(rows)), [_row(timeline, row) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x", color=plots.GRID, linewidth=0.7)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(_CLASSES), borderaxespad=2.1)


def _row(timeline: Timeline, row: tuple[int, int]) -> str:
    engine = timeline.engines[row[0]]
    return engine.name if engine.slots == 1 else f"{engine.name} {row[1] + 1}"


def _memory(axes: Axes, timeline: Timeline, scale: float) -> None:
    for number, track in enumerate(timeline.memories):
        samples = [*dict(track.samples).items(), (timeline.makespan_ps, track.samples[-1][1])]
        axes.step([ps * scale for ps, _ in samples], [value for _, value in samples], where="post", color=plots.COLOURS[4 + number], label=track.name)
        axes.fill_between([ps * scale for ps, _ in samples], [value for _, value in samples], step="post", alpha=0.15, color=plots.COLOURS[4 + number])
    axes.set_ylim(bottom=0)
    axes.set_yticks(_ticks(timeline.peak_memory_bytes))
    axes.yaxis.set_major_formatter(lambda value, _: binary(value))
    axes.set_ylabel("memory")
    axes.grid(axis="y", color=plots.GRID, linewidth=0.7)


def _ticks(peak: int) -> list[int]:
    """Two to four multiples of a power of two bytes up to the peak."""
    step = 2 ** max(0, peak.bit_length() - 2)
    return list(range(0, peak + 1, step))
