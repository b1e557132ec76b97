"""Measured rows: a CSV file of latencies that someone measured, each with its target and its source, read and checked row by row.

Columns: ``network`` (a name of the zoo, or a file beside the CSV), one latency column that names its unit (``latency_ms``,
``latency_us`` or ``latency_s``), ``source``; and where they are not the default: ``device``, ``processor``, ``runtime``,
``dtype``, ``cores``, ``layout``, ``padding``, ``batch``, ``family`` (held out together), ``date``.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from costmodel.devices import profile_folder
from costmodel.errors import InvalidFileError, UsageError, close_matches
from costmodel.files import read_bytes
from costmodel.tensor import PRECISIONS

#: Latency column -> seconds that 1 in it means.
UNITS = {"latency_s": 1.0, "latency_ms": 1e-3, "latency_us": 1e-6}
REQUIRED = ("network", "source")
OPTIONAL = ("device", "processor", "runtime", "dtype", "cores", "layout", "padding", "batch", "family", "date")
_PADDINGS = ("", "same", "symmetric")
_LAYOUTS = ("", "nchw", "nhwc")
#: Samples a pass at the most.
LARGEST_BATCH = 1_000_000
#: Bytes of a file of rows that are read at most: some hundred times the largest that ships (``qed_usc.csv``).
_MOST_BYTES = 64 * 2**20
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """One measurement: a network on a target took `seconds` for one pass of `batch` samples. Empty texts mean the default.

    `line` is where the row stands in `path` (1 is the header).
    """

    network: str
    device: str
    processor: str = ""
    runtime: str = ""
    dtype: str = ""
    cores: str = ""
    layout: str = ""
    padding: str = ""
    batch: int = 1
    seconds: float
    source: str
    family: str = ""
    date: str = ""
    line: int = 0
    path: str = ""

    @property
    def case(self) -> tuple[object, ...]:
        """What was measured, whoever did it."""
        return (self.network, self.device, self.processor, self.runtime, self.dtype, self.cores, self.layout, self.padding, self.batch)

    @property
    def place(self) -> str:
        """``file.csv:12``."""
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem:
    """Why a row is refused: where it stands, and what is wrong."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFile:
    """The rows of a file that can be meant, the problems of the others, and the hash of the file."""

    path: str
    sha256: str
    rows: tuple[MeasuredRow, ...]
    problems: tuple[RowProblem, ...] = ()


def read_rows(path: str | Path, *, device: str = "") -> RowFile:
    """The measured rows of a CSV file.

    Parameters
    ----------
    device : what rows are of that name none.

    Raises
    ------
    InvalidFileError
        If the file cannot be read, or its header lacks a column or has one that nobody knows.
    """
    data = read_bytes(path, _MOST_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{path}: is not UTF-8 text: byte {error.start}") from None
    return parse_rows(text, str(path), sha256=hashlib.sha256(data).hexdigest(), device=device)


def parse_rows(text: str, path: str, *, sha256: str = "", device: str = "") -> RowFile:
    """As `read_rows`, from the text of a file; `path` is for messages."""
    if not text.strip():
        raise InvalidFileError(f"{path}: is empty: a first line names the columns ({', '.join(REQUIRED)}, one of {', '.join(UNITS)}), each other one is a row")
    reader = csv.DictReader(io.StringIO(text), restkey="", strict=True)
    rows: list[MeasuredRow] = []
    problems: list[RowProblem] = []
    try:
        unit = _latency_column(path, reader.fieldnames or ())
        for entry in reader:
            made = _row(entry, unit, path, reader.line_num, device)
            if isinstance(made, MeasuredRow):
                rows.append(made)
            else:
                problems.append(RowProblem(path=path, line=reader.line_num, message=made))
    except csv.Error as error:
        begins = reader.line_num + 1  # after the last row that could be read
        raise InvalidFileError(f"{path}:{begins}: is no CSV: {error}; is a quote not closed?") from None
    return RowFile(path=path, sha256=sha256, rows=tuple(rows), problems=tuple(problems))


def _latency_column(path: str, header: object) -> str:
    """The one column that holds latencies; refuses a header that cannot be meant."""
    names = [str(name) for name in header] if isinstance(header, list | tuple) else []
    if len(set(names)) != len(names):
        raise InvalidFileError(f"{path}:1: two columns have one name: {', '.join(names)}")
    known = (*REQUIRED, *UNITS, *OPTIONAL)
    faults = [f"the column {name!r} is missing" for name in REQUIRED if name not in names]
    given = [name for name in names if name in UNITS]
    if len(given) != 1:
        faults.append(f"exactly one of {', '.join(UNITS)} must hold the latencies, not {', '.join(given) or 'none'}")
    for name in names:
        if name not in known:
            near = close_matches(name, known)
            faults.append(f"{name!r} is no column; " + (f"did you mean {near[0]!r}?" if near else f"columns are {', '.join(known)}"))
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), None)):
        faults = [f"the columns are separated by {other!r}: save the file with commas"]
    if faults:
        raise InvalidFileError(f"{path}:1: {'; '.join(faults)}")
    return given[0]


