"""Exact search equals brute force; random search and evolution are the same for a seed and stay within the space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.errors import BudgetExceededError, UnknownNameError, UsageError
from costmodel.search import LatencyTable, Space, Trials, evolution, exact, random_search, space
from costmodel.search.exact import Objective
from costmodel.zoo import efficientnetv2
from tests.search.conftest import everything, small_space

SMALL = small_space()
TABLE = LatencyTable(SMALL, costmodel.target("pixel4"))
ALL = everything(SMALL)
bounded = settings(deadline=None, derandomize=True, database=None, max_examples=60)


def brute_front(values: Any) -> set[tuple[float, ...]]:
    """Values that no other dominates, by comparing all with all."""
    return {tuple(one) for one in values if not any((other <= one).all() and (other < one).any() for other in values)}


def scores(seed: int, high: int) -> list[Any]:
    """Whole scores of all options, few enough that many are equal."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, high, options).astype(float) for options in SMALL.choices]


@bounded
@given(seed=st.integers(0, 10**6), high=st.integers(1, 30), k=st.integers(1, 120))
def test_the_k_least_are_those_of_brute_force(seed: int, high: int, k: int) -> None:
    given_scores = scores(seed, high)
    totals = sum(score[ALL[:, block]] for block, score in enumerate(given_scores))
    found = exact.k_least(TABLE, k, Objective(given_scores))
    assert found.values[:, 0].tolist() == sorted(totals)[:k]
    assert len({tuple(row) for row in found.candidates}) == min(k, len(ALL))
    assert sum(score[found.candidates[:, block]] for block, score in enumerate(given_scores)).tolist() == found.values[:, 0].tolist()


@bounded
@given(seed=st.integers(0, 10**6), high=st.integers(1, 30), third=st.booleans())
def test_the_front_is_that_of_brute_force(seed: int, high: int, third: bool) -> None:
    given_scores = scores(seed, high)
    totals = sum(score[ALL[:, block]] for block, score in enumerate(given_scores))
    objectives: list[Any] = ["macs", Objective(given_scores, maximise=True), *(["parameters"] if third else [])]
    found = exact.front(TABLE, objectives)
    true = np.stack([TABLE.macs(ALL), -totals, *([TABLE.parameters(ALL)] if third else [])], axis=1)
    signs = np.array([1, -1, 1][: len(objectives)])
    assert {tuple(row) for row in found.values * signs} == brute_front(true)
    assert len(found.values) == len(brute_front(true))
    assert TABLE.macs(found.candidates).tolist() == found.values[:, 0].tolist()


@pytest.mark.parametrize("quantity", ["latency_s", "busy_s", "macs", "parameters", "traffic_bytes", "energy_j"])
def test_the_least_of_every_quantity(quantity: Any) -> None:
    values = getattr(TABLE, quantity)(ALL)
    least, most = exact.least(TABLE, quantity), exact.least(TABLE, Objective(quantity, maximise=True))
    assert least.values[0, 0] == pytest.approx(values.min(), rel=1e-12)
    assert most.values[0, 0] == pytest.approx(values.max(), rel=1e-12)
    assert getattr(TABLE, quantity)(least.candidates)[0] == pytest.approx(values.min(), rel=1e-12)


@pytest.mark.parametrize("device", ["pixel4", "rtx4090", "h100"])
@pytest.mark.parametrize("batch", [1, 64])
def test_the_fastest_is_that_of_brute_force(device: str, batch: int) -> None:
    table = LatencyTable(SMALL, costmodel.target(device), batch=batch)
    found = exact.fastest(table)
    assert found.values[0, 0] == pytest.approx(table.latency_s(ALL).min(), rel=1e-12)
    assert table.latency_s(found.candidates)[0] == pytest.approx(found.values[0, 0], rel=1e-12)


def test_the_fastest_network_of_a_capacity() -> None:
    bound = float(np.median(TABLE.parameters(ALL)))
    found = exact.fastest_with(TABLE, {"parameters": bound})
    assert found.values[0, 1] >= bound
    assert found.values[0, 0] == pytest.approx(TABLE.latency_s(ALL)[TABLE.parameters(ALL) >= bound].min(), rel=1e-12)
    with pytest.raises(BudgetExceededError, match=f"the most of each is parameters {TABLE.parameters(ALL).max():g}"):
        exact.fastest_with(TABLE, {"parameters": 1e12})


def test_what_no_exact_search_can_take_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown additive quantity 'latency'; did you mean latency_s"):
        exact.least(TABLE, "latency")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UsageError, match="has 3 blocks, and there are scores for 1"):
        exact.least(TABLE, Objective([[1.0]]))
    with pytest.raises(UsageError, match=r"block 'three' needs 3 finite scores, not an array \(2,\)"):
        exact.least(TABLE, Objective([np.zeros(6), np.zeros(6), np.zeros(2)]))
    with pytest.raises(UsageError, match="at least one objective"):
        exact.front(TABLE, [])
    with pytest.raises(UsageError, match="the k must be at least 1"):
        exact.k_least(TABLE, 0)


ALGORITHMS: dict[str, Callable[..., Trials]] = {"random_search": random_search, "evolution": evolution}


