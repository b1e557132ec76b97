"""The folder of a search: one search at a time writes there, from its first trial to its last picture."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO

from costmodel import durable
from costmodel.errors import CostModelError, InvalidFileError, UsageError
from costmodel.files import MAX_JSON, read_text

_LOCK = "search.lock"
#: The files that a search wrote besides its winners, by their hashes.
_WRITTEN = ".search.files"


class SearchWarning(UserWarning):
    """What must be known of a stored search that is gone on with, or of what stood where its winners are written."""


class Folder:
    """A folder that a search writes in. Its path is absolute from the beginning, wherever an evaluator may go; `hold` keeps others out until `close`.

    ::

        with Folder("found") as folder:
            outcome = find(table, evaluator, folder=folder)
            export_winners(outcome, folder.path / "winners", 3)
    """

    __slots__ = ("_lock", "_made", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))
        self._lock: IO[bytes] | None = None
        self._made = False  # whether the lock's file was not there before

    def __fspath__(self) -> str:
        return str(self.path)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def held(self) -> bool:
        """Whether it keeps others out."""
        return self._lock is not None

    def hold(self) -> None:
        """Make the folder where it is not there, and keep other searches from writing in it, until `close` or the end of the process.

        Raises
        ------
        UsageError
            If another search is writing there, or it is no folder.
        CostModelError
            If it cannot be written.
        """
        if self._lock is not None:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._made = not (self.path / _LOCK).exists()
            self._lock = _locked(self.path)
        except FileExistsError:
            raise UsageError(f"{self.path}: is a file, and a search is kept in a folder: choose another place") from None
        except OSError as error:
            raise CostModelError(f"{self.path}: cannot be written: {error.strerror or error}; choose another place for it") from None

    def close(self) -> None:
        """Let others write in the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def leave(self) -> None:
        """As `close`, of a folder that is somebody else's: the lock's file goes, too, where `hold` made it."""
        if self._lock is not None and self._made:
            with contextlib.suppress(OSError):  # what reason there was to leave is what counts
                (self.path / _LOCK).unlink()
        self.close()

    def keep_foreign(self, names: Sequence[str]) -> tuple[str, ...]:
        """Give files that stand where a search is about to write, and that no search wrote so, another name; says which."""
        known, said = _known(self.path), []
        for path in (self.path / name for name in names):
            if path.is_file() and _hash(path) != known.get(path.name):
                others = (path.with_name(f"{path.name}.old{'' if number == 1 else f'-{number}'}") for number in count(1))
                kept = next(other for other in others if not os.path.lexists(other))
                try:
                    path.rename(kept)
                except OSError as error:
                    raise CostModelError(f"{path}: no search wrote it, and it cannot be kept: {error.strerror or error}; choose another folder") from None
                said.append(f"{path}: is not as a search wrote it; it is kept as {kept.name}")
        return tuple(said)

    def remember(self, names: Sequence[str]) -> None:
        """Write down what a search wrote, for the next one in the folder; a full disk makes that one keep these files, too."""
        hashes = {name: _hash(self.path / name) for name in names if (self.path / name).is_file()}
        with contextlib.suppress(OSError):
            durable.write_text(self.path / _WRITTEN, json.dumps(hashes, indent=1) + "\n")


def _locked(folder: Path) -> IO[bytes]:
    """A lock that ends with the process, however it ends."""
    path = folder / _LOCK
    while True:
        handle = path.open("ab")
        if not durable.lock(handle):
            handle.close()
            raise UsageError(f"{folder}: another search is writing there; wait for it, or choose another folder")
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                return handle
        handle.close()  # whoever had it took the file away meanwhile


def _known(folder: Path) -> dict[str, str]:
    try:
        found = json.loads(read_text(folder / _WRITTEN, MAX_JSON))
    except (InvalidFileError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
