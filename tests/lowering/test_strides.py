"""Where elements lie, against torch's own strides, and the copies that follow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from costmodel import zoo
from costmodel.graph import Graph
from costmodel.lowering import lower, rule_set
from costmodel.lowering._strides import channels_innermost, has_channels_innermost, in_order, is_in_order, like, viewed
from costmodel.ops.arithmetic import Add
from costmodel.ops.attention import ScaledDotProductAttention, Softmax
from costmodel.ops.convolution import Conv2d
from costmodel.ops.layout import Permute
from costmodel.ops.matmul import Linear, MatMul

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


COMPOSED = ["elementwise", "elementwise", "copy", "copy", "copy", "matmul", "softmax", "matmul"]


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [((2, 4, 16, 8), ["attention"]), ((2, 3, 4, 16, 8), COMPOSED), ((6, 16, 8), ["elementwise", "elementwise", "matmul", "softmax", "matmul"])],
)
def test_fused_attention_takes_queries_of_four_dimensions(graph_of: Callable[..., Graph], shape: tuple[int, ...], kinds: list[str]) -> None:
    graph = graph_of(("attention", ScaledDotProductAttention(), "q k v"), q=shape, k=shape, v=shape)
    assert [str(kernel.kind) for kernel in lower(graph, rule_set("torch-eager")).kernels] == kinds


def test_channels_innermost_reach_every_convolution() -> None:
    graph = zoo.build("resnet-18")
    for layout, expected in (("nchw", ""), ("nhwc", "nhwc")):
        convolutions = [kernel for kernel in lower(graph, rule_set("torch-eager"), "fp32", layout).kernels if kernel.kind == "convolution"]
        assert {kernel.layout for kernel in convolutions} == {expected}


OPERANDS, SCORES = 2 * 3 * 4 * 16 * 8, 2 * 3 * 4 * 16 * 16


def test_composed_attention_runs_in_fp32_under_autocast_since_torch_2_5(graph_of: Callable[..., Graph]) -> None:
    graph = _halved(graph_of, (2, 3, 4, 16, 8))
    kernels = [kernel for kernel in lower(graph, rule_set("torch-eager"), "amp").kernels if "attention" in kernel.name]
    assert [kernel.name.partition("/")[2] for kernel in kernels] == [
        *("widened_q", "widened_k", "widened_v", "scaled_q", "scaled_k", "copied_q", "copied_k", "copied_v"),
        *("query_key", "softmax", "eq", "all", "where", "weights", "value", "narrowed"),
    ]
    moved = {kernel.name.partition("/")[2]: (kernel.read_bytes, kernel.write_bytes) for kernel in kernels}
    assert moved["widened_q"] == (2 * OPERANDS, 4 * OPERANDS)
    assert moved["query_key"] == (2 * 4 * OPERANDS, 4 * SCORES)
    assert moved["softmax"] == (4 * SCORES, 4 * SCORES)
    assert [moved[name][0] for name in ("eq", "all", "weights")] == [4 * SCORES, SCORES, 4 * SCORES]
    assert moved["weights"][1] == 2 * SCORES
    assert moved["narrowed"] == (4 * OPERANDS, 2 * OPERANDS)
    assert {kernel.dtype.name for kernel in kernels if kernel.kind == "matmul"} == {"FP32"}


def test_composed_attention_stays_in_half_precision_up_to_torch_2_4(graph_of: Callable[..., Graph]) -> None:
    graph = _halved(graph_of, (2, 3, 4, 16, 8))
    kernels = [kernel for kernel in lower(graph, rule_set("torch-eager-2.4"), "amp").kernels if "attention" in kernel.name]
    assert [str(kernel.kind) for kernel in kernels] == COMPOSED
    assert {kernel.dtype.name for kernel in kernels} == {"FP16"}
    (softmax,) = (kernel for kernel in kernels if kernel.kind == "softmax")
    assert (softmax.read_bytes, softmax.write_bytes) == (2 * SCORES, 2 * SCORES)


def test_inductor_leaves_out_of_composed_attention_what_nobody_reads(graph_of: Callable[..., Graph]) -> None:
    graph = _halved(graph_of, (2, 3, 4, 16, 8))
    kernels = [kernel for kernel in lower(graph, rule_set("torch-compile"), "amp").kernels if "attention" in kernel.name]
    assert [kernel.name.partition("/")[2] for kernel in kernels] == ["widened_v", "scaled_q", "scaled_k", "query_key", "softmax", "value"]
    assert {kernel.dtype.name for kernel in kernels if kernel.kind == "matmul"} == {"FP32"}


@pytest.mark.parametrize(
    ("rules", "dtype", "extra"),
    [("torch-eager", "FP32", {"eq", "all", "where", "weights"}), ("torch-eager-2.4", "FP16", set()), ("torch-compile", "FP32", set())],
)
def test_masked_attention_of_three_dimensions_is_composed_too(graph_of: Callable[..., Graph], rules: str, dtype: str, extra: set[str]) -> None:
    shape, scores = (6, 16, 8), (6, 16, 16)
    graph = graph_of(
        ("q", Linear(8), "x"),
        ("products", MatMul(transpose_b=True), "q q"),
        ("masked", Add(), "products mask"),
        ("softmax", Softmax(fused=True), "masked"),
        ("values", MatMul(), "softmax q"),
        x=shape,
        mask=scores,
    )
    kernels = lower(graph, rule_set(rules), "amp").kernels
    assert {kernel.dtype.name for kernel in kernels if kernel.kind in ("matmul", "softmax")} == {dtype}
    assert {kernel.name.partition("/")[2] for kernel in kernels if kernel.name.startswith("softmax/")} - {"cast"} == extra


def _halved(graph_of: Callable[..., Graph], shape: tuple[int, ...]) -> Graph:
    """Attention whose operands products have made, in half precision under autocast."""
    made = [(name, Linear(shape[-1]), "x") for name in "qkv"]
    return graph_of(*made, ("attention", ScaledDotProductAttention(), "q k v"), x=shape)
