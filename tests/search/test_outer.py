"""The outer loop: the same interrupted or not, nothing lost, nothing repeated, whatever the evaluator does."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import costmodel
from costmodel.errors import BudgetExceededError, CostModelError, InvalidFileError, UsageError
from costmodel.search import LatencyTable, Outcome, SearchWarning, Space, _journal, exact, find, outer_search
from costmodel.search.evaluators import Called, Counted, Evaluator, named
from costmodel.search.outer import SAMPLERS
from tests.search.conftest import everything

pytest.importorskip("optuna", reason="the outer loop is Optuna's (extra search)")


#: Beyond it lies about a third of the candidates.
TARGET_S = 2.2e-4


def width(choices: Mapping[str, Mapping[str, Any]]) -> float:
    return float(choices["one"]["width"] + 3 * choices["two"]["width"] - choices["three"]["kernel_size"])


def told(outcome: Outcome) -> list[Any]:
    """Everything that was found, to compare."""
    scores = [None if np.isnan(score) else score for score in outcome.scores]
    return [outcome.candidates.tolist(), scores, outcome.latency_s.tolist(), dict(outcome.failures), outcome.asked]


def contents(folder: Path) -> dict[str, bytes | None]:
    """Names in a folder with what the files hold."""
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


@pytest.fixture
def evaluator(small: Space) -> Evaluator:
    return Called(space=small, function=width, label="width")


@pytest.mark.parametrize("sampler", SAMPLERS)
class TestSampler:
    """What holds for every sampler."""

    def test_is_the_same_for_a_seed_and_repeats_nothing(self, sampler: Any, table: LatencyTable, evaluator: Evaluator) -> None:
        first, again, other = (outer_search(table, evaluator, trials=30, seed=seed, sampler=sampler) for seed in (1, 1, 2))
        assert told(first) == told(again) != told(other)
        assert len({tuple(row) for row in first.candidates}) == 30
        assert first.latency_s.tolist() == table.latency_s(first.candidates).tolist()
        assert first.scores.tolist() == [width(table.space.decode(row)) for row in first.candidates]

    def test_evaluates_nothing_beyond_the_target(self, sampler: Any, table: LatencyTable, small: Space) -> None:
        target_s = float(np.quantile(table.latency_s(everything(small)), 0.3))
        seen: list[Any] = []

        def watched(choices: Mapping[str, Mapping[str, Any]]) -> float:
            seen.append(small.encode(choices).tolist())
            return width(choices)

        found = outer_search(table, Called(space=small, function=watched, label="w"), trials=20, seed=0, sampler=sampler, target_s=target_s)
        assert seen == found.candidates.tolist()
        assert len(seen) == 20 < found.asked
        assert (table.latency_s(np.array(seen)) <= target_s).all()

    def test_ends_where_the_space_does(self, sampler: Any, table: LatencyTable, evaluator: Evaluator, small: Space) -> None:
        target_s = float(np.sort(table.latency_s(everything(small)))[6])
        found = outer_search(table, evaluator, trials=500, seed=0, sampler=sampler, target_s=target_s)
        assert len(found.candidates) == (table.latency_s(everything(small)) <= target_s).sum()
        assert "no other within the target was found" in found.note

    def test_goes_on_where_it_was(self, sampler: Any, table: LatencyTable, evaluator: Evaluator, tmp_path: Path) -> None:
        options: dict[str, Any] = {"seed": 5, "sampler": sampler, "target_s": TARGET_S, "folder": tmp_path / "a"}
        part = outer_search(table, evaluator, trials=11, **options)
        assert len(part.candidates) == 11
        outer_search(table, evaluator, trials=25, **options, resume=True)
        counted: list[int] = []
        whole = outer_search(table, evaluator, trials=60, **options, resume=True, progress=lambda found: counted.append(len(found.candidates)))
        assert counted == list(range(26, 61))
        assert whole.candidates[:11].tolist() == part.candidates.tolist()
        assert told(whole) == told(outer_search(table, evaluator, trials=60, **{**options, "folder": None}))


def test_the_front_and_the_best(table: LatencyTable, evaluator: Evaluator, small: Space) -> None:
    found = outer_search(table, evaluator, trials=200, seed=0, sampler="random")
    x = everything(small)
    scores, latencies = evaluator.scores(x), table.latency_s(x)
    assert len(found.candidates) == len(x)  # so small a space is searched wholly
    front = {(s, t) for s, t in zip(scores, latencies, strict=True) if not any((scores >= s) & (latencies <= t) & ((scores > s) | (latencies < t)))}
    assert {(found.scores[place], found.latency_s[place]) for place in found.front} == front
    assert (np.diff(found.latency_s[found.front]) > 0).all()
    (best,) = found.best()
    assert found.scores[best] == scores.max()
    assert found.latency_s[best] == latencies[scores == scores.max()].min()


def test_an_evaluator_may_fail(table: LatencyTable, small: Space, tmp_path: Path) -> None:
    class Interrupted(KeyboardInterrupt):
        """Of the evaluator's own making."""

    def moody(choices: Mapping[str, Mapping[str, Any]]) -> float:
        if choices["one"]["width"] == 16:
            raise RuntimeError("too narrow")
        if choices["three"]["kernel_size"] == 1:
            sys.exit(7)
        if choices["three"]["kernel_size"] == 3 and choices["two"]["kernel_size"] == 5:
            raise Interrupted("no")
        return float("nan") if choices["two"]["width"] == 16 else width(choices)

    options: dict[str, Any] = {"trials": 40, "seed": 0, "sampler": "nsga2", "folder": tmp_path}
    evaluator = Called(space=small, function=moody, label="moody")
    found = outer_search(table, evaluator, **options)
    narrow = [small.decode(row)["one"]["width"] == 16 for row in found.candidates]
    assert sum(narrow) > 3
    assert all(found.failures[place] == "RuntimeError: too narrow" for place, is_narrow in enumerate(narrow) if is_narrow)
    assert {"the evaluator returned nan", "SystemExit: 7", "Interrupted: no"} <= set(found.failures.values())
    assert np.isnan(found.scores).sum() == len(found.failures)
    assert len(found.allowed) == 40 - len(found.failures)
    assert told(outer_search(table, evaluator, **options, resume=True)) == told(found)
    with pytest.raises(CostModelError, match="none of 3 candidates could be scored; the first: ZeroDivisionError: division by zero"):
        outer_search(table, Called(space=small, function=lambda choices: 1 / 0, label="zero"), trials=3, seed=0)


