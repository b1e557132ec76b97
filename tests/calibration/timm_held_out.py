"""Constants of GPUs fitted without a family: ``python -m tests.calibration.timm_held_out FIT/timm_rows.csv`` writes what the zoo's rows are judged by.

The profiles of the RTX are fitted to hundreds of timm's networks, whose graphs do not ship; of the rows of `timm.csv`, which the zoo builds, there are five
families, too few to say what constants are worth that are fitted to so many. So for each of these families the constants that all other families of FIT
determine are kept (`device_profiles/measurements/timm/without_family.csv`), and `reports/accuracy.md` predicts a family by those. FIT is the folder that
`timm_rows` made.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from costmodel.calibration.conformal import difference_width, interval_width
from costmodel.calibration.fit import priced
from costmodel.calibration.held_out import fit_without
from costmodel.calibration.metrics import score
from costmodel.calibration.parameters import Path as ParameterPath
from costmodel.calibration.profile_text import number
from costmodel.calibration.rows import MeasuredRow, read_rows
from costmodel.calibration.samples import Sample, collect
from costmodel.calibration.validation import JudgedTarget, Validation
from costmodel.devices import device, profile_folder

TARGETS = (("rtx3090", "torch-eager"), ("rtx4090", "torch-eager"), ("rtx4090", "torch-compile"))
COLUMNS = ("device", "runtime", "family", "parameter", "value")
#: How many numbers the rows of the others determine, among the parameters of a family.
DETERMINED = "determined"
#: (device, runtime) -> family -> parameter -> value.
Constants = dict[tuple[str, str], dict[str, dict[str, float]]]


def main(path: Path) -> None:
    """Fit without each family of the zoo's rows, and write the constants."""
    entries = []
    for name, runtime in TARGETS:
        samples = collect(_rows(path, name, runtime), device(name)).samples
        for family, values in without_families(samples, families(name, runtime)).items():
            entries += [(name, runtime, family, parameter, number(value, 5)) for parameter, value in values.items()]
    with constants_file().open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([COLUMNS, *entries])


def constants_file() -> Path:
    """Where the constants stand."""
    return profile_folder() / "measurements" / "timm" / "without_family.csv"


def families(name: str, runtime: str) -> list[str]:
    """The families of the zoo's rows of a target."""
    return sorted({row.family for row in _rows(profile_folder() / "measurements" / "timm.csv", name, runtime)})


def without_families(samples: Sequence[Sample], held: Sequence[str]) -> dict[str, dict[str, float]]:
    """Family -> parameter -> value, fitted to the samples of all other families."""
    found = {}
    for family in held:
        fit = fit_without(samples, {family})
        found[family] = {entry.path[0] if len(entry.path) == 1 else ".".join(entry.path): entry.value for entry in fit.parameters}
        found[family][DETERMINED] = float(fit.determined)
    return found


def constants() -> Constants:
    """What the file states."""
    found: Constants = {}
    with constants_file().open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault((row["device"], row["runtime"]), {}).setdefault(row["family"], {})[row["parameter"]] = float(row["value"])
    return found


def judged(found: Validation) -> Validation:
    """A validation on the zoo's rows with the targets of these GPUs held out by the constants of all other families."""
    known = constants()
    targets = tuple(_judged(target, known[found.device, target.runtime]) if (found.device, target.runtime) in known else target for target in found.targets)
    return dataclasses.replace(found, targets=targets)


def _judged(target: JudgedTarget, known: Mapping[str, Mapping[str, float]]) -> JudgedTarget:
    samples = collect([entry.row for entry in target.rows], device(target.rows[0].row.device)).samples
    seconds = {(sample.row.path, sample.row.line): seconds_by(sample, known[sample.family]) for sample in samples}
    rows = tuple(dataclasses.replace(entry, held_out_s=seconds[entry.row.path, entry.row.line]) for entry in target.rows)
    unseen = [(seconds[entry.row.path, entry.row.line], entry.measured_s) for entry in rows]
    errors = [math.log(predicted / measured) for predicted, measured in unseen]
    names = [entry.family for entry in rows]
    return dataclasses.replace(
        target,
        rows=rows,
        held_out=score([one for one, _ in unseen], [other for _, other in unseen], names),
        parameters=round(max(values[DETERMINED] for values in known.values())),
        interval=interval_width(errors, names),
        difference=difference_width(errors, names),
    )


def seconds_by(sample: Sample, values: Mapping[str, float]) -> float:
    """Seconds of a sample by constants of the file."""
    paths: dict[ParameterPath, float] = {tuple(name.split(".", 1)): value for name, value in values.items() if name != DETERMINED}
    return float(priced([sample], paths)[0])


def _rows(path: Path, name: str, runtime: str) -> list[MeasuredRow]:
    return [row for row in read_rows(path).rows if (row.device, row.runtime) == (name, runtime)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
