"""`Offer`: a network with what it costs on a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from costmodel.decisions._network import Figure, Network
from costmodel.devices import Target
from costmodel.errors import CostModelError, UsageError
from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.interval import Interval
from costmodel.quantity import share

#: How a name becomes a graph.
Build = Callable[[str], Graph]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The figures of an `Estimate` that decisions weigh; its kernels are left behind.

    `memory_bytes` is weights and the peak of the activations together; `modelled` says that every kernel has a cost.
    """

    inputs: tuple[tuple[int, ...], ...]
    batch: int
    latency_s: float
    interval: Interval
    parameters: int
    macs: int
    flops: int
    traffic_bytes: int
    memory_bytes: int
    energy_j: float | None
    fits: bool | None
    modelled: bool

    @property
    def latency_low_s(self) -> float:
        """Lower end of `interval`."""
        return self.interval.around(self.latency_s)[0]

    @property
    def latency_high_s(self) -> float:
        """Upper end of `interval`."""
        return self.interval.around(self.latency_s)[1]

    @property
    def samples_per_s(self) -> float:
        """Samples completed per second, batch after batch."""
        return share(self.batch, self.latency_s)

    def same_as(self, other: Cost) -> bool:
        """Whether both are the very same work, so that their latencies are equal whatever the error is."""
        return (self.latency_s, self.macs, self.parameters, self.traffic_bytes) == (other.latency_s, other.macs, other.parameters, other.traffic_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A network on a target; `precision` is what its file stores it in, where that is not fp32."""

    network: Network
    target: Target
    cost: Cost
    precision: str = ""

    @property
    def figure(self) -> Figure | None:
        """What is known of its accuracy in the target's precision."""
        return self.network.figure(self.target.dtype)

    @property
    def top1(self) -> float | None:
        """That accuracy in percent."""
        found = self.figure
        return None if found is None else found.percent

    @property
    def top1_is_bound(self) -> bool:
        """Whether that accuracy is the one of full precision, of which the target's precision may lose some; that of a quantised file is its own."""
        return self.precision != self.target.dtype and self.network.is_bound(self.target.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A network that could not be priced, or has no accuracy, and why."""

    name: str
    reason: str


def cost_of(report: Estimate) -> Cost:
    """The figures of an estimate that decisions weigh."""
    return Cost(
        inputs=report.inputs,
        batch=report.batch,
        latency_s=report.latency_s,
        interval=report.interval,
        parameters=report.parameters,
        macs=report.macs,
        flops=report.flops,
        traffic_bytes=report.traffic_bytes,
        memory_bytes=report.weight_bytes + report.peak_activation_bytes,
        energy_j=report.energy_j,
        fits=report.fits,
        modelled=not report.unmodelled,
    )


def price(networks: Iterable[Network], targets: Sequence[Target], build: Build, *, strict: bool = False) -> tuple[tuple[Offer, ...], tuple[LeftOut, ...]]:
    """Every network on every target, repeated ones once, and those that could not be built or priced.

    Parameters
    ----------
    strict : raise for the first that could not.

    Raises
    ------
    CostModelError
        Under `strict`; and where nothing at all could be priced, the first reason.
    """
    different = [target for number, target in enumerate(targets) if target not in targets[:number]]
    offers: list[Offer] = []
    faults: list[tuple[LeftOut, CostModelError]] = []
    for network in networks:
        try:
            graph = build(network.name)
            offers += [Offer(network=network, target=target, cost=cost_of(estimate(graph, target)), precision=graph.precision) for target in different]
        except CostModelError as error:
            if strict:
                raise
            faults.append((LeftOut(name=network.name, reason=str(error)), error))
    if faults and not offers:
        raise faults[0][1]
    return tuple(offers), tuple(entry for entry, _ in faults)


def ranked(offers: Sequence[Offer], left_out: Sequence[LeftOut]) -> tuple[list[Offer], tuple[LeftOut, ...]]:
    """Offers that can be ranked, and all others with what keeps them out, after `left_out`.

    Raises
    ------
    UsageError
        If none can: names the first ones, and the next step.
    """
    reasons = [reason_against(offer) for offer in offers]
    usable = [offer for offer, reason in zip(offers, reasons, strict=True) if not reason]
    gone = (*left_out, *(LeftOut(name=offer.network.name, reason=reason) for offer, reason in zip(offers, reasons, strict=True) if reason))
    if usable:
        return usable, gone
    why = f": {gone[0].name}: {gone[0].reason}" + (f", and {len(gone) - 1} more" if len(gone) > 1 else "") if gone else ""
    where = f" on {offers[0].target.device.name}" if offers else ""
    step = "; --accuracy F.csv gives accuracies of your own" if any(offer.top1 is None for offer in offers) or not gone else ""
    raise UsageError(f"no network has both an accuracy and a latency{where}{why}{step}")


def reason_against(offer: Offer) -> str:
    """Why an offer cannot be ranked beside others; empty where it can."""
    if offer.top1 is None:
        return "no published top-1 at this width and resolution"
    if offer.precision not in ("", offer.target.dtype) and offer.precision in offer.target.dtypes:
        return f"its file is in {offer.precision}, which is not what runs here: --dtype {offer.precision}"
    if not offer.cost.modelled:
        return "part of it has no cost on this target, so that its latency is too low"
    if offer.cost.fits is False:
        return "does not fit the device's memory"
    return ""
