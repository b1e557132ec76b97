"""SSDLite detectors on MobileNets: MobileNetV2 (arXiv 1801.04381, section 6.2) and V3 (arXiv 1905.02244, section 6.3).

Six maps are read: the expansion inside the first block of stride 32 (stride 16), the last convolution of the base network
(stride 32), and four that shrink from it. Heads and the shrinking steps use depthwise 3x3 and 1x1 instead of 3x3
convolutions. MobileNetV1 gives the outputs of its 11th and last block. Outputs count the background: 81 in the V1 and V2
papers' tables, 91 in V3's.

Traps: MobileNetV2's Table 5 prints 0.35 billion MACs for the detector part, which counts to 0.178; under width multipliers
below 1 the last convolution gets narrower here, unlike in the classifiers, and so do the shrinking steps.

`ssdlite-mobilenet-v3-large-torchvision` is torchvision's network: the reduced one with six boxes at every position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from costmodel.graph import Graph, Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import HardSigmoid, HardSwish, ReLU, ReLU6
from costmodel.zoo import mobilenet_v1, mobilenet_v2, mobilenet_v3
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels
from costmodel.zoo.ssd import predictions

#: Output channels of the shrinking steps, each of stride 2.
EXTRAS = (512, 256, 256, 128)


class Head(NamedTuple):
    """Default boxes at each position of the six maps; whether 3x3 convolutions are depthwise and 1x1 ones (SSDLite)."""

    anchors: tuple[int, ...] = (3, 6, 6, 6, 6, 6)
    separable: bool = True


LITE = Head()
TORCHVISION = Head((6,) * 6)


class Block(NamedTuple):
    """An inverted residual: expansion over its input, output channels, stride, kernel, squeeze-and-excitation, nonlinearity."""

    expansion: float
    channels: int
    stride: int
    kernel_size: int = 3
    squeeze: bool = False
    activation: Operator = ReLU6()


class Base(NamedTuple):
    """A base network: stem channels, blocks, which block's expansion is the first map, channels of the last convolution."""

    stem: int
    blocks: tuple[Block, ...]
    tap: int
    last: int
    activation: Operator


V2 = Base(
    mobilenet_v2.STEM,
    tuple(Block(stage.expansion, stage.channels, stage.stride if block == 0 else 1) for stage in mobilenet_v2.STAGES for block in range(stage.repeats)),
    13,
    mobilenet_v2.HEAD,
    ReLU6(),
)


def _v3(rows: tuple[mobilenet_v3.Block, ...], tap: int, *, reduced: bool) -> Base:
    """MobileNetV3 as a base; `reduced` halves what lies between the two maps (the dagger of Table 6).

    Outputs and the last convolution are halved; expansions keep their factors over the halved inputs.
    """
    blocks, before = [], mobilenet_v3.STEM
    for number, row in enumerate(rows):
        channels = row.channels // 2 if reduced and number >= tap else row.channels
        blocks.append(Block(row.expanded / before, channels, row.stride, row.kernel_size, row.squeeze, HardSwish() if row.hard_swish else ReLU()))
        before = row.channels
    return Base(mobilenet_v3.STEM, tuple(blocks), tap, 6 * blocks[-1].channels, HardSwish())


def ssdlite(options: Options, base: Base, outputs: int, head: Head = LITE, *, padding: Literal["same", "symmetric"] = "same") -> Graph:
    """SSDLite on `base`; outputs are boxes (N, anchors, 4) and scores (N, anchors, classes)."""
    net = Net(options, padding=padding, epsilon=1e-3)
    return _detector(net, _base_maps(net, base), outputs, head)


def ssdlite_v1(options: Options) -> Graph:
    """SSDLite on MobileNetV1."""
    net = Net(options, padding="same", epsilon=1e-3)
    x = net.conv_norm(net.image, mobilenet_v1.STEM, 3, 2, activation=ReLU6(), name="stem")
    blocks = []
    for number, (channels, stride) in enumerate(mobilenet_v1.BLOCKS):
        with net.scope(f"blocks.{number}"):
            x = net.conv_norm(net.depthwise_norm(x, 3, stride, activation=ReLU6()), channels, activation=ReLU6(), name="pointwise")
        blocks.append(x)
    return _detector(net, (blocks[10], blocks[-1]), 81, LITE)


