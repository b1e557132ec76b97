"""Idioms of other formats rewritten as the operators that they mean, so that an imported network lowers as one that is built here.

Each idiom is a function that looks at one node of a graph and says what replaces it, or None; `tidy` tries them all at every
node. Operators that nobody reads any more are dropped with them, learned tensors excepted: a network has them, read or not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from costmodel.graph import Graph, GraphBuilder, Node, TensorRef, Value
from costmodel.operator import Operator
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, GroupedConv2d, OperandConv2d
from costmodel.ops.layout import Identity, Permute, Reshape, Slice, Split
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


#: What replaces nodes, by their names; nothing where a node goes.
Replacement = Mapping[str, tuple[Step, ...]]
Idiom = Callable[[View, Node], Replacement | None]


def padded_window(view: View, node: Node) -> Replacement | None:
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
    step = Step(dataclasses.replace(operator, padding=pad.sides), (chain[0].arguments[0], *node.arguments[1:]), weights=view.sources.get(node.name))
    return {node.name: (step,)}


def channel_shuffle(view: View, node: Node) -> Replacement | None:
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
    return {node.name: (Step(ChannelShuffle(grouped[1]), (split.arguments[0],)),)}


def taken_apart(view: View, node: Node) -> Replacement | None:
    """All of an axis moved to the front and taken one by one, as attention takes q, k and v: cut first, then each part reordered.

    The same elements move; a runtime without views copies everything once for the cut and once for the orders, either way.
    """
    if not isinstance(node.operator, Permute) or node.arguments[0] in view.outputs:
        return None
    front, axis = TensorRef(node.name), node.operator.order[0]
    between = []
    readers = view.readers.get(front, [])
    while len(readers) == 1 and isinstance(readers[0].operator, Reshape | Identity) and view.only_reader(front):
        between.append(readers[0])
        front = TensorRef(readers[0].name)
        readers = view.readers.get(front, [])
    count = node.outputs[0].shape[0]
    taken = [reader.operator.start for reader in readers if isinstance(reader.operator, Slice) and reader.operator.axis == 0 and reader.operator.squeeze]
    if count < 2 or front in view.outputs or len(readers) != count or sorted(taken) != list(range(count)):
        return None
    if any(step.outputs[0].shape[0] != count or (isinstance(step.operator, Reshape) and step.operator.free == 0) for step in between):
        return None
    replacement: dict[str, tuple[Step, ...]] = {node.name: (Step(Split((1,) * count, axis), (node.arguments[0],)),)}
    replacement |= {step.name: () for step in between}
    for reader in readers:
        assert isinstance(reader.operator, Slice)
        steps = [Step(node.operator, (TensorRef(node.name, reader.operator.start),), "order")]
        for step in between:
            if isinstance(step.operator, Reshape):
                steps.append(Step(Reshape((1, *step.operator.shape[1:]), step.operator.free), (len(steps) - 1,), "shape"))
        steps.append(Step(Slice(0, 0, 1, 1, True), (len(steps) - 1,)))
        replacement[reader.name] = tuple(steps)
    return replacement


IDIOMS: tuple[Idiom, ...] = (padded_window, channel_shuffle, taken_apart)


def tidy(graph: Graph, sources: Sources) -> tuple[Graph, dict[str, Mapping[str, Source]]]:
    """`graph` with every idiom replaced and what nobody reads dropped; the weights of what replaces are in the sources returned."""
    view = View(graph, sources)
    replaced: dict[str, tuple[Step, ...]] = {}
    for node in graph.nodes:
        for idiom in IDIOMS:
            found = idiom(view, node) if node.name not in replaced else None
            if found and not found.keys() & replaced.keys():
                replaced |= found
    if replaced:
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
