"""How a module is read that torch.export does not take at a batch of any size, what the graph says about it, and what stays as it was."""

from __future__ import annotations

import dataclasses
import random
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from costmodel import estimate
from costmodel.errors import UsageError
from costmodel.graph import load_graph
from costmodel.importers.torch import count_module, import_module
from tests.importers.torch.helpers import learned, unknown_operators
from tests.importers.torch.scoped import Mapped, Two

pytestmark = pytest.mark.torch


class EachSample(nn.Module):
    """A layer of one sample after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 8)

    def forward(self, x: Any) -> Any:
        return torch.stack([self.layer(sample) for sample in x])


class ByIndex(EachSample):
    """The same by number."""

    def forward(self, x: Any) -> Any:
        return torch.stack([self.layer(x[place]) for place in range(x.shape[0])])


@pytest.mark.parametrize(("make", "reason"), [(EachSample, "it works through its batch sample by sample"), (ByIndex, "torch.export cannot follow it")])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_network_that_takes_its_batch_apart_has_that_batch(make: type[nn.Module], reason: str, batch: int) -> None:
    graph = import_module(make(), [(batch, 16)]).graph
    assert (graph.macs, graph.parameters) == (batch * 16 * 8, 16 * 8 + 8)
    assert reason in graph.fixed_batch
    assert graph.notes == (graph.fixed_batch,)
    assert graph.with_batch(batch) == graph
    with pytest.raises(UsageError, match="give inputs with a batch of 7 and import it again"):
        graph.with_batch(7)
    with pytest.raises(UsageError, match="give inputs with a batch of 7"):
        import_module(make(), [(batch, 16)], batch=7)


class ByData(Two):
    """One layer or two, as the data say."""

    def forward(self, x: Any) -> Any:
        return self.first(x) if float(x.sum()) > 0 else self.second(self.first(x))


def test_a_captured_graph_keeps_its_batch_everywhere(tmp_path: Path) -> None:
    graph = import_module(ByData(), [torch.ones(4, 16)]).graph
    assert "because the path of this network depends on its data" in graph.notes[0]
    graph.save(tmp_path / "captured.json")
    again = load_graph(tmp_path / "captured.json")
    assert again == graph
    for captured in (graph, again):
        with pytest.raises(UsageError, match="ByData was captured from one run with a batch of 4: give inputs with a batch of 6"):
            estimate(captured, device="pixel4", batch=6)
    assert estimate(again, device="pixel4").batch == 4


def test_inputs_without_a_common_batch_fix_it() -> None:
    class Pair(nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return x @ y

    graph = import_module(Pair(), [(2, 5), (5, 3)]).graph
    assert graph.macs == 2 * 5 * 3
    with pytest.raises(UsageError, match="its inputs have no dimension 0 in common"):
        graph.with_batch(3)


def test_what_is_mapped_is_captured_without_data_and_says_so() -> None:
    graph = import_module(Mapped(), [(3, 16)]).graph
    assert (graph.macs, graph.parameters) == (3 * 2 * 16 * 16, learned(Two()))
    assert "captured from one run without data, because torch.export cannot follow it" in graph.notes[0]
    assert graph.with_batch(5).macs == 5 * 2 * 16 * 16


class MadeHere(Two):
    """Tensors made without a device, and with one written down."""

    def forward(self, x: Any) -> Any:
        seen = torch.ones(16, 16, dtype=torch.bool).tril()
        return self.second(self.first(x) + torch.arange(16) + torch.zeros(16, device="cpu") * torch.tensor(2.0)).masked_fill(seen[0], 0.0)


def test_tensors_made_inside_without_a_device_are_no_obstacle() -> None:
    graph = import_module(MadeHere(), [(2, 16)]).graph
    assert graph.notes == ()
    assert graph.fixed_batch == ""
    assert unknown_operators(graph) == []
    assert graph.with_batch(9).macs == 9 * 2 * 16 * 16 == count_module(MadeHere(), [(9, 16)]).macs


def test_attention_with_padding_is_read_and_the_fused_path_stays_on() -> None:
    module = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)
    inputs = {"src": (2, 9, 16), "src_key_padding_mask": torch.zeros(2, 9, dtype=torch.bool)}
    assert torch.backends.mha.get_fastpath_enabled()
    projections, scores, wide = 4 * 9 * 16 * 16, 2 * 9 * 9 * 16, 2 * 9 * 16 * 32
    for counted in (import_module(module, inputs).graph, count_module(module, inputs)):
        assert counted.macs == 2 * (projections + scores + wide)
    assert torch.backends.mha.get_fastpath_enabled()


class Noisy(nn.Module):
    """Draws random numbers of every kind, on a path that depends on data."""

    def forward(self, x: Any) -> Any:
        if float(x.sum()) > 1e9:
            return x
        return x + torch.randn(x.shape) * random.random() * float(np.random.random())


def test_random_numbers_continue_as_if_nothing_had_been_drawn() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    import_module(Noisy(), [(1, 4)])
    count_module(Noisy(), [(1, 4)])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


class Listener:
    """A hook that is an object, and changes what comes out."""

    def __init__(self) -> None:
        self.heard = 0

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        self.heard += 1
        return output * 2


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_hooks_do_not_reach_outside(device: str) -> None:
    heard: list[Any] = []
    listener = Listener()
    module = Two().to(device).eval()
    module.first.register_forward_hook(lambda *_: heard.append(1))
    module.first.register_forward_pre_hook(lambda *_: heard.append(2))
    module.second.register_forward_hook(listener)
    before = [list(part._forward_hooks.items()) + list(part._forward_pre_hooks.items()) for part in module.modules()]
    graph = import_module(module, [(2, 16)]).graph
    counts = count_module(module, [(2, 16)])
    assert (heard, listener.heard) == ([], 0)
    assert [list(part._forward_hooks.items()) + list(part._forward_pre_hooks.items()) for part in module.modules()] == before
    assert graph.notes == ("2 forward hooks, which are functions outside the network, were left out: what they compute is not counted",)
    assert graph.other_flops == counts.other_flops == 2 * 16 * (2 + 1)  # two biases, and what the object computes


def test_a_module_on_meta_keeps_what_it_holds() -> None:
    class Counting(Two):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            self.last = x
            return super().forward(x)

    module = Counting().to("meta").eval()
    before = [dict(vars(part)) for part in module.modules()]
    count_module(module, [(2, 16)])
    assert [dict(vars(part)) for part in module.modules()] == before


def test_threads_import_side_by_side() -> None:
    output, found = sys.stdout, {}

    def work(width: int) -> None:
        found[width] = import_module(nn.Sequential(*(nn.Linear(16, 16) for _ in range(width))), [(1, 16)]).graph.macs

    threads = [threading.Thread(target=work, args=(width,)) for width in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {width: width * 256 for width in range(1, 6)}
    assert sys.stdout is output


@dataclasses.dataclass
class Result:
    """What a network may return."""

    scores: Any
    extra: dict[str, Any]


def test_results_of_a_class_of_its_own_are_outputs() -> None:
    class Model(Two):
        def forward(self, x: Any) -> Result:
            y = self.first(x)
            return Result(y, {"more": [self.second(y)]})

    graph = import_module(Model(), [(2, 16)]).graph
    assert [graph.spec(ref).shape for ref in graph.outputs] == [(2, 16), (2, 16)]
    assert graph.notes == ()
