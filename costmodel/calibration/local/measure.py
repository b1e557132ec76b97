"""Measuring a plan: every case until it was measured undisturbed, in passes; whoever still disturbs after the last pass is told on."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from costmodel.calibration.local.backends import TORCH_EAGER, Backend
from costmodel.calibration.local.journal import Journal
from costmodel.calibration.local.plan import Case
from costmodel.calibration.local.timing import Timer
from costmodel.reference import ContendedError

#: Passes over the cases that were disturbed, with a pause before each.
PASSES = 4
PAUSE_S = 2.0
#: Share of the operators that may be missing in the end; anchors may not.
MOST_MISSING = 0.1

#: Called after every case: (done, of how many, name).
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of the cases that were measured, why the others were not, and the days, where they are known."""

    seconds: dict[str, float]
    missing: dict[str, str] = field(default_factory=dict)
    days: tuple[str, ...] = ()

    @property
    def when(self) -> str:
        """The day, or the first and the last; empty where none is known.

        Examples
        --------
        >>> Measured({}, days=("2026-02-01", "2026-01-31", "2026-02-01")).when
        '2026-01-31 to 2026-02-01'
        """
        return " to ".join(dict.fromkeys((min(self.days), max(self.days)))) if self.days else ""


def about(backend: Backend) -> dict[str, Any]:
    """What measurements hold for: this processor, these builds, so many threads, this layout, and the runtime where it is not torch's."""
    model = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    processor = model[1].strip() if model else platform.processor() or platform.machine()
    runtime = {} if backend.runtime == TORCH_EAGER else {"runtime": backend.runtime}
    return {"processor": processor, **runtime, **backend.builds, "threads": backend.threads, "layout": backend.layout}


def measure(cases: Sequence[Case], bench: Timer, journal: Journal, progress: Progress | None = None, *, pause_s: float = PAUSE_S) -> Measured:
    """Measure what the journal does not have yet.

    Raises
    ------
    ContendedError
        If more than `MOST_MISSING` of the operators, or an anchor, could not be measured undisturbed: what was measured is kept in the journal.
    """
    left = [case for case in cases if case.name not in journal.seconds]
    faults: dict[str, str] = {}
    for number in range(PASSES):
        if number and left:
            time.sleep(pause_s)
        disturbed = []
        for case in left:
            if progress is not None:
                progress(sum(one.name in journal.seconds for one in cases), len(cases), case.name)
            if not _one(case, bench, journal, faults):
                disturbed.append(case)
        left = disturbed
    if progress is not None:
        progress(len(cases) - len(left), len(cases), "")
    operators = [case for case in cases if case.role == "operator"]
    missing = [case for case in left if case.role == "operator"]
    if len(missing) > MOST_MISSING * len(operators) or len(missing) < len(left):
        example = left[-1]
        kept = f". The others are kept in {journal.path}" if len(left) < len(cases) else ""
        raise ContendedError(
            f"the machine is busy: {len(left)} of {len(cases)} measurements were disturbed ({example.name}: {faults[example.name]}){kept}: "
            f"stop other programs and run this again{', and it goes on from there' if kept else ''}"
        )
    seconds = {case.name: journal.seconds[case.name] for case in cases if case.name in journal.seconds}
    return Measured(seconds=seconds, missing=faults, days=tuple(journal.days[name] for name in seconds))


def _one(case: Case, bench: Timer, journal: Journal, faults: dict[str, str]) -> bool:
    found = bench.time(case)
    if found.fault:
        faults[case.name] = found.fault
        return False
    faults.pop(case.name, None)
    journal.add(case.name, found.seconds, found.spread, found.repeats)
    return True


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
