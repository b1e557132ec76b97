"""Reading functions of each element and arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from costmodel.importers.tflite._layout import Order, natural
from costmodel.importers.tflite._reader import Known, Reader
from costmodel.importers.tflite._schema import FileOperator
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add, Divide, LayerScale, Multiply, Offset, Scale, Subtract
from costmodel.ops.elementwise import ELU, GELU, Clamp, HardSigmoid, HardSwish, LeakyReLU, PReLU, ReLU, ReLU6, SharedPReLU, Sigmoid, SiLU, Tanh
from costmodel.ops.layout import Reshape

#: Built-in operators that are one function of each element here; the function makes the operator from the options.
UNARY: dict[str, Callable[[Any], Operator]] = {
    "RELU": lambda options: ReLU(),
    "RELU6": lambda options: ReLU6(),
    "RELU_N1_TO_1": lambda options: Clamp(-1.0, 1.0),
    "RELU_0_TO_1": lambda options: Clamp(0.0, 1.0),
    "LEAKY_RELU": lambda options: LeakyReLU(float(options.get("alpha", 0.0))),
    "ELU": lambda options: ELU(),
    "LOGISTIC": lambda options: Sigmoid(),
    "TANH": lambda options: Tanh(),
    "HARD_SWISH": lambda options: HardSwish(),
    "GELU": lambda options: GELU(),
    "SILU": lambda options: SiLU(),
    "HARD_SIGMOID": lambda options: HardSigmoid(),
    # a change of type is one multiplication an element
    "QUANTIZE": lambda options: Scale(),
    "DEQUANTIZE": lambda options: Scale(),
}
BINARY: dict[str, type[Operator]] = {"ADD": Add, "SUB": Subtract, "MUL": Multiply, "DIV": Divide}


def unary(reader: Reader, operator: FileOperator) -> None:
    """A function of each element."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(UNARY[operator.builtin](operator.options), known.value), known.order)


def prelu(reader: Reader, operator: FileOperator) -> None:
    """PRELU with a slope for each channel, or one for all."""
    known = reader.get(operator, 0)
    slopes = math.prod(reader.weights(operator, 1))
    if slopes == 1:
        reader.give(operator, reader.add(SharedPReLU(), known.value), known.order)
        return
    rank = len(known.value.spec.shape)
    order = (0, *range(2, rank), 1)
    value = reader.arranged(known, order)
    if slopes != value.spec.shape[1]:
        raise reader.fault(f"has {slopes} slopes for {value.spec.shape[1]} channels")
    reader.give(operator, reader.add(PReLU(), value), order)


def arithmetic(reader: Reader, operator: FileOperator) -> None:
    """ADD, SUB, MUL, DIV; a product with a constant is a scale."""
    if len(operator.inputs) != 2:
        raise reader.fault(f"takes 2 operands, not {len(operator.inputs)}")
    for variable, constant in ((0, 1), (1, 0)):
        if operator.builtin in ("MUL", "DIV") and reader.is_constant(operator, constant) and not reader.is_constant(operator, variable):
            made = _scaling(reader, operator, reader.get(operator, variable), constant)
            if made is not None and not (operator.builtin == "DIV" and constant == 0):
                known = reader.get(operator, variable)
                reader.give(operator, reader.add(made, known.value), known.order)
                return
    shifted = _shift(reader, operator)
    if shifted is not None:
        made, known = shifted
        reader.give(operator, reader.add(made, known.value), known.order)
        return
    knowns = [None if reader.is_constant(operator, place) else reader.get(operator, place) for place in (0, 1)]
    declared = reader.output(operator).shape
    order = next((known.order for known in knowns if known is not None and len(known.order) == len(declared)), natural(len(declared)))
    values = [operand(reader, operator, place, order) for place in (0, 1)]
    reader.give(operator, reader.add(BINARY[operator.builtin](), *values), order)


def _shift(reader: Reader, operator: FileOperator) -> tuple[Operator, Known] | None:
    """A sum with or a difference from one number, and what it is applied to; None where both operands are more."""
    if operator.builtin not in ("ADD", "SUB"):
        return None
    for variable, constant in ((0, 1), (1, 0)):
        number = reader.real(reader.tensor(operator, constant))
        if number is not None and not reader.is_constant(operator, variable):
            amount = -number if operator.builtin == "SUB" and constant == 1 else number
            return Offset(amount, operator.builtin == "SUB" and constant == 0), reader.get(operator, variable)
    return None


def _scaling(reader: Reader, operator: FileOperator, known: Known, constant: int) -> Operator | None:
    """A product with one number, or with a vector along one axis; None where the constant is larger."""
    tensor = reader.tensor(operator, constant)
    rank = len(known.order)
    if math.prod(tensor.shape) == 1 and len(tensor.shape) <= rank:
        value = reader.real(tensor)
        return Scale(1.0 if value is None else value)
    long = [axis - len(tensor.shape) for axis, size in enumerate(tensor.shape) if size > 1]
    if len(long) != 1 or len(tensor.shape) > rank:
        return None
    axis = known.order[rank + long[0]]
    return LayerScale(axis) if known.value.spec.shape[axis] == tensor.shape[long[0]] else None


def operand(reader: Reader, operator: FileOperator, place: int, order: Order) -> Any:
    """An operand of an elementwise operator in the graph's axes, with axes of size 1 in front where it has fewer."""
    number, rank = reader.operand(operator, place), len(order)
    stored = reader.plan.tensors[number].shape
    if reader.is_constant(operator, place):
        if len(stored) == rank:
            return reader.parameter(number, order).value
        known = reader.parameter(number, natural(len(stored)))
    else:
        known = reader.get(operator, place)
    if len(known.order) == rank:
        return reader.arranged(known, order)
    value = reader.arranged(known)
    if order == natural(rank) or math.prod(stored) == 1:
        return value
    padded = (1,) * (rank - len(stored)) + stored
    shape = tuple(padded[order.index(axis)] for axis in range(rank))
    if sum(size > 1 for size in stored) > 1:
        wide = reader.add(Reshape(padded[1:]), value, suffix="/rank")
        return reader.arranged(Known(wide, natural(rank)), order)
    return reader.add(Reshape(shape[1:]), value, suffix="/rank")
