"""A roofline in three lines of text: what the processor could do at each arithmetic intensity, what the kernels reach, where the time goes.

Columns are arithmetic intensity on a logarithmic scale; the first holds kernels without any FLOP. Heights are logarithmic for
rates, a factor of `_STEP` each, and proportional for time.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

from costmodel.estimation import Estimate
from costmodel.kernel import HOST
from costmodel.quantity import share, si, significant

_BLOCKS = " ▁▂▃▄▅▆▇█"
#: The same heights where the encoding has no blocks.
_PLAIN = " .:-=+*%#"
_COLUMNS = 40
#: What one step of height means for a rate: eight of them span a factor of 6,500.
_STEP = 3.0


class Sketch(NamedTuple):
    """The three lines, the scale below them, and what the ceiling is in words."""

    ceiling: str
    reached: str
    time: str
    scale: str
    words: str


def sketch(report: Estimate) -> Sketch | None:
    """The roofline of an estimate in text; None where nothing that runs on the processor has any FLOP.

    What a host computes for an accelerator is left out: it has another ceiling.
    """
    kernels = [row for row in report.kernels if row.partition != HOST and row.latency_s > 0]
    intensities = [row.flops / row.traffic_bytes if row.traffic_bytes else math.inf for row in kernels]
    machine = report.target.machine
    peak, bandwidth = machine.peak(report.target.dtype), machine.bytes_per_s
    ridge = peak / bandwidth
    finite = [value for value in intensities if 0 < value < math.inf]
    if not finite:
        return None
    low, high = math.log(min(*finite, ridge) / 1.5), math.log(max(*finite, ridge) * 1.5)
    flops, seconds = [0.0] * _COLUMNS, [0.0] * _COLUMNS
    for row, value in zip(kernels, intensities, strict=True):
        column = 0 if value == 0 else _COLUMNS - 1 if value == math.inf else 1 + round((math.log(value) - low) / (high - low) * (_COLUMNS - 2))
        flops[column] += row.flops
        seconds[column] += row.latency_s
    middles = [math.exp(low + (column - 1) / (_COLUMNS - 2) * (high - low)) for column in range(1, _COLUMNS)]
    ceilings = [0.0, *(min(peak, value * bandwidth) for value in middles)]
    longest = max(seconds)
    return Sketch(
        ceiling="".join(_rate(value, peak) for value in ceilings),
        reached="".join(_rate(share(done, spent), peak) for done, spent in zip(flops, seconds, strict=True)),
        time="".join(_glyphs()[math.ceil(8 * spent / longest)] for spent in seconds),
        scale=_scale(low, high),
        words=f"{si(peak, 'FLOP/s')} from {significant(ridge)} FLOP/B on, {si(bandwidth, 'B/s')} below",
    )


def _rate(value: float, peak: float) -> str:
    """A height for a rate against the peak; the lowest is for anything that is not nothing."""
    if value <= 0:
        return _glyphs()[0]
    return _glyphs()[min(8, max(1, 8 + math.floor(math.log(value / peak) / math.log(_STEP) + 1e-9)))]


def _scale(low: float, high: float) -> str:
    """Powers of ten below their columns; 0 below the first."""
    line = ["0", *" " * (_COLUMNS - 1)]
    for power in range(math.ceil(low / math.log(10)), math.floor(high / math.log(10)) + 1):
        column = 1 + round((power * math.log(10) - low) / (high - low) * (_COLUMNS - 2))
        text = f"{10.0**power:g}"
        free = all(mark == " " for mark in line[max(0, column - 1) : column + len(text) + 1])
        if free and column + len(text) <= _COLUMNS:
            line[column : column + len(text)] = text
    return "".join(line)


def _glyphs() -> Sequence[str]:
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN
    return _BLOCKS
