"""Files that are damaged, malicious, too new or merely unknown: an error with its place, or an operator without a cost; never anything else."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx", reason="needs the extra `onnx`")

import numpy
from onnx import TensorProto, helper

from costmodel.errors import InvalidFileError, UnknownNameError, UsageError
from costmodel.importers.onnx import read_onnx
from costmodel.ops.unknown import Unknown
from tests.importers.onnx.build import model, saved
from tests.importers.onnx.make_files import FOLDER
from tests.importers.onnx.mutants import mutant, outcome

node = helper.make_node


@pytest.mark.parametrize("block", range(10))
def test_mutants_are_read_or_refused(block: int, tmp_path: Path) -> None:
    found = {outcome(mutant(seed), tmp_path) for seed in range(50 * block, 50 * block + 50)}
    assert found <= {"read", "refused", "asked"}
    assert "refused" in found


def test_every_prefix_of_a_file_is_refused(tmp_path: Path) -> None:
    data = (FOLDER / "words-legacy-17-folded.onnx").read_bytes()
    for size in range(1, len(data), 97):
        (tmp_path / "cut.onnx").write_bytes(data[:size])
        with pytest.raises(InvalidFileError, match=r"cut\.onnx"):
            read_onnx(tmp_path / "cut.onnx")


def _conv(**changes: Any) -> Any:
    return model([node("Conv", ["x", "w"], ["y"], name="first")], {"x": (1, 3, 8, 8)}, ["y"], {"w": (4, 3, 3, 3)}, **changes)


def _changed(change: Any) -> bytes:
    made = _conv()
    change(made)
    return bytes(made.SerializeToString())


def _nested(depth: int) -> Any:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 8, 8))
    last = helper.make_graph([node("Relu", ["x"], ["y"])], "inner", [], [output])
    inner = last
    for _ in range(depth):
        inner = helper.make_graph([node("If", ["c"], ["y"], then_branch=inner, else_branch=last)], "inner", [], [output])
    made = model([node("If", ["c"], ["y"], name="choice", then_branch=inner, else_branch=last)], {"x": (1, 3, 8, 8)}, ["y"], {"c": numpy.asarray(True)})
    made.graph.output[0].CopyFrom(output)
    return made


def _circle() -> Any:
    made = _functions(1, 2)
    made.functions[0].node[0].op_type, made.functions[0].node[0].domain = "f1", "own"
    return made


def _functions(depth: int, width: int) -> Any:
    made = model([node(f"f{depth}", ["x"], ["y"], domain="own")], {"x": (1, 3)}, ["y"], extra=[("own", 1)])
    for level in range(depth + 1):
        names = [f"t{number}" for number in range(width - 1)]
        body = [
            node(f"f{level - 1}" if level else "Relu", [before], [after], domain="own" if level else "")
            for before, after in zip(["a", *names], [*names, "b"], strict=True)
        ]
        imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
        made.functions.append(helper.make_function("own", f"f{level}", ["a"], ["b"], body, imports))
    return made


REFUSED: tuple[tuple[str, bytes, str], ...] = (
    ("empty", b"", "is empty"),
    ("text", b"this is no network, it is only text that somebody wrote", "no ONNX file|truncated|damaged"),
    ("zeros", bytes(100), "damaged|no ONNX file"),
    ("no graph", helper.make_opsetid("", 20).SerializeToString(), "no ONNX file"),
    ("too old", _conv(opset=6).SerializeToString(), "has operator set 6; 7 and newer are read"),
    ("too new", _conv(opset=999).SerializeToString(), "has operator set 999, but onnx .* knows sets up to"),
    ("dangling", _changed(lambda made: made.graph.node[0].input.__setitem__(0, "nowhere")), r"node 0 \(Conv 'first'\): reads 'nowhere'"),
    ("circle", _changed(lambda made: made.graph.node[0].input.__setitem__(0, "y")), r"node 0 \(Conv 'first'\): reads 'y'"),
    ("made twice", _changed(lambda made: made.graph.node.append(made.graph.node[0])), "makes 'y', which exists already"),
    ("stored twice", _changed(lambda made: made.graph.initializer.append(made.graph.initializer[0])), "initializer 'w': stands twice"),
    ("no such output", _changed(lambda made: setattr(made.graph.output[0], "name", "z")), "output 'z': no node makes it"),
    ("negative weight", _changed(lambda made: made.graph.initializer[0].dims.__setitem__(0, -4)), "dimensions that no tensor has"),
    ("enormous weight", _changed(lambda made: made.graph.initializer[0].dims.__setitem__(0, 2**62)), "dimensions that no tensor has"),
    ("channels", _changed(lambda made: made.graph.initializer[0].dims.__setitem__(1, 7)), "first"),
    ("input of 0", model([node("Relu", ["x"], ["y"])], {"x": (1, 0)}, ["y"]).SerializeToString(), "input 'x': dimension 1 is 0"),
    ("enormous input", model([node("Relu", ["x"], ["y"])], {"x": (1, 2**60)}, ["y"]).SerializeToString(), "input 'x': dimension 1 is"),
    ("no shape", model([node("Relu", ["x"], ["y"])], {"x": None}, ["y"]).SerializeToString(), "input 'x': is no tensor with a stated number"),  # type: ignore[dict-item]  # that is the point
    ("no input", model([node("Relu", ["w"], ["y"])], {}, ["y"], {"w": (3,)}).SerializeToString(), "no input besides its weights"),
    ("control character", _changed(lambda made: made.graph.node[0].output.__setitem__(0, "\x1b[2J")), "control characters"),
    ("functions in a circle", _circle().SerializeToString(), "call each other in a circle"),
    ("functions of functions", _functions(12, 10).SerializeToString(), "its functions stand for 10000000000000 nodes"),
    ("deep nesting", _nested(25).SerializeToString(), "graphs are nested more than 16 deep"),
)


@pytest.mark.parametrize(("data", "message"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_refused_with_the_place(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(InvalidFileError, match=message) as caught:
        read_onnx(tmp_path / "net.onnx")
    assert str(tmp_path / "net.onnx") in str(caught.value)
    assert caught.value.exit_code == 4


def _names(graph: Any) -> list[tuple[str, str]]:
    return [(found.name, found.operator.name) for found in graph.nodes if isinstance(found.operator, Unknown)]


def test_what_is_unknown_is_listed_with_its_name_and_place(tmp_path: Path) -> None:
    nodes = [
        node("Magic", ["x"], ["a"], name="block/own", domain="com.example"),
        node("Einstein", ["a"], ["b"], name="block/future"),
        node("NonMaxSuppression", ["boxes", "scores"], ["c"], name="head/boxes"),
        node("Relu", ["c"], ["y"], name="head/after"),
    ]
    made = model(nodes, {"x": (1, 8), "boxes": (1, 9, 4), "scores": (1, 2, 9)}, ["b", "y"], extra=[("com.example", 1)])
    made.graph.value_info.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 8)) for name in "ab")
    graph = read_onnx(saved(made, tmp_path))
    assert _names(graph) == [
        ("block", "com.example::Magic"),
        ("block_1", "Einstein"),
        ("head", "NonMaxSuppression (sizes known only when it runs)"),
        ("head_1", "Relu (sizes known only when it runs)"),
    ]
    assert graph.nodes[0].outputs[0].shape == (1, 8)


def test_branches_and_loops_are_unknown_operators(tmp_path: Path) -> None:
    for depth in (0, 3):
        graph = read_onnx(saved(_nested(depth), tmp_path))
        assert _names(graph) == [("choice", "If")]
        assert graph["choice"].outputs[0].shape == (1, 3, 8, 8)


def test_external_data_is_never_opened(tmp_path: Path) -> None:
    made = _conv()
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for location in ("missing.bin", "data/of..weights.bin"):
        del weight.external_data[:]
        weight.external_data.add(key="location", value=location)
        assert read_onnx(saved(made, tmp_path)).parameters == 4 * 3 * 3 * 3
    for location in ("../../../../etc/passwd", "/dev/zero", "a/../../b", "..\\up.bin", "C:\\weights.bin", "\0", ""):
        del weight.external_data[:]
        weight.external_data.add(key="location", value=location)
        with pytest.raises(InvalidFileError, match=r"byte \d+: the weights of a tensor are said to lie in .*, outside the folder of the file"):
            read_onnx(saved(made, tmp_path))


def test_functions_that_stand_for_a_million_nodes_are_refused(tmp_path: Path) -> None:
    made = _conv()
    for number in range(20):
        calls = [node(f"f{number - 1}" if number else "Relu", [a], [b], domain="local" if number else "") for a, b in (("a", "b"), ("b", "c"))]
        made.functions.append(helper.make_function("local", f"f{number}", ["a"], ["c"], calls, list(made.opset_import)))
    made.graph.node.append(node("f19", [made.graph.output[0].name], ["last"], domain="local"))
    made.opset_import.add(domain="local", version=1)
    with pytest.raises(InvalidFileError, match="its functions stand for 1048577 nodes"):
        read_onnx(saved(made, tmp_path))


def test_a_gigabyte_that_is_only_declared_takes_no_memory(tmp_path: Path) -> None:
    made = model(
        [node("MatMul", ["x", "w"], ["a"]), node("ConstantOfShape", ["s"], ["b"]), node("Expand", ["x", "s"], ["c"]), node("Add", ["b", "c"], ["d"])],
        {"x": (1, 1)},
        ["a", "d"],
        {"w": (1, 1), "s": numpy.asarray([20000, 20000])},
    )
    made.graph.initializer[0].dims[:] = [1, 2**30]
    made.graph.initializer[0].ClearField("raw_data")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    graph = read_onnx(saved(made, tmp_path))
    assert graph.parameters == 2**30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_weights_are_skipped_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    path.write_bytes(model([node("MatMul", ["x", "w"], ["y"])], {"x": (1, 4000)}, ["y"], {"w": (4000, 20000)}).SerializeToString())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_onnx(path).macs == 4000 * 20000
    assert path.stat().st_size > 300_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    ("shape", "dims", "message"),
    [
        (("n", 3, "h", "w"), {}, r"dimension 2 of input 'x' is left open; give its size with --dim h=N .*and the same for w"),
        (("n", 3, None, 8), {}, r"give its size with --dim x\.2=N"),
        (("n", 3, "h", 8), {"h": 0}, "dimension 'h' must be at least 1, not 0"),
        ((1, 3, "h", 8), {"height": 8}, "unknown open dimension of .* 'height'"),
    ],
)
def test_open_dimensions_are_asked_for_by_name(shape: tuple[int | str | None, ...], dims: dict[str, int], message: str, tmp_path: Path) -> None:
    path = saved(model([node("Relu", ["x"], ["y"])], {"x": shape}, ["y"]), tmp_path)
    with pytest.raises((UsageError, UnknownNameError), match=message) as caught:
        read_onnx(path, dims=dims)
    assert caught.value.exit_code == 2


def test_open_dimensions_take_the_sizes_given(tmp_path: Path) -> None:
    path = saved(model([node("Conv", ["x", "w"], ["y"])], {"x": ("n", 3, "h", None)}, ["y"], {"w": (4, 3, 3, 3)}), tmp_path)
    graph = read_onnx(path, dims={"h": 10, "x.3": 12})
    assert graph.inputs["x"].shape == (1, 3, 10, 12)
    assert read_onnx(path, dims={"h": 10, "x.3": 12, "n": 4}).inputs["x"].shape == (4, 3, 10, 12)
    assert read_onnx(path, dims={"h": 10, "x.3": 12}, batch=7).macs == 7 * graph.macs


def test_a_batch_that_is_baked_into_a_file_cannot_be_changed(tmp_path: Path) -> None:
    nodes = [node("Reshape", ["x", "flat"], ["a"]), node("Gather", ["a", "places"], ["b"]), node("MatMul", ["b", "w"], ["y"])]
    weights = {"flat": numpy.asarray([-1]), "places": numpy.arange(12).reshape(2, 6), "w": (6, 4)}
    path = saved(model(nodes, {"x": (2, 6)}, ["y"], weights), tmp_path)
    graph = read_onnx(path)
    assert graph.macs == 2 * 6 * 4
    assert any("written for a batch of 2" in note for note in graph.notes)
    assert read_onnx(path, batch=2) == graph
    with pytest.raises(UsageError, match="is written for a batch of 2 in a way that fits no other: export it with an open batch"):
        read_onnx(path, batch=3)


def test_onnx_is_loaded_by_reading_alone() -> None:
    import subprocess
    import sys

    code = "import sys, costmodel; assert not {'onnx', 'torch', 'google.protobuf'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
