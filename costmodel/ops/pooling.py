"""Pooling over windows, over the whole image, and means over axes. x: (N, C, H, W)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Padding, Specs, operator
from costmodel.ops import _onnx
from costmodel.ops._shapes import PaddingMode, require_arguments, require_rank, resolve_padding, window_output
from costmodel.ops.convolution import pair
from costmodel.ops.layout import reshaped
from costmodel.recognition import Added, Call, Operand, UnreadableCallError
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind

Pair = tuple[int, int]

_IMAGE = TensorSpec((2, 8, 13, 15))


class _WindowPool(Operator):
    """Pooling over windows: taps - 1 operations an output, one more for a mean's division."""

    __slots__ = ()

    kernel_size: Pair
    stride: Pair
    padding: PaddingMode
    ceil: bool

    def padding_of(self, *inputs: TensorSpec) -> Padding:
        height, width = inputs[0].shape[2:]
        return resolve_padding(self.padding, (height, width), self.kernel_size, self.stride)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        size = window_output((x.shape[2], x.shape[3]), self.padding_of(x), self.kernel_size, self.stride, ceil=self.ceil)
        return (TensorSpec((*x.shape[:2], *size), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        taps = self.kernel_size[0] * self.kernel_size[1]
        return Work(
            kind=WorkKind.POOLING,
            taps=taps,
            stride=max(self.stride),
            spatial=y.shape[2] * y.shape[3],
            elements_read=x.numel,
            elements_written=y.numel,
            other_flops=y.numel * (taps - 1 + self.divides),
            comparisons=0 if self.divides else y.numel * (taps - 1),
        )

    @property
    def divides(self) -> int:
        """1 if each output is divided by the number of taps."""
        return 0


@operator
class MaxPool2d(_WindowPool):
    """Largest element of each window: taps - 1 comparisons."""

    aten = ("aten.max_pool2d.default", "aten.max_pool1d.default")
    onnx = ("MaxPool",)

    kernel_size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: PaddingMode = "valid"
    ceil: bool = False

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        (x,) = tensors
        padding = self.padding_of(TensorSpec(tuple(x.shape)))
        if (padding.top, padding.left) == (padding.bottom, padding.right):
            return functional.max_pool2d(x, self.kernel_size, self.stride, (padding.top, padding.left), ceil_mode=self.ceil)
        height, width = self.infer(TensorSpec(tuple(x.shape)))[0].shape[2:]
        x = functional.pad(x, (padding.left, padding.right, padding.top, padding.bottom), value=-math.inf)
        return functional.max_pool2d(x, self.kernel_size, self.stride, ceil_mode=self.ceil)[..., :height, :width]

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return _pooled(call, cls(*_window(call)))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | Added | None:
        if len(call.outputs) == 1:
            return _pooled(call, cls(*_onnx_window(call, call.tensor("X"))))
        x = call.tensor("X")
        size, stride, padding, ceil = _onnx_window(call, x)
        return call.add_all(MaxPoolIndices2d(size, stride, padding, ceil), x) if len(x.shape) == 4 else None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (_IMAGE,)),
            Example(cls((3, 3), (2, 2), (1, 1, 1, 1)), (_IMAGE,)),
            Example(cls((3, 3), (2, 2), "same"), (TensorSpec((2, 8, 14, 14)),)),
            Example(cls((3, 3), (2, 2), "valid", True), (TensorSpec((2, 8, 14, 14)),)),
        )


