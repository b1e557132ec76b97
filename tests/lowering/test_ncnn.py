"""ncnn's rules: what joins a layer with weights, what copies, what is called piece by piece."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from costmodel.kernel import Program
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add
from costmodel.ops.attention import ScaledDotProductAttention
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import GELU, HardSwish, LeakyReLU, ReLU6, Sigmoid, SiLU
from costmodel.ops.layout import Dropout, Flatten, Split
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm, LocalResponseNorm
from costmodel.ops.pooling import MaxPool2d
from costmodel.ops.stored import Parameter
from costmodel.tensor import DType
from costmodel.work import WorkKind

Lowered = Callable[..., Program]
IMAGE = (1, 4, 8, 8)
CONV = ("conv", Conv2d(4, (1, 1)), "x")
PADDED = ("conv", Conv2d(4, (3, 3), (1, 1), (1, 1, 1, 1)), "x")


@pytest.mark.parametrize("activation", [ReLU6(), LeakyReLU(0.1), Sigmoid(), HardSwish()])
def test_nonlinearities_that_layers_know_join_them(lowered: Lowered, activation: Operator) -> None:
    program = lowered("ncnn", CONV, ("norm", BatchNorm(), "conv"), ("act", activation, "norm"), x=IMAGE)
    assert [kernel.operators for kernel in program.kernels] == [("conv", "norm", "act")]


@pytest.mark.parametrize("activation", [SiLU(), GELU()])
def test_others_stay_layers(lowered: Lowered, activation: Operator) -> None:
    program = lowered("ncnn", CONV, ("act", activation, "conv"), x=IMAGE)
    assert [kernel.kind for kernel in program.kernels] == [WorkKind.POINTWISE, WorkKind.ELEMENTWISE]


def test_a_padded_window_reads_a_copy_with_a_border(lowered: Lowered) -> None:
    program = lowered("ncnn", PADDED, x=IMAGE)
    assert [kernel.kind for kernel in program.kernels] == [WorkKind.PAD, WorkKind.CONVOLUTION]
    assert program.kernels[0].write_bytes == 4 * 4 * 10 * 10


def test_cut_channels_are_copied_and_flattening_is_not(lowered: Lowered) -> None:
    program = lowered("ncnn", ("drop", Dropout(), "x"), ("halves", Split((2, 2)), "drop"), ("flat", Flatten(), "halves:1"), x=IMAGE)
    assert [kernel.kind for kernel in program.kernels] == [WorkKind.COPY]


def test_attention_is_called_piece_by_piece(lowered: Lowered) -> None:
    program = lowered("ncnn", ("attention", ScaledDotProductAttention(), "q k v"), q=(1, 2, 5, 8), k=(1, 2, 5, 8), v=(1, 2, 5, 8))
    assert [kernel.kind for kernel in program.kernels].count(WorkKind.MATMUL) == 2
    assert WorkKind.SOFTMAX in {kernel.kind for kernel in program.kernels}


WIDER = ("wider", Conv2d(8, (1, 1)), "conv")

# operators, names of the casts that int8 adds
QUANTISED = (
    pytest.param([CONV, WIDER], ["conv/quantise"], id="the image, and nothing between two convolutions"),
    pytest.param([CONV, ("act", ReLU6(), "conv"), ("wider", Conv2d(8, (1, 1)), "act")], ["conv/quantise"], id="nor after what joins the first"),
    pytest.param([CONV, ("act", GELU(), "conv"), ("wider", Conv2d(8, (1, 1)), "act")], ["conv/quantise", "wider/quantise"], id="what a layer between wrote"),
    pytest.param(
        [CONV, WIDER, ("other", Conv2d(8, (1, 1)), "conv"), ("sum", Add(), "wider other"), ("last", Conv2d(4, (1, 1)), "sum")],
        ["conv/quantise", "last/quantise"],
        id="a branch that two convolutions read is quantised once, a sum of two again",
    ),
    pytest.param([CONV, WIDER, ("halves", Split((2, 2)), "conv")], ["conv/quantise", "wider/quantise"], id="what somebody else reads in floating point"),
)


@pytest.mark.parametrize(("lines", "casts"), QUANTISED)
def test_int8_layers_quantise_what_is_not_int8_yet(lowered: Lowered, lines: list[tuple[str, Operator, str]], casts: list[str]) -> None:
    program = lowered("ncnn", *lines, dtype="int8", x=IMAGE)
    assert [kernel.name for kernel in program.kernels if kernel.kind is WorkKind.CAST] == casts
    assert not [kernel for kernel in lowered("ncnn", *lines, x=IMAGE).kernels if kernel.kind is WorkKind.CAST]


def test_what_is_quantised_is_padded_afterwards(lowered: Lowered) -> None:
    program = lowered("ncnn", PADDED, dtype="int8", x=IMAGE)
    assert [kernel.kind for kernel in program.kernels] == [WorkKind.CAST, WorkKind.PAD, WorkKind.CONVOLUTION]
    assert program.kernels[0].works[0].elements_written == 4 * 8 * 8


def test_a_nonlinearity_runs_over_what_is_dequantised(lowered: Lowered) -> None:
    """After the last convolution, whose results are floating point; the first one's are requantised with it."""
    lines = [CONV, ("act", ReLU6(), "conv"), ("wider", Conv2d(8, (1, 1)), "act"), ("last", ReLU6(), "wider")]
    assert [kernel.operators for kernel in lowered("ncnn", *lines, dtype="int8", x=IMAGE).kernels] == [("conv",), ("conv", "act"), ("wider",), ("last",)]
    assert [kernel.operators for kernel in lowered("ncnn", *lines, x=IMAGE).kernels] == [("conv", "act"), ("wider", "last")]


