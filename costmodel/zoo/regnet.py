"""RegNetX and RegNetY (arXiv 2003.13678, section 3.3): stage widths and depths follow from a line.

The width of block j is w0 + wa*j, rounded to w0 times a power of wm and to a multiple of 8; blocks of one width are a
stage, whose width is then rounded to a multiple of the group width. Y adds squeeze-and-excitation to a quarter of the
block's *input* channels after the 3x3 convolution. The numbers are those of the released configurations
(github.com/facebookresearch/pycls).
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU, Sigmoid
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2003.13678"
STEM = 32
#: Widths are multiples of this before they meet the group width.
QUANTUM = 8


class Variant(NamedTuple):
    """The line's offset w0, slope wa and quantisation wm; channels of a group; blocks."""

    offset: int
    slope: float
    quantisation: float
    group_width: int
    depth: int


X = {
    "200mf": Variant(24, 36.44, 2.49, 8, 13),
    "400mf": Variant(24, 24.48, 2.54, 16, 22),
    "600mf": Variant(48, 36.97, 2.24, 24, 16),
    "800mf": Variant(56, 35.73, 2.28, 16, 16),
    "1.6gf": Variant(80, 34.01, 2.25, 24, 18),
    "3.2gf": Variant(88, 26.31, 2.25, 48, 25),
    "4gf": Variant(96, 38.65, 2.43, 40, 23),
    "6.4gf": Variant(184, 60.83, 2.07, 56, 17),
    "8gf": Variant(80, 49.56, 2.88, 120, 23),
    "12gf": Variant(168, 73.36, 2.37, 112, 19),
    "16gf": Variant(216, 55.59, 2.1, 128, 22),
    "32gf": Variant(320, 69.86, 2.0, 168, 23),
}
Y = {
    "200mf": Variant(24, 36.44, 2.49, 8, 13),
    "400mf": Variant(48, 27.89, 2.09, 8, 16),
    "600mf": Variant(48, 32.54, 2.32, 16, 15),
    "800mf": Variant(56, 38.84, 2.4, 16, 14),
    "1.6gf": Variant(48, 20.71, 2.65, 24, 27),
    "3.2gf": Variant(80, 42.63, 2.66, 24, 21),
    "4gf": Variant(96, 31.41, 2.24, 64, 22),
    "6.4gf": Variant(112, 33.22, 2.27, 72, 25),
    "8gf": Variant(192, 76.82, 2.19, 56, 17),
    "12gf": Variant(168, 73.36, 2.37, 112, 19),
    "16gf": Variant(200, 106.23, 2.48, 112, 18),
    "32gf": Variant(232, 115.89, 2.53, 232, 20),
}


def stages(variant: Variant) -> tuple[tuple[int, int], ...]:
    """(width, blocks) of each stage: the paper's quantised line.

    Examples
    --------
    >>> stages(Y["400mf"])
    ((48, 1), (104, 3), (208, 6), (440, 6))
    """
    blocks: Counter[int] = Counter()
    for block in range(variant.depth):
        power = round(math.log((variant.offset + variant.slope * block) / variant.offset, variant.quantisation))
        blocks[QUANTUM * round(variant.offset * variant.quantisation**power / QUANTUM)] += 1
    return tuple((_whole_groups(width, variant.group_width), count) for width, count in blocks.items())


def _whole_groups(width: int, group_width: int) -> int:
    return width if width < group_width else group_width * round(width / group_width)


def regnet(options: Options, variant: Variant, *, squeeze: bool) -> Graph:
    """RegNetX, or RegNetY with `squeeze`: a strided stem, four stages that all begin with a stride, classifier."""
    net = Net(options, padding="symmetric")
    x = net.conv_norm(net.image, STEM, 3, 2, activation=ReLU(), name="stem")
    for number, (width, blocks) in enumerate(stages(variant)):
        groups = width // min(width, variant.group_width)
        for block in range(blocks):
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x, width, 2 if block == 0 else 1, groups, squeeze)
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _block(net: Net, x: Value, width: int, stride: int, groups: int, squeeze: bool) -> Value:
    """A bottleneck without narrowing: 1x1, grouped 3x3, 1x1, all of the stage's width."""
    y = net.conv_norm(x, width, activation=ReLU(), name="conv1")
    y = net.conv_norm(y, width, 3, stride, groups=groups, activation=ReLU(), name="conv2")
    if squeeze:
        y = net.squeeze_excite(y, round(x.channels / 4), inner=ReLU(), gate=Sigmoid())
    y = net.conv_norm(y, width, name="conv3")
    return net.join(x, y, stride, activation=ReLU())


#: timm's uniform evaluation of the authors' weights: X, Y.
_TIMM_TOP1 = {
    "200mf": (68.758, 70.288),
    "400mf": (72.482, 74.004),
    "600mf": (73.904, 75.274),
    "800mf": (75.054, 76.334),
    "1.6gf": (76.936, 77.880),
    "3.2gf": (78.160, 78.902),
    "4gf": (78.486, 79.246),
    "6.4gf": (79.062, 79.734),
    "8gf": (79.214, 79.874),
    "12gf": (79.608, 80.382),
    "16gf": (79.844, 80.284),
    "32gf": (80.258, 80.796),
}


def _weights(family: str, size: str) -> str:
    """The weights' name in timm: the size in units of 100 MFLOPs, three digits."""
    hundreds = float(size[:-2]) * (10 if size.endswith("gf") else 0.01)
    return f"regnet{family}_{round(hundreds):03d}.pycls_in1k"


def _declare(family: str, size: str) -> Architecture:
    variant, squeeze = (X[size], False) if family == "x" else (Y[size], True)
    source = f"timm results-imagenet.csv, {_weights(family, size)}"
    return Architecture(
        name=f"regnet-{family}-{size}",
        family=f"regnet-{family}",
        builder=lambda options: regnet(options, variant, squeeze=squeeze),
        resolution=224,
        year=2020,
        paper=PAPER,
        accuracies=(Accuracy(value=_TIMM_TOP1[size][squeeze], resolution=224, evaluation="timm", source=source),),
    )


ARCHITECTURES = (*(_declare("x", size) for size in X), *(_declare("y", size) for size in Y))
