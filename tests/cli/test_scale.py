"""`costmodel scale` as its users meet it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import costmodel
from costmodel.cli import main

PIXEL = ("scale", "efficientnet-b0", "--device", "pixel4")


def test_the_largest_within_a_budget_is_pythons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PIXEL, "--budget-ms", "40", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = costmodel.scale("efficientnet-b0", device="pixel4", budget_s=0.040)
    network = document["network"]
    assert (network["name"], network["depth"], network["width"], network["resolution"]) == (found.name, found.depth, found.width, found.resolution)
    assert network["latency_s"] == found.estimate.latency_s <= document["budget_s"] == 0.040
    assert network["latency_low_s"] < network["latency_s"] < network["latency_high_s"]
    assert network["macs"] == found.estimate.macs
    assert (document["kind"], document["device"], document["runtime"], document["cores"], document["batch"]) == ("largest", "pixel4", "tflite", "large=1", 1)
    assert document["candidates"] == found.candidates
    assert main(["analyze", network["name"], "--device", "pixel4", "--json", "--max-latency-ms", "40"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["latency_s"] == network["latency_s"]


def test_the_largest_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PIXEL, "--budget-ms", "40", "--max-resolution", "160", "--late", "1.2"]) == 0
    out = capsys.readouterr().out
    found = costmodel.scale("efficientnet-b0", device="pixel4", budget_s=0.040, max_resolution=160, late=1.2)
    assert f"within 40.0 ms: {found.name}" in out
    assert "images of at most 160 pixels" in out
    assert f"the most MACs of {found.candidates} networks" in out


def test_the_ladder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["scale", "efficientnet-b0", "--json", "-o", str(tmp_path / "a.csv"), "-o", str(tmp_path / "a.json")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == document
    assert [rung["released"]["name"] for rung in document["rungs"]] == [f"efficientnet-b{number}" for number in range(8)]
    assert document["device"] is None
    assert "latency_s" not in document["rungs"][0]
    assert 0.85 <= document["log2_macs_per_phi"] <= 1.0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8"))))
    assert [(row["name"], int(row["macs"])) for row in rows] == [(rung["name"], rung["macs"]) for rung in document["rungs"]]
    assert main(["scale", "efficientnet-b0"]) == 0
    out = capsys.readouterr().out
    assert f"MACs double {document['log2_macs_per_phi']:.3f} times with each phi" in out
    assert "1.8 !" in out  # B4's depth, where 1.2^3.5 = 1.9


def test_the_ladder_says_what_is_within_a_budget(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")  # narrower tables leave columns out
    arguments = [*PIXEL, "--show", "ladder", "--budget-ms", "100", "--phi", "0,1"]
    assert main([*arguments, "--json"]) == 0
    assert [rung["within"] for rung in json.loads(capsys.readouterr().out)["rungs"]] == [True, False]
    assert main(arguments) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("efficientnet-b0")]
    assert [line[-1] for line in lines[:2]] == ["yes", "no"]


@pytest.mark.parametrize("options", [(), ("--device", "pixel4", "--budget-ms", "100", "--show", "ladder")])
def test_the_ladder_is_drawn(options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ladder.png"
    assert main(["scale", "efficientnet-b0", "--phi", "0,1,2,3", *options, "-o", str(path)]) == 0
    assert path.stat().st_size > 5000
    assert f"wrote {path}" in capsys.readouterr().err


def test_one_dimension_against_all(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["scale", "mobilenet-v2", "--show", "dimensions", "-o", str(tmp_path / "a.csv")]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "mobilenet-v2-1.2-d1.4@288" in rows["compound"]
    assert "1.3G, 77.4%" in rows["compound"]
    assert "arXiv:1905.11946 Table 3" in out
    table = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8"))))
    assert [(row["direction"], int(row["macs"])) for row in table][1:3] == [("depth", 1_219_587_776), ("width", 1_137_428_224)]
    assert main(["scale", "mobilenet-v2", "--show", "dimensions", "-d", "pixel4", "--budget-ms", "30", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert all(row["network"]["latency_s"] <= 0.030 for row in document["rows"])
    assert document["phi"] is None
    assert main(["scale", "mobilenet-v2", "--show", "dimensions", "-d", "pixel4", "--budget-ms", "5"]) == 0
    assert "not within the budget" in capsys.readouterr().out  # no depth makes an image of 224 so fast


def test_the_grid_of_coefficients(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["scale", "efficientnet-b0", "--show", "grid", "--json", "-o", str(tmp_path / "a.csv")]) == 0
    document = json.loads(capsys.readouterr().out)
    triples = [(row["alpha"], row["beta"], row["gamma"]) for row in document["feasible"]]
    assert (1.2, 1.1, 1.15) in triples
    assert all(abs(row["product"] - 2) <= document["tolerance"] for row in document["feasible"])
    assert main(["scale", "efficientnet-b0", "--show", "grid", "--tolerance", "0.08"]) == 0
    assert f"of {document['considered']} triples: alpha * beta^2 * gamma^2 within 0.08 of 2" in capsys.readouterr().out
    assert main(["scale", "efficientnet-b0", "--show", "grid", "--tolerance", "1e-9", "-o", str(tmp_path / "none.csv")]) == 0
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == "alpha,beta,gamma,name\n"


def test_families_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "--families"]) == 0
    assert "mobilenet-v2: mobilenet-v2\n" in capsys.readouterr().out
    assert main(["scale", "--families", "--json"]) == 0
    assert "efficientnet-b0" in json.loads(capsys.readouterr().out)["families"]["efficientnet"]


def test_a_budget_that_nothing_meets_is_exit_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PIXEL, "--budget-ms", "0.1"]) == 3
    err = capsys.readouterr().err
    assert "error: no network scaled from efficientnet-b0 runs within 0.100 ms on pixel4 cpu: the nearest is efficientnet-b0-" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scale"], "which network is scaled? give BASE"),
        (["scale", "vgg-16"], "vgg-16 has no depth and width to scale; families that have:"),
        (["scale", "efficientnet-b9"], "unknown model 'efficientnet-b9'; did you mean"),
        (["scale", "efficientnet-b0", "--device", "pixel5"], "unknown device 'pixel5'; did you mean"),
        (["scale", "efficientnet-b0", "--budget-ms", "40"], "--budget-ms is a device's latency: name the device with --device"),
        ([*PIXEL, "--show", "largest"], "state --budget-ms, and --device"),
        ([*PIXEL, "--budget-ms", "0"], "0 is not in the range"),
        ([*PIXEL, "--budget-ms", "nan"], "--budget-ms must be a finite number"),
        (["scale", "efficientnet-b0", "--threads", "2"], "--threads: these belong to a device; name it with --device"),
        ([*PIXEL, "--budget-ms", "40", "--phi", "1"], "--phi is for --show ladder or dimensions, not largest"),
        (["scale", "efficientnet-b0", "--spread", "1"], "--spread is for --show largest, not ladder"),
        (["scale", "efficientnet-b0", "--coefficients", "1.2,1.1"], "--coefficients are three"),
        (["scale", "efficientnet-b0", "--coefficients", "1.2,x,1"], "is no list of numbers such as 1.2,1.1,1.15"),
        (["scale", "efficientnet-b0", "--coefficients", "0.5,1,1"], "alpha must lie between 1 and 4, not 0.5"),
        (["scale", "efficientnet-b0", "--show", "grid", "--coefficients", "1.2,1.1,1.15"], "--show grid looks for them itself"),
        (["scale", "efficientnet-b0", "--show", "dimensions", "--phi", "1,2"], "takes one --phi, or a budget"),
        (["scale", "efficientnet-b0", "--phi", "nan"], "--phi must be a finite number"),
        (["scale", "efficientnet-b0", "--batch", "0"], "the batch must be at least 1, not 0"),
        (["scale", "efficientnet-b0", "--late", "0.5"], "late (--late) must lie between 1 and 4"),
        (["scale", "efficientnet-b0", "-o", "a.txt"], "a.txt: the ending says what is written"),
        (["scale", "efficientnet-b0", "--show", "dimensions", "-o", "a.png"], "a.png: a picture is of --show ladder"),
    ],
)
def test_what_cannot_be_meant_is_exit_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("arguments", [("--phi", "0,1e9"), ("--phi", "0,-1e9"), ("--show", "dimensions", "--phi", "1e9")])
def test_a_phi_that_no_network_has_is_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "efficientnet-b0", *arguments]) == 2
    assert "phi (--phi) must lie between -100 and 100, not" in capsys.readouterr().err
