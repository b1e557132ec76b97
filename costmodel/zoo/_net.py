"""`Net`: a `GraphBuilder` with the idioms of image networks, so that a family file reads like its paper's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from costmodel.errors import ShapeError
from costmodel.graph import Graph, GraphBuilder, Value
from costmodel.operator import Operator
from costmodel.ops._shapes import PaddingMode
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.convolution import Pair, convolution, pair
from costmodel.ops.elementwise import Sigmoid
from costmodel.ops.layout import Dropout, Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d, MaxPool2d
from costmodel.tensor import TensorSpec
from costmodel.zoo._architecture import Options


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, never under 90 % of `channels`.

    Source: MobileNetV2's released code (``_make_divisible``), used by EfficientNet V1, MobileNetV3 and MnasNet.

    Examples
    --------
    >>> round_channels(32 * 1.4), round_channels(16 * 0.35), round_channels(24 * 0.75)
    (48, 8, 24)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class Net(GraphBuilder):
    """A builder with one image input; `padding` decides how every window operator pads unless told otherwise."""

    def __init__(self, options: Options, *, padding: Literal["same", "symmetric"], epsilon: float = 1e-5, channels: int = 3) -> None:
        super().__init__(options.name)
        self.options = options
        self.padding: Literal["same", "symmetric"] = options.padding or padding
        self.epsilon = epsilon
        self.image = self.input("image", TensorSpec((options.batch, channels, *options.resolution)))

    def require_multiple_of(self, divisor: int) -> None:
        """Raise `ShapeError` unless both sides of the image are multiples of `divisor`."""
        height, width = self.options.resolution
        if height % divisor or width % divisor:
            raise ShapeError(f"{self.name}: an image of {height}x{width} cannot be halved and doubled to its own size; use multiples of {divisor}")

    def pad_for(self, kernel_size: int | Pair, dilation: int | Pair = 1) -> PaddingMode:
        """The padding of a window under this network's convention."""
        if self.padding == "same":
            return "same"
        (height, width), (down, across) = pair(kernel_size), pair(dilation)
        vertical, horizontal = (height - 1) * down // 2, (width - 1) * across // 2
        return (vertical, vertical, horizontal, horizontal)

    def conv(
        self,
        x: Value,
        out_channels: int,
        kernel_size: int | Pair = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        bias: bool = False,
        dilation: int = 1,
        padding: PaddingMode | None = None,
        name: str = "conv",
    ) -> Value:
        """A convolution alone."""
        pad = self.pad_for(kernel_size, dilation) if padding is None else padding
        return self.add(convolution(x.channels, out_channels, kernel_size, stride, padding=pad, dilation=dilation, groups=groups, bias=bias), x, name=name)

    def conv_norm(
        self,
        x: Value,
        out_channels: int,
        kernel_size: int | Pair = 1,
        stride: int = 1,
        *,
        activation: Operator | None = None,
        groups: int = 1,
        dilation: int = 1,
        padding: PaddingMode | None = None,
        name: str = "conv",
    ) -> Value:
        """Convolution without bias, batch normalisation, and the nonlinearity if there is one."""
        x = self.conv(x, out_channels, kernel_size, stride, groups=groups, dilation=dilation, padding=padding, name=name)
        x = self.add(BatchNorm(self.epsilon), x, name=f"{name}_norm")
        return x if activation is None else self.add(activation, x, name=f"{name}_activation")

    def conv_activation(
        self,
        x: Value,
        out_channels: int,
        kernel_size: int | Pair = 1,
        stride: int = 1,
        *,
        activation: Operator,
        groups: int = 1,
        padding: PaddingMode | None = None,
        name: str = "conv",
    ) -> Value:
        """Convolution with bias and the nonlinearity, as networks from before batch normalisation have it."""
        x = self.conv(x, out_channels, kernel_size, stride, groups=groups, bias=True, padding=padding, name=name)
        return self.add(activation, x, name=f"{name}_activation")

    def norm_activation(self, x: Value, *, activation: Operator, name: str) -> Value:
        """Batch normalisation and the nonlinearity: what stands before a convolution of pre-activation networks."""
        return self.add(activation, self.add(BatchNorm(self.epsilon), x, name=f"{name}_norm"), name=f"{name}_activation")

    def join(self, x: Value, y: Value, stride: int, *, activation: Operator) -> Value:
        """The branch y plus its shortcut from x, then the nonlinearity.

        Where the shape changes a strided 1x1 convolution with normalisation projects the shortcut. Source: ResNet,
        arXiv 1512.03385, section 3.3, option B.
        """
        if stride != 1 or x.channels != y.channels:
            x = self.conv_norm(x, y.channels, 1, stride, name="shortcut")
        return self.add(activation, self.add(Add(), y, x, name="residual"), name="activation")

    def depthwise_norm(self, x: Value, kernel_size: int, stride: int = 1, *, activation: Operator | None = None, dilation: int = 1) -> Value:
        """Depthwise convolution, batch normalisation, nonlinearity."""
        return self.conv_norm(x, x.channels, kernel_size, stride, activation=activation, groups=x.channels, dilation=dilation, name="depthwise")

    def squeeze_excite(self, x: Value, squeezed: int, *, inner: Operator, gate: Operator) -> Value:
        """Channel attention: global mean, 1x1 to `squeezed`, `inner`, 1x1 back, `gate`, times x; both 1x1 with bias.

        Source: SENet, arXiv 1709.01507, section 3.
        """
        with self.scope("squeeze_excite"):
            y = self.add(AdaptiveAvgPool2d(), x, name="squeeze")
            y = self.add(inner, self.conv(y, squeezed, bias=True, padding="valid", name="reduce"), name="inner")
            y = self.add(gate, self.conv(y, x.channels, bias=True, padding="valid", name="expand"), name="gate")
            return self.add(Multiply(), x, y, name="scale")

    def mbconv(
        self,
        x: Value,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        expanded: int | None,
        activation: Operator,
        squeezed: int = 0,
        skip: bool = True,
    ) -> Value:
        """Mobile inverted bottleneck: 1x1 to `expanded` channels (None: left out), depthwise, linear 1x1.

        Squeeze-and-excitation to `squeezed` channels stands after the depthwise convolution unless that is 0; where the
        shape stays the same there is a residual unless `skip` is False. Source: MnasNet, arXiv 1807.11626, figure 7.
        """
        y = x if expanded is None else self.conv_norm(x, expanded, activation=activation, name="expand")
        y = self.depthwise_norm(y, kernel_size, stride, activation=activation)
        if squeezed:
            y = self.squeeze_excite(y, squeezed, inner=activation, gate=Sigmoid())
        y = self.conv_norm(y, out_channels, name="project")
        return self.add(Add(), y, x, name="residual") if skip and stride == 1 and x.channels == out_channels else y

    def max_pool(self, x: Value, kernel_size: int, stride: int, *, padding: PaddingMode | None = None, ceil: bool = False, name: str = "pool") -> Value:
        """Max pooling."""
        pad = self.pad_for(kernel_size) if padding is None else padding
        return self.add(MaxPool2d(pair(kernel_size), pair(stride), pad, ceil), x, name=name)

    def classifier(self, x: Value, classes: int, *, dropout: bool = False, hidden: Sequence[tuple[int, Operator]] = ()) -> Value:
        """Global average pooling, `hidden` fully connected layers with their nonlinearity, and the last one.

        `classes` is the published number; the options' number takes its place where one was asked for.
        """
        with self.scope("head"):
            x = self.add(Flatten(), self.add(AdaptiveAvgPool2d(), x, name="pool"), name="flatten")
            for position, (width, activation) in enumerate(hidden):
                x = self.add(activation, self.add(Linear(width), x, name=f"hidden{position}"), name=f"hidden{position}_activation")
            if dropout:
                x = self.add(Dropout(), x, name="dropout")
            return self.add(Linear(self.options.classes or classes), x, name="classifier")

    def finish(self, *outputs: Value) -> Graph:
        """The finished graph."""
        return self.build(*outputs)
