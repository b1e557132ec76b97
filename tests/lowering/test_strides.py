"""Where elements lie, against torch's own strides, and the copies that follow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from costmodel import zoo
from costmodel.graph import Graph
from costmodel.lowering import lower, rule_set
from costmodel.lowering._strides import channels_innermost, has_channels_innermost, in_order, is_in_order, like, viewed
from costmodel.ops.attention import ScaledDotProductAttention
from costmodel.ops.convolution import Conv2d
from costmodel.ops.layout import Permute

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


def copies(network: str, layout: str) -> int:
    return [str(kernel.kind) for kernel in lower(zoo.build(network), rule_set("torch-eager"), "amp", layout).kernels].count("copy")


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_swin_copies_its_windows_and_plain_networks_nothing(layout: str) -> None:
    assert copies("swin-t", layout) > 0
    assert {network: copies(network, layout) for network in ("resnet-18", "efficientnet-b0", "densenet-121")} == {
        "resnet-18": 0,
        "efficientnet-b0": 0,
        "densenet-121": 0,
    }


def test_a_convolution_of_channels_innermost_copies_images_that_lie_otherwise(graph_of: Callable[..., Graph]) -> None:
    turned = graph_of(
        ("turned", Permute(order=(0, 1, 3, 2)), "x"),
        ("conv", Conv2d(out_channels=8, kernel_size=(3, 3)), "turned"),
        x=(1, 4, 6, 6),
    )
    kinds = {layout: [str(kernel.kind) for kernel in lower(turned, rule_set("torch-eager"), "fp32", layout).kernels] for layout in ("nchw", "nhwc")}
    assert kinds == {"nchw": ["convolution"], "nhwc": ["copy", "convolution"]}


@pytest.mark.parametrize(("shape", "kinds"), [((2, 4, 16, 8), ["attention"]), ((2, 3, 4, 16, 8), ["matmul", "elementwise", "softmax", "matmul"])])
def test_fused_attention_takes_queries_of_four_dimensions(graph_of: Callable[..., Graph], shape: tuple[int, ...], kinds: list[str]) -> None:
    graph = graph_of(("attention", ScaledDotProductAttention(), "q k v"), q=shape, k=shape, v=shape)
    assert [str(kernel.kind) for kernel in lower(graph, rule_set("torch-eager")).kernels] == kinds


def test_channels_innermost_reach_every_convolution() -> None:
    graph = zoo.build("resnet-18")
    for layout, expected in (("nchw", ""), ("nhwc", "nhwc")):
        convolutions = [kernel for kernel in lower(graph, rule_set("torch-eager"), "fp32", layout).kernels if kernel.kind == "convolution"]
        assert {kernel.layout for kernel in convolutions} == {expected}


def test_composed_attention_widens_its_operands_under_autocast(graph_of: Callable[..., Graph]) -> None:
    shape = (2, 3, 4, 16, 8)
    graph = graph_of(("attention", ScaledDotProductAttention(), "q k v"), q=shape, k=shape, v=shape)
    kernels = lower(graph, rule_set("torch-eager"), "amp").kernels
    composed = [kernel for kernel in kernels if kernel.kind != "cast"]
    assert [str(kernel.kind) for kernel in composed] == ["matmul", "elementwise", "softmax", "matmul"]
    assert {kernel.dtype.name for kernel in composed} == {"FP32"}
