"""Reading products, reductions, normalisations, look-ups and recurrence."""

from __future__ import annotations

import math

from costmodel.importers.tflite._layout import natural
from costmodel.importers.tflite._reader import Known, Reader
from costmodel.importers.tflite._schema import FileOperator
from costmodel.operator import Operator
from costmodel.ops.attention import Softmax
from costmodel.ops.layout import Permute
from costmodel.ops.matmul import Linear, MatMul
from costmodel.ops.normalisation import L2Norm, LayerNorm, RMSNorm
from costmodel.ops.recurrent import LSTM


def fully_connected(reader: Reader, operator: FileOperator) -> None:
    """FULLY_CONNECTED, on rows where the file does not keep the dimensions."""
    weight = reader.weights(operator, 1)
    if len(weight) != 2 or min(weight) < 1:
        raise reader.fault(f"has weights of the shape {weight}, not of 2 dimensions")
    out, inner = weight
    bias = reader.has(operator, 2) and bool(reader.weights(operator, 2))
    known = reader.get(operator, 0)
    declared = reader.output(operator).shape
    shape = tuple(known.value.spec.shape[axis] for axis in known.order)
    if len(declared) != len(shape) or shape[-1] != inner:
        rows = math.prod(shape) // inner
        known = reader.reshape(known, (rows, inner), image=False)
    if known.order[-1] != len(known.order) - 1:
        known = Known(reader.arranged(known), natural(len(known.order)))
    reader.give(operator, reader.add(Linear(out, bias=bias), known.value), known.order)


def batch_matmul(reader: Reader, operator: FileOperator) -> None:
    """BATCH_MATMUL; a transposed first operand is permuted."""
    a, b = (reader.arranged(reader.get(operator, place)) for place in (0, 1))
    if operator.options.get("adj_x"):
        rank = len(a.spec.shape)
        a = reader.add(Permute((*range(rank - 2), rank - 1, rank - 2)), a, suffix="/adjoint")
    made = reader.add(MatMul(bool(operator.options.get("adj_y", False))), a, b)
    reader.give(operator, made, natural(len(made.spec.shape)))


def softmax(reader: Reader, operator: FileOperator) -> None:
    """SOFTMAX over the file's last axis."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(Softmax(known.order[-1] if known.order else -1), known.value), known.order)


def l2_normalisation(reader: Reader, operator: FileOperator) -> None:
    """L2_NORMALIZATION over the file's last axis."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(L2Norm(known.order[-1] if known.order else -1), known.value), known.order)


def layer_norm(reader: Reader, operator: FileOperator) -> None:
    """The patterns LAYER_NORM and RMS_NORM; normalised axes that are not the last ones are moved there and stay there."""
    known = reader.get(operator, 0)
    rank = len(known.order)
    axes = sorted({int(axis) % rank for axis in operator.options.values()})
    if operator.builtin == "RMS_NORM" and len(axes) > 1:
        raise reader.form(f"divides by the root mean square over axes {axes}, not over one")
    turned = [axis for axis in range(rank) if axis not in axes] + axes
    order = tuple(turned.index(axis) for axis in range(rank))
    affine = len(operator.inputs) > 1
    made: Operator = LayerNorm(len(axes), affine=affine) if operator.builtin == "LAYER_NORM" else RMSNorm(affine=affine)
    reader.give(operator, reader.add(made, reader.arranged(known, order)), order)


def lstm(reader: Reader, operator: FileOperator) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM without projection or peepholes."""
    if any(reader.has(operator, place) for place in (9, 10, 11, 16, 17)) or not reader.has(operator, 1) or operator.options.get("time_major"):
        raise reader.form("has peepholes, a projection, coupled gates, or time as its first axis")
    hidden = reader.weights(operator, 2)[0]
    value = reader.add(LSTM(hidden), reader.arranged(reader.get(operator, 0)))
    reader.give(operator, value, natural(3))
