"""`parsed`: an ONNX file as plain nodes, stored tensors and declared types, with every fault of form refused here."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from costmodel.errors import InvalidFileError, printable
from costmodel.graph import MAX_SIZE
from costmodel.importers.onnx._wire import UNIFORM, marks, stripped
from costmodel.tensor import DType

#: onnx.TensorProto.DataType -> the type that counts; one without a counterpart counts as the one of its size and kind.
DTYPES: dict[int, DType] = {
    1: DType.FP32,
    10: DType.FP16,
    11: DType.FP32,
    16: DType.BF16,
    14: DType.FP32,
    15: DType.FP32,
    2: DType.INT8,
    3: DType.INT8,
    4: DType.INT32,
    5: DType.INT32,
    6: DType.INT32,
    12: DType.INT32,
    7: DType.INT64,
    13: DType.INT64,
    9: DType.BOOL,
    **dict.fromkeys((17, 18, 19, 20, 21, 22, 23, 24, 25, 26), DType.INT8),  # eight bits and less
}
#: Element types of the format that hold real numbers.
FLOATING = frozenset({1, 10, 11, 16})
#: The oldest set of operators that is read: before 7 arithmetic broadcast by attributes of its own.
OLDEST_OPSET = 7
#: Constants of at most this many elements are computed; sizes have a handful, a bias of zeros one for each channel.
MAX_COMPUTED = 2**16
#: Nodes that are read at most, those that functions stand for included: reading takes some 0.1 ms a node, and the largest networks have 20,000.
MAX_NODES = 10**5

_KIND = "pkg.torch.export.graph_signature.InputSpec.kind"
_SCOPES = "pkg.torch.onnx.name_scopes"
_RULE = "pkg.onnxscript.rewriter.rule_name"
#: torch's older exporter names the weights of a convolution so, once it has folded a batch normalisation into them.
_FOLDED = re.compile(r"onnx::Conv_\d+")


@dataclass(frozen=True, slots=True)
class Declared:
    """An element type and a shape whose sizes are numbers, names, or "" where nothing is stated; None is no shape at all."""

    kind: int
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of the file. `value` holds the numbers of a small one as a numpy array; `mark` says what the exporter calls it."""

    name: str
    kind: int
    shape: tuple[int, ...]
    value: Any = None
    uniform: bool = False
    mark: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node: operator, names of inputs ("" where one is left out) and outputs, attributes as plain values.

    `path` is the module that made it, `leaf` whether that has no others inside; `folded` marks a convolution into which the
    exporter folded a batch normalisation.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    place: str
    path: str = ""
    leaf: bool = False
    folded: bool = False
    proto: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class File:
    """What a file says. `declared` are the types that it states for inputs, outputs and between; `is_quantised`, whether
    tensors of it are, and `precision`, what its operators run in where that is not said by the types.
    """

    path: str
    name: str
    opset: int
    producer: str
    inputs: Mapping[str, Declared]
    outputs: tuple[str, ...]
    stored: Mapping[str, Stored]
    declared: Mapping[str, Declared]
    steps: tuple[Step, ...]
    is_quantised: bool = False
    precision: str = ""


def parsed(path: str | os.PathLike[str]) -> File:
    """The ONNX file at `path`.

    Raises
    ------
    InvalidFileError
        If it is damaged, newer than the installed onnx or older than operator set 7, or contradicts itself: names the place.
    UsageError
        If onnx is not installed.
    """
    model = _model(str(path))
    _check_version(str(path), model)
    return _Reader(str(path), model).file()


def _model(path: str) -> Any:
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    data = stripped(path)
    try:
        model = ModelProto.FromString(data)
    except (DecodeError, RecursionError) as error:
        raise InvalidFileError(f"{path}: is no ONNX file: {str(error) or 'its messages do not follow the schema'}") from None
    if not model.HasField("graph") or not model.graph.output:
        raise InvalidFileError(f"{path}: is no ONNX file: it has no graph with outputs")
    return model


def _check_version(path: str, model: Any) -> None:
    from onnx import __version__
    from onnx.defs import onnx_opset_version

    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise InvalidFileError(f"{path}: has operator set {opset}; {OLDEST_OPSET} and newer are read: convert it (onnx.version_converter.convert_version)")
    if opset > onnx_opset_version():
        raise InvalidFileError(
            f"{path}: has operator set {opset}, but onnx {__version__} knows sets up to {onnx_opset_version()} only: "
            "install a newer onnx, or export with a lower opset_version"
        )


