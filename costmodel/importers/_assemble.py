"""`assemble`: a `Trace` into a `Graph`, by asking the operator classes what each call is.

A call that no class recognises becomes an `Unknown` operator, which has a place, a name and output shapes but no cost: it
shows up in every report. Stored tensors that no operator takes for its parameters become nodes of their own, used or not, so
that the parameters of the graph are those of the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from costmodel.errors import InvalidFileError, OperatorError, ShapeError
from costmodel.graph import Graph, GraphBuilder, Value
from costmodel.importers._foreign import inferred, is_foreign, read
from costmodel.importers._patterns import tidy
from costmodel.importers._rim import FAULTS
from costmodel.importers._trace import Name, Trace, TracedCall
from costmodel.importers._view import Source
from costmodel.operator import Operator, Specs, load_plugins, readers
from costmodel.ops.blocks import put_back
from costmodel.ops.layout import Identity, Split
from costmodel.ops.stored import Constant, Parameter
from costmodel.ops.unknown import Unknown
from costmodel.recognition import Call, Operand, UnreadableCallError
from costmodel.tensor import TensorSpec

#: Name of every tensor without elements: it has no place in a graph.
_NOTHING = "\0nothing"
#: Calls of torch whose outputs share the elements of their first tensor.
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        *("slice.Tensor", "select.int", "narrow.default", "unbind.int", "split.Tensor", "split_with_sizes.default", "split.sizes", "chunk.default"),
        *("view.default", "view_as.default", "unsqueeze.default", "squeeze.default", "squeeze.dim", "squeeze.dims", "unflatten.int", "_reshape_alias.default"),
        *(
            "permute.default",
            "transpose.int",
            "t.default",
            "numpy_T.default",
            "mT.default",
            "movedim.int",
            "swapaxes.default",
            "alias.default",
            "detach.default",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Imported:
    """A graph, and for each node's parameters by name the stored tensor of the origin that they are."""

    graph: Graph
    sources: Mapping[str, Mapping[str, Source]]


def assemble(trace: Trace, *, batch: int | None = None) -> Imported:
    """The graph of `trace`.

    Parameters
    ----------
    batch : samples of the graph; None keeps that of the trace.

    Raises
    ------
    InvalidFileError
        If a call refers to a tensor that nothing before it makes, or its shapes contradict its operator; names the place.
    """
    return _Assembler(trace, batch).run()


