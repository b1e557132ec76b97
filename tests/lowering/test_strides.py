"""Where elements lie, against torch's own strides, and the copies that follow."""

from __future__ import annotations

import pytest
import torch

from costmodel import zoo
from costmodel.lowering import lower, rule_set
from costmodel.lowering._strides import channels_innermost, has_channels_innermost, in_order, is_in_order, like, viewed

VIEWS = [
    ((2, 3, 4, 5), (0, 2, 3, 1), (2, 12, 5)),
    ((2, 3, 4, 5), (0, 2, 3, 1), (2, 20, 3)),
    ((2, 8, 6), (0, 2, 1), (2, 48)),
    ((2, 8, 6), (0, 2, 1), (12, 8)),
    ((2, 8, 6), (1, 0, 2), (8, 2, 2, 3)),
    ((4, 1, 6), (2, 1, 0), (6, 4)),
    ((2, 3, 4), (0, 1, 2), (6, 4)),
]


@pytest.mark.parametrize(("shape", "order", "new"), VIEWS)
def test_views_are_torchs(shape: tuple[int, ...], order: tuple[int, ...], new: tuple[int, ...]) -> None:
    tensor = torch.empty(shape).permute(order)
    try:
        expected = tensor.view(new).stride()
    except RuntimeError:
        expected = None
    assert viewed(tuple(tensor.shape), tensor.stride(), new) == expected


def test_channels_innermost_are_torchs() -> None:
    tensor = torch.empty(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert channels_innermost((2, 3, 4, 5)) == tensor.stride()
    assert has_channels_innermost((2, 3, 4, 5), tensor.stride())
    assert not has_channels_innermost((2, 3, 4, 5), in_order((2, 3, 4, 5)))
    assert is_in_order((2, 1, 3), (3, 99, 1))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_results_lie_as_their_operand(order: tuple[int, ...]) -> None:
    tensor = torch.empty(3, 4, 5).permute(order)
    assert like(tuple(tensor.shape), tensor.stride()) == (tensor + 1).stride()


def test_swin_copies_its_windows_and_a_resnet_nothing() -> None:
    kinds = {name: [str(kernel.kind) for kernel in lower(zoo.build(name), rule_set("torch-eager")).kernels] for name in ("swin-t", "resnet-18")}
    assert "copy" in kinds["swin-t"]
    assert "copy" not in kinds["resnet-18"]


def test_channels_innermost_reach_every_convolution() -> None:
    graph = zoo.build("resnet-18")
    for layout, expected in (("nchw", ""), ("nhwc", "nhwc")):
        convolutions = [kernel for kernel in lower(graph, rule_set("torch-eager"), "fp32", layout).kernels if kernel.kind == "convolution"]
        assert {kernel.layout for kernel in convolutions} == {expected}
