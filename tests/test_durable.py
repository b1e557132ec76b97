"""Files are written whole or not at all, whoever else writes and however full the disk is."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from costmodel import durable

#: Writes to argv[1] more than the process may, as on a disk that is full: the limit of a file's size makes write() itself fail.
FULL = """
import resource, signal, sys
from costmodel import durable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    durable.write_text(sys.argv[1], "new" * 100_000)
except OSError as error:
    sys.exit(error.errno)
"""


def test_what_was_there_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    durable.write_text(path, "ä\n")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    durable.write_text(path, "b\n")
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(path.stat().st_mode)) == ("b\n", 0o640)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text("old\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], check=False)
    assert done.returncode == errno.EFBIG
    assert path.read_text(encoding="utf-8") == "old\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_file_alone(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "profile.toml"
    path.write_text("old\n", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        durable.write_text(path, "new\n")
    monkeypatch.undo()
    assert path.read_text(encoding="utf-8") == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_of_several_writers_one_wins_whole(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    texts = [f"{number}" * 200_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: durable.write_text(path, text), texts * 3))
    assert path.read_text(encoding="utf-8") in texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text("old\n", encoding="utf-8")
    link.symlink_to(real)
    durable.write_text(link, "new\n")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "new\n"
    durable.write_text("/dev/null", "gone\n")


def test_a_pipe_by_its_descriptor_gets_the_text() -> None:
    """As ``/dev/stdout`` is, where another program reads it: the link's own target is no path."""
    reader, writer = os.pipe()
    try:
        durable.write_text(f"/dev/fd/{writer}", "through\n")
        assert os.read(reader, 100) == b"through\n"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("name", ["n" * 253, "\N{GREEK SMALL LETTER LAMDA}" * 127])
def test_a_name_that_the_system_takes_is_taken(name: str, tmp_path: Path) -> None:
    durable.put(tmp_path / name, "text")
    assert (tmp_path / name).read_text(encoding="utf-8") == "text"
