"""`Graph`: a network as operators and the tensors between them, immutable; and the builder that makes one.

Nodes are kept in execution order beside an immutable record each (operator, arguments, inferred specs, work), which is
all that lowering and pricing read. `Graph.digraph` is the same graph as a frozen networkx `MultiDiGraph` for everything
where graph algorithms matter; it is a multigraph because `x + x` is two edges, and the argument position is on the edge.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from costmodel import durable
from costmodel.errors import CostModelError, InvalidFileError, ShapeError, UsageError, printable, unknown, whole
from costmodel.files import MAX_JSON, read_text
from costmodel.frozen import FrozenDict
from costmodel.operator import Operator, Shapes, Specs, find_operator
from costmodel.tensor import PRECISIONS, DType, TensorSpec
from costmodel.work import Work

if TYPE_CHECKING:
    import networkx
    from pydantic import TypeAdapter

FORMAT = "costmodel-graph"
VERSION = 1
#: Largest dimension of an input: beyond any tensor, and small enough that counts stay numbers that can be printed.
MAX_SIZE = 10**12


class TensorRef(NamedTuple):
    """A tensor of a graph: the node (or graph input) that produces it and which of its outputs it is."""

    node: str
    output: int = 0


class Value(NamedTuple):
    """What `GraphBuilder.add` returns: a tensor with its spec, ready to be an argument."""

    ref: TensorRef
    spec: TensorSpec

    @property
    def channels(self) -> int:
        """Size of dimension 1, the channels of an image."""
        return self.spec.shape[1]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a graph with everything that follows from its inputs.

    `shares` names the node whose parameters this one uses (tied weights count once).
    """

    name: str
    operator: Operator
    arguments: tuple[TensorRef, ...]
    inputs: Specs
    outputs: Specs
    work: Work
    shares: str = ""

    @property
    def parameters(self) -> int:
        """Learnable elements that this node adds to the network."""
        return 0 if self.shares else self.work.parameters

    @property
    def parameter_shapes(self) -> Shapes:
        """Shapes of the learnable tensors by name."""
        return self.operator.parameters(*self.inputs)


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: named inputs, nodes in execution order, outputs. Immutable, picklable, safe to share.

    Counts are for one forward pass of the batch that `inputs` states. `notes` are warnings that belong to every figure of this
    network; reports repeat them. `precision` is what the file that it came from stores it in, where that is not fp32 (``int8``);
    estimates take it unless another is asked for. `fixed_batch` says why the batch is fixed, "" where it is not.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    nodes: tuple[Node, ...]
    outputs: tuple[TensorRef, ...]
    notes: tuple[str, ...] = ()
    precision: str = ""
    fixed_batch: str = ""
    _index: dict[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", FrozenDict(self.inputs))
        object.__setattr__(self, "_index", {node.name: node for node in self.nodes})

    def __getstate__(self) -> tuple[Any, ...]:
        return (self.name, dict(self.inputs), self.nodes, self.outputs, self.notes, self.precision, self.fixed_batch)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for slot, value in zip(("name", "inputs", "nodes", "outputs", "notes", "precision", "fixed_batch"), state, strict=True):
            object.__setattr__(self, slot, value)
        self.__post_init__()

    def __getitem__(self, name: str) -> Node:
        """The node called `name`."""
        try:
            return self._index[name]
        except KeyError:
            raise unknown("node", name, self._index) from None

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def batch(self) -> int:
        """Size of dimension 0 of the first input."""
        return next(iter(self.inputs.values())).shape[0]

    @property
    def parameters(self) -> int:
        """Learnable elements; tied ones once, buffers not at all."""
        return sum([node.parameters for node in self.nodes])

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass."""
        return sum([node.work.macs for node in self.nodes])

    @property
    def other_flops(self) -> int:
        """Arithmetic outside contractions of one forward pass."""
        return sum([node.work.other_flops for node in self.nodes])

    @property
    def flops(self) -> int:
        """``2 * macs + other_flops``."""
        return 2 * self.macs + self.other_flops

    def spec(self, ref: TensorRef) -> TensorSpec:
        """Shape and dtype of a tensor."""
        spec = self.inputs.get(ref.node)
        return spec if spec is not None else self[ref.node].outputs[ref.output]

    @property
    def digraph(self) -> networkx.MultiDiGraph:
        """The graph as a frozen networkx `MultiDiGraph`.

        A node is a name with the attributes `operator` (None for an input of the network), `specs` and `shares`; an edge
        has `argument`, its position among the operator's arguments, and `output`, which output of its source it carries.
        """
        import networkx

        digraph = networkx.MultiDiGraph(name=self.name)
        for name, spec in self.inputs.items():
            digraph.add_node(name, operator=None, specs=(spec,), shares="")
        for node in self.nodes:
            digraph.add_node(node.name, operator=node.operator, specs=node.outputs, shares=node.shares)
            for position, ref in enumerate(node.arguments):
                digraph.add_edge(ref.node, node.name, argument=position, output=ref.output)
        return networkx.freeze(digraph)

    @classmethod
    def from_digraph(cls, digraph: networkx.MultiDiGraph, *, inputs: Mapping[str, TensorSpec], outputs: Sequence[TensorRef]) -> Graph:
        """The graph that a `MultiDiGraph` of the form of `digraph` describes; shapes are inferred anew.

        Raises
        ------
        UsageError
            If it has a cycle, a node without an operator, arguments that are not numbered 0, 1, 2..., or edges and
            outputs that carry a tensor which does not exist.
        """
        import networkx

        try:
            order = list(networkx.lexicographical_topological_sort(digraph, key={n: i for i, n in enumerate(digraph)}.get))
        except networkx.NetworkXUnfeasible:
            raise UsageError("the digraph has a cycle: operators must form a directed acyclic graph") from None
        builder = GraphBuilder(str(digraph.graph.get("name", "")))
        values = {TensorRef(name): builder.input(name, spec) for name, spec in inputs.items()}
        for name in order:
            if name in inputs:
                continue
            attributes = digraph.nodes[name]
            made = attributes.get("operator")
            if not isinstance(made, Operator):
                raise UsageError(f"node {name!r} has no operator: set the node attribute 'operator'")
            edges = sorted((data.get("argument", -1), TensorRef(source, data.get("output", 0))) for source, _, data in digraph.in_edges(name, data=True))
            if [position for position, _ in edges] != list(range(len(edges))):
                raise UsageError(f"node {name!r}: arguments must be numbered 0, 1, 2... on the edge attribute 'argument'")
            arguments = [_find(values, ref, f"node {name!r}") for _, ref in edges]
            for value in builder.add_all(made, *arguments, name=name, shares=attributes.get("shares", "")):
                values[value.ref] = value
        return builder.build(*(_find(values, ref, "outputs") for ref in outputs))

    def with_inputs(self, specs: Mapping[str, TensorSpec]) -> Graph:
        """The same network for other input shapes; everything is inferred anew.

        Raises
        ------
        UnknownNameError
            If `specs` names an input that the network does not have.
        ShapeError
            If an operator cannot take the shapes that reach it; names the operator.
        """
        for name in specs:
            if name not in self.inputs:
                raise unknown("input", name, self.inputs)
        builder = GraphBuilder(self.name)
        values = {TensorRef(name): builder.input(name, specs.get(name, spec)) for name, spec in self.inputs.items()}
        for node in self.nodes:
            made = builder.add_all(node.operator, *(values[ref] for ref in node.arguments), name=node.name, shares=node.shares)
            for value in made:
                values[value.ref] = value
        again = builder.build(*(values[ref] for ref in self.outputs))
        return dataclasses.replace(again, notes=self.notes, precision=self.precision, fixed_batch=self.fixed_batch)

    def with_batch(self, batch: int) -> Graph:
        """The same network for another batch; what depends on weights alone counts once. Raises UsageError if the batch is fixed, and says why."""
        batch = whole("batch", batch, 1, MAX_SIZE)
        if batch == self.batch:
            return self
        if self.fixed_batch:
            raise UsageError(f"{self.fixed_batch}: give inputs with a batch of {batch} and import it again")
        return self.with_inputs({name: spec.with_shape(batch, *spec.shape[1:]) for name, spec in self.inputs.items()})

    def to_dict(self) -> dict[str, Any]:
        """The graph as plain JSON values: inputs, nodes with their operator's fields, outputs."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "inputs": {name: {"shape": list(spec.shape), "dtype": spec.dtype} for name, spec in self.inputs.items()},
            "nodes": [
                {
                    "name": node.name,
                    "operator": type(node.operator).__name__,
                    "fields": {f.name: getattr(node.operator, f.name) for f in dataclasses.fields(node.operator)},  # type: ignore[arg-type]  # every operator is a dataclass
                    "arguments": [list(ref) for ref in node.arguments],
                    **({"shares": node.shares} if node.shares else {}),
                }
                for node in self.nodes
            ],
            "outputs": [list(ref) for ref in self.outputs],
            **({"notes": list(self.notes)} if self.notes else {}),
            **({"precision": self.precision} if self.precision else {}),
            **({"fixed_batch": self.fixed_batch} if self.fixed_batch else {}),
        }

    def save(self, path: str | Path) -> None:
        """Write the graph as JSON, whole or not at all (a CostModelError names the file that cannot be written); `load_graph` reads it back."""
        durable.put(path, json.dumps(self.to_dict()) + "\n")


