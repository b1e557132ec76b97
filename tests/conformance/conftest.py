"""Running an operator in torch without data: what the conformance tests share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from costmodel.operator import Operator, Specs
from costmodel.tensor import DType, TensorSpec


@pytest.fixture(scope="session")
def torch_types() -> dict[DType, Any]:
    """torch's dtype for each of ours."""
    import torch

    return {
        DType.FP32: torch.float32,
        DType.FP16: torch.float16,
        DType.BF16: torch.bfloat16,
        DType.INT8: torch.int8,
        DType.INT32: torch.int32,
        DType.INT64: torch.int64,
        DType.BOOL: torch.bool,
    }


@pytest.fixture(scope="session")
def on_meta(torch_types: dict[DType, Any]) -> Callable[[Operator, Specs], tuple[Specs, int]]:
    """A function from an operator and input specs to the output specs and the FLOPs that torch finds, on device meta."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def measure(operator: Operator, inputs: Specs) -> tuple[Specs, int]:
        tensors = [torch.empty(spec.shape, dtype=torch_types[spec.dtype], device="meta") for spec in inputs]
        weights = {name: torch.empty(shape, device="meta") for name, shape in operator.parameters(*inputs).items()}
        with FlopCounterMode(display=False) as counter:
            result = operator.run(*tensors, **weights)
        outputs = result if isinstance(result, tuple | list) else (result,)
        ours = {theirs: dtype for dtype, theirs in torch_types.items()}
        return tuple(TensorSpec(tuple(y.shape), ours[y.dtype]) for y in outputs), counter.get_total_flops()

    return measure
