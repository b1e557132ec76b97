"""Window operators as file operators: convolutions, pooling, resizing. All of them take images as (N, H, W, C)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import TensorRef
from costmodel.importers.tflite._fold import Step
from costmodel.importers.tflite._layout import IMAGE, Shape, stored_shape
from costmodel.importers.tflite._planner import Held, Planner
from costmodel.importers.tflite._schema import NONE, SAME, VALID
from costmodel.importers.tflite._weights import bias_of, scale_of, standardised, weight_of
from costmodel.operator import Padding
from costmodel.ops._shapes import resolve_padding

Results = tuple[Held, ...]

#: Smallest float32: what padding holds where the largest element counts.
LOWEST = float(np.finfo(np.float32).min)


def convolution(planner: Planner, step: Step, operands: Results) -> Results:
    """CONV_2D, dense or grouped; a batch normalisation is folded into weights and bias."""
    return _convolution(planner, step, operands[0], depthwise=False)


def depthwise(planner: Planner, step: Step, operands: Results) -> Results:
    """DEPTHWISE_CONV_2D, whose weights are (1, kernel height, kernel width, output channels)."""
    return _convolution(planner, step, operands[0], depthwise=True)


def _convolution(planner: Planner, step: Step, x: Held, *, depthwise: bool) -> Results:
    node = step.node
    op: Any = node.operator
    source, padding = _padded(planner, x, op.padding_of(*node.inputs), op.padding == "same", node.name)
    axes = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    shape = tuple(node.parameter_shapes["weight"][axis] for axis in axes)

    def weights(held: Any) -> Any:
        weight = standardised(held, node, op.epsilon) if "gain" in node.parameter_shapes else weight_of(held, node)
        return (weight * scale_of(held, step)[:, None, None, None]).transpose(axes)

    inputs = [source, planner.learned(node.name, "weight", shape, weights)]
    inputs += _bias(planner, step)
    options: dict[str, Any] = {
        "padding": padding,
        "stride_w": op.stride[1],
        "stride_h": op.stride[0],
        "dilation_w_factor": op.dilation[1],
        "dilation_h_factor": op.dilation[0],
        "fused_activation_function": step.activation,
    }
    if depthwise:
        options["depth_multiplier"] = op.multiplier
    return (_image(planner, step, "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, **options),)


def transposed_convolution(planner: Planner, step: Step, operands: Results) -> Results:
    """TRANSPOSE_CONV; where torch crops differently from SAME, the whole product and a slice of it."""
    node = step.node
    op: Any = node.operator
    if op.groups != 1:
        raise UsageError(f"{op.groups} groups: TRANSPOSE_CONV has no groups")
    batch, _, height, width = node.inputs[0].shape
    out = node.outputs[0].shape
    whole = tuple((size - 1) * op.stride[axis] + op.kernel_size[axis] for axis, size in enumerate((height, width)))
    cut = (op.padding[0] + out[2], op.padding[1] + out[3])
    extent = (max(whole[0], cut[0]), max(whole[1], cut[1]))
    same = tuple(max(0, (size - 1) * op.stride[axis] + op.kernel_size[axis] - out[2 + axis]) // 2 for axis, size in enumerate((height, width)))
    is_same = (out[2], out[3]) == (height * op.stride[0], width * op.stride[1]) and same == op.padding
    cropped = not is_same and extent != (out[2], out[3])
    made = (out[2], out[3]) if is_same else extent
    shape = (op.out_channels, *op.kernel_size, node.inputs[0].shape[1])

    def weights(held: Any) -> Any:
        return (weight_of(held, node) * scale_of(held, step)[None, :, None, None]).transpose(1, 2, 3, 0)

    inputs = [planner.numbers((batch, *made, op.out_channels)), planner.learned(node.name, "weight", shape, weights), planner.arranged(operands[0], IMAGE)]
    inputs += _bias(planner, step)
    name = f"{node.name}/whole" if cropped else step.last.name
    file_shape = (batch, *made, op.out_channels)
    options: dict[str, Any] = {
        "padding": SAME if is_same else VALID,
        "stride_w": op.stride[1],
        "stride_h": op.stride[0],
        "fused_activation_function": step.activation,
    }
    result = planner.operator("TRANSPOSE_CONV", inputs, name, file_shape, range=TensorRef(step.last.name), **options)
    if cropped:
        begin = (0, *op.padding, 0)
        size = (batch, out[2], out[3], op.out_channels)
        result = planner.operator("SLICE", (result, planner.numbers(begin), planner.numbers(size)), step.last.name, size)
    return (Held(result, out, IMAGE),)


def max_pool(planner: Planner, step: Step, operands: Results) -> Results:
    """MAX_POOL_2D; padding other than SAME holds the smallest number."""
    node = step.node
    op: Any = node.operator
    sides, same = _pool_sides(step)
    source, padding = _padded(planner, operands[0], sides, same, node.name, value=LOWEST)
    return (_image(planner, step, "MAX_POOL_2D", (source,), fused_activation_function=step.activation, **_pool_options(op, padding)),)


def average_pool(planner: Planner, step: Step, operands: Results) -> Results:
    """AVERAGE_POOL_2D, which leaves padding out under SAME; other divisors are corrected by a product with a constant."""
    node = step.node
    op: Any = node.operator
    sides, same = _pool_sides(step)
    counted = op.count_padding and sides.any
    if counted:
        same, sides = False, Padding(sides.top, sides.bottom, sides.left, sides.right, False)
    source, padding = _padded(planner, operands[0], sides, same, node.name)
    exact = padding == SAME or not sides.any or (counted and not op.ceil)
    if exact:
        return (_image(planner, step, "AVERAGE_POOL_2D", (source,), fused_activation_function=step.activation, **_pool_options(op, padding)),)
    out = stored_shape(node.outputs[0].shape, IMAGE)
    mean = planner.operator("AVERAGE_POOL_2D", (source,), f"{node.name}/mean", out, fused_activation_function=NONE, **_pool_options(op, padding))
    factor = planner.learned(node.name, "divisor", (1, out[1], out[2], 1), lambda _: _correction(node))
    return (_image(planner, step, "MUL", (mean, factor), fused_activation_function=step.activation),)


def adaptive_pool(planner: Planner, step: Step, operands: Results) -> Results:
    """MEAN or REDUCE_MAX over the image, over equal windows as a pool, or over each row and column of windows in turn."""
    node = step.node
    op: Any = node.operator
    builtin = "MEAN" if type(op).__name__ == "AdaptiveAvgPool2d" else "REDUCE_MAX"
    source = planner.arranged(operands[0], IMAGE)
    out = node.outputs[0].shape
    size = (planner.shape(source)[1], planner.shape(source)[2])
    if op.size == (1, 1):
        inputs = (source, planner.numbers((1, 2)))
        return (_image(planner, step, builtin, inputs, keep_dims=True),)
    if size[0] % op.size[0] == 0 and size[1] % op.size[1] == 0:
        taps = (size[0] // op.size[0], size[1] // op.size[1])
        options: dict[str, Any] = {"padding": VALID, "stride_w": taps[1], "stride_h": taps[0], "filter_width": taps[1], "filter_height": taps[0]}
        pool = "AVERAGE_POOL_2D" if builtin == "MEAN" else "MAX_POOL_2D"
        return (_image(planner, step, pool, (source,), fused_activation_function=NONE, **options),)
    for axis in (1, 2):
        source = _windows_along(planner, source, builtin, axis, op.size[axis - 1], f"{node.name}/axis{axis}", node.arguments[0])
    return (Held(source, out, IMAGE),)


def _windows_along(planner: Planner, source: int, builtin: str, axis: int, count: int, name: str, bounds: TensorRef) -> int:
    """Adaptive windows along one axis of the file: each sliced, reduced, and all of them joined."""
    shape = planner.shape(source)
    size, parts = shape[axis], []
    for number in range(count):
        begin, end = number * size // count, -(-(number + 1) * size // count)
        starts = tuple(begin if place == axis else 0 for place in range(4))
        extent = (*shape[:axis], end - begin, *shape[axis + 1 :])
        part = planner.operator("SLICE", (source, planner.numbers(starts), planner.numbers(extent)), f"{name}/window{number}", extent)
        reduced = (*shape[:axis], 1, *shape[axis + 1 :])
        parts.append(planner.operator(builtin, (part, planner.numbers((axis,))), f"{name}/value{number}", reduced, range=bounds, keep_dims=True))
    joined = (*shape[:axis], count, *shape[axis + 1 :])
    return planner.operator("CONCATENATION", parts, name, joined, axis=axis, fused_activation_function=NONE)


def resize(planner: Planner, step: Step, operands: Results) -> Results:
    """RESIZE_NEAREST_NEIGHBOR as torch's, or RESIZE_BILINEAR with aligned corners or half-pixel centres."""
    op: Any = step.node.operator
    size = planner.numbers(step.node.outputs[0].shape[2:])
    bilinear = op.mode == "bilinear"
    builtin = "RESIZE_BILINEAR" if bilinear else "RESIZE_NEAREST_NEIGHBOR"
    source = planner.arranged(operands[0], IMAGE)
    aligned = bilinear and op.align_corners
    return (_image(planner, step, builtin, (source, size), align_corners=aligned, half_pixel_centers=bilinear and not aligned),)