def _row(entry: Mapping[str, str | None], unit: str, path: str, line: int, device: str) -> MeasuredRow | str:
    """The row of an entry, or why there is none."""
    if "" in entry:
        return "has more fields than the header: quote a text that holds a comma"
    if None in entry.values():
        return f"has no {', '.join(repr(name) for name, value in entry.items() if value is None)}: it has fewer fields than the header"
    texts = {name: (value or "").strip() for name, value in entry.items()}
    for name in REQUIRED:
        if not texts[name]:
            return f"{name} is empty"
    seconds = _number(texts[unit])
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        return f"{unit} must be a number above 0, not {texts[unit]!r}"
    batch = _number(texts.get("batch") or "1")
    if batch is None or batch != batch // 1 or not 1 <= batch <= LARGEST_BATCH:
        return f"batch must be a whole number of at least 1, not {texts['batch']!r}"
    for name, allowed in (("padding", _PADDINGS), ("layout", _LAYOUTS), ("dtype", ("", *PRECISIONS))):
        if texts.get(name, "") not in allowed:
            return f"{name} must be {' or '.join(filter(None, allowed))}, not {texts[name]!r}"
    if texts.get("date") and not is_date(texts["date"]):
        return f"date must be YYYY-MM-DD, not {texts['date']!r}"
    named = texts.get("device") or device
    if not named:
        return "device is empty: name one, or give the command a device"
    optional = {name: texts.get(name, "") for name in OPTIONAL if name not in ("device", "batch")}
    return MeasuredRow(
        network=texts["network"], device=named, batch=int(batch), seconds=seconds * UNITS[unit], source=texts["source"], line=line, path=path, **optional
    )


def _number(text: str) -> float | None:
    """A number as tables and tools write it; None for anything else that Python would take, such as 1_000."""
    return float(text) if _NUMBER.fullmatch(text) else None


def require_date(text: str) -> None:
    """Refuse what is no date.

    Raises
    ------
    UsageError
        If it is none.
    """
    if text and not is_date(text):
        raise UsageError(f"--date must be YYYY-MM-DD, not {text!r}")


def is_date(text: object) -> bool:
    """Whether a text is a day, as YYYY-MM-DD.

    Examples
    --------
    >>> [is_date(text) for text in ("2026-02-28", "2026-02-30", "20260228", 3)]
    [True, False, False, False]
    """
    try:
        return isinstance(text, str) and datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def read_for(device: str, paths: Sequence[str] | None) -> tuple[RowFile, ...]:
    """The files of measured rows of a device: those at `paths`, or those that ship and have rows of it.

    Raises
    ------
    InvalidFileError
        If a file is none of measured rows; rows that are refused are its problems.
    UsageError
        If a file is named twice.
    """
    if paths is None:
        shipped = [read_rows(path) for path in sorted((profile_folder() / "measurements").glob("*.csv"))]
        return tuple(file for file in shipped if any(row.device == device for row in file.rows))
    resolved = [Path(path).resolve() for path in paths]
    for position, path in enumerate(resolved):
        if path in resolved[:position]:
            raise UsageError(f"{paths[position]}: is given twice")
    return tuple(read_rows(path, device=device) for path in paths)


