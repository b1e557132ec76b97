"""Elementwise operators: nonlinearities, arithmetic of two tensors, and arithmetic with a constant.

Other FLOPs: one for each arithmetic operation and output element; a comparison, exp, tanh, erf, sqrt or division is one
operation. The class attribute `FLOPS` states the operations an element, with the expression that is counted.
"""

from __future__ import annotations

from typing import Any, ClassVar

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Part, Shapes, Specs, operator
from costmodel.ops._shapes import broadcast, require_arguments
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

    def parts(self, inputs: Specs, outputs: Specs) -> tuple[Part, ...]:
        elements = outputs[0].numel
        return (Part("sigmoid", _elementwise(elements, elements, 4, 1), (0,)), Part("multiply", _elementwise(2 * elements, elements, 1), (0,)))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.silu(tensors[0])


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
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (_IMAGE, _IMAGE)),
            Example(cls(), (_IMAGE, TensorSpec((2, 8, 1, 1)))),
            Example(cls(), (TensorSpec((2, 5, 8)), TensorSpec((1, 5, 8)))),
        )


@operator
class Add(_Binary):
    """a + b."""

    aten = ("aten.add.Tensor",)
    onnx = ("Add",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] + tensors[1]


@operator
class Subtract(_Binary):
    """a - b."""

    aten = ("aten.sub.Tensor",)
    onnx = ("Sub",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] - tensors[1]


@operator
class Multiply(_Binary):
    """a * b."""

    aten = ("aten.mul.Tensor",)
    onnx = ("Mul",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] * tensors[1]


@operator
class Divide(_Binary):
    """a / b."""

    aten = ("aten.div.Tensor",)
    onnx = ("Div",)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] / tensors[1]


@operator
class Scale(_Unary):
    """x times a constant: 1."""

    factor: float = 1.0

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0] * self.factor


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
