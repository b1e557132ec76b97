"""Elementwise operators: nonlinearities, arithmetic of two tensors, and arithmetic with a constant.

Other FLOPs: one for each arithmetic operation and output element; a comparison, exp, tanh, erf, sqrt or division is one
operation. The class attribute `FLOPS` states the operations an element, with the expression that is counted.
"""

from __future__ import annotations

from typing import Any, ClassVar

from costmodel.operator import Example, Operator, Part, Shapes, Specs, operator
from costmodel.ops._onnx import number
from costmodel.ops._shapes import require_arguments
from costmodel.ops.arithmetic import Multiply, Offset, Scale
from costmodel.ops.layout import Split
from costmodel.recognition import Call, Operand
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
    aten = ("aten.prelu.default", "aten._prelu_kernel.default")
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
    aten = ("aten.sigmoid.default", "aten.glu.default")
    onnx = ("Sigmoid",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].sigmoid()

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x = call.tensors[0]
        if call.name != "aten.glu.default":
            return call.add(cls(), x)
        axis = call.get("dim", -1) % len(x.shape)  # one half times the sigmoid of the other, arXiv 1612.08083, section 2
        half = x.shape[axis] // 2
        value, gate = call.add_all(Split((half, half), axis), x, suffix="halves")
        return call.add(Multiply(), value, call.add(cls(), gate, suffix="gate"))


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


def clamped(call: Call, x: Operand, low: Any, high: Any) -> Operand | None:
    """`x` kept between two numbers, either of which may be absent."""
    if isinstance(low, Operand) or isinstance(high, Operand):
        return None
    if low is not None and high is not None:
        return call.add(ReLU6() if (low, high) == (0, 6) else Clamp(float(low), float(high)), x)
    from costmodel.ops.functions import Pairwise  # no network of the zoo needs it

    if low is not None:
        return call.add(ReLU() if low == 0 else Pairwise("maximum", float(low)), x)
    return None if high is None else call.add(Pairwise("minimum", float(high)), x)
