"""EfficientNet-EdgeTPU S, M, L: EfficientNet searched for the Edge TPU (Google AI blog, August 2019).

ReLU for swish, no squeeze-and-excitation, and early blocks that fuse the expanding and the depthwise convolution into one
dense 3x3, which the accelerator runs faster. Traps: the first stage expands 24 channels whatever the stem gives and has no
residual; later repeats of that stage have none either. The released checkpoints have 1001 outputs, counts use 1000.
Source: github.com/tensorflow/tpu, models/official/efficientnet/edgetpu/efficientnet_edgetpu_builder.py.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels

SOURCE = "github.com/tensorflow/tpu models/official/efficientnet/edgetpu"
STEM, HEAD = 32, 1280


class Stage(NamedTuple):
    """`expanded_from` is the number of channels that the first stage expands, in place of its input's."""

    fused: bool
    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel_size: int
    expanded_from: int | None = None


STAGES = (
    Stage(True, 4, 24, 1, 1, 3, expanded_from=24),
    Stage(True, 8, 32, 2, 2, 3),
    Stage(True, 8, 48, 4, 2, 3),
    Stage(False, 8, 96, 5, 2, 5),
    Stage(False, 8, 144, 4, 1, 5),
    Stage(False, 8, 192, 2, 2, 5),
)


class Scaling(NamedTuple):
    """Width and depth multipliers, input resolution, and (timm's weights, their top-1)."""

    width: float
    depth: float
    resolution: int
    top1: tuple[str, float]


SCALINGS = {
    "s": Scaling(1.0, 1.0, 224, ("tf_efficientnet_es.in1k", 76.608)),
    "m": Scaling(1.0, 1.1, 240, ("tf_efficientnet_em.in1k", 78.128)),
    "l": Scaling(1.2, 1.4, 300, ("tf_efficientnet_el.in1k", 80.246)),
}


def efficientnet_edgetpu(options: Options, scaling: Scaling) -> Graph:
    """EfficientNet-EdgeTPU under `scaling`, times the options' width and depth."""
    net = Net(options, padding="same", epsilon=1e-3)
    width = scaling.width * options.width
    x = net.conv_norm(net.image, round_channels(STEM * width), 3, 2, activation=ReLU(), name="stem")
    for number, stage in enumerate(STAGES):
        channels = round_channels(stage.channels * width)
        for block in range(options.repeats(stage.repeats * scaling.depth, number, len(STAGES))):
            stride = stage.stride if block == 0 else 1
            with net.scope(f"stages.{number}.{block}"):
                if stage.fused:
                    x = _fused_mbconv(net, x, stage, channels, stride, width)
                else:
                    x = net.mbconv(x, channels, stage.kernel_size, stride, expanded=x.channels * stage.expansion, activation=ReLU())
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, round_channels(HEAD * width), activation=ReLU(), name="head_conv")
    return net.finish(net.classifier(x, 1000, dropout=True))


def _fused_mbconv(net: Net, x: Value, stage: Stage, out_channels: int, stride: int, width: float) -> Value:
    """Dense convolution with the stride to the expanded channels, linear 1x1; no residual where `expanded_from` is set."""
    fixed = stage.expanded_from
    expanded = stage.expansion * (x.channels if fixed is None else round_channels(fixed * width))
    y = net.conv_norm(x, expanded, stage.kernel_size, stride, activation=ReLU(), name="expand")
    y = net.conv_norm(y, out_channels, name="project")
    return net.add(Add(), y, x, name="residual") if fixed is None and stride == 1 and x.channels == out_channels else y


def _declare(name: str, scaling: Scaling) -> Architecture:
    weights, value = scaling.top1
    return Architecture(
        name=f"efficientnet-edgetpu-{name}",
        family="efficientnet-edgetpu",
        builder=lambda options: efficientnet_edgetpu(options, scaling),
        resolution=scaling.resolution,
        year=2019,
        paper=SOURCE,
        scalable=True,
        accuracies=(Accuracy(value=value, resolution=scaling.resolution, evaluation="timm", source=f"timm results-imagenet.csv, {weights}"),),
    )


ARCHITECTURES = tuple(_declare(name, scaling) for name, scaling in SCALINGS.items())
