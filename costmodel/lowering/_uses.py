"""How often each tensor of a graph is read: whether an operator may join the kernel that makes it hangs on that."""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph
from costmodel.lowering._state import Compiled
from costmodel.work import WorkKind


class Uses(NamedTuple):
    """`counts` has how many operators and outputs read each tensor that is read; `floating` the tensors that not all of these take in int8,
    or all where none is written in it.
    """

    counts: dict[tuple[str, int], int]
    floating: set[tuple[str, int]]


def count_uses(graph: Graph, compiled: Compiled, *, int8: bool) -> Uses:
    """Uses of every tensor, through views and dropped operators.

    Parameters
    ----------
    int8 : what is lowered is in int8, so that operators which quantise read a copy of their own.
    """
    quantised = compiled.quantised if int8 else frozenset()
    root: dict[tuple[str, int], tuple[str, int]] = {}
    counts: dict[tuple[str, int], int] = {}
    floating: set[tuple[str, int]] = set()
    for node in graph.nodes:
        kind = node.operator.__class__.__name__
        if kind in compiled.aliases or node.work.kind is WorkKind.VIEW:
            if node.arguments:
                source = root.get(node.arguments[0], node.arguments[0])
                for output in range(len(node.outputs)):
                    root[node.name, output] = source
            continue
        for ref in node.arguments:
            read = root.get(ref, ref)
            counts[read] = counts.get(read, 0) + 1
            if quantised and (kind not in quantised or not compiled.requantised):
                floating.add(read)
    for ref in graph.outputs:
        read = root.get(ref, ref)
        counts[read] = counts.get(read, 0) + 1
        if quantised:
            floating.add(read)
    return Uses(counts, floating)
