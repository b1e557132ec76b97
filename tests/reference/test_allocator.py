"""What measuring tells the C library's allocator."""

from __future__ import annotations

import resource

import pytest

from costmodel.reference import keep_memory


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_freed_memory_comes_back_without_a_page_fault() -> None:
    if not keep_memory():
        pytest.skip("this C library's allocator cannot be told (glibc's can)")
    size = 32 << 20
    b"x" * size  # the heap grows once
    before = _faults()
    for _ in range(10):
        b"x" * size
    assert _faults() - before < 10 * size / 4096 / 10
