"""Convolutions over three dimensions. x: (N, C, D, H, W); out: (N, C', D', H', W')."""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Shapes, Specs, operator
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.recognition import Call, Operand
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

Triple = tuple[int, int, int]


@operator
class Conv3d(Operator):
    """Convolution over volumes, `padding` on both sides of each dimension. MACs = N*D'*H'*W' * C' * C/groups * taps."""

    autocast = "half"
    aten = ("aten.conv3d.default", "aten.convolution.default")

    out_channels: int
    kernel_size: Triple = (1, 1, 1)
    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)
    groups: int = 1
    bias: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 5, "the volume")
        if min(*self.kernel_size, *self.stride, *self.dilation, self.groups) < 1:
            raise ShapeError(f"{self}: sizes, strides, dilations and groups must be at least 1")
        if x.shape[1] % self.groups or self.out_channels % self.groups:
            raise ShapeError(f"{self.groups} groups do not divide {x.shape[1]} input and {self.out_channels} output channels")
        size = tuple(
            (x.shape[2 + axis] + 2 * self.padding[axis] - self.dilation[axis] * (self.kernel_size[axis] - 1) - 1) // self.stride[axis] + 1 for axis in range(3)
        )
        if min(size) < 1:
            raise ShapeError(f"the volume {x.shape[2:]} is smaller than the window {self.kernel_size}")
        return (TensorSpec((x.shape[0], self.out_channels, *size), x.dtype),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_channels, inputs[0].shape[1] // self.groups, *self.kernel_size)}
        return shapes | ({"bias": (self.out_channels,)} if self.bias else {})

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        taps, spatial = math.prod(self.kernel_size), math.prod(y.shape[2:])
        k = x.shape[1] // self.groups * taps
        kind = WorkKind.CONVOLUTION if self.groups == 1 else WorkKind.DEPTHWISE if self.groups == x.shape[1] else WorkKind.GROUPED
        return Work(
            kind=kind if taps > 1 or self.groups > 1 else WorkKind.POINTWISE,
            m=x.shape[0] * spatial,
            n=self.out_channels // self.groups,
            k=k,
            groups=self.groups,
            taps=taps,
            stride=max(self.stride),
            spatial=spatial,
            elements_read=x.numel,
            elements_written=y.numel,
            parameters=self.out_channels * (k + self.bias),
            other_flops=y.numel if self.bias else 0,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.conv3d(tensors[0], weights["weight"], weights.get("bias"), self.stride, self.padding, self.dilation, self.groups)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        x, weight, bias = call.tensors[0], call.tensor("weight"), call.get("bias")
        if call.get("transposed", False) or len(x.shape) != 5:
            return None
        stride, padding, dilation = (_triple(call.ints(name, default, count=3)) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1)))
        made = cls(weight.shape[0], _triple(weight.shape[2:]), stride, padding, dilation, call.get("groups", 1), bias is not None)
        return call.add(made, x, weights={"weight": weight} | ({} if bias is None else {"bias": bias}))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        volume = TensorSpec((2, 4, 5, 6, 7))
        return (
            Example(cls(8, (3, 3, 3), padding=(1, 1, 1), bias=True), (volume,)),
            Example(cls(4, (1, 3, 3), (1, 2, 2), (0, 1, 1), groups=4), (volume,)),
            Example(cls(6), (volume,)),
        )


@operator
class ConvTranspose3d(Operator):
    """Transposed convolution over volumes. MACs = N*D*H*W (of the input) * C * C'/groups * taps.

    out: D' = (D - 1)*stride - 2*padding + kernel + output_padding, H' and W' alike.
    """

    autocast = "half"
    aten = ("aten.conv_transpose3d.input", "aten.convolution.default")

    out_channels: int
    kernel_size: Triple = (2, 2, 2)
    stride: Triple = (2, 2, 2)
    padding: Triple = (0, 0, 0)
    output_padding: Triple = (0, 0, 0)
    groups: int = 1
    bias: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 5, "the volume")
        if min(*self.kernel_size, *self.stride, self.groups) < 1:
            raise ShapeError(f"{self}: sizes, strides and groups must be at least 1")
        if x.shape[1] % self.groups or self.out_channels % self.groups:
            raise ShapeError(f"{self.groups} groups do not divide {x.shape[1]} input and {self.out_channels} output channels")
        size = tuple(
            (x.shape[2 + axis] - 1) * self.stride[axis] - 2 * self.padding[axis] + self.kernel_size[axis] + self.output_padding[axis] for axis in range(3)
        )
        if min(size) < 1:
            raise ShapeError(f"the padding {self.padding} leaves no output: {size}")
        return (TensorSpec((x.shape[0], self.out_channels, *size), x.dtype),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        shapes: dict[str, tuple[int, ...]] = {"weight": (inputs[0].shape[1], self.out_channels // self.groups, *self.kernel_size)}
        return shapes | ({"bias": (self.out_channels,)} if self.bias else {})

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        taps, positions, wide = math.prod(self.kernel_size), math.prod(x.shape[2:]), self.out_channels // self.groups
        return Work(
            kind=WorkKind.TRANSPOSED,
            m=x.shape[0] * positions,
            n=wide * taps,
            k=x.shape[1] // self.groups,
            groups=self.groups,
            taps=taps,
            stride=max(self.stride),
            spatial=positions,
            elements_read=x.numel,
            elements_written=y.numel,
            parameters=x.shape[1] * wide * taps + self.out_channels * self.bias,
            other_flops=y.numel if self.bias else 0,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.conv_transpose3d(tensors[0], weights["weight"], weights.get("bias"), self.stride, self.padding, self.output_padding, self.groups)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        x, weight, bias = call.tensors[0], call.tensor("weight"), call.get("bias")
        if ("transpose" not in call.name and not call.get("transposed", False)) or len(x.shape) != 5 or set(call.ints("dilation", 1)) != {1}:
            return None
        groups = call.get("groups", 1)
        stride, padding, extra = (_triple(call.ints(name, default, count=3)) for name, default in (("stride", 1), ("padding", 0), ("output_padding", 0)))
        made = cls(weight.shape[1] * groups, _triple(weight.shape[2:]), stride, padding, extra, groups, bias is not None)
        return call.add(made, x, weights={"weight": weight} | ({} if bias is None else {"bias": bias}))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        volume = TensorSpec((2, 4, 3, 4, 5))
        return (
            Example(cls(6), (volume,)),
            Example(cls(8, (3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), bias=True), (volume,)),
            Example(cls(4, (2, 4, 4), (1, 2, 2), (0, 1, 1), groups=2), (volume,)),
        )


def _triple(values: tuple[int, ...]) -> Triple:
    first, second, third = values
    return (first, second, third)
