"""How well microbenchmarks of this machine predict whole networks: ``python -m tests.benchmarks.this_machine -o reports/this_machine.md``.

Calibrates under torch eager on one thread (or goes on with the journal), measures networks that no plan measures and that played no part in choosing the
form of the law, and sets both predictions beside them: from operators alone, and with the two numbers from the anchors. Needs a quiet machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from pathlib import Path

import costmodel
from costmodel.calibration.fit import priced
from costmodel.calibration.local.fitting import sample_of
from costmodel.calibration.local.measure import about
from costmodel.calibration.local.plan import Case
from costmodel.devices import resolve_target
from costmodel.estimation import estimate
from costmodel.reference import measure

COMMAND = "python -m tests.benchmarks.this_machine -o reports/this_machine.md"
#: None of them was looked at before the law had its form; resnet-50, vgg-11, inception-v3, coatnet-0 and some twenty others were.
NETWORKS = (
    *("resnet-101", "wide-resnet-50-2", "vgg-16-bn", "inception-v4", "mobilenet-v1-0.5", "mobilenet-v2-1.4", "mobilenet-v3-large-0.75", "mnasnet-b1-0.5"),
    *("fbnet-c", "efficientnet-b1", "efficientnet-lite2", "efficientnetv2-s", "shufflenet-v2-1.5", "ghostnet-1.3", "regnet-x-800mf", "regnet-y-800mf"),
    *("convnext-s", "deit-s", "vit-b-16", "swin-s", "se-resnext-50-32x4d", "densenet-201", "xception-41", "mobilevit-xs", "coatnet-0-rw", "preresnet-34"),
    *("nasnet-a-mobile", "darknet-19"),
)


def main(journal: str, *, quick: bool) -> str:
    """The report's text."""
    found = costmodel.calibrate_this_machine(
        journal=journal, quick=quick, progress=lambda done, total, at: print(f"\r{done}/{total} {at:24}", end="", file=sys.stderr)
    )
    target = resolve_target(found.device, threads=1)
    rows, alone, whole = [], [], []
    for name in NETWORKS:
        graph = costmodel.build(name, padding="symmetric")
        seconds = measure(graph, attempts=6).latency_s
        sample = sample_of(Case(name=name, family=name, role="anchor", graph=graph), seconds, target)
        errors = (float(priced([sample], found.found.fit.values)[0]) / seconds - 1, estimate(graph, target).latency_s / seconds - 1)
        alone.append(errors[0])
        whole.append(errors[1])
        rows.append(f"| {name} | {seconds * 1e3:.2f} | {errors[0]:+.1%} | {errors[1]:+.1%} |")
    made = about(1, "nchw")
    inside = sum(abs(math.log1p(error)) <= math.log(found.found.factor) for error in whole) / len(whole)
    return "\n".join(
        [
            "# Whole networks from microbenchmarks of one machine",
            "",
            f"Regenerate with `{COMMAND}` on a quiet machine. Made on {made['processor']} with torch {made['torch']}, one thread, nchw; "
            f"{len(found.measured.seconds)} measurements, {len(found.found.fit.free)} parameters, off by {found.found.fit.residual:.0%} an operator.",
            "",
            f"- from operators alone: mean error {_mean(alone):.1%}, median {_median(alone):.1%}",
            f"- with two numbers from {len(found.found.anchors)} other networks ({found.found.correction.alpha:.3f} times the sum, "
            f"{found.found.correction.beta_us:+.1f} us a kernel): mean error {_mean(whole):.1%}, median {_median(whole):.1%}; "
            f"the profile's 90 % interval, a factor of {found.found.factor:.2f}, holds {inside:.0%}",
            "",
            "| network, not in the plan | measured, ms | operators alone | with anchors |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _tell(done: int, total: int, at: str) -> None:
    print(f"\r{done}/{total} {at:24}", end="", file=sys.stderr)


def _mean(errors: list[float]) -> float:
    return statistics.fmean(map(abs, errors))


def _median(errors: list[float]) -> float:
    return statistics.median(map(abs, errors))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", help="write the report here; without it, it is printed")
    parser.add_argument("--journal", default="this-machine.journal", help="keeps the measurements")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    text = main(options.journal, quick=options.quick)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")
    print(text)
