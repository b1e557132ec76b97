"""The networks of ncnn's benchncnn that the zoo does not name, or names another form of, as saved graphs.

``python -m tests.calibration.benchncnn_graphs`` writes them into ``device_profiles/measurements/graphs/``; it needs nothing but this package.

Sources: MobileNet-SSD for Pascal VOC (github.com/chuanqi305/MobileNet-SSD, 21 outputs, normalisations merged); yolov4-tiny.cfg (github.com/AlexeyAB/darknet,
COCO); Yolo-FastestV2 (github.com/dog-qiuqiu/Yolo-FastestV2, model/, COCO); SqueezeNet, ResNet-18, MobileNetV2, SqueezeNet-SSD and MobileNetV2-YOLOv3 as
Tencent/ncnn's benchmark/*.param have them (a copy of ncnn of 2024, in the source package of sr-vulkan 2.0.0). What each states of its size is checked in the
tests. SSDs' detection layers are what they read, one score after another: the empty weights of benchncnn make all classes equally probable, 1/21, under their
threshold. YOLOs' scores are 1/3 then, over their threshold of 0.3: every box is compared with those that were kept before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.attention import Softmax
from costmodel.ops.detection import NonMaxSuppression
from costmodel.ops.elementwise import LeakyReLU, ReLU, Sigmoid
from costmodel.ops.layout import Concat, Flatten, Permute, Reshape, Split
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.ops.resize import Resize
from costmodel.ops.stored import Constant, Index
from costmodel.tensor import DType
from costmodel.zoo._architecture import Options
from costmodel.zoo._net import Net
from costmodel.zoo.mobilenet_v1 import BLOCKS, STEM
from costmodel.zoo.mobilenet_v2 import HEAD, STAGES
from costmodel.zoo.mobilenet_v2 import STEM as STEM_V2
from costmodel.zoo.resnet import WIDTHS
from costmodel.zoo.shufflenet_v2 import REPEATS, _strided_unit, _unit
from costmodel.zoo.squeezenet import VARIANTS, Fire, features

#: Squeezed and output channels of the four pairs of convolutions after MobileNetV1.
SSD_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
VOC_SCORES, BOX = 21, 4
#: Fire modules of SqueezeNet-SSD after those of SqueezeNet 1.1.
MORE_FIRES = (Fire(96, 384, pool=True), Fire(96, 384, pool=True))
#: Values at each position of YOLOv3 for Pascal VOC: 3 boxes of 4 sides, a confidence and 20 scores.
YOLO_VOC = 75


class Anchors(NamedTuple):
    """(width, height) of a YOLO's boxes in pixels, which of them each map has, coarse and fine, and the strides that scale them, as its .param file says."""

    sizes: tuple[tuple[int, int], ...]
    masks: tuple[tuple[int, ...], tuple[int, ...]]
    scales: tuple[float, float]


ANCHORS_VOC = Anchors(((20, 37), (49, 94), (73, 201), (143, 265), (153, 121), (280, 279)), ((3, 4, 5), (0, 1, 2)), (32.0, 16.0))
ANCHORS_COCO = Anchors(((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)), ((3, 4, 5), (1, 2, 3)), (33.6, 16.8))
#: Share of two boxes' union that they may have in common; Yolov3DetectionOutput's default.
OVERLAP = 0.45


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
    return _boxes_and_scores(net, maps, (3, 6, 6, 6, 6, 6), kernel_size=1)


def squeezenet_ssd() -> Graph:
    """SqueezeNet-SSD: SqueezeNet 1.1 and two fire modules more, two pairs of convolutions, boxes and scores by 3x3 convolutions of six maps."""
    net = Net(Options(name="squeezenet-ssd", resolution=(300, 300)), padding="symmetric")
    variant = VARIANTS["1.1"]
    made = features(net, variant._replace(fires=(*variant.fires, *MORE_FIRES)))
    maps = [net.add(BatchNorm(1e-5), made[3], name="norm"), *made[len(variant.fires) - 1 :]]
    x = made[-1]
    for number, (squeezed, channels) in enumerate(((128, 256), (64, 128))):
        with net.scope(f"extras.{number}"):
            x = net.conv_activation(x, squeezed, activation=ReLU(), name="squeeze")
            x = net.conv_activation(x, channels, 3, 2, activation=ReLU())
        maps.append(x)
    return _boxes_and_scores(net, maps, (4, 6, 6, 6, 6, 4), kernel_size=3)


