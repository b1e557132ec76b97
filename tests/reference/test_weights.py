"""Copying the weights of torch modules: what is a layer, what is bare, in which order, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from costmodel import reference, zoo
from costmodel.errors import CostModelError, UsageError
from costmodel.graph import Graph, GraphBuilder
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add, LayerScale
from costmodel.ops.convolution import Conv2d
from costmodel.ops.layout import Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm, LayerNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.ops.recurrent import LSTM
from costmodel.ops.stored import Embedding, Parameter
from costmodel.tensor import DType, TensorSpec

pytestmark = pytest.mark.torch


class Small(nn.Module):
    """A convolution, a normalisation, a position for each channel added before it is scaled, and a classifier."""

    def __init__(self, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.unused = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.rand(6, 1, 1))
        self.position = nn.Parameter(torch.rand(1, 6, 1, 1))
        self.head = nn.Linear(6, 5)
        self.conv = nn.Conv2d(3, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6, eps=epsilon)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.001, 0.002)  # so small that the epsilon matters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (self.norm(self.conv(x)) + self.position) * self.scale
        return self.head(x.mean((2, 3)))


def small(epsilon: float = 1e-5, channels: int = 6) -> Graph:
    builder = GraphBuilder("small")
    x = builder.input("image", TensorSpec((2, 3, 8, 8)))
    x = builder.add(Conv2d(channels, (3, 3), padding="valid"), x, name="conv")
    x = builder.add(BatchNorm(epsilon), x, name="norm")
    x = builder.add(Add(), x, builder.add(Parameter((1, channels, 1, 1)), name="position"), name="add")
    x = builder.add(Flatten(), builder.add(AdaptiveAvgPool2d(), builder.add(LayerScale(1), x, name="scale"), name="pool"), name="flatten")
    return builder.build(builder.add(Linear(5), x, name="head"))


def same(graph: Graph, module: nn.Module, **options: Any) -> bool:
    """Whether `graph` with the weights of `module` computes what the module does."""
    inputs = tuple(torch.randn(spec.shape) for spec in graph.inputs.values())
    (found,) = reference.execute(graph, inputs, reference.weights_from_module(graph, module, **options))
    with torch.no_grad():
        return torch.allclose(found, module(*inputs), rtol=1e-4, atol=1e-5)


def test_layers_and_bare_parameters_are_matched_by_use_not_by_declaration() -> None:
    assert same(small(), Small().eval())


def test_another_epsilon_goes_into_the_variance() -> None:
    module = Small(epsilon=1e-5).eval()
    assert same(small(epsilon=1e-3), module)
    weights = reference.weights_from_module(small(epsilon=1e-3), module)
    assert torch.allclose(weights["norm"]["running_var"], module.norm.running_var + 1e-5 - 1e-3)


def test_the_weights_are_copies() -> None:
    module = Small().eval()
    weights = reference.weights_from_module(small(), module)
    weights["conv"]["weight"].zero_()
    assert module.conv.weight.abs().max() > 0


def test_a_network_as_a_module_gives_its_weights_back() -> None:
    graph = zoo.build("swin-t@32", classes=7)
    weights = reference.random_weights(graph, seed=3)
    found = reference.weights_from_module(graph, reference.as_module(graph, weights))
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[node][name], tensor) for node, own in weights.items() for name, tensor in own.items())


def test_the_layers_of_a_recurrent_module_are_told_apart() -> None:
    builder = GraphBuilder("two layers")
    x = builder.input("tokens", TensorSpec((2, 5, 4)))
    for _ in range(2):
        x = builder.add(LSTM(4), x)
    graph = builder.build(x)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 4, num_layers=2, batch_first=True)

        def forward(self, x: torch.Tensor) -> Any:
            return self.lstm(x)[0]

    assert same(graph, Wrapped().eval())


class Shortcut(nn.Module):
    """Computes what a graph has last first; both have the same shapes, so that order alone would mix them up."""

    def __init__(self) -> None:
        super().__init__()
        self.shortcut = nn.Linear(4, 4)
        self.body = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + 2 * self.body(x)


def test_a_mapping_settles_what_order_cannot() -> None:
    builder = GraphBuilder("block")
    x = builder.input("x", TensorSpec((3, 4)))
    body = builder.add(Linear(4), x, name="body")
    double = builder.add(Add(), body, body, name="double")
    graph = builder.build(builder.add(Add(), double, builder.add(Linear(4), x, name="shortcut")))
    assert not same(graph, Shortcut().eval())
    assert same(graph, Shortcut().eval(), mapping={"shortcut": "shortcut"})


class Tied(nn.Module):
    """A language model whose classifier has the embedding's weights, declared before it."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(6, 11, bias=False)
        self.inner = nn.Linear(6, 6)
        self.words = nn.Embedding(11, 6)
        self.words.weight = self.output.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.output(self.inner(self.words(ids)))


