"""What torch.export sees of a module, as a `Trace`: the undecomposed graph, in which a convolution or an attention is one call."""

from __future__ import annotations

import contextlib
import gc
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from costmodel.importers._trace import Trace, TracedCall
from costmodel.importers.torch._arguments import Arguments
from costmodel.importers.torch._copies import Hollow
from costmodel.importers.torch._scope import CONDITION, ENTERED, Scope, alike
from costmodel.importers.torch._unrolled import not_unrolled
from costmodel.importers.torch._values import numbers_of, schema_names, small_value, spec_of
from costmodel.recognition import Operand, Origin


def trace_by_export(copied: Hollow, given: Arguments, *, name: str, batch: int, chosen: bool) -> Trace:
    """The calls that a module without data makes on `given` at a batch, which was `chosen` if it marks the sizes that follow it.

    Raises
    ------
    Exception
        Whatever torch.export raises where a module's path depends on its data.
    UnrolledError
        If the module works through a chosen batch sample by sample.
    """
    import torch

    arguments = copied.arguments(given, batch)
    with _without_collector(), torch.no_grad(), not_unrolled(batch if chosen else 0):
        program = torch.export.export(copied.module, arguments.positional, dict(arguments.named), strict=False)
    return trace_of_program(program, name=name, batch=batch, chosen=chosen)


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
    reader = _NodeReader(_ModulePaths(program))
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name not in weights and "val" in node.meta and hasattr(node.meta["val"], "shape"):
            inputs[node.name] = Operand(node.name, spec_of(node.meta["val"]))
    scope = Scope()
    calls = tuple(reader.calls(program.graph, scope))
    outputs = tuple(scope.name(argument.name) for argument in _results(program.graph))
    return Trace(name, "aten", inputs, weights, calls, outputs, batch, chosen, numbers=numbers_of(held))


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
        for node in _nodes(program.graph):
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


def _nodes(graph: Any) -> Iterator[Any]:
    """The nodes of an fx graph and of those inside it."""
    for node in graph.nodes:
        yield node
        for inner in _graphs(node):
            yield from _nodes(inner)


def _graphs(node: Any) -> list[Any]:
    """The graphs among the arguments of a node."""
    if node.op != "call_function" or hasattr(node.target, "_schema"):
        return []
    found = (_attribute(item) for item in _flat(node.args) if getattr(item, "op", "") == "get_attr")
    return [module.graph for module in found if hasattr(module, "graph")]


def _attribute(node: Any) -> Any:
    """What a ``get_attr`` node names."""
    found = node.graph.owning_module
    for step in node.target.split("."):
        found = getattr(found, step)
    return found


def _results(graph: Any) -> list[Any]:
    """The nodes that a graph gives back."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    return [argument for argument in _flat(output.args) if hasattr(argument, "op")]


class UnreadableProgramError(Exception):
    """Raised where an exported program calls what is no operator of torch, such as the inside of a vmap."""


class _NodeReader:
    """Nodes of an fx graph as calls. `getitem` nodes name the outputs of the node before them."""

    def __init__(self, paths: _ModulePaths) -> None:
        self.paths = paths
        self.count = 0

    def calls(self, graph: Any, scope: Scope) -> Iterator[TracedCall]:
        """The calls of a graph in order, those of inner graphs in the place of the node that has them."""
        for node in graph.nodes:
            if node.op == "call_function" and node.target is not operator.getitem:
                yield from self._read(node, scope)

    def _read(self, node: Any, scope: Scope) -> Sequence[TracedCall]:
        """The calls that a node is; none where it makes no tensor."""
        outputs = self._outputs(node, scope)
        if not outputs:
            return ()
        target = node.target
        if not hasattr(target, "_schema"):
            if not hasattr(target, "py_kernels"):  # no higher-order operator either
                raise UnreadableProgramError(f"calls {getattr(target, '__name__', target)}, which is no operator")
            entered = self._entered(node, scope, [name for name, _ in outputs])
            if entered is not None:
                return entered
        self.count += 1
        names = schema_names(target) if hasattr(target, "_schema") else tuple(f"argument{place}" for place in range(len(node.args)))
        arguments = dict(zip(names, (_argument(value, scope) for value in node.args), strict=False))
        arguments |= {key: _argument(value, scope) for key, value in node.kwargs.items()}
        path, leaf = self.paths.of(node)
        called = str(target) if hasattr(target, "_schema") else f"higher_order.{target}"
        return (TracedCall(called, arguments, outputs, path, leaf, f"call {self.count} ({node.name})"),)

    def _entered(self, node: Any, scope: Scope, names: list[str]) -> Sequence[TracedCall] | None:
        """The calls of the graph inside a node, whose outputs are bound; None where it is not known that they are all that it computes."""
        called, graphs = str(node.target), _graphs(node)
        if not (called in ENTERED and len(graphs) == 1) and not (called == CONDITION and len(graphs) == 2):
            return None
        given = [item for item in _flat(node.args) if getattr(item, "op", "") != "get_attr"]
        found = []
        for number, graph in enumerate(graphs):
            wanted = [item for item in graph.nodes if item.op == "placeholder"]
            pairs = zip(wanted, given[len(given) - len(wanted) :], strict=True)
            inner = scope.inside(f"{node.name}.{number}", {local.name: scope.name(outer.name) for local, outer in pairs if hasattr(outer, "op")})
            found.append((list(self.calls(graph, inner)), [inner.name(result.name) for result in _results(graph)]))
        calls, results = found[0]
        if len(results) != len(names) or (len(found) == 2 and not alike(calls, found[1][0])):
            return None
        scope.bound.update(zip((name.removeprefix(scope.prefix) for name in names), results, strict=True))
        return calls

    def _outputs(self, node: Any, scope: Scope) -> tuple[tuple[str, Any], ...]:
        value = node.meta.get("val")
        if not isinstance(value, list | tuple):
            return ((scope.name(node.name), spec_of(value)),) if hasattr(value, "shape") else ()
        users = {user.args[1]: user.name for user in node.users if user.target is operator.getitem}
        names = {place: scope.name(name) for place, name in users.items()}
        return tuple((names.get(place, ""), spec_of(item)) for place, item in enumerate(value) if hasattr(item, "shape"))


def _argument(value: Any, scope: Scope) -> Any:
    """An argument of an fx node as plain values and `Name`s."""
    if isinstance(value, list | tuple):
        return [_argument(item, scope) for item in value]
    if hasattr(value, "op") and hasattr(value, "users"):
        return scope.name(value.name) if value.op != "get_attr" else value.target
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
