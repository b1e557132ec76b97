"""One network by every way in: the torch module, both exporters' ONNX, and the files of every format that are written from its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="needs the extra `onnx`")
pytest.importorskip("tflite", reason="needs the extra `tflite`")
torch = pytest.importorskip("torch", reason="the networks are torch's")

import costmodel
from costmodel.graph import Graph
from costmodel.importers.files import read_file, write_file
from costmodel.importers.torch import import_module
from tests.importers.onnx.networks import Exporter, export
from tests.reference.conftest import peer_network

pytestmark = pytest.mark.torch

__all__ = ["peer_network"]

#: Network -> GMAC as printed to two decimals, where architecture pages print it (ViT: arXiv:2010.11929's B/16 at 224, attention included).
NETWORKS = {
    "timm:resnet18": 1.81,
    "timm:tf_efficientnet_b0": None,
    "torchvision:mobilenet_v2": 0.30,
    "torchvision:mobilenet_v3_large": None,
    "torchvision:densenet121": 2.83,
    "torchvision:shufflenet_v2_x1_0": None,
    "torchvision:regnet_y_400mf": None,
    "timm:convnext_tiny": None,
    "torchvision:vit_b_16": 17.56,
    "timm:swin_tiny_patch4_window7_224": None,
}
EXPORTERS: tuple[Exporter, ...] = ("legacy", "dynamo")
DEVICES = ("pixel4", "rtx4090", "coral-usb")


def routes(module: Any, example: Any, graph: Graph, folder: Path, *, whole: bool = True) -> Iterator[tuple[str, Graph]]:
    """The ways and the graph by each; not `whole` networks are exported with what the exporters optimise."""
    for exporter in EXPORTERS:
        export(module, example, folder / f"{exporter}.onnx", exporter, whole=whole)
        yield f"onnx by the {exporter} exporter", read_file(folder / f"{exporter}.onnx")
    torch.export.save(torch.export.export(module, (example,), strict=False), folder / "torch.pt2")
    yield "pt2 by torch.export", read_file(folder / "torch.pt2")
    for ending in (".json", ".onnx", ".pt2", ".tflite"):
        write_file(graph, folder / f"ours{ending}")
        yield f"{ending} by costmodel", read_file(folder / f"ours{ending}")


@pytest.mark.peers
@pytest.mark.parametrize("name", NETWORKS)
def test_every_way_gives_one_network(name: str, peer_network: Callable[..., Any], tmp_path: Path) -> None:
    module = peer_network(name)
    graph = import_module(module, [(1, 3, 224, 224)]).graph
    printed = NETWORKS[name]
    assert printed is None or round(graph.macs / 1e9, 2) == printed
    expected = {device: costmodel.estimate(graph, device=device).latency_s for device in DEVICES}
    for route, found in routes(module, torch.rand(1, 3, 224, 224), graph, tmp_path):
        assert (found.macs, found.parameters) == (graph.macs, graph.parameters), route
        for device in DEVICES:
            assert costmodel.estimate(found, device=device).latency_s == pytest.approx(expected[device], rel=0.01), (route, device)


@pytest.mark.parametrize("whole", [True, False])
def test_an_encoder_of_torch_is_one_network_by_every_way(whole: bool, tmp_path: Path) -> None:
    layer = torch.nn.TransformerEncoderLayer(64, 8, 128, batch_first=True)
    module, example = torch.nn.TransformerEncoder(layer, 2).eval(), torch.rand(2, 9, 64)
    for tensor in module.parameters():
        torch.nn.init.normal_(tensor)  # the layers begin as copies of one, and an exporter stores equal weights once
    graph = import_module(module, [example]).graph
    expected = {device: costmodel.estimate(graph, device=device).latency_s for device in DEVICES[:2]}
    for route, found in routes(module, example, graph, tmp_path, whole=whole):
        at_two = found.with_batch(2)
        assert (at_two.macs, at_two.parameters) == (graph.macs, graph.parameters), route
        for device in DEVICES[:2]:
            assert costmodel.estimate(at_two, device=device).latency_s == pytest.approx(expected[device], rel=0.01), (route, device)
