"""Operators that move or select elements and compute nothing: joining, cutting, padding, reordering, looking up.

Shapes are stored relative to the batch (dimension 0 follows the input), so that a graph serves every batch.
"""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import VIEW_WORK, Example, Operator, Shapes, Specs, operator
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 12, 5, 7))


def _moved(kind: WorkKind, read: int, written: int, parameters: int = 0) -> Work:
    return Work(kind=kind, elements_read=read, elements_written=written, parameters=parameters)


@operator
class Concat(Operator):
    """Join tensors along `axis`."""

    aten = ("aten.cat.default",)
    onnx = ("Concat",)

    axis: int = 1

    def infer(self, *inputs: TensorSpec) -> Specs:
        if not inputs:
            raise ShapeError("takes at least one input")
        first = inputs[0].shape
        if not -len(first) <= self.axis < len(first):
            raise ShapeError(f"axis {self.axis} does not exist in {len(first)} dimensions")
        axis = self.axis % len(first)
        for spec in inputs[1:]:
            if len(spec.shape) != len(first) or any(a != b for i, (a, b) in enumerate(zip(first, spec.shape, strict=True)) if i != axis):
                raise ShapeError(f"shapes {first} and {spec.shape} differ outside axis {axis}")
        total = sum(spec.shape[axis] for spec in inputs)
        return (TensorSpec((*first[:axis], total, *first[axis + 1 :]), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.CONCAT, sum(spec.numel for spec in inputs), outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        return torch.cat(tensors, self.axis)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (_IMAGE, _IMAGE)),
            Example(cls(-1), (TensorSpec((2, 3)), TensorSpec((2, 5)), TensorSpec((2, 1)))),
            Example(cls(1), (TensorSpec((2, 1, 8)), TensorSpec((2, 9, 8)))),
        )


@operator
class Split(Operator):
    """Cut along `axis` into pieces of `sizes`; as many outputs."""

    aten = ("aten.split_with_sizes.default", "aten.chunk.default")
    onnx = ("Split",)

    sizes: tuple[int, ...]
    axis: int = 1

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if not -len(shape) <= self.axis < len(shape):
            raise ShapeError(f"axis {self.axis} does not exist in {len(shape)} dimensions")
        axis = self.axis % len(shape)
        if sum(self.sizes) != shape[axis] or any(size < 1 for size in self.sizes):
            raise ShapeError(f"pieces of {self.sizes} do not make up {shape[axis]}")
        return tuple(TensorSpec((*shape[:axis], size, *shape[axis + 1 :]), inputs[0].dtype) for size in self.sizes)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].split(self.sizes, self.axis)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((6, 6)), (_IMAGE,)), Example(cls((1, 3, 8)), (_IMAGE,)), Example(cls((4, 4), -1), (TensorSpec((2, 5, 8)),)))


@operator
class Slice(Operator):
    """Elements `start` to `stop` of `axis` (never the batch), every `step`-th."""

    aten = ("aten.slice.Tensor", "aten.select.int")
    onnx = ("Slice", "Gather")

    axis: int
    start: int
    stop: int
    step: int = 1
    squeeze: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if not 0 < self.axis < len(shape):
            raise ShapeError(f"axis {self.axis} must lie between 1 and {len(shape) - 1}: the batch is not cut")
        length = len(range(*slice(self.start, self.stop, self.step).indices(shape[self.axis])))
        if length < 1:
            raise ShapeError(f"{self.start}:{self.stop}:{self.step} selects nothing of {shape[self.axis]}")
        if self.squeeze and length != 1:
            raise ShapeError(f"only an axis of length 1 can be dropped, not {length}")
        kept = () if self.squeeze else (length,)
        return (TensorSpec((*shape[: self.axis], *kept, *shape[self.axis + 1 :]), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        written = outputs[0].numel
        return _moved(WorkKind.COPY, written, written)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        (x,) = tensors
        cut = x[(slice(None),) * self.axis + (slice(self.start, self.stop, self.step),)]
        return cut.squeeze(self.axis) if self.squeeze else cut

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(1, 0, 6), (_IMAGE,)), Example(cls(2, 0, 5, 2), (_IMAGE,)), Example(cls(1, 0, 1, squeeze=True), (TensorSpec((2, 5, 8)),)))


