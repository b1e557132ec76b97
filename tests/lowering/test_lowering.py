"""What holds for every network, runtime and dtype: nothing is lost, and everything is written before it is read."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel import zoo
from costmodel.compression import compress, parse_weight_format
from costmodel.errors import UnknownNameError, UsageError
from costmodel.graph import Graph, GraphBuilder, Value
from costmodel.kernel import Program
from costmodel.lowering import lower, rule_set, rule_sets
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, OperandConv2d
from costmodel.ops.elementwise import GELU, HardSwish, PReLU, ReLU, Sigmoid, SiLU
from costmodel.ops.layout import Concat, Dropout, Permute, Reshape, Split
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm, LayerNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d, MaxPool2d
from costmodel.ops.stored import Embedding
from costmodel.tensor import PRECISIONS, DType, TensorSpec
from costmodel.work import WorkKind

NETWORKS = (
    "deit-ti",
    "efficientnet-b0",
    "efficientnet-lite0",
    "mobilenet-v1",
    "mobilenet-v2",
    "mobilenet-v3-large",
    "mobilenet-v3-small-minimalistic",
    "resnet-18",
    "resnet-50-v1",
    "vit-b-32",
)


def check(graph: Graph, program: Program) -> None:
    """Assert what every program owes to its graph and to itself."""
    assert sum(kernel.macs for kernel in program.kernels) == graph.macs
    assert sum(kernel.flops for kernel in program.kernels) == graph.flops
    count = len(program.kernels)
    writer = {number: position for position, kernel in enumerate(program.kernels) for number in kernel.outputs}
    readers: dict[int, list[int]] = {}
    for position, kernel in enumerate(program.kernels):
        for number in kernel.inputs:
            readers.setdefault(number, []).append(position)
            assert writer.get(number, -1) < position, f"{kernel.name} reads {program.buffers[number].name} before it is written"
    assert sum(len(kernel.outputs) for kernel in program.kernels) == len(writer), "a buffer is written twice"
    for number, buffer in enumerate(program.buffers):
        assert buffer.first == writer.get(number, -1), f"nothing or another kernel writes {buffer.name}"
        assert buffer.last == count or buffer.last == max(readers.get(number, [buffer.first])), buffer.name
    for kernel in program.kernels:
        assert 0 <= kernel.read_bytes <= sum(program.buffers[number].nbytes for number in kernel.inputs), kernel.name
        written = sum(program.buffers[number].nbytes for number in kernel.outputs)
        assert kernel.write_bytes == written or kernel.kind is WorkKind.CAST, kernel.name  # cast weights are no activation
        assert kernel.kind is kernel.works[0].kind
        assert kernel.weight_bytes >= 0
    assert program.live_bytes == live_bytes(program)
    assert program.peak_activation_bytes == max(live_bytes(program), default=program.input_bytes)


def live_bytes(program: Program) -> tuple[int, ...]:
    """Brute force: every buffer that exists while each kernel runs; inputs exist from the start."""
    return tuple(sum(buffer.nbytes for buffer in program.buffers if buffer.first <= position <= buffer.last) for position in range(len(program.kernels)))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("rules", rule_sets())
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_on_every_runtime(name: str, rules: str, dtype: str) -> None:
    graph = zoo.build(name)
    program = lower(graph, rule_set(rules), dtype)
    check(graph, program)
    assert (program.name, program.rule_set, program.batch) == (name, rules, 1)
    assert str(program.dtype) == ("fp32" if dtype == "amp" else dtype)
    floating = dtype == "amp" or (rules, dtype) == ("ncnn-2020", "int8")  # whose networks begin with a layer that quantises the image
    size = DType.FP32.itemsize if floating else program.dtype.itemsize
    assert program.input_bytes == size * 3 * 224 * 224
    assert program.output_bytes == (2 if dtype == "amp" else size) * 1000


@pytest.mark.parametrize("rules", rule_sets())
@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_runs_once(name: str, rules: str) -> None:
    graph = zoo.build(name)
    program = lower(graph, rule_set(rules))
    compiled = {name for rule in rule_set(rules).rules if type(rule).__name__ in ("Drop", "View") for name in rule.operators}
    expected = {node.name for node in graph.nodes if type(node.operator).__name__ not in compiled}
    assert {name for kernel in program.kernels for name in kernel.operators} == expected


@pytest.mark.parametrize("rules", ["torch-eager", "torch-compile", "torch-compile-cpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_torch_stores_every_parameter(name: str, rules: str) -> None:
    graph = zoo.build(name)
    for dtype, size in (("fp32", 4), ("fp16", 2), ("amp", 4)):
        assert lower(graph, rule_set(rules), dtype).stored_weight_bytes == size * graph.parameters


@pytest.mark.parametrize("name", [name for name in NETWORKS if not name.startswith(("vit", "deit"))])
def test_tflite_stores_one_bias_in_the_place_of_a_norms_scale_and_shift(name: str) -> None:
    graph = zoo.build(name)
    channels = sum(node.inputs[0].shape[1] for node in graph.nodes if node.work.kind is WorkKind.BATCH_NORM)
    assert lower(graph, rule_set("tflite")).stored_weight_bytes == 4 * (graph.parameters - channels)
    contractions = [node for node in graph.nodes if node.work.parameters and node.work.kind is not WorkKind.BATCH_NORM]
    biases = channels + sum(shapes["bias"][0] for node in contractions if "bias" in (shapes := node.parameter_shapes))
    assert lower(graph, rule_set("tflite"), "int8").stored_weight_bytes == graph.parameters - channels + 3 * biases  # a bias has 4 bytes


@pytest.mark.parametrize("rules", rule_sets())
def test_work_scales_with_the_batch_and_weights_do_not(rules: str) -> None:
    one, many = (lower(zoo.build("mobilenet-v3-large", batch=batch), rule_set(rules)) for batch in (1, 16))
    assert many.batch == 16
    assert many.weight_bytes == one.weight_bytes
    assert many.stored_weight_bytes == one.stored_weight_bytes
    assert many.peak_activation_bytes == 16 * one.peak_activation_bytes
    for few, lots in zip(one.kernels, many.kernels, strict=True):
        assert (lots.name, lots.macs, lots.read_bytes, lots.write_bytes) == (few.name, 16 * few.macs, 16 * few.read_bytes, 16 * few.write_bytes)


def test_tied_weights_are_stored_once_and_read_twice() -> None:
    builder = GraphBuilder("tied")
    x = builder.add(Linear(8), builder.input("x", TensorSpec((3, 8))), name="first")
    graph = builder.build(builder.add(Linear(8), x, name="second", shares="first"))
    for rules in rule_sets():
        program = lower(graph, rule_set(rules))
        assert program.stored_weight_bytes == 4 * (8 * 8 + 8)
        assert program.weight_bytes == 2 * program.stored_weight_bytes


def test_a_program_is_a_value() -> None:
    graph = zoo.build("mobilenet-v2")
    program = lower(graph, rule_set("tflite"), "int8")
    assert lower(graph, rule_set("tflite"), "int8") == program
    assert pickle.loads(pickle.dumps(program)) == program
    for value, name in ((program, "batch"), (program.kernels[0], "read_bytes"), (program.buffers[0], "nbytes")):
        with pytest.raises(AttributeError):
            setattr(value, name, 0)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown lowering rule set 'tf-lite'; did you mean tflite"):
        rule_set("tf-lite")
    with pytest.raises(UsageError, match="dtype must be one of fp32, fp16, bf16, amp, int8, not 'int4'"):
        lower(zoo.build("mobilenet-v1"), rule_set("tflite"), "int4")


def test_a_network_of_views_alone_has_no_kernels() -> None:
    builder = GraphBuilder("views")
    x = builder.input("x", TensorSpec((2, 4, 6, 6)))
    program = lower(builder.build(builder.add(Reshape((12, 12)), builder.add(Dropout(), x))), rule_set("tflite"))
    assert program.kernels == ()
    assert program.peak_activation_bytes == program.input_bytes == program.output_bytes == 4 * 2 * 4 * 36


IMAGE = TensorSpec((2, 4, 6, 6))
UNARY = (
    Conv2d(4, (3, 3)),
    Conv2d(4, bias=True),
    DepthwiseConv2d(),
    Linear(6),
    ReLU(),
    SiLU(),
    HardSwish(),
    GELU(),
    PReLU(),
    BatchNorm(),
    LayerNorm(),
    MaxPool2d((3, 3), (1, 1), "same"),
    Permute((0, 1, 3, 2)),
    Reshape((4, 6, 6)),
    Dropout(),
)


def _grow(builder: GraphBuilder, values: list[Value], draw: st.DrawFn) -> Value:
    """One more image of the same shape, from some of the last ones."""

    def pick() -> Value:
        return draw(st.sampled_from(values[-6:]))

    step = draw(st.sampled_from(["unary", "unary", "binary", "join", "gate", "swap"]))
    if step == "unary":
        return builder.add(draw(st.sampled_from(UNARY)), pick())
    if step == "binary":
        return builder.add(draw(st.sampled_from([Add(), Multiply()])), pick(), pick())
    if step == "join":
        joined = builder.add(Concat(1), pick(), pick())
        return builder.add(Conv2d(4), joined) if draw(st.booleans()) else builder.add_all(Split((4, 4)), joined)[draw(st.integers(0, 1))]
    if step == "gate":
        gate = builder.add(Sigmoid(), builder.add(Conv2d(4, bias=True), builder.add(AdaptiveAvgPool2d(), pick())))
        return builder.add(Multiply(), pick(), gate)
    halves = builder.add_all(Split((2, 2)), pick())
    return builder.add(Concat(1), halves[1], halves[0])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Small networks with branches of every kind, and one or two inputs and outputs."""
    builder = GraphBuilder("random")
    values = [builder.input("x", IMAGE)]
    if draw(st.booleans()):
        values.append(builder.input("y", IMAGE))
    for _ in range(draw(st.integers(1, 14))):
        values.append(_grow(builder, values, draw))
    outputs = [values[-1], draw(st.sampled_from(values))] if draw(st.booleans()) else [values[-1]]
    return builder.build(*outputs)


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(graph=graphs())
def test_any_network_on_any_runtime(graph: Graph) -> None:
    for rules in rule_sets():
        for dtype in ("fp32", "amp", "int8"):
            check(graph, lower(graph, rule_set(rules), dtype))


