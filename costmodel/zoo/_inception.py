"""What the Inception networks share: a module is branches side by side, and a branch is a table of its steps."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from costmodel.graph import Value
from costmodel.operator import Operator
from costmodel.ops._shapes import PaddingMode
from costmodel.ops.convolution import Pair
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat
from costmodel.ops.pooling import AvgPool2d
from costmodel.zoo._net import Net


class Conv(NamedTuple):
    """A convolution with its nonlinearity: channels, kernel, stride; `valid` without padding."""

    channels: int
    kernel_size: int | Pair = 1
    stride: int = 1
    valid: bool = False


class Fork(NamedTuple):
    """Convolutions that all take the same input, concatenated."""

    convolutions: tuple[Conv, ...]


class MaxPool(NamedTuple):
    """3x3 max pooling; without padding where it has a stride."""

    stride: int = 1


class Average(NamedTuple):
    """3x3 mean of stride 1; `count_padding` divides by 9 at the border too."""

    count_padding: bool


Step = Conv | Fork | MaxPool | Average
Branch = tuple[Step, ...]


class Convolve(Protocol):
    """`Net.conv_norm` or `Net.conv_activation`: whether a convolution has normalisation or a bias."""

    def __call__(
        self,
        x: Value,
        out_channels: int,
        kernel_size: int | Pair = 1,
        stride: int = 1,
        *,
        activation: Operator,
        padding: PaddingMode | None = None,
        name: str = "conv",
    ) -> Value: ...


def convolve_row(convolve: Convolve, x: Value, row: Conv, name: str = "conv") -> Value:
    """The convolution of one row, followed by ReLU."""
    return convolve(x, row.channels, row.kernel_size, row.stride, activation=ReLU(), padding="valid" if row.valid else None, name=name)


def inception(net: Net, x: Value, branches: tuple[Branch, ...], convolve: Convolve) -> Value:
    """The concatenation of all branches of x."""
    outputs = []
    for number, branch in enumerate(branches):
        y = x
        with net.scope(f"branch{number}"):
            for position, step in enumerate(branch):
                y = _apply(net, y, step, convolve, str(position))
        outputs.append(y)
    return net.add(Concat(), *outputs, name="concat")


def _apply(net: Net, x: Value, step: Step, convolve: Convolve, position: str) -> Value:
    match step:
        case Conv():
            return convolve_row(convolve, x, step, f"conv{position}")
        case Fork(rows):
            forked = [convolve_row(convolve, x, row, f"conv{position}{letter}") for letter, row in zip("abcd", rows, strict=False)]
            return net.add(Concat(), *forked, name=f"concat{position}")
        case MaxPool(stride):
            return net.max_pool(x, 3, stride, padding=None if stride == 1 else "valid")
        case Average(count_padding):
            return net.add(AvgPool2d((3, 3), (1, 1), net.pad_for(3), count_padding=count_padding), x, name="pool")
