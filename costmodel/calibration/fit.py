"""The fit: maximum a posteriori in log space.

    minimise  sum over rows of (log predicted - log measured)^2 / error^2  +  sum over parameters of (log x - log prior)^2 / spread^2

within the bounds of each x. A clock, a compiler or a guess of the multipliers moves all constants of a core together, and few rows suffice to see
it: before anything else all priors are scaled by what rows and priors differ by on average, shrunk as far as `SCALE_SPREAD` says.

Times come from the law itself. Where a law is linear in its constants, what each contributes to each row is asked for once, by pricing with that
constant alone; elsewhere derivatives are finite differences.

`error` is what the law misses of a row's time: estimated from the residuals themselves, in rounds, and not below `ROW_ERROR`.

A parameter that the rows hardly narrow, the scale aside (posterior over prior spread above `NARROWED`), is frozen at its prior times the scale, and
the others are fitted anew.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.optimize import least_squares

from costmodel.calibration.parameters import Free, Path, replaced
from costmodel.calibration.smooth import SmoothResponses
from costmodel.laws import MemoryLevel, price
from costmodel.laws._smooth import SmoothParameters
from costmodel.work import WorkKind

if TYPE_CHECKING:
    from costmodel.calibration.samples import Sample
    from costmodel.laws import Machine

Array = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

#: What a law of few constants misses of a network's time where every constant is right, as a standard deviation of the logarithm: fits of
#: single cores err by 3 % (root mean square) on families that they did not see, though runs repeat within 0.2 % (qed-usc rows, Pixel 4).
ROW_ERROR = 0.03
#: Standard deviation of the logarithm of what all priors of one fit are off by together; zero-row transfers between phones' cores err by up to 40 %.
SCALE_SPREAD = 0.35
#: Rounds of estimating the error.
_ERROR_ROUNDS = 4
#: Posterior over prior spread above which rows say too little about a parameter. At 0.8 constants that only their sum determines freeze
#: together, which cost an iPhone's int8 rows 5 points on families held out.
NARROWED = 0.9
#: Errors this many times the median one weigh less, where rows are many: 2 are 1.35 standard deviations (Huber 1964), efficient at 95 % for normal errors.
OUTLYING = 2.0
#: Where a fit to hundreds of networks stops: a ten-thousandth of its cost, or of its constants, is far inside their posterior spread.
SMOOTH_TOLERANCE = 1e-4
_STEP = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A parameter after the fit.

    `spread` is the posterior standard deviation of its logarithm. Where `frozen`, the rows said too little and it
    kept its prior times that scale; `at` names the bound that it was stopped by.
    """

    path: Path
    value: float
    prior: float
    prior_spread: float
    spread: float
    frozen: bool
    at: str = ""

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Parameters fitted to `rows` rows. `residual` is the root mean square of log predicted over measured, `error` the estimate
    that weighs rows against priors, `evaluations` the solver's work.
    """

    parameters: tuple[Fitted, ...]
    rows: int
    residual: float
    error: float
    converged: bool
    message: str
    evaluations: int

    @property
    def values(self) -> dict[Path, float]:
        """Every parameter's value by its path."""
        return {entry.path: entry.value for entry in self.parameters}

    @property
    def free(self) -> tuple[Fitted, ...]:
        """The parameters that the rows determined."""
        return tuple(entry for entry in self.parameters if not entry.frozen)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before trusting the fit."""
        found = [] if self.converged else [f"the fit did not converge after {self.evaluations} evaluations: {self.message}"]
        found += [f"{entry.name} stopped at {entry.at}, {entry.value:.4g}" for entry in self.parameters if entry.at]
        frozen = [entry.path[-1] for entry in self.parameters if entry.frozen]
        if frozen:
            found.append(f"the rows say too little about {', '.join(frozen)}: kept but for the scale of all")
        return tuple(found)


class Responses(Protocol):
    """Times of rows as a function of the parameters' logarithms."""

    def seconds(self, logs: Array) -> Array:
        """Seconds of every row: (rows,)."""

    def slopes(self, logs: Array) -> Array:
        """Derivatives of log seconds by log parameters: (rows, parameters)."""


class LinearResponses:
    """A law linear in its constants: t = A x + rest, with `matrix` A (rows, parameters) and `rest` (rows,).

    `bounded` says that a memory's bandwidth may bound some kernels from below, which pricing the samples themselves tells.
    """

    def __init__(self, matrix: Array, rest: Array, *, bounded: bool = True) -> None:
        self.matrix, self.rest, self.bounded = matrix, rest, bounded

    def seconds(self, logs: Array) -> Array:
        return self.matrix @ np.exp(logs) + self.rest

    def slopes(self, logs: Array) -> Array:
        return self.matrix * np.exp(logs) / self.seconds(logs)[:, None]

    def of(self, rows: Mask) -> LinearResponses:
        """The same for those rows that are True."""
        return LinearResponses(self.matrix[rows], self.rest[rows], bounded=self.bounded)


