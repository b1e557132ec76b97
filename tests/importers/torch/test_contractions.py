"""Products by every name that torch has for them: MACs by the graph, by counting, and by the formula; numbers as torch computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from costmodel.importers.torch import count_module, import_module
from tests.importers.torch.helpers import difference, macs_of_torch, unknown_operators

pytestmark = pytest.mark.torch


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Any) -> Any:
        return self.function(*tensors)


#: Name: (function, shapes, MACs); a vector's products are those of a matrix of one column.
PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], int]] = {
    "tensordot": (lambda a, b: torch.tensordot(a, b, ([1, 2], [0, 1])), ((2, 4, 6), (4, 6, 5)), 2 * 5 * 4 * 6),
    "inner": (torch.inner, ((2, 6), (5, 6)), 2 * 5 * 6),
    "mv": (lambda a, b: torch.mv(a, b[0]), ((2, 6), (2, 6)), 2 * 6),
    "dot": (lambda a, b: torch.dot(a[0], b[0]), ((2, 6), (2, 6)), 6),
    "addmv": (lambda a, b: torch.addmv(b[0, :2], a, b[0], beta=2, alpha=3), ((2, 6), (2, 6)), 2 * 6),
    "addbmm": (lambda a, b: torch.addbmm(a[0, :, :5], a, b, beta=0.5, alpha=2), ((2, 4, 6), (2, 6, 5)), 2 * 4 * 6 * 5),
    "baddbmm": (lambda a, b: torch.baddbmm(a[:, :, :5], a, b), ((2, 4, 6), (2, 6, 5)), 2 * 4 * 6 * 5),
    "multi_dot": (lambda a, b, c: torch.linalg.multi_dot([a, b, c]), ((2, 9), (9, 3), (3, 7)), 2 * 9 * 3 + 2 * 3 * 7),
    "multi_dot from the right": (lambda a, b, c: torch.linalg.multi_dot([a, b, c]), ((9, 7), (7, 8), (8, 2)), 7 * 8 * 2 + 9 * 7 * 2),
    "einsum of three": (lambda a, b, c: torch.einsum("bij,bjk,bkl->bil", a, b, c), ((2, 4, 6), (2, 6, 5), (2, 5, 3)), 2 * 4 * 6 * 5 + 2 * 4 * 5 * 3),
    "einsum that accumulates nothing": (lambda a, b, c: torch.einsum("bi,bj,bk->bijk", a, b, c), ((2, 3), (2, 4), (2, 5)), 0),
    "einsum of two outer vectors": (lambda a, b: torch.einsum("bi,bj->bij", a, b), ((2, 3), (2, 4)), 0),
}
#: Products with vectors, and sums of products over the batch, have no formula in torch's counter.
NOT_IN_TORCH = {"mv", "dot", "addmv", "addbmm"}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_by_other_names(name: str) -> None:
    function, shapes, macs = PRODUCTS[name]
    module, inputs = Function(function), [torch.randn(shape) for shape in shapes]
    imported = import_module(module, inputs)
    assert unknown_operators(imported.graph) == []
    assert imported.graph.macs == count_module(module, inputs).macs == macs
    assert difference(imported, module, inputs) < 1e-5
    if name not in NOT_IN_TORCH:
        assert macs == macs_of_torch(module, inputs)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "transposed over one axis": (lambda: nn.ConvTranspose1d(4, 6, 4, 2, 1, 1, groups=2), ((2, 4, 9),)),
    "transposed over three": (lambda: nn.ConvTranspose3d(4, 6, 3, 2, 1, 1, groups=2), ((2, 4, 3, 4, 5),)),
    "a step of an LSTM": (lambda: nn.LSTMCell(6, 4), ((2, 6), (2, 4))),
    "a step of a GRU": (lambda: nn.GRUCell(6, 4, bias=False), ((2, 6), (2, 4))),
    "a step of a simple network": (lambda: nn.RNNCell(6, 4, nonlinearity="relu"), ((2, 6), (2, 4))),
    "tanh": (lambda: nn.RNN(6, 4, batch_first=True, bidirectional=True), ((2, 5, 6),)),
    "relu": (lambda: nn.RNN(6, 4, 2, nonlinearity="relu", batch_first=True), ((2, 5, 6),)),
}


class First(nn.Module):
    """The first output of a layer; the memory of an LSTM's step begins as its state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *tensors: Any) -> Any:
        if isinstance(self.layer, nn.LSTMCell):
            tensors = (tensors[0], (tensors[1], tensors[1]))
        found = self.layer(*tensors)
        return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", LAYERS)
def test_layers_that_multiply(name: str) -> None:
    make, shapes = LAYERS[name]
    torch.manual_seed(0)
    module, inputs = First(make()).eval(), [torch.randn(shape) for shape in shapes]
    imported = import_module(module, inputs)
    assert unknown_operators(imported.graph) == []
    assert imported.graph.macs == count_module(module, inputs).macs == macs_of_torch(module, inputs) > 0
    assert imported.graph.parameters == sum(tensor.numel() for tensor in module.parameters())
    assert difference(imported, module, inputs) < 1e-5
    assert imported.graph.with_batch(7) == import_module(module, [(7, *shape[1:]) for shape in shapes]).graph


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "variance": lambda x: x.var(-1),
    "variance of all": lambda x: x.var((1, 2), unbiased=False, keepdim=True),
    "deviation": lambda x: x.std(1, keepdim=True),
    "deviation of all there is": lambda x: torch.std(x, dim=2, correction=0),
    "log of a sum of exponentials": lambda x: x.logsumexp(-1),
    "the same with its axis kept": lambda x: x.logsumexp((1, 2), keepdim=True),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str) -> None:
    module, inputs = Function(REDUCTIONS[name]), [torch.randn(3, 5, 6)]
    imported = import_module(module, inputs)
    assert unknown_operators(imported.graph) == []
    assert dict(count_module(module, inputs).unmodelled) == {}
    assert imported.graph.other_flops > 0
    assert difference(imported, module, inputs) < 1e-5


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_normalised_weights_are_read() -> None:
    module = nn.utils.weight_norm(nn.Conv1d(6, 4, 3)).eval()
    inputs = [torch.randn(2, 6, 9)]
    imported = import_module(module, inputs)
    assert unknown_operators(imported.graph) == []
    assert imported.graph.parameters == 4 * 6 * 3 + 4 + 4  # direction, length, bias
    assert difference(imported, module, inputs) < 1e-5


def test_slopes_of_a_captured_run_are_parameters() -> None:
    class Sloped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.slope = nn.PReLU(6)

        def forward(self, x: Any) -> Any:
            return self.slope(x) if float(x.sum()) < 1e9 else x

    graph = import_module(Sloped(), [(2, 6, 4)]).graph
    assert unknown_operators(graph) == []
    assert (graph.parameters, graph.other_flops) == (6, 2 * 2 * 6 * 4 + 2 * 6 * 4)  # slopes, and the sum that is looked at
