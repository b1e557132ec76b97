"""How quickly torch modules are counted and imported. Prints ratios of CPU time and peak memory, asserts nothing.

    python -m tests.benchmarks.importing

For timm's efficientnet_b0 and efficientnet_b7 on the meta device, all in one process and in turn, the fastest of some rounds:

- counts alone (`count_module`, no graph) over torch's own counter, FlopCounterMode (promised: at most 1.0)
- import by torch.export and an estimate for pixel4, over the same (promised: at most 10)
- peak memory of a process that imports and estimates efficientnet_b7 (promised: at most 600 MB); torch alone stands beside it
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from tests.benchmarks.main_job import process

NETWORKS = (("timm:efficientnet_b0", 224), ("timm:efficientnet_b7", 600))
ROUNDS = 5


def fastest(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU seconds of each call: the least over rounds in which they take turns."""
    found = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.process_time()
            call()
            found[name] = min(found[name], time.process_time() - start)
    return found


def compare(name: str, side: int) -> None:
    """Print the ratios for one network."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    import costmodel
    from costmodel.importers.torch import count_module, import_module
    from tests.peers import peer

    network, image, target = peer(name, device="meta"), torch.empty(1, 3, side, side, device="meta"), costmodel.target("pixel4")

    def torchs() -> None:
        with FlopCounterMode(display=False), torch.no_grad():
            network(image)

    calls: dict[str, Callable[[], Any]] = {
        "torch": torchs,
        "counts": lambda: count_module(network, [image]),
        "import": lambda: costmodel.estimate(import_module(network, [image]).graph, target=target),
    }
    seconds = fastest(calls)
    for what, promised in (("counts", 1.0), ("import", 10.0)):
        ratio = seconds[what] / seconds["torch"]
        spent = f"{seconds[what] * 1e3:.0f} ms against {seconds['torch'] * 1e3:.0f} ms CPU"
        print(f"{name:22} {what:7} {ratio:5.2f} x FlopCounterMode (promised {promised:g}); {spent}")


IMPORT_B7 = """
import costmodel
from costmodel.importers.torch import import_module
from tests.peers import peer
costmodel.estimate(import_module(peer("timm:efficientnet_b7", device="meta"), [(1, 3, 600, 600)]).graph, device="pixel4")
"""
LIBRARIES = "from tests.peers import peer; peer('timm:efficientnet_b7', device='meta')"


def main() -> None:
    """Print the figures."""
    # Before torch is loaded here: Linux counts what a process had before it became another program.
    (_, peak), (_, without) = (process([sys.executable, "-W", "ignore", "-c", code]) for code in (IMPORT_B7, LIBRARIES))
    print(f"peak memory of importing and estimating efficientnet_b7: {peak:.0f} MB (promised 600); torch and timm with the module alone: {without:.0f} MB")
    warnings.filterwarnings("ignore")  # of the other libraries
    for name, side in NETWORKS:
        compare(name, side)


if __name__ == "__main__":
    main()
