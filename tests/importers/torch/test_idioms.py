"""What tidying rewrites, and what it leaves alone because it only looks like it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from costmodel.importers.torch import import_module
from costmodel.ops.attention import RelativePositionBias, ShiftedWindowMask
from costmodel.ops.normalisation import LocalResponseNorm
from tests.importers.torch.helpers import difference

pytestmark = pytest.mark.torch


class Windows(nn.Module):
    """Attention in windows of 2x3 as Swin's, with a bias looked up in `index` and a mask. x: (N*windows, 6, 8)."""

    def __init__(self, index: torch.Tensor, mask: torch.Tensor | None = None, *, fused: bool = False) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.table = nn.Parameter(torch.randn(3 * 5, 2))
        self.fused = fused
        self.register_buffer("index", index)
        self.register_buffer("mask", mask)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(x).reshape(-1, 6, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(6, 6, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        if self.fused:
            if self.mask is not None:
                count = len(self.mask)
                mask = self.mask.view(1, count, 1, 6, 6).expand(len(x) // count, -1, 2, -1, -1)
                bias = bias + mask.reshape(-1, 2, 6, 6)
            return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        scores = q @ k.transpose(-1, -2) + bias
        if self.mask is not None:
            count = len(self.mask)
            scores = (scores.view(-1, count, 2, 6, 6) + self.mask.unsqueeze(1).unsqueeze(0)).view(-1, 2, 6, 6)
        return scores.softmax(-1) @ v


INDEX = torch.from_numpy(RelativePositionBias((2, 3)).offsets())
MASK = ShiftedWindowMask((2, 1), (2, 3), (1, 0))
X = torch.randn(4, 6, 8, generator=torch.Generator().manual_seed(0))


def kinds(module: nn.Module) -> list[str]:
    """The classes of what is added to scores, and whether the imported graph computes what the module does."""
    imported = import_module(module, [X])
    assert difference(imported, module, [X]) < 1e-6
    return [type(node.operator).__name__ for node in imported.graph.nodes if isinstance(node.operator, RelativePositionBias | ShiftedWindowMask)]


@pytest.mark.parametrize("fused", [False, True])
def test_biases_and_masks_of_swin_are_recognised(fused: bool) -> None:
    assert kinds(Windows(INDEX, fused=fused)) == ["RelativePositionBias"]
    mask = torch.from_numpy(MASK.mask())
    assert kinds(Windows(INDEX, mask, fused=fused)) == ["RelativePositionBias", "ShiftedWindowMask"]
    found = import_module(Windows(INDEX, mask, fused=fused), [X]).graph
    assert next(node.operator for node in found.nodes if isinstance(node.operator, ShiftedWindowMask)).mask().tolist() == mask.tolist()


@pytest.mark.parametrize("fused", [False, True])
def test_other_numbers_of_the_same_shapes_are_left_alone(fused: bool) -> None:
    assert kinds(Windows(INDEX.flip(0), fused=fused)) == []
    assert kinds(Windows(INDEX.clone().fill_(3), fused=fused)) == []
    mask = torch.from_numpy(MASK.mask())
    assert "ShiftedWindowMask" not in kinds(Windows(INDEX, mask.roll(1, 1), fused=fused))
    assert "ShiftedWindowMask" not in kinds(Windows(INDEX, 2 * mask, fused=fused))


def test_a_bias_in_another_order_is_left_alone() -> None:
    class Turned(Windows):
        def forward(self, x: Any) -> Any:
            q, k, v = self.qkv(x).reshape(-1, 6, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
            bias = self.table[self.index.view(-1)].view(6, 6, -1).permute(2, 1, 0)
            return (q @ k.transpose(-1, -2) + bias).softmax(-1) @ v

    assert kinds(Turned(INDEX)) == []


def test_a_bias_that_two_layers_share_is_left_alone() -> None:
    class Twice(Windows):
        def forward(self, x: Any) -> Any:
            return super().forward(super().forward(x).transpose(1, 2).reshape(-1, 6, 8))

    assert kinds(Twice(INDEX)) == []


@pytest.mark.parametrize("size", [3, 4, 5])
def test_local_response_normalisation_is_one_operator(size: int) -> None:
    module, x = nn.LocalResponseNorm(size, 0.5, 0.7, 1.5), torch.randn(2, 6, 5, 7)
    imported = import_module(module, [x])
    assert [node.operator for node in imported.graph.nodes] == [LocalResponseNorm(size, 0.5, 0.7, 1.5)]
    assert difference(imported, module, [x]) < 1e-6


class Standardised(nn.Conv2d):
    """A convolution by filters of mean 0 and variance 1, times a gain and a number."""

    def __init__(self, number: float, **options: Any) -> None:
        super().__init__(6, 4, 3, padding=1, **options)
        self.gain = nn.Parameter(torch.rand(4, 1, 1, 1) + 0.5)
        self.number = number

    def forward(self, x: Any) -> Any:
        rows = self.weight.reshape(1, self.out_channels, -1)
        normal = functional.batch_norm(rows, None, None, weight=(self.gain * self.number).view(-1), training=True, momentum=0.0, eps=1e-6)
        return self._conv_forward(x, normal.reshape_as(self.weight), self.bias)


@pytest.mark.parametrize(("number", "gamma"), [(54**-0.5, 1.0), (1.7 * 54**-0.5, 1.7)])
@pytest.mark.parametrize("bias", [True, False])
def test_standardised_filters_are_one_operator(number: float, gamma: float, bias: bool) -> None:
    module, x = Standardised(number, bias=bias), torch.randn(2, 6, 8, 8)
    imported = import_module(module, [x])
    (node,) = imported.graph.nodes
    assert node.operator.gamma == pytest.approx(gamma)  # type: ignore[attr-defined]
    assert node.parameters == 4 * 6 * 9 + 4 + 4 * bias  # filters, gains, shifts
    assert difference(imported, module, [x]) < 1e-5


def test_blocks_gathered_by_cuts_are_one_reordering() -> None:
    class Merged(nn.Module):
        def __init__(self, places: list[tuple[int, int]]) -> None:
            super().__init__()
            self.places = places

        def forward(self, x: Any) -> Any:
            return torch.cat([x[:, row::2, column::2] for row, column in self.places], -1)

    x = torch.randn(2, 4, 6, 3)
    for places, expected in (
        ([(0, 0), (1, 0), (0, 1), (1, 1)], ["Reshape", "Permute", "Reshape"]),
        ([(0, 0), (0, 1), (1, 0), (1, 1)], ["Reshape", "Permute", "Reshape"]),
        ([(1, 0), (0, 0), (0, 1), (1, 1)], ["Slice"] * 8 + ["Concat"]),
    ):
        imported = import_module(Merged(places), [x])
        assert [type(node.operator).__name__ for node in imported.graph.nodes] == expected
        assert difference(imported, Merged(places), [x]) == 0
