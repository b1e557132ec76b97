"""EfficientNet B0-B8, L2 (arXiv 1905.11946) and EfficientNet-lite 0-4.

B0's stages are the paper's Table 1; the others scale width, depth and resolution. The released coefficients are not the
powers alpha^phi, beta^phi, gamma^phi at whole phi, so they are a table here. Source of the coefficients:
github.com/tensorflow/tpu, models/official/efficientnet, `efficientnet_builder.py` and `lite/efficientnet_lite_builder.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU6, Sigmoid, SiLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels

PAPER = "arXiv:1905.11946"


class Stage(NamedTuple):
    """A row of Table 1: `repeats` MBConv blocks; the first has the stride and the change of channels."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel_size: int


STAGES = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 2, 2, 3),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
STEM, HEAD = 32, 1280


class Scaling(NamedTuple):
    """Width and depth multipliers, input resolution."""

    width: float
    depth: float
    resolution: int


SCALINGS = {
    "b0": Scaling(1.0, 1.0, 224),
    "b1": Scaling(1.0, 1.1, 240),
    "b2": Scaling(1.1, 1.2, 260),
    "b3": Scaling(1.2, 1.4, 300),
    "b4": Scaling(1.4, 1.8, 380),
    "b5": Scaling(1.6, 2.2, 456),
    "b6": Scaling(1.8, 2.6, 528),
    "b7": Scaling(2.0, 3.1, 600),
    "b8": Scaling(2.2, 3.6, 672),
    "l2": Scaling(4.3, 5.3, 800),
}
LITE_SCALINGS = {
    "lite0": Scaling(1.0, 1.0, 224),
    "lite1": Scaling(1.0, 1.1, 240),
    "lite2": Scaling(1.1, 1.2, 260),
    "lite3": Scaling(1.2, 1.4, 280),
    "lite4": Scaling(1.4, 1.8, 300),
}


class Fused(NamedTuple):
    """The first `stages` with Fused-MBConv blocks, their kernel (None: the stage's own), and whether they squeeze and excite."""

    stages: int = 0
    kernel_size: int | None = None
    squeeze: bool = False


UNFUSED = Fused()


def efficientnet(
    options: Options,
    scaling: Scaling,
    *,
    lite: bool = False,
    fused: Fused = UNFUSED,
    rounding: Callable[[float], int] = round_channels,
) -> Graph:
    """EfficientNet under `scaling`, times the options' width and depth; `lite` drops squeeze-and-excitation and scaling of stem and head, and uses ReLU6.

    `fused` gives the networks of EfficientNetV2's ablation (arXiv 2104.00298, Table 3), and its `rounding` of channels
    those of its repository.
    """
    net = Net(options, padding="same", epsilon=1e-3)
    width = scaling.width * options.width
    activation: Operator = ReLU6() if lite else SiLU()
    stem, head = (STEM, HEAD) if lite else (rounding(STEM * width), rounding(HEAD * width))
    x = net.conv_norm(net.image, stem, 3, 2, activation=activation, name="stem")
    for number, stage in enumerate(STAGES):
        # The lite builder keeps the repeats of the first and the last stage (fix_head_stem in its block decoder).
        fixed = lite and number in (0, len(STAGES) - 1)
        repeats = stage.repeats if fixed else options.repeats(stage.repeats * scaling.depth, number, len(STAGES))
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                channels, stride = rounding(stage.channels * width), stage.stride if block == 0 else 1
                if number < fused.stages:
                    x = _fused_mbconv(net, x, stage, channels, stride, activation, fused)
                else:
                    x = _mbconv(net, x, stage, channels, stride, activation, lite)
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, head, activation=activation, name="head_conv")
    return net.finish(net.classifier(x, 1000, dropout=True))


