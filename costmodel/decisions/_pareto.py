"""`Front`: networks on one target, which of them no other beats, and which may belong there for all that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.decisions._front import Point, dominated, membership
from costmodel.decisions._offer import LeftOut, Offer, ranked
from costmodel.devices import Target
from costmodel.interval import LEVEL, difference

#: A network whose probability of belonging to the front is below this is taken not to: what is left over at the level of the intervals.
LEAST_PROBABILITY = 1 - LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a network stands: on the estimated front or not, and how `probability` has it on the true one.

    `beaten_by` names the fastest network of the front that is at least as accurate, empty on the front itself;
    `probability_faster` is how probably the network is the faster of those two after all.
    """

    offer: Offer
    top1: float
    on_front: bool
    probability: float
    beaten_by: str = ""
    probability_faster: float | None = None

    @property
    def may_belong(self) -> bool:
        """Whether it lies behind the estimated front and may belong to the true one."""
        return not self.on_front and self.probability >= LEAST_PROBABILITY


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Networks with an accuracy on one target, fastest first, and those that were left out."""

    target: Target
    batch: int
    standings: tuple[Standing, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def best(self) -> tuple[Standing, ...]:
        """The estimated front, fastest first."""
        return tuple(entry for entry in self.standings if entry.on_front)


def front(target: Target, offers: Sequence[Offer], left_out: Sequence[LeftOut] = ()) -> Front:
    """The front of `offers` on `target`, on which all of them must be.

    Networks without an accuracy are left out, and so are those of which part has no cost on the target, since their
    latency is too low by an unknown amount, and those that the device's memory does not hold.

    Raises
    ------
    UsageError
        If nothing is left: says why.
    """
    assert all(offer.target == target for offer in offers)
    usable, gone = ranked(offers, left_out)
    entries = sorted(
        ((offer, offer.top1) for offer in usable if offer.top1 is not None),
        key=lambda entry: (entry[0].cost.latency_s, -entry[1], entry[0].network.name),
    )
    beaten = dominated([(offer.cost.latency_s, top1) for offer, top1 in entries])
    chances = membership([Point(offer.cost.latency_s, offer.cost.interval.sigma, top1) for offer, top1 in entries])
    best = [entry for entry, is_beaten in zip(entries, beaten, strict=True) if not is_beaten]
    standings = []
    for (offer, top1), is_beaten, chance in zip(entries, beaten, chances, strict=True):
        hopeless = any(other.cost.same_as(offer.cost) and more > top1 for other, more in entries)
        standings.append(_standing(offer, top1, is_beaten, 0.0 if hopeless else chance, best))
    return Front(target=target, batch=entries[0][0].cost.batch, standings=tuple(standings), left_out=gone)


def _standing(offer: Offer, top1: float, is_beaten: bool, chance: float, best: Sequence[tuple[Offer, float]]) -> Standing:
    if not is_beaten:
        return Standing(offer=offer, top1=top1, on_front=True, probability=chance)
    rival = next(other for other, other_top1 in best if other_top1 >= top1)
    cost, against = offer.cost, rival.cost
    found = difference(against.latency_s, against.interval, cost.latency_s, cost.interval, same=cost.same_as(against))
    return Standing(
        offer=offer,
        top1=top1,
        on_front=False,
        probability=chance,
        beaten_by=rival.network.name,
        probability_faster=found.probability_faster,
    )
