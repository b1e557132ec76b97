"""Profiles operator by operator, and kernels beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import costmodel
from costmodel import measuring, simulating
from costmodel.cli import main
from costmodel.errors import InvalidFileError
from costmodel.lowering import lower
from costmodel.measuring import MeasuredOperator, matched, one_pass, read_operators

LOGS = Path(__file__).parent / "logs"


def test_operators_of_torchs_trace() -> None:
    for log in ("torch_steps.json", "torch_plain.json"):
        tool, operators = read_operators(LOGS / log)
        assert tool == "torch.profiler"
        assert [(operator.name, operator.group) for operator in operators] == [
            ("aten::conv2d", "convolution"),
            ("aten::relu", "elementwise"),
            ("aten::linear", "product"),
        ], "views and what operators call are left out"
        assert all(operator.seconds > 0 for operator in operators)
    events = json.loads((LOGS / "torch_steps.json").read_text())["traceEvents"]
    durations = sorted(event["dur"] for event in events if event.get("name") == "aten::conv2d")
    assert read_operators(LOGS / "torch_steps.json")[1][0].seconds == pytest.approx(durations[1] * 1e-6), "the median of three steps"


def test_operators_of_onnxruntimes_profile() -> None:
    tool, operators = read_operators(LOGS / "onnxruntime_profile.json")
    assert tool == "onnxruntime"
    found = {operator.name: operator for operator in operators}
    assert set(found) == {"relu_nchwc", "ReorderOutput", "node_linear"}, "reshapes are left out"
    convolution = found["relu_nchwc"]
    assert convolution.group == "convolution"
    assert convolution.outputs is not None
    assert convolution.macs == convolution.outputs * 3 * 3 * 3, "a 3x3 convolution of three channels"
    assert found["ReorderOutput"].group == "move"


def kernels() -> tuple[list[str], list[MeasuredOperator], object]:
    """The kernels of a network, and operators that would be their measurements, each twice as long as its position."""
    target = costmodel.target("i9-10940x", runtime="onnxruntime")
    program = lower(costmodel.build("squeezenet-1.1"), target.rules, target.dtype, target.layout)
    operators = [
        MeasuredOperator(
            f"op{number}",
            measuring._matched.group_of(kernel),
            2.0 * number + 2,
            kernel.works[0].macs if measuring._matched.group_of(kernel) == "convolution" else None,
            kernel.works[0].elements_written,
        )
        for number, kernel in enumerate(program.kernels)
    ]
    return [kernel.name for kernel in program.kernels], operators, program


def test_each_kernel_finds_its_operator_whatever_the_order_of_branches() -> None:
    names, operators, program = kernels()
    predicted = [1.0 + number for number in range(len(names))]
    swapped = list(operators)
    branches = [number for number in range(len(names) - 1) if "expand1x1" in names[number] and "expand3x3" in names[number + 1]]
    assert len(branches) == 8
    for number in branches:
        swapped[number], swapped[number + 1] = swapped[number + 1], swapped[number]
    for order in (operators, swapped):
        found = matched("tool", program.kernels, predicted, order)  # type: ignore[attr-defined]  # a program
        assert {(pair.kernel, pair.operator) for pair in found.pairs} == {(name, f"op{number}") for number, name in enumerate(names)}
        assert all(pair.error == pytest.approx(-0.5) for pair in found.pairs)
        assert found.only_predicted == found.only_measured == ()
        differences = [pair.measured_s - pair.predicted_s for pair in found.pairs]
        assert differences == sorted(differences, reverse=True)
        assert found.matched_share == 1.0


def test_without_counts_the_order_decides_and_strangers_stay_alone() -> None:
    names, operators, program = kernels()
    bare = [MeasuredOperator(operator.name, operator.group, operator.seconds) for operator in operators]
    stranger = MeasuredOperator("stranger", "recurrent", 5.0)
    found = matched("tool", program.kernels, [1.0] * len(names), [*bare[:7], stranger, *bare[8:]])  # type: ignore[attr-defined]  # a program
    assert found.only_measured == (("stranger", 5.0),)
    assert [name for name, _ in found.only_predicted] == [names[7]]
    assert len(found.pairs) == len(names) - 1
    assert found.predicted_s == len(names)
    assert found.measured_s == pytest.approx(sum(operator.seconds for operator in bare) - bare[7].seconds + 5)


def test_a_profile_beside_a_network_of_the_same_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, operators, _ = kernels()
    path = tmp_path / "profile.json"
    events = [
        {
            "cat": "Node",
            "name": f"n{number}_kernel_time",
            "dur": 100 + number,
            "ts": number,
            "args": {
                "op_name": {"convolution": "Conv", "elementwise": "Relu", "pooling": "MaxPool", "concat": "Concat"}[operator.group],
                "provider": "CPUExecutionProvider",
                "output_type_shape": [{"float": [operator.outputs]}],
                "input_type_shape": [{"float": [1]}, {"float": [1, (operator.macs or 0) // (operator.outputs or 1), 1, 1]}],
            },
        }
        for number, operator in enumerate(operators)
    ]
    path.write_text(json.dumps(events))
    found = simulating.beside("squeezenet-1.1", path, device="i9-10940x", runtime="onnxruntime")
    assert len(found.pairs) == len(names)
    assert found.measured_s == pytest.approx(sum(100 + number for number in range(len(names))) * 1e-6)
    assert main(["simulate", "squeezenet-1.1", "--device", "i9-10940x", "--runtime", "onnxruntime", "--measured", str(path), "--top", "3"]) == 0
    assert f"100.0% of it in {len(names)} pairs" in capsys.readouterr().out
    assert main(["simulate", "squeezenet-1.1", "--device", "i9-10940x", "--runtime", "onnxruntime", "--measured", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pairs"] == [{**pair._asdict(), "error": pair.error} for pair in found.pairs]
    assert document["warnings"] == []


def test_warnings_of_the_estimate_stand_beside_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    expected = costmodel.estimate("vit-b-16", device="coral-usb").warnings
    assert "kernels (99% of the time) run on the CPU" in expected[0]
    line = ["simulate", "vit-b-16", "--device", "coral-usb", "--measured", str(LOGS / "torch_plain.json")]
    assert main(line) == 0
    printed = capsys.readouterr().err.splitlines()
    assert [f"warning: {text}" for text in expected] == printed[-len(expected) :]
    assert main([*line, "--json"]) == 0
    assert [f"warning: {text}" for text in json.loads(capsys.readouterr().out)["warnings"]] == printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no profile", "no profile of operators .it is no JSON"),
        ('{"traceEvents": [', "no profile of operators .line 1: "),
        ('{"traceEvents": []}', "no operator .cat cpu_op."),
        ("[]", "no operator .cat Node."),
        ('{"traceEvents": [{"ph": "X", "cat": "kernel", "name": "gemm", "ts": 0, "dur": 1}]}', "a trace of a GPU"),
        ('[{"cat": "Node", "name": "a_kernel_time", "ts": 0, "dur": 1, "args": {"provider": "CUDAExecutionProvider"}}]', "another provider than the CPU's"),
        ('[{"cat": "Node", "name": "a_kernel_time", "ts": 0, "dur": -1}]', r"operator a_kernel_time takes -1 us \(dur\): the profile is damaged"),
        ('{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::add", "ts": 0, "dur": -2.5}]}', "operator aten::add takes -2.5 us"),
        ('{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::add", "ts": 0, "dur": 1e308}]}', r"aten::add takes 1e\+308 us"),
        ('{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::add", "ts": 0, "dur": NaN}]}', "aten::add takes nan us"),
    ],
)
def test_files_that_are_no_such_profile(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(InvalidFileError, match=message):
        read_operators(path)


def test_a_missing_file_and_steps_that_differ(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="cannot be read"):
        read_operators(tmp_path / "none.json")
    with pytest.raises(InvalidFileError, match="/dev/zero: cannot be read: is a pipe or a device"):
        read_operators("/dev/zero")
    events = [
        {"ph": "X", "name": "ProfilerStep#1", "ts": 0, "dur": 10},
        {"ph": "X", "name": "ProfilerStep#2", "ts": 10, "dur": 10},
        {"ph": "X", "cat": "cpu_op", "name": "aten::relu", "ts": 1, "dur": 2},
        {"ph": "X", "cat": "cpu_op", "name": "aten::add", "ts": 11, "dur": 2},
    ]
    path = tmp_path / "steps.json"
    path.write_text(json.dumps({"traceEvents": events}))
    with pytest.raises(InvalidFileError, match="the steps ran different operators"):
        read_operators(path)


def torch_trace(path: Path, passes: list[list[tuple[str, float]]]) -> Path:
    """A trace of operators (name, microseconds), pass after pass, without steps."""
    events, now = [], 0.0
    for name, duration in [operator for of in passes for operator in of]:
        events.append({"ph": "X", "cat": "cpu_op", "name": f"aten::{name}", "tid": 1, "ts": now, "dur": duration})
        now += duration + 1
    path.write_text(json.dumps({"traceEvents": events}))
    return path


#: AlexNet in torch: within a pass some of its operators follow one another several times.
ALEXNET = (
    *("conv2d", "relu", "max_pool2d", "conv2d", "relu", "max_pool2d", "conv2d", "relu", "conv2d", "relu", "conv2d", "relu", "max_pool2d"),
    *("flatten", "dropout", "linear", "relu", "dropout", "linear", "relu", "linear"),
)


def test_passes_without_steps_are_told_apart_by_what_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes = [[(name, factor * (number + 1)) for number, name in enumerate(ALEXNET)] for factor in (1.0, 5.0, 2.0)]
    path = torch_trace(tmp_path / "passes.json", passes)
    target = {"device": "i9-10940x", "runtime": "torch-eager"}
    single = simulating.beside("alexnet", torch_trace(tmp_path / "pass.json", passes[2:]), **target)
    found = simulating.beside("alexnet", path, **target)
    assert (single.passes, found.passes) == (1, 3)
    assert found.pairs == single.pairs, "medians of the three are those of the one in the middle"
    line = ["simulate", "alexnet", "--device", "i9-10940x", "--runtime", "torch-eager", "--measured", str(path)]
    assert main(line) == 0
    assert "(medians of 3 passes)" in capsys.readouterr().out
    assert main([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passes"] == 3


def test_layers_that_repeat_within_a_pass_are_one_pass() -> None:
    target = costmodel.target("i9-10940x", runtime="torch-eager")
    network = costmodel.build("vgg-16", features_only=True)
    kernels = [kernel for kernel in lower(network, target.rules, target.dtype, target.layout).kernels if measuring._matched.group_of(kernel) == "convolution"]
    operators = [MeasuredOperator("aten::conv2d", "convolution", 1.0 + number) for number in range(len(kernels))]
    assert len(kernels) == 13
    assert one_pass("f", kernels, operators) == (1, tuple(operators))
    passes, found = one_pass("f", kernels, [*operators, *operators])
    assert (passes, list(found)) == (2, operators)


def test_passes_that_cannot_be_told_apart_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes = [[(name, 1.0) for name in ALEXNET] for _ in range(3)]
    path = torch_trace(tmp_path / "passes.json", [[("randn", 1.0)], *passes])
    assert main(["simulate", "alexnet", "--device", "i9-10940x", "--measured", str(path)]) == 4
    err = capsys.readouterr().err
    assert "24 convolutions and products, 3 times the network's 8, in no sequence that repeats" in err
    assert "Call prof.step() after each pass" in err


@pytest.mark.parametrize(
    ("model", "device", "message"),
    [
        ("vgg-16", "i9-10940x", "8 convolutions and products pair up, of 16 of the network and 8 of the profile: is it a profile of this network?"),
        ("alexnet", "v100", "the profile is of a CPU, and the kernels are of v100 gpu under torch-eager: errors compare two machines"),
        ("alexnet", "i9-10940x", ""),
    ],
)
def test_a_profile_of_something_else_is_doubted(model: str, device: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = torch_trace(tmp_path / "pass.json", [[(name, 1.0) for name in ALEXNET]])
    assert main(["simulate", model, "--device", device, "--measured", str(path)]) == 0
    printed = capsys.readouterr()
    assert (f"warning: {message}" in printed.err) if message else not printed.err
    assert "without a operator" not in printed.out
    if model == "vgg-16":
        assert "kernels without an operator" in printed.out


def test_a_profile_whose_time_has_no_kernels_is_doubted(tmp_path: Path) -> None:
    path = torch_trace(tmp_path / "pass.json", [[*((name, 1.0) for name in ALEXNET), ("lstm", 1000.0)]])
    assert "of the measured time has a kernel beside it" in simulating.beside("alexnet", path, device="i9-10940x").warnings[0]


def test_an_integer_that_no_tool_writes_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    path.write_text('{"schemaVersion": 1,\n"traceEvents": [' + "9" * 5000 + "]}", encoding="utf-8")
    with pytest.raises(InvalidFileError, match=r"no profile of operators \(line 2: an integer of 5000 digits\)"):
        read_operators(path)
