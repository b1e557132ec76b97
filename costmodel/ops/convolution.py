"""Convolutions on images: dense, depthwise, grouped, transposed.

x: (N, C, H, W); out: (N, C', H', W'). Depthwise convolution is a class of its own: what a device does with it is a
matter of structure, not an accident of ``groups == channels``. `convolution` picks the class.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Padding, Shapes, Specs, operator
from costmodel.ops._onnx import is_filled, whole, window
from costmodel.ops._shapes import PaddingMode, require_arguments, require_rank, resolve_padding, window_output
from costmodel.ops.layout import reshaped
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

Pair = tuple[int, int]


class _WindowedConvolution(Operator):
    """What dense, depthwise and grouped convolution share; the subclasses say how many groups there are."""

    __slots__ = ()

    autocast = "half"
    aten = ("aten.conv2d.default", "aten.conv2d.padding", "aten.convolution.default", "aten.conv1d.default", "aten.conv1d.padding")
    onnx = ("Conv",)

    kernel_size: Pair
    stride: Pair
    padding: PaddingMode
    dilation: Pair
    bias: bool

    def channels(self, spec: TensorSpec) -> tuple[int, int]:
        """(output channels, groups) for this input."""
        raise TypeError(f"{type(self).__name__} must define channels()")

    def padding_of(self, *inputs: TensorSpec) -> Padding:
        height, width = inputs[0].shape[2:]
        return resolve_padding(self.padding, (height, width), self.kernel_size, self.stride, self.dilation)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        out, groups = self.channels(x)
        if x.shape[1] % groups or out % groups:
            raise ShapeError(f"{groups} groups do not divide {x.shape[1]} input and {out} output channels")
        height, width = window_output((x.shape[2], x.shape[3]), self.padding_of(x), self.kernel_size, self.stride, self.dilation)
        return (TensorSpec((x.shape[0], out, height, width), x.dtype),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        out, groups = self.channels(inputs[0])
        shapes: dict[str, tuple[int, ...]] = {"weight": (out, inputs[0].shape[1] // groups, *self.kernel_size)}
        if self.bias:
            shapes["bias"] = (out,)
        return shapes

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        out, groups = self.channels(x)
        batch, channels = x.shape[:2]
        taps = self.kernel_size[0] * self.kernel_size[1]
        k = channels // groups * taps
        spatial = y.shape[2] * y.shape[3]
        written = y.numel
        return Work(
            kind=self.kind(taps),
            m=batch * spatial,
            n=out // groups,
            k=k,
            groups=groups,
            taps=taps,
            stride=max(self.stride),
            spatial=spatial,
            elements_read=x.numel,
            elements_written=written,
            parameters=out * (k + self.bias),
            other_flops=written if self.bias else 0,
        )

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if call.get("transposed", False):
            return None
        x, weight = call.tensors[0], call.tensor("weight")
        rank = len(x.shape) - 2
        if rank not in (1, 2):
            return None
        stride, dilation = call.ints("stride", 1, count=rank), call.ints("dilation", 1, count=rank)
        window = weight.shape[2:]
        given = call.get("padding", 0)
        if given == "same":
            total = tuple(spread * (size - 1) for spread, size in zip(dilation, window, strict=True))
            sides = tuple((amount // 2, amount - amount // 2) for amount in total)
        else:
            sides = tuple((amount, amount) for amount in (call.ints("padding", 0, count=rank) if given != "valid" else (0,) * rank))
        return convolved(call, x, weight, call.get("bias"), stride, sides, dilation, call.get("groups", 1))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x, weight, bias = call.tensor("X"), call.tensor("W"), call.get("B")
        if len(x.shape) not in (3, 4) or len(weight.shape) != len(x.shape):
            return None
        stride, sides, dilation = window(call, x, weight.shape[2:])
        return convolved(call, x, weight, None if is_filled(bias, 0) else bias, stride, sides, dilation, call.get("group", 1))

    def kind(self, taps: int) -> WorkKind:
        """The work kind, given the number of taps."""
        raise TypeError(f"{type(self).__name__} must define kind()")

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        (x,) = tensors
        padding = resolve_padding(self.padding, tuple(x.shape[2:]), self.kernel_size, self.stride, self.dilation)
        symmetric: Any = (padding.top, padding.left)
        if (padding.top, padding.left) != (padding.bottom, padding.right):
            x = functional.pad(x, (padding.left, padding.right, padding.top, padding.bottom))
            symmetric = 0
        groups = x.shape[1] // weights["weight"].shape[1]
        return functional.conv2d(x, weights["weight"], weights.get("bias"), self.stride, symmetric, self.dilation, groups)


@operator
class Conv2d(_WindowedConvolution):
    """Dense convolution. MACs = N*H'*W' * C' * C * taps (nominal: taps in the padding count)."""

    out_channels: int
    kernel_size: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: PaddingMode = "same"
    dilation: Pair = (1, 1)
    bias: bool = False

    def channels(self, spec: TensorSpec) -> tuple[int, int]:
        return self.out_channels, 1

    def kind(self, taps: int) -> WorkKind:
        return WorkKind.POINTWISE if taps == 1 else WorkKind.CONVOLUTION

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 12, 15, 17))
        return (
            Example(cls(24), (image,)),
            Example(cls(24, (3, 3), (2, 2), bias=True), (image,)),
            Example(cls(8, (7, 1), (1, 1), (3, 3, 0, 0)), (image,)),
            Example(cls(16, (3, 3), (1, 1), (2, 2, 2, 2), dilation=(2, 2)), (image,)),
            Example(cls(16, (5, 5), (2, 2), "valid"), (image,)),
        )


