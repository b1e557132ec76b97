"""Networks from outside by name: ``torch:``, files by their endings, what they leave open, and what nobody knows."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import costmodel
from costmodel import operator as operators_module
from costmodel.cli import main
from costmodel.errors import InvalidFileError, OperatorError, UnmodelledError, UsageError
from costmodel.graph import load_graph
from costmodel.operator import Operator, Specs, operator
from costmodel.recognition import Call, Operand
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

pytestmark = pytest.mark.torch

FACTORY = """
import torch


class Net(torch.nn.Module):
    def __init__(self, width=8, mode="plain"):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, width, 3)
        self.head = torch.nn.Linear(width, 10)
        self.mode = mode

    def forward(self, x):
        y = self.convolution(x).relu().mean((2, 3))
        return self.head(torch.fft.fft(y).real if self.mode == "fft" else y)


ready = Net().eval()
nothing = 3


def wrong():
    return "text"


def failing():
    raise RuntimeError("no such luck")
"""
#: 8 filters of 3x3x3 on 30x30, 10 outputs of 8.
MACS = 8 * 27 * 900 + 80


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The user's own module in the current directory."""
    (tmp_path / "users_network.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("users_network", None)


def analyze(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    code = main(["analyze", *arguments, "--device", "pixel4", "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


def test_a_callable_of_ones_own_is_called_and_imported(capsys: pytest.CaptureFixture[str]) -> None:
    code, document, err = analyze(capsys, "torch:users_network:Net", "--input", "2x3x32x32")
    assert (code, document["totals"]["macs"], document["batch"], document["input"]) == (0, 2 * MACS, 2, [[2, 3, 32, 32]])
    assert err == "warning: the figures are carried over: batch 2 (measured: 1)\n"
    assert document["totals"]["modelled_operators"] == document["totals"]["operators"]
    assert [kernel["name"] for kernel in document["kernels"]] == ["convolution", "mean", "head"]


@pytest.mark.parametrize("name", ["Net(16)", "Net(width=16)", "Net(16, plain)", "Net(16, mode='plain')"])
def test_literal_arguments_are_passed(name: str) -> None:
    report = costmodel.estimate(f"torch:users_network:{name}", device="pixel4", inputs=[TensorSpec((1, 3, 32, 32))])
    assert report.macs == 16 * 27 * 900 + 160


def test_a_module_that_exists_already_is_taken_as_it_is() -> None:
    assert costmodel.estimate("torch:users_network:ready", device="pixel4", inputs=[TensorSpec((1, 3, 32, 32))], batch=3).macs == 3 * MACS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("torch:users_network", "write torch:package.module:callable"),
        ("torch:users_netwrk:Net", "no module 'users_netwrk' can be imported"),
        ("torch:users_network:Nett", "has no 'Nett'"),
        ("torch:users_network:nothing", "neither callable nor"),
        ("torch:users_network:wrong", "returns str, not a torch.nn.Module"),
        ("torch:users_network:failing", "calling it fails: RuntimeError: no such luck"),
        ("torch:users_network:Net(__import__('os'))", "no list of literal arguments"),
        ("torch:users_network:Net(1)(2)", "no list of literal arguments"),
        ("torch:users_network:Net(*[1])", "no list of literal arguments"),
    ],
)
def test_a_name_that_cannot_be_meant_says_which_part(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, err = analyze(capsys, text, "--input", "1x3x32x32")
    assert (code, document) == (2, None)
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("torch:users_network:Net",), "--input 1x3x224x224"),
        (("torch:users_network:Net", "--input", "1x3x0x32"), "is no shape"),
        (("torch:users_network:Net", "--input", "1x3x32x32:fp99"), "available: fp32"),
        (("torch:users_network:Net", "--input", "1x3x32x32", "--classes", "5"), "a file is what it is"),
        (("resnet-18", "--input", "1x3x32x32"), "takes its resolution after @"),
        (("resnet-18", "--dim", "batch=1"), "are for files that leave sizes open"),
        (("resnet-18", "--dim", "batch"), "is no size such as batch=1"),
        (("resnet-18", "--dim", "a=1", "--dim", "a=2"), "given twice"),
    ],
)
def test_options_that_do_not_apply_are_refused(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, document, err = analyze(capsys, *arguments)
    assert (code, document) == (2, None)
    assert message in err


def test_a_module_that_cannot_run_says_what_torch_said(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = analyze(capsys, "torch:users_network:Net", "--input", "1x4x32x32")
    assert code == 1
    assert "cannot be run on these inputs" in err
    assert "4 channels" in err


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.ckpt"])
def test_a_pickle_is_refused_unread_with_the_way_to_do_it(name: str, capsys: pytest.CaptureFixture[str], here: Path) -> None:
    (here / name).write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    code, _, err = analyze(capsys, name)
    assert code == 4
    assert "not opened" in err
    assert "torch.export.save" in err
    assert not (here / "owned").exists()


def test_a_file_of_no_known_ending_lists_the_known_ones(here: Path) -> None:
    (here / "model.xyz").write_text("")
    with pytest.raises(InvalidFileError, match=r"costmodel reads \.json .*\.onnx .*\.pt2 .*\.tflite"):
        costmodel.load(here / "model.xyz")


def test_what_nobody_knows_is_listed_and_never_zero_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    name, shape = "torch:users_network:Net(mode=fft)", ("--input", "1x3x32x32")
    code, document, err = analyze(capsys, name, *shape)
    assert code == 0
    totals = document["totals"]
    assert (totals["operators"], totals["modelled_operators"]) == (6, 4)
    assert [(entry["kind"], entry["operators"]) for entry in document["unmodelled"]] == [("aten.fft_fft.default", ["fft_fft"]), ("aten.real.default", ["real"])]
    assert "aten.fft_fft.default x1 at fft_fft" in err
    assert main(["analyze", name, *shape, "--device", "pixel4", "--strict"]) == 1
    assert "aten.fft_fft.default" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["pixel4", "rtx4090", "coral-usb", "xeon-e5-2690"])
def test_no_law_prices_an_unknown_operator(device: str) -> None:
    inputs = [TensorSpec((1, 3, 32, 32))]
    report = costmodel.estimate("torch:users_network:Net(mode=fft)", device=device, inputs=inputs)
    assert {kernel.latency_s for kernel in report.kernels if kernel.kind is WorkKind.UNMODELLED} == {0.0}
    assert any("fft_fft" in warning for warning in report.warnings)
    with pytest.raises(UnmodelledError):
        costmodel.estimate("torch:users_network:Net(mode=fft)", device=device, inputs=inputs, strict=True)


def test_an_unknown_operator_is_kept_in_a_saved_graph(here: Path) -> None:
    graph = costmodel.from_torch(importlib.import_module("users_network").Net(mode="fft"), [(1, 3, 32, 32)])
    graph.save(here / "saved.json")
    assert load_graph(here / "saved.json") == graph
    assert graph.with_batch(4)["fft_fft"].outputs[0].shape == (4, 8)


def test_an_operator_registered_from_python_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators_module, "_REGISTRY", dict(operators_module._REGISTRY))  # forgotten afterwards

    @operator
    class Fourier(Operator):
        """A discrete Fourier transform of the last axis: 5 N log2 N operations."""

        aten = ("aten.fft_fft.default",)

        def infer(self, *inputs: TensorSpec) -> Specs:
            return inputs

        def work(self, inputs: Specs, outputs: Specs) -> Work:
            elements = inputs[0].numel
            flops = 5 * elements * (inputs[0].shape[-1].bit_length() - 1)
            return Work(kind=WorkKind.ELEMENTWISE, elements_read=elements, elements_written=elements, other_flops=flops)

        @classmethod
        def from_aten(cls, call: Call) -> Operand:
            return call.add(cls(), call.tensor("self"))

    graph = costmodel.from_torch(importlib.import_module("users_network").Net(mode="fft"), [(1, 3, 32, 32)])
    assert graph["fft_fft"].operator == Fourier()
    assert graph["fft_fft"].work.other_flops == 5 * 8 * 3


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "infer fails": ({"infer": lambda self, x: (x.shapes,)}, r"Fourier\.infer\(\) of .* fails on \d+x8:fp32: AttributeError"),
    "infer gives no tuple": ({"infer": lambda self, x: x}, r"Fourier\.infer\(\) must return a tuple with a TensorSpec for each output"),
    "infer gives another shape": ({"infer": lambda self, x: (x.with_shape(3, 3),)}, "aten.fft_fft.default should give"),
    "work fails": ({"work": lambda self, inputs, outputs: Work(other_flops=1)}, r"Fourier\.work\(\) of .*TypeError.*kind"),
    "work gives a number": ({"work": lambda self, inputs, outputs: 7}, r"Fourier\.work\(\) must return a costmodel\.work\.Work, not 7"),
    "the reader fails": ({"from_aten": classmethod(lambda cls, call: call.add(cls(), call.arguments["x"]))}, r"Fourier\.from_aten\(\) of .*KeyError: 'x'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_an_operator_of_the_users_are_reported_by_its_name(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators_module, "_REGISTRY", dict(operators_module._REGISTRY))  # forgotten afterwards
    methods, message = MISTAKES[mistake]
    right = {"infer": lambda self, x: (x,), "work": lambda self, inputs, outputs: Work(kind=WorkKind.ELEMENTWISE)}
    operator(type("Fourier", (Operator,), {"aten": ("aten.fft_fft.default", "aten._fft_r2c.default"), "__module__": "users", **right, **methods}))
    module = importlib.import_module("users_network").Net(mode="fft")
    with pytest.raises(OperatorError, match=message):
        costmodel.from_torch(module, [(2, 3, 32, 32)])
    if "shape" not in mistake:  # without a graph there is no shape to compare with
        with pytest.raises(OperatorError, match=message):
            costmodel.count(module, [(2, 3, 32, 32)])


def test_counting_finds_the_operators_of_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found.append(group) or ())
    operators_module.load_plugins.cache_clear()
    costmodel.count(importlib.import_module("users_network").Net(mode="fft"), [(1, 3, 32, 32)])
    operators_module.load_plugins.cache_clear()
    assert found == [operators_module.PLUGINS]


