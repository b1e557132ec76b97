"""Claims of SqueezeNet, ShuffleNet V1 and V2, Xception, ESPNet, ESPNetv2 and MnasNet that are counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial

import pytest

import costmodel
from costmodel import zoo
from costmodel.graph import Graph
from costmodel.lowering import lower, rule_set
from costmodel.work import WorkKind
from costmodel.zoo import Options
from costmodel.zoo._net import Net
from costmodel.zoo.mnasnet import VARIANTS, Variant, mnasnet
from tests.published.claims import Claim, Gap, built, check, check_gap, macs, near, parameters, within

SQUEEZENET, SHUFFLENET, SHUFFLENET_V2 = "arXiv:1602.07360", "arXiv:1707.01083", "arXiv:1807.11164"
XCEPTION, ESPNET, ESPNETV2, MNASNET = "arXiv:1610.02357", "arXiv:1803.06815", "arXiv:1811.11431", "arXiv:1807.11626"
EDGENETS = "github.com/sacmehta/EdgeNets README"
#: SqueezeNet's weights and those that pruning left (SqueezeNet, Table 1).
ALL_WEIGHTS, KEPT_WEIGHTS = 1_248_424, 421_098


def file_bytes(name: str, weights: str | None = None) -> int:
    return costmodel.estimate(built(name), device="pixel4", weights=weights).model_file_bytes


def plain_convolutions(name: str) -> int:
    """MACs without transposed convolutions, which ESPNet's paper does not count."""
    return sum(node.work.macs for node in built(name).nodes if node.work.kind is not WorkKind.TRANSPOSED)


def without_classifier(name: str) -> int:
    """MACs of the convolutions, which is what ESPNetv2's README prints."""
    return sum(node.work.macs for node in built(name).nodes if node.work.kind is not WorkKind.LINEAR)


def pyramid_parameters(pattern: str) -> int:
    """Parameters of those nodes whose last name matches, of ESPNet's first pyramid with 64 channels in and out."""
    return sum(node.parameters for node in built("espnet").nodes if re.fullmatch(rf"level2\.pyramid\.(?:{pattern})", node.name))


def voc_ratio() -> float:
    """MACs of ESPNet on 512x512 over ESPNetv2's on 384x384, each with the 21 classes of Pascal VOC."""
    first, second = zoo.build("espnet@512", classes=21), zoo.build("espnetv2-seg-2.0@384", classes=21)
    return sum(node.work.macs for node in first.nodes if node.work.kind is not WorkKind.TRANSPOSED) / second.macs


def layer_variant(expansion: int, kernel_size: int) -> Graph:
    """MnasNet-A1's stages with one kind of layer throughout (MnasNet, Table 6)."""
    stages = tuple(
        stage._replace(expansion=expansion if number else 1, kernel_size=kernel_size, squeeze=False) for number, stage in enumerate(VARIANTS["a1"].stages)
    )
    return mnasnet(Options(name=f"mbconv{expansion}-k{kernel_size}", resolution=(224, 224)), Variant(VARIANTS["a1"].stem, stages))


@cache
def mnas_order() -> tuple[Graph, ...]:
    """The layer variants and the network that the search found, from the cheapest on (MnasNet, Table 6)."""
    return layer_variant(3, 3), layer_variant(3, 5), built("mnasnet-a1"), layer_variant(6, 3), layer_variant(6, 5)


def traffic(inputs: int, outputs: int) -> int:
    """Bytes that a 1x1 convolution on 56x56 moves."""
    net = Net(Options(name="pointwise", resolution=(56, 56)), padding="same", channels=inputs)
    return lower(net.finish(net.conv(net.image, outputs)), rule_set("torch-eager"), "fp32").kernels[0].traffic_bytes