@operator
class DepthwiseConv2d(_WindowedConvolution):
    """One filter (or `multiplier` of them) for each channel. MACs = N*H'*W' * C * multiplier * taps."""

    kernel_size: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: PaddingMode = "same"
    dilation: Pair = (1, 1)
    bias: bool = False
    multiplier: int = 1

    def channels(self, spec: TensorSpec) -> tuple[int, int]:
        return spec.shape[1] * self.multiplier, spec.shape[1]

    def kind(self, taps: int) -> WorkKind:
        return WorkKind.DEPTHWISE

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 12, 15, 17))
        return (
            Example(cls(), (image,)),
            Example(cls((5, 5), (2, 2), bias=True), (image,)),
            Example(cls((3, 3), (2, 2), (1, 1, 1, 1), multiplier=2), (image,)),
            Example(cls((3, 3), dilation=(2, 2)), (image,)),
        )


@operator
class GroupedConv2d(_WindowedConvolution):
    """Convolution in `groups` independent slices of the channels. MACs = N*H'*W' * C' * C/groups * taps."""

    out_channels: int
    groups: int
    kernel_size: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: PaddingMode = "same"
    dilation: Pair = (1, 1)
    bias: bool = False

    def channels(self, spec: TensorSpec) -> tuple[int, int]:
        return self.out_channels, self.groups

    def kind(self, taps: int) -> WorkKind:
        return WorkKind.GROUPED

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 12, 15, 17))
        return (
            Example(cls(24, 4), (image,)),
            Example(cls(12, 3, (1, 1), bias=True), (image,)),
            Example(cls(24, 2, (3, 3), (2, 2), (1, 1, 1, 1)), (image,)),
        )


@operator
class StandardisedConv2d(_WindowedConvolution):
    """Convolution whose weights are standardised for each output channel (mean 0, variance 1/fan-in) and scaled by a learned gain times `gamma`.

    The work is that of a plain convolution: the standardisation depends on weights alone, is done once and counts nothing,
    though a runtime that keeps the trained form repeats it. Source: arXiv 2101.08692.
    """

    out_channels: int
    groups: int = 1
    kernel_size: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: PaddingMode = "same"
    dilation: Pair = (1, 1)
    bias: bool = True
    epsilon: float = 1e-5
    gamma: float = 1.0

    def channels(self, spec: TensorSpec) -> tuple[int, int]:
        return self.out_channels, self.groups

    def kind(self, taps: int) -> WorkKind:
        if self.groups > 1:
            return WorkKind.GROUPED
        return WorkKind.POINTWISE if taps == 1 else WorkKind.CONVOLUTION

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {**_WindowedConvolution.parameters(self, *inputs), "gain": (self.out_channels, 1, 1, 1)}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        plain = _WindowedConvolution.work(self, inputs, outputs)
        return dataclasses.replace(plain, parameters=plain.parameters + self.out_channels)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        weight, gain = weights["weight"], weights["gain"]
        rows = weight.reshape(1, self.out_channels, -1)
        scale = gain.reshape(-1) * (self.gamma * rows.shape[2] ** -0.5)
        standard = functional.batch_norm(rows, None, None, scale, training=True, momentum=0.0, eps=self.epsilon)
        plain = {name: value for name, value in weights.items() if name == "bias"}
        return _WindowedConvolution.run(self, *tensors, weight=standard.reshape_as(weight), **plain)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 12, 15, 17))
        return (
            Example(cls(24), (image,)),
            Example(cls(24, 3, (3, 3), (2, 2)), (image,)),
            Example(cls(8, 1, (3, 3), (1, 1), (1, 1, 1, 1), bias=False), (image,)),
        )


