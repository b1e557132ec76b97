"""Operators that move elements as file operators; many of them are no operator at all, only another order."""

from __future__ import annotations

from typing import Any

from costmodel.errors import UsageError
from costmodel.graph import TensorRef
from costmodel.importers.tflite._emit_window import pad as pad_sides
from costmodel.importers.tflite._fold import Step
from costmodel.importers.tflite._layout import IMAGE, natural, permuted, position, reshaped, stored_shape
from costmodel.importers.tflite._planner import Held, Planner
from costmodel.importers.tflite._schema import NONE
from costmodel.importers.tflite._weights import weight_of

Results = tuple[Held, ...]


def nothing(planner: Planner, step: Step, operands: Results) -> Results:
    """What does nothing at inference is not in the file."""
    return operands


def permute(planner: Planner, step: Step, operands: Results) -> Results:
    """The same bytes in another order."""
    op: Any = step.node.operator
    x = _plain(planner, operands[0])
    return (Held(x.tensor, step.node.outputs[0].shape, permuted(x.order, op.order)),)


def reshape(planner: Planner, step: Step, operands: Results) -> Results:
    """RESHAPE of the bytes as they are where an order describes the result, after a TRANSPOSE where none does."""
    (x,) = operands
    new = step.node.outputs[0].shape
    if x.mixed is None:
        order = reshaped(x.shape, x.order, new)
        if order is not None:
            return (Held(planner.reshape(x.tensor, step.last.name, stored_shape(new, order)), new, order),)
        if len(new) == 2 and new[0] == x.shape[0] and x.order[0] == 0:
            return (planner.flattened(x, step.last.name, new),)
    return (Held(planner.reshape(planner.arranged(x), step.last.name, new), new, natural(len(new))),)


def concat(planner: Planner, step: Step, operands: Results) -> Results:
    """CONCATENATION along the same axis, wherever the file has it."""
    op: Any = step.node.operator
    order = _plain(planner, operands[0]).order
    tensors = [planner.arranged(x, order) for x in operands]
    out = step.node.outputs[0].shape
    options: dict[str, Any] = {"axis": position(order, op.axis), "fused_activation_function": NONE}
    return (
        Held(
            planner.operator("CONCATENATION", tensors, step.last.name, stored_shape(out, order), type=planner.tensors[tensors[0]].type, **options), out, order
        ),
    )


def split(planner: Planner, step: Step, operands: Results) -> Results:
    """SPLIT into equal pieces, else SPLIT_V."""
    op: Any = step.node.operator
    x = _plain(planner, operands[0])
    axis = planner.numbers((position(x.order, op.axis),), ())
    made = []
    for number, spec in enumerate(step.node.outputs):
        tensor = planner.tensor(f"{step.node.name}/{number}", stored_shape(spec.shape, x.order), planner.tensors[x.tensor].type)
        planner.ranges[tensor] = None
        made.append(Held(tensor, spec.shape, x.order))
    outputs = [held.tensor for held in made]
    if len(set(op.sizes)) == 1:
        planner.add("SPLIT", (axis, x.tensor), outputs, num_splits=len(outputs))
    else:
        planner.add("SPLIT_V", (x.tensor, planner.numbers(op.sizes), axis), outputs, num_splits=len(outputs))
    return tuple(made)


def cut(planner: Planner, step: Step, operands: Results) -> Results:
    """STRIDED_SLICE."""
    op: Any = step.node.operator
    x = _plain(planner, operands[0])
    place = position(x.order, op.axis)
    start, stop, stride = slice(op.start, op.stop, op.step).indices(x.shape[op.axis])
    if stride < 1:
        raise UsageError(f"a step of {stride}: only steps forward are written")
    out = step.node.outputs[0].shape
    order = x.order
    if op.squeeze:
        order = tuple(axis - (axis > op.axis) for axis in x.order if axis != op.axis)
    tensor = _strided(planner, x.tensor, {place: (start, stop, stride)}, step.last.name, stored_shape(out, order), squeezed=place if op.squeeze else None)
    return (Held(tensor, out, order),)


