"""Matrix products: activations times weights, activations times activations, and distances to fixed vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Shapes, Specs, operator
from costmodel.ops._onnx import is_filled
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.ops.arithmetic import Add, Scale
from costmodel.ops.layout import Permute, reshaped
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind


@operator
class Linear(Operator):
    """x: (..., K); out: (..., N). MACs = rows * N * K."""

    autocast = "half"
    aten = ("aten.linear.default", "aten.addmm.default", "aten.mm.default", "aten.matmul.default")
    onnx = ("Gemm", "MatMul")

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
    def from_aten(cls, call: Call) -> Operand | None:
        if call.name == "aten.linear.default":
            return projected(call, call.tensor("input"), call.tensor("weight"), call.get("bias"))
        if call.name == "aten.addmm.default":
            bias, x, weight = call.tensor("self"), call.tensor("mat1"), call.tensor("mat2")
            if call.get("alpha", 1) != 1 or call.get("beta", 1) != 1 or not weight.is_weight:
                return None
            return projected(call, x, _transposed(call, weight), bias)
        x, weight = call.tensors
        return projected(call, x, _transposed(call, weight), None) if weight.origin == "parameter" and len(weight.shape) == 2 else None

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x, weight, bias = call.tensor("A"), call.tensor("B"), call.get("C")
        plain = call.get("alpha", 1.0) == 1 and (bias is None or call.get("beta", 1.0) == 1)
        if weight.origin != "parameter" or len(weight.shape) != 2 or x.is_weight or not plain:
            return None
        if call.get("transA", 0):
            x = _transposed(call, x)
        return projected(call, x, weight if call.get("transB", 0) else _transposed(call, weight), None if is_filled(bias, 0) else bias)

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
    aten = (
        *(f"aten.{name}.default" for name in ("matmul", "bmm", "mm", "baddbmm", "addmm")),
        *("aten.linalg_multi_dot.default", "aten.chain_matmul.default"),
    )
    onnx = ("MatMul", "Gemm")

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
    def from_aten(cls, call: Call) -> Operand | None:
        if "tensors" in call.arguments or "matrices" in call.arguments:
            return _chained(call, call.get("tensors", call.get("matrices")))
        if len(call.tensors) == 3:
            bias, first, second = call.tensors
            product = call.add(cls(), first, second)
            if call.get("alpha", 1) != 1:
                product = call.add(Scale(float(call.get("alpha"))), product, suffix="alpha")
            return product if call.get("beta", 1) == 0 else call.add(Add(), product, bias, suffix="bias")
        first, second = call.tensors
        if len(first.shape) < 2 or len(second.shape) < 2:
            return _with_vector(call, first, second)
        return call.add(cls(), first, second)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        first, second, bias = call.tensor("A"), call.tensor("B"), call.get("C")
        if len(first.shape) < 2 or len(second.shape) < 2:
            return _with_vector(call, first, second) if first.shape and second.shape else None
        if call.get("transA", 0):
            first = _transposed(call, first)
        product = call.add(cls(bool(call.get("transB", 0))), first, second)
        if call.get("alpha", 1.0) != 1:
            product = call.add(Scale(float(call.get("alpha"))), product, suffix="alpha")
        if bias is None or is_filled(bias, 0) or call.get("beta", 1.0) == 0:
            return product
        if call.get("beta", 1.0) != 1:
            bias = call.add(Scale(float(call.get("beta"))), bias, suffix="beta")
        return call.add(Add(), product, bias, suffix="bias")

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


@operator
class Einsum(Operator):
    """A product of two tensors by Einstein's notation, ``bhid,bjd->bhij``: letters of both and of the output are batch axes, the others M, N and K."""

    autocast = "half"
    aten = ("aten.einsum.default", *(f"aten.{name}.default" for name in ("tensordot", "inner", "mv", "dot", "vdot", "addbmm", "addmv")))
    onnx = ("Einsum",)

    equation: str

    def _sizes(self, inputs: Specs) -> tuple[str, str, str, dict[str, int]]:
        left, _, out = self.equation.replace(" ", "").partition("->")
        terms = left.split(",")
        if len(terms) != 2 or "." in left or any(len(term) != len(set(term)) for term in (*terms, out)) or set(out) - set(left):
            raise ShapeError(f"{self.equation!r} is not a product of two tensors whose letters are all named once")
        sizes: dict[str, int] = {}
        for term, spec in zip(terms, inputs, strict=True):
            if len(term) != len(spec.shape) or any(sizes.setdefault(letter, size) != size for letter, size in zip(term, spec.shape, strict=True)):
                raise ShapeError(f"{self.equation!r} does not fit {inputs[0].shape} and {inputs[1].shape}")
        return terms[0], terms[1], out, sizes

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2)
        _, _, out, sizes = self._sizes(inputs)
        return (TensorSpec(tuple(sizes[letter] for letter in out), inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        first, second, out, sizes = self._sizes(inputs)
        a, b, o = set(first), set(second), set(out)

        def size(letters: set[str]) -> int:
            return math.prod(sizes[letter] for letter in letters)

        read, written = inputs[0].numel + inputs[1].numel, outputs[0].numel
        if not (a & b) - o:  # nothing is accumulated
            return Work(kind=WorkKind.ELEMENTWISE, elements_read=read, elements_written=written, other_flops=written)
        return Work(
            kind=WorkKind.MATMUL,
            m=size((a - b) & o),
            n=size((b - a) & o),
            k=size((a & b) - o),
            groups=size(a & b & o),
            elements_read=read,
            elements_written=written,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        return torch.einsum(self.equation, *tensors)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if call.name == "aten.einsum.default":
            tensors = call.get("tensors")
            return _pairwise(call, _spelled(call.get("equation"), [x.shape for x in tensors]), tensors, call.get("path"))
        return _contracted(call)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        tensors = call.get("Inputs", [])
        return _pairwise(call, _spelled(call.get("equation", ""), [x.shape for x in tensors]), tensors, None)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls("bhid,bjd->bhij"), (TensorSpec((2, 3, 5, 8)), TensorSpec((2, 7, 8)))),
            Example(cls("ij,kj->ik"), (TensorSpec((5, 8)), TensorSpec((6, 8)))),
            Example(cls("nchw,nc->nhw"), (TensorSpec((2, 4, 3, 5)), TensorSpec((2, 4)))),
        )


def _spelled(equation: str, shapes: list[tuple[int, ...]]) -> str:
    """An equation with its output and with letters for ``...``."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    spare = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    terms = left.split(",")
    hidden = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    for number, (term, count) in enumerate(zip(terms, hidden, strict=True)):
        terms[number] = term.replace("...", "".join(spare[max(hidden) - count : max(hidden)]))
    if not arrow:
        every = "".join(terms)
        out = "".join(sorted(letter for letter in set(every) if every.count(letter) == 1))
    return f"{','.join(terms)}->{out.replace('...', ''.join(spare[: max(hidden)]))}"


def _pairwise(call: Call, equation: str, tensors: Sequence[Operand], path: Sequence[int] | None) -> Operand | None:
    """Products of several tensors two by two as torch does them: in order, or by `path`, whose results come last."""
    left, _, out = equation.partition("->")
    waiting = list(zip(left.split(","), tensors, strict=True))
    if len(waiting) < 2 or any(len(term) != len(set(term)) for term, _ in waiting):
        return None
    steps = list(path or (0, 1) * (len(waiting) - 1))
    while len(waiting) > 1:
        (first, a), (second, b) = (waiting[place] for place in steps[:2])
        waiting = [item for place, item in enumerate(waiting) if place not in steps[:2]]
        wanted = set(out).union(*(term for term, _ in waiting))
        kept = "".join(dict.fromkeys(letter for letter in first + second if letter in wanted)) if waiting else out
        made = call.add(Einsum(f"{first},{second}->{kept}"), a, b, suffix=f"step{len(waiting)}" if waiting else "")
        waiting.insert(len(waiting) if path else 0, (kept, made))
        steps = steps[2:]
    return waiting[0][1]


def _contracted(call: Call) -> Operand | None:
    """Products that torch knows by name, by their equations."""
    name = call.name.split(".")[1]
    if name in ("addbmm", "addmv"):
        first, second = (call.tensor(key) for key in (("batch1", "batch2") if name == "addbmm" else ("mat", "vec")))
        product = call.add(Einsum("bij,bjk->ik" if name == "addbmm" else "ij,j->i"), first, second, suffix="product")
        if call.get("alpha", 1) != 1:
            product = call.add(Scale(float(call.get("alpha"))), product, suffix="alpha")
        given = call.tensor("self")
        if call.get("beta", 1) not in (0, 1):
            given = call.add(Scale(float(call.get("beta"))), given, suffix="beta")
        return product if call.get("beta", 1) == 0 else call.add(Add(), product, given, suffix="bias")
    first, second = call.tensors
    ranks = len(first.shape), len(second.shape)
    if name == "tensordot":
        pairs = dict(zip((axis % ranks[1] for axis in call.ints("dims_other")), (axis % ranks[0] for axis in call.ints("dims_self")), strict=True))
    else:
        pairs = {ranks[1] - 1: ranks[0] - 1}  # the last axes, for a matrix and a vector too
    letters = "".join(chr(ord("a") + axis) for axis in range(ranks[0]))
    others = "".join(letters[pairs[axis]] if axis in pairs else chr(ord("A") + axis) for axis in range(ranks[1]))
    kept = [letter for axis, letter in enumerate(letters) if axis not in pairs.values()] + [letter for axis, letter in enumerate(others) if axis not in pairs]
    return call.add(Einsum(f"{letters},{others}->{''.join(kept)}"), first, second)


def projected(call: Call, x: Operand, weight: Operand, bias: Operand | None, suffix: str = "") -> Operand:
    """A linear layer; where its weights are computed, fixed or another operator's, a product and a sum."""
    try:
        return call.add(Linear(weight.shape[0], bias is not None), x, weights={"weight": weight} | ({} if bias is None else {"bias": bias}), suffix=suffix)
    except UnreadableCallError:
        pass
    product = suffix if bias is None else f"{suffix}_product".strip("_")
    try:
        y = call.add(Linear(weight.shape[0], False), x, weights={"weight": weight}, suffix=product)
    except UnreadableCallError:
        y = call.add(MatMul(transpose_b=True), x, weight, suffix=product)
    return y if bias is None else call.add(Add(), y, bias, suffix=f"{suffix}_bias".strip("_"))


def _transposed(call: Call, weight: Operand) -> Operand:
    return call.add(Permute((1, 0)), weight, suffix="transpose")


def _chained(call: Call, matrices: Sequence[Operand]) -> Operand | None:
    """A product of several matrices in the order that takes the fewest multiplications, as torch does it."""
    if len(matrices) < 2 or any(len(matrix.shape) != 2 for matrix in matrices):
        return None
    sizes = [matrices[0].shape[0], *(matrix.shape[1] for matrix in matrices)]

    @cache
    def best(first: int, last: int) -> tuple[int, int]:
        """(multiplications, the last matrix of the left factor) of the product of two matrices and those between."""
        if first == last:
            return 0, first
        return min((best(first, cut)[0] + best(cut + 1, last)[0] + sizes[first] * sizes[cut + 1] * sizes[last + 1], cut) for cut in range(first, last))

    def product(first: int, last: int) -> Operand:
        if first == last:
            return matrices[first]
        cut = best(first, last)[1]
        return call.add(MatMul(), product(first, cut), product(cut + 1, last), suffix=f"{first}_{last}")

    return product(0, len(matrices) - 1)


def _with_vector(call: Call, first: Operand, second: Operand) -> Operand:
    """A product with a vector, which becomes a matrix of one row or column."""
    a = reshaped(call, first, (1, *first.shape)) if len(first.shape) == 1 else first
    b = reshaped(call, second, (*second.shape, 1)) if len(second.shape) == 1 else second
    return reshaped(call, call.add(MatMul(), a, b), call.outputs[0].shape)
