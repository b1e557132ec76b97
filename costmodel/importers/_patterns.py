"""Idioms of other formats rewritten as the operators that they mean, so that an imported network lowers as one that is built here.

Each idiom is a function that looks at one node of a graph and says what replaces it, or None; `tidy` tries them all at every
node. Operators that nobody reads any more are dropped with them, learned tensors excepted: a network has them, read or not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from costmodel.graph import Graph, GraphBuilder, Node, TensorRef, Value
from costmodel.importers._idioms import channel_shuffle, gathered_blocks, padded_window, swapped_back, taken_apart
from costmodel.importers._idioms_of_attention import position_bias, transposed_product, window_mask, window_mask_in_bias
from costmodel.importers._idioms_of_norms import response_norm
from costmodel.importers._idioms_of_weights import standardised_convolution
from costmodel.importers._view import Numbers, Replacement, Source, Sources, Step, View
from costmodel.ops.stored import Parameter

Idiom = Callable[[View, Node], Replacement | None]

IDIOMS: tuple[Idiom, ...] = (
    padded_window,
    channel_shuffle,
    taken_apart,
    swapped_back,
    gathered_blocks,
    transposed_product,
    window_mask_in_bias,
    window_mask,
    position_bias,
    standardised_convolution,
    response_norm,
)
#: What one idiom makes another may read: a bias that a mask was added to, a filter behind a padding.
ROUNDS = 3


def tidy(graph: Graph, sources: Sources, numbers: Numbers | None = None) -> tuple[Graph, dict[str, Mapping[str, Source]]]:
    """`graph` with every idiom replaced and what nobody reads dropped; the weights of what replaces are in the sources returned.

    Parameters
    ----------
    numbers : the numbers of a stored tensor by its name in the origin, where the origin has them.
    """
    for _ in range(ROUNDS):
        view = View(graph, sources, numbers)
        replaced: dict[str, tuple[Step, ...]] = {}
        for node in graph.nodes:
            for idiom in IDIOMS:
                found = idiom(view, node) if node.name not in replaced else None
                if found and not found.keys() & replaced.keys():
                    replaced |= found
        if not replaced:
            break
        graph, sources = _rebuilt(graph, sources, replaced)
    live = _live(graph)
    if len(live) != len(graph.nodes):
        graph, sources = _rebuilt(graph, sources, {}, live)
    return graph, dict(sources)


def _live(graph: Graph) -> frozenset[str]:
    """Names of the nodes that an output depends on, of those whose parameters they use, and of all learned tensors."""
    wanted = {ref.node for ref in graph.outputs}
    for node in reversed(graph.nodes):
        if node.name in wanted or isinstance(node.operator, Parameter) or node.parameters:
            wanted |= {node.name, *(ref.node for ref in node.arguments)} | ({node.shares} if node.shares else set())
    return frozenset(wanted)


def _rebuilt(
    graph: Graph, sources: Sources, replaced: Mapping[str, tuple[Step, ...]], live: frozenset[str] | None = None
) -> tuple[Graph, dict[str, Mapping[str, Source]]]:
    """The graph with the nodes named in `replaced` made anew from their steps, and of the others those in `live`."""
    builder = GraphBuilder(graph.name)
    values: dict[TensorRef, Value] = {TensorRef(name): builder.input(name, spec) for name, spec in graph.inputs.items()}
    kept: dict[str, Mapping[str, Source]] = {}
    for node in graph.nodes:
        if live is not None and node.name not in live:
            continue
        steps = replaced.get(node.name)
        if steps is None:
            for value in builder.add_all(node.operator, *(values[ref] for ref in node.arguments), name=node.name, shares=node.shares):
                values[value.ref] = value
            if node.name in sources:
                kept[node.name] = sources[node.name]
            continue
        if not steps:
            continue
        made: list[tuple[Value, ...]] = []
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            arguments = (made[place][0] if isinstance(place, int) else values[place] for place in step.arguments)
            name = node.name if last else f"{node.name}.{step.suffix}"
            made.append(builder.add_all(step.operator, *arguments, name=name, shares=node.shares if last else ""))
            if step.weights:
                kept[made[-1][0].ref.node] = step.weights
        values |= {TensorRef(node.name, output): value for output, value in enumerate(made[-1])}
    built = builder.build(*(values[ref] for ref in graph.outputs))
    return dataclasses.replace(built, notes=graph.notes), kept
