"""The order of kernels where chains were fused: a kernel may then read what an operator listed after its own has written."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from costmodel.lowering._state import Open


def in_order_of_reads(kernels: Sequence[Open]) -> list[Open]:
    """Kernels in an order in which every one follows what it reads; by position where nothing forces another."""
    index = {id(kernel): number for number, kernel in enumerate(kernels)}
    waiting = [0] * len(kernels)
    followers: list[list[int]] = [[] for _ in kernels]
    for number, kernel in enumerate(kernels):
        sources = {index[id(storage.writer)] for storage, _ in kernel.reads if storage.writer is not None and storage.writer is not kernel}
        waiting[number] = len(sources)
        for source in sources:
            followers[source].append(number)
    ready = [(kernels[number].position, number) for number, count in enumerate(waiting) if count == 0]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, number = heapq.heappop(ready)
        ordered.append(kernels[number])
        for follower in followers[number]:
            waiting[follower] -= 1
            if waiting[follower] == 0:
                heapq.heappush(ready, (kernels[follower].position, follower))
    assert len(ordered) == len(kernels), "fusion made a cycle of kernels"
    return ordered