def tied() -> Graph:
    builder = GraphBuilder("tied")
    x = builder.add(Embedding(11, 6), builder.input("ids", TensorSpec((2, 5), DType.INT64)), name="words")
    x = builder.add(Linear(6), x, name="inner")
    return builder.build(builder.add(Linear(11, bias=False), x, name="output", shares="words"))


@pytest.mark.parametrize("mapping", [{}, {"words": "words"}, {"words": "output"}])
def test_tied_weights_are_one_nodes(mapping: dict[str, str]) -> None:
    module, ids = Tied().eval(), torch.randint(11, (2, 5))
    weights = reference.weights_from_module(tied(), module, [ids], mapping=mapping)
    assert set(weights) == {"words", "inner"}
    (found,) = reference.execute(tied(), [ids], weights)
    with torch.no_grad():
        assert torch.allclose(found, module(ids), atol=1e-6)


@pytest.mark.parametrize("inputs", [[torch.zeros(2, 3, 8, 9)], [torch.zeros(2, 3, 8, 8)] * 2, torch.zeros(2, 3, 8, 8), [None]])
def test_inputs_that_the_graph_does_not_take_are_refused(inputs: Any) -> None:
    with pytest.raises(UsageError, match=r"small takes .*image \(2, 3, 8, 8\)"):
        reference.weights_from_module(small(), Small().eval(), inputs)


def single(operator: Operator, *shape: int) -> Graph:
    builder = GraphBuilder("single")
    return builder.build(builder.add(operator, builder.input("x", TensorSpec(shape)), name="only"))


def test_statistics_without_weights_can_be_mapped() -> None:
    module = nn.Sequential(nn.BatchNorm1d(4, affine=False)).eval()
    module[0].running_mean.normal_()
    assert same(single(BatchNorm(affine=False), 3, 4), module, mapping={"only": "0"})


#: The graph, the module, the mapping, and what the message must say of both sides.
REFUSED: dict[str, tuple[Graph, nn.Module, dict[str, str], str]] = {
    "other shapes": (small(channels=8), Small(), {}, r"node conv \(weight 8x3x3x3\) .* conv \(weight 6x3x3x3\) or position \(weight 1x6x1x1\)"),
    "no bias there": (single(Linear(4), 3, 4), nn.Linear(4, 4, bias=False), {}, r"node only \(weight 4x4, bias 4\) .* the module itself \(weight 4x4\)"),
    "too few": (small(), nn.Conv2d(3, 6, 3, bias=False), {}, r"node norm \(weight 6, bias 6\) .* nothing more"),
    "too many": (single(Linear(4), 3, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 7)), {}, r"no node for 1 .* 1 \(weight 7x4, bias 7\)"),
    "statistics without weights": (single(BatchNorm(affine=False), 3, 4), nn.BatchNorm1d(4, affine=False), {}, "no node for 1 .*running_mean 4"),
    "another epsilon": (single(LayerNorm(epsilon=1e-6), 3, 4), nn.LayerNorm(4, eps=1e-3), {}, "node only has an epsilon of 1e-06, .* one of 0.001"),
    "mapping to another shape": (small(), Small(), {"conv": "head"}, r"node conv \(weight 6x3x3x3\) .* head \(weight 5x6, bias 5\)"),
    "mapping to nothing": (small(), Small(), {"conv": "unused"}, "'conv' should take 'unused', but"),
    "mapping twice to the same": (tied(), Tied(), {"words": "output", "inner": "words"}, "nodes 'words' and 'inner' both take 'output'"),
    "mapping of a node that shares": (tied(), Tied(), {"output": "output"}, "'output' shares the weights of 'words': map that one"),
    "mapping of nothing": (small(), Small(), {"cnov": "conv"}, "unknown node 'cnov'; did you mean conv"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_match_is_refused_with_both_sides(case: str) -> None:
    graph, module, mapping, message = REFUSED[case]
    with pytest.raises(CostModelError, match=message):
        reference.weights_from_module(graph, module.eval(), mapping=mapping)


def test_a_training_module_is_refused() -> None:
    with pytest.raises(UsageError, match=re.escape("module.eval()")):
        reference.weights_from_module(small(), Small())
