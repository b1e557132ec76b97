"""Stacked hourglass networks for human pose (arXiv 1603.06937), sections 3 and 4.

Residuals are pre-activation bottlenecks of half the width; every convolution has a bias. Each stack scores the heat maps;
all but the last add scores and features back to their input. There is one residual at each place.

Structure and counts are those of the PyTorch port (github.com/bearpaw/pytorch-pose), whose stem widens to 256 channels
one residual earlier than the authors' Torch code (128 and 256 there): 160,512 parameters and 654,311,424 MACs more.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU
from costmodel.ops.resize import Resize
from costmodel.zoo._architecture import Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1603.06937"
FEATURES, DEPTH = 256, 4
#: Heat maps: the joints of MPII.
JOINTS = 16


def hourglass(options: Options, stacks: int) -> Graph:
    """`stacks` hourglasses on maps of a quarter of the resolution; one output of heat maps for each stack.

    Sides must be multiples of 64, or the halves and doubles of an hourglass would not meet.
    """
    net = Net(options, padding="symmetric")
    net.require_multiple_of(4 * 2**DEPTH)
    x = _stem(net)
    if options.features_only:
        return net.finish(x)
    scores = []
    for stack in range(stacks):
        with net.scope(f"stacks.{stack}"):
            y = _residual(net, _hourglass(net, x, DEPTH), FEATURES, "residual")
            y = net.norm_activation(net.conv(y, FEATURES, bias=True, name="features"), activation=ReLU(), name="features")
            score = net.conv(y, options.classes or JOINTS, bias=True, name="score")
            scores.append(score)
            if stack < stacks - 1:
                y = net.conv(y, FEATURES, bias=True, name="features_back")
                back = net.conv(score, FEATURES, bias=True, name="score_back")
                x = net.add(Add(), net.add(Add(), x, y, name="add_features"), back, name="add_score")
    return net.finish(*scores)


def _stem(net: Net) -> Value:
    with net.scope("stem"):
        x = net.conv(net.image, 64, 7, 2, bias=True)
        x = net.norm_activation(x, activation=ReLU(), name="conv")
        x = net.max_pool(_residual(net, x, FEATURES // 2, "residual1"), 2, 2)
        return _residual(net, _residual(net, x, FEATURES, "residual2"), FEATURES, "residual3")


def _hourglass(net: Net, x: Value, depth: int) -> Value:
    """A residual at this resolution, beside the same and an hourglass of `depth` - 1 at half of it (figure 3)."""
    with net.scope("hourglass"):
        upper = _residual(net, x, FEATURES, "upper")
        y = _residual(net, net.max_pool(x, 2, 2), FEATURES, "lower1")
        y = _hourglass(net, y, depth - 1) if depth > 1 else _residual(net, y, FEATURES, "lower2")
        y = net.add(Resize(2.0), _residual(net, y, FEATURES, "lower3"), name="upsample")
        return net.add(Add(), upper, y, name="add")


def _residual(net: Net, x: Value, out_channels: int, name: str) -> Value:
    """BN, ReLU, 1x1 to half the width; the same with 3x3; the same with 1x1 back; plus the input (figure 4)."""
    with net.scope(name):
        y = x
        for number, (channels, kernel_size) in enumerate(((out_channels // 2, 1), (out_channels // 2, 3), (out_channels, 1))):
            y = net.norm_activation(y, activation=ReLU(), name=f"conv{number}")
            y = net.conv(y, channels, kernel_size, bias=True, name=f"conv{number}")
        skip = x if x.channels == out_channels else net.conv(x, out_channels, bias=True, name="shortcut")
        return net.add(Add(), y, skip, name="add")


def _declare(stacks: int) -> Architecture:
    return Architecture(
        name=f"hourglass-{stacks}",
        family="hourglass",
        builder=lambda options: hourglass(options, stacks),
        resolution=256,
        year=2016,
        paper=PAPER,
    )


ARCHITECTURES = tuple(_declare(stacks) for stacks in (1, 2, 8))
