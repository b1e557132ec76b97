"""Measured rows are read whole, and refused one by one with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from costmodel.calibration.rows import elsewhere, only, parse_rows, read_for, read_rows, require_sound
from costmodel.devices import profile_folder
from costmodel.errors import InvalidFileError, UsageError

HEADER = "network,device,latency_ms,source"


def parsed(*lines: str, header: str = HEADER) -> list[str]:
    """The problems of a file of these lines, as text."""
    return [str(problem) for problem in parse_rows("\n".join((header, *lines)), "f.csv", device="pixel4").problems]


#: Name -> (a row under HEADER, or (header, row), what the refusal says).
FAULTY = {
    "negative": ("vgg-16,pixel4,-3,mine", "above 0, not '-3'"),
    "zero": ("vgg-16,pixel4,0,mine", "above 0"),
    "not a number": ("vgg-16,pixel4,fast,mine", "'fast'"),
    "nan": ("vgg-16,pixel4,nan,mine", "above 0"),
    "digits grouped": ("vgg-16,pixel4,1_000,mine", "'1_000'"),
    "hexadecimal": ("vgg-16,pixel4,0x10,mine", "'0x10'"),
    "too small for a number": ("vgg-16,pixel4,1e-999,mine", "above 0"),
    "infinite": ("vgg-16,pixel4,inf,mine", "above 0"),
    "no network": (",pixel4,3,mine", "network is empty"),
    "no source": ("vgg-16,pixel4,3,", "source is empty"),
    "too few fields": ("vgg-16,pixel4,3", "fewer fields than the header"),
    "too many fields": ("vgg-16,pixel4,3,mine,and more", "more fields than the header"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_row_that_cannot_be_meant_is_refused_with_its_line(name: str) -> None:
    row, said = FAULTY[name]
    problems = parsed("resnet-18,pixel4,120,mine", row)
    assert len(problems) == 1
    assert problems[0].startswith("f.csv:3: ")
    assert said in problems[0]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("padding", "valid"),
        ("layout", "hwcn"),
        ("dtype", "float"),
        ("batch", "0"),
        ("batch", "1.5"),
        ("batch", "1e9"),
        ("date", "1/2/2024"),
        ("date", "2024-02-30"),
    ],
)
def test_values_outside_a_columns_vocabulary_are_refused(column: str, value: str) -> None:
    (problem,) = parsed(f"vgg-16,pixel4,3,mine,{value}", header=f"{HEADER},{column}")
    assert problem.startswith(f"f.csv:2: {column} must be")
    assert repr(value) in problem


HEADERS = {
    "network,device,source": "exactly one of latency_s, latency_ms, latency_us",
    "network,latency_ms,latency_us,source": "exactly one of",
    "network,latency_ms": "'source' is missing",
    "network,latency_msec,source": "did you mean 'latency_ms'?",
    "network;latency_ms;source": "separated by ';'",
    "network\tlatency_ms\tsource": "save the file with commas",
    "network,network,latency_ms,source": "two columns have one name",
    "": "'network' is missing",
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_cannot_be_meant_is_refused(header: str) -> None:
    with pytest.raises(InvalidFileError, match=r"f\.csv:1: ") as caught:
        parse_rows(header + "\nvgg-16,3,mine\n", "f.csv")
    assert HEADERS[header] in str(caught.value)


@pytest.mark.parametrize(("unit", "written"), [("latency_s", "0.5"), ("latency_ms", "500"), ("latency_us", "5e5")])
def test_units_are_the_columns(unit: str, written: str) -> None:
    (row,) = parse_rows(f"network,{unit},source\nvgg-16,{written},mine\n", "f.csv", device="pixel4").rows
    assert (row.seconds, row.device, row.line) == (pytest.approx(0.5), "pixel4", 2)


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"network\xff")
    with pytest.raises(InvalidFileError, match="not UTF-8"):
        read_rows(path)
    with pytest.raises(InvalidFileError, match="/dev/zero: cannot be read: is a pipe or a device"):
        read_rows("/dev/zero")
    with pytest.raises(InvalidFileError, match="cannot be read"):
        read_rows(tmp_path / "none.csv")


def test_refused_rows_stop_a_reading_unless_they_are_to_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{HEADER}\nvgg-16,pixel4,3,mine\nvgg-19,pixel4,-3,mine\n", encoding="utf-8")
    (file,) = read_for("pixel4", [str(path)])
    with pytest.raises(InvalidFileError, match="1 row is refused") as caught:
        require_sound(file.problems, skip_refused=False)
    assert "rows.csv:3: " in str(caught.value)
    assert (len(file.rows), len(file.problems)) == (1, 1)


def test_where_all_rows_are_refused_nobody_is_told_to_leave_them_out() -> None:
    file = parse_rows(f"{HEADER}\nvgg-16,pixel4,-3,mine\nvgg-19,pixel4,0,mine\n", "f.csv")
    with pytest.raises(InvalidFileError, match=r"2 rows are refused and no other is left: mend them\nf.csv:2: .*\nf.csv:3: "):
        only([file], "pixel4", {})


def test_rows_of_other_devices_and_values_are_said() -> None:
    file = parse_rows(f"{HEADER}\nvgg-16,pixel4,3,mine\n", "f.csv")
    with pytest.raises(UsageError, match="no row is of pixel1; rows are of pixel4"):
        only([file], "pixel1", {})
    with pytest.raises(UsageError, match="dtype int8"):
        only([file], "pixel4", {"dtype": "int8"})


def test_the_rows_that_ship_are_sound_and_their_graphs_are_there() -> None:
    folder = profile_folder() / "measurements"
    files = [read_rows(path) for path in sorted(folder.glob("*.csv"))]
    assert [str(problem) for file in files for problem in file.problems] == []
    cases = [(*row.case, row.source) for file in files for row in file.rows]
    assert len(set(cases)) == len(cases)
    named = {row.network for file in files for row in file.rows if row.network.endswith(".json")}
    assert {folder / name for name in named} == set((folder / "graphs").glob("*.json"))


def test_dates_and_numbers_as_tools_write_them_are_taken() -> None:
    file = parse_rows("network,latency_us,date,source\nvgg-16,1.25e+05,2024-02-29,mine\nvgg-19,.5,,mine\n", "f.csv", device="pixel4")
    assert [(row.seconds, row.date) for row in file.rows] == [(pytest.approx(0.125), "2024-02-29"), (pytest.approx(0.5e-6), "")]


def test_rows_of_other_devices_are_told_of_with_the_name_that_was_probably_meant() -> None:
    file = parse_rows(f"{HEADER}\nvgg-16,pixel4,3,mine\nvgg-19,Pixel4,4,mine\nvgg-11,nope,4,mine\n", "f.csv")
    assert elsewhere([file], "pixel4") == ("f.csv: 2 rows are of another device and took no part: Pixel4, nope (did you mean pixel4 by Pixel4?)",)
    assert elsewhere([parse_rows(f"{HEADER}\nvgg-16,pixel4,3,mine\n", "f.csv")], "pixel4") == ()


def test_a_file_that_is_given_twice_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{HEADER}\nvgg-16,pixel4,3,mine\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"rows\.csv: is given twice"):
        read_for("pixel4", [str(path), f"{tmp_path}/./rows.csv"])


@pytest.mark.parametrize("text", ['vgg-16,3,"me\n', "vgg-16,3," + "m" * 200_000 + "\n"])
def test_what_is_no_csv_is_named_by_the_line_where_it_begins(text: str) -> None:
    with pytest.raises(InvalidFileError, match=r"^mine\.csv:3: is no CSV: "):
        parse_rows(f"network,latency_ms,source\nvgg-19,3,me\n{text}vgg-11,3,me\n", "mine.csv")


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_file_is_said_to_be_empty(text: str, tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError, match=r"none\.csv: is empty: a first line names the columns"):
        read_rows(path)
