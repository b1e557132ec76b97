"""Timing a case with cold caches, and noticing when somebody else uses the machine.

Operators run on a ring of copies of their tensors that is several times the second-level cache, as a network finds its weights and activations: under torch
eager, operators replayed warm take 25 % less than in a network, small ones 40-50 % (54 networks on an AVX-512 machine). One thread is timed by its own
CPU time, which being descheduled does not lengthen; several by the wall clock.

A neighbour still shows, by what it does to caches and clocks: a fixed workload, the *probe*, is timed around every case. A case beside which the probe was
slower than it mostly is by `SLOWER`, or whose repeats disagree, is run again, later too; it is never averaged. Clocks drift on machines that others share
by a tenth at all times, which is why the measure is the probe's median and not its best; where that median itself is far from the best, or the probe from what
it mostly took beside the journal's first cases, nothing counts.

Most of the probe is arithmetic near the core; a part reads 2 MiB in lines that lie apart, in no order, which neighbours drive out of the last cache. On a
virtual EPYC with neighbours twice as many such reads took from 0.3 to 0.8 ms within two minutes in which the arithmetic kept to 2 %; networks went with the
reads (correlations of 0.5 to 0.7) and not with the arithmetic (0.2 to 0.3).
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from costmodel.calibration.local.backends import CpuBackend
from costmodel.calibration.local.plan import Case, entry_cases
from costmodel.calibration.local.starts import displacing_cases, start_cases
from costmodel.reference import keep_memory
from costmodel.reference._torch import require_torch

#: Bytes of a ring of copies: several second-level caches of today's servers (1 to 2 MiB a core).
RING_BYTES = 12 << 20
_MOST_COPIES = 48
#: What the probe may take over its median before a measurement counts as disturbed, and that median over its best before all do.
SLOWER, SLOWED = 1.15, 1.5
#: What it may take over what it mostly took beside the journal's first cases.
SLOWER_SINCE = 1.25
#: Probes before the first case.
_FIRST_PROBES = 20
#: Passes of the probe that are not counted: after a network it took six until it was as fast as ever.
_WARMING = 6
#: Probes that the median is taken of.
_PROBES = 200
#: Most that the interquartile range of the repeats may be of their median, for operators of 50 us and more; below, the clock's grain shows.
SPREAD = 0.25
#: Reads of the probe, each of a line (16 floats) of its own: 45 us beside 360 us of arithmetic while nobody else reads, 2 to 6 times that beside neighbours.
_FAR_READS = 1 << 15
#: Least share of the wall time that one thread must have had a processor for.
CPU_SHARE = 0.85
_LEAST_REPEATS = 7
_MOST_REPEATS = 400
#: Starts after others that are timed, each with another start at once.
_STARTS = 40
#: What a start takes more at least: measurements are no zeros.
_LEAST_S = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Median seconds of a case, of a start what it takes more after others; `spread` is an interquartile range in medians of a pass. `fault` says why they
    cannot be trusted, and is empty where they can.

    A fault that is `lasting` comes back however quiet the machine is: the case cannot be run here.
    """

    seconds: float
    spread: float
    repeats: int
    fault: str = ""
    lasting: bool = False


class Timer(Protocol):
    """What measures a case."""

    def time(self, case: Case) -> Timed:
        """Seconds of one pass, and whether they can be trusted."""
        ...


