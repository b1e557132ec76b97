"""Logs become rows that calibrate reads; a log that cannot be read loses nothing of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import costmodel
from costmodel.calibration.rows import parse_rows
from costmodel.cli import main
from costmodel.errors import UsageError
from tests.measuring.test_logs import LOGS, text_of


def log(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def here(seconds: float, **changes: object) -> str:
    """A log of a kit run here."""
    document = {"costmodel_run": 1, "network": "mobilenet-v2", "device": "pixel4", "runtime": "tflite", "cores": "large=1", "passes_s": [seconds] * 3}
    return json.dumps({**document, **changes})


def test_rows_are_what_calibrate_reads() -> None:
    found = costmodel.ingest([LOGS / "benchmark_model.log", LOGS / "benchncnn.log"], device="pixel4")
    again = parse_rows(found.to_csv(), "rows.csv")
    assert again.problems == ()
    assert [(row.network, row.case, row.source, row.date) for row in again.rows] == [(row.network, row.case, row.source, row.date) for row in found.rows]
    first = again.rows[0]
    assert (first.network, first.runtime, first.dtype, first.cores, first.date) == ("mobilenet-v1", "tflite", "fp32", "large=1", "2026-01-15")
    assert first.seconds == pytest.approx(39.0114e-3)
    assert [row.network for row in again.rows[1:]] == ["squeezenet-1.1@227", "squeezenet-1.1@227", "mobilenet-v1@224", "mobilenet-v2@224"]
    assert [problem.message.split(":")[0] for problem in found.problems] == ["'blazeface' is no network of the zoo"]


def test_threads_become_the_devices_fastest_cores() -> None:
    (row,) = costmodel.ingest(LOGS / "benchmark_model_profiled.log", device="pixel4").rows
    assert row.cores == "large=1,medium=3"
    found = costmodel.ingest(LOGS / "benchmark_model_profiled.log", device="my-phone")
    assert found.rows[0].cores == "large=4"
    assert "my-phone has no profile yet" in found.warnings[0]


def test_one_bad_log_loses_nothing_of_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log(tmp_path, "a.log", text_of("benchmark_model.log"))
    cut = log(tmp_path, "b.log", text_of("benchmark_model.log")[:700])
    binary = tmp_path / "c.log"
    binary.write_bytes(b"INFO\n\xff\xfe")
    log(tmp_path, "d.json", here(40e-3))
    rows = tmp_path.parent / f"{tmp_path.name}.csv"
    assert main(["ingest", str(tmp_path), "-o", str(rows)]) == 4
    said = capsys.readouterr()
    assert f"{cut}:{text_of('benchmark_model.log')[:700].count(chr(10)) + 1}: the log is cut off" in said.err
    assert f"{binary}:2: is not UTF-8" in said.err
    assert [row.network for row in parse_rows(rows.read_text(encoding="utf-8"), "r").rows] == ["mobilenet-v1", "mobilenet-v2"]


def test_repeats_of_a_case_become_one_row_and_their_distance_is_said(tmp_path: Path) -> None:
    for name, seconds in (("a", 30e-3), ("b", 31e-3), ("c", 45e-3)):
        log(tmp_path, f"{name}.json", here(seconds))
    found = costmodel.ingest(tmp_path)
    assert [row.seconds for row in found.rows] == [31e-3]
    assert found.rows[0].source.startswith("median of 3 logs: ")
    assert "repeats differ, 30 to 45 ms" in found.warnings[0]


#: Name -> (text, options, what is said).
REFUSED = {
    "no device": (here(0.04, device=""), {}, "give --device NAME"),
    "no network": (text_of("torch_plain.json"), {"device": "pixel4"}, "which network was measured is not stated"),
    "an unknown network": (
        text_of("benchmark_model.log").replace("network=mobilenet-v1 ", "").replace("mobilenet-v1", "mine"),
        {},
        "'mine.tflite' is no network",
    ),
    "another network": (text_of("benchmark_model.log").replace("network=mobilenet-v1", "network=vgg-16"), {}, "ran mobilenet-v1; it was stated as vgg-16"),
    "another device": (here(0.04), {"device": "pixel1"}, "the log says device pixel4; it was stated as pixel1"),
    "another runtime": ("# costmodel: runtime=ncnn\n" + text_of("benchmark_model.log"), {}, "the heading says ncnn"),
    "one name for many": (text_of("benchncnn.log"), {"network": "alexnet", "device": "pixel4"}, "holds 5 networks"),
    "a batch of none": (here(0.04, batch="0.5"), {}, "batch must be a whole number"),
    "a precision that is none": (here(0.04, dtype="fp99"), {}, "dtype must be fp32"),
    "a day that is none": ("# costmodel: date=2026-13-45\n" + here(0.04), {}, "date must be YYYY-MM-DD, not '2026-13-45'"),
    "cores that the device lacks": (here(0.04, cores="large=99"), {}, "there is 1 large core: 'large=99' cannot be had"),
    "cores that are none": (here(0.04, cores="big", device="my-phone"), {}, "cores must look like large=1,medium=3"),
    "faster than the hardware": (here(0.04e-3), {}, "needs for its multiplications"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_row_is_refused(name: str, tmp_path: Path) -> None:
    text, options, said = REFUSED[name]
    found = costmodel.ingest(log(tmp_path, "x.log", text), **options)
    assert found.rows == ()
    assert said in str(found.problems[0])
    assert found.problems[0].line >= 1


def test_a_log_named_after_its_network_needs_no_more(tmp_path: Path) -> None:
    path = log(tmp_path, "lenet-5.json", text_of("torch_plain.json"))
    (row,) = costmodel.ingest(path, device="my-server", dtype="fp32", date="2026-01-15").rows
    assert (row.network, row.runtime, row.date) == ("lenet-5", "torch-eager", "2026-01-15")


def test_what_is_asked_wrongly_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="speed"):
        costmodel.ingest(tmp_path, speed="9")
    with pytest.raises(UsageError, match="holds no log"):
        costmodel.ingest(tmp_path)
    assert main(["ingest", str(tmp_path / "none.log")]) == 2
    assert main(["ingest", str(LOGS / "litert_here.json")]) == 0
    assert capsys.readouterr().out.startswith("network,device,processor,")


def test_rows_are_written_as_csv(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["ingest", str(LOGS / "litert_here.json"), "-o", str(tmp_path / "x.txt")]) == 2
    assert ".csv" in capsys.readouterr().err


def test_a_log_with_an_endless_integer_loses_nothing_of_the_others(tmp_path: Path) -> None:
    log(tmp_path, "a.json", here(40e-3))
    huge = log(tmp_path, "b.json", here(40e-3).replace("0.04,", f"\n{'9' * 5000},", 1))
    found = costmodel.ingest(tmp_path)
    assert [row.network for row in found.rows] == ["mobilenet-v2"]
    assert str(found.problems[0]) == f"{huge}:2: the log is cut off or damaged here: an integer of 5000 digits"


def test_a_log_that_never_ends_is_refused() -> None:
    found = costmodel.ingest("/dev/zero")
    assert not found.rows
    (problem,) = found.problems
    assert "cannot be read: is a pipe or a device, not a file" in str(problem)
