"""The surrogate: few coefficients, an error on families left out, and a warning that cannot be overlooked."""

from __future__ import annotations

import numpy as np
import pytest

import costmodel
from costmodel.errors import UsageError
from costmodel.search import LatencyTable, Space, space
from costmodel.search.evaluators import SurrogateWarning, surrogate
from costmodel.search.evaluators._surrogate import Published, fitted, published


def by_hand(rows: list[Published]) -> np.ndarray:
    """The weighted least squares by their normal equations."""
    names = [row.family for row in rows]
    x = np.array([[1, np.log(row.parameters), (row.macs / 1e9) ** -0.5] for row in rows])
    w = np.array([1 / names.count(name) for name in names])
    return np.linalg.solve(x.T @ (x * w[:, None]), x.T @ (w * np.log([100 - row.top1 for row in rows])))


def test_the_fit_and_its_stated_error() -> None:
    fit, rows = fitted(), list(published())
    assert len(fit.coefficients) == 3
    assert (fit.networks, fit.families) == (len(rows), len({row.family for row in rows}))
    assert fit.networks > 100
    assert fit.coefficients == pytest.approx(by_hand(rows), rel=1e-5)
    errors = []
    for family in {row.family for row in rows}:
        a, b, c = by_hand([row for row in rows if row.family != family])
        for row in rows:
            if row.family == family:
                errors.append(abs(100 - np.exp(a + b * np.log(row.parameters) + c * (row.macs / 1e9) ** -0.5) - row.top1))
    assert fit.mean_error == pytest.approx(np.mean(errors), rel=1e-4)
    assert fit.largest_error == pytest.approx(max(errors), rel=1e-4)
    # better than the mean of all other networks, which knows nothing
    blind = [abs(np.mean([other.top1 for other in rows if other.family != row.family]) - row.top1) for row in rows]
    assert fit.mean_error < np.mean(blind) / 2


def test_larger_networks_are_predicted_to_be_better_within_the_fit() -> None:
    fit = fitted()
    macs = np.geomspace(*fit.macs, 50)
    assert (np.diff(fit.top1(macs, np.full(50, 5_000_000))) > 0).all()
    assert (np.diff(fit.top1(np.full(50, 300_000_000), np.geomspace(*fit.parameters, 50))) > 0).all()
    assert fit.top1(np.array([1]), np.array([1])) == fit.top1(np.array([fit.macs[0]]), np.array([fit.parameters[0]]))


def test_it_says_that_it_is_a_surrogate() -> None:
    fbnet = space("fbnet")
    table, batched = (LatencyTable(fbnet, costmodel.target("pixel4"), batch=batch) for batch in (1, 2))
    with pytest.warns(SurrogateWarning, match=rf"a surrogate's, guessed from MACs and parameters alone.*{fitted().mean_error:.1f} points on average"):
        one = surrogate(table)
    with pytest.warns(SurrogateWarning):
        two = surrogate(batched)
    x = fbnet.sample(20, seed=0)
    assert ((one.scores(x) > 50) & (one.scores(x) < 85)).all()
    assert one.scores(x).tolist() == two.scores(x).tolist()
    assert one.name == two.name
    assert "surrogate" in one.quantity


def test_it_knows_imagenet_alone(table: LatencyTable, small: Space) -> None:
    with pytest.raises(UsageError, match="small does not classify ImageNet's 1000 classes"):
        surrogate(table)
