"""Published claims beside what this package counts, predicts and measures. Writes a table, asserts nothing.

    python -m tests.benchmarks.headlines -o reports/headlines.md

Measured pairs run here in torch, one thread, in turn (A B A B) with random weights; seconds are CPU time of the process,
so that other programs disturb little, and the ratio is that of the fastest rounds. Counts and predictions are the claims
that the tests in `tests/published` check. ``--rounds 0`` leaves the measurements out.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from costmodel import reference, zoo
from costmodel.graph import Graph, GraphBuilder
from costmodel.lowering import lower, rule_set
from costmodel.memory import materialised
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d
from costmodel.ops.elementwise import ReLU
from costmodel.quantity import duration, si, significant
from costmodel.reference._execute import random_inputs, random_weights
from costmodel.tensor import DType, TensorSpec
from costmodel.zoo._printed import UNEXPLAINED, _table
from tests.published import test_claims_classics, test_claims_devices, test_claims_efficientnet, test_claims_mobilenet, test_claims_small_networks
from tests.published.claims import Claim, Gap, holds, near, within

COMMAND = "python -m tests.benchmarks.headlines -o reports/headlines.md"
#: Least CPU time of one sample; shorter networks run several times.
SAMPLE_S = 0.2
#: Memory that a pair needs beyond weights and activations: torch itself, packed weights, scratch.
SPARE_BYTES = 4e9


class Pair(NamedTuple):
    """A claim that one network takes `published` times as long as another, and the band within which ours agrees."""

    claim: str
    source: str
    published: str
    slow: Callable[[], Graph]
    fast: Callable[[], Graph]
    low: float
    high: float
    rounds: float = 1.0


def named(name: str) -> Callable[[], Graph]:
    """The zoo's network of that name in torch's own padding, since torch must copy images that are padded on one side."""
    return partial(zoo.build, name, padding="symmetric")


def block(*, separable: bool) -> Graph:
    """A 3x3 convolution of 512 channels on 14x14, or a depthwise 3x3 and a 1x1, with ReLU."""
    builder = GraphBuilder("separable" if separable else "dense")
    x = builder.input("x", TensorSpec((1, 512, 14, 14)))
    if separable:
        x = builder.add(ReLU(), builder.add(DepthwiseConv2d((3, 3), padding=(1, 1, 1, 1)), x))
        return builder.build(builder.add(ReLU(), builder.add(Conv2d(512), x)))
    return builder.build(builder.add(ReLU(), builder.add(Conv2d(512, (3, 3), padding=(1, 1, 1, 1)), x)))


PAIRS = (
    Pair("ResNet-152 over EfficientNet-B1@240", "arXiv:1905.11946 Table 4", "5.7", named("resnet-152"), named("efficientnet-b1"), 3, 12),
    Pair("AlexNet over ShuffleNet x0.5 (g=3)", "arXiv:1707.01083 Table 8", "13", named("alexnet"), named("shufflenet-v1-0.5-g3"), 3, 19),
    Pair("AmoebaNet-B@480 over EfficientNet-B7@600", "arXiv:1905.11946 Table 4", "6.1", named("amoebanet-b"), named("efficientnet-b7"), 4, 8, 0.25),
    Pair("SE-ResNet-50 over ResNet-50", "arXiv:1709.01507 section 4", "1.02", named("se-resnet-50"), named("resnet-50"), 1.0, 1.6),
    Pair("VGG-16 over MobileNetV2", "arXiv:1801.04381, at least 5", "5", named("vgg-16"), named("mobilenet-v2"), 5, math.inf),
    Pair(
        "3x3 over separable, 512 channels at 14x14",
        "arXiv:1704.04861 section 3.1",
        "8.84 in MACs",
        partial(block, separable=False),
        partial(block, separable=True),
        1.2,
        8.84,
    ),
)

#: MobileNetV2's Table 3; `tests/published/test_claims_memory.py` checks it channel by channel.
MEMORY = (
    near("MobileNetV1's largest tensor that must exist", "arXiv:1801.04381 Table 3", 800e3, lambda: largest("mobilenet-v1"), 0.01),
    near("MobileNetV2's largest tensor, a block listed at the resolution it reads", "arXiv:1801.04381 Table 3", 200e3, lambda: largest("mobilenet-v2"), 0.01),
    within(
        "ShuffleNet x2's largest tensor with 2 groups, printed in one digit",
        "arXiv:1801.04381 Table 3",
        600e3,
        lambda: largest("shufflenet-v1-2.0-g2"),
        600e3,
        700e3,
    ),
    Gap(
        within(
            "ShuffleNet x2's largest tensor with 3 groups, as labelled",
            "arXiv:1801.04381 Table 3",
            600e3,
            lambda: largest("shufflenet-v1-2.0-g3"),
            600e3,
            700e3,
        ),
        480 * 28**2 * 2,
        "the table has 400 channels at 28x28, the width for 2 groups; with 3 there are 480",
    ),
)


def largest(name: str) -> int:
    """Bytes at 16 bit of the largest image that must exist as that table lists them, from 56x56 on (112x112 it takes in pieces)."""
    return max(row.nbytes for row in materialised(zoo.build(name), DType.FP16, blocks_at="input") if row.resolution[0] < 112)


class Sampler:
    """A network ready to be run, and how many passes make a sample."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.inputs, self.weights = random_inputs(graph), random_weights(graph)
        self.passes = 1
        self.sample()  # warms up
        self.passes = max(1, math.ceil(SAMPLE_S / max(self.sample(), 1e-6)))

    def sample(self) -> float:
        """CPU seconds of one pass."""
        start = time.process_time()
        for _ in range(self.passes):
            reference.execute(self.graph, self.inputs, self.weights)
        return (time.process_time() - start) / self.passes


