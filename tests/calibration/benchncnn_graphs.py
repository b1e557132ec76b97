"""The networks of ncnn's benchncnn that the zoo does not name and that are published well enough to be built, as saved graphs.

``python -m tests.calibration.benchncnn_graphs`` writes ``device_profiles/measurements/graphs/``; it needs nothing but this package.

Sources: MobileNet-SSD for Pascal VOC (github.com/chuanqi305/MobileNet-SSD, 21 outputs, normalisations merged); yolov4-tiny.cfg (github.com/AlexeyAB/darknet,
COCO); Yolo-FastestV2 (github.com/dog-qiuqiu/Yolo-FastestV2, model/, COCO). What each states of its size is checked in the tests. Decoding of boxes is left out:
a few thousand operations.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from costmodel.graph import Graph, Value
from costmodel.ops.attention import Softmax
from costmodel.ops.elementwise import LeakyReLU, ReLU, Sigmoid
from costmodel.ops.layout import Concat, Flatten, Permute, Split
from costmodel.ops.resize import Resize
from costmodel.zoo._architecture import Options
from costmodel.zoo._net import Net
from costmodel.zoo.mobilenet_v1 import BLOCKS, STEM
from costmodel.zoo.shufflenet_v2 import REPEATS, _strided_unit, _unit

#: Squeezed and output channels of the four pairs of convolutions after MobileNetV1.
SSD_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
VOC_SCORES, BOX = 21, 4


def mobilenet_ssd() -> Graph:
    """MobileNet-SSD: MobileNetV1 without its head, four pairs of convolutions, boxes and scores by 1x1 convolutions of six maps."""
    net = Net(Options(name="ssd-mobilenet-v1", resolution=(300, 300)), padding="symmetric")
    x = net.conv_activation(net.image, STEM, 3, 2, activation=ReLU(), name="stem")
    maps = []
    for number, (channels, stride) in enumerate(BLOCKS):
        if number == len(BLOCKS) - 2:
            maps.append(x)
        with net.scope(f"blocks.{number}"):
            x = net.conv_activation(x, x.channels, 3, stride, groups=x.channels, activation=ReLU(), name="depthwise")
            x = net.conv_activation(x, channels, activation=ReLU(), name="pointwise")
    maps.append(x)
    for number, (squeezed, channels) in enumerate(SSD_EXTRAS):
        with net.scope(f"extras.{number}"):
            x = net.conv_activation(x, squeezed, activation=ReLU(), name="squeeze")
            x = net.conv_activation(x, channels, 3, 2, activation=ReLU())
        maps.append(x)
    made = []
    for kind, values in (("boxes", BOX), ("scores", VOC_SCORES)):
        rows = []
        for number, y in enumerate(maps):
            with net.scope(f"{kind}.{number}"):
                y = net.conv(y, values * (3 if number == 0 else 6), bias=True)
                rows.append(net.add(Flatten(), net.add(Permute((0, 2, 3, 1)), y, name="permute"), name="flatten"))
        made.append(net.add(Concat(1), *rows, name=f"{kind}_concat"))
    return net.finish(made[0], net.add(Softmax(), made[1], name="probabilities"))


def yolov4_tiny() -> Graph:
    """YOLOv4-tiny: three stages whose second half of channels goes through two 3x3 convolutions, and two maps of boxes."""
    net = Net(Options(name="yolov4-tiny", resolution=(416, 416)), padding="symmetric")
    leaky = LeakyReLU(0.1)

    def conv(x: Value, channels: int, kernel_size: int, name: str, stride: int = 1) -> Value:
        return net.conv_activation(x, channels, kernel_size, stride, activation=leaky, name=name)

    x = conv(conv(net.image, 32, 3, "stem0", 2), 64, 3, "stem1", 2)
    for number, channels in enumerate((64, 128, 256)):
        with net.scope(f"stages.{number}"):
            x = conv(x, channels, 3, "conv0")
            half = net.add_all(Split((channels // 2, channels // 2)), x, name="split")[1]
            first = conv(half, channels // 2, 3, "conv1")
            second = conv(first, channels // 2, 3, "conv2")
            fine = conv(net.add(Concat(), second, first, name="inner"), channels, 1, "conv3")
            x = net.max_pool(net.add(Concat(), x, fine, name="outer"), 2, 2, padding="valid")
    with net.scope("head"):
        x = conv(conv(x, 512, 3, "conv0"), 256, 1, "conv1")
        coarse = net.conv(conv(x, 512, 3, "conv2"), 255, bias=True, name="coarse")
        y = net.add(Resize(2.0), conv(x, 128, 1, "conv3"), name="upsample")
        y = conv(net.add(Concat(), y, fine, name="join"), 256, 3, "conv4")
        return net.finish(coarse, net.conv(y, 255, bias=True, name="fine"))


def yolo_fastestv2() -> Graph:
    """Yolo-FastestV2: ShuffleNetV2 of 48, 96 and 192 channels, and on two maps a branch of boxes and one of scores."""
    net = Net(Options(name="yolo-fastestv2", resolution=(352, 352)), padding="symmetric")
    x = net.max_pool(net.conv_norm(net.image, 24, 3, 2, activation=ReLU(), name="stem"), 3, 2, name="stem_pool")
    maps = []
    for number, (channels, repeats) in enumerate(zip((48, 96, 192), REPEATS, strict=True)):
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                x = _unit(net, x, channels // 2) if block else _strided_unit(net, x, channels // 2)
        maps.append(x)
    fine = net.add(Concat(), net.add(Resize(2.0), x, name="upsample"), maps[1], name="join")
    outputs = []
    for scope, y in (("coarse", x), ("fine", fine)):
        with net.scope(scope):
            y = net.conv_norm(y, 72, activation=ReLU(), name="squeeze")
            scores, boxes = _branch(net, y, "scores"), _branch(net, y, "boxes")
            outputs += [
                net.add(Sigmoid(), net.conv(boxes, 12, bias=True, name="box"), name="box_sigmoid"),
                net.add(Sigmoid(), net.conv(scores, 3, bias=True, name="object"), name="object_sigmoid"),
                net.add(Softmax(1), net.conv(scores, 80, bias=True, name="class"), name="class_softmax"),
            ]
    return net.finish(*outputs)


def _branch(net: Net, x: Value, name: str) -> Value:
    """Two depthwise-separable convolutions of 5x5."""
    with net.scope(name):
        for number in range(2):
            with net.scope(str(number)):
                x = net.conv_norm(net.depthwise_norm(x, 5, activation=ReLU()), 72, name="pointwise")
    return x


#: Graph -> the function that builds it, by the names that benchncnn prints.
NETWORKS: dict[str, Callable[[], Graph]] = {"mobilenet_ssd": mobilenet_ssd, "yolov4-tiny": yolov4_tiny, "yolo-fastestv2": yolo_fastestv2}


def main(folder: Path) -> None:
    """Write one graph a network."""
    for name, build in NETWORKS.items():
        graph = build()
        graph.save(folder / f"{name}.json")
        print(name, graph.macs, graph.parameters)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[2] / "device_profiles" / "measurements" / "graphs")
