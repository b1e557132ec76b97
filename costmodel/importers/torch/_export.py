"""What torch.export sees of a module, as a `Trace`: the undecomposed graph, in which a convolution or an attention is one call."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from costmodel.importers._trace import Name, Trace, TracedCall
from costmodel.importers.torch._values import numbers_of, schema_names, small_value, spec_of
from costmodel.recognition import Operand, Origin


def trace_by_export(module: Any, inputs: Sequence[Any], named: Mapping[str, Any], *, name: str, batch: int, chosen: bool) -> Trace:
    """The calls that `module` makes on `inputs`, tensors on the meta device.

    Raises
    ------
    Exception
        Whatever torch.export raises where a module's path depends on its data.
    """
    import torch

    with quietly(), _without_collector(), torch.no_grad():
        program = torch.export.export(module, tuple(inputs), dict(named), strict=False)
    return trace_of_program(program, name=name, batch=batch, chosen=chosen)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Nothing printed, no warnings: a failing export prints whole graphs, and a module's own warnings, which may be errors, are not about its costs."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.export", "torch._export", "torch.fx")]
    levels = [logger.level for logger in loggers]
    sink = io.StringIO()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(sink), contextlib.redirect_stdout(sink), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """No collection of cycles, which finds nothing in all the objects that an export makes and takes a sixth of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def trace_of_program(program: Any, *, name: str, batch: int, chosen: bool) -> Trace:
    """An exported program as a trace."""
    inputs: dict[str, Operand] = {}
    weights: dict[str, Operand] = {}
    held = _held(program)
    for spec in program.graph_signature.input_specs:
        if spec.kind.name == "USER_INPUT":
            continue
        tensor = held[spec.target]
        origin: Origin = "parameter" if spec.kind.name == "PARAMETER" else "constant"
        weights[spec.arg.name] = Operand(_root(spec.target, tensor, held), spec_of(tensor), origin, small_value(tensor) if origin == "constant" else None)
    paths = _ModulePaths(program)
    reader = _NodeReader(paths)
    calls = []
    outputs: tuple[str, ...] = ()
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name not in weights and "val" in node.meta and hasattr(node.meta["val"], "shape"):
            inputs[node.name] = Operand(node.name, spec_of(node.meta["val"]))
        elif node.op == "call_function":
            call = reader.call(node)
            if call is not None:
                calls.append(call)
        elif node.op == "output":
            outputs = tuple(argument.name for argument in _flat(node.args) if hasattr(argument, "op"))
    return Trace(name, "aten", inputs, weights, tuple(calls), outputs, batch, chosen, numbers=numbers_of(held))


def _held(program: Any) -> dict[str, Any]:
    """Every stored tensor of a program by the name that its signature uses."""
    return {**program.constants, **dict(program.named_buffers()), **dict(program.named_parameters())}


def _root(target: str, tensor: Any, held: Mapping[str, Any]) -> str:
    """The first name of a tensor that goes by several: tied weights are one."""
    return next((name for name, other in held.items() if other is tensor), target)


class _ModulePaths:
    """Module paths of nodes, and which modules have no others inside."""

    def __init__(self, program: Any) -> None:
        inner: set[str] = set()
        for node in program.graph.nodes:
            for path, _ in node.meta.get("nn_module_stack", {}).values():
                parts = _clean(path).split(".")
                inner |= {".".join(parts[:depth]) for depth in range(len(parts))}
        self.containers = inner

    def of(self, node: Any) -> tuple[str, bool]:
        """(path, whether it is a leaf)."""
        stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        path = _clean(stack[-1]) if stack else ""
        return path, path not in self.containers


def _clean(path: str) -> str:
    """A module path without torch's mark for repeated calls (``relu@1``)."""
    return path.partition("@")[0]


class _NodeReader:
    """Nodes of an fx graph as calls. `getitem` nodes name the outputs of the node before them."""

    def __init__(self, paths: _ModulePaths) -> None:
        self.paths = paths
        self.count = 0

    def call(self, node: Any) -> TracedCall | None:
        """The call of a node, or None where it only names another node's output or asserts something."""
        if not hasattr(node.target, "_schema"):
            return None
        outputs = self._outputs(node)
        if not outputs:
            return None
        self.count += 1
        arguments = dict(zip(schema_names(node.target), (_argument(value) for value in node.args), strict=False))
        arguments |= {key: _argument(value) for key, value in node.kwargs.items()}
        path, leaf = self.paths.of(node)
        return TracedCall(str(node.target), arguments, outputs, path, leaf, f"call {self.count} ({node.name})")

    def _outputs(self, node: Any) -> tuple[tuple[str, Any], ...]:
        value = node.meta.get("val")
        if not isinstance(value, list | tuple):
            return ((node.name, spec_of(value)),) if hasattr(value, "shape") else ()
        names = {user.args[1]: user.name for user in node.users if getattr(user.target, "__name__", "") == "getitem"}
        return tuple((names.get(place, ""), spec_of(item)) for place, item in enumerate(value) if hasattr(item, "shape"))


def _argument(value: Any) -> Any:
    """An argument of an fx node as plain values and `Name`s."""
    if isinstance(value, list | tuple):
        return [_argument(item) for item in value]
    if hasattr(value, "op") and hasattr(value, "users"):
        return Name(value.name)
    return value if isinstance(value, int | float | str | bool | complex) or value is None else str(value)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flat(item)
    else:
        yield value
