"""How well rows of other laboratories are predicted that nobody fitted: ``python -m tests.calibration.hosted_accuracy`` prints the section of
`reports/accuracy.md`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from statistics import geometric_mean, mean

from costmodel.calibration.rows import MeasuredRow, read_rows
from costmodel.calibration.samples import Sample, collect
from costmodel.devices import device, profile_folder
from tests.calibration.xnnpack_profiles import FITTED, RUNTIME

FILE = "hosted.csv"
FOLDER = profile_folder() / "measurements"
#: Rows of mobile_edge.csv that no constant of their target was fitted or scaled to.
ALSO = (("pixel4", "tflite"), ("pixel4", "tflite-gpu"))
#: Fewest rows of which a common scale leaves something to judge.
FEWEST = 3
INTRODUCTION = """
## Rows of other laboratories

Tables that others published (`device_profiles/measurements/hosted.csv`; the Pixel 4's in `mobile_edge.csv`), of other builds and years than what constants
were fitted to. A line is one document on one runtime and precision of a device, over all its numbers of threads.

- *as it is*: the profile as it ships. *Scale*: the geometric mean of measured over predicted, what this build takes beside the one that constants are of.
- *one scale*: the error once all rows of the line are multiplied by it. Below three rows there is nothing left to judge.
- The Raspberry Pi 5's rows under XNNPACK fitted the constants of cores that issue out of order: a training error. Nothing else of these tables
  is fitted. Under XNNPACK, constants of in-order cores and of depthwise windows are assumptions.
- One profile stands for a phone's clocks at their nominal values; tables of four threads are taken to run on the four fastest cores.
"""


def rows() -> list[MeasuredRow]:
    """The rows of other laboratories."""
    also = [row for row in read_rows(FOLDER / "mobile_edge.csv").rows if (row.device, row.runtime) in ALSO]
    return [*read_rows(FOLDER / FILE).rows, *also]


def section() -> list[str]:
    """The section's lines."""
    given = rows()
    lines = [
        *INTRODUCTION.splitlines()[1:],
        "",
        "| document | target | basis | rows | as it is | scale | one scale | largest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    left, scaled = [], []
    for name in dict.fromkeys(row.device for row in given):
        found = collect([row for row in given if row.device == name], device(name))
        left += [f"{entry.row.network}: {entry.reason}" for entry in found.unbuilt] + [str(problem) for problem in found.problems]
        groups: dict[tuple[str, str], list[Sample]] = {}
        for sample in found.samples:
            groups.setdefault((_table(sample.row), _target(sample)), []).append(sample)
        for (table, target), members in groups.items():
            lines.append(_line(table, target, members))
            if len(members) >= FEWEST and not _fitted(members[0]):
                scaled.append((errors(members), errors(members, scale(members))))
    lines += ["", f"Mean of the {len(scaled)} lines of at least {FEWEST} rows that nothing was fitted to: "]
    lines[-1] += f"{mean(mean(each) for each, _ in scaled):.1%} as they are, {mean(mean(each) for _, each in scaled):.1%} with one scale a line; "
    lines[-1] += f"{sum(mean(each) <= 0.1 for _, each in scaled)} of them within 10 %."
    return [*lines, "", *(f"- left out: {reason}" for reason in left), *([""] if left else [])]


def _line(table: str, target: str, members: Sequence[Sample]) -> str:
    factor = scale(members)
    enough = len(members) >= FEWEST
    after = errors(members, factor)
    cells = [
        table,
        f"{target} {_cores(members)}".strip(),
        members[0].target.precision.basis,
        str(len(members)),
        f"{mean(errors(members)):.1%}",
        f"{factor:.2f}",
    ]
    cells += [f"{mean(after):.1%}", f"{max(after):.0%}"] if enough else ["-", "-"]
    return "| " + " | ".join(cells) + " |"


def scale(members: Sequence[Sample]) -> float:
    """Geometric mean of measured over predicted."""
    return geometric_mean([sample.seconds / sample.predicted_s for sample in members])


def errors(members: Sequence[Sample], factor: float = 1.0) -> list[float]:
    """Relative errors of the predictions, multiplied by `factor`."""
    return [abs(math.expm1(math.log(sample.predicted_s * factor / sample.seconds))) for sample in members]


def _fitted(sample: Sample) -> bool:
    return (sample.row.device, sample.row.runtime) == (FITTED, RUNTIME)


def _table(row: MeasuredRow) -> str:
    """The document that a row is from: a repository and a file of it, or a paper."""
    words = row.source.partition(",")[0].split()
    if "/" not in words[0]:
        return " ".join(words)
    files = [word.rpartition("/")[2] for word in words if word.endswith((".md", ".parquet"))]
    return " ".join(["/".join(words[0].split("/")[:2]), *files])


def _target(sample: Sample) -> str:
    target = sample.target
    return " ".join((target.device.name, target.processor, target.runtime, target.dtype))


def _cores(members: Sequence[Sample]) -> str:
    """The core selections of samples."""
    return "; ".join(dict.fromkeys(sample.target.cores_text or "" for sample in members))


if __name__ == "__main__":
    sys.stdout.write("\n".join(section()) + "\n")