@operator
class Pad(Operator):
    """Add `value` around an image: (top, bottom, left, right)."""

    aten = ("aten.pad.default", "aten.constant_pad_nd.default")
    onnx = ("Pad",)

    sides: tuple[int, int, int, int]
    value: float = 0.0

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        height, width = x.shape[2] + self.sides[0] + self.sides[1], x.shape[3] + self.sides[2] + self.sides[3]
        if height < 1 or width < 1:
            raise ShapeError(f"the padding {self.sides} leaves nothing of {x.shape[2]}x{x.shape[3]}")
        return (TensorSpec((*x.shape[:2], height, width), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.PAD, inputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        top, bottom, left, right = self.sides
        return functional.pad(tensors[0], (left, right, top, bottom), value=self.value)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((1, 1, 1, 1)), (_IMAGE,)), Example(cls((0, 1, 0, 1)), (_IMAGE,)), Example(cls((0, -1, 0, -1)), (_IMAGE,)))


@operator
class PadChannels(Operator):
    """Channels of zeros after those of the input. x: (N, C, ...); out: (N, C + count, ...). Source: ENet, arXiv 1606.02147, section 3."""

    count: int

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        if len(x.shape) < 2 or self.count < 0:
            raise ShapeError(f"takes at least two dimensions and adds at least 0 channels, not {self.count}")
        return (TensorSpec((x.shape[0], x.shape[1] + self.count, *x.shape[2:]), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.PAD, inputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        (x,) = tensors
        return functional.pad(x, (0, 0) * (x.dim() - 2) + (0, self.count))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(4), (_IMAGE,)), Example(cls(0), (_IMAGE,)), Example(cls(3), (TensorSpec((2, 5)),)))


@operator
class Reshape(Operator):
    """The same elements in the shape (-1, *shape): dimension 0 takes what the others leave, so that it follows the batch."""

    aten = ("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")
    onnx = ("Reshape",)

    shape: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        rest = math.prod(self.shape)
        if rest < 1 or inputs[0].numel % rest:
            raise ShapeError(f"{inputs[0].numel} elements do not fill (-1, {', '.join(map(str, self.shape))})")
        return (TensorSpec((inputs[0].numel // rest, *self.shape), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].reshape(-1, *self.shape)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((420,)), (_IMAGE,)), Example(cls((3, 4, 35)), (_IMAGE,)), Example(cls((8,)), (TensorSpec((2, 5, 8)),)))


@operator
class Flatten(Operator):
    """All dimensions from `start` on as one."""

    aten = ("aten.flatten.using_ints",)
    onnx = ("Flatten",)

    start: int = 1

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if not 0 < self.start < len(shape):
            raise ShapeError(f"cannot flatten from dimension {self.start} of {len(shape)}")
        return (TensorSpec((*shape[: self.start], math.prod(shape[self.start :])), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].flatten(self.start)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls(2), (_IMAGE,)), Example(cls(), (TensorSpec((3, 4, 1, 1)),)))


@operator
class Permute(Operator):
    """Dimensions in another order: output dimension i is input dimension order[i]."""

    aten = ("aten.permute.default", "aten.transpose.int")
    onnx = ("Transpose",)

    order: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if sorted(self.order) != list(range(len(shape))):
            raise ShapeError(f"{self.order} is not an order of {len(shape)} dimensions")
        return (TensorSpec(tuple(shape[axis] for axis in self.order), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].permute(self.order)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((0, 2, 3, 1)), (_IMAGE,)), Example(cls((0, 2, 1)), (TensorSpec((2, 5, 8)),)), Example(cls((2, 0, 3, 1)), (_IMAGE,)))


@operator
class ChannelShuffle(Operator):
    """Channels (g, C/g) as (C/g, g). Source: ShuffleNet, arXiv 1707.01083, section 3.1."""

    aten = ("aten.channel_shuffle.default",)

    groups: int

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 4, "the image")
        if inputs[0].shape[1] % self.groups:
            raise ShapeError(f"{self.groups} groups do not divide {inputs[0].shape[1]} channels")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        (x,) = tensors
        batch, channels, height, width = x.shape
        return x.reshape(batch, self.groups, channels // self.groups, height, width).transpose(1, 2).reshape(x.shape)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(2), (_IMAGE,)), Example(cls(3), (_IMAGE,)), Example(cls(12), (_IMAGE,)))


@operator
class SpaceToDepth(Operator):
    """Blocks of `block` x `block` positions as channels. out: (N, C*block^2, H/block, W/block)."""

    aten = ("aten.pixel_unshuffle.default",)
    onnx = ("SpaceToDepth",)

    block: int = 2

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        if x.shape[2] % self.block or x.shape[3] % self.block:
            raise ShapeError(f"blocks of {self.block} do not divide {x.shape[2]}x{x.shape[3]}")
        return (TensorSpec((x.shape[0], x.shape[1] * self.block**2, x.shape[2] // self.block, x.shape[3] // self.block), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.pixel_unshuffle(tensors[0], self.block)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 6, 12, 24))
        return (Example(cls(), (image,)), Example(cls(4), (image,)), Example(cls(3), (image,)))


@operator
class Roll(Operator):
    """Positions shifted around the edge along (H, W) of (N, H, W, C), as shifted windows need. Source: Swin, arXiv 2103.14030, section 3.2."""

    aten = ("aten.roll.default",)

    shifts: tuple[int, int]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 4, "the image")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].roll(self.shifts, (1, 2))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(shifts), (TensorSpec((2, 8, 8, 4)),)) for shifts in ((3, 3), (-3, -3), (0, 1)))


