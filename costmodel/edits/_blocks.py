"""Edits of blocks: squeeze-and-excitation taken out, inverted bottlenecks as Fused-MBConv. Blocks are found by their structure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from costmodel.edits._rewrite import readers, rewritten
from costmodel.graph import Graph, Node, TensorRef
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Multiply
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d
from costmodel.tensor import TensorSpec
from costmodel.work import WorkKind

#: Operators between the mean over an image and the gate: two convolutions or linear layers, two nonlinearities, changes of shape.
_MOST_STEPS = 10
_ON_THE_WAY = frozenset({WorkKind.POINTWISE, WorkKind.LINEAR, WorkKind.ELEMENTWISE, WorkKind.VIEW, WorkKind.BATCH_NORM, WorkKind.CONVOLUTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeExcite:
    """Channel attention: `scale` multiplies `source` by a gate that is computed from its mean over the image."""

    scale: str
    source: TensorRef
    image: TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class WideBlock:
    """The widening half of an inverted bottleneck: `expand` (1x1), `depthwise`, and what follows each, up to `last` and `end`.

    `signature` is equal for blocks of equal cost.
    """

    expand: str
    last: TensorRef
    depthwise: str
    end: TensorRef
    signature: tuple[object, ...]


def squeeze_excites(graph: Graph) -> tuple[SqueezeExcite, ...]:
    """Every channel attention of `graph` in execution order. Source: SENet, arXiv 1709.01507, section 3."""
    found = []
    for node in graph.nodes:
        if not isinstance(node.operator, Multiply):
            continue
        for source, gate in (node.arguments, node.arguments[::-1]):
            if _is_gate(graph, source, gate):
                found.append(SqueezeExcite(scale=node.name, source=source, image=graph.spec(source)))
                break
    return tuple(found)


def _is_gate(graph: Graph, source: TensorRef, gate: TensorRef) -> bool:
    """Whether `gate` is one number a channel, computed from the mean of `source` over its image by a contraction."""
    image, gated = graph.spec(source).shape, graph.spec(gate).shape
    if len(image) != 4 or len(gated) != 4 or gated[2:] != (1, 1) or image[2:] == (1, 1):
        return False
    contractions = 0
    for _ in range(_MOST_STEPS):
        if gate.node in graph.inputs:
            return False
        node = graph[gate.node]
        if node.work.kind is WorkKind.REDUCTION:
            return contractions > 0 and node.arguments == (source,)
        if node.work.kind not in _ON_THE_WAY or len(node.arguments) != 1:
            return False
        contractions += node.work.kind in (WorkKind.POINTWISE, WorkKind.LINEAR, WorkKind.CONVOLUTION)
        gate = node.arguments[0]
    return False


def remove_squeeze_excites(graph: Graph, blocks: Iterable[SqueezeExcite]) -> Graph:
    """`graph` without these: what they multiplied passes on as it is."""
    return rewritten(graph, redirected={TensorRef(block.scale): block.source for block in blocks})


def wide_blocks(graph: Graph) -> tuple[WideBlock, ...]:
    """Every widening 1x1 convolution that a depthwise one follows, with only elementwise operators between and after them."""
    reading = readers(graph)
    found = []
    for node in graph.nodes:
        expand = node.operator
        if not isinstance(expand, Conv2d) or node.work.kind is not WorkKind.POINTWISE or expand.stride != (1, 1) or node.shares:
            continue
        if node.outputs[0].shape[1] <= node.inputs[0].shape[1]:
            continue
        last = _pointwise_tail(graph, reading, node)
        following = reading[last.name]
        after = graph[following[0]] if len(following) == 1 and following[0] else None
        if after is None or not isinstance(after.operator, DepthwiseConv2d) or after.operator.multiplier != 1:
            continue
        end = _pointwise_tail(graph, reading, after)
        signature = (node.inputs[0].shape, expand, after.operator, type(end.operator))
        found.append(WideBlock(expand=node.name, last=TensorRef(last.name), depthwise=after.name, end=TensorRef(end.name), signature=signature))
    return tuple(found)


def _pointwise_tail(graph: Graph, reading: dict[str, list[str]], node: Node) -> Node:
    """The last of the normalisations and nonlinearities that follow `node` one by one.

    ``x * sigmoid(x)`` of two operators ends it: what is multiplied by something else is not this block's own.
    """
    while len(reading[node.name]) == 1 and reading[node.name][0]:
        after = graph[reading[node.name][0]]
        if len(after.arguments) != 1 or after.work.kind not in (WorkKind.BATCH_NORM, WorkKind.ELEMENTWISE):
            break
        node = after
    return node


def fuse_blocks(graph: Graph, blocks: Iterable[WideBlock]) -> Graph:
    """`graph` with one dense convolution in the place of the expanding and the depthwise one of each block: Fused-MBConv.

    Source: EfficientNetV2, arXiv 2104.00298, section 3.2.
    """
    replaced: dict[str, Operator] = {}
    redirected: dict[TensorRef, TensorRef] = {}
    for block in blocks:
        expand, window = graph[block.expand].operator, graph[block.depthwise].operator
        assert isinstance(expand, Conv2d)
        assert isinstance(window, DepthwiseConv2d)
        replaced[block.expand] = Conv2d(expand.out_channels, window.kernel_size, window.stride, window.padding, window.dilation, expand.bias)
        redirected[block.end] = block.last
    return rewritten(graph, replaced=replaced, redirected=redirected)
