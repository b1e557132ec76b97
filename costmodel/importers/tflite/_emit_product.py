"""Matrix products, attention and recurrence as file operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import Node, TensorRef
from costmodel.importers.tflite._fold import Step
from costmodel.importers.tflite._layout import natural, position, stored_shape
from costmodel.importers.tflite._planner import Fixed, Held, Observed, Planner
from costmodel.importers.tflite._schema import ABSENT, NONE, TANH
from costmodel.importers.tflite._weights import bias_of, own, scale_of, weight_of

Results = tuple[Held, ...]

#: What TensorFlow Lite's 8-bit specification prescribes for SOFTMAX.
SOFTMAX = Fixed(1 / 256, -128)


def linear(planner: Planner, step: Step, operands: Results) -> Results:
    """FULLY_CONNECTED on the last axis; what was flattened in the file's order has its weights in that order instead."""
    (x,) = operands
    node = step.node
    inner, out = node.inputs[0].shape[-1], node.outputs[0].shape
    columns: Any = slice(None)
    if x.mixed is not None:
        shape, order = x.mixed
        columns = _columns(shape[1:], tuple(axis - 1 for axis in order[1:]))
    elif position(x.order, -1) != len(x.order) - 1:
        x = Held(planner.arranged(x), x.shape, natural(len(x.shape)))

    def weights(held: Any) -> Any:
        return (weight_of(held, node) * scale_of(held, step)[:, None])[:, columns]

    form = "" if x.mixed is None else f"{x.mixed}"
    inputs = [x.tensor, planner.learned(node.shares or node.name, "weight", (out[-1], inner), weights, form=f"{form}{step.norm is not None and node.name}")]
    if step.norm is not None or "bias" in node.parameter_shapes:
        inputs.append(planner.learned(node.name, "bias", (out[-1],), lambda held: bias_of(held, step)))
    options: dict[str, Any] = {"fused_activation_function": step.activation, "weights_format": 0, "keep_num_dims": len(out) != 2}
    made = planner.operator("FULLY_CONNECTED", inputs, step.last.name, stored_shape(out, x.order), range=TensorRef(step.last.name), **options)
    return (Held(made, out, x.order),)


def _columns(shape: tuple[int, ...], order: tuple[int, ...]) -> Any:
    """Where in the graph's flattening each element of the file's stands."""
    return np.arange(int(np.prod(shape, dtype=object))).reshape(shape).transpose(order).reshape(-1)


def matmul(planner: Planner, step: Step, operands: Results) -> Results:
    """BATCH_MATMUL."""
    op: Any = step.node.operator
    a, b = (planner.arranged(x) for x in operands)
    out = step.node.outputs[0].shape
    made = planner.operator("BATCH_MATMUL", (a, b), step.last.name, out, range=TensorRef(step.last.name), adj_x=False, adj_y=op.transpose_b)
    return (Held(made, out, natural(len(out))),)


def attention(planner: Planner, step: Step, operands: Results) -> Results:
    """BATCH_MATMUL, MUL, SOFTMAX, BATCH_MATMUL."""
    q, k, v = (planner.arranged(x) for x in operands)
    node = step.node
    shape = (*node.inputs[0].shape[:-1], node.inputs[1].shape[-2])
    op: Any = node.operator
    if op.causal or node.inputs[0].shape[:-2] != node.inputs[1].shape[:-2]:
        raise UsageError("no built-in operators hide later keys, or share heads")
    factor = node.inputs[0].shape[-1] ** -0.5 if op.scale is None else op.scale
    product = Observed(node.name, lambda inputs, _: inputs[0] @ inputs[1].transpose(-1, -2))
    scaled = Observed(node.name, lambda inputs, _: inputs[0] @ inputs[1].transpose(-1, -2) * factor)
    scores = planner.operator("BATCH_MATMUL", (q, k), f"{node.name}/query_key", shape, range=product, adj_x=False, adj_y=True)
    scores = planner.operator("MUL", (scores, planner.real((factor,))), f"{node.name}/scale", shape, range=scaled, fused_activation_function=NONE)
    shares = planner.operator("SOFTMAX", (scores,), f"{node.name}/softmax", shape, range=SOFTMAX, beta=1.0)
    out = node.outputs[0].shape
    made = planner.operator("BATCH_MATMUL", (shares, v), step.last.name, out, range=TensorRef(step.last.name), adj_x=False, adj_y=False)
    return (Held(made, out, natural(len(out))),)


def softmax(planner: Planner, step: Step, operands: Results) -> Results:
    """SOFTMAX over the last axis of the file."""
    (x,) = operands
    op: Any = step.node.operator
    rank = len(x.shape)
    if x.mixed is not None or position(x.order, op.axis) != rank - 1:
        order = (*(axis for axis in x.order if axis != op.axis % rank), op.axis % rank)
        x = Held(planner.arranged(x, order), x.shape, order)
    made = planner.operator("SOFTMAX", (x.tensor,), step.last.name, planner.shape(x.tensor), range=SOFTMAX, beta=1.0)
    return (planner.like(x, made),)


