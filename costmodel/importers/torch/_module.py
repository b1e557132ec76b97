"""`import_module`: an ``nn.Module`` as a `Graph`, by torch.export where that succeeds and by watching one run where it does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from costmodel.errors import CostModelError, OperatorError, UsageError, whole
from costmodel.graph import MAX_SIZE
from costmodel.importers._assemble import Imported, assemble
from costmodel.importers._trace import Trace
from costmodel.importers.torch._arguments import Arguments, arguments_of
from costmodel.importers.torch._copies import Hollow, attributes, has_hooks, hollow, unchanged, with_data
from costmodel.importers.torch._count import Counts, count_calls
from costmodel.importers.torch._dispatch import trace_by_running
from costmodel.importers.torch._export import trace_by_export
from costmodel.importers.torch._quiet import quietly
from costmodel.importers.torch._values import numbers_of, tensors_in

#: Primes to trace with as the batch: one that divides no size of the network marks every size that follows the batch.
_PRIMES = (1009, 2003, 4001, 8009, 16001)

#: What an input may be given as.
Input = Any


def import_module(module: Any, inputs: Sequence[Input] | Mapping[str, Input], *, name: str = "", batch: int | None = None) -> Imported:
    """The graph of `module` in eval mode, and which of its tensors each node's parameters are.

    The module is copied without its data, the copy is put into eval mode and traced by torch.export, at a batch that is a
    large prime; so the graph serves every batch, and no weight value is needed. Where the batch cannot be chosen, as where a
    network works through it sample by sample, the graph is that of the batch given (`Graph.fixed_batch` says why). Where
    torch.export fails, a copy runs once, with data if it must be, and every call is recorded; `Graph.notes` says so.

    Forward hooks that are plain functions do not act, because what they reach is outside the copy; `Graph.notes` says so.

    Parameters
    ----------
    inputs : for each positional argument of ``forward`` a shape, a `TensorSpec`, a tensor, a plain value, or a list, tuple or
        mapping of these; by name in a mapping. Dimension 0 is the batch. A shape has the type of the module's weights.
        Tensors matter where the path depends on data.
    name : of the graph; None takes the class's.
    batch : of the graph; None takes that of the inputs.

    Raises
    ------
    UsageError
        If torch is missing, `module` is no module or cannot be copied, an input is none of those forms, or the graph cannot
        have that batch.
    CostModelError
        If the module cannot be run on such inputs: says what torch said.
    """
    _require_module(module, "import_module")
    given = arguments_of(inputs, _dtype(module))
    title = name or type(module).__name__
    wanted = given.batch if batch is None else whole("batch", batch, 1, MAX_SIZE)
    with quietly():
        imported, left_out = _Import(module, given, title, wanted).run()
    notes = () if not left_out else (f"{left_out} forward hooks, which are functions outside the network, were left out: what they compute is not counted",)
    found = replace(imported, graph=dataclasses.replace(imported.graph, notes=(*imported.graph.notes, *notes)))
    return found if wanted == given.batch else replace(found, graph=found.graph.with_batch(wanted))


def count_module(module: Any, inputs: Sequence[Input] | Mapping[str, Input]) -> Counts:
    """Parameters, MACs and other FLOPs of `module` in eval mode, without a graph; the module is not changed.

    Inputs and errors are those of `import_module`.
    """
    _require_module(module, "count")
    given = arguments_of(inputs, _dtype(module))
    with quietly():
        if not module.training and not has_hooks(module) and all(tensor.is_meta for tensor in chain(module.parameters(), module.buffers())):
            with unchanged(module):
                try:
                    return count_calls(module, *_split(given.mapped(lambda tensor: tensor.to("meta"))))
                except OperatorError:
                    raise
                except Exception:  # the module's own code may raise anything where tensors have no data
                    pass
        problem: Exception | None = None
        for fake in (False, True):
            copied = hollow(module, fake=fake)
            try:
                with copied.active():
                    return count_calls(copied.module, *_split(copied.arguments(given, given.batch)))
            except OperatorError:
                raise
            except Exception as error:  # as above
                problem = problem or error
        assert problem is not None
        try:
            ready, arguments = with_data(module, given)
            return count_calls(ready, *_split(arguments))
        except UsageError:
            raise
        except Exception as error:
            raise _refusal(type(module).__name__, error, "without data", problem) from error


def _split(arguments: Arguments) -> tuple[Sequence[Any], Mapping[str, Any]]:
    return arguments.positional, arguments.named


def _require_module(module: Any, what: str) -> None:
    """Raise unless `module` is one that can be traced."""
    try:
        import torch
    except ModuleNotFoundError:
        raise UsageError("importing a torch module needs torch: pip install 'costmodel[torch]'") from None
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"{what} takes a torch.nn.Module, not {type(module).__name__}; call a factory function first")
    suspects = (torch.jit.ScriptModule, torch.nn.modules.lazy.LazyModuleMixin)
    for path, part in module.named_modules() if any(isinstance(part, suspects) for part in module.modules()) else ():
        if isinstance(part, torch.jit.ScriptModule):
            which = f"its part {path}" if path else "it"
            raise UsageError(f"{type(module).__name__}: {which} is compiled by torch.jit, which cannot be traced again; give the module that it was made from")
        for key, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None and torch.nn.parameter.is_lazy(tensor):
                place = f"{path}.{key}" if path else key
                raise UsageError(f"{type(module).__name__}: {place} has no shape yet, because the layer is lazy: call the module once on an example first")


def _dtype(module: Any) -> Any:
    """The type of the first weights that are no whole numbers; None without any."""
    return next((tensor.dtype for tensor in chain(module.parameters(), module.buffers()) if tensor.is_floating_point()), None)


@dataclass(frozen=True, slots=True)
class _Import:
    """One import: the ways to a graph in the order in which they are tried."""

    module: Any
    given: Arguments
    title: str
    batch: int

    def run(self) -> tuple[Imported, int]:
        """The graph, and how many hooks were left out.

        A module whose path depends on its data fails in torch.export too, most of the time, and may work through a large
        batch sample by sample before it does: one that cannot run without data is exported at the given batch first.
        """
        copied, runs, problem = self._ready()
        prime = _prime(copied.module, self.given)
        found: Imported | None = None
        for size in (prime, self.given.batch) if runs else (self.given.batch, prime):
            if size is None or (found is not None and size != prime):
                continue
            try:
                found = self._finished(trace_by_export(copied, self.given, name=self.title, batch=size, chosen=size == prime), problem)
            except OperatorError:
                raise
            except Exception as error:  # torch.export raises whatever the module's own code raises
                problem = problem or error
                if not runs:
                    break
            else:
                if runs:
                    break
        if found is None and runs:
            found = self._watched(copied, prime, problem)
        return (found or self._run(problem)), copied.left_out

    def _ready(self) -> tuple[Hollow, bool, Exception | None]:
        """A copy without data, whether it runs, and why not."""
        problem: Exception | None = None
        for fake in (False, True):
            copied = hollow(self.module, fake=fake)
            before = attributes(copied.module)
            try:
                result = copied.runs(copied.arguments(self.given, self.given.batch))
            except Exception as error:  # the module's own code may raise anything where tensors have no data
                problem = error if problem is None or fake else problem
                continue
            if attributes(copied.module) != before:
                copied = hollow(self.module, fake=fake)  # what a run keeps, such as a table of positions, must not be in the trace already
            if not _is_plain(result):
                _flatten(copied.module)
            return copied, True, None
        return hollow(self.module), False, problem

    def _finished(self, trace: Trace, problem: Exception | None) -> Imported:
        """The graph of a trace that was made without data, with the numbers that the module holds."""
        imported = assemble(_with_numbers(trace, self.module), batch=self.batch if trace.chosen else None)
        if trace.chosen:
            return imported
        reason = "its inputs have no dimension 0 in common" if not self.given.is_batched else _because(problem)
        return _fixed(imported, f"the graph of {self.title} is that of a batch of {self.given.batch} alone, because {reason}")

    def _watched(self, copied: Hollow, prime: int | None, problem: Exception | None) -> Imported | None:
        """The graph of a run without data; None where that has none either."""
        for size in (prime, self.given.batch):
            if size is None:
                continue
            arguments = copied.arguments(self.given, size)
            try:
                with copied.active():
                    trace = trace_by_running(copied.module, arguments, name=self.title, batch=size, chosen=size == prime)
                note = f"captured from one run without data, because {_because(problem)}: attentions may be several operators"
                return self._finished(replace(trace, notes=(note,)), problem)
            except OperatorError:
                raise
            except Exception:  # as for torch.export
                continue
        return None

    def _run(self, problem: Exception | None) -> Imported:
        """The graph of one run with data."""
        try:
            ready, arguments = with_data(self.module, self.given)
            trace = trace_by_running(ready, arguments, name=self.title, batch=self.given.batch)
        except UsageError:
            raise
        except Exception as error:
            raise _refusal(self.title, error, "torch.export", problem or error) from error
        if not trace.outputs:
            raise UsageError(f"{self.title} returns no tensor for these inputs")
        why = f"captured from one run, because {_because(problem)}: counts are those of that example and its batch is fixed"
        return _fixed(assemble(replace(trace, notes=(why,))), f"{self.title} was captured from one run with a batch of {self.given.batch}")


def _fixed(imported: Imported, why: str) -> Imported:
    notes = imported.graph.notes or (why,)
    return replace(imported, graph=dataclasses.replace(imported.graph, fixed_batch=why, notes=notes))


def _with_numbers(trace: Trace, module: Any) -> Trace:
    """`trace`, which was made without data, with the numbers that `module` holds."""
    held = numbers_of({**dict(module.named_parameters()), **dict(module.named_buffers())})
    made = trace.numbers

    def numbers(name: str) -> Any:
        found = held(name)
        return found if found is not None or made is None else made(name)

    return replace(trace, numbers=numbers)


def _prime(module: Any, given: Arguments) -> int | None:
    """A prime that divides no size of a parameter or an input but their batch; None if the inputs do not share a batch."""
    if not given.is_batched:
        return None
    sizes = {size for tensor in module.parameters() for size in tensor.shape} | {size for tensor in given.tensors for size in tensor.shape[1:]}
    return next((prime for prime in _PRIMES if all(size % prime for size in sizes)), None)


def _is_plain(result: Any) -> bool:
    """Whether torch.export knows how to take a result apart."""
    from torch.utils import _pytree

    return all(hasattr(leaf, "detach") or leaf is None or isinstance(leaf, bool | int | float | str) for leaf in _pytree.tree_leaves(result))


def _flatten(module: Any) -> None:
    """Let a copy return its tensors as a tuple, where it returns an object of a class of its own."""
    import functools

    forward = module.forward

    @functools.wraps(forward)
    def flat(*args: Any, **kwargs: Any) -> Any:
        return tuple(tensors_in(forward(*args, **kwargs)))

    module.forward = flat


#: What torch says where a number is wanted that depends on data.
_ON_DATA = ("data-dependent", "DataDependent", "data dependent", "meta tensor", "local_scalar_dense", "unbacked", "fake tensors", "dynamic shape", ".numpy()")


def _because(problem: Exception | None) -> str:
    """Why a network was not read as a whole."""
    if problem is None or any(part in f"{type(problem).__name__}: {problem}" for part in _ON_DATA):
        return "the path of this network depends on its data"
    return f"torch.export cannot follow it ({_first_line(problem)})"


def _refusal(name: str, error: Exception, way: str, problem: Exception) -> CostModelError:
    return CostModelError(f"{name} cannot be run on these inputs: {_first_line(error)} ({way}: {_first_line(problem)})")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    cause = next((line for line in lines[1:] if line.startswith(("Caused by", "caused by"))), "")
    return " ".join(filter(None, (lines[0], cause)))[:300]
