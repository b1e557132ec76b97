"""The discrete-event core: steps on engines, with shared bandwidth and memories, in whole picoseconds.

Rules:

1. A step starts when all that it comes after has ended, an engine slot is free, and its buffers have room.
2. Of several that could start on an engine the one of least (priority, position) does; an engine `in_order` takes its steps in their order alone.
3. Events are handled by (time, priority, position), so that the same plan always gives the same run.
4. Links are shared max-min fairly: whenever a step starts or ends, each link is divided anew, nobody gets more than it asks for, and
   nobody could have more unless someone with less had less still (Bertsekas and Gallager, Data Networks, section 6.5.2).
   A step over several links goes at the pace of the slowest.
5. A step that nothing slows down takes exactly its duration; one that is slowed down ends at the next whole picosecond.

The queue is Python's `heapq` rather than simpy: 2,000 steps take a fourth to a seventh of the time (``python -m
tests.benchmarks.simulation_core`` prints both), the order of simultaneous events is the key of the heap instead of the order in which
generators were created, and a step whose pace changes gets a new entry in the heap where simpy needs an interrupt for each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from costmodel.errors import UsageError
from costmodel.simulation._memory import Buffer, Memory, Store

#: A link that is asked for this much more than it has is full, and no more than full: figures are rounded to picoseconds.
_ROUNDING = 1e-6


class Engine(NamedTuple):
    """What runs steps, `slots` at a time: a core, an array, a copy engine, a host thread; `rate` divides the durations of steps."""

    name: str
    kind: str
    slots: int = 1
    in_order: bool = False
    rate: float = 1.0


class Link(NamedTuple):
    """Bandwidth that running steps share: of a memory, a bus, or the multiprocessors of a GPU."""

    name: str
    per_s: float
    unit: str = "B"


class Step(NamedTuple):
    """A piece of work on one engine.

    `duration_ps` is what it takes alone; `shared_ps`, if given, what it takes with 1, 2, ... steps on the engine. `demands` are
    (link, amount) that it moves meanwhile; `after` are positions of earlier steps.
    """

    name: str
    engine: int
    duration_ps: int
    after: tuple[int, ...] = ()
    kernel: int = -1
    phase: str = "compute"
    priority: int = 0
    demands: tuple[tuple[int, float], ...] = ()
    shared_ps: tuple[int, ...] = ()
    inference: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run: a machine and the steps on it, in the order in which a runtime would issue them."""

    engines: tuple[Engine, ...]
    steps: tuple[Step, ...]
    links: tuple[Link, ...] = ()
    memories: tuple[Memory, ...] = ()
    buffers: tuple[Buffer, ...] = ()

    def __post_init__(self) -> None:
        for engine in self.engines:
            if not (engine.rate > 0 and math.isfinite(engine.rate)):
                raise UsageError(f"engine {engine.name!r} has a rate of {engine.rate:g}: nothing on it would ever end; give it a rate above 0")
            if engine.slots < 1:
                raise UsageError(f"engine {engine.name!r} has {engine.slots} slots: give it at least 1")
        for link in self.links:
            if not link.per_s > 0:
                raise UsageError(f"link {link.name!r} moves {link.per_s:g} {link.unit}/s: nothing would ever arrive; give it a bandwidth above 0")
        for position, step in enumerate(self.steps):
            if step.duration_ps < 0 or any(not 0 <= before < position for before in step.after):
                raise UsageError(f"step {step.name!r} takes {step.duration_ps} ps after {step.after}: steps follow on earlier ones, in no less than 0 ps")