def _detector(net: Net, maps: tuple[Value, Value], outputs: int, kind: Head) -> Graph:
    """The shrinking steps and the heads on the two maps of a base network."""
    if net.options.features_only:
        return net.finish(*maps)
    fine, x = maps
    read = [fine, x]

    def width(channels: float) -> int:
        """Cut, not rounded, as TensorFlow's detection code does (feature_map_generators.py)."""
        return max(16, int(channels * net.options.width))

    for number, channels in enumerate(EXTRAS):
        with net.scope(f"extras.{number}"):
            x = net.conv_norm(x, width(channels / 2), activation=ReLU6(), name="squeeze")
            if kind.separable:
                x = net.conv_norm(net.depthwise_norm(x, 3, 2, activation=ReLU6()), width(channels), activation=ReLU6(), name="project")
            else:
                x = net.conv_norm(x, width(channels), 3, 2, activation=ReLU6())
        read.append(x)

    def head(x: Value, channels: int) -> Value:
        if not kind.separable:
            return net.conv(x, channels, 3, bias=True)
        return net.conv(net.depthwise_norm(x, 3, activation=ReLU6()), channels, bias=True, name="project")

    return net.finish(*predictions(net, read, kind.anchors, net.options.classes or outputs, head))


def _base_maps(net: Net, base: Base) -> tuple[Value, Value]:
    """The expansion inside block `base.tap`, and the last convolution."""
    width = net.options.width
    x = net.conv_norm(net.image, round_channels(base.stem * width), 3, 2, activation=base.activation, name="stem")
    for number, block in enumerate(base.blocks):
        with net.scope(f"blocks.{number}"):
            x, expanded = _bottleneck(net, x, block, round_channels(block.channels * width))
        if number == base.tap:
            tapped = expanded
    return tapped, net.conv_norm(x, round_channels(base.last * width), activation=base.activation, name="last_conv")


def _bottleneck(net: Net, x: Value, block: Block, out_channels: int) -> tuple[Value, Value]:
    """(output, expansion) of an inverted residual."""
    channels = round_channels(x.channels * block.expansion)
    expanded = net.conv_norm(x, channels, activation=block.activation, name="expand") if channels != x.channels else x
    y = net.depthwise_norm(expanded, block.kernel_size, block.stride, activation=block.activation)
    if block.squeeze:
        y = net.squeeze_excite(y, round_channels(channels / 4), inner=ReLU(), gate=HardSigmoid())
    y = net.conv_norm(y, out_channels, name="project")
    return net.add(Add(), y, x, name="residual") if block.stride == 1 and x.channels == out_channels else y, expanded


def _declare(name: str, builder: Callable[[Options], Graph], mean_precision: float, *, paper: str, widths: tuple[float, ...] | None = None) -> Architecture:
    return Architecture(
        name=f"ssdlite-{name}",
        family="ssdlite",
        builder=builder,
        resolution=320,
        year=2019 if paper == mobilenet_v3.PAPER else 2018,
        paper=paper,
        widths=widths,
        accuracies=(Accuracy(value=mean_precision, metric="map", resolution=320, source=f"{paper} Table 6, COCO test, AP@[.5:.95]"),),
    )


def _declare_v3(size: str, rows: tuple[mobilenet_v3.Block, ...], tap: int, mean_precision: float, *, reduced: bool) -> Architecture:
    base = _v3(rows, tap, reduced=reduced)
    name = f"mobilenet-v3-{size}" + ("-reduced" if reduced else "")
    return _declare(name, lambda options: ssdlite(options, base, 91), mean_precision, paper=mobilenet_v3.PAPER)


def _torchvision() -> Architecture:
    base = _v3(mobilenet_v3.LARGE, 12, reduced=True)
    return Architecture(
        name="ssdlite-mobilenet-v3-large-torchvision",
        family="ssdlite",
        builder=lambda options: ssdlite(options, base, 91, TORCHVISION, padding="symmetric"),
        resolution=320,
        year=2019,
        paper=mobilenet_v3.PAPER,
        accuracies=(
            Accuracy(
                value=21.3, metric="map", resolution=320, evaluation="torchvision", source="torchvision 0.28.0, SSDLite320_MobileNet_V3_Large_Weights.COCO_V1"
            ),
        ),
    )


ARCHITECTURES = (
    _declare("mobilenet-v1", ssdlite_v1, 22.2, paper=mobilenet_v2.PAPER),
    _declare("mobilenet-v2", lambda options: ssdlite(options, V2, 81), 22.1, paper=mobilenet_v2.PAPER, widths=(0.35, 0.5, 1.0)),
    _declare_v3("large", mobilenet_v3.LARGE, 12, 22.0, reduced=False),
    _declare_v3("large", mobilenet_v3.LARGE, 12, 22.0, reduced=True),
    _declare_v3("small", mobilenet_v3.SMALL, 8, 16.0, reduced=False),
    _declare_v3("small", mobilenet_v3.SMALL, 8, 16.1, reduced=True),
    _torchvision(),
)
