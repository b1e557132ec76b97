"""`costmodel search` as its users meet it."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import costmodel
from costmodel.cli import main
from costmodel.errors import CostModelError, WriteError
from costmodel.graph import load_graph
from costmodel.reporting.search_plot import draw_search
from costmodel.reporting.search_tables import Live
from costmodel.search import LatencyTable, exact, space

MNASNET = ("search", "mnasnet", "--device", "pixel4", "--target-ms", "50")
SMALL = ("search", "small-images", "--device", "pixel4")


@pytest.fixture(scope="module")
def small_table() -> LatencyTable:
    return LatencyTable(space("small-images"), costmodel.target("pixel4"))


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_exact_search_is_the_librarys(capsys: pytest.CaptureFixture[str], small_table: LatencyTable) -> None:
    target_s = 2e-4
    assert main([*SMALL, "--evaluator", "parameters", "--target-ms", "0.2", "--json"]) == 0
    document = said(capsys)
    assert (document["algorithm"], document["space"], document["device"], document["target_s"]) == ("exact", "small-images", "pixel4", target_s)
    front = exact.front(small_table, ["latency_s", exact.Objective("parameters", maximise=True)])
    within = front.values[front.values[:, 0] <= target_s]
    assert document["front_size"] == len(within)
    assert document["best"]["score"] == within[:, 1].max()
    latencies = [row["latency_s"] for row in document["front"]]
    assert latencies == sorted(latencies)
    assert latencies[-1] <= target_s
    graph = space("small-images").graph(list(map(int, document["best"]["candidate"].split())))
    report = costmodel.estimate(graph, device="pixel4")
    assert report.latency_s == pytest.approx(document["best"]["latency_s"], rel=1e-12)
    assert (report.macs, report.parameters) == (document["best"]["macs"], document["best"]["parameters"])
    assert report.latency_low_s == document["best"]["latency_low_s"]


def test_every_candidate_gives_the_same_front(capsys: pytest.CaptureFixture[str]) -> None:
    fronts = []
    for algorithm in ("exact", "every"):
        assert main([*SMALL, "--evaluator", "macs", "--target-ms", "0.2", "--algorithm", algorithm, "--json"]) == 0
        document = said(capsys)
        fronts.append([(row["latency_s"], row["score"]) for row in document["front"]])
        assert document["evaluated"] == document["space_size"] == space("small-images").size
    assert np.array(fronts[0]) == pytest.approx(np.array(fronts[1]), rel=1e-12)


@pytest.mark.parametrize("algorithm", ["random", "evolution", "nsga2"])
def test_other_algorithms_stay_within_the_target(algorithm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--target-ms", "0.2", "--evaluator", "macs", "--algorithm", algorithm, "--trials", "2000", "--json"]) == 0
    first = said(capsys)
    assert first["evaluated"] == 2000
    assert 0 < len(first["candidates"]) <= 2000
    assert max(row["latency_s"] for row in first["candidates"]) <= 2e-4
    assert main([*SMALL, "--target-ms", "0.2", "--evaluator", "macs", "--algorithm", algorithm, "--trials", "2000", "--json"]) == 0
    assert said(capsys) == first


def test_a_surrogate_is_called_one_everywhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*MNASNET, "--trials", "500", "-o", str(tmp_path), "--winners", "0"]) == 0
    told = capsys.readouterr()
    assert "warning: the accuracies of this search are a surrogate's" in told.err
    assert "top-1 predicted by a surrogate" in told.out
    assert "500 of 1.5e+13 candidates evaluated by nsga2" in told.out
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    assert "the accuracies of this search are a surrogate&#39;s" in page
    assert json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))["warnings"]


def test_the_folder_of_results(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert main([*SMALL, "--evaluator", "macs", "--target-ms", "0.2", "-o", str(tmp_path), "--winners", "2", "--json"]) == 0
    document = said(capsys)
    assert json.loads((tmp_path / "search.json").read_text(encoding="utf-8")) == document
    rows = list(csv.DictReader((tmp_path / "search.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["candidate"], float(row["score"])) for row in rows] == [(row["candidate"], row["score"]) for row in document["candidates"]]
    page = (tmp_path / "search.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(picture) == (tmp_path / "search.png").read_bytes()
    assert document["best"]["candidate"] in page
    best = tmp_path / "winners" / "1"
    graph = load_graph(best / "graph.json")
    assert (graph.macs, graph.parameters) == (document["best"]["macs"], document["best"]["parameters"])
    assert (tmp_path / "winners" / "2" / "network.py").is_file()
    assert costmodel.load(best / "network.pt2").macs == graph.macs
    command, here = [sys.executable, "-W", "ignore", str(best / "network.py")], {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=here)
    assert ran.stdout == f"{graph.parameters:,} parameters, output (1, 10)\n"


@pytest.mark.torch
@pytest.mark.parametrize("ending", [".onnx", ".tflite"])
def test_winners_for_other_tools(ending: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip(ending[1:])
    assert main([*SMALL, "--evaluator", "parameters", "--target-ms", "0.2", "-o", str(tmp_path), "--winners", "1", "--json"]) == 0
    document = said(capsys)
    assert costmodel.load(tmp_path / "winners" / "1" / f"network{ending}").macs == document["best"]["macs"]


def test_what_is_not_installed_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **options: Any) -> None:
        raise CostModelError("this needs a package")

    monkeypatch.setattr("costmodel.search._winners.write_file", missing)
    assert main([*SMALL, "--evaluator", "macs", "-o", str(tmp_path), "--winners", "1"]) == 0
    told = capsys.readouterr().err
    assert f"wrote {tmp_path}/winners/1: graph.json, network.py" in told
    assert f"not written: {tmp_path}/winners/1/network.tflite: this needs a package" in told


def test_winners_lost_to_a_full_disk_are_an_error_after_all_else_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(graph: Any, path: Path, **options: Any) -> None:
        raise WriteError(f"{path}: cannot be written: No space left on device; choose another place for it")

    monkeypatch.setattr("costmodel.search._winners.write_file", full)
    assert main([*SMALL, "--evaluator", "macs", "-o", str(tmp_path), "--winners", "1"]) == 1
    told = capsys.readouterr().err
    assert f"wrote {tmp_path}/winners/1: graph.json, network.py\n" in told
    assert f"error: not written: {tmp_path}/winners/1/network.tflite: cannot be written: No space left on device" in told
    assert (tmp_path / "search.json").is_file()


def test_files_of_other_hands_are_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    again = [*SMALL, "--evaluator", "macs", "-o", str(tmp_path), "--winners", "0"]
    (tmp_path / "search.csv").write_text("mine", encoding="utf-8")
    assert main(again) == 0
    assert f"warning: {tmp_path}/search.csv: is not as a search wrote it; it is kept as search.csv.old" in capsys.readouterr().err
    assert main(again) == 0  # a search's own are replaced
    assert "is kept as" not in capsys.readouterr().err
    (tmp_path / "search.json").write_text("changed", encoding="utf-8")
    (tmp_path / "search.csv").write_text("mine, too", encoding="utf-8")
    assert main(again) == 0
    kept = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir() if ".old" in path.name}
    assert kept == {"search.csv.old": "mine", "search.csv.old-2": "mine, too", "search.json.old": "changed"}
    assert (tmp_path / "search.csv").read_text(encoding="utf-8").startswith("candidate,")


def test_scores_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    searched = space("small-images")
    x = searched.sample(30, seed=0)
    lines = [f"{' '.join(map(str, row))},{number % 7}" for number, row in enumerate(x)]
    (tmp_path / "own.csv").write_text("\n".join(["candidate,score", *lines]) + "\n", encoding="utf-8")
    assert main([*SMALL, "--evaluator", str(tmp_path / "own.csv"), "--json"]) == 0
    document = said(capsys)
    assert (document["algorithm"], document["evaluated"], document["best"]["score"]) == ("every", 30, 6.0)
    assert main([*SMALL, "--evaluator", "macs", "-o", str(tmp_path / "a"), "--winners", "0", "--json"]) == 0
    assert main([*SMALL, "--evaluator", str(tmp_path / "a" / "search.csv"), "--json"]) == 0  # what a search wrote is read
    first, again = map(json.loads, capsys.readouterr().out.splitlines())
    assert again["front"] == first["front"]
    assert main([*SMALL, "--evaluator", str(tmp_path / "own.csv"), "--algorithm", "random"]) == 2
    assert "knows 30 candidates alone" in capsys.readouterr().err


OWN = """
from costmodel.search import Block, Option, Space
from costmodel.search.layers import Classifier, Conv

