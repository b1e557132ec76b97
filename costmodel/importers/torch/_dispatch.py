"""What torch's dispatcher sees while a module runs once on real data: for modules whose path depends on their data.

Calls are those below autograd: an attention may already be two products and a softmax there. Sizes are those of the example.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.importers._trace import Name, Trace, TracedCall
from costmodel.importers.torch._arguments import Arguments
from costmodel.importers.torch._scope import call_of, is_entered
from costmodel.importers.torch._unrolled import not_unrolled
from costmodel.importers.torch._values import numbers_of, schema_names, small_value, spec_of, tensors_in
from costmodel.recognition import Operand


def trace_by_running(module: Any, arguments: Arguments, *, name: str, batch: int, chosen: bool = False) -> Trace:
    """The calls of one run of `module`, a copy that may be changed."""
    import torch

    recorder = _Recorder(torch, module)
    found = arguments.tensors
    for number, tensor in enumerate(found):
        recorder.give(tensor, f"input{number}" if len(found) > 1 else "input")
    with torch.no_grad(), not_unrolled(batch if chosen else 0), recorder.watching():
        result = module(*arguments.positional, **arguments.named)
    outputs = tuple(recorder.names[tensor] for tensor in tensors_in(result) if tensor in recorder.names)
    return Trace(name, "aten", recorder.inputs, recorder.weights, tuple(recorder.calls), outputs, batch, chosen, (), numbers_of(recorder.stored))


class _Recorder:
    """Names of the tensors that live, and the calls so far. A tensor is forgotten when the module drops it."""

    def __init__(self, torch: Any, module: Any) -> None:
        from torch.utils.weak import WeakIdKeyDictionary

        self.torch = torch
        self.names: Any = WeakIdKeyDictionary()
        self.inputs: dict[str, Operand] = {}
        self.weights: dict[str, Operand] = {}
        self.stored: dict[str, Any] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self.calls: list[TracedCall] = []
        self.path: list[tuple[str, bool]] = [("", False)]
        learned = {id(tensor) for tensor in module.parameters()}
        for key, tensor in (*module.named_parameters(), *module.named_buffers()):
            origin = "parameter" if id(tensor) in learned else "constant"
            self.names[tensor] = key
            self.weights[key] = Operand(key, spec_of(tensor), origin, small_value(tensor) if origin == "constant" else None)  # type: ignore[arg-type]  # one of the two
        for path, part in module.named_modules():
            leaf = next(part.children(), None) is None
            part.register_forward_pre_hook(lambda *_, entry=(path, leaf): self.path.append(entry))
            part.register_forward_hook(lambda *_: self._leave())

    def _leave(self) -> None:
        self.path.pop()

    def give(self, tensor: Any, name: str) -> None:
        """`tensor` is an input of the network."""
        self.names[tensor] = name
        self.inputs[name] = Operand(name, spec_of(tensor))

    def watching(self) -> Any:
        """A dispatch mode that records."""
        from torch.utils._python_dispatch import TorchDispatchMode

        recorder = self

        class Watch(TorchDispatchMode):  # type: ignore[misc]  # torch is loaded here only
            """Every call below autograd."""

            supports_higher_order_operators = True

            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                result = call_of(self, func, args, kwargs)
                if not is_entered(func):
                    recorder.record(func, args, kwargs or {}, result)
                return result

        return Watch()

    def record(self, func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> None:
        """Add a call, unless it makes no tensor."""
        made = tensors_in(result)
        if not made:
            return
        arguments = dict(zip(schema_names(func), map(self._argument, args), strict=False)) | {key: self._argument(value) for key, value in kwargs.items()}
        outputs = []
        for place, tensor in enumerate(made):
            known = self.names.get(tensor)
            handle = f"t{len(self.calls)}.{place}"
            if known is None or known not in self.weights:
                self.names[tensor] = handle
            outputs.append((handle, spec_of(tensor)))
        path, leaf = self.path[-1]
        self.calls.append(TracedCall(str(func), arguments, tuple(outputs), path, leaf, f"call {len(self.calls) + 1}"))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._argument(item) for item in value]
        if isinstance(value, self.torch.Tensor):
            if value not in self.names:  # a tensor that the module keeps outside its buffers, or a number
                key = f"constant{len(self.weights)}"
                self.names[value] = key
                self.stored[key] = value
                self.weights[key] = Operand(key, spec_of(value), "constant", small_value(value))
            return Name(self.names[value])
        return value if isinstance(value, int | float | str | bool | complex) or value is None else str(value)
