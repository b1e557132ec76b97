"""What each runtime makes of small graphs: which operators share a kernel, and every byte as reads + writes + weights.

x and r are images of 4 channels and 8x8 positions: 256 elements. `conv` gives 8 channels: 512 elements, 8*4*9 weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from costmodel.graph import Graph, GraphBuilder
from costmodel.kernel import Program
from costmodel.lowering import RuleSet, lower, rule_set, rule_sets
from costmodel.lowering._rules import Delegate
from costmodel.operator import Operator, operators
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.attention import ScaledDotProductAttention, Softmax
from costmodel.ops.convolution import Conv2d, ConvTranspose2d, DepthwiseConv2d
from costmodel.ops.elementwise import GELU, HardSigmoid, HardSwish, PReLU, ReLU, ReLU6, Sigmoid, SiLU
from costmodel.ops.layout import Concat, Dropout, Flatten, Permute, Reshape, Slice, Split
from costmodel.ops.matmul import Linear, MatMul
from costmodel.ops.normalisation import BatchNorm, LayerNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d, MaxPool2d
from costmodel.ops.stored import Embedding, Parameter
from costmodel.tensor import DType, TensorSpec
from costmodel.work import WorkKind

IMAGE = (1, 4, 8, 8)
X, Y, WEIGHTS = 256, 512, 8 * 4 * 9
CONV = ("conv", Conv2d(8, (3, 3)), "x")
SAME_CHANNELS = ("conv", Conv2d(4, (3, 3)), "x")
Lowered = Callable[..., Program]


def grouped(program: Program) -> list[tuple[str, ...]]:
    """The operators of each kernel."""
    return [kernel.operators for kernel in program.kernels]


def traffic(program: Program) -> list[tuple[int, int, int]]:
    """(bytes read, written, of weights) of each kernel."""
    return [(kernel.read_bytes, kernel.write_bytes, kernel.weight_bytes) for kernel in program.kernels]


@pytest.mark.parametrize(("dtype", "size", "bias_size"), [("fp32", 4, 4), ("fp16", 2, 2), ("int8", 1, 4)])
@pytest.mark.parametrize("rules", ["tflite", "tflite-gpu", "edgetpu"])
def test_conv_norm_relu_is_one_kernel_with_a_folded_bias(lowered: Lowered, rules: str, dtype: str, size: int, bias_size: int) -> None:
    program = lowered(rules, CONV, ("norm", BatchNorm(), "conv"), ("relu", ReLU(), "norm"), dtype=dtype, x=IMAGE)
    assert grouped(program) == [("conv", "norm", "relu")]
    assert traffic(program) == [(size * X, size * Y, size * WEIGHTS + bias_size * 8)]
    assert program.stored_weight_bytes == size * WEIGHTS + bias_size * 8
    assert program.kernels[0].traffic_bytes == size * (X + Y + WEIGHTS) + bias_size * 8
    assert program.kernels[0].kind is WorkKind.CONVOLUTION


def test_silu_on_a_phone_cpu_is_two_kernels_and_five_passes(lowered: Lowered) -> None:
    program = lowered("tflite", CONV, ("silu", SiLU(), "conv"), x=IMAGE)
    assert [kernel.name for kernel in program.kernels] == ["conv", "silu/sigmoid", "silu/multiply"]
    passes = traffic(program)[1:]
    assert passes == [(4 * Y, 4 * Y, 0), (2 * 4 * Y, 4 * Y, 0)]
    assert sum(read + written for read, written, _ in passes) == 5 * 4 * Y


def test_hard_sigmoid_on_a_phone_cpu_is_an_addition_and_a_multiplication(lowered: Lowered) -> None:
    program = lowered("tflite", ("gate", HardSigmoid(), "x"), x=IMAGE)
    assert [kernel.name for kernel in program.kernels] == ["gate/add_clamp", "gate/multiply"]
    assert traffic(program) == [(4 * X, 4 * X, 0)] * 2


def test_a_norm_before_its_convolution_is_a_multiplication_and_an_addition_with_relu(lowered: Lowered) -> None:
    program = lowered("tflite", ("norm", BatchNorm(), "x"), ("relu", ReLU(), "norm"), ("conv", Conv2d(8, (3, 3)), "relu"), x=IMAGE)
    assert [kernel.name for kernel in program.kernels] == ["norm/multiply", "norm/add", "conv"]
    assert grouped(program)[1] == ("norm", "relu")
    assert traffic(program) == [(4 * X, 4 * X, 4 * 4), (4 * X, 4 * X, 4 * 4), (4 * X, 4 * Y, 4 * WEIGHTS)]


RESIDUAL = (SAME_CHANNELS, ("norm", BatchNorm(), "conv"), ("add", Add(), "norm r"), ("relu", ReLU(), "add"))
SQUARE = 4 * 4 * 9  # weights of four channels to four


def test_a_residual_is_a_kernel_of_its_own_on_a_phone_cpu_and_takes_the_relu(lowered: Lowered) -> None:
    program = lowered("tflite", *RESIDUAL, x=IMAGE, r=IMAGE)
    assert grouped(program) == [("conv", "norm"), ("add", "relu")]
    assert traffic(program) == [(4 * X, 4 * X, 4 * (SQUARE + 4)), (4 * 2 * X, 4 * X, 0)]


def test_a_residual_joins_the_convolution_on_a_phone_gpu(lowered: Lowered) -> None:
    program = lowered("tflite-gpu", *RESIDUAL, x=IMAGE, r=IMAGE)
    assert grouped(program) == [("conv", "norm", "add", "relu")]
    assert traffic(program) == [(4 * (X + X), 4 * X, 4 * (SQUARE + 4))]


def test_the_shortcut_is_read_once_where_the_convolution_reads_it_too(lowered: Lowered) -> None:
    program = lowered("tflite-gpu", SAME_CHANNELS, ("add", Add(), "conv x"), x=IMAGE)
    assert traffic(program) == [(4 * X, 4 * X, 4 * SQUARE)]


@pytest.mark.parametrize("rules", ["tflite", "tflite-gpu"])
def test_a_scale_for_each_channel_is_never_fused(lowered: Lowered, rules: str) -> None:
    program = lowered(rules, SAME_CHANNELS, ("gate", Sigmoid(), "s"), ("scale", Multiply(), "conv gate"), x=IMAGE, s=(1, 4, 1, 1))
    assert grouped(program) == [("conv",), ("gate",), ("scale",)]
    assert traffic(program)[2] == (4 * (X + 4), 4 * X, 0)


@pytest.mark.parametrize("rules", ["tflite", "tflite-gpu"])
def test_nothing_joins_a_kernel_whose_result_somebody_else_reads(lowered: Lowered, rules: str) -> None:
    twice = lowered(rules, SAME_CHANNELS, ("relu", ReLU(), "conv"), ("pool", MaxPool2d(), "conv"), also=("relu",), x=IMAGE)
    assert grouped(twice) == [("conv",), ("relu",), ("pool",)]
    output = lowered(rules, SAME_CHANNELS, ("relu", ReLU(), "conv"), also=("conv",), x=IMAGE)
    assert grouped(output) == [("conv",), ("relu",)]
    norm = lowered(rules, SAME_CHANNELS, ("norm", BatchNorm(), "conv"), also=("conv",), x=IMAGE)
    assert norm.kernels[0].operators == ("conv",)


def test_a_slope_that_joins_a_folded_convolution_keeps_its_weights(lowered: Lowered) -> None:
    program = lowered("tflite-gpu", SAME_CHANNELS, ("norm", BatchNorm(), "conv"), ("prelu", PReLU(), "norm"), x=IMAGE)
    assert traffic(program) == [(4 * X, 4 * X, 4 * (SQUARE + 4 + 4))]  # bias and slopes
    assert program.stored_weight_bytes == 4 * (SQUARE + 4 + 4)


def test_a_norm_after_a_sum_is_fused_but_not_folded(lowered: Lowered) -> None:
    program = lowered("tflite-gpu", SAME_CHANNELS, ("add", Add(), "conv r"), ("norm", BatchNorm(), "add"), x=IMAGE, r=IMAGE)
    assert grouped(program) == [("conv", "add", "norm")]
    assert traffic(program) == [(4 * 2 * X, 4 * X, 4 * (SQUARE + 2 * 4))]  # scale and shift, no bias


ATTENTION = ("attention", ScaledDotProductAttention(), "q k v")


@pytest.mark.parametrize("rules", ["tflite", "tflite-gpu"])
def test_attention_on_a_phone_is_two_products_a_scale_and_a_softmax(lowered: Lowered, rules: str) -> None:
    q = 2 * 5 * 8  # heads x positions x width, as k and v
    scores = 2 * 5 * 5
    program = lowered(rules, ATTENTION, q=(1, 2, 5, 8), k=(1, 2, 5, 8), v=(1, 2, 5, 8))
    assert [kernel.name.partition("/")[2] for kernel in program.kernels] == ["query_key", "scale", "softmax", "value"]
    assert [kernel.kind for kernel in program.kernels] == [WorkKind.MATMUL, WorkKind.ELEMENTWISE, WorkKind.SOFTMAX, WorkKind.MATMUL]
    assert traffic(program) == [(4 * 2 * q, 4 * scores, 0), (4 * scores, 4 * scores, 0), (4 * scores, 4 * scores, 0), (4 * (scores + q), 4 * q, 0)]


# explicit padding: TFLite's schema knows SAME and VALID; ports of torch networks pad by an operator of their own

SYMMETRIC = (1, 1, 1, 1)
PADDINGS = (
    # padding, stride, image side, PAD under tflite, PAD under tflite-padded, side after padding
    ("same", 1, 8, False, True, 10),
    ("same", 2, 8, False, True, 9),  # TensorFlow adds one row at the end
    ("same", 2, 7, False, True, 9),
    ("valid", 1, 8, False, False, 8),
    (SYMMETRIC, 1, 8, False, True, 10),  # equals SAME
    (SYMMETRIC, 2, 8, True, True, 10),  # does not: SAME would be (0, 1)
    (SYMMETRIC, 2, 7, False, True, 9),  # equals SAME at odd sizes
    ((0, 2, 0, 2), 1, 8, True, True, 10),
)


@pytest.mark.parametrize(("padding", "stride", "side", "plain", "ported", "padded"), PADDINGS)
@pytest.mark.parametrize(
    ("made", "weights"), [(lambda *a: Conv2d(4, (3, 3), *a), SQUARE), (lambda *a: DepthwiseConv2d((3, 3), *a), 4 * 9), (lambda *a: MaxPool2d((3, 3), *a), 0)]
)
def test_where_a_pad_runs_before_a_window(
    lowered: Lowered,
    made: Callable[..., Operator],
    weights: int,
    padding: str | tuple[int, ...],
    stride: int,
    side: int,
    plain: bool,
    ported: bool,
    padded: int,
) -> None:
    line = ("window", made((stride, stride), padding), "x")
    for rules, pads in (("tflite", plain), ("tflite-padded", ported), ("tflite-gpu", False)):
        program = lowered(rules, line, x=(1, 4, side, side))
        window = program.kernels[-1]
        assert [kernel.name for kernel in program.kernels] == (["window/pad", "window"] if pads else ["window"])
        assert window.read_bytes == 4 * 4 * (padded**2 if pads else side**2)
        assert window.weight_bytes == 4 * weights
        if pads:
            assert traffic(program)[0] == (4 * 4 * side**2, 4 * 4 * padded**2, 0)
            assert program.kernels[0].kind is WorkKind.PAD


def test_a_transposed_convolution_never_pads(lowered: Lowered) -> None:
    program = lowered("tflite-padded", ("up", ConvTranspose2d(4, (3, 3), (2, 2), (1, 1)), "x"), x=IMAGE)
    assert grouped(program) == [("up",)]


# the Edge TPU: one subgraph is delegated


def test_what_needs_an_unsupported_operator_stays_on_the_host(lowered: Lowered) -> None:
    lines = (SAME_CHANNELS, ("relu", ReLU(), "conv"), ("gelu", GELU(), "relu"), ("conv2", Conv2d(4), "gelu"), ("relu2", ReLU(), "conv2"))
    program = lowered("edgetpu", *lines, dtype="int8", x=IMAGE)
    assert [(kernel.operators, kernel.partition) for kernel in program.kernels] == [
        (("conv", "relu"), "edgetpu"),
        (("gelu",), "host"),
        (("conv2", "relu2"), "host"),
    ]


def test_the_order_in_which_branches_are_listed_does_not_move_the_border(lowered: Lowered) -> None:
    # failed before: everything listed after the first unsupported operator ran on the host
    conv, relu, gelu, add = SAME_CHANNELS, ("relu", ReLU(), "conv"), ("gelu", GELU(), "x"), ("add", Add(), "relu gelu")
    for lines in ((conv, relu, gelu, add), (conv, gelu, relu, add), (gelu, conv, relu, add)):
        program = lowered("edgetpu", *lines, dtype="int8", x=IMAGE)
        assert [(kernel.operators, kernel.partition) for kernel in program.kernels] == [
            (("conv", "relu"), "edgetpu"),
            (("gelu",), "host"),
            (("add",), "host"),
        ]


def test_a_kernel_never_spans_the_delegate_and_the_host(graph_of: Callable[..., Graph]) -> None:
    rules = RuleSet(name="half", source="", rules=(*rule_set("tflite").rules, Delegate(operators=frozenset({"Conv2d"}), partition="npu", reason="")))
    program = lower(graph_of(SAME_CHANNELS, ("relu", ReLU(), "conv"), x=IMAGE), rules, "int8")
    assert [(kernel.operators, kernel.partition) for kernel in program.kernels] == [(("conv",), "npu"), (("relu",), "host")]


def test_a_supported_network_runs_on_the_delegate_alone(lowered: Lowered) -> None:
    program = lowered("edgetpu", CONV, ("relu", ReLU6(), "conv"), ("drop", Dropout(), "relu"), ("pool", AdaptiveAvgPool2d(), "drop"), dtype="int8", x=IMAGE)
    assert {kernel.partition for kernel in program.kernels} == {"edgetpu"}
    assert {kernel.partition for kernel in lowered("tflite", CONV, x=IMAGE).kernels} == {""}


# PyTorch


def test_eager_runs_every_operator_but_views(lowered: Lowered) -> None:
    lines = (CONV, ("norm", BatchNorm(), "conv"), ("relu", ReLU(), "norm"), ("drop", Dropout(), "relu"), ("flat", Flatten(2), "drop"))
    lines += (("turned", Permute((0, 2, 1)), "flat"), ("first", Slice(1, 0, 1), "turned"), ("head", Linear(5), "first"))
    program = lowered("torch-eager", *lines, x=IMAGE)
    assert grouped(program) == [("conv",), ("norm",), ("relu",), ("head",)]
    assert traffic(program) == [
        (4 * X, 4 * Y, 4 * WEIGHTS),
        (4 * Y, 4 * Y, 4 * 2 * 8),
        (4 * Y, 4 * Y, 0),
        (4 * 8, 4 * 5, 4 * (8 * 5 + 5)),  # one position of eight channels
    ]


def test_eager_autocast_casts_activations_and_weights_by_kernels(lowered: Lowered) -> None:
    lines = (("conv", Conv2d(8, (3, 3), bias=True), "x"), ("relu", ReLU(), "conv"), ("norm", LayerNorm(3), "relu"), ("head", Linear(5), "norm"))
    program = lowered("torch-eager", *lines, dtype="amp", x=IMAGE)
    assert [(kernel.name, str(kernel.dtype)) for kernel in program.kernels if kernel.kind is not WorkKind.CAST] == [
        ("conv", "fp16"),
        ("relu", "fp16"),  # in the widest type of its inputs
        ("norm", "fp32"),
        ("head", "fp16"),
    ]
    parameters = WEIGHTS + 8
    assert {kernel.name: moved for kernel, moved in zip(program.kernels, traffic(program), strict=True)} == {
        "conv/cast": (4 * X, 2 * X, 0),
        "conv/weight_cast": (0, 2 * parameters, 4 * parameters),
        "conv": (2 * X, 2 * Y, 2 * WEIGHTS + 4 * 8),
        "relu": (2 * Y, 2 * Y, 0),
        "norm/cast": (2 * Y, 4 * Y, 0),
        "norm": (4 * Y, 4 * Y, 4 * 2 * Y),
        "head/cast": (4 * Y, 2 * Y, 0),
        "head/weight_cast": (0, 2 * (8 * 5 + 5), 4 * (8 * 5 + 5)),
        "head": (2 * Y, 2 * 8 * 8 * 5, 2 * 8 * 5 + 4 * 5),
    }
    assert program.stored_weight_bytes == 4 * (parameters + 2 * Y + 8 * 5 + 5)


def test_compiled_autocast_writes_what_the_next_kernel_reads(lowered: Lowered) -> None:
    lines = (("conv", Conv2d(8, (3, 3)), "x"), ("norm", LayerNorm(3), "conv"), ("head", Linear(5), "norm"))
    program = lowered("torch-compile", *lines, dtype="amp", x=IMAGE)
    assert [kernel.name for kernel in program.kernels] == ["conv", "norm", "head"]
    assert [(read, written) for read, written, _ in traffic(program)] == [
        (4 * X, 2 * Y),  # the network's input is fp32 in memory
        (2 * Y, 2 * Y),  # normalised in fp32, written in the type of the only reader
        (2 * Y, 2 * 8 * 8 * 5),
    ]
    assert traffic(program)[0][2] == (4 + 2 + 2) * WEIGHTS  # read in fp32, written and read again in fp16


CHAIN = (SAME_CHANNELS, ("norm", BatchNorm(), "conv"), ("silu", SiLU(), "norm"), ("add", Add(), "silu r"), ("conv2", Conv2d(8, (3, 3)), "add"))


def test_compiled_on_a_gpu_pointwise_chains_are_one_kernel(lowered: Lowered) -> None:
    program = lowered("torch-compile", *CHAIN, x=IMAGE, r=IMAGE)
    assert grouped(program) == [("conv",), ("norm", "silu", "add"), ("conv2",)]
    assert traffic(program) == [(4 * X, 4 * X, 4 * SQUARE), (4 * 2 * X, 4 * X, 4 * 2 * 4), (4 * X, 4 * Y, 4 * WEIGHTS)]
    assert program.kernels[1].kind is WorkKind.BATCH_NORM  # named for its dearest member


def gated(activation: Operator, *, after: Operator | None = None) -> tuple[tuple[str, Operator, str], ...]:
    """A squeeze-and-excitation of what an activation makes of a convolution."""
    middle = () if after is None else (("norm", after, "conv"),)
    return (
        SAME_CHANNELS,
        *middle,
        ("act", activation, "conv" if after is None else "norm"),
        ("mean", AdaptiveAvgPool2d((1, 1)), "act"),
        ("expand", Conv2d(4, (1, 1)), "mean"),
        ("gate", Sigmoid(), "expand"),
        ("scale", Multiply(), "act gate"),
        ("conv2", Conv2d(8, (3, 3)), "scale"),
    )


def images(program: Program) -> dict[tuple[str, ...], tuple[int, int]]:
    """(bytes read, written) of the kernels of a chain, in multiples of an image in fp16, rounded: what is small beside one counts nothing."""
    chains = [kernel for kernel in program.kernels if not kernel.macs]
    return {kernel.operators: (round(kernel.read_bytes / (2 * X)), round(kernel.write_bytes / (2 * X))) for kernel in chains}


@pytest.mark.parametrize("activation", [SiLU(), HardSwish(), GELU()])
@pytest.mark.parametrize("dtype", ["amp", "fp16", "bf16"])
def test_compiled_a_gated_activation_is_computed_again_from_its_norm_in_fp32(activation: Operator, dtype: str, lowered: Lowered) -> None:
    program = lowered("torch-compile", *gated(activation, after=BatchNorm()), dtype=dtype, x=IMAGE)
    assert images(program) == {("norm", "act"): (1, 2), ("mean",): (2, 0), ("gate", "scale"): (2, 1)}
    assert {buffer.nbytes for buffer in program.buffers if buffer.name == "act"} == {4 * X}


@pytest.mark.parametrize(("activation", "norm"), [(ReLU(), BatchNorm()), (SiLU(), None)])
def test_compiled_a_gated_activation_that_is_read_once_or_cheap_is_stored(activation: Operator, norm: Operator | None, lowered: Lowered) -> None:
    program = lowered("torch-compile", *gated(activation, after=norm), dtype="amp", x=IMAGE)
    first = ("norm", "act", "mean") if norm else ("act", "mean")
    assert images(program) == {first: (1, 1), ("gate", "scale"): (1, 1)}


def test_compiled_what_a_convolution_reads_is_stored_as_it_is(lowered: Lowered) -> None:
    lines = (*gated(SiLU(), after=BatchNorm()), ("branch", Conv2d(8, (3, 3)), "act"))
    program = lowered("torch-compile", *lines, dtype="amp", x=IMAGE)
    assert images(program) == {("norm", "act", "mean"): (1, 1), ("gate", "scale"): (1, 1)}


def test_compiled_on_a_cpu_a_gated_activation_is_stored(lowered: Lowered) -> None:
    # Inductor's output for such a block in bf16: the C++ loop writes what exp has made, for exp is dear there (`Pointwise` that calls "exp" is kept)
    program = lowered("torch-compile-cpu", *gated(SiLU(), after=BatchNorm()), dtype="amp", x=IMAGE)
    assert ("norm", "act", "mean") in grouped(program)


def test_compiled_on_a_cpu_pointwise_chains_are_one_loop_and_small_images_plain_products(lowered: Lowered) -> None:
    # inductor's output for RepViT, not frozen: the library's convolution, then one C++ loop for norm, activation and sum
    program = lowered("torch-compile-cpu", *CHAIN, x=IMAGE, r=IMAGE)
    assert grouped(program) == [("conv",), ("conv",), ("norm", "silu", "add"), ("conv2",), ("conv2",)]
    rows = 8 * 8 * 4 * 9  # a window of nine taps for each of the 64 positions
    first, second = (4 * X, 4 * rows, 0), (4 * rows, 4 * X, 4 * SQUARE)
    assert traffic(program) == [first, second, (4 * 2 * X, 4 * X, 4 * 2 * 4), (4 * X, 4 * rows, 0), (4 * rows, 4 * Y, 4 * WEIGHTS)]
    assert [kernel.kind for kernel in program.kernels[:2]] == [WorkKind.COPY, WorkKind.LINEAR]


@pytest.mark.parametrize(
    ("shape", "convolution", "kinds"),
    [
        ((1, 20, 32, 32), Conv2d(8), [WorkKind.LINEAR]),  # 20480 elements are few
        ((1, 20, 32, 33), Conv2d(8), [WorkKind.POINTWISE]),
        ((2, 20, 32, 16), Conv2d(8), [WorkKind.POINTWISE]),  # one image alone
        ((1, 4, 8, 8), Conv2d(8, (5, 5), padding="same"), [WorkKind.CONVOLUTION]),  # windows of over three by three go to oneDNN
        ((1, 4, 8, 8), DepthwiseConv2d((3, 3)), [WorkKind.DEPTHWISE]),
    ],
)
def test_which_convolutions_are_plain_products_on_a_cpu(lowered: Lowered, shape: tuple[int, ...], convolution: Operator, kinds: list[WorkKind]) -> None:
    program = lowered("torch-compile-cpu", ("conv", convolution, "x"), x=shape)
    assert [kernel.kind for kernel in program.kernels] == kinds


def test_a_product_with_a_bias_on_a_cpu_adds_to_rows_that_hold_it(lowered: Lowered) -> None:
    program = lowered("torch-compile-cpu", ("linear", Linear(8), "x"), x=(5, 16))
    assert [kernel.kind for kernel in program.kernels] == [WorkKind.COPY, WorkKind.LINEAR]
    assert traffic(program) == [(0, 4 * 5 * 8, 0), (4 * (5 * 16 + 5 * 8), 4 * 5 * 8, 4 * (16 * 8 + 8))]
    assert len(lowered("torch-compile-cpu", ("linear", Linear(8, bias=False), "x"), x=(5, 16)).kernels) == 1
    assert len(lowered("torch-compile", ("linear", Linear(8), "x"), x=(5, 16)).kernels) == 1


@pytest.mark.parametrize(("mask", "kernels"), [((3, 5, 5), 3), ((1, 3, 5, 5), 1), ((5, 5), 1)])
def test_fused_attention_on_a_cpu_takes_masks_of_two_or_four_axes(lowered: Lowered, mask: tuple[int, ...], kernels: int) -> None:
    # TinyViT's mask has three: two products and the loop between them
    lines = (("scores", MatMul(transpose_b=True), "q k"), ("add", Add(), "scores m"), ("softmax", Softmax(-1, fused=True), "add"))
    lines += (("out", MatMul(), "softmax v"),)
    heads = (2, 3, 5, 4)
    assert len(lowered("torch-compile-cpu", *lines, q=heads, k=heads, v=heads, m=mask).kernels) == kernels
    assert len(lowered("torch-compile", *lines, q=heads, k=heads, v=heads, m=mask).kernels) == 1


def test_an_engine_takes_a_clamp_or_a_sum_into_the_convolution_but_no_silu(lowered: Lowered) -> None:
    assert grouped(lowered("tensorrt", *CHAIN, dtype="fp16", x=IMAGE, r=IMAGE)) == [("conv", "norm"), ("silu", "add"), ("conv2",)]
    shortcut = (SAME_CHANNELS, ("norm", BatchNorm(), "conv"), ("add", Add(), "norm r"), ("relu", ReLU(), "add"))
    assert grouped(lowered("tensorrt", *shortcut, dtype="fp16", x=IMAGE, r=IMAGE)) == [("conv", "norm", "add", "relu")]


def test_a_chain_ends_where_another_kernel_lies_between(lowered: Lowered) -> None:
    through_conv = (("relu", ReLU(), "x"), ("conv", Conv2d(4), "relu"), ("add", Add(), "relu conv"), ("last", ReLU(), "add"))
    assert grouped(lowered("torch-compile", *through_conv, x=IMAGE)) == [("relu",), ("conv",), ("add", "last")]
    # failed before: pooling is neither a contraction nor part of a chain, and made a cycle of two kernels
    through_pool = (("relu", ReLU(), "x"), ("pool", MaxPool2d((3, 3), (1, 1), "same"), "relu"), ("add", Add(), "relu pool"))
    assert grouped(lowered("torch-compile", *through_pool, x=IMAGE)) == [("relu",), ("pool",), ("add",)]


def test_branches_of_a_chain_meet_in_one_kernel(lowered: Lowered) -> None:
    lines = (("a", ReLU(), "x"), ("b", Sigmoid(), "r"), ("c", Concat(1), "a b"), ("d", Softmax(1), "c"))
    program = lowered("torch-compile", *lines, x=IMAGE, r=IMAGE)
    assert [sorted(operators) for operators in grouped(program)] == [["a", "b", "c", "d"]]
    assert traffic(program) == [(4 * 2 * X, 4 * 2 * X, 0)]
    assert program.kernels[0].kind is WorkKind.SOFTMAX


# counted once, counted in part, counted never


def test_a_tensor_that_is_read_twice_counts_once(lowered: Lowered) -> None:
    for rules in rule_sets():
        assert traffic(lowered(rules, ("double", Add(), "x x"), x=IMAGE)) == [(4 * X, 4 * X, 0)], rules


def test_views_of_one_tensor_count_each(lowered: Lowered) -> None:
    # failed before: q, k and v have one size and lie in one buffer, and only one of them was counted
    lines = (("qkv", Linear(24, bias=False), "x"), ("split", Split((8, 8, 8), 2), "qkv"))
    lines += tuple((name, Reshape((5, 2, 4)), f"split:{position}") for position, name in enumerate("qkv"))
    lines += (ATTENTION,)
    for rules in ("torch-eager", "torch-compile", "torch-compile-cpu"):
        program = lowered(rules, *lines, x=(1, 5, 8))
        assert traffic(program)[-1] == (4 * 3 * 5 * 8, 4 * 5 * 8, 0), rules
    part = (("qkv", Linear(24, bias=False), "x"), ("split", Split((8, 16), 2), "qkv"), ("relu", ReLU(), "split:0"))
    assert traffic(lowered("torch-eager", *part, x=(1, 5, 8)))[-1] == (4 * 5 * 8, 4 * 5 * 8, 0)
    whole = (("split", Split((2, 2)), "x"), ("half", ReLU(), "split:0"), ("pair", Concat(1), "half split:0"), ("add", Add(), "pair x"))
    assert traffic(lowered("torch-compile", *whole, x=IMAGE)) == [(4 * X, 4 * X, 0)]


def test_a_lookup_reads_the_rows_that_it_returns() -> None:
    builder = GraphBuilder("lookup")
    graph = builder.build(builder.add(Embedding(1000, 16), builder.input("tokens", TensorSpec((2, 7), DType.INT64))))
    for rules in rule_sets():
        program = lower(graph, rule_set(rules))
        assert traffic(program) == [(8 * 14, 4 * 14 * 16, 4 * 14 * 16)], rules
        assert program.stored_weight_bytes == 4 * 1000 * 16


def test_learned_operands_are_weights(lowered: Lowered) -> None:
    for rules in rule_sets():
        program = lowered(rules, ("positions", Parameter(IMAGE), ""), ("add", Add(), "x positions"), x=IMAGE)
        assert traffic(program) == [(4 * X, 4 * X, 4 * X)], rules
        assert program.stored_weight_bytes == program.weight_bytes == 4 * X


def test_rules_name_operators_that_exist() -> None:
    known = set(operators())
    for name in rule_sets():
        rules = rule_set(name)
        assert rules.name == name
        assert rules.source
        for rule in rules.rules:
            assert rule.reason
            assert rule.operators <= known, rule.operators - known
            assert getattr(rule, "into", frozenset()) <= known


def test_torch_up_to_2_4_differs_in_composed_attention_alone() -> None:
    before, since = rule_set("torch-eager-2.4"), rule_set("torch-eager")
    assert {entry.name for entry in fields(RuleSet) if getattr(before, entry.name) != getattr(since, entry.name)} == {"name", "source", "composed_attention"}
