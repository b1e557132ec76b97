"""How often each tensor of a graph is read: whether an operator may join the kernel that makes it hangs on that."""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Node
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


def recomputed_results(graph: Graph, compiled: Compiled) -> frozenset[tuple[str, int]]:
    """Results that the rules have each kernel compute again (`Recompute`)."""
    rule = compiled.recompute
    if rule is None:
        return frozenset()
    root: dict[tuple[str, int], tuple[str, int]] = {}
    makers: dict[tuple[str, int], Node] = {}
    readers: dict[tuple[str, int], list[str]] = {}
    for node in graph.nodes:
        kind = type(node.operator).__name__
        if node.arguments and (kind in compiled.aliases or node.work.kind is WorkKind.VIEW):
            root |= dict.fromkeys([(node.name, output) for output in range(len(node.outputs))], root.get(node.arguments[0], node.arguments[0]))
            continue
        makers[node.name, 0] = node
        for ref in node.arguments:
            readers.setdefault(root.get(ref, ref), []).append(kind)
    for ref in graph.outputs:
        readers.setdefault(root.get(ref, ref), []).append("")  # no operator, and none of a chain
    found = set()
    for result, node in makers.items():
        if type(node.operator).__name__ not in rule.operators:
            continue
        source = root.get(node.arguments[0], node.arguments[0])
        kinds = readers.get(result, [])
        normalised = source in makers and type(makers[source].operator).__name__ in rule.after and len(readers[source]) == 1
        if normalised and len(kinds) > 1 and compiled.chains.issuperset(kinds) and not rule.reductions.isdisjoint(kinds):
            found.add(result)
    return frozenset(found)