def unevenness(ratio: int) -> Callable[[], float]:
    """Traffic of `ratio` times as many outputs as inputs over that of equal numbers, at equal MACs (128 * 128)."""
    root = round(ratio**0.5)
    return lambda: traffic(128 // root, 128 * root) / traffic(128, 128)


def expected_unevenness(root: int) -> float:
    """h w (c1 + c2) + c1 c2 at c1 c2 = 128^2 (ShuffleNet V2, equation 1)."""
    return (56**2 * (128 / root + 128 * root) + 128**2) / (56**2 * 256 + 128**2)


SHUFFLENETS = {"1.0-g1": 143e6, "1.0-g2": 140e6, "1.0-g3": 137e6, "1.0-g4": 133e6, "1.0-g8": 137e6, "0.5-g3": 38e6, "2.0-g3": 524e6}
ESPNETV2_MACS = {"0.5": 28.37e6, "1.0": 85.72e6, "1.25": 123.39e6, "1.5": 168.6e6, "2.0": 284.8e6}

CLAIMS = (
    within("AlexNet has 50 times SqueezeNet's parameters", f"{SQUEEZENET} abstract", 50, lambda: parameters("alexnet") / parameters("squeezenet-1.0"), 48, 51),
    near("SqueezeNet's file", f"{SQUEEZENET} Table 2", 4 * ALL_WEIGHTS, partial(file_bytes, "squeezenet-1.0")),
    # 421,098 weights of 6 bits and 4 for the distance are 0.526 MB; the rest of the way to 0.47 MB is Huffman coding
    within(
        "SqueezeNet's file with 6 bits, pruned",
        f"{SQUEEZENET} Table 2",
        0.47e6,
        lambda: file_bytes("squeezenet-1.0", f"6bit,pruned={1 - KEPT_WEIGHTS / ALL_WEIGHTS:.6f}"),
        0.40e6,
        0.55e6,
    ),
    near(
        "version 1.1 takes 2.4 times fewer MACs",
        "github.com/forresti/SqueezeNet v1.1 README",
        2.4,
        lambda: macs("squeezenet-1.0") / macs("squeezenet-1.1"),
        0.03,
    ),
    *(
        near(f"MACs of ShuffleNet {name}", f"{SHUFFLENET} Tables 1 and 5", printed, partial(macs, f"shufflenet-v1-{name}"), 0.015)
        for name, printed in SHUFFLENETS.items()
    ),
    near("AlexNet has 18 times the MACs of ShuffleNet x0.5", f"{SHUFFLENET} section 4.5", 18, lambda: macs("alexnet") / macs("shufflenet-v1-0.5-g3"), 0.10),
    *(
        near(f"traffic of a 1x1 with 1:{root**2} channels", f"{SHUFFLENET_V2} section 2, G1", expected_unevenness(root), unevenness(root**2), 1e-12)
        for root in (2, 4, 8)
    ),
    near("parameters of Inception-v3", f"{XCEPTION} Table 3", 23_626_728, partial(parameters, "inception-v3"), 0.01),
    within(
        "Xception is within 3.5 % of Inception-v3's size", f"{XCEPTION} sections 3-4", -0.035, lambda: parameters("xception") / 23_626_728 - 1, -0.035, 0.035
    ),
    near("MACs of Xception", "arXiv:1707.07012 Table 2", 8.38e9, partial(macs, "xception"), 0.005),
    near("MACs of Inception-v3", "arXiv:1707.07012 Table 2", 5.72e9, partial(macs, "inception-v3"), 0.002),
    near("parameters of ESPNet", ESPNET, 0.364e6, partial(parameters, "espnet"), 0.005),
    near("MACs of ESPNet without transposed convolutions", EDGENETS, 4.5e9, partial(plain_convolutions, "espnet"), 0.005),
    near("PSPNet has 180 times ESPNet's parameters", f"{ESPNET} abstract", 180, lambda: parameters("pspnet") / parameters("espnet"), 0.005),
    near("SegNet has 81 times ESPNet's parameters", ESPNET, 81, lambda: parameters("segnet") / parameters("espnet"), 0.005),
    near("ERFNet has 5.5 times ESPNet's parameters", ESPNET, 5.5, lambda: parameters("erfnet") / parameters("espnet"), 0.03),
    near(
        "weights of a pyramid from 64 to 64 channels",
        f"{ESPNET} section 3",
        64 * 12 + 9 * 12 * 16 + 4 * 9 * 12 * 12,
        partial(pyramid_parameters, r"reduce|dilated\d+"),
    ),
    near("a pyramid's normalisation and PReLU", f"{ESPNET} section 3", 64 * 2 + 64, partial(pyramid_parameters, "norm|activation")),
    near(
        "an ordinary 3x3 has 4.8 times a pyramid's weights", f"{ESPNET} section 3", 4.8, lambda: 9 * 64 * 64 / pyramid_parameters(r"reduce|dilated\d+"), 1e-12
    ),
    *(
        near(f"MACs of ESPNetv2 x{name}", "github.com/sacmehta/ESPNetv2 README", printed, partial(without_classifier, f"espnetv2-{name}"), 0.0005)
        for name, printed in ESPNETV2_MACS.items()
    ),
    within(
        "YOLOv2's printed 17.5B MACs are 6 times ESPNetv2-SSD's on COCO", EDGENETS, 6, lambda: 17.5e9 / zoo.build("espnetv2-ssd-512", classes=81).macs, 5, 7
    ),
    near("ESPNet over ESPNetv2 on Cityscapes", EDGENETS, 4.5 / 2.7, lambda: plain_convolutions("espnet") / macs("espnetv2-seg-2.0"), 0.01),
    within("ESPNet takes 2 to 4 times ESPNetv2's MACs on VOC", EDGENETS, 2.2 / 0.76, voc_ratio, 2, 4),
    near("parameters of MnasNet-A1", f"{MNASNET} Table 1", 3.9e6, partial(parameters, "mnasnet-a1"), 0.01),
    near("MACs of MnasNet-A1", f"{MNASNET} Table 1", 312e6, partial(macs, "mnasnet-a1"), 0.01),
    near("MACs of MnasNet small", f"{MNASNET} Table 4, search2", 68e6, partial(macs, "mnasnet-small"), 0.01),
)

GAPS = (
    Gap(
        within("ESPNet takes 2 to 4 times ESPNetv2's MACs on Cityscapes", EDGENETS, 2, lambda: plain_convolutions("espnet") / macs("espnetv2-seg-2.0"), 2, 4),
        1.67,
        "the claim holds on VOC, where ESPNetv2 takes smaller images; on Cityscapes the printed 4.5B over 2.7B are 1.67, too",
    ),
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.name}-{claim.source}")
def test_claim(claim: Claim) -> None:
    check(claim)


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap.claim.name)
def test_known_gap(gap: Gap) -> None:
    check_gap(gap)


