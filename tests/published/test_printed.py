"""What the papers print, rounded as they round it: each row has its tolerance and its source.

Left out, because the printed figure belongs to another network than the released one:

- MobileNetV2 x1.4, 6.9M parameters (the network has 6.1M, as its 585M MACs say), and MobileNetV3-Large x1.25, 7.5M.
- MobileNetV3-Small's parameters, its 66M MACs at 224 (the paper's rows at 256 and 192 say 56M) and those at x0.5.
- slim's MobileNetV1 x0.75 row and x0.25 at 192, which its own paper and the other rows contradict.
- EfficientNet's Table 3, ResNet-50 by depth and width: the two look exchanged. Its Table 7: only the compound row counts.
"""

from __future__ import annotations

import math
from functools import cache

import pytest

from costmodel import zoo
from costmodel.graph import Graph, GraphBuilder
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d
from costmodel.tensor import TensorSpec
from costmodel.work import WorkKind
from costmodel.zoo import Options
from costmodel.zoo._net import Net
from costmodel.zoo.efficientnet import SCALINGS, Scaling, efficientnet
from costmodel.zoo.mobilenet_v1 import BLOCKS

EFFICIENTNET = "arXiv:1905.11946 Table 2"
LITE = "github.com/tensorflow/tpu efficientnet/lite README"
V1, V1_SLIM = "arXiv:1704.04861", "github.com/tensorflow/models slim mobilenet_v1.md"
V2_SLIM = "github.com/tensorflow/models slim mobilenet README"
V3, V3_SLIM = "arXiv:1905.02244 Table 9", "github.com/tensorflow/models slim mobilenet README"
RESNET = "arXiv:1512.03385 Table 1"
VIT = "arXiv:2010.11929 Table 1"