def test_a_target_that_nothing_reaches(table: LatencyTable, evaluator: Evaluator) -> None:
    least = exact.fastest(table)
    with pytest.raises(BudgetExceededError, match=r"no network of small takes 0\.00100 ms or less on pixel4: the least is 0\.111 ms, of candidate 0 0 2"):
        outer_search(table, evaluator, trials=3, seed=0, target_s=1e-6)
    at_the_edge = outer_search(table, evaluator, trials=3, seed=0, target_s=float(least.values[0, 0]) * (1 + 1e-12))
    assert at_the_edge.candidates.tolist() == least.candidates.tolist()


def test_searches_of_something_else_are_refused(table: LatencyTable, evaluator: Evaluator, small: Space, tmp_path: Path) -> None:
    def go(
        table: LatencyTable = table, evaluator: Evaluator = evaluator, seed: int = 0, resume: bool = True, folder: Path = tmp_path / "a", **more: Any
    ) -> None:
        outer_search(table, evaluator, trials=2, seed=seed, folder=folder, resume=resume, **more)

    go(resume=False)
    go()
    with pytest.raises(UsageError, match="has a search already; go on with it"):
        go(resume=False)
    with pytest.raises(UsageError, match=rf"b: has no search to resume \({tmp_path}/b/search\.journal: there is no such file\); leave --resume out"):
        go(folder=tmp_path / "b")
    assert not (tmp_path / "b").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file: is a file, and a search is kept in a folder"):
        go(folder=tmp_path / "file", resume=False)
    before = contents(tmp_path / "a")
    other = small.on(channels=3, resolution=(32, 32), classes=7)
    with pytest.raises(UsageError, match=r"is a search of space 'small' \(small on pixel4\), this one is of 'small@3x32x32-7' \(small@3x32x32-7 on pixel4\)"):
        go(table=LatencyTable(other, table.target), evaluator=Called(space=other, function=width, label="width"))
    text = Path(table.target.device.path).read_text(encoding="utf-8").replace("year = ", "year = 1 + 0 # ", 0)
    changed = tmp_path / "pixel4.toml"
    changed.write_text(text + "\n# another profile of the same name\n", encoding="utf-8")
    shas = [costmodel.device(name).sha256 for name in ("pixel4", str(changed))]
    assert shas[0] != shas[1]
    with pytest.raises(UsageError, match=f"is a search of profile sha256 '{shas[0]}' .* this one is of '{shas[1]}'"):
        go(table=LatencyTable(small, costmodel.target(str(changed))))
    with pytest.raises(UsageError, match=r"is a search of evaluator 'callable width' .* this one is of 'parameters'"):
        go(evaluator=Counted(table=table, count="parameters"))
    with pytest.raises(UsageError, match=r"is a search of seed 0 .* this one is of 1"):
        go(seed=1)
    with pytest.raises(UsageError, match="is a search of target latency none"):
        go(target_s=1.0)
    with pytest.raises(UsageError, match=r"is a search of algorithm 'tpe' .* this one is of 'random'"):
        go(sampler="random")
    with pytest.raises(UsageError, match="the sampler must be one of random, tpe, nsga2, not 'best'"):
        go(sampler="best")
    assert contents(tmp_path / "a") == before


