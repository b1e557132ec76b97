"""Tensors and schemas of torch in the terms of a trace."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from costmodel.tensor import DType, TensorSpec

#: Names of torch's types; a type that has no counterpart counts as the one of its size and kind.
DTYPES: dict[str, DType] = {
    "float32": DType.FP32,
    "float64": DType.FP32,
    "float16": DType.FP16,
    "bfloat16": DType.BF16,
    "int8": DType.INT8,
    "uint8": DType.INT8,
    "int16": DType.INT32,
    "int32": DType.INT32,
    "int64": DType.INT64,
    "bool": DType.BOOL,
    "complex64": DType.FP32,
}


def spec_of(tensor: Any) -> TensorSpec:
    """Shape and type of a torch tensor; sizes that torch keeps as symbols become numbers."""
    return TensorSpec(tuple(int(size) for size in tensor.shape), DTYPES.get(str(tensor.dtype).removeprefix("torch."), DType.FP32))


def small_value(tensor: Any) -> Any:
    """The numbers of a constant of at most 16 elements, None for others and for tensors without data."""
    if tensor.numel() > 16 or tensor.is_meta or type(tensor).__name__ == "FakeTensor":
        return None
    return tensor.tolist()


def numbers_of(tensors: Mapping[str, Any]) -> Callable[[str], Any]:
    """A function of a name to the numbers of that tensor as an array, or None where there is no such tensor or it has no data."""

    def numbers(name: str) -> Any:
        tensor = tensors.get(name)
        if tensor is None or tensor.is_meta or type(tensor).__name__ == "FakeTensor":
            return None
        return tensor.detach().to("cpu").numpy() if str(tensor.dtype) != "torch.bfloat16" else None  # numpy has no such type

    return numbers


@lru_cache(maxsize=4096)
def schema_names(operator: Any) -> tuple[str, ...]:
    """Names of the arguments of an operator of torch's dispatcher; those of one that computes with graphs have numbers."""
    schema = getattr(operator, "_schema", None)
    return tuple(f"argument{place}" for place in range(32)) if schema is None else tuple(argument.name for argument in schema.arguments)


def tensors_in(value: Any) -> list[Any]:
    """The tensors in what a call returns, in order: in lists, mappings, and objects of dataclasses."""
    if hasattr(value, "detach") and hasattr(value, "shape"):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    return [tensor for item in value for tensor in tensors_in(item)] if isinstance(value, list | tuple) else []