def _boxes_and_scores(net: Net, maps: Sequence[Value], priors: Sequence[int], *, kernel_size: int) -> Graph:
    """The end of a detector for Pascal VOC: for each map a convolution for boxes and one for scores, of so many priors at each position."""
    made = []
    for kind, values in (("boxes", BOX), ("scores", VOC_SCORES)):
        rows = []
        for number, (y, count) in enumerate(zip(maps, priors, strict=True)):
            with net.scope(f"{kind}.{number}"):
                y = net.conv(y, values * count, kernel_size, bias=True)
                rows.append(net.add(Flatten(), net.add(Permute((0, 2, 3, 1)), y, name="permute"), name="flatten"))
        made.append(net.add(Concat(1), *rows, name=f"{kind}_concat"))
    boxes, scores = made
    scores = net.add(Reshape((scores.channels // VOC_SCORES, VOC_SCORES)), scores, name="scores_reshape")
    return net.finish(boxes, _looked_up(net, net.add(Softmax(), scores, name="probabilities"), name="detection"))


def _looked_up(net: Net, x: Value, name: str) -> Value:
    """What a detection layer reads of `x`: one value after another, each at the place of its box and class."""
    places = net.add(Constant((x.channels,), DType.INT64, growth=1.0), name=f"{name}_places")
    return net.add(Index((1,)), x, places, name=name)


def _suppressed(net: Net, maps: Sequence[Value], anchors: Anchors) -> Value:
    """The end of a YOLO on its coarse and its fine map: empty weights leave every box in the middle of its place, as large as its anchor."""
    boxes = []
    for x, mask, scale in zip(maps, anchors.masks, anchors.scales, strict=True):
        rows, columns = x.spec.shape[2:]
        width, height = int(scale * columns), int(scale * rows)
        for w, h in ((anchors.sizes[place][0] / width / 2, anchors.sizes[place][1] / height / 2) for place in mask):
            centres = [((column + 0.5) / columns, (row + 0.5) / rows) for row in range(rows) for column in range(columns)]
            boxes += [(a - w, b - h, a + w, b + h) for a, b in centres]
    kept, pairs = suppression(boxes)
    return net.add(NonMaxSuppression(len(anchors.masks[0]), kept, pairs, OVERLAP), *maps, name="detection")


def suppression(boxes: Sequence[tuple[float, float, float, float]]) -> tuple[int, int]:
    """(boxes kept, pairs compared) of boxes of one score: each is compared with those kept until one overlaps it too much (yolov3detectionoutput.cpp)."""
    found = np.array(boxes, np.float32)[_partitioned(len(boxes))]
    areas = (found[:, 2:] - found[:, :2]).prod(1)
    kept: list[int] = []
    pairs = 0
    for place, box in enumerate(found):
        others = found[kept]
        shared = (np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])).clip(min=0).prod(1)
        over = np.nonzero(shared > OVERLAP * (areas[place] + areas[kept] - shared))[0]
        pairs += int(over[0]) + 1 if len(over) else len(kept)
        kept += [] if len(over) else [place]
    return len(kept), pairs


def _partitioned(count: int) -> list[int]:
    """The order in which ncnn's qsort_descent_inplace leaves so many equal scores: it swaps what is no larger and no smaller."""
    order, parts = list(range(count)), [(0, count - 1)]
    while parts:
        left, right = parts.pop()
        low, high = left, right
        while low <= high:
            order[low], order[high] = order[high], order[low]
            low, high = low + 1, high - 1
        parts += [(start, end) for start, end in ((left, high), (low, right)) if start < end]
    return order


def squeezenet() -> Graph:
    """SqueezeNet 1.1 as Caffe has it: an image of 227, and a border of zeros around the map that the last convolution reads, 16x16 positions of 14x14."""
    net = Net(Options(name="squeezenet-1.1", resolution=(227, 227)), padding="symmetric")
    x = features(net, VARIANTS["1.1"])[-1]
    with net.scope("head"):
        x = net.conv_activation(x, 1000, activation=ReLU(), padding=(1, 1, 1, 1), name="classifier")
        x = net.add(Flatten(), net.add(AdaptiveAvgPool2d(), x, name="pool"), name="flatten")
        return net.finish(net.add(Softmax(), x, name="probabilities"))


def mobilenet_v2() -> Graph:
    """MobileNetV2 as Caffe has it: the first block expands too, from 32 channels to 32, and all nonlinearities are ReLU."""
    net = Net(Options(name="mobilenet-v2", resolution=(224, 224)), padding="symmetric")
    x, _ = _inverted_residuals(net, first_expands=True)
    x = net.conv_norm(x, HEAD, activation=ReLU(), name="head_conv")
    return net.finish(net.add(Softmax(), net.classifier(x, 1000), name="probabilities"))


def resnet18() -> Graph:
    """ResNet-18 as Caffe has it: the shortcut of the very first block is projected too."""
    net = Net(Options(name="resnet-18", resolution=(224, 224)), padding="symmetric")
    x = net.max_pool(net.conv_norm(net.image, 64, 7, 2, activation=ReLU(), name="stem"), 3, 2, name="stem_pool")
    for number, channels in enumerate(WIDTHS):
        for block in range(2):
            with net.scope(f"stages.{number}.{block}"):
                stride = 2 if number and not block else 1
                y = net.conv_norm(net.conv_norm(x, channels, 3, stride, activation=ReLU(), name="conv1"), channels, 3, name="conv2")
                if not (number or block):
                    x = net.conv_norm(x, channels, name="shortcut")
                x = net.join(x, y, stride, activation=ReLU())
    return net.finish(net.add(Softmax(), net.classifier(x, 1000), name="probabilities"))


def _inverted_residuals(net: Net, *, first_expands: bool = False) -> tuple[Value, Value]:
    """(the last block's output, what the last block that strides expanded) of MobileNetV2."""
    x = expanded = net.conv_norm(net.image, STEM_V2, 3, 2, activation=ReLU(), name="stem")
    for number, stage in enumerate(STAGES):
        for block in range(stage.repeats):
            with net.scope(f"stages.{number}.{block}"):
                stride = stage.stride if block == 0 else 1
                y = net.conv_norm(x, x.channels * stage.expansion, activation=ReLU(), name="expand") if number or first_expands else x
                expanded = y if stride == 2 else expanded
                y = net.conv_norm(net.depthwise_norm(y, 3, stride, activation=ReLU()), stage.channels, name="project")
                x = net.add(Add(), y, x, name="residual") if stride == 1 and x.channels == stage.channels else y
    return x, expanded


def mobilenetv2_yolov3() -> Graph:
    """MobileNetV2-YOLOv3 for Pascal VOC: MobileNetV2 with ReLU, and boxes on two maps, the finer one from inside the block that strides last.

    The file doubles a map by inserting zeros and taking the largest of 2x2; here it is resized, which moves as many elements.
    """
    net = Net(Options(name="mobilenetv2-yolov3", resolution=(352, 352)), padding="symmetric")
    x, fine = _inverted_residuals(net)
    with net.scope("head"):
        x = net.conv_norm(x, HEAD, activation=ReLU(), name="conv")
        with net.scope("coarse"):
            coarse = _separable(net, x)
        with net.scope("fine"):
            y = _separable(net, net.add(Add(), net.add(Resize(2.0), coarse, name="upsample"), _separable(net, fine), name="sum"), name="again")
        maps = net.conv(coarse, YOLO_VOC, bias=True, name="coarse_boxes"), net.conv(y, YOLO_VOC, bias=True, name="fine_boxes")
        return net.finish(_suppressed(net, maps, ANCHORS_VOC))


def _separable(net: Net, x: Value, name: str = "first") -> Value:
    """A depthwise-separable convolution to 576 channels."""
    with net.scope(name):
        return net.conv_norm(net.depthwise_norm(x, 3, activation=ReLU()), 576, activation=ReLU(), name="pointwise")


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
        maps = coarse, net.conv(y, 255, bias=True, name="fine")
        return net.finish(_suppressed(net, maps, ANCHORS_COCO))


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
            box = net.add(Sigmoid(), net.conv(boxes, 12, bias=True, name="box"), name="box_sigmoid")
            objects = net.add(Sigmoid(), net.conv(scores, 3, bias=True, name="object"), name="object_sigmoid")
            classes = net.add(Permute((0, 2, 3, 1)), net.conv(scores, 80, bias=True, name="class"), name="class_last")
            classes = net.add(Permute((0, 3, 1, 2)), net.add(Softmax(), classes, name="class_softmax"), name="class_first")
            outputs.append(net.add(Permute((0, 2, 3, 1)), net.add(Concat(), box, objects, classes, name="concat"), name="last"))
    return net.finish(*outputs)


def _branch(net: Net, x: Value, name: str) -> Value:
    """Two depthwise-separable convolutions of 5x5."""
    with net.scope(name):
        for number in range(2):
            with net.scope(str(number)):
                x = net.conv_norm(net.depthwise_norm(x, 5, activation=ReLU()), 72, name="pointwise")
    return x


#: Graph -> the function that builds it, by the names that benchncnn prints.
GRAPHS: dict[str, Callable[[], Graph]] = {
    "mobilenet_ssd": mobilenet_ssd,
    "mobilenet_v2": mobilenet_v2,
    "mobilenetv2_yolov3": mobilenetv2_yolov3,
    "resnet18": resnet18,
    "squeezenet": squeezenet,
    "squeezenet_ssd": squeezenet_ssd,
    "yolo-fastestv2": yolo_fastestv2,
    "yolov4-tiny": yolov4_tiny,
}
#: Where graphs are kept.
FOLDER = Path(__file__).parents[2] / "device_profiles" / "measurements" / "graphs"


def main() -> None:
    """Write one graph a network."""
    for name, build in GRAPHS.items():
        graph = build()
        graph.save(FOLDER / f"{name}.json")
        print(name, graph.macs, graph.parameters)


if __name__ == "__main__":
    main()
