"""Searches on disk: a folder with an Optuna journal (``search.journal``) of finished trials, each appended as one record.

Rules:

1. A file is opened for writing only when all of it has been read and is the journal of this very search; any other stays as it is, byte for byte.
2. What identifies a search stands in the study: another space, profile, evaluator, algorithm, seed or target is refused.
3. A last record that is cut off, by a kill or a power failure, is taken off and that is said; one that lacks its line end alone is kept.
   A trial that had not finished is not there at all.

Optuna's own tools read the journal.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel.errors import CostModelError, InvalidFileError, UsageError
from costmodel.files import require_regular
from costmodel.search._folder import Folder, SearchWarning

_JOURNAL, _STUDY = "search.journal", "costmodel search"
#: What a search is told by, in the order in which differences are reported.
_SAID_FIRST = ("space", "space_fingerprint", "device", "profile_sha256")
#: How a record begins (optuna.storages.journal, JournalStorage._write_log): what is left of one that was cut off.
_FIRST_WORDS = b'{"op_code":'
#: The operation of a record that begins a study (optuna.storages.journal, JournalOperation.CREATE_STUDY), and bytes that such a record has at most.
_CREATE_STUDY, _LONGEST_FIRST = 0, 2**16
_KEPT = "nothing in it was changed; choose another folder"


class Journal:
    """The journal of one search in `folder`, which is held from then on; `study` is Optuna's.

    Parameters
    ----------
    identity : everything that must be the same when a search is taken up again.
    resume : whether a journal that is there is gone on with, rather than refused.

    Raises
    ------
    UsageError
        If another process writes in the folder; if a search is there and is not to be resumed, or none is; if it was of something else: names both.
    InvalidFileError
        If the journal is damaged, or a file of something else: says where.
    """

    def __init__(self, folder: Folder, identity: Mapping[str, Any], *, resume: bool) -> None:
        self.path = folder.path / _JOURNAL
        if resume:
            require_search(folder)
        held_before = folder.held
        folder.hold()
        try:
            self.study = self._resumed(identity, resume) if _is_there(self.path) else _opened(self.path)
            if "identity" not in self.study.user_attrs:
                self.study.set_user_attr("identity", dict(identity))
        except BaseException:
            if not held_before:
                folder.leave()
            raise

    def _resumed(self, identity: Mapping[str, Any], resume: bool) -> Any:
        """The study that is there, refused unless it is this search's and is to be resumed; the end of its journal is mended."""
        last = _unended(self.path)
        if not resume:
            raise UsageError(f"{self.path.parent}: has a search already; go on with it (--resume, resume=True), or choose another folder")
        study = _opened(self.path)
        _require_same(self.path, study, identity)
        if not last:
            return study
        _mend_end(self.path, last)
        return _opened(self.path)

    def add(self, trial: Any) -> None:
        """Append a finished trial.

        Raises
        ------
        CostModelError
            If it cannot be written, for instance because the disk is full; all that were appended before are kept.
        """
        try:
            self.study.add_trial(trial)
        except OSError as error:
            kept = f"the trials that had finished before are kept in {self.path.parent}: make room there, and go on with --resume (resume=True)"
            raise CostModelError(f"{self.path}: a trial cannot be written: {error.strerror or error}; {kept}") from None


