"""The folder of a search: one search at a time, wherever its evaluator goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from costmodel import durable
from costmodel.cli import main
from costmodel.errors import UsageError
from costmodel.search import Folder, LatencyTable, Space, find
from costmodel.search.evaluators import Called, Evaluator, named

SMALL = ("search", "small-images", "--device", "pixel4")


def test_an_evaluator_may_change_the_directory(table: LatencyTable, small: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="the outer loop is Optuna's (extra search)")
    foreign = tmp_path / "elsewhere" / "found" / "search.journal"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("another program's\n")
    monkeypatch.chdir(tmp_path)

    def moving(choices: Any) -> float:
        os.chdir(tmp_path / "elsewhere")
        return float(len(repr(choices)))

    outcome = find(table, Called(space=small, function=moving, label="moving"), trials=4, folder="found")
    assert len(outcome.candidates) == 4
    assert foreign.read_text() == "another program's\n"
    assert len((tmp_path / "found" / "search.journal").read_text().splitlines()) >= 4


def test_searches_in_memory_take_turns(table: LatencyTable, tmp_path: Path) -> None:
    evaluator: Evaluator = named("macs", table)
    with Folder(tmp_path) as folder:
        find(table, evaluator, folder=folder)
        with pytest.raises(UsageError, match="another search is writing there"):
            find(table, evaluator, folder=tmp_path)
    find(table, evaluator, folder=tmp_path)


def test_a_folder_is_held_until_the_last_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from costmodel import search

    command = [*SMALL, "--evaluator", "macs", "-o", str(tmp_path), "--winners", "1"]
    codes = []
    export = search.export_winners

    def during(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(search, "export_winners", export)
        codes.append(main(command))
        return export(*arguments, **options)

    monkeypatch.setattr(search, "export_winners", during)
    assert main(command) == 0
    assert codes == [2]
    assert "another search is writing there" in capsys.readouterr().err


def test_a_search_that_ended_while_another_began_is_no_part_of_it(table: LatencyTable, small: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="the outer loop is Optuna's (extra search)")
    evaluator = Called(space=small, function=lambda choices: float(choices["one"]["width"]), label="width")
    hold = Folder.hold

    def late(folder: Folder) -> None:
        monkeypatch.setattr(Folder, "hold", hold)
        find(table, evaluator, trials=2, seed=1, folder=tmp_path)
        hold(folder)

    monkeypatch.setattr(Folder, "hold", late)
    with pytest.raises(UsageError, match="has a search already"):
        find(table, evaluator, trials=2, folder=tmp_path)


def test_a_folder_is_let_go_by_a_search_that_is_refused(table: LatencyTable, small: Space, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the outer loop is Optuna's (extra search)")
    evaluator = Called(space=small, function=lambda choices: float(choices["one"]["width"]), label="width")
    find(table, evaluator, trials=2, folder=tmp_path)
    folder = Folder(tmp_path)
    for options, message in (({}, "has a search already"), ({"seed": 1, "resume": True}, "is a search of seed 0")):
        with pytest.raises(UsageError, match=message):
            find(table, evaluator, trials=2, folder=folder, **options)  # type: ignore[arg-type]  # of two kinds
        assert not folder.held
    folder.hold()
    with pytest.raises(UsageError, match="has a search already"):
        find(table, evaluator, trials=2, folder=folder)
    assert folder.held, "its owner holds it"
    folder.close()
    assert len(find(table, evaluator, trials=3, folder=tmp_path, resume=True).candidates) == 3


@pytest.mark.skipif(os.name != "posix", reason="the system has no locks of files")
def test_a_lock_whose_file_was_taken_away_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (Folder(tmp_path) for _ in range(3))
    first.hold()
    lock = durable.lock

    def meanwhile(file: Any) -> bool:
        monkeypatch.setattr(durable, "lock", lock)
        first.leave()  # after the file was opened
        return lock(file)

    monkeypatch.setattr(durable, "lock", meanwhile)
    second.hold()
    with pytest.raises(UsageError, match="another search is writing there"):
        third.hold()
    second.close()
