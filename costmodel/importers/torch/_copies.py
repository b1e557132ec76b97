"""Copies of a module that may be traced and run: the module itself is only read.

Forward hooks that are plain functions act on what their author holds outside, such as a list of features, so that the copy
goes without them; `Hollow.left_out` says how many. Hooks of torch itself (weight normalisation, pruning) and hooks that are
objects or methods, which are copied with the module, act as ever.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from costmodel.errors import CostModelError, UsageError
from costmodel.importers.torch._arguments import Arguments

#: Elements of the inputs and the weights that a run with data may have: 8 GiB in fp32.
MAX_ELEMENTS = 2**31
#: Where a module keeps its tensors and parts.
_OWN = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True, slots=True)
class Hollow:
    """A copy in eval mode whose tensors have shapes alone; `mode` is torch's, under which its code makes more of them."""

    module: Any
    mode: Any
    left_out: int

    def arguments(self, given: Arguments, batch: int) -> Arguments:
        """The arguments without data, at another batch."""
        import torch

        device = "meta" if self.mode is None else "cpu"

        def empty(tensor: Any) -> Any:
            shape = (batch, *tensor.shape[1:]) if tensor.dim() and tensor.shape[0] == given.batch else tuple(tensor.shape)
            return torch.empty(shape, dtype=tensor.dtype, device=device)

        with self.active():
            return given.mapped(empty)

    def active(self) -> Any:
        """The mode as a context."""
        return contextlib.nullcontext() if self.mode is None else self.mode

    def runs(self, given: Arguments) -> Any:
        """What it returns for `given`; raises whatever the module's own code raises."""
        import torch

        with torch.no_grad(), self.active():
            return self.module(*given.positional, **given.named)


def hollow(module: Any, *, fake: bool = False) -> Hollow:
    """A copy without data, on the meta device; `fake` ones say that they are on the CPU, for code that makes tensors there.

    Raises
    ------
    UsageError
        If the module cannot be copied.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else None
    memo: dict[int, Any] = {}
    with mode or contextlib.nullcontext():
        for part in module.modules():
            held = (*part.parameters(recurse=False), *part.buffers(recurse=False), *(value for value in vars(part).values() if isinstance(value, torch.Tensor)))
            for tensor in held:
                if id(tensor) not in memo:
                    empty = torch.empty_like(tensor.detach(), device="cpu" if fake else "meta", requires_grad=False)
                    memo[id(tensor)] = torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty
    made = _copied(module, memo).eval()
    return Hollow(made, mode, _without_hooks(made))


def with_data(module: Any, given: Arguments) -> tuple[Any, Arguments]:
    """A copy with its values in eval mode on the CPU, and arguments with values; what is on the meta device gets random ones.

    Raises
    ------
    CostModelError
        If that is too much to be run.
    """
    import torch

    tensors = [*module.parameters(), *module.buffers()]
    if sum(tensor.numel() for tensor in (*tensors, *given.tensors)) > MAX_ELEMENTS:
        raise CostModelError(f"its weights and inputs have more than {MAX_ELEMENTS} elements, too many to be run with data")
    if not any(tensor.is_meta for tensor in tensors):
        made = _copied(module, {}).to("cpu").eval()
    else:
        made = hollow(module).module.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for tensor in made.parameters():
                spread = 1 / math.sqrt(max(1, tensor[0].numel())) if tensor.dim() > 1 else 1.0
                tensor.normal_(0, spread, generator=generator) if tensor.is_floating_point() else tensor.zero_()
            for key, tensor in made.named_buffers():
                tensor.fill_(1 if key.endswith("var") else 0)
    _without_hooks(made)
    return made, given.mapped(_example)


@contextlib.contextmanager
def unchanged(module: Any) -> Iterator[Any]:
    """`module` itself, whose parts hold afterwards what they held before."""
    before: list[tuple[Any, dict[str, Any], list[tuple[Any, Any]]]] = []
    for part in module.modules():
        values = vars(part)
        dicts = [value for name, value in values.items() if type(value) is dict and (value or name in _OWN)]
        before.append((part, dict(values), [(table, dict(table)) for table in dicts]))
    try:
        yield module
    finally:
        for part, values, tables in before:
            vars(part).clear()
            vars(part).update(values)
            for table, held in tables:
                table.clear()
                table.update(held)


def has_hooks(module: Any) -> bool:
    """Whether calling `module` calls more than its own code."""
    return any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def attributes(module: Any) -> list[tuple[int, ...]]:
    """The identities of what the parts of a module hold: they differ after a part was given something else."""
    return [tuple(map(id, (*vars(part).values(), *part._buffers.values(), *part._parameters.values()))) for part in module.modules()]


def _copied(module: Any, memo: dict[int, Any]) -> Any:
    """A deep copy; attributes that cannot be copied, such as a lock, are those of the original."""
    try:
        return copy.deepcopy(module, dict(memo))
    except Exception:  # whatever an attribute's own code raises
        for part in module.modules():
            for value in vars(part).values():
                try:
                    copy.deepcopy(value, dict(memo))
                except Exception:  # as above
                    memo |= {} if isinstance(value, dict) else {id(value): value}
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise UsageError(
            f"{type(module).__name__} cannot be copied, and only a copy is ever traced: {type(error).__name__}: {error}; "
            "move what cannot be copied out of the module, or give it a __deepcopy__"
        ) from error


def _without_hooks(module: Any) -> int:
    """Take the hooks that are plain functions of the user's off a copy: how many forward hooks those were."""
    count = 0
    for part in module.modules():
        for table in (part._forward_hooks, part._forward_pre_hooks):
            for key, hook in list(table.items()):
                if _reaches_outside(hook):
                    del table[key]
                    count += 1
        part._backward_hooks.clear()
    return count


def _reaches_outside(hook: Any) -> bool:
    while isinstance(hook, functools.partial):
        hook = hook.func
    return isinstance(hook, types.FunctionType | types.BuiltinFunctionType) and not str(hook.__module__).startswith("torch.")


def _example(tensor: Any) -> Any:
    """A tensor with values: the user's, or random ones."""
    import torch

    if not tensor.is_meta:
        return tensor.to("cpu").clone()
    if tensor.is_floating_point():
        return torch.rand(tensor.shape, dtype=tensor.dtype, generator=torch.Generator().manual_seed(0))
    return torch.zeros(tensor.shape, dtype=tensor.dtype)