def has_search(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder has the journal of a search."""
    return _is_there(Path(folder) / _JOURNAL)


def require_search(folder: str | os.PathLike[str]) -> None:
    """Refuse to resume where nothing is stored.

    Raises
    ------
    UsageError
        If the folder has no journal: says where it was looked for.
    """
    path = Path(os.path.abspath(folder)) / _JOURNAL
    if not _is_there(path):
        what = "is empty" if path.exists() else "there is no such file"
        raise UsageError(
            f"{os.fspath(folder)}: has no search to resume ({path}: {what}); leave --resume out to begin one there, or name the folder that has one"
        )


def _is_there(path: Path) -> bool:
    """Whether anything is at the path of a journal, but for a file that nothing was written into."""
    return path.exists() and not (path.is_file() and path.stat().st_size == 0)


def _unended(path: Path) -> bytes:
    """The last record of a journal where it lacks its line end, else nothing. Reads alone.

    Raises
    ------
    InvalidFileError
        If another line than the last is no record of a search: names it.
    """
    require_regular(path)
    with path.open("rb") as file:
        line = file.readline(_LONGEST_FIRST)
        first = _record(line)
        if first is None and not line.endswith(b"\n") and line[: len(_FIRST_WORDS)] == _FIRST_WORDS[: len(line)]:
            raise InvalidFileError(f"{path}: its first record was cut off as the search began, so that it has no trials; delete the file, and begin anew")
        if first is None or first["op_code"] != _CREATE_STUDY or first.get("study_name") != _STUDY:
            raise InvalidFileError(f"{path}: is no journal of a search: its first line does not begin one; {_KEPT}")
        for number, line in enumerate(file, start=2):
            if line.endswith(b"\n") and _record(line) is None:
                raise InvalidFileError(f"{path}: is no journal of a search: line {number} is no record; {_KEPT}")
    return b"" if line.endswith(b"\n") else line


def _record(line: bytes) -> dict[str, Any] | None:
    """A record of Optuna's; None of what is none, or is cut off."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("op_code"), int) and isinstance(found.get("worker_id"), str) else None


def _mend_end(path: Path, last: bytes) -> None:
    """End the last record, which lacks its line end, or take it off where it is cut off, and say so. The folder's lock is held."""
    whole = _record(last) is not None
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if whole:
            file.write(b"\n")
        else:
            file.truncate(size - len(last))
        file.flush()
        os.fsync(file.fileno())
    if not whole:
        lost = f"its last record was cut off in the middle, and its {len(last)} bytes were dropped"
        warnings.warn(f"{path}: {lost}; the trial in it is evaluated again, all others are there", SearchWarning, stacklevel=5)


def _opened(path: Path) -> Any:
    """Optuna's study in the journal, which is begun where there is none; one that is there is read alone."""
    from optuna import create_study, load_study, logging
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    class Held:
        """The folder's lock is held already, and unlike Optuna's it does not outlive a kill."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    logging.set_verbosity(logging.WARNING)
    there = _is_there(path)
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=Held()))  # type: ignore[arg-type,unused-ignore]  # all that is asked of a lock
        if there:
            return load_study(study_name=_STUDY, storage=storage)
        return create_study(study_name=_STUDY, directions=["maximize", "minimize"], storage=storage)
    except (json.JSONDecodeError, KeyError, ValueError, TypeError) as error:
        raise InvalidFileError(f"{path}: is no journal of a search: {type(error).__name__}: {error}; {_KEPT}") from None


def _require_same(path: Path, study: Any, wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a search of something else."""
    known = study.user_attrs.get("identity")
    if known is None and not study.get_trials(deepcopy=False):  # it was killed just after it began
        return
    if not isinstance(known, dict):
        raise InvalidFileError(f"{path}: has trials, and does not say of which search; {_KEPT}")
    for name in dict.fromkeys((*_SAID_FIRST, *wanted)):
        if known.get(name) != wanted.get(name):
            what = "target latency" if name == "target_s" else name.replace("_", " ")
            had, has = (_shown(name, each.get(name)) for each in (known, wanted))
            raise UsageError(
                f"{path}: is a search of {what} {had} ({known.get('space')} on {known.get('device')}), this one is of {has} "
                f"({wanted.get('space')} on {wanted.get('device')}); choose another folder"
            )


def _shown(name: str, value: Any) -> str:
    """A value of a search's identity; a target in milliseconds, as it is typed."""
    if name != "target_s" or not isinstance(value, float):
        return "none" if value is None and name == "target_s" else repr(value)
    return f"{value * 1e3:.9g} ms"
