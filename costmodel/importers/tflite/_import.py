"""`read_tflite`: a TFLite file as a graph."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from costmodel.errors import CostModelError, InvalidFileError
from costmodel.graph import Graph
from costmodel.importers.tflite._schema import FileOperator, Plan

if TYPE_CHECKING:
    from costmodel.importers.tflite._handlers import Handler
    from costmodel.importers.tflite._reader import Reader

#: What belongs to every figure of a file that does not name the network it was made from.
_STORED = "the parameters are the constants that the file stores: batch normalisations are folded into them"
#: Types of activations that make a file an 8-bit one.
_NARROW = frozenset({"INT8", "UINT8"})


def read_tflite(path: str | Path) -> Graph:
    """The graph in a TFLite file; no weights are read.

    A file that `write_tflite` made gives the graph that it was made from: its metadata names it, and is believed if every
    operator, tensor and option of the file is what that graph is written as. Any other file is read operator by operator:
    images become (N, C, H, W), fused activations operators of their own, LOGISTIC and MUL a SiLU, the parts of a layer
    normalisation a `LayerNorm`; an operator without a model becomes an `Unknown`, which every report lists. The parameters
    are the constants that the file stores, and `Graph.notes` says so.

    Tensors are real numbers in the graph wherever the file has quantised ones; `Graph.precision` is ``int8`` where
    activations are stored in 8 bits.

    Raises
    ------
    InvalidFileError
        If the file is damaged: names the place.
    UsageError
        If the package `tflite` is not installed.
    """
    from costmodel.importers.tflite._metadata import MismatchError, restore
    from costmodel.importers.tflite._parse import parse

    plan = parse(path)
    precision = "int8" if _is_narrow(plan) else ""
    notes = [_STORED, *_storage_notes(plan)]
    if plan.metadata is not None:
        try:
            return dataclasses.replace(restore(plan), precision=precision)
        except MismatchError as error:
            notes.append(f"the file's note on the network it was made from does not describe it ({error}) and is passed over")
    return dataclasses.replace(from_structure(plan, str(path)), notes=tuple(notes), precision=precision)


def from_structure(plan: Plan, path: str) -> Graph:
    """The graph that the operators of a file are, whoever wrote it.

    Raises
    ------
    InvalidFileError
        If an operator cannot be what the file says: names it.
    """
    from costmodel.importers.tflite._handlers import HANDLERS
    from costmodel.importers.tflite._patterns import composed
    from costmodel.importers.tflite._reader import Reader

    plan, places = composed(plan)
    reader = Reader(plan, path)
    reader.inputs()
    for position, operator in zip(places, plan.operators, strict=True):
        reader.begin(position, operator)
        try:
            _read_operator(reader, operator, HANDLERS.get(operator.builtin, Reader.unknown))
        except InvalidFileError:
            raise
        except (CostModelError, IndexError, KeyError, ValueError, TypeError, ArithmeticError) as error:
            raise reader.fault(str(error) or type(error).__name__) from None
    return reader.finish()


def _read_operator(reader: Reader, operator: FileOperator, handler: Handler) -> None:
    """Read one operator; a form that no operator of a graph has is kept as an unknown one."""
    from costmodel.importers.tflite._reader import FormError

    try:
        handler(reader, operator)
    except FormError:
        reader.unknown(operator)


def _is_narrow(plan: Plan) -> bool:
    """Whether activations are stored in 8 bits."""
    made = {number for operator in plan.operators for number in operator.outputs if number >= 0}
    return any(plan.tensors[number].type in _NARROW and plan.tensors[number].quantisation is not None for number in made)


def _storage_notes(plan: Plan) -> tuple[str, ...]:
    """What a reader of a report should know of how the file stores things."""
    stored = {tensor.type for tensor in plan.tensors if tensor.constant is not None}
    found = []
    if "INT8" in stored and not _is_narrow(plan):
        found.append("weights are stored in int8 and activations are not (dynamic range): estimate with weights int8")
    if "FLOAT16" in stored:
        found.append("weights are stored in fp16: estimate with weights fp16")
    return tuple(found)
