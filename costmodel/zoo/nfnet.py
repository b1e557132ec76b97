"""NFNet F0-F4 (arXiv 2102.06171), Table 1: a network without normalisation layers.

Convolutions have standardised weights with a learned gain and a bias. A block divides its input by the standard deviation
that its depth is expected to give, and its branch is scaled by a constant and by a learned scalar. The order and the
constants are those of timm's `dm_nfnet`, which runs DeepMind's weights. Default resolutions are those of evaluation; the
training ones are 192, 224, 256, 320 and 384.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, Multiply, Scale
from costmodel.ops.convolution import StandardisedConv2d
from costmodel.ops.elementwise import GELU, ReLU, Sigmoid
from costmodel.ops.pooling import AvgPool2d
from costmodel.ops.stored import Parameter
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2102.06171"


class Stage(NamedTuple):
    """Output channels, blocks in F0, stride of the first block."""

    channels: int
    repeats: int
    stride: int


#: F(n) repeats every stage n + 1 times as often as F0.
STAGES = (Stage(256, 1, 1), Stage(512, 2, 2), Stage(1536, 6, 2), Stage(1536, 3, 2))
#: (channels, stride) of the stem's 3x3 convolutions.
STEM = ((16, 2), (32, 1), (64, 1), (128, 2))
HEAD, GROUP_WIDTH = 3072, 128
#: Keeps the variance of a GELU's output at 1; of the residual branch; of squeeze-and-excitation.
GELU_GAIN, ALPHA, ATTENTION_GAIN = 1.7015043497085571, 0.2, 2.0
RESOLUTIONS = (256, 320, 352, 416, 512)


def nfnet(options: Options, number: int, *, skip_gain: bool = True) -> Graph:
    """NFNet-F`number`: stem, four stages, a 1x1 convolution, classifier.

    Without `skip_gain` no block has its learned scalar, as in timm's own `nfnet_f0`.
    """
    net = Net(options, padding="same")
    x = _stem(net)
    variance = 1.0  # of what a block reads, if every branch adds its squared scale and a stage's first block starts anew
    for position, stage in enumerate(STAGES):
        for block in range(stage.repeats * (number + 1)):
            with net.scope(f"stages.{position}.{block}"):
                x = _block(net, x, stage.channels, stage.stride if block == 0 else 1, variance**-0.5, skip_gain)
            variance = 1.0 + ALPHA**2 * (block + 1)
    if options.features_only:
        return net.finish(x)
    x = _activation(net, _conv(net, x, HEAD, name="head_conv"), "head_activation")
    return net.finish(net.classifier(x, 1000, dropout=True))


def _stem(net: Net) -> Value:
    x = net.image
    with net.scope("stem"):
        for position, (channels, stride) in enumerate(STEM):
            x = _conv(net, x, channels, 3, stride, name=f"conv{position}")
            if position < len(STEM) - 1:
                x = _activation(net, x, f"activation{position}")
        return x


def _block(net: Net, x: Value, out_channels: int, stride: int, beta: float, skip_gain: bool) -> Value:
    """A pre-activation bottleneck of half the output's width with two grouped 3x3 convolutions."""
    inner = out_channels // 2
    active = net.add(Scale(beta), _activation(net, x, "activation1"), name="beta")
    shortcut = x
    if stride != 1 or x.channels != out_channels:
        shortcut = net.add(AvgPool2d((2, 2), (stride, stride), ceil=True), active, name="shortcut_pool") if stride != 1 else active
        shortcut = _conv(net, shortcut, out_channels, name="shortcut")
    y = _activation(net, _conv(net, active, inner, name="conv1"), "activation2")
    y = _activation(net, _conv(net, y, inner, 3, stride, groups=inner // GROUP_WIDTH, name="conv2"), "activation2b")
    y = _activation(net, _conv(net, y, inner, 3, groups=inner // GROUP_WIDTH, name="conv2b"), "activation3")
    y = _conv(net, y, out_channels, name="conv3")
    y = net.squeeze_excite(y, out_channels // 2, inner=ReLU(), gate=Sigmoid())
    y = net.add(Scale(ATTENTION_GAIN), y, name="attention_gain")
    if skip_gain:
        y = net.add(Multiply(), y, net.add(Parameter(()), name="skip_gain"), name="skip_scale")
    return net.add(Add(), net.add(Scale(ALPHA), y, name="alpha"), shortcut, name="residual")


def _conv(net: Net, x: Value, out_channels: int, kernel_size: int = 1, stride: int = 1, *, groups: int = 1, name: str) -> Value:
    window, steps = (kernel_size, kernel_size), (stride, stride)
    return net.add(StandardisedConv2d(out_channels, groups, window, steps, net.pad_for(kernel_size)), x, name=name)


def _activation(net: Net, x: Value, name: str) -> Value:
    return net.add(Scale(GELU_GAIN), net.add(GELU(), x, name=name), name=f"{name}_gain")


#: timm's uniform evaluation of DeepMind's weights.
_TIMM_TOP1 = (83.468, 84.700, 85.184, 85.676, 85.838)


def _declare(number: int) -> Architecture:
    source = f"timm results-imagenet.csv, dm_nfnet_f{number}.dm_in1k"
    return Architecture(
        name=f"nfnet-f{number}",
        family="nfnet",
        builder=lambda options: nfnet(options, number),
        resolution=RESOLUTIONS[number],
        year=2021,
        paper=PAPER,
        accuracies=(Accuracy(value=_TIMM_TOP1[number], resolution=RESOLUTIONS[number], evaluation="timm", source=source),),
    )


ARCHITECTURES = tuple(_declare(number) for number in range(len(RESOLUTIONS)))
