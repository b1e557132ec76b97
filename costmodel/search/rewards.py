"""Rewards of the papers that weigh accuracy against cost in one figure: arrays to arrays, the more the better.

For an algorithm that takes what is less as better, negate them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from costmodel.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Exponents (alpha within the target, beta beyond it) of a hard and of a soft target: arXiv 1807.11626, figure 3. That of the soft one
#: says that 5 % more accuracy is worth twice the latency (section 3).
HARD, SOFT = (0.0, -1.0), (-0.07, -0.07)
#: Exponents of a training step's time and of the parameters: arXiv 2104.00298, section 3.2.
STEP, PARAMETERS = -0.07, -0.05


def mnasnet(accuracy: ArrayLike, latency_s: ArrayLike, target_s: float, *, exponents: tuple[float, float] = SOFT) -> NDArray[np.float64]:
    """ACC x (LAT / T)^w with w = alpha where LAT <= T and beta elsewhere, for arrays (number,).

    Parameters
    ----------
    accuracy, latency_s : of each candidate; latencies in seconds, positive.
    target_s : T, in seconds.
    exponents : (alpha, beta): `SOFT`, `HARD`, or others.

    Raises
    ------
    UsageError
        If the target is not positive, or a latency is not.

    References
    ----------
    arXiv 1807.11626, section 3, equations 2 and 3.

    Examples
    --------
    >>> mnasnet([0.5, 0.5], [0.04, 0.16], 0.08, exponents=HARD).tolist()
    [0.5, 0.25]
    """
    _require_positive("the target latency", target_s)
    share = _positive("a latency", latency_s) / target_s
    alpha, beta = exponents
    return np.asarray(accuracy, np.float64) * share ** np.where(share <= 1, alpha, beta)


def efficientnetv2(
    accuracy: ArrayLike, step_s: ArrayLike, parameters: ArrayLike, *, step: float = STEP, parameters_exponent: float = PARAMETERS
) -> NDArray[np.float64]:
    """A x S^w x P^v, for arrays (number,): accuracy, seconds of a training step and number of parameters, both positive.

    Raises
    ------
    UsageError
        If a time or a number of parameters is not positive.

    References
    ----------
    arXiv 2104.00298, section 3.2: w = -0.07 and v = -0.05, found by experiment.

    Examples
    --------
    >>> bool(efficientnetv2(0.8, 0.1, 20e6) > efficientnetv2(0.8, 0.1, 40e6))
    True
    """
    times, sizes = _positive("a training step", step_s), _positive("a number of parameters", parameters)
    return np.asarray(accuracy, np.float64) * times**step * sizes**parameters_exponent


def _positive(what: str, values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    for value in found[~(found > 0)][:1]:
        raise UsageError(f"{what} must be positive, not {value}: a power of it would have no value")
    return found


def _require_positive(what: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"{what} must be positive, not {value}")
