"""What is read is a plain file, and of a size that it can have, whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from costmodel.calibration import rows
from costmodel.errors import InvalidFileError
from costmodel.files import read_bytes, read_text
from costmodel.measuring import _ingest, _operators, logs
from costmodel.search import Space
from costmodel.search.evaluators import _listed
from tests.search.conftest import small_space


def test_bytes_and_text_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("ä".encode())
    assert (read_bytes(path, 2), read_text(path, 2)) == (b"\xc3\xa4", "ä")
    with pytest.raises(InvalidFileError, match="at most 0 MiB are read"):
        read_bytes(path, 1)
    with pytest.raises(InvalidFileError, match="cannot be read: No such file or directory"):
        read_bytes(tmp_path / "b", 1)


#: Readers, each with the limit that it has.
READERS: dict[str, tuple[object, str, Callable[[str, Space], object]]] = {
    "rows": (rows, "_MOST_BYTES", lambda path, _: rows.read_rows(path)),
    "scores": (_listed, "_MOST_BYTES", _listed.listed),
    "operators": (_operators, "MAX_BYTES", lambda path, _: _operators.read_operators(path)),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_too_large_is_refused_before_it_is_read(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, limit, read = READERS[reader]
    path = tmp_path / "a"
    path.write_bytes(b"0" * (2**20 + 1))
    monkeypatch.setattr(module, limit, 2**20)
    with pytest.raises(InvalidFileError, match="a: has 1 MiB; at most 1 MiB are read"):
        read(str(path), small_space())


def test_a_log_that_is_too_large_is_refused_and_the_others_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ingest.MAX_BYTES == _operators.MAX_BYTES == logs.MAX_BYTES
    (tmp_path / "a.log").write_bytes(b"0" * (2**20 + 1))
    monkeypatch.setattr(_ingest, "MAX_BYTES", 2**20)
    (problem,) = _ingest.ingest(tmp_path).problems
    assert problem.message == "has 1 MiB; at most 1 MiB are read"
