"""The fit: maximum a posteriori in log space.

    minimise  sum over rows of (log predicted - log measured)^2 / error^2  +  sum over parameters of (log x - log prior)^2 / spread^2

within the bounds of each x. A clock, a compiler or a guess of the multipliers moves all constants of a core together, and few rows suffice to see
it: before anything else all priors are scaled by what rows and priors differ by on average, shrunk as far as `SCALE_SPREAD` says. A cache or a pipeline
moves constants of one kin together: log prior is what was stated plus a shift of each kin, of the kin's spread, which is an unknown of the fit too.

Times come from the law itself. Where a law is linear in its constants, what each contributes to each row is asked for once, by pricing with that
constant alone; elsewhere derivatives are finite differences.

`error` is what the law misses of a row's time: estimated from the residuals themselves, in rounds, and not below `ROW_ERROR`.

A parameter that the rows hardly narrow, the scale and the shift of its kin aside (posterior over prior spread above `NARROWED`), is frozen at its prior
times those, and the others are fitted anew.
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
from costmodel.quantity import counted
from costmodel.work import WorkKind

if TYPE_CHECKING:
    from costmodel.calibration.samples import Sample
    from costmodel.laws import Machine

Array = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

#: What a law of few constants misses of a network's time where every constant is right, as a standard deviation of the logarithm: fits of
#: single cores err by 3 % (root mean square) on families that they did not see, though runs repeat within 0.2 % (qed-usc rows, Pixel 4).
ROW_ERROR = 0.03
#: Standard deviation of the logarithm of what all priors of one fit are off by together: of a relative's constants 0.09 to 0.16 beside what kins share, by
#: marginal likelihood (reports/transfer.md). Guesses of a device alone err by more; three rows outweigh either.
SCALE_SPREAD = 0.35
#: Rounds of estimating the error; and where rows weigh less by their errors, which settle more slowly.
_ERROR_ROUNDS, _ABSOLUTE_ROUNDS = 4, 8
#: Rows from which on errors of some tell that they are outlying.
_ROWS_TO_WEIGH = 5
#: Posterior over prior spread above which rows say too little about a parameter. At 0.8 constants that only their sum determines freeze
#: together, which cost an iPhone's int8 rows 5 points on families held out.
NARROWED = 0.9
#: Errors this many times the median one weigh less, where rows are many: 2 are 1.35 standard deviations (Huber 1964), efficient at 95 % for normal errors.
OUTLYING = 2.0
#: Where a fit to hundreds of networks stops: a ten-thousandth of its cost, or of its constants, is far inside their posterior spread.
SMOOTH_TOLERANCE = 1e-4
#: Gauss-Newton's steps to the common scale of all priors; where all of a row's time is of constants, as on one core, the first step is exact.
_SCALE_STEPS = 8
_STEP = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A parameter after the fit.

    `spread` is the posterior standard deviation of its logarithm. Where `frozen`, the rows said too little and it
    kept its prior times what it shares with others; `at` names the bound that it was stopped by.
    """

    path: Path
    value: float
    prior: float
    prior_spread: float
    spread: float
    frozen: bool
    kin: str = ""
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
    def determined(self) -> int:
        """How many numbers the rows determined: those parameters, and a shift of each kin."""
        return len(self.free) + len({entry.kin for entry in self.parameters if entry.kin})

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before trusting the fit."""
        found = [] if self.converged else [f"the fit did not converge after {counted(self.evaluations, 'evaluation')}: {self.message}"]
        found += [f"{entry.name} stopped at {entry.at}, {entry.value:.4g}" for entry in self.parameters if entry.at]
        frozen = [entry.path[-1] for entry in self.parameters if entry.frozen]
        if frozen:
            found.append(f"the rows say too little about {', '.join(frozen)}: kept but for what they share with others")
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
    """What each constant contributes to each sample, from pricing with that constant at 1 and the others at 0, no memory bounding any kernel from below."""
    none = dict.fromkeys(paths, 0.0)
    unbounded = [_without_floors(sample) for sample in samples]
    rest = priced(unbounded, none)
    columns = [priced(unbounded, {**none, path: 1.0}) - rest for path in paths]
    return LinearResponses(np.stack(columns, axis=1), rest)


def _without_floors(sample: Sample) -> Sample:
    """The sample on a machine whose first memory holds all at once; the main one, for which several cores wait, is as it was."""
    machine = sample.target.machine
    machine = dataclasses.replace(machine, levels=(MemoryLevel("all", None, math.inf), *machine.levels))
    return dataclasses.replace(sample, target=dataclasses.replace(sample.target, machine=machine))


def fit(samples: Sequence[Sample], free: Sequence[Free], responses: AnyResponses | None = None, *, scale: bool = True, absolute: bool = False) -> Fit:
    """The parameters that make the samples' times most probable, given their priors.

    Parameters
    ----------
    responses : of these samples and parameters, where they are known already.
    scale : let the priors be off by a common factor.
    absolute : of five rows and more let those beyond the median error count by the error itself, not by its square: some of many strangers' phones did
        other things too, or got hot. Fits of smooth laws always do so, beyond twice the median.

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
    priors = _Priors.of(free)
    frozen = np.zeros(len(free), dtype=bool)
    found: _Solution | None = None
    while True:
        found = _solve(known, samples, priors, seconds, frozen, found, absolute)
        weak = (found.own > NARROWED * priors.spreads) & ~frozen
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
            kin=entry.kin,
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
    scaled, log_scale = known.matrix @ np.array([entry.prior for entry in free]), 0.0
    for _ in range(_SCALE_STEPS):
        times = scaled * math.exp(log_scale) + known.rest
        off, slopes = np.log(seconds / times), 1 - known.rest / times
        noise = max(ROW_ERROR, float(off.std()))
        log_scale = float(slopes @ (off + slopes * log_scale)) / (float(slopes @ slopes) + (noise / SCALE_SPREAD) ** 2)
    return [dataclasses.replace(entry, prior=min(max(entry.prior * math.exp(log_scale), entry.low), entry.high)) for entry in free]


