"""Files that are damaged, made up or malicious are refused with the place and what to do, quickly and in little memory.

`python -m tests.benchmarks.fuzz` does the same at length.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costmodel import zoo
from costmodel.devices import load_device
from costmodel.errors import CostModelError, InvalidFileError, UsageError
from costmodel.graph import load_graph
from costmodel.importers.files import read_file
from costmodel.importers.torch._saved import read_pt2
from tests.benchmarks.fuzz import FORMATS, alarm, fuzz, program_json, saved_programs, with_json

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(("name", "rounds"), [("json", 300), ("pt2", 200)])
def test_random_damage_is_refused_or_harmless(name: str, rounds: int) -> None:
    found = fuzz(name, seed=7, rounds=rounds)
    assert set(found) <= {"read", "refused"}, found
    assert found["refused"] > rounds // 4  # the damage is felt


def test_intact_files_are_read(tmp_path: Path) -> None:
    for form in FORMATS.values():
        for data in form.intact():
            path = tmp_path / f"intact{form.suffix}"
            path.write_bytes(data)
            assert form.read(path)


def program(change: Callable[[Any], object]) -> bytes:
    """The first program with its JSON changed."""
    data = saved_programs()[0]
    document = program_json(data)
    change(document)
    return with_json(data, document)


def nodes(document: Any) -> list[Any]:
    """The nodes of a program's JSON."""
    return list(document["graph_module"]["graph"]["nodes"])


def first_size(document: Any, value: Any) -> None:
    """Set the number of channels of the first image that a node makes."""
    graph = document["graph_module"]["graph"]
    made = (graph["tensor_values"][node["outputs"][0]["as_tensor"]["name"]]["sizes"] for node in graph["nodes"])
    next(sizes for sizes in made if len(sizes) == 4)[1] = value


def archive(**files: bytes) -> bytes:
    """A zip archive; ``__`` in a name is a slash, ``_dot_`` a dot."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return stream.getvalue()


def squeezed(method: int) -> bytes:
    """A small archive that unpacks to 200 MB of blanks."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made, made.open("models/model.json", "w") as part:
        for _ in range(200):
            part.write(b" " * 10**6)
    return stream.getvalue()


def swapped(document: Any) -> None:
    """The nodes in reverse: the first reads what the last makes."""
    document["graph_module"]["graph"]["nodes"].reverse()


PROGRAMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is no .pt2 archive; torch.export.save"),
    "text": (lambda: b"hello" * 100, "is no .pt2 archive; torch.export.save"),
    "truncated": (lambda: saved_programs()[0][:-200], "is no .pt2 archive|the archive is damaged"),
    "pickle": (lambda: pickle.dumps({"weight": [1.0]}), "is no .pt2 archive; torch.export.save"),
    "pickle in an archive": (lambda: archive(model__data_dot_pkl=pickle.dumps(1)), "is a pickle, which could run any code and is not opened; save the module"),
    "without a program": (lambda: archive(readme=b"x"), "holds no models/model.json"),
    "a gigabyte in a megabyte": (lambda: archive(models__model_dot_json=b" " * 10**9), "has more than 24 MiB"),
    "deeply nested": (lambda: archive(models__model_dot_json=b"[" * 10**6), "is not a .pt2 archive, or is damaged: RecursionError"),
    "another version": (lambda: program(lambda d: d["schema_version"].update(major=99)), "has version 99 of torch's schema; this costmodel reads 7, 8"),
    "a tensor that nothing makes": (lambda: program(lambda d: nodes(d)[1]["inputs"][0]["arg"]["as_tensor"].update(name="ghost")), "node .*ghost"),
    "nodes in a cycle": (lambda: program(swapped), "which nothing before makes"),
    "a negative size": (lambda: program(lambda d: first_size(d, {"as_int": -3})), r"node \d+ .*size -3 is no whole number"),
    "an enormous size": (lambda: program(lambda d: first_size(d, {"as_int": 10**30})), r"node \d+ .*is no whole number from 0 to 2\^63"),
    "a size that is code": (lambda: program(lambda d: first_size(d, {"as_expr": {"expr_str": "__import__('os')"}})), "is an expression that is not known"),
    "a size that is no expression": (lambda: program(lambda d: first_size(d, {"as_expr": {"expr_str": "Mul(("}})), "is no expression"),
    "a size that grows": (lambda: program(lambda d: first_size(d, {"as_expr": {"expr_str": f"Mul({', '.join(['Integer(999999)'] * 500)})"}})), "larger than"),
    "a size with an unknown symbol": (lambda: program(lambda d: first_size(d, {"as_expr": {"expr_str": "Symbol('q')"}})), "--dim q=N"),
    "a list for a name": (lambda: program(lambda d: nodes(d)[0].update(target=["x"])), "node 0 .*is no name of an operator"),
    "no nodes": (lambda: program(lambda d: d["graph_module"]["graph"].update(nodes=None)), "is not a .pt2 archive, or is damaged"),
    "no outputs": (lambda: program(lambda d: d["graph_module"]["signature"].update(output_specs=[])), "at least one input and one output"),
    "a bomb": (lambda: squeezed(zipfile.ZIP_BZIP2), "is compressed by method 12, which torch does not write"),
    "a bomb of another kind": (lambda: squeezed(zipfile.ZIP_LZMA), "is compressed by method 14"),
    "a bomb that zip knows": (lambda: squeezed(zipfile.ZIP_DEFLATED), "has more than 24 MiB"),
    "no inputs": (lambda: program(lambda d: d["graph_module"]["signature"].update(input_specs=[])), "no tensor as its input"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_are_wrong_are_refused(name: str, tmp_path: Path) -> None:
    make, message = PROGRAMS[name]
    path = tmp_path / "model.pt2"
    path.write_bytes(make())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with alarm(20), pytest.raises((InvalidFileError, UsageError), match=message) as caught:
        read_pt2(path)
    assert isinstance(caught.value, UsageError) or str(path) in str(caught.value)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 1e9


def test_what_is_not_there_is_said_to_be_not_there(tmp_path: Path) -> None:
    for read in (read_pt2, load_graph):
        for path in (tmp_path / "absent.pt2", tmp_path):
            with pytest.raises(InvalidFileError, match=r"cannot be read: (No such file|Is a directory)|is no \.pt2 archive"):
                read(path)


@pytest.mark.parametrize("ending", [".pt2", ".json", ".onnx", ".tflite", ".toml"])
def test_pipes_and_devices_are_not_read(ending: str, tmp_path: Path) -> None:
    read = load_device if ending == ".toml" else read_file
    pipe, device = tmp_path / f"pipe{ending}", tmp_path / f"zero{ending}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with alarm(20), pytest.raises(InvalidFileError, match="cannot be read: is a pipe or a device"):
            read(path)


@pytest.mark.parametrize("ending", [".json", ".toml"])
def test_what_is_too_large_is_not_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"large{ending}"
    with path.open("wb") as file:
        file.truncate(20 << 30)  # sparse: nothing lies on the disk
    with alarm(20), pytest.raises(InvalidFileError, match=r"has 2.048e.04 MiB; at most"):
        (load_device if ending == ".toml" else read_file)(path)


GRAPHS: dict[str, tuple[Callable[[Any], object], str]] = {
    "an earlier node reads a later one": (lambda d: d["nodes"][0].update(arguments=[[d["nodes"][-1]["name"], 0]]), "which no earlier entry defines"),
    "a node reads itself": (lambda d: d["nodes"][2].update(arguments=[[d["nodes"][2]["name"], 0]]), "which no earlier entry defines"),
    "a negative size": (lambda d: next(iter(d["inputs"].values())).update(shape=[1, 1, -32, 32]), "every dimension must lie between 1 and"),
    "an enormous size": (lambda d: next(iter(d["inputs"].values())).update(shape=[1, 1, 10**40, 32]), "every dimension must lie between 1 and"),
    "a size of another type": (lambda d: next(iter(d["inputs"].values())).update(shape=[1, 1, "32", 32]), "is not an integer"),
    "an operator that does not exist": (lambda d: d["nodes"][0].update(operator="os.system"), "node 0"),
    "a field of another type": (lambda d: d["nodes"][0]["fields"].update(out_channels="6"), "node 0 .*field 'out_channels'"),
    "another version": (lambda d: d.update(version=99), "has version 99; this costmodel reads version 1"),
    "parameters shared with an input": (lambda d: d["nodes"][0].update(shares=next(iter(d["inputs"]))), "node 0 .*which is no earlier node"),
    "no outputs": (lambda d: d.update(outputs=[]), "at least one input and one output"),
    "a name that a terminal obeys": (lambda d: d["nodes"][0].update(name="a\x1b]0;b\x07"), "node 0 .*is not a printable name"),
    "nested fields": (lambda d: d["nodes"][0]["fields"].update(out_channels=nested(200)), "node 0"),
}


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_are_wrong_are_refused(name: str, tmp_path: Path) -> None:
    change, message = GRAPHS[name]
    document = json.loads(json.dumps(zoo.build("lenet-5").to_dict()))
    change(document)
    path = tmp_path / "net.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with alarm(20), pytest.raises(InvalidFileError, match=message) as caught:
        load_graph(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, CostModelError)
