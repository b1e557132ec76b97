"""The engine of all edits: other operators in the place of some, other sources in the place of some tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from costmodel.errors import UsageError
from costmodel.graph import Graph, GraphBuilder, TensorRef
from costmodel.operator import Operator


def rewritten(graph: Graph, *, replaced: Mapping[str, Operator] | None = None, redirected: Mapping[TensorRef, TensorRef] | None = None) -> Graph:
    """`graph` with other operators and connections; nodes that nothing reads any more are left out.

    Parameters
    ----------
    replaced : operators by the name of the node that gets them.
    redirected : tensors by the tensor that takes their place wherever they are read, which an earlier node must make.

    Raises
    ------
    ShapeError
        If an operator cannot take what now reaches it; names it with the shapes.
    UsageError
        If a node that stays uses the parameters of one that goes.
    """
    replaced, redirected = replaced or {}, redirected or {}

    def source(ref: TensorRef) -> TensorRef:
        while ref in redirected:
            ref = redirected[ref]
        return ref

    outputs = [source(ref) for ref in graph.outputs]
    arguments = {node.name: tuple(map(source, node.arguments)) for node in graph.nodes}
    kept = _kept(graph, arguments, outputs)
    builder = GraphBuilder(graph.name)
    values = {TensorRef(name): builder.input(name, spec) for name, spec in graph.inputs.items()}
    for node in graph.nodes:
        if node.name not in kept:
            continue
        if node.shares and node.shares not in kept:
            raise UsageError(f"{node.name!r} uses the parameters of {node.shares!r}, which this edit takes out")
        made = builder.add_all(replaced.get(node.name, node.operator), *(values[ref] for ref in arguments[node.name]), name=node.name, shares=node.shares)
        for value in made:
            values[value.ref] = value
    return dataclasses.replace(builder.build(*(values[ref] for ref in outputs)), notes=graph.notes, precision=graph.precision, fixed_batch=graph.fixed_batch)


def _kept(graph: Graph, arguments: Mapping[str, tuple[TensorRef, ...]], outputs: list[TensorRef]) -> set[str]:
    """Nodes that an output needs, and those that nothing read before the edit either."""
    read = {ref.node for node in graph.nodes for ref in node.arguments} | {ref.node for ref in graph.outputs}
    kept = {ref.node for ref in outputs} | {node.name for node in graph.nodes if node.name not in read}
    for node in reversed(graph.nodes):
        if node.name in kept:
            kept.update(ref.node for ref in arguments[node.name])
    return kept


def readers(graph: Graph) -> dict[str, list[str]]:
    """Names of the nodes that read an output of a node or input, by its name; a graph output is read by ``""``."""
    found: dict[str, list[str]] = {name: [] for name in (*graph.inputs, *(node.name for node in graph.nodes))}
    for node in graph.nodes:
        for ref in node.arguments:
            found[ref.node].append(node.name)
    for ref in graph.outputs:
        found[ref.node].append("")
    return found
