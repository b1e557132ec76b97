"""Elementwise operators: nonlinearities, arithmetic of two tensors, and arithmetic with a constant.

Other FLOPs: one for each arithmetic operation and output element; a comparison, exp, tanh, erf, sqrt or division is one
operation. The class attribute `FLOPS` states the operations an element, with the expression that is counted.
"""

from __future__ import annotations

from typing import Any, ClassVar

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Part, Shapes, Specs, operator
from costmodel.ops._onnx import is_number, number
from costmodel.ops._shapes import broadcast, require_arguments
from costmodel.ops.functions import Offset, Pairwise
from costmodel.ops.layout import Cast, Split, reshaped
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 8, 5, 7))


def _elementwise(read: int, written: int, flops: int, transcendentals: int = 0, parameters: int = 0) -> Work:
    return Work(
        kind=WorkKind.ELEMENTWISE,
        elements_read=read,
        elements_written=written,
        other_flops=flops * written,
        transcendentals=transcendentals * written,
        parameters=parameters,
    )


class _Unary(Operator):
    """A function of each element. FLOPS and TRANSCENDENTALS are per element."""

    __slots__ = ()

    FLOPS: ClassVar[int] = 1
    TRANSCENDENTALS: ClassVar[int] = 0

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _elementwise(elements, elements, self.FLOPS, self.TRANSCENDENTALS)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls(), (TensorSpec((3, 11)),)), Example(cls(), (TensorSpec((1, 4, 1, 1)),)))


@operator
class ReLU(_Unary):
    """max(x, 0): 1."""

    aten = ("aten.relu.default",)
    onnx = ("Relu",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].relu()


@operator
class ReLU6(_Unary):
    """min(max(x, 0), 6): 2."""

    FLOPS = 2
    aten = ("aten.relu6.default",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].clamp(0, 6)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        return None  # a Clip from 0 to 6


@operator
class Clamp(_Unary):
    """min(max(x, low), high): 2."""

    FLOPS = 2
    aten = ("aten.clamp.default", "aten.hardtanh.default")
    onnx = ("Clip",)

    low: float = -1.0
    high: float = 1.0

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].clamp(self.low, self.high)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        low, high = (call.get("min"), call.get("max")) if "clamp" in call.name else (call.get("min_val", -1.0), call.get("max_val", 1.0))
        return clamped(call, call.tensor("self"), low, high)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        return clamped(call, call.tensor("input"), number(call, "min"), number(call, "max"))


@operator
class LeakyReLU(_Unary):
    """x where x > 0, slope * x elsewhere: compare and multiply, 2."""

    FLOPS = 2
    aten = ("aten.leaky_relu.default",)
    onnx = ("LeakyRelu",)

    slope: float = 0.01

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.leaky_relu(tensors[0], self.slope)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(float(call.get("negative_slope", call.get("alpha", 0.01)))), call.tensors[0])

    from_onnx = from_aten


@operator
class PReLU(_Unary):
    """LeakyReLU with a learned slope for each channel: 2."""

    FLOPS = 2
    aten = ("aten.prelu.default",)
    onnx = ("PRelu",)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {"weight": (inputs[0].shape[1],)}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _elementwise(elements, elements, self.FLOPS, parameters=inputs[0].shape[1])

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.prelu(tensors[0], weights["weight"])

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x, slope = call.tensors
        return call.add(cls() if slope.spec.numel == x.shape[1] else SharedPReLU(), x, weights={"weight": slope})

    from_onnx = from_aten


@operator
class SharedPReLU(_Unary):
    """PReLU with one learned slope for all channels: 2. Source: arXiv 1502.01852, section 2.1, the channel-shared variant."""

    FLOPS = 2

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {"weight": (1,)}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _elementwise(elements, elements, self.FLOPS, parameters=1)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.prelu(tensors[0], weights["weight"])


