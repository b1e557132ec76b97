"""What matrix products move besides their arithmetic: operands that are packed, and bytes that no cache holds; for `linear_work`.

ruy packs in every thread, and TensorFlow Lite splits the outputs of a single row among threads (google/ruy, ruy/trmul.cc; tensorflow,
lite/kernels/cpu_backend_gemm_custom_gemv.h), so that both are as fast as all cores together, or as the memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from costmodel.work import Work, WorkKind

#: Kinds of work whose operands are packed for a product.
PACKED_KINDS = frozenset({WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.LINEAR, WorkKind.MATMUL})
#: How many times what is packed crosses the memory: read, written, and read by the product. The weights of a single row are only read.
PACKED, STREAMED = 3, 1


def is_row(work: Work) -> bool:
    """Whether a product has a single row, whose weights are read once as they are.

    Examples
    --------
    >>> is_row(Work(kind=WorkKind.LINEAR, m=1, n=10, k=20)), is_row(Work(kind=WorkKind.LINEAR, m=2, n=10, k=20))
    (True, False)
    """
    return work.m == 1 and work.kind is not WorkKind.MATMUL


def copies_columns(work: Work) -> bool:
    """Whether im2col writes the windows of a convolution out, one column for each position."""
    return work.kind is not WorkKind.MATMUL and (work.taps > 1 or work.stride > 1)


def weights_and_columns(work: Work) -> tuple[int, int]:
    """Elements of weights and of columns that a product packs; of a batched product the second and the first operand.

    Examples
    --------
    >>> weights_and_columns(Work(kind=WorkKind.CONVOLUTION, m=64, n=8, k=36, taps=9))
    (288, 2304)
    """
    columns = work.m * work.k * work.groups if work.kind is WorkKind.MATMUL or copies_columns(work) else 0
    return work.n * work.k * work.groups, columns


def streamed_bytes(work: Work, itemsize: int, resident_bytes: float) -> float:
    """Bytes of a kernel's inputs, outputs, columns (written, then read) and weights, of each what lies beyond its first `resident_bytes`.

    Columns are counted of all windows, also of those that are multiplied otherwise (Winograd's, whose tiles move as much, and direct ones).

    Examples
    --------
    >>> streamed_bytes(Work(kind=WorkKind.COPY, elements_read=300, elements_written=100), 4, 1000)
    200.0
    """
    streamed = max(0.0, work.elements_read * itemsize - resident_bytes) + max(0.0, work.elements_written * itemsize - resident_bytes)
    if work.m > 1 and work.kind in PACKED_KINDS and work.kind is not WorkKind.MATMUL:
        weights, columns = weights_and_columns(work)
        streamed += max(0.0, weights * itemsize - resident_bytes) + 2 * max(0.0, columns * itemsize - resident_bytes)
    return streamed


def split_s(alone_s: Iterable[tuple[float, int]]) -> float:
    """Seconds of work that cores share, as much each as it is fast, from (seconds on one core, how many) of every kind of core.

    Examples
    --------
    >>> split_s([(1.0, 2)]), split_s([(1.0, 1), (2.0, 2)]), split_s([(1.0, 1), (0.0, 2)])
    (0.5, 0.5, 0.0)
    """
    cores = tuple(alone_s)
    return 1 / sum(count / seconds for seconds, count in cores) if all(seconds for seconds, _ in cores) else 0.0
