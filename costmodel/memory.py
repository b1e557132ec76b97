"""Memory: what a network needs to run on a processor, and whether it fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from costmodel.graph import Graph, Node, TensorRef
from costmodel.kernel import Program
from costmodel.tensor import DType
from costmodel.work import WorkKind

GIB = 1024**3

_APPLIED = frozenset({WorkKind.ELEMENTWISE, WorkKind.BATCH_NORM})
_BY_CHANNEL = _APPLIED | {WorkKind.DEPTHWISE}
_DENSE = frozenset({WorkKind.CONVOLUTION, WorkKind.POINTWISE})


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes that a program needs: activations at their peak, weights in use, and the model file.

    `fits` is None where the capacity of the processor's memory is not known.
    """

    peak_activation_bytes: int
    weight_bytes: int
    model_file_bytes: int
    fits: bool | None


def memory_need(program: Program, capacity_gib: float | None, *, holds_file: bool) -> MemoryNeed:
    """What `program` needs, and whether it fits in `capacity_gib`: peak activations, weights, and where the memory
    `holds_file` (it is the one that the file is read into) the model file as well.

    The model file counts the weights as stored; structure adds some kilobytes that are not counted.
    """
    peak = program.peak_activation_bytes
    weights = program.stored_weight_bytes
    needed = peak + weights * (2 if holds_file else 1)
    return MemoryNeed(
        peak_activation_bytes=peak,
        weight_bytes=weights,
        model_file_bytes=weights,
        fits=None if capacity_gib is None else needed <= capacity_gib * GIB,
    )


def largest_materialised(graph: Graph, dtype: DType) -> dict[tuple[int, int], int]:
    """Bytes of the largest image that must exist as a whole, for each height and width.

    The inside of an inverted bottleneck need not exist: a few of its channels are computed at a time, and what they
    contribute to the block's output is added up (MobileNetV2, arXiv 1801.04381, section 5.1). So a chain of
    channel by channel operators between a convolution that widens and one that narrows is left out, and so is what
    normalisations and activations are applied to. Sums of branches and whatever is read twice must exist.
    """
    readers: dict[TensorRef, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for ref in node.arguments:
            readers[ref].append(node)
    inside = {ref for node in graph.nodes for ref in _inside_bottleneck(node, readers)}
    largest: dict[tuple[int, int], int] = {}
    for node in graph.nodes:
        ref, spec = TensorRef(node.name), node.outputs[0]
        reader = _only_reader(ref, readers)
        if len(spec.shape) != 4 or ref in inside or (reader is not None and reader.work.kind in _APPLIED):
            continue
        resolution = (spec.shape[2], spec.shape[3])
        largest[resolution] = max(largest.get(resolution, 0), spec.numel * dtype.itemsize)
    return largest


def _inside_bottleneck(start: Node, readers: Mapping[TensorRef, list[Node]]) -> Iterator[TensorRef]:
    """The tensors between `start`, if it widens, and the convolution that narrows again; none if anything else reads them."""
    if start.work.kind not in _DENSE or start.outputs[0].shape[1] <= start.inputs[0].shape[1]:
        return
    chain = [TensorRef(start.name)]
    while (reader := _only_reader(chain[-1], readers)) is not None:
        if reader.work.kind in _DENSE:
            if reader.outputs[0].shape[1] < reader.inputs[0].shape[1]:
                yield from chain
            return
        if reader.work.kind not in _BY_CHANNEL:
            return
        chain.append(TensorRef(reader.name))


def _only_reader(ref: TensorRef, readers: Mapping[TensorRef, list[Node]]) -> Node | None:
    """The node that reads `ref` and nothing but it, if it is the only one to read `ref`."""
    nodes = readers.get(ref, [])
    return nodes[0] if len(nodes) == 1 and len(nodes[0].arguments) == 1 else None
