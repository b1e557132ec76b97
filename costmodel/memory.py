"""Memory: what a network needs to run on a processor, and whether it fits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from costmodel.graph import Graph, Node, TensorRef
from costmodel.kernel import Program
from costmodel.tensor import DType
from costmodel.work import WorkKind

GIB = 1024**3

_IN_PLACE = frozenset({WorkKind.ELEMENTWISE, WorkKind.BATCH_NORM})
_DENSE = frozenset({WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.GROUPED, WorkKind.TRANSPOSED})
#: Kinds whose output has the channels of the input, each made from that channel alone, where batch and channels stay the same.
_BY_CHANNEL = _IN_PLACE | {WorkKind.POOLING, WorkKind.REDUCTION, WorkKind.PAD, WorkKind.RESIZE}
#: Kinds that read and write images, and kinds that give an image where they read one.
_OF_IMAGES = _DENSE | {WorkKind.DEPTHWISE, WorkKind.BATCH_NORM, WorkKind.POOLING, WorkKind.REDUCTION, WorkKind.RESIZE}
_LIKE_INPUT = frozenset({WorkKind.ELEMENTWISE, WorkKind.NORMALISATION, WorkKind.CONCAT, WorkKind.PAD})

#: Where the output of an inverted bottleneck is listed: at its own resolution, or at that of the block's input.
BlocksAt = Literal["output", "input"]
Resolution = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes that programs need: activations at their peak, weights in use, and the model files.

    `held_bytes` are those of them that lie in the processor's memory, `missing_bytes` what it lacks for them: None where its capacity is not known.
    """

    peak_activation_bytes: int
    weight_bytes: int
    model_file_bytes: int
    held_bytes: int
    missing_bytes: int | None

    @property
    def fits(self) -> bool | None:
        """Whether nothing is missing; None where the capacity is not known."""
        return None if self.missing_bytes is None else self.missing_bytes == 0


def capacity_bytes(capacity_gib: float | None) -> int | None:
    """Whole bytes of a memory; None where its capacity is not known."""
    return None if capacity_gib is None else round(capacity_gib * GIB)


