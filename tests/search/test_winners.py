"""Winners as files: whole or not at all, of one search alone, and nobody's work lost."""

from __future__ import annotations

import ast
import errno
import os
import runpy
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel import durable
from costmodel.search import Block, LatencyTable, Option, Outcome, SearchWarning, Space, export_winners, find
from costmodel.search.evaluators import named
from costmodel.search.layers import Classifier, Conv


@pytest.fixture
def outcome(table: LatencyTable) -> Outcome:
    return find(table, named("macs", table))


@pytest.fixture(autouse=True)
def graphs_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "torch" not in request.keywords:
        monkeypatch.setattr("costmodel.search._winners._FORMATS", ())


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_winners_of_an_earlier_search_are_replaced(outcome: Outcome, tmp_path: Path) -> None:
    export_winners(outcome, tmp_path / "winners", 3)
    export_winners(outcome, tmp_path / "winners", 1)
    assert files(tmp_path) == {"winners/1/graph.json", "winners/1/network.py", "winners/manifest.json"}
    export_winners(outcome, tmp_path / "winners", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["1/network.py", "1/weights.pt", "notes.txt", "manifest.json"])
def test_files_of_other_hands_are_kept(name: str, outcome: Outcome, tmp_path: Path) -> None:
    place = tmp_path / "winners"
    for kept in ("winners.old", "winners.old-2"):
        export_winners(outcome, place, 1)
        (place / name).write_text(f"mine, in {kept}")
        with pytest.warns(SearchWarning, match=f"they are kept in .*{kept}$"):
            export_winners(outcome, place, 1)
        assert (tmp_path / kept / name).read_text() == f"mine, in {kept}"
    assert files(place) == {"1/graph.json", "1/network.py", "manifest.json"}


@pytest.mark.parametrize("changed", [False, True], ids=["as written", "with files of other hands"])
@pytest.mark.parametrize("step", ["write", "put", "rename"])
def test_a_full_disk_leaves_the_winners_of_before(step: str, changed: bool, outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "winners"
    export_winners(outcome, place, 1)
    if changed:
        (place / "notes.txt").write_text("mine")
    before = {name: (place / name).read_bytes() for name in files(place)}
    rename = Path.rename

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def none_comes_in(source: Path, target: Path) -> Path:
        return full() if source.name == ".winners.new" else rename(source, target)  # type: ignore[func-returns-value]  # it raises

    if step == "rename":
        monkeypatch.setattr(Path, "rename", none_comes_in)
    else:
        monkeypatch.setattr(durable, {"write": "write_text", "put": "writing"}[step], full)
    place_of_it = r"winners/1/graph\.json: " if step == "put" else "winners: the winners "
    with pytest.raises(costmodel.CostModelError, match=f"^{tmp_path}/{place_of_it}cannot be written: No space left on device"):
        export_winners(outcome, place, 2)
    assert {name: (place / name).read_bytes() for name in files(place)} == before
    assert list(tmp_path.iterdir()) == [place]


def test_winners_are_of_the_batch_that_was_searched(outcome: Outcome, tmp_path: Path) -> None:
    (winner,) = export_winners(outcome, tmp_path / "winners", 1, batch=8)
    assert costmodel.load(winner.folder / "graph.json").batch == 8


@pytest.mark.torch
def test_a_full_disk_leaves_no_torn_file(outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    replace = os.replace

    def full(source: Any, place: Any) -> None:
        if str(place).endswith((".tflite", ".onnx", ".pt2")):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, place)

    monkeypatch.setattr(os, "replace", full)
    (winner,) = export_winners(outcome, tmp_path / "winners", 1)
    assert files(winner.folder) == {"graph.json", "network.py"}
    (reason,) = (reason for reason in winner.lost if reason.startswith("network.pt2"))
    assert reason == f"network.pt2: {winner.folder}/network.pt2: cannot be written: No space left on device; choose another place for it"


def test_names_of_any_kind_make_a_script(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    name, value = 'q""" \nraise SystemExit("run")\n"""{x}\\', 'x"""\'\\'
    options = tuple(Option((Conv(width, 3, 2),), (("w\n", value), ("width", width))) for width in (8, 16))
    space = Space(name=name, resolution=(32, 32), stem=(), blocks=(Block(name='b"""', options=options),), head=(Classifier(64, 10),))
    table = LatencyTable(space, costmodel.target("pixel4"))
    (winner,) = export_winners(find(table, named("macs", table)), tmp_path / "winners", 1)
    ast.parse((winner.folder / "network.py").read_text(encoding="utf-8"))
    made = runpy.run_path(str(winner.folder / "network.py"))
    assert made["NAME"].startswith(name.replace("\n", "?"))
    assert made["CHOICES"] == {'b"""': f"w\n {value}, width 16"}
