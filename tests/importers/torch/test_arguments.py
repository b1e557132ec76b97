"""What a module may be called with, and what is refused before or after torch has seen it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from costmodel.errors import UsageError
from costmodel.importers.torch import count_module, import_module
from costmodel.tensor import DType, TensorSpec

pytestmark = pytest.mark.torch


class Layered(nn.Module):
    """One layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16)


class Mapping(Layered):
    def forward(self, batch: Any) -> Any:
        return {"y": self.layer(batch["x"]), "rest": (batch["x"], [batch["more"]["z"] * 2])}


class Several(Layered):
    def forward(self, pair: Any, *, factor: float = 1.0) -> Any:
        return self.layer(pair[0]) * factor + pair[1]


class Choices(Layered):
    def forward(self, x: Any, flag: bool, times: int, name: str, nothing: Any) -> Any:
        assert nothing is None
        assert name == "plain"
        for _ in range(times):
            x = self.layer(x) if flag else x
        return x


class Diffusion(Layered):
    """A step that is a number, as diffusion models take it."""

    def forward(self, x: Any, step: Any) -> Any:
        return self.layer(x) * torch.exp(step / 1000)


SHAPE = (2, 16)
CALLS: dict[str, tuple[Callable[[], nn.Module], Any, int]] = {
    "a mapping": (Mapping, [{"x": SHAPE, "more": {"z": (2, 3)}}], 1),
    "a mapping by name": (Mapping, {"batch": {"x": SHAPE, "more": {"z": (2, 3)}}}, 1),
    "a tuple": (Several, [(SHAPE, torch.ones(SHAPE))], 1),
    "a list and a number": (Several, {"pair": [SHAPE, SHAPE], "factor": 0.5}, 1),
    "plain values": (Choices, [SHAPE, True, 3, "plain", None], 3),
    "plain values by name": (Choices, {"x": SHAPE, "flag": False, "times": 3, "name": "plain", "nothing": None}, 0),
    "a number that is a tensor": (Diffusion, [SHAPE, torch.tensor(20.0)], 1),
    "a number that has a type alone": (Diffusion, [SHAPE, TensorSpec((), DType.FP32)], 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_arguments_of_many_kinds(name: str) -> None:
    make, inputs, layers = CALLS[name]
    graph = import_module(make(), inputs).graph
    assert graph.macs == count_module(make(), inputs).macs == layers * 2 * 16 * 16
    assert graph.with_batch(5).macs == layers * 5 * 16 * 16


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, DType.FP16), (torch.bfloat16, DType.BF16), (torch.float64, DType.FP32)])
def test_a_shape_has_the_type_of_the_weights(dtype: torch.dtype, name: DType) -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).to(dtype)
    graph = import_module(module, [(1, 3, 8, 8)]).graph
    assert graph.spec(graph.outputs[0]).dtype == name
    assert graph.macs == count_module(module, [(1, 3, 8, 8)]).macs == 36 * 8 * 27


class Uncopyable(Layered):
    """Holds what cannot be copied, beside what can."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers, self.lock = (number for number in range(3)), threading.Lock()

    def forward(self, x: Any) -> Any:
        return self.layer(x)


def test_attributes_that_cannot_be_copied_are_no_obstacle() -> None:
    module = Uncopyable()
    assert import_module(module, [SHAPE]).graph.macs == count_module(module, [SHAPE]).macs == 2 * 16 * 16
    assert next(module.numbers) == 0


class Locked(Layered):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("not to be copied")


class Silent(Layered):
    def forward(self, x: Any) -> Any:
        return 3


REFUSED: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "lazy layers": (lambda: nn.Sequential(nn.LazyLinear(3)), [SHAPE], r"Sequential: 0\.weight has no shape yet.*call the module once on an example first"),
    "no copies": (Locked, [SHAPE], "Locked cannot be copied.*give it a __deepcopy__"),
    "more elements than there are": (Silent, [(1, 3, 10**9, 10**10)], "has more elements than torch can count"),
    "a size that is none": (Silent, [(2**62, 3)], "the size of an input must be at most"),
    "a batch that is none": (lambda: nn.Linear(16, 3), [(0, 16)], "an input is a shape such as"),
    "no tensor": (Silent, [1, None], "one of them is a shape or a tensor"),
    "a shape without a list": (Silent, (1, 3, 8, 8), r"for one argument write \[\(1, 3, 224, 224\)\]"),
    "numbers of several kinds": (Silent, [(1.5, 3)], "an input is a shape such as"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(name: str) -> None:
    make, inputs, message = REFUSED[name]
    for use in (import_module, count_module):
        with pytest.raises(UsageError, match=message):
            use(make(), inputs)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_what_torch_compiled_is_refused() -> None:
    script = torch.jit.script(nn.Linear(16, 3).eval())
    for module in (script, torch.jit.freeze(script), nn.Sequential(script)):
        for use in (import_module, count_module):
            with pytest.raises(UsageError, match=r"is compiled by torch\.jit.*give the module that it was made from"):
                use(module, [SHAPE])


def test_a_network_without_results_is_refused() -> None:
    with pytest.raises(UsageError, match="Silent returns no tensor for these inputs"):
        import_module(Silent(), [SHAPE])


@pytest.mark.parametrize("batch", [0, -1, 1.5])
def test_a_batch_that_is_none_is_refused(batch: Any) -> None:
    with pytest.raises(UsageError, match="the batch must be"):
        import_module(nn.Linear(16, 3), [SHAPE], batch=batch)
