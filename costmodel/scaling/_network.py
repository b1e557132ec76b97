"""A base network, its multipliers, and the networks that they make: everything here is built and priced, nothing is a power law."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from costmodel.devices import Target
from costmodel.errors import ShapeError, UsageError
from costmodel.estimation import Estimate, estimate
from costmodel.graph import Graph
from costmodel.zoo import MAX_MULTIPLIER, MIN_MULTIPLIER, Request, architectures, build, find

#: Images smaller than this have nothing left to convolve after five halvings.
MIN_RESOLUTION = 32
#: A climb of networks ends when one takes this many times its budget: far above what uneven latencies (tiles, caches) could fall back by.
_HOPELESS = 2.0


class Scale(NamedTuple):
    """Multipliers of the base's depth and width, the side of the image in pixels, and the multiplier of late stages' depth."""

    depth: float
    width: float
    resolution: int
    late: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A scaled network: its name, which every command and `costmodel.build` take, and its multipliers relative to the base.

    `resolution` is the side of the image in pixels; `estimate` is None where no device was asked about.
    """

    name: str
    depth: float
    width: float
    resolution: int
    late: float
    graph: Graph = field(repr=False, compare=False)
    estimate: Estimate | None = field(default=None, repr=False)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass of the graph's batch."""
        return self.graph.macs

    @property
    def parameters(self) -> int:
        """Learnable elements."""
        return self.graph.parameters

    @property
    def latency_s(self) -> float:
        """Estimated latency of one forward pass; only of a network that was priced."""
        assert self.estimate is not None, "a network is priced before it is asked for its latency"
        return self.estimate.latency_s

    def to_dict(self) -> dict[str, Any]:
        """Name, multipliers, counts, and the latency with its interval where there is one; as plain values."""
        found: dict[str, Any] = {"name": self.name, "depth": self.depth, "width": self.width, "resolution": self.resolution, "late": self.late}
        found |= {"parameters": self.parameters, "macs": self.macs}
        if self.estimate is not None:
            found |= {"latency_s": self.latency_s, "latency_low_s": self.estimate.latency_low_s, "latency_high_s": self.estimate.latency_high_s}
            found |= {"interval_level": self.estimate.interval.level, "interval_basis": self.estimate.interval.basis}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The network that is scaled, and how each of its relatives is built."""

    request: Request
    batch: int = 1
    padding: Literal["same", "symmetric"] | None = None
    classes: int | None = None
    features_only: bool = False

    @property
    def name(self) -> str:
        """Its shortest name."""
        return self.request.name

    @property
    def resolution(self) -> int:
        """The side of its square image in pixels."""
        return self.request.size[0]

    @property
    def unscaled(self) -> Scale:
        """The base itself."""
        return Scale(1.0, 1.0, self.resolution)

    def allows(self, scale: Scale) -> bool:
        """Whether a name can state these multipliers, and the image is large enough."""
        wanted = self._request(scale)
        stated = (wanted.width, wanted.depth, wanted.late)
        return all(MIN_MULTIPLIER <= value <= MAX_MULTIPLIER for value in stated) and scale.resolution >= MIN_RESOLUTION

    def network(self, scale: Scale, target: Target | None = None) -> Scaled:
        """The network of these multipliers, built, and priced where a target is given.

        Raises
        ------
        ShapeError
            If the image is too small for it.
        """
        name = self._request(scale).name
        graph = build(name, batch=self.batch, padding=self.padding, classes=self.classes, features_only=self.features_only)
        found = Scaled(name=name, depth=scale.depth, width=scale.width, resolution=scale.resolution, late=scale.late, graph=graph)
        return found if target is None else replace(found, estimate=estimate(graph, target))

    def networks(self, scales: Iterable[Scale], target: Target | None = None) -> Iterator[Scaled]:
        """Those of the networks that can be built."""
        for scale in scales:
            if self.allows(scale):
                try:
                    yield self.network(scale, target)
                except ShapeError:  # too small an image for so deep a network: no candidate
                    continue

    def _request(self, scale: Scale) -> Request:
        own = self.request
        products: dict[str, Any] = {
            "width": round(own.width * scale.width, 6),
            "depth": round(own.depth * scale.depth, 6),
            "late": round(own.late * scale.late, 6),
        }
        return replace(own, **products, resolution=(scale.resolution, scale.resolution))


def base_of(name: str, **options: Any) -> Base:
    """The base called `name`; `options` are those of `costmodel.build`.

    Raises
    ------
    UsageError
        If there is no such network, its family has no depth and width to scale, or its image is not square.

    Examples
    --------
    >>> base_of("efficientnet-b0@240").network(Scale(1.4, 1.2, 288)).name
    'efficientnet-b0-d1.4-w1.2@288'
    """
    request = find(name)
    if not request.architecture.scalable:
        raise UsageError(f"{request.architecture.name} has no depth and width to scale; families that have: {', '.join(families())}")
    height, width = request.size
    if height != width:
        raise UsageError(f"{name!r}: scaling takes square images, not {height}x{width}; give one side after @")
    return Base(request=request, **options)


def families() -> dict[str, tuple[str, ...]]:
    """The families that have depth and width to scale, each with its networks."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in architectures().values():
        if entry.scalable:
            found[entry.family] = (*found.get(entry.family, ()), entry.name)
    return found


class Prices:
    """Estimates on one target; multipliers that round to the same blocks and channels make the same network, which is priced once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._known: dict[tuple[int, ...], Estimate] = {}

    def of(self, network: Scaled) -> Scaled:
        """The network with its estimate."""
        graph = network.graph
        same = (network.resolution, graph.macs, graph.parameters, graph.other_flops, len(graph))
        known = self._known.get(same)
        found = estimate(graph, self.target) if known is None else replace(known, model=graph.name, graph=graph)
        self._known.setdefault(same, found)
        return replace(network, estimate=found)


def size_order(network: Scaled) -> tuple[int, int, int, float, float]:
    """What "larger" means: more MACs, then more parameters; of equals the smallest image and multipliers come first."""
    return (-network.macs, -network.parameters, network.resolution, network.depth, network.width)


def climb(base: Base, scales: Iterable[Scale], target: Target, budget_s: float) -> tuple[Scaled | None, Scaled | None]:
    """(the largest network within the budget, the fastest of all) along ever larger scales; no latency is taken to grow from one to the next.

    The climb ends where a network takes twice the budget.
    """
    largest: Scaled | None = None
    fastest: Scaled | None = None
    prices = Prices(target)
    for network in map(prices.of, base.networks(scales)):
        if fastest is None or network.latency_s < fastest.latency_s:
            fastest = network
        if network.latency_s <= budget_s and (largest is None or size_order(network) < size_order(largest)):
            largest = network
        if network.latency_s > _HOPELESS * budget_s:
            break
    return largest, fastest
