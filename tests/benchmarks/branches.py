"""Branches of networks measured here: torch's operators on one thread each, one after the other and from two workers. Prints wall-clock times; asserts nothing.

    python -m tests.benchmarks.branches

Each worker takes the first operator, in execution order, whose inputs are there. The best of interleaved passes counts, for other programs only ever add time.
"""

from __future__ import annotations

import heapq
import sys
import threading
import time
from typing import Any, NamedTuple

import costmodel
from costmodel.graph import Graph, TensorRef
from costmodel.reference import random_weights
from costmodel.reference._execute import random_inputs

NETWORKS = ("googlenet", "googlenet-bn", "inception-v3", "inception-v4", "squeezenet-1.1", "nasnet-a-mobile")
PASSES = 15


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


def one_pass(graph: Graph, inputs: tuple[Any, ...], weights: Any, workers: int) -> float:
    """Seconds of a pass with so many workers."""
    of = _Pass(graph, inputs, weights)
    helpers = [threading.Thread(target=of.work) for _ in range(workers - 1)]
    started = time.perf_counter()
    for helper in helpers:
        helper.start()
    of.work()
    for helper in helpers:
        helper.join()
    return time.perf_counter() - started


def measured(network: str, passes: int = PASSES) -> Branches:
    """The best of `passes` passes each, taken in turns."""
    import torch

    graph = costmodel.build(network)
    inputs, weights = random_inputs(graph), random_weights(graph)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for workers in (1, 2):
            one_pass(graph, inputs, weights, workers)
        found = [(one_pass(graph, inputs, weights, 1), one_pass(graph, inputs, weights, 2)) for _ in range(passes)]
    finally:
        torch.set_num_threads(before)
    return Branches(network, min(serial for serial, _ in found), min(parallel for _, parallel in found))


def main() -> None:
    """Print the times of all networks."""
    for network in NETWORKS:
        found = measured(network)
        sys.stdout.write(f"{network}: in order {found.serial_s * 1e3:.2f} ms, two at once {found.parallel_s * 1e3:.2f} ms\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
