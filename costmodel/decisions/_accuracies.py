"""A table of the user's own accuracies: a CSV file with the columns ``network`` and ``top1``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from costmodel.decisions._network import FULL, OWN, Figure, Network, is_outside, key_of
from costmodel.errors import CostModelError, InvalidFileError
from costmodel.files import read_text
from costmodel.frozen import FrozenDict
from costmodel.tensor import PRECISIONS
from costmodel.zoo import find

#: More text than the accuracies of any collection of networks.
_MOST_BYTES = 8 * 2**20
_REQUIRED = ("network", "top1")
_OPTIONAL = ("dtype", "family", "source")


def read_accuracies(path: str | Path, known: Iterable[Network] = ()) -> tuple[Network, ...]:
    """The networks of `known` with the accuracies of a file added, which go before theirs.

    Columns: ``network`` (a name of the zoo, a file, or ``torch:``), ``top1`` in percent; and, where wanted, ``dtype``
    (empty: full precision), ``family`` and ``source``.

    Raises
    ------
    InvalidFileError
        If the file cannot be read, lacks a column, or has a row that cannot be meant: names the line.
    """
    rows = _rows(Path(path))
    found = {network.name: network for network in known}
    seen: dict[tuple[str, str], int] = {}
    for line, row in rows:
        place = f"{path}:{line}"
        name, dtype, figure = _parsed(place, row, str(path))
        first = seen.setdefault((name, dtype), line)
        if first != line:
            raise InvalidFileError(f"{place}: {name}{f' in {dtype}' if dtype else ''} stands in line {first} already; leave one of them out")
        old = found.get(name)
        family = row.get("family") or (old.family if old else OWN if is_outside(name) else find(name).architecture.family)
        found[name] = Network(name=name, family=family, figures=FrozenDict({**(old.figures if old else {}), dtype: figure}))
    return tuple(found.values())


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of every row that is not empty."""
    try:
        text = read_text(path, _MOST_BYTES).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path}: is no UTF-8 text (byte {error.start}); save it as UTF-8") from None
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        table = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise InvalidFileError(f"{path}:{reader.line_num}: {error}") from None
    filled = [(line, cells) for line, cells in table if any(cells)]
    if not filled:
        raise InvalidFileError(f"{path}: is empty; its first line must name the columns, at least network,top1")
    (line, header), *body = filled
    _check_header(f"{path}:{line}", header)
    for line, cells in body:
        if len(cells) != len(header):
            raise InvalidFileError(f"{path}:{line}: has {len(cells)} cells, the header has {len(header)}; put quotes round a cell with a comma")
    if not body:
        raise InvalidFileError(f"{path}: has a header and no rows")
    return [(line, dict(zip(header, cells, strict=True))) for line, cells in body]


def _check_header(place: str, header: list[str]) -> None:
    missing = [column for column in _REQUIRED if column not in header]
    if missing:
        found = "".join(header)
        separated = next((f"; separate cells by commas, not by {words}" for sign, words in ((";", "semicolons"), ("\t", "tabs")) if sign in found), "")
        columns = f"the column {missing[0]} is" if len(missing) == 1 else f"the columns {' and '.join(missing)} are"
        raise InvalidFileError(f"{place}: {columns} missing; found: {', '.join(header)}{separated}")
    strange = [column for column in header if column not in (*_REQUIRED, *_OPTIONAL)]
    if strange:
        raise InvalidFileError(f"{place}: unknown column {strange[0]!r}; the columns are {', '.join((*_REQUIRED, *_OPTIONAL))}")
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise InvalidFileError(f"{place}: the column {twice[0]!r} stands there twice")


def _parsed(place: str, row: dict[str, str], source: str) -> tuple[str, str, Figure]:
    """(network, precision, figure) of a row."""
    if not row["network"]:
        raise InvalidFileError(f"{place}: names no network")
    try:
        name = key_of(row["network"])
    except CostModelError as error:
        raise InvalidFileError(f"{place}: {error}") from None
    try:
        percent = float(row["top1"])
    except ValueError:
        raise InvalidFileError(f"{place}: top1 of {name} must be a percentage such as 75.2, not {row['top1']!r}") from None
    if not math.isfinite(percent) or not 0 < percent <= 100:
        raise InvalidFileError(f"{place}: top1 of {name} must lie between 0 and 100 percent, not {row['top1']}")
    if percent <= 1:
        raise InvalidFileError(f"{place}: top1 of {name} is {row['top1']}; give percent ({percent * 100:g}), not a share")
    dtype = row.get("dtype", FULL)
    if dtype and dtype not in PRECISIONS:
        raise InvalidFileError(f"{place}: unknown dtype {dtype!r}; it is empty or one of {', '.join(PRECISIONS)}")
    return name, FULL if dtype == "fp32" else dtype, Figure(percent=percent, evaluation="own", source=row.get("source") or source)
