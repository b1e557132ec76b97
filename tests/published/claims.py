"""`Claim`: what a publication claims, what this package gives for it, and within which bounds the two must agree.

A claim whose present value lies outside its bounds is a known gap: it states what is seen and why, and its test fails as
soon as the gap closes or moves. ``python -m tests.benchmarks.headlines`` prints all claims beside the package's figures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import pytest

from costmodel import zoo
from costmodel.graph import Graph

#: How far a gap's value may move before its entry has to be looked at again.
GAP_TOLERANCE = 0.05


class Claim(NamedTuple):
    """`published` is arithmetic over printed numbers; the package's own value, `ours()`, must lie between `low` and `high`."""

    name: str
    source: str
    published: float
    ours: Callable[[], float]
    low: float
    high: float


class Gap(NamedTuple):
    """A claim that does not hold here: the value that is seen instead, and why."""

    claim: Claim
    seen: float
    reason: str


def near(name: str, source: str, published: float, ours: Callable[[], float], rel: float = 0.0) -> Claim:
    """A claim to be met within a share `rel` of what is published; 0 is equality."""
    margin = abs(published) * rel
    return Claim(name, source, published, ours, published - margin, published + margin)


def within(name: str, source: str, published: float, ours: Callable[[], float], low: float, high: float) -> Claim:
    """A claim to be met between two bounds."""
    return Claim(name, source, published, ours, low, high)


def holds(claim: Claim, value: float) -> bool:
    """Whether `value` lies within the claim's bounds."""
    return claim.low <= value <= claim.high


def check(claim: Claim) -> None:
    """Fail unless the claim holds."""
    value = claim.ours()
    assert holds(claim, value), f"{claim.name} ({claim.source}): {value} is not between {claim.low} and {claim.high}; published {claim.published}"


def check_gap(gap: Gap) -> None:
    """Fail unless the claim still does not hold, by the value that the entry states."""
    value = gap.claim.ours()
    assert not holds(gap.claim, value), f"{gap.claim.name} holds now with {value}: move it to the claims"
    assert value == pytest.approx(gap.seen, rel=GAP_TOLERANCE), f"{gap.claim.name}: the gap is {value} now, not {gap.seen}"


@cache
def built(name: str) -> Graph:
    return zoo.build(name)


def macs(name: str) -> int:
    return built(name).macs


def parameters(name: str) -> int:
    return built(name).parameters
