"""Serving: requests that arrive over time, wait, and run in batches on one or several devices.

A device that is free takes the network whose first request has waited longest, and of that network as many requests as there are, up to `max_batch`;
where fewer wait, it lets the first wait for `max_wait_s` at most. A batch takes what the law, or a measurement, says of its size;
a device that had another network before takes `switch_s` more, which is what an Edge TPU needs to load the parameters that it keeps.

With one device, batches of one and Poisson arrivals this is the queue M/D/1, whose mean wait is r s / (2 (1 - r)) at load r and service time s
(Pollaczek and Khinchine; Kleinrock, Queueing Systems I, section 5.6).
"""

from __future__ import annotations

import heapq
import math
import os
import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

from costmodel.errors import InvalidFileError, UsageError, unknown, whole
from costmodel.files import read_text
from costmodel.quantity import LONGEST_S, picoseconds, share

#: Percentiles that a result states.
PERCENTILES = (50, 90, 95, 99)
#: Requests that are drawn where nobody says how many.
REQUESTS = 10_000
_MOST = 10**7
#: Bytes of a file of arrivals that are read at most: 20 for each of `_MOST` requests.
_MOST_BYTES = 200 * 2**20
#: Requests a second at the most: one a picosecond, in which time is counted.
_MOST_PER_S = 1e12
#: Requests by which the most that is served is measured, at least: so many that the last batches, which need not be full, are few among them.
_LONG = 10_000


class Request(NamedTuple):
    """When a request arrives, and for which network, by position."""

    ps: int
    network: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A network as a server sees it: seconds of a batch of 1, 2, ... requests, and of loading it after another network.

    `parameters` is the name of the network whose parameters it computes with, empty where they are its own: services that share them load nothing
    after one another. `warnings` are what its estimate warns of.
    """

    name: str
    batch_s: tuple[float, ...]
    switch_s: float = 0.0
    parameters: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.batch_s or not all(seconds > 0 and math.isfinite(seconds) for seconds in self.batch_s):
            raise UsageError(f"{self.name}: batches must take more than 0 s, not {self.batch_s}; a device that takes no time serves any load")
        if not 0 <= self.switch_s <= LONGEST_S:
            raise UsageError(f"{self.name}: loading it after another network takes 0 s or longer, up to {LONGEST_S:g} s, not {self.switch_s:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How requests become batches.

    Raises
    ------
    UsageError
        If a value cannot be meant.
    """

    max_batch: int = 1
    max_wait_s: float = 0.0
    devices: int = 1

    def __post_init__(self) -> None:
        whole("max batch", self.max_batch, 1, 10**5)
        whole("devices", self.devices, 1, 10**4)
        if not 0 <= self.max_wait_s <= LONGEST_S:
            raise UsageError(f"requests wait for others for 0 s or longer, up to {LONGEST_S:g} s, not {self.max_wait_s:g} s")


