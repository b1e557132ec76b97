"""Idioms of other formats rewritten as the operators that they mean, so that an imported network lowers as one that is built here.

Each idiom is a function that looks at one node of a graph and says what replaces it, or None; `tidy` tries them all at every
node. Operators that nobody reads any more are dropped with them, learned tensors excepted: a network has them, read or not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from costmodel.graph import Graph, GraphBuilder, Node, TensorRef, Value
from costmodel.operator import Operator
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, GroupedConv2d, OperandConv2d
from costmodel.ops.layout import Identity, Permute, Reshape
from costmodel.ops.padding import Pad
from costmodel.ops.pooling import MaxPool2d
from costmodel.ops.stored import Parameter

#: A weight of a node: the stored tensor, and the reshapes and permutations that it goes through first.
Source = tuple[str, tuple[Operator, ...]]
Sources = Mapping[str, Mapping[str, Source]]


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a replacement. `arguments` are tensors of the graph, or numbers of earlier steps."""

    operator: Operator
    arguments: tuple[TensorRef | int, ...]
    suffix: str = ""
    weights: Mapping[str, Source] | None = None


class View:
    """A graph with what the idioms ask of it: who makes a tensor, and who reads it."""

    def __init__(self, graph: Graph, sources: Sources) -> None:
        self.graph, self.sources = graph, sources
        self.readers: dict[TensorRef, list[Node]] = {}
        for node in graph.nodes:
            for ref in node.arguments:
                self.readers.setdefault(ref, []).append(node)
        self.outputs = frozenset(graph.outputs)

    def maker(self, ref: TensorRef) -> Node | None:
        """The node that makes a tensor; None for an input of the network."""
        return None if ref.node in self.graph.inputs else self.graph[ref.node]

    def only_reader(self, ref: TensorRef) -> bool:
        """Whether one operator alone reads a tensor, which is no output of the network."""
        return ref not in self.outputs and len(self.readers.get(ref, ())) == 1

    def before(self, node: Node, *kinds: type[Operator]) -> list[Node] | None:
        """The chain of single-input operators of these classes that ends in the first argument of `node`, nearest first; each read once."""
        chain = []
        ref = node.arguments[0]
        for kind in kinds:
            maker = self.maker(ref)
            while maker is not None and isinstance(maker.operator, Identity) and self.only_reader(ref):
                ref = maker.arguments[0]
                maker = self.maker(ref)
            if maker is None or not isinstance(maker.operator, kind) or not self.only_reader(ref):
                return None
            chain.append(maker)
            ref = maker.arguments[0]
        return chain


Idiom = Callable[[View, Node], tuple[Step, ...] | None]


def padded_window(view: View, node: Node) -> tuple[Step, ...] | None:
    """A PAD before a convolution that pads nothing itself, or before a maximum pool with the smallest number: padding of the window operator."""
    operator = node.operator
    if not isinstance(operator, Conv2d | DepthwiseConv2d | GroupedConv2d | OperandConv2d | MaxPool2d):
        return None
    chain = view.before(node, Pad)
    if chain is None or node.operator.padding_of(*node.inputs).any:  # type: ignore[union-attr]  # window operators have one
        return None
    pad = chain[0].operator
    assert isinstance(pad, Pad)
    if min(pad.sides) < 0 or (pad.value >= -1e30 if isinstance(operator, MaxPool2d) else pad.value != 0):
        return None
    return (Step(dataclasses.replace(operator, padding=pad.sides), (chain[0].arguments[0], *node.arguments[1:]), weights=view.sources.get(node.name)),)


def channel_shuffle(view: View, node: Node) -> tuple[Step, ...] | None:
    """(N, C, H, W) as (N, g, C/g, H, W), the middle two swapped, and back: a channel shuffle of g groups. Source: arXiv 1707.01083, section 3.1."""
    if not isinstance(node.operator, Reshape):
        return None
    chain = view.before(node, Permute, Reshape)
    if chain is None:
        return None
    permute, split = chain
    shape, grouped = split.inputs[0].shape, split.outputs[0].shape
    if len(shape) != 4 or len(grouped) != 5 or permute.operator != Permute((0, 2, 1, 3, 4)) or node.outputs[0].shape != shape:
        return None
    if (grouped[0], grouped[1] * grouped[2], *grouped[3:]) != shape:
        return None
    return (Step(ChannelShuffle(grouped[1]), (split.arguments[0],)),)


IDIOMS: tuple[Idiom, ...] = (padded_window, channel_shuffle)


def tidy(graph: Graph, sources: Sources) -> tuple[Graph, dict[str, Mapping[str, Source]]]:
    """`graph` with every idiom replaced and what nobody reads dropped; the weights of what replaces are in the sources returned."""
    view = View(graph, sources)
    replaced = {node.name: steps for node in graph.nodes for steps in _matches(view, node)}
    if replaced:
        graph, sources = _rebuilt(graph, sources, replaced)
    live = _live(graph)
    if len(live) != len(graph.nodes):
        graph, sources = _rebuilt(graph, sources, {}, live)
    return graph, dict(sources)


def _matches(view: View, node: Node) -> Iterator[tuple[Step, ...]]:
    for idiom in IDIOMS:
        steps = idiom(view, node)
        if steps is not None:
            yield steps
            return


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
        made: list[Value] = []
        for number, step in enumerate(steps):
            last = number == len(steps) - 1
            arguments = (made[place] if isinstance(place, int) else values[place] for place in step.arguments)
            value = builder.add(step.operator, *arguments, name=node.name if last else f"{node.name}.{step.suffix}", shares=node.shares if last else "")
            made.append(value)
            if step.weights:
                kept[value.ref.node] = step.weights
        values[TensorRef(node.name)] = made[-1]
    built = builder.build(*(values[ref] for ref in graph.outputs))
    return dataclasses.replace(built, notes=graph.notes), kept
