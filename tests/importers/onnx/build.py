"""ONNX files written node by node for the tests."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from onnx import ModelProto, TensorProto, helper, numpy_helper


def model(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    weights: Mapping[str, Any] | None = None,
    *,
    opset: int = 20,
    extra: Sequence[tuple[str, int]] = (),
) -> ModelProto:
    """A model; a weight is an array, or a shape for one of random numbers."""
    random = numpy.random.default_rng(0)
    held = {
        name: numpy.asarray(value) if isinstance(value, numpy.ndarray | numpy.generic | float | int) else random.random(value, dtype=numpy.float32)
        for name, value in (weights or {}).items()
    }
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value.astype(numpy.float32) if value.dtype == numpy.float64 else value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(*pair) for pair in extra)])


def saved(made: ModelProto, folder: Path, name: str = "net.onnx") -> Path:
    """The file of a model."""
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


def expression(text: str) -> tuple[list[Any], dict[str, Any], str]:
    """(nodes, constants, output) of an expression such as ``Mul(x, Sigmoid(x))``; numbers become constants, lower-case names stay."""
    nodes: list[Any] = []
    constants: dict[str, Any] = {}

    def visit(form: ast.expr) -> str:
        if isinstance(form, ast.Name):
            return form.id
        if isinstance(form, ast.Call):
            inputs = [visit(argument) for argument in form.args]
            attributes = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in form.keywords}
            nodes.append(helper.make_node(form.func.id, inputs, [f"t{len(nodes)}"], **attributes))  # type: ignore[attr-defined]  # a name
            return f"t{len(nodes) - 1}"
        value = ast.literal_eval(form)
        name = f"c{len(constants)}"
        constants[name] = numpy.asarray(value, dtype=numpy.int64 if isinstance(value, list) else numpy.float32)
        return name

    output = visit(ast.parse(text, mode="eval").body)
    return nodes, constants, output
