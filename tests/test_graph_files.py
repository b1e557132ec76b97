"""Saved graphs: exact round trips, and a clear error with the place for every way that a file can be wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel import zoo
from costmodel.errors import InvalidFileError
from costmodel.graph import Graph, GraphBuilder, load_graph
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import LeakyReLU
from costmodel.ops.layout import Split
from costmodel.ops.matmul import Linear
from costmodel.ops.resize import Resize
from costmodel.ops.stored import Parameter
from costmodel.tensor import DType, TensorSpec


def everything() -> Graph:
    """Fields of every type, two inputs of different types, several outputs, tied weights."""
    builder = GraphBuilder("everything")
    x = builder.input("x", TensorSpec((2, 4, 6, 6)))
    tokens = builder.input("tokens", TensorSpec((2, 8), DType.FP16))
    y = builder.add(Conv2d(8, (3, 3), (1, 1), (0, 1, 2, 0), bias=True), x, name="conv")
    first, second = builder.add_all(Split((4, 4)), builder.add(LeakyReLU(0.25), y), name="halves")
    y = builder.add(Resize(mode="bilinear", size=(9, 9)), builder.add(Add(), first, second))
    y = builder.add(Add(), y, builder.add(Parameter((1, 4, 9, 9)), name="positions"))
    t = builder.add(Linear(8), builder.add(Linear(8), tokens, name="first"), shares="first")
    return builder.build(y, t, second)


@pytest.mark.parametrize("name", ["mobilenet-v3-large-0.75@160x192", "efficientnet-b0", "resnet-50-v1", "deit-ti"])
def test_networks_survive_saving(name: str, tmp_path: Path) -> None:
    graph = zoo.build(name, batch=3)
    graph.save(tmp_path / "net.json")
    again = load_graph(str(tmp_path / "net.json"))
    assert again == graph
    assert again.to_dict() == graph.to_dict()


def test_every_kind_of_field_survives_saving(tmp_path: Path) -> None:
    graph = everything()
    graph.save(tmp_path / "net.json")
    assert load_graph(tmp_path / "net.json") == graph
    assert load_graph(tmp_path / "net.json").parameters == graph.parameters


def test_shapes_in_a_file_are_inferred_anew(tmp_path: Path) -> None:
    document = everything().to_dict()
    document["inputs"]["x"]["shape"] = [5, 4, 6, 6]
    (tmp_path / "net.json").write_text(json.dumps(document))
    assert load_graph(tmp_path / "net.json").outputs == everything().outputs
    assert load_graph(tmp_path / "net.json")["conv"].outputs[0].shape[0] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is not JSON", id="empty"),
        pytest.param("{", "is not JSON", id="cut off"),
        pytest.param("name: net\n", "is not JSON", id="yaml"),
        pytest.param("[]", "is not a saved graph", id="list"),
        pytest.param("3", "is not a saved graph", id="number"),
        pytest.param("null", "is not a saved graph", id="null"),
        pytest.param("{}", "is not a saved graph .* `costmodel export MODEL -o F.json` writes one", id="no format"),
        pytest.param('{"format": "onnx", "version": 1}', "is not a saved graph", id="another format"),
        pytest.param('{"format": "costmodel-graph"}', "has version None; this costmodel reads version 1", id="no version"),
        pytest.param('{"format": "costmodel-graph", "version": 2}', "has version 2; this costmodel reads version 1", id="newer"),
        pytest.param('{"format": "costmodel-graph", "version": 1}', "the header: 'name' is missing", id="header only"),
        pytest.param("[" * 100_000 + "]" * 100_000, "is not JSON", id="deep"),
        pytest.param('{"version": 1' + "0" * 10_000 + "}", "is not JSON", id="long number"),
        pytest.param('{"format": "costmodel-graph", "version": 1, "name": "n", "inputs": [], "nodes": [], "outputs": []}', "the header", id="list of inputs"),
    ],
)
def test_what_is_no_graph_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(InvalidFileError, match=message) as caught:
        load_graph(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="cannot be read: No such file"):
        load_graph(tmp_path / "missing.json")
    with pytest.raises(InvalidFileError, match="cannot be read: Is a directory"):
        load_graph(tmp_path)
    (tmp_path / "net.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(InvalidFileError, match=r"is not JSON: .*utf-8"):
        load_graph(tmp_path / "net.json")


def node(field: str, value: Any, *, position: int = 0) -> Callable[[dict[str, Any]], None]:
    """A change of one entry of a node."""
    return lambda document: document["nodes"][position].update({field: value})


def conv(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of one field of the convolution."""
    return lambda document: document["nodes"][0]["fields"].update({field: value})


