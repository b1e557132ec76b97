"""Edited networks: what changes is counted by hand, what must not change is compared."""

from __future__ import annotations

import pytest

import costmodel
from costmodel import edits
from costmodel.errors import ShapeError, UsageError
from costmodel.graph import Graph, GraphBuilder, TensorRef, Value
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.convolution import Conv2d, DepthwiseConv2d, GroupedConv2d
from costmodel.ops.elementwise import HardSwish, ReLU, Sigmoid, SiLU
from costmodel.ops.layout import Concat, Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.tensor import TensorSpec

SIDE = 16


def image(builder: GraphBuilder, channels: int = 8) -> Value:
    return builder.input("image", TensorSpec((1, channels, SIDE, SIDE)))


def excite(builder: GraphBuilder, x: Value, *, gate_first: bool = False) -> Value:
    """Channel attention down to 4 channels and back."""
    y = builder.add(AdaptiveAvgPool2d(), x, name="squeeze")
    y = builder.add(ReLU(), builder.add(Conv2d(4, bias=True), y, name="reduce"), name="inner")
    y = builder.add(Sigmoid(), builder.add(Conv2d(x.channels, bias=True), y, name="back"), name="gate")
    return builder.add(Multiply(), *((y, x) if gate_first else (x, y)), name="scale")


def block(stride: int = 2, kernel_size: int = 5, *, squeeze: bool = True) -> Graph:
    """An inverted bottleneck from 8 to 48 and down to 16 channels."""
    builder = GraphBuilder("block")
    x = builder.add(SiLU(), builder.add(BatchNorm(), builder.add(Conv2d(48), image(builder), name="expand"), name="expand_norm"), name="expand_activation")
    x = builder.add(DepthwiseConv2d((kernel_size, kernel_size), (stride, stride)), x, name="depthwise")
    x = builder.add(SiLU(), builder.add(BatchNorm(), x, name="depthwise_norm"), name="depthwise_activation")
    x = excite(builder, x) if squeeze else x
    return builder.build(builder.add(Conv2d(16), x, name="project"))


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


def test_nothing_rewritten_is_the_same_network() -> None:
    graph = block()
    assert edits.rewritten(graph) == graph


def test_rewriting_keeps_what_nothing_read_before() -> None:
    builder = GraphBuilder("aside")
    x = image(builder)
    builder.add(SiLU(), x, name="aside")
    graph = builder.build(builder.add(ReLU(), x, name="out"))
    assert names(edits.rewritten(graph, redirected={TensorRef("nothing"): TensorRef("image")})) == ["aside", "out"]


def test_rewriting_refuses_to_take_out_parameters_that_are_shared() -> None:
    builder = GraphBuilder("shared")
    x = image(builder)
    y = builder.add(Conv2d(8), x, name="owner")
    graph = builder.build(builder.add(Conv2d(8), x, name="user", shares="owner"), builder.add(ReLU(), y, name="relu"))
    with pytest.raises(UsageError, match=r"'user' uses the parameters of 'owner'"):
        edits.rewritten(graph, redirected={TensorRef("owner"): TensorRef("image")})


