"""What every table in a terminal is made of: the console, plain tables, bars; colour, width and NO_COLOR are rich's business."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from costmodel.devices import Target
from costmodel.quantity import share

#: Below this width a table keeps its essential columns only.
NARROW = 84
PIPE_WIDTH = 110
#: Cells that the first column of a table keeps, and that a terminal is taken to have at the least: below, it wraps lines itself.
LEAST_NAME = 20
#: How what a latency rests on is marked, and what the marks mean.
BASIS_MARKS = {"calibrated": "", "transferred": "~", "datasheet": "?"}
BASIS_WORDS = {"transferred": "~ constants carried over from a relative", "datasheet": "? rests on an assumption or a single network"}
#: What the dagger beside a name means.
EXTRA_DATA = "† trained on more than ImageNet-1k"
#: What the sign before an accuracy means.
UPPER_BOUND = "≤ published in full precision, of which this one may lose some"
#: What the words of `target_parts` are, for whoever meets them first.
TARGET_MEANS = "processor, cores of each cluster, runtime, precision, layout of images in memory (n: samples, c: channels, h, w), samples a pass"
_BAR_CELLS = 8
_BLOCKS = "▏▎▍▌▋▊▉█"


def console() -> Console:
    """The console on stdout; into a pipe it is wide enough for whole rows, and never narrower than a word."""
    stated = os.environ.get("COLUMNS", "")
    width = int(stated) if stated.isdigit() and int(stated) > 0 else None if sys.stdout.isatty() else PIPE_WIDTH
    found = Console(file=sys.stdout, highlight=False, soft_wrap=False, width=width)
    found.width = max(found.width, LEAST_NAME)
    return found


def bar_cells() -> str:
    """The characters of a bar from an eighth to a whole cell, or one plain character where the encoding has no blocks."""
    try:
        _BLOCKS.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return _BLOCKS


def print_table(out: Console, headings: list[str], rows: list[list[Text | str]], *, left: tuple[str, ...] = ("kind", "bound", "share")) -> None:
    """A plain table whose first column gives way when space is short; the others keep their width, numbers on the right.

    Where even that is too little, columns are left out from the right.
    """
    widths = [max([len(heading), *(len(row[position]) for row in rows)]) for position, heading in enumerate(headings)]
    while len(widths) > 2 and out.width - sum(widths[1:]) - 2 * len(widths) < LEAST_NAME:
        widths.pop()
    headings, rows = headings[: len(widths)], [row[: len(widths)] for row in rows]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="left" if position == 0 or heading in left else "right", no_wrap=True)
    room = max(LEAST_NAME, out.width - sum(widths[1:]) - 2 * len(headings))
    for first, *others in rows:
        table.add_row(Text(cropped(str(first), room)), *(cell if isinstance(cell, Text) else Text(cell) for cell in others))
    out.print(table)


def cropped(name: str, room: int) -> str:
    """`name` in at most `room` cells; what is left out is in the middle, for both ends of a path tell something.

    Examples
    --------
    >>> cropped("stages.1.0.squeeze_excite.scale", 20)
    'stages.…excite.scale'
    """
    if len(name) <= room:
        return name
    head = (room - 1) * 2 // 5
    return f"{name[:head]}…{name[len(name) - (room - 1 - head) :]}"


def share_cell(part: float, whole: float, largest: float) -> Text:
    """A share as a number, with a bar against the largest row."""
    blocks = bar_cells()
    if len(blocks) == 1:
        return Text(f"{share(part, whole):5.1%} {blocks * round(share(part, largest) * _BAR_CELLS):<{_BAR_CELLS}}")
    eighths = round(share(part, largest) * _BAR_CELLS * 8)
    bar = blocks[-1] * (eighths // 8) + (blocks[eighths % 8 - 1] if eighths % 8 else "")
    return Text.assemble(f"{share(part, whole):5.1%} ", (f"{bar:<{_BAR_CELLS}}", "blue"))


def target_parts(target: Target, batch: int) -> list[str]:
    """What names a target besides its device: processor, cores, runtime, precision, layout of images in memory, and samples a pass."""
    parts = [target.processor, target.cores_text, target.runtime, target.dtype, target.layout, f"batch {batch}"]
    return [part for part in parts if part]


def target_words(target: Target, batch: int) -> str:
    """`target_parts` in one line, as reports and pictures state them."""
    return " · ".join(target_parts(target, batch))
