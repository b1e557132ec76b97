"""Networks of the kinds that the transformers library has: counts equal torch's own, and with the module's weights the outputs are equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from costmodel.importers.torch import count_module, import_module
from costmodel.operator import find_operator
from tests.importers.torch.helpers import difference, learned, macs_of_torch, unknown_operators
from tests.importers.torch.transformers import BertLike, GptLike, RegisterViT, SpeechLike, T5Like

pytestmark = pytest.mark.torch


def words(count: int, length: int) -> torch.Tensor:
    return torch.randint(1, count, (2, length), generator=torch.Generator().manual_seed(0))


CASES: dict[str, tuple[Callable[[], Any], Callable[[], list[torch.Tensor]]]] = {
    "bert": (BertLike, lambda: [words(211, 12), torch.ones(2, 12, dtype=torch.int64)]),
    "gpt": (GptLike, lambda: [words(199, 16)]),
    "t5": (T5Like, lambda: [words(157, 40)]),
    "vit": (RegisterViT, lambda: [torch.rand(2, 3, 32, 32)]),
    "speech": (SpeechLike, lambda: [torch.rand(2, 20, 40)]),
}


@pytest.mark.parametrize("name", CASES)
def test_counts_equal_torchs_and_outputs_the_modules(name: str) -> None:
    torch.manual_seed(0)
    make, inputs = CASES[name]
    module, examples = make().eval(), inputs()
    imported = import_module(module, examples)
    assert unknown_operators(imported.graph) == []
    assert imported.graph.notes == ()  # by export, so for every batch
    assert imported.graph.macs == macs_of_torch(module, examples)
    assert imported.graph.parameters == learned(module)
    assert difference(imported, module, examples) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_counting_without_a_graph_gives_the_same(name: str) -> None:
    make, inputs = CASES[name]
    module, examples = make().eval(), inputs()
    graph, counts = import_module(module, examples).graph, count_module(module, examples)
    assert (counts.macs, counts.parameters, dict(counts.unmodelled)) == (graph.macs, graph.parameters, {})


def test_grouped_queries_and_causality_are_read() -> None:
    graph = import_module(GptLike().eval(), [words(199, 16)]).graph
    attention = find_operator("ScaledDotProductAttention")
    found = [node for node in graph.nodes if isinstance(node.operator, attention)]
    assert [node.operator for node in found] == [attention(causal=True)] * 2  # type: ignore[call-arg]
    assert [spec.shape for spec in found[0].inputs] == [(2, 8, 16, 8), (2, 2, 16, 8), (2, 2, 16, 8)]
    assert found[0].work.macs == 2 * 8 * 16 * 16 * (8 + 8)  # N * heads * L * S * (d + dv)


def test_tied_weights_count_once() -> None:
    module = BertLike().eval()
    graph = import_module(module, [words(211, 12), torch.ones(2, 12, dtype=torch.int64)]).graph
    assert graph.parameters == learned(module) < sum(tensor.numel() for tensor in module.state_dict().values() if tensor.is_floating_point())
    assert [node.shares for node in graph.nodes if node.shares] == ["words"]
