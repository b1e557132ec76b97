"""`read_onnx`: an ONNX file as a `Graph`."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from costmodel.errors import CostModelError, InvalidFileError, UsageError, unknown, whole
from costmodel.graph import MAX_SIZE, Graph
from costmodel.importers._assemble import Imported, assemble
from costmodel.importers._rim import FAULTS, reading
from costmodel.importers._trace import Name, Trace, TracedCall
from costmodel.importers.onnx._evaluate import ContradictionError, Evaluated, Shape, _schema, evaluated
from costmodel.importers.onnx._file import DTYPES, File, Step, Stored, parsed
from costmodel.importers.onnx._origins import learned
from costmodel.importers.onnx._patterns import fused
from costmodel.importers.onnx._quantised import on_real
from costmodel.importers.onnx._recurrent import unpacked
from costmodel.recognition import Operand, Origin, UnreadableCallError
from costmodel.tensor import DType, TensorSpec

#: A prime that no sensible network has among its sizes: whatever it divides follows the batch.
PRIME = 1009


def read_onnx(path: str | os.PathLike[str], *, dims: Mapping[str, int] | None = None, batch: int | None = None) -> Graph:
    """The network in the ONNX file at `path`; its weights and external data are not read.

    Parameters
    ----------
    dims : sizes of the dimensions that the file leaves open, by their names in it; a dimension without a name is called
        ``input.axis``. A batch that is left open needs no size.
    batch : samples of the graph; None is the file's own batch, or 1 where it leaves it open.

    Raises
    ------
    InvalidFileError
        If the file is no ONNX file, is damaged, or contradicts itself: names the place.
    UsageError
        If a dimension is left open and has no size in `dims`, or onnx is not installed.
    """
    return import_onnx(path, dims=dims, batch=batch).graph


def import_onnx(path: str | os.PathLike[str], *, dims: Mapping[str, int] | None = None, batch: int | None = None) -> Imported:
    """As `read_onnx`, with the stored tensors that the parameters of every node are."""
    if importlib.util.find_spec("onnx") is None:
        raise UsageError(f"{path}: reading ONNX files needs onnx, which is not installed: pip install 'costmodel[onnx]'")
    with reading(path, "an ONNX file"):
        file = parsed(path)
        parameters = learned(file)
        file = on_real(file, parameters)
    sizes = _Sizes(file, dims or {})
    own = sizes.batch if batch is None else whole("batch", batch, 1, MAX_SIZE)
    with reading(path, "an ONNX file"):
        found = _for_every_batch(file, sizes, parameters, own) or _for_one_batch(file, sizes, parameters, own)
        return replace(found, graph=replace(found.graph, precision=file.precision))


def _for_one_batch(file: File, sizes: _Sizes, parameters: frozenset[str], batch: int) -> Imported:
    """The graph traced with one batch: what its shapes say of others cannot be told."""
    if not sizes.is_open and batch != sizes.batch:
        raise UsageError(
            f"{file.path}: is written for a batch of {sizes.batch} in a way that fits no other: export it with an open batch, or leave --batch out"
        )
    try:
        plain = evaluated(file, sizes.shapes(batch), sizes.symbols(batch), learned=parameters)
    except ContradictionError as error:
        raise InvalidFileError(str(error)) from None
    fixed = assemble(_trace(file, plain, parameters, batch, False), batch=batch)
    note = f"the graph is that of a batch of {batch}, to which the file's shapes tie it: read the file anew for another"
    if not sizes.is_open:
        note = f"the file is written for a batch of {batch} in a way that fits no other"
    return replace(fixed, graph=replace(fixed.graph, notes=(*fixed.graph.notes, note)))


def _for_every_batch(file: File, sizes: _Sizes, parameters: frozenset[str], batch: int) -> Imported | None:
    """The graph traced with a batch of our choice, None where the file's shapes belong to its own batch."""
    try:
        baked = None if sizes.is_open else (sizes.batch, PRIME)
        chosen = evaluated(file, sizes.shapes(PRIME), sizes.symbols(PRIME), learned=parameters, batch=baked)
        if not sizes.is_open:
            plain = evaluated(file, sizes.shapes(sizes.batch), sizes.symbols(sizes.batch), learned=parameters)
            if not _scales(plain, chosen, file.outputs, sizes.batch):
                return None
        return assemble(_trace(file, chosen, parameters, PRIME, True), batch=batch)
    except (ContradictionError, CostModelError, UnreadableCallError, *FAULTS):
        return None  # the file's own batch then says what is wrong, if anything is