@operator
class MaxPoolIndices2d(_WindowPool):
    """Largest element of each window, and where in the image it stands (row * W + column): two outputs, for `MaxUnpool2d`."""

    aten = ("aten.max_pool2d_with_indices.default",)

    kernel_size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: PaddingMode = "valid"
    ceil: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        padding = self.padding_of(*inputs) if len(inputs) == 1 and len(inputs[0].shape) == 4 else None
        if padding is not None and (padding.top, padding.left) != (padding.bottom, padding.right):
            raise ShapeError("indices need the same padding on both sides")
        (largest,) = _WindowPool.infer(self, *inputs)
        return (largest, TensorSpec(largest.shape, DType.INT64))

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return dataclasses.replace(_WindowPool.work(self, inputs, outputs[:1]), elements_written=2 * outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        padding = self.padding_of(TensorSpec(tuple(tensors[0].shape)))
        return functional.max_pool2d(tensors[0], self.kernel_size, self.stride, (padding.top, padding.left), ceil_mode=self.ceil, return_indices=True)

    @classmethod
    def from_aten(cls, call: Call) -> Added:
        return call.add_all(cls(*_window(call)), call.tensor("self"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (_IMAGE,)),
            Example(cls((3, 3), (2, 2), (1, 1, 1, 1)), (_IMAGE,)),
            Example(cls((2, 2), (2, 2), "valid", True), (_IMAGE,)),
        )


@operator
class MaxUnpool2d(Operator):
    """Elements put back where `MaxPoolIndices2d` found them, zeros elsewhere. out: (N, C, H*stride, W*stride).

    Source: SegNet, arXiv 1511.00561, section 3.1.
    """

    stride: Pair = (2, 2)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        x, indices = inputs
        require_rank(x, 4, "the image")
        if x.shape != indices.shape or indices.dtype is not DType.INT64:
            raise ShapeError(f"takes an image and as many int64 indices, not {x} and {indices}")
        return (TensorSpec((*x.shape[:2], x.shape[2] * self.stride[0], x.shape[3] * self.stride[1]), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return Work(kind=WorkKind.COPY, elements_read=2 * inputs[0].numel, elements_written=outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.max_unpool2d(tensors[0], tensors[1], self.stride)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        pairs = tuple((TensorSpec(shape), TensorSpec(shape, DType.INT64)) for shape in ((2, 8, 5, 7), (1, 4, 1, 1)))
        return (Example(cls(), pairs[0]), Example(cls(), pairs[1]), Example(cls((3, 2)), pairs[0]))


@operator
class AvgPool2d(_WindowPool):
    """Mean of each window, padding left out of the divisor: taps - 1 additions and a division."""

    aten = ("aten.avg_pool2d.default", "aten.avg_pool1d.default", "aten.avg_pool3d.default")
    onnx = ("AveragePool",)

    kernel_size: Pair = (2, 2)
    stride: Pair = (2, 2)
    padding: PaddingMode = "valid"
    ceil: bool = False
    count_padding: bool = False

    @property
    def divides(self) -> int:
        return 1

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch
        from torch.nn import functional

        (x,) = tensors
        padding = self.padding_of(TensorSpec(tuple(x.shape)))
        if (padding.top, padding.left) == (padding.bottom, padding.right):
            return functional.avg_pool2d(
                x, self.kernel_size, self.stride, (padding.top, padding.left), ceil_mode=self.ceil, count_include_pad=self.count_padding
            )
        height, width = self.infer(TensorSpec(tuple(x.shape)))[0].shape[2:]
        sides = (padding.left, padding.right, padding.top, padding.bottom)
        counted = functional.pad(torch.ones_like(x), sides, value=float(self.count_padding))
        total, count = (
            functional.avg_pool2d(padded, self.kernel_size, self.stride, ceil_mode=self.ceil, divisor_override=1)
            for padded in (functional.pad(x, sides), counted)
        )
        return (total / count)[..., :height, :width]

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if call.get("divisor_override") is not None:
            return None
        if call.name == "aten.avg_pool3d.default":
            return cls._over_one_axis(call)
        return _pooled(call, cls(*_window(call), count_padding=bool(call.get("count_include_pad", True))))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        return _pooled(call, cls(*_onnx_window(call, call.tensor("X")), count_padding=bool(call.get("count_include_pad", 0))))

    @classmethod
    def _over_one_axis(cls, call: Call) -> Operand | None:
        """Pooling of volumes (N, C, D, H, W) along D alone, as torch's local response normalisation does: of images (N, C, D, H*W)."""
        x = call.tensor("self")
        kernel, sides = call.ints("kernel_size", count=3), call.ints("padding", 0, count=3)
        stride = call.ints("stride", kernel, count=3) or kernel
        if len(x.shape) != 5 or kernel[1:] != (1, 1) or stride[1:] != (1, 1) or any(sides) or call.get("ceil_mode", False):
            return None
        flat = reshaped(call, x, (*x.shape[:3], x.shape[3] * x.shape[4]))
        return reshaped(call, call.add(cls((kernel[0], 1), (stride[0], 1), (0, 0, 0, 0)), flat), call.outputs[0].shape)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (_IMAGE,)),
            Example(cls((3, 3), (1, 1), "same"), (_IMAGE,)),
            Example(cls((3, 3), (2, 2), "same"), (TensorSpec((2, 8, 14, 14)),)),
            Example(cls((3, 3), (2, 2), (1, 1, 1, 1), count_padding=True), (_IMAGE,)),
        )


class _AdaptivePool(Operator):
    """Windows laid so that the output has a given size; each input element is used about once."""

    __slots__ = ()

    size: Pair

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 4, "the image")
        if min(self.size) < 1:
            raise ShapeError(f"the output size must be at least 1x1, not {self.size[0]}x{self.size[1]}")
        return (TensorSpec((*inputs[0].shape[:2], *self.size), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        rows, columns = (_adaptive_taps(x.shape[2 + axis], self.size[axis]) for axis in (0, 1))
        taps_of_all = x.shape[0] * x.shape[1] * rows * columns
        return Work(
            kind=WorkKind.REDUCTION if self.size == (1, 1) else WorkKind.POOLING,
            taps=-(-taps_of_all // y.numel),
            spatial=self.size[0] * self.size[1],
            elements_read=x.numel,
            elements_written=y.numel,
            other_flops=taps_of_all,
        )

    @classmethod
    def from_aten(cls, call: Call) -> Operand | Added | None:
        x = call.tensors[0]
        if len(x.shape) == 3:
            y = call.add(cls((1, call.ints("output_size")[0])), reshaped(call, x, (*x.shape[:2], 1, x.shape[2])))  # type: ignore[call-arg]  # subclasses have the field
            return reshaped(call, y, call.outputs[0].shape)
        rows, columns = call.outputs[0].shape[2:]
        return call.add(cls((rows, columns)), x)  # type: ignore[call-arg]  # as above

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x = call.tensor("X")
        if len(x.shape) < 3:
            return None
        flat = x if len(x.shape) == 4 else reshaped(call, x, (*x.shape[:2], 1, math.prod(x.shape[2:])))
        return reshaped(call, call.add(cls((1, 1)), flat), call.outputs[0].shape)  # type: ignore[call-arg]  # as above


def _adaptive_taps(size: int, windows: int) -> int:
    """Sum of the window lengths along one axis; window i runs from floor(i*size/windows) to ceil((i+1)*size/windows).

    Neighbours share an element wherever their border i*size/windows is no whole number: `windows` - gcd of them.
    """
    return size + windows - math.gcd(size, windows)


@operator
class AdaptiveAvgPool2d(_AdaptivePool):
    """Mean over adaptive windows. ``(1, 1)`` is global average pooling."""

    aten = ("aten.adaptive_avg_pool2d.default", "aten._adaptive_avg_pool2d.default", "aten.adaptive_avg_pool1d.default")
    onnx = ("GlobalAveragePool",)

    size: Pair = (1, 1)

    def fvcore_flops(self, inputs: Specs, outputs: Specs) -> int:
        return inputs[0].numel

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.adaptive_avg_pool2d(tensors[0], self.size)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls((6, 6)), (_IMAGE,)), Example(cls((3, 2)), (_IMAGE,)))


@operator
class AdaptiveMaxPool2d(_AdaptivePool):
    """Largest element of adaptive windows."""

    aten = ("aten.adaptive_max_pool2d.default",)
    onnx = ("GlobalMaxPool",)

    size: Pair = (1, 1)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.adaptive_max_pool2d(tensors[0], self.size)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls((6, 6)), (_IMAGE,)), Example(cls((3, 2)), (_IMAGE,)))


