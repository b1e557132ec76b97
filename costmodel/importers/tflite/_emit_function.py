"""Functions known by a name, comparisons, selections, reductions and repetitions as file operators."""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import UsageError
from costmodel.graph import TensorRef
from costmodel.importers.tflite._emit_elementwise import with_rank
from costmodel.importers.tflite._fold import Step
from costmodel.importers.tflite._layout import natural, position, stored_shape
from costmodel.importers.tflite._planner import Held, Planner
from costmodel.importers.tflite._schema import NONE, TYPES
from costmodel.importers.tflite._weights import own

Results = tuple[Held, ...]

#: Functions of one element by their names in torch.
FUNCTIONS = {
    **{name: name.upper() for name in ("abs", "ceil", "cos", "exp", "floor", "log", "logical_not", "neg", "round", "rsqrt", "sign", "sin", "sqrt", "square")},
}
#: Functions of two elements by their names in torch.
PAIRS = {
    **{name: name.upper() for name in ("maximum", "minimum", "pow", "atan2", "logical_and", "logical_or")},
    "eq": "EQUAL",
    "ne": "NOT_EQUAL",
    "lt": "LESS",
    "le": "LESS_EQUAL",
    "gt": "GREATER",
    "ge": "GREATER_EQUAL",
    "floor_divide": "FLOOR_DIV",
    "remainder": "FLOOR_MOD",
}
#: Reductions by their names in torch.
REDUCTIONS = {"sum": "SUM", "prod": "REDUCE_PROD", "amax": "REDUCE_MAX", "amin": "REDUCE_MIN", "any": "REDUCE_ANY", "all": "REDUCE_ALL"}
_SEARCHES = {"argmax": ("ARG_MAX", "ArgMax"), "argmin": ("ARG_MIN", "ArgMin")}
_PLAIN: dict[str, Any] = {"fused_activation_function": NONE}


def function(planner: Planner, step: Step, operands: Results) -> Results:
    """A built-in operator, or softplus, mish, reciprocal, log1p and expm1 from their parts."""
    (x,) = operands
    name = step.node.operator.function  # type: ignore[attr-defined]  # the vocabulary pairs it with Function
    shape, one, label = planner.shape(x.tensor), planner.real((1.0,)), step.node.name
    if name in FUNCTIONS:
        return (_made(planner, step, x, FUNCTIONS[name], (x.tensor,)),)
    if name == "reciprocal":
        return (_made(planner, step, x, "DIV", (one, x.tensor), **_PLAIN),)
    if name == "log1p":
        return (_made(planner, step, x, "LOG", (planner.operator("ADD", (x.tensor, one), f"{label}/add", shape, **_PLAIN),)),)
    if name == "expm1":
        return (_made(planner, step, x, "SUB", (planner.operator("EXP", (x.tensor,), f"{label}/exp", shape), one), **_PLAIN),)
    if name in ("softplus", "mish"):
        grown = planner.operator("ADD", (planner.operator("EXP", (x.tensor,), f"{label}/exp", shape), one), f"{label}/add", shape, **_PLAIN)
        if name == "softplus":
            return (_made(planner, step, x, "LOG", (grown,)),)
        gate = planner.operator("TANH", (planner.operator("LOG", (grown,), f"{label}/log", shape),), f"{label}/tanh", shape)
        return (_made(planner, step, x, "MUL", (x.tensor, gate), **_PLAIN),)
    raise UsageError(f"{name} has no built-in operator")


def pairwise(planner: Planner, step: Step, operands: Results) -> Results:
    """A built-in function of two tensors, or of one and a number."""
    op: Any = step.node.operator
    if op.function not in PAIRS:
        raise UsageError(f"{op.function} has no built-in operator")
    out = step.node.outputs[0].shape
    order = next((x.order for x in operands if x.shape == out and x.mixed is None), natural(len(out)))
    inputs = [planner.arranged(with_rank(planner, x, len(out)), order) for x in operands]
    if op.other is not None:
        inputs.append(
            planner.real((op.other,))
            if planner.tensors[inputs[0]].type == "FLOAT32"
            else planner.numbers((int(op.other),), (), planner.tensors[inputs[0]].type)
        )
    kind = TYPES.get(step.node.outputs[0].dtype, "FLOAT32")
    made = planner.operator(PAIRS[op.function], inputs, step.last.name, stored_shape(out, order), type=kind)
    return (Held(made, out, order),)


def select(planner: Planner, step: Step, operands: Results) -> Results:
    """SELECT_V2 of two tensors, or of one and a number."""
    op: Any = step.node.operator
    out = step.node.outputs[0].shape
    order = next((x.order for x in operands if x.shape == out and x.mixed is None), natural(len(out)))
    inputs = [planner.arranged(with_rank(planner, x, len(out)), order) for x in operands]
    if op.other is not None:
        inputs.append(planner.real((op.other,)))
    made = planner.operator("SELECT_V2", inputs, step.last.name, stored_shape(out, order), type=TYPES.get(step.node.outputs[0].dtype, "FLOAT32"))
    return (Held(made, out, order),)


def offset(planner: Planner, step: Step, operands: Results) -> Results:
    """ADD of a number, or SUB from it."""
    (x,) = operands
    op: Any = step.node.operator
    inputs = (planner.real((op.amount,)), x.tensor) if op.negate else (x.tensor, planner.real((op.amount,)))
    return (_made(planner, step, x, "SUB" if op.negate else "ADD", inputs, range=TensorRef(step.last.name), **_PLAIN),)


