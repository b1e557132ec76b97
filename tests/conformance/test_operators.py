"""Every operator of the registry, unasked: shapes and MACs against torch, counts, parts, immutability, saving."""

from __future__ import annotations

import dataclasses
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import costmodel.ops
from costmodel.errors import ShapeError, UnknownNameError, UsageError
from costmodel.graph import GraphBuilder, load_graph
from costmodel.operator import FAMILIES, Example, Operator, find_operator, operator, operators
from costmodel.ops._shapes import broadcast
from costmodel.ops.arithmetic import Add, LayerScale
from costmodel.ops.blocks import ChannelShuffle, SpaceToDepth
from costmodel.ops.convolution import Conv2d, ConvTranspose2d, DepthwiseConv2d, GroupedConv2d
from costmodel.ops.layout import Concat, Flatten, Permute, Reshape, Slice, Split
from costmodel.ops.matmul import Linear, MatMul
from costmodel.ops.normalisation import GroupNorm
from costmodel.ops.padding import Pad
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, Mean
from costmodel.ops.resize import Resize
from costmodel.ops.stored import Embedding, ExpandBatch, Parameter
from costmodel.tensor import DType, TensorSpec

EXAMPLES = [pytest.param(example, id=f"{name}-{number}") for name, cls in sorted(operators().items()) for number, example in enumerate(cls.examples())]

COUNTS = ("m", "n", "k", "groups", "taps", "stride", "spatial", "elements_read", "elements_written", "parameters", "other_flops")
COUNTS += ("transcendentals", "error_functions", "macs", "flops")


@pytest.mark.parametrize("name", sorted(operators()))
def test_has_at_least_three_examples_and_a_docstring(name: str) -> None:
    cls = operators()[name]
    assert len(cls.examples()) >= 3
    assert cls.__doc__
    assert not cls.__doc__.startswith(f"{name}(")  # the signature that dataclass writes where there is no docstring


def test_families_are_the_files() -> None:
    folder = Path(costmodel.ops.__file__).parent
    assert sorted(FAMILIES) == sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


@pytest.mark.torch
@pytest.mark.parametrize("example", [case for case in EXAMPLES if not case.id.startswith("Unknown")])  # which torch cannot run
def test_shapes_dtypes_and_macs_equal_torch(example: Example, on_meta: Callable[..., Any]) -> None:
    outputs = example.operator.infer(*example.inputs)
    work = example.operator.work(example.inputs, outputs)
    assert on_meta(example.operator, example.inputs) == (outputs, 2 * work.macs)


@pytest.mark.parametrize("example", EXAMPLES)
def test_counts_are_whole_and_not_negative(example: Example) -> None:
    work = example.operator.work(example.inputs, example.operator.infer(*example.inputs))
    for name in COUNTS:
        value = getattr(work, name)
        assert type(value) is int, name
        assert value >= 0, name
    assert work.error_functions <= work.transcendentals <= work.other_flops


@pytest.mark.parametrize("example", EXAMPLES)
def test_parameter_shapes_hold_the_parameters_of_the_work(example: Example) -> None:
    work = example.operator.work(example.inputs, example.operator.infer(*example.inputs))
    assert sum(math.prod(shape) for shape in example.operator.parameters(*example.inputs).values()) == work.parameters


@pytest.mark.parametrize("example", EXAMPLES)
def test_parts_add_up_to_the_work(example: Example) -> None:
    outputs = example.operator.infer(*example.inputs)
    work = example.operator.work(example.inputs, outputs)
    parts = example.operator.parts(example.inputs, outputs)
    for name in ("macs", "other_flops", "parameters", "transcendentals"):
        assert sum(getattr(part.work, name) for part in parts) == getattr(work, name), name
    assert parts[-1].work.elements_written == work.elements_written
    assert len({part.suffix for part in parts}) == len(parts)
    assert {operand for part in parts for operand in part.operands} == set(range(len(example.inputs)))


@pytest.mark.parametrize("example", EXAMPLES)
def test_is_an_immutable_value(example: Example) -> None:
    made = example.operator
    field = next((field.name for field in dataclasses.fields(made)), "anything")
    with pytest.raises((AttributeError, TypeError)):
        setattr(made, field, None)
    assert pickle.loads(pickle.dumps(made)) == made
    assert hash(pickle.loads(pickle.dumps(made))) == hash(made)


@pytest.mark.parametrize("example", EXAMPLES)
def test_survives_a_saved_graph(example: Example, tmp_path: Path) -> None:
    builder = GraphBuilder("one")
    builder.input("batch", TensorSpec((1,)))  # for operators without inputs
    values = [builder.input(f"x{number}", spec) for number, spec in enumerate(example.inputs)]
    graph = builder.build(*builder.add_all(example.operator, *values))
    graph.save(tmp_path / "one.json")
    assert load_graph(tmp_path / "one.json") == graph


def test_a_second_operator_of_one_name_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'ReLU' is registered already, by costmodel.ops.elementwise"):
        operator(type("ReLU", (Operator,), {"__module__": __name__}))


