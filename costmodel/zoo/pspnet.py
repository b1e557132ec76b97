"""PSPNet (arXiv 1612.01105) on ResNet-101 with the deep stem, for the 19 classes of Cityscapes.

The last two stages are dilated instead of strided (an eighth of the resolution); the first block of each keeps the
dilation of the stage before. Pyramid pooling joins means over 1x1, 2x2, 3x3 and 6x6 regions, enlarged bilinearly, to the
map. The auxiliary classifier of training is left out. Without a resolution the input is 512x1024, at which the efficient
segmentation networks are compared; the authors evaluate on crops of 713.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat, Dropout
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.ops.resize import Resize
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._atrous import resnet_features
from costmodel.zoo._net import Net

PAPER = "arXiv:1612.01105"
CLASSES = 19
BINS = (1, 2, 3, 6)
BRANCH, HEAD = 512, 512


def pspnet(options: Options) -> Graph:
    """PSPNet; the output has the resolution of the image."""
    net = Net(options, padding="symmetric")
    x = resnet_features(net, 101, deep_stem=True)
    if options.features_only:
        return net.finish(x)
    with net.scope("pyramid"):
        x = net.add(Concat(), x, *(_region_means(net, x, bins) for bins in BINS), name="concat")
    with net.scope("head"):
        x = net.add(Dropout(), net.conv_norm(x, HEAD, 3, activation=ReLU()), name="dropout")
        x = net.conv(x, options.classes or CLASSES, bias=True, name="classifier")
        return net.finish(net.add(Resize(mode="bilinear", size=options.resolution, align_corners=True), x, name="upsample"))


def _region_means(net: Net, x: Value, bins: int) -> Value:
    """Means over `bins` x `bins` regions, 1x1, enlarged to the size of x."""
    height, width = x.spec.shape[2:]
    with net.scope(f"bins{bins}"):
        y = net.conv_norm(net.add(AdaptiveAvgPool2d((bins, bins)), x, name="pool"), BRANCH, activation=ReLU())
        return net.add(Resize(mode="bilinear", size=(height, width), align_corners=True), y, name="upsample")


ARCHITECTURES = (
    Architecture(
        name="pspnet",
        family="pspnet",
        builder=pspnet,
        resolution=(512, 1024),
        year=2016,
        paper=PAPER,
        accuracies=(Accuracy(value=78.4, metric="miou", source="arXiv:1803.06815 figure 6 (Cityscapes test; quoted from memory)"),),
    ),
)
