"""Judging a profile on measured rows: every target by itself, beside what simpler predictions reach."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from costmodel._version import __version__
from costmodel.calibration.baselines import predictions
from costmodel.calibration.conformal import Width, difference_width, interval_width
from costmodel.calibration.held_out import HeldOut, ground_of, hold_out
from costmodel.calibration.metrics import Scores, score
from costmodel.calibration.rows import MeasuredRow, RowProblem, in_order, require_sound
from costmodel.calibration.samples import Sample, Unbuilt, collect, contradictions, distinct
from costmodel.devices import Device
from costmodel.estimation import SCHEMA_VERSION, estimate

#: What the scores of a target are of.
PROFILE, HELD_OUT = "profile", "families held out"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRow:
    """A row with its predictions in seconds: by the profile as it stands, and by constants fitted without its family (None where there are no others).

    `stated_factor` is the estimate's own interval; `supported` is False where the profile itself says that much rests on assumptions.
    """

    row: MeasuredRow
    family: str
    measured_s: float
    predicted_s: float
    held_out_s: float | None
    baselines_s: tuple[tuple[str, float | None], ...]
    stated_factor: float
    supported: bool

    @property
    def inside(self) -> bool:
        """Whether the measurement lies in the estimate's own interval."""
        return max(self.predicted_s / self.measured_s, self.measured_s / self.predicted_s) <= self.stated_factor

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted_s / self.measured_s - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTarget:
    """The rows of one target with their scores by split and baseline, the interval that families held out call for, and what the profile states.

    `basis` and `stated_factor` are of those of the rows' batches of which the profile knows least; each row has its own estimate's factor.
    `interval` and `difference` are of rows that the profile supports. `parameters` is how many parameters the rows determine; None where nothing was fitted.
    A baseline that is fitted has None where all rows are of one family.
    """

    processor: str
    runtime: str
    dtype: str
    cores: str | None
    layout: str
    basis: str
    rows: tuple[JudgedRow, ...]
    profile: Scores
    held_out: Scores | None
    baselines: tuple[tuple[str, Scores | None], ...]
    parameters: int | None
    stated_factor: float
    interval: Width | None
    difference: Width | None

    @property
    def stated_coverage(self) -> float:
        """Share of rows inside their estimate's own interval."""
        return sum(entry.inside for entry in self.rows) / len(self.rows)

    @property
    def name(self) -> str:
        """The target in words."""
        return " ".join(filter(None, (self.processor, self.runtime, self.dtype, self.cores)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """How well a device's profile predicts measured rows, target by target; rows that could not take part stand in `unbuilt` and `problems`."""

    device: str
    profile_sha256: str
    files: tuple[tuple[str, str], ...]
    targets: tuple[JudgedTarget, ...]
    unbuilt: tuple[Unbuilt, ...]
    problems: tuple[RowProblem, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel validate --json`` prints."""
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device,
            "profile_sha256": self.profile_sha256,
            "files": [{"path": path, "sha256": sha256} for path, sha256 in self.files],
            "targets": [_target_document(target) for target in self.targets],
            "unbuilt": [{"network": entry.row.network, "line": entry.row.line, "path": entry.row.path, "reason": entry.reason} for entry in self.unbuilt],
            "refused": [asdict(problem) for problem in self.problems],
            "warnings": list(self.notes),
            "costmodel_version": __version__,
        }

    def to_json(self) -> str:
        """`to_dict` as a JSON document."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def validate(
    rows: Iterable[MeasuredRow],
    device: Device,
    *,
    files: Sequence[tuple[str, str]] = (),
    problems: Sequence[RowProblem] = (),
    skip_refused: bool = False,
    notes: Sequence[str] = (),
) -> Validation:
    """The validation of a device's profile on `rows`.

    Parameters
    ----------
    files : (path, sha256) of where the rows stand.
    problems : of rows that were refused before.
    skip_refused : go on without rows that are refused.
    notes : what else must be known of the rows.

    Raises
    ------
    InvalidFileError
        If rows are refused and `skip_refused` is not set.
    UsageError
        If no row is left.
    """
    found = distinct(collect(rows, device))
    require_sound((*problems, *found.problems), skip_refused=skip_refused)
    found.require_some(f"{device.name} is left to judge by", problems)
    held = hold_out(found.samples)
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for position, sample in enumerate(found.samples):
        target = sample.target
        groups.setdefault((target.processor, target.runtime, target.dtype, target.cores_text, target.layout), []).append(position)
    judged = [_judge([found.samples[p] for p in positions], [held.predicted_s[p] for p in positions], held) for positions in groups.values()]
    return Validation(
        device=device.name,
        profile_sha256=device.sha256,
        files=tuple(files),
        targets=tuple(judged),
        unbuilt=found.unbuilt,
        problems=in_order(problems, found.problems),
        notes=(*notes, *contradictions(found.samples)),
    )


def _judge(samples: Sequence[Sample], held_s: Sequence[float | None], held: HeldOut) -> JudgedTarget:
    """The scores of one target."""
    target = samples[0].target
    least = max((target.evidence(batch) for batch in {sample.row.batch for sample in samples}), key=lambda evidence: evidence.factor)
    families = [sample.family for sample in samples]
    measured = [sample.seconds for sample in samples]
    predicted = [sample.predicted_s for sample in samples]
    simple = predictions(samples)
    known = [position for position, seconds in enumerate(held_s) if seconds is not None]
    unseen = [float(held_s[position] or 0.0) for position in known]
    names = [families[position] for position in known]
    errors = [(math.log(seconds / measured[p]), families[p]) for p, seconds in zip(known, unseen, strict=True) if samples[p].supported]
    own, kin = [error for error, _ in errors], [family for _, family in errors]
    fits = [entry for entry in held.fits if entry.ground == ground_of(target) and entry.core in (None, *(group.core for group in target.machine.cores))]
    return JudgedTarget(
        processor=target.processor,
        runtime=target.runtime,
        dtype=target.dtype,
        cores=target.cores_text,
        layout=target.layout,
        basis=least.basis,
        rows=tuple(
            JudgedRow(
                row=sample.row,
                family=sample.family,
                measured_s=measured[position],
                predicted_s=predicted[position],
                held_out_s=held_s[position],
                baselines_s=tuple((name, None if seconds is None else seconds[position]) for name, seconds in simple.items()),
                stated_factor=estimate(sample.graph, target).interval.factor,
                supported=sample.supported,
            )
            for position, sample in enumerate(samples)
        ),
        profile=score(predicted, measured, families),
        held_out=score(unseen, [measured[position] for position in known], names) if known else None,
        baselines=tuple((name, None if seconds is None else score(seconds, measured, families)) for name, seconds in simple.items()),
        parameters=sum(entry.fit.determined for entry in fits) if fits else None,
        stated_factor=least.factor,
        interval=interval_width(own, kin) if own else None,
        difference=difference_width(own, kin) if own else None,
    )


def _target_document(target: JudgedTarget) -> dict[str, Any]:
    document = {name: getattr(target, name) for name in ("processor", "runtime", "dtype", "cores", "layout", "basis", "parameters")}
    scores = {PROFILE: target.profile, HELD_OUT: target.held_out, **{f"baseline {name}": found for name, found in target.baselines}}
    return {
        **document,
        "splits": {name: None if found is None else _score_document(found) for name, found in scores.items()},
        "interval": {
            "stated_factor": target.stated_factor,
            "covers": target.stated_coverage,
            "held_out": None if target.interval is None else asdict(target.interval),
            "difference": None if target.difference is None else asdict(target.difference),
        },
        "rows": [
            {
                "network": entry.row.network,
                "family": entry.family,
                "path": entry.row.path,
                "line": entry.row.line,
                "measured_s": entry.measured_s,
                "predicted_s": entry.predicted_s,
                "held_out_s": entry.held_out_s,
                "error": entry.error,
                "interval_factor": entry.stated_factor,
                "supported": entry.supported,
                "baselines_s": dict(entry.baselines_s),
            }
            for entry in target.rows
        ],
    }


def _score_document(scores: Scores) -> dict[str, Any]:
    return {**asdict(scores), "bias": [{"family": family, "bias": bias, "rows": rows} for family, bias, rows in scores.bias]}