def test_an_operator_of_an_installed_package_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "users_operators.py").write_text(
        "from costmodel.operator import Operator, operator\n"
        "from costmodel.ops.layout import Identity\n\n\n"
        "@operator\nclass RealPart(Operator):\n"
        "    aten = ('aten.real.default',)\n\n"
        "    @classmethod\n    def from_aten(cls, call):\n        return call.add(Identity(), call.tensor('self'))\n"
    )
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr(operators_module, "_REGISTRY", dict(operators_module._REGISTRY))  # forgotten afterwards
    entry = importlib.metadata.EntryPoint("users-operators", "users_operators", operators_module.PLUGINS)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: (entry,) if group == operators_module.PLUGINS else ())
    operators_module.load_plugins.cache_clear()
    graph = costmodel.from_torch(importlib.import_module("users_network").Net(mode="fft"), [(1, 3, 32, 32)])
    assert "real" not in [node.name for node in graph.nodes if type(node.operator).__name__ == "Unknown"]
    operators_module.load_plugins.cache_clear()


def test_an_entry_point_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("broken", "no_such_package_at_all", operators_module.PLUGINS)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: (entry,))
    operators_module.load_plugins.cache_clear()
    with pytest.raises(UsageError, match="the entry point 'broken'"):
        costmodel.from_torch(importlib.import_module("users_network").Net(mode="fft"), [(1, 3, 32, 32)])
    operators_module.load_plugins.cache_clear()


