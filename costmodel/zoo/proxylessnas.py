"""ProxylessNAS for a CPU, a GPU and a mobile phone (arXiv 1812.00332), Figure 4.

Stages of four blocks (one, and five with a wider last block, at the ends) from which the search also drops blocks that keep
their shape; the table lists what is left. ReLU6, 1x1 convolution and pooling at the end as in MobileNetV2.
Source: github.com/mit-han-lab/proxylessnas, as rebuilt in pytorchcv 0.0.74.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU6
from costmodel.zoo._architecture import Accuracy, Architecture, Options, pytorchcv
from costmodel.zoo._net import Net

PAPER = "arXiv:1812.00332"


class Stage(NamedTuple):
    """Output channels, stride of the first block, and (kernel, expansion) of every block."""

    channels: int
    stride: int
    blocks: tuple[tuple[int, int], ...]


class Variant(NamedTuple):
    """Channels of the stem, stages, channels of the last convolution."""

    stem: int
    stages: tuple[Stage, ...]
    head: int


VARIANTS = {
    "cpu": Variant(
        40,
        (
            Stage(24, 1, ((3, 1),)),
            Stage(32, 2, ((3, 6), (3, 3), (3, 3), (3, 3))),
            Stage(48, 2, ((3, 6), (3, 3), (3, 3), (5, 3))),
            Stage(88, 2, ((3, 6), (3, 3))),
            Stage(104, 1, ((5, 6), (3, 3), (3, 3), (3, 3))),
            Stage(216, 2, ((5, 6), (5, 3), (5, 3), (3, 3))),
            Stage(360, 1, ((5, 6),)),
        ),
        1432,
    ),
    "gpu": Variant(
        40,
        (
            Stage(24, 1, ((3, 1),)),
            Stage(32, 2, ((5, 3),)),
            Stage(56, 2, ((7, 3), (3, 3))),
            Stage(112, 2, ((7, 6), (5, 3))),
            Stage(128, 1, ((5, 6), (3, 3), (5, 3))),
            Stage(256, 2, ((7, 6), (7, 6), (7, 6), (5, 6))),
            Stage(432, 1, ((7, 6),)),
        ),
        1728,
    ),
    "mobile": Variant(
        32,
        (
            Stage(16, 1, ((3, 1),)),
            Stage(32, 2, ((5, 3), (3, 3))),
            Stage(40, 2, ((7, 3), (3, 3), (5, 3), (5, 3))),
            Stage(80, 2, ((7, 6), (5, 3), (5, 3), (5, 3))),
            Stage(96, 1, ((5, 6), (5, 3), (5, 3), (5, 3))),
            Stage(192, 2, ((7, 6), (7, 6), (7, 3), (7, 3))),
            Stage(320, 1, ((7, 6),)),
        ),
        1280,
    ),
}


def proxylessnas(options: Options, variant: Variant) -> Graph:
    """ProxylessNAS: mobile inverted bottlenecks of mixed kernels and expansions."""
    net = Net(options, padding="symmetric", epsilon=1e-3)
    x = net.conv_norm(net.image, variant.stem, 3, 2, activation=ReLU6(), name="stem")
    for number, stage in enumerate(variant.stages):
        for block, (kernel_size, expansion) in enumerate(stage.blocks):
            expanded = x.channels * expansion if expansion != 1 else None
            with net.scope(f"stages.{number}.{block}"):
                x = net.mbconv(x, stage.channels, kernel_size, stage.stride if block == 0 else 1, expanded=expanded, activation=ReLU6())
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, variant.head, activation=ReLU6(), name="head_conv")
    return net.finish(net.classifier(x, 1000))


#: Top-1 at 224 as MobileNetV3's paper cites it.
_CITED = {"mobile": (Accuracy(value=74.6, resolution=224, source="arXiv:1905.02244 Table 3"),)}
_ERRORS = {"cpu": ("ProxylessNAS CPU", 24.71), "gpu": ("ProxylessNAS GPU", 24.79), "mobile": ("ProxylessNAS Mobile", 25.41)}


def _declare(target: str, variant: Variant) -> Architecture:
    return Architecture(
        name=f"proxylessnas-{target}",
        family="proxylessnas",
        builder=lambda options: proxylessnas(options, variant),
        resolution=224,
        year=2018,
        paper=PAPER,
        accuracies=(*_CITED.get(target, ()), pytorchcv(*_ERRORS[target])),
    )


ARCHITECTURES = tuple(_declare(target, variant) for target, variant in VARIANTS.items())
