"""Kits: what they hold, and that their scripts run every network on fixed cores and bring back logs that are read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import costmodel
from costmodel.cli import main
from costmodel.errors import UnknownNameError, UsageError
from costmodel.measuring._forms import FORMS, WAYS
from costmodel.measuring._kit import script

#: A stand-in for benchncnn: what it prints, of the network that it was given.
BENCHNCNN = """#!/bin/sh
echo "$@" >>"$CALLS"
for word in "$@"; do case $word in param=*) name=${word#param=} ;; esac; done
printf 'loop_count = %s\\nnum_threads = %s\\npowersave = 0\\ngpu_device = -1\\ncooling_down = 1\\n' "$1" "$2" >&2
printf '%20s  min = %7.2f  max = %7.2f  avg = %7.2f\\n' "$name" 40.1 40.9 40.5 >&2
"""
#: Stand-ins for adb and ssh that do everything here, and for what a phone has.
PROGRAMS = {
    "adb": '#!/bin/sh\ncase $1 in\nshell) exec sh -c "$2" ;;\npush) exec cp "$2" "$3" ;;\nesac\n',
    "ssh": '#!/bin/sh\n[ "$1" = -o ] && shift 2\nshift\nexec sh -c "$1"\n',
    "scp": '#!/bin/sh\nfrom=$4 to=${5#*:}\nexec cp "$from" "$to"\n',
    "taskset": '#!/bin/sh\necho "taskset $1" >>"$CALLS"\n[ "$1" = -p ] && exit 0\nshift\nexec "$@"\n',
    "sleep": "#!/bin/sh\nexit 0\n",
}


@pytest.fixture
def phone(tmp_path: Path) -> dict[str, str]:
    """The environment in which a phone is attached: this machine, in a folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (*PROGRAMS.items(), ("benchncnn", BENCHNCNN)):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "TOOL": str(programs / "benchncnn"),
        "FOLDER": str(tmp_path / "on phone"),
        "CALLS": str(tmp_path / "calls"),
        "CORES": "large=1:80 large=1,medium=3:f0",
        "COOL_S": "0",
        "ROUNDS": "1",
    }


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    path = tmp_path / "kit"
    costmodel.kit("ncnn", path, networks=["resnet-18", "mobilenet-v2@192"])
    return path


