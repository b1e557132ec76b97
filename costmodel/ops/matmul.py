"""Matrix products: activations times weights, activations times activations, and distances to fixed vectors."""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Shapes, Specs, operator
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind


@operator
class Linear(Operator):
    """x: (..., K); out: (..., N). MACs = rows * N * K."""

    autocast = "half"
    aten = ("aten.linear.default", "aten.addmm.default")
    onnx = ("Gemm",)

    out_features: int
    bias: bool = True

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        if not x.shape:
            raise ShapeError("takes at least one dimension")
        return (TensorSpec((*x.shape[:-1], self.out_features), x.dtype),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        shapes: dict[str, tuple[int, ...]] = {"weight": (self.out_features, inputs[0].shape[-1])}
        if self.bias:
            shapes["bias"] = (self.out_features,)
        return shapes

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        rows, k = math.prod(x.shape[:-1]), x.shape[-1]
        return Work(
            kind=WorkKind.LINEAR,
            m=rows,
            n=self.out_features,
            k=k,
            elements_read=x.numel,
            elements_written=y.numel,
            parameters=self.out_features * (k + self.bias),
            other_flops=y.numel if self.bias else 0,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.linear(tensors[0], weights["weight"], weights.get("bias"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(10), (TensorSpec((3, 7)),)),
            Example(cls(16, bias=False), (TensorSpec((2, 5, 8)),)),
            Example(cls(4), (TensorSpec((2, 3, 5, 8)),)),
        )


@operator
class MatMul(Operator):
    """a: (..., M, K), b: (..., K, N); out: (..., M, N), batch axes broadcast. MACs = batch * M * N * K."""

    autocast = "half"
    aten = ("aten.matmul.default", "aten.bmm.default", "aten.mm.default")
    onnx = ("MatMul",)

    transpose_b: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        a, b = inputs
        if len(a.shape) < 2 or len(b.shape) < 2:
            raise ShapeError("takes matrices: at least two dimensions each")
        rows, columns = (b.shape[-1], b.shape[-2]) if self.transpose_b else (b.shape[-2], b.shape[-1])
        if a.shape[-1] != rows:
            raise ShapeError(f"the inner dimensions differ: {a.shape[-1]} against {rows}")
        longer, shorter = (a.shape[:-2], b.shape[:-2]) if len(a.shape) >= len(b.shape) else (b.shape[:-2], a.shape[:-2])
        shorter = (1,) * (len(longer) - len(shorter)) + shorter
        if any(x != y and 1 not in (x, y) for x, y in zip(longer, shorter, strict=True)):
            raise ShapeError(f"the batch dimensions {a.shape[:-2]} and {b.shape[:-2]} do not broadcast")
        batch = tuple(max(x, y) for x, y in zip(longer, shorter, strict=True))
        return (TensorSpec((*batch, a.shape[-2], columns), a.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (a, b), (y,) = inputs, outputs
        return Work(
            kind=WorkKind.MATMUL,
            m=y.shape[-2],
            n=y.shape[-1],
            k=a.shape[-1],
            groups=math.prod(y.shape[:-2]),
            elements_read=a.numel + b.numel,
            elements_written=y.numel,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        a, b = tensors
        return a @ (b.transpose(-1, -2) if self.transpose_b else b)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (TensorSpec((5, 7)), TensorSpec((7, 3)))),
            Example(cls(), (TensorSpec((2, 4, 5, 7)), TensorSpec((2, 4, 7, 3)))),
            Example(cls(transpose_b=True), (TensorSpec((6, 5, 7)), TensorSpec((6, 3, 7)))),
        )


@operator
class RadialBasis(Operator):
    """Squared distance of x to each of `out_features` fixed codes, which are not learned. x: (N, K); out: (N, C).

    y_c = sum over k of (x_k - w_ck)^2: MACs = N * C * K, and as many subtractions. Source: LeNet-5, Proc. IEEE 86(11)
    1998, section II.B, equation 7. Without the buffer ``codes`` the codes are 0.
    """

    out_features: int

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 2, "the vectors")
        return (inputs[0].with_shape(inputs[0].shape[0], self.out_features),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        rows, k = x.shape
        return Work(
            kind=WorkKind.MATMUL,  # not linear, whose n*k weights are all parameters
            m=rows,
            n=self.out_features,
            k=k,
            elements_read=x.numel,
            elements_written=y.numel,
            other_flops=rows * self.out_features * k,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        (x,) = tensors
        codes = weights.get("codes")
        if codes is None:
            codes = x.new_zeros(self.out_features, x.shape[1])
        # |x - w|^2 as |x|^2 - 2 x.w + |w|^2, whose product torch counts as a contraction.
        return x.square().sum(1, keepdim=True) - 2 * (x @ codes.t()) + codes.square().sum(1)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(10), (TensorSpec((1, 84)),)), Example(cls(3), (TensorSpec((5, 7)),)), Example(cls(1), (TensorSpec((2, 1)),)))
