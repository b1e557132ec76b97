"""A kit run on this machine, its logs, a profile fitted to them and its scores: the whole way, with tiny networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tflite", reason="the extra `tflite` writes the kit's networks")
pytest.importorskip("ai_edge_litert", reason="the extra `litert` runs them")
pytest.importorskip("torch", reason="the extra `torch` draws their weights")

import costmodel
from costmodel.cli import main
from costmodel.errors import InvalidFileError, UsageError
from costmodel.measuring import here

pytestmark = pytest.mark.torch

NETWORKS = ["mobilenet-v1-0.25@64", "mobilenet-v3-small@64", "squeezenet-1.1@64", "resnet-18@64", "shufflenet-v2-0.5@64"]
#: A machine that nobody measured: hardware alone, generous, so that no time here is faster than it could be.
PROFILE = """schema = 1
name = "bench"
title = "the machine that runs the tests"
category = "server-cpu"
chip = "unknown"
year = 2024
version = "1"
default_processor = "cpu"

[sources]
guess = "assumed: wide vector units and a high clock"

[processors.cpu]
type = "cpu"
default_runtime = "tflite"
default_dtype = "fp32"
default_cores = "large=1"

[[processors.cpu.clusters]]
kind = "assumed"
source = "guess"
name = "large"
core = "unknown-core"
cores = 2
clock_ghz = 4.0
flops_per_cycle = { fp32 = 64, int8 = 256 }

[processors.cpu.memory]
bandwidth_gb_per_s = { value = 40, kind = "assumed", source = "guess" }
capacity_gib = { value = 8, kind = "assumed", source = "guess" }
"""


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here") / "kit"
    costmodel.kit("tflite", folder, networks=NETWORKS)
    here.run_kit(folder, "bench", passes=5, attempts=1, allow_contention=True)
    return folder


def test_from_the_kit_to_a_fitted_profile_and_its_scores(kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, hardware, fitted = (str(tmp_path / name) for name in ("rows.csv", "bench.toml", "fitted.toml"))
    Path(hardware).write_text(PROFILE, encoding="utf-8")
    assert main(["ingest", str(kit / "logs"), "-o", rows]) == 0
    assert main(["calibrate", hardware, "--like", "pixel4", "--measurements", rows, "-o", fitted]) == 0
    assert main(["validate", fitted, "--measurements", rows, "--json"]) == 0
    out = capsys.readouterr().out
    (target,) = json.loads(out[out.index('{"schema_version"') :])["targets"]
    assert (target["runtime"], target["cores"], target["splits"]["profile"]["rows"]) == ("tflite", "large=1", len(NETWORKS))
    assert main(["calibrate", hardware, "--like", "pixel4", "--measurements", rows, "--suggest", "2"]) == 0
    assert f"(now, {len(NETWORKS)} rows)" in capsys.readouterr().out


def test_logs_say_what_was_measured(kit: Path) -> None:
    found = costmodel.ingest(kit / "logs")
    assert [row.network for row in found.rows] == sorted(NETWORKS)
    assert {(row.device, row.runtime, row.dtype, row.cores, row.batch) for row in found.rows} == {("bench", "tflite", "fp32", "large=1", 1)}
    assert all("LiteRT" in row.source and row.date for row in found.rows)


def test_what_has_a_log_is_not_run_again(kit: Path) -> None:
    (kit / "logs" / f"{NETWORKS[0]}.tflite.large=1.json").unlink()
    told: list[str] = []
    written = here.run_kit(kit, "bench", passes=3, attempts=1, allow_contention=True, told=told.append)
    assert [path.name for path in written] == [f"{NETWORKS[0]}.tflite.large=1.json"]
    assert told[0].startswith(f"{NETWORKS[0]}: ")


def test_the_kits_own_script_takes_arguments(kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = tmp_path / "logs"
    assert here.main(kit, ["bench", "--logs", str(logs), "--passes", "3", "--xnnpack", "--allow-contention"]) == 0
    assert {row.runtime for row in costmodel.ingest(logs).rows} == {"tflite-xnnpack"}
    assert here.main(kit, ["bench", "--cpus", "x"]) == 2
    assert here.main(tmp_path, ["bench"]) == 4
    assert "kit.json: cannot be read" in capsys.readouterr().err


def test_disturbed_runs_are_refused(kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "MAX_SPREAD", -1.0)
    with pytest.raises(here.ContendedError, match="the machine is busy"):
        here.run_kit(kit, "bench", logs=tmp_path / "logs", passes=3, attempts=2)
    assert list((tmp_path / "logs").iterdir()) == []


def test_what_cannot_be_run_here_is_said(kit: Path, tmp_path: Path) -> None:
    costmodel.kit("ncnn", tmp_path / "ncnn", networks=["squeezenet-1.1@64"])
    with pytest.raises(UsageError, match="is a kit for ncnn"):
        here.run_kit(tmp_path / "ncnn", "bench")
    with pytest.raises(UsageError, match="cores must look like"):
        here.run_kit(kit, "bench", cores="all")
    with pytest.raises(UsageError, match="at least 3 passes"):
        here.run_kit(kit, "bench", passes=1)
    with pytest.raises(UsageError, match="cannot be had"):
        here.run_kit(kit, "bench", logs=tmp_path / "logs", cpus=[99_999])
    (tmp_path / "kit.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InvalidFileError, match="no kit's manifest"):
        here.run_kit(tmp_path, "bench")
