"""What a kernel's start takes after others: what it needs besides its tensors (code, tables, buffers) must come back from farther away.

The bench calls an operator over and over, a network calls others in between. On an AVX-512 server single operators of 30 to 300 us took 45 us more after two
others that move several MiB, whatever they compute. Operators that move as much themselves took no more than on the bench, where they find nothing of their
own again either; the law charges them all the same (`cold_share` rises with the bytes of a kernel, which stand for those of its neighbours).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from costmodel.calibration.local.plan import Case, single
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d
from costmodel.ops.elementwise import ReLU, Sigmoid
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm, LayerNorm

_IMAGE, _LARGE, _TOKENS = (1, 32, 28, 28), (1, 160, 56, 56), (1, 64, 192)
_SMALL: Mapping[str, tuple[Operator, list[tuple[int, ...]]]] = {
    "dense": (Conv2d(32, (3, 3)), [_IMAGE]),
    "pointwise": (Conv2d(64, (1, 1)), [_IMAGE]),
    "depthwise": (DepthwiseConv2d((3, 3)), [_IMAGE]),
    "linear": (Linear(192), [_TOKENS]),
    "batch-norm": (BatchNorm(), [_IMAGE]),
    "rectifier": (ReLU(), [_IMAGE]),
    "sigmoid": (Sigmoid(), [_IMAGE]),
    "add": (Add(), [_IMAGE, _IMAGE]),
    "layer-norm": (LayerNorm(), [_TOKENS]),
}
_DISPLACING: Mapping[str, tuple[Operator, list[tuple[int, ...]]]] = {
    "dense": (Conv2d(72, (3, 3)), [(1, 64, 56, 56)]),
    "batch-norm": (BatchNorm(), [_LARGE]),
    "pointwise": (Conv2d(192, (1, 1)), [(1, 96, 56, 56)]),
    "product": (Multiply(), [_LARGE, _LARGE]),
    "depthwise": (DepthwiseConv2d((5, 5)), [(1, 144, 56, 56)]),
    "linear": (Linear(768), [(1, 197, 384)]),
}


def start_cases() -> tuple[Case, ...]:
    """Small operators of many kinds, each of which displaces little itself."""
    return _cases("start", _SMALL)


def displacing_cases() -> tuple[Case, ...]:
    """Operators that move more than caches near a core hold, two at a time, of other shapes than what is timed after them."""
    return _cases("displacing", _DISPLACING)


def start_seconds(more: Sequence[float]) -> float:
    """Seconds that a start takes more after others, from those of each of `start_cases`: the median; 0 without any.

    Examples
    --------
    >>> start_seconds([4e-5, 5e-5, 3e-5])
    4e-05
    """
    return statistics.median(more) if more else 0.0


def _cases(name: str, operators: Mapping[str, tuple[Operator, list[tuple[int, ...]]]]) -> tuple[Case, ...]:
    return tuple(
        Case(name=f"{name}-{family}", family=family, role="start", graph=single(family, operator, shapes)) for family, (operator, shapes) in operators.items()
    )
