"""Labels of points in a picture that overlap neither each other nor, where there is room, what is drawn.

Each label may stand at a few hundred positions round its point. They are placed one after the other at the cheapest position, and
then again in turn, given where the others stand, until none moves: a local search, which always comes out the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy

#: Distances from the point to the nearest edge of its label, in points of 1/72 inch.
_RADII = (4.0, 8.0, 13.0, 19.0, 26.0, 35.0, 46.0, 60.0, 78.0, 100.0)
_DIRECTIONS = 24
#: A label at most this far from its point needs no line to it.
_TOUCHING = 8.0
#: What a position costs, in the same arbitrary unit: for each mark that it covers, each mark under its line, each crossing of lines and labels,
#: each point of distance, each radian away from the wanted direction.
_PER_MARK, _PER_MARK_UNDER_LINE, _PER_CROSSING, _PER_POINT, _PER_RADIAN = 12.0, 1.0, 9.0, 0.16, 1.6
#: A label that would cost more than this is left out rather than put where nobody can tell what it means.
MOST = 40.0
_PASSES = 8
#: Room between labels, in points: side by side, where two names would read as one, and one above the other.
_BESIDE, _ABOVE = 5.0, 1.2


class Box(NamedTuple):
    """A rectangle by its left, lower, right and upper edge."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two have more than an edge in common."""
        return self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top


class Placed(NamedTuple):
    """Where a label went: `number` of its point, its `box`, and whether it is far enough away to need a line to the point."""

    number: int
    box: Box
    leader: bool


class _Spots(NamedTuple):
    """The positions of a label: boxes and lines (n, 4), what each costs by itself, and whether its line is drawn (n,)."""

    boxes: numpy.ndarray
    lines: numpy.ndarray
    costs: numpy.ndarray
    drawn: numpy.ndarray


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    marks: Sequence[Box],
    frame: Box,
    reach: float = math.inf,
    blocked: Sequence[Box] = (),
    most: float = MOST,
    direction: float = 0.75 * math.pi,
) -> list[Placed]:
    """Boxes for labels of the points; those for which there is no room are left out.

    Parameters
    ----------
    points : where the labelled points are, the most important first.
    sizes : width and height of each label.
    marks : what should stay visible.
    frame : what the labels must lie within.
    reach : how far from its point a label may go.
    blocked : what no label may cover.
    most : the cost above which a label is left out.
    direction : where labels go if there is room, in radians from the right; up and left by default, where a front leaves
        room.

    Examples
    --------
    >>> [(entry.number, entry.leader) for entry in place([(50, 50), (50, 50)], [(20, 8)] * 2, [], Box(0, 0, 100, 100))]
    [(0, False), (1, False)]
    """
    import numpy as np

    edges = np.array(marks, dtype=float).reshape(-1, 4)
    never = np.array(blocked, dtype=float).reshape(-1, 4) + np.array([-_BESIDE, -_ABOVE, _BESIDE, _ABOVE])
    spots = [_spots(point, size, edges, frame, reach, direction) for point, size in zip(points, sizes, strict=True)]
    spots = [_Spots(*(part[~_overlaps(own.boxes, never).any(axis=1)] for part in own)) for own in spots]
    chosen: dict[int, int] = {}
    for _ in range(_PASSES):
        before = dict(chosen)
        for number, own in enumerate(spots):
            chosen.pop(number, None)
            best = _best(own, [(spots[other], position) for other, position in chosen.items()], most)
            if best is not None:
                chosen[number] = best
        if chosen == before:
            break
    return [Placed(n, Box(*map(float, spots[n].boxes[position])), bool(spots[n].drawn[position])) for n, position in sorted(chosen.items())]


def nearest_edge(box: Box, point: tuple[float, float]) -> tuple[float, float]:
    """The point of a box that is nearest to `point`."""
    return min(max(point[0], box.left), box.right), min(max(point[1], box.bottom), box.top)


