"""MobileNetV3 large and small (arXiv 1905.02244), Tables 1 and 2, and their minimalistic forms.

Squeeze-and-excitation is a quarter of the *expanded* channels rounded to 8, after the depthwise convolution's
nonlinearity. Minimalistic: no squeeze-and-excitation, ReLU for hard-swish, 3x3 for 5x5
(github.com/tensorflow/models, research/slim/nets/mobilenet README).
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import HardSigmoid, HardSwish, ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net, round_channels

PAPER = "arXiv:1905.02244"


class Block(NamedTuple):
    """A row of the table: kernel, expansion size, output, squeeze-and-excitation, hard-swish, stride."""

    kernel_size: int
    expanded: int
    channels: int
    squeeze: bool
    hard_swish: bool
    stride: int


LARGE = (
    Block(3, 16, 16, False, False, 1),
    Block(3, 64, 24, False, False, 2),
    Block(3, 72, 24, False, False, 1),
    Block(5, 72, 40, True, False, 2),
    Block(5, 120, 40, True, False, 1),
    Block(5, 120, 40, True, False, 1),
    Block(3, 240, 80, False, True, 2),
    Block(3, 200, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 480, 112, True, True, 1),
    Block(3, 672, 112, True, True, 1),
    Block(5, 672, 160, True, True, 2),
    Block(5, 960, 160, True, True, 1),
    Block(5, 960, 160, True, True, 1),
)
SMALL = (
    Block(3, 16, 16, True, False, 2),
    Block(3, 72, 24, False, False, 2),
    Block(3, 88, 24, False, False, 1),
    Block(5, 96, 40, True, True, 2),
    Block(5, 240, 40, True, True, 1),
    Block(5, 240, 40, True, True, 1),
    Block(5, 120, 48, True, True, 1),
    Block(5, 144, 48, True, True, 1),
    Block(5, 288, 96, True, True, 2),
    Block(5, 576, 96, True, True, 1),
    Block(5, 576, 96, True, True, 1),
)
STEM = 16
#: Fully connected layer between the pooling and the classifier.
HIDDEN = {"large": 1280, "small": 1024}


class Form(NamedTuple):
    """What timm's builder can change: how often each row stands, last convolutions, an unscaled stem and hidden layer."""

    repeats: tuple[int, ...] | None = None
    last_convolutions: int = 1
    fixed_stem: bool = False
    fixed_hidden: bool = False


RELEASED = Form()


def mobilenet_v3(options: Options, size: str, *, minimalistic: bool = False, form: Form = RELEASED) -> Graph:
    """MobileNetV3 at the options' width and depth.

    The hidden layer keeps its width under multipliers below 1 and grows above, as the released code does; the paper's
    Table 9 prints 7.5M parameters for large x1.25, which fits a layer that does not grow (it counts 8.26M grown).
    """
    net = Net(options, padding="same", epsilon=1e-3)
    rows = LARGE if size == "large" else SMALL
    blocks = _deepened([row for row, repeats in zip(rows, form.repeats or (1,) * len(rows), strict=True) for _ in range(repeats)], options)
    swish: Operator = ReLU() if minimalistic else HardSwish()

    def width(channels: int) -> int:
        return round_channels(channels * options.width)

    x = net.conv_norm(net.image, STEM if form.fixed_stem else width(STEM), 3, 2, activation=swish, name="stem")
    for number, block in enumerate(blocks):
        with net.scope(f"blocks.{number}"):
            # The table's expansion is a ratio to the block's unscaled input, applied to the scaled input.
            before = blocks[number - 1].channels if number else STEM
            expanded = round_channels(x.channels * (block.expanded / before))
            stride = 1 if number and block == blocks[number - 1] else block.stride
            x = _bottleneck(net, x, block._replace(stride=stride), expanded, width(block.channels), swish if block.hard_swish else ReLU(), minimalistic)
    for number in range(form.last_convolutions):
        x = net.conv_norm(x, width(6 * blocks[-1].channels), activation=swish, name=f"last_conv{number or ''}")
    if options.features_only:
        return net.finish(x)
    hidden = HIDDEN[size] if form.fixed_hidden else round_channels(HIDDEN[size] * max(1.0, options.width))
    return net.finish(net.classifier(x, 1000, dropout=True, hidden=((hidden, swish),)))


def _deepened(blocks: list[Block], options: Options) -> list[Block]:
    """The rows, those of equal output (a stage) as many as the depth says: its last row stands again, or its last rows are left out."""
    stages = [list(rows) for _, rows in groupby(blocks, key=attrgetter("channels"))]
    found: list[Block] = []
    for number, rows in enumerate(stages):
        wanted = options.repeats(len(rows), number, len(stages))
        found += [*rows, *[rows[-1]] * (wanted - len(rows))][:wanted]
    return found


def _bottleneck(net: Net, x: Value, block: Block, expanded: int, out_channels: int, activation: Operator, minimalistic: bool) -> Value:
    y = net.conv_norm(x, expanded, activation=activation, name="expand") if expanded != x.channels else x
    y = net.depthwise_norm(y, 3 if minimalistic else block.kernel_size, block.stride, activation=activation)
    if block.squeeze and not minimalistic:
        y = net.squeeze_excite(y, round_channels(expanded / 4), inner=ReLU(), gate=HardSigmoid())
    y = net.conv_norm(y, out_channels, name="project")
    return net.add(Add(), y, x, name="residual") if block.stride == 1 and x.channels == out_channels else y


def _declare(size: str, *, minimalistic: bool, accuracies: tuple[Accuracy, ...]) -> Architecture:
    return Architecture(
        name=f"mobilenet-v3-{size}" + ("-minimalistic" if minimalistic else ""),
        family="mobilenet-v3",
        builder=lambda options: mobilenet_v3(options, size, minimalistic=minimalistic),
        resolution=224,
        year=2019,
        paper=PAPER,
        scalable=True,
        widths=(1.0,) if minimalistic else (0.35, 0.5, 0.75, 1.0, 1.25),
        accuracies=accuracies,
    )


def _timm(value: float, weights: str) -> Accuracy:
    return Accuracy(value=value, resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, {weights}")


ARCHITECTURES = (
    _declare(
        "large",
        minimalistic=False,
        accuracies=(Accuracy(value=75.2, resolution=224, source=f"{PAPER} Table 3"), _timm(75.510, "tf_mobilenetv3_large_100.in1k")),
    ),
    _declare(
        "small",
        minimalistic=False,
        accuracies=(Accuracy(value=67.4, resolution=224, source=f"{PAPER} Table 3"), _timm(67.922, "tf_mobilenetv3_small_100.in1k")),
    ),
    _declare("large", minimalistic=True, accuracies=(_timm(72.270, "tf_mobilenetv3_large_minimal_100.in1k"),)),
    _declare("small", minimalistic=True, accuracies=(_timm(62.892, "tf_mobilenetv3_small_minimal_100.in1k"),)),
)
