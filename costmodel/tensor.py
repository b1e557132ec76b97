"""What a tensor is here: a shape and a dtype. Never data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class DType(Enum):
    """Element types; `value` is the name used on the command line and in profiles."""

    FP32 = "fp32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _ITEMSIZE[self]

    @property
    def is_floating(self) -> bool:
        """Whether elements are real numbers, hence cast or quantised by a target's dtype."""
        return self in _FLOATING

    __hash__ = object.__hash__  # members are singletons: identity hashing is exact, and the fast path of lowering


_ITEMSIZE = {
    DType.FP32: 4,
    DType.FP16: 2,
    DType.BF16: 2,
    DType.INT8: 1,
    DType.INT32: 4,
    DType.INT64: 8,
    DType.BOOL: 1,
}
_FLOATING = frozenset({DType.FP32, DType.FP16, DType.BF16})


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
        return math.prod(self.shape) * _ITEMSIZE[self.dtype]

    def with_shape(self, *shape: int) -> TensorSpec:
        """The same dtype in another shape."""
        return TensorSpec(shape, self.dtype)

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape)) or 'scalar'}:{self.dtype.value}"
