"""Scaled dot-product attention, softmax, and what is added to scores: position biases and masks."""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Part, Shapes, Specs, operator
from costmodel.ops._onnx import number
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.ops.arithmetic import Add, Scale
from costmodel.ops.functions import Select
from costmodel.ops.layout import Permute, reshaped
from costmodel.ops.stored import Repeat
from costmodel.recognition import Added, Call, Operand
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind

#: Softmax per element: subtract the maximum (found by a comparison), exp, add to the sum, divide.
SOFTMAX_FLOPS = 5


@operator
class ScaledDotProductAttention(Operator):
    """softmax(q k^T / sqrt(d)) v. q: (N, heads, L, d), k: (N, heads, S, d), v: (N, heads, S, dv); out: (N, heads, L, dv).

    MACs = N*heads * L*S*(d + dv), the two matrix products; other FLOPs = N*heads*L*S * (scale 1 + softmax 5).
    Source: Vaswani et al., arXiv 1706.03762, section 3.2.1. k and v may have fewer heads that divide those of q: each serves
    several (arXiv 2305.13245, section 2.2). `causal` lets no query see later keys, 1 more FLOP a score; nothing is saved by it in
    these counts, which are nominal. `scale` replaces 1/sqrt(d).
    """

    autocast = "half"
    aten = (
        "aten.scaled_dot_product_attention.default",
        "aten._scaled_dot_product_flash_attention_for_cpu.default",
        "aten._scaled_dot_product_attention_math.default",
        "aten._scaled_dot_product_efficient_attention.default",
        "aten._scaled_dot_product_flash_attention.default",
    )
    onnx = ("Attention",)

    causal: bool = False
    scale: float | None = None

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 3)
        q, k, v = inputs
        if not len(q.shape) == len(k.shape) == len(v.shape) >= 2:
            raise ShapeError("q, k and v need the same number of dimensions, at least two")
        same = q.shape[:-3] == k.shape[:-3] and all(a % b == 0 for a, b in zip(q.shape[-3:-2], k.shape[-3:-2], strict=True))
        if not same or k.shape[:-1] != v.shape[:-1] or q.shape[-1] != k.shape[-1]:
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
            other_flops=scores * (1 + self.causal + SOFTMAX_FLOPS),
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
            *(
                (Part("mask", Work(kind=WorkKind.ELEMENTWISE, elements_read=scores + queries * keys, elements_written=scores, other_flops=scores)),)
                if self.causal
                else ()
            ),
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

        q, k, v = tensors
        shared = q.dim() > 2 and q.shape[-3] != k.shape[-3]
        return functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal, scale=self.scale, enable_gqa=shared)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | Added | None:
        q, k, v = (call.tensor(name) for name in ("query", "key", "value"))
        mask = call.get("attn_mask", call.get("attn_bias"))
        scale = call.get("scale")
        own = None if scale is None or math.isclose(scale * math.sqrt(q.shape[-1]), 1, rel_tol=1e-6) else float(scale)
        if mask is None:
            return call.add(cls(bool(call.get("is_causal", False)), own), q, k, v)
        if q.shape[:-2] != k.shape[:-2]:
            k, v = (_repeated_heads(call, x, q.shape[-3], name) for x, name in ((k, "keys"), (v, "values")))
        return _scores_apart(call, (q, k, v), mask, scale)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        q, k, v = (call.tensor(name) for name in ("Q", "K", "V"))
        scale, mask = number(call, "scale"), call.get("attn_mask")
        if any(call.get(name) for name in ("past_key", "past_value", "nonpad_kv_seqlen", "softcap", "qk_matmul_output_mode")) or call.get("is_causal", 0):
            return None
        if len(q.shape) == 3:
            heads, sharing = call.get("q_num_heads", 0), call.get("kv_num_heads", 0)
            if heads < 1 or heads != sharing or any(x.shape[2] % heads for x in (q, k, v)):
                return None
            q, k, v = (_headed(call, x, heads, suffix) for x, suffix in ((q, "query"), (k, "key"), (v, "value")))
            y = _attended(call, (q, k, v), mask, scale)
            return reshaped(call, call.add(Permute((0, 2, 1, 3)), y, suffix="heads_last"), call.outputs[0].shape)
        return _attended(call, (q, k, v), mask, scale) if q.shape[:-2] == k.shape[:-2] == v.shape[:-2] else None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (TensorSpec((2, 3, 5, 8)),) * 3),
            Example(cls(), (TensorSpec((1, 2, 5, 8)), TensorSpec((1, 2, 9, 8)), TensorSpec((1, 2, 9, 6)))),
            Example(cls(), (TensorSpec((4, 1, 16, 4)),) * 3),
            Example(cls(causal=True, scale=0.5), (TensorSpec((2, 3, 5, 8)),) * 3),
            Example(cls(), (TensorSpec((2, 6, 5, 8)), TensorSpec((2, 2, 9, 8)), TensorSpec((2, 2, 9, 8)))),
        )