def test_a_fully_connected_layer_applies_it_in_passing(lowered: Lowered) -> None:
    program = lowered("ncnn", ("flat", Flatten(), "x"), ("line", Linear(3), "flat"), ("act", ReLU6(), "line"), dtype="int8", x=IMAGE)
    assert [kernel.operators for kernel in program.kernels] == [("line",), ("line", "act")]


def test_early_builds_keep_floating_point_between_layers(lowered: Lowered) -> None:
    """int8 of 2020: every convolution quantises what it reads and writes fp32, on which a nonlinearity is a kernel; and fully connected layers are fp32."""
    lines = [PADDED, ("act", ReLU6(), "conv"), ("wider", Conv2d(8, (1, 1)), "act"), ("flat", Flatten(), "wider"), ("line", Linear(3), "flat")]
    program = lowered("ncnn-2020", *lines, ("last", ReLU6(), "line"), dtype="int8", x=IMAGE)
    elements = 4 * 8 * 8
    assert [
        (kernel.name, str(kernel.dtype), kernel.read_bytes, kernel.write_bytes, kernel.weight_bytes - kernel.vector_bytes) for kernel in program.kernels
    ] == [
        ("conv/quantise", "int8", 4 * elements, elements, 0),
        ("conv/pad", "int8", elements, 400, 0),
        ("conv", "int8", 400, 4 * elements, 4 * 4 * 9),
        ("act", "fp32", 4 * elements, 4 * elements, 0),
        ("wider/quantise", "int8", 4 * elements, elements, 0),
        ("wider", "int8", elements, 8 * elements, 4 * 8),
        ("line", "fp32", 8 * elements, 4 * 3, 4 * 3 * 2 * elements),
        ("last", "fp32", 4 * 3, 4 * 3, 0),
    ]


def test_parameters_of_early_builds_are_read_as_kernels_count_them(lowered: Lowered) -> None:
    program = lowered("ncnn-2020", ("positions", Parameter(IMAGE), ""), ("sum", Add(), "x positions"), dtype="int8", x=IMAGE)
    assert [kernel.weight_bytes for kernel in program.kernels] == [4 * 4 * 8 * 8]
    assert [weights.readers for weights in program.weights] == [((0, 4 * 4 * 8 * 8),)]


def test_early_builds_differ_in_int8_alone(lowered: Lowered) -> None:
    lines = [PADDED, ("act", ReLU6(), "conv"), ("wider", Conv2d(8, (1, 1)), "act")]
    for dtype in ("fp32", "fp16"):
        assert lowered("ncnn-2020", *lines, dtype=dtype, x=IMAGE).kernels == lowered("ncnn", *lines, dtype=dtype, x=IMAGE).kernels


def test_windows_of_what_is_not_quantised_are_padded_in_floating_point(lowered: Lowered) -> None:
    program = lowered("ncnn-2020", ("pool", MaxPool2d((3, 3), (1, 1), (1, 1, 1, 1)), "x"), dtype="int8", x=IMAGE)
    assert [(kernel.kind, kernel.dtype, kernel.write_bytes) for kernel in program.kernels] == [
        (WorkKind.PAD, DType.FP32, 4 * 400),
        (WorkKind.POOLING, DType.FP32, 4 * 4 * 8 * 8),
    ]


def test_what_knows_no_fp16_computes_in_fp32_between_casts(lowered: Lowered) -> None:
    lines = [CONV, ("norm", LocalResponseNorm(5, 1e-4, 0.75, 1.0), "conv"), ("act", ReLU6(), "norm")]
    program = lowered("ncnn", *lines, dtype="fp16", x=IMAGE)
    assert [(kernel.name, kernel.kind, kernel.dtype) for kernel in program.kernels[1:]] == [
        ("norm/widen", WorkKind.CAST, DType.FP16),
        ("norm", WorkKind.NORMALISATION, DType.FP32),
        ("norm/narrow", WorkKind.CAST, DType.FP16),
        ("act", WorkKind.ELEMENTWISE, DType.FP16),
    ]
    elements = 4 * 8 * 8
    assert [(kernel.read_bytes, kernel.write_bytes) for kernel in program.kernels[1:4]] == [
        (2 * elements, 4 * elements),
        (4 * elements, 4 * elements),
        (4 * elements, 2 * elements),
    ]
    assert [kernel.name for kernel in lowered("ncnn", *lines, x=IMAGE).kernels] == ["conv", "norm", "act"]
