"""``costmodel calibrate`` and ``costmodel validate``: what they print, write and refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from costmodel.cli import main

ROWS = """network,cores,runtime,padding,latency_ms,source
resnet-18@224,large=1,tflite-padded,symmetric,122.5,mine
mobilenet-v1@224,large=1,tflite-padded,symmetric,39.7,mine
squeezenet-1.1@224,large=1,tflite-padded,symmetric,25.9,mine
no-such-net,large=1,tflite-padded,symmetric,25.9,mine
"""


@pytest.fixture
def rows(tmp_path: Path) -> str:
    path = tmp_path / "mine.csv"
    path.write_text(ROWS, encoding="utf-8")
    return str(path)


def test_validate_prints_splits_baselines_and_what_took_no_part(rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "pixel4", "--measurements", rows]) == 0
    printed = capsys.readouterr().out
    for expected in ("profile", "families held out", "baseline macs", "baseline macs+activations", "baseline roofline", "no-such-net (mine.csv:5)"):
        assert expected in printed


def test_validate_json_is_one_document_with_every_row(rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "pixel4", "--measurements", rows, "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert [entry["line"] for entry in target["rows"]] == [2, 3, 4]
    assert target["splits"]["profile"]["rows"] == 3
    assert all(set(entry["baselines_s"]) == {"macs", "macs+activations", "roofline"} for entry in target["rows"])


def test_a_baseline_is_not_fitted_to_the_one_family_that_it_would_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = ROWS.splitlines()[0]
    lines = [line for line in ROWS.splitlines()[1:] if "no-such-net" not in line]
    path = tmp_path / "one.csv"
    path.write_text("\n".join([head, lines[0]]) + "\n", encoding="utf-8")
    assert main(["validate", "pixel4", "--measurements", str(path), "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert [target["splits"][f"baseline {name}"] for name in ("macs", "macs+activations")] == [None, None]
    assert target["splits"]["baseline roofline"]["rows"] == 1
    assert main(["validate", "pixel4", "--measurements", str(path)]) == 0
    assert "baseline roofline" in capsys.readouterr().out


def test_rows_that_take_no_part_are_said_by_calibrate_and_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "more.csv"
    head, *lines = ROWS.splitlines()
    named = [f"device,{head}", *(f"pixel4,{line}" for line in lines), f"Pixel4,{lines[0]}"]
    path.write_text("\n".join(named) + "\n", encoding="utf-8")
    for command in (["calibrate", "pixel4", "-o", str(tmp_path / "out.toml")], ["validate", "pixel4"]):
        assert main([*command, "--measurements", str(path)]) == 0
        captured = capsys.readouterr()
        assert "did you mean pixel4 by Pixel4?" in captured.err
        assert "more.csv:5" in captured.err + captured.out


def test_all_refused_rows_are_listed_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = ROWS.splitlines()[0]
    first = ROWS.splitlines()[1].split(",")
    column = head.split(",").index("latency_ms")
    path = tmp_path / "bad.csv"
    lines = [",".join([*first[:column], value, *first[column + 1 :]]) for value in ("-3", "1e-9")]
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    for command in (["calibrate", "pixel4"], ["validate", "pixel4"]):
        assert main([*command, "--measurements", str(path)]) == 4
        printed = capsys.readouterr().err
        assert "2 rows are refused" in printed
        assert "bad.csv:2" in printed
        assert "bad.csv:3" in printed


def test_a_date_that_is_none_is_refused(rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "pixel4", "--measurements", rows, "--date", "2026-13-45"]) == 2
    assert "must be YYYY-MM-DD" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_validate_plots(rows: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"p.{ending}"
    assert main(["validate", "pixel4", "--measurements", rows, "-o", str(path)]) == 0
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml")


def test_calibrate_writes_a_profile_that_estimates(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fitted.toml"
    assert main(["calibrate", "pixel4", "--measurements", rows, "-o", str(path)]) == 0
    captured = capsys.readouterr()
    assert "known within" in captured.out
    assert "wrote" not in captured.out
    assert captured.err.startswith(f"wrote {path}\n")
    assert "warning: cpu tflite-padded fp32 cortex-a76: the rows say too little about" in captured.err
    assert main(["analyze", "resnet-18", "--device", str(path), "--json"]) == 0
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []


def test_calibrate_prints_the_profile_where_no_file_is_named(rows: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "pixel4", "--measurements", rows]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("schema = 1\n")
    assert "wrote" not in captured.err


def test_a_profile_that_is_written_leaves_the_document_alone(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fitted.toml"
    assert main(["calibrate", "pixel4", "--measurements", rows, "-o", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["profile"] == path.read_text(encoding="utf-8")
    assert f"wrote {path}\n" in captured.err


def test_where_this_machines_profile_is_written_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = SimpleNamespace(profile="schema = 1\n", warnings=("noisy",), to_json=lambda: "{}")
    monkeypatch.setattr("costmodel.cli.calibrate._measured", lambda *arguments, **options: made)
    path = tmp_path / "here.toml"
    assert main(["calibrate", "-o", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "{}\n"
    assert f"wrote {path}\nwarning: noisy\n" in captured.err
    assert path.read_text(encoding="utf-8") == made.profile


#: Arguments -> (exit code, what is said).
REFUSED = {
    "device": (["validate", "pixel44"], 2, "did you mean"),
    "no rows": (["validate", "l4"], 2, "no row is of l4"),
    "plot format": (["validate", "pixel4", "-o", "p.txt"], 2, "p.txt: the ending says what is written, and this one says nothing: .png"),
    "profile ending": (["calibrate", "pixel4", "-o", "p.txt"], 2, "p.txt: the ending says what is written, and this one says nothing: .toml"),
    "threads of a GPU": (["calibrate", "--processor", "gpu", "--threads", "0"], 2, "--threads has no meaning for this machine's GPU"),
    "two outputs": (["calibrate", "pixel4", "-o", "a.toml", "-o", "b.toml"], 2, "--output is given 2 times and names one place"),
    "no threads for a device": (["calibrate", "pixel4", "--threads", "0"], 2, "--threads has no meaning for a device"),
    "a batch here": (["calibrate", "--batch", "7", "--quick"], 2, "--batch has no meaning for this machine"),
    "a suggestion of none here": (["calibrate", "--suggest", "0"], 2, "--suggest has no meaning for this machine"),
    "an empty processor": (["calibrate", "--processor", ""], 2, "--processor cpu or gpu, not ''"),
    "an empty date": (["calibrate", "pixel4", "--suggest", "2", "--date", ""], 2, "--date: --suggest fits nothing"),
    "a batch of none": (["calibrate", "pixel4", "--suggest", "2", "--batch", "0"], 2, "the batch must be at least 1, not 0"),
    "a batch beyond all": (["calibrate", "pixel4", "--suggest", "2", "--batch", "99999999"], 2, "the batch must be at most 1000000"),
    "missing file": (["calibrate", "pixel4", "--measurements", "none.csv"], 4, "cannot be read"),
}


@pytest.mark.parametrize("command", ["calibrate", "validate"])
def test_who_skips_refused_rows_is_not_advised_to(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("\n".join([*ROWS.splitlines()[:1], "resnet-18@224,large=1,tflite-padded,symmetric,-3,mine"]) + "\n", encoding="utf-8")
    assert main([command, "pixel4", "--measurements", str(path), "--skip-refused"]) == 4
    said = capsys.readouterr().err
    assert "1 row is refused and no other is left: mend them" in said
    assert "--skip-refused" not in said


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, code, said = REFUSED[name]
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_faulty_rows_leave_with_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(ROWS.replace("39.7", "-1"), encoding="utf-8")
    assert main(["validate", "pixel4", "--measurements", str(path)]) == 4
    assert f"{path}:3: latency_ms must be a number above 0" in capsys.readouterr().err
    assert main(["validate", "pixel4", "--measurements", str(path), "--skip-refused"]) == 0
    assert f"refused: {path}:3:" in capsys.readouterr().err


def test_where_no_row_is_left_nothing_is_judged_nor_fitted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "unknown.csv"
    path.write_text("\n".join(line for line in ROWS.splitlines() if line.startswith("n")) + "\n", encoding="utf-8")
    for command in ("validate", "calibrate"):
        assert main([command, "pixel4", "--measurements", str(path)]) == 2
        said = capsys.readouterr()
        assert "no row of pixel4 is left to" in said.err
        assert f"{path}:2: unknown model 'no-such-net'" in said.err
        assert said.out == ""


def test_one_family_is_one_and_none_could_be_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.csv"
    path.write_text("\n".join(ROWS.splitlines()[:2]) + "\n", encoding="utf-8")
    assert main(["calibrate", "pixel4", "--measurements", str(path), "-o", str(tmp_path / "p.toml")]) == 0
    said = capsys.readouterr().out
    assert "1 row of 1 family" in said
    assert "MAPE" not in said
    assert "no family could be held out" in said
    assert "1 row of 1 family" in (tmp_path / "p.toml").read_text(encoding="utf-8")


def test_refusals_stand_in_the_order_of_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(ROWS.replace("39.7", "39.7e-9").replace("squeezenet-1.1@224,large=1,tflite-padded,symmetric,25.9", "vgg-16,,,,-1"), encoding="utf-8")
    for command in ("validate", "calibrate"):
        assert main([command, "pixel4", "--measurements", str(path), "--skip-refused"]) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("refused: ")]
        assert [line.partition(".csv:")[2][:2] for line in lines] == ["3:", "4:"]


def test_two_calibrations_at_once_leave_a_whole_profile(rows: str, tmp_path: Path) -> None:
    path = tmp_path / "fitted.toml"
    program = [sys.executable, "-m", "costmodel", "calibrate", "pixel4", "--measurements", rows, "-o", str(path)]
    running = [subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    once = path.read_text(encoding="utf-8")
    assert main(["calibrate", "pixel4", "--measurements", rows, "-o", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == once
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