def only(files: Iterable[RowFile], device: str, wanted: Mapping[str, str]) -> tuple[MeasuredRow, ...]:
    """The rows of a device that state these values of their target.

    Raises
    ------
    InvalidFileError
        If every row is refused, so that leaving them out leaves none: lists them.
    UsageError
        If there is none: says which devices, or which values, there are.
    """
    given = list(files)
    every = [row for file in given for row in file.rows]
    mine = [row for row in every if row.device == device]
    if not every and (refused := problems(given)):
        raise _refused(refused, " and no other is left: mend them")
    if not mine:
        has = ", ".join(sorted({row.device for row in every})) or "none"
        where = ", ".join(file.path for file in given) or "the rows that ship"
        raise UsageError(f"{where}: no row is of {device}; rows are of {has}. Give others with --measurements")
    found = matching(given, device, wanted)
    if not found:
        offered = {name: ", ".join(sorted({getattr(row, name) for row in mine if getattr(row, name)})) for name in wanted}
        raise UsageError(f"no row of {device} has {_listed(wanted)}; rows have " + "; ".join(f"{name} {values or '-'}" for name, values in offered.items()))
    return found


def matching(files: Iterable[RowFile], device: str, wanted: Mapping[str, str]) -> tuple[MeasuredRow, ...]:
    """The rows of a device that state these values of their target; there may be none."""
    every = (row for file in files for row in file.rows if row.device == device)
    return tuple(row for row in every if all(getattr(row, name) == value for name, value in wanted.items()))


def elsewhere(files: Iterable[RowFile], device: str) -> tuple[str, ...]:
    """What to say of rows of other devices, file by file: they take no part, which may be meant or a name misspelt."""
    said = []
    for file in files:
        others = [row.device for row in file.rows if row.device != device]
        if others:
            near = [name for name in dict.fromkeys(others) if close_matches(name.lower(), [device])]
            which = ", ".join(dict.fromkeys(others)) + (f" (did you mean {device} by {near[0]}?)" if near else "")
            said.append(f"{file.path}: {len(others)} row{'s are' if len(others) > 1 else ' is'} of another device and took no part: {which}")
    return tuple(said)


def _listed(wanted: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in wanted.items())


class Account(TypedDict):
    """What a fit or a validation must say of where its rows are from: (path, sha256) of the files, rows that were refused, and what else must be known."""

    files: tuple[tuple[str, str], ...]
    problems: tuple[RowProblem, ...]
    notes: tuple[str, ...]


def account(files: Sequence[RowFile], device: str, *, given: bool) -> Account:
    """The account of files for rows of `device`; those that ship hold other devices' rows by design, those that somebody gave may by mistake."""
    return Account(files=names(files), problems=problems(files), notes=elsewhere(files, device) if given else ())


def names(files: Iterable[RowFile]) -> tuple[tuple[str, str], ...]:
    """(path, sha256) of every file."""
    return tuple((file.path, file.sha256) for file in files)


def problems(files: Iterable[RowFile]) -> tuple[RowProblem, ...]:
    """The problems of all files."""
    return tuple(problem for file in files for problem in file.problems)


def require_sound(found: Sequence[RowProblem], *, skip_refused: bool) -> None:
    """Refuse rows that cannot be meant, all at once.

    Raises
    ------
    InvalidFileError
        If there are some and `skip_refused` is not set: one line for each.
    """
    if found and not skip_refused:
        them = "them" if len(found) > 1 else "it"
        raise _refused(found, f"; mend {them}, or leave {them} out with --skip-refused")


def _refused(found: Sequence[RowProblem], advice: str) -> InvalidFileError:
    """The error that counts the rows, says what to do, and lists them."""
    count = f"{len(found)} row{'s are' if len(found) > 1 else ' is'} refused{advice}"
    return InvalidFileError(count + "".join(f"\n{problem}" for problem in in_order(found)))


def in_order(*found: Sequence[RowProblem]) -> tuple[RowProblem, ...]:
    """Problems of several kinds as they stand in their files."""
    return tuple(sorted((problem for several in found for problem in several), key=lambda problem: (problem.path, problem.line)))


def stated(**options: str | None) -> dict[str, str]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def paths(measurements: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None) -> tuple[str, ...] | None:
    """Paths of measured rows as given, one or several."""
    if measurements is None:
        return None
    given = (measurements,) if isinstance(measurements, str | os.PathLike) else measurements
    return tuple(os.fspath(path) for path in given)