def test_damaged_journals(table: LatencyTable, evaluator: Evaluator, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 0, "folder": tmp_path, "sampler": "random"}
    whole = told(outer_search(table, evaluator, trials=12, **options))
    journal = tmp_path / "search.journal"
    data = journal.read_bytes()
    for cut in (2, 7, 200, 1500):  # a record that a power failure cut off
        journal.write_bytes(data[:-cut])
        lost = len(data[:-cut]) - data[:-cut].rfind(b"\n") - 1
        with pytest.warns(SearchWarning, match=rf"search\.journal: its last record was cut off in the middle, and its {lost} bytes were dropped"):
            assert told(outer_search(table, evaluator, trials=12, **options, resume=True)) == whole
        assert journal.read_bytes().count(b"\n") == data.count(b"\n")


def test_a_record_that_lacks_its_line_end_alone_is_kept(table: LatencyTable, evaluator: Evaluator, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 0, "folder": tmp_path, "sampler": "random"}
    whole = told(outer_search(table, evaluator, trials=3, **options))
    journal = tmp_path / "search.journal"
    data = journal.read_bytes()
    journal.write_bytes(data[:-1])

    def never(choices: Mapping[str, Mapping[str, Any]]) -> float:
        raise AssertionError("the trial is there")

    assert told(outer_search(table, Called(space=table.space, function=never, label="width"), trials=3, **options, resume=True)) == whole
    assert journal.read_bytes() == data


@pytest.mark.parametrize(("cut", "opened"), [(0, 1), (1, 2), (9, 2)], ids=["whole", "without a line end", "cut off"])
def test_a_journal_is_read_no_more_than_it_must_be(
    cut: int, opened: int, table: LatencyTable, evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"seed": 0, "folder": tmp_path, "sampler": "random"}
    outer_search(table, evaluator, trials=3, **options)
    journal = tmp_path / "search.journal"
    journal.write_bytes(journal.read_bytes()[: len(journal.read_bytes()) - cut])
    calls: list[str] = []
    for name in ("_unended", "_opened"):
        function = getattr(_journal, name)
        monkeypatch.setattr(_journal, name, lambda path, name=name, function=function: calls.append(name) or function(path))
    with warnings.catch_warnings(record=True) as told_of:
        warnings.simplefilter("always")
        assert len(outer_search(table, evaluator, trials=3, **options, resume=True).candidates) == 3
    assert calls == ["_unended", *["_opened"] * opened]
    assert len(told_of) == (cut > 1)


