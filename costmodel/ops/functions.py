"""Functions of elements that are known by a name: roots, exponentials, comparisons, selections, reductions, running sums.

Other FLOPs: one for each arithmetic operation and output element, as in `costmodel.ops.elementwise`.
"""

from __future__ import annotations

import math
from typing import Any

from costmodel.errors import ShapeError, unknown
from costmodel.operator import Example, Operator, Specs, operator
from costmodel.ops._onnx import axes, number
from costmodel.ops._shapes import broadcast, require_arguments
from costmodel.ops.arithmetic import Add, Divide, Multiply, Scale, Subtract
from costmodel.ops.layout import reshaped
from costmodel.recognition import Added, Call, Operand
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind

#: Name in torch -> operations an element, and how many of them are exp, log, sine, power and the like.
UNARY: dict[str, tuple[int, int]] = {
    "abs": (1, 0),
    "ceil": (1, 0),
    "cos": (1, 1),
    "erf": (1, 1),
    "exp": (1, 1),
    "expm1": (2, 1),
    "floor": (1, 0),
    "log": (1, 1),
    "log1p": (2, 1),
    "log2": (1, 1),
    "logical_not": (1, 0),
    "bitwise_not": (1, 0),
    "neg": (1, 0),
    "reciprocal": (1, 0),
    "round": (1, 0),
    "rsqrt": (2, 0),
    "sign": (1, 0),
    "sin": (1, 1),
    "sqrt": (1, 0),
    "square": (1, 0),
    "mish": (5, 3),  # x * tanh(log(1 + exp(x)))
    "softplus": (3, 2),  # log(1 + exp(x))
    "log_sigmoid": (4, 2),  # -log(1 + exp(-x))
    "selu": (5, 1),  # ELU and a factor
    "isnan": (1, 0),
    "isinf": (1, 0),
}
#: Results are true or false.
_TRUTHS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isinf"})
#: Name in torch -> exp, log or power among its one operation.
BINARY: dict[str, int] = {
    **dict.fromkeys(("maximum", "minimum", "floor_divide", "remainder", "fmod", "bitwise_and", "bitwise_or", "bitwise_xor"), 0),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"), 0),
    **dict.fromkeys(("pow", "atan2"), 1),
}
#: Name in torch -> operations an input element.
REDUCTIONS: dict[str, int] = {"sum": 1, "prod": 1, "amax": 1, "amin": 1, "any": 1, "all": 1, "argmax": 1, "argmin": 1, "norm": 2, "var": 4}

_ROWS = TensorSpec((2, 5, 8))


def _work(read: int, written: int, flops: int, transcendentals: int = 0, kind: WorkKind = WorkKind.ELEMENTWISE) -> Work:
    return Work(kind=kind, elements_read=read, elements_written=written, other_flops=flops, transcendentals=transcendentals)


def _short(call: Call) -> str:
    """``exp`` of ``aten.exp_.default``."""
    return call.name.split(".")[1].rstrip("_")


@operator
class Function(Operator):
    """A function of each element, known by its name in torch (`UNARY`)."""

    aten = tuple(f"aten.{name}.default" for name in UNARY)
    onnx = ("Exp", "Log", "Sqrt", "Neg", "Abs", "Erf", "Sin", "Cos", "Floor", "Ceil", "Round", "Sign", "Reciprocal", "Not", "Softplus", "Mish", "Selu", "IsNaN")

    function: str

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if self.function not in UNARY:
            raise unknown("function", self.function, UNARY)
        return (TensorSpec(inputs[0].shape, DType.BOOL),) if self.function in _TRUTHS else inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        flops, transcendentals = UNARY[self.function]
        elements = outputs[0].numel
        return _work(elements, elements, flops * elements, transcendentals * elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch
        from torch.nn import functional

        own: dict[str, Any] = {"mish": functional.mish, "softplus": functional.softplus, "log_sigmoid": functional.logsigmoid, "selu": functional.selu}
        compute: Any = own[self.function] if self.function in own else getattr(torch, self.function)
        return compute(*tensors)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(_short(call)), call.tensors[0])

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        return call.add(cls({"Not": "logical_not", "IsNaN": "isnan"}.get(call.name, call.name.lower())), call.tensors[0])

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return tuple(Example(cls(name), (_ROWS,)) for name in ("exp", "sqrt", "mish", "isnan"))


