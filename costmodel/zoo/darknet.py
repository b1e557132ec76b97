"""Darknet-19 (YOLO9000, arXiv 1612.08242, Table 6).

Every convolution but the last has no bias, batch normalisation and a leaky ReLU of slope 0.1; the classifier is a 1x1
convolution with bias before the mean over the image. The paper's 5.58 billion operations are twice the MACs.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import LeakyReLU
from costmodel.ops.layout import Flatten
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1612.08242"
LEAKY = LeakyReLU(0.1)
#: Output channels of each stage; even positions are 3x3, odd ones 1x1. A 2x2 maximum of stride 2 stands between stages.
STAGES = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))


def darknet_19(options: Options) -> Graph:
    """Darknet-19, the classifier."""
    net = Net(options, padding="symmetric")
    x = darknet_stages(net)[-1]
    if options.features_only:
        return net.finish(x)
    with net.scope("head"):
        x = net.conv(x, options.classes or 1000, bias=True, name="classifier")
        return net.finish(net.add(Flatten(), net.add(AdaptiveAvgPool2d(), x, name="pool"), name="flatten"))


def darknet_stages(net: Net) -> list[Value]:
    """The outputs of the six stages of Darknet-19, before pooling."""
    outputs: list[Value] = []
    for number, channels in enumerate(STAGES):
        with net.scope(f"stages.{number}"):
            # Darknet rounds odd sizes up.
            x = net.max_pool(outputs[-1], 2, 2, ceil=True) if outputs else net.image
            for position, width in enumerate(channels):
                x = net.conv_norm(x, width, 1 if position % 2 else 3, activation=LEAKY, name=f"conv{position}")
            outputs.append(x)
    return outputs


ARCHITECTURES = (
    Architecture(
        name="darknet-19",
        family="darknet",
        builder=darknet_19,
        resolution=224,
        year=2016,
        paper=PAPER,
        accuracies=(Accuracy(value=72.9, resolution=224, source=f"{PAPER} section 3"),),
    ),
)
