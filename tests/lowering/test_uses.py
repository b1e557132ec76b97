"""Who reads what: views and dropped operators read nothing themselves, and operators that quantise read a copy of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from costmodel.graph import Graph
from costmodel.lowering import rule_set
from costmodel.lowering._state import compile_rules
from costmodel.lowering._uses import count_uses
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Dropout, Reshape

CONV = ("conv", Conv2d(4, (3, 3)), "x")
WIDER = ("wider", Conv2d(8, (1, 1)), "conv")
IMAGE = (1, 4, 8, 8)
MakeGraph = Callable[..., Graph]


def test_uses_are_counted_through_views_and_dropped_operators(graph_of: MakeGraph) -> None:
    lines = (CONV, ("dropped", Dropout(), "conv"), ("flat", Reshape((4, 64)), "dropped"), ("relu", ReLU(), "flat"), ("again", Add(), "flat relu"))
    uses = count_uses(graph_of(*lines, also=("conv",), x=IMAGE), compile_rules(rule_set("tflite")), int8=False)
    assert uses.counts == {("x", 0): 1, ("conv", 0): 3, ("relu", 0): 1, ("again", 0): 1}  # of conv: ReLU, Add, and the network's output


@pytest.mark.parametrize(
    ("rules", "int8", "floating"),
    [("ncnn", True, {"conv", "wider", "relu"}), ("ncnn-2020", True, {"x", "conv", "wider", "relu"}), ("ncnn", False, set()), ("tflite", True, set())],
)
def test_what_is_read_in_floating_point_is_told_where_operators_quantise(graph_of: MakeGraph, rules: str, int8: bool, floating: set[str]) -> None:
    """`x` is read by a convolution alone, `conv` by a convolution and a ReLU, `wider` and `relu` by whoever takes the outputs; early builds write no int8."""
    uses = count_uses(graph_of(CONV, WIDER, ("relu", ReLU(), "conv"), also=("wider",), x=IMAGE), compile_rules(rule_set(rules)), int8=int8)
    assert {name for name, _ in uses.floating} == floating
    assert uses.counts == {("x", 0): 1, ("conv", 0): 2, ("wider", 0): 1, ("relu", 0): 1}