class Served(NamedTuple):
    """Requests of a network, or of all: how many, the mean and percentiles of their latency in seconds, and the mean wait before a batch starts."""

    name: str
    requests: int
    mean_s: float
    wait_s: float
    percentiles_s: tuple[float, ...]
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What came of all requests: latencies of all and of each network, requests a second, the busy share of the devices, requests a batch, and
    how often a device loaded another network at a cost.

    `offered_per_s` is one by the mean distance between requests, of which n have n - 1: two requests a second apart are one a second. It is None where
    they have none, a single request or all at once. `completed_per_s` is all of them over the time from the first arrival to the last end, so that of few
    requests it may be the greater one.
    """

    offered_per_s: float | None
    completed_per_s: float
    utilisation: float
    mean_batch: float
    switched: int
    total: Served
    networks: tuple[Served, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "offered_per_s": self.offered_per_s,
            "completed_per_s": self.completed_per_s,
            "utilisation": self.utilisation,
            "mean_batch": self.mean_batch,
            "switched": self.switched,
            "total": _row(self.total),
            "networks": [_row(served) for served in self.networks],
            "warnings": list(self.warnings),
        }


def _row(served: Served) -> dict[str, Any]:
    percentiles = {f"p{number}_s": seconds for number, seconds in zip(PERCENTILES, served.percentiles_s, strict=True)}
    return {"name": served.name, "requests": served.requests, "mean_s": served.mean_s, "wait_s": served.wait_s, **percentiles, "longest_s": served.longest_s}


def poisson(per_s: float, requests: int, *, weights: Sequence[float] = (1.0,), seed: int = 0) -> list[Request]:
    """Requests whose distances are exponentially distributed around 1 / `per_s`; networks are drawn by weight. The same seed, the same requests.

    Raises
    ------
    UsageError
        If the rate or a weight is not above 0, or requests come closer together, or over a longer time, than is counted.
    """
    if not _is_number(per_s):
        raise UsageError(f"requests a second are a number, not {per_s!r}")
    if not per_s > 0:
        raise UsageError(f"{per_s:g} requests a second never arrive: give a rate above 0")
    if per_s > _MOST_PER_S:
        raise UsageError(f"{per_s:g} requests a second are less than a picosecond apart: give a rate of at most {_MOST_PER_S:g}")
    _require_weights(tuple(weights))
    whole("requests", requests, 1, _MOST)
    whole("seed", seed, 0, 2**63)  # of a negative one random takes the absolute value
    draw, now, found = random.Random(seed), 0.0, []
    places = range(len(weights))
    for _ in range(requests):
        now += draw.expovariate(per_s)
        if now > LONGEST_S:
            raise UsageError(f"{requests} requests at {per_s:g} a second take longer than {LONGEST_S:g} s: give a higher rate, or fewer requests")
        found.append(Request(picoseconds(now), draw.choices(places, weights)[0] if len(weights) > 1 else 0))
    return found


def read_arrivals(path: str | os.PathLike[str], names: Sequence[str]) -> list[Request]:
    """Requests from a file: a line each, seconds from the beginning and, where there are several networks, a comma and the name of one.

    Raises
    ------
    InvalidFileError
        If it is no plain file, a line is no time, a time is negative or earlier than the one before, or a network is not served: names the line.
    """
    where = os.fspath(path)
    try:
        lines = read_text(where, _MOST_BYTES).removeprefix("\ufeff").splitlines()  # some editors begin with a byte order mark
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{where}: cannot be read: {error}") from None
    found: list[Request] = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            found.append(_request(line, f"{where}:{number}", names, found[-1].ps if found else 0))
    if not found:
        raise InvalidFileError(f"{where}: no request in it: a line each, such as 0.25 or 0.25,{names[0]}")
    return found


def _request(line: str, place: str, names: Sequence[str], before_ps: int) -> Request:
    text, comma, name = (part.strip() for part in line.partition(","))
    try:
        if "_" in text:  # digits that Python alone would group so
            raise ValueError
        seconds = float(text)
    except ValueError:
        raise InvalidFileError(f"{place}: {text!r} is no number of seconds; a line is a time such as 0.25, or 0.25,{names[0]}") from None
    if not 0 <= seconds <= LONGEST_S:
        raise InvalidFileError(f"{place}: a request arrives 0 s or later after the beginning, up to {LONGEST_S:g} s, not at {seconds:g} s")
    ps = picoseconds(seconds)
    if ps < before_ps:
        raise InvalidFileError(f"{place}: {seconds:g} s is earlier than the line before, {before_ps / 1e12:g} s: sort the lines by time")
    if comma and name not in names:
        raise InvalidFileError(f"{place}: {unknown('network', name, names)}")
    if not comma and len(names) > 1:
        raise InvalidFileError(f"{place}: which of {', '.join(names)}? write {seconds:g},{names[0]}")
    return Request(ps, names.index(name) if comma else 0)


def serve(services: Sequence[Service], requests: Sequence[Request], policy: Policy | None = None) -> Serving:
    """Serve all requests, in the order in which they arrive.

    Raises
    ------
    UsageError
        If there is no network, two have one name, or one has no time for batches as large as the policy's; if there is no request, or one is for
        no network, earlier than 0 or earlier than the one before: names the place.

    Examples
    --------
    >>> found = serve([Service(name="net", batch_s=(1.0,))], [Request(0, 0), Request(5 * 10**11, 0)])
    >>> found.total.mean_s, found.total.longest_s, found.utilisation
    (1.25, 1.5, 1.0)
    """
    chosen = Policy() if policy is None else policy
    _require(services, chosen)
    _require_requests(requests, len(services))
    server = _Server(services, chosen)
    server.run(requests)
    return server.result(requests)


def _require(services: Sequence[Service], policy: Policy) -> None:
    if not services:
        raise UsageError("there is no network to serve: give one service at least")
    names = [service.name for service in services]
    for number, service in enumerate(services):
        if service.name in names[:number]:
            raise UsageError(f"services {names.index(service.name)} and {number} are both called {service.name}: give each a name of its own")
        if len(service.batch_s) < policy.max_batch:
            raise UsageError(f"{service.name} has times for batches up to {len(service.batch_s)}, not {policy.max_batch}; lower the largest batch")


def _require_requests(requests: Sequence[Request], networks: int) -> None:
    if not requests:
        raise UsageError("there is no request to serve")
    before = 0
    for number, request in enumerate(requests):
        if not isinstance(request, Request):
            raise UsageError(f"request {number} is {request!r}, which is no Request(picoseconds, network)")
        if not 0 <= request.network < networks:
            raise UsageError(f"request {number} is for network {request.network}, and there are {networks}, counted from 0")
        if not request.ps >= before:
            what = f"{before} ps, when the one before it arrives: sort them by time" if before else "0, when time begins"
            raise UsageError(f"request {number} arrives at {request.ps} ps, earlier than {what}")
        before = request.ps


class _Server:
    """Queues and devices."""

    def __init__(self, services: Sequence[Service], policy: Policy) -> None:
        self.services, self.most, self.wait_ps = services, policy.max_batch, picoseconds(policy.max_wait_s)
        self.times = [[picoseconds(seconds, service.name) for seconds in service.batch_s] for service in services]
        self.switch = [picoseconds(service.switch_s, service.name) for service in services]
        self.queues: list[deque[int]] = [deque() for _ in services]
        self.free = [(0, number) for number in range(policy.devices)]  # (when, device)
        self.parameters = [service.parameters or service.name for service in services]
        self.loaded = [""] * policy.devices
        self.busy_ps = self.batches = self.end_ps = self.switched = 0
        self.latencies: list[list[int]] = [[] for _ in services]
        self.waits = [0] * len(services)

    def run(self, requests: Sequence[Request]) -> None:
        """Take requests in, and give batches to devices, in the order of time."""
        coming, count, now = 0, len(requests), 0
        while True:
            now = max(now, self.free[0][0])
            while coming < count and requests[coming].ps <= now:
                self.queues[requests[coming].network].append(requests[coming].ps)
                coming += 1
            waiting = [(queue[0], number) for number, queue in enumerate(self.queues) if queue]
            due = [(first, number) for first, number in waiting if first + self.wait_ps <= now or len(self.queues[number]) >= self.most]
            if due:
                self._start(min(due)[1], now)
                continue
            if coming == count and not waiting:
                return
            moments = [first + self.wait_ps for first, _ in waiting]
            now = min([*moments, requests[coming].ps] if coming < count else moments)

    def _start(self, network: int, now: int) -> None:
        """The device that has been free the longest takes a batch."""
        device = heapq.heappop(self.free)[1]
        queue = self.queues[network]
        taken = [queue.popleft() for _ in range(min(len(queue), self.most))]
        length = self.times[network][len(taken) - 1]
        if self.loaded[device] not in (self.parameters[network], "") and self.switch[network]:
            length += self.switch[network]
            self.switched += 1
        self.loaded[device], end = self.parameters[network], now + length
        heapq.heappush(self.free, (end, device))
        self.busy_ps, self.batches, self.end_ps = self.busy_ps + length, self.batches + 1, max(self.end_ps, end)
        self.waits[network] += len(taken) * now - sum(taken)
        self.latencies[network].extend([end - arrived for arrived in taken])

    def result(self, requests: Sequence[Request]) -> Serving:
        """Figures of all that was served."""
        names = [service.name for service in self.services]
        networks = tuple(served(name, latencies, waits) for name, latencies, waits in zip(names, self.latencies, self.waits, strict=True) if latencies)
        every = [latency for latencies in self.latencies for latency in latencies]
        span_ps = self.end_ps - requests[0].ps
        arrivals_ps = requests[-1].ps - requests[0].ps
        return Serving(
            offered_per_s=(len(requests) - 1) * 1e12 / arrivals_ps if arrivals_ps else None,
            completed_per_s=share(len(requests) * 1e12, span_ps),
            utilisation=share(self.busy_ps, span_ps * len(self.loaded)),
            mean_batch=len(requests) / self.batches,
            switched=self.switched,
            total=served("all", every, sum(self.waits)),
            networks=networks,
            warnings=warnings_of(self.services),
        )


def warnings_of(services: Sequence[Service]) -> tuple[str, ...]:
    """What the estimates of all services warn of, each with its network's name where there are several."""
    several = len(services) > 1
    return tuple(f"{service.name}: {warning}" if several else warning for service in services for warning in service.warnings)