def reduce(planner: Planner, step: Step, operands: Results) -> Results:
    """A built-in reduction; the norm is the root of a sum of squares."""
    op: Any = step.node.operator
    x = operands[0] if operands[0].mixed is None else Held(planner.arranged(operands[0]), operands[0].shape, natural(len(operands[0].shape)))
    rank, out = len(x.shape), step.node.outputs[0].shape
    reduced = {axis % rank for axis in op.axes}
    order = x.order if op.keep else tuple(sum(other not in reduced for other in range(axis)) for axis in x.order if axis not in reduced)
    axes, stored = planner.numbers(sorted(position(x.order, axis) for axis in reduced)), stored_shape(out, order)
    if op.function == "norm":
        squares = planner.operator("SQUARE", (x.tensor,), f"{step.node.name}/square", planner.shape(x.tensor))
        total = planner.operator("SUM", (squares, axes), f"{step.node.name}/sum", stored, keep_dims=op.keep)
        return (Held(planner.operator("SQRT", (total,), step.last.name, stored), out, order),)
    if op.function in _SEARCHES and len(reduced) == 1 and not op.keep:
        builtin, _ = _SEARCHES[op.function]
        return (Held(planner.operator(builtin, (x.tensor, axes), step.last.name, stored, type="INT64", output_type=INT64), out, order),)
    if op.function not in REDUCTIONS:
        raise UsageError(f"{op.function} over axes {op.axes} has no built-in operator")
    kind = TYPES.get(step.node.outputs[0].dtype, "FLOAT32")
    return (Held(planner.operator(REDUCTIONS[op.function], (x.tensor, axes), step.last.name, stored, type=kind, keep_dims=op.keep), out, order),)


#: The schema's number of 64-bit integers.
INT64 = 4


def cumulative(planner: Planner, step: Step, operands: Results) -> Results:
    """CUMSUM."""
    op: Any = step.node.operator
    x = Held(planner.arranged(operands[0]), operands[0].shape, natural(len(operands[0].shape)))
    axis = planner.numbers((op.axis % len(x.shape),), ())
    return (_made(planner, step, x, "CUMSUM", (x.tensor, axis), exclusive=False, reverse=False),)


def cast(planner: Planner, step: Step, operands: Results) -> Results:
    """CAST; what has the type already stays as it is."""
    (x,) = operands
    kinds = [planner.tensors[x.tensor].type, TYPES.get(step.node.outputs[0].dtype, "FLOAT32")]
    if kinds[0] == kinds[1]:
        return (x,)
    return (planner.like(x, planner.operator("CAST", (x.tensor,), step.last.name, planner.shape(x.tensor), type=kinds[1])),)


def flip(planner: Planner, step: Step, operands: Results) -> Results:
    """REVERSE_V2, one axis after the other."""
    op: Any = step.node.operator
    x = Held(planner.arranged(operands[0]), operands[0].shape, natural(len(operands[0].shape)))
    tensor = x.tensor
    for axis in sorted({axis % len(x.shape) for axis in op.axes}):
        tensor = planner.operator("REVERSE_V2", (tensor, planner.numbers((axis,))), f"{step.node.name}/axis{axis}", x.shape, type=planner.tensors[tensor].type)
    return (planner.like(x, tensor),)


def repeat(planner: Planner, step: Step, operands: Results) -> Results:
    """TILE, for repetitions and for broadcasting that some reader demands."""
    out = step.node.outputs[0].shape
    x = with_rank(planner, operands[0], len(out))
    tensor = planner.arranged(x)
    times = tuple(new // old for new, old in zip(out, x.shape, strict=True))
    if math.prod(times) == 1:
        return (Held(tensor, out, natural(len(out))),)
    made = planner.operator("TILE", (tensor, planner.numbers(times)), step.last.name, out, type=planner.tensors[tensor].type)
    return (Held(made, out, natural(len(out))),)


def constant(planner: Planner, step: Step, operands: Results) -> Results:
    """A stored tensor; what the operator makes where the weights do not hold it."""
    spec = step.node.outputs[0]
    kind = TYPES.get(spec.dtype, "FLOAT32")
    operator: Any = step.node.operator

    def recipe(held: Any) -> Any:
        stored = own(held, step.node).get("weight")
        return operator.made() if stored is None else stored

    made = planner.learned(step.node.shares or step.node.name, "weight", spec.shape, recipe, type=kind)
    return (Held(made, spec.shape, natural(len(spec.shape))),)


def index(planner: Planner, step: Step, operands: Results) -> Results:
    """GATHER along one axis."""
    op: Any = step.node.operator
    if len(op.axes) != 1:
        raise UsageError(f"indices of axes {op.axes} together: GATHER takes those of one axis")
    out = step.node.outputs[0].shape
    inputs = tuple(planner.arranged(x) for x in operands)
    kind = planner.tensors[inputs[0]].type
    return (Held(planner.operator("GATHER", inputs, step.last.name, out, type=kind, axis=op.axes[0], batch_dims=0), out, natural(len(out))),)


def unavailable(reason: str) -> Any:
    """The emitter of an operator that has no built-in form, with why."""

    def emit(planner: Planner, step: Step, operands: Results) -> Results:
        raise UsageError(reason)

    return emit


def _made(planner: Planner, step: Step, x: Held, builtin: str, inputs: tuple[int, ...], *, range: Any = None, **options: Any) -> Held:
    """The result of a function of each element, held as `x` is."""
    kind = TYPES.get(step.node.outputs[0].dtype, "FLOAT32")
    return planner.like(x, planner.operator(builtin, inputs, step.last.name, planner.shape(x.tensor), range=range, type=kind, **options))
