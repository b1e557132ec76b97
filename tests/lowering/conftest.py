"""Graphs written as one line an operator, and their kernels as plain values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from costmodel.graph import Graph, GraphBuilder
from costmodel.kernel import Program
from costmodel.lowering import lower, rule_set
from costmodel.operator import Operator
from costmodel.tensor import TensorSpec

Line = tuple[str, Operator, str]


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., Graph]:
    """A function from lines ``(name, operator, "argument argument")`` to their graph; inputs are keyword arguments.

    The outputs are the last line's, and those named in `also`. An argument ``name:1`` is the second output of a node.
    """

    def make(*lines: Line, also: tuple[str, ...] = (), **inputs: tuple[int, ...]) -> Graph:
        builder = GraphBuilder("hand")
        values: dict[str, Any] = {name: builder.input(name, TensorSpec(shape)) for name, shape in inputs.items()}
        for name, operator, arguments in lines:
            made = builder.add_all(operator, *(values[argument] for argument in arguments.split()), name=name)
            values |= {name: made[0], **{f"{name}:{position}": value for position, value in enumerate(made)}}
        return builder.build(values[lines[-1][0]], *(values[name] for name in also))

    return make


@pytest.fixture(scope="session")
def lowered(graph_of: Callable[..., Graph]) -> Callable[..., Program]:
    """The same, lowered under a named rule set."""

    def make(rules: str, *lines: Line, dtype: str = "fp32", also: tuple[str, ...] = (), **inputs: tuple[int, ...]) -> Program:
        return lower(graph_of(*lines, also=also, **inputs), rule_set(rules), dtype)

    return make