class PricedResponses:
    """Any law: times by pricing, slopes by finite differences."""

    def __init__(self, samples: Sequence[Sample], paths: Sequence[Path]) -> None:
        self.samples, self.paths = samples, paths
        self._touched = [_touched(samples, path) for path in paths]

    def seconds(self, logs: Array) -> Array:
        return priced(self.samples, dict(zip(self.paths, np.exp(logs).tolist(), strict=True)))

    def slopes(self, logs: Array) -> Array:
        base = np.log(self.seconds(logs))
        columns = []
        for position in range(len(logs)):
            moved = logs.copy()
            moved[position] += _STEP
            column = np.zeros(len(base))
            touched = self._touched[position]
            values = dict(zip(self.paths, np.exp(moved).tolist(), strict=True))
            column[touched] = (np.log(priced([self.samples[row] for row in touched], values)) - base[touched]) / _STEP
            columns.append(column)
        return np.stack(columns, axis=1)

    def of(self, rows: Mask) -> PricedResponses:
        """The same for some rows."""
        return PricedResponses([sample for sample, chosen in zip(self.samples, rows, strict=True) if chosen], self.paths)


def _touched(samples: Sequence[Sample], path: Path) -> list[int]:
    """The rows that a parameter can move: one of a kind of work moves those with a kernel of that kind, ``default`` and all others any."""
    if len(path) != 2 or path[1] not in set(WorkKind):
        return list(range(len(samples)))
    return [row for row, sample in enumerate(samples) if any(kernel.kind == path[1] for kernel in sample.program.kernels)]


AnyResponses = LinearResponses | PricedResponses | SmoothResponses


def priced(samples: Sequence[Sample], values: Mapping[Path, float]) -> Array:
    """Seconds of every sample with other parameters, by its law."""
    machines: dict[int, Machine] = {}
    out = np.empty(len(samples))
    for position, sample in enumerate(samples):
        machine = sample.target.machine
        if id(machine) not in machines:
            machines[id(machine)] = dataclasses.replace(machine, parameters=replaced(machine.parameters, values))
        out[position] = price(sample.target.law, sample.program, machines[id(machine)]).latency_s
    return out


def linear_responses(samples: Sequence[Sample], paths: Sequence[Path]) -> LinearResponses:
    """What each constant contributes to each sample, from pricing with that constant at 1 and the others at 0, no memory in the way."""
    none = dict.fromkeys(paths, 0.0)
    unbounded = [_without_memory(sample) for sample in samples]
    rest = priced(unbounded, none)
    columns = [priced(unbounded, {**none, path: 1.0}) - rest for path in paths]
    return LinearResponses(np.stack(columns, axis=1), rest)


def _without_memory(sample: Sample) -> Sample:
    machine = dataclasses.replace(sample.target.machine, levels=(MemoryLevel("none", None, math.inf),))
    return dataclasses.replace(sample, target=dataclasses.replace(sample.target, machine=machine))


def fit(samples: Sequence[Sample], free: Sequence[Free], responses: AnyResponses | None = None, *, scale: bool = True) -> Fit:
    """The parameters that make the samples' times most probable, given their priors.

    Parameters
    ----------
    responses : of these samples and parameters, where they are known already.
    scale : let the priors be off by a common factor.

    Raises
    ------
    ValueError
        If there is no sample or no parameter.
    """
    if not samples or not free:
        raise ValueError("a fit needs rows and parameters")
    known = responses or responses_of(samples, [entry.path for entry in free])
    seconds = np.array([sample.seconds for sample in samples])
    stated, free = free, _scaled(known, free, seconds) if scale else free
    frozen = np.zeros(len(free), dtype=bool)
    start = np.log([entry.prior for entry in free])
    while True:
        found = _solve(known, samples, free, seconds, frozen, start)
        start = found.logs
        weak = (found.spreads > NARROWED * np.array([entry.spread for entry in free])) & ~frozen
        if not weak.any():
            break
        frozen |= weak
    entries = [
        Fitted(
            path=entry.path,
            value=float(np.exp(found.logs[position])),
            prior=stated[position].prior,
            prior_spread=entry.spread,
            spread=entry.spread if frozen[position] else float(found.spreads[position]),
            frozen=bool(frozen[position]),
            at="" if frozen[position] else _bound(entry, float(found.logs[position])),
        )
        for position, entry in enumerate(free)
    ]
    return Fit(
        parameters=tuple(entries),
        rows=len(samples),
        residual=float(np.sqrt(np.mean(found.errors**2))),
        error=found.error,
        converged=found.converged,
        message=found.message,
        evaluations=found.evaluations,
    )


def _scaled(known: AnyResponses, free: Sequence[Free], seconds: Array) -> Sequence[Free]:
    """The parameters with their priors times the scale that rows and priors differ by; as they are where times do not scale with them."""
    if not isinstance(known, LinearResponses):
        return free
    off = np.log(seconds) - np.log(known.seconds(np.log([entry.prior for entry in free])))
    noise = max(ROW_ERROR, float(off.std()))
    scale = math.exp(float(off.sum()) / (len(off) + (noise / SCALE_SPREAD) ** 2))
    return [dataclasses.replace(entry, prior=min(max(entry.prior * scale, entry.low), entry.high)) for entry in free]