def _strided(planner: Planner, tensor: int, cuts: dict[int, tuple[int, int, int]], name: str, shape: tuple[int, ...], squeezed: int | None = None) -> int:
    """STRIDED_SLICE with (start, stop, step) for some axes of the file."""
    full = planner.shape(tensor)
    bounds = [cuts.get(axis, (0, size, 1)) for axis, size in enumerate(full)]
    vectors = [planner.numbers([bound[part] for bound in bounds]) for part in range(3)]
    masks: dict[str, Any] = {
        "begin_mask": 0,
        "end_mask": 0,
        "ellipsis_mask": 0,
        "new_axis_mask": 0,
        "shrink_axis_mask": 0 if squeezed is None else 1 << squeezed,
    }
    return planner.operator("STRIDED_SLICE", (tensor, *vectors), name, shape, type=planner.tensors[tensor].type, **masks)


def pad(planner: Planner, step: Step, operands: Results) -> Results:
    """PAD or PADV2, after a STRIDED_SLICE where sides are cut off."""
    op: Any = step.node.operator
    tensor = planner.arranged(operands[0], IMAGE)
    out = step.node.outputs[0].shape
    sides = ((0, 0), op.sides[:2], op.sides[2:], (0, 0))
    if min(op.sides) < 0:
        size = planner.shape(tensor)
        cuts = {axis: (max(0, -before), size[axis] + min(0, after), 1) for axis, (before, after) in enumerate(sides) if min(before, after) < 0}
        cut_shape = tuple(cuts[axis][1] - cuts[axis][0] if axis in cuts else extent for axis, extent in enumerate(size))
        tensor = _strided(planner, tensor, cuts, f"{step.node.name}/cut" if max(op.sides) > 0 else step.last.name, cut_shape)
    if max(op.sides) > 0:
        amounts = tuple((max(0, before), max(0, after)) for before, after in sides)
        tensor = pad_sides(planner, tensor, amounts, step.last.name, op.value)
    return (Held(tensor, out, IMAGE),)


def pad_channels(planner: Planner, step: Step, operands: Results) -> Results:
    """PAD on the axis of the channels."""
    op: Any = step.node.operator
    x = _plain(planner, operands[0])
    if op.count == 0:
        return (x,)
    amounts = tuple((0, op.count if axis == 1 else 0) for axis in x.order)
    return (Held(pad_sides(planner, x.tensor, amounts, step.last.name), step.node.outputs[0].shape, x.order),)


def channel_shuffle(planner: Planner, step: Step, operands: Results) -> Results:
    """RESHAPE, TRANSPOSE of (groups, channels of a group), RESHAPE."""
    op: Any = step.node.operator
    name = step.node.name
    tensor = planner.arranged(operands[0], IMAGE)
    shape = planner.shape(tensor)
    size = shape[3] // op.groups
    parted = planner.reshape(tensor, f"{name}/groups", (*shape[:3], op.groups, size))
    turned = planner.operator("TRANSPOSE", (parted, planner.numbers((0, 1, 2, 4, 3))), f"{name}/transpose", (*shape[:3], size, op.groups))
    return (Held(planner.reshape(turned, step.last.name, shape), step.node.outputs[0].shape, IMAGE),)


def space_to_depth(planner: Planner, step: Step, operands: Results) -> Results:
    """SPACE_TO_DEPTH, whose channels are (position in the block, channel), then a TRANSPOSE to (channel, position)."""
    op: Any = step.node.operator
    name = step.node.name
    out = step.node.outputs[0].shape
    stored, taps, channels = stored_shape(out, IMAGE), op.block**2, step.node.inputs[0].shape[1]
    deep = planner.operator("SPACE_TO_DEPTH", (planner.arranged(operands[0], IMAGE),), f"{name}/depth", stored, block_size=op.block)
    if channels > 1:
        parted = planner.reshape(deep, f"{name}/positions", (*stored[:3], taps, channels))
        turned = planner.operator("TRANSPOSE", (parted, planner.numbers((0, 1, 2, 4, 3))), f"{name}/transpose", (*stored[:3], channels, taps))
        deep = planner.reshape(turned, step.last.name, stored)
    return (Held(deep, out, IMAGE),)