@operator
class Pairwise(Operator):
    """A function of two elements, known by its name in torch (`BINARY`); `other` stands for the second where that is a number."""

    aten = (
        *(f"aten.{name}.{form}" for name in BINARY for form in ("default", "Tensor", "Scalar")),
        "aten.clamp_min.default",
        "aten.clamp_max.default",
        "aten.pow.Tensor_Scalar",
        "aten.pow.Scalar",
        "aten.pow.Tensor_Tensor",
        "aten.max.other",
        "aten.min.other",
    )
    onnx = ("Max", "Min", "Pow", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor", "Mod")

    function: str
    other: float | None = None

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 2 if self.other is None else 1)
        if self.function not in BINARY:
            raise unknown("function", self.function, BINARY)
        spec = broadcast(*inputs) if self.other is None else inputs[0]
        return (TensorSpec(spec.shape, DType.BOOL) if self.function in _TRUTHS else spec,)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _work(sum(spec.numel for spec in inputs), elements, elements, BINARY[self.function] * elements * (self.other != 2))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        first, second = (*tensors, self.other)[:2]
        if self.function in ("maximum", "minimum", "atan2") and not isinstance(second, torch.Tensor):
            second = torch.tensor(second, dtype=first.dtype, device=first.device)
        return getattr(torch, self.function)(first, second)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        own = {"clamp_min": "maximum", "clamp_max": "minimum", "max": "maximum", "min": "minimum"}
        function = own.get(_short(call), _short(call))
        first = call.arguments.get("self", call.arguments.get("input"))
        second = next((call.arguments[name] for name in ("other", "exponent", "min", "max") if call.arguments.get(name) is not None), None)
        return cls._between(call, function, first, second)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        names = {"Max": "maximum", "Min": "minimum", "Equal": "eq", "Less": "lt", "Greater": "gt", "LessOrEqual": "le", "GreaterOrEqual": "ge"}
        names |= {"And": "logical_and", "Or": "logical_or", "Xor": "logical_xor", "Mod": "fmod"}
        function = names.get(call.name, call.name.lower())
        y, *others = call.get("data_0", call.tensors)
        for place, other in enumerate(others):
            plain = isinstance(other.value, int | float) and abs(other.value) < 3.4028234e38
            y = call.add(cls(function, float(other.value)), y) if plain else call.add(cls(function), y, other, suffix=str(place) if place else "")
        return y if others else None

    @classmethod
    def _between(cls, call: Call, function: str, first: Any, second: Any) -> Operand | None:
        if isinstance(first, Operand) and isinstance(second, Operand):
            return call.add(cls(function), first, second)
        if isinstance(first, Operand) and isinstance(second, int | float):
            return call.add(cls(function, float(second)), first)
        if function == "pow" and isinstance(second, Operand) and isinstance(first, int | float) and first > 0:  # a^x = exp(x log a)
            return call.add(Function("exp"), call.add(Scale(math.log(first)), second, suffix="exponent"))
        return None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls("maximum"), (_ROWS, _ROWS)), Example(cls("pow", 2.0), (_ROWS,)), Example(cls("gt"), (_ROWS, TensorSpec((5, 1)))))


