"""Scores of the user's: files, functions, and counts of the table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from costmodel.errors import InvalidFileError, UsageError
from costmodel.search import LatencyTable, Space
from costmodel.search.evaluators import Called, Counted, Listed, listed


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def in_words(space: Space, row: Any, score: float) -> dict[str, Any]:
    return {f"{block}.{field}": value for block, fields in space.decode(row).items() for field, value in fields.items()} | {"score": score}


def test_encoded_and_readable_files_say_the_same(small: Space, tmp_path: Path) -> None:
    x = small.sample(40, seed=0)
    x = np.unique(x, axis=0)
    scores = [number / 7 for number in range(len(x))]
    one = listed(written(tmp_path / "a.csv", [{"candidate": " ".join(map(str, row)), "score": score} for row, score in zip(x, scores, strict=True)]), small)
    two = listed(written(tmp_path / "b.csv", [in_words(small, row, score) for row, score in zip(x, scores, strict=True)]), small)
    for found in (one, two):
        assert found.scores(x).tolist() == scores
        assert found.known.tolist() == x.tolist()
        missing = np.array([row for row in small.sample(100, seed=1) if row.tolist() not in x.tolist()])
        assert np.isnan(found.scores(missing)).all()
    assert one.name != two.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("candidate,points\n0 0 0,1\n", "a.csv:1: has no column 'score'"),
        ("candidat,score\n0 0 0,1\n", r"a.csv:1: has no column 'one.width' It needs score and either candidate or one.width"),
        ("candidate,score\n0 0 0,1\n0 0,1\n", "a.csv:3: small has 3 blocks, and there are 2 choices"),
        ("candidate,score\n0 0 0,1\n0 0 3,1\n", "a.csv:3: block 'three' has choices 0 to 2, not 3"),
        ("candidate,score\n0 0 zero,1\n", "a.csv:2: '0 0 zero' are no integers"),
        ("candidate,score\n0 0 0,1\n0 0 1,2\n0 0 0,1\n", "a.csv:4: the candidate of line 2 again"),
        ("candidate,score\n0 0 0,nan\n", "a.csv:2: the score must be a finite number, not 'nan'"),
        ("candidate,score\n0 0 0,high\n", "a.csv:2: the score must be a finite number, not 'high'"),
        ("candidate,score\n0 0 0,\n", "a.csv:2: needs a value in each of the 2 columns candidate to score"),
        ("candidate,score\n0 0 0\n", "a.csv:2: needs a value in each of the 2 columns candidate to score"),
        ("candidate,score\n0 0 0,1,2\n", "a.csv:2: needs a value in each of the 2 columns candidate to score"),
        ("candidate,score\n", "a.csv: has no row"),
        ("candidate,score,score\n0 0 0,1,1\n", "a.csv:1: two columns have the same name"),
    ],
)
def test_faults_of_a_file_are_told_with_their_line(small: Space, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError, match=message):
        listed(tmp_path / "a.csv", small)


def test_options_that_do_not_exist_are_told_with_their_line(small: Space, tmp_path: Path) -> None:
    rows = [in_words(small, [0, 0, 0], 1.0), {**in_words(small, [0, 0, 1], 1.0), "one.width": 17}]
    with pytest.raises(InvalidFileError, match=r"b\.csv:3: block 'one' has no option 17, 3, 0; one of its 6 is 16, 3, 0"):
        listed(written(tmp_path / "b.csv", rows), small)
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidFileError, match=r"c\.csv: is no text in UTF-8"):
        listed(tmp_path / "c.csv", small)
    with pytest.raises(InvalidFileError, match="/dev/zero: cannot be read: is a pipe or a device"):
        listed("/dev/zero", small)
    with pytest.raises(InvalidFileError, match=r"d\.csv: cannot be read: No such file"):
        listed(tmp_path / "d.csv", small)


def test_a_file_of_one_content_has_one_name(small: Space, tmp_path: Path) -> None:
    def of(text: str) -> Listed:
        (tmp_path / "a.csv").write_text(text, encoding="utf-8")
        return listed(tmp_path / "a.csv", small)

    assert of("candidate,score\n0 0 0,1\n").name == of("candidate,score\n0 0 0,1\n").name != of("candidate,score\n0 0 0,2\n").name


def test_a_function_is_given_words(small: Space) -> None:
    evaluator = Called(space=small, function=lambda choices: choices["one"]["width"] + 0.5, label="width")
    assert evaluator.scores(np.array([[0, 0, 0], [5, 0, 0]])).tolist() == [16.5, 24.5]
    assert evaluator.name == "callable width"
    with pytest.raises(UsageError, match=r"callable none returned None for candidate \[0, 0, 0\]: it must return a number"):
        Called(space=small, function=lambda choices: None, label="none").scores(np.array([[0, 0, 0]]))  # type: ignore[arg-type,return-value]  # wrong on purpose


def test_counts_are_the_tables(table: LatencyTable, small: Space) -> None:
    x = small.sample(9, seed=0)
    assert Counted(table=table, count="macs").scores(x).tolist() == table.macs(x).tolist()
    assert Counted(table=table, count="parameters").scores(x).tolist() == table.parameters(x).tolist()