def position_bias(planner: Planner, step: Step, operands: Results) -> Results:
    """ADD of the biases, looked up in their table when the file is written."""
    shape = step.node.inputs[0].shape
    constant = planner.learned(step.node.name, "bias", (1, *shape[1:]), lambda held: _on_zeros(step.node, held, (1, *shape[1:])))
    return _added(planner, step, operands[0], constant)


def window_mask(planner: Planner, step: Step, operands: Results) -> Results:
    """ADD of the mask, which is the same for every head."""
    shape = step.node.inputs[0].shape
    masked = (shape[0], 1, *shape[2:])
    return _added(planner, step, operands[0], planner.learned(step.node.name, "mask", masked, lambda held: _on_zeros(step.node, held, masked)))


def _added(planner: Planner, step: Step, x: Held, constant: int) -> Results:
    tensor = planner.arranged(x)
    made = planner.operator("ADD", (tensor, constant), step.last.name, x.shape, range=TensorRef(step.last.name), fused_activation_function=NONE)
    return (Held(made, x.shape, natural(len(x.shape))),)


def _on_zeros(node: Node, held: Any, shape: tuple[int, ...]) -> Any:
    """What the operator of `node` makes of zeros: the constant that it adds."""
    import torch

    weights = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in own(held, node).items()}
    return node.operator.run(torch.zeros(shape), **weights).numpy()


def radial_basis(planner: Planner, step: Step, operands: Results) -> Results:
    """|x|^2 - 2 x.w + |w|^2: a sum of squares, a FULLY_CONNECTED with weights -2w and bias |w|^2, and their sum."""
    tensor = planner.arranged(operands[0])
    node = step.node
    op: Any = node.operator
    rows, inner = node.inputs[0].shape
    out = (rows, op.out_features)

    def codes(held: Any) -> Any:
        return np.asarray(own(held, node).get("codes", np.zeros((op.out_features, inner))), np.float32)

    plain: dict[str, Any] = {"fused_activation_function": NONE}
    squares = planner.operator("MUL", (tensor, tensor), f"{node.name}/square", (rows, inner), **plain)
    length = planner.operator("SUM", (squares, planner.numbers((1,))), f"{node.name}/length", (rows, 1), keep_dims=True)
    weight = planner.learned(node.name, "codes", (op.out_features, inner), lambda held: -2 * codes(held))
    bias = planner.learned(node.name, "lengths", (op.out_features,), lambda held: np.square(codes(held)).sum(1))
    product = planner.operator("FULLY_CONNECTED", (tensor, weight, bias), f"{node.name}/product", out, weights_format=0, keep_num_dims=False, **plain)
    made = planner.operator("ADD", (product, length), step.last.name, out, range=TensorRef(step.last.name), **plain)
    return (Held(made, out, natural(2)),)


def embedding(planner: Planner, step: Step, operands: Results) -> Results:
    """GATHER of rows of the table."""
    op: Any = step.node.operator
    out = step.node.outputs[0].shape
    table = planner.learned(step.node.shares or step.node.name, "weight", (op.count, op.width), lambda held: weight_of(held, step.node))
    made = planner.operator("GATHER", (table, planner.arranged(operands[0])), step.last.name, out, range=TensorRef(step.last.name), axis=0, batch_dims=0)
    return (Held(made, out, natural(len(out))),)


def lstm(planner: Planner, step: Step, operands: Results) -> Results:
    """UNIDIRECTIONAL_SEQUENCE_LSTM. torch's gates are (input, forget, cell, output) with two biases, TFLite's have one."""
    node = step.node
    op: Any = node.operator
    batch, _, width = node.inputs[0].shape
    owner = node.shares or node.name

    def gate(name: str, number: int, shape: tuple[int, ...]) -> int:
        rows = slice(number * op.hidden, (number + 1) * op.hidden)
        return planner.learned(owner, f"{name}{number}", shape, lambda held: own(held, node)[name][rows])

    def bias(number: int) -> int:
        rows = slice(number * op.hidden, (number + 1) * op.hidden)

        def summed(held: Any) -> Any:
            found = own(held, node)
            return found["bias_ih"][rows] + found["bias_hh"][rows] if op.bias else np.zeros(op.hidden, np.float32)

        return planner.learned(owner, f"bias{number}", (op.hidden,), summed)

    states = [planner.tensor(f"{node.name}/{name}_state", (batch, op.hidden), variable=True) for name in ("output", "cell")]
    inputs = [
        planner.arranged(operands[0]),
        *(gate("weight_ih", number, (op.hidden, width)) for number in range(4)),
        *(gate("weight_hh", number, (op.hidden, op.hidden)) for number in range(4)),
        *[ABSENT] * 3,
        *(bias(number) for number in range(4)),
        *[ABSENT] * 2,
        *states,
        *[ABSENT] * 4,
    ]
    options: dict[str, Any] = {"fused_activation_function": TANH, "cell_clip": 0.0, "proj_clip": 0.0, "time_major": False}
    out = node.outputs[0].shape
    made = planner.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, step.last.name, out, range=TensorRef(step.last.name), **options)
    return (Held(made, out, natural(3)),)
