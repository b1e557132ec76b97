"""The published account of accuracy: ``python -m tests.calibration.accuracy`` writes ``reports/accuracy.md`` and its plots."""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import costmodel
from costmodel.calibration.held_out import hold_out, predict_with
from costmodel.calibration.metrics import ordered_pairs, score
from costmodel.calibration.parameters import free_parameters
from costmodel.calibration.rows import only, read_for
from costmodel.calibration.samples import Sample, collect
from costmodel.calibration.transfer import profile_text
from costmodel.calibration.validation import JudgedTarget, Validation
from costmodel.devices import device, device_names, parse_device
from costmodel.reporting import accuracy
from tests.calibration import hosted_accuracy, ncnn_accuracy, suggested, tensorrt_profiles, timm_held_out, transformer_accuracy
from tests.calibration.ncnn_profiles import RUNTIME

COMMAND = "python -m tests.calibration.accuracy"
#: Draws of random rows, and of priors moved at random; the seed of both.
DRAWS, SEED = 10, 0


def main(folder: Path) -> None:
    """Validate every device with rows and write the account."""
    files = {name: _files(name) for name in device_names()}
    judged = [timm_held_out.judged(costmodel.validate(name, measurements=paths)) for name, paths in files.items() if paths]
    lines = [
        "# Accuracy on measured rows",
        "",
        f"Regenerate with `{COMMAND}`. Rows, with their sources: `device_profiles/measurements/`. Every figure is the mean absolute percentage error of",
        "predicted against measured latency unless its column says otherwise.",
        "",
        "- *profile*: the profile as it ships. Where its constants were fitted to these rows this is a training error.",
        "- *held out*: the same law fitted without the family that it predicts (`costmodel/calibration/families.py` says what counts as one family),",
        "  from the priors that the profile states. Constants are fitted to one core; several cores follow from the law of threads. An RTX's are fitted as",
        "  its profile's are, to all of timm's other families (`timm/without_family.csv`), of which the networks here are a part.",
        "- *supported* rows rest, by their kinds of work, on what the profile claims to be measured; the others are mostly transformers.",
        "- MACs, MACs+act., roofline: the baselines; the first two are fitted, without the family that they predict,",
        "  so that rows of a single family have none.",
        "- Which constants a law has, and the round priors of some (int8 normalisations, softmax, functions), were decided after seeing rows that are held",
        "  out here.",
        "- *factor*: the 90 % interval that families held out call for; *covers*: the share of each family inside the interval of the others.",
        "",
    ]
    for found in judged:
        lines += _device(found, folder)
    own = ncnn_accuracy.section() + hosted_accuracy.section() + tensorrt_profiles.section() + transformer_accuracy.section()
    lines += _pooled(judged) + own + _robust() + _few() + suggested.table()
    (folder / "accuracy.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _files(name: str) -> list[str]:
    """Paths of a device's rows, but for other laboratories' rows, which have their own section, as has ncnn where a device has no other."""
    files = [file for file in read_for(name, None) if Path(file.path).name != hosted_accuracy.FILE]
    runtimes = {row.runtime for file in files for row in file.rows if row.device == name}
    return [] if runtimes == {RUNTIME} else [file.path for file in files]


def _device(found: Validation, folder: Path) -> list[str]:
    title = device(found.device).profile.title
    picture = f"accuracy_{found.device}.png"
    accuracy.plot(found.to_dict(), str(folder / picture))
    lines = [f"## {title}", "", f"![predicted against measured]({picture})", ""]
    lines += [
        "| target | rows | parameters | profile | held out | median | in 10 % | supported, held out | MACs | MACs+act. | roofline | pairs in order "
        "| factor | covers |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [target_line(target, target.name) for target in found.targets]
    lines += _fitted_clocks(found.device)
    lines += ["", *(f"- not built: {entry.row.network}: {entry.reason}" for entry in found.unbuilt)]
    return lines + ([""] if found.unbuilt else [])


def _fitted_clocks(name: str) -> list[str]:
    """A remark where a clock of several cores is fitted to rows of them: what is held out of those is then no family of theirs."""
    return [
        line
        for path, entry in device(name).provenance.items()
        if path.endswith(".clock_together_ghz") and entry.kind == "fitted"
        for line in (
            "",
            f"The clock of several large cores, {entry.value:g} GHz, is fitted to all rows of them: to that extent *held out* is a training error there.",
        )
    ]


def target_line(target: JudgedTarget, name: str) -> str:
    """The table's line of a target under a name."""
    held, width = target.held_out, target.interval
    sound = [entry for entry in target.rows if entry.supported and entry.held_out_s is not None]
    supported = _mape((entry.held_out_s or 0.0, entry.measured_s) for entry in sound) if sound else "-"
    cells = [
        name,
        str(target.profile.rows),
        "-" if target.parameters is None else str(target.parameters),
        f"{target.profile.mape:.1%}",
        *(("-", "-", "-") if held is None else (f"{held.mape:.1%}", f"{held.median_ape:.1%}", f"{held.within_10:.0%}")),
        supported,
        *("-" if scores is None else f"{scores.mape:.0%}" for _, scores in target.baselines),
        "-" if held is None or held.ordered is None else f"{held.ordered:.1%}",
        "-" if width is None or not width.enough else f"{width.factor:.3f}",
        "-" if width is None or not width.enough or width.covered is None else f"{width.covered:.0%}",
    ]
    return "| " + " | ".join(cells) + " |"


def _mape(pairs: Iterable[tuple[float, float]]) -> str:
    errors = [abs(predicted / measured - 1) for predicted, measured in pairs]
    return f"{sum(errors) / len(errors):.1%}"


def _pooled(judged: Sequence[Validation]) -> list[str]:
    """Coverage and order over all targets."""
    targets = [target for found in judged for target in found.targets]
    enough = [target.interval for target in targets if target.interval is not None and target.interval.enough and target.interval.covered is not None]
    inside = sum((width.covered or 0.0) * width.rows for width in enough)
    rows = sum(width.rows for width in enough)
    stated = [entry.inside for target in targets for entry in target.rows]
    right = pairs = 0
    for target in targets:
        known = [entry for entry in target.rows if entry.held_out_s is not None]
        found = ordered_pairs([entry.held_out_s or 0.0 for entry in known], [entry.measured_s for entry in known])
        right, pairs = right + found[0], pairs + found[1]
    return [
        "## All targets together",
        "",
        f"- 90 % intervals on families held out cover {inside / rows:.1%} of {rows} supported rows of {len(enough)} targets (families counted once in each).",
        f"- The intervals that estimates state cover {sum(stated) / len(stated):.1%} of all {len(stated)} rows.",
        f"- Of {pairs} pairs on one target that are over 10 % apart, {right / pairs:.1%} come out in the right order, families held out.",
        "",
    ]


def _members(name: str, *, cores: str | None = None, dtype: str = "fp32") -> list[Sample]:
    """Samples of a device's CPU in one dtype, on `cores`."""
    text, path = profile_text(name)
    made = parse_device(text.encode(), path)
    rows = only(read_for(made.name, None), made.name, {"processor": "cpu", "dtype": dtype, "runtime": "tflite-padded"})
    return [sample for sample in collect(rows, made).samples if cores in (None, sample.row.cores)]


def _robust() -> list[str]:
    """Whether the Pixel 4's result hangs on priors that were chosen after looking."""
    members = _members("pixel4", cores="large=1")
    free = free_parameters(members[0].target, ground_core(members[0]))
    draw = random.Random(SEED)
    errors = []
    for _ in range(DRAWS):
        priors = {entry.path: entry.prior * math.exp(draw.gauss(0, 0.7)) for entry in free}
        held = hold_out(members, priors)
        found = score([seconds or 0.0 for seconds in held.predicted_s], [sample.seconds for sample in members], [sample.family for sample in members])
        errors.append(found.mape)
    return [
        "## Priors moved at random",
        "",
        "The Pixel 4's priors are constants that had been fitted to some of these rows. With every prior multiplied by a random factor (standard deviation",
        f"a factor of 2, {DRAWS} draws), families held out on its large core in fp32: median {statistics.median(errors):.1%}, "
        f"from {min(errors):.1%} to {max(errors):.1%}.",
        "",
    ]


def _few() -> list[str]:
    """The same from ten rows alone."""
    members = _members("pixel4", cores="large=1")
    draw = random.Random(SEED)
    errors = [_from_rows(members, draw.sample(members, 10)) for _ in range(DRAWS)]
    return [
        "## Ten rows",
        "",
        f"Pixel 4, large core, fp32, fitted to 10 random rows and scored on networks of families that are not among them ({DRAWS} draws): "
        f"median {statistics.median(errors):.1%}, from {min(errors):.1%} to {max(errors):.1%}.",
        "",
    ]


def _from_rows(members: Sequence[Sample], chosen: Sequence[Sample]) -> float:
    """Mean error on families that `chosen` has none of, from constants fitted to `chosen`."""
    families = {sample.family for sample in chosen}
    rest = [sample for sample in members if sample.family not in families]
    predicted = predict_with(chosen, rest)
    return statistics.mean(abs(seconds / sample.seconds - 1) for seconds, sample in zip(predicted, rest, strict=True))


def ground_core(sample: Sample) -> str:
    """The microarchitecture of a sample's cores."""
    return sample.target.machine.cores[0].core


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[2] / "reports")
