"""What exporters write out in several nodes is read as the one operator that it is, and stays apart where it is something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="needs the extra `onnx`")

from costmodel.importers.onnx import read_onnx
from tests.importers.onnx.build import expression, model, saved

X = (2, 3, 8, 8)
ROWS = (2, 5, 16)
HEADS = (2, 4, 5, 8)
NORM = "Sub(x, ReduceMean(x, [-1]))"

#: Expression, inputs, weights, the operators that are left.
CASES: tuple[tuple[str, dict[str, Any], dict[str, Any], list[str]], ...] = (
    ("Mul(x, Sigmoid(x))", {"x": X}, {}, ["SiLU"]),
    ("Mul(Sigmoid(x), x)", {"x": X}, {}, ["SiLU"]),
    ("Mul(x, Sigmoid(y))", {"x": X, "y": X}, {}, ["Sigmoid", "Multiply"]),
    ("Mul(x, HardSigmoid(x, alpha=0.16666667, beta=0.5))", {"x": X}, {}, ["HardSwish"]),
    ("Mul(x, HardSigmoid(x, alpha=0.2, beta=0.5))", {"x": X}, {}, ["Scale", "Offset", "Clamp", "Multiply"]),
    ("Div(Clip(Add(x, 3.0), 0.0, 6.0), 6.0)", {"x": X}, {}, ["HardSigmoid"]),
    ("Mul(x, Div(Clip(Add(x, 3.0), 0.0, 6.0), 6.0))", {"x": X}, {}, ["HardSwish"]),
    ("Div(Mul(Clip(Add(3.0, x), 0.0, 6.0), x), 6.0)", {"x": X}, {}, ["HardSwish"]),
    ("Mul(Mul(x, Clip(Add(x, 3.0), 0.0, 6.0)), 0.16666667)", {"x": X}, {}, ["HardSwish"]),
    ("Div(Clip(Add(x, 3.0), 0.0, 5.0), 6.0)", {"x": X}, {}, ["Offset", "Clamp", "Scale"]),
    ("Mul(Mul(x, Add(Erf(Div(x, 1.4142135)), 1.0)), 0.5)", {"x": X}, {}, ["GELU"]),
    ("Mul(Mul(0.5, x), Add(1.0, Erf(Mul(x, 0.70710678))))", {"x": X}, {}, ["GELU"]),
    ("Mul(Mul(x, 0.5), Add(Tanh(Mul(Add(x, Mul(Pow(x, 3.0), 0.044715)), 0.79788456)), 1.0))", {"x": X}, {}, ["TanhGELU"]),
    ("Mul(0.5, Mul(x, Add(1.0, Tanh(Mul(0.79788456, Add(x, Mul(0.044715, Mul(x, Mul(x, x)))))))))", {"x": X}, {}, ["TanhGELU"]),
    ("Mul(x, Tanh(Softplus(x)))", {"x": X}, {}, ["Function"]),
    ("Min(Max(x, -2.0), 3.0)", {"x": X}, {}, ["Clamp"]),
    (f"Add(Mul(Div({NORM}, Sqrt(Add(ReduceMean(Pow({NORM}, 2.0), [-1]), 0.00001))), w), b)", {"x": ROWS}, {"w": (16,), "b": (16,)}, ["LayerNorm"]),
    (f"Div({NORM}, Sqrt(Add(ReduceMean(Mul({NORM}, {NORM}), [2]), 0.00001)))", {"x": ROWS}, {}, ["LayerNorm"]),
    ("Mul(Mul(x, Reciprocal(Sqrt(Add(ReduceMean(Pow(x, 2.0), [-1]), 0.00001)))), w)", {"x": ROWS}, {"w": (16,)}, ["RMSNorm"]),
    ("Add(MatMul(x, w), b)", {"x": ROWS}, {"w": (16, 24), "b": (24,)}, ["Linear"]),
    ("Add(b, MatMul(x, w))", {"x": ROWS}, {"w": (16, 24), "b": (24,)}, ["Linear"]),
    ("MatMul(x, w)", {"x": ROWS}, {"w": (16, 24)}, ["Linear"]),
    ("Add(MatMul(x, w), y)", {"x": ROWS, "y": (2, 5, 24)}, {"w": (16, 24)}, ["Linear", "Add"]),
    (
        "MatMul(Softmax(MatMul(Mul(q, 0.59460355), Mul(Transpose(k, perm=[0, 1, 3, 2]), 0.59460355))), v)",
        dict.fromkeys("qkv", HEADS),
        {},
        ["ScaledDotProductAttention"],
    ),
    (
        "MatMul(Softmax(Add(MatMul(Mul(q, 0.59460355), Mul(Transpose(k, perm=[0, 1, 3, 2]), 0.59460355)), m)), v)",
        {**dict.fromkeys("qkv", HEADS), "m": (2, 4, 5, 5)},
        {},
        ["Scale", "MatMul", "Add", "Softmax", "MatMul"],
    ),
    (
        "MatMul(Softmax(Mul(MatMul(q, Transpose(k, perm=[0, 1, 3, 2])), 0.35355339)), v)",  # as an author writes it, not an exporter
        dict.fromkeys("qkv", HEADS),
        {},
        ["MatMul", "Scale", "Softmax", "MatMul"],
    ),
    ("Concat(Slice(x, [3], [8], [2]), Slice(x, [0], [3], [2]), axis=2)", {"x": X}, {}, ["Roll"]),
    ("Concat(Slice(x, [3], [8], [2]), Slice(x, [0], [2], [2]), axis=2)", {"x": X}, {}, ["Slice", "Slice", "Concat"]),
    ("Squeeze(Slice(x, [1], [2], [1]), [1])", {"x": X}, {}, ["Slice"]),
)


@pytest.mark.parametrize(("text", "inputs", "weights", "expected"), CASES, ids=[case[0][:60] for case in CASES])
def test_patterns(text: str, inputs: dict[str, Any], weights: dict[str, Any], expected: list[str], tmp_path: Path) -> None:
    nodes, constants, output = expression(text)
    graph = read_onnx(saved(model(nodes, inputs, [output], {**weights, **constants}), tmp_path))
    assert [type(node.operator).__name__ for node in graph.nodes] == expected
    assert graph.parameters == sum(a if len(shape) == 1 else a * shape[1] for shape in weights.values() for a in shape[:1])


def test_a_tensor_that_somebody_else_reads_keeps_a_pattern_apart(tmp_path: Path) -> None:
    nodes, constants, output = expression("Add(Mul(x, Sigmoid(x)), Neg(x))")
    gate = nodes[0].output[0]
    made = model(nodes, {"x": X}, [output, gate], constants)
    assert [type(node.operator).__name__ for node in read_onnx(saved(made, tmp_path)).nodes] == ["Sigmoid", "Multiply", "Function", "Add"]


def test_attention_counts_both_products(tmp_path: Path) -> None:
    nodes, constants, output = expression(CASES[23][0])
    graph = read_onnx(saved(model(nodes, dict.fromkeys("qkv", HEADS), [output], constants), tmp_path))
    assert graph.macs == 2 * 4 * 5 * 5 * (8 + 8)
