"""Networks of the zoo as files: executed by LiteRT, in float32 and in int8, and read back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from costmodel import api, reference, zoo
from costmodel.graph import Graph
from costmodel.importers.tflite import read_tflite, write_tflite
from costmodel.importers.tflite._import import from_structure
from costmodel.importers.tflite._metadata import pack, restore
from costmodel.importers.tflite._parse import parse
from costmodel.importers.tflite._plan import plan_graph
from costmodel.importers.tflite._scales import stored_bytes
from costmodel.importers.tflite._weights import arrays
from costmodel.importers.tflite._write import write_plan
from costmodel.reference._execute import random_inputs
from tests.importers.tflite.litert import execute, largest_error, varied_weights
from tests.importers.tflite.networks import NETWORKS

pytestmark = pytest.mark.torch

#: Largest relative difference of float32 outputs.
FLOAT_ERROR = 1e-4
#: Network -> largest relative difference of 8-bit outputs, for random weights and one sample of noise.
FEW = {
    "mobilenet-v2@96": 0.1,
    "mobilenet-v3-small@64": 0.1,
    "resnet-18@64": 0.1,
    "efficientnet-b0@64": 0.15,
    "shufflenet-v2-1.0@64": 0.1,
    "squeezenet-1.1@96": 0.1,
    "lenet-5": 0.1,
    "deit-ti@32": 0.2,
    "espnet-c@64x128": 0.15,
    "mobilevit-xxs@64": 0.2,
}
#: The other families at sizes that take a second or several.
MANY = (
    *("alexnet", "vgg-11@64", "googlenet@96", "googlenet-bn@96", "inception-v3@139", "inception-v4@139", "squeezenet-1.0@96", "resnet-50@64"),
    *("resnet-50-v1@64", "preresnet-18@64", "se-resnet-50@64", "resnext-50-32x4d@64", "densenet-121@64", "xception@96", "regnet-x-400mf@64"),
    *("regnet-y-400mf@64", "mobilenet-v1@64", "mobilenet-v3-large@64", "mobilenet-v3-large-minimalistic@64", "mnasnet-a1@64", "mnasnet-b1@64"),
    *("mnasnet-small@64", "efficientnet-lite0@64", "efficientnet-edgetpu-s@64", "efficientnetv2-b0@64", "efficientnetv2-s@64"),
    *("shufflenet-v1-1.0-g3@64", "ghostnet@64", "proxylessnas-mobile@64", "fbnet-c@64", "vit-b-32@64", "swin-t@64", "convnext-t@64"),
    *("nasnet-a-mobile@96", "nfnet-f0@64", "espnetv2-0.5@64", "espnet@64x128", "erfnet@64x128", "deeplabv3-mobilenet-v2@65"),
    *("lraspp-mobilenet-v3-small@129", "ssdlite-mobilenet-v2@320", "yolov2@96", "hourglass-1@64", "coatnet-0@64", "espnetv2-lm"),
    *("segnet@64x128", "enet@64x128", "ssd-300-vgg", "darknet-19@64", "pspnet@96", "espnetv2-seg-0.5@128", "pnasnet-5-large@96"),
)
#: Where the latency on pixel4 of a file without its note is more than 1 % from the graph's: by how much at most, and why.
FAR = {
    **dict.fromkeys((f"espnetv2-seg-{width}" for width in ("0.5", "1.0", "1.25", "1.5", "2.0")), (0.06, "adaptive pools are slices and means")),
    **dict.fromkeys(("mobilevit-xxs", "mobilevit-xs", "mobilevit-s", "swin-t", "swin-s"), (0.02, "rolls and unfoldings are several operators")),
    "lenet-5": (0.02, "radial bases are a product and a sum of squares"),
    "nasnet-a-mobile": (0.03, "shifts by a pixel are a cut and a padding"),
    "pnasnet-5-large": (0.02, "shifts by a pixel are a cut and a padding"),
    "segnet": (0.03, "indices of maxima are comparisons and selections"),
    "enet": (0.21, "indices of maxima are comparisons and selections"),
}


@pytest.mark.parametrize("name", FEW)
def test_litert_agrees(name: str, tmp_path: Path) -> None:
    graph, path = zoo.build(name), tmp_path / "net.tflite"
    weights, inputs = varied_weights(graph), random_inputs(graph)
    write_tflite(graph, path, weights=weights)
    assert largest_error(path, graph, inputs, weights) < FLOAT_ERROR
    assert read_tflite(path) == graph
    write_tflite(graph, path, weights=weights, dtype="int8", inputs=inputs)
    assert largest_error(path, graph, inputs, weights) < FEW[name]
    found = read_tflite(path)
    assert found == dataclasses.replace(graph, precision="int8")


@pytest.mark.peers
@pytest.mark.parametrize("name", MANY)
def test_litert_agrees_on_other_families(name: str, tmp_path: Path) -> None:
    graph, path = zoo.build(name), tmp_path / "net.tflite"
    weights, inputs = varied_weights(graph), random_inputs(graph)
    write_tflite(graph, path, weights=weights)
    assert largest_error(path, graph, inputs, weights) < FLOAT_ERROR
    assert read_tflite(path) == graph


@pytest.mark.parametrize("name", sorted(zoo.architectures()))
def test_every_network_is_planned_and_recognised(name: str) -> None:
    graph = zoo.build(name)
    plan = plan_graph(graph).plan
    assert restore(dataclasses.replace(plan, metadata=pack(graph))) == graph
    foreign = from_structure(plan, name)
    assert foreign.macs == graph.macs
    latency, wanted = (api.estimate(found, device="pixel4").latency_s for found in (foreign, graph))
    bound, reason = FAR.get(name, (0.01, "the same kernels"))
    assert abs(latency / wanted - 1) < bound, reason


@pytest.mark.parametrize(
    "name", ["resnet-50", "mobilenet-v3-large", "inception-v3", "vgg-16", "densenet-121", "efficientnet-b0", "convnext-t", "ssdlite-mobilenet-v2"]
)
def test_convolutional_networks_have_no_transpose(name: str) -> None:
    assert "TRANSPOSE" not in {operator.builtin for operator in plan_graph(zoo.build(name)).plan.operators}


@pytest.mark.parametrize("name", ["mobilenet-v2", "efficientnet-b0", "resnet-50", "mobilenet-v3-large"])
def test_a_foreign_file_stores_the_parameters_of_folded_normalisations_as_biases(name: str) -> None:
    graph = zoo.build(name)
    foreign = from_structure(plan_graph(graph).plan, name)
    folded = sum(node.parameters // 2 for node in graph.nodes if type(node.operator).__name__ == "BatchNorm")
    assert foreign.parameters == graph.parameters - folded


@pytest.mark.parametrize("name", ["mobilenet-v2@96", "deit-ti@32"])
@pytest.mark.parametrize("batch", [1, 3])
def test_files_of_several_samples(name: str, batch: int, tmp_path: Path) -> None:
    graph, path = zoo.build(name, batch=batch), tmp_path / "net.tflite"
    weights, inputs = reference.random_weights(graph), random_inputs(graph)
    write_tflite(graph, path, weights=weights)
    assert largest_error(path, graph, inputs, weights) < FLOAT_ERROR
    assert read_tflite(path).with_batch(5) == zoo.build(name, batch=5)
    write_tflite(graph, path, weights=weights, metadata=False)
    assert read_tflite(path).with_batch(5).macs == zoo.build(name, batch=5).macs


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_after_the_flatbuffer_are_found(name: str, tmp_path: Path) -> None:
    graph, path = NETWORKS[name](), tmp_path / "net.tflite"
    plan, weights = plan_graph(graph).plan, varied_weights(graph)
    held = arrays(graph, weights)
    write_plan(plan, lambda number: stored_bytes(plan.tensors[number], held), path, inline_bytes=0)
    inputs = random_inputs(graph)
    assert largest_error(path, graph, inputs, weights) < FLOAT_ERROR
    assert [operator.inputs for operator in parse(path).operators] == [operator.inputs for operator in plan.operators]


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    graph: Graph = NETWORKS["mobile"]()
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        write_tflite(graph, path, seed=seed)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    write_tflite(graph, paths[2], weights=reference.random_weights(graph, seed=0))
    assert paths[0].read_bytes() == paths[2].read_bytes()
    assert len(execute(paths[0], random_inputs(graph))) == 1


def test_an_8_bit_file_is_estimated_in_8_bits(tmp_path: Path) -> None:
    graph, path = zoo.build("mobilenet-v2@96"), tmp_path / "net.tflite"
    for metadata in (True, False):
        write_tflite(graph, path, dtype="int8", metadata=metadata)
        report, wanted = api.estimate(read_tflite(path), device="pixel4"), api.estimate(graph, device="pixel4", dtype="int8")
        assert report.target.dtype == "int8"
        assert len(report.kernels) == len(wanted.kernels)
        assert abs(report.latency_s / wanted.latency_s - 1) < 0.01
