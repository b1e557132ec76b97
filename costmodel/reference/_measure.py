"""Measuring a network on this machine, operator by operator, with a check that nobody else was using it.

Times are CPU time of the process where one thread works (descheduling does not count) and wall time otherwise. A run is
contended when the wall clock ran well ahead of the CPU, or when the repeats disagree; a contended measurement is refused,
never averaged away. From the first measurement on the process keeps what it frees (`keep_memory`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from costmodel.errors import CostModelError, UsageError
from costmodel.graph import Graph, Node
from costmodel.reference._allocator import keep_memory
from costmodel.reference._execute import execute, random_inputs, random_weights
from costmodel.reference._torch import require_torch
from costmodel.work import WorkKind

#: Share of the wall time that one busy thread must have had the processor for.
MIN_CPU_SHARE = 0.92
#: Most that the interquartile range of the repeats may be of their median.
MAX_SPREAD = 0.15


class ContendedError(CostModelError):
    """Others used the machine while something was measured on it."""


class OperatorTime(NamedTuple):
    """An operator's median seconds."""

    name: str
    kind: WorkKind
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Seconds of one forward pass: the median whole (operators not timed apart), its spread, and each operator's median.

    `cpu_share` is CPU time over wall time and threads; `spread` the interquartile range over the median.
    """

    latency_s: float
    spread: float
    cpu_share: float
    threads: int
    repeats: int
    operators: tuple[OperatorTime, ...]

    @property
    def contended(self) -> str:
        """Why the figures cannot be trusted; empty where they can."""
        if self.threads == 1 and self.cpu_share < MIN_CPU_SHARE:
            return f"the process had the processor for {self.cpu_share:.0%} of the time (at least {MIN_CPU_SHARE:.0%} is needed)"
        if self.spread > MAX_SPREAD:
            return f"repeats differ by {self.spread:.0%} (at most {MAX_SPREAD:.0%} is allowed)"
        return ""

    def by_kind(self) -> dict[WorkKind, float]:
        """Seconds by kind of work; views take none worth a row."""
        total: dict[WorkKind, float] = {}
        for operator in self.operators:
            total[operator.kind] = total.get(operator.kind, 0.0) + operator.seconds
        return total


def measure(graph: Graph, *, threads: int = 1, repeats: int = 9, attempts: int = 3, allow_contention: bool = False) -> Measurement:
    """Run `graph` here in torch and time it.

    Parameters
    ----------
    threads : torch's intra-operator threads.
    repeats : timed passes, after two that warm up.
    attempts : how often a contended measurement is tried again.
    allow_contention : return the last attempt even if it is contended.

    Raises
    ------
    ContendedError
        If the machine was not quiet in any attempt: says what was seen.
    UsageError
        If torch is missing, the numbers make no sense, or the memory is too small.
    """
    torch = require_torch()
    if threads < 1 or repeats < 3:
        raise UsageError(f"measuring takes at least 1 thread and 3 repeats, not {threads} and {repeats}")
    keep_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        inputs, weights = random_inputs(graph), random_weights(graph)
        for _ in range(attempts):
            found = _attempt(graph, inputs, weights, threads, repeats)
            if not found.contended:
                return found
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise UsageError(f"{graph.name} at batch {graph.batch} needs more memory than this machine has; choose a smaller batch") from error
        raise
    finally:
        torch.set_num_threads(before)
    if allow_contention:
        return found
    raise ContendedError(f"the machine is busy: {found.contended}; stop other programs and run this again")


def _attempt(graph: Graph, inputs: tuple[Any, ...], weights: Any, threads: int, repeats: int) -> Measurement:
    clock = time.process_time if threads == 1 else time.perf_counter
    for _ in range(2):
        execute(graph, inputs, weights)
    wholes = []
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        start = clock()
        execute(graph, inputs, weights)
        wholes.append(clock() - start)
    cpu_share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    seconds: dict[str, list[float]] = {node.name: [] for node in graph.nodes}
    for _ in range(repeats):
        execute(graph, inputs, weights, observer=_timer(clock, seconds))
    quartiles = statistics.quantiles(wholes, n=4)
    median = statistics.median(wholes)
    return Measurement(
        latency_s=median,
        spread=(quartiles[2] - quartiles[0]) / median,
        cpu_share=cpu_share / threads,
        threads=threads,
        repeats=repeats,
        operators=tuple(OperatorTime(node.name, node.work.kind, statistics.median(seconds[node.name])) for node in graph.nodes),
    )


def _timer(clock: Callable[[], float], seconds: dict[str, list[float]]) -> Callable[[Node, Callable[[], Any]], Any]:
    def observe(node: Node, compute: Callable[[], Any]) -> Any:
        start = clock()
        result = compute()
        seconds[node.name].append(clock() - start)
        return result

    return observe