@operator
class Softmax(Operator):
    """exp(x - max) / sum over one axis. Other FLOPs = 5 an element: compare, subtract, exp, add, divide.

    `fused` says that the origin called one operation for this softmax and the two products around it: a runtime that has such a
    kernel writes no scores.
    """

    autocast = "full"
    aten = ("aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default", "aten.log_softmax.int", "aten._log_softmax.default")
    onnx = ("Softmax", "LogSoftmax")

    axis: int = -1
    fused: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = inputs[0].numel
        return Work(kind=WorkKind.SOFTMAX, elements_read=elements, elements_written=elements, other_flops=SOFTMAX_FLOPS * elements, transcendentals=elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].softmax(self.axis)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(call.get("dim")), call.tensor("self"))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        return call.add(cls(call.get("axis", -1)), call.tensor("input"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (TensorSpec((3, 10)),)), Example(cls(), (TensorSpec((2, 4, 7, 7)),)), Example(cls(1), (TensorSpec((2, 21, 5, 5)),)))


@operator
class RelativePositionBias(Operator):
    """Scores plus a learned bias for each offset between two positions of a `window`. x: (N, heads, L, L), L = height*width.

    The table has a row for each of the (2h - 1)(2w - 1) offsets and a column a head; 1 FLOP an element, the addition.
    Source: Swin, arXiv 2103.14030, equation 4.
    """

    window: tuple[int, int]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 4, "the scores")
        positions = math.prod(self.window)
        if inputs[0].shape[2:] != (positions, positions):
            raise ShapeError(f"a window of {self.window[0]}x{self.window[1]} has {positions} positions, which the scores must have on their last two axes")
        return inputs

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {"weight": ((2 * self.window[0] - 1) * (2 * self.window[1] - 1), inputs[0].shape[1])}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements, bias = inputs[0].numel, math.prod(inputs[0].shape[1:])
        return Work(
            kind=WorkKind.ELEMENTWISE,
            elements_read=elements + bias,
            elements_written=elements,
            other_flops=elements,
            parameters=math.prod(self.parameters(*inputs)["weight"]),
        )

    def parts(self, inputs: Specs, outputs: Specs) -> tuple[Part, ...]:
        elements, bias = inputs[0].numel, math.prod(inputs[0].shape[1:])
        table = math.prod(self.parameters(*inputs)["weight"])
        gather = Work(kind=WorkKind.GATHER, elements_read=bias, elements_written=bias, parameters=table)
        add = Work(kind=WorkKind.ELEMENTWISE, elements_read=elements + bias, elements_written=elements, other_flops=elements)
        return (Part("gather", gather), Part("add", add, (0,)))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        (x,) = tensors
        return x + weights["weight"][torch.from_numpy(self.offsets()).to(x.device)].permute(2, 0, 1)

    def offsets(self) -> Any:
        """Row of the table for each pair of positions, as an array (L, L): offsets down count 2w - 1 each, offsets across 1."""
        import numpy as np

        height, width = self.window
        rows, columns = np.divmod(np.arange(height * width), width)
        down = rows[:, None] - rows[None, :] + height - 1
        across = columns[:, None] - columns[None, :] + width - 1
        return down * (2 * width - 1) + across

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls((7, 7)), (TensorSpec((4, 3, 49, 49)),)),
            Example(cls((2, 3)), (TensorSpec((2, 1, 6, 6)),)),
            Example(cls((1, 5)), (TensorSpec((1, 8, 5, 5)),)),
        )


