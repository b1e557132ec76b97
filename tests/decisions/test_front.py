"""Fronts against brute force, and the probability of belonging to one against sampling."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.decisions import Offer, dominated, front, membership
from costmodel.decisions._front import Point
from costmodel.errors import UsageError
from costmodel.interval import Interval, difference
from tests.decisions.offers import offer, template

#: Few values, so that ties come often.
POINTS = st.lists(st.tuples(st.integers(1, 6), st.integers(60, 64)), max_size=14)


def brute_force(points: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """The definition: at least as fast, at least as accurate, and better in one of them."""
    return tuple(any(s <= t and b >= a and (s < t or b > a) for s, b in points) for t, a in points)


@settings(deadline=None)
@given(POINTS)
def test_the_front_is_the_one_of_brute_force(points: list[tuple[int, int]]) -> None:
    assert dominated(points) == brute_force(points)


@settings(deadline=None)
@given(POINTS.filter(bool))
def test_a_front_of_offers_is_the_one_of_brute_force(points: list[tuple[int, int]]) -> None:
    offers = [offer(f"n{number}", t * 1e-3, float(a)) for number, (t, a) in enumerate(points)]
    found = front(template().target, offers)
    on_front = {entry.offer.network.name: entry.on_front for entry in found.standings}
    assert [on_front[f"n{number}"] for number in range(len(points))] == [not beaten for beaten in brute_force(points)]
    assert [entry.offer.cost.latency_s for entry in found.standings] == sorted(t * 1e-3 for t, _ in points)


@settings(deadline=None)
@given(POINTS.filter(bool))
def test_what_beats_a_network_stands_on_the_front_and_is_better(points: list[tuple[int, int]]) -> None:
    found = front(template().target, [offer(f"n{number}", t * 1e-3, float(a)) for number, (t, a) in enumerate(points)])
    best = {entry.offer.network.name: entry for entry in found.best}
    for entry in found.standings:
        assert (entry.beaten_by == "") == entry.on_front
        if not entry.on_front:
            rival = best[entry.beaten_by]
            assert rival.top1 >= entry.top1
            assert rival.offer.cost.latency_s <= entry.offer.cost.latency_s
            assert entry.probability_faster is not None
            assert entry.probability_faster <= 0.5


def sampled(points: Sequence[Point], draws: int = 20_000) -> list[float]:
    """The share of draws of all latencies in which each point belongs to the front."""
    generator = random.Random(7)
    counts = [0] * len(points)
    for _ in range(draws):
        times = [point.latency_s * math.exp(point.sigma * generator.gauss(0, 1)) for point in points]
        for number, is_beaten in enumerate(dominated([(t, point.top1) for t, point in zip(times, points, strict=True)])):
            counts[number] += not is_beaten
    return [count / draws for count in counts]


@pytest.mark.parametrize(
    "points",
    [
        [Point(1.0, 0.1, 70), Point(1.1, 0.1, 69), Point(1.3, 0.3, 72), Point(1.2, 0.05, 71.5)],
        [Point(1.0, 0.2, 70), Point(1.0, 0.25, 70.1), Point(0.9, 0.4, 69.9), Point(5.0, 0.4, 80), Point(4.0, 0.01, 79)],
        [Point(1.0, 0.01, 70), Point(1.02, 0.5, 70.5), Point(1.01, 0.5, 69.5)],
    ],
)
def test_membership_is_what_sampling_finds(points: list[Point]) -> None:
    standard_error = 0.5 / math.sqrt(20_000)
    assert membership(points) == pytest.approx(sampled(points), abs=5 * standard_error + 0.005)


@settings(deadline=None)
@given(st.floats(1e-3, 1.0), st.floats(0.3, 3.0), st.floats(1.05, 2.5), st.floats(1.05, 2.5))
def test_of_two_it_is_the_probability_of_being_faster(first_s: float, ratio: float, factor: float, other: float) -> None:
    one, two = Interval(basis="calibrated", factor=factor), Interval(basis="calibrated", factor=other)
    expected = difference(first_s, one, first_s * ratio, two).probability_faster
    found = membership([Point(first_s, one.sigma, 75.0), Point(first_s * ratio, two.sigma, 70.0)])
    assert found[0] == 1.0
    assert found[1] == pytest.approx(expected, abs=0.006)


def test_equal_networks_share_their_place() -> None:
    twins = [offer("a", 1e-3, 70.0, macs=1), offer("b", 1e-3, 70.0, macs=1)]
    found = front(template().target, [*twins, offer("c", 2e-3, 80.0)])
    assert [(entry.offer.network.name, entry.on_front, entry.probability) for entry in found.standings][:2] == [
        ("a", True, pytest.approx(1, abs=1e-4)),
        ("b", True, pytest.approx(1, abs=1e-4)),
    ]


def test_the_same_work_with_less_accuracy_never_belongs() -> None:
    better, worse = offer("better", 1e-3, 71.0, factor=2.0, macs=1), offer("worse", 1e-3, 70.0, factor=2.0, macs=1)
    found = {entry.offer.network.name: entry for entry in front(template().target, [worse, better]).standings}
    assert (found["worse"].probability, found["worse"].may_belong) == (0.0, False)
    other_work = front(template().target, [offer("worse", 1e-3, 70.0, factor=2.0, macs=2), better])
    assert next(entry for entry in other_work.standings if entry.offer.network.name == "worse").may_belong


def test_a_network_close_behind_may_belong_and_one_far_behind_may_not() -> None:
    offers = [offer("fast", 10e-3, 70.0), offer("close", 10.5e-3, 69.0), offer("far", 20e-3, 69.5)]
    found = {entry.offer.network.name: entry for entry in front(template().target, offers).standings}
    assert (found["close"].may_belong, found["far"].may_belong, found["fast"].may_belong) == (True, False, False)


def test_what_cannot_stand_on_a_front_is_left_out_with_its_reason() -> None:
    bad: list[Offer] = [offer("unknown", 1e-3, None), offer("partial", 1e-3, 70.0, modelled=False), offer("large", 1e-3, 70.0, fits=False)]
    found = front(template().target, [*bad, offer("good", 2e-3, 60.0)])
    assert [entry.offer.network.name for entry in found.standings] == ["good"]
    assert {entry.name: entry.reason.split(",")[0].split(" on ")[0] for entry in found.left_out} == {
        "unknown": "no published top-1 at this width and resolution",
        "partial": "part of it has no cost",
        "large": "does not fit the device's memory",
    }
    with pytest.raises(UsageError, match=r"no network has both .* pixel4: unknown: no published top-1.*--accuracy"):
        front(template().target, bad)


def test_the_zoo_on_a_phone() -> None:
    """MobileNetV3 was searched for this phone's predecessor (arXiv 1905.02244) and beats MobileNetV2 and ResNet there."""
    (found,) = costmodel.pareto(["mobilenet-v3-large", "mobilenet-v2", "resnet-18", "efficientnet-lite4@380"], targets=[costmodel.target("pixel4")])
    assert [entry.offer.network.name for entry in found.best] == ["mobilenet-v3-large", "efficientnet-lite4@380"]
    assert {entry.beaten_by for entry in found.standings if not entry.on_front} == {"mobilenet-v3-large"}