def image(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the first input."""
    return lambda document: document["inputs"]["x"].update({field: value})


def top(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the document itself."""
    return lambda document: document.update({field: value})


def nested(depth: int) -> list[Any]:
    """A list in a list in a list..."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown operator": (node("operator", "Conv2D"), r"node 0 .'conv'.: unknown operator 'Conv2D'; did you mean .*Conv2d"),
    "operator is no name": (node("operator", ["Conv2d"]), "node 0 .'conv'.: unknown operator"),
    "no operator": (lambda d: d["nodes"][0].pop("operator"), "node 0 .'conv'.: 'operator' is missing"),
    "no fields": (lambda d: d["nodes"][0].pop("fields"), "node 0 .'conv'.: 'fields' is missing"),
    "fields are a list": (node("fields", [3]), "node 0 .'conv'.: "),
    "fields are null": (node("fields", None), "node 0 .'conv'.: "),
    "node is a string": (lambda d: d["nodes"].__setitem__(1, "relu"), "node 1: "),
    "dangling argument": (node("arguments", [["gone", 0]]), r"node 0 .'conv'.: refers to output 0 of 'gone', which no earlier entry defines"),
    "argument of a later node": (node("arguments", [["halves", 0]]), "node 0 .'conv'.: refers to .*which no earlier entry defines"),
    "no such output": (node("arguments", [["x", 1]]), "node 0 .'conv'.: refers to output 1 of 'x'"),
    "argument without output": (node("arguments", [["x"]]), "node 0 .'conv'.: "),
    "argument is a string": (node("arguments", ["x"]), "node 0 .'conv'.: "),
    "output is a boolean": (node("arguments", [["x", False]]), "node 0 .'conv'.: False is not an integer"),
    "too many arguments": (node("arguments", [["x", 0], ["x", 0]]), r"node 0 .'conv'.: conv .Conv2d. on .*: takes 1 input, not 2"),
    "taken name": (node("name", "conv", position=1), "node 1 .'conv'.: its name is empty or taken"),
    "name of an input": (node("name", "x"), "node 0 .'x'.: its name is empty or taken"),
    "empty name": (node("name", ""), "node 0 .''.: its name is empty or taken"),
    "no name": (lambda d: d["nodes"][0].pop("name"), "node 0 .'unnamed'.: 'name' is missing"),
    "shares with nobody": (node("shares", "nobody"), "node 0 .'conv'.: .*'nobody', which is no earlier node"),
    "unknown field": (conv("out_channel", 3), "node 0 .'conv'.: unknown field of Conv2d 'out_channel'; did you mean out_channels"),
    "missing field": (lambda d: d["nodes"][0]["fields"].pop("out_channels"), "node 0 .'conv'.: field 'out_channels'"),
    "boolean for an integer": (conv("out_channels", True), "node 0 .'conv'.: field 'out_channels': .*integer"),
    "fraction for an integer": (conv("out_channels", 8.5), "node 0 .'conv'.: field 'out_channels': .*integer"),
    "float for an integer": (conv("out_channels", 8.0), "node 0 .'conv'.: field 'out_channels': .*integer"),
    "string for an integer": (conv("out_channels", "8"), "node 0 .'conv'.: field 'out_channels': .*integer"),
    "integer for a boolean": (conv("bias", 7), "node 0 .'conv'.: field 'bias': .*boolean"),
    "null": (conv("kernel_size", None), "node 0 .'conv'.: field 'kernel_size'"),
    "one of a pair": (conv("kernel_size", [3]), "node 0 .'conv'.: field 'kernel_size.1'"),
    "three of a pair": (conv("kernel_size", [3, 3, 3]), "node 0 .'conv'.: field 'kernel_size"),
    "deeply nested": (conv("kernel_size", nested(200)), "node 0 .'conv'.: Invalid JSON: recursion limit exceeded"),
    "padding of another name": (conv("padding", "full"), "node 0 .'conv'.: field 'padding': Input should be 'same' or 'valid'"),
    "padding of two": (conv("padding", [1, 1]), "node 0 .'conv'.: field 'padding"),
    "negative padding": (conv("padding", [-1, 0, 0, 0]), "node 0 .'conv'.: .*must not be negative"),
    "negative channels": (conv("out_channels", -8), r"node 0 .'conv'.: conv .Conv2d. on .*: gives 2x-8x.*every dimension must be at least 1"),
    "no channels": (conv("out_channels", 0), "node 0 .'conv'.: .*every dimension must be at least 1"),
    "stride 0": (conv("stride", [0, 1]), "node 0 .'conv'.: .*must be at least 1"),
    "window of nothing": (conv("kernel_size", [0, 3]), "node 0 .'conv'.: .*must be at least 1"),
    "window over the image": (conv("kernel_size", [99, 3]), "node 0 .'conv'.: .*is smaller than the window of 99x3"),
    "pieces of another sum": (lambda d: d["nodes"][2]["fields"].update(sizes=[4, 5]), "node 2 .'halves'.: .*do not make up 8"),
    "infinite scale": (lambda d: d["nodes"][4]["fields"].update(scale=float("inf"), size=None), "node 4 .'resize'.: "),
    "negative dimension": (image("shape", [2, -4, 6, 6]), "input 'x': input 'x': .*every dimension must lie between 1 and .*, not 2x-4x6x6"),
    "dimension 0": (image("shape", [2, 4, 0, 6]), "input 'x': .*must lie between 1 and"),
    "boolean dimension": (image("shape", [True, 4, 6, 6]), "input 'x': True is not an integer"),
    "fractional dimension": (image("shape", [2, 4, 6.0, 6]), "input 'x': 6.0 is not an integer"),
    "shape is a string": (image("shape", "2x4"), "input 'x': '2' is not an integer"),
    "shape is a number": (image("shape", 3), "input 'x': "),
    "shape of another rank": (image("shape", [2, 4]), "node 0 .'conv'.: .*must have 4 dimensions, not 2"),
    "no shape": (lambda d: d["inputs"]["x"].pop("shape"), "input 'x': 'shape' is missing"),
    "unknown dtype": (image("dtype", "float"), "input 'x': 'float' is no dtype"),
    "dtype is a list": (image("dtype", ["fp32"]), "input 'x': "),
    "input is null": (lambda d: d["inputs"].update(x=None), "input 'x': "),
    "inputs are null": (top("inputs", None), "the header: "),
    "no inputs": (lambda d: d.pop("inputs"), "the header: 'inputs' is missing"),
    "nodes are an object": (top("nodes", {"a": 1}), "node 0: "),
    "nodes are a number": (top("nodes", 3), "nodes: "),
    "no nodes": (lambda d: d.pop("nodes"), "nodes: 'nodes' is missing"),
    "no outputs": (top("outputs", []), "outputs: graph 'everything' needs at least one input and one output"),
    "dangling output": (top("outputs", [["gone", 0]]), r"outputs: refers to output 0 of 'gone'"),
    "outputs are null": (top("outputs", None), "outputs: "),
    "outputs are missing": (lambda d: d.pop("outputs"), "outputs: 'outputs' is missing"),
}


@pytest.mark.parametrize(("change", "message"), [pytest.param(*case, id=name) for name, case in CHANGES.items()])
def test_a_wrong_entry_is_refused_by_its_place(change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path) -> None:
    document = everything().to_dict()
    change(document)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidFileError, match=message) as caught:
        load_graph(path)
    assert str(caught.value).startswith(f"{path}: ")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return [path, *(found for key, item in inner for found in _places(item, (*path, key)))]


DOCUMENT = json.loads(json.dumps(everything().to_dict()))


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(place=st.sampled_from(_places(DOCUMENT)[1:]), value=values)
def test_any_value_in_any_place_is_read_or_refused_as_a_file(place: tuple[Any, ...], value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    document = copy.deepcopy(DOCUMENT)
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(document))
    try:
        graph = load_graph(path)
    except InvalidFileError:
        return
    assert graph.macs >= 0
    assert graph.parameters >= 0
