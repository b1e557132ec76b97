"""Arguments of ONNX nodes, which older sets of operators give as attributes and newer ones as constant tensors."""

from __future__ import annotations

from typing import Any

from costmodel.ops._shapes import resolve_padding
from costmodel.recognition import Call, Operand, UnreadableCallError

Sides = tuple[tuple[int, int], ...]


def flat(value: Any) -> tuple[Any, ...]:
    """The numbers of a constant in one row."""
    return tuple(number for item in value for number in flat(item)) if isinstance(value, list | tuple) else (value,)


def known(call: Call, name: str, default: Any = None) -> Any:
    """The argument called `name` as a tuple of numbers, whether it is an attribute or a constant tensor; `default` where it is absent.

    Raises
    ------
    UnreadableCallError
        If it is computed when the network runs.
    """
    found = call.get(name)
    if found is None:
        return default
    if isinstance(found, Operand):
        if found.value is None:
            raise UnreadableCallError(f"{call.name}: {name} is known only when the network runs")
        found = found.value
    return flat(found)


def number(call: Call, name: str, default: float | None = None) -> float | None:
    """The argument called `name` as one number."""
    found = known(call, name)
    if found is None or found == ():
        return default
    if len(found) != 1 or not isinstance(found[0], int | float):
        raise UnreadableCallError(f"{call.name}: {name} is no single number")
    return float(found[0])


def real(call: Call, name: str, default: float) -> float:
    """As `number`, where there is a default."""
    found = number(call, name, default)
    return default if found is None else found


def whole(call: Call, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """As `known`, for whole numbers."""
    found = known(call, name, default)
    if found is None or not all(isinstance(value, int) for value in found):
        raise UnreadableCallError(f"{call.name}: {name} is {found!r}, not whole numbers")
    return tuple(int(value) for value in found)


def is_filled(operand: Any, value: float) -> bool:
    """Whether all elements of a constant are known to be `value`."""
    return isinstance(operand, Operand) and operand.origin == "constant" and operand.value is not None and set(flat(operand.value)) == {value}


def is_number(operand: Operand) -> bool:
    """Whether a constant is one number that a file can hold."""
    return isinstance(operand.value, int | float) and abs(operand.value) < 3.4028234e38


def window(call: Call, x: Operand, size: tuple[int, ...]) -> tuple[tuple[int, ...], Sides, tuple[int, ...]]:
    """(strides, padding before and after each dimension, dilations) of a convolution or a pool with windows of `size`.

    Raises
    ------
    UnreadableCallError
        If they do not fit the dimensions.
    """
    rank = len(x.shape) - 2
    stride, dilation = whole(call, "strides", (1,) * rank), whole(call, "dilations", (1,) * rank)
    mode = call.get("auto_pad", "NOTSET")
    if not rank == len(size) == len(stride) == len(dilation) or min(*size, *stride, *dilation) < 1:
        raise UnreadableCallError(f"{call.name}: windows {size}, strides {stride} and dilations {dilation} for {rank} dimensions")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        found = []
        for axis in range(rank):
            same = resolve_padding("same", (x.shape[2 + axis], 1), (size[axis], 1), (stride[axis], 1), (dilation[axis], 1))
            found.append((same.top, same.bottom) if mode == "SAME_UPPER" else (same.bottom, same.top))
        return stride, tuple(found), dilation
    pads = whole(call, "pads", (0,) * (2 * rank)) if mode == "NOTSET" else (0,) * (2 * rank)
    if len(pads) != 2 * rank or min(pads) < 0:
        raise UnreadableCallError(f"{call.name}: the padding {pads} for {rank} dimensions")
    return stride, tuple(zip(pads[:rank], pads[rank:], strict=True)), dilation


def axes(call: Call, x: Operand) -> tuple[int, ...]:
    """The dimensions that a reduction is over; all of them where none are given."""
    given = whole(call, "axes", ())
    if not given and call.get("noop_with_empty_axes", 0):
        raise UnreadableCallError(f"{call.name} over no dimension")
    return given or tuple(range(len(x.shape)))