# name, printed parameters in millions, printed MACs in millions, tolerances, source; None where nothing is printed
PRINTED = (
    ("efficientnet-b0", 5.3, 390, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-b1", 7.8, 700, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-b2", 9.2, 1_000, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-b3", 12, 1_800, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-b4", 19, 4_200, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-b5", 30, 9_900, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-b6", 43, 19_000, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-b7", 66, 37_000, 0.02, 0.05, EFFICIENTNET),
    ("resnet-50", 26, 4_100, 0.02, 0.05, EFFICIENTNET),
    ("resnet-152", 60, 11_000, 0.02, 0.05, EFFICIENTNET),
    ("efficientnet-lite0", 4.7, 407, 0.02, 0.06, LITE),
    ("efficientnet-lite1", 5.4, 631, 0.02, 0.06, LITE),
    ("efficientnet-lite2", 6.1, 899, 0.02, 0.06, LITE),
    ("efficientnet-lite3", 8.2, 1_440, 0.02, 0.06, LITE),
    ("efficientnet-lite4", 13.0, 2_640, 0.02, 0.06, LITE),
    ("mobilenet-v1", 4.2, 569, 0.01, 0.01, f"{V1} Table 4"),
    ("mobilenet-v1-0.75", 2.6, 325, 0.01, 0.01, f"{V1} Table 6"),
    ("mobilenet-v1-0.5", 1.3, 149, 0.03, 0.01, f"{V1} Table 6"),
    ("mobilenet-v1-0.25", 0.5, 41, 0.1, 0.01, f"{V1} Table 6"),
    ("mobilenet-v1@192", 4.2, 418, 0.01, 0.01, f"{V1} Table 7"),
    ("mobilenet-v1@160", 4.2, 290, 0.01, 0.01, f"{V1} Table 7"),
    ("mobilenet-v1@128", 4.2, 186, 0.01, 0.01, f"{V1} Table 7"),
    ("mobilenet-v1-0.5@192", 1.34, 110, 0.02, 0.02, V1_SLIM),
    ("mobilenet-v1-0.5@160", 1.34, 77, 0.02, 0.02, V1_SLIM),
    ("mobilenet-v1-0.5@128", 1.34, 49, 0.02, 0.02, V1_SLIM),
    ("mobilenet-v1-0.25@160", 0.47, 21, 0.02, 0.02, V1_SLIM),
    ("mobilenet-v1-0.25@128", 0.47, 14, 0.02, 0.04, V1_SLIM),
    ("mobilenet-v2", 3.4, 300, 0.04, 0.01, "arXiv:1801.04381 Table 4"),
    ("mobilenet-v2-1.4", None, 585, 0, 0.01, "arXiv:1801.04381 Table 4"),
    ("mobilenet-v3-large", 5.4, 217, 0.02, 0.005, V3),
    ("mobilenet-v3-large", 5.4, 219, 0.02, 0.02, "arXiv:1905.02244 Table 3"),
    ("mobilenet-v3-large-1.25", None, 356, 0, 0.005, V3),
    ("mobilenet-v3-large-0.75", 4.0, 155, 0.01, 0.005, V3),
    ("mobilenet-v3-large-0.5", 2.6, 69, 0.04, 0.005, V3),
    ("mobilenet-v3-large-0.35", 2.2, 40, 0.04, 0.02, V3),
    ("mobilenet-v3-large@256", 5.4, 282, 0.02, 0.005, V3),
    ("mobilenet-v3-large@192", 5.4, 160, 0.02, 0.005, V3),
    ("mobilenet-v3-large@160", 5.4, 112, 0.02, 0.005, V3),
    ("mobilenet-v3-large@128", 5.4, 73, 0.02, 0.01, V3),
    ("mobilenet-v3-large@96", 5.4, 43, 0.02, 0.005, V3),
    ("mobilenet-v3-large-minimalistic", 3.9, 209, 0.01, 0.005, V3_SLIM),
    ("mobilenet-v3-small-1.25", 3.6, 91, 0.02, 0.005, V3),
    ("mobilenet-v3-small-0.75", None, 44, 0, 0.02, V3),
    ("mobilenet-v3-small-0.35", None, 13, 0, 0.02, V3),
    ("mobilenet-v3-small@256", None, 74, 0, 0.02, V3),
    ("mobilenet-v3-small@192", None, 42, 0, 0.005, V3),
    ("mobilenet-v3-small@160", None, 30, 0, 0.01, V3),
    ("mobilenet-v3-small@128", None, 20, 0, 0.01, V3),
    ("mobilenet-v3-small@96", None, 12, 0, 0.01, V3),
    ("resnet-18-v1", None, 1_800, 0, 0.02, RESNET),
    ("resnet-34-v1", None, 3_600, 0, 0.02, RESNET),
    ("resnet-50-v1", None, 3_800, 0, 0.02, RESNET),
    ("resnet-101-v1", None, 7_600, 0, 0.02, RESNET),
    ("resnet-152-v1", None, 11_300, 0, 0.02, RESNET),
    ("mobilenet-v1-2", None, 2_200, 0, 0.04, "arXiv:1905.11946 Table 3"),
    ("mobilenet-v1@448", None, 2_200, 0, 0.04, "arXiv:1905.11946 Table 3"),
    ("mobilenet-v2-2", None, 1_100, 0, 0.04, "arXiv:1905.11946 Table 3"),
    ("mobilenet-v2@448", None, 1_200, 0, 0.04, "arXiv:1905.11946 Table 3"),
    ("resnet-50@448", None, 16_400, 0, 0.01, "arXiv:1905.11946 Table 3"),
    ("vit-b-16", 86, None, 0.01, 0, VIT),
    ("vit-l-16", 307, None, 0.01, 0, VIT),
    ("vit-h-14", 632, None, 0.01, 0, VIT),
    ("vit-b-16@384", 87, 56_000, 0.01, 0.01, "arXiv:2104.00298 Table 7"),
    ("vit-l-16@384", 304, 192_000, 0.01, 0.01, "arXiv:2104.00298 Table 7"),
    ("deit-b", 86, 18_000, 0.01, 0.03, "arXiv:2104.00298 Table 7"),
)

#: Millions of MACs that slim prints for MobileNetV2, cut to whole ones (V2_SLIM).
SLIM_V2 = {
    1.4: {224: 582},
    1.3: {224: 509},
    1.0: {224: 300, 192: 221, 160: 154, 128: 99, 96: 56},
    0.75: {224: 209, 192: 153, 160: 107, 128: 69, 96: 39},
    0.5: {224: 97, 192: 71, 160: 50, 128: 32, 96: 18},
    0.35: {224: 59, 192: 43, 160: 30, 128: 20, 96: 11},
}
#: Millions of parameters that slim prints: 1001 classes, batch norms left out (V2_SLIM).
SLIM_V2_PARAMETERS = {1.4: 6.06, 1.3: 5.34, 1.0: 3.47, 0.75: 2.61, 0.5: 1.95, 0.35: 1.66}


@cache
def built(name: str) -> Graph:
    return zoo.build(name)


def share(graph: Graph, kind: WorkKind, count: str = "macs") -> float:
    """Share of one kind of work in all MACs or parameters."""
    return sum(getattr(node.work, count) for node in graph.nodes if node.work.kind is kind) / getattr(graph, count)


@pytest.mark.parametrize(
    ("name", "parameters", "macs", "parameter_tolerance", "mac_tolerance", "source"), PRINTED, ids=[f"{row[0]}-{row[-1].split()[-1]}" for row in PRINTED]
)
def test_printed_parameters_and_macs(
    name: str, parameters: float | None, macs: float | None, parameter_tolerance: float, mac_tolerance: float, source: str
) -> None:
    graph = built(name)
    if parameters is not None:
        assert graph.parameters / 1e6 == pytest.approx(parameters, rel=parameter_tolerance), source
    if macs is not None:
        assert graph.macs / 1e6 == pytest.approx(macs, rel=mac_tolerance), source


@pytest.mark.parametrize(("width", "size", "macs"), [(width, size, macs) for width, row in SLIM_V2.items() for size, macs in row.items()])
def test_slim_cuts_mobilenet_v2_to_whole_millions(width: float, size: int, macs: int) -> None:
    assert built(f"mobilenet-v2-{width}@{size}").macs // 10**6 == macs


@pytest.mark.parametrize(("width", "parameters"), SLIM_V2_PARAMETERS.items())
def test_slim_counts_parameters_without_batch_norms(width: float, parameters: float) -> None:
    graph = zoo.build(f"mobilenet-v2-{width}", classes=1001)
    without = graph.parameters - sum(node.parameters for node in graph.nodes if node.work.kind is WorkKind.BATCH_NORM)
    assert without / 1e6 == pytest.approx(parameters, abs=0.006)


# what EfficientNet claims of its scaling: section 3.3


def test_flops_grow_by_the_compound_rule() -> None:
    alpha, beta, gamma = 1.2, 1.1, 1.15
    assert (built("efficientnet-b7").macs / built("efficientnet-b0").macs) ** (1 / 7) == pytest.approx(alpha * beta**2 * gamma**2, rel=0.03)


def test_flops_double_with_each_phi() -> None:
    """The slope of log2(MACs) over the coefficient that belongs to each released network."""
    phis = {"b0": 0, "b1": 0.5, "b2": 1, "b3": 2, "b4": 3.5, "b5": 5, "b6": 6, "b7": 7}
    logs = [math.log2(built(f"efficientnet-{name}").macs) for name in phis]
    mean_phi, mean_log = sum(phis.values()) / len(phis), sum(logs) / len(logs)
    covariance = sum((phi - mean_phi) * (log - mean_log) for phi, log in zip(phis.values(), logs, strict=True))
    assert 0.85 <= covariance / sum((phi - mean_phi) ** 2 for phi in phis.values()) <= 1.0


@pytest.mark.parametrize("scaling", [Scaling(1.0, 4.0, 224), Scaling(2.0, 1.0, 224), Scaling(1.0, 1.0, 448)], ids=["depth 4", "width 2", "resolution 2"])
def test_one_dimension_alone_quadruples_b0(scaling: Scaling) -> None:
    side = scaling.resolution
    graph = efficientnet(Options(name="scaled", resolution=(side, side)), scaling)
    assert graph.macs / built("efficientnet-b0").macs == pytest.approx(4, rel=0.07)


def test_the_compound_row_of_table_7() -> None:
    graph = efficientnet(Options(name="scaled", resolution=(291, 291)), Scaling(1.2, 1.4, 291))
    assert graph.macs / 1e9 == pytest.approx(1.8, rel=0.02)


def test_released_widths_follow_beta_and_sizes_gamma() -> None:
    for phi, name in ((1, "b2"), (2, "b3"), (5, "b5"), (7, "b7")):
        assert SCALINGS[name].width == pytest.approx(1.1**phi, rel=0.03)
        assert SCALINGS[name].resolution == pytest.approx(224 * 1.15**phi, rel=0.03)


@pytest.mark.parametrize("resnet", ["resnet-152", "resnet-152-v1"])
def test_b1_is_7_6_times_smaller_and_16_times_cheaper_than_resnet_152(resnet: str) -> None:
    assert built(resnet).parameters / built("efficientnet-b1").parameters == pytest.approx(7.6, rel=0.02)
    assert built(resnet).macs / built("efficientnet-b1").macs == pytest.approx(16, rel=0.06)


# MobileNetV1, section 3 and Tables 2 to 4


@pytest.mark.parametrize(
    ("kind", "macs", "parameters"),
    [
        (WorkKind.POINTWISE, 94.86, 74.59),
        (WorkKind.DEPTHWISE, 3.06, 1.06),
        (WorkKind.CONVOLUTION, 1.91, 0.02),  # Table 2 prints 1.19, its digits exchanged: its rows add up to 100 with 1.91
        (WorkKind.LINEAR, 0.18, 24.33),
    ],
)
def test_where_mobilenet_v1_has_its_work(kind: WorkKind, macs: float, parameters: float) -> None:
    graph = built("mobilenet-v1")
    weights = graph.parameters - sum(node.parameters for node in graph.nodes if node.work.kind is WorkKind.BATCH_NORM)
    assert 100 * share(graph, kind) == pytest.approx(macs, abs=0.1)
    assert 100 * share(graph, kind, "parameters") * graph.parameters / weights == pytest.approx(parameters, abs=0.1)


def _separable(channels: int, size: int) -> int:
    builder = GraphBuilder("separable")
    x = builder.input("x", TensorSpec((1, channels, size, size)))
    return builder.build(builder.add(Conv2d(channels), builder.add(DepthwiseConv2d((3, 3)), x))).macs


@pytest.mark.parametrize(("channels", "size", "printed"), [(512, 14, 52.3), (384, 14, 29.6), (384, 10, 15.1)])
def test_a_depthwise_separable_layer(channels: int, size: int, printed: float) -> None:
    macs = _separable(channels, size)
    assert macs == size**2 * channels * (9 + channels)
    assert macs / 1e6 == pytest.approx(printed, rel=0.005)


def test_depthwise_separable_layers_save_8_to_9_times() -> None:
    full = Conv2d(512, (3, 3))
    image = TensorSpec((1, 512, 14, 14))
    macs = full.work((image,), full.infer(image)).macs
    assert macs / 1e6 == pytest.approx(462, rel=0.005)
    assert _separable(512, 14) / macs == pytest.approx(1 / 512 + 1 / 3**2, rel=1e-12)
    assert 8 < macs / _separable(512, 14) < 9


def test_full_convolutions_in_the_place_of_separable_ones() -> None:
    net = Net(Options(name="full", resolution=(224, 224)), padding="same")
    x = net.conv_norm(net.image, 32, 3, 2)
    for channels, stride in BLOCKS:
        x = net.conv_norm(x, channels, 3, stride)
    graph = net.finish(net.classifier(x, 1000))
    assert graph.macs / 1e6 == pytest.approx(4866, rel=0.005)
    assert graph.parameters / 1e6 == pytest.approx(29.3, rel=0.005)
    assert graph.macs / built("mobilenet-v1").macs == pytest.approx(4866 / 569, rel=0.005)


# MobileNetV2, section 3.2: a block of stride 1 costs h * w * d' * t * (d' + k^2 + d'')


def test_the_cost_of_an_inverted_residual() -> None:
    graph = built("mobilenet-v2")
    checked = 0
    for node in graph.nodes:
        block = node.name.removesuffix(".depthwise")
        if block == node.name or node.operator.stride != (1, 1) or f"{block}.expand" not in {other.name for other in graph.nodes}:
            continue
        expand, project = graph[f"{block}.expand"], graph[f"{block}.project"]
        _, before, height, width = expand.inputs[0].shape
        after = project.outputs[0].shape[1]
        expected = height * width * before * 6 * (before + 3**2 + after)
        assert sum(other.work.macs for other in (expand, node, project)) == expected
        checked += 1
    assert checked == 12  # 17 blocks without the first, which does not expand, and 4 of stride 2


def test_halving_mobilenet_v3s_stem_saves_10_million() -> None:
    """Section 5.1: 32 filters become 16; the stem, the first depthwise convolution and its projection halve."""
    graph = built("mobilenet-v3-large")
    saved = sum(graph[name].work.macs for name in ("stem", "blocks.0.depthwise", "blocks.0.project"))
    assert saved / 1e6 == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(("name", "percent"), [("vit-b-16", 4.1), ("vit-b-16@384", 11.1)])
def test_the_share_of_attention(name: str, percent: float) -> None:
    """The two products of attention, tokens^2 * width * 2 a layer, against 12 * tokens * width^2 in its linear layers."""
    graph = built(name)
    tokens, width = graph["norm"].outputs[0].shape[1:]
    assert 100 * share(graph, WorkKind.ATTENTION) == pytest.approx(percent, abs=0.05)
    assert sum(node.work.macs for node in graph.nodes if node.work.kind is WorkKind.ATTENTION) == 12 * 2 * tokens**2 * width