@operator
class ELU(_Unary):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere: compare, exp, subtract, multiply, 4."""

    FLOPS = 4
    TRANSCENDENTALS = 1
    aten = ("aten.elu.default",)
    onnx = ("Elu",)

    alpha: float = 1.0

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.elu(tensors[0], self.alpha)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if call.get("scale", 1) != 1 or call.get("input_scale", 1) != 1:
            return None
        return call.add(cls(float(call.get("alpha", 1.0))), call.tensors[0])

    from_onnx = from_aten


@operator
class Sigmoid(_Unary):
    """1 / (1 + exp(-x)): negate, exp, add, divide, 4."""

    FLOPS = 4
    TRANSCENDENTALS = 1
    aten = ("aten.sigmoid.default",)
    onnx = ("Sigmoid",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].sigmoid()


@operator
class Tanh(_Unary):
    """tanh(x): 1."""

    TRANSCENDENTALS = 1
    aten = ("aten.tanh.default",)
    onnx = ("Tanh",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].tanh()


@operator
class SiLU(_Unary):
    """x * sigmoid(x), also called swish: sigmoid 4 and a multiplication, 5.

    A runtime without it runs a sigmoid and a multiplication that reads x again.
    """

    FLOPS = 5
    TRANSCENDENTALS = 1
    aten = ("aten.silu.default",)
    onnx = ("Swish",)

    def parts(self, inputs: Specs, outputs: Specs) -> tuple[Part, ...]:
        elements = outputs[0].numel
        return (Part("sigmoid", _elementwise(elements, elements, 4, 1), (0,)), Part("multiply", _elementwise(2 * elements, elements, 1), (0,)))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.silu(tensors[0])

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        return call.add(cls(), call.tensors[0]) if call.get("alpha", 1.0) == 1 else None


@operator
class HardSigmoid(_Unary):
    """min(max(x + 3, 0), 6) / 6: add, 2 clamps, multiply, 4. Source: MobileNetV3, arXiv 1905.02244, section 5.2."""

    FLOPS = 4
    aten = ("aten.hardsigmoid.default",)
    onnx = ("HardSigmoid",)

    def parts(self, inputs: Specs, outputs: Specs) -> tuple[Part, ...]:
        elements = outputs[0].numel
        return (Part("add_clamp", _elementwise(elements, elements, 3), (0,)), Part("multiply", _elementwise(elements, elements, 1)))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.hardsigmoid(tensors[0])

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        x, slope, shift = call.tensor("X"), call.get("alpha", 0.2), call.get("beta", 0.5)
        if abs(slope - 1 / 6) < 1e-6 and shift == 0.5:
            return call.add(cls(), x)
        return call.add(Clamp(0.0, 1.0), call.add(Offset(shift), call.add(Scale(slope), x, suffix="slope"), suffix="shift"))


@operator
class HardSwish(_Unary):
    """x * hard-sigmoid(x): 5. Source: MobileNetV3, arXiv 1905.02244, section 5.2."""

    FLOPS = 5
    aten = ("aten.hardswish.default",)
    onnx = ("HardSwish",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.hardswish(tensors[0])


@operator
class GELU(_Unary):
    """x/2 * (1 + erf(x / sqrt 2)): scale, erf, add, multiply, multiply, 5. Source: arXiv 1606.08415, section 2."""

    FLOPS = 5
    TRANSCENDENTALS = 1
    aten = ("aten.gelu.default",)
    onnx = ("Gelu",)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return Work(
            kind=WorkKind.ELEMENTWISE,
            elements_read=elements,
            elements_written=elements,
            other_flops=self.FLOPS * elements,
            transcendentals=elements,
            error_functions=elements,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.gelu(tensors[0])

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(TanhGELU() if call.get("approximate", "none") == "tanh" else cls(), call.tensors[0])

    from_onnx = from_aten


@operator
class TanhGELU(_Unary):
    """x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))): cube 2, scale, add, scale, tanh, add, multiply, scale, 9. Source: arXiv 1606.08415, section 2."""

    FLOPS = 9
    TRANSCENDENTALS = 1

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.gelu(tensors[0], approximate="tanh")


class _Binary(Operator):
    """Arithmetic of two tensors with numpy's broadcasting: 1 an output element."""

    __slots__ = ()

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        return (broadcast(*inputs),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        first, second = inputs
        return _elementwise(first.numel + second.numel, outputs[0].numel, 1)

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

    aten = ("aten.mul.Tensor", "aten.mul.Scalar", "aten.glu.default", "aten.outer.default")
    onnx = ("Mul",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] * tensors[1]

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if call.name == "aten.glu.default":  # one half times the sigmoid of the other, arXiv 1612.08083, section 2
            x = call.tensor("self")
            axis = call.get("dim", -1) % len(x.shape)
            half = x.shape[axis] // 2
            value, gate = call.add_all(Split((half, half), axis), x, suffix="halves")
            return call.add(cls(), value, call.add(Sigmoid(), gate, suffix="gate"))
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
class Scale(_Unary):
    """x times a constant: 1."""

    factor: float = 1.0

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] * (self.factor if tensors[0].is_floating_point() else int(self.factor))


@operator
class LayerScale(_Unary):
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
        return _elementwise(elements, elements, self.FLOPS, parameters=inputs[0].shape[self.axis])

    def run(self, *tensors: Any, **weights: Any) -> Any:
        (x,) = tensors
        shape = [1] * x.dim()
        shape[self.axis] = -1
        return x * weights["weight"].reshape(shape)


def clamped(call: Call, x: Operand, low: Any, high: Any) -> Operand | None:
    """`x` kept between two numbers, either of which may be absent."""
    if isinstance(low, Operand) or isinstance(high, Operand):
        return None
    if low is not None and high is not None:
        return call.add(ReLU6() if (low, high) == (0, 6) else Clamp(float(low), float(high)), x)
    if low is not None:
        return call.add(ReLU() if low == 0 else Pairwise("maximum", float(low)), x)
    return None if high is None else call.add(Pairwise("minimum", float(high)), x)


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
