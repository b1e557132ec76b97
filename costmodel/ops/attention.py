"""Scaled dot-product attention and softmax."""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Part, Specs, operator
from costmodel.ops._shapes import require_arguments
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

#: Softmax per element: subtract the maximum (found by a comparison), exp, add to the sum, divide.
SOFTMAX_FLOPS = 5


@operator
class ScaledDotProductAttention(Operator):
    """softmax(q k^T / sqrt(d)) v. q: (N, heads, L, d), k: (N, heads, S, d), v: (N, heads, S, dv); out: (N, heads, L, dv).

    MACs = N*heads * L*S*(d + dv), the two matrix products; other FLOPs = N*heads*L*S * (scale 1 + softmax 5).
    Source: Vaswani et al., arXiv 1706.03762, section 3.2.1.
    """

    autocast = "half"
    aten = ("aten.scaled_dot_product_attention.default",)
    onnx = ("Attention",)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 3)
        q, k, v = inputs
        if not len(q.shape) == len(k.shape) == len(v.shape) >= 2:
            raise ShapeError("q, k and v need the same number of dimensions, at least two")
        if q.shape[:-2] != k.shape[:-2] or k.shape[:-1] != v.shape[:-1] or q.shape[-1] != k.shape[-1]:
            raise ShapeError("q (..., L, d), k (..., S, d) and v (..., S, dv) do not fit together")
        return (TensorSpec((*q.shape[:-1], v.shape[-1]), q.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (q, k, v), (y,) = inputs, outputs
        groups, queries, keys = math.prod(q.shape[:-2]), q.shape[-2], k.shape[-2]
        scores = groups * queries * keys
        return Work(
            kind=WorkKind.ATTENTION,
            m=queries,
            n=keys,
            k=q.shape[-1] + v.shape[-1],
            groups=groups,
            elements_read=q.numel + k.numel + v.numel,
            elements_written=y.numel,
            other_flops=scores * (1 + SOFTMAX_FLOPS),
            transcendentals=scores,
        )

    def parts(self, inputs: Specs, outputs: Specs) -> tuple[Part, ...]:
        (q, k, v), (y,) = inputs, outputs
        groups, queries, keys = math.prod(q.shape[:-2]), q.shape[-2], k.shape[-2]
        scores = groups * queries * keys
        return (
            Part(
                "query_key",
                Work(kind=WorkKind.MATMUL, m=queries, n=keys, k=q.shape[-1], groups=groups, elements_read=q.numel + k.numel, elements_written=scores),
                (0, 1),
            ),
            Part("scale", Work(kind=WorkKind.ELEMENTWISE, elements_read=scores, elements_written=scores, other_flops=scores)),
            Part(
                "softmax",
                Work(
                    kind=WorkKind.SOFTMAX,
                    elements_read=scores,
                    elements_written=scores,
                    other_flops=scores * SOFTMAX_FLOPS,
                    transcendentals=scores,
                ),
            ),
            Part(
                "value",
                Work(kind=WorkKind.MATMUL, m=queries, n=v.shape[-1], k=keys, groups=groups, elements_read=scores + v.numel, elements_written=y.numel),
                (2,),
            ),
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.scaled_dot_product_attention(*tensors)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (TensorSpec((2, 3, 5, 8)),) * 3),
            Example(cls(), (TensorSpec((1, 2, 5, 8)), TensorSpec((1, 2, 9, 8)), TensorSpec((1, 2, 9, 6)))),
            Example(cls(), (TensorSpec((4, 1, 16, 4)),) * 3),
        )


@operator
class Softmax(Operator):
    """exp(x - max) / sum over one axis. Other FLOPs = 5 an element: compare, subtract, exp, add, divide."""

    autocast = "full"
    aten = ("aten.softmax.int", "aten._softmax.default")
    onnx = ("Softmax",)

    axis: int = -1

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = inputs[0].numel
        return Work(kind=WorkKind.SOFTMAX, elements_read=elements, elements_written=elements, other_flops=SOFTMAX_FLOPS * elements, transcendentals=elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].softmax(self.axis)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (TensorSpec((3, 10)),)), Example(cls(), (TensorSpec((2, 4, 7, 7)),)), Example(cls(1), (TensorSpec((2, 21, 5, 5)),)))
