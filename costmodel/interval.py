"""The error interval of a latency, and of the ratio of two.

A profile states the factor within which 90 % of measured latencies of unseen architecture families lie. Kernel errors are
correlated (one processor, one clock), so they are never added as if independent: the part of a latency that rests on no
measurement carries the wider factor in full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from costmodel.devices import Basis

LEVEL = 0.9
#: 90 % factor of predictions from datasheets alone: leave-device-out errors of per-kernel models on 8 GPUs reach a factor
#: of about 2 (NeuSight's public test rows, datasheet roofline: MAPE 35-40 %, 90th percentile near 2x).
UNMEASURED_FACTOR = 2.0
#: Standard normal quantile of a two-sided 90 % interval.
_Z90 = 1.6448536269514722


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A multiplicative interval: the truth lies in [t / factor, t * factor] with probability `level`.

    `basis` says what the estimate rests on: rows of this target (``calibrated``), constants carried over from a relative
    (``transferred``), or hardware figures alone (``datasheet``).
    """

    level: float = LEVEL
    basis: Basis
    factor: float

    def around(self, latency_s: float) -> tuple[float, float]:
        """Lower and upper end in seconds."""
        return latency_s / self.factor, latency_s * self.factor

    @property
    def sigma(self) -> float:
        """Standard deviation of the latency's logarithm, taken as normal."""
        return math.log(self.factor) / _Z90

    def probability_within(self, latency_s: float, limit_s: float) -> float:
        """How probably the truth behind an estimate of `latency_s` is at most `limit_s`.

        Examples
        --------
        >>> round(Interval(basis="calibrated", factor=1.5).probability_within(10e-3, 15e-3), 3)
        0.95
        """
        if not self.sigma or not latency_s:
            return 1.0 if latency_s <= limit_s else 0.0
        return 0.5 * math.erfc(math.log(latency_s / limit_s) / self.sigma / math.sqrt(2))


def blend(basis: Basis, factor: float, unmeasured_share: float) -> Interval:
    """The interval of a latency of which `unmeasured_share` rests on assumptions.

    Examples
    --------
    >>> blend("calibrated", 1.1, 0.0).factor, round(blend("calibrated", 1.1, 0.5).factor, 2), blend("calibrated", 1.1, 0.6).basis
    (1.1, 1.55, 'datasheet')
    """
    wide = max(factor, UNMEASURED_FACTOR)
    combined = (1 - unmeasured_share) * factor + unmeasured_share * wide
    return Interval(basis="datasheet" if unmeasured_share > 0.5 else basis, factor=combined)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much longer the second of two latencies is: the ratio with its interval of `level`, and how probably the second is faster."""

    level: float = LEVEL
    ratio: float
    ratio_low: float
    ratio_high: float
    probability_faster: float


def difference(first_s: float, first: Interval, second_s: float, second: Interval, *, same: bool = False, shared: float | None = None) -> Difference:
    """Compare two estimates; log errors are taken as normal, and as independent where nothing else is known.

    Errors of two networks on one target share causes: `shared` is the 90 % factor of ratios that its profile states, of networks for which
    nothing rests on assumptions. `same` says that both are one and the same thing, whose ratio is known.

    Examples
    --------
    >>> interval = Interval(basis="calibrated", factor=1.1)
    >>> apart, together = (difference(1.0, interval, 1.1, interval, shared=shared) for shared in (None, 1.05))
    >>> apart.probability_faster > together.probability_faster, round(together.ratio_high, 3)
    (True, 1.155)
    """
    apart = math.hypot(math.log(first.factor), math.log(second.factor))
    sigma = 0.0 if same else (apart if shared is None else min(apart, math.log(shared))) / _Z90
    ratio = second_s / first_s if first_s > 0 else math.inf
    factor = math.exp(_Z90 * sigma)
    if ratio in (0.0, math.inf) or sigma == 0:
        faster = 1.0 if ratio < 1 else 0.5 if ratio == 1 else 0.0
    else:
        faster = 0.5 * math.erfc(math.log(ratio) / sigma / math.sqrt(2))
    return Difference(ratio=ratio, ratio_low=ratio / factor, ratio_high=ratio * factor, probability_faster=faster)
