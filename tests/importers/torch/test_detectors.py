"""Detectors, whose path depends on their data: captured from one run.

The wheel of torchvision for the CPU lacks its compiled operations: nms stands here in Python, and for roi_align torchvision
has a form of its own in torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from costmodel.importers.torch import count_module, import_module
from tests.importers.torch.helpers import learned, unknown_operators
from tests.peers import libraries, peer

pytestmark = [pytest.mark.torch, pytest.mark.peers]


def nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Boxes that no better one overlaps by more than `threshold`, best first. boxes: (B, 4) corners; scores: (B,)."""
    order, kept = scores.argsort(descending=True), []
    while order.numel():
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = torch.maximum(boxes[best, :2], boxes[order, :2]), torch.minimum(boxes[best, 2:], boxes[order, 2:])
        common = (high - low).clamp(min=0).prod(1)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = order[common / (area[best] + area[order] - common) <= threshold]
    return torch.stack(kept) if kept else boxes.new_zeros(0, dtype=torch.int64)


@pytest.fixture(scope="module", autouse=True)
def _operations() -> Iterator[None]:
    libraries()
    import torchvision.extension

    added = torch.library.Library("torchvision", "IMPL")
    present = torchvision.extension._has_ops
    if not present():
        added.impl("nms", nms, "CPU")
        torchvision.extension._has_ops = lambda: True
    yield
    torchvision.extension._has_ops = present
    added._destroy()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("torchvision:detection.ssdlite320_mobilenet_v3_large", {"topk_candidates": 20}),
        ("torchvision:detection.fasterrcnn_resnet50_fpn", {"min_size": 160, "max_size": 320, "rpn_pre_nms_top_n_test": 40, "rpn_post_nms_top_n_test": 20}),
    ],
)
def test_detectors_import_through_one_run(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = peer(name, weights_backbone=None, **options)
    image = torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(1))
    graph = import_module(network, [image]).graph
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    assert graph.macs == counter.get_total_flops() // 2
    assert graph.parameters == learned(network)
    assert "captured from one run" in graph.notes[0]
    counts = count_module(network, [image])
    assert (counts.macs, counts.parameters) == (graph.macs, graph.parameters)
    assert "torchvision.nms.default" in unknown_operators(graph)  # has a place in every report