def space():
    options = tuple(Option((Conv(width),), (("width", width),)) for width in (8, 16, 24, 32))
    return Space(name="own", resolution=(16, 16), stem=(Conv(8, 3, 2),), blocks=(Block(name="a", options=options), Block(name="b", options=options)),
                 head=(Classifier(0, 4),))

def score(choices):
    if choices["a"]["width"] == 32:
        raise ValueError("too wide")
    return choices["a"]["width"] - choices["b"]["width"]

def nothing():
    return None

def leaving():
    raise SystemExit(7)

def stopped(choices, seen=[]):
    seen.append(choices)
    if len(seen) > 2:
        raise KeyboardInterrupt
    return 1.0
"""


def test_spaces_and_functions_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="the outer loop is Optuna's (extra search)")
    (tmp_path / "ownspace.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    arguments = ["search", "ownspace:space", "--device", "pixel4", "--evaluator", "ownspace:score", "--trials", "16", "--winners", "0", "--json"]
    assert main([*arguments, "-o", "found"]) == 0
    document = said(capsys)
    assert (document["space"], document["algorithm"], document["evaluated"], document["failed"]) == ("own", "tpe", 16, 4)
    assert (document["best"]["choices"], document["best"]["score"]) == ({"a": {"width": 24}, "b": {"width": 8}}, 16.0)
    assert document["failures"][0]["reason"] == "ValueError: too wide"
    assert main([*arguments, "-o", "found"]) == 2
    assert "found: has a search already; go on with it (--resume" in capsys.readouterr().err
    assert main([*arguments, "-o", "found", "--resume"]) == 0
    assert said(capsys) == document
    assert main([*arguments, "-o", "found", "--resume", "--seed", "1"]) == 2
    assert "is a search of seed 0" in capsys.readouterr().err
    assert main([*arguments[:5], "parameters", "-o", "found"]) == 2
    assert "found: has a search already, with stored trials, and one by exact stores none; choose another folder" in capsys.readouterr().err
    assert main([*arguments[:5], "parameters", "-o", "found", "--resume"]) == 2
    assert "a search by exact with this evaluator takes seconds and is not stored, so that there is nothing to resume" in capsys.readouterr().err
    assert main([*arguments[:1], "ownspace:nothing", *arguments[2:]]) == 2
    assert "returned NoneType, not a costmodel.search.Space" in capsys.readouterr().err
    assert main([*arguments[:1], "ownspace:leaving", *arguments[2:]]) == 2
    assert "space ownspace:leaving: cannot be made: SystemExit: 7" in capsys.readouterr().err


def test_a_journal_that_was_cut_off_is_said_to_be(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="the outer loop is Optuna's (extra search)")
    (tmp_path / "ownjournal.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    line = ["search", "ownjournal:space", "--device", "pixel4", "--evaluator", "ownjournal:score", "--trials", "4", "--winners", "0", "-o", "found", "--json"]
    assert main(line) == 0
    first = said(capsys)
    journal = tmp_path / "found" / "search.journal"
    journal.write_bytes(journal.read_bytes()[:-9])
    assert main([*line, "--resume"]) == 0
    told = capsys.readouterr()
    assert "found/search.journal: its last record was cut off in the middle" in told.err
    document = json.loads(told.out)
    (warning,) = document.pop("warnings")
    assert "found/search.journal: its last record was cut off" in warning
    assert document == {name: value for name, value in first.items() if name != "warnings"}


def test_an_interrupted_search_says_how_it_goes_on(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="the outer loop is Optuna's (extra search)")
    (tmp_path / "ownsearch.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["search", "ownsearch:space", "--device", "pixel4", "--evaluator", "ownsearch:stopped", "--trials", "9", "-o", "found"]) == 130
    told = capsys.readouterr()
    assert "the finished trials are in found: the same command with --resume goes on" in told.err
    assert not told.out


@pytest.mark.torch
def test_training_on_the_digits(capsys: pytest.CaptureFixture[str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    torch = pytest.importorskip("torch")
    for name in ("sklearn", "optuna"):
        pytest.importorskip(name, reason="extra search")
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine take a hundred times as long
    request.addfinalizer(lambda: torch.set_num_threads(before))
    options = ["--evaluator", "train", "--data", "digits", "--epochs", "1", "--target-ms", "0.2", "--winners", "0", "-o", str(tmp_path)]
    assert main([*SMALL, *options, "--trials", "2", "--algorithm", "random", "--json"]) == 0
    first = said(capsys)
    assert main([*SMALL, *options, "--trials", "3", "--algorithm", "random", "--json", "--resume"]) == 0
    document = said(capsys)
    assert (first["evaluated"], document["evaluated"]) == (2, 3)
    assert document["quantity"] == "validation accuracy (%)"
    known = {row["candidate"]: row["score"] for row in document["candidates"]}
    assert all(known[row["candidate"]] == row["score"] for row in first["candidates"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*MNASNET[:-1], "1"), 3, "no network of mnasnet takes 1.00 ms or less on pixel4: the least is 6.67 ms, of candidate 126 126 126 126 126"),
        (("search", "mnasnt", "--device", "pixel4"), 2, "unknown search space 'mnasnt'; did you mean mnasnet"),
        (("search", "mnasnet", "--device", "pixl4"), 2, "unknown device 'pixl4'; did you mean pixel4"),
        (("search", "mnasnet:", "--device", "pixel4"), 2, "space mnasnet:: cannot be imported"),
        (("search", "fbnet", "--device", "coral-usb"), 2, "coral-usb edgetpu under edgetpu: only a whole network has a latency there"),
        ((*MNASNET, "--evaluator", "accuracy"), 2, "unknown evaluator 'accuracy'"),
        ((*MNASNET, "--evaluator", "train"), 2, "train needs images: --data digits"),
        ((*MNASNET, "--data", "nowhere", "--evaluator", "train"), 2, "nowhere: there is no such folder of images"),
        ((*MNASNET, "--epochs", "2"), 2, "--epochs is for the evaluator train"),
        ((*MNASNET, "--target-ms", "nan"), 2, "--target-ms must be a finite number"),
        ((*MNASNET, "--evaluator", "nowhere.csv"), 4, "nowhere.csv: cannot be read"),
        (SMALL, 2, "small-images does not classify ImageNet's 1000 classes"),
        ((*MNASNET, "--resume"), 2, "name it with --output"),
        ((*MNASNET, "--resume", "-o", "nowhere"), 2, "nowhere: has no search to resume"),
        ((*SMALL, "--evaluator", "macs", "--trials", "9"), 2, "--trials: exact answers for all candidates and draws none at random: leave --trials out"),
        ((*SMALL, "--evaluator", "macs", "--algorithm", "every", "--seed", "0"), 2, "--seed: every answers for all candidates"),
        ((*SMALL, "--evaluator", "json:__name__"), 2, "evaluator json:__name__: is 'json', which cannot be called"),
        ((*MNASNET, "--algorithm", "exact"), 2, "exact search needs a score that is a sum over blocks: only MACs and parameters"),
        (("search", "fbnet", "--device", "rtx4090", "--evaluator", "macs", "--algorithm", "exact"), 2, "latency does not add up over blocks; take nsga2"),
        ((*SMALL, "--evaluator", "macs", "--resolution", "100000000"), 2, "are no 64-bit count"),
        ((*SMALL, "--evaluator", "macs", "--batch", "99999999999"), 2, "the batch must be at most 1000000000, not 99999999999"),
        ((*SMALL, "--evaluator", "macs", "--algorithm", "random", "--trials", "99999999"), 2, "the trials must be at most 66666666"),
        ((*MNASNET, "--algorithm", "every"), 2, "every: mnasnet has 1.5e+13 candidates, too many"),
        ((*MNASNET, "--evaluator", "synflow", "--algorithm", "evolution"), 2, "for this one take random, tpe, nsga2"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(arguments)) == code
    told = capsys.readouterr()
    assert message in told.err
    assert not told.out


def test_nothing_within_reach_of_random_draws(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = [*MNASNET[:-1], "6.8", "--evaluator", "macs", "--algorithm", "random", "--trials", "5", "-o", str(tmp_path)]
    (tmp_path / "search.png").write_bytes(b"an earlier search's")
    assert main(arguments) == 3
    told = capsys.readouterr()
    assert "no candidate within 6.80 ms has a score" in told.out
    assert "no candidate that was looked at is within 6.80 ms and has a score; take more --trials" in told.err
    assert not (tmp_path / "search.png").exists()
    assert "No candidate within the target has a score" in (tmp_path / "search.html").read_text(encoding="utf-8")
    document = json.loads((tmp_path / "search.json").read_text(encoding="utf-8"))
    with pytest.raises(CostModelError, match="there is nothing to draw"):
        draw_search(document, tmp_path / "search.png")


def test_the_live_front(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    live = Live(wanted=50, quantity="validation accuracy (%)")
    front = [(f"{number} 0", 90.0 + number, 1e-3 * (1 + number)) for number in range(8)]
    out = Console(width=80, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115  # closed with the process
    with live:
        live.update(done=1, failed=0, proposed=1, front=front)  # no terminal here: nothing is shown
    assert capsys.readouterr().err == ""
    out.print(live.picture(done=12, failed=1, proposed=20, front=front))
    out.file.close()
    text = out.export_text()
    assert "12 of 50 candidates evaluated, 1 failed, 20 proposed; the front so far has 8" in text
    assert "97.00" in text
    assert "91.00" not in text
    assert "8.00 ms" in text


def test_scores_that_no_axis_can_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("candidate,score\n0 0 0,1e308\n1 1 1,-1e308\n", encoding="utf-8")
    found = tmp_path / "found"
    assert main([*SMALL, "--evaluator", str(scores), "-o", str(found), "--winners", "0"]) == 1
    assert "search.png: there are scores beyond 1e+100" in capsys.readouterr().err
    assert {path.name for path in found.iterdir()} == {"search.csv", "search.json", "search.html", "search.lock", ".search.files"}


def test_the_least_latency_that_is_said_is_within_reach(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([*SMALL, "--evaluator", "macs", "--target-ms"], ["scale", "efficientnet-b0", "--device", "pixel4", "--budget-ms"]):
        assert main([*arguments, "0.0001"]) == 3
        (least,) = re.findall(r"(?:the least is|nearest is [^ ]+ with) ([0-9.]+) ms", capsys.readouterr().err)
        assert main([*arguments, least]) == 0
