"""Elementwise operators and normalisations as file operators. They take tensors in whatever order the file holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import TensorRef
from costmodel.importers.tflite._fold import Step
from costmodel.importers.tflite._layout import IMAGE, Order, Shape, natural, position, stored_shape
from costmodel.importers.tflite._planner import Fixed, Held, Observed, Planner
from costmodel.importers.tflite._schema import NONE, RELU6, TYPES
from costmodel.importers.tflite._weights import own, scale_and_shift, weight_of

Results = tuple[Held, ...]

#: Output quantisations that TensorFlow Lite's 8-bit specification prescribes.
LOGISTIC, TANH_OUT, UNIT = Fixed(1 / 256, -128), Fixed(1 / 128, 0), Fixed(1 / 128, 0)
_FIXED = {"LOGISTIC": LOGISTIC, "TANH": TANH_OUT}
#: Clamps with a built-in operator of their own.
_CLAMPS = {(0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1", (0.0, 1.0): "RELU_0_TO_1"}


def simple(builtin: str, **options: Any) -> Any:
    """The emitter of a function of each element that is one built-in operator; options are fields or functions of the operator."""

    def emit(planner: Planner, step: Step, operands: Results) -> Results:
        (x,) = operands
        values = {name: value(step.node.operator) if callable(value) else value for name, value in options.items()}
        return (planner.like(x, _next(planner, step, x, builtin, (x.tensor,), range=_FIXED.get(builtin, TensorRef(step.last.name)), **values)),)

    return emit


def arithmetic(builtin: str) -> Any:
    """The emitter of ADD, SUB, MUL or DIV of two tensors."""

    def emit(planner: Planner, step: Step, operands: Results) -> Results:
        out = step.node.outputs[0].shape
        order = next((x.order for x in operands if x.shape == out and x.mixed is None), natural(len(out)))
        inputs = [planner.arranged(with_rank(planner, x, len(out)), order) for x in operands]
        made = planner.operator(
            builtin,
            inputs,
            step.last.name,
            stored_shape(out, order),
            type=TYPES.get(step.node.outputs[0].dtype, "FLOAT32"),
            range=TensorRef(step.last.name),
            fused_activation_function=step.activation,
        )
        return (Held(made, out, order),)

    return emit


def with_rank(planner: Planner, x: Held, rank: int) -> Held:
    """`x` with axes of size 1 in front, as broadcasting counts."""
    if len(x.shape) == rank:
        return x
    shape = (1,) * (rank - len(x.shape)) + x.shape
    return Held(planner.reshape(planner.arranged(x), f"{planner.tensors[x.tensor].name}/rank{rank}", shape), shape, natural(rank))


def silu(planner: Planner, step: Step, operands: Results) -> Results:
    """LOGISTIC of x times x."""
    (x,) = operands
    gate = planner.operator("LOGISTIC", (x.tensor,), f"{step.node.name}/sigmoid", planner.shape(x.tensor), range=LOGISTIC)
    return (planner.like(x, _next(planner, step, x, "MUL", (x.tensor, gate), fused_activation_function=NONE)),)


def hard_sigmoid(planner: Planner, step: Step, operands: Results) -> Results:
    """(x + 3) with RELU6, times 1/6."""
    (x,) = operands
    shifted = planner.operator(
        "ADD",
        (x.tensor, planner.real((3.0,))),
        f"{step.node.name}/add_clamp",
        planner.shape(x.tensor),
        range=Observed(step.node.name, lambda inputs, _: (inputs[0] + 3).clamp(0, 6)),
        fused_activation_function=RELU6,
    )
    return (planner.like(x, _next(planner, step, x, "MUL", (shifted, planner.real((1 / 6,))), fused_activation_function=NONE)),)


def clamp(planner: Planner, step: Step, operands: Results) -> Results:
    """A clamp with a built-in operator, or MAXIMUM and MINIMUM with constants."""
    (x,) = operands
    op: Any = step.node.operator
    builtin = _CLAMPS.get((float(op.low), float(op.high)))
    if builtin is not None:
        return (planner.like(x, _next(planner, step, x, builtin, (x.tensor,))),)
    least = planner.operator(
        "MAXIMUM",
        (x.tensor, planner.real((op.low,))),
        f"{step.node.name}/low",
        planner.shape(x.tensor),
        range=Observed(step.node.name, lambda inputs, _: inputs[0].clamp(min=op.low)),
    )
    return (planner.like(x, _next(planner, step, x, "MINIMUM", (least, planner.real((op.high,))))),)


def elu(planner: Planner, step: Step, operands: Results) -> Results:
    """ELU, which the schema knows with alpha 1 only."""
    op: Any = step.node.operator
    if op.alpha != 1:
        raise UsageError(f"alpha {op.alpha}: the built-in ELU has alpha 1")
    done: Results = simple("ELU")(planner, step, operands)
    return done


def prelu(planner: Planner, step: Step, operands: Results) -> Results:
    """PRELU with a slope for each channel, or one for all."""
    (x,) = operands
    x = _unmixed(planner, x)
    channels = step.node.parameter_shapes["weight"][0]
    rank = len(x.shape)
    if channels > 1 and position(x.order, 1) != rank - 1:
        order = (0, *range(2, rank), 1)
        x = Held(planner.arranged(x, order), x.shape, order)
    slope = planner.learned(step.node.name, "weight", (1,) * (rank - 2) + (channels,), lambda held: weight_of(held, step.node))
    return (planner.like(x, _next(planner, step, x, "PRELU", (x.tensor, slope))),)


def scale(planner: Planner, step: Step, operands: Results) -> Results:
    """MUL with a constant."""
    (x,) = operands
    op: Any = step.node.operator
    return (planner.like(x, _next(planner, step, x, "MUL", (x.tensor, planner.real((op.factor,))), fused_activation_function=NONE)),)


def layer_scale(planner: Planner, step: Step, operands: Results) -> Results:
    """MUL with a learned vector along one axis."""
    x = _unmixed(planner, operands[0])
    op: Any = step.node.operator
    factor = _vector(planner, step.node.name, "weight", x, op.axis, lambda held: weight_of(held, step.node))
    return (planner.like(x, _next(planner, step, x, "MUL", (x.tensor, factor), fused_activation_function=NONE)),)


def batch_norm(planner: Planner, step: Step, operands: Results) -> Results:
    """MUL and ADD with a vector for each channel, where there is nothing to fold it into."""
    x = _unmixed(planner, operands[0])
    node = step.node
    factor = _vector(planner, node.name, "scale", x, 1, lambda held: scale_and_shift(held, node)[0])
    shift = _vector(planner, node.name, "shift", x, 1, lambda held: scale_and_shift(held, node)[1])

    def scaled(inputs: Any, held: Any) -> Any:
        import torch

        return inputs[0] * torch.from_numpy(scale_and_shift(held, node)[0]).reshape(1, -1, *[1] * (len(x.shape) - 2))

    shape = planner.shape(x.tensor)
    product = planner.operator("MUL", (x.tensor, factor), f"{node.name}/multiply", shape, range=Observed(node.name, scaled), fused_activation_function=NONE)
    return (planner.like(x, _next(planner, step, x, "ADD", (product, shift), fused_activation_function=step.activation)),)


def layer_norm(planner: Planner, step: Step, operands: Results) -> Results:
    """Layer normalisation from its parts: two means, a reciprocal root, two products and a sum."""
    op: Any = step.node.operator
    rank = len(operands[0].shape)
    x = _with_last(planner, operands[0], op.axes)
    over = tuple(sorted(position(x.order, axis) for axis in range(rank - op.axes, rank)))
    normal = _normalised(planner, step.node.name, x.tensor, over, op.epsilon, centred=True)
    return (planner.like(x, _affine(planner, step, x, normal, tuple(range(rank - op.axes, rank)))),)


def rms_norm(planner: Planner, step: Step, operands: Results) -> Results:
    """The product with the reciprocal root of the mean square."""
    op: Any = step.node.operator
    rank = len(operands[0].shape)
    x = _with_last(planner, operands[0], 1)
    normal = _normalised(planner, step.node.name, x.tensor, (position(x.order, -1),), op.epsilon, centred=False)
    return (planner.like(x, _affine(planner, step, x, normal, (rank - 1,))),)


def group_norm(planner: Planner, step: Step, operands: Results) -> Results:
    """Layer normalisation over positions and the channels of a group, as (N, positions, groups, channels of a group)."""
    node = step.node
    op: Any = node.operator
    rank = len(operands[0].shape)
    order = (0, *range(2, rank), 1)
    x = Held(planner.arranged(operands[0], order), operands[0].shape, order)
    batch, channels = x.shape[:2]
    stored = planner.shape(x.tensor)
    positions = int(np.prod(stored[1:-1], dtype=object)) if rank > 2 else 1
    grouped = planner.reshape(x.tensor, f"{node.name}/groups", (batch, positions, op.groups, channels // op.groups))
    normal = _normalised(planner, node.name, grouped, (1, 3), op.epsilon, centred=True)
    return (planner.like(x, _affine(planner, step, x, planner.reshape(normal, f"{node.name}/channels", stored), (1,))),)


def l2_norm(planner: Planner, step: Step, operands: Results) -> Results:
    """L2_NORMALIZATION, which works on the last axis of the file."""
    (x,) = operands
    op: Any = step.node.operator
    rank = len(x.shape)
    axis = op.axis % rank
    order = (*(other for other in (IMAGE if rank == 4 else natural(rank)) if other != axis), axis)
    x = Held(planner.arranged(x, order), x.shape, order)
    return (planner.like(x, _next(planner, step, x, "L2_NORMALIZATION", (x.tensor,), range=UNIT, fused_activation_function=NONE)),)


def response_norm(planner: Planner, step: Step, operands: Results) -> Results:
    """LOCAL_RESPONSE_NORMALIZATION, whose alpha multiplies the sum where ours multiplies the mean of `size` squares."""
    (x,) = operands
    op: Any = step.node.operator
    if op.size % 2 == 0:
        raise UsageError(f"a window of {op.size} channels: the built-in operator has as many on both sides")
    x = Held(planner.arranged(x, IMAGE), x.shape, IMAGE)
    options: dict[str, Any] = {"radius": op.size // 2, "bias": op.bias, "alpha": op.alpha / op.size, "beta": op.beta}
    return (planner.like(x, _next(planner, step, x, "LOCAL_RESPONSE_NORMALIZATION", (x.tensor,), **options)),)


# -- what they share -------------------------------------------------------------------------------------------------


def _next(planner: Planner, step: Step, x: Held, builtin: str, inputs: tuple[int, ...], *, range: Any = None, **options: Any) -> int:
    """The output of `step`, of the shape that `x` has in the file."""
    return planner.operator(builtin, inputs, step.last.name, planner.shape(x.tensor), range=range or TensorRef(step.last.name), **options)


def _unmixed(planner: Planner, x: Held) -> Held:
    return x if x.mixed is None else Held(planner.arranged(x), x.shape, natural(len(x.shape)))


def _with_last(planner: Planner, x: Held, count: int) -> Held:
    """`x` with the last `count` axes of the graph last in the file, in whatever order."""
    rank = len(x.shape)
    if x.mixed is None and set(x.order[rank - count :]) == set(range(rank - count, rank)):
        return x
    return Held(planner.arranged(x), x.shape, natural(rank))


def _vector(planner: Planner, owner: str, name: str, x: Held, axis: int, recipe: Any) -> int:
    """A learned vector that broadcasts along `axis` of the graph."""
    place = position(x.order, axis)
    shape: Shape = (x.shape[axis], *[1] * (len(x.order) - 1 - place))
    return planner.learned(owner, name, shape, lambda held: recipe(held).reshape(shape))


def _normalised(planner: Planner, name: str, x: int, over: Order, epsilon: float, *, centred: bool) -> int:
    """(x - mean) / root of the variance plus epsilon, over axes of the file; without the mean where not `centred`."""
    shape = planner.shape(x)
    reduced = tuple(1 if axis in over else size for axis, size in enumerate(shape))
    axes = planner.numbers(over)
    plain: dict[str, Any] = {"fused_activation_function": NONE}
    if centred:
        mean = planner.operator("MEAN", (x, axes), f"{name}/mean", reduced, keep_dims=True)
        square = planner.operator("SQUARED_DIFFERENCE", (x, mean), f"{name}/squared_difference", shape)
        x = planner.operator("SUB", (x, mean), f"{name}/centred", shape, **plain)
    else:
        square = planner.operator("MUL", (x, x), f"{name}/square", shape, **plain)
    variance = planner.operator("MEAN", (square, axes), f"{name}/variance", reduced, keep_dims=True)
    shifted = planner.operator("ADD", (variance, planner.real((epsilon,))), f"{name}/epsilon", reduced, **plain)
    root = planner.operator("RSQRT", (shifted,), f"{name}/reciprocal_root", reduced)
    return planner.operator("MUL", (x, root), f"{name}/normal", shape, **plain)


def _affine(planner: Planner, step: Step, x: Held, tensor: int, axes: Order) -> int:
    """The learned scale and shift of a normalisation over `axes` of the graph, where it has them."""
    places = sorted(axes, key=lambda axis: position(x.order, axis))
    first = position(x.order, places[0])
    shape = tuple(x.shape[axis] if axis in axes else 1 for axis in x.order[first:])
    turn = tuple(axes.index(axis) for axis in places)
    for builtin, name in (("MUL", "weight"), ("ADD", "bias")):
        if name in step.node.parameter_shapes:

            def recipe(held: Any, name: str = name) -> Any:
                return own(held, step.node)[name].transpose(turn).reshape(shape)

            constant = planner.learned(step.node.name, name, shape, recipe)
            tensor = planner.operator(builtin, (tensor, constant), f"{step.node.name}/{name}_done", planner.shape(x.tensor), fused_activation_function=NONE)
    planner.ranges[tensor] = TensorRef(step.last.name)
    return tensor
