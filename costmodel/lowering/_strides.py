"""Where elements lie: strides of every tensor, and the copies that a runtime makes where an operator wants them otherwise.

Rules, as torch has them (aten/src/ATen: TensorUtils.cpp `computeStride`, MemoryOverlap and TensorIterator, native/Convolution.cpp,
native/cuda/layer_norm_kernel.cu, native/LinearAlgebra.cpp):

1. Permute, slices and splits move no element; a reshape moves none where the new dimensions are sums of old ones in place, else it copies.
2. Element by element the result lies as its first whole operand does.
3. A convolution and what works on images keep channels innermost where they find them so; a convolution whose weights lie so copies its input.
4. Layer and group normalisation and softmax want their elements in order; a product wants rows in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul

from costmodel.graph import Node
from costmodel.lowering._rules import ARITHMETIC, CONVOLUTIONS, NONLINEARITIES, REDUCTIONS, WINDOW_POOLS

Strides = tuple[int, ...]
Shape = tuple[int, ...]

NHWC = "nhwc"
#: Results that lie as the first operand of their size.
_ELEMENTWISE = NONLINEARITIES | ARITHMETIC | {"Cast", "Dropout", "Identity"}
#: Work on images that keeps channels innermost.
_IMAGES = WINDOW_POOLS | REDUCTIONS | {"BatchNorm", "Resize", "Concat", "Pad", "PadChannels"}
#: Want all elements in order.
_ORDERED = frozenset({"LayerNorm", "RMSNorm", "GroupNorm", "Softmax", "ChannelShuffle", "SpaceToDepth", "DepthToSpace"})
_PRODUCTS = frozenset({"Linear", "MatMul"})


def in_order(shape: Shape) -> Strides:
    """Strides of elements in order, the last dimension innermost.

    Examples
    --------
    >>> in_order((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(reversed(list(accumulate(reversed(shape[1:]), mul, initial=1))))


def is_in_order(shape: Shape, strides: Strides) -> bool:
    """Whether elements lie in order; where a dimension has size 1 its stride means nothing."""
    return all(size == 1 or own == wanted for size, own, wanted in zip(shape, strides, in_order(shape), strict=True))


def channels_innermost(shape: Shape) -> Strides:
    """Strides of images (N, C, ...) whose channels are innermost.

    Examples
    --------
    >>> channels_innermost((2, 3, 4, 5))
    (60, 1, 15, 3)
    """
    batch, rest = in_order((shape[0], *shape[2:], shape[1]))[0], in_order((shape[0], *shape[2:], shape[1]))[1:-1]
    return (batch, 1, *rest)


def has_channels_innermost(shape: Shape, strides: Strides) -> bool:
    """Whether images lie with their channels innermost and not also in order."""
    return not is_in_order(shape, strides) and may_be_channels_innermost(shape, strides)


def may_be_channels_innermost(shape: Shape, strides: Strides) -> bool:
    """Whether images lie with their channels innermost; where all is in order too, as of one position or one channel, both are true.

    Examples
    --------
    >>> may_be_channels_innermost((2, 3, 4, 5), (60, 1, 15, 3)), may_be_channels_innermost((2, 3, 1, 1), (3, 1, 1, 1))
    (True, True)
    """
    if len(shape) < 4:
        return False
    return all(size == 1 or own == wanted for size, own, wanted in zip(shape, strides, channels_innermost(shape), strict=True))


def viewed(shape: Shape, strides: Strides, new: Shape) -> Strides | None:
    """Strides of the same elements in another shape; None where they would have to move (`computeStride` of TensorUtils.cpp).

    Examples
    --------
    >>> viewed((2, 3, 4), (12, 4, 1), (6, 4)), viewed((3, 2), (1, 3), (6,)), viewed((4, 6), (6, 1), (4, 2, 3))
    ((4, 1), None, (6, 3, 1))
    """
    chunks: list[tuple[int, int]] = []  # (elements, innermost stride) of dimensions that lie behind each other, innermost first
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size == 1:
            continue
        if chunks and chunks[-1][0] * chunks[-1][1] == stride:
            chunks[-1] = (chunks[-1][0] * size, chunks[-1][1])
        else:
            chunks.append((size, stride))
    found: list[int] = []
    left, stride = chunks.pop(0) if chunks else (1, 1)
    for size in reversed(new):
        if size != 1 and left == 1 and chunks:
            left, stride = chunks.pop(0)
        if size > left or left % size:
            return None
        found.append(stride)
        stride, left = stride * size, left // size
    return tuple(reversed(found))


def like(shape: Shape, strides: Strides) -> Strides:
    """Dense strides with the dimensions in the order in which those of `strides` lie."""
    axes = sorted(range(len(shape)), key=lambda axis: (-strides[axis] if shape[axis] > 1 else 0, axis))
    if any(stride == 0 and size > 1 for stride, size in zip(strides, shape, strict=True)):
        return in_order(shape)
    found = [1] * len(shape)
    inner = 1
    for axis in reversed([axis for axis in axes if shape[axis] > 1]):
        found[axis] = inner
        inner *= shape[axis]
    return tuple(found)


def of_view(node: Node, strides: Strides) -> list[Strides] | None:
    """Strides of the outputs of an operator that only looks at its input otherwise; None where its elements must move."""
    operator, shape = node.operator, node.inputs[0].shape
    kind = type(operator).__name__
    if kind == "Permute":
        return [tuple(strides[axis] for axis in operator.order)]  # type: ignore[attr-defined]  # Permute has it
    if kind == "Slice":
        step: int = operator.step  # type: ignore[attr-defined]  # Slice has it
        moved = [stride * (step if axis == operator.axis else 1) for axis, stride in enumerate(strides)]  # type: ignore[attr-defined]  # Slice has it
        if operator.squeeze:  # type: ignore[attr-defined]  # Slice has it
            del moved[operator.axis]  # type: ignore[attr-defined]  # Slice has it
        return [tuple(moved)]
    if kind in ("Split", "Dropout", "Identity"):
        return [strides] * len(node.outputs)
    if kind in ("Expand", "ExpandBatch"):
        new = node.outputs[0].shape
        given, own = (1,) * (len(new) - len(shape)) + shape, (0,) * (len(new) - len(shape)) + strides
        return [tuple(0 if size == 1 != wanted else stride for size, stride, wanted in zip(given, own, new, strict=True))]
    if kind in ("Reshape", "Flatten"):
        found = viewed(shape, strides, node.outputs[0].shape)
        return None if found is None else [found]
    return [in_order(spec.shape) for spec in node.outputs]


def wants(node: Node, position: int, strides: Strides, layout: str) -> bool:
    """Whether an operator can read its input at `position` as it lies."""
    kind, shape = type(node.operator).__name__, node.inputs[position].shape
    if kind in _ORDERED:
        return position > 0 or is_in_order(shape, strides)
    if kind in CONVOLUTIONS:
        return position > 0 or layout != NHWC or len(shape) < 4 or may_be_channels_innermost(shape, strides)
    if kind == "Linear":
        return viewed(shape, strides, (math.prod(shape[:-1]), shape[-1])) is not None
    if kind == "MatMul" and len(shape) > 3:
        return viewed(shape, strides, (math.prod(shape[:-2]), *shape[-2:])) is not None
    return True


def rows_of_heads(shape: Shape) -> Strides:
    """Strides of (N, heads, rows, width) with the heads of a row together, as attention kernels write them."""
    if len(shape) != 4:
        return in_order(shape)
    _, heads, rows, width = shape
    return (heads * rows * width, width, heads * width, 1)


def of_results(node: Node, inputs: Sequence[Strides], layout: str) -> list[Strides]:
    """Strides of what an operator writes."""
    kind = type(node.operator).__name__
    rule: Callable[[Shape], Strides] = in_order
    if kind in CONVOLUTIONS:
        innermost = layout == NHWC or has_channels_innermost(node.inputs[0].shape, inputs[0])
        rule = channels_innermost if innermost and len(node.inputs[0].shape) == 4 else in_order
    elif kind in _IMAGES and inputs and all(has_channels_innermost(spec.shape, own) for spec, own in zip(node.inputs, inputs, strict=True)):
        return [channels_innermost(spec.shape) if len(spec.shape) > 3 else in_order(spec.shape) for spec in node.outputs]
    elif kind == "ScaledDotProductAttention":
        return [rows_of_heads(node.outputs[0].shape)]
    elif kind in _ELEMENTWISE:
        for spec, own in zip(node.inputs, inputs, strict=True):
            if spec.shape == node.outputs[0].shape:
                return [like(spec.shape, own)]
    return [rule(spec.shape) for spec in node.outputs]
