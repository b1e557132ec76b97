"""Attention that the origin called as one operation, where something is added to its scores or no fused kernel takes it.

torch's `scaled_dot_product_attention` takes a mask or bias too; its memory-efficient CUDA kernels (aten/src/ATen/native/transformers/cuda)
never write the scores. In a graph such a call is two products around a softmax that says so (`Softmax.fused`).

Queries of other than four dimensions go to torch's reference composition, whose kernels `steps` lists as a dispatch mode records them (torch 2.13,
`_scaled_dot_product_attention_math` of aten/src/ATen/native/transformers/attention.cpp): queries and keys are scaled, operands of more dimensions are copied
in order, and since torch 2.5 all is done in fp32 from half-precision operands, rows of scores that are masked altogether are looked for and made zero
(`_safe_softmax`: eq, all, where), and weights are made half-precision again beside the result. Inductor does what lies before a product in one loop an
operand, and leaves out what nobody reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from costmodel.graph import Graph, Node, TensorRef
from costmodel.tensor import DType
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


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel of composed attention: what it reads (operands of the call by position, results of steps by suffix), what it computes and writes in, and
    whether anybody reads its result.
    """

    suffix: str
    work: Work
    reads: tuple[int | str, ...]
    dtype: DType
    result: DType
    read: bool = True


def steps(node: Node, stored: DType, computed: DType, *, fused: bool) -> list[Step]:
    """The kernels of attention composed of its parts; with `fused`, what inductor makes of them.

    Parameters
    ----------
    stored : of the operands and the result.
    computed : of everything between.
    """
    parts = {part.suffix: part.work for part in node.operator.parts(node.inputs, node.outputs)}
    found: list[Step] = []
    operands: list[int | str] = [0, 1, 2]

    def add(suffix: str, work: Work, *reads: int | str, dtype: DType = computed, result: DType = computed) -> str:
        found.append(Step(suffix, work, reads, dtype, result))
        return suffix

    def each(suffix: str, kind: WorkKind, chosen: tuple[int, ...]) -> None:
        for position in chosen:
            size = node.inputs[position].numel
            work = Work(kind=kind, elements_read=size, elements_written=size, other_flops=size if kind is WorkKind.ELEMENTWISE else 0)
            operands[position] = add(f"{suffix}_{'qkv'[position]}", work, operands[position])

    if stored is not computed:
        each("widened", WorkKind.CAST, (2,) if fused else (0, 1, 2))
    each("scaled", WorkKind.ELEMENTWISE, (0, 1))
    if not fused and len(node.inputs[0].shape) > FUSED_RANK:
        each("copied", WorkKind.COPY, (0, 1, 2))
    scores = add("query_key", parts["query_key"], operands[0], operands[1])
    if "mask" in parts:
        scores = add("mask", parts["mask"], scores)
    weights = add("softmax", parts["softmax"], scores)
    if not fused and stored is not computed:
        found += checks(parts["softmax"].elements_written, scores, weights, stored)
        weights = "where"
    add("value", parts["value"], weights, operands[2])
    if not fused and stored is not computed:
        size = node.outputs[0].numel
        add("narrowed", Work(kind=WorkKind.CAST, elements_read=size, elements_written=size), "value", result=stored)
    return found


def checks(scores: int, before: int | str, after: int | str, stored: DType) -> list[Step]:
    """What torch's composition does to so many scores `before` and `after` the softmax, in fp32 kernels of their own."""
    compared = Work(kind=WorkKind.ELEMENTWISE, elements_read=scores, elements_written=scores, other_flops=scores)
    gathered = Work(kind=WorkKind.REDUCTION, elements_read=scores, elements_written=1, other_flops=scores)
    chosen = Work(kind=WorkKind.ELEMENTWISE, elements_read=scores, elements_written=scores, other_flops=scores)
    narrowed = Work(kind=WorkKind.CAST, elements_read=scores, elements_written=scores)
    return [
        Step("eq", compared, (before,), DType.FP32, DType.BOOL),
        Step("all", gathered, ("eq",), DType.FP32, DType.BOOL),
        Step("where", chosen, ("all", after), DType.FP32, DType.FP32),
        Step("weights", narrowed, ("where",), DType.FP32, stored, read=False),
    ]


def fused_attentions(graph: Graph, mask_ranks: Collection[int] | None = None) -> Iterator[FusedAttention]:
    """Every such call of a graph whose masks have one of these ranks; of any where none are stated."""
    order = {node.name: number for number, node in enumerate(graph.nodes)}
    for before, softmax, after in _chains(graph):
        if len(after) != 1 or type(after[0].operator).__name__ != "MatMul":
            continue
        if mask_ranks is not None and any(len(spec.shape) not in mask_ranks for node in before[:-1] for spec in node.inputs):
            continue
        members = sorted([*before, softmax, after[0]], key=lambda node: order[node.name])
        if members[-1] is after[0] and len(before[-1].inputs[0].shape) == FUSED_RANK:
            yield _call(members, before[-1])


def composed_attentions(graph: Graph, computed: DType) -> dict[str, DType | None]:
    """Nodes of calls with something added to their scores whose queries no fused kernel takes -> what they want their operands in under autocast."""
    found: dict[str, DType | None] = {}
    for before, softmax, after in _chains(graph):
        if len(before[-1].inputs[0].shape) != FUSED_RANK:
            found |= {node.name: computed if type(node.operator).__name__ in ("MatMul", "Softmax") else None for node in (*before, softmax, *after)}
    return found


def _chains(graph: Graph) -> Iterator[tuple[list[Node], Node, list[Node]]]:
    """Every softmax that stands for a call, with the nodes that make its scores, the product last, and those that read it."""
    marked = [node for node in graph.nodes if type(node.operator).__name__ == "Softmax" and getattr(node.operator, "fused", False)]
    if not marked:
        return
    makers = {node.name: node for node in graph.nodes}
    readers: dict[TensorRef, list[Node]] = {}
    for node in graph.nodes:
        for ref in node.arguments:
            readers.setdefault(ref, []).append(node)
    for softmax in marked:
        before = _scores(softmax.arguments[0], makers, readers)
        if before is not None:
            yield before, softmax, readers.get(TensorRef(softmax.name, 0)) or []


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