def _mbconv(net: Net, x: Value, stage: Stage, out_channels: int, stride: int, activation: Operator, lite: bool) -> Value:
    """Mobile inverted bottleneck; squeeze-and-excitation is a quarter of the block's *input* channels."""
    y = x
    if stage.expansion != 1:
        y = net.conv_norm(y, x.channels * stage.expansion, activation=activation, name="expand")
    y = net.depthwise_norm(y, stage.kernel_size, stride, activation=activation)
    if not lite:
        y = net.squeeze_excite(y, max(1, x.channels // 4), inner=activation, gate=Sigmoid())
    y = net.conv_norm(y, out_channels, name="project")
    return net.add(Add(), y, x, name="residual") if stride == 1 and x.channels == out_channels else y


def _fused_mbconv(net: Net, x: Value, stage: Stage, out_channels: int, stride: int, activation: Operator, fused: Fused) -> Value:
    """A dense convolution in the place of the expanding and the depthwise one; without expansion it projects as well.

    Source: github.com/google/automl, efficientnetv2/effnetv2_model.py.
    """
    single, window = stage.expansion == 1, (fused.kernel_size or stage.kernel_size, stride)
    y = x if single else net.conv_norm(x, x.channels * stage.expansion, *window, activation=activation, name="expand")
    if fused.squeeze:
        y = net.squeeze_excite(y, max(1, x.channels // 4), inner=activation, gate=Sigmoid())
    y = net.conv_norm(y, out_channels, *(window if single else (1, 1)), activation=activation if single else None, name="project")
    return net.add(Add(), y, x, name="residual") if stride == 1 and x.channels == out_channels else y


#: Top-1 in percent: Table 2 of the ICML text, except where the comment says otherwise.
_PAPER_TOP1 = {"b0": 76.3, "b1": 78.8, "b2": 79.8, "b3": 81.1, "b4": 82.6, "b5": 83.3, "b6": 84.0, "b7": 84.4}
#: timm's uniform evaluation: (weights, resolution, top-1), huggingface/pytorch-image-models results/results-imagenet.csv.
_TIMM_TOP1 = {
    "b0": ("tf_efficientnet_b0.in1k", 224, 76.542),
    "b1": ("tf_efficientnet_b1.in1k", 240, 78.546),
    "b2": ("tf_efficientnet_b2.in1k", 260, 79.612),
    "b3": ("tf_efficientnet_b3.in1k", 300, 80.878),
    "b4": ("tf_efficientnet_b4.in1k", 380, 82.598),
    "b5": ("tf_efficientnet_b5.in1k", 456, 83.170),
    "b6": ("tf_efficientnet_b6.aa_in1k", 528, 84.124),
    "b7": ("tf_efficientnet_b7.aa_in1k", 600, 84.424),
    "b8": ("tf_efficientnet_b8.ra_in1k", 672, 85.344),
    "l2": ("tf_efficientnet_l2.ns_jft_in1k", 800, 88.360),
    "lite0": ("tf_efficientnet_lite0.in1k", 224, 74.846),
    "lite1": ("tf_efficientnet_lite1.in1k", 240, 76.674),
    "lite2": ("tf_efficientnet_lite2.in1k", 260, 77.470),
    "lite3": ("tf_efficientnet_lite3.in1k", 300, 79.808),
    "lite4": ("tf_efficientnet_lite4.in1k", 380, 81.540),
}


def _accuracies(variant: str) -> tuple[Accuracy, ...]:
    found = []
    if variant in _PAPER_TOP1:
        found.append(Accuracy(value=_PAPER_TOP1[variant], resolution=SCALINGS[variant].resolution, source=f"{PAPER} Table 2 (ICML version)"))
    weights, resolution, value = _TIMM_TOP1[variant]
    found.append(Accuracy(value=value, resolution=resolution, evaluation="timm", source=f"timm results-imagenet.csv, {weights}"))
    return tuple(found)


def _declare(variant: str, scaling: Scaling, *, lite: bool) -> Architecture:
    return Architecture(
        name=f"efficientnet-{variant}",
        family="efficientnet-lite" if lite else "efficientnet",
        builder=lambda options: efficientnet(options, scaling, lite=lite),
        resolution=scaling.resolution,
        year=2020 if lite else 2019,
        paper="github.com/tensorflow/tpu models/official/efficientnet/lite" if lite else PAPER,
        scalable=True,
        accuracies=_accuracies(variant),
    )


ARCHITECTURES = (
    *(_declare(variant, scaling, lite=False) for variant, scaling in SCALINGS.items()),
    *(_declare(variant, scaling, lite=True) for variant, scaling in LITE_SCALINGS.items()),
)
