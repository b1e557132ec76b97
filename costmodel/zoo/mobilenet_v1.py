"""MobileNetV1 (arXiv 1704.04861), Table 1, with the width multiplier of section 3.3.

The table prints stride 2 for the last depthwise convolution; the released network keeps 7x7 there, hence stride 1.
Widths are cut to whole channels, at least 8 (github.com/tensorflow/models, research/slim/nets/mobilenet_v1.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU6
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels

PAPER = "arXiv:1704.04861"
STEM = 32
#: (output channels, stride) of the 13 depthwise-separable blocks.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1))


def mobilenet_v1(options: Options, *, depth: float = 1.0, rounded: bool = False, head_conv: bool = False) -> Graph:
    """MobileNetV1 at the options' width and depth.

    `depth` too multiplies the blocks of each width, `rounded` rounds widths as MobileNetV2 does, `head_conv` adds a 1x1
    convolution before the classifier: timm's forms.
    """
    net = Net(options, padding="same", epsilon=1e-3)

    def width(channels: int) -> int:
        return round_channels(channels * options.width) if rounded else max(8, int(channels * options.width))

    x = net.conv_norm(net.image, width(STEM), 3, 2, activation=ReLU6(), name="stem")
    for number, (channels, stride) in enumerate(_deepened(options, depth)):
        with net.scope(f"blocks.{number}"):
            x = net.depthwise_norm(x, 3, stride, activation=ReLU6())
            x = net.conv_norm(x, width(channels), activation=ReLU6(), name="pointwise")
    if options.features_only:
        return net.finish(x)
    if head_conv:
        x = net.conv_norm(x, width(BLOCKS[-1][0]), activation=ReLU6(), name="head_conv")
    return net.finish(net.classifier(x, 1000, dropout=True))


def _deepened(options: Options, depth: float) -> Iterator[tuple[int, int]]:
    """The blocks, those of equal width (a stage) repeated as the depth says, rounded up; the first of them keeps the stride."""
    stages = [(channels, [stride for _, stride in rows]) for channels, rows in groupby(BLOCKS, key=itemgetter(0))]
    for number, (channels, strides) in enumerate(stages):
        for block in range(options.repeats(len(strides) * depth, number, len(stages))):
            yield channels, strides[0] if block == 0 else 1


_TABLE = "Tables 6 and 7"
ARCHITECTURES = (
    Architecture(
        name="mobilenet-v1",
        family="mobilenet-v1",
        builder=mobilenet_v1,
        resolution=224,
        year=2017,
        paper=PAPER,
        widths=(0.25, 0.5, 0.75, 1.0),
        scalable=True,
        accuracies=(
            Accuracy(value=70.6, resolution=224, source=f"{PAPER} {_TABLE}"),
            Accuracy(value=75.388, resolution=224, evaluation="timm", source="timm results-imagenet.csv, mobilenetv1_100.ra4_e3600_r224_in1k"),
        ),
    ),
)
