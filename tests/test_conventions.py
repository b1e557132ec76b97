"""Totals as other tools and papers count them."""

from __future__ import annotations

import pytest

from costmodel import zoo
from costmodel.convention import CONVENTIONS, total
from costmodel.errors import UnknownNameError
from costmodel.graph import GraphBuilder
from costmodel.ops.attention import ScaledDotProductAttention
from costmodel.ops.elementwise import ReLU
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm, LayerNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.tensor import TensorSpec

#: FlopCountAnalysis(...).total() of fvcore 0.1.5 on the same networks of torchvision 0.28.0 or timm 1.0.31.
FVCORE = {
    "resnet-18": 1_819_065_856,
    "resnet-50": 4_111_512_576,
    "densenet-121": 2_865_546_752,
    "googlenet-bn": 1_504_878_688,
    "mobilenet-v2": 314_193_216,
    "efficientnet-b0": 401_659_392,
    "squeezenet-1.1": 349_320_936,
    "convnext-t": 4_470_437_376,
    "vit-b-16": 16_867_412_736,
    "swin-t": 4_509_232_128,
}


@pytest.mark.parametrize("name", FVCORE)
def test_fvcores_own_figures(name: str) -> None:
    assert total(zoo.build(name, padding="symmetric"), "fvcore").value == FVCORE[name]


def test_what_fvcore_counts_operator_by_operator() -> None:
    builder = GraphBuilder("mixed")
    x = builder.input("x", TensorSpec((2, 3, 4, 5)))
    x = builder.add(BatchNorm(), x)  # 2 an element
    x = builder.add(ReLU(), x)  # nothing
    x = builder.add(LayerNorm(), x)  # 5 an element
    x = builder.add(ScaledDotProductAttention(), x, x, x)  # nothing, although it is 2 matrix products
    x = builder.add(Linear(7), x)  # 1 a MAC, nothing for the bias
    graph = builder.build(builder.add(AdaptiveAvgPool2d(), x))  # 1 an element read
    elements = 2 * 3 * 4 * 5
    assert total(graph, "fvcore").value == 2 * elements + 5 * elements + elements * 7 + 2 * 3 * 4 * 7
    assert total(graph, "macs").value == elements * 7 + 2 * 3 * (4 * 4 * 5 + 4 * 4 * 5)


@pytest.mark.parametrize("name", ["resnet-18", "mobilenet-v2", "vit-b-16"])
def test_papers_print_macs_as_flops_and_torch_counts_two_for_each(name: str) -> None:
    graph = zoo.build(name)
    assert total(graph, "macs").value == total(graph, "paper").value == graph.macs
    assert total(graph, "torch").value == 2 * graph.macs
    assert total(graph, "macs").word == "MACs"
    assert total(graph, "paper").word == "FLOPs"


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_batch_counts_each_sample(convention: str) -> None:
    single, batch = (total(zoo.build("resnet-18", batch=size), convention) for size in (1, 3))
    assert batch.value == 3 * single.value
    assert batch.printed == single.printed  # papers print one sample
    assert single.rule


def test_a_printed_figure_stands_beside_the_count_with_its_explanation() -> None:
    found = total(zoo.build("efficientnet-b5"), "paper")
    (macs,) = (figure for figure in found.printed if figure.quantity == "macs")
    assert (macs.printed, macs.counted) == ("9.9B", 10_266_384_752)
    assert macs.difference == pytest.approx(10_266_384_752 / 9.9e9 - 1)
    assert "10.27" in macs.explanation
    assert macs.source.startswith("arXiv:1905.11946")
    assert total(zoo.build("efficientnet-b5"), "macs").printed == ()


def test_an_unknown_convention_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown convention 'fvcroe'; did you mean fvcore"):
        total(zoo.build("lenet-5"), "fvcroe")
