"""The non-dominated front of latency and accuracy, and how probably a point belongs to it.

A point dominates another if it is at least as fast and at least as accurate, and better in one of them. Points that are
equal in both do not dominate each other: both belong to the front or neither does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy

#: Points of the distribution of one latency over which membership is averaged: errors stay below half a percent.
_QUANTILES = 256


class Point(NamedTuple):
    """A latency in seconds, the standard deviation of its logarithm, and an accuracy."""

    latency_s: float
    sigma: float
    top1: float


def dominated(points: Sequence[tuple[float, float]]) -> tuple[bool, ...]:
    """For each (latency, accuracy) whether another point dominates it; in the time of sorting them.

    Examples
    --------
    >>> dominated([(1.0, 70.0), (2.0, 75.0), (2.0, 75.0), (3.0, 74.0), (1.0, 69.0)])
    (False, False, False, True, True)
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    found = [False] * len(points)
    best, fastest = float("-inf"), float("inf")  # the highest accuracy so far, and the least latency that it was reached in
    for i in order:
        latency, top1 = points[i]
        if top1 > best:
            best, fastest = top1, latency
        else:
            found[i] = top1 < best or latency > fastest
    return tuple(found)


def membership(points: Sequence[Point]) -> tuple[float, ...]:
    """How probably each point belongs to the true front.

    A point belongs to it if every point of at least its accuracy is truly slower. Log errors of the latencies are taken as
    independent and normal, as in `costmodel.interval.difference`: for two points of which the slower is less accurate, this is the probability
    that the slower one is faster. With z the point's own error in standard deviations,

        P = E_z [ product over j of Phi((log(t_j / t) - sigma z) / sigma_j) ],   j: top1_j >= top1

    averaged over equally probable z. Points of equal latency and accuracy do not count against each other.

    Examples
    --------
    >>> [round(p, 2) for p in membership([Point(1.0, 0.1, 70.0), Point(1.0, 0.1, 75.0), Point(9.0, 0.1, 74.0)])]
    [0.5, 1.0, 0.0]
    """
    import numpy as np

    z, table, heights = _normal()
    log_latency = np.log([point.latency_s for point in points]) if points else np.empty(0)
    sigma = np.array([max(point.sigma, 1e-9) for point in points])
    top1 = np.array([point.top1 for point in points])
    found = []
    for i, point in enumerate(points):
        against = (top1 >= point.top1) & ~((top1 == point.top1) & (log_latency == log_latency[i]))
        against[i] = False
        gap = log_latency[against] - log_latency[i]
        near = gap < 5 * (sigma[against] + sigma[i])  # beyond five standard deviations of both nothing is lost
        spread = (gap[near, None] - sigma[i] * z[None, :]) / sigma[against][near, None]
        found.append(float(np.interp(spread, table, heights).prod(axis=0).mean()))
    return tuple(found)


@lru_cache(maxsize=1)
def _normal() -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Equally probable values of a standard normal variable, and its distribution function as a table."""
    import numpy as np

    normal = NormalDist()
    z = np.array([normal.inv_cdf((k + 0.5) / _QUANTILES) for k in range(_QUANTILES)])
    table = np.linspace(-8.0, 8.0, 3201)
    return z, table, np.array([normal.cdf(x) for x in table])
