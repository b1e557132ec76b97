"""Intervals cover what they say on families that they never saw."""

from __future__ import annotations

import math

import numpy as np
import pytest

from costmodel.calibration.conformal import difference_width, interval_width


def simulated(rng: np.random.Generator, families: int, members: int) -> tuple[list[float], list[str]]:
    """Log errors of a family: its own bias and each network's; families of unequal size."""
    errors, names = [], []
    for family in range(families):
        bias = rng.normal(0, 0.05)
        for _ in range(1 + family % members):
            errors.append(float(bias + rng.normal(0, 0.02)))
            names.append(str(family))
    return errors, names


def test_the_interval_covers_families_that_it_never_saw() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(300):
        errors, names = simulated(rng, 20, 5)
        unseen, _ = simulated(rng, 1, 1)
        inside.append(abs(unseen[0]) <= math.log(interval_width(errors, names).factor))
    # 300 draws of a share of 0.9: three standard deviations are 0.05
    assert 0.85 <= sum(inside) / len(inside) <= 1.0


def test_a_large_family_does_not_outvote_the_others() -> None:
    errors = [0.01] * 100 + [0.2 + 0.001 * n for n in range(19)]
    names = ["many"] * 100 + [f"f{n}" for n in range(19)]
    assert interval_width(errors, names).factor > math.exp(0.2)


def test_too_few_families_are_said() -> None:
    width = interval_width([0.01, 0.05], ["a", "b"])
    assert not width.enough
    assert width.factor == pytest.approx(math.exp(0.05))


def test_a_shared_bias_cancels_in_ratios() -> None:
    rng = np.random.default_rng(2)
    own = rng.normal(0, 0.01, 20)
    names = [str(n) for n in range(20)]
    errors = [float(0.2 + error) for error in own]
    ratio = difference_width(errors, names)
    assert ratio is not None
    assert ratio.factor < 1.06 < 1.2 < interval_width(errors, names).factor


def test_one_family_has_no_ratio_and_no_error_no_interval() -> None:
    assert difference_width([0.1, 0.2], ["a", "a"]) is None
    with pytest.raises(ValueError, match="no error"):
        interval_width([], [])