def copies_of(case: Case, *, plans_memory: bool, ring_bytes: int = RING_BYTES) -> int:
    """How many copies of its tensors a case runs on in turn, `ring_bytes` of them: whole networks are cold by themselves.

    Where memory is planned beforehand an operator finds its input where the one before just wrote it: there only weights are cold, and copies are
    taken where those are the larger part.
    """
    if case.role not in ("operator", "start"):
        return 1
    node = case.graph.nodes[-1]
    activations, weights = 4 * sum(spec.numel for spec in node.inputs), 4 * node.work.parameters
    if plans_memory and weights < activations:
        return 1
    return min(_MOST_COPIES, ring_bytes // max(1, activations + weights) + 2)


class Probes:
    """A fixed workload's seconds, taken again and again: `fault` tells whether somebody else uses the machine."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._latest: deque[float] = deque(maxlen=_PROBES)
        self._begun_s = 0.0
        for _ in range(_FIRST_PROBES):
            self.take()

    @property
    def usual_s(self) -> float:
        """What the workload mostly takes."""
        return statistics.median(self._latest)

    def since(self, begun_s: float) -> None:
        """Hold what is measured from now on against what the workload mostly took beside the journal's first cases."""
        self._begun_s = begun_s

    def take(self) -> float:
        """The median of five, after what brings back into caches what the case at hand displaced."""
        for _ in range(_WARMING):
            self._seconds()
        self._latest.append(statistics.median(self._seconds() for _ in range(5)))
        return self._latest[-1]

    def fault(self, *around: float) -> str:
        """Why what was measured between these cannot be trusted; empty where it can."""
        usual = self.usual_s
        slower, slowed = max(around) / usual, usual / min(self._latest)
        if slower > SLOWER:
            return f"a fixed workload took {slower:.2f} times what it mostly takes"
        if slowed > SLOWED:
            return f"a fixed workload mostly takes {slowed:.2f} times its best"
        if self._begun_s and max(around) > SLOWER_SINCE * self._begun_s:
            return f"a fixed workload took {max(around) / self._begun_s:.2f} times what it took beside the first cases"
        return ""


def spread_of(taken: Sequence[float]) -> float:
    """The interquartile range of repeats over their median."""
    quartiles = statistics.quantiles(taken, n=4)
    return (quartiles[2] - quartiles[0]) / statistics.median(taken)


class Bench:
    """Times cases on a backend, each for `seconds_a_case` at most; the probe is torch's whatever the backend."""

    def __init__(self, backend: CpuBackend, *, seconds_a_case: float = 0.4) -> None:
        self.torch = require_torch()
        keep_memory()
        self.backend, self.threads, self.seconds_a_case = backend, backend.threads, seconds_a_case
        self.clock: Callable[[], float] = time.thread_time if self.threads == 1 else time.perf_counter
        self.entry: tuple[Case, ...] = entry_cases()
        self.entry_s = 0.0
        self.starts: tuple[Case, ...] = () if backend.plans_memory else start_cases()
        self._displacing: list[Callable[[], object]] = []
        self.torch.set_num_threads(self.threads)
        self._square, self._line = self.torch.randn(256, 256), self.torch.randn(1 << 18)
        self._product, self._sum = self.torch.empty(256, 256), self.torch.empty(1 << 18)
        self._far, self._read = self.torch.randn(2 * RING_BYTES // 4), self.torch.empty(_FAR_READS)
        self._places = 16 * self.torch.randperm(len(self._far) // 16, generator=self.torch.Generator().manual_seed(0))[:_FAR_READS]
        self.probes = Probes(self._probe_s)

    def time(self, case: Case) -> Timed:
        """Seconds of one pass of a case; of a start, what it takes more after others than over and over."""
        if case.role == "start":
            return self._start(case)
        run = self.backend.prepared(case, copies_of(case, plans_memory=self.backend.plans_memory))
        for _ in range(2):
            run()
        before = self.probes.take()
        taken: list[float] = []
        wall, cpu = time.perf_counter(), time.process_time()
        while len(taken) < _LEAST_REPEATS or (sum(taken) < self.seconds_a_case and len(taken) < _MOST_REPEATS):
            start = self.clock()
            run()
            taken.append(self.clock() - start)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall) / self.threads
        median, spread = statistics.median(taken), spread_of(taken)
        own = self.entry_s + max(0.0, median - self.entry_s) * self.backend.own_share(case)
        fault = self.probes.fault(before, self.probes.take()) or self._fault(share, spread, median)
        return Timed(seconds=own, spread=spread, repeats=len(taken), fault=fault)

    def _start(self, case: Case) -> Timed:
        """What one pass takes more after others than at once again."""
        others = self._displacing = self._displacing or [self.backend.prepared(each, 1) for each in displacing_cases()]
        run = self.backend.prepared(case, copies_of(case, plans_memory=self.backend.plans_memory))
        for first in (*others, run):
            first()
        before = self.probes.take()
        after: list[float] = []
        again: list[float] = []
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(_STARTS):
            for position in (number, number + 1):
                others[position % len(others)]()
            for taken in (after, again):
                start = self.clock()
                run()
                taken.append(self.clock() - start)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall) / self.threads
        more = [first - second for first, second in zip(after, again, strict=True)]
        quartiles, median = statistics.quantiles(more, n=4), statistics.median(after)
        spread = (quartiles[2] - quartiles[0]) / median
        fault = self.probes.fault(before, self.probes.take()) or self._fault(share, spread, median)
        return Timed(seconds=max(_LEAST_S, statistics.median(more)), spread=spread, repeats=_STARTS, fault=fault)

    def _probe_s(self) -> float:
        """Seconds of a fixed product, a pass over 1 MiB and reads of lines that lie apart, without any allocation."""
        start = self.clock()
        self.torch.mm(self._square, self._square, out=self._product)
        self.torch.add(self._line, 1.0, out=self._sum)
        self.torch.index_select(self._far, 0, self._places, out=self._read)
        return self.clock() - start

    def memory_bytes_per_s(self) -> float:
        """Bytes a second that the threads read and write in memory no cache holds: 256 MiB, in place, the best of five."""
        line = self.torch.ones(1 << 26)
        taken = []
        for _ in range(5):
            start = self.clock()
            line.add_(1.0)
            taken.append(self.clock() - start)
        return float(2 * 4 * line.numel() / min(taken))

    def _fault(self, share: float, spread: float, median: float) -> str:
        if share < CPU_SHARE and self.threads == 1:
            return f"the process had the processor for {share:.0%} of the time"
        if spread > SPREAD and median > 50e-6:
            return f"repeats differ by {spread:.0%}"
        return ""