def shifts(free: Sequence[Free]) -> Array:
    """What the shift of each kin moves each logarithm by at its standard deviation: (parameters, kins)."""
    kins = sorted({entry.kin for entry in free if entry.kin})
    moved = [[entry.kin_spread * (entry.kin == kin) for kin in kins] for entry in free]
    return np.array(moved, dtype=np.float64).reshape(len(free), len(kins))


@dataclass(frozen=True, slots=True)
class _Priors:
    """Parameters as arrays: logarithms of priors and bounds, spreads, and `shifts`."""

    free: Sequence[Free]
    logs: Array
    spreads: Array
    low: Array
    high: Array
    shared: Array

    @classmethod
    def of(cls, free: Sequence[Free]) -> _Priors:
        logs, low, high = (np.log([getattr(entry, name) for entry in free]) for name in ("prior", "low", "high"))
        return cls(free, logs, np.array([entry.spread for entry in free]), low, high, shifts(free))


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
    """Logarithms and shifts; `spreads` are posterior standard deviations of the logarithms, `own` of what is left of them beside the shifts."""

    logs: Array
    shifts: Array
    spreads: Array
    own: Array
    determined: float
    errors: Array
    converged: bool
    message: str
    evaluations: int
    error: float = ROW_ERROR


def _solve(known: AnyResponses, samples: Sequence[Sample], priors: _Priors, seconds: Array, frozen: Mask, start: _Solution | None, absolute: bool) -> _Solution:
    """The best logarithms with some parameters held, in rounds until the error and the times that memories bound agree with them."""
    logs, moved = (start.logs, start.shifts) if start else (priors.logs, np.zeros(priors.shared.shape[1]))
    error, spread = ROW_ERROR, np.ones(len(seconds))
    for _ in range(_ABSOLUTE_ROUNDS if absolute else _ERROR_ROUNDS):
        solution = _least_squares(known, priors, np.log(seconds), frozen, logs, moved, error * spread)
        logs, moved = solution.logs, solution.shifts
        if isinstance(known, SmoothResponses):
            spread = _outlying(solution.errors, OUTLYING)
        elif absolute and len(seconds) >= _ROWS_TO_WEIGH:
            spread = _outlying(solution.errors, 1.0)
        error = max(ROW_ERROR, math.sqrt(float(((solution.errors / spread) ** 2).sum()) / max(1.0, len(seconds) - solution.determined)))
        if isinstance(known, LinearResponses) and known.bounded:
            known = _with_floors(known, samples, priors.free, logs)
    return dataclasses.replace(solution, error=error)


