"""`costmodel pareto`, `recommend` and `sweep` as their users meet them."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

import costmodel
from costmodel.cli import main
from costmodel.quantity import chance
from costmodel.reporting.sketch import sketch

PARETO = ("pareto", "mobilenet-v2", "mobilenet-v3-large", "resnet-18", "--device", "pixel4")
RECOMMEND = ("recommend", "--family", "mobilenet-v2", "--device", "pixel4")
SWEEP = ("sweep", "mobilenet-v2", "--device", "pixel4")


def test_pareto_prints_the_front(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PARETO) == 0
    out = capsys.readouterr().out
    row = {line.split()[0]: line for line in out.splitlines() if line.startswith(("mobilenet", "resnet"))}
    assert " front " in row["mobilenet-v3-large"]
    assert " beaten " in row["resnet-18"]
    assert "1 of 3 networks are on the front" in out


def test_pareto_json_csv_and_python_are_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*PARETO, "--device", "a100", "--batch", "4", "--json", "-o", str(tmp_path / "a.csv"), "-o", str(tmp_path / "a.json")]) == 0
    out = capsys.readouterr().out
    document = json.loads(out)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == document
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8"))))
    assert [front["device"] for front in document["fronts"]] == ["pixel4", "a100"]
    flat = [(front["device"], entry) for front in document["fronts"] for entry in front["networks"]]
    assert [(row["device"], row["network"], float(row["latency_s"])) for row in rows] == [
        (device, entry["network"], entry["latency_s"]) for device, entry in flat
    ]
    for device, entry in flat:
        assert entry["latency_s"] == costmodel.estimate(entry["network"], device=device, batch=4).latency_s


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_pareto_and_sweep_draw(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, command in enumerate((PARETO, (*SWEEP, "--resolution", "96,128"))):
        path = tmp_path / f"{number}.{ending}"
        assert main([*command, "-o", str(path)]) == 0
        assert path.stat().st_size > 5000
        assert f"wrote {path}" in capsys.readouterr().err


def test_own_accuracies_change_the_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costmodel.build("mobilenet-v3-small").save(tmp_path / "mine.json")
    own = tmp_path / "mine.csv"
    own.write_text(f"network,top1,family\n{tmp_path / 'mine.json'},79.5,ours\nresnet-18,80,\n", encoding="utf-8")
    assert main([*PARETO, str(tmp_path / "mine.json"), "--accuracy", str(own), "--json"]) == 0
    networks = {entry["network"]: entry for entry in json.loads(capsys.readouterr().out)["fronts"][0]["networks"]}
    mine = networks[str(tmp_path / "mine.json")]
    assert (mine["family"], mine["top1_evaluation"], mine["on_front"]) == ("ours", "own", True)
    assert networks["resnet-18"]["on_front"]
    assert not networks["mobilenet-v3-large"]["on_front"]


def test_recommend_prints_what_fits_and_why_others_do_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RECOMMEND, "--max-latency-ms", "15", "--dtype", "fp32"]) == 0
    out = capsys.readouterr().out
    assert "latency at most 15.0 ms on Google Pixel 4" in out
    assert "surely" in out
    assert "candidates fit, most accurate first; kept out by latency: " in out
    assert main([*RECOMMEND, "--max-latency-ms", "15", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {entry["dtype"] for entry in document["choices"]} == {"fp32", "int8"}
    assert all(entry["latency_s"] <= 15e-3 for entry in document["choices"])
    assert document["considered"] == 2 * 22 == len(document["choices"]) + sum(entry["networks"] for entry in document["excluded"])


def test_recommend_exits_with_3_where_nothing_fits_and_says_what_would(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RECOMMEND, "--max-latency-ms", "0.1", "--dtype", "fp32"]) == 3
    fastest = costmodel.estimate("mobilenet-v2-0.35@96", device="pixel4").latency_s
    assert f"the least latency is {fastest * 1e3:.3g} ms (mobilenet-v2-0.35@96 in fp32)" in capsys.readouterr().err
    assert main([*RECOMMEND, "--max-latency-ms", "0.1", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["choices"] == []


def test_where_the_other_limits_keep_everything_out_the_nearest_without_them_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "choices.csv"
    assert main([*RECOMMEND, "--max-latency-ms", "0.1", "--min-top1", "99", "--max-memory-mb", "0.001", "--dtype", "fp32", "-o", str(path)]) == 3
    err = capsys.readouterr().err
    fastest = costmodel.estimate("mobilenet-v2-0.35@96", device="pixel4").latency_s
    assert "whatever the latency, the other limits keep everything out" in err
    assert f"the least latency without them is {fastest * 1e3:.3g} ms (mobilenet-v2-0.35@96 in fp32)" in err
    assert "the highest top-1 without them is " in err
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    assert not rows
    assert {"network", "latency_s", "top1_percent", "certainty", "probability_within"} <= set(header.split(","))


def test_a_precision_that_is_asked_for_twice_is_listed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RECOMMEND, "--max-latency-ms", "15", "--dtype", "fp32", "--dtype", "fp32"]) == 0
    assert capsys.readouterr().out.count("fp32") == 1


def test_files_and_code_stand_beside_the_zoo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes and open sizes go to those that they concern; a file is told from the zoo's network whose name it bears."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "nets_beside_the_zoo.py").write_text("import torch\ndef net():\n    return torch.nn.Conv2d(3, 8, 3)\n", encoding="utf-8")
    costmodel.build("mobilenet-v2@96").save(tmp_path / "small.json")
    code = "torch:nets_beside_the_zoo:net"
    (tmp_path / "mine.csv").write_text(f"network,top1\n{code},50\nsmall.json,60\n", encoding="utf-8")
    networks = [code, "small.json", "mobilenet-v2"]
    assert main(["pareto", *networks, "--accuracy", "mine.csv", "--input", "1x3x64x64", "--padding", "same", "--device", "pixel4", "--json"]) == 0
    found = {entry["network"]: entry for entry in json.loads(capsys.readouterr().out)["fronts"][0]["networks"]}
    assert found[code]["macs"] == 62 * 62 * 8 * 27
    assert found["small.json"]["macs"] == costmodel.build("mobilenet-v2@96").macs
    assert main(["compare", *networks, "--input", "1x3x64x64", "--device", "pixel4"]) == 0
    out = capsys.readouterr().out
    assert "mobilenet-v2@96 (small.json)" in out
    assert main(["compare", *networks, "--input", "1x3x64x64", "--device", "pixel4", "--fail-on", "+5%"]) == 3
    assert "mobilenet-v2@96 (small.json) on pixel4 is +" in capsys.readouterr().err


def test_what_was_there_stays_whole_where_a_picture_or_a_table_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of writing fails, as on a disk that is full: the old file stays, and nothing beside it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for ending in ("png", "svg", "pdf", "csv", "json", "html"):
        path = tmp_path / f"front.{ending}"
        path.write_text("old", encoding="utf-8")
        assert main([*PARETO, "-o", str(path)]) == 1
        assert path.read_text(encoding="utf-8") == "old"
    path = tmp_path / "front.html"
    assert main(["compare", "lenet-5", "--device", "pixel4", "--html", str(path)]) == 1
    assert main(["analyze", "lenet-5", "--device", "pixel4", "--html", str(path)]) == 1
    assert path.read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 6


def test_without_a_latency_limit_the_fastest_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RECOMMEND, "--min-top1", "70", "--dtype", "fp32", "--json"]) == 0
    choices = json.loads(capsys.readouterr().out)["choices"]
    assert [entry["latency_s"] for entry in choices] == sorted(entry["latency_s"] for entry in choices)
    assert min(entry["top1_percent"] for entry in choices) >= 70


def test_sweep_prints_what_changes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "grid.txt"
    assert main([*SWEEP, "--batch", "1,8", "--resolution", "128:192:32", "--csv", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[3].split()[:3] == ["batch", "resolution", "latency"]
    assert "6 cells" in out
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert [(row["batch"], row["resolution"]) for row in rows] == [(batch, side) for batch in "18" for side in ("128", "160", "192")]
    assert float(rows[4]["latency_s"]) == costmodel.estimate("mobilenet-v2@160", device="pixel4", batch=8).latency_s
    assert main([*SWEEP, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["cells"]) == 1


#: Arguments, exit code, words on stderr.
REFUSED = {
    "unknown network": (("pareto", "mobilnet-v3", "-d", "pixel4"), 2, ("unknown network or family", "mobilenet-v3")),
    "unknown family": (("pareto", "--family", "efficentnet", "-d", "pixel4"), 2, ("unknown family", "efficientnet")),
    "unknown device": (("pareto", "-d", "pixle4"), 2, ("unknown device", "pixel4")),
    "unknown evaluation": (("pareto", "--evaluation", "papers", "-d", "pixel4"), 2, ("unknown evaluation", "paper")),
    "no accuracy at all": (("pareto", "--family", "enet", "-d", "pixel4"), 2, ("no network of enet has an accuracy", "--accuracy")),
    "empty front": (("pareto", "resnet-50@300", "-d", "pixel4"), 2, ("no network has both", "no published top-1", "--accuracy")),
    "a page of a grid": ((*SWEEP, "-o", "a.html"), 2, ("a.html", "the ending says what is written", ".png")),
    "another ending": ((*PARETO, "-o", "a.xlsx"), 2, ("a.xlsx", ".png, .svg, .pdf, .html, .htm, .csv, .json")),
    "no ending": ((*SWEEP, "-o", "grid"), 2, ("grid: the ending says what is written",)),
    "a picture of a choice": ((*RECOMMEND, "--max-latency-ms", "9", "-o", "a.png"), 2, (".csv, .json",)),
    "no file": ((*PARETO, "--accuracy", "absent.csv"), 4, ("absent.csv", "cannot be read")),
    "a folder that is not there": ((*PARETO, "-o", "absent/a.csv"), 1, ("absent/a.csv: cannot be written: No such file",)),
    "a picture there": ((*PARETO, "-o", "absent/a.png"), 1, ("absent/a.png: cannot be written: No such file",)),
    "a table there": ((*SWEEP, "--csv", "absent/a.txt"), 1, ("absent/a.txt: cannot be written: No such file",)),
    "no limit": (RECOMMEND, 2, ("at least one limit",)),
    "limit of zero": ((*RECOMMEND, "--max-latency-ms", "0"), 2, ("--max-latency-ms",)),
    "limit of nan": ((*RECOMMEND, "--max-latency-ms", "nan"), 2, ("finite",)),
    "accuracy of 100": ((*RECOMMEND, "--min-top1", "100"), 2, ("--min-top1",)),
    "negative memory": ((*RECOMMEND, "--max-memory-mb", "-4"), 2, ("--max-memory-mb",)),
    "precision without figures": ((*RECOMMEND, "--max-latency-ms", "9", "--dtype", "bf16"), 2, ("no figures for bf16",)),
    "no thread": ((*SWEEP, "--threads", "0"), 2, ("threads must lie between 1 and 8, not 0",)),
    "inputs of a name": ((*PARETO, "--input", "1x3x224x224"), 2, ("--input) are for torch:", "none is among mobilenet-v2, mobilenet-v3-large, resnet-18")),
    "sizes of a name": ((*RECOMMEND, "--max-latency-ms", "9", "--dim", "n=1"), 2, ("--dim) are for .onnx and .pt2 files", "none is among")),
    "candidates without accuracies": (("recommend", "enet", "-d", "pixel4", "--max-latency-ms", "9"), 2, ("enet: no published top-1", "--accuracy")),
    "a family of nothing": (("pareto", "--family", "nope", "-d", "pixel4"), 2, ("unknown family 'nope'", "`costmodel models` lists")),
    "no axis": ((*SWEEP, "--resolution", "large"), 2, ("--resolution must look like",)),
    "no picture": ((*SWEEP, "-o", "a.png"), 2, ("needs numbers along one axis",)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_have_their_exit_code_and_say_what_to_do(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, code, words = REFUSED[case]
    assert main(arguments) == code
    err = capsys.readouterr().err
    assert all(word in err for word in words), err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_table_with_other_separators_or_without_an_end_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("network;top1\nresnet-18;70\n", encoding="utf-8")
    assert main([*PARETO, "--accuracy", str(path)]) == 4
    assert "mine.csv:1: the columns network and top1 are missing" in (err := capsys.readouterr().err)
    assert "separate cells by commas, not by semicolons" in err
    assert main([*PARETO, "--accuracy", "/dev/zero"]) == 4
    assert "/dev/zero: cannot be read: is a pipe or a device" in capsys.readouterr().err


def test_a_faulty_table_of_accuracies_exits_with_4_and_names_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("network,top1\nresnet-18,70\nresnet-34,nan\n", encoding="utf-8")
    assert main([*PARETO, "--accuracy", str(path)]) == 4
    assert f"{path}:3: top1 of resnet-34" in capsys.readouterr().err


def test_compare_states_differences_of_more_than_two(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", "mobilenet-v1", "mobilenet-v2", "resnet-18", "--device", "pixel4", "--device", "a100"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(entry["model"], entry["device"], entry["against_model"]) for entry in found["differences"]] == [
        (model, device, "mobilenet-v1") for model in ("mobilenet-v2", "resnet-18") for device in ("pixel4", "a100")
    ]
    first, second = (costmodel.estimate(name, device="pixel4") for name in ("mobilenet-v1", "mobilenet-v2"))
    expected = costmodel.compare(first, second)
    assert found["difference"] is None
    assert (found["differences"][0]["ratio"], found["differences"][0]["probability_faster"]) == (expected.ratio, expected.probability_faster)
    assert main(arguments) == 0
    assert chance(expected.probability_faster) in capsys.readouterr().out


def test_what_runs_in_another_precision_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A quantised file beside the network that it was made from: each in its own precision, and a command that keeps it so."""
    monkeypatch.chdir(tmp_path)
    replace(costmodel.build("lenet-5"), precision="int8").save("int8.json")
    assert main(["compare", "lenet-5", "int8.json", "--device", "pixel4", "--html", "map.html"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "lenet-5: cpu · large=1 · tflite · fp32 · nhwc · batch 1; lenet-5 (int8.json): cpu · large=1 · tflite · int8" in out
    text = (tmp_path / "map.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"costmodel (compare lenet-5 .*?)</dd>", text)
    assert "--dtype" not in command
    assert "--runtime tflite" in command
    assert main(["compare", "lenet-5", "lenet-5", "--device", "pixel4"]) == 0
    assert "kind of kernel" not in capsys.readouterr().out


def test_one_network_on_several_devices_is_compared_with_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "mobilenet-v2", "--device", "pixel4", "--device", "a100", "--device", "t4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["differences"]
    assert [(entry["device"], entry["against_device"]) for entry in found] == [("a100", "pixel4"), ("t4", "pixel4")]


def test_profiles_of_one_name_are_told_apart_by_their_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, file in ((".", "mine.toml"), ("a", "mine.toml")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / file).write_text(Path(costmodel.device("pixel4").path).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "[").mkdir()
    (tmp_path / "[" / "x].toml").write_text((tmp_path / "mine.toml").read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["compare", "lenet-5", "--device", "[/x].toml", "--device", "mine.toml"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-2:] == ["x].toml", "mine.toml"]
    for devices in (("mine.toml", "pixel4"), ("mine.toml", "a/mine.toml")):
        assert main(["compare", "lenet-5", *(word for name in devices for word in ("--device", name)), "--html", "map.html"]) == 0
        head = capsys.readouterr().out.splitlines()[0].split()
        assert head[-2:] == list(devices)
        assert head[-1] in (tmp_path / "map.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", ["72", "80", "110"])
def test_the_roofline_in_text_keeps_its_columns_in_any_terminal_that_shows_it(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    report = costmodel.estimate("mobilenet-v2", device="pixel4")
    found = sketch(report)
    assert found is not None
    assert main(["analyze", "mobilenet-v2", "--device", "pixel4"]) == 0
    out = capsys.readouterr().out
    for name, line in (("roofline", found.ceiling), ("reached", found.reached), ("time", found.time)):
        assert f"{name:8}  {line}" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= int(columns)


def test_analyze_shows_a_roofline_and_modules_as_deep_as_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "mobilenet-v2", "--device", "pixel4", "--per", "module", "--depth", "1", "--top", "0"]) == 0
    out = capsys.readouterr().out
    assert "roofline" in out
    assert "├" not in out
    assert main(["analyze", "mobilenet-v2", "--device", "pixel4", "--per", "module", "--depth", "3", "--top", "0"]) == 0
    deep = capsys.readouterr().out
    assert "│  └─ " in deep
    assert len(deep.splitlines()) > len(out.splitlines())
