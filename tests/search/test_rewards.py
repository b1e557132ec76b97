"""Rewards as their papers state them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from costmodel.errors import UsageError
from costmodel.search import LatencyTable, Space, evolution, rewards
from tests.search.conftest import everything


def test_mnasnets_soft_reward_trades_twice_the_latency_for_five_percent() -> None:
    # arXiv 1807.11626, section 3: a (1 + 5 %) (2 l / T)^beta = a (l / T)^beta gives beta = -0.07
    slow, fast = rewards.mnasnet([0.5 * 1.05, 0.5], [0.16, 0.08], 0.08)
    assert slow == pytest.approx(fast, rel=2e-3)
    assert rewards.mnasnet(0.5, 0.04, 0.08) == pytest.approx(0.5 * 2**0.07)


def test_mnasnets_hard_reward_gives_nothing_for_speed_within_the_target() -> None:
    found = rewards.mnasnet([0.5, 0.5, 0.5], [0.02, 0.08, 0.32], 0.08, exponents=rewards.HARD)
    assert found.tolist() == [0.5, 0.5, 0.125]  # (0.32 / 0.08)^-1 = 1/4


def test_efficientnetv2s_reward() -> None:
    found = rewards.efficientnetv2([0.8, 0.8], [0.1, 0.2], [20e6, 20e6])
    assert found[1] / found[0] == pytest.approx(2**-0.07)
    assert rewards.efficientnetv2(0.8, 0.1, 40e6) / rewards.efficientnetv2(0.8, 0.1, 20e6) == pytest.approx(2**-0.05)


def test_what_evolution_finds_by_mnasnets_rewards(small: Space, table: LatencyTable) -> None:
    x = everything(small)
    target_s = float(np.median(table.latency_s(x)))

    def accuracy(x: Any) -> Any:  # which changes little from candidate to candidate, as accuracies do
        return 50 + np.log(table.parameters(x))

    for exponents in (rewards.SOFT, rewards.HARD):

        def value(x: Any, exponents: tuple[float, float] = exponents) -> Any:
            return -rewards.mnasnet(accuracy(x), table.latency_s(x), target_s, exponents=exponents)

        found = evolution(small, value, budget=400, seed=0)
        assert found.best_value == value(x).min()
    within = table.latency_s(x) <= target_s
    assert table.latency_s(found.best[None])[0] <= target_s  # the hard one: a percent beyond the target costs a percent of the accuracy
    assert accuracy(found.best[None])[0] == accuracy(x)[within].max()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rewards.mnasnet(0.5, 0.1, 0.0), "the target latency must be positive, not 0.0"),
        (lambda: rewards.mnasnet([0.5, 0.5], [0.1, 0.0], 0.1), "a latency must be positive, not 0.0"),
        (lambda: rewards.efficientnetv2(0.5, -1.0, 1e6), "a training step must be positive, not -1.0"),
        (lambda: rewards.efficientnetv2(0.5, 1.0, np.nan), "a number of parameters must be positive, not nan"),
    ],
)
def test_what_has_no_power_is_refused(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]  # a function without arguments
