"""ESPNetv2 for segmentation (github.com/sacmehta/EdgeNets, `model/segmentation/espnetv2.py`): Cityscapes at 512x1024, 20 outputs.

Levels 1 to 4 of ESPNetv2 encode; each step of the decoder is an efficient pyramid pooling at five scales, bilinear doubling,
and the sum with the encoder's features after a grouped convolution weighed by their global mean. With 21 classes it is the
network for PASCAL VOC. The encoder's unused PReLUs are counted as in ESPNetv2.
"""

from __future__ import annotations

import math

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.elementwise import PReLU, Sigmoid
from costmodel.ops.layout import Concat
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.ops.resize import Resize
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net
from costmodel.zoo.espnetv2 import PAPER, levels, norm_prelu

SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
#: Side under which pyramid pooling does not shrink an image.
MIN_SIDE = 5
#: The decoder's base width for PASCAL VOC and Cityscapes; its steps have 4, 3 and 2 times as many channels.
DECODER_BASE = 16
DIVISOR = 16


def espnetv2_seg(options: Options, scale: float) -> Graph:
    """Encoder, four steps of pyramid pooling, bilinear to the image's size."""
    net = Net(options, padding="symmetric")
    net.require_multiple_of(DIVISOR)
    first, second, third, x = levels(net, scale, 4)
    if options.features_only:
        return net.finish(x)
    classes = options.classes or 20
    inner = max(1, min(classes // 2, DECODER_BASE))
    for number, (skip, factor) in enumerate(((third, 4), (second, 3), (first, 2))):
        width = factor * DECODER_BASE
        with net.scope(f"decoder.{number}"):
            x = _resize(net, norm_prelu(net, pyramid_pooling(net, x, inner, width)), (2 * x.spec.shape[2], 2 * x.spec.shape[3]))
            x = norm_prelu(net, net.add(Add(), weighed_conv(net, skip, width), x, name="merge"))
    with net.scope("decoder.3"):
        x = pyramid_pooling(net, x, inner, classes, bias=True)
        return net.finish(_resize(net, x, options.resolution))


def pyramid_pooling(net: Net, x: Value, inner: int, channels: int, *, bias: bool = False) -> Value:
    """1x1 to `inner`, a depthwise 3x3 at each of five scales, shuffled, merged by a depthwise 3x3, 1x1 to `channels`."""
    x = net.conv_norm(x, inner, activation=PReLU(), name="project")
    height, width = x.spec.shape[2:]
    scaled = []
    for number, scale in enumerate(SCALES):
        size = (max(MIN_SIDE, math.ceil(height * scale)), max(MIN_SIDE, math.ceil(width * scale)))
        y = x
        if scale < 1:
            y = net.add(AdaptiveAvgPool2d(size), y, name=f"shrink{number}")
        elif scale > 1:
            y = _resize(net, y, size)
        y = net.conv(y, inner, 3, groups=inner, name=f"scale{number}")
        if scale < 1:
            y = _resize(net, y, (height, width))
        elif scale > 1:
            y = net.add(AdaptiveAvgPool2d((height, width)), y, name=f"shrink{number}")
        scaled.append(y)
    x = norm_prelu(net, net.add(Concat(), *scaled, name="scales"))
    x = net.add(ChannelShuffle(len(SCALES)), x, name="shuffle")
    x = net.conv_norm(x, inner, 3, groups=inner, activation=PReLU(), name="merge")
    return net.conv(x, channels, bias=bias, name="expand")


def weighed_conv(net: Net, x: Value, channels: int) -> Value:
    """A grouped 3x3 (as many groups as divide both sides), times a gate from the global mean of its input."""
    with net.scope("skip"):
        gate = net.conv(net.add(AdaptiveAvgPool2d(), x, name="squeeze"), channels, name="weigh")
        gate = net.add(Sigmoid(), gate, name="gate")
        y = net.conv_norm(x, channels, 3, groups=math.gcd(x.channels, channels), activation=PReLU(), name="expand")
        return net.add(Multiply(), y, gate, name="scale")


def _resize(net: Net, x: Value, size: tuple[int, int]) -> Value:
    return net.add(Resize(mode="bilinear", size=size, align_corners=True), x, name="resize")


#: Mean intersection over union on Cityscapes at 512x1024 in percent; none is published for 1.25.
MIOU: dict[str, float | None] = {"0.5": 53.9, "1.0": 60.1, "1.25": None, "1.5": 63.8, "2.0": 66.4}


def _declare(scale: str, miou: float | None) -> Architecture:
    source = "github.com/sacmehta/EdgeNets model zoo, Cityscapes validation at 512x1024"
    return Architecture(
        name=f"espnetv2-seg-{scale}",
        family="espnetv2",
        builder=lambda options: espnetv2_seg(options, float(scale)),
        resolution=(512, 1024),
        year=2018,
        paper=PAPER,
        accuracies=(Accuracy(value=miou, metric="miou", source=source),) if miou is not None else (),
    )


ARCHITECTURES = tuple(_declare(scale, miou) for scale, miou in MIOU.items())
