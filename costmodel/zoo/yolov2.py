"""YOLOv2 (YOLO9000, arXiv 1612.08242, section 2) as its released configuration has it (yolov2-voc.cfg).

Darknet-19 without its classifier, two 3x3 convolutions, and the last map of half the stride joined in ("passthrough"):
1x1 to 64 channels, blocks of 2x2 as channels. Trap: the 17.5 billion MACs that other papers cite belong to an earlier
configuration that joins all 512 channels; the 50.7 million parameters cited beside them belong to this one.
"""

from __future__ import annotations

from costmodel.graph import Graph
from costmodel.ops.blocks import SpaceToDepth
from costmodel.ops.layout import Concat
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net
from costmodel.zoo.darknet import LEAKY, PAPER, darknet_stages

#: Boxes at each position; each has 4 coordinates, an objectness, and a score for each class.
BOXES, BOX_VALUES = 5, 5
#: Classes of Pascal VOC.
CLASSES = 20


def yolov2(options: Options) -> Graph:
    """YOLOv2; one output (N, boxes * (5 + classes), H/32, W/32).

    The map of stride 16 must have even sides, as multiples of 32 give.
    """
    net = Net(options, padding="symmetric")
    stages = darknet_stages(net)
    fine, x = stages[-2], stages[-1]
    if options.features_only:
        return net.finish(fine, x)
    with net.scope("head"):
        x = net.conv_norm(x, 1024, 3, activation=LEAKY, name="conv0")
        x = net.conv_norm(x, 1024, 3, activation=LEAKY, name="conv1")
        fine = net.add(SpaceToDepth(2), net.conv_norm(fine, 64, activation=LEAKY, name="passthrough"), name="space_to_depth")
        x = net.conv_norm(net.add(Concat(), fine, x, name="concat"), 1024, 3, activation=LEAKY, name="conv2")
        return net.finish(net.conv(x, BOXES * (BOX_VALUES + (options.classes or CLASSES)), bias=True, name="boxes"))


ARCHITECTURES = (
    Architecture(
        name="yolov2",
        family="yolov2",
        builder=yolov2,
        resolution=416,
        year=2016,
        paper=PAPER,
        accuracies=(Accuracy(value=76.8, metric="map", resolution=416, source=f"{PAPER} Table 3 (VOC 2007; quoted from memory)"),),
    ),
)
