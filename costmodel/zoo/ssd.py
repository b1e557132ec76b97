"""SSD300 on VGG-16 (arXiv 1512.02325, figure 2).

VGG-16 to its third convolution of stage 5; the fully connected layers become a dilated 3x3 and a 1x1 convolution; four
more pairs of convolutions shrink the map. Six maps are read by a 3x3 convolution for boxes and one for scores; the first
of them is normalised along channels and rescaled. torchvision's order: all boxes, then all scores. The default number of
scores is COCO's 91 (background included); the paper's own data sets give 21 and 81.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import LayerScale
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat, Permute, Reshape
from costmodel.ops.normalisation import L2Norm
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1512.02325"
BOX = 4
SCORES = 91
#: VGG-16's stages: channels and convolutions of 3x3.
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
#: Default boxes at each position of the six maps.
ANCHORS = (4, 6, 6, 6, 4, 4)


class Extra(NamedTuple):
    """1x1 to `squeezed` channels, then 3x3 to `channels`; stride 1 goes without padding."""

    squeezed: int
    channels: int
    stride: int


EXTRAS = (Extra(256, 512, 2), Extra(128, 256, 2), Extra(128, 256, 1), Extra(128, 256, 1))


def ssd_300_vgg(options: Options) -> Graph:
    """SSD300; outputs are boxes (N, anchors, 4) and scores (N, anchors, classes)."""
    net = Net(options, padding="symmetric")
    maps = _base_maps(net)
    if options.features_only:
        return net.finish(*maps)
    for number, extra in enumerate(EXTRAS):
        with net.scope(f"extras.{number}"):
            x = net.conv_activation(maps[-1], extra.squeezed, activation=ReLU(), name="squeeze")
            maps.append(net.conv_activation(x, extra.channels, 3, extra.stride, activation=ReLU(), padding=None if extra.stride > 1 else "valid"))

    def head(x: Value, channels: int) -> Value:
        return net.conv(x, channels, 3, bias=True)

    return net.finish(*predictions(net, maps, ANCHORS, options.classes or SCORES, head))


def predictions(net: Net, maps: Sequence[Value], anchors: Sequence[int], classes: int, head: Callable[[Value, int], Value]) -> tuple[Value, Value]:
    """Boxes and scores of all maps: `head` makes anchors * values channels of a map, which become rows of values."""
    made = []
    for kind, values in (("boxes", BOX), ("scores", classes)):
        rows = []
        for number, (x, count) in enumerate(zip(maps, anchors, strict=True)):
            with net.scope(f"{kind}.{number}"):
                y = head(x, count * values)
                height, width = y.spec.shape[2:]
                y = net.add(Permute((0, 3, 4, 1, 2)), net.add(Reshape((count, values, height, width)), y, name="anchors"), name="permute")
                rows.append(net.add(Reshape((height * width * count, values)), y, name="rows"))
        made.append(net.add(Concat(1), *rows, name=f"{kind}_concat"))
    return made[0], made[1]


def _base_maps(net: Net) -> list[Value]:
    """The maps of strides 8 and 16 that VGG-16 gives."""
    x = net.image
    for number, (channels, convolutions) in enumerate(STAGES):
        with net.scope(f"stages.{number}"):
            if number == len(STAGES) - 1:
                fine = net.add(LayerScale(1), net.add(L2Norm(), x, name="norm"), name="rescale")
            if number:
                # The third pooling rounds up: 75 positions become 38, as in the authors' Caffe code.
                x = net.max_pool(x, 2, 2, ceil=number == 3)
            for position in range(convolutions):
                x = net.conv_activation(x, channels, 3, activation=ReLU(), name=f"conv{position}")
    with net.scope("fully_connected"):
        x = net.max_pool(x, 3, 1)
        x = net.add(ReLU(), net.conv(x, 1024, 3, dilation=6, bias=True, name="conv6"), name="conv6_activation")
        return [fine, net.conv_activation(x, 1024, activation=ReLU(), name="conv7")]


ARCHITECTURES = (
    Architecture(
        name="ssd-300-vgg",
        family="ssd",
        builder=ssd_300_vgg,
        resolution=300,
        year=2015,
        paper=PAPER,
        accuracies=(Accuracy(value=74.3, metric="map", resolution=300, source=f"{PAPER} Table 7 (VOC 2007, 21 outputs)"),),
    ),
)
