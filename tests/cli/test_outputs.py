"""Paths that a command line names: looked at before the work, two options not one file, nothing overwritten that is read, and nothing lost."""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

import costmodel
from costmodel.cli import main
from costmodel.cli._main import _COMMANDS
from costmodel.cli._outputs import OutputFile, OutputFolder, WritingCommand
from costmodel.errors import CostModelError
from costmodel.reporting.endings import PAGES

LENET = ("lenet-5", "--device", "pixel4")
SWEEP = ("sweep", *LENET, "--batch", "1,2")
#: What options that write are called.
WRITING = {"output", "outputs", "html", "trace", "csv_path", "journal"}
#: What options and arguments that name a file and only read it are called.
READING = {"accuracy", "arrivals", "logs", "measured", "measurements"}


def full(path: str) -> None:
    """What writing does where a disk is full."""
    raise OSError(28, "No space left on device")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names_file(param: click.Parameter) -> bool:
    """Whether a parameter is a path by its type, or by what its help calls it."""
    return isinstance(param.type, click.Path) or re.fullmatch(r"F(ILE|OLDER)?(\.\w+)?|DIR", param.metavar or "") is not None


def is_output(param: click.Parameter) -> bool:
    return isinstance(param.type, OutputFile | OutputFolder)


@pytest.mark.parametrize("name", sorted(_COMMANDS))
def test_every_path_that_a_command_writes_is_known_as_one(name: str) -> None:
    command: click.Command = importlib.import_module(f"costmodel.cli.{_COMMANDS[name]}").command
    assert {param.name for param in command.params if is_output(param)} == {param.name for param in command.params} & WRITING
    assert {param.name for param in command.params if names_file(param) and not is_output(param)} <= READING
    assert isinstance(command, WritingCommand) == any(map(is_output, command.params))


#: Arguments that name one file twice, and what the message begins with.
TWICE: dict[str, tuple[Sequence[str], str]] = {
    "a table and a picture": ((*SWEEP, "--csv", "s.png", "-o", "s.png"), "s.png: is named by --output and by --csv"),
    "by another path": ((*SWEEP, "--csv", "./a.csv", "-o", "folder/../a.csv"), "./a.csv: is named by --output and by --csv"),
    "through a link": ((*SWEEP, "--csv", "link/a.csv", "-o", "folder/a.csv"), "link/a.csv: is named by --output and by --csv"),
    "twice": ((*SWEEP, "-o", "a.csv", "-o", "./a.csv"), "./a.csv: is named by --output twice"),
    "a trace and a table": (("simulate", *LENET, "--trace", "t.json", "-o", "t.json"), "t.json: is named by --trace and by --output"),
    "a front": (("pareto", *LENET, "-o", "a.html", "-o", "folder/../a.html"), "folder/../a.html: is named by --output twice"),
    "a profile and a journal": (("calibrate", "--journal", "p.toml", "-o", "p.toml"), "p.toml: is named by --journal and by --output"),
}


