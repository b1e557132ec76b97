"""Saved programs: what their archives say beyond the calls, such as which parameters are one tensor and what lies inside a node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from costmodel.errors import UsageError
from costmodel.importers.torch import import_module, read_pt2, write_pt2
from tests.importers.torch.helpers import learned, unknown_operators
from tests.importers.torch.scoped import SCOPED, Branches, EqualBranches, Two

pytestmark = pytest.mark.torch


class Tied(nn.Module):
    """An embedding whose table is the weight of the last layer, and a layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last, self.layer = nn.Embedding(100, 32), nn.Linear(32, 100, bias=False), nn.Linear(32, 32)
        self.last.weight = self.table.weight

    def forward(self, x: Any) -> Any:
        return self.last(self.layer(self.layer(self.table(x))))


class Twice(nn.Module):
    """One block under three names."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(nn.Linear(16, 16), nn.ReLU())
        self.first, self.second, self.more = block, block, nn.ModuleList([block])

    def forward(self, x: Any) -> Any:
        return self.more[0](self.second(self.first(x)))


class Part(nn.Module):
    """A parameter that is a view of the first rows of another one: both are learned, and torch counts both."""

    def __init__(self) -> None:
        super().__init__()
        self.whole, self.part = nn.Linear(16, 16), nn.Linear(16, 8, bias=False)
        self.part.weight = nn.Parameter(self.whole.weight.data[:8])

    def forward(self, x: Any) -> Any:
        return self.part(self.whole(x))


def saved(module: nn.Module, inputs: tuple[Any, ...], path: Path, **options: Any) -> Path:
    """The file that torch.export.save writes of a module."""
    torch.export.save(torch.export.export(module.eval(), inputs, **options), path)
    return path


@pytest.mark.parametrize(
    ("make", "example"), [(Tied, torch.ones(2, 7, dtype=torch.int64)), (Twice, torch.randn(2, 16)), (Part, torch.randn(2, 16))], ids=["tied", "twice", "part"]
)
def test_parameters_that_are_one_tensor_count_once(make: Callable[[], nn.Module], example: Any, tmp_path: Path) -> None:
    module = make()
    graph = read_pt2(saved(module, (example,), tmp_path / "torch.pt2")).graph
    assert graph.parameters == learned(module)
    assert graph.macs == import_module(module, [example]).graph.macs
    write_pt2(graph, tmp_path / "ours.pt2")
    assert read_pt2(tmp_path / "ours.pt2", batch=2).graph.parameters == learned(module)


@pytest.mark.parametrize("name", SCOPED)
def test_the_calls_inside_a_region_are_read(name: str, tmp_path: Path) -> None:
    module = SCOPED[name]()
    graph = read_pt2(saved(module, (torch.randn(2, 16),), tmp_path / "model.pt2")).graph
    assert unknown_operators(graph) == []
    assert (graph.macs, graph.parameters) == (2 * 2 * 16 * 16, learned(module))  # two layers, two rows each


def test_a_condition_counts_where_its_branches_cost_the_same(tmp_path: Path) -> None:
    graph = read_pt2(saved(EqualBranches(), (torch.randn(2, 16),), tmp_path / "model.pt2")).graph
    assert unknown_operators(graph) == []
    assert (graph.macs, graph.parameters) == (2 * 16 * 16, learned(Two()))


def test_a_condition_with_different_branches_is_listed(tmp_path: Path) -> None:
    graph = read_pt2(saved(Branches(), (torch.randn(2, 16),), tmp_path / "model.pt2")).graph
    assert unknown_operators(graph) == ["higher_order.cond"]
    assert graph.parameters == learned(Branches())


def test_all_open_sizes_are_asked_for_at_once(tmp_path: Path) -> None:
    dim = torch.export.Dim
    shapes = ({0: dim("batch"), 2: dim("height", min=8, max=512), 3: dim("width", min=8, max=512)},)
    path = saved(nn.Conv2d(3, 4, 3), (torch.randn(2, 3, 16, 16),), tmp_path / "model.pt2", dynamic_shapes=shapes)
    with pytest.raises(UsageError, match=r"the sizes s\d+ \(input\.2\), s\d+ \(input\.3\) are left open by the file: give --dim s\d+=N --dim s\d+=N") as caught:
        read_pt2(path)
    with pytest.raises(UsageError, match=r"--dim height: the file has no such size; it has s\d+ \(input\.2\)"):
        read_pt2(path, dims={"height": 32})
    by_place = read_pt2(path, dims={"input.2": 10, "input.3": 12}).graph
    assert by_place.macs == 8 * 10 * 4 * 3 * 9  # without padding two rows and columns are lost
    symbols = [word.removeprefix("--dim ") for word in str(caught.value).partition("give ")[2].split("=N")[:2]]
    assert read_pt2(path, dims={symbols[0].strip(): 10, symbols[1].removeprefix(" --dim "): 12}).graph == by_place