def measured_row(pair: Pair, rounds: int) -> str:
    """The pair's row of the table: fastest ratio, the range over rounds, and whether it lies in the band."""
    slow, fast = pair.slow(), pair.fast()
    need = sum(4 * graph.parameters + lower(graph, rule_set("torch-eager"), "fp32").peak_activation_bytes for graph in (slow, fast)) + SPARE_BYTES
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if need > free:
        return f"| {pair.claim} | {pair.source} | {pair.published} | - | - | not measured: needs {si(need, 'B')}, {si(free, 'B')} are free |"
    samplers = Sampler(slow), Sampler(fast)
    samples = [(samplers[0].sample(), samplers[1].sample()) for _ in range(max(3, round(pair.rounds * rounds)))]
    best = [min(times) for times in zip(*samples, strict=True)]
    ratio, ratios = best[0] / best[1], sorted(first / second for first, second in samples)
    verdict = "in the band" if pair.low <= ratio <= pair.high else "OUTSIDE the band"
    ours = f"{ratio:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    how = f"{duration(best[0])} / {duration(best[1])}, MACs {slow.macs / fast.macs:.2f}, {len(samples)} rounds"
    return f"| {pair.claim} | {pair.source} | {pair.published} | {ours} | {verdict} ({band(pair.low, pair.high)}) | {how} |"


def measured(rounds: int) -> Iterator[str]:
    """The section of measurements."""
    import torch

    torch.set_num_threads(1)
    yield "## Measured here"
    yield ""
    yield f"torch {torch.__version__} on {processor()}, one thread, fp32, batch 1, random weights, CPU time, networks in turn."
    yield "Ours is the ratio of the fastest samples, with the smallest and largest ratio of a round. The published ratios belong to"
    yield "other machines: the band is what a claim about any CPU can be asked."
    yield ""
    yield "| claim | source | published | ours | verdict | how |"
    yield "|---|---|---|---|---|---|"
    for pair in PAIRS:
        yield measured_row(pair, rounds)


def processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def number(value: float, *, exact: bool = False) -> str:
    """Whole numbers in full where that is short or wanted, others with four digits and a prefix."""
    if isinstance(value, int) and (exact or abs(value) < 10**6):
        return f"{value:,}"
    return si(value, digits=4) if abs(value) >= 1e4 else significant(value, 4)


def band(low: float, high: float) -> str:
    """The bounds in words."""
    first, second = (f"{bound:.4g}" if abs(bound) < 1e4 else si(bound, digits=4) for bound in (low, high))
    if math.isclose(low, high, rel_tol=1e-9):
        return "exactly"
    return f"at least {first}" if math.isinf(high) else f"{first} to {second}"


def claim_rows(entries: tuple[Claim | Gap, ...]) -> Iterator[str]:
    """Rows of claims; a known gap states its reason."""
    yield "| claim | source | published | ours | verdict |"
    yield "|---|---|---|---|---|"
    for entry in entries:
        claim = entry.claim if isinstance(entry, Gap) else entry
        value = claim.ours()
        verdict = f"known gap: {entry.reason}" if isinstance(entry, Gap) else ("holds" if holds(claim, value) else "DOES NOT HOLD")
        exact = claim.low == claim.high
        printed, ours = number(claim.published, exact=exact), number(value, exact=exact)
        yield f"| {claim.name} | {claim.source} | {printed} | {ours} | {verdict} ({band(claim.low, claim.high)}) |"


def disagreements() -> Iterator[str]:
    """Every printed figure that the count does not round to, with its reason; equal rows of a family together."""
    groups: dict[tuple[str, str, int, str], list[str]] = {}
    for network, figures in _table().items():
        graph = zoo.build(network)
        for figure in figures:
            counted = graph.parameters if figure.quantity == "parameters" else graph.macs
            if not figure.agrees(counted):
                row = f"{figure.text} | {counted:,} | {counted / figure.value - 1:+.1%} | {figure.note or UNEXPLAINED} | {figure.source}"
                groups.setdefault((network.partition("@")[0], figure.quantity, counted, row), []).append(network)
    total = sum(map(len, _table().values()))
    yield f"{sum(map(len, groups.values()))} of {total} printed figures differ from the count by more than one in their last digit."
    yield ""
    yield "| network | quantity | printed | counted | difference | explanation | source |"
    yield "|---|---|---|---|---|---|---|"
    for (network, quantity, _, row), members in groups.items():
        sizes = [member.partition("@")[2] or "default" for member in members]
        yield f"| {network}{f' ({len(members)} resolutions)' if len(sizes) > 1 else ''} | {quantity} | {row} |"


def report(rounds: int) -> Iterator[str]:
    """The lines of the report."""
    yield f"Regenerate with: {COMMAND}"
    yield ""
    yield "# Headline claims, published and here"
    if rounds:
        yield ""
        yield from measured(rounds)
    counts = (test_claims_efficientnet, test_claims_mobilenet, test_claims_small_networks, test_claims_classics)
    yield from (
        "",
        "## Predicted for device profiles",
        "",
        "Simulated, not measured; bands in brackets. Of a profile that knows only a datasheet an order is asked.",
        "",
    )
    yield from claim_rows((*test_claims_devices.CLAIMS, *test_claims_devices.GAPS))
    yield from ("", "## Counted on the graph", "")
    yield from claim_rows(tuple(chain(MEMORY, *((*module.CLAIMS, *getattr(module, "GAPS", ())) for module in counts))))
    yield from ("", "## Disagreements with printed values", "")
    yield from disagreements()


def main() -> None:
    """Write the report."""
    parser = argparse.ArgumentParser(description="published claims beside counts, predictions and measurements")
    parser.add_argument("-o", "--output", type=Path, help="file to write; printed without it")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of each measured pair (0: none)")
    options = parser.parse_args()
    lines = []
    for line in report(options.rounds):
        if options.output is None:
            print(line, flush=True)
        lines.append(line)
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