class _Assembler:
    """State of one assembly. An operand is known by its name in the trace; `values` are the tensors in the graph."""

    def __init__(self, trace: Trace, batch: int | None) -> None:
        self.trace = trace
        self.batch = trace.batch if batch is None else batch
        self.readers = readers(trace.dialect)
        self.builder = GraphBuilder(trace.name)
        self.operands: dict[str, Operand] = {**trace.inputs, **trace.weights}
        self.stored = {operand.name: operand for operand in trace.weights.values()}
        self.values: dict[str, Value] = {}
        self.owners: dict[str, str] = {}  # stored tensor -> the node whose parameter it is
        self.sources: dict[str, dict[str, Source]] = {}
        self.call: TracedCall | None = None
        self.made = 0
        self.steps: list[Operator] = []  # what the call in hand has added
        self.foreign = False  # whether a user's class recognised it
        self.views: dict[str, tuple[str, Operator]] = {}  # a tensor that shares the elements of another: which one, and how it is cut or seen
        self.seen_as: dict[str, list[str]] = {}  # the views of a tensor
        self.stale: set[str] = set()  # views of a tensor that was written to since

    def run(self) -> Imported:
        for name, operand in self.trace.inputs.items():
            if operand.shape:
                self.values[name] = self.builder.input(name, self._scaled(operand.spec))
            else:  # a number, such as a step of a diffusion
                self.operands[name] = self.stored[name] = replace(operand, origin="constant")
        for call in self.trace.calls:
            self._read(call)
        outputs = [self._value(self._operand(name, "outputs")) for name in self.trace.outputs]
        for operand in self.trace.weights.values():
            if operand.origin == "parameter" and operand.name not in self.owners:
                self._value(operand)  # no operator reads it, but the network has it
        graph, sources = tidy(replace(self.builder.build(*outputs), notes=self.trace.notes), self.sources, self.trace.numbers)
        return Imported(graph, sources)

    # -- one call -------------------------------------------------------------------------------------------------

    def _read(self, traced: TracedCall) -> None:
        """Add what `traced` is to the graph, and bind its outputs."""
        self.call, self.made, self.steps, self.foreign = traced, 0, [], False
        if traced.outputs and not any(spec.numel for spec in traced.specs):
            self.operands |= {name: Operand(_NOTHING, spec) for name, spec in traced.outputs}
            return
        arguments = {key: self._resolved(value, traced) for key, value in traced.arguments.items()}
        plain = traced.operator.replace("_.", ".", 1) if _in_place(traced.operator) else traced.operator
        call = self._call(plain, arguments, traced.specs)
        found = self._recognised(call)
        if found is None:
            found = self._unknown(call)
        for (name, spec), operand in zip(traced.outputs, found, strict=False):
            if name and operand.shape != spec.shape:
                raise (OperatorError if self.foreign else InvalidFileError)(
                    f"{traced.place}: {traced.operator} should give {spec}, but what it was read as gives {operand.spec}"
                )
            self.operands[name] = operand
        if _in_place(traced.operator) and found:
            first = next((value for value in traced.arguments.values() if isinstance(value, Name)), None)
            if first is not None and found[0].name != _NOTHING:
                self._write(first, found[0])
                if traced.outputs[0][0]:
                    self._is_view(traced.outputs[0][0], first, Identity())  # another name of the same tensor
        elif plain in _VIEWS:
            self._remember_views(traced)

    def _call(self, name: str, arguments: Mapping[str, Any], outputs: Specs) -> Call:
        return Call(name, arguments, outputs, self.trace.batch if self.trace.chosen else 1, self._carrier(), self._emit)

    # -- tensors that share their elements ------------------------------------------------------------------------

    def _remember_views(self, traced: TracedCall) -> None:
        """The outputs of the call in hand are parts or other shapes of its first tensor: what is written to one is written to the other."""
        base = next((value for value in traced.arguments.values() if isinstance(value, Name)), None)
        if base is None:
            return  # a damaged file, whose call was not recognised
        steps: Sequence[Operator] = self.steps or (Identity(),)
        if len(steps) == 1 and isinstance(steps[0], Split):
            steps = steps[0].cuts(len(traced.specs[0].shape))
        if len(steps) == len(traced.outputs):
            for (name, _), step in zip(traced.outputs, steps, strict=True):
                if name:
                    self._is_view(name, base, step)

    def _is_view(self, name: str, base: str, step: Operator) -> None:
        if base in self.views and isinstance(self.views[base][1], Identity):
            base = self.views[base][0]
        if name == base:
            return
        self.views[name] = (base, step)
        self.seen_as.setdefault(base, []).append(name)

    def _write(self, name: str, changed: Operand) -> None:
        """`name` is `changed` from now on, for all that share its elements: whoever reads one of them later reads the new ones."""
        self.operands[name] = changed
        self._outdate(name)
        if name in self.views:
            base, step = self.views[name]
            whole = self._operand(base, "a view")
            call = self._call(f"write to a view by {type(step).__name__}", {"self": whole, "part": changed}, (whole.spec,))
            try:
                written = put_back(call, step, whole, changed)
            except UnreadableCallError:
                (written,) = self._unknown(call)
            self._write(base, written)
            self.operands[name] = changed
            if name in self.stale:
                self.stale.discard(name)
                self.seen_as.setdefault(base, []).append(name)

    def _outdate(self, name: str) -> None:
        """Every view of `name`, and of its views, is made anew when it is read."""
        waiting = [name]
        while waiting:
            views = self.seen_as.pop(waiting.pop(), [])
            self.stale.update(views)
            waiting.extend(views)

    # -- readers --------------------------------------------------------------------------------------------------

    def _recognised(self, call: Call) -> Sequence[Operand] | None:
        if call.name not in self.readers:
            load_plugins()
            self.readers = readers(self.trace.dialect)
        for reader in self.readers.get(call.name, ()):
            before = self.made
            try:
                found = read(reader, self.trace.dialect, call)
            except (UnreadableCallError, ShapeError, *FAULTS) as error:
                if self.made != before:
                    assert self.call is not None
                    raise InvalidFileError(f"{self.call.place}: {call.name}: {error}") from None
                continue  # no form that this class knows; arguments of any kind may come from a file
            if found is not None:
                self.foreign = is_foreign(reader)
                return found if isinstance(found, tuple) else (found,)
        return None

    def _unknown(self, call: Call) -> Sequence[Operand]:
        """An operator that stands for a call that nobody knows; its weights are operands, so that they are counted."""
        if not call.outputs:
            return ()
        given = (item for value in call.arguments.values() for item in (value if isinstance(value, list) else [value]))
        inputs = [operand for operand in given if isinstance(operand, Operand) and operand.name != _NOTHING]
        inputs.sort(key=lambda operand: operand.is_weight)
        size, axis = next(((size, axis) for axis, size in enumerate(inputs[0].shape) if call.follows_batch(size)), (0, 0)) if inputs else (0, 0)
        if not size and any(call.follows_batch(size) for spec in call.outputs for size in spec.shape):
            inputs.insert(0, call.carrier)
            size = self.trace.batch
        present = [spec for spec in call.outputs if spec.numel]
        shapes = tuple(tuple(-(size // self.trace.batch) if call.follows_batch(size) else size for size in spec.shape) for spec in present)
        types = tuple(spec.dtype for spec in present)
        made = iter(self._emit(Unknown(call.name, shapes, types, axis, max(1, size // self.trace.batch)), inputs, {}, ""))
        return [next(made) if spec.numel else Operand(_NOTHING, spec) for spec in call.outputs]

    def _emit(self, operator: Operator, inputs: Sequence[Operand], weights: Mapping[str, Operand], suffix: str) -> tuple[Operand, ...]:
        """Add an operator to the graph: what `Call.add` does."""
        assert self.call is not None
        self.steps.append(operator)
        if operator.REARRANGES and inputs and inputs[0].is_weight:
            (spec,) = operator.infer(*(operand.spec for operand in inputs))
            value = None if spec.shape else inputs[0].value  # a number stays the same number
            return (replace(inputs[0], spec=spec, value=value, steps=(*inputs[0].steps, operator)),)
        if any(operand.name == _NOTHING for operand in inputs):
            raise UnreadableCallError("an argument has no elements")
        specs = tuple(operand.spec for operand in inputs)
        traced = inferred(operator, specs)
        shares = self._owned(operator, specs, weights)
        try:
            made = self.builder.add_all(operator, *(self._value(operand) for operand in inputs), name=self._named(suffix), shares=shares)
        except ShapeError as error:
            raise InvalidFileError(f"{self.call.place}: {error}") from None
        self.made += 1
        node = made[0].ref.node
        for operand in weights.values():
            if operand.origin == "parameter":
                self.owners.setdefault(operand.name, node)
        if weights and not shares:
            self.sources[node] = {key: (operand.name, operand.steps) for key, operand in weights.items()}
        operands = []
        for value, spec in zip(made, traced, strict=True):
            handle = f"{value.ref.node}:{value.ref.output}\0"  # no name of a file ends so
            self.values[handle] = value
            operands.append(Operand(handle, spec))
        return tuple(operands)

    def _owned(self, operator: Operator, specs: Specs, weights: Mapping[str, Operand]) -> str:
        """The node that owns the parameters of `operator` already, or an empty string if they are its own.

        Raises
        ------
        UnreadableCallError
            If they are not learned tensors that are stored, or only some of them are another node's.
        """
        declared = operator.parameters(*specs)
        for key, shape in declared.items():
            given = weights.get(key)
            if given is None or given.origin != "parameter" or given.spec.numel != math.prod(shape):
                raise UnreadableCallError(f"the {key} of {operator} is not a learned tensor of its own")
        owners = {self.owners.get(weights[key].name, "") for key in declared}
        owner = owners.pop() if len(owners) == 1 else ""
        if owners or (owner and self.builder.parameters_of(owner) != declared):
            raise UnreadableCallError("some of the parameters belong to another operator already")
        return owner

    def _named(self, suffix: str) -> str:
        """A node's name: its module's path, and what tells several operators of one module apart."""
        assert self.call is not None
        short = self.call.operator.removeprefix("aten.").partition(".")[0].strip("_").lower()
        name = self.call.path if self.call.leaf and self.call.path else ".".join(filter(None, (self.call.path, short)))
        return f"{name}.{suffix}" if suffix else name

    # -- tensors --------------------------------------------------------------------------------------------------

    def _operand(self, name: str, place: str) -> Operand:
        if name in self.stale:
            self.stale.discard(name)
            base, step = self.views[name]
            self.seen_as.setdefault(base, []).append(name)
            whole = self._operand(base, place)
            self.operands[name] = whole if isinstance(step, Identity) else self._emit(step, (whole,), {}, "")[0]
        try:
            return self.operands[name]
        except KeyError:
            raise InvalidFileError(f"{place}: refers to the tensor {name!r}, which nothing before makes") from None

    def _resolved(self, value: Any, traced: TracedCall) -> Any:
        if isinstance(value, Name):
            return self._operand(value, traced.place)
        if isinstance(value, list | tuple):
            items = [self._resolved(item, traced) for item in value]
            return [item for item in items if not isinstance(item, Operand) or item.name != _NOTHING]
        return value

    def _carrier(self) -> Operand:
        """A tensor that has the batch: the first input."""
        return next(operand for operand in self.trace.inputs.values() if operand.shape)

    def _value(self, operand: Operand) -> Value:
        """The tensor in the graph; a stored one becomes a node the first time."""
        if operand.name in self.values and not operand.is_weight:
            return self.values[operand.name]
        root = self.stored[operand.name]
        key = operand.name + "\0stored"
        if key not in self.values:
            learned = operand.origin == "parameter" and operand.name not in self.owners
            made: Operator = Parameter(root.shape) if learned else Constant(root.shape, root.spec.dtype)
            value = self.builder.add(made, name=operand.name)
            self.values[key] = value
            if learned:
                self.owners[operand.name] = value.ref.node
            self.sources[value.ref.node] = {"weight": (operand.name, ())}
        value = self.values[key]
        for step in operand.steps:
            value = self.builder.add(step, value, name=f"{operand.name}.{type(step).__name__.lower()}")
        return value

    def _scaled(self, spec: TensorSpec) -> TensorSpec:
        """A spec of the trace at the batch of the graph."""
        if not spec.shape or self.batch == self.trace.batch:
            return spec
        if not self.trace.chosen:
            return spec
        shape = tuple(size // self.trace.batch * self.batch if size % self.trace.batch == 0 else size for size in spec.shape)
        return TensorSpec(shape, spec.dtype)


def _in_place(name: str) -> bool:
    """Whether a call changes its first tensor: ``aten.relu_.default``."""
    return name.startswith("aten.") and "_." in name
