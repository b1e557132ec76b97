"""Offers made up of figures, for tests that need no network."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from zlib import crc32

import costmodel
from costmodel.decisions import Figure, Network, Offer, price, zoo_networks
from costmodel.frozen import FrozenDict
from costmodel.interval import Interval


@lru_cache(maxsize=1)
def template() -> Offer:
    target = costmodel.target("pixel4")
    named = {network.name: network for network in zoo_networks()}
    offers, _ = price([named["mobilenet-v3-small@96"]], [target], costmodel.build)
    return offers[0]


def offer(
    name: str, latency_s: float, top1: float | None, *, factor: float = 1.2, memory: int = 1_000_000, macs: int | None = None, **changes: object
) -> Offer:
    """An offer of these figures on the Pixel 4; `macs` tells networks of equal latency apart."""
    figures = {} if top1 is None else {"": Figure(percent=top1, evaluation="paper", source="made up")}
    base = template()
    cost = replace(
        base.cost,
        latency_s=latency_s,
        memory_bytes=memory,
        macs=crc32(name.encode()) if macs is None else macs,
        interval=Interval(basis="calibrated", factor=factor),
        **changes,  # type: ignore[arg-type]  # fields of Cost
    )
    return Offer(network=Network(name=name, family="made-up", figures=FrozenDict(figures)), target=base.target, cost=cost)
