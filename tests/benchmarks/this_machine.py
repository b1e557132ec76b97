"""How well microbenchmarks of this machine predict whole networks: ``python -m tests.benchmarks.this_machine -o reports/this_machine.md``.

Calibrates under torch eager, LiteRT and ONNX Runtime on one thread (or goes on with the journals), measures networks that no plan measures and that played
no part in choosing the form of the law, and sets both predictions beside them: from operators alone, and with the two numbers from the anchors. Needs a
quiet machine: a network is measured until two measurements in a row agree beside which the fixed workload was no slower than beside the operators;
where that never is so there is no report.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import costmodel
from costmodel.calibration.fit import priced
from costmodel.calibration.local.backends import RUNTIMES, TORCH_EAGER, backend
from costmodel.calibration.local.calibrate import LocalCalibration
from costmodel.calibration.local.fitting import LocalFit, sample_of
from costmodel.calibration.local.measure import about
from costmodel.calibration.local.plan import Case
from costmodel.calibration.local.run import Run
from costmodel.calibration.local.timing import Bench, Probes
from costmodel.devices import resolve_target
from costmodel.estimation import estimate
from costmodel.graph import Graph
from costmodel.measuring import RUNTIME_OF, measure_whole
from costmodel.reference import ContendedError, measure

#: None of them was looked at before the law had its form; resnet-50, vgg-11, inception-v3, coatnet-0 and some twenty others were.
NETWORKS = (
    *("resnet-101", "wide-resnet-50-2", "vgg-16-bn", "inception-v4", "mobilenet-v1-0.5", "mobilenet-v2-1.4", "mobilenet-v3-large-0.75", "mnasnet-b1-0.5"),
    *("fbnet-c", "efficientnet-b1", "efficientnet-lite2", "efficientnetv2-s", "shufflenet-v2-1.5", "ghostnet-1.3", "regnet-x-800mf", "regnet-y-800mf"),
    *("convnext-s", "deit-s", "vit-b-16", "swin-s", "se-resnext-50-32x4d", "densenet-201", "xception-41", "mobilevit-xs", "coatnet-0-rw", "preresnet-34"),
    *("nasnet-a-mobile", "darknet-19"),
)


#: For how long a network is measured again, and what passes before the workload is looked at again.
PATIENCE_S, PAUSE_S = 120.0, 1.0
#: Slower over faster of two measurements that agree.
AGREE = 1.05
#: Whole networks are measured as `costmodel measure` does.
BACKEND_OF = {runtime: name for name, runtime in RUNTIME_OF.items()}


def main(journal: str, runtimes: list[str], *, quick: bool, command: str) -> str:
    """The report's text."""
    found = costmodel.calibrate_this_machine(runtimes=runtimes, journal=journal, quick=quick, progress=_tell)
    lines = [
        "# Whole networks from microbenchmarks of one machine",
        "",
        f"Regenerate with `{command}` on a quiet machine. Made on {about(backend(runtimes[0], threads=1, layout='nchw'))['processor']}, one thread.",
        f"No plan measures these {len(NETWORKS)} networks. *Operators alone*: the sum of what single operators take, and their starts after others; *with",
        "anchors*: with a factor and a cost for each start of a kernel (see `costmodel/calibration/local/fitting.py`) fitted to",
        f"{found.fits[0].families} other networks.",
        "",
        "| runtime | build | measurements | parameters | off an operator | operators alone, mean | median | with anchors, mean | median | factor | holds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    tables = []
    watch = Bench(backend(TORCH_EAGER, threads=1, layout="nchw"))
    for run, own in zip(found.runs, found.fits, strict=True):
        rows = [_row(name, run, own, found, watch) for name in NETWORKS]
        alone, whole = [row[2] for row in rows], [row[3] for row in rows]
        inside = sum(abs(math.log1p(error)) <= math.log(own.factor) for error in whole) / len(whole)
        cells = (run.runtime, run.build, len(run.measured.seconds), len(own.fit.free), f"{own.fit.residual:.0%}", _mean(alone), _median(alone), _mean(whole))
        lines.append(f"| {' | '.join(map(str, cells))} | {_median(whole)} | {own.factor:.2f} | {inside:.0%} |")
        correction = f"{own.correction.alpha:.3f} times the sum of operators, {own.correction.beta_us:+.1f} us a {run.start}"
        tables += ["", f"## {run.runtime}", "", correction, "", "| network | measured, ms | operators alone | with anchors |", "|---|---|---|---|"]
        tables += [f"| {name} | {seconds * 1e3:.2f} | {first:+.1%} | {second:+.1%} |" for name, seconds, first, second in rows]
    return "\n".join([*lines, *tables])


def _row(name: str, run: Run, own: LocalFit, found: LocalCalibration, watch: Bench) -> tuple[str, float, float, float]:
    """(network, measured seconds, errors from operators alone and with anchors)."""
    _tell(0, 0, f"{run.runtime} {name}")
    target = resolve_target(found.device, runtime=run.runtime, threads=1)
    graph = costmodel.build(name, padding="symmetric")
    seconds = _undisturbed(lambda: _measured(graph, run), watch, run)
    sample = sample_of(Case(name=name, family=name, role="anchor", graph=graph), seconds, target)
    return name, seconds, float(priced([sample], own.alone)[0]) / seconds - 1, estimate(graph, target).latency_s / seconds - 1


def _measured(graph: Graph, run: Run) -> float:
    """Seconds of a pass."""
    used = BACKEND_OF.get(run.runtime)
    if used == "torch":
        return measure(graph, attempts=6).latency_s
    if used is not None:
        return measure_whole(graph, used, attempts=6).latency_s
    # LiteRT's own kernels
    found = Bench(backend(run.runtime, threads=1, layout="nhwc")).time(Case(name=graph.name, family=graph.name, role="anchor", graph=graph))
    if found.fault:
        raise ContendedError(found.fault)
    return found.seconds


def _undisturbed(seconds: Callable[[], float], watch: Bench, run: Run) -> float:
    """The faster of the first two measurements in a row that agree, before and after which the fixed workload was no slower than beside the operators.

    Raises
    ------
    ContendedError
        If there are none for `PATIENCE_S`.
    """
    watch.probes.since(run.workload_s)
    begun, last, fault = time.monotonic(), math.inf, ""
    while time.monotonic() < begun + PATIENCE_S:
        found, fault = _attempt(seconds, watch.probes)
        faster, slower = min(found, last), max(found, last)
        if slower <= AGREE * faster < math.inf:
            return faster
        last = found
        if fault:
            time.sleep(PAUSE_S)
    raise ContendedError(f"the machine is busy: {fault or 'passes disagree'}; what was calibrated is kept: run this again with the same journal")


def _attempt(seconds: Callable[[], float], probes: Probes) -> tuple[float, str]:
    """Seconds, or infinity and why they cannot be trusted."""
    try:
        before = probes.take()
        fault = probes.fault(before)
        found = math.inf if fault else seconds()
        fault = fault or probes.fault(before, probes.take())
    except ContendedError as error:
        return math.inf, str(error)
    return (math.inf if fault else found), fault


def _tell(done: int, total: int, at: str) -> None:
    print(f"\r{done}/{total} {at:24}", end="", file=sys.stderr)


def _mean(errors: list[float]) -> str:
    return f"{statistics.fmean(map(abs, errors)):.1%}"


def _median(errors: list[float]) -> str:
    return f"{statistics.median(map(abs, errors)):.1%}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", help="write the report here; without it, it is printed")
    parser.add_argument("--journal", default="this-machine.journal", help="keeps the measurements")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runtime", default=",".join(RUNTIMES), help="runtimes, with commas")
    options = parser.parse_args()
    command = " ".join(["python -m tests.benchmarks.this_machine", *sys.argv[1:]])
    text = main(options.journal, options.runtime.split(","), quick=options.quick, command=command)
    if options.output:
        Path(options.output).write_text(text + "\n", encoding="utf-8")
    print(text)