# -- what they share -------------------------------------------------------------------------------------------------


def pad(planner: Planner, tensor: int, sides: tuple[tuple[int, int], ...], name: str, value: float = 0.0) -> int:
    """PAD with zeros, or PADV2 with another value, by (before, after) on every axis of the file."""
    shape: Shape = tuple(size + before + after for size, (before, after) in zip(planner.shape(tensor), sides, strict=True))
    amounts = planner.numbers([amount for pair in sides for amount in pair], (len(sides), 2))
    if value == 0:
        return planner.operator("PAD", (tensor, amounts), name, shape)
    return planner.operator("PADV2", (tensor, amounts, planner.real((value,))), name, shape)


def _padded(planner: Planner, x: Held, sides: Padding, same: bool, name: str, value: float = 0.0) -> tuple[int, int]:
    """The source of a window operator and its padding option; what is neither SAME nor VALID is padded before."""
    source = planner.arranged(x, IMAGE)
    if sides.is_same and (sides.any or same):
        return source, SAME
    if not sides.any:
        return source, VALID
    amounts = ((0, 0), (sides.top, sides.bottom), (sides.left, sides.right), (0, 0))
    return pad(planner, source, amounts, f"{name}/pad", value), VALID


def _bias(planner: Planner, step: Step) -> list[int]:
    """The bias: the operator's own, what a batch normalisation leaves, or zeros, which the built-in kernels insist on."""
    channels = step.node.outputs[0].shape[1]
    return [planner.learned(step.node.name, "bias", (channels,), lambda held: bias_of(held, step))]


