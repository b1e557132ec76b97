"""Resizing images. x: (N, C, H, W); out: (N, C, H', W')."""

from __future__ import annotations

from typing import Any, Literal

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Specs, operator
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.recognition import Call, Operand
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

_IMAGE = TensorSpec((2, 8, 5, 7))
_TAPS = {"nearest": 1, "bilinear": 4, "bicubic": 16}
_FLOPS = {"nearest": 0, "bilinear": 7, "bicubic": 35}


@operator
class Resize(Operator):
    """Resize by whole or fractional `scale`, or to `size` where that is given.

    FLOPs an output: nearest 0; bilinear 7 (two differences, two products, two sums along one axis pair, one more blend:
    a + (b - a)*t twice in x and once in y, 3 operations each, less the shared weights counted once = 9 - 2); bicubic 35
    (four sums of 4 products along one axis and one along the other, 7 operations each).
    """

    aten = tuple(
        f"aten.{name}.{form}"
        for name in (
            "upsample_nearest2d",
            "_upsample_nearest_exact2d",
            "upsample_bilinear2d",
            "_upsample_bilinear2d_aa",
            "upsample_bicubic2d",
            "_upsample_bicubic2d_aa",
        )
        for form in ("vec", "default")
    )
    onnx = ("Resize", "Upsample")

    scale: float = 2.0
    mode: Literal["nearest", "bilinear", "bicubic"] = "nearest"
    size: tuple[int, int] | None = None
    align_corners: bool = False

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 4, "the image")
        size = self.size or (int(x.shape[2] * self.scale), int(x.shape[3] * self.scale))
        if min(size) < 1:
            raise ShapeError(f"resizing {x.shape[2]}x{x.shape[3]} by {self.scale} leaves nothing")
        return (TensorSpec((*x.shape[:2], *size), x.dtype),)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        written = outputs[0].numel
        return Work(
            kind=WorkKind.RESIZE,
            taps=_TAPS[self.mode],
            elements_read=inputs[0].numel,
            elements_written=written,
            other_flops=_FLOPS[self.mode] * written,
        )

    def fvcore_flops(self, inputs: Specs, outputs: Specs) -> int:
        return outputs[0].numel * _TAPS[self.mode]

    def run(self, *tensors: Any, **weights: Any) -> Any:
        from torch.nn import functional

        (x,) = tensors
        size = self.size or (int(x.shape[2] * self.scale), int(x.shape[3] * self.scale))
        align = {"align_corners": self.align_corners} if self.mode != "nearest" else {}
        return functional.interpolate(x, size, mode=self.mode, **align)

    @classmethod
    def from_aten(cls, call: Call) -> Operand:
        mode: Literal["nearest", "bilinear", "bicubic"] = "bicubic" if "bicubic" in call.name else "bilinear" if "bilinear" in call.name else "nearest"
        rows, columns = call.outputs[0].shape[2:]
        return call.add(cls(1.0, mode, (rows, columns), bool(call.get("align_corners", False))), call.tensors[0])

    @classmethod
    def from_onnx(cls, call: Call) -> Operand | None:
        x, shape = call.tensor("X"), call.outputs[0].shape
        modes: dict[str, Literal["nearest", "bilinear", "bicubic"]] = {"nearest": "nearest", "linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic"}
        mode = modes.get(call.get("mode", "nearest"))
        if len(x.shape) != 4 or shape[:2] != x.shape[:2] or mode is None:
            return None
        aligned = call.get("coordinate_transformation_mode", "half_pixel") == "align_corners" and mode != "nearest"
        return call.add(cls(1.0, mode, (shape[2], shape[3]), aligned), x)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example(cls(), (_IMAGE,)),
            Example(cls(4.0, "bilinear"), (_IMAGE,)),
            Example(cls(mode="bilinear", size=(9, 9), align_corners=True), (_IMAGE,)),
        )
