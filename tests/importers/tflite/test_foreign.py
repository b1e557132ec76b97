"""Files that costmodel did not write, made here operator by operator as other converters make them; and the committed fixtures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from costmodel import api
from costmodel.errors import UnmodelledError
from costmodel.graph import Graph
from costmodel.importers.tflite import read_tflite, write_tflite
from costmodel.importers.tflite._parse import parse
from costmodel.importers.tflite._schema import Constant, FileOperator, FileTensor, Plan, Quantisation
from costmodel.importers.tflite._write import write_plan
from tests.importers.tflite.fuzz import FIXTURES
from tests.importers.tflite.networks import NETWORKS

#: Bytes of an element.
SIZES = {"FLOAT32": 4, "FLOAT16": 2, "INT8": 1, "INT32": 4}
CONVOLUTION = {"padding": 0, "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1, "fused_activation_function": 0}


def stored(name: str, shape: tuple[int, ...], type: str = "FLOAT32", **fields: Any) -> FileTensor:
    """A constant of zeros."""
    return FileTensor(name=name, shape=shape, type=type, constant=Constant(), **fields)


def numbers(name: str, *values: int | float) -> FileTensor:
    """A constant of few numbers."""
    kind = "INT32" if all(isinstance(value, int) for value in values) else "FLOAT32"
    return FileTensor(name=name, shape=(len(values),), type=kind, constant=Constant(values))


def file(path: Path, tensors: list[FileTensor], operators: list[FileOperator], outputs: tuple[int, ...]) -> Path:
    """A file whose first tensor is its input."""
    import numpy as np

    def data(number: int) -> bytes:
        tensor = tensors[number]
        if tensor.constant is not None and tensor.constant.values is not None:
            return np.array(tensor.constant.values, np.int32 if tensor.type == "INT32" else np.float32).tobytes()
        return bytes(SIZES[tensor.type] * int(np.prod(tensor.shape, dtype=np.int64)))

    write_plan(Plan(name="foreign", tensors=tuple(tensors), operators=tuple(operators), inputs=(0,), outputs=outputs), data, path)
    return path


def names(graph: Graph) -> list[str]:
    """Classes of the operators in order."""
    return [type(node.operator).__name__ for node in graph.nodes]


def test_an_operator_without_a_model_is_listed_and_refused_under_strict(tmp_path: Path) -> None:
    tensors = [
        FileTensor(name="x", shape=(2, 8, 8, 3)),
        stored("w", (4, 1, 1, 3)),
        stored("b", (4,)),
        FileTensor(name="y", shape=(2, 8, 8, 4)),
        FileTensor(name="z", shape=(2, 8, 8, 4)),
        FileTensor(name="v", shape=(2, 8, 8, 4)),
    ]
    operators = [FileOperator("CONV_2D", (0, 1, 2), (3,), CONVOLUTION), FileOperator("BITCAST", (3,), (4,)), FileOperator("RELU", (4,), (5,))]
    graph = read_tflite(file(tmp_path / "a.tflite", tensors, operators, (5,)))
    assert names(graph) == ["Conv2d", "Unknown", "ReLU"]
    report = api.estimate(graph, device="pixel4")
    assert [entry.operators for entry in report.unmodelled] == [("z",)]
    with pytest.raises(UnmodelledError, match="z"):
        api.estimate(graph, device="pixel4", strict=True)
    assert graph.with_batch(6).spec(graph.outputs[0]).shape == (6, 4, 8, 8)


def test_a_convolution_with_computed_filters_has_no_model(tmp_path: Path) -> None:
    tensors = [FileTensor(name="x", shape=(1, 8, 8, 3)), FileTensor(name="w", shape=(1, 8, 8, 3)), FileTensor(name="y", shape=(1, 8, 8, 1))]
    operators = [FileOperator("RELU", (0,), (1,)), FileOperator("CONV_2D", (0, 1), (2,), CONVOLUTION)]
    graph = read_tflite(file(tmp_path / "a.tflite", tensors, operators, (2,)))
    assert names(graph) == ["ReLU", "Unknown"]


def test_weights_in_half_precision_are_unpacked_once(tmp_path: Path) -> None:
    tensors = [FileTensor(name="x", shape=(1, 8)), stored("w16", (4, 8), "FLOAT16"), FileTensor(name="w", shape=(4, 8)), FileTensor(name="y", shape=(1, 4))]
    options = {"fused_activation_function": 1, "weights_format": 0, "keep_num_dims": False}
    operators = [FileOperator("DEQUANTIZE", (1,), (2,)), FileOperator("FULLY_CONNECTED", (0, 2, -1), (3,), options)]
    found = read_tflite(file(tmp_path / "a.tflite", tensors, operators, (3,)))
    assert names(found) == ["Linear", "ReLU"]
    assert (found.precision, found.parameters, found.macs) == ("", 32, 32)
    assert any("fp16" in note for note in found.notes)


def test_weights_alone_in_8_bits(tmp_path: Path) -> None:
    scale = Quantisation((0.1,), (0,))
    tensors = [FileTensor(name="x", shape=(1, 8)), stored("w", (4, 8), "INT8", quantisation=scale), FileTensor(name="y", shape=(1, 4))]
    options = {"fused_activation_function": 0, "weights_format": 0, "keep_num_dims": False}
    found = read_tflite(file(tmp_path / "a.tflite", tensors, [FileOperator("FULLY_CONNECTED", (0, 1, -1), (2,), options)], (2,)))
    assert found.precision == ""
    assert any("dynamic range" in note for note in found.notes)


def test_changes_of_type_are_work(tmp_path: Path) -> None:
    scale = Quantisation((0.1,), (0,))
    tensors = [FileTensor(name="x", shape=(1, 8)), FileTensor(name="q", shape=(1, 8), type="INT8", quantisation=scale)]
    tensors += [FileTensor(name="r", shape=(1, 8), type="INT8", quantisation=scale), FileTensor(name="y", shape=(1, 8))]
    operators = [FileOperator("QUANTIZE", (0,), (1,)), FileOperator("RELU", (1,), (2,)), FileOperator("DEQUANTIZE", (2,), (3,))]
    found = read_tflite(file(tmp_path / "a.tflite", tensors, operators, (3,)))
    assert (found.precision, names(found), found.other_flops) == ("int8", ["Scale", "ReLU", "Scale"], 3 * 8)


@pytest.mark.parametrize("squared", ["SQUARED_DIFFERENCE", "MUL", "SQUARE"])
@pytest.mark.parametrize("affine", [True, False])
def test_a_layer_normalisation_from_its_parts(squared: str, affine: bool, tmp_path: Path) -> None:
    plain = {"fused_activation_function": 0}
    tensors = [
        FileTensor(name="x", shape=(2, 5, 8)),
        numbers("axes", 2),
        numbers("again", -1 + 3),
        numbers("epsilon", 1e-6),
        stored("scale", (8,)),
        stored("shift", (8,)),
    ]
    shapes = {"mean": (2, 5, 1), "centred": (2, 5, 8), "square": (2, 5, 8), "variance": (2, 5, 1), "more": (2, 5, 1), "root": (2, 5, 1)}
    shapes |= {"normal": (2, 5, 8), "scaled": (2, 5, 8), "shifted": (2, 5, 8)}
    places = {name: len(tensors) + number for number, name in enumerate(shapes)}
    tensors += [FileTensor(name=name, shape=shape) for name, shape in shapes.items()]
    p = places
    inner = {"SQUARED_DIFFERENCE": (0, p["mean"]), "MUL": (p["centred"], p["centred"]), "SQUARE": (p["centred"],)}[squared]
    operators = [
        FileOperator("MEAN", (0, 1), (p["mean"],), {"keep_dims": True}),
        FileOperator("SUB", (0, p["mean"]), (p["centred"],), plain),
        FileOperator(squared, inner, (p["square"],), plain if squared == "MUL" else {}),
        FileOperator("MEAN", (p["square"], 2), (p["variance"],), {"keep_dims": True}),
        FileOperator("ADD", (p["variance"], 3), (p["more"],), plain),
        FileOperator("RSQRT", (p["more"],), (p["root"],)),
        FileOperator("MUL", (p["centred"], p["root"]), (p["normal"],), plain),
    ]
    if affine:
        operators += [FileOperator("MUL", (p["normal"], 4), (p["scaled"],), plain), FileOperator("ADD", (p["scaled"], 5), (p["shifted"],), plain)]
    graph = read_tflite(file(tmp_path / "a.tflite", tensors, operators, (p["shifted" if affine else "normal"],)))
    assert names(graph) == ["LayerNorm"]
    assert graph.parameters == 16 * affine


def test_parts_of_a_normalisation_that_others_read_stay_apart(tmp_path: Path) -> None:
    plain = {"fused_activation_function": 0}
    shapes = [(2, 5, 1), (2, 5, 8), (2, 5, 1), (2, 5, 1), (2, 5, 1), (2, 5, 8)]
    tensors = [FileTensor(name="x", shape=(2, 5, 8)), numbers("axes", 2), numbers("epsilon", 1e-6)]
    tensors += [FileTensor(name=f"t{number}", shape=shape) for number, shape in enumerate(shapes)]
    operators = [
        FileOperator("MUL", (0, 0), (4,), plain),
        FileOperator("MEAN", (4, 1), (5,), {"keep_dims": True}),
        FileOperator("ADD", (5, 2), (6,), plain),
        FileOperator("RSQRT", (6,), (7,)),
        FileOperator("MUL", (0, 7), (8,), plain),
    ]
    path = tmp_path / "a.tflite"
    assert names(read_tflite(file(path, tensors, operators, (8,)))) == ["RMSNorm"]
    assert names(read_tflite(file(path, tensors, operators, (8, 5)))) == ["Multiply", "Mean", "Offset", "Function", "Multiply"]


def test_padding_before_a_convolution_is_a_kernel(tmp_path: Path) -> None:
    amounts = FileTensor(name="amounts", shape=(4, 2), type="INT32", constant=Constant((0, 0, 1, 1, 1, 1, 0, 0)))
    tensors = [FileTensor(name="x", shape=(1, 8, 8, 3)), amounts, stored("w", (4, 3, 3, 3)), stored("b", (4,))]
    tensors += [FileTensor(name="p", shape=(1, 10, 10, 3)), FileTensor(name="y", shape=(1, 4, 4, 4))]
    options = {**CONVOLUTION, "padding": 1, "stride_w": 2, "stride_h": 2, "fused_activation_function": 3}
    graph = read_tflite(file(tmp_path / "a.tflite", tensors, [FileOperator("PAD", (0, 1), (4,)), FileOperator("CONV_2D", (4, 2, 3), (5,), options)], (5,)))
    assert names(graph) == ["Pad", "Conv2d", "ReLU6"]
    assert [str(kernel.kind) for kernel in api.estimate(graph, device="pixel4").kernels] == ["pad", "convolution"]


def test_a_transpose_in_the_file_costs_even_where_the_graph_needs_none(tmp_path: Path) -> None:
    tensors = [FileTensor(name="x", shape=(1, 8, 8, 3)), stored("w", (4, 1, 1, 3)), stored("b", (4,)), FileTensor(name="y", shape=(1, 8, 8, 4))]
    tensors += [numbers("order", 0, 3, 1, 2), FileTensor(name="z", shape=(1, 4, 8, 8))]
    operators = [FileOperator("CONV_2D", (0, 1, 2), (3,), CONVOLUTION), FileOperator("TRANSPOSE", (3, 4), (5,))]
    graph = read_tflite(file(tmp_path / "a.tflite", tensors, operators, (5,)))
    assert [str(kernel.kind) for kernel in api.estimate(graph, device="pixel4").kernels] == ["pointwise-convolution", "copy"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", ["fp32", "int8", "foreign"])
def test_the_fixtures_are_what_is_written_today(name: str, kind: str, tmp_path: Path) -> None:
    fixture, path = FIXTURES / f"{name}_{kind}.tflite", tmp_path / "net.tflite"
    write_tflite(NETWORKS[name](), path, dtype="int8" if kind == "int8" else "fp32", metadata=kind != "foreign")
    committed, written = parse(fixture), parse(path)
    assert (committed.operators, committed.inputs, committed.outputs) == (written.operators, written.inputs, written.outputs)
    assert [(tensor.name, tensor.shape, tensor.type) for tensor in committed.tensors] == [
        (tensor.name, tensor.shape, tensor.type) for tensor in written.tensors
    ]
    found = read_tflite(fixture)
    assert found.precision == ("int8" if kind == "int8" else "")
    assert found.macs == NETWORKS[name]().macs
    if kind != "foreign":
        assert dataclasses.replace(found, precision="") == NETWORKS[name]()
