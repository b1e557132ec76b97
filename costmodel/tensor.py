"""What a tensor is here: a shape and a dtype. Never data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

#: What a network may be run in: a dtype of its floating-point tensors, or ``amp``, torch's autocast to fp16.
PrecisionName = Literal["fp32", "fp16", "bf16", "amp", "int8"]
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)


class DType(StrEnum):
    """Element types; a member is the name used on the command line and in profiles, and knows the bytes of one element."""

    FP32 = "fp32", 4, True
    FP16 = "fp16", 2, True
    BF16 = "bf16", 2, True
    INT8 = "int8", 1, False
    INT32 = "int32", 4, False
    INT64 = "int64", 8, False
    BOOL = "bool", 1, False

    itemsize: int
    #: Whether elements are real numbers, hence cast or quantised by a target's dtype.
    is_floating: bool

    def __new__(cls, name: str, itemsize: int, is_floating: bool) -> DType:
        member = str.__new__(cls, name)
        member._value_ = name
        member.itemsize = itemsize
        member.is_floating = is_floating
        return member

    @classmethod
    def named(cls, name: str) -> DType:
        """The member called `name`.

        Raises
        ------
        ValueError
            If there is none; lists those that exist.
        """
        for member in cls:
            if member == name:
                return member
        raise ValueError(f"{name!r} is no dtype; available: {', '.join(cls)}")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and dtype of a tensor; images are (N, C, H, W) whatever layout a runtime stores them in.

    Examples
    --------
    >>> spec = TensorSpec((1, 3, 224, 224))
    >>> spec.numel, spec.nbytes
    (150528, 602112)
    """

    shape: tuple[int, ...]
    dtype: DType = DType.FP32

    @property
    def numel(self) -> int:
        """Number of elements (1 for a scalar), an exact Python int."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor in its own dtype, dense."""
        return math.prod(self.shape) * self.dtype.itemsize

    def with_shape(self, *shape: int) -> TensorSpec:
        """The same dtype in another shape."""
        return TensorSpec(shape, self.dtype)

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape)) or 'scalar'}:{self.dtype}"