@operator
class OperandConv2d(Operator):
    """Convolution by weights that are an operand: computed (dynamic filters, merged branches) or fixed. Inputs: x, weight (C', C/groups, h, w)[, bias]."""

    autocast = "half"

    groups: int = 1
    stride: Pair = (1, 1)
    padding: PaddingMode = (0, 0, 0, 0)
    dilation: Pair = (1, 1)

    def _plain(self, inputs: Specs) -> _WindowedConvolution:
        x, weight = inputs[:2]
        return convolution(
            x.shape[1],
            weight.shape[0],
            pair(weight.shape[2:]),
            self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            bias=len(inputs) == 3,
        )

    def padding_of(self, *inputs: TensorSpec) -> Padding:
        return self._plain(inputs).padding_of(inputs[0])

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 3 if len(inputs) == 3 else 2)
        require_rank(inputs[0], 4, "the image")
        require_rank(inputs[1], 4, "the filter")
        if inputs[1].shape[1] * self.groups != inputs[0].shape[1]:
            raise ShapeError(f"{self.groups} groups of filters {inputs[1].shape} do not fit {inputs[0].shape[1]} channels")
        return self._plain(inputs).infer(inputs[0])

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        plain = self._plain(inputs).work(inputs[:1], outputs)
        return dataclasses.replace(plain, parameters=0, elements_read=sum(spec.numel for spec in inputs))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        x, weight, *bias = tensors
        specs = tuple(TensorSpec(tuple(tensor.shape)) for tensor in tensors)
        return self._plain(specs).run(x, weight=weight, bias=bias[0] if bias else None)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 12, 15, 17))
        return (
            Example(cls(), (image, TensorSpec((24, 12, 1, 1)))),
            Example(cls(12, (2, 2), (1, 1, 1, 1)), (image, TensorSpec((12, 1, 3, 3)))),
            Example(cls(3, (1, 1), (1, 1, 1, 1)), (image, TensorSpec((6, 4, 3, 3)), TensorSpec((6,)))),
        )