@operator
class Mean(Operator):
    """Mean over `axes`: an addition an input element and a division an output."""

    aten = ("aten.mean.dim", "aten.mean.default")
    onnx = ("ReduceMean",)

    axes: tuple[int, ...] = (2, 3)
    keep: bool = True

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        rank = len(shape)
        if not self.axes or any(not -rank <= axis < rank for axis in self.axes):
            raise ShapeError(f"axes {self.axes} do not exist in {rank} dimensions")
        reduced = {axis % rank for axis in self.axes}
        kept = tuple(1 if axis in reduced else size for axis, size in enumerate(shape) if self.keep or axis not in reduced)
        return (TensorSpec(kept, inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        read, written = inputs[0].numel, outputs[0].numel
        return Work(kind=WorkKind.REDUCTION, taps=-(-read // written), elements_read=read, elements_written=written, other_flops=read)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].mean(self.axes, keepdim=self.keep)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x = call.tensor("self")
        axes = call.ints("dim", tuple(range(len(x.shape)))) or tuple(range(len(x.shape)))
        return call.add(cls(axes, bool(call.get("keepdim", False))), x)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        x = call.tensor("data")
        return call.add(cls(_onnx.axes(call, x), bool(call.get("keepdims", 1))), x)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls((1,), False), (TensorSpec((2, 5, 8)),)), Example(cls((-1,)), (TensorSpec((3, 4)),)))


def _window(call: Call) -> tuple[Pair, Pair, tuple[int, int, int, int], bool]:
    """(kernel size, stride, padding, ceil) of torch's pooling over windows; over one dimension it is over images of height 1."""
    rank = len(call.tensor("self").shape) - 2
    if set(call.ints("dilation", 1)) != {1} or rank not in (1, 2):
        raise UnreadableCallError("pooling with a dilation, or over other than one or two dimensions")
    kernel = call.ints("kernel_size", count=rank)
    stride = call.ints("stride", kernel, count=rank) or kernel
    sides = call.ints("padding", 0, count=rank)
    if rank == 1:
        kernel, stride, sides = (1, *kernel), (1, *stride), (0, *sides)
    return pair(kernel), pair(stride), (sides[0], sides[0], sides[1], sides[1]), bool(call.get("ceil_mode", False))


def _pooled(call: Call, made: Operator) -> Operand:
    """Add a pooling, over an image of height 1 where it is over one dimension."""
    x = call.tensors[0]
    if len(x.shape) == 4:
        return call.add(made, x)
    y = call.add(made, reshaped(call, x, (*x.shape[:2], 1, x.shape[2])))
    return reshaped(call, y, call.outputs[0].shape)


def _onnx_window(call: Call, x: Operand) -> tuple[Pair, Pair, tuple[int, int, int, int], bool]:
    """(kernel size, stride, padding, ceil) of an ONNX pool; over one dimension it is over images of height 1."""
    size = _onnx.whole(call, "kernel_shape")
    stride, sides, dilation = _onnx.window(call, x, size)
    if set(dilation) != {1} or len(size) > 2:
        raise UnreadableCallError("pooling with a dilation or over volumes")
    if len(size) == 1:
        size, stride, sides = (1, *size), (1, *stride), ((0, 0), *sides)
    return pair(size), pair(stride), (*sides[0], *sides[1]), bool(call.get("ceil_mode", 0))
