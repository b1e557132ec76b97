"""SENet-154 (arXiv 1709.01507): the large network that the authors released.

A ResNeXt-152 with 64 groups whose first 1x1 halves the inner channels, three 3x3 convolutions for the stem's 7x7, 3x3
convolutions in the shortcuts that change the size, and squeeze-and-excitation; the stem pools without padding and counts
the last partial window, as in Caffe. Trap: tables that cite 146M parameters for "SENet" quote the entry of 2017; the
released network has 115.1M.
Source: timm's `legacy_senet154`, which runs the authors' weights.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU, Sigmoid
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net
from costmodel.zoo.resnet import BOTTLENECK_EXPANSION, VARIANTS, WIDTHS
from costmodel.zoo.se_resnet import PAPER, REDUCTION

#: (channels, stride) of the stem's 3x3 convolutions.
STEM = ((64, 2), (64, 1), (128, 1))
GROUPS = 64


def senet_154(options: Options) -> Graph:
    """SENet-154."""
    net = Net(options, padding="symmetric")
    x = net.image
    for number, (channels, stride) in enumerate(STEM):
        x = net.conv_norm(x, channels, 3, stride, activation=ReLU(), name=f"stem{number}")
    x = net.max_pool(x, 3, 2, padding="valid", ceil=True, name="stem_pool")
    for number, (width, repeats) in enumerate(zip(WIDTHS, VARIANTS[152].repeats, strict=True)):
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x, width, stride=2 if number > 0 and block == 0 else 1)
    return net.finish(x if options.features_only else net.classifier(x, 1000, dropout=True))


def _block(net: Net, x: Value, width: int, *, stride: int) -> Value:
    out_channels = width * BOTTLENECK_EXPANSION
    y = net.conv_norm(x, 2 * width, activation=ReLU(), name="conv1")
    y = net.conv_norm(y, 4 * width, 3, stride, groups=GROUPS, activation=ReLU(), name="conv2")
    y = net.conv_norm(y, out_channels, name="conv3")
    shortcut = x
    if x.channels != out_channels:
        shortcut = net.conv_norm(x, out_channels, 1 if stride == 1 else 3, stride, name="shortcut")
    y = net.squeeze_excite(y, out_channels // REDUCTION, inner=ReLU(), gate=Sigmoid())
    return net.add(ReLU(), net.add(Add(), y, shortcut, name="residual"), name="activation")


ARCHITECTURES = (
    Architecture(
        name="senet-154",
        family="senet",
        builder=senet_154,
        resolution=224,
        year=2017,
        paper=PAPER,
        accuracies=(
            Accuracy(value=82.7, resolution=320, source="arXiv:1905.11946 Table 2, there called SENet"),
            Accuracy(value=81.320, resolution=224, evaluation="timm", source="timm results-imagenet.csv, legacy_senet154.in1k"),
        ),
    ),
)