def _spots(point: tuple[float, float], size: tuple[float, float], marks: numpy.ndarray, frame: Box, reach: float, direction: float) -> _Spots:
    """Every position within the frame: the box touches a circle round the point from outside."""
    import numpy as np

    radius, angle = (grid.ravel() for grid in np.meshgrid([r for r in _RADII if r <= reach], np.arange(_DIRECTIONS) * (2 * math.pi / _DIRECTIONS)))
    left = point[0] + radius * np.cos(angle) - size[0] * (1 - np.cos(angle)) / 2
    bottom = point[1] + radius * np.sin(angle) - size[1] * (1 - np.sin(angle)) / 2
    boxes = np.stack([left, bottom, left + size[0], bottom + size[1]], axis=1)
    kept = (boxes[:, 0] >= frame.left) & (boxes[:, 1] >= frame.bottom) & (boxes[:, 2] <= frame.right) & (boxes[:, 3] <= frame.top)
    boxes, radius, angle = boxes[kept], radius[kept], angle[kept]
    ends = np.stack([np.clip(point[0], boxes[:, 0], boxes[:, 2]), np.clip(point[1], boxes[:, 1], boxes[:, 3])], axis=1)
    lines = np.concatenate([np.broadcast_to(np.array(point, dtype=float), ends.shape), ends], axis=1)
    drawn = radius > _TOUCHING
    away = np.abs((angle - direction + math.pi) % (2 * math.pi) - math.pi)
    costs = _PER_MARK * _overlaps(boxes, marks).sum(axis=1) + _PER_POINT * radius + _PER_RADIAN * away
    costs += _PER_MARK_UNDER_LINE * drawn * _runs_through(lines, marks).sum(axis=1)
    return _Spots(boxes, lines, costs, drawn)


def _best(own: _Spots, others: Sequence[tuple[_Spots, int]], most: float) -> int | None:
    """The cheapest position that overlaps no other label; None where there is none, or none that is cheap enough."""
    import numpy as np

    costs = own.costs.copy()
    if others and len(costs):
        boxes = np.array([spots.boxes[position] for spots, position in others])
        lines = np.array([spots.lines[position] for spots, position in others if spots.drawn[position]]).reshape(-1, 4)
        crossed = _runs_through(lines, own.boxes).sum(axis=0)
        crossed = crossed + own.drawn * (_runs_through(own.lines, boxes).sum(axis=1) + _cross(own.lines, lines).sum(axis=1))
        roomy = boxes + np.array([-_BESIDE, -_ABOVE, _BESIDE, _ABOVE])
        costs += _PER_CROSSING * crossed + np.where(_overlaps(own.boxes, roomy).any(axis=1), np.inf, 0.0)
    if not len(costs) or costs.min() > most:
        return None
    return int(costs.argmin())


def _overlaps(first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
    """Whether each of the first boxes has an area in common with each of the second, (n, m)."""
    a, b = first[:, None, :], second[None, :, :]
    found: numpy.ndarray = (a[..., 0] < b[..., 2]) & (b[..., 0] < a[..., 2]) & (a[..., 1] < b[..., 3]) & (b[..., 1] < a[..., 3])
    return found


def _runs_through(lines: numpy.ndarray, boxes: numpy.ndarray) -> numpy.ndarray:
    """Whether each line runs through each box, (n, m), by the clipping of Liang and Barsky."""
    import numpy as np

    enter, leave = np.zeros((len(lines), len(boxes))), np.ones((len(lines), len(boxes)))
    for axis in (0, 1):
        start, delta = lines[:, None, axis], lines[:, None, axis + 2] - lines[:, None, axis]
        step = np.where(np.abs(delta) < 1e-9, 1e-9, delta)  # a line along the other axis is inside for all of its length, or for none
        low, high = (boxes[None, :, axis] - start) / step, (boxes[None, :, axis + 2] - start) / step
        enter, leave = np.maximum(enter, np.minimum(low, high)), np.minimum(leave, np.maximum(low, high))
    found: numpy.ndarray = enter < leave
    return found


def _cross(first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
    """Whether each of the first lines crosses each of the second, (n, m)."""
    a, b = first[:, None, :], second[None, :, :]

    def side(line: numpy.ndarray, point: numpy.ndarray) -> numpy.ndarray:
        found: numpy.ndarray = (line[..., 2] - line[..., 0]) * (point[..., 1] - line[..., 1]) - (line[..., 3] - line[..., 1]) * (point[..., 0] - line[..., 0])
        return found

    apart: numpy.ndarray = (side(a, b[..., :2]) * side(a, b[..., 2:]) < 0) & (side(b, a[..., :2]) * side(b, a[..., 2:]) < 0)
    return apart
