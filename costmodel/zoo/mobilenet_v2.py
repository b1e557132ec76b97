"""MobileNetV2 (arXiv 1801.04381), Table 2.

Widths round to multiples of 8; for multipliers under 1 the last convolution keeps its 1280 channels, above 1 it grows.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU6
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels

PAPER = "arXiv:1801.04381"


class Stage(NamedTuple):
    """A row of Table 2: t, c, n, s."""

    expansion: int
    channels: int
    repeats: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
STEM, HEAD = 32, 1280


def mobilenet_v2(options: Options, *, depth: float = 1.0, fixed_ends: bool = False) -> Graph:
    """MobileNetV2 at the options' width and depth, the repeats of every stage multiplied by `depth` too and rounded up.

    With `fixed_ends` stem, last convolution and the repeats of the first and last stage stay as they are, as in timm's
    deeper forms (110d, 120d).
    """
    net = Net(options, padding="same", epsilon=1e-3)
    x = net.conv_norm(net.image, STEM if fixed_ends else round_channels(STEM * options.width), 3, 2, activation=ReLU6(), name="stem")
    for number, stage in enumerate(STAGES):
        fixed = fixed_ends and number in (0, len(STAGES) - 1)
        for block in range(stage.repeats if fixed else options.repeats(stage.repeats * depth, number, len(STAGES))):
            with net.scope(f"stages.{number}.{block}"):
                x = inverted_residual(net, x, stage.expansion, round_channels(stage.channels * options.width), stage.stride if block == 0 else 1)
    if options.features_only:
        return net.finish(x)
    head = HEAD if fixed_ends else round_channels(HEAD * max(1.0, options.width))
    x = net.conv_norm(x, head, activation=ReLU6(), name="head_conv")
    return net.finish(net.classifier(x, 1000, dropout=True))


def inverted_residual(net: Net, x: Value, expansion: int, out_channels: int, stride: int) -> Value:
    """1x1 expand, 3x3 depthwise, linear 1x1 project; a residual where the shapes allow one (section 3.3)."""
    y = net.conv_norm(x, x.channels * expansion, activation=ReLU6(), name="expand") if expansion != 1 else x
    y = net.depthwise_norm(y, 3, stride, activation=ReLU6())
    y = net.conv_norm(y, out_channels, name="project")
    return net.add(Add(), y, x, name="residual") if stride == 1 and x.channels == out_channels else y


ARCHITECTURES = (
    Architecture(
        name="mobilenet-v2",
        family="mobilenet-v2",
        builder=mobilenet_v2,
        resolution=224,
        year=2018,
        paper=PAPER,
        widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        scalable=True,
        accuracies=(
            Accuracy(value=72.0, resolution=224, source=f"{PAPER} Table 4"),
            Accuracy(value=72.910, resolution=224, evaluation="timm", source="timm results-imagenet.csv, mobilenetv2_100.ra_in1k"),
        ),
    ),
)