def served(name: str, latencies_ps: list[int], waits_ps: int) -> Served:
    """Figures of the latencies of some requests; percentiles by nearest rank."""
    ordered = sorted(latencies_ps)
    count = len(ordered)
    percentiles = tuple(ordered[max(0, math.ceil(number / 100 * count) - 1)] / 1e12 for number in PERCENTILES)
    return Served(name, count, sum(ordered) / count / 1e12, waits_ps / count / 1e12, percentiles, ordered[-1] / 1e12)


def weights_of(names: Sequence[str], weights: Sequence[float] | None) -> tuple[float, ...]:
    """How often each network is asked for, beside the others; None is equally often.

    Raises
    ------
    UsageError
        If there is no network, no weight for each, or one is not above 0.
    """
    if not names:
        raise UsageError("there is no network to serve: name one at least")
    if weights is not None and not isinstance(weights, Iterable):
        raise UsageError(f"{', '.join(names)}: networks are drawn by a list of weights, one each, not {weights!r}")
    given = (1.0,) * len(names) if weights is None else tuple(weights)
    if len(given) != len(names):
        raise UsageError(f"{', '.join(names)}: networks are drawn by a weight each, {len(names)} and not {len(given)}")
    return _require_weights(given)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real)  # numpy's scalars are, too