@pytest.mark.parametrize("case", TWICE)
def test_one_file_for_two_results_is_refused(case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    arguments, message = TWICE[case]
    assert main(list(arguments)) == 2
    told = capsys.readouterr()
    assert f"error: {message}" in told.err
    assert "give each its own" in told.err
    assert not told.out, "before the work begins"
    assert contents(tmp_path) == {}


#: Arguments that would overwrite what they read, and which file that is.
READ: dict[str, tuple[Sequence[str], str]] = {
    "a network by its table": (("sweep", "net.json", "--device", "pixel4", "-o", "./net.json"), "./net.json: is read (MODEL)"),
    "one of several networks": (("pareto", "lenet-5", "net.json", "--device", "pixel4", "-o", "net.json"), "net.json: is read ([MODEL...])"),
    "a network by itself": (("export", "net.json", "-o", "net.json"), "net.json: is read (MODEL)"),
    "accuracies": (("pareto", *LENET, "--accuracy", "own.csv", "-o", "own.csv"), "own.csv: is read (--accuracy)"),
    "logs": (("ingest", "own.csv", "-o", "own.csv"), "own.csv: is read (LOG...)"),
    "scores of a search": (("search", "fbnet", "--device", "pixel4", "--evaluator", "search.csv", "-o", "."), "./search.csv: is read (--evaluator)"),
}


@pytest.mark.parametrize("case", READ)
def test_what_is_read_is_not_overwritten(case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    costmodel.build("lenet-5").save(tmp_path / "net.json")
    (tmp_path / "own.csv").write_text("network,top1\nlenet-5,50\n", encoding="utf-8")
    (tmp_path / "search.csv").write_text("candidate,score\n", encoding="utf-8")
    before = contents(tmp_path)
    arguments, message = READ[case]
    assert main(list(arguments)) == 2
    told = capsys.readouterr()
    assert f"error: {message} and would be overwritten (--output): give --output another name" in told.err
    assert not told.out
    assert contents(tmp_path) == before


def test_pages_have_the_same_endings_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for ending in PAGES:
        assert main(["analyze", *LENET, "--html", f"a{ending}"]) == 0
        assert main(["pareto", "lenet-5", "alexnet", "--device", "pixel4", "-o", f"p{ending}"]) == 0
    made = contents(tmp_path)
    assert made["p.htm"] == made["p.html"]
    assert set(made) == {f"{name}{ending}" for name in "ap" for ending in PAGES}


def test_a_profile_may_be_calibrated_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("no profile", encoding="utf-8")
    assert main(["calibrate", str(path), "-o", str(path)]) == 4
    assert "overwritten" not in capsys.readouterr().err


#: Arguments whose result has no place to go, exit code, words on stderr.
NOWHERE: dict[str, tuple[Sequence[str], int, str]] = {
    "a page as a table": (("analyze", *LENET, "--html", "keep.csv"), 2, "keep.csv: the ending says what is written, and this one says nothing: .html, .htm"),
    "a map as a table": (("compare", *LENET, "--html", "keep.csv"), 2, "keep.csv: the ending says what is written"),
    "a picture as a profile": (("validate", "pixel4", "-o", "keep.toml"), 2, "keep.toml: the ending says what is written"),
    "no format": (
        ("export", "lenet-5", "-o", "net.txt"),
        2,
        "net.txt: the ending says what is written, and this one says nothing: .json, .onnx, .pt2, .tflite, .param",
    ),
    "no folder": (("pareto", "--device", "pixel4", "-o", "absent/a.csv"), 1, "absent/a.csv: cannot be written: No such file or directory: "),
    "below a file": ((*SWEEP, "-o", "keep.csv/a.csv"), 1, "keep.csv/a.csv: cannot be written: Not a directory"),
    "a folder": (("simulate", *LENET, "--trace", "."), 1, ".: cannot be written: Is a directory"),
    "a long name": ((*SWEEP, "--csv", "a" * 300), 1, "cannot be written: File name too long"),
    "a search in a file": (("search", "fbnet", "--device", "pixel4", "-o", "keep.csv"), 2, "keep.csv: is a file, and --output names a folder"),
    "a search in a long name": (("search", "fbnet", "--device", "pixel4", "-o", "a" * 300), 1, "cannot be written: File name too long"),
    "a search below a file": (("search", "fbnet", "--device", "pixel4", "-o", "keep.csv/a"), 2, "keep.csv is a file, and --output names a folder"),
    "a kit in a file": (("kit", "--runtime", "ncnn", "-o", "keep.csv"), 2, "keep.csv: is a file, and --output names a folder"),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_places_that_cannot_be_written_are_found_before_the_work(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keep.csv").write_text("kept", encoding="utf-8")
    arguments, code, message = NOWHERE[case]
    assert main(list(arguments)) == code
    told = capsys.readouterr()
    assert message in told.err
    assert not told.out
    assert contents(tmp_path) == {"keep.csv": b"kept"}


@pytest.mark.parametrize("arguments", [(*SWEEP, "--csv", "a.csv"), (*SWEEP, "--csv", "pipe"), ("search", "fbnet", "--device", "pixel4", "-o", "new/found")])
def test_what_may_not_be_written_is_said_before_the_work(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(list(arguments)) == 1
    told = capsys.readouterr()
    assert f"{arguments[-1]}: cannot be written: Permission denied" in told.err
    assert not told.out


def test_a_place_that_turns_out_to_be_taken_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "winners").write_text("kept", encoding="utf-8")
    assert main(["search", "small-images", "--device", "pixel4", "--evaluator", "macs", "-o", str(tmp_path), "--winners", "1"]) == 0
    assert "winners.old" in capsys.readouterr().err
    assert (tmp_path / "winners.old").read_text(encoding="utf-8") == "kept"
    assert (tmp_path / "winners" / "1" / "graph.json").is_file()


def test_a_picture_that_cannot_be_drawn_keeps_nothing_else_from_being_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture, table, document = (tmp_path / name for name in ("a.png", "a.txt", "a.json"))
    assert main(["sweep", *LENET, "-o", str(picture), "--csv", str(table), "-o", str(document)]) == 2
    told = capsys.readouterr()
    assert "needs numbers along one axis" in told.err
    assert sorted(line for line in told.err.splitlines() if line.startswith("wrote")) == [f"wrote {document}", f"wrote {table}"]
    assert table.read_text(encoding="utf-8").startswith("network,")
    assert not picture.exists()


def test_all_that_could_not_be_written_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("costmodel.durable.writing", full)
    assert main([*SWEEP, "-o", str(tmp_path / "a.csv"), "-o", str(tmp_path / "b.json"), "-o", str(tmp_path / "c.png")]) == 1
    err = capsys.readouterr().err
    assert [line.split(": ")[1 if line.startswith("error") else 0] for line in err.splitlines()] == [
        str(tmp_path / name) for name in ("a.csv", "b.json", "c.png")
    ]
    assert err.count("No space left on device") == 3


#: Arguments whose one result goes into a file named `a` and the ending.
ONE_FILE: dict[str, Sequence[str]] = {
    "a graph": ("export", "lenet-5", "-o", "a.json"),
    "a network of ncnn": ("export", "mobilenet-v1", "-o", "a.param"),
    "a network of TFLite": ("export", "lenet-5", "-o", "a.tflite"),
    "a saved program": ("export", "lenet-5", "-o", "a.pt2"),
    "an ONNX model": ("export", "lenet-5", "-o", "a.onnx"),
    "rows": ("ingest", "log.json", "-o", "a.csv"),
    "a profile": ("calibrate", "pixel4", "--measurements", "rows.csv", "-o", "a.toml"),
    "a trace": ("simulate", *LENET, "--trace", "a.json"),
    "a page": ("analyze", *LENET, "--html", "a.html"),
}


@pytest.mark.torch
@pytest.mark.parametrize("case", ONE_FILE)
def test_a_full_disk_is_said_with_the_file(case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if ONE_FILE[case][-1] in ("a.tflite", "a.pt2", "a.onnx"):
        pytest.importorskip("torch")
    rows = (f"{network},large=1,tflite-padded,symmetric,{ms},mine\n" for network, ms in (("resnet-18", 122.5), ("mobilenet-v1", 39.7)))
    (tmp_path / "rows.csv").write_text("network,cores,runtime,padding,latency_ms,source\n" + "".join(rows), encoding="utf-8")
    log = {"costmodel_run": 1, "network": "lenet-5", "device": "pixel4", "runtime": "tflite", "cores": "large=1", "passes_s": [0.04] * 3}
    (tmp_path / "log.json").write_text(json.dumps(log), encoding="utf-8")
    monkeypatch.setattr("costmodel.durable.writing", full)
    arguments = ONE_FILE[case]
    assert main(list(arguments)) == 1
    assert f"error: {arguments[-1]}: cannot be written: No space left on device; choose another place for it" in capsys.readouterr().err


def test_a_verdict_does_not_hide_that_a_file_could_not_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("costmodel.durable.writing", full)
    path = tmp_path / "a.csv"
    assert main(["recommend", "--family", "mobilenet-v2", "--device", "pixel4", "--max-latency-ms", "0.1", "--dtype", "fp32", "-o", str(path)]) == 3
    written, verdict = capsys.readouterr().err.splitlines()
    assert written == f"error: {path}: cannot be written: No space left on device; choose another place for it"
    assert verdict.startswith("none of 22 candidates is within 0.100 ms")


#: Arguments whose verdict comes after a file, and what the verdict begins with.
VERDICTS: dict[str, tuple[Sequence[str], str]] = {
    "analyze": (("analyze", *LENET, "--max-latency-ms", "0.001", "--html", "a.html"), "latency "),
    "compare": (("compare", "lenet-5", "alexnet", "--device", "pixel4", "--fail-on", "1%", "--html", "a.html"), "alexnet "),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_a_verdict_stands_whatever_becomes_of_the_file(case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, begins = VERDICTS[case]
    assert main(list(arguments)) == 3
    (verdict,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert verdict.startswith(f"error: {begins}")
    monkeypatch.setattr("costmodel.durable.writing", full)
    assert main(list(arguments)) == 3
    *_, written, again = capsys.readouterr().err.splitlines()
    assert written == "error: a.html: cannot be written: No space left on device; choose another place for it"
    assert again == verdict.removeprefix("error: ")


def test_an_error_while_another_one_is_handled_is_said_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def second(*_: object, **__: object) -> None:
        try:
            raise CostModelError("the first")
        except CostModelError:
            raise CostModelError("the second")  # noqa: B904  # as any code may

    monkeypatch.setattr("costmodel.api.estimate", second)
    assert main(["analyze", *LENET]) == 1
    assert capsys.readouterr().err == "error: the second\n"


def test_a_search_whose_picture_fails_has_its_table_and_its_winners(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise CostModelError("this cannot be drawn")

    monkeypatch.setattr("costmodel.reporting.search_plot.draw_search", failing)
    monkeypatch.setattr("costmodel.search._winners.write_file", failing)
    arguments = ["search", "small-images", "--device", "pixel4", "--evaluator", "macs", "--target-ms", "0.2", "-o", str(tmp_path), "--winners", "1"]
    assert main(arguments) == 1
    assert "error: this cannot be drawn" in capsys.readouterr().err
    assert {"search.csv", "search.json", "winners/1/graph.json"} <= set(contents(tmp_path))


@pytest.mark.parametrize("arguments", [["search", "mnasnet", "--device", "pixel4", "-o", ""], ["analyze", "resnet-18", "--device", "pixel4", "--html", ""]])
def test_an_empty_path_is_refused(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "is empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
