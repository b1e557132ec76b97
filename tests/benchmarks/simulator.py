"""What the simulator says beside the estimate and beside measurements. Writes a report, asserts nothing.

    python -m tests.benchmarks.simulator -o reports/simulator.md

``--measure 5`` measures branches on this machine, too; times of networks that others published are measured rows, or stand in this file with their source.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import costmodel
from costmodel import simulating
from costmodel.calibration.held_out import hold_out
from costmodel.calibration.rows import read_rows
from costmodel.calibration.samples import Sample
from costmodel.devices import Target, profile_folder
from costmodel.lowering import lower
from costmodel.quantity import binary
from costmodel.simulation import Settings, Timeline, simulate
from costmodel.simulation.array import DATAFLOWS, array_of, on_array
from costmodel.simulation.serving import Policy, Service, poisson, saturation_per_s, serve
from tests.benchmarks.branches import OTHERS, measured
from tests.calibration import coral_hosts
from tests.simulation.test_machines import NETWORKS, targets

COMMAND = "python -m tests.benchmarks.simulator --measure 9 -o reports/simulator.md"

#: Network of the zoo -> milliseconds on Coral's USB accelerator and on its Dev Board: coral.ai, docs/edgetpu/benchmarks, table 1. The page's
#: SqueezeNet does not say its version; 1.1 is taken.
CORAL = {
    "mobilenet-v1@224": (2.4, 2.4),
    "mobilenet-v2@224": (2.6, 2.6),
    "googlenet-bn": (3.4, 4.1),
    "squeezenet-1.1": (2.1, 2.0),
    "efficientnet-edgetpu-s": (5.1, 5.5),
    "resnet-50-v1@299": (49, 56),
    "inception-v4": (85, 102),
    "vgg-16": (296, 343),
    "vgg-19": (308, 357),
}
#: Networks with branches that are measured here.
BRANCHED = ("inception-v4", "inception-v3", "googlenet", "googlenet-bn", "nasnet-a-mobile")
LINK_USB2 = 40e6  # 480 Mb/s less the frames of bulk transfers: 13 packets of 512 bytes in 125 us are 53 MB/s (USB 2.0, section 5.8.4), hosts reach 30 to 40


def main(passes: int) -> str:
    """The report's text."""
    lines = ["# The simulator beside the estimate and measurements", "", f"Regenerate with `{COMMAND}`.", ""]
    for section in (equality(), coral(), edge_tpu(), slow_hosts(), gpus(), branches(passes), arrays(), queues(), speed()):
        lines += [*section, ""]
    return "\n".join(lines).rstrip() + "\n"


def equality() -> list[str]:
    """How many makespans without overlap equal the estimate."""
    equal = total = 0
    for network in NETWORKS:
        graph, programs = costmodel.build(network), {}
        for target in targets():
            key = (target.rules.name, target.dtype, target.layout)
            program = programs.get(key) or programs.setdefault(key, lower(graph, target.rules, target.dtype, target.layout))
            timeline = simulate(program, target, Settings(overlap=False, policy="ignore"))
            equal += timeline.makespan_ps == timeline.estimate_ps
            total += 1
    return [
        "## Without overlap",
        "",
        f"Of {len(NETWORKS)} networks on {len(targets())} targets (each processor of each profile) {equal} of {total} makespans equal the estimate to the "
        "picosecond; what a memory that is too small costs is left out.",
    ]


