"""What was measured so far, one line a case, safe against interruption: a run that is stopped goes on where it was.

The first line says what the lines are about (processor, versions, threads, layout): measurements of another machine or build are not mixed in. Each line states
its day, so that the same measurements make the same profile whenever they are read. A line that was cut off in the middle, by a full disk or a killed process,
is dropped. One process writes at a time.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from costmodel import durable
from costmodel.calibration.rows import is_date
from costmodel.errors import InvalidFileError, UsageError
from costmodel.files import require_regular

_FORMAT = "costmodel-measurements-of-this-machine"
_VERSION = 2
#: What a journal begins with; another file is never written into.
_BEGINS = json.dumps({"format": _FORMAT}).encode()[:-1]
#: Bytes of a journal that are read at most: some thousand times what a plan needs.
_MOST_BYTES = 64 * 2**20


class Journal:
    """The seconds of cases by name, kept in a file, and the days on which they were measured (`days`, as YYYY-MM-DD).

    Parameters
    ----------
    about : what all lines hold for; a file about something else is refused.
    afresh : forget what the file says.

    Raises
    ------
    UsageError
        If another process is writing the file, it is about something else, or its folder cannot be written.
    InvalidFileError
        If it is no such file, or no plain file at all, which is left alone, or has a line that is none: names it.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any], *, afresh: bool = False) -> None:
        self.path = Path(path)
        self.seconds: dict[str, float] = {}
        self.days: dict[str, str] = {}
        self._file = self._opened()
        try:
            self._read(dict(about), afresh=afresh)
        except BaseException:
            self._file.close()
            raise

    def add(self, name: str, seconds: float, spread: float, repeats: int) -> None:
        """Write a measurement down, on the disk before this returns.

        Raises
        ------
        UsageError
            If the disk is full or the file cannot be written; what was written before stays.
        """
        day = today()
        self._write({"case": name, "seconds": seconds, "spread": round(spread, 4), "repeats": repeats, "date": day})
        self.seconds[name], self.days[name] = seconds, day

    def close(self) -> None:
        """Let others write."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> IO[bytes]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                require_regular(self.path, _MOST_BYTES)
            file = open(self.path, "a+b", buffering=0)  # noqa: SIM115  # lives as long as the journal, and closing it writes nothing
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror or error}; name another place with --journal") from None
        if not durable.lock(file):
            file.close()
            raise UsageError(f"{self.path}: another calibration is writing this; wait for it, or name another file with --journal") from None
        return file

    def _read(self, about: dict[str, Any], *, afresh: bool) -> None:
        self._file.seek(0)
        data = self._file.read()
        if not (data.startswith(_BEGINS) or _BEGINS.startswith(data)):
            raise InvalidFileError(f"{self.path}: is no journal of a calibration and stays as it is: name another file with --journal")
        whole = b"" if afresh else data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self._file.truncate(len(whole))  # what shall be measured again, or the line that an interruption cut off
        lines = whole.splitlines()
        head = {"format": _FORMAT, "version": _VERSION, **about}
        if not lines:
            self._write(head)
            return
        found = self._parsed(lines[0], 1, "it says what the others are about: begin anew with --restart, or name another file with --journal")
        differing = sorted(key for key in head if found.get(key) != head[key])
        if differing:
            words = ", ".join(f"{key} {found.get(key)!r} (now {head[key]!r})" for key in differing)
            raise UsageError(f"{self.path}: was measured with {words}; begin anew with --restart, or name another file with --journal")
        for number, line in enumerate(lines[1:], 2):
            entry = self._parsed(line, number, "delete it to measure its case again")
            name, seconds, day = entry.get("case"), entry.get("seconds"), entry.get("date")
            if not isinstance(name, str) or not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < 1e6 or not is_date(day):
                raise InvalidFileError(f"{self.path}:{number}: is no measurement; delete the line to measure its case again")
            self.seconds[name], self.days[name] = float(seconds), str(day)

    def _parsed(self, line: bytes, number: int, advice: str) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InvalidFileError(f"{self.path}:{number}: is not a line of JSON; {advice}")
        return found

    def _write(self, entry: Mapping[str, Any]) -> None:
        length = self._file.seek(0, os.SEEK_END)
        try:
            line = json.dumps(entry).encode() + b"\n"
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(length)
            raise UsageError(f"{self.path}: cannot be written: {error.strerror or error}; what was measured before is kept: run this again") from None


def today() -> str:
    """The day that a measurement made now states."""
    return datetime.date.today().isoformat()


def cache_path(name: str) -> Path:
    """A file in the user's cache folder: ``$XDG_CACHE_HOME/costmodel``, or ``~/.cache/costmodel``."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(folder) / "costmodel" / name
