"""What giving freed memory back costs a network under torch: ``python -m tests.benchmarks.freed_memory [NETWORK...]``.

Each network runs in two processes of its own, in one of which freed memory stays (`costmodel.reference.keep_memory`): milliseconds of CPU time, the median
of 30 passes on one thread, and page faults a pass.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

from costmodel import zoo
from costmodel.reference import execute, keep_memory, random_weights
from costmodel.reference._execute import random_inputs
from costmodel.reference._torch import require_torch

_PASSES, _BEFORE = 30, 5


def main(networks: list[str]) -> None:
    """Print a line a network."""
    for network in networks:
        found = [
            subprocess.run([sys.executable, "-m", __spec__.name, "--one", network, way], capture_output=True, text=True, check=True).stdout
            for way in ("given", "kept")
        ]
        print(f"{network}: memory given back {found[0].strip()}; kept {found[1].strip()}")


def one(network: str, way: str) -> str:
    """Milliseconds and page faults of a pass in this process."""
    if way == "kept":
        keep_memory()
    require_torch().set_num_threads(1)
    graph = zoo.build(network)
    inputs, weights = random_inputs(graph), random_weights(graph)
    taken = []
    for number in range(_BEFORE + _PASSES):
        if number == _BEFORE:
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        start = time.thread_time()
        execute(graph, inputs, weights)
        taken.append(time.thread_time() - start)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    return f"{1e3 * statistics.median(taken[_BEFORE:]):.1f} ms, {faults / _PASSES:.0f} page faults"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(one(*sys.argv[2:4]))
    else:
        main(sys.argv[1:] or ["mobilenet-v2", "resnet-18"])
