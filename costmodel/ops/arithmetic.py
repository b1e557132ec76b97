"""Arithmetic of two tensors with numpy's broadcasting, with a constant, and with a learned factor for each channel.

Other FLOPs: one for each output element.
"""

from __future__ import annotations

from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Shapes, Specs, operator
from costmodel.ops._onnx import is_number
from costmodel.ops._shapes import broadcast, require_arguments
from costmodel.ops.layout import Cast, reshaped
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 8, 5, 7))
_ROWS = TensorSpec((2, 5, 8))


def _work(read: int, written: int, parameters: int = 0) -> Work:
    return Work(kind=WorkKind.ELEMENTWISE, elements_read=read, elements_written=written, other_flops=written, parameters=parameters)


class _Binary(Operator):
    """Arithmetic of two tensors with numpy's broadcasting: 1 an output element."""

    __slots__ = ()

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        return (broadcast(*inputs),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        first, second = inputs
        return _work(first.numel + second.numel, outputs[0].numel)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        first, second = call.get("self"), call.get("other")
        if call.name == "aten.addcmul.default":
            second = Multiply.of(call, call.tensor("tensor1"), call.tensor("tensor2"), suffix="product")
            alpha = call.get("value", 1)
            return None if second is None or alpha != 1 else cls.of(call, first, second)
        alpha = call.get("alpha", 1)
        if not isinstance(first, Operand) or isinstance(second, complex):
            return None
        if alpha != 1:
            second = alpha * second if not isinstance(second, Operand) else call.add(Scale(float(alpha)), second, suffix="alpha")
        return cls.of(call, first, second)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        first, second = call.tensor("A"), call.tensor("B")
        if is_number(second) and not (cls is Divide and not second.value):
            return cls.of(call, first, second.value)
        if is_number(first) and cls is Subtract:
            return call.add(Offset(float(first.value), True), second)
        return cls.of(call, second, first.value) if is_number(first) and cls in (Add, Multiply) else cls.of(call, first, second)

    @classmethod
    def of(cls, call: Call, first: Operand, second: Operand | float, suffix: str = "") -> Operand | None:
        """The class applied to a tensor and another or a number; with a learned factor for each channel it is a `LayerScale`."""
        if isinstance(second, Operand):
            scaled = _channel_scaled(call, first, second, suffix) if cls is Multiply else None
            return scaled or call.add(cls(), first, second, suffix=suffix)
        number = float(second)
        if cls is Divide and not number:
            raise UnreadableCallError(f"{call.name} by zero")
        if call.outputs[0].dtype.is_floating and not first.spec.dtype.is_floating:
            first = call.add(Cast(call.outputs[0].dtype), first, suffix="cast")  # whole numbers with a fraction make real ones
        if cls in (Add, Subtract):
            return call.add(Offset(number if cls is Add else -number), first, suffix=suffix)
        return call.add(Scale(number if cls is Multiply else 1 / number), first, suffix=suffix)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (_IMAGE, _IMAGE)),
            Example(cls(), (_IMAGE, TensorSpec((2, 8, 1, 1)))),
            Example(cls(), (TensorSpec((2, 5, 8)), TensorSpec((1, 5, 8)))),
        )


@operator
class Add(_Binary):
    """a + b."""

    aten = ("aten.add.Tensor", "aten.add.Scalar", "aten.addcmul.default")
    onnx = ("Add",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] + tensors[1]


@operator
class Subtract(_Binary):
    """a - b."""

    aten = ("aten.sub.Tensor", "aten.sub.Scalar")
    onnx = ("Sub",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] - tensors[1]


@operator
class Multiply(_Binary):
    """a * b."""

    aten = ("aten.mul.Tensor", "aten.mul.Scalar", "aten.outer.default")
    onnx = ("Mul",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] * tensors[1]

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if call.name == "aten.outer.default":
            rows, columns = call.tensors
            return call.add(cls(), reshaped(call, rows, (*rows.shape, 1)), columns)
        return super(cls, cls).from_aten(call)


@operator
class Divide(_Binary):
    """a / b."""

    aten = ("aten.div.Tensor", "aten.div.Scalar", "aten.div.Tensor_mode", "aten.true_divide.Tensor")
    onnx = ("Div",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] / tensors[1]


@operator
class Scale(Operator):
    """x times a constant: 1."""

    factor: float = 1.0

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _work(elements, elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] * (self.factor if tensors[0].is_floating_point() else int(self.factor))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_ROWS,)), Example(cls(0.125), (TensorSpec((3, 11)),)), Example(cls(-2.0), (TensorSpec((1, 4, 1, 1)),)))


@operator
class Offset(Operator):
    """x plus a constant, or with `negate` the constant minus x: 1."""

    aten = ("aten.rsub.Scalar",)

    amount: float = 1.0
    negate: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _work(elements, elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        amount = self.amount if tensors[0].is_floating_point() else int(self.amount)
        return amount - tensors[0] if self.negate else tensors[0] + amount

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(float(call.get("other")), True), call.tensor("self"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_ROWS,)), Example(cls(3.0), (_ROWS,)), Example(cls(1.0, True), (_ROWS,)))


@operator
class LayerScale(Operator):
    """x times a learned factor for each channel on `axis`: 1. Source: CaiT, arXiv 2103.17239, section 2."""

    axis: int = -1

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        rank = len(inputs[0].shape)
        if not -rank <= self.axis < rank:
            raise ShapeError(f"axis {self.axis} does not exist in {rank} dimensions")
        return inputs

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {"weight": (inputs[0].shape[self.axis],)}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _work(elements, elements, inputs[0].shape[self.axis])

    def run(self, *tensors: Any, **weights: Any) -> Any:
        (x,) = tensors
        shape = [1] * x.dim()
        shape[self.axis] = -1
        return x * weights["weight"].reshape(shape)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls(1), (TensorSpec((3, 11)),)), Example(cls(1), (TensorSpec((1, 4, 1, 1)),)))


def _channel_scaled(call: Call, first: Operand, second: Operand, suffix: str) -> Operand | None:
    """A `LayerScale`, if one of the two is a learned vector that nobody else owns and the other an activation."""
    for x, factor in ((first, second), (second, first)):
        axes = [axis for axis, size in enumerate(factor.shape, start=-len(factor.shape)) if size != 1]
        if (
            factor.origin == "parameter"
            and not x.is_weight
            and len(axes) == 1
            and len(factor.shape) <= len(x.shape)
            and factor.shape[axes[0]] == x.shape[axes[0]]
        ):
            try:
                return call.add(LayerScale(axes[0] % len(x.shape) if axes[0] != -1 else -1), x, weights={"weight": factor}, suffix=suffix)
            except UnreadableCallError:
                return None
    return None
