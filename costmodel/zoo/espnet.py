"""ESPNet and its encoder ESPNet-C (arXiv 1803.06815): efficient spatial pyramids of dilated convolutions, for Cityscapes.

A pyramid reduces to a fifth of its output channels, convolves that at dilations 1, 2, 4, 8 and 16, adds the results up from
one branch to the next and concatenates. Structure and counts are those of github.com/sacmehta/ESPNet with 20 outputs
(19 classes and the rest): 365,109 parameters, between which and 363,462 for 19 outputs the paper's 0.364M lies. The
published 4.5 GFLOP leave the three transposed convolutions out: 4,504,969,216 of 4,780,220,416 MACs.

The plain names repeat the third level's pyramid 8 times, as the published network does; ``-q3`` and ``-q5`` 3 and 5 times.
ESPNet-C gives its classes at an eighth of the image's size.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import ConvTranspose2d
from costmodel.ops.elementwise import PReLU
from costmodel.ops.layout import Concat
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.pooling import AvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1803.06815"
DILATIONS = (1, 2, 4, 8, 16)
#: Channels of the three levels, and repeats of the second level's pyramid (alpha2).
WIDTHS = (16, 64, 128)
ALPHA2 = 2
DIVISOR = 8


class Levels(NamedTuple):
    """What the decoder reads: the concatenated features of each level, normalised."""

    first: Value
    second: Value
    third: Value


def espnet(options: Options, alpha3: int, *, decoder: bool, alpha2: int = ALPHA2) -> Graph:
    """The encoder with `alpha2` and `alpha3` pyramids on its second and third level, and the decoder or a 1x1 to the classes."""
    net = Net(options, padding="symmetric", epsilon=1e-3)
    if decoder:
        net.require_multiple_of(DIVISOR)
    levels = _encode(net, alpha2, alpha3)
    if options.features_only:
        return net.finish(levels.third)
    classes = options.classes or 20
    x = net.conv(levels.third, classes, name="classifier")
    return net.finish(_decode(net, levels, x, classes) if decoder else x)


def _encode(net: Net, alpha2: int, alpha3: int) -> Levels:
    x = net.conv_norm(net.image, WIDTHS[0], 3, 2, activation=PReLU(), name="level1")
    half = _shrink(net, net.image)
    quarter = _shrink(net, _shrink(net, net.image))
    first = _join(net, x, half)
    levels = [first]
    for number, (width, repeats) in enumerate(zip(WIDTHS[1:], (alpha2, alpha3), strict=True)):
        with net.scope(f"level{number + 2}"):
            down = x = _pyramid(net, levels[-1], width, stride=2)
            for _ in range(repeats):
                x = _pyramid(net, x, width, residual=True)
            levels.append(_join(net, x, down, quarter) if number == 0 else _join(net, down, x))
    return Levels(*levels)


def _decode(net: Net, levels: Levels, x: Value, classes: int) -> Value:
    """Three doublings, the first two joined with the encoder's second and first level."""
    with net.scope("decoder"):
        x = net.add(BatchNorm(net.epsilon), x, name="norm")
        x = net.add(ConvTranspose2d(classes), x, name="up3")
        x = _join(net, net.conv(levels.second, classes, name="project2"), x)
        x = _pyramid(net, x, classes)
        x = _norm_prelu(net, net.add(ConvTranspose2d(classes), x, name="up2"))
        x = net.conv_norm(net.add(Concat(), x, levels.first, name="concat"), classes, 3, activation=PReLU(), name="conv1")
        return net.add(ConvTranspose2d(classes), x, name="up1")


def _pyramid(net: Net, x: Value, channels: int, *, stride: int = 1, residual: bool = False) -> Value:
    """Reduce (1x1, or a strided 3x3), dilated branches, hierarchical sums, concatenation, norm and PReLU."""
    part = channels // len(DILATIONS)
    with net.scope("pyramid" if stride == 1 else "down"):
        reduced = net.conv(x, part, 1 if stride == 1 else 3, stride, name="reduce")
        branches = [
            net.conv(reduced, channels - part * (len(DILATIONS) - 1) if dilation == 1 else part, 3, dilation=dilation, name=f"dilated{dilation}")
            for dilation in DILATIONS
        ]
        sums = branches[:2]
        for branch in branches[2:]:
            sums.append(net.add(Add(), sums[-1], branch, name="sum"))
        y = net.add(Concat(), *sums, name="concat")
        return _norm_prelu(net, net.add(Add(), x, y, name="residual") if residual else y)


def _join(net: Net, *values: Value) -> Value:
    return _norm_prelu(net, net.add(Concat(), *values, name="join"))


def _norm_prelu(net: Net, x: Value) -> Value:
    return net.add(PReLU(), net.add(BatchNorm(net.epsilon), x, name="norm"), name="activation")


def _shrink(net: Net, x: Value) -> Value:
    return net.add(AvgPool2d((3, 3), (2, 2), net.pad_for(3), count_padding=True), x, name="shrink")


def _declare(suffix: str, alpha3: int, *, decoder: bool, accuracies: tuple[Accuracy, ...] = ()) -> Architecture:
    return Architecture(
        name=f"espnet{suffix}",
        family="espnet",
        builder=lambda options: espnet(options, alpha3, decoder=decoder),
        resolution=(512, 1024),
        year=2018,
        paper=PAPER,
        accuracies=accuracies,
    )


ARCHITECTURES = (
    _declare("", 8, decoder=True, accuracies=(Accuracy(value=60.336, metric="miou", source=f"{PAPER} section 4, Cityscapes test, class"),)),
    _declare("-q5", 5, decoder=True),
    _declare("-q3", 3, decoder=True),
    _declare("-c", 8, decoder=False),
    _declare("-c-q5", 5, decoder=False),
    _declare("-c-q3", 3, decoder=False),
)