def run(kit: Path, phone: dict[str, str], way: str) -> subprocess.CompletedProcess[str]:
    more = ["user@board"] if way == "ssh" else []
    return subprocess.run([str(kit / f"run_{way}.sh"), "pixel4", *more], env=phone, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("way", ["adb", "ssh"])
def test_a_script_runs_every_network_on_every_set_of_cores(kit: Path, phone: dict[str, str], way: str) -> None:
    done = run(kit, phone, way)
    assert done.returncode == 0, done.stderr
    names = {f"{network}.{cores}.1.log" for network in ("resnet-18", "mobilenet-v2@192") for cores in ("large=1", "large=1,medium=3")}
    assert {path.name for path in (kit / "logs").iterdir()} == names
    found = costmodel.ingest(kit / "logs")
    assert found.problems == ()
    assert {(row.network, row.device, row.cores, row.runtime, row.dtype) for row in found.rows} == {
        (network, "pixel4", cores, "ncnn", "fp32") for network in ("resnet-18", "mobilenet-v2@192") for cores in ("large=1", "large=1,medium=3")
    }
    calls = Path(phone["CALLS"]).read_text(encoding="utf-8")
    assert "50 1 0 -1 1 param=resnet-18.param shape=[224,224,3]" in calls
    assert "50 4 0 -1 1 param=mobilenet-v2@192.param shape=[192,192,3]" in calls
    assert sorted(path.name for path in Path(phone["FOLDER"]).iterdir()) == ["benchncnn"]  # networks are removed again


def test_an_interrupted_run_is_taken_up(kit: Path, phone: dict[str, str]) -> None:
    run(kit, phone, "adb")
    gone = kit / "logs" / "resnet-18.large=1.1.log"
    kept = kit / "logs" / "mobilenet-v2@192.large=1.1.log"
    before = kept.stat().st_mtime_ns
    gone.unlink()
    Path(phone["CALLS"]).unlink()
    assert run(kit, phone, "adb").returncode == 0
    assert gone.exists()
    assert kept.stat().st_mtime_ns == before
    assert Path(phone["CALLS"]).read_text(encoding="utf-8").count("param=") == 1


def test_a_failed_run_is_said_and_run_again(kit: Path, phone: dict[str, str]) -> None:
    tool = Path(phone["TOOL"])
    sound = tool.read_text(encoding="utf-8")
    tool.write_text(sound.replace("printf '%20s", "case $name in resnet*) exit 3 ;; esac\nprintf '%20s"), encoding="utf-8")
    done = run(kit, phone, "adb")
    assert done.returncode == 1
    assert "failed: see failed/resnet-18.large=1.1.log" in done.stderr
    assert {row.network for row in costmodel.ingest(kit / "logs").rows} == {"mobilenet-v2@192"}
    assert all("no network was timed" in problem.message for problem in costmodel.ingest(kit / "failed").problems)
    tool.write_text(sound, encoding="utf-8")
    assert run(kit, phone, "adb").returncode == 0
    found = costmodel.ingest(kit / "logs")
    assert {row.network for row in found.rows} == {"mobilenet-v2@192", "resnet-18"}
    assert found.problems == ()


def test_the_tool_is_found_from_where_the_script_is_called(kit: Path, phone: dict[str, str]) -> None:
    tool = Path(phone["TOOL"])
    done = subprocess.run([str(kit / "run_adb.sh"), "pixel4"], env={**phone, "TOOL": tool.name}, cwd=tool.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wrong = subprocess.run([str(kit / "run_adb.sh"), "pixel4"], env={**phone, "TOOL": "none"}, capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "set TOOL to its path" in wrong.stderr


def test_clusters_are_told_apart_by_their_clocks(tmp_path: Path) -> None:
    text = script(FORMS["tflite"], WAYS[0], dtype="fp32", batch=1)
    clusters = text[text.index("clusters() {") : text.index("# The hottest sensor")]
    clocks = [1785600] * 4 + [2419200] * 3 + [2841600]
    for number, clock in enumerate(clocks):
        folder = tmp_path / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "cpuinfo_max_freq").write_text(f"{clock}\n", encoding="utf-8")
    program = 'remote() { sh -c "$1"; }\n' + clusters.replace("/sys/devices/system/cpu", str(tmp_path)) + "\nclusters"
    found = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "large=1:80 medium=1:40 small=1:8"


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_every_script_is_whole_and_plain_posix_shell(name: str, way: object, tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_text(script(FORMS[name], way, dtype="fp32", batch=1), encoding="utf-8")  # type: ignore[arg-type]
    assert not re.search(r"@[A-Z]+@", path.read_text(encoding="utf-8").replace("USER@HOST", ""))
    subprocess.run(["sh", "-n", str(path)], check=True)
    if shutil.which("shellcheck"):
        checked = subprocess.run(["shellcheck", "-s", "sh", str(path)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout


def test_a_kit_chooses_its_networks_by_a_relatives_constants(tmp_path: Path) -> None:
    made = costmodel.kit("ncnn", tmp_path / "kit", count=3)
    assert made.chosen_by == "pixel4 cpu tflite fp32"
    assert len(made.networks) == 3
    assert sorted(path.name for path in (tmp_path / "kit" / "models").iterdir()) == sorted(entry.file for entry in made.networks)
    document = json.loads((tmp_path / "kit" / "kit.json").read_text(encoding="utf-8"))
    assert [entry["network"] for entry in document["networks"]] == [entry.network for entry in made.networks]
    assert all(entry.network in (tmp_path / "kit" / "README.md").read_text(encoding="utf-8") for entry in made.networks)


def test_what_no_kit_can_be_is_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean tflite"):
        costmodel.kit("tflight", tmp_path / "a")
    with pytest.raises(UsageError, match="fp32, not int8"):
        costmodel.kit("ncnn", tmp_path / "a", dtype="int8")
    with pytest.raises(UsageError, match="named or counted"):
        costmodel.kit("ncnn", tmp_path / "a", networks=["resnet-18"], count=2)
    with pytest.raises(UsageError, match="leave out --networks or --like"):
        costmodel.kit("ncnn", tmp_path / "a", networks=["resnet-18"], like="nope")
    with pytest.raises(UsageError, match="batch must be at most 1000000"):
        costmodel.kit("ncnn", tmp_path / "a", networks=["resnet-18"], batch=99_999_999)
    assert main(["kit", "--runtime", "ncnn", "--networks", " ,", "-o", str(tmp_path / "a")]) == 2
    assert "--networks names none" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"in a \.param file"):
        costmodel.kit("ncnn", tmp_path / "a", networks=["resnet-18", "deit-ti"])
    with pytest.raises(UsageError, match="runs none of"):
        costmodel.kit("ncnn", tmp_path / "a", like="coral-usb")
    assert not (tmp_path / "a").exists()
    assert main(["kit", "--runtime", "ncnn", "--networks", "squeezenet-1.1", "-o", str(tmp_path / "b")]) == 0
    assert main(["kit", "--runtime", "ncnn", "-o", str(tmp_path / "b")]) == 2
    assert "not empty" in capsys.readouterr().err


_KILLED = """
import os, signal, sys
import costmodel
def killed(file):
    if file.startswith("resnet"):
        os.kill(os.getpid(), signal.SIGKILL)
costmodel.kit("ncnn", sys.argv[1], networks=["squeezenet-1.1", "resnet-18"], progress=killed)
"""


@pytest.mark.parametrize("existed", [False, True])
def test_a_kit_that_was_killed_is_written_anew(existed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "kit"
    if existed:
        place.mkdir()
    assert subprocess.run([sys.executable, "-c", _KILLED, str(place)], check=False).returncode == -9
    assert {path.name for path in (place / "models").iterdir()} == {"squeezenet-1.1.param"}
    assert main(["kit", "--runtime", "ncnn", "--networks", "resnet-18,resnet-18", "-o", str(place)]) == 0
    assert f"{place}: 1 network for ncnn" in capsys.readouterr().out
    assert {path.name for path in (place / "models").iterdir()} == {"resnet-18.param"}
    assert not [path for path in place.iterdir() if path.name.startswith(".")]
    assert main(["kit", "--runtime", "ncnn", "--networks", "resnet-18", "-o", str(place)]) == 2  # whole, it stays
    assert "is there already and not empty" in capsys.readouterr().err


def test_two_kits_do_not_mix(tmp_path: Path) -> None:
    place = tmp_path / "kit"

    def second(file: str) -> None:
        with pytest.raises(UsageError, match="another kit is being written there"):
            costmodel.kit("ncnn", place, networks=["resnet-18"])

    assert costmodel.kit("ncnn", place, networks=["resnet-18"], progress=second).networks[0].network == "resnet-18"
