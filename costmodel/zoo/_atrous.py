"""ResNet, MobileNetV2 and MobileNetV3 as dense feature extractors: strides end at an output stride, dilation goes on in their place.

The atrous rule (DeepLab, arXiv 1706.05587, section 3.1): once the image is `output_stride` times smaller, later strides are 1
and the depthwise convolutions that follow take the product of the strides left out as their dilation. RF2 (MobileNetV3,
arXiv 1905.02244, section 6.4) halves the channels of the last stage: its outputs, its expansions, and the last convolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from costmodel.graph import Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import HardSigmoid, HardSwish, ReLU, ReLU6
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.ops.resize import Resize
from costmodel.zoo import mobilenet_v2, mobilenet_v3, resnet
from costmodel.zoo._net import Net, round_channels

#: The stage of MobileNetV2 from which RF2 halves: 160 channels. Its expansions are six times what they read, so they follow.
FIRST_HALVED = 5


#: (stride, dilation of the first block, dilation of the others) of ResNet's four stages at output stride 8.
RESNET_STAGES = ((1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4))


class Features(NamedTuple):
    """A tensor of stride 8, and the last one."""

    low: Value
    high: Value


def atrous_strides(strides: Iterable[int], output_stride: int, *, at_once: bool = False) -> Iterator[tuple[int, int]]:
    """(stride, dilation) for each of `strides`, such that their product ends at `output_stride`.

    With `at_once` the convolution that lost its stride is dilated already, as in torchvision.

    Examples
    --------
    >>> list(atrous_strides((2, 2, 2, 2, 1, 2, 1), 16))
    [(2, 1), (2, 1), (2, 1), (2, 1), (1, 1), (1, 1), (1, 2)]
    """
    reached = dilation = 1
    for stride in strides:
        if reached * stride <= output_stride:
            reached *= stride
            yield stride, dilation
        else:
            before, dilation = dilation, dilation * stride
            yield 1, dilation if at_once else before


def mobilenet_v2_features(net: Net, output_stride: int, *, halved: bool = False) -> Features:
    """MobileNetV2 up to its 320 channels (160 if `halved`), without the 1280 of the classifier."""
    width = net.options.width
    rows = [(number, stage, block) for number, stage in enumerate(mobilenet_v2.STAGES) for block in range(stage.repeats)]
    (stem, _), *steps = atrous_strides((2, *(stage.stride if block == 0 else 1 for _, stage, block in rows)), output_stride)
    x = low = net.conv_norm(net.image, round_channels(mobilenet_v2.STEM * width), 3, stem, activation=ReLU6(), name="stem")
    for (number, stage, block), (stride, dilation) in zip(rows, steps, strict=True):
        half = 2 if halved and number >= FIRST_HALVED else 1
        with net.scope(f"stages.{number}.{block}"):
            y = net.conv_norm(x, x.channels * stage.expansion, activation=ReLU6(), name="expand") if stage.expansion != 1 else x
            y = net.depthwise_norm(y, 3, stride, activation=ReLU6(), dilation=dilation)
            y = net.conv_norm(y, round_channels(stage.channels // half * width), name="project")
            x = net.add(Add(), y, x, name="residual") if block else y
        low = x if number <= 2 else low
    return Features(low, x)


def mobilenet_v3_features(net: Net, size: str, output_stride: int, *, halved: bool = False, torchvision: bool = False) -> Features:
    """MobileNetV3 with its last 1x1 convolution of 960 or 576 channels (half of them if `halved`).

    `torchvision` dilates at once and taps the first tensor of stride 8.
    """
    blocks = mobilenet_v3.LARGE if size == "large" else mobilenet_v3.SMALL
    last_stage = max(number for number, block in enumerate(blocks) if block.stride == 2)
    (stem, _), *steps = atrous_strides((2, *(block.stride for block in blocks)), output_stride, at_once=torchvision)
    x = low = net.conv_norm(net.image, mobilenet_v3.STEM, 3, stem, activation=HardSwish(), name="stem")
    reached = 2
    for number, (block, step) in enumerate(zip(blocks, steps, strict=True)):
        half = 2 if halved and number >= last_stage else 1
        with net.scope(f"blocks.{number}"):
            x = _bottleneck(net, x, block._replace(expanded=block.expanded // half, channels=block.channels // half), *step)
        reached *= block.stride
        low = x if reached < 8 or (reached == 8 and (block.stride == 2 or not torchvision)) else low
    return Features(low, net.conv_norm(x, 6 * x.channels, activation=HardSwish(), name="last_conv"))


def _bottleneck(net: Net, x: Value, block: mobilenet_v3.Block, stride: int, dilation: int) -> Value:
    activation: Operator = HardSwish() if block.hard_swish else ReLU()
    y = net.conv_norm(x, block.expanded, activation=activation, name="expand") if block.expanded != x.channels else x
    y = net.depthwise_norm(y, block.kernel_size, stride, activation=activation, dilation=dilation)
    if block.squeeze:
        y = net.squeeze_excite(y, round_channels(block.expanded / 4), inner=ReLU(), gate=HardSigmoid())
    y = net.conv_norm(y, block.channels, name="project")
    return net.add(Add(), y, x, name="residual") if block.stride == 1 and x.channels == block.channels else y


def resnet_features(net: Net, depth: int, *, deep_stem: bool = False) -> Value:
    """ResNet at output stride 8; `deep_stem` has three 3x3 convolutions for the 7x7.

    The first block of a dilated stage keeps the dilation of the stage before.
    """
    with net.scope("stem"):
        if deep_stem:
            x = net.conv_norm(net.image, 64, 3, 2, activation=ReLU(), name="conv1")
            x = net.conv_norm(x, 64, 3, activation=ReLU(), name="conv2")
            x = net.conv_norm(x, 128, 3, activation=ReLU(), name="conv3")
        else:
            x = net.conv_norm(net.image, 64, 7, 2, activation=ReLU())
        x = net.max_pool(x, 3, 2)
    for number, (width, repeats, (stride, first, others)) in enumerate(zip(resnet.WIDTHS, resnet.VARIANTS[depth].repeats, RESNET_STAGES, strict=True)):
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                x = _resnet_bottleneck(net, x, width, stride if block == 0 else 1, first if block == 0 else others)
    return x


def _resnet_bottleneck(net: Net, x: Value, width: int, stride: int, dilation: int) -> Value:
    y = net.conv_norm(x, width, activation=ReLU(), name="conv1")
    y = net.conv_norm(y, width, 3, stride, activation=ReLU(), dilation=dilation, name="conv2")
    y = net.conv_norm(y, width * resnet.BOTTLENECK_EXPANSION, name="conv3")
    return net.join(x, y, stride, activation=ReLU())


def image_pooling(net: Net, x: Value, channels: int) -> Value:
    """The mean over the image, 1x1 to `channels`, spread over the image again (DeepLabv3's image-level feature)."""
    with net.scope("image_pooling"):
        y = net.add(AdaptiveAvgPool2d(), x, name="pool")
        return resize_like(net, net.conv_norm(y, channels, activation=ReLU()), x.spec.shape[2:])


def resize_like(net: Net, x: Value, size: tuple[int, ...], *, align_corners: bool = False, name: str = "resize") -> Value:
    """Bilinear to `size` (height, width)."""
    return net.add(Resize(mode="bilinear", size=(size[0], size[1]), align_corners=align_corners), x, name=name)