@operator
class Parameter(Operator):
    """A learned tensor that is an operand: a class token, a position embedding. No inputs; does not follow the batch."""

    shape: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        if inputs:
            raise ShapeError("takes no input")
        return (TensorSpec(self.shape),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {"weight": self.shape}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return Work(kind=WorkKind.VIEW, parameters=math.prod(self.shape))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return weights["weight"]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(shape), ()) for shape in ((1, 1, 8), (1, 17, 8), (3,)))


@operator
class ExpandBatch(Operator):
    """A tensor of batch 1 repeated (as a view) to the batch of the second input."""

    aten = ("aten.expand.default",)
    onnx = ("Expand",)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        x, like = inputs
        if not x.shape or not like.shape or x.shape[0] != 1:
            raise ShapeError("takes a tensor whose dimension 0 is 1, and one with a batch")
        return (TensorSpec((like.shape[0], *x.shape[1:]), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        x, like = tensors
        return x.expand(like.shape[0], *x.shape[1:])

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(), (TensorSpec((1, *rest)), TensorSpec((4, 2)))) for rest in ((1, 8), (3,), (2, 2, 2)))


@operator
class Embedding(Operator):
    """Rows of a table looked up by index. x: (...) integers; out: (..., width)."""

    aten = ("aten.embedding.default",)
    onnx = ("Gather",)

    count: int
    width: int

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if inputs[0].dtype.is_floating:
            raise ShapeError("takes integer indices")
        return (TensorSpec((*inputs[0].shape, self.width)),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {"weight": (self.count, self.width)}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _moved(WorkKind.GATHER, inputs[0].numel, outputs[0].numel, self.count * self.width)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.embedding(tensors[0], weights["weight"])

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(20, 8), (TensorSpec(shape, DType.INT64),)) for shape in ((3,), (2, 5), (1, 1)))


class _PassThrough(Operator):
    """Does nothing at inference; kept so that a graph shows what was written."""

    __slots__ = ()

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(), (spec,)) for spec in (_IMAGE, TensorSpec((2, 5)), TensorSpec((3,))))


@operator
class Dropout(_PassThrough):
    """Random zeros in training; nothing at inference."""

    aten = ("aten.dropout.default",)
    onnx = ("Dropout",)


@operator
class Identity(_PassThrough):
    """The input itself."""

    aten = ("aten.alias.default", "aten.clone.default")
    onnx = ("Identity",)
