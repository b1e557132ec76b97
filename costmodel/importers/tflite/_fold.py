"""Which operators of a graph vanish into their neighbours: batch normalisations into weights, clamps into activations.

The same decisions as the TensorFlow converter's, and as those that the lowering ``tflite`` takes for granted.
"""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.graph import Graph, Node, TensorRef
from costmodel.importers.tflite._schema import NONE, RELU, RELU6

#: Operators with weights that a scale and shift fold into.
_FOLDABLE = frozenset({"Conv2d", "DepthwiseConv2d", "GroupedConv2d", "StandardisedConv2d", "ConvTranspose2d", "Linear"})
#: Operators whose built-in form has a fused activation.
_ACTIVATED = _FOLDABLE | {"Add", "Subtract", "Multiply", "Divide", "BatchNorm", "MaxPool2d", "AvgPool2d"}
#: Operators that are a fused activation, with the schema's number.
_ACTIVATIONS = {"ReLU": RELU, "ReLU6": RELU6}


@dataclass(frozen=True, slots=True)
class Step:
    """An operator with what folds into it; `output` is the last of their results, `node` the first of them."""

    node: Node
    norm: Node | None = None
    clamp: Node | None = None

    @property
    def activation(self) -> int:
        """The schema's number of the fused activation."""
        return NONE if self.clamp is None else _ACTIVATIONS[type(self.clamp.operator).__name__]

    @property
    def last(self) -> Node:
        """The node whose output this step makes."""
        return self.clamp or self.norm or self.node

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes of the step."""
        return tuple(node for node in (self.node, self.norm, self.clamp) if node is not None)


def steps(graph: Graph) -> tuple[Step, ...]:
    """The operators of `graph` in order, each with what folds into it."""
    readers = _readers(graph)
    taken: set[str] = set()
    found = []
    for node in graph.nodes:
        if node.name in taken:
            continue
        kind = type(node.operator).__name__
        norm = _only_reader(node, readers, {"BatchNorm"}) if kind in _FOLDABLE else None
        clamp = _only_reader(norm or node, readers, _ACTIVATIONS) if kind in _ACTIVATED else None
        step = Step(node, norm, clamp)
        taken.update(member.name for member in step.nodes)
        found.append(step)
    return tuple(found)


def _readers(graph: Graph) -> dict[TensorRef, list[Node | None]]:
    """Who reads each tensor; None stands for the outputs of the network."""
    readers: dict[TensorRef, list[Node | None]] = {}
    for node in graph.nodes:
        for ref in node.arguments:
            readers.setdefault(ref, []).append(node)
    for ref in graph.outputs:
        readers.setdefault(ref, []).append(None)
    return readers


def _only_reader(node: Node, readers: dict[TensorRef, list[Node | None]], kinds: set[str] | dict[str, int]) -> Node | None:
    """The operator that alone reads `node`, if it is of these kinds."""
    found = readers.get(TensorRef(node.name), [])
    if len(found) != 1 or found[0] is None or type(found[0].operator).__name__ not in kinds:
        return None
    return found[0]
