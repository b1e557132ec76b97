"""MobileNetV1 (arXiv 1704.04861), Table 1, with the width multiplier of section 3.3.

The table prints stride 2 for the last depthwise convolution; the released network keeps 7x7 there, hence stride 1.
Widths are cut to whole channels, at least 8 (github.com/tensorflow/models, research/slim/nets/mobilenet_v1.py).
"""

from __future__ import annotations

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU6
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1704.04861"
STEM = 32
#: (output channels, stride) of the 13 depthwise-separable blocks.
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1))


def mobilenet_v1(options: Options) -> Graph:
    """MobileNetV1 at the options' width multiplier."""
    net = Net(options, padding="same", epsilon=1e-3)

    def width(channels: int) -> int:
        return max(8, int(channels * options.width))

    x = net.conv_norm(net.image, width(STEM), 3, 2, activation=ReLU6(), name="stem")
    for number, (channels, stride) in enumerate(BLOCKS):
        with net.scope(f"blocks.{number}"):
            x = net.depthwise_norm(x, 3, stride, activation=ReLU6())
            x = net.conv_norm(x, width(channels), activation=ReLU6(), name="pointwise")
    return net.finish(x if options.features_only else net.classifier(x, 1000, dropout=True))


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
        accuracies=(
            Accuracy(value=70.6, resolution=224, source=f"{PAPER} {_TABLE}"),
            Accuracy(value=75.388, resolution=224, evaluation="timm", source="timm results-imagenet.csv, mobilenetv1_100.ra4_e3600_r224_in1k"),
        ),
    ),
)