@settings(deadline=None, derandomize=True, database=None, max_examples=100)
@given(graph=graphs())
def test_fusion_never_moves_more_bytes(graph: Graph) -> None:
    fused = dataclasses.replace(rule_set("torch-compile-cpu"), biases="added", plain_elements=0)  # but for what its library copies before a product
    eager, compiled, on_cpu = (lower(graph, rules) for rules in (rule_set("torch-eager"), rule_set("torch-compile"), fused))

    def activations(program: Program) -> int:
        return sum(kernel.read_bytes + kernel.write_bytes for kernel in program.kernels)

    assert activations(on_cpu) <= activations(eager)
    assert activations(compiled) <= activations(eager)
    assert compiled.weight_bytes == eager.weight_bytes == on_cpu.weight_bytes
    assert len(compiled.kernels) <= len(eager.kernels)


@pytest.mark.parametrize(("rules", "dtype"), [("tflite", "fp32"), ("torch-eager", "amp"), ("edgetpu", "int8")])
def test_computed_filters_are_read_as_a_tensor_and_weigh_nothing(rules: str, dtype: str) -> None:
    builder = GraphBuilder("dynamic")
    image, filters = builder.input("image", TensorSpec((1, 4, 8, 8))), builder.input("filters", TensorSpec((6, 4, 3, 3)))
    program = lower(builder.build(builder.add(OperandConv2d(padding=(1, 1, 1, 1)), image, filters)), rule_set(rules), dtype)
    convolution = next(kernel for kernel in program.kernels if kernel.macs)
    assert convolution.weight_bytes == program.stored_weight_bytes == 0
    assert convolution.read_bytes >= 4 * 8 * 8 + 6 * 4 * 3 * 3  # the image and the filters, a byte each or more


