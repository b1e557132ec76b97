"""From measured cases to a profile: the law's constants from single operators, then two numbers from whole networks.

What a sum of operators misses of a network is a factor (caches in another state than the bench leaves) and a cost for each start of a kernel:
t = alpha * sum + beta * starts. Where a runtime plans its memory beforehand every kernel is a start (what it does between two operators). Under torch eager
a kernel is as much of one as its neighbours displace from the caches near a core (`cold_share`), and the sum has what such a start was seen to take
(`starts`) in it already. Both numbers are fitted to the anchors' log errors, shrunk towards 1 and 0, and written into the constants.
The interval is what anchors call for that took no part in alpha and beta, nor did the same network at other batches.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from costmodel.calibration.fit import Fit, fit, priced
from costmodel.calibration.local.plan import Case
from costmodel.calibration.local.timing import copies_of
from costmodel.calibration.parameters import Free, Path, free_parameters
from costmodel.calibration.rows import MeasuredRow
from costmodel.calibration.samples import Sample
from costmodel.devices import Target
from costmodel.laws import PEAK_TOLERANCE
from costmodel.laws._smooth import cold_share
from costmodel.lowering import lower

#: Spread of a prior's logarithm: these priors are of the right order at best.
PRIOR_SPREAD = 0.7
#: How far alpha's logarithm and beta's microseconds lie from 1 and 0 before an anchor is seen: sums of cold operators missed 30 networks by 2 % and
#: 14 us an operator (an AVX-512 server).
_ALPHA_SPREAD = 0.1
_BETA_SPREAD_US = 10.0
#: About half of what starts were seen to take more after others; assumed.
_COLD_SPREAD_US = 20.0
#: What a network's prediction misses besides alpha and beta, as a standard deviation of the logarithm.
_ANCHOR_ERROR = 0.08
#: Operators that take less than this many calls of a model say more about the call than about themselves.
_BEYOND_ENTRY = 1.3
#: The least number of networks of which the largest error makes a 90 % interval (a tenth would exceed it once in ten).
ENOUGH_ANCHORS = 9
_TOO_FEW = 1.25
#: Constants that are rates: divided by alpha.
_RATES = ("compute_share", "row_share", "transcendental_share", "error_function_share", "cache_gb_per_s", "spilled_weight_share")
_COSTS = ("kernel_us", "kind_us", "cold_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What beta is the cost of: `words` name one, `constant` is the law's that has it, `spread_us` how far it lies from 0 before an anchor is seen.

    All kernels are starts, or where `cold` is true each by its cold share.
    """

    words: str
    constant: str
    spread_us: float
    cold: bool

    def count(self, sample: Sample) -> float:
        """How many a network has."""
        kernels = sample.program.kernels
        if not self.cold:
            return len(kernels)
        return sum(cold_share(kernel, sample.target.machine.parameters) for kernel in kernels)


_KERNEL_START = Start(words="kernel", constant="kernel_us", spread_us=_BETA_SPREAD_US, cold=False)
_COLD_START = Start(words="cold start", constant="cold_us", spread_us=_COLD_SPREAD_US, cold=True)


