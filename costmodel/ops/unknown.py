"""The stand-in for an operator of an imported network that is not known here."""

from __future__ import annotations

from typing import Any

from costmodel.errors import ShapeError, UsageError
from costmodel.operator import Example, Operator, Specs, operator
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind


@operator
class Unknown(Operator):
    """An operator of an imported network that has no class here: it has a place and output shapes, and no cost.

    A negative size of `shapes` stands for that many times the batch, which is dimension `batch_axis` of the first input
    divided by `per_sample`.
    Every report lists it, and `--strict` refuses it.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[DType, ...]
    batch_axis: int = 0
    per_sample: int = 1

    def infer(self, *inputs: TensorSpec) -> Specs:
        follows = any(size < 0 for shape in self.shapes for size in shape)
        if follows and (not inputs or not 0 <= self.batch_axis < len(inputs[0].shape)):
            raise ShapeError(f"the output of {self.name} follows the batch, which its first input must have in dimension {self.batch_axis}")
        batch = inputs[0].shape[self.batch_axis] // self.per_sample if follows else 1
        if len(self.shapes) != len(self.dtypes):
            raise ShapeError(f"{self.name} has {len(self.shapes)} outputs and {len(self.dtypes)} types")
        sizes = (tuple(-size * batch if size < 0 else size for size in shape) for shape in self.shapes)
        return tuple(TensorSpec(shape, dtype) for shape, dtype in zip(sizes, self.dtypes, strict=True))

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        return Work(
            kind=WorkKind.UNMODELLED,
            elements_read=sum(spec.numel for spec in inputs),
            elements_written=sum(spec.numel for spec in outputs),
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        raise UsageError(f"{self.name} is not known here, so that torch cannot run it: register an operator class for it (costmodel.operator)")

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        x = TensorSpec((2, 5, 8))
        fp32 = DType.FP32
        return (
            Example(cls("sort", ((-1, 5, 8), (7,)), (fp32, DType.INT64)), (x,)),
            Example(cls("roi_align", ((100, 7, 7),), (fp32,)), (x, x)),
            Example(cls("fft", ((5, -2, 8),), (fp32,)), (x,)),
        )
