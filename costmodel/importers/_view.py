"""A graph as the idioms see it: who makes a tensor, who reads it, and what the numbers of a constant are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from costmodel.graph import Graph, Node, TensorRef
from costmodel.operator import Operator
from costmodel.ops.layout import Dropout, Identity, Permute, Reshape
from costmodel.ops.stored import Constant

#: A weight of a node: the stored tensor, and the reshapes and permutations that it goes through first.
Source = tuple[str, tuple[Operator, ...]]
Sources = Mapping[str, Mapping[str, Source]]
#: The numbers of a stored tensor by its name in the origin, as an array; None where the origin has a shape only.
Numbers = Callable[[str], Any]

#: A constant is not looked into if more elements than these are computed on the way to it, or more operators: the masks of Swin
#: at 384x384, in torchvision's form, take 13 million and 50.
MAX_ELEMENTS, MAX_OPERATORS = 2**24, 256


@dataclass(frozen=True, slots=True)
class Step:
    """One operator of a replacement. `arguments` are tensors of the graph, or numbers of earlier steps."""

    operator: Operator
    arguments: tuple[TensorRef | int, ...]
    suffix: str = ""
    weights: Mapping[str, Source] | None = None


#: What replaces nodes, by their names; nothing where a node goes.
Replacement = Mapping[str, tuple[Step, ...]]


class View:
    """A graph with what the idioms ask of it."""

    def __init__(self, graph: Graph, sources: Sources, numbers: Numbers | None = None) -> None:
        self.graph, self.sources, self._numbers = graph, sources, numbers
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

    def rearranged(self, ref: TensorRef, *, shared: bool = False) -> tuple[TensorRef, list[Operator]]:
        """Where the elements of a tensor come from, and the reshapes and permutations that they went through, first to last.

        Only tensors that nobody else reads are passed, unless they may be `shared`.
        """
        steps: list[Operator] = []
        while (maker := self.maker(ref)) is not None and isinstance(maker.operator, Reshape | Permute | Identity | Dropout):
            if not shared and not self.only_reader(ref):
                break
            steps.insert(0, maker.operator)
            ref = maker.arguments[0]
        return ref, steps

    def source(self, node: Node, name: str = "weight") -> Source | None:
        """The stored tensor that a node's weight is."""
        return self.sources.get(node.name, {}).get(name)

    def is_constant(self, ref: TensorRef) -> bool:
        """Whether a tensor follows from constants alone."""
        return self._constants(ref) is not None

    def numbers(self, ref: TensorRef) -> Any:
        """A tensor that follows from constants alone, as an array; None where that is unknown or takes torch, which is not installed."""
        nodes = self._constants(ref)
        if nodes is None:
            return None
        try:
            import torch
        except ModuleNotFoundError:
            return None
        made: dict[TensorRef, Any] = {}
        for node in nodes:
            own: dict[str, Any] = {}
            found = self.source(node)
            if found is not None:
                stored = self._numbers(found[0]) if self._numbers else None
                if stored is None:
                    return None
                own["weight"] = torch.from_numpy(np.array(stored))
                for step in found[1]:
                    own["weight"] = step.run(own["weight"])
            try:
                result = node.operator.run(*(made[argument] for argument in node.arguments), **own)
            except Exception:  # torch raises anything where numbers are not what their specs say, as in a damaged file
                return None
            made |= {TensorRef(node.name, place): tensor for place, tensor in enumerate(result if isinstance(result, tuple | list) else (result,))}
        return made[ref].numpy()

    def _constants(self, ref: TensorRef) -> list[Node] | None:
        """The nodes that lead from constants to a tensor, in order; None if anything else does."""
        found: dict[str, Node] = {}
        elements = 0
        waiting = [ref]
        while waiting:
            node = self.maker(waiting.pop())
            if node is None or len(found) > MAX_OPERATORS:
                return None
            if node.name in found:
                continue
            elements += sum(spec.numel for spec in node.outputs)
            if elements > MAX_ELEMENTS:
                return None
            if not node.arguments and not isinstance(node.operator, Constant):
                return None  # a learned tensor
            if node.parameters or node.shares:
                return None
            found[node.name] = node
            waiting.extend(node.arguments)
        order = {node.name: place for place, node in enumerate(self.graph.nodes)} if len(found) > 1 else {}
        return sorted(found.values(), key=lambda node: order.get(node.name, 0))


def rearrange(array: Any, steps: list[Operator]) -> Any:
    """An array after reshapes and permutations."""
    for step in steps:
        if isinstance(step, Reshape):
            array = array.reshape(step.whole(array.size // max(1, math.prod(step.shape))))
        elif isinstance(step, Permute):
            array = array.transpose(step.order)
    return array
