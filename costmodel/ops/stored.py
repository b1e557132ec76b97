"""Stored tensors as operands, broadcasting them, and looking elements up."""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import VIEW_WORK, Example, Operator, Shapes, Specs, operator
from costmodel.ops._onnx import known, whole
from costmodel.ops._shapes import broadcast, moved, require_arguments
from costmodel.ops.layout import Identity, Slice, reshaped
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 12, 5, 7))
_ROWS = TensorSpec((2, 5, 8))


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
class Constant(Operator):
    """A stored tensor that is not learned: a table of indices, fixed positions, a filter of blurring. Does not follow the batch.

    One that is made rather than stored holds `first` + `growth` * place, its elements counted in order: zeros, a range; or,
    where `identity` is set, ones on its diagonal and zeros elsewhere.
    """

    aten = tuple(
        f"aten.{name}"
        for name in (
            *(
                f"{maker}.default"
                for maker in ("zeros", "ones", "full", "arange", "empty", "eye", "linspace", "new_zeros", "new_ones", "new_full", "new_empty")
            ),
            *(f"{maker}_like.default" for maker in ("zeros", "ones", "full", "empty")),
            *("eye.m", "zero.default", "fill.Scalar", "fill.Tensor", "arange.start", "arange.start_step", "scalar_tensor.default", "empty.memory_format"),
        )
    )
    onnx = ("ConstantOfShape", "Range")

    shape: tuple[int, ...]
    dtype: DType = DType.FP32
    first: float = 0.0
    growth: float = 0.0
    identity: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        if inputs:
            raise ShapeError("takes no input")
        if self.identity and len(self.shape) != 2:
            raise ShapeError(f"an identity is a matrix, not of shape {self.shape}")
        return (TensorSpec(self.shape, self.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return Work(kind=WorkKind.VIEW)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        stored = weights.get("weight")
        if stored is not None:
            return stored
        kind = torch.bool if self.dtype is DType.BOOL else torch.get_default_dtype() if self.dtype.is_floating else torch.int64
        return torch.from_numpy(self.made()).to(kind)

    def made(self) -> Any:
        """The numbers where none are stored, as a numpy array of float64."""
        import numpy as np

        if self.identity:
            rows, columns = self.shape
            return np.eye(rows, columns)
        return self.first + self.growth * np.arange(math.prod(self.shape), dtype=np.float64).reshape(self.shape)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        spec = call.outputs[0]
        identity = call.name.startswith("aten.eye")
        first, growth = (0.0, 0.0) if identity else _contents(call)
        if not spec.shape or not call.follows_batch(spec.shape[0]):
            return call.add(cls(spec.shape, spec.dtype, first, growth, identity))
        if identity:
            raise UnreadableCallError("an identity matrix as large as the batch")
        if growth:
            raise UnreadableCallError("a range as long as the batch")
        return expanded(call, call.add(cls((1, *spec.shape[1:]), spec.dtype, first)), spec.shape)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        spec = call.outputs[0]
        if not spec.shape or not call.follows_batch(spec.shape[0]):
            return call.add(cls(spec.shape, spec.dtype))
        return expanded(call, call.add(cls((1, *spec.shape[1:]), spec.dtype)), spec.shape)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((1, 1, 8)), ()), Example(cls((49, 49), DType.INT64), ()), Example(cls((3,)), ()), Example(cls((4, 4), identity=True), ()))


def _contents(call: Call) -> tuple[float, float]:
    """(first, growth) of the numbers that a call of torch makes."""
    name = call.name.split(".")[1]
    if name.startswith("arange"):
        return float(call.get("start", 0)), float(call.get("step", 1))
    if name == "linspace":
        start, end, steps = float(call.get("start")), float(call.get("end")), call.get("steps")
        return start, (end - start) / max(1, steps - 1)
    if "ones" in name:
        return 1.0, 0.0
    if "full" in name or name in ("fill", "scalar_tensor"):
        value = call.get("fill_value", call.get("value", call.get("s")))
        value = value.value if isinstance(value, Operand) else value
        if isinstance(value, int | float):
            return max(-3.4028234e38, min(3.4028234e38, float(value))), 0.0  # what JSON can hold
        raise UnreadableCallError(f"{call.name} with {value!r}, which is no number that is known")
    return 0.0, 0.0


