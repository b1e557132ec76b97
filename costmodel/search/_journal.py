"""Searches on disk: a folder with an Optuna journal (``search.journal``) of finished trials, each appended as one record.

What identifies a search stands in the study: another space, profile, evaluator, algorithm, seed or target is refused. A record that a kill cut off is taken off
when the folder is opened again; a trial that had not finished is not there at all. Optuna's own tools read the journal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from costmodel.errors import InvalidFileError, UsageError

_JOURNAL, _LOCK, _STUDY = "search.journal", "search.lock", "costmodel search"
#: What a search is told by, in the order in which differences are reported.
_SAID_FIRST = ("space", "space_fingerprint", "device", "profile_sha256")


class Journal:
    """The journal of one search in `folder`, for one process at a time; `study` is Optuna's.

    Parameters
    ----------
    identity : everything that must be the same when a search is taken up again.
    resume : whether a journal that is there is gone on with, rather than refused.

    Raises
    ------
    UsageError
        If another process writes in the folder; if a search is there and is not to be resumed, or none is; if it was of something else: names both.
    InvalidFileError
        If the journal is damaged: says where.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any], *, resume: bool) -> None:
        self.path = Path(folder) / _JOURNAL
        there = has_search(folder)
        if there and not resume:
            raise UsageError(f"{folder}: has a search already; go on with it (--resume, resume=True), or choose another folder")
        if resume and not there:
            raise UsageError(f"{folder}: has no search to resume; leave --resume out to begin one there")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(Path(folder) / _LOCK, folder)
        try:
            self.study = self._begun(identity)
        except BaseException:
            self.close()
            raise

    def _begun(self, identity: Mapping[str, Any]) -> Any:
        _cut_off_unfinished(self.path)
        study = _opened(self.path)
        known = study.user_attrs.get("identity")
        if known is None:
            study.set_user_attr("identity", dict(identity))
        else:
            _require_same(self.path, known, identity)
        return study

    def close(self) -> None:
        """Let other processes write in the folder."""
        if self._lock is not None:
            self._lock.close()


def has_search(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has the journal of a search."""
    path = Path(folder) / _JOURNAL
    return path.is_file() and path.stat().st_size > 0


def _locked(path: Path, folder: str | os.PathLike[str]) -> IO[bytes] | None:
    """A lock that ends with the process, however it ends; None where the system has none."""
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    handle = path.open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise UsageError(f"{folder}: another search is writing there; wait for it, or choose another folder") from None
    return handle


def _cut_off_unfinished(path: Path) -> None:
    """Take off what stands after the last whole line: a record whose writing was interrupted."""
    if not path.is_file():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def _opened(path: Path) -> Any:
    import json

    from optuna import create_study, logging
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class Held:
        """The folder's lock is held already, and unlike Optuna's it does not outlive a kill."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    logging.set_verbosity(logging.WARNING)
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=Held()))  # type: ignore[arg-type,unused-ignore]  # all that is asked of a lock
        return create_study(study_name=_STUDY, directions=["maximize", "minimize"], storage=storage, load_if_exists=True)
    except (json.JSONDecodeError, KeyError, ValueError, TypeError) as error:
        raise InvalidFileError(f"{path}: is no journal of a search: {type(error).__name__}: {error}; choose another folder") from None


def _require_same(path: Path, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in dict.fromkeys((*_SAID_FIRST, *wanted)):
        if known.get(name) != wanted.get(name):
            what = name.replace("_", " ")
            raise UsageError(
                f"{path}: is a search of {what} {known.get(name)!r} ({known.get('space')} on {known.get('device')}), this one is of {wanted.get(name)!r} "
                f"({wanted.get('space')} on {wanted.get('device')}); choose another folder"
            )
