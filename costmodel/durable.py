"""Files that are written whole or not at all, and locks: a full disk, an interruption or a second writer leaves the old file or the new one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from costmodel.errors import WriteError

#: What a new file may be read and written by, before the process's own mask.
_MODE = 0o666
#: Letters of a file's name in that of the file beside it, so that this one is not too long where the name itself is not: four bytes a letter at the most.
_SHORT = 40


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8: into a file beside it, which takes its place once it is on the disk.

    Of several writers at once the last one's file stays, whole.

    Raises
    ------
    OSError
        If it cannot be written, for instance because the disk is full; what stood at `path` is as it was.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """As `write_text`, of bytes."""
    with writing(path) as file:
        file.write(data)


def put(path: str | os.PathLike[str], text: str) -> None:
    """As `putting`, of text; what cannot be encoded (names of files may be any bytes) becomes a question mark."""
    with putting(path) as file:
        file.write(text.encode("utf-8", errors="replace"))


@contextlib.contextmanager
def putting(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """As `writing`, for whoever asked for the file.

    Raises
    ------
    WriteError
        If it cannot be written: names it; what stood there is as it was.
    """
    try:
        with writing(path) as file:
            yield file
    except OSError as error:
        raise WriteError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}; choose another place for it") from None


def lock(file: IO[bytes]) -> bool:
    """Keep other processes from locking an open file until it is closed or this process ends; whether nobody had it. True where the system has no locks."""
    try:
        import fcntl
    except ImportError:  # not a Unix
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """As `write_text`, of what is written into the file that this gives, where it is too much to be held at once."""
    given, place = Path(path), Path(os.path.realpath(path))
    if given.exists() and not given.is_file():  # a pipe or a terminal has nothing to lose
        with given.open("wb") as file:
            yield file
        return
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:_SHORT]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(place))
        os.replace(name, place)
    except BaseException:
        os.unlink(name)
        raise
    _settle(place.parent)


def _mode(place: Path) -> int:
    """The permissions of the file that is replaced, or those of a new one."""
    try:
        return place.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return _MODE & ~mask


def _settle(folder: Path) -> None:
    """Put the new name on the disk, where the system lets a folder be opened for that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:  # some file systems have no such call for folders; the file itself is safe
        return
    finally:
        os.close(handle)
