"""Nodes of a ``.pt2`` file as calls; a graph inside a node, such as that of an autocast region, is entered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from costmodel.errors import InvalidFileError, UsageError
from costmodel.importers._trace import TracedCall
from costmodel.importers.torch._scope import CONDITION, ENTERED, Scope, alike
from costmodel.importers.torch._sizes import Sizes, graphs_inside


class NodeReader:
    """Nodes of one graph as calls."""

    def __init__(self, graph: Mapping[str, Any], sizes: Sizes, scope: Scope | None = None, containers: frozenset[str] | None = None, place: str = "") -> None:
        self.graph, self.sizes, self.place = graph, sizes, place
        self.scope = Scope() if scope is None else scope
        self.containers = _containers(graph) if containers is None else containers

    def calls(self) -> Iterator[TracedCall]:
        """The calls in order, those of inner graphs in the place of the node that has them."""
        for number, node in enumerate(self.graph["nodes"]):
            place = f"{self.place}node {number} ({node.get('name') or node.get('target')!r})"
            try:
                yield from self._read(node, place)
            except UsageError:
                raise
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise InvalidFileError(f"{place}: {type(error).__name__}: {str(error)[:200]}") from None

    def _read(self, node: Mapping[str, Any], place: str) -> Iterator[TracedCall]:
        """The calls that a node is; none where no tensor comes out."""
        names = [name for entry in node["outputs"] for name in _tensor_names(entry)]
        if not names:
            return
        target = node["target"]
        if not isinstance(target, str):
            raise TypeError(f"{str(target)[:40]} is no name of an operator")
        target = target.removeprefix("torch.ops.")
        inner = [entry["arg"]["as_graph"] for entry in node["inputs"] if "as_graph" in entry["arg"]]
        if inner:
            entered = self._entered(node, target.removeprefix("higher_order."), inner, names, place)
            if entered is not None:
                yield from entered
                return
        outputs = tuple((self.scope.name(name), self.sizes.spec(name)) for name in names)
        plain = (entry for entry in node["inputs"] if "as_graph" not in entry["arg"])
        arguments = {str(entry["name"]) or f"argument{number}": self._argument(entry["arg"]) for number, entry in enumerate(plain)}
        path = _path(node)
        yield TracedCall(target, arguments, outputs, path, path not in self.containers, place)

    def _entered(self, node: Mapping[str, Any], operator: str, inner: Sequence[Mapping[str, Any]], names: list[str], place: str) -> Sequence[TracedCall] | None:
        """The calls of the graph inside a node, whose outputs are bound; None where it is not known that they are all that it computes."""
        if not (operator in ENTERED and len(inner) == 1) and not (operator == CONDITION and len(inner) == 2):
            return None
        found = [self._inside(node, entry, place) for entry in inner]
        calls = [list(reader.calls()) for reader, _ in found]
        reader, results = found[0]
        if len(results) != len(names) or (len(found) == 2 and not alike(*calls)):
            return None
        for name, result in zip(names, results, strict=True):
            self.scope.bound[name] = reader.scope.name(result)
        return calls[0]

    def _inside(self, node: Mapping[str, Any], entry: Mapping[str, Any], place: str) -> tuple[NodeReader, list[str]]:
        """A reader of an inner graph, and the inner names of what it gives back."""
        graph = entry["graph"]
        given = [argument for item in node["inputs"] for argument in _flat(item["arg"])]
        wanted = [argument for item in graph["inputs"] for argument in _flat(item)]
        pairs = zip(wanted, given[len(given) - len(wanted) :], strict=True)
        bound = {local: self.scope.name(outer) for local, outer in pairs if local and outer}
        scope = self.scope.inside(f"{node.get('name') or 'node'}.{entry['name']}", bound)
        results = [name for item in graph["outputs"] for name in _tensor_names(item)]
        return NodeReader(graph, self.sizes.within(graph), scope, self.containers, f"{place}: "), results

    def _argument(self, argument: Mapping[str, Any]) -> Any:
        ((kind, value),) = argument.items()
        if kind == "as_none":
            return None
        if kind == "as_tensor":
            return self.scope.name(value["name"])
        if kind == "as_tensors":
            return [self.scope.name(item["name"]) for item in value]
        if kind == "as_optional_tensors":
            return [self.scope.name(item["as_tensor"]["name"]) if "as_tensor" in item else None for item in value]
        if kind == "as_sym_int":
            return self.sizes.number(value)
        if kind == "as_sym_ints":
            return [self.sizes.number(item) for item in value]
        return value if isinstance(value, int | float | str | list) else str(value)


def _containers(graph: Mapping[str, Any]) -> frozenset[str]:
    """Paths of the modules that have others inside."""
    paths = set(_paths(graph))
    return frozenset(".".join(path.split(".")[:depth]) for path in paths for depth in range(len(path.split("."))))


def _paths(graph: Mapping[str, Any]) -> Iterator[str]:
    yield from map(_path, graph["nodes"])
    for inner in graphs_inside(graph):
        yield from _paths(inner)


def _flat(argument: Mapping[str, Any]) -> list[str]:
    """The names of the tensors of an argument, "" for whatever else it is."""
    names = _tensor_names(argument)
    return names or ([] if "as_graph" in argument or "as_tensors" in argument else [""])


def _tensor_names(entry: Mapping[str, Any]) -> list[str]:
    if "as_tensor" in entry:
        return [str(entry["as_tensor"]["name"])]
    return [str(item["name"]) for item in entry.get("as_tensors", ())]


def _path(node: Mapping[str, Any]) -> str:
    """The module path in ``L__self__,,M;L__self__c,c,Conv2d``."""
    last = str(node.get("metadata", {}).get("nn_module_stack", "")).rpartition(";")[2].split(",")
    return last[1].partition("@")[0] if len(last) == 3 and not last[1].startswith("_") else ""