def coral() -> list[str]:
    """Coral's table: measured, estimated, simulated."""
    lines = [
        "## Coral: streamed parameters",
        "",
        "Milliseconds of Coral's page (coral.ai, docs/edgetpu/benchmarks).",
        "",
    ]
    lines += [
        "| network | device | measured | estimate | error | simulated | error | on chip | streamed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    errors: list[tuple[float, float, float]] = []  # of the estimate and of the simulation, and bytes streamed
    for network, device, actual, timeline in _coral_rows():
        both = [seconds * 1e3 / actual - 1 for seconds in (timeline.estimate_s, timeline.makespan_s)]
        errors.append((abs(both[0]), abs(both[1]), timeline.facts["streamed_bytes"]))
        cells = [f"{timeline.estimate_s * 1e3:.2f}", f"{both[0]:+.1%}", f"{timeline.makespan_s * 1e3:.2f}", f"{both[1]:+.1%}"]
        held = [binary(timeline.facts[name]) for name in ("cached_bytes", "streamed_bytes")]
        lines.append(f"| {' | '.join([network, device, f'{actual:g}', *cells, *held])} |")
    lines += ["", "Mean absolute error:", ""]
    for what, least in (("rows", -1.0), ("rows that stream", 0.0), ("rows that stream more than 1 MiB", 2.0**20)):
        rows = [row for row in errors if row[2] > least]
        lines.append(f"- {len(rows)} {what}: estimate {statistics.mean(row[0] for row in rows):.2%}, simulation {statistics.mean(row[1] for row in rows):.2%}")
    lines += ["", "Constants of the law were fitted to rows of this page; the size of the FIFO was chosen after looking at them."]
    return lines


@cache
def _coral_rows() -> tuple[tuple[str, str, float, Timeline], ...]:
    """(network, device, measured milliseconds, simulation) of Coral's page."""
    return tuple(
        (network, device, actual, costmodel.simulate(costmodel.build(network, padding="same"), device=device))
        for network, row in CORAL.items()
        for device, actual in zip(("coral-usb", "coral-devboard"), row, strict=True)
    )


def edge_tpu() -> list[str]:
    """The effects of a slow link, of co-compilation, of inferences in flight and of an operator that the compiler does not take."""
    lines = ["## Edge TPU: other hosts, other networks, several inferences (illustrative)", "", "| command | makespan | alone |", "|---|---|---|"]
    rows: tuple[tuple[str, str, dict[str, object]], ...] = (
        ("mobilenet-v2", "--link-mb-per-s 40", {"link_bytes_per_s": LINK_USB2}),
        ("resnet-50", "--link-mb-per-s 40", {"link_bytes_per_s": LINK_USB2}),
        ("mobilenet-v2", "--co-compiled efficientnet-lite0", {"co_compiled": ("efficientnet-lite0",)}),
        ("mobilenet-v2", "--inferences 8 --in-flight 2", {"inferences": 8, "in_flight": 2}),
        ("resnet-50", "--inferences 8 --in-flight 2", {"inferences": 8, "in_flight": 2}),
        ("mobilenet-v2", "--quantise", {"quantise": True}),
    )
    for network, words, options in rows:
        alone = costmodel.simulate(network, device="coral-usb", inferences=options.get("inferences", 1))
        timeline = costmodel.simulate(network, device="coral-usb", **options)
        lines.append(f"| `costmodel simulate {network} --device coral-usb {words}` | {timeline.makespan_s * 1e3:.2f} ms | {alone.makespan_s * 1e3:.2f} ms |")
    lines += [
        "",
        "Where an operator is not taken, everything from there on runs on the host:",
        "",
        "| network | makespan | on the array | on the host |",
        "|---|---|---|---|",
    ]
    for network in ("mobilenet-v2", "swin-t", "vit-b-16", "mobilevit-xs"):
        timeline = costmodel.simulate(network, device="coral-usb")
        busy = {name: share * timeline.makespan_s * 1e3 for name, share in timeline.busy.items()}
        lines.append(f"| {network} | {timeline.makespan_s * 1e3:.2f} ms | {busy['array']:.2f} ms | {busy['host cpu']:.2f} ms |")
    return lines


def slow_hosts() -> list[str]:
    """Coral's USB accelerator on Raspberry Pis: by the profile, and two networks by constants that saw only the other two."""
    found = coral_hosts.samples()
    pair = [sample for sample in found if sample.row.network in coral_hosts.TWO_NETWORKS]
    rest = [sample for sample in found if sample not in pair]
    held = coral_hosts.judged(found, coral_hosts.without(found, coral_hosts.network))
    whole, from_pair = costmodel.target(coral_hosts.PROFILE), costmodel.target(coral_hosts.fitted_to(pair))
    head = ["", "| network | Raspberry Pi | measured | estimate | error | simulated | error | on chip | streamed |", "|---|---|---|---|---|---|---|---|---|"]
    return [
        "## Edge TPU on slow hosts: measured",
        "",
        f"Milliseconds of google-coral/pycoral (`device_profiles/measurements/coral_hosts.csv`), and `--device {coral_hosts.PROFILE}`: the Edge TPU of",
        f"`{coral_hosts.ORIGIN}`, with the link's rate and the time of an invocation fitted to these rows, {_of_host(whole)}.",
        *head,
        *_on_slow_host(found, whole),
        "",
        f"Predicted: the same two constants fitted to the rows of {' and '.join(coral_hosts.TWO_NETWORKS)} alone, one network that stays on chip and",
        f"one that streams: {_of_host(from_pair)}. MobileNetV2 and Inception v1 (`googlenet-bn`), below, took no part.",
        *head,
        *_on_slow_host(rest, from_pair),
        "",
        _together(found, whole),
        "",
        f"Each network predicted from the other three: estimate {held.mape:.1%}, largest {held.largest_ape:.1%}.",
        f"Without {coral_hosts.TWO_NETWORKS[1]} little streams in the rows that are left, and the rate of the link shows in inputs alone.",
        "",
        *_all_free(found),
    ]


def _together(found: Sequence[Sample], target: Target) -> str:
    """Mean errors over these rows and those of Coral's page."""
    rows = [(actual / 1e3, timeline) for _, _, actual, timeline in _coral_rows()]
    rows += [(sample.seconds, simulate(sample.program, target)) for sample in found]
    estimate, simulation = (statistics.mean(abs(getattr(timeline, name) / actual - 1) for actual, timeline in rows) for name in ("estimate_s", "makespan_s"))
    return f"All {len(rows)} public rows together, those of Coral's page and the first table's here: estimate {estimate:.2%}, simulation {simulation:.2%}."


def _all_free(found: Sequence[Sample]) -> list[str]:
    """What every constant of the law free says of the same rows, and why it is not taken."""
    held = hold_out(found)
    (fit,) = (entry.fit for entry in held.fits)
    families = coral_hosts.judged(found, [seconds or 0.0 for seconds in held.predicted_s])
    origin, of_host = costmodel.target(coral_hosts.ORIGIN).machine.parameters, (*coral_hosts.LINK, *coral_hosts.INVOCATION)
    moved = [f"{entry.value / getattr(origin, entry.name):.2f} times its `{entry.name}`" for entry in fit.free if entry.name not in of_host]
    return [
        f"With all {len(fit.parameters)} constants of the law free (`costmodel validate`) families held out are {families.mape:.1%} off. But the chip is that",
        f"of `{coral_hosts.ORIGIN}`, and would have {' and '.join(moved)}, which hints at bytes that cross the link with the outputs and that no term",
        "of the law knows.",
    ]


def _of_host(target: Target) -> str:
    """The two constants of a host in words."""
    parameters = target.machine.parameters
    return f"{parameters.link_gb_per_s * 1e3:.1f} MB/s and {parameters.invocation_ms:.2f} ms"


def _on_slow_host(found: Sequence[Sample], target: Target) -> list[str]:
    """A line for each row, and the mean errors."""
    lines, errors = [], []
    for sample in sorted(found, key=coral_hosts.board):
        timeline = simulate(sample.program, target)
        both = [seconds / sample.seconds - 1 for seconds in (timeline.estimate_s, timeline.makespan_s)]
        errors.append(both)
        cells = [f"{timeline.estimate_s * 1e3:.2f}", f"{both[0]:+.1%}", f"{timeline.makespan_s * 1e3:.2f}", f"{both[1]:+.1%}"]
        held = [binary(timeline.facts[name]) for name in ("cached_bytes", "streamed_bytes")]
        lines.append(f"| {' | '.join([sample.row.network, coral_hosts.board(sample), f'{sample.seconds * 1e3:g}', *cells, *held])} |")
    means = [statistics.mean(abs(row[column]) for row in errors) for column in (0, 1)]
    return [*lines, "", f"Mean absolute error of {len(errors)} rows: estimate {means[0]:.1%}, simulation {means[1]:.1%}."]


def gpus() -> list[str]:
    """Launch-bound networks, and EfficientNetV2-S against B4 over batches."""
    lines = [
        "## GPUs: launches and batches",
        "",
        "`costmodel simulate mobilenet-v2 --device v100 --batch N` (torch-eager), with and without `--cuda-graph`:",
        "",
    ]
    lines += ["| batch | kernels x launch | launched one by one | stream busy | CUDA graph (illustrative) |", "|---|---|---|---|---|"]
    for batch in (1, 2, 4, 8, 16, 32, 64, 128):
        plain, graph = (costmodel.simulate("mobilenet-v2", device="v100", batch=batch, cuda_graph=cuda_graph) for cuda_graph in (False, True))
        launches = sum(span.end_ps - span.start_ps for span in plain.spans if span.phase == "launch") / 1e9
        times = [launches, plain.makespan_s * 1e3]
        lines.append(f"| {batch} | {times[0]:.2f} ms | {times[1]:.2f} ms | {plain.busy['stream']:.1%} | {graph.makespan_s * 1e3:.2f} ms |")
    lines += [
        "",
        "EfficientNetV2-S against EfficientNet-B4, `--runtime tensorrt --dtype fp16`, beside TensorRT 8.0 with CUDA graphs",
        "(`device_profiles/measurements/tensorrt.csv`). The runtime's constants were fitted to these figures, and it has no launches to simulate: the",
        "estimate says the same.",
        "",
        "| device | network | batch | measured | simulated | error |",
        "|---|---|---|---|---|---|",
    ]
    found: dict[tuple[str, int], dict[str, tuple[float, float]]] = {}  # (device, batch) -> network -> seconds measured and simulated
    for row in read_rows(profile_folder() / "measurements" / "tensorrt.csv").rows:
        if row.dtype != "fp16":
            continue
        timeline = costmodel.simulate(row.network, device=row.device, runtime=row.runtime, dtype=row.dtype, batch=row.batch)
        found.setdefault((row.device, row.batch), {})[row.network] = row.seconds, timeline.makespan_s
        cells = f"{row.seconds * 1e3:g} | {timeline.makespan_s * 1e3:.2f} | {timeline.makespan_s / row.seconds - 1:+.0%}"
        lines.append(f"| {row.device} | {row.network} | {row.batch} | {cells} |")
    lines += ["", "How many times as long B4 takes:", "", "| device | batch | measured | simulated | error |", "|---|---|---|---|---|"]
    for (device, batch), of in found.items():
        actual, ours = (large / small for large, small in zip(of["efficientnet-b4"], of["efficientnetv2-s@384"], strict=True))
        lines.append(f"| {device} | {batch} | {actual:.2f} | {ours:.2f} | {ours / actual - 1:+.0%} |")
    return lines


def branches(passes: int) -> list[str]:
    """Branches beside each other on two cores: simulated, and measured here where that is asked for and nothing else runs."""
    lines = ["## Branches on a CPU (illustrative)", ""]
    lines += ["What two operators at once take, of the time of one after the other, each on one core: simulated with `--threads 2 --parallel 2`"]
    lines += ["`--own-cores` against `--threads 1` (`--device this-machine`, torch-eager), and measured by `python -m tests.benchmarks.branches`: torch's"]
    lines += [f"operators from two workers, the median of passes during which other programs had less than {OTHERS:.0%} of a core. An analytic sum of"]
    lines += ["kernels knows no branches and says 1 for all.", ""]
    lines += ["| network | simulated | measured | error of the simulation | error of the sum |", "|---|---|---|---|---|"]
    errors = []
    for network in BRANCHED:
        one = costmodel.simulate(network, device="this-machine", threads=1)
        ours = costmodel.simulate(network, device="this-machine", threads=2, parallel=2, own_cores=True).makespan_s / one.makespan_s
        found = measured(network, passes) if passes else None
        if found is None:
            lines.append(f"| {network} | {ours:.3f} | {'the machine was busy' if passes else 'not asked for'} | | |")
            continue
        actual = found.parallel_s / found.serial_s
        errors.append((abs(ours / actual - 1), abs(1 / actual - 1)))
        lines.append(f"| {network} | {ours:.3f} | {actual:.3f} | {ours / actual - 1:+.1%} | {1 / actual - 1:+.1%} |")
    if errors:
        lines += ["", f"Mean absolute error: simulation {statistics.mean(row[0] for row in errors):.1%}, sum {statistics.mean(row[1] for row in errors):.1%}."]
    return lines


def arrays() -> list[str]:
    """Cycles on a 64x64 array."""
    lines = [
        "## Systolic array in detail (illustrative)",
        "",
        "`costmodel simulate NETWORK --device coral-usb --detail array --dataflow D`, 64x64 at 500 MHz. A plain array, as textbooks have it: what the chip",
        "itself takes is *measured* and *simulated* by its law. Depthwise windows fill a column of a plain array and much more of the chip's.",
        "",
    ]
    lines += ["| network | dataflow | cycles | time | outside the array | multipliers busy | measured | simulated |", "|---|---|---|---|---|---|---|---|"]
    for network in ("resnet-18", "mobilenet-v1"):
        actual = CORAL.get(f"{network}@224")
        law = f"{f'{actual[0]:g} ms' if actual else 'not published'} | {costmodel.simulate(network, device='coral-usb').makespan_s * 1e3:.2f} ms"
        for dataflow in DATAFLOWS:
            found = simulating.array_detail(network, device="coral-usb", dataflow=dataflow)
            times = f"{found.latency_s * 1e3:.2f} ms | {found.rest_s * 1e3:.2f} ms"
            lines.append(f"| {network} | {dataflow} | {found.cycles:,} | {times} | {found.utilisation:.1%} | {law} |")
    return lines


def queues() -> list[str]:
    """Serving against queueing theory."""
    lines = ["## Serving", "", "One device, batches of one, a service of 10 ms, 400,000 Poisson requests: mean wait beside M/D/1's.", ""]
    lines += ["| load | simulated | M/D/1 | error |", "|---|---|---|---|"]
    one = Service(name="one", batch_s=(10e-3,))
    for load in (0.3, 0.5, 0.7):
        found, theory = serve([one], poisson(load / 10e-3, 400_000, seed=2)).total.wait_s, load * 10e-3 / (2 * (1 - load))
        lines.append(f"| {load:.0%} | {found * 1e3:.3f} ms | {theory * 1e3:.3f} ms | {found / theory - 1:+.2%} |")
    policy = Policy(max_batch=8)
    made = simulating.services(["resnet-50"], max_batch=8, device="a100")
    most = saturation_per_s(made, policy)
    flooded = serve(made, poisson(10 * most, 40_000), policy)
    lines += ["", f"ResNet-50 on an A100, batches of up to 8, ten times more requests than it serves: {flooded.completed_per_s:.0f} a second completed; the"]
    lines += [f"reciprocal of the bottleneck is {most:.0f}."]
    return lines


def speed() -> list[str]:
    """CPU milliseconds of simulating whole networks."""
    lines = ["## What a simulation costs", "", "CPU milliseconds on the machine that wrote this, the best of five: of a program that is lowered already.", ""]
    lines += ["| network | device | kernels | estimate's lowering | simulation | array detail |", "|---|---|---|---|---|---|"]
    timed = (*((network, "coral-usb") for network in ("mobilenet-v2", "resnet-50", "vgg-16")), ("efficientnet-b5", "v100"), ("nasnet-a-large", "v100"))
    for network, device in timed:
        graph, target = costmodel.build(network), costmodel.target(device)
        program = lower(graph, target.rules, target.dtype, target.layout)
        array = array_of(target, program, shape=(64, 64))
        times = (
            _milliseconds(lambda graph=graph, target=target: lower(graph, target.rules, target.dtype, target.layout)),  # type: ignore[misc]  # bound
            _milliseconds(lambda program=program, target=target: simulate(program, target)),  # type: ignore[misc]  # bound here
            _milliseconds(lambda program=program, target=target, array=array: on_array(program, target, array)),  # type: ignore[misc]  # bound here
        )
        lines.append(f"| {network} | {device} | {len(program.kernels)} | {' | '.join(f'{time:.0f}' for time in times)} |")
    return lines


def _milliseconds(what: Callable[[], object]) -> float:
    taken = []
    for _ in range(5):
        started = time.process_time()
        what()
        taken.append(time.process_time() - started)
    return min(taken) * 1e3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="path", help="write the report here; stdout without")
    parser.add_argument("--measure", type=int, default=0, metavar="N", help="measure branches here, in so many quiet passes of each network")
    given = parser.parse_args()
    text = main(given.measure)
    if given.path:
        Path(given.path).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
