"""Padding: elements around an image, channels after the others, elements at the ends of any dimension."""

from __future__ import annotations

from typing import Any, Literal

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Specs, operator
from costmodel.ops._onnx import real, whole
from costmodel.ops._shapes import moved, require_arguments, require_rank
from costmodel.ops.layout import Identity
from costmodel.recognition import Call, Operand
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 12, 5, 7))
_ROWS = TensorSpec((2, 5, 8))


@operator
class Pad(Operator):
    """Add `value` around an image: (top, bottom, left, right)."""

    aten = ("aten.pad.default", "aten.constant_pad_nd.default", "aten.reflection_pad2d.default", "aten.replication_pad2d.default")
    onnx = ("Pad",)

    sides: tuple[int, int, int, int]
    value: float = 0.0

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        height, width = x.shape[2] + self.sides[0] + self.sides[1], x.shape[3] + self.sides[2] + self.sides[3]
        if height < 1 or width < 1:
            raise ShapeError(f"the padding {self.sides} leaves nothing of {x.shape[2]}x{x.shape[3]}")
        return (TensorSpec((*x.shape[:2], height, width), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.PAD, inputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        top, bottom, left, right = self.sides
        return functional.pad(tensors[0], (left, right, top, bottom), value=self.value)

    @classmethod
    def from_aten(cls, call: Call) -> Operand | None:
        x = call.tensors[0]
        sides = call.ints("pad", call.get("padding"))
        mode = call.get("mode", "constant") if "pad.default" in call.name else {"r": "replicate"}.get(call.name[5], "constant")
        if "reflection" in call.name:
            mode = "reflect"
        return padded(call, x, tuple(reversed([(sides[i], sides[i + 1]) for i in range(0, len(sides), 2)])), mode, float(call.get("value", 0.0)))

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x = call.tensor("data")
        rank = len(x.shape)
        amounts = whole(call, "pads")
        places = whole(call, "axes", tuple(range(rank)))
        if len(amounts) != 2 * len(places) or any(not -rank <= place < rank for place in places):
            return None
        sides = [(0, 0)] * rank
        for number, place in enumerate(places):
            sides[place] = (amounts[number], amounts[len(places) + number])
        mode = {"edge": "replicate", "wrap": "circular"}.get(call.get("mode", "constant"), call.get("mode", "constant"))
        value = max(-3.4028234e38, min(3.4028234e38, real(call, "constant_value", real(call, "value", 0.0))))  # infinity becomes fp32's largest
        return padded(call, x, tuple(sides), mode, value)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls((1, 1, 1, 1)), (_IMAGE,)), Example(cls((0, 1, 0, 1)), (_IMAGE,)), Example(cls((0, -1, 0, -1)), (_IMAGE,)))


@operator
class PadChannels(Operator):
    """Channels of zeros after those of the input. x: (N, C, ...); out: (N, C + count, ...). Source: ENet, arXiv 1606.02147, section 3."""

    count: int

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        if len(x.shape) < 2 or self.count < 0:
            raise ShapeError(f"takes at least two dimensions and adds at least 0 channels, not {self.count}")
        return (TensorSpec((x.shape[0], x.shape[1] + self.count, *x.shape[2:]), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.PAD, inputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        (x,) = tensors
        return functional.pad(x, (0, 0) * (x.dim() - 2) + (0, self.count))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(4), (_IMAGE,)), Example(cls(0), (_IMAGE,)), Example(cls(3), (TensorSpec((2, 5)),)))


@operator
class PadAxes(Operator):
    """Elements added before and after every dimension (negative cuts): `value`, or what `mode` takes from the tensor's own edge."""

    sides: tuple[tuple[int, int], ...]
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant"
    value: float = 0.0

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        if len(self.sides) != len(inputs[0].shape):
            raise ShapeError(f"{len(self.sides)} pairs for {len(inputs[0].shape)} dimensions")
        shape = tuple(size + before + after for size, (before, after) in zip(inputs[0].shape, self.sides, strict=True))
        if min(shape) < 1:
            raise ShapeError(f"the padding {self.sides} leaves nothing of {inputs[0].shape}")
        return (TensorSpec(shape, inputs[0].dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return moved(WorkKind.PAD, inputs[0].numel, outputs[0].numel)

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        sides = list(self.sides)
        while self.mode != "constant" and len(sides) > 1 and sides[0] == (0, 0):
            sides.pop(0)  # the other modes take the padded dimensions only
        amounts = [amount for pair in reversed(sides) for amount in pair]
        return functional.pad(tensors[0], amounts, self.mode, self.value if self.mode == "constant" else None)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(((0, 0), (0, 2), (1, 0), (0, 0))), (_IMAGE,)),
            Example(cls(((0, 0), (1, 1), (0, 0)), "constant", 1.0), (_ROWS,)),
            Example(cls(((0, 0), (0, 0), (1, 1), (2, 2)), "reflect"), (_IMAGE,)),
        )


def padded(call: Call, x: Operand, sides: tuple[tuple[int, int], ...], mode: str, value: float) -> Operand:
    """`x` with `sides` added to its last dimensions."""
    everywhere = ((0, 0),) * (len(x.shape) - len(sides)) + sides
    if not any(amount for pair in everywhere for amount in pair):
        return call.add(Identity(), x)
    if mode == "constant" and len(x.shape) == 4 and everywhere[:2] == ((0, 0), (0, 0)):
        return call.add(Pad((*everywhere[2], *everywhere[3]), value), x)
    return call.add(PadAxes(everywhere, mode, value), x)  # type: ignore[arg-type]  # torch knows these modes only