_BEGUN = b'{"op_code":0,"worker_id":"a-1","study_name":"costmodel search","directions":[2,1]}\n'
_TRIAL = b'{"op_code":4,"worker_id":"a-1","study_id":0,"datetime_start":"2026-01-01T00:00:00","datetime_complete":"2026-01-01T00:00:00","state":3}\n'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"text without a line end", "its first line does not begin one"),
        (b"other\nlines\n", "its first line does not begin one"),
        (_BEGUN[:50], "its first record was cut off"),
        (_BEGUN.replace(b"costmodel search", b"theirs"), "its first line does not begin one"),
        (b"[" * 50_000 + b"\n", "its first line does not begin one"),
        (_BEGUN + b"\x00\n", "line 2 is no record"),
        (_BEGUN + b"{}\n" + _TRIAL, "line 2 is no record"),
        (_BEGUN + b'{"op_code":4,"worker_id":"a-1"}\n', "is no journal of a search: KeyError"),
        (_BEGUN + _TRIAL, "has trials, and does not say of which search"),
        (None, "Is a directory"),
    ],
)
@pytest.mark.parametrize("resume", [True, False])
def test_files_of_something_else_stay_as_they_are(
    data: bytes | None, message: str, resume: bool, table: LatencyTable, evaluator: Evaluator, tmp_path: Path
) -> None:
    journal = tmp_path / "search.journal"
    if data is None:
        journal.mkdir()
    else:
        journal.write_bytes(data)
    before = contents(tmp_path)
    refused = message if resume or "first" in message or "line" in message or data is None else "has a search already|is no journal"
    with pytest.raises((InvalidFileError, UsageError), match=refused) as caught:
        outer_search(table, evaluator, trials=2, seed=0, folder=tmp_path, resume=resume)
    assert str(journal) in str(caught.value) or not resume
    assert contents(tmp_path) == before


def test_trials_of_other_candidates_are_refused(table: LatencyTable, evaluator: Evaluator, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 0, "folder": tmp_path, "sampler": "random"}
    outer_search(table, evaluator, trials=2, **options)
    journal = tmp_path / "search.journal"
    data = journal.read_bytes()
    for spoilt in (data.replace(b'"candidate"', b'"candidates"'), re.sub(rb'"candidate":\[\d+', b'"candidate":[99', data)):
        journal.write_bytes(spoilt)
        with pytest.raises(InvalidFileError, match=r"search\.journal: trial 0 is none of this search"):
            outer_search(table, evaluator, trials=3, **options, resume=True)
        assert journal.read_bytes() == spoilt


SCRIPT = """
import sys, time
from pathlib import Path
import costmodel
from costmodel.search import LatencyTable, outer_search
from costmodel.search.evaluators import Called
from tests.search.conftest import small_space
from tests.search.test_outer import TARGET_S, told, width

log = Path(sys.argv[1]) / "evaluations"
def slow(choices):
    with log.open("a") as file:
        file.write(repr(choices) + "\\n")
    time.sleep(0.02)
    with log.open("a") as file:
        file.write("done\\n")
    return width(choices)
space = small_space()
table = LatencyTable.load(sys.argv[1], space, costmodel.target("pixel4"))
folder = Path(sys.argv[1]) / "search"
slow = Called(space=space, function=slow, label="slow")
found = outer_search(table, slow, trials=40, seed=0, sampler="nsga2", target_s=TARGET_S, folder=folder, resume=folder.exists())
import json
print(json.dumps(told(found)))
"""


