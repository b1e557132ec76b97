"""NSGA-II: its parts equal brute force, and on a space small enough to enumerate it finds the front."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.errors import UsageError
from costmodel.search import Block, LatencyTable, Option, Space, nsga2, random_search, space
from costmodel.search.layers import Classifier, Conv
from costmodel.search.nsga2 import crowding, ranks
from tests.search.conftest import everything

bounded = settings(deadline=None, derandomize=True, database=None, max_examples=60)
PLAIN = Space(
    name="plain",
    resolution=(8, 8),
    stem=(Conv(8),),
    blocks=tuple(Block(name=f"b{number}", options=tuple(Option((Conv(8 * width),), (("width", width),)) for width in range(1, 7))) for number in range(4)),
    head=(Classifier(8, 2),),
)
ALL = everything(PLAIN)


def dominates(one: Any, other: Any) -> bool:
    return bool((one <= other).all() and (one < other).any())


def objectives(x: Any) -> Any:
    """Two that pull apart, with many equal values: whoever spends on the dearest block first is on the front."""
    return np.stack([x.sum(axis=1), ((5 - x) * np.array([1, 2, 3, 4])).sum(axis=1)], axis=1).astype(float)


@bounded
@given(rows=st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=40))
def test_ranks_are_those_of_peeling_fronts_off(rows: list[tuple[int, int, int]]) -> None:
    values = np.array(rows, float)
    left, number, expected = set(range(len(rows))), 0, {}
    while left:
        front = {one for one in left if not any(dominates(values[other], values[one]) for other in left)}
        expected |= dict.fromkeys(front, number)
        left, number = left - front, number + 1
    assert ranks(values).tolist() == [expected[row] for row in range(len(rows))]


@bounded
@given(rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30))
def test_who_violates_less_is_better(rows: list[tuple[int, int, int]]) -> None:
    values, outside = np.array([row[:2] for row in rows], float), np.array([row[2] for row in rows], float)
    found = ranks(values, outside)
    for one in range(len(rows)):
        for other in range(len(rows)):
            if outside[one] < outside[other] or (outside[one] == outside[other] == 0 and dominates(values[one], values[other])):
                assert found[one] < found[other]
    assert len(set(found[outside == outside.max()])) == 1 or outside.max() == 0


def test_room_is_the_box_between_neighbours() -> None:
    # by hand: 1 of 4 lies between 0 and 2 of the first objective, between 9 and 4 of 9 to 0 of the second
    found = crowding(np.array([[0.0, 9.0], [1.0, 7.0], [2.0, 4.0], [4.0, 0.0]]))
    assert found.tolist() == [np.inf, 2 / 4 + 5 / 9, 3 / 4 + 7 / 9, np.inf]
    assert crowding(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]))[1] == 0


def test_finds_the_front_of_a_space_that_can_be_enumerated() -> None:
    true = objectives(ALL)
    front = {tuple(one) for one in true[ranks(true) == 0]}
    found = nsga2(PLAIN, objectives, budget=640, seed=0, population=50)
    assert PLAIN.size > 2 * 640
    assert {tuple(one) for one in found.values} == front
    assert objectives(found.candidates).tolist() == found.values.tolist()


def test_is_the_same_for_a_seed_and_repeats_nothing() -> None:
    seen: list[tuple[int, ...]] = []

    def watched(x: Any) -> Any:
        seen.extend(map(tuple, x.tolist()))
        return objectives(x)

    first, again, other = (nsga2(PLAIN, watched, budget=130, seed=seed, population=20) for seed in (3, 3, 4))
    assert first.candidates.tolist() == again.candidates.tolist()
    assert len(seen) == 3 * 130
    assert [len(set(seen[begin : begin + 130])) for begin in (0, 130, 260)] == [130] * 3
    assert seen[:130] == seen[130:260] != seen[260:]
    assert PLAIN.checked(other.candidates).shape[1] == 4
    for one in first.values:
        assert not any(dominates(value, one) for value in first.values)


def test_a_space_may_be_smaller_than_the_budget(small: Space) -> None:
    table = LatencyTable(small, costmodel.target("pixel4"))
    found = nsga2(small, lambda x: np.stack([table.latency_s(x), -table.parameters(x)], axis=1), budget=10**6, seed=0, population=30)
    x = everything(small)
    true = np.stack([table.latency_s(x), -table.parameters(x)], axis=1)
    assert {tuple(one) for one in found.values} == {tuple(one) for one in true[ranks(true) == 0]}


def test_what_violates_a_limit_is_never_returned() -> None:
    found = nsga2(PLAIN, objectives, budget=300, seed=1, population=30, violation=lambda x: np.maximum(0, 12 - x.sum(axis=1)))
    assert len(found.candidates)
    assert (found.candidates.sum(axis=1) >= 12).all()
    nothing = nsga2(PLAIN, objectives, budget=60, seed=1, population=30, violation=lambda x: np.ones(len(x)))
    assert nothing.candidates.shape == (0, 4)
    assert nothing.values.shape == (0, 2)


def test_covers_more_than_random_search() -> None:
    fbnet = space("fbnet")
    table = LatencyTable(fbnet, costmodel.target("pixel4"))

    def both(x: Any) -> Any:
        return np.stack([table.latency_s(x), -table.parameters(x)], axis=1)

    found = nsga2(fbnet, both, budget=2000, seed=0)
    drawn = both(random_search(fbnet, table.latency_s, budget=2000, seed=0).candidates)
    beaten = [any(dominates(one, other) for one in found.values) for other in drawn]
    assert np.mean(beaten) > 0.9
    assert not any(dominates(other, one) for one in found.values for other in drawn[ranks(drawn) == 0])


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(UsageError, match="needs population <= budget, not 100 and 50"):
        nsga2(PLAIN, objectives, budget=50, seed=0)
    with pytest.raises(UsageError, match="the population must be at least 2"):
        nsga2(PLAIN, objectives, budget=50, seed=0, population=1)
    with pytest.raises(UsageError, match=r"was given 20 candidates and returned \(20,\): it must return a row"):
        nsga2(PLAIN, lambda x: np.zeros(len(x)), budget=50, seed=0, population=20)
    with pytest.raises(UsageError, match="returned NaN for candidate"):
        nsga2(PLAIN, lambda x: np.full((len(x), 2), np.nan), budget=50, seed=0, population=20)
    with pytest.raises(UsageError, match="must be a number each, 0 or more"):
        nsga2(PLAIN, objectives, budget=50, seed=0, population=20, violation=lambda x: -np.ones(len(x)))
