"""Maximum pools that say where they found the maximum, and their inverse, from built-in operators.

TFLite has neither. The index is selected tap by tap: where the element under a tap is the maximum, the index is that
tap's position. The inverse makes each position of a block by itself, from the windows that reach it, and lays the blocks
out with DEPTH_TO_SPACE. Positions count row * W + column; of several taps with the maximum the first counts, of several
windows that point to one position the last, as in torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import TensorRef
from costmodel.importers.tflite._emit_window import LOWEST, pad
from costmodel.importers.tflite._fold import Step
from costmodel.importers.tflite._layout import IMAGE
from costmodel.importers.tflite._planner import Held, Planner
from costmodel.importers.tflite._schema import NONE, VALID

Results = tuple[Held, ...]


def pool_with_indices(planner: Planner, step: Step, operands: Results) -> Results:
    """MAX_POOL_2D, and for the indices a STRIDED_SLICE, an EQUAL and a SELECT_V2 for each tap."""
    node = step.node
    op: Any = node.operator
    batch, channels, height, width = node.outputs[0].shape
    padding = op.padding_of(*node.inputs)
    source = planner.arranged(operands[0], IMAGE)
    size = planner.shape(source)
    ends = [
        (out - 1) * stride + kernel - before
        for out, stride, kernel, before in zip((height, width), op.stride, op.kernel_size, (padding.top, padding.left), strict=True)
    ]
    sides = ((0, 0), (padding.top, max(0, ends[0] - size[1])), (padding.left, max(0, ends[1] - size[2])), (0, 0))
    if any(amount for pair in sides for amount in pair):
        source = pad(planner, source, sides, f"{node.name}/pad", LOWEST)
    shape = (batch, height, width, channels)
    options = {"padding": VALID, "stride_w": op.stride[1], "stride_h": op.stride[0], "filter_width": op.kernel_size[1], "filter_height": op.kernel_size[0]}
    largest = planner.operator("MAX_POOL_2D", (source,), f"{node.name}/0", shape, range=TensorRef(node.name), fused_activation_function=NONE, **options)
    taps = list(itertools.product(range(op.kernel_size[0]), range(op.kernel_size[1])))
    index = -1
    for tap in reversed(taps):
        first = (op.stride[0], tap[0] - padding.top), (op.stride[1], tap[1] - padding.left)
        where = _grid(planner, node.name, f"tap{tap[0]}x{tap[1]}", (height, width), first, node.inputs[0].shape[3])
        if index == -1:
            index = where
            continue
        begin, end = (0, *tap, 0), (batch, tap[0] + (height - 1) * op.stride[0] + 1, tap[1] + (width - 1) * op.stride[1] + 1, channels)
        vectors = [planner.numbers(values) for values in (begin, end, (1, *op.stride, 1))]
        masks = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0)
        name = f"{node.name}/{tap[0]}x{tap[1]}"
        element = planner.operator("STRIDED_SLICE", (source, *vectors), f"{name}/element", shape, **masks)  # type: ignore[arg-type]  # options
        found = planner.operator("EQUAL", (element, largest), f"{name}/found", shape, type="BOOL")
        index = planner.operator("SELECT_V2", (found, where, index), f"{node.name}/1" if tap == (0, 0) else f"{name}/index", shape, type="INT64")
    if len(taps) == 1:
        index = planner.operator("TILE", (index, planner.numbers((batch, 1, 1, channels))), f"{node.name}/1", shape, type="INT64")
    planner.windows[index] = (op.kernel_size, op.stride, (padding.top, padding.left))
    return (Held(largest, node.outputs[0].shape, IMAGE), Held(index, node.outputs[1].shape, IMAGE))


def unpool(planner: Planner, step: Step, operands: Results) -> Results:
    """For each position of a block an EQUAL and a SELECT_V2 for each window that reaches it; then DEPTH_TO_SPACE."""
    node = step.node
    op: Any = node.operator
    windows = planner.windows.get(operands[1].tensor)
    if windows is None or windows[1] != op.stride or op.stride[0] != op.stride[1]:
        raise UsageError("its indices must come from a maximum pool of the same square stride")
    kernel, stride, before = windows
    out = node.outputs[0].shape
    x, index = (planner.arranged(operand, IMAGE) for operand in operands)
    shape = planner.shape(x)
    parts = []
    for block in itertools.product(range(stride[0]), range(stride[1])):
        name = f"{node.name}/{block[0]}x{block[1]}"
        target = _grid(planner, node.name, f"block{block[0]}x{block[1]}", shape[1:3], ((stride[0], block[0]), (stride[1], block[1])), out[3])
        value = planner.real((0.0,))
        for down, across in itertools.product(*(_reaching(block[axis], kernel[axis], stride[axis], before[axis]) for axis in (0, 1))):
            moved = _shifted(planner, x, (down, across), node.name), _shifted(planner, index, (down, across), node.name)
            meant = planner.operator("EQUAL", (moved[1], target), f"{name}/meant{down}x{across}", shape, type="BOOL")
            value = planner.operator("SELECT_V2", (meant, moved[0], value), f"{name}/value{down}x{across}", shape)
        parts.append(value)
    deep = (*shape[:3], shape[3] * len(parts))
    joined = parts[0] if len(parts) == 1 else planner.operator("CONCATENATION", parts, f"{node.name}/blocks", deep, axis=3, fused_activation_function=NONE)
    stored = tuple(out[axis] for axis in IMAGE)
    made = joined if stride[0] == 1 else planner.operator("DEPTH_TO_SPACE", (joined,), step.last.name, stored, block_size=stride[0])
    planner.ranges[made] = TensorRef(step.last.name)
    return (Held(made, out, IMAGE),)


def _reaching(place: int, kernel: int, stride: int, before: int) -> Iterator[int]:
    """How far away along one axis the windows begin that hold position `place` of a block: d*stride - before <= place <= d*stride - before + kernel - 1."""
    return iter(range(-((kernel - 1 - place - before) // stride), (place + before) // stride + 1))


def _grid(planner: Planner, owner: str, name: str, size: tuple[int, ...], axes: tuple[tuple[int, int], tuple[int, int]], width: int) -> int:
    """Positions (step*i + first) * width + (step*j + first) for every i, j of `size`: (1, H, W, 1)."""
    (down, top), (across, left) = axes

    def recipe(_: Any) -> Any:
        rows, columns = np.arange(size[0])[:, None] * down + top, np.arange(size[1])[None, :] * across + left
        return (rows * width + columns)[None, :, :, None]

    return planner.learned(owner, name, (1, *size, 1), recipe, type="INT64")


def _shifted(planner: Planner, tensor: int, by: tuple[int, int], name: str) -> int:
    """The tensor whose element (i, j) is that of (i + down, j + across), -1 where there is none; once for each shift."""
    if by == (0, 0):
        return tensor
    key = (tensor, by)
    if key not in planner.shifted:
        shape, kind = planner.shape(tensor), planner.tensors[tensor].type
        begin = (0, max(0, by[0]), max(0, by[1]), 0)
        size = (shape[0], shape[1] - abs(by[0]), shape[2] - abs(by[1]), shape[3])
        label = f"{name}/{kind.lower()}{by[0]}x{by[1]}"
        inner = planner.operator("SLICE", (tensor, planner.numbers(begin), planner.numbers(size)), f"{label}/cut", size, type=kind)
        amounts = planner.numbers((0, 0, max(0, -by[0]), max(0, by[0]), max(0, -by[1]), max(0, by[1]), 0, 0), (4, 2))
        nothing = planner.real((-1.0,)) if kind == "FLOAT32" else planner.numbers((-1,), (), kind)
        planner.shifted[key] = planner.operator("PADV2", (inner, amounts, nothing), label, shape, type=kind)
    return planner.shifted[key]
