"""`count`: parameters, MACs and other FLOPs of a module by the fastest route, one run on the meta device without a graph.

The counts come from the same operator classes as every other figure; only the graph between them is left out. Below autograd
an attention is two products, a scaling and a softmax, whose counts add up to the attention's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from costmodel.errors import ShapeError
from costmodel.frozen import FrozenDict
from costmodel.importers._foreign import inferred, read
from costmodel.importers.torch._scope import call_of, is_entered
from costmodel.importers.torch._values import DTYPES, schema_names
from costmodel.operator import Operator, load_plugins, readers
from costmodel.recognition import Added, Call, Operand, Origin, UnreadableCallError
from costmodel.tensor import DType, TensorSpec
from costmodel.work import WorkKind


@dataclass(frozen=True, slots=True)
class Counts:
    """What a module costs in numbers, for one forward pass of the batch that it was given.

    `calls` is how many operators ran; `unmodelled` names those that are not known, with how often each ran.
    """

    parameters: int
    macs: int
    other_flops: int
    calls: int
    unmodelled: Mapping[str, int]

    @property
    def flops(self) -> int:
        """``2 * macs + other_flops``."""
        return 2 * self.macs + self.other_flops


def count_calls(module: Any, positional: Sequence[Any], named: Mapping[str, Any]) -> Counts:
    """The counts of one run of `module`, which is in eval mode, on tensors of the meta device (or real ones, then it really runs)."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    tally = _Tally(module)

    class Watch(TorchDispatchMode):  # type: ignore[misc]  # torch is loaded here only
        """Every call below autograd."""

        supports_higher_order_operators = True

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.__class__.__name__ != "OpOverload":  # a condition, or another operator that computes with graphs
                result = call_of(self, func, args, kwargs)
                if is_entered(func):
                    return result
            else:
                result = func(*args, **kwargs) if kwargs else func(*args)
            tally.add(func, args, kwargs, result)
            return result

    with torch.no_grad(), Watch():
        module(*positional, **named)
    learned = sum(tensor.numel() for tensor in module.parameters())
    return Counts(learned, tally.macs, tally.other_flops, tally.calls, FrozenDict(tally.unmodelled))


class _Tally:
    """Sums over calls; a call like an earlier one costs a look-up."""

    def __init__(self, module: Any) -> None:
        self.macs = self.other_flops = self.calls = 0
        self.unmodelled: dict[str, int] = {}
        self.learned = {id(tensor) for tensor in module.parameters()}
        self.readers = readers("aten")
        self.known: dict[Any, tuple[int, int] | None] = {}
        self.free: set[Any] = set()

    def add(self, func: Any, args: Any, kwargs: Mapping[str, Any] | None, result: Any) -> None:
        """Count one call."""
        if func in self.free:
            return
        key = (func, *map(self._key, args), *(map(self._key, kwargs.values()) if kwargs else ()))
        try:
            found = self.known[key]
        except KeyError:
            found = self.known[key] = self._read(func, args, kwargs or {}, result)
        self.calls += 1
        if found is None:
            name = str(func)
            self.unmodelled[name] = self.unmodelled.get(name, 0) + 1
            return
        self.macs += found[0]
        self.other_flops += found[1]

    def _key(self, value: Any) -> Any:
        if hasattr(value, "shape"):
            return (value.shape, value.dtype, id(value) in self.learned)
        if isinstance(value, list | tuple):
            return tuple(map(self._key, value))
        return value if value.__hash__ is not None else repr(value)

    def _read(self, func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> tuple[int, int] | None:
        """(MACs, other FLOPs) of a call; None if no class knows it."""
        made = [tensor for tensor in (result if isinstance(result, list | tuple) else (result,)) if hasattr(tensor, "shape")]
        name = str(func)
        if not made:
            self.free.add(func)
            return 0, 0
        plain = name.replace("_.", ".", 1)
        arguments = dict(zip(schema_names(func), map(self._argument, args), strict=False)) | {key: self._argument(value) for key, value in kwargs.items()}
        if name not in self.readers and plain not in self.readers:
            load_plugins()
            self.readers = readers("aten")
        counted = _Counted()
        call = Call(plain if plain in self.readers else name, arguments, tuple(map(_spec, made)), 1, Operand("input", _spec(made[0])), counted.emit)
        for reader in self.readers.get(call.name, ()):
            try:
                found = read(reader, "aten", call)
            except (UnreadableCallError, ShapeError):
                continue
            if found is not None:
                if counted.is_view and not counted.macs and not counted.other_flops:
                    self.free.add(func)
                return counted.macs, counted.other_flops
        return None

    def _argument(self, value: Any) -> Any:
        if hasattr(value, "shape"):
            origin: Origin = "parameter" if id(value) in self.learned else "activation"
            return Operand("", _spec(value), origin)
        return [self._argument(item) for item in value] if isinstance(value, list | tuple) else value


class _Counted:
    """What a reader adds, added up."""

    def __init__(self) -> None:
        self.macs = self.other_flops = 0
        self.is_view = True

    def emit(self, operator: Operator, inputs: Sequence[Operand], weights: Mapping[str, Operand], suffix: str) -> Added:
        """Count an operator instead of adding it to a graph."""
        specs = tuple(operand.spec for operand in inputs)
        outputs = inferred(operator, specs)
        work = operator.work(specs, outputs)
        self.macs += work.macs
        self.other_flops += work.other_flops
        self.is_view &= work.kind is WorkKind.VIEW
        return tuple(Operand("", spec) for spec in outputs)


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tuple(tensor.shape), DTYPES.get(str(tensor.dtype)[6:], DType.FP32))
