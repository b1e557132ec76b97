"""Every tool's output is told by its content, read, and refused with its line where it is cut off."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from costmodel.errors import InvalidFileError
from costmodel.measuring.logs import TOOLS, LogError, Run, parse, read_log

LOGS = Path(__file__).parent / "logs"
#: Log -> (tool, seconds of its first run, passes, what it states). `logs/README.md` says which are real.
EXPECTED = {
    "benchmark_model.log": ("TFLite benchmark_model", 39011.4e-6, 50, {"processor": "cpu", "runtime": "tflite"}),
    "benchmark_model_profiled.log": ("TFLite benchmark_model", 2743e-6, 362, {"processor": "cpu", "runtime": "tflite-xnnpack"}),
    "benchncnn.log": ("ncnn benchncnn", 16.42e-3, 8, {"processor": "cpu", "runtime": "ncnn"}),
    "onnxruntime_profile.json": ("onnxruntime", 22e-6, 3, {"processor": "cpu", "runtime": "onnxruntime"}),
    "onnxruntime_perf_test.log": ("onnxruntime", 120.431e-3, 50, {"runtime": "onnxruntime"}),
    "trtexec.log": ("TensorRT trtexec", 12.1e-3, 249, {"processor": "gpu", "runtime": "tensorrt", "dtype": "fp16", "batch": "32"}),
    "trtexec_times.json": ("TensorRT trtexec", 12.1e-3, 3, {"processor": "gpu", "runtime": "tensorrt"}),
    "trtexec_profile.json": ("TensorRT trtexec", (1.2498 + 10.8498) * 1e-3, 249, {"processor": "gpu", "runtime": "tensorrt"}),
    "torch_steps.json": ("torch.profiler", 27.311e-6, 3, {"processor": "cpu", "runtime": "torch-eager"}),
    "torch_plain.json": ("torch.profiler", 48.8428e-6, 1, {"processor": "cpu", "runtime": "torch-eager"}),
}


def text_of(name: str) -> str:
    return (LOGS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_log_is_read(name: str) -> None:
    tool_name, seconds, passes, stated = EXPECTED[name]
    _, tool, runs = read_log(text_of(name), "renamed")  # the file's name says nothing
    assert (tool.name, runs[0].passes, dict(runs[0].stated)) == (tool_name, passes, stated)
    assert runs[0].seconds == pytest.approx(seconds, rel=1e-4)


def test_every_fixture_is_expected_and_of_one_tool_alone() -> None:
    files = [path for path in LOGS.iterdir() if path.suffix in (".log", ".json")]
    assert {path.name for path in files} == {*EXPECTED, "litert_here.json"}
    for path in files:
        source = parse(path.read_text(encoding="utf-8"), path.name)
        assert len([tool for tool in TOOLS if tool.recognises(source)]) == 1, path.name


@pytest.mark.parametrize("name", [*EXPECTED, "litert_here.json"])
def test_cut_off_anywhere_it_is_refused_with_its_line_or_tells_the_same(name: str) -> None:
    whole = text_of(name)
    _, _, runs = read_log(whole, name)
    draw = random.Random(0)
    refused = 0
    for end in {draw.randrange(1, len(whole)) for _ in range(150)} | {whole.rfind("\n", 0, -2)}:
        told = told_of(whole[:end], name)
        if isinstance(told, LogError):
            refused += 1
            wrong = not str(told).startswith(f"{name}:{told.line}: ") or not 1 <= told.line <= whole[:end].count("\n") + 1
        else:
            wrong = list(told) != list(runs[: len(told)])
        assert not wrong, (end, told)
    assert refused > 10


@pytest.mark.parametrize("broken", ["", "\n"])
def test_benchncnn_cut_off_in_a_line_is_refused(broken: str) -> None:
    whole = text_of("benchncnn.log")
    ends = [position for position, letter in enumerate(whole) if letter == "\n"]
    for end in range(ends[5] + 1, len(whole)):
        told = told_of(whole[:end] + broken, "benchncnn.log")
        inside = end not in ends and whole[ends[0] : end].split("\n")[-1].strip()
        assert isinstance(told, LogError) == bool(inside), (end, told)


def test_benchmark_model_cut_off_in_its_profiles_is_refused_with_its_line() -> None:
    whole = text_of("benchmark_model_profiled.log").rstrip("\n")
    for end in range(whole.index("APPROXIMATE"), len(whole)):
        told = told_of(whole[:end], "b.log")
        assert isinstance(told, LogError), end
        assert str(told).startswith("b.log:"), told
    assert told_of(whole, "b.log") == read_log(whole, "b.log")[2]


def test_a_profile_in_a_file_of_its_own_is_not_missed() -> None:
    whole = text_of("benchmark_model_profiled.log")
    elsewhere = whole[: whole.index("INFO: Profiling Info")].replace(
        "profiling: [1]", "profiling: [1]\nINFO: CSV File to export profiling data to: [/tmp/p.csv]"
    )
    (run,) = read_log(elsewhere, "b.log")[2]
    assert run.remark == "with operator profiling"


#: What no tool writes: (log, text there, text instead, line).
ENDLESS = {
    "an integer of a thousand digits": ("torch_plain.json", '"dur": ', '"dur": ' + "1" * 1000),
    "an endless time": ("torch_plain.json", '"dur": ', '"dur": 1e999'),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_numbers_that_no_tool_writes_are_refused(name: str) -> None:
    log, before, after = ENDLESS[name]
    text = text_of(log)
    assert before in text
    with pytest.raises(LogError, match=r"damaged|spans no time"):
        read_log(text.replace(before, after), "f.json")


def told_of(text: str, name: str) -> tuple[Run, ...] | LogError:
    """The runs of a log, or how it is refused."""
    try:
        return read_log(text, name)[2]
    except LogError as error:
        return error


def test_one_line_fewer_at_the_end_of_json_is_refused_where_it_breaks_off() -> None:
    whole = text_of("onnxruntime_profile.json")
    lines = whole.rstrip("\n").split("\n")
    with pytest.raises(LogError, match="the profile is cut off or damaged here") as caught:
        read_log("\n".join(lines[:-1]), "profile")
    assert caught.value.line >= len(lines) - 1


#: Name -> (text, line, what is said).
FOREIGN = {
    "empty": ("", 1, "the log is empty"),
    "prose": ("dear diary\n", 1, "is no log of"),
    "another JSON": ('{"a": 1}', 1, "is no log of"),
    "broken JSON": ('{"a": 1,\n\n  "b" 2}', 3, "nor JSON"),
    "deep JSON": ("[" * 100_000, 1, "is no log"),
    "heading of the unknown": ("# costmodel: speed=9\n", 1, "'speed=9'"),
    "two headings": ("# costmodel: network=a\n# costmodel: network=b\n", 2, "two logs in one file"),
    "failed run": ("INFO: STARTING!\nERROR: Failed to load model\n", 2, "the run failed"),
    "two runs": (text_of("benchmark_model.log") * 2, 42, "a second run"),
    "averages of two logs": (text_of("benchmark_model.log").replace("Inference (avg): 39011.4", "Inference (avg): 99"), 20, "parts of two logs"),
    "slow operators": (text_of("benchmark_model_profiled.log").replace("     2.404", "    24.040"), 41, "more than the whole run"),
    "a delegate without a profile": (text_of("benchmark_model.log").replace("Use xnnpack: [0]", "Use nnapi: [1]"), 9, "nnapi"),
    "half a line of benchncnn": (text_of("benchncnn.log").partition("max")[0], 6, "cut off in the line of squeezenet"),
    "benchncnn without its head": ("".join(text_of("benchncnn.log").splitlines(True)[2:]), 4, "loop_count and num_threads are not stated"),
    "benchncnn with a mean above all": (text_of("benchncnn.log").replace("avg =   16.42", "avg =   99.42"), 6, "does not lie between"),
    "trtexec that failed": (text_of("trtexec.log").replace("&&&& PASSED", "&&&& FAILED"), 31, "FAILED"),
    "one pass of onnxruntime": ('[{"cat" : "Session","dur" :9,"ts" :1,"ph" : "X","name" :"model_run","args" : {}}]', 1, "too few"),
    "a trace in which nothing ran": ('{"schemaVersion": 1, "traceEvents": [{"ph": "M", "name": "process_name"}]}', 1, "no operator"),
    "a run of the future": ('{"costmodel_run": 2}', 1, "form 2"),
    "a run without passes": ('{"costmodel_run": 1,\n"passes_s": [1, -1]}', 2, "seconds above 0"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_whole_log_is_refused_with_its_line(name: str) -> None:
    text, line, said = FOREIGN[name]
    with pytest.raises(LogError) as caught:
        read_log(text, "f.log")
    assert (caught.value.line, caught.value.exit_code) == (line, InvalidFileError.exit_code)
    assert said in str(caught.value)


def test_a_gpus_step_lasts_until_its_last_kernel() -> None:
    step = '{"ph":"X","cat":"user_annotation","name":"ProfilerStep#%d","ts":%d,"dur":10}'
    operator = '{"ph":"X","cat":"cpu_op","name":"aten::mm","ts":%d,"dur":2}'
    kernel = '{"ph":"X","cat":"kernel","name":"gemm","ts":%d,"dur":20}'
    events = [step % (1, 0), operator % 1, kernel % 5, step % (2, 100), operator % 101, kernel % 105]
    _, _, (run,) = read_log('{"schemaVersion":1,"traceEvents":[' + ",".join(events) + "]}", "t.json")
    assert run.seconds == pytest.approx((5 + 20 - 1) * 1e-6)
    assert run.stated["processor"] == "gpu"


def test_what_the_first_versions_of_benchmark_model_printed_is_read() -> None:
    old = """STARTING!
Num runs: [50]
Graph: [/data/local/tmp/mobilenet-v1.tflite]
Initialized session in 1.07ms
Running benchmark for at least 1 iterations and at least 0.5 seconds
count=12 first=44730 curr=38934 min=38720 max=44730 avg=39512.3 std=1580

Running benchmark for at least 50 iterations and at least 1 seconds
count=50 first=38980 curr=38861 min=38702 max=39903 avg=39011.4 std=214

Average inference timings in us: Warmup: 39512.3, Init: 1070, no stats: 39011.4
"""
    for text in (old, old.replace("no stats", "Inference")):
        _, tool, (run,) = read_log(text, "old.log")
        assert (tool.name, run.seconds, run.passes, run.model) == (
            "TFLite benchmark_model",
            pytest.approx(39011.4e-6),
            50,
            "/data/local/tmp/mobilenet-v1.tflite",
        )