@operator
class ExpandBatch(Operator):
    """A tensor of batch 1 repeated (as a view) to the batch of the second input."""

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
class Expand(Operator):
    """Sizes of 1 repeated as a view, by numpy's broadcasting, to `shape`; -1 keeps a size, new dimensions come first."""

    aten = ("aten.expand.default", "aten.expand_as.default", "aten.broadcast_to.default", "aten.copy.default")
    onnx = ("Expand",)

    shape: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        given = (1,) * (len(self.shape) - len(inputs[0].shape)) + inputs[0].shape
        if len(given) != len(self.shape) or any(new not in (-1, old) and old != 1 for old, new in zip(given, self.shape, strict=True)):
            raise ShapeError(f"{inputs[0].shape} does not broadcast to {self.shape}")
        return (TensorSpec(tuple(old if new == -1 else new for old, new in zip(given, self.shape, strict=True)), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return VIEW_WORK

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].expand(self.infer(TensorSpec(tuple(tensors[0].shape)))[0].shape)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x = call.tensor("src" if call.name == "aten.copy.default" else "self")
        return call.add(Identity(), x) if x.shape == call.outputs[0].shape else expanded(call, x, call.outputs[0].shape)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        return expanded(call, call.tensor("input"), call.outputs[0].shape)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls((-1, 5, 8)), (TensorSpec((2, 1, 8)),)),
            Example(cls((3, -1, -1)), (TensorSpec((5, 8)),)),
            Example(cls((-1, -1)), (TensorSpec((2, 5)),)),
        )


def expanded(call: Call, x: Operand, shape: tuple[int, ...]) -> Operand:
    """`x` broadcast to `shape`, whose dimension 0 may follow the batch."""
    given = (1,) * (len(shape) - len(x.shape)) + x.shape
    target = tuple(-1 if old == new or call.follows_batch(new) else new for old, new in zip(given, shape, strict=True))
    if len(given) != len(x.shape) or any(size != -1 for size in target):
        x = call.add(Expand(target), x, suffix="expand" if given[0] != shape[0] else "")
    if x.shape == shape:
        return x
    if x.shape[1:] != shape[1:] or shape[0] != call.carrier.shape[0]:
        raise UnreadableCallError(f"{x.shape} to {shape} repeats along the batch in a way that has no counterpart")
    return call.add(ExpandBatch(), x, call.carrier)


@operator
class Repeat(Operator):
    """The whole tensor `times` over along each dimension, copied."""

    aten = ("aten.repeat.default", "aten.tile.default", "aten.repeat_interleave.self_int")
    onnx = ("Tile",)

    times: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if len(self.times) != len(inputs[0].shape) or min(self.times, default=1) < 1:
            raise ShapeError(f"{self.times} are no {len(inputs[0].shape)} numbers of at least 1")
        return (TensorSpec(tuple(size * times for size, times in zip(inputs[0].shape, self.times, strict=True)), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.COPY, inputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].repeat(self.times)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        if call.name == "aten.repeat_interleave.self_int":
            x, times = call.tensor("self"), call.get("repeats")
            axis = call.get("dim", 0) % len(x.shape)
            x = reshaped(call, x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
            x = call.add(cls((1,) * (axis + 1) + (times,) + (1,) * (len(x.shape) - axis - 2)), x)
            return reshaped(call, x, call.outputs[0].shape)
        return repeated(call, call.tensor("self"), call.ints("repeats", call.get("dims")))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        return repeated(call, call.tensor("input"), whole(call, "repeats"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((1, 2, 1)), (_ROWS,)), Example(cls((1, 1, 3, 2)), (_IMAGE,)), Example(cls((2,)), (TensorSpec((3,)),)))


def repeated(call: Call, x: Operand, times: tuple[int, ...]) -> Operand:
    """`x` repeated, where `times` may have more dimensions and a first one that is the batch."""
    shape = (1,) * (len(times) - len(x.shape)) + x.shape
    if shape != x.shape:
        x = reshaped(call, x, shape)
    own = tuple(1 if call.follows_batch(count) else count for count in times)
    if any(count != 1 for count in own):
        x = call.add(Repeat(own), x)
    target = tuple(size * count for size, count in zip(shape, times, strict=True))
    return x if x.shape == target else expanded(call, x, target)


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
        return moved(WorkKind.GATHER, inputs[0].numel, outputs[0].numel, self.count * self.width)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.embedding(tensors[0], weights["weight"])

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        table = call.tensor("weight")
        return call.add(cls(*table.shape), call.tensor("indices"), weights={"weight": table})

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        table, indices = call.tensor("data"), call.tensor("indices")
        if table.origin != "parameter" or len(table.shape) != 2 or call.get("axis", 0) != 0 or indices.is_weight or indices.spec.dtype.is_floating:
            return None
        return call.add(cls(*table.shape), indices, weights={"weight": table})

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(20, 8), (TensorSpec(shape, DType.INT64),)) for shape in ((3,), (2, 5), (1, 1)))