def test_hard_swish_for_silu() -> None:
    graph = block()
    changed = edits.replace_nonlinearity(graph, SiLU, HardSwish())
    assert [type(node.operator).__name__ for node in changed.nodes if "activation" in node.name] == ["HardSwish", "HardSwish"]
    assert (changed.macs, changed.parameters) == (graph.macs, graph.parameters)
    transcendentals = [sum(node.work.transcendentals for node in found.nodes) for found in (graph, changed)]
    assert transcendentals == [48 * SIDE**2 + 48 * (SIDE // 2) ** 2 + 48, 48]  # the gate's sigmoid stays


def test_smaller_windows_keep_the_images() -> None:
    graph = block(kernel_size=5)
    changed = edits.shrink_windows(graph, 3)
    assert [node.outputs for node in changed.nodes] == [node.outputs for node in graph.nodes]
    assert graph.macs - changed.macs == (SIDE // 2) ** 2 * 48 * (25 - 9)
    assert graph.parameters - changed.parameters == 48 * (25 - 9)


def test_smaller_windows_take_less_explicit_padding() -> None:
    builder = GraphBuilder("torch")
    graph = builder.build(builder.add(DepthwiseConv2d((7, 7), (2, 2), (3, 3, 3, 3)), image(builder), name="depthwise"))
    changed = edits.shrink_windows(graph, 3)["depthwise"]
    assert changed.operator == DepthwiseConv2d((3, 3), (2, 2), (1, 1, 1, 1))
    assert changed.outputs == graph["depthwise"].outputs


def test_smaller_windows_leave_alone_what_would_change_the_image() -> None:
    builder = GraphBuilder("valid")
    graph = builder.build(builder.add(DepthwiseConv2d((5, 5), (1, 1), "valid"), image(builder), name="depthwise"))
    assert edits.shrink_windows(graph, 3) == graph
    with pytest.raises(UsageError, match="must be odd, not 4"):
        edits.shrink_windows(graph, 4)
    assert edits.largest_window(graph) == 5
    assert edits.largest_window(edits.rewritten(block(), replaced={"depthwise": Conv2d(48, (3, 3), (2, 2))})) == 0


def test_another_resolution_has_the_same_parameters() -> None:
    graph = block(stride=1)
    changed = edits.resize_input(graph, SIDE // 2, SIDE)
    assert changed.parameters == graph.parameters
    squeezed = 2 * 4 * 48  # the gate sees one position, whatever the image
    assert changed.macs - squeezed == (graph.macs - squeezed) // 2


def test_another_resolution_is_refused_where_parameters_depend_on_it() -> None:
    builder = GraphBuilder("flat")
    graph = builder.build(builder.add(Linear(10), builder.add(Flatten(), image(builder)), name="classifier"))
    with pytest.raises(UsageError, match="it would be another network"):
        edits.resize_input(graph, 8, 8)
    with pytest.raises(ShapeError, match="add_positions"):
        edits.resize_input(costmodel.build("vit-b-16"), 192, 192)
    builder = GraphBuilder("rows")
    rows = builder.build(builder.add(Linear(10), builder.input("rows", TensorSpec((1, 4))), name="classifier"))
    with pytest.raises(UsageError, match="no input of four dimensions"):
        edits.resize_input(rows, 8, 8)


def test_channels_are_rounded_up_and_sums_still_fit() -> None:
    builder = GraphBuilder("odd")
    x = builder.add(Conv2d(20, (3, 3)), image(builder, 3), name="stem")
    y = builder.add(GroupedConv2d(20, 2), x, name="grouped")
    x = builder.add(Add(), x, y, name="sum")
    x = builder.add(Flatten(), builder.add(AdaptiveAvgPool2d(), x))
    graph = builder.build(builder.add(Linear(10), builder.add(Linear(30), x, name="hidden"), name="classifier"))
    changed = edits.align_channels(graph, 8)
    assert changed["sum"].outputs[0].shape[1] == 24
    assert changed["hidden"].outputs[0].shape == (1, 32)
    assert changed["classifier"].outputs == graph["classifier"].outputs
    assert changed.macs == SIDE**2 * 24 * (3 * 9 + 12 * 9) + 24 * 32 + 32 * 10


def test_channels_are_not_rounded_where_a_part_of_the_network_fixes_them() -> None:
    with pytest.raises(ShapeError, match="Split"):
        edits.align_channels(costmodel.build("shufflenet-v2-1.0"), 8)
    builder = GraphBuilder("two")
    x = image(builder, 3)
    y = builder.add(Conv2d(5), x, name="inner")
    graph = builder.build(builder.add(Concat(1), x, builder.add(Conv2d(7), y, name="last"), name="joined"))
    assert edits.align_channels(graph, 8)["joined"].outputs == graph["joined"].outputs


def test_folded_normalisations_leave_a_bias() -> None:
    graph = block(squeeze=False)
    changed = edits.fold_batch_norms(graph)
    assert names(changed) == ["expand", "expand_activation", "depthwise", "depthwise_activation", "project"]
    assert changed.macs == graph.macs
    assert graph.parameters - changed.parameters == 2 * 48  # scale and shift of 48 channels, twice, became a bias
    assert graph.other_flops - changed.other_flops == 48 * SIDE**2 + 48 * (SIDE // 2) ** 2


def test_a_normalisation_stays_where_another_operator_reads_the_convolution() -> None:
    builder = GraphBuilder("read twice")
    x = builder.add(Conv2d(8), image(builder), name="conv")
    graph = builder.build(builder.add(Add(), x, builder.add(BatchNorm(), x, name="norm"), name="sum"))
    assert edits.fold_batch_norms(graph) == graph


@pytest.mark.parametrize("gate_first", [False, True])
def test_squeeze_and_excitation_is_found_and_taken_out(gate_first: bool) -> None:
    builder = GraphBuilder("attention")
    x = builder.add(SiLU(), image(builder, 32), name="before")
    graph = builder.build(builder.add(Conv2d(8), excite(builder, x, gate_first=gate_first), name="after"))
    (found,) = edits.squeeze_excites(graph)
    assert (found.scale, found.source, found.image.shape) == ("scale", TensorRef("before"), (1, 32, SIDE, SIDE))
    changed = edits.remove_squeeze_excites(graph, [found])
    assert names(changed) == ["before", "after"]
    assert graph.macs - changed.macs == 2 * 4 * 32
    assert graph.parameters - changed.parameters == 2 * 4 * 32 + 4 + 32


def test_other_products_are_no_squeeze_and_excitation() -> None:
    builder = GraphBuilder("products")
    x = image(builder)
    gated = builder.add(Multiply(), x, builder.add(Sigmoid(), x, name="sigmoid"), name="swish")
    mean = builder.add(AdaptiveAvgPool2d(), gated, name="mean")
    scaled = builder.add(Multiply(), gated, mean, name="by the mean itself")
    assert edits.squeeze_excites(builder.build(scaled)) == ()


@pytest.mark.parametrize(("network", "blocks"), [("efficientnet-b0", 16), ("mobilenet-v3-large", 8), ("se-resnet-50", 16), ("resnet-50", 0)])
def test_squeeze_and_excitation_of_the_zoo(network: str, blocks: int) -> None:
    graph = costmodel.build(network)
    found = edits.squeeze_excites(graph)
    assert len(found) == blocks
    assert edits.squeeze_excites(edits.remove_squeeze_excites(graph, found)) == ()


@pytest.mark.parametrize("squeeze", [True, False])
def test_fused_blocks_have_one_dense_convolution(squeeze: bool) -> None:
    graph = block(stride=2, kernel_size=3, squeeze=squeeze)
    (found,) = edits.wide_blocks(graph)
    changed = edits.fuse_blocks(graph, [found])
    assert names(changed)[:4] == ["expand", "expand_norm", "expand_activation", "squeeze" if squeeze else "project"]
    assert changed["expand"].operator == Conv2d(48, (3, 3), (2, 2))
    half = (SIDE // 2) ** 2
    assert changed.macs - graph.macs == half * 8 * 48 * 9 - SIDE**2 * 8 * 48 - half * 48 * 9
    assert changed.parameters - graph.parameters == 8 * 48 * 9 - (8 * 48 + 48 * 9 + 2 * 48)
    assert [changed.spec(ref) for ref in changed.outputs] == [graph.spec(ref) for ref in graph.outputs]


def test_fusing_the_early_stages_of_efficientnet_gives_the_blocks_of_its_successor() -> None:
    graph = costmodel.build("efficientnet-b0")
    early = [found for found in edits.wide_blocks(graph) if found.expand.startswith("stages.1.")]
    changed = edits.fuse_blocks(edits.remove_squeeze_excites(graph, edits.squeeze_excites(graph)), early)
    made = [type(node.operator).__name__ for node in changed.nodes if node.name.startswith("stages.1.0.")]
    assert made == ["Conv2d", "BatchNorm", "SiLU", "Conv2d", "BatchNorm"]  # as in arXiv 2104.00298, figure 2, without its SE


def test_blocks_of_equal_cost_have_equal_signatures() -> None:
    found = {entry.expand: entry.signature for entry in edits.wide_blocks(costmodel.build("efficientnet-b0"))}
    assert found["stages.3.1.expand"] == found["stages.3.2.expand"] != found["stages.3.0.expand"]


def test_a_convolution_that_more_than_the_depthwise_one_reads_is_not_fused() -> None:
    builder = GraphBuilder("read twice")
    x = builder.add(Conv2d(48), image(builder), name="expand")
    graph = builder.build(builder.add(Add(), x, builder.add(DepthwiseConv2d(), x, name="depthwise"), name="sum"))
    assert edits.wide_blocks(graph) == ()


@pytest.mark.torch
@pytest.mark.parametrize("edit", ["nonlinearity", "windows", "squeeze", "fused", "folded", "resolution"])
def test_torch_runs_edited_networks(edit: str) -> None:
    from costmodel import reference

    graph = costmodel.build("efficientnet-b0@64")
    changed = {
        "nonlinearity": lambda: edits.replace_nonlinearity(graph, SiLU, HardSwish()),
        "windows": lambda: edits.shrink_windows(graph, 3),
        "squeeze": lambda: edits.remove_squeeze_excites(graph, edits.squeeze_excites(graph)),
        "fused": lambda: edits.fuse_blocks(graph, edits.wide_blocks(graph)),
        "folded": lambda: edits.fold_batch_norms(graph),
        "resolution": lambda: edits.resize_input(graph, 96, 32),
    }[edit]()
    (output,) = reference.execute(changed)
    assert tuple(output.shape) == (1, 1000)
    assert changed != graph


@pytest.mark.torch
def test_folded_normalisations_compute_the_same() -> None:
    import torch

    from costmodel import reference

    graph = block(squeeze=False)
    changed = edits.fold_batch_norms(graph)
    weights = reference.random_weights(graph)
    generator = torch.Generator().manual_seed(1)
    for name in ("expand", "depthwise"):
        norm = weights[f"{name}_norm"]
        norm["weight"], norm["bias"] = torch.rand(48, generator=generator) + 0.5, torch.randn(48, generator=generator)
    folded = {name: dict(held) for name, held in weights.items() if not name.endswith("_norm")}
    for name in ("expand", "depthwise"):
        norm, epsilon = weights[f"{name}_norm"], graph[f"{name}_norm"].operator.epsilon
        scale = norm["weight"] / (1 + epsilon) ** 0.5  # fresh statistics: mean 0, variance 1
        folded[name] = {"weight": weights[name]["weight"] * scale[:, None, None, None], "bias": norm["bias"]}
    given = [torch.randn(1, 8, SIDE, SIDE, generator=generator)]
    (before,), (after,) = reference.execute(graph, given, weights), reference.execute(changed, given, folded)
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-5)