@operator
class ConvTranspose2d(Operator):
    """Transposed convolution. MACs = N*H*W (of the input) * C * C'/groups * taps.

    out: H' = (H - 1)*stride - top - bottom + kernel + output_padding.
    """

    autocast = "half"
    aten = ("aten.conv_transpose2d.input", "aten.conv_transpose1d.default", "aten.convolution.default")
    onnx = ("ConvTranspose",)

    out_channels: int
    kernel_size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    groups: int = 1
    bias: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        if x.shape[1] % self.groups or self.out_channels % self.groups:
            raise ShapeError(f"{self.groups} groups do not divide {x.shape[1]} input and {self.out_channels} output channels")
        size = tuple(
            (x.shape[2 + axis] - 1) * self.stride[axis] - 2 * self.padding[axis] + self.kernel_size[axis] + self.output_padding[axis] for axis in (0, 1)
        )
        if min(size) < 1:
            raise ShapeError(f"the padding {self.padding} leaves no output: {size[0]}x{size[1]}")
        return (TensorSpec((x.shape[0], self.out_channels, *size), x.dtype),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        shapes: dict[str, tuple[int, ...]] = {"weight": (inputs[0].shape[1], self.out_channels // self.groups, *self.kernel_size)}
        if self.bias:
            shapes["bias"] = (self.out_channels,)
        return shapes

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        taps = self.kernel_size[0] * self.kernel_size[1]
        positions = x.shape[2] * x.shape[3]
        return Work(
            kind=WorkKind.TRANSPOSED,
            m=x.shape[0] * positions,
            n=self.out_channels // self.groups * taps,
            k=x.shape[1] // self.groups,
            groups=self.groups,
            taps=taps,
            stride=max(self.stride),
            spatial=positions,
            elements_read=x.numel,
            elements_written=y.numel,
            parameters=x.shape[1] * (self.out_channels // self.groups) * taps + self.out_channels * self.bias,
            other_flops=y.numel if self.bias else 0,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.conv_transpose2d(tensors[0], weights["weight"], weights.get("bias"), self.stride, self.padding, self.output_padding, self.groups)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        x, weight, bias = call.tensors[0], call.tensor("weight"), call.get("bias")
        rank = len(x.shape) - 2
        if ("transpose" not in call.name and not call.get("transposed", False)) or rank not in (1, 2) or set(call.ints("dilation", 1)) != {1}:
            return None
        groups = call.get("groups", 1)
        stride, padding, extra = (call.ints(name, default, count=rank) for name, default in (("stride", 1), ("padding", 0), ("output_padding", 0)))
        if rank == 1:  # over images of height 1
            (batch, channels, length), (rows, columns, taps) = x.shape, weight.shape
            x, weight = reshaped(call, x, (batch, channels, 1, length)), reshaped(call, weight, (rows, columns, 1, taps))
            stride, padding, extra = (1, *stride), (0, *padding), (0, *extra)
        made = cls(weight.shape[1] * groups, pair(weight.shape[2:]), pair(stride), pair(padding), pair(extra), groups, bias is not None)
        y = call.add(made, x, weights={"weight": weight} | ({} if bias is None else {"bias": bias}))
        return reshaped(call, y, call.outputs[0].shape) if rank == 1 else y

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x, weight, bias = call.tensor("X"), call.tensor("W"), call.get("B")
        if len(x.shape) != 4 or whole(call, "dilations", (1, 1)) != (1, 1) or len(call.outputs[0].shape) != 4:
            return None
        bias = None if is_filled(bias, 0) else bias
        stride, sides, _ = window(call, x, weight.shape[2:])
        if call.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or call.get("output_shape"):
            sides = ((0, 0), (0, 0))  # what the stated output leaves to pad or to crop follows below
        padding = [max(pair) for pair in sides]
        size, given = weight.shape[2:], call.outputs[0].shape[2:]
        extra = [given[axis] - ((x.shape[2 + axis] - 1) * stride[axis] - 2 * padding[axis] + size[axis]) for axis in (0, 1)]
        for axis in (0, 1):
            crop = max(0, -extra[axis] + 1) // 2 if extra[axis] < 0 else 0
            padding[axis], extra[axis] = padding[axis] + crop, extra[axis] + 2 * crop
        groups = call.get("group", 1)
        made = cls(weight.shape[1] * groups, pair(size), pair(stride), pair(tuple(padding)), pair(tuple(extra)), groups, bias is not None)
        return call.add(made, x, weights={"weight": weight} | ({} if bias is None else {"bias": bias}))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 12, 7, 9))
        return (
            Example(cls(6), (image,)),
            Example(cls(8, (3, 3), (2, 2), (1, 1), (1, 1), bias=True), (image,)),
            Example(cls(12, (4, 4), (2, 2), (1, 1), groups=3), (image,)),
        )


def convolved(
    call: Call,
    x: Operand,
    weight: Operand,
    bias: Operand | None,
    stride: tuple[int, ...],
    sides: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Operand:
    """A convolution over one or two dimensions; over one it is over images of height 1. Weights that are computed become an operand."""
    flat = len(x.shape) == 3
    if flat:
        (batch, channels, length), (outputs, inputs, taps) = x.shape, weight.shape
        x, weight = reshaped(call, x, (batch, channels, 1, length)), reshaped(call, weight, (outputs, inputs, 1, taps))
        stride, sides, dilation = (1, *stride), ((0, 0), *sides), (1, *dilation)
    padding = (*sides[0], *sides[1])
    made = convolution(
        x.shape[1], weight.shape[0], pair(weight.shape[2:]), pair(stride), padding=padding, dilation=pair(dilation), groups=groups, bias=bias is not None
    )
    try:
        y = call.add(made, x, weights={"weight": weight} | ({} if bias is None else {"bias": bias}))
    except UnreadableCallError:
        operands = (x, weight) if bias is None else (x, weight, bias)
        y = call.add(OperandConv2d(groups, pair(stride), padding, pair(dilation)), *operands)
    return reshaped(call, y, call.outputs[0].shape) if flat else y


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int | Pair = 1,
    stride: int | Pair = 1,
    *,
    padding: PaddingMode = "same",
    dilation: int | Pair = 1,
    groups: int = 1,
    bias: bool = False,
) -> Conv2d | DepthwiseConv2d | GroupedConv2d:
    """The convolution operator for these numbers, of the class that they make it.

    Examples
    --------
    >>> type(convolution(32, 32, 3, groups=32)).__name__, type(convolution(32, 64, 3, groups=4)).__name__
    ('DepthwiseConv2d', 'GroupedConv2d')
    """
    window, steps, spread = pair(kernel_size), pair(stride), pair(dilation)
    if groups == 1:
        return Conv2d(out_channels, window, steps, padding, spread, bias)
    if groups == in_channels and out_channels % in_channels == 0:
        return DepthwiseConv2d(window, steps, padding, spread, bias, out_channels // in_channels)
    return GroupedConv2d(out_channels, groups, window, steps, padding, spread, bias)


def pair(value: int | tuple[int, ...]) -> Pair:
    """`value` for both axes, unless it is two values already."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def symmetric_padding(kernel_size: int, dilation: int = 1) -> tuple[int, int, int, int]:
    """The usual padding of torch, (kernel - 1)*dilation // 2 on every side."""
    side = (kernel_size - 1) * dilation // 2
    return (side, side, side, side)
