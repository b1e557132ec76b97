"""SegNet (arXiv 1511.00561): VGG-16's convolutions as encoder, their mirror image as decoder, unpooling with the indices.

Every convolution has a bias and a batch normalisation. The decoder's last convolution gives the classes: its structure is
that of pytorchcv's `segnet_cityscapes`, the one that later papers' 29.5M parameters count.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.pooling import MaxPoolIndices2d, MaxUnpool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1511.00561"


class Stage(NamedTuple):
    """Channels of the encoder's stage and how many convolutions it has."""

    channels: int
    convolutions: int


STAGES = (Stage(64, 2), Stage(128, 2), Stage(256, 3), Stage(512, 3), Stage(512, 3))
#: The image halves this often, and unpooling only gives even sizes.
DIVISOR = 32


def segnet(options: Options) -> Graph:
    """Five pooled stages, five unpooled ones of as many convolutions, the last narrowing to the next stage's channels."""
    net = Net(options, padding="symmetric")
    net.require_multiple_of(DIVISOR)
    x, indices = net.image, []
    for number, stage in enumerate(STAGES):
        with net.scope(f"down.{number}"):
            for _ in range(stage.convolutions):
                x = _block(net, x, stage.channels)
            x, places = net.add_all(MaxPoolIndices2d(), x, name="pool")
            indices.append(places)
    if options.features_only:
        return net.finish(x)
    for number, stage in reversed(list(enumerate(STAGES))):
        with net.scope(f"up.{number}"):
            x = net.add(MaxUnpool2d(), x, indices[number], name="unpool")
            for block in range(stage.convolutions):
                last = block == stage.convolutions - 1
                if number == 0 and last:
                    return net.finish(net.conv(x, options.classes or 19, 3, bias=True, name="classifier"))
                x = _block(net, x, STAGES[number - 1].channels if last else stage.channels)
    raise AssertionError("the first stage ends the network")


def _block(net: Net, x: Value, channels: int) -> Value:
    x = net.conv(x, channels, 3, bias=True)
    return net.add(ReLU(), net.add(BatchNorm(net.epsilon), x, name="norm"), name="activation")


ARCHITECTURES = (
    Architecture(
        name="segnet",
        family="segnet",
        builder=segnet,
        resolution=(512, 1024),
        year=2015,
        paper=PAPER,
        accuracies=(Accuracy(value=57.0, metric="miou", source="arXiv:1803.06815 Fig. 6 (recalled, not re-read), Cityscapes test"),),
    ),
)
