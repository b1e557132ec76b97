"""Networks of searched cells: what NASNet, PNASNet and AmoebaNet share.

A cell has two hidden states, 0 from the layer before and 1 from the one before that, both brought to the cell's width by
ReLU, 1x1 convolution and normalisation (state 1 only where it has another width). Each of its five steps adds two
operations on states into a new state; the output joins some of the states. Operations on the first two states take the
cell's stride. What has twice the resolution of the rest is halved by two offset 1x1 convolutions of stride 2 ("factorised
reduction").
Source: NASNet, arXiv 1707.07012, section 3 and appendix A; github.com/tensorflow/tpu, models/official/amoeba_net.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from costmodel.graph import Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.padding import Pad
from costmodel.ops.pooling import AvgPool2d
from costmodel.zoo._net import Net


class Step(NamedTuple):
    """A new state: `left` of state `left_state` plus `right` of state `right_state`."""

    left: str
    left_state: int
    right: str
    right_state: int


class Cell(NamedTuple):
    """Steps (the first makes state 2), and the states that the output joins."""

    steps: tuple[Step, ...]
    joined: tuple[int, ...]


class Layer(NamedTuple):
    """The output of a cell with its stride to the image."""

    value: Value
    stride: int


def image_stem(net: Net, channels: int) -> Layer:
    """3x3 convolution of stride 2 without padding, and normalisation."""
    return Layer(net.conv_norm(net.image, channels, 3, 2, padding="valid", name="stem"), 2)


def run_cell(net: Net, cell: Cell, name: str, channels: int, current: Layer, previous: Layer | None, *, stride: int = 1, current_first: bool = False) -> Layer:
    """The output of `cell` at width `channels`; without a `previous` layer the current one is state 1 as it is.

    `current_first` says which of the two states is made first, which changes nothing but the order.
    """
    with net.scope(name):
        if current_first:
            first = relu_conv_norm(net, current.value, channels, name="current")
            second = _second_state(net, current, previous, channels)
        else:
            second = _second_state(net, current, previous, channels)
            first = relu_conv_norm(net, current.value, channels, name="current")
        states = [first, second]
        for number, step in enumerate(cell.steps):
            with net.scope(f"steps.{number}"):
                left = _operate(net, step.left, states[step.left_state], channels, stride if step.left_state < 2 else 1, "left")
                right = _operate(net, step.right, states[step.right_state], channels, stride if step.right_state < 2 else 1, "right")
                states.append(net.add(Add(), left, right, name="add"))
        joined = [_halve(net, states[state], channels, "join") if state < 2 and stride > 1 else states[state] for state in cell.joined]
        return Layer(net.add(Concat(), *joined, name="concat"), current.stride * stride)


def _second_state(net: Net, current: Layer, previous: Layer | None, channels: int) -> Value:
    if previous is None:
        return current.value
    x = previous.value
    if previous.stride != current.stride:
        return _halve(net, net.add(ReLU(), x, name="previous_activation"), channels, "previous")
    return x if x.channels == channels else relu_conv_norm(net, x, channels, name="previous")


def relu_conv_norm(net: Net, x: Value, channels: int, kernel_size: int | tuple[int, int] = 1, stride: int | tuple[int, int] = 1, *, name: str) -> Value:
    """ReLU, convolution, batch normalisation."""
    x = net.add(ReLU(), x, name=f"{name}_activation")
    size, steps = (value if isinstance(value, tuple) else (value, value) for value in (kernel_size, stride))
    x = net.add(Conv2d(channels, size, steps, net.pad_for(size)), x, name=name)
    return net.add(BatchNorm(net.epsilon), x, name=f"{name}_norm")


def _halve(net: Net, x: Value, channels: int, name: str) -> Value:
    """Two 1x1 convolutions of every second position, one of them starting a position later; normalisation.

    An odd channel goes to the second, as in TensorFlow's code.
    """
    with net.scope(name):
        paths = []
        for number, width in enumerate((channels // 2, channels - channels // 2)):
            path = net.add(Pad((-1, 1, -1, 1)), x, name="shift") if number else x
            paths.append(net.conv(net.add(AvgPool2d((1, 1), (2, 2)), path, name=f"path{number}_pool"), width, name=f"path{number}"))
        return net.add(BatchNorm(net.epsilon), net.add(Concat(), *paths, name="concat"), name="norm")


def _operate(net: Net, operation: str, x: Value, channels: int, stride: int, name: str) -> Value:
    """One operation by its name in the tables."""
    with net.scope(name):
        return _OPERATIONS[operation](net, x, channels, stride)


def _identity(net: Net, x: Value, channels: int, stride: int) -> Value:
    return x if stride == 1 and x.channels == channels else relu_conv_norm(net, x, channels, 1, stride, name="conv")


def _separable(kernel_size: int) -> Callable[[Net, Value, int, int], Value]:
    """Twice: ReLU, depthwise, 1x1, one normalisation after both."""

    def made(net: Net, x: Value, channels: int, stride: int) -> Value:
        for number in range(2):
            x = net.add(ReLU(), x, name=f"activation{number}")
            x = net.conv(x, x.channels, kernel_size, stride if number == 0 else 1, groups=x.channels, name=f"depthwise{number}")
            x = net.add(BatchNorm(net.epsilon), net.conv(x, channels, name=f"pointwise{number}"), name=f"norm{number}")
        return x

    return made


def _max(kernel_size: int) -> Callable[[Net, Value, int, int], Value]:
    def made(net: Net, x: Value, channels: int, stride: int) -> Value:
        # Rounding up matters for the even window under symmetric padding alone: the output is ceil(size / stride).
        return _widened(net, net.max_pool(x, kernel_size, stride, ceil=kernel_size % 2 == 0), channels)

    return made


def _average(net: Net, x: Value, channels: int, stride: int) -> Value:
    return _widened(net, net.add(AvgPool2d((3, 3), (stride, stride), net.pad_for(3)), x, name="pool"), channels)


def _widened(net: Net, x: Value, channels: int) -> Value:
    """A pooled map brought to the cell's width where it has another."""
    return x if x.channels == channels else net.conv_norm(x, channels)


def _bottleneck(*kernel_sizes: tuple[int, int]) -> Callable[[Net, Value, int, int], Value]:
    """1x1 to a quarter of the width, the windows, 1x1 back; each after ReLU and before normalisation."""

    def made(net: Net, x: Value, channels: int, stride: int) -> Value:
        x = relu_conv_norm(net, x, channels // 4, name="reduce")
        for number, size in enumerate(kernel_sizes):
            # A window strides along the axes that it spans.
            steps = (stride if size[0] > 1 else 1, stride if size[1] > 1 else 1)
            x = relu_conv_norm(net, x, channels // 4, size, steps, name=f"conv{number}")
        return relu_conv_norm(net, x, channels, name="expand")

    return made


def _pointwise(net: Net, x: Value, channels: int, stride: int) -> Value:
    return relu_conv_norm(net, x, channels, 1, stride, name="conv")


_OPERATIONS: dict[str, Callable[[Net, Value, int, int], Value]] = {
    "none": _identity,
    "sep3": _separable(3),
    "sep5": _separable(5),
    "sep7": _separable(7),
    "avg3": _average,
    "max2": _max(2),
    "max3": _max(3),
    "1x1": _pointwise,
    "3x3": _bottleneck((3, 3)),
    "1x7_7x1": _bottleneck((1, 7), (7, 1)),
}
