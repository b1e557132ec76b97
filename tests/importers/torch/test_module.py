"""What importing promises about modules: they stay as they are, and what they do in unusual ways is counted as it is."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from costmodel.errors import CostModelError, UsageError
from costmodel.importers.torch import count_module, import_module
from costmodel.tensor import DType, TensorSpec
from tests.importers.torch.helpers import difference, learned, macs_of_torch, unknown_operators
from tests.importers.torch.transformers import BertLike, GptLike, RegisterViT, SpeechLike, T5Like

pytestmark = pytest.mark.torch


class Mixed(nn.Module):
    """A little of everything, with state that a careless import would touch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)
        self.calls = 0
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.seen += 1
        x = self.stem(x)
        x = self.dropout(self.block(x)).relu_()
        return self.head(x.mean((2, 3)))


class Failing(Mixed):
    """Fails half-way."""

    def forward(self, x: Any) -> Any:
        self.seen += 1
        return self.block(self.stem(x).flatten(1))


class ByData(Mixed):
    """A path that depends on data."""

    def forward(self, x: Any) -> Any:
        self.seen += 1
        x = self.stem(x)
        if float(x.sum()) >= 0:
            x = self.block(x)
        return self.head(x.mean((2, 3)))


def state(module: nn.Module) -> dict[str, Any]:
    """Everything about a module that an import could change."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        "keys": list(module.state_dict()),
        "tensors": {name: (id(tensor), tensor._version, tensor.device, tensor.dtype, tensor.requires_grad) for name, tensor in tensors.items()},
        "values": {name: tensor.tolist() for name, tensor in tensors.items()},
        "gradients": {name: None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist()) for name, tensor in module.named_parameters()},
        "training": {name: part.training for name, part in module.named_modules()},
        "hooks": {
            name: [len(getattr(part, kind)) for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")]
            for name, part in module.named_modules()
        },
        "attributes": {name: sorted(vars(part)) for name, part in module.named_modules()},
        "calls": getattr(module, "calls", None),
        "grad mode": torch.is_grad_enabled(),
        "random state": torch.get_rng_state().tolist(),
    }


@pytest.mark.parametrize("use", [import_module, count_module])
@pytest.mark.parametrize(("make", "fails"), [(Mixed, False), (ByData, False), (Failing, True)])
def test_the_module_is_never_changed(make: Callable[[], nn.Module], fails: bool, use: Callable[..., Any]) -> None:
    module = make()
    module.stem.eval()  # some parts train and others do not
    module.block.weight.requires_grad_(False)
    module.head.weight.grad = torch.ones_like(module.head.weight)
    heard = []
    module.stem.register_forward_hook(lambda *_: heard.append("forward"))
    before = state(module)
    if fails:
        with pytest.raises(CostModelError, match="cannot be run on these inputs"):
            use(module, [(2, 3, 8, 8)])
    else:
        use(module, [(2, 3, 8, 8)])
    assert state(module) == before


def test_inputs_are_never_changed() -> None:
    class Writing(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.mul_(2).relu_()

    image = torch.randn(2, 3)
    before = image.clone()
    import_module(Writing(), [image])
    count_module(Writing(), [image])
    assert torch.equal(image, before)


@pytest.mark.parametrize(
    ("written", "in_place"),
    [
        (functional.relu, torch.relu_),
        (torch.sigmoid, torch.sigmoid_),
        (lambda x: functional.silu(x), lambda x: functional.silu(x, inplace=True)),
        (lambda x: functional.hardswish(x), lambda x: functional.hardswish(x, inplace=True)),
        (lambda x: functional.leaky_relu(x, 0.2), lambda x: functional.leaky_relu_(x, 0.2)),
        (lambda x: x + 1, lambda x: x.add_(1)),
        (lambda x: x * x, lambda x: x.mul_(x)),
        (lambda x: x.clamp(0, 6), lambda x: x.clamp_(0, 6)),
        (torch.exp, torch.exp_),
    ],
)
def test_in_place_variants_are_the_same_operator(written: Callable[[Any], Any], in_place: Callable[[Any], Any]) -> None:
    class Applied(nn.Module):
        def __init__(self, function: Callable[[Any], Any]) -> None:
            super().__init__()
            self.layer, self.function = nn.Linear(4, 4), function

        def forward(self, x: Any) -> Any:
            return self.function(self.layer(x))

    graphs = [import_module(Applied(function), [(2, 4)]).graph for function in (written, in_place)]
    assert [node.operator for node in graphs[0].nodes] == [node.operator for node in graphs[1].nodes]
    assert unknown_operators(graphs[1]) == []


class Slices(nn.Module):
    """Writes parts of a tensor that are read as a whole later, and a whole whose parts are read later."""

    def __init__(self) -> None:
        super().__init__()
        self.even, self.odd, self.last = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        y = x.new_zeros(x.shape[0], 5, 8)
        y[:, :, ::2] = self.even(x)
        y[:, :, 1::2] = self.odd(x)
        part = y[:, 1]
        y += 1
        part *= 2
        turned = y.transpose(1, 2)
        turned[:, 3].fill_(0.5)
        left, right = y[:, :, :4], y[:, :, 4:]
        right.relu_()
        return self.last(y), left


def test_what_is_written_to_a_part_reaches_the_whole() -> None:
    torch.manual_seed(0)
    module, x = Slices(), torch.randn(2, 5, 6)
    imported = import_module(module, [x])
    assert imported.graph.notes == ()
    assert unknown_operators(imported.graph) == []
    assert difference(imported, module, [x]) < 1e-6
    assert imported.graph.macs == macs_of_torch(module, [x])


def test_products_that_are_written_into_a_tensor_are_counted() -> None:
    class Written(nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            out = a.new_empty(a.shape[0], 2, a.shape[1], b.shape[2])
            out[:, 0] = a @ b
            out[:, 1] = b.transpose(1, 2) @ a.transpose(1, 2)
            return out

    inputs = [torch.randn(2, 5, 6), torch.randn(2, 6, 5)]
    graph = import_module(Written(), inputs).graph
    assert graph.macs == macs_of_torch(Written(), inputs) == 2 * 2 * 5 * 6 * 5  # two products, batch, M, K, N


def test_shared_modules_count_once_and_work_twice() -> None:
    layer = nn.Linear(6, 6)
    graph = import_module(nn.Sequential(layer, nn.ReLU(), layer), [(2, 6)]).graph
    assert graph.parameters == 6 * 6 + 6
    assert graph.macs == 2 * (2 * 6 * 6)


def test_parameters_that_nothing_uses_are_counted_and_named() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 4), nn.Linear(4, 7)
            self.token = nn.Parameter(torch.zeros(1, 3))

        def forward(self, x: Any) -> Any:
            return self.used(x)

    imported = import_module(Idle(), [(2, 4)])
    assert imported.graph.parameters == learned(Idle())
    unused = [node for node in imported.graph.nodes if not node.arguments]
    assert {node.name: node.parameters for node in unused} == {"idle.weight": 28, "idle.bias": 7, "token": 3}


@pytest.mark.parametrize(
    ("normalised", "extra"),
    [
        (lambda: parametrizations.weight_norm(nn.Linear(6, 4)), 4),
        (lambda: parametrizations.orthogonal(nn.Linear(6, 4), orthogonal_map="householder"), 0),
        (lambda: parametrizations.weight_norm(nn.Conv2d(6, 4, 3)), 4),
        (lambda: nn.utils.spectral_norm(nn.Linear(6, 4)), 0),
    ],
    ids=["weight_norm", "orthogonal", "weight_norm of a convolution", "spectral_norm"],
)
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*")
def test_computed_weights_count_once(normalised: Callable[[], nn.Module], extra: int) -> None:
    module = normalised().eval()
    shape = (2, 6) if hasattr(module, "in_features") else (2, 6, 8, 8)
    graph = import_module(module, [shape]).graph
    plain = 6 * 4 * (1 if len(shape) == 2 else 9) + 4
    assert graph.parameters == learned(module) == plain + extra
    work = [graph.with_batch(batch).macs for batch in (1, 2, 3)]
    assert work[2] - work[1] == work[1] - work[0]
    own = 6 * 4 * (1 if len(shape) == 2 else 9 * 36)
    assert work[1] - work[0] == own  # what the weights cost does not follow the batch
    norm = 6 * 4 + 4 if any("spectral" in type(hook).__name__.lower() for hook in module._forward_pre_hooks.values()) else 0
    assert graph.macs - norm == macs_of_torch(module, [torch.empty(shape, device="meta")])  # torch's counter has no products with vectors


def test_inputs_by_name_whole_numbers_and_modules_without_data() -> None:
    with torch.device("meta"):
        module = BertLike()
    specs = {"input_ids": TensorSpec((2, 12), DType.INT64), "attention_mask": TensorSpec((2, 12), DType.INT64)}
    named = import_module(module, specs).graph
    assert list(named.inputs) == list(specs)
    by_place = import_module(BertLike(), list(specs.values())).graph
    assert (named.macs, named.parameters) == (by_place.macs, by_place.parameters)
    turned = import_module(module, dict(reversed(specs.items()))).graph
    assert turned.macs == named.macs


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "at least one input"),
        ("1x3x8x8", "a list with a shape or tensor for each argument"),
        ([(0, 3)], "an input is a shape such as"),
        ([(-1, 3)], "an input is a shape such as"),
        ([(1.5, 3)], "an input is a shape such as"),
        ([None], "an input is a shape such as"),
        (3, "a list with a shape or tensor for each argument"),
    ],
)
def test_inputs_of_no_known_form_are_refused(inputs: Any, message: str) -> None:
    for use in (import_module, count_module):
        with pytest.raises(UsageError, match=message):
            use(Mixed(), inputs)


def test_what_is_no_module_is_refused() -> None:
    for use in (import_module, count_module):
        with pytest.raises(UsageError, match=r"takes a torch\.nn\.Module, not type; call a factory function first"):
            use(Mixed, [(1, 3, 8, 8)])


BATCHED: dict[str, tuple[Callable[[], nn.Module], Callable[[int], list[Any]]]] = {
    "mixed": (Mixed, lambda n: [(n, 3, 8, 8)]),
    "slices": (Slices, lambda n: [(n, 5, 6)]),
    "bert": (BertLike, lambda n: [TensorSpec((n, 12), DType.INT64), TensorSpec((n, 12), DType.INT64)]),
    "gpt": (GptLike, lambda n: [TensorSpec((n, 16), DType.INT64)]),
    "t5": (T5Like, lambda n: [TensorSpec((n, 20), DType.INT64)]),
    "vit": (RegisterViT, lambda n: [(n, 3, 32, 32)]),
    "speech": (SpeechLike, lambda n: [(n, 20, 40)]),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(6, 4)), lambda n: [(n, 6)]),
    "recurrent": (lambda: nn.GRU(6, 4, batch_first=True), lambda n: [(n, 3, 6)]),
}


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(sorted(BATCHED)), first=st.integers(1, 9), second=st.integers(1, 3000))
def test_another_batch_equals_a_fresh_import(name: str, first: int, second: int) -> None:
    make, inputs = BATCHED[name]
    module = make()
    at_first, at_second = import_module(module, inputs(first), name=name).graph, import_module(module, inputs(second), name=name).graph
    assert at_first.with_batch(second) == at_second
    assert import_module(module, inputs(first), name=name, batch=second).graph == at_second
    assert count_module(module, inputs(first)).macs == at_first.macs


def test_an_example_that_cannot_be_rescaled_says_so() -> None:
    module = ByData().eval()
    assert "captured from one run" in import_module(module, [(2, 3, 8, 8)]).graph.notes[0]
    with pytest.raises(CostModelError, match="captured from one run with a batch of 2: give inputs with a batch of 4"):
        import_module(module, [(2, 3, 8, 8)], batch=4)


def test_an_unknown_call_has_a_place_and_its_weights_are_counted() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.factor = nn.Parameter(torch.ones(4))

        def forward(self, x: Any) -> Any:
            return torch.special.bessel_j0(self.layer(x)) * torch.special.bessel_j1(self.factor)

    graph = import_module(OrderedModule(OrderedDict(odd=Odd())), [(3, 4)]).graph
    assert unknown_operators(graph) == ["aten.special_bessel_j0.default", "aten.special_bessel_j1.default"]
    assert graph.parameters == 4 * 4 + 4 + 4
    assert graph.with_batch(7).spec(graph.outputs[0]).shape == (7, 4)
    assert dict(count_module(Odd(), [(3, 4)]).unmodelled) == {"aten.special_bessel_j0.default": 1, "aten.special_bessel_j1.default": 1}


class OrderedModule(nn.Sequential):
    """A container of a name of its own."""


def test_a_deep_copy_is_not_needed_for_a_module_that_cannot_be_copied() -> None:
    class Locked(Mixed):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("this module cannot be copied")

    with pytest.raises((CostModelError, TypeError), match="cannot be copied"):
        import_module(Locked(), [(1, 3, 8, 8)])
    copy.copy(Locked())
