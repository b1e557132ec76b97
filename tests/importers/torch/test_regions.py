"""Modules whose export has graphs inside nodes, or fails, and how else they are read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from costmodel.importers.torch import count_module, import_module
from tests.importers.torch.helpers import learned, unknown_operators
from tests.importers.torch.scoped import SCOPED, Branches, EqualBranches, Two

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", SCOPED)
def test_the_calls_inside_a_region_are_read(name: str) -> None:
    module = SCOPED[name]()
    graph = import_module(module, [(3, 16)]).graph
    assert unknown_operators(graph) == []
    assert graph.notes == ()
    assert (graph.macs, graph.parameters) == (3 * 2 * 16 * 16, learned(module))
    assert graph.with_batch(7).macs == count_module(module, [(7, 16)]).macs


def test_a_condition_counts_where_its_branches_cost_the_same() -> None:
    graph = import_module(EqualBranches(), [(2, 16)]).graph
    assert unknown_operators(graph) == []
    assert (graph.macs, graph.parameters) == (2 * 16 * 16, learned(Two()))


def test_a_condition_with_different_branches_is_listed() -> None:
    graph = import_module(Branches(), [(2, 16)]).graph
    assert unknown_operators(graph) == ["higher_order.cond"]
    assert graph.parameters == learned(Branches())


class Rotary(nn.Module):
    """Cosines and sines of places, as language models compute them: without gradients, and in full precision whatever surrounds them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("inverse", 1 / (10000 ** (torch.arange(0, width, 2).float() / width)), persistent=False)

    @torch.no_grad()
    def forward(self, x: Any, places: Any) -> Any:
        inverse = self.inverse[None, :, None].float().expand(places.shape[0], -1, 1)
        with torch.autocast(device_type="cpu", enabled=False):
            angles = (inverse @ places[:, None, :].float()).transpose(1, 2)
            both = torch.cat((angles, angles), -1)
            cosines, sines = both.cos(), both.sin()
        return cosines.to(x.dtype), sines.to(x.dtype)


class Rotated(nn.Module):
    """A layer of a language model with rotary embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.rotary, self.query = nn.Embedding(100, 16), Rotary(16), nn.Linear(16, 16)

    def forward(self, ids: Any) -> Any:
        x = self.table(ids)
        cosines, sines = self.rotary(x, torch.arange(ids.shape[1], device=ids.device)[None])
        return self.query(x) * cosines + x * sines


def test_rotary_embeddings_are_read() -> None:
    example = [torch.ones(2, 7, dtype=torch.int64)]
    graph = import_module(Rotated(), example).graph
    assert unknown_operators(graph) == []
    assert graph.macs == count_module(Rotated(), example).macs == 2 * 7 * 16 * 16 + 7 * 8  # the layer, and the angles, which are one sample's
