"""Committed files of both of torch's exporters against the same networks imported from torch."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import costmodel
from costmodel.errors import ShapeError
from costmodel.graph import Graph, load_graph
from costmodel.importers.onnx import import_onnx, read_onnx
from costmodel.importers.torch import import_module
from costmodel.lowering import lower, rule_set
from costmodel.ops.unknown import Unknown
from tests.importers.onnx.make_files import FOLDER, file_name, variants
from tests.importers.onnx.networks import NETWORKS, example, export, network

pytestmark = pytest.mark.torch

#: Parameters of batch normalisations, which a folded file does not have: 2 for each channel, of 16 + 16 channels; folding
#: leaves a bias for each channel. Windows: a table of 9 x 2 folded into a constant.
FOLDED = {"images": -2 * 32 + 32, "windows": -18, "tokens": 0, "words": 0}

RUNTIMES = ("torch-eager", "torch-compile", "tflite")


@pytest.fixture(scope="module")
def imported() -> dict[str, Graph]:
    """Every network imported from torch, batch 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own weights while it exports
        return {name: import_module(network(name), [example(name)]).graph for name in NETWORKS}


WHOLE = [pytest.param(*variant, id=file_name(*variant)) for variant in variants() if variant[4]]
BY_DEFAULT = [pytest.param(*variant, id=file_name(*variant)) for variant in variants() if not variant[4]]


@pytest.mark.parametrize(("name", "exporter", "opset", "is_open", "whole"), WHOLE)
def test_a_whole_file_is_the_network(name: str, exporter: Any, opset: int, is_open: bool, whole: bool, imported: dict[str, Graph]) -> None:
    expected, found = imported[name], read_onnx(FOLDER / file_name(name, exporter, opset, is_open, whole), batch=1)
    assert (found.macs, found.parameters) == (expected.macs, expected.parameters)
    assert found.notes == ()
    for runtime in RUNTIMES[:2]:
        kernels = [Counter(kernel.kind for kernel in lower(graph, rule_set(runtime)).kernels) for graph in (found, expected)]
        assert kernels[0] == kernels[1], runtime
    for device in ("pixel4", "rtx4090"):
        latencies = [costmodel.estimate(graph, device=device).latency_s for graph in (found, expected)]
        assert latencies[0] == pytest.approx(latencies[1], rel=0.01), device


@pytest.mark.parametrize(("name", "exporter", "opset", "is_open", "whole"), WHOLE + BY_DEFAULT)
def test_every_file_serves_other_batches(name: str, exporter: Any, opset: int, is_open: bool, whole: bool, imported: dict[str, Graph]) -> None:
    path = FOLDER / file_name(name, exporter, opset, is_open, whole)
    five = read_onnx(path, batch=5)
    assert five.batch == 5
    assert five.macs == 5 * imported[name].macs
    assert five.parameters == read_onnx(path).parameters
    assert read_onnx(path, batch=1).with_batch(5) == five


@pytest.mark.parametrize(("name", "exporter", "opset", "is_open", "whole"), BY_DEFAULT)
def test_a_folded_file_says_so_and_states_its_own_parameters(
    name: str, exporter: Any, opset: int, is_open: bool, whole: bool, imported: dict[str, Graph]
) -> None:
    found = read_onnx(FOLDER / file_name(name, exporter, opset, is_open, whole))
    assert found.macs == imported[name].macs
    assert found.parameters - imported[name].parameters == FOLDED[name]
    assert any("folded batch normalisations" in note for note in found.notes) == (name == "images")
    assert not any(isinstance(node.operator, Unknown) for node in found.nodes)


def test_nodes_are_called_by_their_modules() -> None:
    for exporter in ("legacy", "dynamo"):
        names = {node.name for node in read_onnx(FOLDER / file_name("images", exporter, 20, False, True)).nodes}  # type: ignore[arg-type]  # one of the two
        assert {"stem.0", "stem.1", "stem.2", "depthwise.0", "squeeze", "pool", "norm", "slope", "up", "head"} <= names


