"""PolyNet (arXiv 1611.05725): Inception-ResNet-v2 with residual modules of two and three paths.

The stem is Inception-v4's; 10, 10 and 5 units at three resolutions. A "2-way" module adds two branches F(x) and G(x) to x. A
"poly-3" module, which units of the second and third resolution begin with, adds F(x), F(F(x)) and F(F(F(x))): the
convolutions before each sum share their weights, their normalisations do not. What a module adds is scaled by a factor
that falls evenly from the first module to the last.
Source of the structure: pytorchcv 0.0.74, which runs the authors' weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, Scale
from costmodel.ops.convolution import convolution
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat
from costmodel.ops.normalisation import BatchNorm
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._inception import Branch, Conv, MaxPool, convolve_row, inception
from costmodel.zoo._net import Net
from costmodel.zoo.inception_v4 import COLUMN3, COLUMN7, ROW3, ROW7, STEM, STEM_MODULES

PAPER = "arXiv:1611.05725"
#: How often a poly-3 module runs its branches, and how many a 2-way module has.
POLY, WAYS = 3, 2
#: The factor of the n-th module is 1 - n / STEPS: 0.7 for the 40th.
STEPS = 130


class Stage(NamedTuple):
    """Branches of a module's path, units, whether they begin with a poly-3 module."""

    branches: tuple[tuple[Conv, ...], ...]
    units: int
    poly: bool


STAGE_A = Stage(((Conv(32), Conv(48, 3), Conv(64, 3)), (Conv(32), Conv(32, 3)), (Conv(32),)), 10, False)
REDUCTION_A: tuple[Branch, ...] = (
    (Conv(256), Conv(256, 3), Conv(384, 3, 2, valid=True)),
    (Conv(384, 3, 2, valid=True),),
    (MaxPool(2),),
)
STAGE_B = Stage(((Conv(128), Conv(160, ROW7), Conv(192, COLUMN7)), (Conv(192),)), 10, True)
REDUCTION_B: tuple[Branch, ...] = (
    (Conv(256), Conv(256, 3), Conv(256, 3, 2, valid=True)),
    (Conv(256), Conv(256, 3, 2, valid=True)),
    (Conv(256), Conv(384, 3, 2, valid=True)),
    (MaxPool(2),),
)
STAGE_C = Stage(((Conv(192), Conv(224, ROW3), Conv(256, COLUMN3)), (Conv(192),)), 5, True)
STAGES: tuple[tuple[Stage, tuple[Branch, ...] | None], ...] = ((STAGE_A, REDUCTION_A), (STAGE_B, REDUCTION_B), (STAGE_C, None))


def polynet(options: Options) -> Graph:
    """PolyNet: stem, three stages with reductions between them, classifier."""
    net = Net(options, padding="symmetric")
    x = net.image
    for number, row in enumerate(STEM):
        x = convolve_row(net.conv_norm, x, row, f"stem{number}")
    for number, branches in enumerate(STEM_MODULES):
        with net.scope(f"stem.{number}"):
            x = inception(net, x, branches, net.conv_norm)
    factors = (1 - step / STEPS for step in count())
    for number, (stage, reduction) in enumerate(STAGES):
        for unit in range(stage.units):
            with net.scope(f"stages.{number}.{unit}"):
                x = _unit(net, x, stage, factors)
        if reduction is not None:
            with net.scope(f"reductions.{number}"):
                x = inception(net, x, reduction, net.conv_norm)
    return net.finish(x if options.features_only else net.classifier(x, 1000, dropout=True))


def _unit(net: Net, x: Value, stage: Stage, factors: Iterator[float]) -> Value:
    if stage.poly:
        with net.scope("poly"):
            x = _poly(net, x, stage.branches, next(factors))
    factor, total = next(factors), x
    for way in range(WAYS):
        with net.scope(f"ways.{way}"):
            y = net.conv_norm(inception(net, x, stage.branches, net.conv_norm), x.channels, name="project")
            total = _add_scaled(net, total, y, factor)
    return net.add(ReLU(), total, name="activation")


def _poly(net: Net, x: Value, branches: tuple[tuple[Conv, ...], ...], factor: float) -> Value:
    """The sum x + F(x) + F(F(x)) + F(F(F(x))), each F scaled; ReLU stands between one F and the next."""
    total, firsts = x, dict[str, str]()
    for order in range(POLY):
        with net.scope(str(order)):
            outputs = []
            for number, branch in enumerate(branches):
                y = x
                for position, row in enumerate(branch):
                    y = _shared(net, y, row, f"branch{number}.conv{position}", firsts)
                outputs.append(y)
            y = net.conv_norm(net.add(Concat(), *outputs, name="concat"), total.channels, name="project")
            total = _add_scaled(net, total, y, factor)
        x = net.add(ReLU(), y, name=f"activation{order}") if order < POLY - 1 else y
    return net.add(ReLU(), total, name="activation")


def _shared(net: Net, x: Value, row: Conv, name: str, firsts: dict[str, str]) -> Value:
    """A convolution with the weights of its first use (found in `firsts` or put there), normalisation of its own, ReLU."""
    operator = convolution(x.channels, row.channels, row.kernel_size, padding=net.pad_for(row.kernel_size))
    x = net.add(operator, x, name=name, shares=firsts.get(name, ""))
    firsts.setdefault(name, x.ref.node)
    return net.add(ReLU(), net.add(BatchNorm(net.epsilon), x, name=f"{name}_norm"), name=f"{name}_activation")


def _add_scaled(net: Net, total: Value, y: Value, factor: float) -> Value:
    return net.add(Add(), total, net.add(Scale(factor), y, name="scale") if factor != 1 else y, name="sum")


ARCHITECTURES = (
    Architecture(
        name="polynet",
        family="polynet",
        builder=polynet,
        resolution=331,
        year=2016,
        paper=PAPER,
        accuracies=(Accuracy(value=81.3, resolution=331, source="arXiv:1905.11946 Table 2"),),
    ),
)
