"""FCN (arXiv 1411.4038) on ResNet, as torchvision has it: a dilated ResNet, and a small head read bilinearly.

The output stride is 8, the head a 3x3 convolution to a quarter of the channels and the classes; there are no skip
connections. The auxiliary classifier of training is left out. 21 classes are Pascal VOC's, background included.
"""

from __future__ import annotations

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Dropout
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._atrous import resize_like, resnet_features
from costmodel.zoo._net import Net

PAPER = "arXiv:1411.4038"
CLASSES = 21
#: Channels read by the head over its own.
REDUCTION = 4
#: Depth of the ResNet -> mean intersection over union of torchvision's weights.
_MIOU = {50: 60.5, 101: 63.7}


def fcn(options: Options, depth: int) -> Graph:
    """FCN on ResNet of `depth`; the output has the resolution of the image."""
    net = Net(options, padding="symmetric")
    x = resnet_features(net, depth)
    if options.features_only:
        return net.finish(x)
    with net.scope("head"):
        x = net.add(Dropout(), net.conv_norm(x, x.channels // REDUCTION, 3, activation=ReLU()), name="dropout")
        x = net.conv(x, options.classes or CLASSES, bias=True, name="classifier")
    return net.finish(resize_like(net, x, options.resolution, name="upsample"))


def _declare(depth: int) -> Architecture:
    source = f"torchvision 0.28.0, FCN_ResNet{depth}_Weights.COCO_WITH_VOC_LABELS_V1 (COCO validation, VOC's classes)"
    return Architecture(
        name=f"fcn-resnet-{depth}",
        family="fcn",
        builder=lambda options: fcn(options, depth),
        resolution=520,
        year=2014,
        paper=PAPER,
        accuracies=(Accuracy(value=_MIOU[depth], metric="miou", resolution=520, evaluation="torchvision", source=source),),
    )


ARCHITECTURES = tuple(_declare(depth) for depth in _MIOU)
