"""What several cores do to each other under one runtime, from rows of several cores: they share the memory, wait for each other, and get hot.

    t = sum over kernels of max over cores of (their part / speed) + launches + bytes / (share * bandwidth) + kernels * barrier

Constants of single cores are given; maximum a posteriori in log space, as `fit`, of a share of the memory's bandwidth, a barrier in cycles and, for each
kind of core, what it keeps of its speed beside others. The latter also takes up what is wrong with a core that has no rows of its own. Rows that are far
off hardly count (Cauchy's loss), and errors are relative to what was measured: phones that do other things, or get hot, take twice as long on single rows,
and never half. Nor do values far from what is assumed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from costmodel.calibration.fit import Array
from costmodel.calibration.parameters import Path, replaced
from costmodel.calibration.samples import Sample
from costmodel.devices import Target
from costmodel.laws import KernelCost, price

SHARE: Path = ("contended_share",)
BARRIER: Path = ("barrier_cycles",)
SPEEDS = "speeds_together"
#: Before any row: half of the bandwidth, a barrier as long as the launch of a kernel, and cores as fast as alone; standard deviations of their logarithms,
#: and of what rows of several cores are off by. Assumed: in floating point on several cores families held out are within half a point of what they are so
#: with shares of a third and two thirds, barriers of 5,000 and 20,000 cycles, and spreads of a third or half and of twice as much (rows of benchncnn).
#: (With errors of logarithms and soft L1.) The memory and the threads are the same in every precision: where another one tells of a share and a barrier, their
#: spreads are halved.
_ASSUMED: dict[Path, tuple[float, float]] = {SHARE: (0.5, 0.7), BARRIER: (10000.0, 1.0)}
_SPEED_SPREAD = 0.15
_ROW_ERROR = 0.1
_SPREAD_OF_KNOWN = 0.5
#: Shares of the memory's bandwidth below this are not tried: a fiftieth is less than any row calls for.
_LEAST_SHARE = 0.02
#: How far a barrier and a speed may go from what they are assumed to be.
_REACH = 100.0
#: How many times longer than in earnest something takes, so that all else is nothing beside it.
_LONG = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Seconds of one sample: of each core's part of every kernel (cores, kernels), of launches, of all bytes at the whole bandwidth, of barriers a cycle."""

    cores: tuple[str, ...]
    alone_s: Array
    launch_s: float
    waiting_s: float
    barrier_s: float

    def seconds(self, values: Mapping[Path, float]) -> float:
        """The sample's time with these values."""
        slower = np.array([1 / values[SPEEDS, core] for core in self.cores])
        longest = float((self.alone_s * slower[:, None]).max(axis=0).sum())
        return longest + self.launch_s * float(slower[0]) + self.waiting_s / values[SHARE] + self.barrier_s * values[BARRIER]


def speeds(target: Target, speed: float = 1.0) -> dict[Path, float]:
    """Every core of a target at the same speed beside others, by path."""
    return {(SPEEDS, group.core): speed for group in target.machine.cores}


def fitted_together(samples: Sequence[Sample], values: Sequence[Mapping[Path, float]], known: Mapping[Path, float] | None = None) -> dict[Path, float]:
    """The share, the barrier and the speeds with which rows of several cores come out best, their constants given for each.

    `known` has the share and the barrier of the same cores in another precision, near which they are sought.
    """
    assumed = {path: (known[path], spread * _SPREAD_OF_KNOWN) if known and path in known else (value, spread) for path, (value, spread) in _ASSUMED.items()}
    parts = [_parts(sample, constants) for sample, constants in zip(samples, values, strict=True)]
    paths = [*_ASSUMED, *dict.fromkeys(path for sample in samples for path in speeds(sample.target))]
    priors = np.log([assumed[path][0] if path in assumed else 1.0 for path in paths])
    spreads = np.array([assumed[path][1] if path in assumed else _SPEED_SPREAD for path in paths])
    measured = np.array([sample.seconds for sample in samples])

    def residuals(logs: Array) -> Array:
        found = dict(zip(paths, np.exp(logs).tolist(), strict=True))
        off = np.array([part.seconds(found) for part in parts]) / measured - 1
        return np.concatenate([off / _ROW_ERROR, (logs - priors) / spreads])

    reach = math.log(_REACH)
    low, high = priors - reach, priors + reach
    share = paths.index(SHARE)
    low[share], high[share] = math.log(_LEAST_SHARE), 0.0
    best = least_squares(residuals, np.clip(priors, low, high), bounds=(low, high), x_scale=spreads, loss="cauchy")
    return dict(zip(paths, np.exp(best.x).tolist(), strict=True))


def mean_together(found: Sequence[Mapping[Path, float]]) -> dict[Path, float]:
    """What devices have in common: geometric means of their shares and barriers."""
    return {path: math.exp(sum(math.log(each[path]) for each in found) / len(found)) for path in _ASSUMED}


def _parts(sample: Sample, known: Mapping[Path, float]) -> _Parts:
    """A sample taken apart by pricing it where one thing alone takes long: a core, the memory, a barrier. No bandwidth bounds kernels then."""
    cores = tuple(group.core for group in sample.target.machine.cores)
    quick = {**known, **speeds(sample.target, math.inf), SHARE: math.inf, BARRIER: 0.0}
    alone = [_priced(sample, {**quick, (SPEEDS, core): 1 / _LONG}) for core in cores]
    waiting, barrier = (_priced(sample, {**quick, **more}) for more in ({SHARE: 1 / _LONG}, {BARRIER: _LONG}))
    return _Parts(
        cores=cores,
        alone_s=np.array([[kernel.latency_s - kernel.overhead_s for kernel in kernels] for kernels in alone]) / _LONG,
        launch_s=sum(kernel.overhead_s for kernels in alone for kernel in kernels) / _LONG,
        waiting_s=sum(kernel.memory_s for kernel in waiting) / _LONG,
        barrier_s=sum(kernel.overhead_s for kernel in barrier) / _LONG,
    )


def _priced(sample: Sample, values: Mapping[Path, float]) -> tuple[KernelCost, ...]:
    machine = sample.target.machine
    return price(sample.target.law, sample.program, dataclasses.replace(machine, parameters=replaced(machine.parameters, values))).kernels
