"""Branches of networks measured here: torch's operators on one thread each, one after the other and from two workers. Prints wall-clock times; asserts nothing.

    python -m tests.benchmarks.branches

Each worker takes the first operator, in execution order, whose inputs are there. Passes are taken in turns; those count during which other programs had
less than a tenth of a core, and of these the median.
"""

from __future__ import annotations

import heapq
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import costmodel
from costmodel.graph import Graph, TensorRef
from costmodel.reference import random_weights
from costmodel.reference._execute import random_inputs

NETWORKS = ("googlenet", "googlenet-bn", "inception-v3", "inception-v4", "squeezenet-1.1", "nasnet-a-mobile")
#: Passes of each kind that must be quiet, and how long to wait for them.
PASSES, PATIENCE_S = 5, 60.0
#: Share of a core that other programs may have during a pass that counts.
OTHERS = 0.1


class Branches(NamedTuple):
    """Seconds of a pass of a network: in order, and with two operators at once."""

    network: str
    serial_s: float
    parallel_s: float


class _Pass:
    """One pass with several workers."""

    def __init__(self, graph: Graph, inputs: tuple[Any, ...], weights: Any) -> None:
        self.graph, self.weights, self.condition = graph, weights, threading.Condition()
        self.values: dict[TensorRef, Any] = {TensorRef(name): tensor for name, tensor in zip(graph.inputs, inputs, strict=True)}
        self.readers: dict[str, list[int]] = {}
        self.missing = []
        made = {node.name for node in graph.nodes}
        for position, node in enumerate(graph.nodes):
            sources = {ref.node for ref in node.arguments} & made
            self.missing.append(len(sources))
            for source in sources:
                self.readers.setdefault(source, []).append(position)
        self.ready = [position for position, missing in enumerate(self.missing) if not missing]
        self.left = len(graph.nodes)

    def work(self) -> None:
        """Take operators until none is left."""
        import torch

        torch.set_num_threads(1)  # OpenMP has a number for each thread that calls
        with torch.no_grad():
            while True:
                with self.condition:
                    while not self.ready and self.left:
                        self.condition.wait()
                    if not self.left:
                        return
                    node = self.graph.nodes[heapq.heappop(self.ready)]
                    arguments = [self.values[ref] for ref in node.arguments]
                result = node.operator.run(*arguments, **self.weights.get(node.shares or node.name, {}))
                with self.condition:
                    for output, tensor in enumerate(result if isinstance(result, tuple | list) else (result,)):
                        self.values[TensorRef(node.name, output)] = tensor
                    self.left -= 1
                    for reader in self.readers.get(node.name, ()):
                        self.missing[reader] -= 1
                        if not self.missing[reader]:
                            heapq.heappush(self.ready, reader)
                    self.condition.notify_all()


def one_pass(graph: Graph, inputs: tuple[Any, ...], weights: Any, workers: int) -> tuple[float, float]:
    """(seconds of a pass with so many workers, the share of a core that other programs had meanwhile)."""
    of = _Pass(graph, inputs, weights)
    helpers = [threading.Thread(target=of.work) for _ in range(workers - 1)]
    busy, own, started = _busy_s(), time.process_time(), time.perf_counter()
    for helper in helpers:
        helper.start()
    of.work()
    for helper in helpers:
        helper.join()
    taken = time.perf_counter() - started
    return taken, max(0.0, _busy_s() - busy - (time.process_time() - own)) / taken


def _busy_s() -> float:
    """CPU seconds of all programs since the machine started, in steps of a hundredth."""
    words = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, interrupts, soft, stolen = map(int, words[:8])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def measured(network: str, passes: int = PASSES, patience_s: float = PATIENCE_S) -> Branches | None:
    """The medians of `passes` quiet passes each, taken in turns; None where the machine was not quiet for so many within `patience_s`."""
    import torch

    graph = costmodel.build(network)
    inputs, weights = random_inputs(graph), random_weights(graph)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    quiet: dict[int, list[float]] = {1: [], 2: []}
    try:
        for workers in quiet:
            one_pass(graph, inputs, weights, workers)
        started = time.perf_counter()
        while min(map(len, quiet.values())) < passes and time.perf_counter() - started < patience_s:
            for workers, taken in quiet.items():
                seconds, others = one_pass(graph, inputs, weights, workers)
                if others < OTHERS:
                    taken.append(seconds)
    finally:
        torch.set_num_threads(before)
    if min(map(len, quiet.values())) < passes:
        return None
    return Branches(network, statistics.median(quiet[1]), statistics.median(quiet[2]))


def main() -> None:
    """Print the times of all networks."""
    for network in NETWORKS:
        found = measured(network)
        words = "the machine was busy" if found is None else f"in order {found.serial_s * 1e3:.2f} ms, two at once {found.parallel_s * 1e3:.2f} ms"
        sys.stdout.write(f"{network}: {words}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
