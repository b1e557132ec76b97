"""`costmodel simulate` as its users meet it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import costmodel
from costmodel.cli import main


def test_json_is_pythons_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "googlenet", "--device", "i9-10940x", "--parallel", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    timeline = costmodel.simulate("googlenet", device="i9-10940x", parallel=2)
    assert document == json.loads(timeline.to_json())
    assert document["makespan_s"] == timeline.makespan_s < document["estimate_s"] == costmodel.estimate("googlenet", device="i9-10940x").latency_s
    assert document["illustrative"] is True
    assert max(span["end_s"] for span in document["spans"]) == document["makespan_s"]
    assert sum(document["bound_shares"].values()) == pytest.approx(1)


def test_without_overlap_it_says_that_it_equals_the_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "mobilenet-v2", "--device", "pixel4", "--no-overlap", "--top", "2"]) == 0
    out = capsys.readouterr().out
    assert "the simulation is equal" in out
    assert "illustrative" not in out
    assert "what decided the end: 2 of" in out


def test_the_terminal_says_what_is_illustrative(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "resnet-50", "--device", "coral-usb", "--link-mb-per-s", "40", "--co-compiled", "mobilenet-v2"]) == 0
    out = capsys.readouterr().out
    assert "illustrative: a mechanism has no measurement behind it" in out
    assert "illustrative: co-compilation: the parameters of mobilenet-v2 stay in the cache" in out
    assert "illustrative: another link: 40 MB/s each way" in out
    assert "streamed at every inference" in out


def test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, picture, table = tmp_path / "t.json", tmp_path / "t.png", tmp_path / "t.csv"
    line = ["simulate", "squeezenet-1.1", "--device", "coral-usb", "--inferences", "2", "--in-flight", "2", "--trace", str(trace)]
    assert main([*line, "-o", str(picture), "-o", str(table)]) == 0
    first = trace.read_bytes()
    assert json.loads(first)["traceEvents"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert len(rows) == len(costmodel.simulate("squeezenet-1.1", device="coral-usb", inferences=2, in_flight=2).spans)
    drawn = picture.read_bytes()
    assert main([*line, "-o", str(picture)]) == 0
    assert (trace.read_bytes(), picture.read_bytes()) == (first, drawn), "the same input gives the same bytes"
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--policy", "spil"], 2, "unknown memory policy 'spil'; did you mean spill"),
        (["--parallel", "0"], 2, "the parallel must be at least 1"),
        (["--link-mb-per-s", "nan"], 2, "--link-mb-per-s must be a finite number"),
        (["--link-mb-per-s", "0"], 2, "a link of 0 B/s moves nothing"),
        (["--cuda-graph"], 2, "cuda graph is of a machine of kind gpu"),
        (["--trace", "/nowhere/t.json"], 1, "/nowhere/t.json: cannot be written"),
        (["-o", "t.mp4"], 2, "t.mp4: the ending says what is written"),
        (["--batch", "4000"], 1, "too much. Policy spill would leave"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "vgg-16" if "--batch" in arguments else "lenet-5", "--device", "pixel4", *arguments]) == code
    assert message in capsys.readouterr().err
