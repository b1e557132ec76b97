"""How well ncnn's latencies are predicted, of devices and of families held out: ``python -m tests.calibration.ncnn_accuracy`` prints the section of
`reports/accuracy.md`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import mean, median

from costmodel.calibration.baselines import predictions
from costmodel.calibration.pooled import leave_device_out, leave_family_out
from costmodel.calibration.samples import Sample
from tests.calibration.ncnn_profiles import all_samples, builds, rows_file

#: Rows of networks that convolutional rows say little about.
TRANSFORMERS = "vit"
HEAD = "| {} | {} | {} | {} | {} | {} | {} | {} | {} |"


def section() -> list[str]:
    """The section's lines."""
    samples, left = all_samples(rows_file())
    ages = builds(samples)
    device, family, profile = leave_device_out(samples, ages), leave_family_out(samples, ages), [sample.predicted_s for sample in samples]
    errors = [
        tuple(abs(seconds / sample.seconds - 1) for seconds in each) for sample, each in zip(samples, zip(device, family, profile, strict=True), strict=True)
    ]
    targets: dict[tuple[str, str, str], list[int]] = {}
    for position, sample in enumerate(samples):
        targets.setdefault((sample.target.device.name, sample.target.dtype, sample.target.cores_text or ""), []).append(position)
    lines = [
        "## ncnn on phones and boards",
        "",
        "Rows of benchncnn (`device_profiles/measurements/ncnn.csv`), measured by different people with builds of different ages.",
        "",
        "- *device held out*: constants from the rows of all others, in cycles by kind of core, with this device's clocks, peaks and bandwidth.",
        "- *family held out*: the same constants as priors, fitted to the device's own rows; the family that is predicted is in no device's rows.",
        "- *profile*: the profile as it ships, a training error.",
        "- Rows do not state their precision: it is fp16 where all cores have its arithmetic, but fp32 on RK3588 and Snapdragon 675, which take twice the time",
        "  of other Cortex-A76 at the same clock. The thread of the Snapdragon 8 Gen 2's single-core rows is taken to run on a Cortex-A715, for they take",
        "  the time of a core with two multiply-add pipes; the Snapdragon 888's rows are of eight threads on four cores.",
        "",
        "| target | rows | device held out | family held out | median | in 10 % | profile | MACs | roofline |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (name, dtype, cores), positions in targets.items():
        simple = dict(predictions([samples[position] for position in positions]))
        measured = [samples[position].seconds for position in positions]
        own = [errors[position] for position in positions]
        other = [mean(abs(seconds / truth - 1) for seconds, truth in zip(simple[key], measured, strict=True)) for key in _baselines(simple)]
        lines.append(
            HEAD.format(
                f"{name} {dtype} {cores}",
                len(positions),
                *(f"{mean(error[column] for error in own):.1%}" for column in (0, 1)),
                f"{median(error[1] for error in own):.1%}",
                f"{mean(error[1] <= 0.1 for error in own):.0%}",
                f"{mean(error[2] for error in own):.1%}",
                *(f"{error:.0%}" for error in other),
            )
        )
    return [*lines, "", *_summary(samples, errors), "", *_left(left), ""]


def _baselines(simple: Iterable[str]) -> tuple[str, str]:
    """The first and the last of the simpler predictions: MACs alone, and the datasheet's roofline."""
    keys = list(simple)
    return keys[0], keys[-1]


def _summary(samples: Sequence[Sample], errors: Sequence[tuple[float, ...]]) -> list[str]:
    """Means over targets, by precision, cores and kind of network."""
    lines = ["| mean of targets | targets | rows | device held out | family held out | profile |", "|---|---|---|---|---|---|"]
    for words, integer, many, transformer in (
        ("floating point, one core, convolutional", False, False, False),
        ("floating point, several cores, convolutional", False, True, False),
        ("floating point, one core, ViT-B/32", False, False, True),
        ("floating point, several cores, ViT-B/32", False, True, True),
        ("int8, one core", True, False, False),
        ("int8, several cores", True, True, False),
    ):
        groups: dict[tuple[str, str], list[tuple[float, ...]]] = {}
        for sample, error in zip(samples, errors, strict=True):
            target = sample.target
            if (target.dtype == "int8", (target.threads or 1) > 1, sample.family == TRANSFORMERS) == (integer, many, transformer):
                groups.setdefault((target.device.name, target.cores_text or ""), []).append(error)
        cells = [f"{mean(mean(error[column] for error in group) for group in groups.values()):.1%}" for column in range(3)]
        lines.append(f"| {words} | {len(groups)} | {sum(map(len, groups.values()))} | {' | '.join(cells)} |")
    return lines


def _left(left: Sequence[str]) -> list[str]:
    """Rows that are no samples, counted by network."""
    counts = Counter(reason.partition(";")[0] for reason in left)
    return [f"- not built, {count} rows: {reason}" for reason, count in counts.items()]


if __name__ == "__main__":
    sys.stdout.write("\n".join(section()) + "\n")