def _scales(plain: Evaluated, chosen: Evaluated, outputs: tuple[str, ...], batch: int) -> bool:
    """Whether every tensor has the same shape for the chosen batch, but for one size that follows it, as that of every output does."""
    if not {name for step in plain.steps for name in step.outputs} <= chosen.shapes.keys():
        return False
    if any(plain.shapes[name].sizes == chosen.shapes[name].sizes for name in outputs):
        return False
    for step in plain.steps:
        for name in step.outputs:
            a, b = (found.shapes[name].sizes if name else None for found in (plain, chosen))
            if a is None or b is None or a == b:
                if a != b:
                    return False
                continue
            differing = [(x, y) for x, y in zip(a, b, strict=False) if x != y]
            if len(a) != len(b) or len(differing) != 1 or differing[0][1] * batch != differing[0][0] * PRIME:
                return False
    return True


class _Sizes:
    """Sizes of a file's inputs: what it states, what `dims` says, and the batch."""

    def __init__(self, file: File, dims: Mapping[str, int]) -> None:
        self.file = file
        self.given = {name: whole(f"dimension {name!r}", size, 1, MAX_SIZE) for name, size in dims.items()}
        first = next(iter(file.inputs.values())).shape or ()
        leading = first[0] if first else 1
        #: The batch's name in the file, "" for one without a name, None where the file fixes it.
        self.symbol = leading if isinstance(leading, str) else None
        self.is_open = self.symbol is not None
        self.batch = leading if isinstance(leading, int) else self.given.get(leading or f"{next(iter(file.inputs))}.0", 1)
        self._check()

    def _check(self) -> None:
        """Refuse open dimensions without a size, and sizes for what does not exist."""
        names = {self._called(name, axis, size): (name, axis) for name, axis, size in self._open()}
        for given in self.given:
            if given not in names:
                raise unknown(f"open dimension of {self.file.path}", given, names)
        missing = [called for called, (name, axis) in names.items() if called not in self.given and not self._is_batch(self._shape(name)[axis], axis)]
        if missing:
            called = missing[0]
            name, axis = names[called]
            raise UsageError(
                f"{self.file.path}: dimension {axis} of input {name!r} is left open; give its size with --dim {called}=N (dims={{{called!r}: N}})"
                + (f", and the same for {', '.join(missing[1:])}" if len(missing) > 1 else "")
            )

    def _open(self) -> list[tuple[str, int, str]]:
        return [(name, axis, size) for name in self.file.inputs for axis, size in enumerate(self._shape(name)) if isinstance(size, str)]

    def _shape(self, name: str) -> tuple[int | str, ...]:
        return self.file.inputs[name].shape or ()

    def _called(self, name: str, axis: int, size: str) -> str:
        return size or f"{name}.{axis}"

    def _is_batch(self, size: int | str, axis: int) -> bool:
        if isinstance(size, int):
            return axis == 0 and not self.is_open and size == self.batch
        return self.is_open and (size == self.symbol if size else axis == 0)

    def shapes(self, batch: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the inputs for a batch."""
        return {
            name: tuple(
                batch if self._is_batch(size, axis) else size if isinstance(size, int) else self.given[self._called(name, axis, size)]
                for axis, size in enumerate(self._shape(name))
            )
            for name in self.file.inputs
        }

    def symbols(self, batch: int) -> dict[str, int]:
        """Sizes by name."""
        return {**self.given, **({self.symbol: batch} if self.symbol else {})}


# -- the trace ------------------------------------------------------------------------------------------------------


def _trace(file: File, found: Evaluated, parameters: frozenset[str], batch: int, chosen: bool) -> Trace:
    """The steps that are left as calls; constants and weights as operands."""
    copies = {name for name, original in found.copies.items() if original in parameters}
    found = fused(found, file.outputs, parameters | copies)
    shapes = found.shapes
    inputs = {name: Operand(name, shapes[name].spec) for name in file.inputs}
    weights: dict[str, Operand] = {}
    for name, tensor in file.stored.items():
        if name not in found.values or name in parameters:
            weights[name] = _weight(name, tensor, name in parameters)
    for name, original in found.copies.items():
        tensor = file.stored[original]
        weights[name] = _weight(name if tensor.uniform or _is_vector(tensor) else original, tensor, name in copies)
    steps = []
    for step in found.steps:
        held = step.attributes.get("value") if step.operator == "Constant" else None
        if isinstance(held, Stored):
            weights[step.outputs[0]] = _weight(step.outputs[0], held, step.outputs[0] in parameters)
        else:
            steps.append(step)
    for name, value in found.values.items():
        if name not in weights:
            weights[name] = Operand(name, TensorSpec(tuple(value.shape), shapes[name].spec.dtype), "constant", _plain(value))
    steps = unpacked(steps, weights, shapes)
    merged = {name for name, tensor in file.stored.items() if tensor.uniform and name in parameters}
    shapes = dict(shapes)
    calls = tuple(_call(step, file.opset, shapes) for step in _parted(steps, merged, weights, shapes))
    return Trace(file.name, "onnx", inputs, weights, calls, file.outputs, batch, chosen, _notes(file), found.values.get)


def _parted(steps: Sequence[Step], merged: Set[str], weights: dict[str, Operand], shapes: dict[str, Shape]) -> Iterator[Step]:
    """The steps, each with parameters of its own where an exporter kept one tensor for several parameters that were all ones or zeros.

    Where another tensor of a step is shared with other steps and not uniform, transposed or not, the whole layer is shared.
    """
    readers = Counter(name for step in steps for name in set(step.inputs))
    seen: Counter[str] = Counter()
    turned: dict[str, str] = {}  # a parameter seen another way: which one
    for step in steps:
        own = list(step.inputs)
        if step.operator in ("Transpose", "Reshape") and step.outputs:
            turned[step.outputs[0]] = turned.get(own[0], own[0])
        read = (turned.get(name, name) for name in own)
        tied = any(readers[name] > 1 and name not in merged and name in weights and weights[name].origin == "parameter" for name in read)
        for place, name in enumerate(own):
            if name in merged and readers[name] > 1 and not tied:
                seen[name] += 1
                if seen[name] > 1:
                    own[place] = f"{name} ({seen[name]})"
                    weights[own[place]] = replace(weights[name], name=own[place])
                    shapes[own[place]] = shapes[name]
        yield replace(step, inputs=tuple(own))


def _notes(file: File) -> tuple[str, ...]:
    """Warnings about what the exporter did."""
    if any(step.folded for step in file.steps):
        return ("the exporter folded batch normalisations into convolutions; parameters and kernels are those of the file",)
    return ()


def _is_vector(tensor: Stored) -> bool:
    """Whether a tensor has one dimension, as the scales and shifts do that start out equal."""
    return sum(size > 1 for size in tensor.shape) <= 1


def _weight(name: str, tensor: Stored, is_parameter: bool) -> Operand:
    origin: Origin = "parameter" if is_parameter else "constant"
    return Operand(name, TensorSpec(tensor.shape, DTYPES.get(tensor.kind, DType.FP32)), origin)


def _plain(value: Any) -> Any:
    """A numpy array as a number or nested tuples; None where it is too large to matter."""
    if value.size > 4096:
        return None

    def nested(item: Any) -> Any:
        return tuple(nested(inner) for inner in item) if isinstance(item, list) else item

    return nested(value.tolist())


def _call(step: Step, opset: int, shapes: Mapping[str, Shape]) -> TracedCall:
    """A step with its arguments by the names of the format's schema."""
    arguments: dict[str, Any] = dict(step.attributes)
    names = _argument_names(step.operator, opset, len(step.inputs))
    for name, given in zip(names, step.inputs, strict=False):
        if isinstance(name, list):
            break
        if given:
            arguments[name] = Name(given)
    if names and isinstance(names[-1], list):
        arguments[names[-1][0]] = [Name(given) for given in step.inputs[len(names) - 1 :] if given]
    operator = step.operator
    unsized = [name for name in (*step.inputs, *step.outputs) if name and shapes[name].sizes is None]
    if unsized:
        operator = f"{operator} (sizes known only when it runs)"
    outputs = tuple((name, shapes[name].spec if name else TensorSpec((1,))) for name in step.outputs)
    return TracedCall(operator, arguments, outputs, step.path, step.leaf, step.place)


def _argument_names(operator: str, opset: int, count: int) -> Sequence[Any]:
    """Names of the inputs of an operator; a list of one name stands for all the rest."""
    from onnx.defs import OpSchema, onnx_opset_version

    schema = _schema(operator, opset) or _schema(operator, onnx_opset_version())
    if schema is None:
        return [f"input{place}" for place in range(count)]
    variadic = OpSchema.FormalParameterOption.Variadic
    return [[value.name] if value.option == variadic else value.name for value in schema.inputs]