def run(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_killed_at_ten_random_moments_nothing_is_lost_or_repeated(table: LatencyTable, small: Space, tmp_path: Path) -> None:
    table.save(tmp_path)
    journal = tmp_path / "search" / "search.journal"
    rng, sizes = random.Random(0), []
    for _ in range(10):
        process = run(tmp_path)
        before = journal.stat().st_size if journal.is_file() else 0
        while process.poll() is None and (journal.stat().st_size if journal.is_file() else 0) == before:
            time.sleep(0.002)  # until it has begun to record
        time.sleep(rng.uniform(0, 0.1))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        sizes.append(journal.stat().st_size)
    assert sizes == sorted(sizes)
    last = run(tmp_path)
    out, _ = last.communicate(timeout=120)
    found = json.loads(out)
    undisturbed = outer_search(table, Called(space=small, function=width, label="slow"), trials=40, seed=0, sampler="nsga2", target_s=TARGET_S)
    assert found == json.loads(json.dumps(told(undisturbed)))
    lines = (tmp_path / "evaluations").read_text(encoding="utf-8").splitlines()
    begun = [line for line in lines if line != "done"]
    finished = [one for one, following in zip(lines, [*lines[1:], ""], strict=True) if following == "done" and one != "done"]
    assert len(set(begun)) == 40
    assert len(begun) <= 40 + 10  # each kill costs at most the evaluation that it interrupted
    assert len(finished) - len(set(finished)) <= 10  # of which one may have ended just before its record was written


def test_two_processes_do_not_write_in_one_folder(table: LatencyTable, small: Space, tmp_path: Path) -> None:
    def nested(choices: Mapping[str, Mapping[str, Any]]) -> float:
        with pytest.raises(UsageError, match="another search is writing there"):
            outer_search(table, Called(space=small, function=width, label="a"), trials=2, seed=0, folder=tmp_path, resume=True)
        return 1.0

    found = outer_search(table, Called(space=small, function=nested, label="a"), trials=2, seed=0, folder=tmp_path)
    assert not found.failures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_s": float("nan")}, "the target latency .* must be a positive number, in seconds from Python, not nan"),
        ({"target_s": "x"}, "the target latency .* not 'x'"),
        ({"seed": -1}, "the seed must be at least 0, not -1"),
        ({"seed": 1.5}, r"the seed must be a whole number, not 1\.5"),
        ({"seed": "a"}, "the seed must be a whole number, not 'a'"),
    ],
)
def test_numbers_that_are_none_are_refused(options: dict[str, Any], message: str, table: LatencyTable, evaluator: Evaluator) -> None:
    with pytest.raises(UsageError, match=message):
        find(table, evaluator, trials=2, **options)
    with pytest.raises(UsageError, match=message):
        find(table, named("macs", table), algorithm="random", **options)


@pytest.mark.parametrize("batch", [1.5, "2", 0])
def test_a_table_of_no_batch_is_refused(batch: Any, small: Space) -> None:
    with pytest.raises(UsageError, match="the batch must be"):
        LatencyTable(small, costmodel.target("pixel4"), batch=batch)


def test_an_error_that_cannot_be_said_fails_its_trial(table: LatencyTable, small: Space) -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def score(choices: Mapping[str, Mapping[str, Any]]) -> float:
        if choices["one"]["width"] == 16:
            raise SilentError
        return width(choices)

    found = find(table, Called(space=small, function=score, label="silent"), trials=12, algorithm="random")
    assert set(found.failures.values()) == {"SilentError, whose message cannot be made (RuntimeError)"}


def test_a_full_disk_keeps_what_was_finished(table: LatencyTable, evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.storages.journal import JournalFileBackend

    with monkeypatch.context() as patch:
        append, room = JournalFileBackend.append_logs, iter(range(6))

        def full(self: Any, logs: Any) -> None:
            if next(room, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            append(self, logs)

        patch.setattr(JournalFileBackend, "append_logs", full)
        with pytest.raises(CostModelError, match=rf"search\.journal: a trial cannot be written: No space left.* kept in {tmp_path}: .*--resume"):
            find(table, evaluator, trials=9, algorithm="random", folder=tmp_path)
    again = find(table, evaluator, trials=9, algorithm="random", folder=tmp_path, resume=True)
    assert told(again) == told(find(table, evaluator, trials=9, algorithm="random"))


def test_a_first_record_that_was_cut_off_has_one_way_out(table: LatencyTable, evaluator: Evaluator, tmp_path: Path) -> None:
    path = tmp_path / "search.journal"
    for cut in (b"{", b'{"op_code": 0, "worker_id": "a'):
        path.write_bytes(cut)
        for resume in (False, True):
            with pytest.raises(InvalidFileError, match=r"its first record was cut off .* delete the file, and begin anew"):
                find(table, evaluator, trials=1, folder=tmp_path, resume=resume)
        assert path.read_bytes() == cut


def test_targets_are_told_apart_in_milliseconds(table: LatencyTable, evaluator: Evaluator, tmp_path: Path) -> None:
    find(table, evaluator, trials=1, folder=tmp_path, target_s=0.21 * 1e-3 + 1e-19)
    with pytest.raises(UsageError, match=r"is a search of target latency 0\.21 ms .* this one is of 0\.3 ms"):
        find(table, evaluator, trials=1, folder=tmp_path, target_s=0.3 * 1e-3, resume=True)
    with pytest.raises(UsageError, match=r"this one is of none"):
        find(table, evaluator, trials=1, folder=tmp_path, resume=True)
