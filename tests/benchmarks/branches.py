"""Branches of networks measured here: torch's operators on one thread each, one after the other and from two workers. Prints wall-clock times; asserts nothing.

    python -m tests.benchmarks.branches

Each worker takes the first operator, in execution order, whose inputs are there. Passes are taken in turns; those count during which other programs had
less than a tenth of a core, and of these the median. The second worker lives as long as the measurement, and what is freed stays with the process: a thread
that is new in each pass, and memory that is mapped anew, cost two threads up to three times what they gain (both must ask the kernel for the same page tables).
"""

from __future__ import annotations

import heapq
import os
import statistics
import sys
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import costmodel
from costmodel.graph import Graph, TensorRef
from costmodel.reference import keep_memory, random_weights
from costmodel.reference._execute import random_inputs

NETWORKS = ("googlenet", "googlenet-bn", "inception-v3", "inception-v4", "squeezenet-1.1", "nasnet-a-mobile")
#: Passes of each kind that must be quiet, and how long to wait for them.
PASSES, PATIENCE_S = 9, 60.0
#: Passes of each kind that are not measured.
WARMING = 2
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


def one_pass(graph: Graph, inputs: tuple[Any, ...], weights: Any, helper: Executor | None) -> tuple[float, float]:
    """(seconds of a pass, the share of a core that other programs had meanwhile); `helper`'s thread works beside this one."""
    of = _Pass(graph, inputs, weights)
    busy, own, started = _busy_s(), time.process_time(), time.perf_counter()
    beside = helper.submit(of.work) if helper else None
    of.work()
    if beside:
        beside.result()
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

    keep_memory()
    graph = costmodel.build(network)
    inputs, weights = random_inputs(graph), random_weights(graph)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    serial: list[float] = []
    parallel: list[float] = []
    try:
        with ThreadPoolExecutor(1) as helper:
            for beside in (None, helper) * WARMING:
                one_pass(graph, inputs, weights, beside)
            started = time.perf_counter()
            while min(len(serial), len(parallel)) < passes and time.perf_counter() - started < patience_s:
                for beside, taken in ((None, serial), (helper, parallel)):
                    seconds, others = one_pass(graph, inputs, weights, beside)
                    if others < OTHERS:
                        taken.append(seconds)
    finally:
        torch.set_num_threads(before)
    if min(len(serial), len(parallel)) < passes:
        return None
    return Branches(network, statistics.median(serial), statistics.median(parallel))


def main() -> None:
    """Print the times of all networks."""
    for network in NETWORKS:
        found = measured(network)
        words = "the machine was busy" if found is None else f"in order {found.serial_s * 1e3:.2f} ms, two at once {found.parallel_s * 1e3:.2f} ms"
        sys.stdout.write(f"{network}: {words}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
