"""From measured rows to a profile: fit, score on families held out, take intervals from those scores, write it all down."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from itertools import count
from pathlib import PurePath
from typing import Any

from costmodel._version import __version__
from costmodel.calibration.conformal import Width, difference_width, interval_width
from costmodel.calibration.fit import Fitted
from costmodel.calibration.held_out import Ground, GroundFit, HeldOut, ground_of, hold_out
from costmodel.calibration.metrics import Scores, score
from costmodel.calibration.profile_text import Table, literal, number, quoted, sourced, with_values
from costmodel.calibration.rows import MeasuredRow, RowProblem, in_order, read_rows, require_sound
from costmodel.calibration.samples import Sample, Unbuilt, collect, contradictions, distinct, network_name
from costmodel.calibration.transfer import FACTOR
from costmodel.devices import Basis, Device, parse_device, profile_folder
from costmodel.errors import UsageError
from costmodel.estimation import SCHEMA_VERSION
from costmodel.frozen import FrozenDict
from costmodel.interval import LEVEL
from costmodel.quantity import counted

#: Keys of a precision's intervals: on one core (or the whole processor), and on several.
_SINGLE, _PARALLEL = "interval_factor", "parallel_interval_factor"
#: Digits of a factor in a profile: it is rounded up.
_FACTOR_DIGITS = 1000
#: Latencies of one network this near each other are one measurement, rounded.
_SAME = 1e-3
#: What a source says instead of files.
_IN_MEMORY = "rows given in memory"
#: Each file of a source, (name, first digits of its sha256), as `_named` writes them.
_FILES = re.compile(r"(.+?) \(sha256 ([0-9a-f]{16})\)(?:, )?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitScores:
    """Scores of a ground's rows on some cores, families held out."""

    ground: Ground
    runtime: str
    cores: str | None
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundWidths:
    """Intervals of a ground from families held out: on one core (or the whole processor), on several, and of ratios; None without such rows.

    `batches` are the least and the largest of its rows.
    """

    ground: Ground
    batches: tuple[int, int]
    single: Width | None
    parallel: Width | None
    difference: Width | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A device fitted to rows: `profile` is the text of its TOML file, `device` what it says. Rows that took no part are named, and grounds whose rows
    contradicted what the profile promised.
    """

    device: Device
    profile: str
    files: tuple[tuple[str, str], ...]
    date: str
    fits: tuple[GroundFit, ...]
    held_out: tuple[SplitScores, ...]
    widths: tuple[GroundWidths, ...]
    unbuilt: tuple[Unbuilt, ...]
    problems: tuple[RowProblem, ...]
    notes: tuple[str, ...] = ()
    contradicted: tuple[Ground, ...] = ()

    @property
    def parameters(self) -> int:
        """How many parameters the rows determined."""
        return sum(entry.fit.determined for entry in self.fits)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the fits must be known before they are trusted."""
        found = [*self.notes, *(f"{entry.row.place}: took no part: {entry.reason}" for entry in self.unbuilt)]
        found += [f"{_words(entry)}: {warning}" for entry in self.fits for warning in entry.fit.warnings]
        for width in self.widths:
            for what, one in (("interval", width.single), ("interval of several cores", width.parallel)):
                if one is not None and not one.enough:
                    few = f"{counted(one.families, 'family', 'families')} {'is' if one.families == 1 else 'are'} too few"
                    stays = "" if width.ground in self.contradicted else ": it stays as it was"
                    found.append(f"{' '.join(width.ground)}: {few} for an {what} at 90 %{stays}")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel calibrate --json`` prints."""
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device.name,
            "date": self.date,
            "files": [{"path": path, "sha256": sha256} for path, sha256 in self.files],
            "parameters": self.parameters,
            "fits": [_fit_document(entry) for entry in self.fits],
            "families_held_out": [
                {"processor": entry.ground[0], "runtime": entry.runtime, "dtype": entry.ground[2], "cores": entry.cores, **asdict(entry.scores)}
                for entry in self.held_out
            ],
            "intervals": [asdict(width) for width in self.widths],
            "unbuilt": [{"network": entry.row.network, "path": entry.row.path, "line": entry.row.line, "reason": entry.reason} for entry in self.unbuilt],
            "refused": [asdict(problem) for problem in self.problems],
            "warnings": list(self.warnings),
            "profile": self.profile,
            "costmodel_version": __version__,
        }

    def to_json(self) -> str:
        """`to_dict` as a JSON document."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def calibrate(
    rows: Iterable[MeasuredRow],
    device: Device,
    text: str,
    *,
    files: Sequence[tuple[str, str]] = (),
    date: str = "",
    problems: Sequence[RowProblem] = (),
    skip_refused: bool = False,
    notes: Sequence[str] = (),
    keep_constants: bool = False,
    absolute: bool = False,
) -> Calibration:
    """The device of a profile fitted to `rows`.

    A number that these very files fitted before begins where that fit began; any other begins where it is, so that what other
    rows taught the profile is not lost.

    Parameters
    ----------
    text : of the profile that `device` was read from; fitted numbers take the place of its own, which are the priors.
    files : (path, sha256) of where the rows stand.
    date : when they were measured; the latest that the rows state where it is empty.
    problems : of rows that were refused before.
    skip_refused : go on without rows that are refused.
    notes : what else must be known of the rows.
    absolute : as in `hold_out`, for rows of strangers' phones.
    keep_constants : write the intervals that families held out call for, and leave the constants as they are.

    Raises
    ------
    InvalidFileError
        If rows are refused and `skip_refused` is not set.
    UsageError
        If no row is left to fit to, or none is of cores of one kind.
    """
    taken = tuple(rows)
    device = begun(device, files)
    found = distinct(collect(taken, device))
    require_sound((*problems, *found.problems), skip_refused=skip_refused)
    found.require_some(f"{device.name} is left to fit to", problems)
    held = hold_out(found.samples, absolute=absolute)
    _require_fits(held, found.samples)
    date = date or max((row.date for row in taken), default="")
    scores = _held_out_scores(found.samples, held)
    widths = tuple(_widths(ground, found.samples, held) for ground in dict.fromkeys(entry.ground for entry in held.fits))
    doubtful = _contradicted(found.samples, widths, kept=keep_constants)
    about = (*_seen_before(device, found.samples, files), *contradictions(found.samples))
    sources = _Sources(device, files, lambda entry: _source(entry, scores, files, date, keep_constants))
    written = with_values(text, _changes(device, held, widths, doubtful, sources, keep_constants))
    return Calibration(
        device=parse_device(written.encode(), f"{device.name}, fitted"),
        profile=written,
        files=tuple(files),
        date=date,
        fits=held.fits,
        held_out=scores,
        widths=widths,
        unbuilt=found.unbuilt,
        problems=in_order(problems, found.problems),
        contradicted=tuple(entry.ground for entry in doubtful),
        notes=(*notes, *about, *(entry.note for entry in doubtful), *(() if keep_constants else _shared(found.samples, held))),
    )


