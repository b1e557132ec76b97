"""MnasNet A1, B1 and small (arXiv 1807.11626), Figure 7.

B1 is the search without squeeze-and-excitation; small is the paper's search2 of Table 4. Squeeze-and-excitation is a
quarter of the block's *input* channels. Under multipliers stem and stages scale, the last 1280 channels do not.
Source of B1 and small: github.com/tensorflow/tpu, models/official/mnasnet, `mnasnet_models.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels

PAPER = "arXiv:1807.11626"
HEAD = 1280


class Stage(NamedTuple):
    """A row of Figure 7: `repeats` blocks of one kernel, expansion and output; the first has the stride."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel_size: int
    squeeze: bool = False


class Variant(NamedTuple):
    """Channels of the stem, and the stages; expansion 1 leaves the expanding convolution out."""

    stem: int
    stages: tuple[Stage, ...]


VARIANTS = {
    "a1": Variant(
        32,
        (
            Stage(1, 16, 1, 1, 3),
            Stage(6, 24, 2, 2, 3),
            Stage(3, 40, 3, 2, 5, squeeze=True),
            Stage(6, 80, 4, 2, 3),
            Stage(6, 112, 2, 1, 3, squeeze=True),
            Stage(6, 160, 3, 2, 5, squeeze=True),
            Stage(6, 320, 1, 1, 3),
        ),
    ),
    "b1": Variant(
        32,
        (
            Stage(1, 16, 1, 1, 3),
            Stage(3, 24, 3, 2, 3),
            Stage(3, 40, 3, 2, 5),
            Stage(6, 80, 3, 2, 5),
            Stage(6, 96, 2, 1, 3),
            Stage(6, 192, 4, 2, 5),
            Stage(6, 320, 1, 1, 3),
        ),
    ),
    "small": Variant(
        8,
        (
            Stage(1, 8, 1, 1, 3),
            Stage(3, 16, 1, 2, 3),
            Stage(6, 16, 2, 2, 3),
            Stage(6, 32, 4, 2, 5, squeeze=True),
            Stage(6, 32, 3, 1, 3, squeeze=True),
            Stage(6, 88, 3, 2, 5, squeeze=True),
            Stage(6, 144, 1, 1, 3),
        ),
    ),
}


def mnasnet(options: Options, variant: Variant) -> Graph:
    """MnasNet at the options' width and depth."""
    net = Net(options, padding="same", epsilon=1e-3)
    x = net.conv_norm(net.image, round_channels(variant.stem * options.width), 3, 2, activation=ReLU(), name="stem")
    for number, stage in enumerate(variant.stages):
        for block in range(options.repeats(stage.repeats, number, len(variant.stages))):
            with net.scope(f"stages.{number}.{block}"):
                x = net.mbconv(
                    x,
                    round_channels(stage.channels * options.width),
                    stage.kernel_size,
                    stage.stride if block == 0 else 1,
                    expanded=x.channels * stage.expansion if stage.expansion != 1 else None,
                    activation=ReLU(),
                    squeezed=x.channels // 4 if stage.squeeze else 0,
                    # A1's and B1's first block has no residual even under multipliers that make its shapes equal.
                    skip=number > 0 or stage.channels == variant.stem,
                )
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, HEAD, activation=ReLU(), name="head_conv")
    return net.finish(net.classifier(x, 1000, dropout=True))


def _declare(variant: str, widths: tuple[float, ...], *accuracies: Accuracy) -> Architecture:
    return Architecture(
        name=f"mnasnet-{variant}",
        family="mnasnet",
        builder=lambda options: mnasnet(options, VARIANTS[variant]),
        resolution=224,
        year=2018,
        paper=PAPER,
        widths=widths,
        scalable=True,
        accuracies=accuracies,
    )


def _paper(value: float, table: str) -> Accuracy:
    return Accuracy(value=value, resolution=224, source=f"{PAPER} {table}")


def _timm(value: float, weights: str) -> Accuracy:
    return Accuracy(value=value, resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, {weights}")


ARCHITECTURES = (
    _declare("a1", (0.35, 0.5, 0.75, 1.0, 1.4), _paper(75.2, "Table 1"), _timm(75.452, "semnasnet_100.rmsp_in1k")),
    _declare("b1", (0.5, 0.75, 1.0, 1.3, 1.4), _timm(74.672, "mnasnet_100.rmsp_in1k")),
    _declare("small", (1.0,), _paper(66.0, "Table 4, search2"), _timm(66.204, "mnasnet_small.lamb_in1k")),
)
