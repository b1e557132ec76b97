"""What the families share: checks with clear errors, broadcasting, and window arithmetic."""

from __future__ import annotations

from typing import Literal

from costmodel.errors import ShapeError
from costmodel.operator import Padding
from costmodel.tensor import DType, TensorSpec
from costmodel.work import Work, WorkKind

#: ``"same"`` is TensorFlow's (output = ceil(input / stride), the odd element at the end), ``"valid"`` none, and four
#: numbers are (top, bottom, left, right).
PaddingMode = Literal["same", "valid"] | tuple[int, int, int, int]


def require_rank(spec: TensorSpec, rank: int, what: str) -> None:
    """Raise `ShapeError` unless `spec` has `rank` dimensions."""
    if len(spec.shape) != rank:
        raise ShapeError(f"{what} must have {rank} dimensions, not {len(spec.shape)}")


def require_arguments(inputs: tuple[TensorSpec, ...], count: int) -> None:
    """Raise `ShapeError` unless there are `count` inputs."""
    if len(inputs) != count:
        raise ShapeError(f"takes {count} input{'s' if count > 1 else ''}, not {len(inputs)}")


def broadcast(first: TensorSpec, second: TensorSpec) -> TensorSpec:
    """The spec of an elementwise result: shapes by numpy's rule, dtypes by torch's."""
    a, b = first.shape, second.shape
    if a == b and first.dtype is second.dtype:
        return first
    rank = max(len(a), len(b))
    padded = ((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b)
    shape = []
    for x, y in zip(*padded, strict=True):
        if x != y and 1 not in (x, y):
            raise ShapeError(f"shapes {a} and {b} do not broadcast: {x} against {y}")
        shape.append(y if x == 1 else x)
    return TensorSpec(tuple(shape), _promoted(first.dtype, second.dtype))


def _promoted(a: DType, b: DType) -> DType:
    """The type that holds both: real numbers before integers, then the larger element; fp16 and bf16 meet in fp32."""
    if a is b:
        return a
    if a.is_floating is not b.is_floating:
        return a if a.is_floating else b
    if a.itemsize == b.itemsize:
        return DType.FP32 if a.is_floating else DType.INT8  # the only integers of one size are int8 and bool
    return a if a.itemsize > b.itemsize else b


def resolve_padding(
    padding: PaddingMode, size: tuple[int, int], kernel_size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> Padding:
    """Elements added on each side of an image of `size` (H, W), and whether they are what SAME would add."""
    if min(*kernel_size, *stride, *dilation) < 1:
        raise ShapeError(f"kernel size {kernel_size}, stride {stride} and dilation {dilation} must be at least 1")
    same_top, same_bottom = _same(size[0], kernel_size[0], stride[0], dilation[0])
    same_left, same_right = _same(size[1], kernel_size[1], stride[1], dilation[1])
    same = (same_top, same_bottom, same_left, same_right)
    if padding == "same":
        return Padding(*same, True)
    if padding == "valid":
        return Padding(0, 0, 0, 0, not any(same))
    if min(padding) < 0:
        raise ShapeError(f"the padding {padding} must not be negative")
    return Padding(*padding, tuple(padding) == same)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    total = max(0, (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
    return total // 2, total - total // 2


def window_output(
    size: tuple[int, int], padding: Padding, kernel_size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1), *, ceil: bool = False
) -> tuple[int, int]:
    """H' and W' of a window operator.

    With `ceil` a last partial window counts, unless it would start in the padding on the far side (torch's rule).
    """
    height = _windows(size[0], padding.top, padding.bottom, kernel_size[0], stride[0], dilation[0], ceil)
    width = _windows(size[1], padding.left, padding.right, kernel_size[1], stride[1], dilation[1], ceil)
    if height < 1 or width < 1:
        padded = (size[0] + padding.top + padding.bottom, size[1] + padding.left + padding.right)
        raise ShapeError(
            f"the image of {size[0]}x{size[1]} (padded {padded[0]}x{padded[1]}) is smaller than the window of "
            f"{dilation[0] * (kernel_size[0] - 1) + 1}x{dilation[1] * (kernel_size[1] - 1) + 1}: use a larger resolution"
        )
    return height, width


def _windows(size: int, before: int, after: int, kernel: int, stride: int, dilation: int, ceil: bool) -> int:
    span = size + before + after - dilation * (kernel - 1) - 1
    count = (-(-span // stride) if ceil else span // stride) + 1
    if ceil and (count - 1) * stride >= size + before:
        count -= 1
    return count


def moved(kind: WorkKind, read: int, written: int, parameters: int = 0) -> Work:
    """Work that only moves elements."""
    return Work(kind=kind, elements_read=read, elements_written=written, parameters=parameters)
