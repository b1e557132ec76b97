"""What a module is called with, as its user gives it: shapes and tensors, alone or in lists and mappings, and plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from costmodel.errors import UsageError, whole
from costmodel.graph import MAX_SIZE
from costmodel.tensor import DType, TensorSpec

_FORMS = (
    "an input is a shape such as (1, 3, 224, 224), a tensor or a TensorSpec, a number, a truth, a text or None, or a list, tuple or mapping with "
    "at least one of these"
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """Positional and named arguments with tensors, which are on the meta device where only their shape is known."""

    positional: tuple[Any, ...]
    named: Mapping[str, Any]

    @property
    def tensors(self) -> list[Any]:
        """All tensors in order."""
        found: list[Any] = []
        self.mapped(found.append)
        return found

    @property
    def batch(self) -> int:
        """Dimension 0 of the first tensor that has one."""
        return next((int(tensor.shape[0]) for tensor in self.tensors if tensor.dim()), 1)

    @property
    def is_batched(self) -> bool:
        """Whether all tensors but numbers have the same dimension 0."""
        return len({tensor.shape[0] for tensor in self.tensors if tensor.dim()}) == 1

    def mapped(self, function: Callable[[Any], Any]) -> Arguments:
        """The same with every tensor replaced."""
        return Arguments(_mapped(self.positional, function), _mapped(dict(self.named), function))


def arguments_of(inputs: Any, dtype: Any) -> Arguments:
    """The arguments that `inputs` stand for; a shape that states no type has `dtype`, torch's default where that is None.

    Raises
    ------
    UsageError
        If they are none of the forms that are taken, or hold no tensor.
    """
    import torch

    def read(value: Any) -> Any:
        return _read(torch, value, dtype)

    if isinstance(inputs, Mapping):
        found = Arguments((), {str(key): read(value) for key, value in inputs.items()})
    elif isinstance(inputs, Sequence) and not isinstance(inputs, str | bytes):
        found = Arguments(tuple(map(read, inputs)), {})
    else:
        raise UsageError(f"inputs are a list with a shape or tensor for each argument, such as [(1, 3, 224, 224)], not {_shown(inputs)}")
    if not inputs:
        raise UsageError("give at least one input, such as [(1, 3, 224, 224)]")
    if not found.tensors:
        raise UsageError(f"{_FORMS}, and one of them is a shape or a tensor: {_shown(inputs)} has none; for one argument write [(1, 3, 224, 224)]")
    return found


def _read(torch: Any, value: Any, dtype: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, TensorSpec):
        kinds = {DType.FP32: "float32", DType.FP16: "float16", DType.BF16: "bfloat16"}
        return _empty(torch, value.shape, getattr(torch, kinds.get(value.dtype, value.dtype)))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping) and value:
        return {key: _read(torch, item, dtype) for key, item in value.items()}
    if isinstance(value, Sequence) and value:
        if not any(isinstance(item, int | float) for item in value):
            items = [_read(torch, item, dtype) for item in value]
            return items if isinstance(value, list) else tuple(items)
        if all(isinstance(item, int) and item > 0 for item in value):
            return _empty(torch, tuple(value), dtype)
    raise UsageError(f"{_FORMS}, not {_shown(value)}")


def _empty(torch: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """A tensor without data."""
    for size in shape:
        whole("size of an input", int(size), 1, MAX_SIZE)
    try:
        return torch.empty(shape, dtype=dtype, device="meta")
    except RuntimeError as error:
        raise UsageError(f"an input of shape {shape} has more elements than torch can count: {str(error).splitlines()[0]}") from None


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple):
        items = [_mapped(item, function) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: _mapped(item, function) for key, item in value.items()}
    return function(value) if hasattr(value, "detach") else value


def _shown(value: Any) -> str:
    """The beginning of a value in words."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
