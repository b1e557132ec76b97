"""Building graphs, their views, and the same graph at another batch or size."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable

import networkx
import pytest

from costmodel import zoo
from costmodel.errors import ShapeError, UnknownNameError, UsageError
from costmodel.graph import Graph, GraphBuilder, TensorRef
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.attention import ScaledDotProductAttention
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import GELU, ReLU
from costmodel.ops.layout import Concat, Flatten, Reshape, Split
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import LayerNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.ops.stored import ExpandBatch, Parameter
from costmodel.tensor import TensorSpec

IMAGE = TensorSpec((2, 8, 6, 6))


def doubled() -> Graph:
    """relu(x + x)."""
    builder = GraphBuilder("doubled")
    x = builder.input("x", IMAGE)
    return builder.build(builder.add(ReLU(), builder.add(Add(), x, x)))


def branching() -> Graph:
    """Two outputs of a split, one of them used twice, joined again; a second output of the network."""
    builder = GraphBuilder("branching")
    x = builder.input("x", IMAGE)
    y = builder.input("y", TensorSpec((2, 4, 1, 1)))
    first, second = builder.add_all(Split((4, 4)), x, name="halves")
    scaled = builder.add(Multiply(), second, y, name="scaled")
    joined = builder.add(Concat(1), second, first, scaled, name="joined")
    return builder.build(builder.add(Conv2d(3, bias=True), joined, name="head"), scaled)


def tied() -> Graph:
    """Two linear layers with one set of weights."""
    builder = GraphBuilder("tied")
    x = builder.input("x", TensorSpec((3, 8)))
    y = builder.add(Linear(8), x, name="first")
    return builder.build(builder.add(Linear(8), y, name="second", shares="first"))


def tokens() -> Graph:
    """A class token that follows the batch, learned positions that do not, attention over one head."""
    builder = GraphBuilder("tokens")
    x = builder.input("x", TensorSpec((1, 4, 8)))
    token = builder.add(ExpandBatch(), builder.add(Parameter((1, 1, 8)), name="token"), x, name="tokens")
    x = builder.add(Add(), builder.add(Concat(1), token, x), builder.add(Parameter((1, 5, 8)), name="positions"))
    x = builder.add(GELU(), builder.add(LayerNorm(), x))
    heads = builder.add(Reshape((1, 5, 8)), x)
    return builder.build(builder.add(ScaledDotProductAttention(), heads, heads, heads))


GRAPHS = [pytest.param(make, id=make.__name__) for make in (doubled, branching, tied, tokens)]
GRAPHS += [pytest.param(lambda name=name: zoo.build(name), id=name) for name in ("mobilenet-v3-small", "deit-ti")]


def test_unnamed_nodes_are_called_after_their_operator_and_numbered() -> None:
    builder = GraphBuilder("names")
    x = builder.input("x", IMAGE)
    for operator in (ReLU(), ReLU(), ReLU(), AdaptiveAvgPool2d(), GELU(), ScaledDotProductAttention.examples()[0].operator):
        x = builder.add(operator, *[x] * (3 if isinstance(operator, ScaledDotProductAttention) else 1))
    names = [node.name for node in builder.build(x).nodes]
    assert names == ["relu", "relu_1", "relu_2", "adaptive_avg_pool2d", "gelu", "scaled_dot_product_attention"]


def test_scopes_nest_and_end() -> None:
    builder = GraphBuilder("scopes")
    x = builder.input("x", IMAGE)
    with builder.scope("blocks"):
        with builder.scope("0"):
            x = builder.add(ReLU(), x)
        with pytest.raises(ShapeError), builder.scope("1"):
            builder.add(Flatten(0), x)
        x = builder.add(ReLU(), x, name="last")
    x = builder.add(ReLU(), x)
    assert [node.name for node in builder.build(x).nodes] == ["blocks.0.relu", "blocks.last", "relu"]


def test_counts_are_sums_over_the_nodes() -> None:
    graph = branching()
    head_macs = 2 * 6 * 6 * 3 * 12  # positions x outputs x (4 + 4 + 4) inputs
    assert graph.macs == head_macs
    assert graph.other_flops == 2 * 4 * 6 * 6 + 2 * 3 * 6 * 6  # the product and the bias
    assert graph.flops == 2 * graph.macs + graph.other_flops
    assert graph.parameters == 3 * 12 + 3
    assert len(graph) == 4
    assert graph.batch == 2


def test_tied_parameters_count_once() -> None:
    graph = tied()
    assert graph.parameters == 8 * 8 + 8
    assert graph["second"].parameters == 0
    assert graph.macs == 2 * (3 * 8 * 8)


def test_a_node_that_shares_with_nobody_is_refused() -> None:
    builder = GraphBuilder("tied")
    x = builder.input("x", TensorSpec((3, 8)))
    with pytest.raises(UsageError, match="second cannot share the parameters of 'first', which is no earlier node"):
        builder.add(Linear(8), x, name="second", shares="first")


def test_nodes_and_tensors_are_found_by_name() -> None:
    graph = branching()
    assert graph["head"].arguments == (TensorRef("joined"),)
    assert dict(graph["head"].parameter_shapes) == {"weight": (3, 12, 1, 1), "bias": (3,)}
    assert graph.spec(TensorRef("x")) == IMAGE
    assert graph.spec(TensorRef("halves", 1)).shape == (2, 4, 6, 6)
    with pytest.raises(UnknownNameError, match="unknown node 'heads'; did you mean head"):
        graph["heads"]


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (Conv2d(4, (9, 9), padding="valid"), "stem.it .Conv2d. on 2x8x6x6:fp32: the image of 6x6 .* is smaller than the window of 9x9"),
        (Linear(-3), "stem.it .Linear. on 2x8x6x6:fp32: gives 2x8x6x-3:fp32: every dimension must be at least 1"),
        (Add(), "stem.it .Add. on 2x8x6x6:fp32: takes 2 inputs, not 1"),
    ],
)
def test_an_error_names_the_operator_and_the_shapes(operator: Conv2d | Linear | Add, message: str) -> None:
    builder = GraphBuilder("wrong")
    x = builder.input("x", IMAGE)
    with builder.scope("stem"), pytest.raises(ShapeError, match=message):
        builder.add(operator, x, name="it")


def test_a_graph_needs_an_input_and_an_output() -> None:
    builder = GraphBuilder("empty")
    with pytest.raises(UsageError, match="graph 'empty' needs at least one input and one output"):
        builder.build(builder.add(Parameter((1, 8))))
    builder.input("x", IMAGE)
    with pytest.raises(UsageError, match="at least one input and one output"):
        builder.build()
    with pytest.raises(ShapeError, match=r"input .y.: .*every dimension must lie between 1 and .*, not 2x0"):
        builder.input("y", TensorSpec((2, 0)))
    with pytest.raises(UsageError, match="something called 'x' already"):
        builder.input("x", IMAGE)


def test_x_plus_x_is_two_edges() -> None:
    digraph = doubled().digraph
    edges = sorted(data["argument"] for _, _, data in digraph.in_edges("add", data=True))
    assert edges == [0, 1]
    assert {source for source, _ in digraph.in_edges("add")} == {"x"}
    assert [data["output"] for _, _, data in branching().digraph.in_edges("joined", data=True)].count(1) == 1


def test_the_digraph_is_frozen_and_rebuilt_each_time() -> None:
    graph = doubled()
    digraph = graph.digraph
    for change in (lambda: digraph.add_edge("relu", "add"), lambda: digraph.remove_node("relu"), lambda: digraph.add_node("new")):
        with pytest.raises(networkx.NetworkXError, match=r"[Ff]rozen"):
            change()
    digraph.nodes["relu"]["operator"] = None  # networkx does not freeze attributes
    assert graph.digraph.nodes["relu"]["operator"] == ReLU()
    assert graph == doubled()


@pytest.mark.parametrize("make", GRAPHS)
def test_a_digraph_gives_its_graph_back(make: Callable[[], Graph]) -> None:
    graph = make()
    assert networkx.is_directed_acyclic_graph(graph.digraph)
    assert Graph.from_digraph(graph.digraph, inputs=graph.inputs, outputs=graph.outputs) == graph


def _broken(change: str) -> networkx.MultiDiGraph:
    digraph = networkx.MultiDiGraph(doubled().digraph)
    if change == "cycle":
        digraph.add_edge("relu", "add", argument=2, output=0)
    elif change == "no operator":
        digraph.nodes["relu"]["operator"] = None
    elif change == "gap":
        digraph.add_edge("x", "relu", argument=2, output=0)
    elif change == "unnumbered":
        digraph.add_edge("x", "relu")
    elif change == "no such output":
        digraph.remove_node("relu")
        digraph.add_node("relu", operator=ReLU())
        digraph.add_edge("add", "relu", argument=0, output=1)
    else:
        digraph.remove_node("relu")
    return digraph


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cycle", "the digraph has a cycle"),
        ("no operator", "node 'relu' has no operator"),
        ("gap", "node 'relu': arguments must be numbered 0, 1, 2"),
        ("unnumbered", "node 'relu': arguments must be numbered 0, 1, 2"),
        ("no such output", r"node 'relu': refers to .*node='add', output=1.*, which nothing earlier produces"),
        ("no such node", r"outputs: refers to .*node='relu'.*, which nothing earlier produces"),
    ],
)
def test_a_digraph_that_is_no_network_is_refused(change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Graph.from_digraph(_broken(change), inputs={"x": IMAGE}, outputs=(TensorRef("relu"),))


@pytest.mark.parametrize("make", GRAPHS)
def test_another_batch_scales_the_work_and_keeps_the_parameters(make: Callable[[], Graph]) -> None:
    graph = make().with_batch(1)
    many = graph.with_batch(7)
    assert many.batch == 7
    assert many.parameters == graph.parameters
    assert many.macs == 7 * graph.macs
    assert many.other_flops == 7 * graph.other_flops
    assert [node.name for node in many.nodes] == [node.name for node in graph.nodes]
    assert all(many.spec(ref).shape == (7, *graph.spec(ref).shape[1:]) for ref in graph.outputs)
    assert many.with_batch(1) == graph


def test_a_class_token_follows_the_batch_and_learned_positions_do_not() -> None:
    graph = zoo.build("deit-ti").with_batch(5)
    assert graph["embed.class_tokens"].outputs[0].shape == (5, 1, 192)
    assert graph["embed.positions"].outputs[0].shape == (1, 197, 192)
    assert graph["embed.add_positions"].outputs[0].shape == (5, 197, 192)
    assert graph == dataclasses.replace(zoo.build("deit-ti", batch=5))


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_under_one_is_refused(batch: int) -> None:
    with pytest.raises(UsageError, match=f"the batch must be at least 1, not {batch}"):
        doubled().with_batch(batch)


def test_other_input_shapes_are_inferred_anew() -> None:
    name = "mobilenet-v2"
    graph = zoo.build(name).with_inputs({"image": TensorSpec((1, 3, 96, 160))})
    assert graph.nodes == zoo.build(f"{name}@96x160").nodes
    with pytest.raises(ShapeError, match=r"embed.add_positions .Add. on 1x577x768:fp32, 1x197x768:fp32"):
        zoo.build("vit-b-16").with_inputs({"image": TensorSpec((1, 3, 384, 384))})
    with pytest.raises(UnknownNameError, match="unknown input 'images'; did you mean image"):
        graph.with_inputs({"images": TensorSpec((1, 3, 96, 160))})


@pytest.mark.parametrize("make", GRAPHS)
def test_copies_are_equal(make: Callable[[], Graph]) -> None:
    graph = make()
    for again in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        assert again == graph
        assert again[graph.nodes[-1].name] == graph.nodes[-1]
        assert dict(again.inputs) == dict(graph.inputs)


def test_a_graph_is_immutable() -> None:
    graph = doubled()
    for write in (
        lambda: graph.inputs.__setitem__("z", IMAGE),
        lambda: graph.inputs.update(z=IMAGE),
        lambda: graph.inputs.pop("x"),
        lambda: graph.inputs.clear(),
        lambda: graph.inputs.setdefault("z", IMAGE),
    ):
        with pytest.raises(TypeError, match="read-only"):
            write()
    with pytest.raises(TypeError, match="read-only"):
        del graph.inputs["x"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.name = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.nodes[0].name = "other"
    with pytest.raises(TypeError, match="read-only"):
        pickle.loads(pickle.dumps(graph)).inputs["z"] = IMAGE
    assert graph == doubled()


def test_the_builder_cannot_change_a_graph_that_it_made() -> None:
    builder = GraphBuilder("twice")
    x = builder.input("x", IMAGE)
    first = builder.build(builder.add(ReLU(), x))
    builder.input("late", IMAGE)
    builder.add(ReLU(), x)
    assert list(first.inputs) == ["x"]
    assert len(first) == 1
