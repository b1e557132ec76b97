"""Scores from a CSV file: rows of candidates, encoded or in words, each with its score.

Columns are ``score`` and either ``candidate``, whose cells are the choices of all blocks as integers with blanks between them, or one for each field
of each block, ``block.field``, with the values as `Space.decode` shows them.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costmodel.errors import InvalidFileError, close_matches
from costmodel.files import read_bytes
from costmodel.search._space import Block, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates

#: Bytes of a file of scores that are read at most: a hundred for each of some millions of candidates.
_MOST_BYTES = 512 * 2**20
#: A block's options by the texts of their fields.
_Options = dict[tuple[str, ...], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The scores of a file; candidates that it does not list have none (NaN). `known` are those listed, in the file's order."""

    name: str
    quantity: str
    known: Candidates
    by_row: Mapping[bytes, float]
    cheap: bool = True

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        rows = np.ascontiguousarray(x, np.int64)
        return np.array([self.by_row.get(row.tobytes(), math.nan) for row in rows])


def listed(path: str | os.PathLike[str], space: Space, *, quantity: str = "score") -> Listed:
    """The scores in a CSV file for candidates of `space`.

    Raises
    ------
    InvalidFileError
        If the file cannot be read, lacks a column, or has a row with a missing cell, with a candidate that does not exist or was there before, or
        with a score that is no finite number: names the line.
    """
    place = os.fspath(path)
    data = read_bytes(place, _MOST_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{place}: is no text in UTF-8 (byte {error.start}): save it as CSV") from None
    reader = csv.DictReader(text.splitlines())
    header = list(reader.fieldnames or ())
    encoded, wanted = _required_columns(place, header, space)
    options = [_options(block) for block in space.blocks]
    lines: dict[bytes, int] = {}
    found: dict[bytes, float] = {}
    for row in reader:
        line = reader.line_num
        if None in row or any(row[name] is None or not row[name].strip() for name in wanted):
            raise InvalidFileError(f"{place}:{line}: needs a value in each of the {len(wanted)} columns {wanted[0]} to {wanted[-1]}, and none beyond the last")
        candidate = _encoded(place, line, row["candidate"], space) if encoded else _in_words(place, line, row, space, options)
        key = np.array(candidate, np.int64).tobytes()
        if key in lines:
            raise InvalidFileError(f"{place}:{line}: the candidate of line {lines[key]} again; leave one of the two")
        lines[key] = line
        found[key] = _score(place, line, row["score"])
    if not found:
        raise InvalidFileError(f"{place}: has no row: a search needs at least one candidate with a score")
    known = np.frombuffer(b"".join(found), np.int64).reshape(len(found), len(space.blocks))
    return Listed(name=f"csv {hashlib.sha256(data).hexdigest()[:16]}", quantity=quantity, known=known, by_row=found)


def _required_columns(place: str, header: Sequence[str], space: Space) -> tuple[bool, list[str]]:
    """Whether the candidates are encoded, and the columns that are read; others may stand beside them."""
    words = [f"{block.name}.{field}" for block in space.blocks for field, _ in block.options[0].fields]
    wanted = ["candidate", "score"] if "candidate" in header else [*words, "score"]
    for name in wanted:
        if name not in header:
            near = close_matches(name, header)
            hint = f"; is it {near[0]!r}?" if near else ""
            raise InvalidFileError(f"{place}:1: has no column {name!r}{hint} It needs score and either candidate or {words[0]} and so on")
    if len(set(header)) < len(header):
        raise InvalidFileError(f"{place}:1: two columns have the same name")
    return "candidate" in header, wanted


def _encoded(place: str, line: int, text: str, space: Space) -> list[int]:
    try:
        candidate = [int(word) for word in text.split()]
    except ValueError:
        raise InvalidFileError(f"{place}:{line}: {text!r} are no integers with blanks between them") from None
    if len(candidate) != len(space.blocks):
        raise InvalidFileError(f"{place}:{line}: {space.name} has {len(space.blocks)} blocks, and there are {len(candidate)} choices")
    for block, choice in zip(space.blocks, candidate, strict=True):
        if not 0 <= choice < len(block.options):
            raise InvalidFileError(f"{place}:{line}: block {block.name!r} has choices 0 to {len(block.options) - 1}, not {choice}")
    return candidate


def _in_words(place: str, line: int, row: Mapping[str, str], space: Space, options: Sequence[_Options]) -> list[int]:
    candidate = []
    for block, by_text in zip(space.blocks, options, strict=True):
        words = tuple(row[f"{block.name}.{field}"].strip() for field, _ in block.options[0].fields)
        if words not in by_text:
            near = next(iter(by_text))
            raise InvalidFileError(f"{place}:{line}: block {block.name!r} has no option {', '.join(words)}; one of its {len(by_text)} is {', '.join(near)}")
        candidate.append(by_text[words])
    return candidate


def _options(block: Block) -> _Options:
    return {tuple(str(value) for _, value in option.fields): number for number, option in enumerate(block.options)}


def _score(place: str, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidFileError(f"{place}:{line}: the score must be a finite number, not {text!r}")
    return value
