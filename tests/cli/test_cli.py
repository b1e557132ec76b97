"""The command line as its users meet it: output, exit codes, bad input, pipes, signals, colour, width."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel.cli import main
from costmodel.devices import profile_folder
from costmodel.quantity import duration
from costmodel.reporting.comparison import compare
from costmodel.reporting.comparison_table import print_comparison

ANALYZE = ("analyze", "mobilenet-v2", "--device", "pixel4")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    cleaned = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")}
    return subprocess.run([sys.executable, "-m", "costmodel", *arguments], capture_output=True, text=True, timeout=120, env=cleaned | environment, check=False)


def test_analyze_prints_the_headline_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "efficientnet-b5", "--device", "pixel4"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("efficientnet-b5 on Google Pixel 4")
    assert lines[3].startswith("latency")
    assert "10,266,384,752" in out
    assert "30,389,784" in out
    assert "MAC" in out
    assert "FLOP" in out
    assert err.startswith("warning: ")


def test_json_is_exactly_one_document_and_the_same_as_pythons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ANALYZE, "--json", "--threads", "2"]) == 0
    out, _ = capsys.readouterr()
    assert json.loads(out) == json.loads(costmodel.estimate("mobilenet-v2", device="pixel4", threads=2).to_json())
    assert out.count("\n") == 1


@pytest.mark.parametrize("per", ["kernel", "operator", "module"])
def test_per_changes_the_rows(per: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ANALYZE, "--per", per, "--top", "3"]) == 0
    assert per in capsys.readouterr().out


#: Arguments, exit code, words on stderr.
REFUSED = {
    "unknown model": (("analyze", "efficentnet-b5", "--device", "pixel4"), 2, ("unknown model", "efficientnet-b5")),
    "unknown device": (("analyze", "resnet-50", "--device", "pixle4"), 2, ("unknown device", "pixel4")),
    "no device": (("analyze", "resnet-50"), 2, ("--device",)),
    "unknown option": ((*ANALYZE, "--devcie", "x"), 2, ("No such option", "--device")),
    "unknown command": (("analyse", "resnet-50"), 2, ("did you mean 'analyze'",)),
    "resolution 0": (("analyze", "resnet-50@0", "--device", "pixel4"), 2, ("between 1 and",)),
    "resolution not a number": (("analyze", "resnet-50@big", "--device", "pixel4"), 2, ("288x512",)),
    "too small": (("analyze", "vit-b-16@8", "--device", "pixel4"), 2, ("patches of 16x16", "8x8")),
    "no width there": (("analyze", "resnet-50-0.5", "--device", "pixel4"), 2, ("takes no width multiplier",)),
    "negative batch": ((*ANALYZE, "--batch", "-1"), 2, ("at least 1", "-1")),
    "batch not a number": ((*ANALYZE, "--batch", "x"), 2, ("not a valid integer",)),
    "threads 0": ((*ANALYZE, "--threads", "0"), 2, ("between 1 and 8",)),
    "dtype without figures": ((*ANALYZE, "--dtype", "bf16"), 2, ("no figures for bf16",)),
    "unknown dtype": ((*ANALYZE, "--dtype", "fp8"), 2, ("fp8",)),
    "budget exceeded": ((*ANALYZE, "--max-latency-ms", "1"), 3, ("exceeds --max-latency-ms 1",)),
    "budget of zero": ((*ANALYZE, "--max-latency-ms", "0"), 2, ("0",)),
    "missing profile": (("analyze", "resnet-50", "--device", "absent.toml"), 4, ("absent.toml", "cannot be read")),
    "missing graph": (("analyze", "absent.json", "--device", "pixel4"), 4, ("absent.json", "cannot be read")),
    "slower than allowed": (("compare", "mobilenet-v3-large", "mobilenet-v1", "--device", "pixel4", "--fail-on", "+5%"), 3, ("over +5.0%",)),
    "fail-on not a share": (("compare", "resnet-18", "resnet-34", "--device", "pixel4", "--fail-on", "much"), 2, ("+5%",)),
    "unknown family": (("models", "--family", "resnets"), 2, ("unknown family", "resnet")),
    "filter of the list before show": (("models", "--family", "resnet", "show", "resnet-18"), 2, ("--family: before 'show'", "leave --family out")),
    "json of the list before show": (("models", "--since", "2020", "--json", "show", "resnet-18"), 2, ("leave --since out, write --json after 'show'",)),
    "json of the profiles before show": (("devices", "--json", "show", "pixel4"), 2, ("write --json after 'show'",)),
    "no show": (("models", "--json", "resnet-18"), 2, ("did you mean 'models show resnet-18'",)),
    "unknown device to show": (("devices", "show", "pixel5"), 2, ("unknown device",)),
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


def test_a_faulty_profile_and_an_unreadable_one_exit_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (profile_folder() / "pixel4.toml").read_text(encoding="utf-8").replace("clock_ghz = { value = 2.84", "clock_gzh = { value = 2.84")
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    assert main(["analyze", "resnet-18", "--device", str(path)]) == 4
    err = capsys.readouterr().err
    assert f"{path}:{text[: text.index('clock_gzh')].count(chr(10)) + 1}: " in err
    assert "did you mean 'clock_ghz'" in err
    path.write_bytes(b"\xff\xfe\x00")
    assert main(["analyze", "resnet-18", "--device", str(path)]) == 4


def test_a_saved_graph_is_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.json"
    costmodel.build("mobilenet-v2").save(path)
    assert main(["analyze", str(path), "--device", "pixel4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["macs"] == 300_774_272
    path.write_text("{}", encoding="utf-8")
    assert main(["analyze", str(path), "--device", "pixel4"]) == 4


def test_a_huge_batch_is_counted_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ANALYZE, "--batch", str(10**9), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["macs"] == 300_774_272 * 10**9


def test_compare_states_the_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "mobilenet-v1", "mobilenet-v2", "--device", "pixel4", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first, second = (entry["totals"]["latency_s"] for entry in document["estimates"])
    assert document["difference"]["ratio"] == second / first
    assert 0 <= document["difference"]["probability_faster"] <= 1
    assert main(["compare", "mobilenet-v1", "mobilenet-v2", "resnet-50", "--device", "pixel4", "--device", "a100"]) == 0
    table = capsys.readouterr().out
    assert all(word in table for word in ("mobilenet-v1", "resnet-50", "pixel4", "a100"))
    assert main(["compare", "mobilenet-v1", "mobilenet-v2", "--device", "pixel4", "--fail-on", "+5%"]) == 0


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["models"], ["efficientnet-b5", "vit-b-16"]),
        (["models", "--family", "resnet"], ["resnet-50-v1"]),
        (["models", "--like", "1801.04381"], ["ssdlite-mobilenet-v2", "22.1 mAP", "deeplabv3-mobilenet-v2"]),
        (["models", "--min-top1", "85", "--since", "2021"], ["efficientnetv2-m"]),
        (["models", "show", "mobilenet-v2-1.4"], ["6,108,776", "582,195,824", "stages.0"]),
        (["devices"], ["pixel4", "a100", "edgetpu"]),
        (["devices", "show", "pixel4"], ["clock_ghz", "datasheet", "[1]"]),
    ):
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert all(word in out for word in words)
        assert main([*arguments, "--json"]) == 0
        json.loads(capsys.readouterr().out)


def test_a_networks_images_that_must_exist_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """MobileNetV2's memory table (arXiv 1801.04381, Table 3): 32 channels in the row of the 56x56 that a block reads."""
    assert main(["models", "show", "mobilenet-v2"]) == 0
    assert ["56x56", "24", "151", "kB", "32", "201", "kB"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert main(["models", "show", "mobilenet-v2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["materialised"]
    assert {"resolution": [56, 56], "channels": 32, "fp16_bytes": 200_704} in found["input"]
    assert {"resolution": [56, 56], "channels": 24, "fp16_bytes": 150_528} in found["output"]


@pytest.mark.parametrize("options", [["--classes", "10"], ["--features-only"], ["--padding", "symmetric"]])
def test_a_changed_network_says_so_and_has_no_published_accuracy(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = costmodel.estimate("resnet-18", device="pixel4", **_keywords(options)).changed
    assert main(["models", "show", "resnet-18", *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["changed"], document["origin"]["accuracies"]) == (words, [])
    assert main(["models", "show", "resnet-18", *options]) == 0
    assert capsys.readouterr().out.startswith(f"resnet-18 ({words})  input 1x3x224x224")


def _keywords(options: list[str]) -> dict[str, Any]:
    name, *value = options
    return {name[2:].replace("-", "_"): (int(value[0]) if value[0].isdigit() else value[0]) if value else True}


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert costmodel.__version__ in capsys.readouterr().out
    for arguments in (["--help"], ["analyze", "--help"], ["compare", "-h"], ["devices", "show", "--help"]):
        assert main(arguments) == 0
        assert "Usage" in capsys.readouterr().out


def test_a_closed_pipe_is_silent() -> None:
    """`costmodel ... | head -1`."""
    with subprocess.Popen([sys.executable, "-m", "costmodel", "devices", "show", "pixel4"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_an_interrupt_exits_with_130() -> None:
    code = (
        "import costmodel.estimation as e, time\n"
        "e.estimate = lambda *a, **k: (print('ready', flush=True), time.sleep(60))\n"
        "import sys\n"
        "from costmodel.cli import main\n"
        "sys.exit(main(['analyze', 'resnet-18', '--device', 'pixel4']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.split() == ["interrupted"]


def test_colour_only_where_it_is_wanted() -> None:
    escape = "\x1b["
    assert escape not in run(*ANALYZE).stdout
    assert escape in run(*ANALYZE, FORCE_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[1;32m" not in run(*ANALYZE, FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1").stdout
    assert "\x1b[1;32m" not in run("--no-color", *ANALYZE, FORCE_COLOR="1", TERM="xterm-256color").stdout


@pytest.mark.parametrize("columns", [1, 5, 19])
def test_a_terminal_narrower_than_any_table_gets_the_narrowest(columns: int) -> None:
    narrow, least = (run(*ANALYZE, COLUMNS=str(width)) for width in (columns, 20))
    assert (narrow.returncode, narrow.stdout) == (0, least.stdout)
    assert duration(costmodel.estimate("mobilenet-v2", device="pixel4").latency_s) in narrow.stdout


def test_a_narrow_comparison_keeps_its_latencies() -> None:
    wide, narrow = (run("compare", "resnet-18", "resnet-34", "--device", "pixel4", COLUMNS=str(columns)).stdout for columns in (100, 35))
    latency = costmodel.estimate("resnet-34", device="pixel4").latency_s
    for table in (wide, narrow):
        assert duration(latency) in table
    assert ("parameters" in wide, "parameters" in narrow) == (True, False)


def test_the_legend_states_the_level_of_the_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [costmodel.estimate(name, device="pixel4") for name in ("resnet-18", "resnet-34")]
    other = [dataclasses.replace(report, interval=dataclasses.replace(report.interval, level=0.5)) for report in reports]
    print_comparison(compare([[report] for report in other]))
    assert "its 50% interval" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_no_line_exceeds_a_narrow_terminal(columns: int) -> None:
    result = run(*ANALYZE, COLUMNS=str(columns))
    assert result.returncode == 0
    assert max(len(line.rstrip()) for line in result.stdout.splitlines()) <= columns


def test_no_traceback_without_debug_and_one_with_it() -> None:
    assert "Traceback" not in run("analyze", "nonesuch", "--device", "pixel4").stderr
    assert "Traceback" in run("--debug", "analyze", "nonesuch", "--device", "pixel4").stderr


def test_completion_offers_models_and_devices() -> None:
    script = run("analyze", "effic", _COSTMODEL_COMPLETE="bash_complete", COMP_WORDS="costmodel analyze efficientnet-b", COMP_CWORD="2")
    assert "efficientnet-b5" in script.stdout
    devices = run(_COSTMODEL_COMPLETE="bash_complete", COMP_WORDS="costmodel analyze resnet-18 --device pix", COMP_CWORD="4")
    assert "pixel4" in devices.stdout


@pytest.mark.torch
@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("sys.exit(0)", 2, "its code ends the process: sys.exit(0)"),
        ("sys.exit(3)", 2, "its code ends the process: sys.exit(3)"),
        ("raise Own('gone')", 2, "its code raises Own: gone"),
        ("raise ValueError('a\\x1b]0;b\\x07')", 1, "a?]0;b?"),
    ],
)
def test_code_of_others_does_not_end_the_process(body: str, code: int, message: str, tmp_path: Path) -> None:
    (tmp_path / "others.py").write_text(
        f"import sys\nfrom torch import nn\nclass Own(BaseException): pass\nclass Net(nn.Module):\n    def forward(self, x):\n        {body}\n",
        encoding="utf-8",
    )
    found = subprocess.run(
        [sys.executable, "-m", "costmodel", "analyze", "torch:others:Net", "--input", "1x3", "--device", "pixel4"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(costmodel.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == code, found
    assert message in found.stderr
    assert "Traceback" not in found.stderr
    assert "\x1b]" not in found.stderr