class GraphBuilder:
    """Builds a `Graph` node by node, inferring shapes at once so that an error names its operator.

    Examples
    --------
    >>> from costmodel.ops.arithmetic import Add
    >>> from costmodel.ops.elementwise import ReLU
    >>> builder = GraphBuilder("twice")
    >>> x = builder.input("x", TensorSpec((1, 8, 4, 4)))
    >>> graph = builder.build(builder.add(ReLU(), builder.add(Add(), x, x)))
    >>> [node.name for node in graph.nodes], graph.other_flops
    (['add', 'relu'], 256)
    """

    def __init__(self, name: str) -> None:
        self.name = printable(name)
        self._scope = ""
        self._inputs: dict[str, TensorSpec] = {}
        self._nodes: list[Node] = []
        self._names: set[str] = set()
        self._numbers: dict[str, int] = {}  # how far the numbers of a taken name are taken too

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefix the names of all nodes added inside with ``name.``; scopes nest into module paths."""
        outer = self._scope
        self._scope = f"{outer}{name}."
        try:
            yield
        finally:
            self._scope = outer

    def input(self, name: str, spec: TensorSpec) -> Value:
        """A named input of the network."""
        name = printable(name)
        if name in self._names:
            raise UsageError(f"graph {self.name!r} has something called {name!r} already: give the input another name")
        if not spec.shape or any(not 1 <= size <= MAX_SIZE for size in spec.shape):
            raise ShapeError(f"input {name!r}: needs a batch dimension, and every dimension must lie between 1 and {MAX_SIZE}, not {spec}")
        self._names.add(name)
        self._inputs[name] = spec
        return Value(TensorRef(name), spec)

    def add(self, operator: Operator, *arguments: Value, name: str = "", shares: str = "") -> Value:
        """Add an operator with one output and return that output; see `add_all`."""
        return self.add_all(operator, *arguments, name=name, shares=shares)[0]

    def add_all(self, operator: Operator, *arguments: Value, name: str = "", shares: str = "") -> tuple[Value, ...]:
        """Add an operator and return all its outputs.

        `name` is relative to the scope; without one the class name is used. A taken name gets a number.

        Raises
        ------
        ShapeError
            If the operator cannot take these inputs: names it with the shapes.
        UsageError
            If `shares` names no node added before.
        """
        if shares and self._node(shares) is None:
            raise UsageError(f"{name or type(operator).__name__} cannot share the parameters of {shares!r}, which is no earlier node")
        full = self._unique(printable(self._scope + (name or _snake(type(operator).__name__))))
        inputs = tuple(value.spec for value in arguments)
        try:
            outputs = operator.infer(*inputs)
            for spec in outputs:
                if min(spec.shape, default=1) < 1:
                    raise ShapeError(f"gives {spec}: every dimension must be at least 1")
        except ShapeError as error:
            shapes = ", ".join(str(spec) for spec in inputs)
            raise ShapeError(f"{full} ({type(operator).__name__}) on {shapes}: {error}") from None
        work = operator.work(inputs, outputs)
        if min(work.m, work.n, work.k, work.groups, work.parameters, work.other_flops, work.elements_written) < 0:
            raise ShapeError(f"{full} ({type(operator).__name__}): {operator} gives negative counts; its attributes must be positive")
        if shares:
            self._require_same(full, shares, operator, inputs)
        self._nodes.append(Node(full, operator, tuple(value.ref for value in arguments), inputs, outputs, work, shares))
        return tuple([Value(TensorRef(full, position), spec) for position, spec in enumerate(outputs)])

    def parameters_of(self, name: str) -> Shapes:
        """Shapes of the learnable tensors of the node called `name`, which was added before."""
        node = self._node(name)
        assert node is not None, name
        return node.parameter_shapes

    def _node(self, name: str) -> Node | None:
        return next((node for node in self._nodes if node.name == name), None)

    def _require_same(self, name: str, owner: str, operator: Operator, inputs: Specs) -> None:
        """Parameters can be shared only by operators that have the same ones."""
        node = self._node(owner)
        assert node is not None, owner
        if node.operator.parameters(*node.inputs) != operator.parameters(*inputs):
            raise ShapeError(f"{name} cannot share the parameters of {owner!r}: their shapes differ")

    def build(self, *outputs: Value) -> Graph:
        """The finished graph."""
        if not self._inputs or not outputs:
            raise ShapeError(f"graph {self.name!r} needs at least one input and one output")
        return Graph(self.name, self._inputs, tuple(self._nodes), tuple(value.ref for value in outputs))

    def _unique(self, name: str) -> str:
        if name in self._names:
            number = self._numbers.get(name, 1)
            while f"{name}_{number}" in self._names:
                number += 1
            self._numbers[name] = number
            name = f"{name}_{number}"
        self._names.add(name)
        return name


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name).lower()


def load_graph(path: str | Path) -> Graph:
    """Read a graph that `Graph.save` wrote; shapes are inferred anew, so a file cannot lie about them.

    Raises
    ------
    InvalidFileError
        If the file is not such a graph: names the node and what is wrong with it.
    """
    try:
        document = json.loads(read_text(path, MAX_JSON), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:  # a number of more digits than Python reads is a plain ValueError
        raise InvalidFileError(f"{path}: is not JSON: {error}") from None
    return graph_from_dict(document, path)


def graph_from_dict(document: Any, path: str | Path) -> Graph:
    """The graph of a document that `Graph.to_dict` made; `path` is where it was found, for messages.

    Raises
    ------
    InvalidFileError
        If the document is no graph: names the node and what is wrong with it.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidFileError(f'{path}: is not a saved graph (no "format": "{FORMAT}"); `costmodel export MODEL -o F.json` writes one')
    if document.get("version") != VERSION or isinstance(document["version"], bool):
        raise InvalidFileError(f"{path}: has version {document.get('version')!r}; this costmodel reads version {VERSION}")
    place = "the header"
    try:
        builder = GraphBuilder(_text(document["name"]))
        values = {}
        for name, entry in document["inputs"].items():
            place = f"input {name!r}"
            values[TensorRef(name)] = builder.input(_text(name), TensorSpec(tuple(map(_integer, entry["shape"])), DType.named(entry["dtype"])))
        place = "nodes"
        for position, entry in enumerate(document["nodes"]):
            place = f"node {position}"
            place = f"node {position} ({entry.get('name', 'unnamed')!r})"
            arguments = [values[TensorRef(str(node), _integer(output))] for node, output in entry["arguments"]]
            made = builder.add_all(_operator(entry["operator"], entry["fields"]), *arguments, name=_text(entry["name"]), shares=str(entry.get("shares", "")))
            if made[0].ref.node != entry["name"]:
                raise UsageError("its name is empty or taken by an earlier entry")
            values |= {value.ref: value for value in made}
        place = "outputs"
        graph = builder.build(*(values[TensorRef(str(node), _integer(output))] for node, output in document["outputs"]))
        place = "notes"
        graph = dataclasses.replace(graph, notes=tuple(_text(note) for note in document.get("notes", ())))
        place = "fixed_batch and precision"
        fixed = _text(document.get("fixed_batch", ""))
        return dataclasses.replace(graph, precision=_among(document.get("precision", ""), ("", *PRECISIONS)), fixed_batch=fixed)
    except KeyError as error:
        missing = error.args[0]
        known = isinstance(missing, TensorRef)
        detail = f"refers to output {missing.output} of {missing.node!r}, which no earlier entry defines" if known else f"{error} is missing"
        raise InvalidFileError(f"{path}: {place}: {detail}") from None
    except (CostModelError, TypeError, ValueError, AttributeError, ArithmeticError, LookupError, RecursionError) as error:
        raise InvalidFileError(f"{path}: {place}: {error}") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, refused if a key stands twice: one of them would be lost silently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return found


