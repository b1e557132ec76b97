"""Attention whose scores get something added, where the origin called one operation for all of it.

torch's `scaled_dot_product_attention` takes a mask or bias too; its memory-efficient CUDA kernels (aten/src/ATen/native/transformers/cuda)
never write the scores. In a graph such a call is two products around a softmax that says so (`Softmax.fused`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from costmodel.graph import Graph, Node, TensorRef
from costmodel.work import Work, WorkKind

#: Dimensions of a query that kernels of fused attention take; others go to torch's reference composition, which writes the scores
#: (`check_tensor_shapes` of aten/src/ATen/native/transformers/sdp_utils_cpp.h).
FUSED_RANK = 4
#: What may stand between the product of queries with keys and the softmax.
_BETWEEN = frozenset({"Add", "Select", "Scale", "RelativePositionBias", "ShiftedWindowMask", "Reshape"})


@dataclass(frozen=True, slots=True)
class FusedAttention:
    """One call: its nodes in execution order, what it reads, and its work without parameters. The last node stands for it."""

    nodes: tuple[Node, ...]
    reads: tuple[TensorRef, ...]
    work: Work


def fused_attentions(graph: Graph, mask_ranks: Collection[int] | None = None) -> Iterator[FusedAttention]:
    """Every such call of a graph whose masks have one of these ranks; of any where none are stated."""
    marked = [node for node in graph.nodes if type(node.operator).__name__ == "Softmax" and getattr(node.operator, "fused", False)]
    if not marked:
        return
    makers = {node.name: node for node in graph.nodes}
    readers: dict[TensorRef, list[Node]] = {}
    for node in graph.nodes:
        for ref in node.arguments:
            readers.setdefault(ref, []).append(node)
    order = {node.name: number for number, node in enumerate(graph.nodes)}
    for softmax in marked:
        before = _scores(softmax.arguments[0], makers, readers)
        after: list[Node] = readers.get(TensorRef(softmax.name, 0)) or []
        if before is None or len(after) != 1 or type(after[0].operator).__name__ != "MatMul":
            continue
        if mask_ranks is not None and any(len(spec.shape) not in mask_ranks for node in before[:-1] for spec in node.inputs):
            continue
        members = sorted([*before, softmax, after[0]], key=lambda node: order[node.name])
        if members[-1] is after[0] and len(before[-1].inputs[0].shape) == FUSED_RANK:
            yield _call(members, before[-1])


def _scores(ref: TensorRef, makers: Mapping[str, Node], readers: Mapping[TensorRef, list[Node]]) -> list[Node] | None:
    """The nodes that make the scores and nothing else, the product last; None where another reads them or they are made otherwise."""
    node = makers.get(ref[0])
    if node is None or len(readers[ref]) != 1:
        return None
    kind = type(node.operator).__name__
    if kind == "MatMul":
        return [node]
    if kind not in _BETWEEN:
        return None
    for argument in node.arguments:
        found = _scores(argument, makers, readers)
        if found is not None:
            return [node, *found]
    return None


def _call(members: list[Node], product: Node) -> FusedAttention:
    names = {node.name for node in members}
    reads = tuple(dict.fromkeys(ref for node in members for ref in node.arguments if ref[0] not in names))
    first, last = product.work, members[-1].work
    works = [node.work for node in members]
    return FusedAttention(
        nodes=tuple(members),
        reads=reads,
        work=Work(
            kind=WorkKind.ATTENTION,
            m=first.m,
            n=first.n,
            k=first.k + last.n,
            groups=first.groups,
            elements_written=last.elements_written,
            other_flops=sum(work.other_flops for work in works),
            transcendentals=sum(work.transcendentals for work in works),
        ),
    )
