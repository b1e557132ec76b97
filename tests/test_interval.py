"""Intervals and differences."""

from __future__ import annotations

import pytest

from costmodel.interval import Interval, blend, difference


def _interval(factor: float) -> Interval:
    return Interval(basis="calibrated", factor=factor)


def test_the_interval_is_multiplicative() -> None:
    assert _interval(1.25).around(1.0) == (0.8, 1.25)


def test_assumptions_widen_in_full_not_in_quadrature() -> None:
    # 20 % of the latency at a factor of 2, 80 % at 1.05: 0.8 * 1.05 + 0.2 * 2
    assert blend("calibrated", 1.05, 0.2).factor == pytest.approx(0.8 * 1.05 + 0.2 * 2)
    assert blend("calibrated", 2.5, 0.5).factor == pytest.approx(2.5)


def test_equal_estimates_are_a_toss_up_and_sure_ones_are_sure() -> None:
    assert difference(1.0, _interval(1.1), 1.0, _interval(1.1)).probability_faster == pytest.approx(0.5)
    assert difference(1.0, _interval(1.0), 0.9, _interval(1.0)).probability_faster == 1.0
    assert difference(1.0, _interval(1.0), 1.1, _interval(1.0)).probability_faster == 0.0


def test_the_ratios_interval_holds_both_errors() -> None:
    found = difference(2.0, _interval(1.1), 3.0, _interval(1.1))
    assert found.ratio == 1.5
    assert found.ratio_high / found.ratio == pytest.approx(1.1**2**0.5)
    # one sigma is ln(1.1) * sqrt(2) / 1.645, the ratio 1.5 lies 4.95 of them away
    assert found.probability_faster < 1e-6


def test_probability_falls_as_the_second_grows() -> None:
    chances = [difference(1.0, _interval(1.2), ratio, _interval(1.2)).probability_faster for ratio in (0.8, 0.95, 1.0, 1.05, 1.3)]
    assert chances == sorted(chances, reverse=True)
