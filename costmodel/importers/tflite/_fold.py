"""Which operators of a graph vanish into their neighbours: batch normalisations into weights, clamps into activations.

The decisions are those of the lowering ``tflite``, which are the TensorFlow converter's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from costmodel.graph import Graph, Node, TensorRef
from costmodel.importers.tflite._schema import NONE, RELU, RELU6
from costmodel.lowering import rule_set
from costmodel.lowering._rules import Fold, Fuse

#: Operators that are a fused activation, with the schema's number.
_ACTIVATIONS = {"ReLU": RELU, "ReLU6": RELU6}


@dataclass(frozen=True, slots=True)
class _Decisions:
    """Classes into whose weights a batch normalisation folds, and those that have each fused activation."""

    foldable: frozenset[str]
    activated: dict[str, frozenset[str]]


@cache
def _decisions() -> _Decisions:
    """What the rule set ``tflite`` says, so that a file holds the kernels that an estimate counts."""
    rules = rule_set("tflite").rules
    foldable = frozenset[str]().union(*(rule.into for rule in rules if isinstance(rule, Fold) and "BatchNorm" in rule.operators))
    activated = {name: frozenset[str]().union(*(rule.into for rule in rules if isinstance(rule, Fuse) and name in rule.operators)) for name in _ACTIVATIONS}
    return _Decisions(foldable, activated)


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
        norm = _norm(node, readers)
        clamp = _clamp(node, norm or node, readers)
        step = Step(node, norm, clamp)
        taken.update(member.name for member in step.nodes)
        found.append(step)
    return tuple(found)


def _norm(node: Node, readers: dict[TensorRef, list[Node | None]]) -> Node | None:
    """The batch normalisation that folds into `node`: that of its last axis, where rows are normalised."""
    kind, rank = type(node.operator).__name__, len(node.outputs[0].shape)
    if kind not in _decisions().foldable or (kind == "Linear" and rank != 2):
        return None
    return _only_reader(node, readers, {"BatchNorm"})


def _clamp(node: Node, last: Node, readers: dict[TensorRef, list[Node | None]]) -> Node | None:
    """The clamp after `last` that is the fused activation of `node`."""
    found = _only_reader(last, readers, set(_ACTIVATIONS))
    if found is None or type(node.operator).__name__ not in _decisions().activated[type(found.operator).__name__]:
        return None
    return found


def _readers(graph: Graph) -> dict[TensorRef, list[Node | None]]:
    """Who reads each tensor; None stands for the outputs of the network."""
    readers: dict[TensorRef, list[Node | None]] = {}
    for node in graph.nodes:
        for ref in node.arguments:
            readers.setdefault(ref, []).append(node)
    for ref in graph.outputs:
        readers.setdefault(ref, []).append(None)
    return readers


def _only_reader(node: Node, readers: dict[TensorRef, list[Node | None]], kinds: set[str]) -> Node | None:
    """The operator that alone reads `node`, if it is of these kinds."""
    found = readers.get(TensorRef(node.name), [])
    if len(found) != 1 or found[0] is None or type(found[0].operator).__name__ not in kinds:
        return None
    return found[0]