@operator
class ShiftedWindowMask(Operator):
    """Scores of shifted windows minus 100 where a roll joined two regions of the image. x: (N*windows, heads, L, L).

    The image of `windows` (down, across) windows of `window` positions each was rolled by `shift`; 1 FLOP an element.
    The mask is a constant of L*L a window. Source: Swin, arXiv 2103.14030, section 3.2 and figure 4.
    """

    windows: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int]

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 4, "the scores")
        positions = math.prod(self.window)
        if inputs[0].shape[2:] != (positions, positions) or inputs[0].shape[0] % math.prod(self.windows):
            raise ShapeError(f"{self.windows} windows of {self.window} positions do not fit the scores")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = inputs[0].numel
        mask = math.prod(self.windows) * math.prod(self.window) ** 2
        return Work(kind=WorkKind.ELEMENTWISE, elements_read=elements + mask, elements_written=elements, other_flops=elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        (x,) = tensors
        mask = torch.from_numpy(self.mask()).to(x.device)
        return (x.view(-1, len(mask), *x.shape[1:]) + mask[None, :, None]).view(x.shape)

    def mask(self) -> Any:
        """What is added to the scores of each window, as an array (windows, L, L) of 0 and -100."""
        import numpy as np

        (down, across), (height, width) = self.windows, self.window
        region = np.zeros((down * height, across * width), np.int64)
        for axis, (size, step) in enumerate(zip(self.window, self.shift, strict=True)):
            for bound in (size, step) if step else ():
                np.moveaxis(region, axis, 0)[-bound:] += 3**axis
        region = region.reshape(down, height, across, width).transpose(0, 2, 1, 3).reshape(-1, height * width)
        return np.where(region[:, :, None] == region[:, None, :], np.float32(0), np.float32(-100))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls((2, 2), (7, 7), (3, 3)), (TensorSpec((4, 3, 49, 49)),)),
            Example(cls((1, 2), (2, 4), (0, 2)), (TensorSpec((6, 1, 8, 8)),)),
            Example(cls((3, 1), (2, 2), (1, 0)), (TensorSpec((3, 2, 4, 4)),)),
        )


def _repeated_heads(call: Call, x: Operand, heads: int, name: str) -> Operand:
    """Keys or values (N, groups, S, d) with each head as often as there are queries that share it."""
    batch, groups, positions, size = x.shape
    x = reshaped(call, x, (batch, groups, 1, positions, size))
    x = call.add(Repeat((1, 1, heads // groups, 1, 1)), x, suffix=f"repeat_{name}")
    return reshaped(call, x, (batch, heads, positions, size))


def _headed(call: Call, x: Operand, heads: int, suffix: str) -> Operand:
    """(N, L, heads*d) as (N, heads, L, d)."""
    apart = reshaped(call, x, (*x.shape[:2], heads, x.shape[2] // heads))
    return call.add(Permute((0, 2, 1, 3)), apart, suffix=suffix)


def _attended(call: Call, operands: tuple[Operand, Operand, Operand], mask: Operand | None, scale: float | None) -> Operand:
    """Attention in one operator where nothing is added to its scores."""
    if mask is not None:
        return _scores_apart(call, operands, mask, scale)
    own = None if scale is None or math.isclose(scale * math.sqrt(operands[0].shape[-1]), 1, rel_tol=1e-4) else scale
    return call.add(ScaledDotProductAttention(False, own), *operands)


def _scores_apart(call: Call, operands: tuple[Operand, Operand, Operand], mask: Operand, scale: float | None) -> Operand:
    """Attention with something added to its scores: the products and the softmax one by one."""
    from costmodel.ops.matmul import MatMul

    q, k, v = operands
    scaled = call.add(Scale(scale if scale is not None else 1 / math.sqrt(q.shape[-1])), q, suffix="scale")
    scores = call.add(MatMul(transpose_b=True), scaled, k, suffix="scores")
    if mask.spec.dtype is DType.BOOL:
        scores = call.add(Select(other=-3.4028234e38), mask, scores, suffix="mask")  # fp32's lowest: JSON has no infinity
    else:
        scores = call.add(Add(), scores, mask, suffix="mask")
    return call.add(MatMul(), call.add(Softmax(fused=True), scores, suffix="softmax"), v, suffix="values")
