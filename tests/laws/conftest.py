"""Programs of a single kernel, so that a law can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from costmodel.kernel import Buffer, Kernel, Program
from costmodel.tensor import DType
from costmodel.work import Work


@pytest.fixture(scope="session")
def kernel_of() -> Callable[..., Kernel]:
    """A function from works, the anchor first, to the kernel that runs them."""

    def make(*works: Work, read: int = 0, written: int = 0, weights: int = 0, dtype: DType = DType.FP32, partition: str = "") -> Kernel:
        return Kernel(
            name=str(works[0].kind),
            operators=("operator",),
            kind=works[0].kind,
            works=works,
            dtype=dtype,
            read_bytes=read,
            write_bytes=written,
            weight_bytes=weights,
            inputs=(),
            outputs=(),
            partition=partition,
        )

    return make


@pytest.fixture(scope="session")
def program_of() -> Callable[..., Program]:
    """A function from kernels to a program; `live` is the size of one buffer that exists all along."""

    def make(*kernels: Kernel, dtype: DType = DType.FP32, live: int = 0, input_bytes: int = 0, output_bytes: int = 0) -> Program:
        return Program(
            name="hand",
            rule_set="none",
            dtype=dtype,
            batch=1,
            kernels=kernels,
            buffers=(Buffer(name="live", nbytes=live, first=-1, last=len(kernels)),),
            input_bytes=input_bytes,
            output_bytes=output_bytes,
            stored_weight_bytes=0,
        )

    return make
