"""Fitting a device's constants and predicting each family by constants that never saw it.

Constants belong to a precision of a runtime, in the law of cycles to a microarchitecture. Those of a core are fitted to the rows of one such
core alone, of its fastest cluster; other clusters of the same core follow by the clock, and several cores by the law of threads, with no parameter
of their own. So rows of several cores are predictions even where nothing is held out.

A row of which much rests on kinds of work that the profile does not claim to have measured (a transformer among convolutional networks) does not
bend the constants of the others: those are fitted first, and what they leave open then, to the rows that remain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from costmodel.calibration.fit import AnyResponses, Fit, Fitted, Mask, fit, priced, responses_of
from costmodel.calibration.parameters import Free, Path, free_parameters
from costmodel.calibration.samples import Sample
from costmodel.calibration.smooth import SmoothResponses
from costmodel.devices import Target

#: (processor, runtime that owns the constants, dtype).
Ground = tuple[str, str, str]

#: Spread of a parameter's logarithm that a second round of fitting takes as settled.
_SETTLED = 1e-3
#: Rows of one ground above which families under a smooth law are held out in folds of whole families, and how many folds.
MANY_ROWS, FOLDS = 150, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundFit:
    """The constants of one ground, of `core` where the law has cores, fitted to rows on `cores`; `families` took part."""

    ground: Ground
    core: str | None
    cores: str | None
    fit: Fit
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Fits of all grounds on all their families, and every sample in order as predicted without its family.

    None stands where nothing was left to fit on.
    """

    fits: tuple[GroundFit, ...]
    predicted_s: tuple[float | None, ...]

    def values(self, ground: Ground) -> dict[Path, float]:
        """The fitted parameters of a ground, of all its cores."""
        return {path: value for entry in self.fits if entry.ground == ground for path, value in entry.fit.values.items()}


def ground_of(target: Target) -> Ground:
    """Whose constants a target uses."""
    return (target.processor, target.hardware.runtimes[target.runtime].like or target.runtime, target.dtype)


def hold_out(samples: Sequence[Sample], priors: Mapping[Path, float] | None = None, *, absolute: bool = False) -> HeldOut:
    """The fits of all grounds of `samples`, and each sample predicted by fits without its family.

    Parameters
    ----------
    priors : other medians than the profile's own, by path.
    absolute : as in `fit`; rows that rest on assumptions are then taken with the others, not after them.
    """
    fits: list[GroundFit] = []
    predicted: list[float | None] = [None] * len(samples)
    for ground in dict.fromkeys(ground_of(sample.target) for sample in samples):
        positions = [position for position, sample in enumerate(samples) if ground_of(sample.target) == ground]
        members = [samples[position] for position in positions]
        parts = [_Part(ground, core, rows, priors or {}, absolute=absolute) for core, rows in parts_of(members, ground)]
        if not parts:  # rows of cores of several kinds alone, which determine no constants
            continue
        fits += [part.whole() for part in parts]
        for families in _folds([sample.family for sample in members], quick=not isinstance(parts[0].responses, SmoothResponses)):
            values = _without(parts, families)
            held = [(position, sample) for position, sample in zip(positions, members, strict=True) if sample.family in families]
            if values is not None:
                for (position, _), seconds in zip(held, priced([sample for _, sample in held], values), strict=True):
                    predicted[position] = float(seconds)
    return HeldOut(fits=tuple(fits), predicted_s=tuple(predicted))


def predict_with(chosen: Sequence[Sample], others: Sequence[Sample]) -> list[float]:
    """Seconds of `others` by constants fitted to `chosen`, of one ground."""
    ground = ground_of(chosen[0].target)
    values: dict[Path, float] = {}
    for core, rows in parts_of(chosen, ground):
        values |= _Part(ground, core, rows, {}).whole().fit.values
    return [float(seconds) for seconds in priced(others, values)]


def fit_without(samples: Sequence[Sample], families: Collection[str]) -> Fit:
    """The fit of a law without cores to the rows of one ground, less those of some families, of which others must be left.

    Raises
    ------
    ValueError
        If no row is left.
    """
    ((core, rows),) = parts_of(samples, ground_of(samples[0].target))
    found = _Part(ground_of(samples[0].target), core, rows, {}).without(families)
    if found is None:
        raise ValueError(f"no family but {', '.join(sorted(families))} has rows")
    return found


def _folds(families: Sequence[str], *, quick: bool) -> list[frozenset[str]]:
    """Families that are held out at once: one by one where a fit is `quick` or rows are few, else in folds of about as many rows each."""
    counts = Counter(families)
    if quick or len(families) <= MANY_ROWS:
        return [frozenset({family}) for family in sorted(counts)]
    folds: list[tuple[int, set[str]]] = [(0, set()) for _ in range(FOLDS)]
    for family, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        smallest = min(range(FOLDS), key=lambda number: folds[number][0])
        folds[smallest] = (folds[smallest][0] + count, folds[smallest][1] | {family})
    return [frozenset(found) for _, found in folds if found]


