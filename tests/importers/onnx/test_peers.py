"""Networks of timm and torchvision through both of torch's exporters, live, against the torch import and torch's own counter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="needs the extra `onnx`")
torch = pytest.importorskip("torch", reason="the networks are torch's")

import costmodel
from costmodel.importers.onnx import read_onnx
from costmodel.importers.torch import import_module
from tests.importers.onnx.networks import export
from tests.reference.conftest import peer_network

pytestmark = [pytest.mark.torch, pytest.mark.peers]

__all__ = ["peer_network"]

#: Networks, and the exporters that write them; the newer one cannot write MaxViT.
CASES = (
    "timm:resnet18",
    "timm:resnext50_32x4d",
    "timm:seresnet50",
    "timm:efficientnet_b0",
    "timm:tf_efficientnet_b0",
    "timm:mobilenetv3_large_100",
    "timm:ghostnet_100",
    "timm:convnext_tiny",
    "timm:vit_tiny_patch16_224",
    "timm:swin_tiny_patch4_window7_224",
    "timm:mobilevit_xxs",
    "timm:coatnet_0_rw_224",
    "timm:poolformer_s12",
    "timm:efficientvit_b0",
    "torchvision:mobilenet_v2",
    "torchvision:densenet121",
    "torchvision:shufflenet_v2_x1_0",
    "torchvision:squeezenet1_1",
    "torchvision:vgg16",
    "torchvision:vit_b_16",
    "torchvision:regnet_y_400mf",
)


@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
@pytest.mark.parametrize("name", CASES)
def test_the_same_network_by_every_way(
    name: str, exporter: Any, peer_network: Callable[..., Any], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module = peer_network(name)
    size = 256 if "mobilevit" in name else 224
    export(module, torch.rand(1, 3, size, size), tmp_path / "net.onnx", exporter)
    found = read_onnx(tmp_path / "net.onnx")
    expected = import_module(module, [(1, 3, size, size)]).graph
    assert found.macs == expected.macs
    assert found.parameters == sum(parameter.numel() for parameter in module.parameters())
    with FlopCounterMode(display=False) as counter:  # on meta attention is counted, too
        module.to("meta")(torch.empty(1, 3, size, size, device="meta"))
    assert 2 * found.macs == counter.get_total_flops()
    for device in ("pixel4", "rtx4090"):
        latencies = [costmodel.estimate(graph, device=device).latency_s for graph in (found, expected)]
        record_property(f"difference on {device}", latencies[0] / latencies[1] - 1)
        assert latencies[0] == pytest.approx(latencies[1], rel=0.01), device