@operator
class Index(Operator):
    """Elements at given positions: the tensors after the first index `axes` of it together, as numpy does with arrays."""

    aten = ("aten.index.Tensor", "aten.index_select.default")
    onnx = ("Gather", "GatherND")

    axes: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1 + len(self.axes))
        x, *indices = inputs
        if not self.axes or sorted(set(self.axes)) != list(self.axes) or not 0 <= self.axes[0] <= self.axes[-1] < len(x.shape):
            raise ShapeError(f"axes {self.axes} are no rising axes of {len(x.shape)} dimensions")
        picked = indices[0]
        for spec in indices[1:]:
            picked = broadcast(picked, spec)
        if any(spec.dtype is DType.BOOL for spec in indices):
            raise ShapeError("a mask picks a number of elements that depends on the data")
        together = self.axes[-1] - self.axes[0] + 1 == len(self.axes)
        first = self.axes[0] if together else 0
        kept = [size for axis, size in enumerate(x.shape) if axis not in self.axes]
        return (TensorSpec((*kept[:first], *picked.shape, *kept[first:]), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.GATHER, outputs[0].numel + sum(spec.numel for spec in inputs[1:]), outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        x, *indices = tensors
        places: list[Any] = [slice(None)] * x.dim()
        for axis, index in zip(self.axes, indices, strict=True):
            places[axis] = index
        return x[tuple(places)]

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x = call.tensor("self")
        if call.name == "aten.index_select.default":
            return call.add(cls((call.get("dim") % len(x.shape),)), x, call.tensor("index"))
        given = [(axis, index) for axis, index in enumerate(call.get("indices")) if index is not None]
        return call.add(cls(tuple(axis for axis, _ in given)), x, *(index for _, index in given))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        """A lookup; one at a known place, or at neighbouring ones, is a slice."""
        x, index = call.tensor("data"), call.tensor("indices")
        if call.name == "GatherND":
            if index.shape[-1:] != (1,) or call.get("batch_dims", 0):
                return None
            index = reshaped(call, index, index.shape[:-1])
        axis = call.get("axis", 0) % max(len(x.shape), 1)
        size = x.shape[axis]
        if index.value is not None and len(index.shape) < 2:
            places = [place % size for place in known(call, "indices")]
            if places == list(range(places[0], places[0] + len(places))) and not call.follows_batch(size):
                return call.add(Slice(axis, places[0], places[-1] + 1, 1, not index.shape), x)
        return call.add(cls((axis,)), x, index) if not call.follows_batch(size) else None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        index = TensorSpec((4,), DType.INT64)
        return (Example(cls((1,)), (_ROWS, index)), Example(cls((1, 2)), (_ROWS, index, TensorSpec((3, 1), DType.INT64))), Example(cls((2,)), (_ROWS, index)))


@operator
class Gather(Operator):
    """For each element of the index the element of x at that position of `axis`, torch's gather. Out: the index's shape."""

    aten = ("aten.gather.default",)
    onnx = ("GatherElements",)

    axis: int

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        return (TensorSpec(inputs[1].shape, inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.GATHER, 2 * outputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].gather(self.axis, tensors[1])

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(call.get("dim")), call.tensor("self"), call.tensor("index"))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        return call.add(cls(call.get("axis", 0)), call.tensor("data"), call.tensor("indices"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(axis), (_ROWS, TensorSpec(shape, DType.INT64))) for axis, shape in ((1, (2, 3, 8)), (2, (2, 5, 2)), (-1, (2, 5, 8))))
