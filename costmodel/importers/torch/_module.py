"""`import_module`: an ``nn.Module`` as a `Graph`, by torch.export where that succeeds and by watching one run where it does not."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from costmodel.errors import CostModelError, UsageError
from costmodel.importers._assemble import Imported, assemble
from costmodel.importers._trace import Trace
from costmodel.importers.torch._count import Counts, count_calls
from costmodel.importers.torch._dispatch import trace_by_running
from costmodel.importers.torch._export import quietly, trace_by_export
from costmodel.importers.torch._values import numbers_of
from costmodel.tensor import DType, TensorSpec

#: Primes to trace with as the batch: one that divides no size of the network marks every size that follows the batch.
_PRIMES = (1009, 2003, 4001, 8009, 16001)

#: What an input may be given as.
Input = Any


def import_module(module: Any, inputs: Sequence[Input] | Mapping[str, Input], *, name: str = "", batch: int | None = None) -> Imported:
    """The graph of `module` in eval mode, and which of its tensors each node's parameters are.

    The module is copied without its data, the copy is put into eval mode and traced on the meta device by torch.export, at a
    batch that is a large prime; so the graph serves every batch, and no weight value is needed. Where the module's path
    depends on its data, a copy with its data runs once on the example and every call is recorded; `Graph.notes` says so.

    Parameters
    ----------
    inputs : for each positional argument of ``forward`` a shape, a `TensorSpec` or a tensor; by name in a mapping. Dimension
        0 is the batch. Tensors matter where the path depends on data.
    name : of the graph; None takes the class's.
    batch : of the graph; None takes that of the inputs.

    Raises
    ------
    UsageError
        If torch is missing, `module` is no module, or an input is none of those forms.
    CostModelError
        If the module cannot be run on such inputs: says what torch said.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"import_module takes a torch.nn.Module, not {type(module).__name__}; call a factory function first")
    positional, named = _given(torch, inputs)
    shapes = [tuple(x.shape) for x in (*positional, *named.values())]
    given = shapes[0][0] if shapes[0] else 1
    title = name or type(module).__name__
    trace = _exported(torch, module, positional, named, title, given)
    if isinstance(trace, Trace):
        return assemble(_with_numbers(trace, module), batch=batch if batch is not None else given)
    run = _run(torch, module, positional, named, title, given, trace)
    imported = assemble(run)
    if batch not in (None, given):
        raise CostModelError(f"{title} was captured from one run with a batch of {given}: give inputs with a batch of {batch}")
    return imported


def count_module(module: Any, inputs: Sequence[Input] | Mapping[str, Input]) -> Counts:
    """Parameters, MACs and other FLOPs of `module` in eval mode, without a graph; the module is not changed.

    Inputs and errors are those of `import_module`.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"count takes a torch.nn.Module, not {type(module).__name__}; call a factory function first")
    positional, named = _given(torch, inputs)
    is_ready = not module.training and all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    copied = module if is_ready else _without_data(torch, module)
    try:
        with quietly():
            return count_calls(copied, [tensor.to("meta") for tensor in positional], {key: tensor.to("meta") for key, tensor in named.items()})
    except Exception as problem:  # the module's own code may raise anything where tensors have no data
        try:
            with quietly():
                return count_calls(_with_data(torch, module), [_example(torch, x) for x in positional], {key: _example(torch, x) for key, x in named.items()})
        except Exception as error:
            name = type(module).__name__
            raise CostModelError(f"{name} cannot be run on these inputs: {_first_line(error)} (on the meta device: {_first_line(problem)})") from error


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError:
        raise UsageError("importing a torch module needs torch: pip install 'costmodel[torch]'") from None
    return torch


def _given(torch: Any, inputs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments as tensors; those that were given as shapes are on the meta device."""
    if isinstance(inputs, Mapping):
        named = {str(key): _tensor(torch, value) for key, value in inputs.items()}
        positional = []
    elif isinstance(inputs, Sequence) and not isinstance(inputs, str):
        named, positional = {}, [_tensor(torch, value) for value in inputs]
    else:
        raise UsageError(f"inputs are a list with a shape or tensor for each argument, such as [(1, 3, 224, 224)], not {inputs!r}")
    if not positional and not named:
        raise UsageError("give at least one input, such as [(1, 3, 224, 224)]")
    return positional, named


def _tensor(torch: Any, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, TensorSpec):
        kinds = {DType.FP32: "float32", DType.FP16: "float16", DType.BF16: "bfloat16"}
        return torch.empty(value.shape, dtype=getattr(torch, kinds.get(value.dtype, value.dtype)), device="meta")
    if isinstance(value, Sequence) and value and all(isinstance(size, int) and size > 0 for size in value):
        return torch.empty(tuple(value), device="meta")
    raise UsageError(f"an input is a shape such as (1, 3, 224, 224), a tensor or a TensorSpec, not {value!r}")