def _inlined(path: str, model: Any) -> Any:
    """`model` with the functions that it defines for itself replaced by their nodes."""
    if len(model.graph.node) > MAX_NODES:
        raise InvalidFileError(f"{path}: has {len(model.graph.node)} nodes; at most {MAX_NODES} are read")
    if not model.functions:
        return model
    from onnx import inliner

    waiting = {(function.domain, function.name): [(node.domain, node.op_type) for node in function.node] for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    while waiting:
        ready = [name for name, inner in waiting.items() if not any(call in waiting for call in inner)]
        if not ready:
            raise InvalidFileError(f"{path}: the functions {', '.join(sorted(printable(name) for _, name in waiting))} call each other in a circle")
        for name in ready:
            sizes[name] = sum(sizes.get(call, 1) for call in waiting.pop(name))
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if total > MAX_NODES:
        raise InvalidFileError(f"{path}: its functions stand for {total} nodes; at most {MAX_NODES} are read")
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:  # the library raises many kinds
        raise InvalidFileError(f"{path}: its functions cannot be inlined: {_first_line(error)}") from None


class _Reader:
    """One pass over a model."""

    def __init__(self, path: str, model: Any) -> None:
        self.path = path
        self.model = _inlined(path, model)
        self.graph = self.model.graph
        self.opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))

    def file(self) -> File:
        graph = self.graph
        declared = {value.name: self._declared(value, "value") for value in graph.value_info}
        kinds = {value.name: marks(value).get(_KIND, "") for value in graph.value_info}
        inputs = {value.name: self._declared(value, "input") for value in graph.input}
        outputs = {value.name: self._declared(value, "output") for value in graph.output}
        stored = {}
        for tensor in graph.initializer:
            read = self._stored(tensor, kinds.get(tensor.name, ""))
            if read.name in stored:
                raise InvalidFileError(f"{self.path}: initializer {read.name!r}: stands twice")
            stored[read.name] = read
        for sparse in graph.sparse_initializer:
            values = self._stored(sparse.values, "")
            stored[values.name] = Stored(values.name, values.kind, self._sizes(sparse.dims, f"sparse initializer {values.name!r}"))
        real = {name: value for name, value in inputs.items() if name not in stored}
        if not real:
            raise InvalidFileError(f"{self.path}: the graph has no input besides its weights")
        for name, value in real.items():
            if value.shape is None:
                raise InvalidFileError(f"{self.path}: input {name!r}: is no tensor with a stated number of dimensions, which a network's inputs must be")
        steps = tuple(self._step(number, node) for number, node in enumerate(graph.node))
        return File(
            self.path,
            printable(graph.name) or "graph",
            self.opset,
            self.model.producer_name,
            real,
            tuple(outputs),
            stored,
            {**outputs, **declared, **{name: value for name, value in outputs.items() if value.shape is not None}},
            _placed(steps),
        )

    def _declared(self, value: Any, role: str) -> Declared:
        self._name(value.name, role)
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
            return Declared(kind.elem_type, None)
        sizes: list[int | str] = []
        for axis, size in enumerate(kind.shape.dim):
            if size.HasField("dim_value"):
                if not (0 if role == "value" else 1) <= size.dim_value <= MAX_SIZE:
                    raise InvalidFileError(f"{self.path}: {role} {value.name!r}: dimension {axis} is {size.dim_value}, which must lie between 1 and {MAX_SIZE}")
                sizes.append(size.dim_value)
            else:
                sizes.append(printable(size.dim_param))
        return Declared(kind.elem_type, tuple(sizes))

    def _sizes(self, dims: Iterable[int], place: str) -> tuple[int, ...]:
        sizes = tuple(dims)
        if any(not 0 <= size <= MAX_SIZE for size in sizes) or len(sizes) > 32:
            raise InvalidFileError(f"{self.path}: {place}: has dimensions that no tensor has: {list(sizes[:8])}")
        return sizes

    def _stored(self, tensor: Any, mark: str) -> Stored:
        self._name(tensor.name, "initializer")
        return self._tensor(tensor, tensor.name, f"initializer {tensor.name!r}", mark)

    def _tensor(self, tensor: Any, name: str, place: str, mark: str = "") -> Stored:
        sizes, element = self._sizes(tensor.dims, place), marks(tensor).get(UNIFORM, "")
        value = self._filled(tensor.data_type, sizes, element) if element else self._value(tensor, place)
        return Stored(name, tensor.data_type, sizes, value, bool(element) or _is_uniform(value), mark)

    def _filled(self, kind: int, sizes: tuple[int, ...], element: str) -> Any:
        """An array of equal elements, which takes no memory; None for those that are nobody's arithmetic."""
        import numpy
        from onnx import helper

        if math.prod(sizes) > MAX_COMPUTED:
            return None
        return numpy.broadcast_to(numpy.frombuffer(bytes.fromhex(element), helper.tensor_dtype_to_np_dtype(kind))[0], sizes)

    def _value(self, tensor: Any, place: str) -> Any:
        """The numbers of a small constant as a numpy array, None for others."""
        from onnx import numpy_helper

        count = 1
        for size in tensor.dims:
            count *= size
        kept = (
            tensor.raw_data or len(tensor.int64_data) or len(tensor.float_data) or len(tensor.int32_data) or len(tensor.double_data) or len(tensor.uint64_data)
        )
        if tensor.data_type not in DTYPES or (not kept and count) or count > 64:
            return None
        try:
            return numpy_helper.to_array(tensor)
        except Exception as error:  # the library raises many kinds
            raise InvalidFileError(f"{self.path}: {place}: its values do not fit its shape {list(tensor.dims)}: {_first_line(error)}") from None

    def _name(self, name: str, role: str) -> None:
        if len(name) > 4096 or not name.isprintable():
            raise InvalidFileError(f"{self.path}: {role} {name[:60]!r}: its name is too long or has control characters")

    def _step(self, number: int, node: Any) -> Step:
        shown = printable(node.name)[:200]
        operator = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
        place = f"{self.path}: node {number} ({printable(operator)[:200]}{f' {shown!r}' if shown else ''})"
        for name in (*node.input, *node.output):
            if len(name) > 4096 or not name.isprintable():
                raise InvalidFileError(f"{place}: a tensor's name is too long or has control characters")
        attributes = {attribute.name: self._attribute(attribute, place) for attribute in node.attribute}
        notes = marks(node)
        scopes = re.findall(r"'([^']*)'", notes.get(_SCOPES, ""))
        folded = "FuseBatchNorm" in notes.get(_RULE, "") or (operator == "Conv" and len(node.input) > 1 and bool(_FOLDED.fullmatch(node.input[1])))
        path, leaf = (scopes[-2].partition("@")[0], False) if len(scopes) > 1 else _module_path(shown)
        return Step(printable(operator)[:200], tuple(node.input), tuple(node.output), attributes, place, path, leaf, folded, node)

    def _attribute(self, attribute: Any, place: str) -> Any:
        """An attribute as a plain value: a number, a string, a tuple, a `Stored`; a graph is the text "graph"."""
        kind = attribute.type
        if kind == attribute.TENSOR:
            return self._tensor(attribute.t, "", f"{place}, attribute {attribute.name!r}")
        if kind in (attribute.GRAPH, attribute.GRAPHS):
            return "graph"
        if kind == attribute.STRING:
            return attribute.s.decode("utf-8", "replace")
        if kind == attribute.STRINGS:
            return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
        numbers = {attribute.INT: "i", attribute.FLOAT: "f", attribute.INTS: "ints", attribute.FLOATS: "floats"}
        found: Any = getattr(attribute, numbers[kind]) if kind in numbers else None
        return tuple(found) if kind in (attribute.INTS, attribute.FLOATS) else found