def _require_fits(held: HeldOut, samples: Sequence[Sample]) -> None:
    """Refuse rows that all are of cores of several kinds, to which nothing is fitted."""
    if not held.fits:
        target = samples[0].target
        raise UsageError(
            f"no row of {target.device.name} is of cores of one kind, and to others no constants are fitted; measure on one kind of core, "
            f"e.g. --cores {target.hardware.clusters[0].name}=1"
        )


def begun(device: Device, files: Sequence[tuple[str, str]]) -> Device:
    """The device, where only numbers that were fitted to one of these files still know what they were before."""
    kept = {name: entry if _is_of(entry.source, files) else entry._replace(prior=None) for name, entry in device.provenance.items()}
    return replace(device, provenance=FrozenDict(kept))


def _is_of(source: str, files: Sequence[tuple[str, str]]) -> bool:
    """Whether a fit's source names one of the files, by its whole name or by what it holds; rows without a file are those without one."""
    data = source.partition(" in ")[2]
    if not files:
        return data.startswith(_IN_MEMORY)
    named = _FILES.findall(data)
    return any(PurePath(path).name == name or sha256[:16] == digits for path, sha256 in files for name, digits in named)


def _seen_before(device: Device, samples: Sequence[Sample], files: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What to say where rows also stand in files that ship and that the device's numbers were fitted to, under whatever name they are given."""
    sources = {entry.source for entry in device.provenance.values() if entry.kind == "fitted" and not _is_of(entry.source, files)}
    names = sorted({name for source in sources for name, _ in _FILES.findall(source.partition(" in ")[2])})
    said = []
    for path in [path for path in (profile_folder() / "measurements" / name for name in names) if path.is_file()]:
        known: dict[str, list[float]] = {}
        for row in read_rows(path).rows:
            if row.device == device.name:
                known.setdefault(network_name(row), []).append(row.seconds)
        again = sum(any(math.isclose(seconds, sample.seconds, rel_tol=_SAME) for seconds in known.get(network_name(sample.row), ())) for sample in samples)
        if again:
            said.append(
                f"{again} of {counted(len(samples), 'row')} also stand in {path.name}, to which the profile was fitted before: the fit begins there, so that "
                "families held out are not unseen by it; leave --measurements out to judge by the rows that ship"
            )
    return tuple(said)


def _named(path: str, sha256: str) -> str:
    return f"{PurePath(path).name} (sha256 {sha256[:16]})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contradicted:
    """A ground whose rows lie outside what the profile promised, and are of too few families for an interval of their own.

    `basis` and `factors`, by their keys in the profile, are what it promises from then on.
    """

    ground: Ground
    basis: Basis
    factors: Mapping[str, float]
    outside: int
    rows: int

    @property
    def note(self) -> str:
        """What to say of it."""
        which = "the row is" if self.rows == 1 else f"{self.outside} of {self.rows} rows {'is' if self.outside == 1 else 'are'}"
        one, several = self.factors[_SINGLE], self.factors[_PARALLEL]
        factor = f"{one:g}" if one == several else f"{one:g} ({several:g} on several cores)"
        return (
            f"{' '.join(self.ground)}: {which} outside the interval that the profile promised, and too few families for one of their own: its figures are "
            f"taken as {self.basis}, with a factor of {factor}; measure more networks to narrow it"
        )


def _contradicted(samples: Sequence[Sample], widths: Sequence[GroundWidths], *, kept: bool) -> tuple[_Contradicted, ...]:
    """Grounds of which fewer rows than an interval of 90 % promises lie in it, where no interval can be had from them; `kept`: their constants stay."""
    found = []
    for width in widths:
        own = [sample for sample in samples if ground_of(sample.target) == width.ground]
        errors = [abs(math.log(sample.predicted_s / sample.seconds)) for sample in own]
        outside = sum(error > math.log(sample.target.evidence(sample.graph.batch).factor) for sample, error in zip(own, errors, strict=True))
        enough = any(one is not None and one.enough for one in (width.single, width.parallel))
        if not enough and len(own) - outside < round(LEVEL * len(own), 9):  # rounded: 9 of 10 are 90 %
            basis: Basis = "datasheet" if kept and own[0].target.precision.basis == "datasheet" else "transferred"
            factors = _widened(own, errors if kept else [0.0] * len(own))
            found.append(_Contradicted(ground=width.ground, basis=basis, factors=factors, outside=outside, rows=len(own)))
    return tuple(found)


def _widened(own: Sequence[Sample], errors: Sequence[float]) -> dict[str, float]:
    """Factors, by their keys, of a ground whose promise is taken away: of what was stated, what is transferred and the log errors that its rows keep, the
    largest; several cores rest on the constants of one.
    """
    precision = own[0].target.precision
    stated = precision.interval_factor
    found = {_SINGLE: max(FACTOR, stated), _PARALLEL: max(FACTOR, precision.parallel_interval_factor or stated)}
    for sample, error in zip(own, errors, strict=True):
        for key in (_PARALLEL,) if (sample.target.threads or 1) > 1 else (_SINGLE, _PARALLEL):
            found[key] = max(found[key], _rounded_up(math.exp(error)))
    return found


def _rounded_up(factor: float) -> float:
    return math.ceil(factor * _FACTOR_DIGITS) / _FACTOR_DIGITS


def _shared(samples: Sequence[Sample], held: HeldOut) -> list[str]:
    """What to say where rows of one runtime alone move constants that another takes for its own."""
    said = []
    for ground in dict.fromkeys(entry.ground for entry in held.fits):
        of = {sample.target.runtime for sample in samples if ground_of(sample.target) == ground}
        if ground[1] not in of:
            alone = ", ".join(sorted(of))
            said.append(f"rows of {alone} alone fitted the constants of {' '.join(ground)}, which are both's: figures under {ground[1]} move, too")
    return said


def _held_out_scores(samples: Sequence[Sample], held: HeldOut) -> tuple[SplitScores, ...]:
    """Scores of every target of which families could be held out."""
    groups: dict[tuple[Ground, str, str | None], list[int]] = {}
    for position, sample in enumerate(samples):
        if held.predicted_s[position] is not None:
            groups.setdefault((ground_of(sample.target), sample.target.runtime, sample.target.cores_text), []).append(position)
    found = []
    for (ground, runtime, cores), positions in groups.items():
        predicted = [float(held.predicted_s[position] or 0.0) for position in positions]
        scores = score(predicted, [samples[p].seconds for p in positions], [samples[p].family for p in positions])
        found.append(SplitScores(ground=ground, runtime=runtime, cores=cores, scores=scores))
    return tuple(found)


def _widths(ground: Ground, samples: Sequence[Sample], held: HeldOut) -> GroundWidths:
    """Intervals from the rows of a ground's own runtime that its profile supports, families held out."""
    single: list[tuple[float, str]] = []
    parallel: list[tuple[float, str]] = []
    differences: list[Width] = []
    by_cores: dict[str | None, list[tuple[float, str]]] = {}
    for sample, seconds in zip(samples, held.predicted_s, strict=True):
        target = sample.target
        if seconds is None or not sample.supported or target.runtime != ground[1] or ground_of(target) != ground:
            continue
        measured = target.precision.measured_cores
        if measured and target.cores_text not in measured:
            continue
        error = (math.log(seconds / sample.seconds), sample.family)
        (parallel if (target.threads or 1) > 1 else single).append(error)
        if (target.threads or 1) == 1:
            by_cores.setdefault(target.cores_text, []).append(error)
    for errors in by_cores.values():
        width = difference_width(*_columns(errors))
        if width is not None:
            differences.append(width)
    batches = [sample.graph.batch for sample in samples if ground_of(sample.target) == ground]
    return GroundWidths(
        ground=ground,
        batches=(min(batches), max(batches)),
        single=interval_width(*_columns(single)) if single else None,
        parallel=interval_width(*_columns(parallel)) if parallel else None,
        difference=max(differences, key=lambda width: width.factor) if differences else None,
    )


def _columns(errors: Sequence[tuple[float, str]]) -> tuple[list[float], list[str]]:
    return [error for error, _ in errors], [family for _, family in errors]


class _Sources:
    """Keys and texts of what fits say of themselves. A fit to other files than an earlier one of the same constants gets a key of its own,
    for numbers of that one may stay.
    """

    def __init__(self, device: Device, files: Sequence[tuple[str, str]], text: Callable[[GroundFit], str]) -> None:
        self.text = text
        self._known = {entry.key: entry.source for entry in device.provenance.values()}
        self._files = files

    def key(self, entry: GroundFit) -> str:
        """The key of a fit's source."""
        first = source_key(entry)
        keys = (first if number == 1 else f"{first}_{number}" for number in count(1))
        return next(key for key in keys if key not in self._known or _is_of(self._known[key], self._files))


def _changes(
    device: Device, held: HeldOut, widths: Sequence[GroundWidths], doubtful: Sequence[_Contradicted], sources: _Sources, keep_constants: bool
) -> dict[Table, dict[str, str]]:
    """What changes in the profile's text: fitted values, also of a fit before that this one does not determine, intervals, and where they are from;
    a fit that leaves no number behind is no source.
    """
    changes: dict[Table, dict[str, str]] = {("sources",): {}}
    for entry in held.fits:
        key = sources.key(entry)
        for fitted in () if keep_constants else entry.fit.parameters:
            stated = device.provenance.get(".".join((*_table(entry.ground, fitted), fitted.path[-1])))
            moved = number(fitted.value) != number(fitted.prior)
            kind = "fitted" if not fitted.frozen or (moved and stated is not None and stated.kind == "fitted") else "assumed"
            if not fitted.frozen or moved or (stated is not None and stated.prior is not None):
                changes.setdefault(_table(entry.ground, fitted), {})[fitted.path[-1]] = sourced(fitted.value, kind, key, fitted.prior)
                changes["sources",][key] = quoted(sources.text(entry))
    for width in widths:
        table = _precision(width.ground)
        fit = next(entry for entry in held.fits if entry.ground == width.ground)
        key = sources.key(fit)
        values = {
            name: sourced(_rounded_up(one.factor), "fitted", key)
            for name, one in ((_SINGLE, width.single), (_PARALLEL, width.parallel), ("difference_factor", width.difference))
            if one is not None and one.enough
        }
        if _SINGLE in values or _PARALLEL in values:
            changes[table] = {"basis": quoted("calibrated"), **values, "measured_batches": literal(width.batches)}
            changes["sources",][key] = quoted(sources.text(fit))
    for one in doubtful:
        fit = next(entry for entry in held.fits if entry.ground == one.ground)
        key = sources.key(fit)
        factors = {name: sourced(factor, "assumed", key) for name, factor in one.factors.items()}
        changes[_precision(one.ground)] = {"basis": quoted(one.basis), **factors}
        changes["sources",][key] = quoted(sources.text(fit))
    return changes


def _precision(ground: Ground) -> Table:
    return ("processors", ground[0], "runtimes", ground[1], "dtypes", ground[2])


def _table(ground: Ground, fitted: Fitted) -> Table:
    return (*_precision(ground), "parameters", *fitted.path[:-1])


def source_key(entry: GroundFit) -> str:
    """The key in a profile's sources that its fitted numbers name.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> source_key(SimpleNamespace(ground=("cpu", "tflite-padded", "fp32"), core="cortex-a76"))
    'fit_cpu_tflite_padded_fp32_cortex_a76'
    """
    parts = (*entry.ground, *((entry.core,) if entry.core and entry.core != entry.ground[0] else ()))
    return "fit_" + "_".join(parts).replace("-", "_").replace(".", "_")


def _source(entry: GroundFit, scores: Sequence[SplitScores], files: Sequence[tuple[str, str]], date: str, kept: bool) -> str:
    """Data, date, versions, errors and parameter count of a fit, in one text."""
    data = ", ".join(_named(path, sha256) for path, sha256 in files) or _IN_MEMORY
    when = f", {date}" if date else ""
    tools = ", ".join(f"{name} {metadata.version(name)}" for name in ("scipy", "numpy"))
    where = f" on {entry.cores}" if entry.cores else ""
    held = [one.scores for one in scores if (one.ground, one.runtime, one.cores) == (entry.ground, entry.ground[1], entry.cores)]
    errors = f"training error {entry.fit.residual:.1%} (root mean square)"
    if held:
        errors += f"; families held out: mean error {held[0].mape:.1%}, {held[0].within_10:.0%} within 10 %"
    frozen = ", ".join(fitted.path[-1] for fitted in entry.fit.parameters if fitted.frozen)
    kin = len({fitted.kin for fitted in entry.fit.parameters if fitted.kin})
    shifts = f", {kin} of them {'a shift of a kin' if kin == 1 else 'shifts of kins'} of constants" if kin else ""
    silent = f"; not determined, kept but for the scale of all{' and of their kin' if kin else ''}: {frozen}" if frozen else ""
    rows = f"{counted(entry.fit.rows, 'row')} of {counted(len(entry.families), 'family', 'families')}"
    how = "intervals alone, constants as they were; for them: maximum" if kept else "maximum"
    parameters = counted(entry.fit.determined, "parameter")
    return f"{how} a posteriori on {rows}{where} in {data}{when}; costmodel {__version__}, {tools}; {parameters}{shifts}; {errors}{silent}"


def _words(entry: GroundFit) -> str:
    return " ".join(filter(None, (*entry.ground, entry.core)))


def _fit_document(entry: GroundFit) -> Mapping[str, Any]:
    fit = entry.fit
    return {
        "processor": entry.ground[0],
        "runtime": entry.ground[1],
        "dtype": entry.ground[2],
        "core": entry.core,
        "cores": entry.cores,
        "rows": fit.rows,
        "families": list(entry.families),
        "parameters": fit.determined,
        "residual": fit.residual,
        "error": fit.error,
        "converged": fit.converged,
        "message": fit.message,
        "values": [
            {
                "name": fitted.name,
                "value": float(number(fitted.value)),
                "prior": fitted.prior,
                "prior_spread": fitted.prior_spread,
                "spread": fitted.spread,
                "frozen": fitted.frozen,
                "at": fitted.at or None,
            }
            for fitted in fit.parameters
        ],
    }
