"""Which networks to measure next: those after which a fit would state the narrowest intervals.

At the constants as they are known now, log t of a network changes by its slopes J with the logarithms of the constants. Rows that are there and the
priors leave a covariance C of those, a further row with the error s adds J' J / s^2 to its inverse, and the interval of a network has the
standard deviation sqrt(J C J'). A set is chosen greedily and by exchange for the least mean of that over all candidates: the mean width of the
intervals.

That is not D-optimality, which asks for the least determinant of C: on phones it takes the networks that are the most extreme, in which the law
errs the most, and with the rows that it names other networks come out worse (`reports/accuracy.md`, both beside random ones).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from costmodel._version import __version__
from costmodel.calibration.fit import ROW_ERROR, SCALE_SPREAD, Array, Fit, LinearResponses, fit, responses_of, shifts
from costmodel.calibration.held_out import free_of, ground_of, parts_of
from costmodel.calibration.parameters import Free
from costmodel.calibration.rows import RowProblem
from costmodel.calibration.samples import Sample, unmeasured
from costmodel.devices import Target
from costmodel.errors import UsageError
from costmodel.estimation import SCHEMA_VERSION
from costmodel.quantity import counted

#: Networks to choose from where no others are given: each family that phones run, small to middling. The largest files in fp32 are AlexNet's with
#: 61 M parameters and ConvNeXt-T's with 29 M.
CANDIDATES = (
    "alexnet", "convnext-t", "deit-ti", "densenet-121", "efficientnet-b0", "efficientnet-b2", "efficientnet-lite0", "efficientnet-lite3", "efficientnetv2-b0",
    "fbnet-c", "ghostnet", "googlenet-bn", "inception-v3", "mnasnet-a1", "mnasnet-b1", "mnasnet-small", "mobilenet-v1-0.25", "mobilenet-v1-0.5",
    "mobilenet-v1", "mobilenet-v2-0.35", "mobilenet-v2", "mobilenet-v2-1.4", "mobilenet-v3-small", "mobilenet-v3-large",
    "mobilenet-v3-large-minimalistic", "mobilevit-xxs", "nasnet-a-mobile", "preresnet-18", "proxylessnas-mobile", "regnet-x-200mf", "regnet-x-400mf",
    "regnet-y-400mf", "resnet-18", "resnet-34", "resnet-50", "resnext-50-32x4d", "se-resnet-50", "shufflenet-v1-1.0-g3", "shufflenet-v2-0.5",
    "shufflenet-v2-1.0", "shufflenet-v2-2.0", "squeezenet-1.0", "squeezenet-1.1", "xception",
)  # fmt: skip
#: What a set of rows is judged by; ``determinant`` is D-optimality.
Criterion = Literal["width", "determinant"]
#: A mean 90 % factor of intervals below which nothing is left to be learned from rows, where there are none yet.
LEAST_WIDTH = 1.02
_Z90 = 1.6448536269514722
_GAIN = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """The networks to measure on `target`, in the order in which they narrow the intervals.

    `widths` are the mean 90 % factors of the candidates' intervals, as far as the constants are concerned: before, and after each network.
    `rows` is how many rows the fit has already; `refused` those that were left out.
    """

    target: Target
    core: str | None
    rows: int
    candidates: int
    networks: tuple[str, ...]
    widths: tuple[float, ...]
    refused: tuple[RowProblem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel calibrate --suggest N --json`` prints for one target."""
        target = self.target
        return {
            "processor": target.processor,
            "runtime": target.runtime,
            "dtype": target.dtype,
            "cores": target.cores_text,
            "core": self.core,
            "rows": self.rows,
            "candidates": self.candidates,
            "networks": list(self.networks),
            "mean_interval_factors": list(self.widths),
            "refused": [str(problem) for problem in self.refused],
        }


def document(device: str, found: Sequence[Suggestion]) -> dict[str, Any]:
    """All suggestions of a device as one JSON document."""
    return {"schema_version": SCHEMA_VERSION, "device": device, "suggestions": [entry.to_dict() for entry in found], "costmodel_version": __version__}


def suggest(samples: Sequence[Sample], target: Target, count: int, networks: Sequence[str] = CANDIDATES, batch: int = 1) -> tuple[Suggestion, ...]:
    """What to measure next, for each set of constants that `samples` are about; for those of `target` where there is no sample.

    Parameters
    ----------
    networks : to choose from; those that `samples` hold already are left out.
    batch : samples a pass of the measurements to come.

    Raises
    ------
    UsageError
        If `count` is not between 1 and the number of candidates, or times at this batch do not depend on the constants (a GPU that waits for its host).
    """
    found = []
    for ground in dict.fromkeys(ground_of(sample.target) for sample in samples):
        members = [sample for sample in samples if ground_of(sample.target) == ground]
        parts = parts_of(members, ground)
        found += [_suggest(rows, rows[0].target, core, count, networks, batch) for core, rows in parts]
        if not parts:  # rows of several cores alone, to which nothing is fitted
            found.append(_suggest((), members[0].target, _core(members[0].target), count, networks, batch))
    return tuple(found) or (_suggest((), target, _core(target), count, networks, batch),)


