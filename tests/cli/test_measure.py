"""``costmodel measure``: its document, its table, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel.cli import main
from costmodel.reference import _measure

pytestmark = pytest.mark.torch

MEASURE = ("measure", "resnet-18@32", "--repeats", "3", "--allow-contention")


def test_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEASURE, "--json", "--batch", "2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {
        *("schema_version", "model", "input", "backend", "threads", "batch", "measured", "predicted", "error", "kinds", "operators", "costmodel_version"),
    }
    assert document["input"] == [[2, 3, 32, 32]]
    assert document["measured"].keys() == {"latency_s", "spread", "cpu_share", "repeats", "contended"}
    assert document["measured"]["repeats"] == 3
    assert document["predicted"]["device"] == "this-machine"
    assert document["error"] == pytest.approx(document["predicted"]["latency_s"] / document["measured"]["latency_s"] - 1)
    assert [entry["name"] for entry in document["operators"]] == [node.name for node in costmodel.build("resnet-18@32").nodes]
    measured = sum(row["measured_s"] for row in document["kinds"])
    assert measured == pytest.approx(sum(entry["seconds"] for entry in document["operators"]))
    assert sum(row["predicted_s"] for row in document["kinds"]) > 0


def test_the_table_has_a_row_for_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MEASURE, "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("resnet-18@32 here, torch eager, fp32, 1 thread, batch 1")
    assert all(word in out for word in ("kind of work", "measured", "predicted", "batch-normalisation", "pointwise-convolution", "linear", "add up to"))


#: Options, exit code, words on stderr.
REFUSED = {
    "no threads": (("--threads", "0"), 2, ("threads", "not 0")),
    "too few repeats": (("--repeats", "2"), 2, ("3 repeats", "and 2")),
    "unknown backend": (("--backend", "tensorflow"), 2, ("tensorflow", "torch")),
    "no cpu": (("--device", "a100"), 2, ("a100 has no cpu", "--device")),
    "unknown device": (("--device", "this-machin"), 2, ("unknown device", "did you mean this-machine")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_what_would_do(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    options, code, words = REFUSED[case]
    assert main([*MEASURE, *options]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert all(word in err for word in words), err
    assert "Traceback" not in err


def test_without_torch_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    find = importlib.util.find_spec

    def without_torch(name: str, package: str | None = None) -> Any:
        return None if name == "torch" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_torch)
    assert main(MEASURE) == 2
    assert "pip install 'costmodel[torch]'" in capsys.readouterr().err


def test_a_busy_machine_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_measure, "MIN_CPU_SHARE", 2.0)  # which no process has
    assert main(["measure", "lenet-5", "--repeats", "3"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: the machine is busy: the process had the processor for ")
    assert "stop other programs and run this again" in err


def test_a_busy_machine_is_marked_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_measure, "MIN_CPU_SHARE", 2.0)
    assert main(["measure", "lenet-5", "--repeats", "3", "--allow-contention", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "200% is needed" in json.loads(out)["measured"]["contended"]
    assert err.startswith("warning: the machine was busy: ")


def test_a_saved_graph_is_measured_at_its_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.json"
    costmodel.build("lenet-5", batch=3).save(path)
    assert main(["measure", str(path), "--repeats", "3", "--allow-contention", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["batch"] == 3


LIBRARY = {"onnxruntime": "onnxruntime", "litert": "ai_edge_litert"}


@pytest.mark.parametrize("backend", LIBRARY)
def test_other_backends_execute_the_exported_file(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(LIBRARY[backend], reason="needs the extra that executes it")
    assert main([*MEASURE, "--backend", backend, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["backend"] == backend
    assert 0 < document["measured"]["latency_s"] < 1
    kinds = {row["kind"]: row for row in document["kinds"]}
    assert kinds["convolution"]["kernels"] == 17
    if backend == "onnxruntime":  # whose profile names every operator that its optimiser left
        assert len(document["operators"]) >= 23
        assert {entry["kind"] for entry in document["operators"]} >= {"convolution", "pointwise-convolution", "pooling", "linear", "reduction"}
        assert all(kinds[kind]["measured_s"] > 0 for kind in ("convolution", "pointwise-convolution", "linear"))
    else:
        assert document["operators"] == []
    assert main([*MEASURE, "--backend", backend]) == 0
    assert {"onnxruntime": "here, ONNX Runtime", "litert": "here, LiteRT with XNNPACK"}[backend] in capsys.readouterr().out


def test_a_backend_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main([*MEASURE, "--backend", "onnxruntime"]) == 2
    assert "pip install 'costmodel[ort,torch]'" in capsys.readouterr().err