def _text(value: Any) -> str:
    """A name: a string without control characters, which a terminal would obey."""
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError(f"{value!r} is not a printable name")
    return value


def _among(value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"{value!r} is none of {', '.join(filter(None, choices))}")
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is not an integer")
    return value


def _find(values: Mapping[TensorRef, Value], ref: TensorRef, reader: str) -> Value:
    """The tensor that `reader` refers to."""
    try:
        return values[ref]
    except KeyError:
        raise UsageError(f"{reader}: refers to {ref}, which nothing earlier produces") from None


def _operator(name: Any, fields: Any) -> Operator:
    """The operator called `name` with `fields` of exactly the declared types: a boolean is no number, an array is a tuple."""
    from pydantic import TypeAdapter, ValidationError

    found = find_operator(str(name))
    declared = [f.name for f in dataclasses.fields(found)]  # type: ignore[arg-type]  # every operator is a dataclass
    for given in fields:
        if given not in declared:
            raise unknown(f"field of {name}", str(given), declared)
    reader = _READERS.get(found.__name__)
    if reader is None:
        reader = _READERS[found.__name__] = TypeAdapter(found)
    try:
        return reader.validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        raise UsageError("; ".join(_problem(problem["loc"], problem["msg"]) for problem in error.errors())) from None


_READERS: dict[str, TypeAdapter[Operator]] = {}


def _problem(path: tuple[str | int, ...], message: str) -> str:
    """What is wrong with which field; pydantic's names of the members of a union are left out."""
    place = ".".join(str(step) for number, step in enumerate(path) if number == 0 or isinstance(step, int))
    return f"field {place!r}: {message}" if place else message