@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
@pytest.mark.parametrize("name", ["images", "tokens", "windows"])
def test_with_the_weights_of_the_file_it_computes_what_the_module_does(name: str, exporter: Any, tmp_path: Path) -> None:
    from costmodel import reference

    module, path = network(name), tmp_path / "net.onnx"
    export(module, example(name), path, exporter)
    found = import_onnx(path)
    with torch.no_grad():
        expected = module(example(name))
    (computed,) = reference.execute(found.graph, [example(name)], file_weights(found, path))
    assert expected.abs().max() > 0
    assert float((computed - expected).abs().max()) <= 1e-6 * float(expected.abs().max())


def file_weights(found: Any, path: Path) -> dict[str, dict[str, Any]]:
    """The numbers of a file for the nodes of the graph that it was read as."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    held = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            held[node.output[0]] = torch.from_numpy(numpy_helper.to_array(node.attribute[0].t).copy())
        elif node.op_type == "Reshape" and node.input[0] in held:
            held[node.output[0]] = held[node.input[0]].reshape(-1)  # a table of positions, which the folder of constants has flattened
        elif node.op_type in ("Identity", "Expand", "Unsqueeze", "Concat") and node.input[0] in held:
            held[node.output[0]] = held[node.input[0]].unsqueeze(-1) if node.op_type == "Unsqueeze" else held[node.input[0]]
    weights: dict[str, dict[str, Any]] = {}
    for name, sources in found.sources.items():
        node = found.graph[name]
        weights[name] = {}
        for key, (tensor, steps) in sources.items():
            value = held[tensor]
            for step in steps:
                value = step.run(value)
            shape = node.parameter_shapes.get(key)
            weights[name][key] = value if shape is None else value.reshape(shape)
    return weights


def test_the_graph_can_be_saved(tmp_path: Path) -> None:
    for name in NETWORKS:
        graph = read_onnx(FOLDER / file_name(name, "legacy", 17, True, True))
        graph.save(tmp_path / "net.json")
        assert load_graph(tmp_path / "net.json") == graph


def test_tensors_that_an_exporter_merged_are_parted_again(tmp_path: Path) -> None:
    # a fresh network: all scales are ones, all shifts zeros, of which exporters keep one each
    torch.manual_seed(0)
    module = NETWORKS["tokens"][0]().eval()
    own = sum(parameter.numel() for parameter in module.parameters())
    for exporter in ("legacy", "dynamo"):
        export(module, example("tokens"), tmp_path / "net.onnx", exporter)  # type: ignore[arg-type]  # one of the two
        assert read_onnx(tmp_path / "net.onnx").parameters == own


def test_attention_is_one_operator_and_counts_as_two_products() -> None:
    # 2 blocks of 4 heads, 17 positions, 8 wide: 2 * 4 * 17 * 17 * (8 + 8)
    for exporter, opset in (("legacy", 14), ("legacy", 20), ("dynamo", 18), ("dynamo", 23)):
        graph = read_onnx(FOLDER / file_name("tokens", exporter, opset, False, True))  # type: ignore[arg-type]  # one of the two
        attention = [node for node in graph.nodes if type(node.operator).__name__ == "ScaledDotProductAttention"]
        assert sum(node.work.macs for node in attention) == 2 * 4 * 17 * 17 * (8 + 8)


def test_a_batch_that_the_file_cannot_have_is_refused() -> None:
    with pytest.raises((ShapeError, costmodel.errors.UsageError), match="batch"):
        read_onnx(FOLDER / file_name("images", "legacy", 11, False, True), batch=0)


def test_counts_equal_those_of_torchs_counter() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    for name in ("images", "windows"):
        with FlopCounterMode(display=False) as counter:
            network(name)(example(name))
        graph = read_onnx(FOLDER / file_name(name, "dynamo", 20, False, True))
        assert 2 * graph.macs == counter.get_total_flops()
    assert math.isfinite(graph.flops)
