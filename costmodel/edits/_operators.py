"""Edits of single operators: nonlinearities, windows, channels, folded normalisations, and the input's size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from costmodel.edits._rewrite import readers, rewritten
from costmodel.errors import ShapeError, UsageError
from costmodel.graph import Graph, Node, TensorRef
from costmodel.operator import Operator
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, GroupedConv2d
from costmodel.ops.elementwise import ELU, GELU, HardSigmoid, HardSwish, ReLU, Sigmoid, SiLU, Tanh, TanhGELU
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm
from costmodel.work import CONTRACTIONS

_PLAIN = (Conv2d, DepthwiseConv2d, GroupedConv2d)
#: One comparison, which most runtimes compute inside the kernel of the operator before.
CHEAPEST: Operator = ReLU()
#: A nonlinearity with an exponential, by those that stand in for it with a few additions and multiplications, closest first.
#: Sources: hard-swish and hard-sigmoid MobileNetV3, arXiv 1905.02244, section 5.2; ReLU for GELU arXiv 1606.08415, section 3.
NONLINEARITIES: Mapping[type[Operator], tuple[Operator, ...]] = {
    SiLU: (HardSwish(), CHEAPEST),
    Sigmoid: (HardSigmoid(),),
    GELU: (TanhGELU(), CHEAPEST),
    TanhGELU: (CHEAPEST,),
    ELU: (CHEAPEST,),
    Tanh: (CHEAPEST,),
}
_Made = TypeVar("_Made", bound=Operator)


def _with(made: _Made, **fields: object) -> _Made:
    return dataclasses.replace(made, **fields)  # type: ignore[type-var]  # every operator is a dataclass


def replace_nonlinearity(graph: Graph, old: type[Operator], new: Operator) -> Graph:
    """`graph` with `new` wherever an operator of the class `old` stands."""
    return rewritten(graph, replaced={node.name: new for node in graph.nodes if type(node.operator) is old})


def resize_input(graph: Graph, height: int, width: int) -> Graph:
    """The same network, with the same parameters, on images of another size.

    Raises
    ------
    UsageError
        If no input is an image, or parameters depend on its size, such as those of learned positions.
    ShapeError
        If an operator cannot take the shapes that reach it.
    """
    images = {name: spec for name, spec in graph.inputs.items() if len(spec.shape) == 4}
    if not images:
        raise UsageError(f"{graph.name} has no input of four dimensions that could have another size")
    made = graph.with_inputs({name: spec.with_shape(*spec.shape[:2], height, width) for name, spec in images.items()})
    if made.parameters != graph.parameters:
        raise UsageError(f"{graph.name} has {made.parameters} parameters on {height}x{width}, not {graph.parameters}: it would be another network")
    return made


def largest_window(graph: Graph) -> int:
    """Side of the largest square window of a depthwise convolution; 0 where there is none."""
    sizes = [node.operator.kernel_size for node in graph.nodes if isinstance(node.operator, DepthwiseConv2d)]
    return max((height for height, width in sizes if height == width), default=0)


def shrink_windows(graph: Graph, side: int) -> Graph:
    """`graph` with depthwise windows of at most `side` x `side`; images keep their sizes.

    Raises
    ------
    UsageError
        If `side` is even: the middle of a window would move.
    """
    if side < 1 or side % 2 == 0:
        raise UsageError(f"windows have a middle, so their side must be odd, not {side}")
    found = {}
    for node in graph.nodes:
        made = node.operator
        if isinstance(made, DepthwiseConv2d) and made.kernel_size[0] == made.kernel_size[1] > side and made.kernel_size[0] % 2:
            less = (made.kernel_size[0] - side) // 2
            padding = made.padding
            if not isinstance(padding, str):
                top, bottom, left, right = (amount - less * made.dilation[axis // 2] for axis, amount in enumerate(padding))
                if min(top, bottom, left, right) < 0:
                    continue
                padding = (top, bottom, left, right)
            elif padding == "valid":
                continue
            found[node.name] = _with(made, kernel_size=(side, side), padding=padding)
    return rewritten(graph, replaced=found)


def align_channels(graph: Graph, multiple: int) -> Graph:
    """`graph` with the channels of convolutions and the widths of linear layers rounded up to `multiple`.

    Equal widths stay equal, so that sums still fit; what the outputs of the network have stays.

    Raises
    ------
    ShapeError
        If a part of the network fixes a width that would change, such as the heads of attention.
    """
    fixed = _last_contractions(graph)
    found: dict[str, Operator] = {}
    for node in graph.nodes:
        made = node.operator
        if node.name in fixed:
            continue
        if isinstance(made, Conv2d | GroupedConv2d) and made.out_channels % multiple:
            found[node.name] = _with(made, out_channels=_up(made.out_channels, multiple))
        elif isinstance(made, Linear) and made.out_features % multiple:
            found[node.name] = _with(made, out_features=_up(made.out_features, multiple))
    edited = rewritten(graph, replaced=found)
    if [edited.spec(ref) for ref in edited.outputs] != [graph.spec(ref) for ref in graph.outputs]:
        raise ShapeError(f"{graph.name}: rounding widths to multiples of {multiple} would change its outputs")
    return edited


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _last_contractions(graph: Graph) -> set[str]:
    """Contractions between which and an output of the network no other contraction with parameters stands."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [ref.node for ref in graph.outputs]
    while waiting:
        name = waiting.pop()
        if name in seen or name in graph.inputs:
            continue
        seen.add(name)
        node = graph[name]
        if node.work.kind in CONTRACTIONS and node.work.parameters and not isinstance(node.operator, DepthwiseConv2d):
            found.add(name)
        else:
            waiting += [ref.node for ref in node.arguments]
    return found


def fold_batch_norms(graph: Graph) -> Graph:
    """`graph` with every batch normalisation that alone reads a convolution folded into it: the same function in inference.

    The scale goes into the filters, the shift becomes the bias. Source: arXiv 1712.05877, section 3.2.
    """
    reading = readers(graph)
    replaced: dict[str, Operator] = {}
    redirected: dict[TensorRef, TensorRef] = {}
    shared = {node.shares for node in graph.nodes if node.shares}
    for node in graph.nodes:
        before = _only_source(graph, node)
        if before is None or not isinstance(node.operator, BatchNorm) or not isinstance(before.operator, _PLAIN):
            continue
        if reading[before.name] == [node.name] and not before.shares and before.name not in shared:
            replaced[before.name] = _with(before.operator, bias=True)
            redirected[TensorRef(node.name)] = TensorRef(before.name)
    return rewritten(graph, replaced=replaced, redirected=redirected)


def _only_source(graph: Graph, node: Node) -> Node | None:
    """The node whose output is the only argument; None where there are several, or an input of the network."""
    if len(node.arguments) != 1 or node.arguments[0].node in graph.inputs:
        return None
    return graph[node.arguments[0].node]