def depth_to_space(planner: Planner, step: Step, operands: Results) -> Results:
    """A TRANSPOSE of the channels to (position in the block, channel), which DEPTH_TO_SPACE wants, and that."""
    op: Any = step.node.operator
    name = step.node.name
    tensor = planner.arranged(operands[0], IMAGE)
    stored, taps = planner.shape(tensor), op.block**2
    channels = stored[3] // taps
    if channels > 1 and taps > 1:
        parted = planner.reshape(tensor, f"{name}/positions", (*stored[:3], channels, taps))
        turned = planner.operator("TRANSPOSE", (parted, planner.numbers((0, 1, 2, 4, 3))), f"{name}/transpose", (*stored[:3], taps, channels))
        tensor = planner.reshape(turned, f"{name}/blocks", stored)
    out = step.node.outputs[0].shape
    return (Held(planner.operator("DEPTH_TO_SPACE", (tensor,), step.last.name, stored_shape(out, IMAGE), block_size=op.block), out, IMAGE),)


def pad_axes(planner: Planner, step: Step, operands: Results) -> Results:
    """PAD, PADV2, or MIRROR_PAD for reflections, on any axis."""
    op: Any = step.node.operator
    x = _plain(planner, operands[0])
    out = step.node.outputs[0].shape
    amounts = tuple(op.sides[axis] for axis in x.order)
    if min(amount for pair in amounts for amount in pair) < 0 or op.mode not in ("constant", "reflect"):
        raise UsageError(f"padding of mode {op.mode} by {op.sides}: only constants and reflections are added, and nothing is cut")
    if op.mode == "constant":
        return (Held(pad_sides(planner, x.tensor, amounts, step.last.name, op.value), out, x.order),)
    sides = planner.numbers([amount for pair in amounts for amount in pair], (len(amounts), 2))
    return (Held(planner.operator("MIRROR_PAD", (x.tensor, sides), step.last.name, stored_shape(out, x.order), mode=0), out, x.order),)


def roll(planner: Planner, step: Step, operands: Results) -> Results:
    """Two STRIDED_SLICEs and a CONCATENATION for each axis that moves."""
    op: Any = step.node.operator
    x = _plain(planner, operands[0])
    tensor = x.tensor
    for axis, shift in zip(op.axes, op.shifts, strict=True):
        size, place = x.shape[axis], position(x.order, axis)
        if shift % size:
            at = size - shift % size
            shape = planner.shape(tensor)
            parts = [
                _strided(planner, tensor, {place: (start, stop, 1)}, f"{step.node.name}/{part}{axis}", (*shape[:place], stop - start, *shape[place + 1 :]))
                for part, start, stop in (("end", at, size), ("begin", 0, at))
            ]
            tensor = planner.operator("CONCATENATION", parts, f"{step.node.name}/axis{axis}", shape, axis=place, fused_activation_function=NONE)
    return (planner.like(x, tensor),)


def parameter(planner: Planner, step: Step, operands: Results) -> Results:
    """A learned tensor is a constant of the file."""
    shape = step.node.outputs[0].shape
    made = planner.learned(step.node.shares or step.node.name, "weight", shape, lambda held: weight_of(held, step.node))
    return (Held(made, shape, natural(len(shape))),)


def expand_batch(planner: Planner, step: Step, operands: Results) -> Results:
    """TILE along the batch, nothing where there is one sample."""
    x, like = operands
    count = like.shape[0]
    if count == 1:
        return (x,)
    tensor = planner.arranged(x)
    out = step.node.outputs[0].shape
    made = planner.operator("TILE", (tensor, planner.numbers((count, *[1] * (len(out) - 1)))), step.last.name, out)
    return (Held(made, out, natural(len(out))),)


def mean(planner: Planner, step: Step, operands: Results) -> Results:
    """MEAN over the same axes, wherever the file has them."""
    op: Any = step.node.operator
    x = _plain(planner, operands[0])
    rank = len(x.shape)
    reduced = {axis % rank for axis in op.axes}
    out = step.node.outputs[0].shape
    order = x.order if op.keep else tuple(sum(other not in reduced for other in range(axis)) for axis in x.order if axis not in reduced)
    axes = planner.numbers(sorted(position(x.order, axis) for axis in reduced))
    made = planner.operator("MEAN", (x.tensor, axes), step.last.name, stored_shape(out, order), range=TensorRef(step.last.name), keep_dims=op.keep)
    return (Held(made, out, order),)


def _plain(planner: Planner, x: Held) -> Held:
    """`x` without a flattening in the file's order."""
    return x if x.mixed is None else Held(planner.arranged(x), x.shape, natural(len(x.shape)))