def test_mnasnets_layer_variants_are_in_order() -> None:
    counts = [graph.macs for graph in mnas_order()]
    assert counts == sorted(counts)


def test_the_cost_of_a_shufflenet_unit() -> None:
    """ShuffleNet, section 3.2: h w (2 c m / g + 9 m) for c channels, m in the bottleneck and g groups; units of stride 1."""
    for groups in (1, 2, 3, 4, 8):
        graph = built(f"shufflenet-v1-1.0-g{groups}")
        units = [node.name.removesuffix(".depthwise") for node in graph.nodes if node.name.endswith(".depthwise") and node.operator.stride == (1, 1)]  # type: ignore[attr-defined]
        for unit in units:
            reduce, depthwise, expand = (graph[f"{unit}.{part}"] for part in ("reduce", "depthwise", "expand"))
            _, channels, height, width = reduce.inputs[0].shape
            inner = reduce.outputs[0].shape[1]
            assert sum(node.work.macs for node in (reduce, depthwise, expand)) == height * width * (2 * channels * inner // groups + 9 * inner)
        assert len(units) == 4 + 8 + 4 - 3


def test_the_cost_of_a_resnet_unit() -> None:
    """ShuffleNet, section 3.2: h w (2 c m + 9 m^2) for a bottleneck of ResNet with an identity shortcut."""
    graph = built("resnet-50")
    units = [f"stages.{stage}.{block}" for stage, repeats in enumerate((3, 4, 6, 3)) for block in range(1, repeats)]
    for unit in units:
        _, channels, height, width = graph[f"{unit}.conv1"].inputs[0].shape
        inner = graph[f"{unit}.conv1"].outputs[0].shape[1]
        assert sum(graph[f"{unit}.conv{number}"].work.macs for number in (1, 2, 3)) == height * width * (2 * channels * inner + 9 * inner**2)
