"""Labels: apart from each other, within their frame, beside their points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.reporting.labels import Box, Placed, nearest_edge, place

FRAME = Box(0, 0, 300, 200)
SIZE = (40.0, 8.0)
POINTS = st.lists(st.tuples(st.floats(5, 295), st.floats(5, 195)), max_size=25)


@settings(deadline=None)
@given(POINTS)
def test_labels_overlap_neither_each_other_nor_the_frame_nor_what_is_blocked(points: list[tuple[float, float]]) -> None:
    blocked = Box(100, 80, 160, 120)
    found = place(points, [SIZE] * len(points), [], FRAME, blocked=[blocked])
    assert len({entry.number for entry in found}) == len(found)
    for entry in found:
        box = entry.box
        assert FRAME.left <= box.left <= box.right <= FRAME.right
        assert FRAME.bottom <= box.bottom <= box.top <= FRAME.top
        assert not box.overlaps(blocked)
        assert not any(box.overlaps(other.box) for other in found if other is not entry)


@settings(deadline=None)
@given(POINTS)
def test_a_label_far_away_has_a_line_and_none_goes_beyond_its_reach(points: list[tuple[float, float]]) -> None:
    for entry in place(points, [SIZE] * len(points), [], FRAME, reach=20.0):
        distance = math.dist(points[entry.number], nearest_edge(entry.box, points[entry.number]))
        assert distance < 20.1
        assert entry.leader or distance < 8.1


def test_a_few_points_all_get_their_labels_in_the_wanted_direction() -> None:
    found = place([(100, 50), (200, 150)], [SIZE] * 2, [], FRAME)
    assert [entry.number for entry in found] == [0, 1]
    for entry, (x, y) in zip(found, [(100, 50), (200, 150)], strict=True):
        middle = ((entry.box.left + entry.box.right) / 2, (entry.box.bottom + entry.box.top) / 2)
        assert (entry.leader, middle[0] < x, middle[1] > y) == (False, True, True)


def test_marks_are_not_covered_where_there_is_room() -> None:
    marks = [Box(50 + x, 60 + y, 56 + x, 66 + y) for x in range(0, 60, 10) for y in range(0, 60, 10)]
    (label,) = place([(110, 60)], [SIZE], marks, FRAME)
    assert not any(label.box.overlaps(mark) for mark in marks)


def test_more_labels_than_room_are_left_out_rather_than_overlaid() -> None:
    found = place([(20.0, 10.0)] * 30, [SIZE] * 30, [], Box(0, 0, 90, 40))
    assert 0 < len(found) < 30


@pytest.mark.parametrize("points", [[], [(10.0, 10.0)]])
def test_a_frame_without_room_gets_none(points: list[tuple[float, float]]) -> None:
    nowhere: list[Placed] = []
    assert place(points, [SIZE] * len(points), [], Box(0, 0, 20, 5)) == nowhere