def _placed(steps: Sequence[Step]) -> tuple[Step, ...]:
    """`steps` knowing whether the module of each has no others inside."""
    inner: set[str] = set()
    for step in steps:
        parts = step.path.split(".")
        inner |= {".".join(parts[:depth]) for depth in range(len(parts))}
    return tuple(replace(step, leaf=step.path not in inner) if step.path and not step.leaf else step for step in steps)


def _module_path(name: str) -> tuple[str, bool]:
    """(module, whether that is the node's own name) of a node's name such as ``/layer1/layer1.0/conv1/Conv``.

    Examples
    --------
    >>> _module_path("/layer1/layer1.0/conv1/Conv")
    ('layer1.0.conv1', False)
    >>> _module_path("Conv_7"), _module_path("")
    (('Conv_7', True), ('', False))
    """
    *modules, own = [part for part in name.split("/") if part] or [""]
    if "/" not in name:
        return own, bool(own)
    path: list[str] = []
    for module in modules:
        if path and module.startswith(f"{path[-1]}."):
            path[-1] = module  # a member of a container is named by both
        else:
            path.append(module)
    return ".".join(path), False


def _is_uniform(value: Any) -> bool:
    """Whether an array has several elements, all equal."""
    return value is not None and value.size > 1 and bool((value == value.reshape(-1)[0]).all())


def _first_line(error: Exception) -> str:
    return printable(str(error).strip().split("\n")[0])[:300] or type(error).__name__
