"""Recommendations against brute force, what is said where nothing fits, and the choice on measured networks."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.decisions import Limits, Offer, recommend, zoo_networks
from costmodel.devices import profile_folder
from costmodel.errors import UsageError
from costmodel.zoo import canonical
from tests.decisions.offers import offer

OFFERS = st.lists(
    st.builds(
        lambda name, t, a, m, f: offer(f"n{name}", t * 1e-3, a, memory=m, factor=f),
        st.integers(0, 10**6),
        st.integers(1, 8),
        st.one_of(st.none(), st.floats(60, 63)),
        st.integers(1, 5),
        st.sampled_from([1.05, 1.5]),
    ),
    max_size=12,
    unique_by=lambda entry: entry.network.name,
).filter(lambda offers: any(entry.top1 is not None for entry in offers))
LIMITS = st.builds(
    lambda t, a, m: (t, a, m), st.one_of(st.none(), st.floats(5e-4, 9e-3)), st.one_of(st.none(), st.floats(59, 64)), st.one_of(st.none(), st.integers(1, 5))
).filter(lambda limits: limits != (None, None, None))


def meets(entry: Offer, latency_s: float | None, top1: float | None, memory: int | None, *, low: bool = False) -> bool:
    cost = entry.cost
    seconds = cost.latency_low_s if low else cost.latency_s
    return (
        entry.top1 is not None
        and (latency_s is None or seconds <= latency_s)
        and (top1 is None or entry.top1 >= top1)
        and (memory is None or cost.memory_bytes <= memory)
    )


@settings(deadline=None)
@given(OFFERS, LIMITS)
def test_it_is_what_brute_force_chooses(offers: list[Offer], limits: tuple[float | None, float | None, int | None]) -> None:
    latency_s, top1, memory = limits
    found = recommend(offers, Limits(latency_s=latency_s, top1=top1, memory_bytes=memory))
    fits = {entry.network.name for entry in offers if meets(entry, *limits)}
    assert {entry.offer.network.name for entry in found.choices} == fits
    assert {entry.offer.network.name for entry in found.perhaps} == {entry.network.name for entry in offers if meets(entry, *limits, low=True)} - fits
    if fits:
        best = found.choices[0].offer
        if latency_s is None and top1 is not None:
            assert best.cost.latency_s == min(entry.cost.latency_s for entry in offers if meets(entry, *limits))
        else:
            assert best.top1 == max(entry.top1 for entry in offers if entry.top1 is not None and meets(entry, *limits))
    assert sum(number for _, number in found.excluded) + len(found.choices) == found.considered == sum(entry.top1 is not None for entry in offers)
    assert len(found.left_out) == len(offers) - found.considered


@settings(deadline=None)
@given(OFFERS, LIMITS)
def test_where_nothing_fits_the_nearest_is_reachable_and_no_less_would_do(offers: list[Offer], limits: tuple[float | None, float | None, int | None]) -> None:
    latency_s, top1, memory = limits
    found = recommend(offers, Limits(latency_s=latency_s, top1=top1, memory_bytes=memory))
    if found.choices:
        assert found.nearest == ()
        return
    assert [entry.limit for entry in found.nearest] == [name for name, limit in zip(("latency", "top-1", "memory"), limits, strict=True) if limit is not None]
    for entry in found.nearest:
        relaxed = [None if name == entry.limit else limit for name, limit in zip(("latency", "top-1", "memory"), limits, strict=True)]
        measures = {"latency": lambda other: other.cost.latency_s, "top-1": lambda other: -other.top1, "memory": lambda other: other.cost.memory_bytes}
        measure = measures[entry.limit]
        assert measure(entry.alone) == min(measure(other) for other in offers if other.top1 is not None)
        reachable = [other for other in offers if meets(other, *relaxed)]  # type: ignore[arg-type]  # as given
        assert (entry.offer is None) == (not reachable)
        if entry.offer is None:
            continue
        reached = {"latency": entry.offer.cost.latency_s, "top-1": entry.offer.top1 or 0.0, "memory": float(entry.offer.cost.memory_bytes)}[entry.limit]
        exact = Limits(
            latency_s=reached if entry.limit == "latency" else latency_s,
            top1=reached if entry.limit == "top-1" else top1,
            memory_bytes=reached if entry.limit == "memory" else memory,
        )
        assert recommend(offers, exact).choices


@pytest.mark.parametrize("offers", [[], [offer("a", 7e-3, None)]])
def test_nothing_that_could_be_ranked_is_no_budget_exceeded(offers: list[Offer]) -> None:
    with pytest.raises(UsageError, match=r"no network has both an accuracy and a latency.*--accuracy F\.csv"):
        recommend(offers, Limits(latency_s=1e-3))


def test_a_quantised_file_is_ranked_in_its_own_precision_alone_and_its_accuracy_is_its_own() -> None:
    file = replace(offer("a.tflite", 7e-3, 70.0), precision="int8")
    as_stored = replace(file, target=costmodel.target("pixel4", dtype="int8"))
    found = recommend([file, as_stored], Limits(latency_s=1.0))
    assert [entry.offer.target.dtype for entry in found.choices] == ["int8"]
    assert [entry.reason for entry in found.left_out] == ["its file is in int8, which is not what runs here: --dtype int8"]
    assert not as_stored.top1_is_bound
    assert replace(as_stored, precision="").top1_is_bound
    elsewhere = replace(file, target=costmodel.target("xeon-e5-2690"))  # which does not compute in int8
    assert recommend([elsewhere], Limits(latency_s=1.0)).choices


def test_how_surely_follows_the_interval() -> None:
    offers = [
        offer("a", 7e-3, 70.0, factor=1.25),
        offer("b", 9e-3, 70.0, factor=1.25),
        offer("c", 11e-3, 70.0, factor=1.25),
        offer("d", 14e-3, 70.0, factor=1.25),
    ]
    found = recommend(offers, Limits(latency_s=10e-3))
    assert [(entry.offer.network.name, entry.certainty) for entry in (*found.choices, *found.perhaps)] == [("a", "surely"), ("b", "probably"), ("c", "perhaps")]
    chances = [entry.probability for entry in (*found.choices, *found.perhaps)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.95 > chances[1] > 0.5 > chances[2] > 0.05  # the ends of a 90 % interval leave 5 % on either side


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({}, "at least one limit"),
        ({"latency_s": 0.0}, "latency limit must be a positive number, not 0.0"),
        ({"latency_s": math.nan}, "latency limit must be a positive number"),
        ({"memory_bytes": -1.0}, "memory limit must be a positive number"),
        ({"memory_bytes": math.inf}, "memory limit must be a positive number"),
        ({"top1": 100.0}, "from 0 to below 100"),
        ({"top1": math.nan}, "from 0 to below 100"),
    ],
)
def test_limits_that_nothing_could_meet_are_refused(limits: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Limits(**limits)


def measured() -> list[tuple[Offer, float]]:
    """Public measurements on one large core of the Pixel 4, as offers: predicted, and measured seconds."""
    known = {network.name: network for network in zoo_networks()}
    with (profile_folder() / "measurements" / "mobile_edge.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file) if (row["device"], row["runtime"], row["dtype"], row["cores"]) == ("pixel4", "tflite-padded", "fp32", "large=1")
        ]
    target = costmodel.target("pixel4", runtime="tflite-padded")
    found = []
    for row in rows:
        seconds = costmodel.estimate(row["network"], target=target, padding="symmetric").latency_s
        top1 = known[canonical(row["network"])].figures[""].percent
        found.append((offer(row["network"], seconds, top1), float(row["latency_ms"]) * 1e-3))
    return found


@pytest.fixture(scope="module")
def rows() -> list[tuple[Offer, float]]:
    return measured()


def truly_best(rows: list[tuple[Offer, float]], budget_s: float) -> str:
    fits = [(entry.top1, -seconds, entry.network.name) for entry, seconds in rows if seconds <= budget_s]
    return max(fits)[2]


@pytest.mark.parametrize("budget_ms", [5, 7, 8, 10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 300, 400])
def test_on_measured_networks_the_choice_is_within_two_percent_of_the_truly_best(budget_ms: float, rows: list[tuple[Offer, float]]) -> None:
    seconds = {entry.network.name: measured_s for entry, measured_s in rows}
    chosen = recommend([entry for entry, _ in rows], Limits(latency_s=budget_ms * 1e-3)).choices[0].offer.network.name
    best = truly_best(rows, budget_ms * 1e-3)
    assert seconds[chosen] == pytest.approx(seconds[best], rel=0.02)


def test_over_all_budgets_it_differs_only_where_a_latency_is_misjudged(rows: list[tuple[Offer, float]]) -> None:
    """A budget between a network's measured and predicted latency gets another choice; its time is never 4 % over the budget."""
    seconds = {entry.network.name: measured_s for entry, measured_s in rows}
    offers = [entry for entry, _ in rows]
    budgets = [4e-3 * 100 ** (k / 1000) for k in range(1001)]
    choices = [recommend(offers, Limits(latency_s=budget)).choices[0].offer.network.name for budget in budgets]
    same = sum(chosen == truly_best(rows, budget) for chosen, budget in zip(choices, budgets, strict=True))
    assert same / len(budgets) > 0.95
    assert max(seconds[chosen] / budget for chosen, budget in zip(choices, budgets, strict=True)) < 1.04