def _image(planner: Planner, step: Step, builtin: str, inputs: tuple[int, ...] | list[int], **options: Any) -> Held:
    """The output of an operator that makes the image of `step`."""
    out = step.node.outputs[0].shape
    made = planner.operator(builtin, inputs, step.last.name, stored_shape(out, IMAGE), range=TensorRef(step.last.name), **options)
    return Held(made, out, IMAGE)


def _pool_sides(step: Step) -> tuple[Padding, bool]:
    """What a pool pads on each side, partial last windows included, and whether its own option says SAME."""
    node = step.node
    op: Any = node.operator
    own = op.padding_of(*node.inputs)
    height, width = node.inputs[0].shape[2:]
    missing = [
        max(0, (out - 1) * stride + kernel - size - before - after)
        for out, stride, kernel, size, before, after in zip(
            node.outputs[0].shape[2:], op.stride, op.kernel_size, (height, width), (own.top, own.left), (own.bottom, own.right), strict=True
        )
    ]
    sides = (own.top, own.bottom + missing[0], own.left, own.right + missing[1])
    same = resolve_padding("same", (height, width), op.kernel_size, op.stride)
    return Padding(*sides, sides == (same.top, same.bottom, same.left, same.right)), op.padding == "same"


def _pool_options(op: Any, padding: int) -> dict[str, Any]:
    return {
        "padding": padding,
        "stride_w": op.stride[1],
        "stride_h": op.stride[0],
        "filter_width": op.kernel_size[1],
        "filter_height": op.kernel_size[0],
    }


def _correction(node: Any) -> Any:
    """Number of taps / divisor at every position of a mean over padded windows: (1, H', W', 1)."""
    op = node.operator
    own = op.padding_of(*node.inputs)
    counts = []
    for axis, (before, after) in enumerate(((own.top, own.bottom), (own.left, own.right))):
        size, out = node.inputs[0].shape[2 + axis], node.outputs[0].shape[2 + axis]
        starts = np.arange(out) * op.stride[axis] - before
        low, high = (-before, size + after) if op.count_padding else (0, size)
        counts.append(np.minimum(starts + op.kernel_size[axis], high) - np.maximum(starts, low))
    divisor = counts[0][:, None] * counts[1][None, :]
    return (math.prod(op.kernel_size) / divisor).astype(np.float32)[None, :, :, None]
