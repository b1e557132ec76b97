"""ResNeSt 50, 101 and 200 (arXiv 2004.08955): ResNet whose bottlenecks attend over two groups of channels.

A block's 3x3 convolution gives two groups ("radix" 2) of its width; the mean over the image of their sum decides, channel
by channel, by a softmax over the two how much of each goes on. The stem has three 3x3 convolutions; strides are average
poolings, after the attention and in the shortcut. timm's names end in ``d`` for a stem of 32 channels and ``e`` for 64.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.attention import Softmax
from costmodel.ops.elementwise import ReLU
from costmodel.ops.functions import Reduce
from costmodel.ops.layout import Reshape
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net
from costmodel.zoo.resnet import BOTTLENECK_EXPANSION, WIDTHS

PAPER = "arXiv:2004.08955"
RADIX = 2
#: The attention's hidden channels are the width times the radix over this, at least `SMALLEST`.
REDUCTION, SMALLEST = 4, 32


class Variant(NamedTuple):
    """Blocks in each of the four stages, channels of the stem, resolution, (timm's weights, top-1 in its evaluation)."""

    repeats: tuple[int, int, int, int]
    stem: int
    resolution: int
    top1: tuple[str, float]


VARIANTS = {
    50: Variant((3, 4, 6, 3), 32, 224, ("resnest50d.in1k", 80.958)),
    101: Variant((3, 4, 23, 3), 64, 256, ("resnest101e.in1k", 82.916)),
    200: Variant((3, 24, 36, 3), 64, 320, ("resnest200e.in1k", 83.880)),
}


def resnest(options: Options, variant: Variant) -> Graph:
    """ResNeSt: deep stem, four stages, classifier."""
    net = Net(options, padding="symmetric")
    x = net.image
    for number, (channels, stride) in enumerate(((variant.stem, 2), (variant.stem, 1), (2 * variant.stem, 1))):
        x = net.conv_norm(x, channels, 3, stride, activation=ReLU(), name=f"stem{number}")
    x = net.max_pool(x, 3, 2, name="stem_pool")
    for number, (width, repeats) in enumerate(zip(WIDTHS, variant.repeats, strict=True)):
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x, width, stride=2 if number > 0 and block == 0 else 1)
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _block(net: Net, x: Value, width: int, *, stride: int) -> Value:
    y = net.conv_norm(x, width, activation=ReLU(), name="conv1")
    y = _split_attention(net, y, width)
    if stride > 1:
        y = net.add(AvgPool2d((3, 3), (stride, stride), net.pad_for(3), count_padding=True), y, name="pool")
    y = net.conv_norm(y, width * BOTTLENECK_EXPANSION, name="conv3")
    if x.channels != y.channels:
        pooled = net.add(AvgPool2d((2, 2), (stride, stride), ceil=True), x, name="shortcut_pool") if stride > 1 else x
        x = net.conv_norm(pooled, y.channels, name="shortcut")
    return net.add(ReLU(), net.add(Add(), y, x, name="residual"), name="activation")


def _split_attention(net: Net, x: Value, width: int) -> Value:
    """3x3 to two groups of `width` channels, and their mean weighted by attention (section 3.1)."""
    with net.scope("split_attention"):
        x = net.conv_norm(x, RADIX * width, 3, groups=RADIX, activation=ReLU())
        parts = net.add(Reshape((RADIX, width, *x.spec.shape[2:])), x, name="parts")
        y = net.add(AdaptiveAvgPool2d(), net.add(Reduce("sum", (1,)), parts, name="sum"), name="pool")
        y = net.conv(y, max(SMALLEST, RADIX * width // REDUCTION), bias=True, name="reduce")
        y = net.norm_activation(y, activation=ReLU(), name="reduce")
        y = net.conv(y, RADIX * width, bias=True, name="expand")
        gates = net.add(Softmax(axis=1), net.add(Reshape((RADIX, width, 1, 1)), y, name="groups"), name="softmax")
        return net.add(Reduce("sum", (1,)), net.add(Multiply(), parts, gates, name="scale"), name="join")


def _declare(depth: int, variant: Variant) -> Architecture:
    weights, value = variant.top1
    return Architecture(
        name=f"resnest-{depth}",
        family="resnest",
        builder=lambda options: resnest(options, variant),
        resolution=variant.resolution,
        year=2020,
        paper=PAPER,
        accuracies=(Accuracy(value=value, resolution=variant.resolution, evaluation="timm", source=f"timm results-imagenet.csv, {weights}"),),
    )


ARCHITECTURES = tuple(_declare(depth, variant) for depth, variant in VARIANTS.items())
