"""Operators that move or select elements and compute nothing: joining, cutting, reordering, other shapes of the same elements.

Shapes are stored relative to the batch (one dimension follows the input), so that a graph serves every batch.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import VIEW_WORK, Example, Operator, Specs, operator
from costmodel.ops._onnx import whole
from costmodel.ops._shapes import moved, require_arguments
from costmodel.recognition import Added, Call, Operand, UnreadableCallError
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 12, 5, 7))
_ROWS = TensorSpec((2, 5, 8))


@operator
class Concat(Operator):
    """Join tensors along `axis`."""

    aten = ("aten.cat.default", "aten.concat.default", "aten.stack.default")
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
        return moved(WorkKind.CONCAT, sum(spec.numel for spec in inputs), outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        return torch.cat(tensors, self.axis)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        axis, shape = call.get("dim", 0), call.outputs[0].shape
        parts = call.get("tensors")
        if call.name == "aten.stack.default":
            axis %= len(shape)
            parts = [reshaped(call, part, (*shape[:axis], 1, *shape[axis + 1 :])) for part in parts]
        if len(parts) == 1:
            return call.add(Identity(), *parts)
        return call.add(cls(axis), *parts)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        return call.add(cls(call.get("axis", 1)), *call.get("inputs", ()))

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

    aten = (
        *("aten.split_with_sizes.default", "aten.split.Tensor", "aten.split.sizes", "aten.chunk.default", "aten.tensor_split.sections"),
        *("aten.unsafe_split.Tensor", "aten.unsafe_split_with_sizes.default", "aten.unsafe_chunk.default"),
    )
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
        return moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].split(self.sizes, self.axis)

    @classmethod
    def from_aten(cls, call: Call) -> Added:
        x = call.tensor("self")
        axis = call.get("dim", 0)
        return call.add_all(cls(tuple(spec.shape[axis] for spec in call.outputs), axis), x)

    def cuts(self, rank: int) -> tuple[Slice, ...]:
        """The same pieces of a tensor of `rank` dimensions one by one."""
        ends = tuple(accumulate(self.sizes))
        return tuple(Slice(self.axis % rank, end - size, end) for end, size in zip(ends, self.sizes, strict=True))

    @classmethod
    def from_onnx(cls, call: Call) -> Added:
        axis = call.get("axis", 0)
        return call.add_all(cls(tuple(spec.shape[axis] for spec in call.outputs), axis), call.tensor("input"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((6, 6)), (_IMAGE,)), Example(cls((1, 3, 8)), (_IMAGE,)), Example(cls((4, 4), -1), (TensorSpec((2, 5, 8)),)))


@operator
class Slice(Operator):
    """Elements `start` to `stop` of `axis`, every `step`-th."""

    aten = ("aten.slice.Tensor", "aten.select.int", "aten.narrow.default", "aten.unbind.int")
    onnx = ("Slice", "Select")  # the latter is no operator of the format: a slice of 1 that loses its dimension

    axis: int
    start: int
    stop: int
    step: int = 1
    squeeze: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if not 0 <= self.axis < len(shape):
            raise ShapeError(f"axis {self.axis} must lie between 0 and {len(shape) - 1}")
        length = len(range(*slice(self.start, self.stop, self.step).indices(shape[self.axis])))
        if length < 1:
            raise ShapeError(f"{self.start}:{self.stop}:{self.step} selects nothing of {shape[self.axis]}")
        if self.squeeze and length != 1:
            raise ShapeError(f"only an axis of length 1 can be dropped, not {length}")
        kept = () if self.squeeze else (length,)
        return (TensorSpec((*shape[: self.axis], *kept, *shape[self.axis + 1 :]), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        written = outputs[0].numel
        if written == inputs[0].numel:
            return VIEW_WORK  # everything is taken
        return moved(WorkKind.COPY, written, written)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        (x,) = tensors
        cut = x[(slice(None),) * self.axis + (slice(self.start, self.stop, self.step),)]
        return cut.squeeze(self.axis) if self.squeeze else cut

    @classmethod
    def from_aten(cls, call: Call) -> Operand | Added:
        x = call.tensor("self")
        axis = call.get("dim", 0) % len(x.shape)
        size = x.shape[axis]
        if call.name == "aten.unbind.int":
            return tuple(call.add(cls(axis, place, place + 1, 1, True), x, suffix=str(place)) for place in range(len(call.outputs)))
        if call.name == "aten.select.int":
            place = call.get("index") % size
            return call.add(cls(axis, place, place + 1, 1, True), x)
        if call.name == "aten.narrow.default":
            return call.add(cls(axis, call.get("start"), call.get("start") + call.get("length")), x)
        start, stop, step = slice(call.get("start"), call.get("end"), call.get("step", 1)).indices(size)
        if (start, stop, step) == (0, size, 1):
            return call.add(Identity(), x)
        if call.follows_batch(size):
            raise UnreadableCallError("part of the batch is cut off")
        return call.add(cls(axis, start, stop, step), x)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        y = x = call.tensors[0]
        rank = len(x.shape)
        if call.name == "Select":
            axis, place = call.get("axis") % rank, call.get("index")
            return call.add(cls(axis, place, place + 1, 1, True), x)
        starts, ends = whole(call, "starts"), whole(call, "ends")
        places, steps = whole(call, "axes", tuple(range(len(starts)))), whole(call, "steps", (1,) * len(starts))
        if not len(starts) == len(ends) == len(places) == len(steps) or min(steps) < 1 or any(not -rank <= place < rank for place in places):
            return None
        for place, *bounds in zip(places, starts, ends, steps, strict=True):
            axis = place % rank
            start, stop, step = slice(*bounds).indices(x.shape[axis])
            if (start, stop, step) != (0, x.shape[axis], 1):
                if call.follows_batch(x.shape[axis]):
                    raise UnreadableCallError("part of the batch is cut off")
                y = call.add(cls(axis, start, stop, step), y)
        return call.add(Identity(), x) if y is x else y

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(1, 0, 6), (_IMAGE,)), Example(cls(2, 0, 5, 2), (_IMAGE,)), Example(cls(1, 0, 1, squeeze=True), (TensorSpec((2, 5, 8)),)))


@operator
class Reshape(Operator):
    """The same elements in `shape`, with one more dimension at position `free` that takes what the others leave: it follows the batch."""

    REARRANGES = True
    aten = (
        *(f"aten.{name}.default" for name in ("view", "reshape", "_unsafe_view", "reshape_as", "view_as", "_reshape_alias", "unsqueeze", "squeeze", "ravel")),
        *("aten.squeeze.dim", "aten.squeeze.dims", "aten.unflatten.int", "aten.flatten.using_ints"),
    )
    onnx = ("Reshape", "Squeeze", "Unsqueeze", "Flatten")

    shape: tuple[int, ...]
    free: int = 0

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        rest = math.prod(self.shape)
        shown = ", ".join(map(str, self.whole("-1")))
        if not 0 <= self.free <= len(self.shape):
            raise ShapeError(f"position {self.free} does not exist in {len(self.shape) + 1} dimensions")
        if rest < 1 or inputs[0].numel % rest:
            raise ShapeError(f"{inputs[0].numel} elements do not fill ({shown})")
        return (TensorSpec(self.whole(inputs[0].numel // rest), inputs[0].dtype),)

    def whole(self, size: Any) -> tuple[Any, ...]:
        """The shape with `size` in the free position."""
        return (*self.shape[: self.free], size, *self.shape[self.free :])

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].reshape(self.whole(-1))

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return reshaped(call, call.tensors[0], call.outputs[0].shape)

    from_onnx = from_aten

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        rows = TensorSpec((2, 5, 8))
        return (Example(cls((420,)), (_IMAGE,)), Example(cls((3, 4, 35)), (_IMAGE,)), Example(cls((8,)), (rows,)), Example(cls((5, 8), 1), (rows,)))


@operator
class Flatten(Operator):
    """All dimensions from `start` on as one."""

    REARRANGES = True

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

    REARRANGES = True
    aten = (
        "aten.permute.default",
        "aten.transpose.int",
        "aten.t.default",
        "aten.numpy_T.default",
        "aten.mT.default",
        "aten.movedim.int",
        "aten.swapaxes.default",
    )
    onnx = ("Transpose",)

    order: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if sorted(self.order) != list(range(len(shape))):
            raise ShapeError(f"{self.order} is not an order of {len(shape)} dimensions")
        return (TensorSpec(tuple(shape[axis] for axis in self.order), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        moving = [axis for axis in self.order if inputs[0].shape[axis] != 1]
        if moving == sorted(moving):
            return VIEW_WORK  # only sizes of 1 change places
        return moved(WorkKind.COPY, inputs[0].numel, inputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].permute(self.order)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x = call.tensors[0]
        rank = len(x.shape)
        order = list(range(rank))
        if call.name == "aten.permute.default":
            order = [axis % rank for axis in call.ints("dims")]
        elif call.name == "aten.movedim.int":
            order.insert(call.get("destination") % rank, order.pop(call.get("source") % rank))
        elif call.name == "aten.swapaxes.default":
            first, second = call.get("axis0") % rank, call.get("axis1") % rank
            order[first], order[second] = order[second], order[first]
        elif rank > 1:
            first, second = (call.get("dim0") % rank, call.get("dim1") % rank) if call.name == "aten.transpose.int" else (-2, -1)
            order[first], order[second] = order[second], order[first]
        return call.add(cls(tuple(order)), x)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        x = call.tensor("data")
        return call.add(cls(whole(call, "perm", tuple(range(len(x.shape)))[::-1])), x)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((0, 2, 3, 1)), (_IMAGE,)), Example(cls((0, 2, 1)), (TensorSpec((2, 5, 8)),)), Example(cls((2, 0, 3, 1)), (_IMAGE,)))


@operator
class Cast(Operator):
    """The elements in another type."""

    aten = ("aten.to.dtype", "aten._to_copy.default", "aten.to.dtype_layout", "aten.to.device", "aten.type_as.default", "aten.to.other", "aten.to.prim_Device")
    onnx = ("Cast", "CastLike")

    dtype: DType

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return (TensorSpec(inputs[0].shape, self.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = inputs[0].numel
        return VIEW_WORK if inputs[0].dtype is self.dtype else moved(WorkKind.CAST, elements, elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        names = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
        return tensors[0].to(getattr(torch, names.get(self.dtype, self.dtype)))

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x, dtype = call.tensors[0], call.outputs[0].dtype
        return call.add(Identity(), x) if x.spec.dtype is dtype else call.add(cls(dtype), x)

    from_onnx = from_aten

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(dtype), (_ROWS,)) for dtype in (DType.FP16, DType.INT64, DType.FP32))


class _PassThrough(Operator):
    """Does nothing at inference; kept so that a graph shows what was written."""

    __slots__ = ()

    REARRANGES = True

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0]

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(), call.tensors[0])

    from_onnx = from_aten

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(), (spec,)) for spec in (_IMAGE, TensorSpec((2, 5)), TensorSpec((3,))))


@operator
class Dropout(_PassThrough):
    """Random zeros in training; nothing at inference."""

    aten = ("aten.dropout.default", "aten.feature_dropout.default", "aten.native_dropout.default", "aten.alpha_dropout.default")
    onnx = ("Dropout",)


@operator
class Identity(_PassThrough):
    """The input itself."""

    aten = tuple(f"aten.{name}.default" for name in ("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "lift_fresh", "conj", "resolve_conj"))
    onnx = ("Identity",)


def reshaped(call: Call, x: Operand, shape: tuple[int, ...]) -> Operand:
    """`x` in a shape of the trace; the dimension that follows the batch stays free, otherwise the first.

    Raises
    ------
    UnreadableCallError
        If two dimensions follow the batch, or there are none at all.
    """
    if x.shape == shape:
        return x
    following = [axis for axis, size in enumerate(shape) if call.follows_batch(size)]
    if len(following) > 1 or not shape:
        raise UnreadableCallError(f"{x.shape} to {shape} has no single dimension that follows the batch")
    free = following[0] if following else 0
    return call.add(Reshape((*shape[:free], *shape[free + 1 :]), free), x)
