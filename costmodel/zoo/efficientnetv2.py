"""EfficientNetV2 B0-B3, S, M, L, XL (arXiv 2104.00298), Table 4.

Early stages fuse the expanding and the depthwise convolution into one dense convolution. Traps: this family's released
code rounds channels without the 90 % rule; a fused block that does not expand is a single convolution with its
nonlinearity; the head keeps 1280 channels except under B2's and B3's width. Default resolutions are those of evaluation,
larger than those of training for S-XL.
Source of the stages: github.com/google/automl, efficientnetv2/effnetv2_configs.py.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import SiLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2104.00298"
README = "github.com/google/automl efficientnetv2 README"
HEAD = 1280


class Stage(NamedTuple):
    """A row of Table 4; `fused` blocks have no squeeze-and-excitation, the others a quarter of their input channels."""

    fused: bool
    expansion: int
    channels: int
    repeats: int
    stride: int


class Variant(NamedTuple):
    """Channels of the stem, stages, width and depth multipliers, resolution of evaluation, channels of the head.

    With `always_project` fused blocks that do not expand have their 1x1 convolution all the same (timm's `rw` networks).
    """

    stem: int
    stages: tuple[Stage, ...]
    width: float
    depth: float
    resolution: int
    head: int = HEAD
    always_project: bool = False


BASE = (
    Stage(True, 1, 16, 1, 1),
    Stage(True, 4, 32, 2, 2),
    Stage(True, 4, 48, 2, 2),
    Stage(False, 4, 96, 3, 2),
    Stage(False, 6, 112, 5, 1),
    Stage(False, 6, 192, 8, 2),
)
SMALL = (
    Stage(True, 1, 24, 2, 1),
    Stage(True, 4, 48, 4, 2),
    Stage(True, 4, 64, 4, 2),
    Stage(False, 4, 128, 6, 2),
    Stage(False, 6, 160, 9, 1),
    Stage(False, 6, 256, 15, 2),
)
MEDIUM = (
    Stage(True, 1, 24, 3, 1),
    Stage(True, 4, 48, 5, 2),
    Stage(True, 4, 80, 5, 2),
    Stage(False, 4, 160, 7, 2),
    Stage(False, 6, 176, 14, 1),
    Stage(False, 6, 304, 18, 2),
    Stage(False, 6, 512, 5, 1),
)
LARGE = (
    Stage(True, 1, 32, 4, 1),
    Stage(True, 4, 64, 7, 2),
    Stage(True, 4, 96, 7, 2),
    Stage(False, 4, 192, 10, 2),
    Stage(False, 6, 224, 19, 1),
    Stage(False, 6, 384, 25, 2),
    Stage(False, 6, 640, 7, 1),
)
EXTRA_LARGE = (
    Stage(True, 1, 32, 4, 1),
    Stage(True, 4, 64, 8, 2),
    Stage(True, 4, 96, 8, 2),
    Stage(False, 4, 192, 16, 2),
    Stage(False, 6, 256, 24, 1),
    Stage(False, 6, 512, 32, 2),
    Stage(False, 6, 640, 8, 1),
)
VARIANTS = {
    "b0": Variant(32, BASE, 1.0, 1.0, 224),
    "b1": Variant(32, BASE, 1.0, 1.1, 240),
    "b2": Variant(32, BASE, 1.1, 1.2, 260),
    "b3": Variant(32, BASE, 1.2, 1.4, 300),
    "s": Variant(24, SMALL, 1.0, 1.0, 384),
    "m": Variant(24, MEDIUM, 1.0, 1.0, 480),
    "l": Variant(32, LARGE, 1.0, 1.0, 480),
    "xl": Variant(32, EXTRA_LARGE, 1.0, 1.0, 512),
}


def nearest(channels: float) -> int:
    """The nearest multiple of 8, with no lower limit: 16 * 1.2 is 16 here and 24 in EfficientNet V1's code."""
    return max(8, int(channels + 4) // 8 * 8)


def efficientnetv2(options: Options, variant: Variant) -> Graph:
    """EfficientNetV2, times the options' width and depth; dropout stands before the classifier."""
    net = Net(options, padding="same", epsilon=1e-3)
    width = variant.width * options.width
    x = net.conv_norm(net.image, nearest(variant.stem * width), 3, 2, activation=SiLU(), name="stem")
    for number, stage in enumerate(variant.stages):
        channels = nearest(stage.channels * width)
        for block in range(options.repeats(stage.repeats * variant.depth, number, len(variant.stages))):
            stride = stage.stride if block == 0 else 1
            with net.scope(f"stages.{number}.{block}"):
                if stage.fused:
                    x = _fused_mbconv(net, x, stage.expansion, channels, stride, single=stage.expansion == 1 and not variant.always_project)
                else:
                    x = net.mbconv(x, channels, 3, stride, expanded=x.channels * stage.expansion, activation=SiLU(), squeezed=x.channels // 4)
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, nearest(variant.head * width), activation=SiLU(), name="head_conv")
    return net.finish(net.classifier(x, 1000, dropout=True))


def _fused_mbconv(net: Net, x: Value, expansion: int, out_channels: int, stride: int, *, single: bool) -> Value:
    """Fused-MBConv of Figure 2: 3x3 with the stride to the expanded channels, linear 1x1; or a `single` 3x3."""
    if single:
        y = net.conv_norm(x, out_channels, 3, stride, activation=SiLU())
    else:
        y = net.conv_norm(x, x.channels * expansion, 3, stride, activation=SiLU(), name="expand")
        y = net.conv_norm(y, out_channels, name="project")
    return net.add(Add(), y, x, name="residual") if stride == 1 and x.channels == out_channels else y


#: Top-1 of the released ImageNet-1k weights; XL was released with ImageNet-21k pretraining only.
_README_TOP1 = {"b0": 78.7, "b1": 79.8, "b2": 80.5, "b3": 82.1, "s": 83.9, "m": 85.2, "l": 85.7, "xl": 87.2}
#: timm's uniform evaluation of tf_efficientnetv2_*: (pretraining tag, top-1) at the default resolution.
_TIMM_TOP1 = {
    "b0": ("in1k", 78.386),
    "b1": ("in1k", 79.518),
    "b2": ("in1k", 80.226),
    "b3": ("in1k", 81.960),
    "s": ("in1k", 83.900),
    "m": ("in1k", 85.208),
    "l": ("in1k", 85.660),
    "xl": ("in21k_ft_in1k", 86.754),
}


def _declare(name: str, variant: Variant) -> Architecture:
    tag, value = _TIMM_TOP1[name]
    readme = f"{README}, ImageNet-21k pretraining" if name == "xl" else README
    return Architecture(
        name=f"efficientnetv2-{name}",
        family="efficientnetv2",
        builder=lambda options: efficientnetv2(options, variant),
        resolution=variant.resolution,
        year=2021,
        paper=PAPER,
        scalable=True,
        accuracies=(
            Accuracy(value=_README_TOP1[name], resolution=variant.resolution, source=readme),
            Accuracy(value=value, resolution=variant.resolution, evaluation="timm", source=f"timm results-imagenet.csv, tf_efficientnetv2_{name}.{tag}"),
        ),
    )


ARCHITECTURES = tuple(_declare(name, variant) for name, variant in VARIANTS.items())
