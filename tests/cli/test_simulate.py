"""`costmodel simulate` as its users meet it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel import estimation
from costmodel.cli import main
from costmodel.errors import UsageError
from costmodel.estimation import Estimate
from costmodel.graph import Graph
from costmodel.simulating import services
from costmodel.simulation.serving import REQUESTS


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
        (["--policy", "nope"], 2, "policies are fail, ignore, spill, evict"),
        (["--parallel", "0"], 2, "the parallel must be at least 1"),
        (["--link-mb-per-s", "nan"], 2, "--link-mb-per-s must be a finite number"),
        *((["--link-mb-per-s", rate], 2, "Invalid value for '--link-mb-per-s'") for rate in ("0", "1e-320", "1e308", "inf")),
        (["--cuda-graph"], 2, "cuda graph is of a machine of kind gpu"),
        (["--trace", "/nowhere/t.json"], 1, "/nowhere/t.json: cannot be written"),
        (["-o", "t.mp4"], 2, "t.mp4: the ending says what is written"),
        (["--batch", "4000"], 1, "too much. Policy spill would leave outside what finds no room"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "vgg-16" if "--batch" in arguments else "lenet-5", "--device", "pixel4", *arguments]) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("spill", ("illustrative: memory policy: spilled 64.0 MiB over storage at 1.16 GB/s: assumed", "64.0 MiB moved, for which steps wait 57.9 ms")),
        ("evict", ("illustrative: memory policy: evicted 64.0 MiB over storage at 1.16 GB/s: assumed", "528 MiB of model file")),
        ("ignore", ("weights included: 568 MiB more than there is, at no cost here", "the simulation is equal")),
    ],
)
def test_policies_say_what_they_did(policy: str, words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, line = tmp_path / "t.json", ["simulate", "vgg-16", "--device", "raspberry-pi-zero-2w", "--policy", policy]
    assert main([*line, "--top", "0", "--trace", str(trace)]) == 0
    out = capsys.readouterr().out
    assert all(each in " ".join(out.split()) for each in words)
    assert ("weights included" in out) == (policy == "ignore")
    about = json.loads(trace.read_text())["otherData"]
    assert about["basis"] == ("as estimated" if policy == "ignore" else "illustrative")
    assert ("illustrative: memory policy" in about) == (policy != "ignore")


def test_serving_is_pythons(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["simulate", "mobilenet-v2", "--device", "coral-usb", "--also", "efficientnet-lite0", "--per-s", "80", "--requests", "500", "--seed", "3"]
    assert main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = costmodel.serve(["mobilenet-v2", "efficientnet-lite0"], device="coral-usb", per_s=80, requests=500, seed=3)
    assert document == {"device": "coral-usb", **json.loads(json.dumps(found.to_dict()))}
    assert [row["name"] for row in document["networks"]] == ["mobilenet-v2", "efficientnet-lite0"]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "busy" in out
    assert "illustrative: a network that follows on another loads its parameters anew" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg-16", "--device", "raspberry-pi-zero-2w", "--per-s", "0.01", "--requests", "10"], "of a batch of 1, are 568 MiB too much for memory of 512 MiB"),
        (["efficientnet-b7", "--device", "v100", "--per-s", "5", "--max-batch", "300"], "activations, of a batch of 300, are 3.56 GiB too much"),
        (
            ["vgg-16", "--device", "raspberry-pi-4", "--curve", "--also", "vgg-19", "--max-batch", "150"],
            "vgg-16, vgg-19 on raspberry-pi-4: 2.10 GiB of weights",
        ),
    ],
)
def test_what_memory_does_not_hold_is_not_served(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "the policies spill and evict are for a run of one pass" in err


@pytest.mark.parametrize("mode", [["--per-s", "1", "--requests", "5"], ["--curve", "--requests", "5"], ["--detail", "array"]])
def test_each_way_to_simulate_prints_the_warnings_of_the_estimate(mode: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    expected = costmodel.estimate("vit-b-16", device="coral-usb").warnings
    assert "kernels (99% of the time) run on the CPU" in expected[0]
    line = ["simulate", "vit-b-16", "--device", "coral-usb", *mode]
    assert main(line) == 0
    assert capsys.readouterr().err.splitlines() == [f"warning: {text}" for text in expected]
    assert main([*line, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["curve"][0] if "--curve" in mode else document)["warnings"] == list(expected)


def test_a_network_served_twice_loads_nothing_after_itself(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["simulate", "mobilenet-v2", "--device", "coral-usb", "--per-s", "80", "--requests", "50", "--json"]
    assert main([*line, "--also", "mobilenet-v2", "--also", "mobilenet-v1", "--also", "mobilenet-v2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["networks"]] == ["mobilenet-v2", "mobilenet-v2#2", "mobilenet-v1", "mobilenet-v2#3"]
    assert main([*line, "--also", "mobilenet-v2"]) == 0
    assert json.loads(capsys.readouterr().out)["switched"] == 0


def test_a_network_served_several_times_is_estimated_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    estimate, batches = estimation.estimate, list[int]()

    def counted(graph: Graph, *arguments: Any, **options: Any) -> Estimate:
        batches.append(graph.batch)
        return estimate(graph, *arguments, **options)

    monkeypatch.setattr(estimation, "estimate", counted)
    found = services(["mobilenet-v2", "lenet-5", "mobilenet-v2"], max_batch=4, device="pixel4")
    assert [service.name for service in found] == ["mobilenet-v2", "lenet-5", "mobilenet-v2#2"]
    assert found[0].batch_s == found[2].batch_s != found[1].batch_s
    assert sorted(batches) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_help_says_how_many_requests_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--help"]) == 0
    assert f"Poisson requests.  [default: {REQUESTS}]" in capsys.readouterr().out
    found = costmodel.serve("lenet-5", device="v100", per_s=10)
    assert found == costmodel.serve("lenet-5", device="v100", per_s=10, requests=REQUESTS, seed=0)
    assert found.total.requests == REQUESTS


def test_a_curve_rises(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "mobilenet-v2", "--device", "coral-usb", "--curve", "--requests", "4000", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["curve"]
    assert [row["total"]["mean_s"] for row in rows] == sorted(row["total"]["mean_s"] for row in rows)
    best = 1 / costmodel.estimate("mobilenet-v2", device="coral-usb").latency_s
    assert all(row["completed_per_s"] <= best for row in rows)
    assert main(["simulate", "mobilenet-v2", "--device", "coral-usb", "--curve", "--requests", "100"]) == 0
    assert "throughput against latency" in capsys.readouterr().out


def test_arrivals_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "arrivals.csv"
    path.write_text("0\n0.001\n1\n")
    assert main(["simulate", "mobilenet-v2", "--device", "coral-usb", "--arrivals", str(path)]) == 0
    path.write_text("1\n0.5\n")
    assert main(["simulate", "mobilenet-v2", "--device", "coral-usb", "--arrivals", str(path)]) == 4
    assert f"{path}:2: 0.5 s is earlier than the line before" in capsys.readouterr().err
    path.write_text("0\n1e308\n")
    assert main(["simulate", "mobilenet-v2", "--device", "coral-usb", "--arrivals", str(path)]) == 4
    assert f"{path}:2: a request arrives 0 s or later after the beginning, up to 1e+12 s, not at 1e+308 s" in capsys.readouterr().err


def test_the_offered_rate_is_by_the_distances_between_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "arrivals.csv"
    line = ["simulate", "mobilenet-v2", "--device", "coral-usb", "--arrivals", str(path)]
    for text, rate, words in (("0\n1\n2\n", 1.0, "1.00 requests/s offered"), ("7\n", None, "offered all at once"), ("7\n7\n", None, "offered all at once")):
        path.write_text(text)
        assert main([*line, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["offered_per_s"] == rate
        assert main(line) == 0
        assert words in capsys.readouterr().out
    path.write_text("0\n1e11\n")
    assert main(line) == 0
    assert "1.00e-11 requests/s offered (by their distances), 2.00e-11 completed" in capsys.readouterr().out


def test_a_curve_of_several_networks_stays_below_what_is_served_with_switches(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["simulate", "mobilenet-v2", "--device", "coral-usb", "--also", "resnet-50", "--curve", "--requests", "2000"]
    assert main([*line, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["curve"]
    assert rows[-1]["switched"] > 0
    assert all(row["completed_per_s"] == pytest.approx(row["offered_per_s"], rel=0.05) for row in rows)
    assert main(line) == 0
    assert "illustrative: a network that follows on another loads its parameters anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: costmodel.serve([], device="coral-usb", per_s=1), "there is no network to serve"),
        (lambda: costmodel.serve(None, device="coral-usb", per_s=1), "models takes a list of networks"),  # type: ignore[arg-type]  # that is the point
        *(
            (lambda weights=weights: costmodel.serve(["lenet-5", "alexnet"], device="v100", per_s=1, weights=weights), message)
            for weights, message in (
                ((1,), "lenet-5, alexnet: networks are drawn by a weight each, 2 and not 1"),
                ((1, 1, 1), "2 and not 3"),
                ((), "2 and not 0"),
                ((1, -1), "finite weights above 0"),
                ((1, "a"), "finite weights above 0"),
                (3, "networks are drawn by a list of weights, one each, not 3"),
            )
        ),
        (lambda: costmodel.serve("lenet-5", device="v100", per_s="a"), "requests a second are a number, not 'a'"),  # type: ignore[arg-type]  # that is the point
        (lambda: costmodel.serve("lenet-5", device="v100", per_s=1, batch=2), "batch is of one pass"),
        (lambda: costmodel.serve("lenet-5", device="v100", per_s=1, policy="spill"), "not 'spill'; policies of memory"),  # type: ignore[arg-type]  # that is the point
        (lambda: costmodel.serve("lenet-5", device="v100", arrivals="f", weights=(1,)), "requests, weights and seed are of requests drawn at random"),
        (lambda: costmodel.serve("lenet-5", device="v100", arrivals="f", seed=0), "requests, weights and seed are of requests drawn at random"),
        (lambda: costmodel.simulate("lenet-5", device="v100", policy=None), "policy of memory is a name, fail, ignore, spill, evict, not None"),
        (lambda: costmodel.simulate("lenet-5", device="coral-usb", co_compiled="alexnet"), r"co_compiled takes a list of networks, such as \['alexnet'\]"),
        (lambda: costmodel.simulate("lenet-5", device="coral-usb", co_compiled=None), "co_compiled takes a list of networks"),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_what_python_cannot_mean_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()


def test_the_array_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["simulate", "resnet-18", "--device", "coral-usb", "--detail", "array"]
    totals = {}
    for dataflow in ("weight-stationary", "output-stationary", "input-stationary"):
        assert main([*line, "--dataflow", dataflow, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        totals[dataflow] = document["totals"]["cycles"]
        assert totals[dataflow] == sum(layer["cycles"] for layer in document["layers"])
        assert sum(layer["macs"] for layer in document["layers"]) == costmodel.build("resnet-18").macs
        assert document["illustrative"] is True
    assert len(set(totals.values())) == 3
    assert main([*line, "--top", "3"]) == 0
    assert f"{totals['weight-stationary']:,} cycles" in capsys.readouterr().out
    assert main(["simulate", "resnet-18", "--device", "tpu-v3", "--detail", "array", "--array", "128x128", "--sram-kib", "4096,4096,4096"]) == 0
    assert "array of 128x128" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--per-s", "10", "--parallel", "2"], "--parallel: no part of serving"),
        (["--per-s", "10", "--detail", "array"], "--detail array is of one pass"),
        (["--detail", "array", "--trace", "t.json"], "--trace: no part of --detail array"),
        (["--max-batch", "4"], "--max-batch: no part of a run, but of serving (--per-s, --arrivals or --curve)"),
        (["--per-s", "10", "--array", "4x4", "--parallel", "2"], "--array: no part of serving, but of --detail array; --parallel: no part of serving"),
        (["--per-s", "10", "--seed", "-1"], "Invalid value for '--seed': -1"),
        (["--per-s", "1e-300"], "10000 requests at 1e-300 a second take longer than 1e+12 s"),
        (["--per-s", "1e308"], "1e+308 requests a second are less than a picosecond apart"),
        (["--per-s", "10", "--max-wait-ms", "1e308"], "0 s or longer, up to 1e+12 s"),
        (["--dataflow", "output-stationary"], "--dataflow: no part of a run"),
        (["--detail", "array", "--array", "64"], "'64' is nothing such as 128x128"),
        (["--detail", "array", "--sram-kib", "1,1,1"], "coral-usb edgetpu: activations are on chip and the parameter cache is the profile's"),
        (["--per-s", "0"], "0 requests a second never arrive"),
        (["--per-s", "10", "--max-wait-ms", "-1"], "0 s or longer"),
        (["--per-s", "10", "--arrivals", "f"], "give either requests a second or a file"),
        (["--arrivals", "f", "--requests", "5"], "requests, weights and seed are of requests drawn at random"),
        (["--arrivals", "f", "--requests", "10000"], "requests, weights and seed are of requests drawn at random"),
        (["--arrivals", "f", "--seed", "0"], "requests, weights and seed are of requests drawn at random"),
        (["--per-s", "10", "--max-batch", "2"], "takes batches of at most 1"),
        (["--curve", "--per-s", "10"], "--curve has loads of its own"),
        (["--per-s", "10", "--batch", "2"], "--batch is of one pass"),
    ],
)
def test_options_that_do_not_belong_together(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "lenet-5", "--device", "coral-usb", *arguments]) == 2
    assert message in capsys.readouterr().err