@pytest.mark.parametrize("name", ALGORITHMS)
class TestAlgorithm:
    """What holds for every algorithm with a budget and a seed."""

    def test_is_the_same_for_a_seed(self, name: str) -> None:
        first, again, other = (ALGORITHMS[name](SMALL, TABLE.latency_s, budget=150, seed=seed) for seed in (3, 3, 4))
        assert first.candidates.tolist() == again.candidates.tolist() != other.candidates.tolist()
        assert first.values.tolist() == again.values.tolist()

    def test_stays_within_space_and_budget(self, name: str) -> None:
        seen: list[int] = []
        trials = ALGORITHMS[name](SMALL, lambda x: (seen.append(len(x)), TABLE.macs(x))[1], budget=130, seed=0)
        assert sum(seen) == len(trials.candidates) == len(trials.values) == 130
        assert SMALL.checked(trials.candidates).shape == (130, 3)
        assert trials.best_value == trials.values.min() == TABLE.macs(trials.best[None])[0]

    def test_refuses_evaluators_that_fail(self, name: str) -> None:
        with pytest.raises(UsageError, match="returned NaN for candidate"):
            ALGORITHMS[name](SMALL, lambda x: np.full(len(x), np.nan), budget=100, seed=0)
        with pytest.raises(UsageError, match=r"was given 100 candidates and returned \(\): it must return one value each"):
            ALGORITHMS[name](SMALL, lambda x: 1.0, budget=100, seed=0)
        with pytest.raises(UsageError, match="the budget must be at least 1"):
            ALGORITHMS[name](SMALL, TABLE.macs, budget=0, seed=0)


def test_evolution_finds_what_random_search_does_not() -> None:
    fbnet = space("fbnet")
    table = LatencyTable(fbnet, costmodel.target("pixel4"))

    def value(x: Any) -> Any:  # most parameters within 100 ms
        return np.where(table.latency_s(x) <= 0.1, -table.parameters(x), np.inf)

    evolved, random = evolution(fbnet, value, budget=1500, seed=0), random_search(fbnet, value, budget=1500, seed=0)
    assert evolved.best_value < random.best_value
    assert table.latency_s(evolved.best[None])[0] <= 0.1


def test_evolution_refuses_sizes_that_cannot_be(small: Space) -> None:
    with pytest.raises(UsageError, match="needs tournament <= population <= budget, not 25, 100 and 50"):
        evolution(small, TABLE.macs, budget=50, seed=0)
    with pytest.raises(UsageError, match="needs tournament <= population <= budget, not 9, 8 and 50"):
        evolution(small, TABLE.macs, budget=50, seed=0, population=8, tournament=9)


def test_a_gpu_prefers_fused_blocks_early_and_depthwise_ones_late() -> None:
    # EfficientNetV2 (arXiv 2104.00298, section 3.2, Table 3), for scores that do not tell the two apart: expansion times layers
    searched = space("efficientnetv2")
    table = LatencyTable(searched, costmodel.target("v100"), batch=16)
    equal = [[float(fields["expansion"] * fields["layers"]) for fields in (dict(option.fields) for option in block.options)] for block in searched.blocks]
    found = exact.front(table, ["busy_s", Objective(equal, maximise=True)])
    early, late = (
        [searched.decode(row)[f"stage{stage}"] for row in found.candidates for stage in stages if searched.decode(row)[f"stage{stage}"]["expansion"] > 1]
        for stages in ((2, 3), (6,))
    )
    assert {fields["convolution"] for fields in early} == {"fused"}
    assert {fields["convolution"] for fields in late} == {"mbconv"}


@pytest.mark.parametrize("batch", [16, 64])
@pytest.mark.parametrize("device", ["v100", "t4"])
def test_under_a_latency_target_a_gpu_prefers_fused_blocks_early_and_depthwise_ones_late(device: str, batch: int) -> None:
    # as EfficientNetV2-S is built (arXiv 2104.00298, Table 4), for scores that do not tell the two apart: expansion times layers. At batch 1 launches cost
    # more than arithmetic, and fused blocks, with fewer kernels, are the faster everywhere; an A100, whose plain cores have a sixteenth of its tensor
    # units' peak, would have them in the last stage too
    searched = space("efficientnetv2")
    table = LatencyTable(searched, costmodel.target(device), batch=batch)
    equal = [[float(fields["expansion"] * fields["layers"]) for fields in (dict(option.fields) for option in block.options)] for block in searched.blocks]
    published = [
        {"convolution": "fused" if stage.fused else "mbconv", "kernel_size": 3, "expansion": stage.expansion, "layers": stage.repeats}
        for stage in efficientnetv2.SMALL
    ]
    found = exact.front(table, ["busy_s", Objective(equal, maximise=True)])
    latencies = table.latency_s(found.candidates)
    for share in (0.25, 0.5, 0.75, 1.0):
        within = np.flatnonzero(latencies <= share * table.latency_s(searched.encode(published)[None])[0])
        best = searched.decode(found.candidates[within[np.argmax(found.values[within, 1])]])
        convolutions = [fields["convolution"] for fields in best.values()]
        assert convolutions[:3] == ["fused"] * 3
        assert convolutions[-1] == "mbconv"
