"""Claims of EfficientNet (arXiv 1905.11946) and EfficientNetV2 (arXiv 2104.00298) that are counts."""

from __future__ import annotations

from functools import cache, partial

import pytest

from costmodel.graph import Graph
from costmodel.work import WorkKind
from costmodel.zoo import Options
from costmodel.zoo.efficientnet import SCALINGS, Fused, efficientnet
from costmodel.zoo.mobilenet_v2 import mobilenet_v2
from tests.published.claims import Claim, built, check, macs, near, parameters, within

V1, V2 = "arXiv:1905.11946", "arXiv:2104.00298"
README = "github.com/google/automl efficientnetv2 README"


@cache
def scaled_mobilenet_v2(width: float, depth: float, resolution: int) -> Graph:
    """MobileNetV2 with more blocks in each stage, as EfficientNet's Table 3 scales it."""
    return mobilenet_v2(Options(name="scaled", resolution=(resolution, resolution), width=width), depth=depth)


@cache
def fused_b4(rows: int) -> Graph:
    """EfficientNet-B4 at 380 with the first `rows` of its 7 stages fused.

    Table 3 of EfficientNetV2 does not say which kernels and which squeeze-and-excitation the fused stages have: its counts
    fit 3x3 with squeeze-and-excitation for stages 1-3, and the original kernels without it for all.
    """
    fused = Fused(rows, kernel_size=3, squeeze=True) if rows <= 3 else Fused(rows)
    return efficientnet(Options(name=f"b4-fused-{rows}", resolution=(380, 380)), SCALINGS["b4"], fused=fused)


def keras_total(name: str) -> int:
    """Parameters with the mean and variance of every normalised channel, as Keras counts them."""
    graph = built(name)
    return graph.parameters + sum(2 * node.inputs[0].shape[1] for node in graph.nodes if node.work.kind is WorkKind.BATCH_NORM)


def progressive_share() -> float:
    """MACs of EfficientNetV2-S, four stages at sizes from 128 to 300 in equal steps (128, 185.3, 242.7, 300), over four at 300."""
    sizes = [round(128 + (300 - 128) * stage / 3) for stage in range(4)]
    return sum(macs(f"efficientnetv2-s@{size}") for size in sizes) / (4 * macs("efficientnetv2-s@300"))


#: The totals that the official test asserts (github.com/google/automl, efficientnetv2/effnetv2_model_test.py).
KERAS_TOTALS = {
    "b0": 7_200_312,
    "b1": 8_212_124,
    "b2": 10_178_374,
    "b3": 14_467_622,
    "s": 21_612_360,
    "m": 54_431_388,
    "l": 119_027_848,
    "xl": 208_896_832,
}
#: Parameters and MACs of NFNet in EfficientNetV2's Table 7.
NFNETS = {"f0": (72e6, 12e9), "f1": (133e6, 36e9), "f2": (194e6, 63e9), "f3": (255e6, 115e9), "f4": (316e6, 215e9)}

CLAIMS = (
    near("GPipe's AmoebaNet-B has 8.4 times B7's parameters", f"{V1} abstract", 8.4, lambda: parameters("amoebanet-b") / parameters("efficientnet-b7"), 0.005),
    within(
        "AmoebaNet-B's MACs over B7's bound the speedup of 6.1 from above",
        f"{V1} Table 4",
        6.1,
        lambda: macs("amoebanet-b") / macs("efficientnet-b7"),
        6.1,
        8.4,
    ),
    near("MobileNetV2 with depth 4", f"{V1} Table 3", 1.2e9, lambda: scaled_mobilenet_v2(1.0, 4.0, 224).macs, 0.04),
    near("MobileNetV2 with depth 1.4, width 1.2 at 288", f"{V1} Table 3", 1.3e9, lambda: scaled_mobilenet_v2(1.2, 1.4, 288).macs, 0.02),
    *(near(f"Keras total of V2-{name}", README, total, partial(keras_total, f"efficientnetv2-{name}")) for name, total in KERAS_TOTALS.items()),
    *(
        near(f"MACs of V2-{name}", README, printed, partial(macs, f"efficientnetv2-{name}"), 0.01)
        for name, printed in {"s": 8.4e9, "m": 24.7e9, "l": 56.3e9}.items()
    ),
    *(
        near(f"MACs of V2-{name}", f"{V2} Table 7", printed, partial(macs, f"efficientnetv2-{name}"), 0.06)
        for name, printed in {"s": 8.8e9, "m": 24e9, "l": 53e9, "xl": 94e9}.items()
    ),
    near("fusing stages 1-3 of B4: parameters", f"{V2} Table 3", 20.0 / 19.3, lambda: fused_b4(3).parameters / fused_b4(0).parameters, 0.03),
    near("fusing stages 1-3 of B4: MACs", f"{V2} Table 3", 7.5 / 4.5, lambda: fused_b4(3).macs / fused_b4(0).macs, 0.03),
    near("fusing all stages of B4: parameters", f"{V2} Table 3", 132e6, lambda: fused_b4(7).parameters, 0.01),
    near("fusing all stages of B4: MACs", f"{V2} Table 3", 34.4 / 4.5, lambda: fused_b4(7).macs / fused_b4(0).macs, 0.08),
    within(
        "V2-M has fewer parameters than B7", f"{V2} Table 7", -0.17, lambda: parameters("efficientnetv2-m") / parameters("efficientnet-b7") - 1, -0.20, -0.14
    ),
    within("V2-M has fewer MACs than B7", f"{V2} Table 7", -0.37, lambda: macs("efficientnetv2-m") / macs("efficientnet-b7") - 1, -0.40, -0.34),
    *(near(f"parameters of NFNet-{name}", f"{V2} Table 7", row[0], partial(parameters, f"nfnet-{name}"), 0.01) for name, row in NFNETS.items()),
    *(near(f"MACs of NFNet-{name}", f"{V2} Table 7", row[1], partial(macs, f"nfnet-{name}"), 0.04) for name, row in NFNETS.items()),
    # (128^2 + 185.3^2 + 242.7^2 + 300^2) / (4 * 300^2): work goes with the square of the size
    near("progressive learning from 128 to 300", f"{V2} Table 6", 0.5545, progressive_share, 0.02),
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.name}-{claim.source}")
def test_claim(claim: Claim) -> None:
    check(claim)


def test_b4_without_fused_stages_is_the_zoos() -> None:
    """So that the fused variants differ from it in nothing else."""
    assert (fused_b4(0).parameters, fused_b4(0).macs) == (parameters("efficientnet-b4"), macs("efficientnet-b4"))
