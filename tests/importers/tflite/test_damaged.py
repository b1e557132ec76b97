"""Files that are not what they claim: each is refused with its place, soon, with little memory and never with a traceback."""

from __future__ import annotations

import dataclasses
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costmodel.errors import InvalidFileError
from costmodel.graph import Graph
from costmodel.importers.tflite import read_tflite
from costmodel.importers.tflite._metadata import MAX_BYTES, pack
from costmodel.importers.tflite._parse import parse
from costmodel.importers.tflite._schema import Constant, FileOperator, FileTensor, Plan, Quantisation
from costmodel.importers.tflite._write import write_plan
from tests.importers.tflite.fuzz import FIXTURES, mutants, outcome
from tests.importers.tflite.networks import NETWORKS

MUTANTS = 500


def small(**changes: Any) -> Plan:
    """A convolution on 1x8x8x3 with 4 filters, with some fields of the plan changed."""
    tensors = (
        FileTensor(name="x", shape=(1, 8, 8, 3)),
        FileTensor(name="w", shape=(4, 3, 3, 3), constant=Constant()),
        FileTensor(name="b", shape=(4,), constant=Constant()),
        FileTensor(name="y", shape=(1, 8, 8, 4)),
    )
    options = {"padding": 0, "stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1, "fused_activation_function": 0}
    plan = Plan(name="small", tensors=tensors, operators=(FileOperator("CONV_2D", (0, 1, 2), (3,), options),), inputs=(0,), outputs=(3,))
    return dataclasses.replace(plan, **changes)


def written(plan: Plan, path: Path) -> Path:
    """`plan` in a file, its constants zeros."""
    sizes = {number: 4 * _count(tensor) for number, tensor in enumerate(plan.tensors)}
    write_plan(plan, lambda number: bytes(sizes[number]), path)
    return path


def _count(tensor: FileTensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def tensors(number: int, **changes: Any) -> dict[str, Any]:
    """The small plan's tensors with one changed."""
    found = list(small().tensors)
    found[number] = dataclasses.replace(found[number], **changes)
    return {"tensors": tuple(found)}


def operators(*more: FileOperator, **changes: Any) -> dict[str, Any]:
    """The small plan's convolution with fields changed, and more operators after it."""
    return {"operators": (dataclasses.replace(small().operators[0], **changes), *more)}


def options(**changes: int) -> dict[str, Any]:
    """The small plan with options of its convolution changed."""
    return operators(options={**small().operators[0].options, **changes})


def test_the_small_plan_is_a_network(tmp_path: Path) -> None:
    graph = read_tflite(written(small(), tmp_path / "a.tflite"))
    assert (graph.macs, graph.parameters) == (8 * 8 * 4 * 3 * 9, 4 * 3 * 9 + 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (tensors(0, shape=(1, 8, -8, 3)), "tensor 0 .'x'.: has the shape .1, 8, -8, 3.: at most 8 dimensions, none of them negative"),
        (tensors(0, shape=(1,) * 9), "at most 8 dimensions"),
        (tensors(0, shape=(1, 0, 8, 3)), "input 0: input 'x': .* every dimension must lie between 1 and"),
        (tensors(0, shape=(2**31 - 1, 2**31 - 1, 2**31 - 1, 3)), "operator 0 .CONV_2D.: gives .* where the file declares 1x8x8x4"),
        (tensors(3, shape=(1, 8, 8, 5)), "operator 0 .CONV_2D.: gives 1x8x8x4 where the file declares 1x8x8x5"),
        (tensors(3, shape=()), "gives 1x8x8x4 where the file declares a scalar"),
        (tensors(0, constant=Constant()), "input 0: names no tensor of its own"),
        (tensors(1, shape=(4, 3, 3, 2)), "has filters of the shape .* which do not fit 3 channels"),
        (tensors(1, shape=(36, 3)), "has filters of the shape .36, 3., not of 4 dimensions"),
        (tensors(0, quantisation=Quantisation((float("nan"),), (0,))), "quantised with 1 scales and 1 zero points, which must be finite"),
        (tensors(0, quantisation=Quantisation((1.0, 2.0), (0,))), "quantised with 2 scales and 1 zero points"),
        (tensors(1, constant=None), "operator 0 .CONV_2D.: operand 1 .'w'. must be stored in the file, but its buffer is empty or missing"),
        (tensors(2, constant=None), "operand 2 .'b'. must be stored in the file"),
        (operators(inputs=(0, 1, 99)), "operator 0 .CONV_2D.: inputs name tensor 99, of 4"),
        (operators(inputs=(0, 1, -2)), "inputs name tensor -2, of 4"),
        (operators(outputs=(99,)), "outputs name tensor 99, of 4"),
        (operators(inputs=(3, 1, 2)), "reads tensor 3 .'y'. before it is written: the operators form a cycle"),
        (operators(inputs=()), "operator 0 .CONV_2D.: has no operand 0"),
        (operators(inputs=(-1, 1, 2)), "has no operand 0"),
        (operators(outputs=()), "operator 0 .CONV_2D.: has no result 0"),
        (operators(outputs=(0,)), "gives 1x8x8x4 where the file declares 1x8x8x3|writes tensor 0"),
        (operators(small().operators[0]), "operator 1 .CONV_2D.: writes tensor 3, which is written already"),
        (operators(FileOperator("RELU", (3,), (3,))), "writes tensor 3, which is written already"),
        (options(stride_w=0), "has the stride .1, 0., which must be at least 1"),
        (options(stride_h=-5), "has the stride .-5, 1., which must be at least 1"),
        (options(dilation_h_factor=0), "must be at least 1"),
        (options(fused_activation_function=77), "has the fused activation 77, which is not known"),
        ({"outputs": (2,)}, "output 0: is tensor 2, which nothing writes"),
        ({"outputs": (17,)}, "outputs name tensor 17, of 4"),
        ({"outputs": ()}, "there is none"),
        ({"inputs": ()}, "reads tensor 0 .'x'. before it is written"),
        ({"inputs": (0, 0)}, "input 1: names no tensor of its own"),
    ],
)
def test_faults_are_named_with_their_place(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = written(small(**changes), tmp_path / "a.tflite")
    with pytest.raises(InvalidFileError, match=message) as caught:
        read_tflite(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes and is no TFLite file"),
        (b"TFL3", "has 4 bytes"),
        (b"\x08\x00\x00\x00PK\x03\x04" + bytes(40), "is no TFLite file: bytes 4 to 7 are b'PK"),
        (b"\x1c\x00\x00\x00TFL3", "is damaged|outside itself"),
        (b"\xff\xff\xff\xffTFL3" + bytes(40), "is damaged|outside itself"),
        (b"\x08\x00\x00\x00TFL3" + bytes(40), "is damaged|has version 0"),
        (b"\x00\x00\x00\x00TFL3" + b"\xff" * 4096, "is damaged|outside itself|version"),
    ],
)
def test_what_is_no_file_of_this_kind(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(content)
    with pytest.raises(InvalidFileError, match=message):
        read_tflite(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.tflite", tmp_path):
        with pytest.raises(InvalidFileError, match="cannot be read"):
            read_tflite(path)


def test_another_version_of_the_schema(tmp_path: Path) -> None:
    content = written(small(), tmp_path / "a.tflite").read_bytes()
    changed = [content[:place] + b"\x02" + content[place + 1 :] for place in range(8, 120) if content[place] == 3]
    path, messages = tmp_path / "b.tflite", []
    for document in changed:
        path.write_bytes(document)
        try:
            read_tflite(path)
        except InvalidFileError as error:
            messages.append(str(error))
    assert any("has version 2 of the schema; this costmodel reads version 3" in message for message in messages)


@pytest.mark.parametrize("count", [2**30, 2**31 - 1, 0xFFFFFFFF])
def test_counts_that_no_file_could_hold(count: int, tmp_path: Path) -> None:
    """A gigabyte declared in a kilobyte: every 32-bit word in turn becomes an enormous count."""
    content = written(small(), tmp_path / "a.tflite").read_bytes()
    path = tmp_path / "b.tflite"
    refused = 0
    for place in range(0, len(content) - 3, 4):
        path.write_bytes(content[:place] + struct.pack("<I", count) + content[place + 4 :])
        refused += outcome(path) == "refused"
    assert refused > 20


def test_mutants_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "mutant.tflite"
    outcomes = []
    for content in mutants(MUTANTS, seed=0):
        path.write_bytes(content)
        outcomes.append(outcome(path))
    assert outcomes.count("refused") > MUTANTS // 4
    assert outcomes.count("read") > MUTANTS // 20


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.tflite")), ids=lambda path: path.name)
def test_every_truncation_of_the_beginning_is_refused(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    short = tmp_path / "short.tflite"
    for length in range(0, len(content) // 2, 97):
        short.write_bytes(content[:length])
        assert outcome(short) == "refused"


def test_reading_takes_little_memory(tmp_path: Path) -> None:
    """A file of 100 MB of weights is mapped, not read: the process grows by far less."""
    wide = small(
        tensors=(
            FileTensor(name="x", shape=(1, 5000)),
            FileTensor(name="w", shape=(5000, 5000), constant=Constant()),
            FileTensor(name="y", shape=(1, 5000)),
        ),
        operators=(FileOperator("FULLY_CONNECTED", (0, 1, -1), (2,), {"fused_activation_function": 0, "weights_format": 0, "keep_num_dims": False}),),
        outputs=(2,),
    )
    path = written(wide, tmp_path / "a.tflite")
    assert path.stat().st_size > 100_000_000
    code = (
        "import sys; from costmodel.importers.tflite import read_tflite; from tests.importers.tflite.fuzz import peak_mb; "
        f"graph = read_tflite({str(path)!r}); print(graph.macs, peak_mb(), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found[0] == "25000000"
    assert float(found[1]) < 90  # the interpreter with numpy takes some 50 MB
    assert found[2] == "False"


METADATA: dict[str, Callable[[Graph], bytes]] = {
    "another network's": lambda graph: pack(NETWORKS["language"]()),
    "no zlib": lambda graph: b"\x00" * 50,
    "no JSON": lambda graph: zlib.compress(b"{"),
    "no document": lambda graph: zlib.compress(b"[1, 2]"),
    "another version": lambda graph: zlib.compress(b'{"version": 99, "graph": {"nodes": []}}'),
    "no graph": lambda graph: zlib.compress(b'{"version": 1, "graph": {"nodes": [], "format": "costmodel-graph"}}'),
    "a bomb": lambda graph: zlib.compress(b" " * (2 * MAX_BYTES)),
    "nested": lambda graph: zlib.compress(b"[" * 100_000),
    "cut": lambda graph: pack(graph)[:-20],
}


@pytest.mark.parametrize("fault", METADATA)
def test_a_note_that_is_not_the_files_is_passed_over(fault: str, tmp_path: Path) -> None:
    fixture = FIXTURES / "mobile_foreign.tflite"
    plan = dataclasses.replace(parse(fixture), metadata=METADATA[fault](NETWORKS["mobile"]()))
    path = tmp_path / "a.tflite"
    content = fixture.read_bytes()

    def data(number: int) -> bytes:
        constant = plan.tensors[number].constant
        assert constant is not None
        assert constant.place is not None
        start, length = constant.place
        return content[start : start + length]

    write_plan(plan, data, path)
    found = read_tflite(path)
    assert found.nodes == read_tflite(fixture).nodes
    assert "the parameters are the constants that the file stores" in found.notes[0]
    assert "does not describe it" in found.notes[1]
    write_plan(dataclasses.replace(plan, metadata=pack(NETWORKS["mobile"]())), data, path)
    assert read_tflite(path) == NETWORKS["mobile"]()
    assert read_tflite(path).notes == ()


def test_a_changed_file_is_not_taken_for_what_its_note_says(tmp_path: Path) -> None:
    fixture = FIXTURES / "mobile_fp32.tflite"
    plan, content = parse(fixture), fixture.read_bytes()
    first = plan.operators[0]
    changed = dataclasses.replace(first, options={**first.options, "fused_activation_function": 1})

    def data(number: int) -> bytes:
        constant = plan.tensors[number].constant
        assert constant is not None
        assert constant.place is not None
        return content[constant.place[0] : sum(constant.place)]

    path = tmp_path / "a.tflite"
    write_plan(dataclasses.replace(plan, operators=(changed, *plan.operators[1:])), data, path)
    found = read_tflite(path)
    assert "operator 0 is another" in found.notes[1]
    assert "ReLU" in {type(node.operator).__name__ for node in found.nodes[:2]}