def _exported(torch: Any, module: Any, positional: list[Any], named: dict[str, Any], name: str, given: int) -> Trace | Exception:
    """The trace of torch.export, at a chosen batch or else the given one; or why neither worked.

    A module whose path depends on its data fails in torch.export too, most of the time, and may work through a large batch
    sample by sample before it does: one that cannot run without data is exported at the given batch first.
    """
    copied = _without_data(torch, module)
    tensors = (*positional, *named.values())
    prime = _prime(copied, tensors)

    def resized(size: int) -> tuple[list[Any], dict[str, Any]]:
        made = [torch.empty((size, *tensor.shape[1:]) if tensor.dim() else (), dtype=tensor.dtype, device="meta") for tensor in tensors]
        return made[: len(positional)], dict(zip(named, made[len(positional) :], strict=True))

    before = _attributes(copied)
    runs = _runs_without_data(torch, copied, *resized(given))
    if _attributes(copied) != before:
        copied = _without_data(torch, module)  # what a run keeps, such as a table of positions, must not be in the trace already
    found: Trace | Exception = CostModelError("not tried")
    for size in (prime, given) if runs else (given, prime):
        if size is None:
            continue
        try:
            trace = trace_by_export(copied, *resized(size), name=name, batch=size, chosen=size == prime)
        except Exception as error:  # torch.export raises whatever the module's own code raises
            if isinstance(found, Trace):
                break  # at the given batch it worked
            found = error
            if not runs:
                break
        else:
            found = trace
            if runs:
                break
    return found


def _runs_without_data(torch: Any, module: Any, positional: list[Any], named: dict[str, Any]) -> bool:
    """Whether `module` runs on the meta device."""
    try:
        with quietly(), torch.no_grad():
            module(*positional, **named)
    except Exception:  # the module's own code may raise anything where tensors have no data
        return False
    return True


def _attributes(module: Any) -> list[tuple[int, ...]]:
    """The identities of what the parts of a module hold: they differ after a part was given something else."""
    return [tuple(map(id, (*vars(part).values(), *part._buffers.values(), *part._parameters.values()))) for part in module.modules()]


def _with_numbers(trace: Trace, module: Any) -> Trace:
    """`trace`, which was made without data, with the numbers that `module` holds."""
    held = numbers_of({**dict(module.named_parameters()), **dict(module.named_buffers())})
    made = trace.numbers

    def numbers(name: str) -> Any:
        found = held(name)
        return found if found is not None or made is None else made(name)

    return dataclasses.replace(trace, numbers=numbers)


def _without_data(torch: Any, module: Any) -> Any:
    """A copy of `module` in eval mode whose tensors are on the meta device; the module itself is only read."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        held = (*part.parameters(recurse=False), *part.buffers(recurse=False), *(value for value in vars(part).values() if isinstance(value, torch.Tensor)))
        for tensor in held:
            if id(tensor) not in memo:
                empty = torch.empty_like(tensor.detach(), device="meta", requires_grad=False)
                memo[id(tensor)] = torch.nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else empty
    return copy.deepcopy(module, memo).eval()


def _prime(module: Any, tensors: Sequence[Any]) -> int | None:
    """A prime that divides no size of a parameter or an input but their batch; None if an input has no batch."""
    if any(tensor.dim() == 0 or tensor.shape[0] != tensors[0].shape[0] for tensor in tensors):
        return None  # inputs that do not share dimension 0 have no batch that could be chosen
    sizes = {size for tensor in module.parameters() for size in tensor.shape} | {size for tensor in tensors for size in tensor.shape[1:]}
    return next((prime for prime in _PRIMES if all(size % prime for size in sizes)), None)


def _run(torch: Any, module: Any, positional: list[Any], named: dict[str, Any], name: str, given: int, problem: Exception) -> Trace:
    """The trace of one run with data, where torch.export failed with `problem`."""
    copied = _with_data(torch, module)
    arguments = [_example(torch, tensor) for tensor in positional]
    keywords = {key: _example(torch, tensor) for key, tensor in named.items()}
    try:
        with quietly():
            trace = trace_by_running(copied, arguments, keywords, name=name, batch=given)
    except Exception as error:
        raise CostModelError(f"{name} cannot be run on these inputs: {_first_line(error)} (torch.export: {_first_line(problem)})") from error
    return trace


def _with_data(torch: Any, module: Any) -> Any:
    """A copy of `module` with its values in eval mode on the CPU; tensors on the meta device get random ones."""
    if not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        return copy.deepcopy(module).to("cpu").eval()
    made = _without_data(torch, module).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in made.parameters():
            spread = 1 / math.sqrt(max(1, tensor[0].numel())) if tensor.dim() > 1 else 1.0
            tensor.normal_(0, spread, generator=generator) if tensor.is_floating_point() else tensor.zero_()
        for key, tensor in made.named_buffers():
            tensor.fill_(1 if key.endswith("var") else 0)
    return made


def _example(torch: Any, tensor: Any) -> Any:
    """A tensor with values: the user's, or random ones."""
    if not tensor.is_meta:
        return tensor.to("cpu")
    if tensor.is_floating_point():
        return torch.rand(tensor.shape, dtype=tensor.dtype, generator=torch.Generator().manual_seed(0))
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    cause = next((line for line in lines[1:] if line.startswith(("Caused by", "caused by"))), "")
    return " ".join(filter(None, (lines[0], cause)))[:300]