def memory_need(*programs: Program, capacity_gib: float | None, holds_file: bool) -> MemoryNeed:
    """What `programs` need that run one at a time, and how much of it does not fit in `capacity_gib`: the peak of the largest activations, the weights
    of all, and where the memory `holds_file` (it is the one that files are read into) the model files as well.

    The model file counts the weights as stored; structure adds some kilobytes that are not counted.
    """
    peak = max([program.peak_activation_bytes for program in programs])
    weights = sum([program.stored_weight_bytes for program in programs])
    held, capacity = peak + weights * (2 if holds_file else 1), capacity_bytes(capacity_gib)
    return MemoryNeed(
        peak_activation_bytes=peak,
        weight_bytes=weights,
        model_file_bytes=weights,
        held_bytes=held,
        missing_bytes=None if capacity is None else max(0, held - capacity),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Materialised:
    """The most channels that must exist as a whole at one resolution (height, width), and the bytes of so many there."""

    resolution: Resolution
    channels: int
    nbytes: int


def materialised(graph: Graph, dtype: DType, *, blocks_at: BlocksAt = "output") -> tuple[Materialised, ...]:
    """The largest image that must exist as a whole at each resolution, elements in `dtype`; the largest resolution first.

    Other images exist a few channels at a time, and nothing is computed twice (MobileNetV2, arXiv 1801.04381, section 5.1):

    1. A convolution over all channels that widens, and whose input exists, gives its output channel by channel.
    2. What works on each channel for itself (a depthwise convolution, a pool, a normalisation, an activation) passes that on.
    3. A convolution over all channels that gets its input so adds up what each channel contributes: its output must exist.
    4. Whatever is read twice, or by anything else (sums of branches, concatenations), must exist; ``x * sigmoid(x)`` reads x once.

    So the inside of an inverted bottleneck need not exist, nor the image ahead of a global pool. Images are what such
    operators read and write; tokens, such as those of attention, are not listed.

    Parameters
    ----------
    blocks_at : where the output of an inverted bottleneck is listed (two convolutions over all channels, of which the first
        widens and the second narrows, with only what works channel by channel between them). ``output`` is the resolution
        that it has. ``input`` is the one that the block reads, as in Tables 2 and 3 of that paper, where the 32 channels
        that a block makes of 56x56 stand at 56x56, with the bytes of 32 channels of 56x56, although they exist at 28x28
        only. What no such block writes is listed where it is.

    Examples
    --------
    >>> from costmodel.zoo import build
    >>> graph = build("mobilenet-v2")
    >>> [(row.resolution[0], row.channels) for row in materialised(graph, DType.FP16)]
    [(112, 16), (56, 24), (28, 32), (14, 96), (7, 320), (1, 1280)]
    >>> [(row.resolution[0], row.channels) for row in materialised(graph, DType.FP16, blocks_at="input")]
    [(224, 16), (112, 24), (56, 32), (28, 64), (14, 160), (7, 320), (1, 1280)]
    """
    flow = _Flow.of(graph)
    images = _images(graph, flow)
    streams: dict[TensorRef, Node] = {}  # tensor that exists in part only -> the operator that the parts begin with
    places: dict[TensorRef, Resolution] = {}
    most: dict[Resolution, int] = {}
    for node in graph.nodes:
        start = flow.stream(node, streams)
        if start is not None:
            streams[TensorRef(node.name)] = start
            continue
        for ref in (TensorRef(node.name, output) for output in range(len(node.outputs))):
            if ref in images:
                _, channels, height, width = node.outputs[ref.output].shape
                place = flow.place(node, streams, places) or (height, width)
                places[ref] = place
                listed = place if blocks_at == "input" else (height, width)
                most[listed] = max(most.get(listed, 0), channels)
    element_bytes = graph.batch * dtype.itemsize
    return tuple(Materialised(resolution=(h, w), channels=most[h, w], nbytes=most[h, w] * h * w * element_bytes) for h, w in sorted(most, reverse=True))


@dataclass(frozen=True, slots=True)
class _Flow:
    """Who reads each tensor; `gates` are products of a tensor with a function of itself, by node, with that tensor."""

    readers: Mapping[TensorRef, list[Node]]
    gates: Mapping[str, TensorRef]

    @classmethod
    def of(cls, graph: Graph) -> _Flow:
        """The flow of a graph; the function inside a gate is no reader of its own."""
        readers: dict[TensorRef, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for ref in node.arguments:
                readers[ref].append(node)
        gates: dict[str, TensorRef] = {}
        for node in graph.nodes:
            inside = readers[TensorRef(node.name)]
            if node.work.kind is WorkKind.ELEMENTWISE and len(node.arguments) == len(inside) == 1:
                gate, own = inside[0], node.arguments[0]
                if gate.work.kind is WorkKind.ELEMENTWISE and sorted(gate.arguments) == sorted((own, TensorRef(node.name))):
                    gates[gate.name] = own
                    readers[own].remove(node)
        return cls(readers, gates)

    def source(self, node: Node) -> TensorRef | None:
        """What the node reads, if that is one tensor."""
        return self.gates.get(node.name) or (node.arguments[0] if len(node.arguments) == 1 else None)

    def stream(self, node: Node, streams: Mapping[TensorRef, Node]) -> Node | None:
        """What the parts of the node's output begin with, if it need not exist as a whole."""
        reading = self.readers.get(TensorRef(node.name), [])
        if len(reading) != 1 or not (_dense(reading[0]) or self.by_channel(reading[0])):
            return None
        source = self.source(node)
        before = None if source is None else streams.get(source)
        if _dense(node):
            return node if before is None and _widening(node) > 0 else None
        if not self.by_channel(node):
            return None
        return before if before is not None or node.work.kind in _IN_PLACE else node

    def by_channel(self, node: Node) -> bool:
        """Whether each output channel takes one input channel; a copy that keeps the shape only moves what it copies."""
        if self.source(node) is None or len(node.outputs) != 1 or len(node.outputs[0].shape) != 4:
            return False
        before, after = node.inputs[0].shape, node.outputs[0].shape
        kind = node.work.kind
        return kind is WorkKind.DEPTHWISE or (kind in _BY_CHANNEL and before[:2] == after[:2]) or (kind is WorkKind.COPY and before == after)

    def place(self, node: Node, streams: Mapping[TensorRef, Node], places: Mapping[TensorRef, Resolution]) -> Resolution | None:
        """The resolution that an inverted bottleneck reads, if the node ends one or works in place on the output of one."""
        source = self.source(node)
        if source is None:
            return None
        if node.work.kind in _IN_PLACE:
            return places.get(source)
        start = streams.get(source)
        if start is None or not _dense(start) or not _dense(node) or _widening(node) >= 0:
            return None
        _, _, height, width = start.inputs[0].shape
        return height, width


def _dense(node: Node) -> bool:
    """Whether each output channel takes many input channels, and is a sum over them."""
    return node.work.kind in _DENSE and len(node.arguments) == 1


def _widening(node: Node) -> int:
    """Channels of the output more than of the input."""
    return node.outputs[0].shape[1] - node.inputs[0].shape[1]


def _images(graph: Graph, flow: _Flow) -> set[TensorRef]:
    """The tensors (N, C, H, W) that operators on images read or write, and sums, concatenations and the like of these."""
    found: set[TensorRef] = set()
    for node in graph.nodes:
        made = node.work.kind in _OF_IMAGES or (node.work.kind in _LIKE_INPUT and any(ref in found for ref in node.arguments))
        for output, spec in enumerate(node.outputs):
            ref = TensorRef(node.name, output)
            if len(spec.shape) == 4 and (made or any(reader.work.kind in _OF_IMAGES for reader in flow.readers.get(ref, ()))):
                found.add(ref)
    return found