@operator
class Select(Operator):
    """a where a condition holds, b (or the number `other`) elsewhere. Inputs: condition, a[, b], broadcast; 1 an element."""

    aten = ("aten.where.self", "aten.where.ScalarOther", "aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
    onnx = ("Where",)

    other: float | None = None

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 3 if self.other is None else 2)
        shape = broadcast(inputs[0], broadcast(*inputs[1:]) if self.other is None else inputs[1]).shape
        return (TensorSpec(shape, inputs[1].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return _work(sum(spec.numel for spec in inputs), elements, elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        condition, first, *rest = tensors
        return torch.where(condition.bool(), first, rest[0] if rest else self.other)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if "masked_fill" in call.name:
            x, mask, value = call.tensor("self"), call.tensor("mask"), call.get("value")
            inverted = call.add(Function("logical_not"), mask, suffix="not")
            return call.add(cls(), inverted, x, value) if isinstance(value, Operand) else call.add(cls(_finite(value)), inverted, x)
        condition, first, other = call.tensor("condition"), call.get("self"), call.get("other")
        if not isinstance(first, Operand):
            return None
        return call.add(cls(), condition, first, other) if isinstance(other, Operand) else call.add(cls(_finite(other)), condition, first)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        condition, first, second = (call.tensor(name) for name in ("condition", "X", "Y"))
        if isinstance(second.value, int | float):
            return call.add(cls(_finite(second.value)), condition, first)
        if isinstance(first.value, int | float):
            inverted = call.add(Function("logical_not"), condition, suffix="not")
            return call.add(cls(_finite(first.value)), inverted, second)
        return call.add(cls(), condition, first, second)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        mask = TensorSpec((2, 5, 8), DType.BOOL)
        return (Example(cls(), (mask, _ROWS, _ROWS)), Example(cls(0.0), (mask, _ROWS)), Example(cls(-1e9), (TensorSpec((5, 1), DType.BOOL), _ROWS)))


def _finite(value: Any) -> float:
    """A number that JSON can hold: infinity becomes fp32's largest."""
    return max(-3.4028234e38, min(3.4028234e38, float(value)))


@operator
class Reduce(Operator):
    """One value of each group of elements along `axes`, by the function's name in torch (`REDUCTIONS`); `norm` is the root of the sum of squares."""

    aten = (
        "aten.sum.dim_IntList",
        "aten.sum.default",
        "aten.amax.default",
        "aten.amin.default",
        "aten.linalg_vector_norm.default",
        "aten.norm.ScalarOpt_dim",
        *("aten.var.correction", "aten.var.dim", "aten.var.default", "aten.std.correction", "aten.std.dim", "aten.std.default"),
        *("aten.logsumexp.default", "aten._weight_norm.default", "aten._weight_norm_interface.default"),
        "aten.any.dim",
        "aten.all.dim",
        "aten.argmax.default",
        "aten.argmin.default",
        "aten.max.dim",
        "aten.min.dim",
        "aten.prod.dim_int",
    )
    onnx = ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ArgMax", "ArgMin")

    function: str
    axes: tuple[int, ...] = (-1,)
    keep: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        shape = inputs[0].shape
        if self.function not in REDUCTIONS:
            raise unknown("reduction", self.function, REDUCTIONS)
        if not self.axes or any(not -len(shape) <= axis < len(shape) for axis in self.axes):
            raise ShapeError(f"axes {self.axes} do not exist in {len(shape)} dimensions")
        reduced = {axis % len(shape) for axis in self.axes}
        kept = tuple(1 if axis in reduced else size for axis, size in enumerate(shape) if self.keep or axis not in reduced)
        dtype = DType.INT64 if self.function.startswith("arg") else DType.BOOL if self.function in ("any", "all") else inputs[0].dtype
        return (TensorSpec(kept, dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        flops = REDUCTIONS[self.function] * inputs[0].numel + outputs[0].numel * (self.function in ("norm", "var"))
        return _work(inputs[0].numel, outputs[0].numel, flops, kind=WorkKind.REDUCTION)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch

        (x,) = tensors
        if self.function == "norm":
            return torch.linalg.vector_norm(x, 2, self.axes, self.keep)
        if self.function in ("sum", "amax", "amin", "var"):
            return getattr(x, self.function)(dim=self.axes, keepdim=self.keep)
        for axis in sorted((axis % x.dim() for axis in self.axes), reverse=True):
            x = getattr(x, self.function)(dim=axis, keepdim=self.keep)
        return x

    @classmethod
    def from_aten(cls, call: Call) -> Operand | Added | None:
        name = _short(call)
        if "weight_norm" in name:
            return _scaled_to_norm(call)
        function = {"linalg_vector_norm": "norm", "max": "amax", "min": "amin"}.get(name, name)
        if function == "norm" and call.get("ord", call.get("p", 2)) != 2:
            return None
        x = call.tensor("self")
        axes = call.ints("dim", tuple(range(len(x.shape)))) or tuple(range(len(x.shape)))
        keep = bool(call.get("keepdim", False))
        if name in ("var", "std"):
            return _spread(call, x, axes, keep)
        if name == "logsumexp":
            return _logsumexp(call, x, axes, keep)
        made = call.add(cls(function, axes, keep), x)
        if name in ("max", "min") and len(call.outputs) == 2:
            where = call.add(cls(f"arg{name}", axes, bool(call.get("keepdim", False))), x, suffix="index")
            return (made, where)
        return made

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        names = {"ReduceMax": "amax", "ReduceMin": "amin", "ReduceL2": "norm", "ArgMax": "argmax", "ArgMin": "argmin"}
        x = call.tensor("data")
        over = (call.get("axis", 0),) if call.name.startswith("Arg") else axes(call, x)
        return call.add(cls(names.get(call.name, call.name.removeprefix("Reduce").lower()), over, bool(call.get("keepdims", 1))), x)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls("sum"), (_ROWS,)), Example(cls("amax", (1, 2), True), (_ROWS,)), Example(cls("norm", (1,), True), (_ROWS,)))


def _spread(call: Call, x: Operand, axes: tuple[int, ...], keep: bool) -> Operand | None:
    """Variance or its root; where it is not that of a sample (n - 1 below), by a factor."""
    correction = call.get("correction", 1 if call.get("unbiased", True) else 0)
    count = math.prod(x.shape[axis] for axis in axes)
    if correction != 1 and (call.follows_batch(count) or count <= correction):
        return None
    root = _short(call) == "std"
    y = call.add(Reduce("var", axes, keep), x, suffix="var" if root or correction != 1 else "")
    if correction != 1:
        y = call.add(Scale((count - 1) / (count - correction)), y, suffix="correction" if root else "")
    return call.add(Function("sqrt"), y) if root else y


def _scaled_to_norm(call: Call) -> Operand | Added | None:
    """The direction v scaled to the length g, v * g / |v|, norms over all axes but one. Source: Salimans and Kingma, arXiv 1602.07868, equation 2."""
    v, g, kept = call.tensor("v"), call.tensor("g"), call.get("dim", 0)
    if not 0 <= kept < len(v.shape) or len(v.shape) < 2:
        return None
    norm = call.add(Reduce("norm", tuple(axis for axis in range(len(v.shape)) if axis != kept), True), v, suffix="norm")
    made = call.add(Multiply(), v, call.add(Divide(), g, norm, suffix="ratio"))
    return (made, norm) if len(call.outputs) == 2 else made


def _logsumexp(call: Call, x: Operand, axes: tuple[int, ...], keep: bool) -> Operand:
    """log(sum(exp(x - max))) + max, step by step as torch computes it."""
    largest = call.add(Reduce("amax", axes, True), x, suffix="max")
    total = call.add(Reduce("sum", axes, keep), call.add(Function("exp"), call.add(Subtract(), x, largest, suffix="shift"), suffix="exp"), suffix="sum")
    if not keep:
        largest = reshaped(call, largest, total.shape)
    return call.add(Add(), call.add(Function("log"), total, suffix="log"), largest)


@operator
class Triangle(Operator):
    """Matrices with zeros above (`upper`: below) the diagonal that is `diagonal` places to the right of the main one. Elements are copied."""

    aten = ("aten.tril.default", "aten.triu.default")

    upper: bool = False
    diagonal: int = 0

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if len(inputs[0].shape) < 2:
            raise ShapeError("takes matrices: at least two dimensions")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return _work(inputs[0].numel, outputs[0].numel, 0, kind=WorkKind.COPY)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].triu(self.diagonal) if self.upper else tensors[0].tril(self.diagonal)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls("triu" in call.name, call.get("diagonal", 0)), call.tensor("self"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (TensorSpec((5, 5)),)), Example(cls(True, 1), (_ROWS,)), Example(cls(False, -1), (TensorSpec((3, 7)),)))


@operator
class Cumulative(Operator):
    """Running sum along `axis`: 1 addition an element."""

    aten = ("aten.cumsum.default",)
    onnx = ("CumSum",)

    axis: int = -1

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if not -len(inputs[0].shape) <= self.axis < len(inputs[0].shape):
            raise ShapeError(f"axis {self.axis} does not exist in {len(inputs[0].shape)} dimensions")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = inputs[0].numel
        return _work(elements, elements, elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        return tensors[0].cumsum(self.axis)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return call.add(cls(int(call.get("dim"))), call.tensor("self"))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        axis = number(call, "axis")
        return None if axis is None or call.get("exclusive", 0) or call.get("reverse", 0) else call.add(cls(int(axis)), call.tensor("x"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_ROWS,)), Example(cls(1), (_ROWS,)), Example(cls(0), (TensorSpec((3,)),)))