@pytest.mark.parametrize("network", ["vgg-16", "swin-t", "efficientnet-b0"])
@pytest.mark.parametrize("rules", rule_sets())
def test_the_weights_of_kernels_are_what_is_stored(network: str, rules: str) -> None:
    program = lower(zoo.build(network), rule_set(rules))
    for made in (program, compress(program, parse_weight_format("6bit,pruned=0.66"))):
        assert sum(weights.nbytes for weights in made.weights) == made.stored_weight_bytes
        assert sum(weights.vector_bytes for weights in made.weights) == made.stored_vector_bytes
        assert all(0 < read <= weights.nbytes for weights in made.weights for _, read in weights.readers)


def test_shared_weights_are_one_buffer_and_a_lookup_reads_its_rows() -> None:
    builder = GraphBuilder("tied")
    words = builder.input("words", TensorSpec((1, 4), DType.INT32))
    x = builder.add(Embedding(1000, 64), words, name="table")
    x = builder.add(Linear(64, bias=False), x, name="first")
    graph = builder.build(builder.add(Linear(64, bias=False), x, name="second", shares="first"))
    program = lower(graph, rule_set("torch-eager"))
    assert [(weights.name, weights.nbytes, [read for _, read in weights.readers]) for weights in program.weights] == [
        ("table", 1000 * 64 * 4, [4 * 64 * 4]),
        ("first", 64 * 64 * 4, [64 * 64 * 4] * 2),
    ]
