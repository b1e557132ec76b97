"""A run: what one backend measures here of a plan, and what must be known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from costmodel.calibration.local.backends import Backend
from costmodel.calibration.local.fitting import start_under
from costmodel.calibration.local.journal import Journal
from costmodel.calibration.local.measure import Measured, Progress, about, measure
from costmodel.calibration.local.plan import Case, entry_seconds
from costmodel.calibration.local.profile import precision_table
from costmodel.calibration.local.starts import start_seconds
from costmodel.calibration.local.timing import SLOWER_SINCE, Probes, Timer
from costmodel.calibration.profile_text import Table
from costmodel.reference import ContendedError

_MEMORY = "memory stream"
_WORKLOAD = "fixed workload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was measured under one runtime: in what precision and layout, by what build, what a call of a model takes that is no operator's, and the journal.

    `memory_s_per_byte` is of what no cache holds, read and written. `cold_s` is what a start takes more after others; 0 where that is not asked for.
    `workload_s` is what a fixed workload mostly took beside the first cases; 0 where the journal does not say.
    """

    processor: str
    runtime: str
    dtype: str
    layout: str
    build: str
    measured: Measured
    entry_s: float
    plans_memory: bool
    journal: str
    memory_s_per_byte: float
    cold_s: float = 0.0
    workload_s: float = 0.0

    @property
    def precision(self) -> Table:
        """Where the profile states what was fitted."""
        return precision_table(self.processor, self.runtime, self.dtype)

    @property
    def start(self) -> str:
        """What the correction's second number is for: see `fitting`."""
        return start_under(plans_memory=self.plans_memory).words


class RunBench(Timer, Protocol):
    """What measures a whole run: cases, and the memory."""

    #: What tells the seconds of a call of a model, and those seconds once they are measured; nothing where a pass is no call.
    entry: tuple[Case, ...]
    entry_s: float
    #: What tells the seconds that a start takes more after others; nothing where memory is planned beforehand, or no host starts kernels.
    starts: tuple[Case, ...]
    #: A fixed workload that tells of neighbours.
    probes: Probes

    def memory_bytes_per_s(self) -> float:
        """Bytes a second that are read and written in memory no cache holds."""
        ...


def run_of(
    backend: Backend, bench_of: Callable[[], RunBench], cases: Sequence[Case], journal: Path, *, restart: bool = False, progress: Progress | None = None
) -> Run:
    """What a backend measures of `cases`, on the bench that `bench_of` makes once the journal is this run's own.

    Raises
    ------
    ContendedError, CostModelError
        As `measure` says; what was measured is kept.
    UsageError
        If the journal is about something else or in use.
    """
    with Journal(journal, about(backend), afresh=restart) as written:
        bench = bench_of()
        begun, known_s = not written.seconds, written.seconds.get(_WORKLOAD, 0.0)
        if known_s:
            _require_as_fast(bench.probes, known_s, journal)
        if bench.entry:
            bench.entry_s = entry_seconds(measure(bench.entry, bench, written).seconds)
        try:
            found = measure((*cases, *bench.starts), bench, written, progress)
        finally:  # whoever goes on after an interruption must know, too
            if begun:
                written.add(_WORKLOAD, bench.probes.usual_s, 0.0, 1)
        cold_s = start_seconds([found.seconds[case.name] for case in bench.starts if case.name in found.seconds])
        if _MEMORY not in written.seconds:
            written.add(_MEMORY, 1 / bench.memory_bytes_per_s(), 0.0, 5)
        memory_s_per_byte, workload_s = written.seconds[_MEMORY], written.seconds.get(_WORKLOAD, 0.0)
    return Run(
        processor=backend.processor,
        runtime=backend.runtime,
        dtype=backend.dtype,
        layout=backend.layout,
        build=", ".join(f"{library} {version}" for library, version in backend.builds.items()),
        measured=found,
        entry_s=bench.entry_s,
        plans_memory=backend.plans_memory,
        journal=str(journal),
        memory_s_per_byte=memory_s_per_byte,
        cold_s=cold_s,
        workload_s=workload_s,
    )


def _require_as_fast(probes: Probes, known_s: float, journal: Path) -> None:
    """Hold what is measured now against what the journal's first cases were measured beside; refuse to begin where the machine is slower as a whole."""
    probes.since(known_s)
    if probes.usual_s > SLOWER_SINCE * known_s:
        raise ContendedError(
            f"{journal}: the machine is {probes.usual_s / known_s:.2f} times slower than when this was begun: stop other programs and run this again, "
            "or begin anew with --restart"
        )
