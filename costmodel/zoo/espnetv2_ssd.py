"""ESPNetv2 2.0 with a single-shot detector (arXiv 1811.11431, section 4.3; github.com/sacmehta/EdgeNets), for PASCAL VOC.

A reconstruction, not a copy: the paper says that ESPNetv2 takes VGG's place in SSD, and the released model zoo prints rounded
counts only. The head here is SSD's (arXiv 1512.02325: extra levels of a 1x1 and a strided 3x3, six boxes a position, biases)
with 1x1 predictors, and one pyramid pooling that joins levels 3 and 4. It has 4.77M parameters where 4.75M are printed, and
0.92 and 2.54 billion MACs at 300 and 512 for the printed 0.9 and 2.5. With the 81 outputs of COCO (printed mean average
precision 20.8 and 24.54) it has 5.83M for 5.81M, and 1.17 and 3.24 billion for 1.1 and 3.2.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import PReLU
from costmodel.ops.layout import Concat, Permute, Reshape
from costmodel.ops.resize import Resize
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net
from costmodel.zoo.espnetv2 import BRANCHES, PAPER, levels, norm_prelu
from costmodel.zoo.espnetv2_seg import pyramid_pooling

SCALE = 2.0
LAST = 1280
#: Output channels of levels 6, 7 and 8; each starts with a 1x1 to half of them.
EXTRA = (512, 256, 128)
#: Inner channels of the pyramid pooling over levels 3 and 4.
POOLING = 128
BOXES = 6
COORDINATES = 4


def espnetv2_ssd(options: Options) -> Graph:
    """Six maps from an eighth of the image down; outputs are (N, boxes, 4) and (N, boxes, classes)."""
    net = Net(options, padding="symmetric")
    _, _, third, fourth, x = levels(net, SCALE, 5)
    x = net.conv_norm(x, x.channels, 3, groups=x.channels, activation=PReLU(), name="last_depthwise")
    maps = [fourth, net.conv_norm(x, LAST, groups=BRANCHES, activation=PReLU(), name="last_conv")]
    if options.features_only:
        return net.finish(third, *maps)
    for number, channels in enumerate(EXTRA):
        with net.scope(f"extra.{number}"):
            x = net.conv_norm(maps[-1], channels // 2, activation=PReLU(), name="reduce")
            maps.append(net.conv_norm(x, channels, 3, 2, activation=PReLU()))
    with net.scope("join"):
        height, width = third.spec.shape[2:]
        above = net.add(Resize(mode="bilinear", size=(height, width), align_corners=True), fourth, name="resize")
        joined = net.add(Concat(), third, above, name="concat")
        maps.insert(0, norm_prelu(net, pyramid_pooling(net, joined, POOLING, third.channels)))
    return net.finish(_predictions(net, maps, COORDINATES, "boxes"), _predictions(net, maps, options.classes or 21, "classes"))


def _predictions(net: Net, maps: list[Value], width: int, name: str) -> Value:
    """`width` numbers for each box of each map, as rows."""
    with net.scope(name):
        rows = []
        for number, x in enumerate(maps):
            y = net.conv(x, BOXES * width, bias=True, name=f"predict{number}")
            y = net.add(Permute((0, 2, 3, 1)), y, name=f"last{number}")
            height, across = x.spec.shape[2:]
            rows.append(net.add(Reshape((height * across * BOXES, width)), y, name=f"rows{number}"))
        return net.add(Concat(1), *rows, name="concat")


def _declare(side: int, mean_precision: float) -> Architecture:
    source = "github.com/sacmehta/EdgeNets model zoo, VOC 2007"
    return Architecture(
        name=f"espnetv2-ssd-{side}",
        family="espnetv2",
        builder=espnetv2_ssd,
        resolution=side,
        year=2018,
        paper=PAPER,
        accuracies=(Accuracy(value=mean_precision, metric="map", resolution=side, source=source),),
    )


ARCHITECTURES = (_declare(300, 70.27), _declare(512, 75.01))