def _outlying(errors: Array, limit: float) -> Array:
    """How many times the common error each row may err by: 1, or in proportion beyond `limit` times the median error (Huber's weights).

    Among hundreds of networks some run by another algorithm than the lowering thinks; they must not bend the constants of the others.
    """
    sizes = np.abs(errors)
    return np.asarray(np.sqrt(np.maximum(1.0, sizes / (limit * max(float(np.median(sizes)), 1e-9)))))


def _with_floors(known: LinearResponses, samples: Sequence[Sample], free: Sequence[Free], logs: Array) -> LinearResponses:
    """The same responses moved to what the law says at `logs`, where a memory's bandwidth bounds some kernels from below."""
    exact = priced(samples, dict(zip([entry.path for entry in free], np.exp(logs).tolist(), strict=True)))
    return LinearResponses(known.matrix, known.rest + (exact - known.seconds(logs)))


def _least_squares(known: AnyResponses, priors: _Priors, target: Array, frozen: Mask, logs: Array, shifted: Array, error: Array) -> _Solution:
    """The unknowns are the logarithms of what is not frozen, then the shifts; the others are where shifts put them, within their bounds."""
    moving, count = ~frozen, int((~frozen).sum())
    spreads, shared = priors.spreads, priors.shared
    whitening = np.zeros((count + shared.shape[1],) * 2)  # of what the unknowns differ by from their priors
    whitening[:count, :count] = np.diag(1 / spreads[moving])
    whitening[:count, count:] = -shared[moving] / spreads[moving][:, None]
    whitening[count:, count:] = np.eye(shared.shape[1])
    unbiased = np.concatenate([priors.logs[moving], np.zeros(shared.shape[1])])

    def whole(unknowns: Array) -> Array:
        found = np.clip(priors.logs + shared @ unknowns[count:], priors.low, priors.high)
        found[moving] = unknowns[:count]
        return found

    def residuals(unknowns: Array) -> Array:
        return np.concatenate([(np.log(known.seconds(whole(unknowns))) - target) / error, whitening @ (unknowns - unbiased)])

    def jacobian(unknowns: Array) -> Array:
        at = whole(unknowns)
        slopes = known.slopes(at, moving) if isinstance(known, SmoothResponses) else known.slopes(at)
        carried = frozen & (priors.low < at) & (at < priors.high)
        return np.concatenate([np.concatenate([slopes[:, moving], slopes[:, carried] @ shared[carried]], axis=1) / error[:, None], whitening])

    if not len(unbiased):
        return _Solution(priors.logs, shifted, spreads, spreads, 0.0, np.log(known.seconds(priors.logs)) - target, True, "nothing to fit", 1)
    free_ends = np.full(shared.shape[1], np.inf)
    low, high = np.concatenate([priors.low[moving], -free_ends]), np.concatenate([priors.high[moving], free_ends])
    begin = np.concatenate([np.clip(logs, priors.low + 1e-9, priors.high - 1e-9)[moving], shifted])
    enough = {"max_nfev": 40, "ftol": SMOOTH_TOLERANCE, "xtol": SMOOTH_TOLERANCE} if isinstance(known, SmoothResponses) else {"max_nfev": 200}
    scales = np.concatenate([spreads[moving], np.ones(shared.shape[1])])
    found = least_squares(residuals, begin, jac=jacobian, bounds=(low, high), x_scale=scales, **enough)
    best = whole(found.x)
    covariance = np.linalg.inv(found.jac.T @ found.jac)
    left = np.diag(whitening @ covariance @ whitening.T)
    own, posterior = spreads.copy(), spreads.copy()
    own[moving] *= np.sqrt(left[:count])
    posterior[moving] = np.sqrt(np.diag(covariance)[:count])
    return _Solution(
        logs=best,
        shifts=found.x[count:],
        spreads=posterior,
        own=own,
        determined=float((1 - left).clip(0).sum()),
        errors=np.log(known.seconds(best)) - target,
        converged=bool(found.status > 0),
        message=str(found.message),
        evaluations=int(found.nfev),
    )


def _bound(entry: Free, log: float) -> str:
    """The bound that a value lies on; empty where it lies inside."""
    if log < math.log(entry.low) + 1e-6:
        return "its lower bound"
    return "its upper bound" if log > math.log(entry.high) - 1e-6 else ""