def responses_of(samples: Sequence[Sample], paths: Sequence[Path]) -> AnyResponses:
    """The responses of samples of one law."""
    target = samples[0].target
    if target.machine.parameters.by_core:
        return linear_responses(samples, paths)
    if _in_arrays(target.machine.parameters) and all(sample.target.machine == target.machine for sample in samples):
        return SmoothResponses(samples, paths)
    return PricedResponses(samples, paths)


def _in_arrays(parameters: Any) -> bool:
    """Whether `SmoothResponses` knows all that a law's parameters say: not what only the bench of this machine measures."""
    return isinstance(parameters, SmoothParameters) and not parameters.benched


@dataclass(frozen=True, slots=True)
class _Solution:
    logs: Array
    spreads: Array
    errors: Array
    converged: bool
    message: str
    evaluations: int
    error: float = ROW_ERROR


def _solve(known: AnyResponses, samples: Sequence[Sample], free: Sequence[Free], seconds: Array, frozen: Mask, start: Array) -> _Solution:
    """The best logarithms with some parameters held, in rounds until the error and the times that memories bound agree with them."""
    logs, error = start, ROW_ERROR
    spread = np.ones(len(seconds))
    for _ in range(_ERROR_ROUNDS):
        solution = _least_squares(known, free, seconds, frozen, logs, error * spread)
        logs = solution.logs
        if isinstance(known, SmoothResponses):
            spread = _outlying(solution.errors)
        determined = float((1 - (solution.spreads / np.array([entry.spread for entry in free])) ** 2).clip(0).sum())
        error = max(ROW_ERROR, math.sqrt(float(((solution.errors / spread) ** 2).sum()) / max(1.0, len(seconds) - determined)))
        if isinstance(known, LinearResponses) and known.bounded:
            known = _with_floors(known, samples, free, logs)
    return dataclasses.replace(solution, error=error)


def _outlying(errors: Array) -> Array:
    """How many times the common error each row may err by: 1, or in proportion beyond `OUTLYING` times the median error (Huber's weights).

    Among hundreds of networks some run by another algorithm than the lowering thinks; they must not bend the constants of the others.
    """
    sizes = np.abs(errors)
    return np.asarray(np.sqrt(np.maximum(1.0, sizes / (OUTLYING * max(float(np.median(sizes)), 1e-9)))))


def _with_floors(known: LinearResponses, samples: Sequence[Sample], free: Sequence[Free], logs: Array) -> LinearResponses:
    """The same responses moved to what the law says at `logs`, where a memory's bandwidth bounds some kernels from below."""
    exact = priced(samples, dict(zip([entry.path for entry in free], np.exp(logs).tolist(), strict=True)))
    return LinearResponses(known.matrix, known.rest + (exact - known.seconds(logs)))


def _least_squares(known: Responses, free: Sequence[Free], seconds: Array, frozen: Mask, start: Array, error: Array) -> _Solution:
    priors = np.log([entry.prior for entry in free])
    spreads = np.array([entry.spread for entry in free])
    moving = ~frozen
    target = np.log(seconds)
    logs = np.where(frozen, priors, start)

    def whole(moved: Array) -> Array:
        logs[moving] = moved
        return logs

    def residuals(moved: Array) -> Array:
        at = whole(moved)
        return np.concatenate([(np.log(known.seconds(at)) - target) / error, ((at - priors) / spreads)[moving]])

    def jacobian(moved: Array) -> Array:
        slopes = known.slopes(whole(moved), moving) if isinstance(known, SmoothResponses) else known.slopes(whole(moved))
        return np.concatenate([slopes[:, moving] / error[:, None], np.diag(1 / spreads[moving])])

    low, high = np.log([entry.low for entry in free]), np.log([entry.high for entry in free])
    if not moving.any():
        return _Solution(logs, spreads, np.log(known.seconds(logs)) - target, True, "nothing to fit", 1)
    inside = np.clip(logs, low + 1e-9, high - 1e-9)[moving]
    enough = {"max_nfev": 40, "ftol": SMOOTH_TOLERANCE, "xtol": SMOOTH_TOLERANCE} if isinstance(known, SmoothResponses) else {"max_nfev": 200}
    found = least_squares(residuals, inside, jac=jacobian, bounds=(low[moving], high[moving]), x_scale=spreads[moving], **enough)
    best = whole(found.x).copy()
    precision = found.jac.T @ found.jac
    posterior = spreads.copy()
    posterior[moving] = np.sqrt(np.diag(np.linalg.inv(precision)))
    return _Solution(best, posterior, np.log(known.seconds(best)) - target, bool(found.status > 0), str(found.message), int(found.nfev))


def _bound(entry: Free, log: float) -> str:
    """The bound that a value lies on; empty where it lies inside."""
    if log < math.log(entry.low) + 1e-6:
        return "its lower bound"
    return "its upper bound" if log > math.log(entry.high) - 1e-6 else ""