def _without(parts: Iterable[_Part], families: Collection[str]) -> dict[Path, float] | None:
    """The parameters of all parts fitted without some families; None where that leaves one of them nothing."""
    values: dict[Path, float] = {}
    for part in parts:
        found = part.without(families)
        if found is None:
            return None
        values |= found.values
    return values


def parts_of(samples: Sequence[Sample], ground: Ground) -> list[tuple[str | None, list[Sample]]]:
    """(core, rows to fit its constants to): one core of the fastest cluster that was measured; the whole processor where there are no cores."""
    own = [sample for sample in samples if sample.target.runtime == ground[1]] or list(samples)
    if not own[0].target.machine.parameters.by_core:
        return [(None, own)]
    found: dict[str, dict[tuple[int, float], list[Sample]]] = {}
    for sample in own:
        groups = sample.target.machine.cores
        if len(groups) == 1:
            found.setdefault(groups[0].core, {}).setdefault((groups[0].count, -groups[0].clock_hz), []).append(sample)
    return [(core, by_cores[min(by_cores)]) for core, by_cores in found.items()]


class _Part:
    """The rows that determine one set of constants; what each constant contributes to them is worked out once."""

    def __init__(self, ground: Ground, core: str | None, rows: list[Sample], priors: Mapping[Path, float], *, absolute: bool = False) -> None:
        self.ground, self.core, self.rows, self.absolute = ground, core, rows, absolute
        self.free = free_of(rows[0].target, core, priors)
        self.responses: AnyResponses = responses_of(rows, [entry.path for entry in self.free])
        self.families = np.array([sample.family for sample in rows])

    def whole(self) -> GroundFit:
        """The fit to all rows."""
        found = self._fit(np.ones(len(self.rows), dtype=bool))
        assert found is not None, "a part has rows"
        families = tuple(sorted(set(self.families.tolist())))
        return GroundFit(ground=self.ground, core=self.core, cores=self.rows[0].target.cores_text, fit=found, families=families)

    def without(self, families: Collection[str]) -> Fit | None:
        """The fit to the rows of other families; None where there is no other."""
        return self._fit(~np.isin(self.families, sorted(families)))

    def _fit(self, chosen: Mask) -> Fit | None:
        """Supported rows first, then the others for what is left open; all at once where errors count by their size, for then the many hold the few."""
        supported = np.array([sample.supported for sample in self.rows])
        first = chosen & supported
        if self.absolute or not first.any() or first.sum() == chosen.sum():
            return self._one(chosen, self.free) if chosen.any() else None
        found = self._one(first, self.free)
        held = [entry.frozen for entry in found.parameters]
        settled = [_held(entry, fitted) for entry, fitted in zip(self.free, found.parameters, strict=True)]
        return merged(found, self._one(chosen & ~supported, settled, scale=False), held) if any(held) else found

    def _one(self, chosen: Mask, free: Sequence[Free], *, scale: bool = True) -> Fit:
        rows = [sample for sample, take in zip(self.rows, chosen, strict=True) if take]
        return fit(rows, free, self.responses.of(chosen), scale=scale, absolute=self.absolute)


def _held(entry: Free, fitted: Fitted) -> Free:
    """A parameter for the second round: as open as before where the first left it so, but where its kin is, else known as well as the first made it."""
    if fitted.frozen:
        return replace(entry, prior=fitted.value, kin="") if entry.kin else entry
    return replace(entry, prior=fitted.value, spread=_SETTLED, kin="")


def merged(first: Fit, second: Fit, open_after_first: Sequence[bool]) -> Fit:
    """The first fit with those parameters of the second that the first left open."""
    pairs = zip(first.parameters, second.parameters, open_after_first, strict=True)
    return replace(
        first,
        parameters=tuple(replace(later, prior=earlier.prior, kin=earlier.kin) if was_open else earlier for earlier, later, was_open in pairs),
        rows=first.rows + second.rows,
        residual=math.sqrt((first.rows * first.residual**2 + second.rows * second.residual**2) / (first.rows + second.rows)),
        converged=first.converged and second.converged,
        message=first.message if not first.converged else second.message,
        evaluations=first.evaluations + second.evaluations,
    )


def free_of(target: Target, core: str | None, priors: Mapping[Path, float] | None = None) -> tuple[Free, ...]:
    """The free parameters of a target's law with the medians that its profile states, or those of `priors`."""
    known = {**_stated_priors(target, ground_of(target)), **(priors or {})}
    return tuple(_with_prior(entry, known) for entry in free_parameters(target, core))


def _stated_priors(target: Target, ground: Ground) -> dict[Path, float]:
    """What fitted numbers of a profile were taken to be before their fit, so that fitting anew begins where that did."""
    before = ".".join(("processors", ground[0], "runtimes", ground[1], "dtypes", ground[2], "parameters", ""))
    stated = ((name, entry.prior) for name, entry in target.device.provenance.items() if name.startswith(before))
    return {tuple(name.removeprefix(before).split(".")): prior for name, prior in stated if prior is not None}


def _with_prior(entry: Free, priors: Mapping[Path, float]) -> Free:
    if entry.path not in priors:
        return entry
    return replace(entry, prior=min(max(priors[entry.path], entry.low), entry.high))
