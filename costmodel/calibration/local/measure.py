"""Measuring a plan: every case until it was measured undisturbed, in passes; whoever still disturbs after the last pass is told on.

A case that cannot be run here (memory does not hold it, a graph cannot capture it) is tried once and left out: no quiet helps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from costmodel.calibration.local.backends import TORCH_EAGER, Backend
from costmodel.calibration.local.journal import Journal
from costmodel.calibration.local.plan import Case, Role
from costmodel.calibration.local.timing import Timer
from costmodel.errors import CostModelError
from costmodel.reference import ContendedError

#: Passes over the cases that were disturbed, with a pause before each that doubles up to the longest: neighbours come and go.
PASSES = 7
PAUSE_S, LONGEST_PAUSE_S = 2.0, 16.0
#: Share of the operators, and of those timed after others, that may be missing in the end. No anchor may be that was disturbed; of those that cannot be run
#: here, one must be left.
MOST_MISSING = 0.1

#: Cases in words.
_NOUNS: Mapping[Role, str] = {"operator": "operators", "anchor": "networks", "host": "networks issued kernel by kernel", "start": "operators after others"}

#: Roles of single operators.
_SINGLE: frozenset[Role] = frozenset({"operator", "start"})

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
    """What measurements hold for: this processor, these builds, so many threads or this precision, this layout, and the runtime where it is not torch's."""
    runtime = {} if backend.runtime == TORCH_EAGER else {"runtime": backend.runtime}
    return {"processor": backend.chip, **runtime, **backend.builds, **backend.chosen, "layout": backend.layout}


def measure(cases: Sequence[Case], bench: Timer, journal: Journal, progress: Progress | None = None, *, pause_s: float = PAUSE_S) -> Measured:
    """Measure what the journal does not have yet.

    Raises
    ------
    ContendedError
        If more than `MOST_MISSING` of the operators, or an anchor, could not be measured undisturbed: what was measured is kept in the journal.
    CostModelError
        If more than `MOST_MISSING` of the operators, all anchors or all networks that tell of the host cannot be run here, however quiet it is; kept as well.
    """
    left = [case for case in cases if case.name not in journal.seconds]
    faults: dict[str, str] = {}
    lasting: list[Case] = []
    for number in range(PASSES):
        if number and left:
            time.sleep(min(pause_s * 2 ** (number - 1), LONGEST_PAUSE_S))
        disturbed: list[Case] = []
        for case in left:
            if progress is not None:
                progress(sum(one.name in journal.seconds for one in cases), len(cases), case.name)
            found = bench.time(case)
            if not found.fault:
                faults.pop(case.name, None)
                journal.add(case.name, found.seconds, found.spread, found.repeats)
                continue
            faults[case.name] = found.fault
            (lasting if found.lasting else disturbed).append(case)
        left = disturbed
    if progress is not None:
        progress(len(cases) - len(left) - len(lasting), len(cases), "")
    _require_possible(cases, lasting, faults, journal)
    operators = [case for case in cases if case.role in _SINGLE]
    missing = [case for case in (*left, *lasting) if case.role in _SINGLE]
    if left and (len(missing) > MOST_MISSING * len(operators) or any(case.role not in _SINGLE for case in left)):
        example = left[-1]
        kept = f". The others are kept in {journal.path}" if len(left) < len(cases) else ""
        raise ContendedError(
            f"the machine is busy: {len(left)} of {len(cases)} measurements were disturbed ({example.name}: {faults[example.name]}){kept}: "
            f"stop other programs and run this again{', and it goes on from there' if kept else ''}"
        )
    seconds = {case.name: journal.seconds[case.name] for case in cases if case.name in journal.seconds}
    return Measured(seconds=seconds, missing=faults, days=tuple(journal.days[name] for name in seconds))


def _require_possible(cases: Sequence[Case], lasting: Sequence[Case], faults: Mapping[str, str], journal: Journal) -> None:
    """Refuse a plan of which too much cannot be run here: nothing could be fitted to the rest."""
    for role in dict.fromkeys(case.role for case in lasting):
        every, impossible = ([case for case in of if case.role == role] for of in (cases, lasting))
        if len(impossible) > MOST_MISSING * len(every) if role in _SINGLE else len(impossible) == len(every):
            example = impossible[-1]
            raise CostModelError(
                f"{len(impossible)} of {len(every)} {_NOUNS[role]} cannot be run here ({example.name}: {faults[example.name]}). "
                f"What was measured is kept in {journal.path}: once they can, run this again, and it goes on from there"
            )
