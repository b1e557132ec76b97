"""Elements rearranged in blocks and windows: shuffled channels, blocks as channels, shifted positions, sliding windows, parts overwritten."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import VIEW_WORK, Example, Operator, Specs, operator
from costmodel.ops._shapes import moved, require_arguments, require_rank
from costmodel.ops.layout import Identity, Permute, Reshape, Slice, reshaped
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 12, 5, 7))
_ROWS = TensorSpec((2, 5, 8))


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
        return moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        (x,) = tensors
        batch, channels, height, width = x.shape
        return x.reshape(batch, self.groups, channels // self.groups, height, width).transpose(1, 2).reshape(x.shape)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(call.get("groups")), call.tensor("self"))

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
        return moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.pixel_unshuffle(tensors[0], self.block)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(call.get("downscale_factor", call.get("blocksize"))), call.tensors[0])

    from_onnx = from_aten

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        image = TensorSpec((2, 6, 12, 24))
        return (Example(cls(), (image,)), Example(cls(4), (image,)), Example(cls(3), (image,)))


@operator
class DepthToSpace(Operator):
    """Channels in groups of `block`^2 as blocks of positions: (N, C, H, W) to (N, C/block^2, H*block, W*block)."""

    aten = ("aten.pixel_shuffle.default",)
    onnx = ("DepthToSpace",)

    block: int = 2

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        if self.block < 1 or x.shape[1] % self.block**2:
            raise ShapeError(f"blocks of {self.block}x{self.block} do not divide {x.shape[1]} channels")
        return (TensorSpec((x.shape[0], x.shape[1] // self.block**2, x.shape[2] * self.block, x.shape[3] * self.block), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.pixel_shuffle(tensors[0], self.block)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(call.get("upscale_factor", call.get("blocksize"))), call.tensors[0])

    from_onnx = from_aten

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls(1), (_IMAGE,)), Example(cls(3), (TensorSpec((1, 9, 2, 4)),)))


@operator
class Roll(Operator):
    """Positions shifted around the edge along two `axes`, by default (H, W) of (N, H, W, C). Source: Swin, arXiv 2103.14030, section 3.2."""

    aten = ("aten.roll.default",)
    onnx = ("Roll",)  # no operator of the format: two slices joined again

    shifts: tuple[int, int]
    axes: tuple[int, int] = (1, 2)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if not all(0 <= axis < len(inputs[0].shape) for axis in self.axes):
            raise ShapeError(f"axes {self.axes} do not exist in {len(inputs[0].shape)} dimensions")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].roll(self.shifts, self.axes)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        x = call.tensors[0]
        moves = dict(zip((axis % len(x.shape) for axis in call.ints("dims", ())), call.ints("shifts"), strict=True))
        axes = tuple(sorted({*moves, *((1, 2) if len(moves) < 2 and len(x.shape) > 2 else ())}))[:2]
        if len(axes) != 2 or not moves.keys() <= set(axes):
            return None
        return call.add(cls((moves.get(axes[0], 0), moves.get(axes[1], 0)), axes), x)

    from_onnx = from_aten

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(shifts), (TensorSpec((2, 8, 8, 4)),)) for shifts in ((3, 3), (-3, -3), (0, 1)))


@operator
class Windows(Operator):
    """Sliding windows of `size` every `step` along `axis` as a new last dimension: a view."""

    aten = ("aten.unfold.default",)

    axis: int
    size: int
    step: int

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if not 0 <= self.axis < len(shape) or not 1 <= self.size <= shape[self.axis] or self.step < 1:
            raise ShapeError(f"windows of {self.size} every {self.step} do not fit axis {self.axis} of {shape}")
        count = (shape[self.axis] - self.size) // self.step + 1
        return (TensorSpec((*shape[: self.axis], count, *shape[self.axis + 1 :], self.size), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].unfold(self.axis, self.size, self.step)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x = call.tensor("self")
        return call.add(cls(call.get("dimension") % len(x.shape), call.get("size"), call.get("step")), x)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(2, 3, 1), (_IMAGE,)), Example(cls(3, 4, 4), (_IMAGE,)), Example(cls(1, 5, 1), (_ROWS,)))


@operator
class Patches(Operator):
    """Every window of an image as a column: out (N, C*taps, windows), torch's im2col."""

    aten = ("aten.im2col.default",)

    kernel_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 4, "the image")
        batch, channels, *size = inputs[0].shape
        counts = [(size[axis] + 2 * self.padding[axis] - self.dilation[axis] * (self.kernel_size[axis] - 1) - 1) // self.stride[axis] + 1 for axis in (0, 1)]
        if min(counts) < 1:
            raise ShapeError(f"windows of {self.kernel_size} do not fit {size[0]}x{size[1]}")
        return (TensorSpec((batch, channels * math.prod(self.kernel_size), counts[0] * counts[1]), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.COPY, outputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.unfold(tensors[0], self.kernel_size, self.dilation, self.padding, self.stride)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        pairs = (call.ints(name, default, count=2) for name, default in (("kernel_size", None), ("stride", 1), ("padding", 0), ("dilation", 1)))
        return call.add(cls(*((a, b) for a, b in pairs)), call.tensor("self"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((3, 3), (1, 1), (1, 1)), (_IMAGE,)), Example(cls((2, 2), (2, 2)), (_IMAGE,)), Example(cls((2, 2), dilation=(2, 2)), (_IMAGE,)))


@operator
class FoldPatches(Operator):
    """Columns of windows added up into an image of `size`, torch's col2im; the inverse of `Patches`. An addition an element."""

    aten = ("aten.col2im.default",)

    size: tuple[int, int]
    kernel_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 3, "the columns")
        batch, columns, _ = inputs[0].shape
        if columns % math.prod(self.kernel_size):
            raise ShapeError(f"windows of {self.kernel_size} do not divide columns of {columns}")
        return (TensorSpec((batch, columns // math.prod(self.kernel_size), *self.size), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return dataclasses.replace(moved(WorkKind.COPY, inputs[0].numel, outputs[0].numel), other_flops=inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.fold(tensors[0], self.size, self.kernel_size, self.dilation, self.padding, self.stride)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        names = (("output_size", None), ("kernel_size", None), ("stride", 1), ("padding", 0), ("dilation", 1))
        pairs = (call.ints(name, default, count=2) for name, default in names)
        return call.add(cls(*((a, b) for a, b in pairs)), call.tensor("self"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls((5, 7), (3, 3), (1, 1), (1, 1)), (TensorSpec((2, 36, 35)),)),
            Example(cls((4, 4), (2, 2), (2, 2)), (TensorSpec((1, 8, 4)),)),
            Example(cls((4, 4), (2, 2), dilation=(2, 2)), (TensorSpec((1, 4, 4)),)),
        )


@operator
class Flip(Operator):
    """Elements in reverse order along `axes`, copied."""

    aten = ("aten.flip.default",)

    axes: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if any(not -len(inputs[0].shape) <= axis < len(inputs[0].shape) for axis in self.axes):
            raise ShapeError(f"axes {self.axes} do not exist in {len(inputs[0].shape)} dimensions")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].flip(self.axes)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(call.ints("dims")), call.tensor("self"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((1,)), (_ROWS,)), Example(cls((2, 3)), (_IMAGE,)), Example(cls((-1,)), (_ROWS,)))


@operator
class Overwrite(Operator):
    """A tensor with other elements from `start` to `stop` of `axis`, every `step`-th: those of the second input, which alone move.

    With `squeeze` the second input lacks the axis, as what a `Slice` with it gives.
    """

    aten = ("aten.slice_scatter.default", "aten.select_scatter.default")

    axis: int
    start: int
    stop: int
    step: int = 1
    squeeze: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        x, part = inputs
        (wanted,) = Slice(self.axis, self.start, self.stop, self.step, self.squeeze).infer(x)
        if wanted.shape != part.shape:
            raise ShapeError(f"{part.shape} does not fill {wanted.shape}")
        return (x,)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.COPY, inputs[1].numel, inputs[1].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        x, part = tensors
        changed = x.clone()
        place = self.start if self.squeeze else slice(self.start, self.stop, self.step)
        changed[(slice(None),) * self.axis + (place,)] = part
        return changed

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x, part = call.tensor("self"), call.tensor("src")
        axis = call.get("dim", 0) % len(x.shape)
        size = x.shape[axis]
        if call.name == "aten.select_scatter.default":
            place = call.get("index") % size
            return call.add(cls(axis, place, place + 1, 1, True), x, part)
        start, stop, step = slice(call.get("start"), call.get("end"), call.get("step", 1)).indices(size)
        if (start, stop, step) == (0, size, 1):
            return call.add(Identity(), part)
        if call.follows_batch(size):
            raise UnreadableCallError("part of the batch is written to")
        return call.add(cls(axis, start, stop, step), x, part)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(1, 0, 6), (_IMAGE, TensorSpec((2, 6, 5, 7)))),
            Example(cls(2, 0, 5, 2), (_IMAGE, TensorSpec((2, 12, 3, 7)))),
            Example(cls(1, 4, 5, squeeze=True), (_ROWS, TensorSpec((2, 8)))),
        )


def put_back(call: Call, step: Operator, whole: Operand, part: Operand) -> Operand:
    """`whole` after `part`, which is what `step` makes of it, was written to.

    Raises
    ------
    UnreadableCallError
        If the step cannot be undone.
    """
    if isinstance(step, Slice):
        return call.add(Overwrite(step.axis, step.start, step.stop, step.step, step.squeeze), whole, part, suffix="write")
    if isinstance(step, Reshape):
        return reshaped(call, part, whole.shape)
    if isinstance(step, Permute):
        return call.add(Permute(tuple(step.order.index(axis) for axis in range(len(step.order)))), part)
    if not isinstance(step, Identity) or part.shape != whole.shape:
        raise UnreadableCallError(f"writing to a view by {type(step).__name__}")
    return part
