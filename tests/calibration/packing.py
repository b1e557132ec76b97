"""With what share of the memory's bandwidth threads pack together: ``python -m tests.calibration.packing``.

Mean errors of rows of several cores, whose constants are fitted to rows of one, for each share; `packing_share` of the profiles is the best of them on average.
"""

from __future__ import annotations

import sys
from statistics import mean

from costmodel.calibration.fit import priced
from costmodel.calibration.rows import only, read_for
from costmodel.calibration.samples import Sample, collect
from costmodel.devices import device

SHARES = (0.375, 0.5, 0.75)
DTYPES = ("fp32", "int8")
DEVICES = ("pixel4", "galaxy-s10", "iphone-xs")


def several_cores(name: str, dtype: str) -> list[Sample]:
    """Rows of several cores of a phone."""
    rows = only(read_for(name, None), name, {"processor": "cpu", "dtype": dtype, "runtime": "tflite-padded"})
    return [sample for sample in collect(rows, device(name)).samples if (sample.target.threads or 1) > 1]


def errors(samples: list[Sample], share: float) -> list[float]:
    """Absolute relative errors of each row."""
    found = priced(samples, {("packing_share",): share})
    return [abs(seconds / sample.seconds - 1) for sample, seconds in zip(samples, found, strict=True)]


def table() -> list[str]:
    """Lines of Markdown: a row for each device and precision, a column for each share."""
    lines = [f"| device | dtype | {' | '.join(f'{share:g}' for share in SHARES)} |", "|---" * (2 + len(SHARES)) + "|"]
    columns: list[list[float]] = []
    for name in DEVICES:
        for dtype in DTYPES:
            samples = several_cores(name, dtype)
            columns.append([mean(errors(samples, share)) for share in SHARES])
            lines.append(f"| {name} | {dtype} | {' | '.join(f'{error:.1%}' for error in columns[-1])} |")
    return [*lines, f"| mean | | {' | '.join(f'{mean(column):.1%}' for column in zip(*columns, strict=True))} |"]


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
