"""`read_tflite`: a TFLite file as a graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from costmodel.errors import CostModelError, InvalidFileError
from costmodel.graph import Graph
from costmodel.importers.tflite._schema import Plan


def read_tflite(path: str | Path) -> Graph:
    """The graph in a TFLite file."""
    from costmodel.importers.tflite._parse import parse

    return from_structure(parse(path), str(path))


def from_structure(plan: Plan, path: str) -> Graph:
    """The graph that the operators of a file are, whoever wrote it."""
    from costmodel.importers.tflite._patterns import composed
    from costmodel.importers.tflite._read_ops import HANDLERS
    from costmodel.importers.tflite._reader import Reader

    plan = composed(plan)
    _require_known(plan, path, HANDLERS)
    reader = Reader(plan, path)
    reader.inputs()
    for position, operator in enumerate(plan.operators):
        reader.place = f"operator {position} ({operator.builtin})"
        reader.name = reader.output(operator).name or operator.builtin.lower()
        try:
            HANDLERS[operator.builtin](reader, operator)
        except InvalidFileError:
            raise
        except (CostModelError, IndexError, KeyError, ValueError, TypeError, ArithmeticError) as error:
            raise reader.fault(str(error) or type(error).__name__) from None
    return reader.finish()


def _require_known(plan: Plan, path: str, known: object) -> None:
    unknown = Counter(operator.builtin for operator in plan.operators if operator.builtin not in known)  # type: ignore[operator]
    if unknown:
        first = next(position for position, operator in enumerate(plan.operators) if operator.builtin in unknown)
        named = ", ".join(f"{name} ({count})" for name, count in unknown.most_common())
        raise InvalidFileError(f"{path}: holds operators without a model: {named}; the first is operator {first}")