def _core(target: Target) -> str | None:
    """The microarchitecture whose constants a target uses first; None where its law has no cores."""
    return target.machine.cores[0].core if target.machine.parameters.by_core else None


def _suggest(rows: Sequence[Sample], target: Target, core: str | None, count: int, networks: Sequence[str], batch: int) -> Suggestion:
    measured = {_plain(sample.row.network) for sample in rows}
    candidates = unmeasured([name for name in networks if _plain(name) not in measured], target, batch)
    if not candidates:
        raise UsageError(f"no network is left to measure on {target.device.name}: every candidate that can be built at batch {batch} was measured")
    if not 1 <= count <= len(candidates):
        raise UsageError(f"1 to {counted(len(candidates), 'network')} can be chosen to measure on {target.device.name}, not {count}")
    free = free_of(target, core)
    known = fit(rows, free) if rows else None
    slopes, before, error = _known(rows, candidates, free, known)
    if math.exp(_Z90 * _width(slopes, before)) < LEAST_WIDTH and not rows:
        raise UsageError(f"at batch {batch} times on {target.device.name} {target.processor} hang on its host, not on its constants: give a larger --batch")
    chosen, widths = design(slopes, before, count, error)
    return Suggestion(
        target=target,
        core=core,
        rows=len(rows),
        candidates=len(candidates),
        networks=tuple(candidates[position].row.network for position in chosen),
        widths=tuple(math.exp(_Z90 * width) for width in widths),
    )


def _plain(network: str) -> str:
    """A network's name without its resolution."""
    return network.partition("@")[0]


def _known(rows: Sequence[Sample], candidates: Sequence[Sample], free: Sequence[Free], known: Fit | None) -> tuple[Array, Array, float]:
    """(slopes of the candidates, inverse covariance that priors and rows leave, error of a row)."""
    paths = [entry.path for entry in free]
    logs = np.log([known.values[path] for path in paths] if known else [entry.prior for entry in free])
    responses = responses_of(candidates, paths)
    inverse: Array = prior_inverse(free, isinstance(responses, LinearResponses))
    error = max(ROW_ERROR, known.error) if known else ROW_ERROR
    if rows:
        slopes = responses_of(rows, paths).slopes(logs)
        inverse = inverse + slopes.T @ slopes / error**2
    return responses.slopes(logs), inverse, error


def prior_inverse(free: Sequence[Free], scaled: bool) -> Array:
    """The inverse covariance (parameters, parameters) of the logarithms before any row; kins may be off by a factor, `scaled` priors by a common one too."""
    shared = shifts(free)
    covariance: Array = np.diag([entry.spread**2 for entry in free]).astype(np.float64) + shared @ shared.T + (SCALE_SPREAD**2 if scaled else 0.0)
    return np.asarray(np.linalg.inv(covariance), dtype=np.float64)


def design(slopes: Array, before: Array, count: int, error: float = ROW_ERROR, criterion: Criterion = "width") -> tuple[list[int], list[float]]:
    """The rows to choose, best first, and the mean standard deviation of all candidates' log times before and after each.

    Parameters
    ----------
    slopes : (candidates, parameters), of log times by log parameters.
    before : (parameters, parameters), the inverse covariance of the log parameters now.

    Examples
    --------
    >>> design(np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]]), np.diag([4.0, 100.0]), 1)[0]
    [0]
    """

    def information(chosen: Sequence[int]) -> Array:
        own = slopes[list(chosen)]
        total: Array = before + own.T @ own / error**2
        return total

    def worth(chosen: Sequence[int]) -> float:
        if criterion == "determinant":
            return float(np.linalg.slogdet(information(chosen))[1])
        return -_width(slopes, information(chosen))

    chosen: list[int] = []
    for _ in range(count):
        chosen.append(_best(worth, chosen, len(slopes)))
    _exchange(worth, chosen, len(slopes))
    ordered: list[int] = []
    for _ in range(count):
        rest = [position for position in chosen if position not in ordered]
        ordered.append(max(rest, key=lambda position: worth([*ordered, position])))
    return ordered, [_width(slopes, information(ordered[:taken])) for taken in range(count + 1)]


def _width(slopes: Array, inverse: Array) -> float:
    covariance = np.linalg.inv(inverse)
    return float(np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes)).mean())


def _best(worth: Callable[[Sequence[int]], float], chosen: Sequence[int], candidates: int) -> int:
    """The candidate that adds most to `chosen`."""
    return max((position for position in range(candidates) if position not in chosen), key=lambda position: worth([*chosen, position]))


def _exchange(worth: Callable[[Sequence[int]], float], chosen: list[int], candidates: int) -> None:
    """Swap members of `chosen` for others while that is worth something."""
    improved = True
    while improved:
        improved = False
        for place in range(len(chosen)):
            others = chosen[:place] + chosen[place + 1 :]
            best = _best(worth, others, candidates)
            if worth([*others, best]) > worth(chosen) + _GAIN:
                chosen[:] = [*others, best]
                improved = True
