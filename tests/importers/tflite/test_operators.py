"""Every operator, alone in a file: LiteRT computes what torch does, and the file gives the operator back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from costmodel import reference
from costmodel.errors import CostModelError, UsageError
from costmodel.graph import Graph, GraphBuilder
from costmodel.importers.tflite import read_tflite, write_tflite
from costmodel.importers.tflite._vocabulary import EMITTERS
from costmodel.operator import Example, operators
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import ConvTranspose2d
from costmodel.ops.elementwise import ELU
from costmodel.ops.layout import Cast, Slice
from costmodel.ops.normalisation import LocalResponseNorm
from costmodel.ops.pooling import MaxPoolIndices2d, MaxUnpool2d
from costmodel.reference._execute import random_inputs
from costmodel.tensor import DType, TensorSpec
from tests.importers.tflite.litert import largest_error, varied_weights

pytestmark = pytest.mark.torch

#: Operators that no built-in one stands for, with what the refusal says.
REFUSED = {
    "Conv3d": "volumes",
    "ConvTranspose3d": "volumes",
    "Einsum": "an equation",
    "FoldPatches": "adds windows up",
    "Gather": "each element along one axis",
    "GRU": "no built-in gated recurrent unit",
    "MaxUnpool2d": "its indices must come from a maximum pool",
    "NonMaxSuppression": "boxes of maps: end the network before it",
    "OperandConv2d": "filters that are computed",
    "Overwrite": "writes to part",
    "RNN": "simple recurrent networks",
    "Patches": "windows out as columns",
    "Triangle": "a triangle of a matrix",
    "Unknown": "not known what it computes",
    "Windows": "a view of windows",
}
#: Single examples without a built-in form.
REFUSED_EXAMPLES = {("ConvTranspose2d", 2), ("Function", 3), ("Index", 1), ("ScaledDotProductAttention", 3), ("ScaledDotProductAttention", 4)}
#: Largest error of an operator in 8 bits, over its output's largest magnitude; half a step of 255 is 0.002.
INT8_ERROR = 0.06
#: Half precision stays float32 in a file: what rounding to 11 bits may make.
HALF_ERROR = 2**-11
#: Quotients by normal numbers have no range that 8 bits could resolve; equal maxima in 8 bits have another first place.
NOT_IN_8_BITS = {"Divide", "MaxPoolIndices2d"}


def alone(example: Example) -> Graph:
    """A network of one operator; a learned tensor is added to an input."""
    operator = example.operator
    builder = GraphBuilder(type(operator).__name__.lower())
    inputs = [builder.input(f"x{position}", spec) for position, spec in enumerate(example.inputs)]
    if inputs:
        return builder.build(*builder.add_all(operator, *inputs))
    return builder.build(builder.add(Add(), builder.input("x", operator.infer()[0]), builder.add(operator)))


EXAMPLES = [(name, number) for name, kind in operators().items() for number in range(len(kind.examples()))]


def test_the_vocabulary_is_complete() -> None:
    assert set(operators()) - set(EMITTERS) == set()


@pytest.mark.parametrize(("name", "number"), [example for example in EXAMPLES if example[0] not in REFUSED and example not in REFUSED_EXAMPLES])
def test_litert_agrees_and_the_graph_comes_back(name: str, number: int, tmp_path: Path) -> None:
    example = operators()[name].examples()[number]
    graph, path = alone(example), tmp_path / "one.tflite"
    weights, inputs = varied_weights(graph), random_inputs(graph, seed=3)
    write_tflite(graph, path, weights=weights)
    assert largest_error(path, graph, inputs, weights) < (HALF_ERROR if example.operator == Cast(DType.FP16) else 1e-5)
    assert read_tflite(path) == graph
    write_tflite(graph, path, weights=weights, metadata=False)
    foreign = read_tflite(path)
    assert foreign.macs == graph.macs
    assert [spec.numel for spec in foreign.inputs.values()] == [spec.numel for spec in graph.inputs.values()]
    write_tflite(graph, path, weights=weights, inputs=inputs, dtype="int8")
    if name not in NOT_IN_8_BITS:
        assert largest_error(path, graph, inputs, weights) < INT8_ERROR
    assert dataclasses.replace(read_tflite(path), precision="") == graph


@pytest.mark.parametrize(("name", "number"), sorted(REFUSED_EXAMPLES))
def test_examples_without_a_built_in_form_are_refused(name: str, number: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"\({name}\) cannot be written as TFLite: "):
        write_tflite(alone(operators()[name].examples()[number]), tmp_path / "one.tflite")


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_built_in_form_is_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"{name.lower()}: .*\({name}\) cannot be written as TFLite: .*{REFUSED[name]}"):
        write_tflite(alone(operators()[name].examples()[0]), tmp_path / "one.tflite")


@pytest.mark.parametrize(
    ("pool", "stride"),
    [(MaxPoolIndices2d(), (2, 2)), (MaxPoolIndices2d((3, 3), (2, 2), (1, 1, 1, 1)), (2, 2)), (MaxPoolIndices2d((3, 3), (1, 1), (1, 1, 1, 1)), (1, 1))],
)
def test_what_a_pool_found_is_put_back(pool: MaxPoolIndices2d, stride: tuple[int, int], tmp_path: Path) -> None:
    builder = GraphBuilder("places")
    image, values = builder.input("image", TensorSpec((2, 3, 8, 12))), builder.input("values", pool.infer(TensorSpec((2, 3, 8, 12)))[0])
    largest, places = builder.add_all(pool, image)
    graph, path = builder.build(builder.add(MaxUnpool2d(stride), values, places), largest), tmp_path / "net.tflite"
    inputs = random_inputs(graph)
    write_tflite(graph, path)
    assert largest_error(path, graph, inputs, {}) < 1e-6
    inputs[0].clamp_(min=0)  # equal maxima: the first place counts
    assert largest_error(path, graph, inputs, {}) < 1e-6
    assert read_tflite(path) == graph


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        (ELU(0.5), "alpha 0.5: the built-in ELU has alpha 1"),
        (LocalResponseNorm(4), "a window of 4 channels"),
        (ConvTranspose2d(4, groups=2), "2 groups"),
        (Slice(1, 3, 0, -1), "a step of -1"),
    ],
)
def test_attributes_without_a_built_in_form_are_refused(operator: object, reason: str, tmp_path: Path) -> None:
    graph = alone(Example(operator, (TensorSpec((1, 4, 6, 6)),)))  # type: ignore[arg-type]  # operators
    with pytest.raises(UsageError, match=reason):
        write_tflite(graph, tmp_path / "one.tflite")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    graph = alone(operators()["Linear"].examples()[0])
    weights = reference.random_weights(graph)
    weights["linear"]["weight"] = weights["linear"]["weight"][:, :3]
    with pytest.raises(UsageError, match=r"linear needs weight of shape \(10, 7\), not \(10, 3\)"):
        write_tflite(graph, tmp_path / "one.tflite", weights=weights)
    with pytest.raises(UsageError, match=r"linear needs weight of shape .* not nothing"):
        write_tflite(graph, tmp_path / "one.tflite", weights={})
    with pytest.raises(UsageError, match=r"linear takes x0 \(3, 7\), not \(3, 8\)"):
        write_tflite(graph, tmp_path / "one.tflite", dtype="int8", inputs=[torch.zeros(3, 8)])
    with pytest.raises(UsageError, match="holds infinities or no numbers"):
        write_tflite(graph, tmp_path / "one.tflite", dtype="int8", inputs=[torch.full((3, 7), float("inf"))])
    with pytest.raises(CostModelError, match=r"one\.tflite: cannot be written") as refused:
        write_tflite(graph, tmp_path / "nowhere" / "one.tflite")
    assert refused.value.exit_code == 1
    with pytest.raises(UsageError, match="written in fp32 or int8, not 'fp16'"):
        write_tflite(graph, tmp_path / "one.tflite", dtype="fp16")  # type: ignore[arg-type]  # wrong on purpose
