"""Normalisations. Counts are those of inference: batch normalisation's statistics are fixed, the others' come from the data."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Part, Shapes, Specs, operator
from costmodel.ops._onnx import is_filled, real
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.layout import reshaped
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

#: Normalising by statistics of the data, an element: add to the mean; subtract it, square, add to the variance; multiply
#: by the reciprocal root; scale; shift.
_FROM_DATA_FLOPS = 7

_IMAGE = TensorSpec((2, 8, 5, 7))


@operator
class BatchNorm(Operator):
    """x * scale + shift for each channel, statistics folded into both: 2 FLOPs an element, 2 parameters a channel.

    A runtime without it runs a multiplication and an addition. Source: arXiv 1502.03167, algorithm 2.
    """

    aten = (
        "aten.batch_norm.default",
        "aten._native_batch_norm_legit_no_training.default",
        "aten.native_batch_norm.default",
        "aten.cudnn_batch_norm.default",
    )
    onnx = ("BatchNormalization",)

    epsilon: float = 1e-5
    affine: bool = True

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if len(inputs[0].shape) < 2:
            raise ShapeError("takes at least two dimensions: (N, C, ...)")
        return inputs

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        channels = (inputs[0].shape[1],)
        return {"weight": channels, "bias": channels} if self.affine else {}

    def statistics(self, *inputs: TensorSpec) -> Shapes:
        channels = (inputs[0].shape[1],)
        return {"running_mean": channels, "running_var": channels}

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return Work(
            kind=WorkKind.BATCH_NORM,
            elements_read=elements,
            elements_written=elements,
            parameters=2 * inputs[0].shape[1] if self.affine else 0,
            other_flops=2 * elements,
        )

    def fvcore_flops(self, inputs: Specs, outputs: Specs) -> int:
        return inputs[0].numel * (2 if self.affine else 1)

    def parts(self, inputs: Specs, outputs: Specs) -> tuple[Part, ...]:
        elements, channels = outputs[0].numel, inputs[0].shape[1]
        half = Work(
            kind=WorkKind.ELEMENTWISE,
            elements_read=elements,
            elements_written=elements,
            parameters=channels if self.affine else 0,
            other_flops=elements,
        )
        return (Part("multiply", half, (0,)), Part("add", half))

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch
        from torch.nn import functional

        (x,) = tensors
        mean, variance = weights.get("running_mean"), weights.get("running_var")
        if mean is None or variance is None:
            mean, variance = torch.zeros(x.shape[1], device=x.device), torch.ones(x.shape[1], device=x.device)
        momentum = weights.get("momentum")  # in training: statistics of the batch, which move the running ones by so much
        scale, shift = weights.get("weight"), weights.get("bias")
        if momentum is None:
            return functional.batch_norm(x, mean, variance, scale, shift, eps=self.epsilon)
        return functional.batch_norm(x, mean, variance, scale, shift, training=True, momentum=momentum, eps=self.epsilon)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if call.get("training", call.get("running_mean") is None):
            return _by_own_statistics(call)
        affine = call.get("weight") is not None
        stored = {name: call.get(name) for name in ("weight", "bias", "running_mean", "running_var") if call.get(name) is not None}
        return call.add(cls(float(call.get("eps", 1e-5)), affine), call.tensor("input"), weights=stored)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        keys = {"scale": "weight", "B": "bias", "mean": "running_mean", "input_mean": "running_mean", "var": "running_var", "input_var": "running_var"}
        stored = {keys[name]: call.tensor(name) for name in keys if call.get(name) is not None}
        if len(stored) != 4 or not all(tensor.is_weight for tensor in stored.values()):
            raise UnreadableCallError("batch normalisation by computed statistics")
        return call.add(cls(real(call, "epsilon", 1e-5), stored["weight"].origin == "parameter"), call.tensor("X"), weights=stored)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls(1e-3), (TensorSpec((4, 12)),)), Example(cls(affine=False), (_IMAGE,)))


class _FromData(Operator):
    """A normalisation whose statistics come from the data: 7 FLOPs an element (subclasses may differ), 1 root a group.

    `half` says that the origin keeps autocast from computing it in fp32 (timm's fast norms, layers/fast_norm.py).
    """

    __slots__ = ()

    autocast = "full"
    FLOPS: ClassVar[int] = _FROM_DATA_FLOPS

    affine: bool

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        return inputs

    def fvcore_flops(self, inputs: Specs, outputs: Specs) -> int:
        return inputs[0].numel * (5 if self.affine else 4)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return Work(
            kind=WorkKind.NORMALISATION,
            elements_read=elements,
            elements_written=elements,
            parameters=sum(math.prod(shape) for shape in self.parameters(*inputs).values()),
            other_flops=self.FLOPS * elements,
        )

    @classmethod
    def read(cls, call: Call, made: Operator, x: Operand, names: tuple[str, str] = ("weight", "bias")) -> Operand:
        """Add `made`; where its scale and shift (`names`) are not learned tensors of its own, they are a product and a sum after it."""
        weight, bias = call.get(names[0]), call.get(names[1])
        weight, bias = None if is_filled(weight, 1) else weight, None if is_filled(bias, 0) else bias
        stored = {name: value for name, value in (("weight", weight), ("bias", bias)) if value is not None}
        wanted = {"weight", "bias"} if cls is not RMSNorm else {"weight"}
        if not stored or stored.keys() == wanted:
            try:
                return call.add(dataclasses.replace(made, affine=bool(stored)), x, weights=stored)  # type: ignore[type-var]  # operators are dataclasses
            except UnreadableCallError:
                pass
        y = call.add(dataclasses.replace(made, affine=False), x, suffix="normalise")  # type: ignore[type-var]  # as above
        channels = [1] * len(x.shape)
        channels[1 if cls is GroupNorm else -1] = -1
        for made, value, suffix in ((Multiply(), weight, "scale"), (Add(), bias, "shift")):
            if value is not None:
                shape = tuple(value.spec.numel if size == -1 else size for size in channels) if cls is GroupNorm else value.shape
                y = call.add(made, y, reshaped(call, value, shape), suffix=suffix)
        return y


@operator
class LayerNorm(_FromData):
    """Normalise over the last `axes` dimensions. Source: arXiv 1607.06450, section 3."""

    aten = ("aten.layer_norm.default", "aten.native_layer_norm.default")
    onnx = ("LayerNormalization",)

    axes: int = 1
    epsilon: float = 1e-6
    affine: bool = True
    half: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if len(inputs[0].shape) < self.axes:
            raise ShapeError(f"normalises {self.axes} dimensions but the tensor has {len(inputs[0].shape)}")
        return inputs

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        normalised = inputs[0].shape[len(inputs[0].shape) - self.axes :]
        return {"weight": normalised, "bias": normalised} if self.affine else {}

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        (x,) = tensors
        return functional.layer_norm(x, x.shape[x.dim() - self.axes :], weights.get("weight"), weights.get("bias"), self.epsilon)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        return cls.read(call, cls(len(call.ints("normalized_shape")), float(call.get("eps", 1e-5))), call.tensor("input"))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        x = call.tensor("X")
        rank = len(x.shape)
        return cls.read(call, cls(rank - call.get("axis", -1) % max(rank, 1), real(call, "epsilon", 1e-5)), x, ("Scale", "B"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (TensorSpec((2, 5, 8)),)), Example(cls(affine=False), (TensorSpec((2, 5, 8)),)), Example(cls(3), (_IMAGE,)))


@operator
class RMSNorm(_FromData):
    """Divide by the root mean square over the last dimension; no mean, no shift: square, add, multiply, scale, 4.

    Source: arXiv 1910.07467, equation 4.
    """

    FLOPS = 4
    aten = ("aten.rms_norm.default",)
    onnx = ("RMSNormalization",)

    epsilon: float = 1e-6
    affine: bool = True

    def fvcore_flops(self, inputs: Specs, outputs: Specs) -> int:
        return 0

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        return {"weight": inputs[0].shape[-1:]} if self.affine else {}

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.rms_norm(tensors[0], tensors[0].shape[-1:], weights.get("weight"), self.epsilon)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        if len(call.ints("normalized_shape")) != 1:
            return None
        return cls.read(call, cls(float(call.get("eps", 1.1920929e-07))), call.tensor("input"))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x = call.tensor("X")
        return cls.read(call, cls(real(call, "epsilon", 1e-5)), x, ("scale", "")) if call.get("axis", -1) in (-1, len(x.shape) - 1) else None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (TensorSpec((2, 5, 8)),)), Example(cls(affine=False), (TensorSpec((3, 16)),)), Example(cls(), (TensorSpec((2, 3, 4, 6)),)))


@operator
class GroupNorm(_FromData):
    """Normalise over groups of channels and all positions; one group a channel is instance norm. Source: arXiv 1803.08494, section 3."""

    aten = ("aten.group_norm.default", "aten.native_group_norm.default", "aten.instance_norm.default")
    onnx = ("GroupNormalization", "InstanceNormalization")

    groups: int = 32
    epsilon: float = 1e-5
    affine: bool = True
    half: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if len(inputs[0].shape) < 2 or inputs[0].shape[1] % self.groups:
            raise ShapeError(f"{self.groups} groups do not divide the channels")
        return inputs

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        channels = (inputs[0].shape[1],)
        return {"weight": channels, "bias": channels} if self.affine else {}

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.group_norm(tensors[0], self.groups, weights.get("weight"), weights.get("bias"), self.epsilon)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        x = call.tensor("input")
        groups = call.get("num_groups", call.get("group", x.shape[1]))
        return cls.read(call, cls(groups, float(call.get("eps", 1e-5))), x)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x = call.tensors[0]
        groups = call.get("num_groups", x.shape[1])
        scale = call.get("scale")
        if isinstance(scale, Operand) and scale.spec.numel != x.shape[1]:
            return None  # before set 21 one scale for each group
        return cls.read(call, cls(groups, real(call, "epsilon", 1e-5)), x, ("scale", "bias" if call.name == "GroupNormalization" else "B"))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(4), (_IMAGE,)), Example(cls(8), (_IMAGE,)), Example(cls(1, affine=False), (_IMAGE,)))


def _by_own_statistics(call: Call) -> Operand | None:
    """A batch normalisation by the statistics of its input, as of filters seen as one sample; None for more samples, which it would mix."""
    x, factor, shift = call.tensor("input"), call.get("weight"), call.get("bias")
    if x.shape[0] != 1 or call.follows_batch(x.shape[0]) or len(x.shape) < 3:
        return None
    y = call.add(GroupNorm(x.shape[1], float(call.get("eps", 1e-5)), False), x, suffix="norm")
    each = (1, x.shape[1], *(1,) * (len(x.shape) - 2))
    if factor is not None:
        y = call.add(Multiply(), y, reshaped(call, factor, each), suffix="scale")
    return y if shift is None else call.add(Add(), y, reshaped(call, shift, each), suffix="shift")


@operator
class LocalResponseNorm(Operator):
    """x / (bias + alpha/size * sum of squares over `size` neighbouring channels)^beta.

    FLOPs an element: square, `size` - 1 additions, scale, add, power, divide. Source: AlexNet (2012), section 3.3.
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 2.0

    onnx = ("LRN",)

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        require_rank(inputs[0], 4, "the image")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return Work(
            kind=WorkKind.NORMALISATION,
            elements_read=elements,
            elements_written=elements,
            other_flops=(self.size + 4) * elements,
            transcendentals=elements,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.local_response_norm(tensors[0], self.size, self.alpha, self.beta, self.bias)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand:
        return call.add(
            cls(call.get("size"), *(real(call, name, default) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))), call.tensor("X")
        )

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls(3), (_IMAGE,)), Example(cls(5, 1e-3, 0.5, 1.0), (_IMAGE,)))


@operator
class L2Norm(Operator):
    """x / |x| along one axis, |x| the root of the sum of squares: square, add, divide, 3 FLOPs an element.

    SSD rescales its first map so, with a `LayerScale` after it. Source: ParseNet, arXiv 1506.04579, section 3.3.
    """

    autocast = "full"
    onnx = ("LpNormalization",)

    axis: int = 1
    epsilon: float = 1e-12

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        rank = len(inputs[0].shape)
        if not -rank <= self.axis < rank:
            raise ShapeError(f"axis {self.axis} does not exist in {rank} dimensions")
        return inputs

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        elements = outputs[0].numel
        return Work(kind=WorkKind.NORMALISATION, elements_read=elements, elements_written=elements, other_flops=3 * elements)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        return functional.normalize(tensors[0], dim=self.axis, eps=self.epsilon)

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        return call.add(cls(call.get("axis", -1)), call.tensor("input")) if call.get("p", 2) == 2 else None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(), (_IMAGE,)), Example(cls(-1), (TensorSpec((2, 5, 8)),)), Example(cls(2, 1e-6), (TensorSpec((1, 3, 4, 6)),)))
