"""The folder of a search: one search at a time writes there, from its first trial to its last picture."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO

from costmodel import durable
from costmodel.errors import CostModelError, UsageError

_LOCK = "search.lock"


class Folder:
    """A folder that a search writes in. Its path is absolute from the beginning, wherever an evaluator may go; `hold` keeps others out until `close`.

    ::

        with Folder("found") as folder:
            outcome = find(table, evaluator, folder=folder)
            export_winners(outcome, folder.path / "winners", 3)
    """

    __slots__ = ("_lock", "path")

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(path))
        self._lock: IO[bytes] | None = None

    def __fspath__(self) -> str:
        return str(self.path)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

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


def _locked(folder: Path) -> IO[bytes]:
    """A lock that ends with the process, however it ends."""
    handle = (folder / _LOCK).open("ab")
    if not durable.lock(handle):
        handle.close()
        raise UsageError(f"{folder}: another search is writing there; wait for it, or choose another folder") from None
    return handle
