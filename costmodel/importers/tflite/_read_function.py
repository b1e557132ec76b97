"""Reading functions known by a name, comparisons, selections, reductions, repetitions and changes of type."""

from __future__ import annotations

import math

from costmodel.importers.tflite._emit_function import FUNCTIONS, PAIRS
from costmodel.importers.tflite._emit_function import REDUCTIONS as _REDUCTIONS
from costmodel.importers.tflite._layout import IMAGE, natural
from costmodel.importers.tflite._read_elementwise import operand
from costmodel.importers.tflite._reader import DTYPES, Known, Reader
from costmodel.importers.tflite._schema import FileOperator
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Subtract
from costmodel.ops.blocks import Flip
from costmodel.ops.functions import Cumulative, Function, Pairwise, Reduce, Select
from costmodel.ops.layout import Cast
from costmodel.ops.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, Mean
from costmodel.ops.stored import Embedding, Expand, ExpandBatch, Index, Repeat
from costmodel.tensor import DType

#: Built-in operator -> the function's name in torch.
UNARY = {builtin: name for name, builtin in FUNCTIONS.items()}
BINARY = {builtin: name for name, builtin in PAIRS.items()}
REDUCED = {builtin: name for name, builtin in _REDUCTIONS.items()}
SEARCHES = {"ARG_MAX": "argmax", "ARG_MIN": "argmin"}


def function(reader: Reader, operator: FileOperator) -> None:
    """A function of each element."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(Function(UNARY[operator.builtin]), known.value), known.order)


def pairwise(reader: Reader, operator: FileOperator) -> None:
    """A function of two tensors, or of one and a number."""
    name = BINARY[operator.builtin]
    number = reader.real(reader.tensor(operator, 1))
    if number is not None and not reader.is_constant(operator, 0):
        known = reader.get(operator, 0)
        reader.give(operator, reader.add(Pairwise(name, number), known.value), known.order)
        return
    number = reader.real(reader.tensor(operator, 0))
    if number is not None and name in ("maximum", "minimum"):
        known = reader.get(operator, 1)
        reader.give(operator, reader.add(Pairwise(name, number), known.value), known.order)
        return
    _together(reader, operator, Pairwise(name))


def squared_difference(reader: Reader, operator: FileOperator) -> None:
    """SQUARED_DIFFERENCE outside a normalisation: a difference and its square."""
    _together(reader, operator, Subtract(), Function("square"))


def select(reader: Reader, operator: FileOperator) -> None:
    """SELECT and SELECT_V2; a number where the condition fails is the operator's own."""
    number = reader.real(reader.tensor(operator, 2))
    _together(reader, operator, Select(number), places=(0, 1) if number is not None else (0, 1, 2))


def _together(reader: Reader, operator: FileOperator, *made: Operator, places: tuple[int, ...] = (0, 1)) -> None:
    """Operators on tensors that broadcast: the first takes all of them, each of the others what the one before gives."""
    declared = reader.output(operator).shape
    knowns = [reader.get(operator, place) for place in places if not reader.is_constant(operator, place)]
    order = next((known.order for known in knowns if len(known.order) == len(declared)), natural(len(declared)))
    value = reader.add(made[0], *(operand(reader, operator, place, order) for place in places))
    for following in made[1:]:
        value = reader.add(following, value, suffix="/square")
    reader.give(operator, value, order)


def reduction(reader: Reader, operator: FileOperator) -> None:
    """MEAN, SUM, REDUCE_MAX and the like over axes; a mean or a maximum over a whole image is a global pool."""
    known = reader.get(operator, 0)
    rank = len(known.order)
    stored = sorted({axis % rank for axis in reader.integers(operator, 1)})
    if not stored:
        raise reader.fault("reduces over no axis")
    axes = tuple(sorted(known.order[axis] for axis in stored))
    keep = bool(operator.options.get("keep_dims", False))
    if known.order == IMAGE and axes == (2, 3) and keep and operator.builtin in ("MEAN", "REDUCE_MAX"):
        pool: Operator = AdaptiveAvgPool2d() if operator.builtin == "MEAN" else AdaptiveMaxPool2d()
        reader.give_image(operator, reader.add(pool, known.value))
        return
    made: Operator = Mean(axes, keep) if operator.builtin == "MEAN" else Reduce(REDUCED[operator.builtin], axes, keep)
    order = known.order if keep else tuple(sum(other not in axes for other in range(axis)) for axis in known.order if axis not in axes)
    reader.give(operator, reader.add(made, known.value), order)