def test_an_unknown_operator_has_close_matches() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown operator 'Conv2D'; did you mean .*Conv2d") as caught:
        find_operator("Conv2D")
    assert "Conv2d" in caught.value.matches


IMAGE, ROWS = TensorSpec((2, 12, 5, 7)), TensorSpec((2, 5, 8))
REFUSED: tuple[tuple[str, Operator, tuple[TensorSpec, ...], str], ...] = (
    ("too many inputs", Conv2d(8), (IMAGE, IMAGE), "takes 1 input, not 2"),
    ("too few inputs", Add(), (IMAGE,), "takes 2 inputs, not 1"),
    ("rank", Conv2d(8), (ROWS,), "must have 4 dimensions, not 3"),
    ("window larger than image", Conv2d(8, (7, 7), padding="valid"), (IMAGE,), "image of 5x7 .padded 5x7. is smaller than the window of 7x7"),
    ("dilated window", DepthwiseConv2d((3, 3), padding="valid", dilation=(3, 3)), (IMAGE,), "smaller than the window of 7x7"),
    ("pool", MaxPool2d((8, 8)), (IMAGE,), "smaller than the window of 8x8: use a larger resolution"),
    ("groups", GroupedConv2d(10, 5), (IMAGE,), "5 groups do not divide 12 input and 10 output channels"),
    ("transposed groups", ConvTranspose2d(10, groups=4), (IMAGE,), "4 groups do not divide"),
    ("transposed padding", ConvTranspose2d(4, (1, 1), (1, 1), (3, 3)), (IMAGE,), "leaves no output"),
    ("stride 0", Conv2d(8, (3, 3), (0, 1)), (IMAGE,), "at least 1"),
    ("kernel 0", AvgPool2d((0, 2)), (IMAGE,), "at least 1"),
    ("negative padding", Conv2d(8, (3, 3), (1, 1), (1, 1, -1, 1)), (IMAGE,), "must not be negative"),
    ("broadcast", Add(), (IMAGE, TensorSpec((2, 3, 5, 7))), "do not broadcast: 12 against 3"),
    ("axis", LayerScale(4), (IMAGE,), "axis 4 does not exist in 4 dimensions"),
    ("concat", Concat(1), (IMAGE, TensorSpec((2, 12, 6, 7))), "differ outside axis 1"),
    ("concat of nothing", Concat(1), (), "at least one input"),
    ("split", Split((6, 5)), (IMAGE,), "do not make up 12"),
    ("slice", Slice(4, 0, 1), (IMAGE,), "axis 4 must lie between 0 and 3"),
    ("empty slice", Slice(1, 5, 5), (IMAGE,), "selects nothing of 12"),
    ("squeeze", Slice(1, 0, 2, squeeze=True), (IMAGE,), "only an axis of length 1"),
    ("crop of everything", Pad((-3, -2, 0, 0)), (IMAGE,), "leaves nothing of 5x7"),
    ("reshape", Reshape((9,)), (IMAGE,), "840 elements do not fill"),
    ("flatten", Flatten(0), (IMAGE,), "cannot flatten from dimension 0"),
    ("permute", Permute((0, 1, 1)), (ROWS,), "is not an order of 3 dimensions"),
    ("shuffle", ChannelShuffle(5), (IMAGE,), "5 groups do not divide 12 channels"),
    ("blocks", SpaceToDepth(2), (IMAGE,), "blocks of 2 do not divide 5x7"),
    ("parameter with input", Parameter((1, 8)), (ROWS,), "takes no input"),
    ("expand", ExpandBatch(), (ROWS, IMAGE), "dimension 0 is 1"),
    ("indices", Embedding(10, 4), (ROWS,), "integer indices"),
    ("matmul", MatMul(), (ROWS, ROWS), "inner dimensions differ: 8 against 5"),
    ("matmul batch", MatMul(), (TensorSpec((2, 4, 5)), TensorSpec((3, 5, 4))), "do not broadcast"),
    ("linear", Linear(4), (TensorSpec(()),), "at least one dimension"),
    ("group norm", GroupNorm(5), (IMAGE,), "5 groups do not divide"),
    ("adaptive", AdaptiveAvgPool2d((0, 1)), (IMAGE,), "at least 1x1"),
    ("mean", Mean((4,)), (IMAGE,), "do not exist in 4 dimensions"),
    ("resize", Resize(0.1), (IMAGE,), "leaves nothing"),
)


@pytest.mark.parametrize(("made", "inputs", "message"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_refuses_shapes_that_it_cannot_take(made: Operator, inputs: tuple[TensorSpec, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        made.infer(*inputs)


@pytest.mark.torch
@pytest.mark.parametrize("first", list(DType))
@pytest.mark.parametrize("second", list(DType))
def test_mixed_types_promote_as_in_torch(first: DType, second: DType, torch_types: dict[DType, Any]) -> None:
    import torch

    expected = torch.promote_types(torch_types[first], torch_types[second])
    for shape in ((3, 4), (1, 4)):
        assert torch_types[broadcast(TensorSpec((3, 4), first), TensorSpec(shape, second)).dtype] is expected