def _require_weights(weights: tuple[float, ...]) -> tuple[float, ...]:
    if not weights or any(not (_is_number(weight) and weight > 0) for weight in weights) or not math.isfinite(sum(weights)):
        raise UsageError(f"networks are drawn by finite weights above 0, not {weights}")
    return weights


def saturation_per_s(services: Sequence[Service], policy: Policy, weights: Sequence[float] | None = None, *, requests: int = 0, seed: int = 0) -> float:
    """Requests a second that devices serve at the most, of networks in these proportions.

    Where no network loads anything after another, these are full batches, one after the other. Where one does, it depends on the order
    in which they are asked for: it is what comes of `requests` (of `_LONG` at least) that all are there from the beginning, in the order of `seed`.

    Raises
    ------
    UsageError
        As `serve` does.
    """
    _require(services, policy)
    chosen = weights_of([service.name for service in services], weights)
    if len({service.parameters or service.name for service in services}) > 1 and any(service.switch_s for service in services):
        drawn = poisson(1.0, max(requests, _LONG), weights=chosen, seed=seed)
        return serve(services, [Request(position, request.network) for position, request in enumerate(drawn)], policy).completed_per_s
    each = [service.batch_s[policy.max_batch - 1] / policy.max_batch for service in services]
    mean = sum(seconds * weight for seconds, weight in zip(each, chosen, strict=True)) / sum(chosen)
    return policy.devices / mean


def curve(
    services: Sequence[Service], policy: Policy, loads: Iterable[float], *, requests: int = REQUESTS, weights: Sequence[float] | None = None, seed: int = 0
) -> Mapping[float, Serving]:
    """Throughput against latency: what is served at each load, a share of `saturation_per_s`.

    Raises
    ------
    UsageError
        As `serve` and `poisson` do, and if there is no weight for each network.
    """
    most = saturation_per_s(services, policy, weights, requests=requests, seed=seed)
    chosen = weights_of([service.name for service in services], weights)
    return {load: serve(services, poisson(load * most, requests, weights=chosen, seed=seed), policy) for load in loads}