def search(reader: Reader, operator: FileOperator) -> None:
    """ARG_MAX and ARG_MIN over one axis."""
    known = reader.get(operator, 0)
    (axis,) = reader.integers(operator, 1)
    place = known.order[axis % len(known.order)]
    order = tuple(other - (other > place) for other in known.order if other != place)
    reader.give(operator, reader.add(Reduce(SEARCHES[operator.builtin], (place,)), known.value), order)


def cumulative(reader: Reader, operator: FileOperator) -> None:
    """CUMSUM."""
    known = reader.get(operator, 0)
    (axis,) = reader.integers(operator, 1)
    reader.give(operator, reader.add(Cumulative(known.order[axis % len(known.order)]), known.value), known.order)


def cast(reader: Reader, operator: FileOperator) -> None:
    """CAST."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(Cast(DTYPES.get(reader.output(operator).type, DType.FP32)), known.value), known.order)


def flip(reader: Reader, operator: FileOperator) -> None:
    """REVERSE_V2."""
    known = reader.get(operator, 0)
    axes = tuple(sorted(known.order[axis % len(known.order)] for axis in reader.integers(operator, 1)))
    reader.give(operator, reader.add(Flip(axes), known.value), known.order)


def repeat(reader: Reader, operator: FileOperator) -> None:
    """TILE: copies, or a stored tensor for every sample of the batch."""
    known = reader.get(operator, 0)
    counts = reader.integers(operator, 1)
    if len(counts) != len(known.order) or min(counts, default=0) < 1:
        raise reader.fault(f"repeats {counts} times along {len(known.order)} axes")
    like = next((value for value in reader.network_inputs() if value.spec.shape[0] == counts[0]), None)
    value = reader.arranged(known)
    if like is not None and counts[0] > 1 and value.spec.shape[0] == 1:
        value, counts = reader.add(ExpandBatch(), value, like), (1, *counts[1:])
    if math.prod(counts) > 1 or value is known.value:
        value = reader.add(Repeat(counts), value, suffix="/repeat")
    reader.give(operator, value, natural(len(counts)))


def broadcast_to(reader: Reader, operator: FileOperator) -> None:
    """BROADCAST_TO."""
    stored = reader.output(operator).shape
    value = reader.arranged(reader.get(operator, 0))
    given = (1,) * (len(stored) - len(value.spec.shape)) + value.spec.shape
    target = tuple(-1 if old == new else new for old, new in zip(given, stored, strict=False))
    reader.give(operator, reader.add(Expand(target), value), natural(len(stored)))


def gather(reader: Reader, operator: FileOperator) -> None:
    """GATHER of rows of a constant table, EMBEDDING_LOOKUP, and GATHER along an axis."""
    table, indices = (0, 1) if operator.builtin == "GATHER" else (1, 0)
    found, axis = reader.tensor(operator, table), int(operator.options.get("axis", 0))
    if operator.options.get("batch_dims", 0):
        raise reader.form("looks up within each sample")
    positions = Known(reader.arranged(reader.get(operator, indices)), ())
    if positions.value.spec.dtype.is_floating:
        raise reader.fault("looks up at positions that are no integers")
    if found.constant is not None and len(found.shape) == 2 and axis == 0:
        value = reader.add(Embedding(*found.shape), positions.value)
    else:
        source = reader.arranged(reader.get(operator, table))
        value = reader.add(Index((axis % len(source.spec.shape),)), source, positions.value)
    reader.give(operator, value, natural(len(value.spec.shape)))
