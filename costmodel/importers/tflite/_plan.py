"""A graph becomes a `Plan`: tensors in the file's axis order, operators in execution order, without a single weight."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.errors import CostModelError, InvalidFileError, UsageError
from costmodel.graph import Graph, TensorRef
from costmodel.importers.tflite._fold import steps
from costmodel.importers.tflite._layout import IMAGE, Order, natural, stored_shape
from costmodel.importers.tflite._planner import Held, Planner, Range
from costmodel.importers.tflite._schema import TYPES, Plan
from costmodel.importers.tflite._vocabulary import EMITTERS


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan in float32 with what quantising it needs: where the range of each tensor is known from."""

    plan: Plan
    ranges: dict[int, Range]


def plan_graph(graph: Graph, *, limit: int | None = None) -> Planned:
    """The file that `graph` is written as.

    Parameters
    ----------
    limit : most operators that may be planned.

    Raises
    ------
    UsageError
        If an operator has no built-in form: names it.
    """
    planner = Planner(graph.name, limit=limit)
    held: dict[TensorRef, Held] = {}
    inputs = []
    for name, spec in graph.inputs.items():
        order = file_order(len(spec.shape))
        tensor = planner.tensor(name, stored_shape(spec.shape, order), TYPES.get(spec.dtype, "FLOAT32"))
        planner.ranges[tensor] = TensorRef(name)
        held[TensorRef(name)] = Held(tensor, spec.shape, order)
        inputs.append(tensor)
    for step in steps(graph):
        kind = type(step.node.operator).__name__
        place = f"{graph.name}: {step.node.name} ({kind})"
        if kind not in EMITTERS:
            raise UsageError(f"{place} cannot be written as TFLite: there is no rule for operators of this class")
        try:
            operands = [held[ref] for member in step.nodes for ref in member.arguments if member is step.node]
            made = EMITTERS[kind](planner, step, tuple(operands))
        except InvalidFileError:
            raise
        except CostModelError as error:
            raise UsageError(f"{place} cannot be written as TFLite: {error}") from None
        for number, result in enumerate(made):
            held[TensorRef(step.last.name, number)] = result
    outputs = tuple(planner.arranged(held[ref], _output_order(held[ref])) for ref in graph.outputs)
    plan = Plan(name=graph.name, tensors=tuple(planner.tensors), operators=tuple(planner.operators), inputs=tuple(inputs), outputs=outputs)
    return Planned(plan, planner.ranges)


def file_order(rank: int) -> Order:
    """The order in which inputs are stored: images with their channels last, everything else as it is."""
    return IMAGE if rank == 4 else natural(rank)


def _output_order(held: Held) -> Order:
    """Outputs stay as they are where they are images with the channels last; everything else gets the graph's order."""
    return IMAGE if len(held.shape) == 4 and held.order == IMAGE else natural(len(held.shape))
