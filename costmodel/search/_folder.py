"""The folder of a search: one search at a time writes there, from its first trial to its last picture."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import IO

from costmodel import durable
from costmodel.errors import CostModelError, UsageError

_LOCK = "search.lock"


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
