"""The published account of accuracy on timm's rows: ``python -m tests.calibration.timm_accuracy FIT/timm_rows.csv`` writes ``reports/accuracy_gpus.md``.

FIT is the folder that `timm_rows` made: its rows name graphs that do not ship.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from costmodel.calibration.metrics import score
from costmodel.calibration.rows import MeasuredRow, RowFile, read_rows
from costmodel.calibration.samples import Sample, collect
from costmodel.calibration.validation import JudgedTarget, validate
from costmodel.devices import device
from costmodel.laws import price
from tests.calibration.accuracy import target_line

COMMAND = "python -m tests.calibration.timm_accuracy FIT/timm_rows.csv"
#: Device and runtime; all layouts of one share their constants, and a family is held out in all of them at once.
TARGETS = (("rtx3090", "torch-eager"), ("rtx4090", "torch-eager"), ("rtx4090", "torch-compile"), ("i9-10940x", "torch-compile"))
HEADER = (
    "| target | rows | parameters | profile | held out | median | in 10 % | supported, held out | MACs | MACs+act. | roofline | pairs in order "
    "| factor | covers |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
)


def main(path: Path, report: Path) -> None:
    """Validate every target and both moves between GPUs."""
    rows = read_rows(path)
    lines = [
        "# Accuracy on server GPUs and a desktop CPU",
        "",
        f"Regenerate with `{COMMAND}`; `device_profiles/measurements/README.md` says how FIT is made. Columns as in `accuracy.md`;",
        "*held out*: six folds of whole timm families, each predicted by constants fitted without it; at most 20 rows a family. The form of the law and",
        "the lowering were chosen after looking at residuals of these rows.",
        "",
        *HEADER,
    ]
    families = []
    for name, runtime in TARGETS:
        print(name, runtime, flush=True)
        for judged in validate(_rows(rows, name, runtime), device(name)).targets:
            lines.append(target_line(judged, f"{name} {judged.name} {judged.layout}"))
            families += ["", f"Families of {name} {judged.name} {judged.layout}, held out, mean log ratio: {_bias(judged)}."]
    lines += [*families, "", "## A GPU never fitted", "", "Constants of one RTX with the peaks, bandwidth and cache of the other, torch-eager amp:", ""]
    samples = {name: collect(_rows(rows, name, "torch-eager"), device(name)).samples for name in ("rtx3090", "rtx4090")}
    for source, other in (("rtx3090", "rtx4090"), ("rtx4090", "rtx3090")):
        for layout in dict.fromkeys(sample.target.layout for sample in samples[other]):
            members = tuple(sample for sample in samples[other] if sample.target.layout == layout)
            lines.append(f"- {source} -> {other} {layout}: {_moved(samples[source], members)}")
    report.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _rows(file: RowFile, name: str, runtime: str) -> list[MeasuredRow]:
    return [row for row in file.rows if (row.device, row.runtime) == (name, runtime)]


def _bias(judged: JudgedTarget) -> str:
    assert judged.held_out is not None, "there are many families"
    worst = sorted(judged.held_out.bias, key=lambda entry: -abs(entry[1]))
    return ", ".join(f"{family} {bias:+.0%} ({rows})" for family, bias, rows in worst)


def _moved(source: tuple[Sample, ...], samples: tuple[Sample, ...]) -> str:
    """Errors of samples by the constants of another device; its cache is hardware and stays."""
    own = samples[0].target.machine.parameters
    parameters = source[0].target.machine.parameters.model_copy(update={"cache_mib": own.cache_mib, "cache_bonus": own.cache_bonus})
    machine = dataclasses.replace(samples[0].target.machine, parameters=parameters)
    predicted = [price(sample.target.law, sample.program, machine).latency_s for sample in samples]
    found = score(predicted, [sample.seconds for sample in samples], [sample.family for sample in samples])
    return f"mean error {found.mape:.1%}, median {found.median_ape:.1%}, {found.within_10:.0%} within 10 %, {found.rows} rows"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parents[2] / "reports" / "accuracy_gpus.md")
