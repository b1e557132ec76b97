"""`Recommendation`: what fits within limits, how surely, and which limit kept the others out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from costmodel.decisions._offer import LeftOut, Offer, ranked
from costmodel.errors import UsageError

#: ``surely``: the whole interval lies within the limit; ``probably``: the estimate does; ``perhaps``: the interval's lower end does.
Certainty = Literal["surely", "probably", "perhaps"]
LimitName = Literal["latency", "top-1", "memory"]
LIMIT_NAMES: tuple[LimitName, ...] = ("latency", "top-1", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is asked for: at most so many seconds and bytes (weights and activations), at least so many percent top-1.

    Raises
    ------
    UsageError
        If there is no limit, or one that nothing could meet.
    """

    latency_s: float | None = None
    top1: float | None = None
    memory_bytes: float | None = None

    def __post_init__(self) -> None:
        if self.latency_s is None and self.top1 is None and self.memory_bytes is None:
            raise UsageError("give at least one limit: a latency, a top-1 accuracy or a memory (`costmodel pareto` shows everything without one)")
        for name, value in (("latency", self.latency_s), ("memory", self.memory_bytes)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"the {name} limit must be a positive number, not {value}")
        if self.top1 is not None and not 0 <= self.top1 < 100:
            raise UsageError(f"the top-1 limit is in percent, from 0 to below 100, not {self.top1}")

    def exceeded(self, offer: Offer) -> tuple[LimitName, ...]:
        """The limits that an offer does not meet."""
        cost, top1 = offer.cost, offer.top1
        broken: dict[LimitName, bool] = {
            "latency": self.latency_s is not None and cost.latency_s > self.latency_s,
            "top-1": self.top1 is not None and (top1 is None or top1 < self.top1),
            "memory": self.memory_bytes is not None and cost.memory_bytes > self.memory_bytes,
        }
        return tuple(name for name in LIMIT_NAMES if broken[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An offer within the limits: `probability` is that of its true latency lying within, 1 where latency has no limit."""

    offer: Offer
    certainty: Certainty
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The nearest that can be reached of one limit while the other limits hold, and without them.

    `offer` is None where the others exclude everything; `alone` is what comes nearest if they are dropped.
    """

    limit: LimitName
    offer: Offer | None
    alone: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What fits. `choices` are within every limit, best first; `perhaps` only if the true latency is below its estimate.

    Best is the most accurate, or the fastest where accuracy has a limit and latency has none. `excluded` counts offers by the
    limits that they exceed together. `nearest` says, where nothing fits, what would.
    """

    limits: Limits
    batch: int
    considered: int
    choices: tuple[Choice, ...]
    perhaps: tuple[Choice, ...]
    excluded: tuple[tuple[tuple[LimitName, ...], int], ...]
    nearest: tuple[Nearest, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def fastest_first(self) -> bool:
        """Whether the order is by latency rather than by accuracy."""
        return _fastest_first(self.limits)


def recommend(offers: Sequence[Offer], limits: Limits, left_out: Sequence[LeftOut] = ()) -> Recommendation:
    """What of `offers` fits within `limits`.

    Offers with no accuracy cannot be ranked and are left out, as are those of which part has no cost on their target and
    those that the device's memory does not hold.

    Raises
    ------
    UsageError
        If nothing is left: says why.
    """
    usable, gone = ranked(offers, left_out)
    exceeded = [limits.exceeded(offer) for offer in usable]
    within = [offer for offer, broken in zip(usable, exceeded, strict=True) if not broken]
    late = [offer for offer, broken in zip(usable, exceeded, strict=True) if broken == ("latency",)]
    counted = Counter(broken for broken in exceeded if broken)
    return Recommendation(
        limits=limits,
        batch=usable[0].cost.batch,
        considered=len(usable),
        choices=_ranked([_choice(offer, limits) for offer in within], limits),
        perhaps=_ranked([_choice(offer, limits) for offer in late if limits.latency_s is not None and offer.cost.latency_low_s <= limits.latency_s], limits),
        excluded=tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
        nearest=() if within else _nearest(usable, limits),
        left_out=gone,
    )


def _choice(offer: Offer, limits: Limits) -> Choice:
    if limits.latency_s is None:
        return Choice(offer=offer, certainty="surely", probability=1.0)
    cost, limit = offer.cost, limits.latency_s
    certainty: Certainty = "surely" if cost.latency_high_s <= limit else "probably" if cost.latency_s <= limit else "perhaps"
    return Choice(offer=offer, certainty=certainty, probability=cost.interval.probability_within(cost.latency_s, limit))


def _ranked(choices: list[Choice], limits: Limits) -> tuple[Choice, ...]:
    def key(choice: Choice) -> tuple[float, float, str, str]:
        offer = choice.offer
        accuracy, latency = -(offer.top1 or 0.0), offer.cost.latency_s
        first, second = (latency, accuracy) if _fastest_first(limits) else (accuracy, latency)
        return first, second, offer.network.name, offer.target.dtype

    return tuple(sorted(choices, key=key))


def _fastest_first(limits: Limits) -> bool:
    return limits.latency_s is None and limits.top1 is not None


def _nearest(offers: Sequence[Offer], limits: Limits) -> tuple[Nearest, ...]:
    """For each stated limit the offer that comes closest to it among those that meet the others."""
    stated = {"latency": limits.latency_s, "top-1": limits.top1, "memory": limits.memory_bytes}
    found = []
    for name in LIMIT_NAMES:
        if stated[name] is None:
            continue
        order = partial(_distance, limit=name)
        rest = [offer for offer in offers if set(limits.exceeded(offer)) <= {name}]
        found.append(Nearest(limit=name, offer=min(rest, key=order, default=None), alone=min(offers, key=order)))
    return tuple(found)


def _distance(offer: Offer, limit: LimitName) -> tuple[float, float, str]:
    """What an order by this limit starts from, then by latency and name."""
    measure = {"latency": offer.cost.latency_s, "top-1": -(offer.top1 or 0.0), "memory": float(offer.cost.memory_bytes)}[limit]
    return measure, offer.cost.latency_s, offer.network.name