def test_counts_by_the_fast_route_are_those_of_the_graph() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.LazyLinear(5))
    module(torch.zeros(1, 3, 8, 8))
    graph, counts = costmodel.from_torch(module, [(2, 3, 8, 8)]), costmodel.count(module, [(2, 3, 8, 8)])
    assert (counts.parameters, counts.macs, counts.other_flops) == (graph.parameters, graph.macs, graph.other_flops)
    assert not counts.unmodelled
    assert module.training


def test_a_network_stored_in_int8_is_estimated_in_int8_unless_asked_otherwise(here: Path) -> None:
    graph = dataclasses.replace(costmodel.build("mobilenet-v2"), precision="int8")
    graph.save(here / "quantised.json")
    loaded = costmodel.load(here / "quantised.json")
    assert loaded.precision == loaded.with_batch(2).precision == "int8"
    report = costmodel.estimate(loaded, device="pixel4")
    plain = costmodel.estimate("mobilenet-v2", device="pixel4", dtype="int8")
    assert (report.target.dtype, report.latency_s) == ("int8", plain.latency_s)
    asked = costmodel.estimate(loaded, device="pixel4", dtype="fp32")
    assert asked.target.dtype == "fp32"
    assert any("stores this network in int8" in warning for warning in asked.warnings)


def test_a_device_without_the_files_precision_says_what_it_computes_in() -> None:
    graph = dataclasses.replace(costmodel.build("mobilenet-v2"), precision="int8")
    report = costmodel.estimate(graph, device="k80")
    assert report.target.dtype != "int8"
    assert any("stores this network in int8" in warning for warning in report.warnings)
    with pytest.raises(UsageError, match="processor"):
        costmodel.estimate(graph, device="k80", processor="tpu")


def test_a_precision_that_does_not_exist_is_refused(here: Path) -> None:
    document = costmodel.build("lenet-5").to_dict() | {"precision": "int5"}
    (here / "net.json").write_text(json.dumps(document))
    with pytest.raises(InvalidFileError, match="precision: 'int5' is none of"):
        costmodel.load(here / "net.json")