def start_under(*, plans_memory: bool) -> Start:
    """What a start is where a runtime plans its memory beforehand, and where it does not."""
    return _KERNEL_START if plans_memory else _COLD_START


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What anchors say of a sum of operators: t = alpha * sum + beta_us * starts."""

    alpha: float
    beta_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorError:
    """An anchor's log predicted over measured: by operators, and what their starts were seen to take, alone; and by a correction that its `family` took no
    part in, the network at whatever batch.
    """

    network: str
    family: str
    measured_s: float
    operators_alone: float
    left_out: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFit:
    """The constants fitted to operators, those with what starts take, the correction, its errors, and the constants with the correction in them."""

    fit: Fit
    alone: Mapping[Path, float]
    correction: Correction
    anchors: tuple[AnchorError, ...]
    values: Mapping[Path, float]

    @property
    def families(self) -> int:
        """How many networks the anchors are of."""
        return len({entry.family for entry in self.anchors})

    @property
    def factor(self) -> float:
        """The 90 % factor that the anchors call for: their largest error, each network left out of the correction; more where they are few.

        Nine that happen to agree do not make it narrower than what a network's prediction misses besides (90 % of a normal distribution of `_ANCHOR_ERROR`).
        """
        largest = max((abs(entry.left_out) for entry in self.anchors), default=math.log(2))
        return math.exp(max(largest, 1.645 * _ANCHOR_ERROR)) * (1 if self.families >= ENOUGH_ANCHORS else _TOO_FEW)


def local_fit(
    cases: Sequence[Case],
    seconds: Mapping[str, float],
    target: Target,
    *,
    cache_gb_per_s: float | None = None,
    entry_s: float = 0.0,
    cold_s: float = 0.0,
    plans_memory: bool = False,
) -> LocalFit:
    """The constants of `target`'s law that measured cases call for, from the priors that its profile states.

    `cache_gb_per_s` is that constant as it was seen, where the law has one. `entry_s` is what the runtime takes for a call of a model: a network pays it once,
    so that operators are fitted without it. `cold_s` is what a start takes more after others. `plans_memory` says that it plans memory beforehand.
    """
    samples: dict[str, list[Sample]] = {"operator": [], "anchor": []}
    for case in cases:
        if case.role in samples and case.name in seconds and seconds[case.name] > _BEYOND_ENTRY * entry_s:
            samples[case.role].append(sample_of(case, seconds[case.name] - entry_s, target, plans_memory=plans_memory))
    free: list[Free] = [dataclasses.replace(entry, spread=PRIOR_SPREAD) for entry in free_parameters(target, None)]
    found = fit(samples["operator"], free)
    anchors = samples["anchor"]
    start = start_under(plans_memory=plans_memory)
    alone = {**found.values, (_COLD_START.constant,): cold_s * 1e6} if cold_s else dict(found.values)
    sums = priced(anchors, alone) if anchors else np.empty(0)
    starts = np.array([start.count(sample) for sample in anchors], dtype=float)
    measured = np.array([sample.seconds for sample in anchors])
    correction = corrected(sums, starts, measured, spread_us=start.spread_us)
    families = np.array([sample.family for sample in anchors])
    errors = []
    for position, sample in enumerate(anchors):
        others = families != sample.family
        without = corrected(sums[others], starts[others], measured[others], spread_us=start.spread_us)
        predicted = without.alpha * sums[position] + without.beta_us * 1e-6 * starts[position]
        errors.append(
            AnchorError(
                network=sample.row.network,
                family=sample.family,
                measured_s=sample.seconds,
                operators_alone=math.log(sums[position] / sample.seconds),
                left_out=math.log(predicted / sample.seconds),
            )
        )
    near: dict[Path, float] = {} if cache_gb_per_s is None else {("cache_gb_per_s",): cache_gb_per_s}
    values = _with_correction({**alone, **near}, correction, start.constant)
    return LocalFit(fit=found, alone=alone, correction=correction, anchors=tuple(errors), values=values)


def sample_of(case: Case, seconds: float, target: Target, *, plans_memory: bool = False) -> Sample:
    """A measured case as the fit takes it. An operator's ring of copies is to the caches what a network of so many weights is."""
    program = lower(case.graph, target.rules, target.dtype, target.layout)
    program = dataclasses.replace(program, stored_weight_bytes=copies_of(case, plans_memory=plans_memory) * program.stored_weight_bytes)
    row = MeasuredRow(network=case.name, device=target.device.name, seconds=seconds, source="measured here")
    return Sample(row=row, family=case.family, target=target, graph=case.graph, program=program, macs=case.graph.macs, activations=0, supported=True)


def corrected(sums: np.ndarray, starts: np.ndarray, measured: np.ndarray, *, spread_us: float = _BETA_SPREAD_US) -> Correction:
    """The correction that makes anchors' times most probable; none where there is no anchor.

    Examples
    --------
    >>> one = corrected(np.array([1e-2, 4e-2, 2e-2]), np.array([100.0, 50.0, 300.0]), np.array([1.15e-2, 4.2e-2, 2.4e-2]))
    >>> 1.0 < one.alpha < 1.1 and 5 < one.beta_us < 15
    True
    """
    if not len(sums):
        return Correction(alpha=1.0, beta_us=0.0)

    def residuals(at: np.ndarray) -> np.ndarray:
        predicted = np.maximum(np.exp(at[0]) * sums + at[1] * 1e-6 * starts, 1e-12)
        return np.concatenate([np.log(predicted / measured) / _ANCHOR_ERROR, [at[0] / _ALPHA_SPREAD, at[1] / spread_us]])

    found = least_squares(residuals, np.zeros(2))
    return Correction(alpha=float(np.exp(found.x[0])), beta_us=float(found.x[1]))


def _with_correction(values: Mapping[Path, float], correction: Correction, start: str) -> dict[Path, float]:
    """The constants in which alpha and beta stand: rates divided, costs multiplied, what a `start` costs at least none; shares stay below the peak."""
    changed = dict(values)
    for path, value in values.items():
        if path[0] in _RATES:
            changed[path] = value / correction.alpha
            if path[0] != "cache_gb_per_s":
                changed[path] = min(changed[path], PEAK_TOLERANCE)
        elif path[0] in _COSTS:
            changed[path] = value * correction.alpha
    changed[(start,)] = max(0.1, changed.get((start,), 0.0) + correction.beta_us)
    return changed
