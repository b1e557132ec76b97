"""Names beside the points of a picture, placed by `labels` and joined by a line where they lie further away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from costmodel.reporting.labels import MOST, Box, nearest_edge, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABEL_SIZE = 6.6
#: Half the side of what a mark covers, in points.
_MARK = 4.2
#: How far a label may reach over the right edge of the axes, in points.
_OVERHANG = 30.0
#: Width of the white edge that keeps a label legible over a line, in points.
_HALO = 1.8


class Name(NamedTuple):
    """A label and its point in the axes' own units; `colour` is that of the line to it."""

    x: float
    y: float
    text: str
    colour: str
    ink: str
    bold: bool = False


def annotate(
    axes: Axes,
    names: Sequence[Name],
    marks: Sequence[Box],
    *,
    blocked: Sequence[Box] = (),
    reach: float = math.inf,
    most: float = MOST,
    direction: float = 0.75 * math.pi,
) -> list[Box]:
    """The boxes of the names that were written, in points. The axes must have their final place and limits.

    Parameters
    ----------
    marks : what should stay visible, in points; `mark_box` and `line_box` make them.
    blocked, reach, most, direction : see `labels.place`.
    """
    from matplotlib.patheffects import withStroke

    scale = _scale(axes)
    window = axes.get_window_extent()
    frame = Box(window.x0 / scale + 2, window.y0 / scale + 2, window.x1 / scale + _OVERHANG, window.y1 / scale - 1)
    points = [to_points(axes, name.x, name.y) for name in names]
    found = place(points, [_size(axes, name) for name in names], marks, frame, reach, blocked, most, direction)
    for entry in found:
        name, (x, y), box = names[entry.number], points[entry.number], entry.box
        edge = nearest_edge(box, (x, y))
        at = ((edge[0] - box.left) / (box.right - box.left), (edge[1] - box.bottom) / (box.top - box.bottom))
        arrow = {"arrowstyle": "-", "color": name.colour, "linewidth": 0.6, "alpha": 0.75, "relpos": at, "shrinkA": 1, "shrinkB": 3}
        axes.annotate(
            name.text,
            (name.x, name.y),
            xytext=(box.left - x, box.bottom - y),
            textcoords="offset points",
            fontsize=_LABEL_SIZE,
            fontweight=_weight(name),
            color=name.ink,
            zorder=8,
            arrowprops=arrow if entry.leader else None,
            annotation_clip=False,
            path_effects=[withStroke(linewidth=_HALO, foreground="white", alpha=0.8)],
        )
    return [entry.box for entry in found]


def to_points(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """A place in the axes' own units in points of 1/72 inch from the picture's lower left corner."""
    across, up = axes.transData.transform((x, y))
    return float(across) / _scale(axes), float(up) / _scale(axes)


def mark_box(axes: Axes, x: float, y: float) -> Box:
    """What a mark at a place covers."""
    across, up = to_points(axes, x, y)
    return Box(across - _MARK, up - _MARK, across + _MARK, up + _MARK)


def line_box(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> Box:
    """What a level or an upright line covers."""
    (x0, y0), (x1, y1) = to_points(axes, *start), to_points(axes, *end)
    return Box(min(x0, x1) - 0.5, min(y0, y1) - 0.5, max(x0, x1) + 0.5, max(y0, y1) + 0.5)


def _scale(axes: Axes) -> float:
    return float(axes.figure.dpi) / 72


def _size(axes: Axes, name: Name) -> tuple[float, float]:
    """Width and height of a label in points."""
    text = axes.text(0, 0, name.text, fontsize=_LABEL_SIZE, fontweight=_weight(name))
    extent = text.get_window_extent()
    text.remove()
    return extent.width / _scale(axes), extent.height / _scale(axes)


def _weight(name: Name) -> str:
    return "bold" if name.bold else "normal"