class Run(NamedTuple):
    """When each step of a plan started and ended, in picoseconds, on which slot of its engine, and what let it start.

    `causes` are positions of steps, -1 for the beginning; `stalls_ps` the part of a step that memory traffic of a policy took. `memory` and
    `links` are (picoseconds, bytes held) and (picoseconds, amount a second) at each change, for every memory and link. `outside_bytes` are
    (kind of buffer, the most bytes of it that a policy kept outside at a moment).
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    slots: tuple[int, ...]
    causes: tuple[int, ...]
    stalls_ps: tuple[int, ...]
    memory: tuple[tuple[tuple[int, int], ...], ...]
    links: tuple[tuple[tuple[int, float], ...], ...]
    moved_bytes: int = 0
    outside_bytes: tuple[tuple[str, int], ...] = ()

    @property
    def makespan_ps(self) -> int:
        """When the last step ends."""
        return max(self.ends, default=0)


class _Flow:
    """A running step whose pace may change."""

    __slots__ = ("end", "engine", "last", "pace", "remaining", "shared", "wanted")

    def __init__(self, step: Step, now: int, duration_ps: int) -> None:
        self.engine, self.last, self.remaining, self.pace = step.engine, now, float(duration_ps), 1.0
        self.end = now + duration_ps
        self.wanted = tuple([(link, amount * 1e12 / duration_ps) for link, amount in step.demands]) if duration_ps else ()
        self.shared = tuple([step.duration_ps / each if each else 1.0 for each in step.shared_ps])

    def alone(self, active: int) -> float:
        """Its pace with so many steps on its engine, if no link holds it up."""
        return self.shared[min(active, len(self.shared)) - 1] if self.shared else 1.0

    def go_on(self, now: int, pace: float) -> bool:
        """Whether it goes on at another pace from now on, and so ends at another time."""
        if pace == self.pace:
            return False
        self.remaining = max(0.0, self.remaining - (now - self.last) * self.pace)
        self.last, self.pace = now, pace
        self.end = now + math.ceil(self.remaining / pace)
        return True


def max_min(wanted: Sequence[float], available: float) -> list[float]:
    """The max-min fair parts of what is available: nobody more than wanted.

    Examples
    --------
    >>> max_min([1.0, 4.0, 4.0], 6.0), max_min([1.0, 2.0], 6.0)
    ([1.0, 2.5, 2.5], [1.0, 2.0])
    """
    if sum(wanted) <= available * (1 + _ROUNDING):
        return list(wanted)
    parts = [0.0] * len(wanted)
    left, count = available, len(wanted)
    for position in sorted(range(len(wanted)), key=wanted.__getitem__):
        parts[position] = min(wanted[position], left / count)
        left -= parts[position]
        count -= 1
    return parts


class _Simulation:
    """The state of a run."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.steps = plan, plan.steps
        count, engines = len(plan.steps), len(plan.engines)
        self.starts, self.ends, self.slots = [0] * count, [-1] * count, [0] * count
        self.causes, self.enabled, self.stalls = [-1] * count, [-1] * count, [0] * count
        self.over = [False] * count
        self.missing = [len(step.after) for step in plan.steps]
        self.readers: list[list[int]] = [[] for _ in range(count)]
        self.order: list[list[int]] = [[] for _ in range(engines)]
        for position, step in enumerate(plan.steps):
            self.order[step.engine].append(position)
            for before in step.after:
                self.readers[before].append(position)
        self.issued, self.active, self.freed_by = [0] * engines, [0] * engines, [-1] * engines
        self.ready: list[list[tuple[int, int]]] = [[] for _ in range(engines)]
        self.free = [list(range(engine.slots)) for engine in plan.engines]
        self.shared = {step.engine for step in plan.steps if len(step.shared_ps) > 1}
        self.events: list[tuple[int, int, int]] = []
        self.flows: dict[int, _Flow] = {}
        self.store = Store(plan.memories, plan.buffers, count)
        self.samples: list[list[tuple[int, float]]] = [[] for _ in plan.links]

    def run(self) -> Run:
        """All steps to their ends."""
        for position, step in enumerate(self.steps):
            if not step.after:
                heappush(self.ready[step.engine], (self._rank(step), position))
        self._dispatch(0, range(len(self.plan.engines)), False)
        events = self.events
        while events:
            now, changed = events[0][0], False
            touched: set[int] = set()
            while events and events[0][0] == now:
                position = heappop(events)[2]
                if self.ends[position] == now and not self.over[position]:  # else it goes on at another pace, and has another entry
                    changed = self._end(position, now, touched) or changed
            self._dispatch(now, sorted(touched), changed)
        self.store.require_room()
        return Run(
            tuple(self.starts),
            tuple(self.ends),
            tuple(self.slots),
            tuple(self.causes),
            tuple(self.stalls),
            tuple(map(tuple, self.store.samples)),
            tuple(map(tuple, self.samples)),
            self.store.moved_bytes,
            tuple(self.store.most_outside.items()),
        )

    def _rank(self, step: Step) -> int:
        """The priority of a step on its engine; none where the order alone counts."""
        return 0 if self.plan.engines[step.engine].in_order else step.priority

    def _end(self, position: int, now: int, touched: set[int]) -> bool:
        """The step is over: its slot, its buffers and what follows on it are free. Whether the pace of others may change."""
        step = self.steps[position]
        engine = step.engine
        self.over[position] = True
        self.active[engine] -= 1
        heappush(self.free[engine], self.slots[position])
        self.freed_by[engine] = position
        touched.add(engine)
        self.store.end(position, now)
        for reader in self.readers[position]:
            self.missing[reader] -= 1
            self.enabled[reader] = position
            if not self.missing[reader]:
                after = self.steps[reader]
                heappush(self.ready[after.engine], (self._rank(after), reader))
                touched.add(after.engine)
        return self.flows.pop(position, None) is not None or engine in self.shared

    def _dispatch(self, now: int, engines: Iterable[int], changed: bool) -> None:
        """Start what can start on these engines, then share the links and engines anew where that changes anything."""
        for engine in engines:
            ready, free = self.ready[engine], self.free[engine]
            in_order, order = self.plan.engines[engine].in_order, self.order[engine]
            while ready and free and (not in_order or ready[0][1] == order[self.issued[engine]]):
                changed = self._start(heappop(ready)[1], now) or changed
        if changed:
            self._share(now)

    def _start(self, position: int, now: int) -> bool:
        """The step begins; whether the pace of others may change."""
        step = self.steps[position]
        engine = self.plan.engines[step.engine]
        self.slots[position] = heappop(self.free[step.engine])
        self.issued[step.engine] += 1
        self.active[step.engine] += 1
        self.starts[position] = now
        self.stalls[position] = stall_ps = self.store.start(position, now)
        duration_ps = (step.duration_ps if engine.rate == 1.0 else round(step.duration_ps / engine.rate)) + stall_ps
        before, other = self.enabled[position], self.freed_by[step.engine]
        self.causes[position] = other if other >= 0 and (before < 0 or self.ends[other] > self.ends[before]) else before
        self.ends[position] = now + duration_ps
        heappush(self.events, (now + duration_ps, step.priority, position))
        if not step.demands and len(step.shared_ps) < 2:
            return step.engine in self.shared
        self.flows[position] = _Flow(step, now, duration_ps)
        return True

    def _share(self, now: int) -> None:
        """Paces of all steps whose pace may change."""
        flows = self.flows
        paces = {position: flow.alone(self.active[flow.engine]) for position, flow in flows.items()}
        asked: dict[int, list[tuple[int, float]]] = {}
        for position, flow in flows.items():
            for link, amount in flow.wanted:
                asked.setdefault(link, []).append((position, amount * paces[position]))
        slowed = dict.fromkeys(flows, 1.0)
        for link, wants in asked.items():
            parts = max_min([amount for _, amount in wants], self.plan.links[link].per_s)
            for (position, amount), part in zip(wants, parts, strict=True):
                if part < amount:
                    slowed[position] = min(slowed[position], part / amount)
        for position, flow in flows.items():
            if flow.go_on(now, paces[position] * slowed[position]):
                self.ends[position] = flow.end
                heappush(self.events, (flow.end, self.steps[position].priority, position))
        self._sample(now)

    def _sample(self, now: int) -> None:
        """What each link moves from now on."""
        moving = [0.0] * len(self.samples)
        for flow in self.flows.values():
            for link, amount in flow.wanted:
                moving[link] += amount * flow.pace
        for samples, amount in zip(self.samples, moving, strict=True):
            if samples and samples[-1][0] == now:
                samples[-1] = (now, amount)
            elif not samples or samples[-1][1] != amount:
                samples.append((now, amount))


def run(plan: Plan) -> Run:
    """Run a plan from its beginning, when every engine is idle and every memory empty.

    Raises
    ------
    CostModelError
        If a memory of policy ``fail`` overflows: says by how much at the worst moment, and what the other policies would do.

    Examples
    --------
    >>> copy, core = Engine("copy", "dma"), Engine("core", "cpu")
    >>> steps = (Step("in", 0, 5), Step("a", 1, 10, after=(0,)), Step("in", 0, 5), Step("b", 1, 10, after=(2,)))
    >>> run(Plan(engines=(copy, core), steps=steps)).ends
    (5, 15, 10, 25)
    """
    return _Simulation(plan).run()
