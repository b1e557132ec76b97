"""How well ncnn's latencies are predicted, of devices and of families held out: ``python -m tests.calibration.ncnn_accuracy`` prints the section of
`reports/accuracy.md`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from statistics import mean, median

from costmodel.calibration.baselines import predictions
from costmodel.calibration.pooled import leave_device_out, leave_family_out
from costmodel.calibration.samples import Sample
from tests.calibration.ncnn_profiles import all_samples, builds, rows_file

#: Rows of networks that convolutional rows say little about.
TRANSFORMERS = "vit"
#: What each row's errors are of: ours, then the simpler predictions.
COLUMNS = ("device held out", "family held out", "profile", "MACs", "MACs+activations", "roofline")
FAMILY = COLUMNS.index("family held out")
#: Lines of the summary: words, whether int8, whether several cores, whether of transformers; None where it does not matter.
LINES: tuple[tuple[str, bool, bool | None, bool | None], ...] = (
    ("floating point, one core, convolutional", False, False, False),
    ("floating point, several cores, convolutional", False, True, False),
    ("floating point, one core, ViT-B/32", False, False, True),
    ("floating point, several cores, ViT-B/32", False, True, True),
    ("floating point, all", False, None, None),
    ("int8, one core", True, False, False),
    ("int8, several cores", True, True, False),
    ("int8, all", True, None, None),
)

Errors = tuple[float, ...]


def section() -> list[str]:
    """The section's lines."""
    samples, left = all_samples(rows_file())
    targets: dict[tuple[str, str, str], list[int]] = {}
    for position, sample in enumerate(samples):
        targets.setdefault((sample.target.device.name, sample.target.dtype, sample.target.cores_text or ""), []).append(position)
    errors = _errors(samples, list(targets.values()))
    lines = [
        "## ncnn on phones and boards",
        "",
        "Rows of benchncnn (`device_profiles/measurements/ncnn.csv`), measured by different people with builds of different ages. Graphs have the",
        "multiply-accumulates of benchncnn's files. Ten runs whose mean is over their minimum by more than a quarter are left out as interrupted.",
        "",
        "- *device held out*: constants from the rows of all others, in cycles by kind of core, with this device's clocks, peaks and bandwidth.",
        "- *family held out*: the same constants as priors, fitted to the device's own rows; the family that is predicted is in no device's rows.",
        "- *profile*: the profile as it ships, a training error.",
        "- *MACs*, *MACs+activations*: one and two rates of the target, fitted to its rows of other families; *roofline*: the datasheet's.",
        "- Rows do not state their precision: it is fp16 where all cores have its arithmetic, but fp32 on RK3588 and Snapdragon 675, which take twice the time",
        "  of other Cortex-A76 at the same clock; such builds are taken to have no dot products either. Tables without the latest networks are of builds of",
        "  2020 or 2019, whose cores are pooled apart. The thread of the Snapdragon 8 Gen 2's single-core rows is taken to run on a Cortex-A715, for they",
        "  take the time of a core with two multiply-add pipes; the Snapdragon 888's rows are of eight threads on four cores. In int8 the builds behind the",
        "  Snapdragon 855+, 888 and 8 Gen 2 are taken to be of 2022, after seeing that VGG-16 is slower there than in fp16, as Winograd's transforms are.",
        "",
        "| target | rows | device held out | family held out | median | in 10 % | profile | MACs | MACs+activations | roofline |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    beaten = []
    for (name, dtype, cores), positions in targets.items():
        own = [errors[position] for position in positions]
        device, family, profile, *simple = (mean(column) for column in zip(*own, strict=True))
        held = [error[FAMILY] for error in own]
        cells = [f"{device:.1%}", f"{family:.1%}", f"{median(held):.1%}", f"{mean(error <= 0.1 for error in held):.0%}", f"{profile:.1%}"]
        lines.append(f"| {name} {dtype} {cores} | {len(own)} | {' | '.join([*cells, *(f'{error:.0%}' for error in simple)])} |")
        beaten += [f"{name} {dtype} {cores} ({key})" for key, error in zip(COLUMNS[-len(simple) :], simple, strict=True) if error < family]
    worse = {entry.rpartition(" (")[0] for entry in beaten}
    found = f"- families held out err more than a simpler prediction on {len(worse)}: {'; '.join(beaten)}" if beaten else "- no simpler prediction is better"
    return [*lines, "", *_summary(samples, errors), "", found, *_left(left), ""]


def _errors(samples: Sequence[Sample], targets: Sequence[Sequence[int]]) -> list[Errors]:
    """Absolute relative errors of each sample, by `COLUMNS`."""
    ages = builds(samples)
    columns = [leave_device_out(samples, ages), leave_family_out(samples, ages), [sample.predicted_s for sample in samples]]
    simple: dict[str, list[float]] = {}
    for positions in targets:
        for key, values in predictions([samples[position] for position in positions]).items():
            column = simple.setdefault(key, [0.0] * len(samples))
            for position, seconds in zip(positions, values, strict=True):
                column[position] = seconds
    return [
        tuple(abs(seconds / sample.seconds - 1) for seconds in each) for sample, each in zip(samples, zip(*columns, *simple.values(), strict=True), strict=True)
    ]


def _summary(samples: Sequence[Sample], errors: Sequence[Errors]) -> list[str]:
    """Means over targets, by precision, cores and kind of network."""
    lines = [f"| mean of targets | targets | rows | {' | '.join(COLUMNS)} |", "|---" * (3 + len(COLUMNS)) + "|"]
    for words, *wanted in LINES:
        groups: dict[tuple[str, str], list[Errors]] = {}
        for sample, error in zip(samples, errors, strict=True):
            target = sample.target
            found = (target.dtype == "int8", (target.threads or 1) > 1, sample.family == TRANSFORMERS)
            if all(want is None or want == is_so for want, is_so in zip(wanted, found, strict=True)):
                groups.setdefault((target.device.name, target.cores_text or ""), []).append(error)
        cells = [f"{mean(mean(error[column] for error in group) for group in groups.values()):.1%}" for column in range(len(COLUMNS))]
        lines.append(f"| {words} | {len(groups)} | {sum(map(len, groups.values()))} | {' | '.join(cells)} |")
    return lines


def _left(left: Sequence[str]) -> list[str]:
    """Rows that are no samples, counted by network."""
    counts = Counter(reason.partition(";")[0] for reason in left)
    return [f"- not built, {count} rows: {reason}" for reason, count in counts.items()]


if __name__ == "__main__":
    sys.stdout.write("\n".join(section()) + "\n")
