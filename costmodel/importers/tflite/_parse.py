"""Bytes become a `Plan`: everything but the weights, and nothing taken on trust.

Rules: a count is believed only if the file is long enough for it; offsets are checked against the file; the elements of
all vectors together are bounded, so that a small file cannot ask for much work; whatever the generated reader stumbles
over is reported with the place where it happened. Weights stay in the file, which is mapped, not read.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any

from costmodel.errors import InvalidFileError
from costmodel.files import require_regular
from costmodel.frozen import FrozenDict
from costmodel.importers.tflite._schema import (
    ABSENT,
    IDENTIFIER,
    ITEMSIZE,
    METADATA_NAME,
    OPTIONS,
    SCHEMA_VERSION,
    Constant,
    FileOperator,
    FileTensor,
    Plan,
    Quantisation,
    camel,
    require_tflite,
)

#: Most tensors, operators or buffers, and most elements of all other vectors together: beyond any network.
MAX_TABLES, MAX_ELEMENTS = 50_000, 4_000_000
#: Most dimensions of a tensor, elements of a constant whose values are looked at, bytes of a name and of our metadata.
MAX_RANK, MAX_VALUES, MAX_NAME, MAX_METADATA = 8, 64, 1000, 1 << 24
#: How integers and reals of constants are unpacked.
_FORMATS = {"INT32": "i", "INT64": "q", "FLOAT32": "f", "INT8": "b", "UINT8": "B", "INT16": "h"}
#: What the generated reader raises when bytes make no sense.
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, KeyError, BufferError, MemoryError, RecursionError)


def parse(path: str | Path) -> Plan:
    """The content of a TFLite file, weights left where they are.

    Raises
    ------
    InvalidFileError
        If the file cannot be read or is damaged: names the place.
    UsageError
        If the package `tflite` is not installed.
    """
    require_tflite()
    require_regular(path)
    try:
        with Path(path).open("rb") as file:
            head = file.read(8)
            if len(head) < 8:
                raise InvalidFileError(f"{path}: has {len(head)} bytes and is no TFLite file, which begins with 8")
            if head[4:8] != IDENTIFIER:
                raise InvalidFileError(f"{path}: is no TFLite file: bytes 4 to 7 are {head[4:8]!r}, not {IDENTIFIER!r}")
            return _Parser(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), str(path)).plan()
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be read: {error.strerror or error}") from None


class _Parser:
    """One file. `place` says what is being read."""

    def __init__(self, content: mmap.mmap, path: str) -> None:
        self.content, self.path, self.size = content, path, len(content)
        self.place = "the header"
        self.elements = 0

    def fault(self, problem: str) -> InvalidFileError:
        """The error for what is wrong at the current place."""
        return InvalidFileError(f"{self.path}: {self.place}: {problem}")

    def plan(self) -> Plan:
        """Everything in the file."""
        try:
            return self._plan()
        except _DAMAGE as error:
            raise self.fault(f"is damaged ({type(error).__name__}: {str(error)[:200]})") from None

    def _plan(self) -> Plan:
        model = require_tflite().Model.GetRootAs(self.content, 0)
        if not 0 < model._tab.Pos < self.size:
            raise self.fault("the file points outside itself")
        if model.Version() != SCHEMA_VERSION:
            raise self.fault(f"has version {model.Version()} of the schema; this costmodel reads version {SCHEMA_VERSION}")
        self.place = "buffers"
        buffers = [self._buffer(model, number) for number in range(self._tables(model.BuffersLength()))]
        self.place = "operator codes"
        codes = [self._code(model, number) for number in range(self._tables(model.OperatorCodesLength()))]
        self.place = "subgraphs"
        if self._tables(model.SubgraphsLength()) < 1:
            raise self.fault("there is none")
        graph = model.Subgraphs(0)
        self.place = "tensors"
        count = self._tables(graph.TensorsLength())
        tensors = tuple(self._tensor(graph, number, buffers) for number in range(count))
        self.place = "operators"
        operators = tuple(self._operator(graph, number, codes, count) for number in range(self._tables(graph.OperatorsLength())))
        self.place = "inputs and outputs of the network"
        inputs, outputs = (self._positions(graph, name, count) for name in ("Inputs", "Outputs"))
        name = self._text(model, 10) or Path(self.path).stem
        return Plan(name=name, tensors=tensors, operators=operators, inputs=inputs, outputs=outputs, metadata=self._metadata(model, buffers))

    # -- counts, vectors, texts --------------------------------------------------------------------------------------

    def _tables(self, count: int) -> int:
        """A number of tables that the file can hold."""
        if count > min(MAX_TABLES, self.size // 4):
            raise self.fault(f"{count} of them are declared, in a file of {self.size} bytes" if count > self.size // 4 else f"{count} are too many")
        return count

    def _vector(self, table: Any, name: str, itemsize: int = 4) -> list[Any]:
        """The numbers of a vector, as plain ones."""
        length = getattr(table, f"{name}Length")()
        if length > self.size // itemsize:
            raise self.fault(f"{name} declares {length} elements, in a file of {self.size} bytes")
        self.elements += length
        if self.elements > MAX_ELEMENTS:
            raise self.fault(f"vectors have more than {MAX_ELEMENTS} elements in all")
        found = getattr(table, f"{name}AsNumpy")()
        return [] if isinstance(found, int) else list(found.tolist())

    def _positions(self, table: Any, name: str, count: int) -> tuple[int, ...]:
        """Tensors by position."""
        found = tuple(self._vector(table, name))
        for position in found:
            if not ABSENT <= position < count:
                raise self.fault(f"{name.lower()} name tensor {position}, of {count}")
        return found

    def _text(self, table: Any, slot: int) -> str:
        """A printable name of reasonable length; what is missing is empty."""
        offset = table._tab.Offset(slot)
        if not offset:
            return ""
        start = table._tab.Vector(offset)
        length = table._tab.VectorLen(offset)
        if start + length > self.size:
            raise self.fault(f"a name of {length} bytes reaches beyond the file of {self.size}")
        text = bytes(self.content[start : start + min(length, MAX_NAME)]).decode("utf-8", "replace")
        return "".join(character if character.isprintable() else "?" for character in text)

    # -- parts of the file -------------------------------------------------------------------------------------------

    def _buffer(self, model: Any, number: int) -> tuple[int, int]:
        """(offset, length) of the bytes of a buffer; (0, 0) where it is empty."""
        self.place = f"buffer {number}"
        table = model.Buffers(number)
        offset, size = table.Offset(), table.Size()
        if offset <= 1:
            size = table.DataLength()
            offset = table._tab.Vector(table._tab.Offset(4)) if size else 0
        if size and not 0 < offset <= self.size - size:
            raise self.fault(f"{size} bytes from {offset} on are declared, in a file of {self.size} bytes")
        return offset, size

    def _code(self, model: Any, number: int) -> str:
        """The name of an operator code."""
        self.place = f"operator code {number}"
        table = model.OperatorCodes(number)
        builtin = max(table.DeprecatedBuiltinCode(), table.BuiltinCode())
        names = {value: name for name, value in vars(require_tflite().BuiltinOperator).items() if isinstance(value, int)}
        name = names.get(builtin, f"BUILTIN:{builtin}")
        return f"CUSTOM:{self._text(table, 6) or 'unnamed'}" if name == "CUSTOM" else name

    def _tensor(self, graph: Any, number: int, buffers: list[tuple[int, int]]) -> FileTensor:
        self.place = f"tensor {number}"
        table = graph.Tensors(number)
        name = self._text(table, 10)
        self.place = f"tensor {number} ({name!r})"
        kinds = {value: kind for kind, value in vars(require_tflite().TensorType).items() if isinstance(value, int)}
        if table.Type() not in kinds:
            raise self.fault(f"has type {table.Type()}, which the schema does not know")
        shape = tuple(self._vector(table, "Shape"))
        if len(shape) > MAX_RANK or min(shape, default=0) < 0:
            raise self.fault(f"has the shape {shape[:20]}: at most {MAX_RANK} dimensions, none of them negative")
        if not 0 <= table.Buffer() < max(1, len(buffers)):
            raise self.fault(f"is stored in buffer {table.Buffer()}, of {len(buffers)}")
        kind = kinds[table.Type()]
        quantisation = self._quantisation(table.Quantization())
        place = buffers[table.Buffer()] if buffers else (0, 0)
        constant = self._constant(kind, shape, place, dense=table.Sparsity() is None) if place[1] else None
        return FileTensor(name=name, shape=shape, type=kind, constant=constant, quantisation=quantisation, variable=bool(table.IsVariable()))

    def _quantisation(self, table: Any) -> Quantisation | None:
        if table is None or not table.ScaleLength():
            return None
        scales, zeros = self._vector(table, "Scale"), self._vector(table, "ZeroPoint", 8)
        if len(zeros) not in (0, len(scales)) or not all(math.isfinite(scale) for scale in scales):
            raise self.fault(f"is quantised with {len(scales)} scales and {len(zeros)} zero points, which must be finite and as many")
        return Quantisation(tuple(scales), tuple(zeros or [0] * len(scales)), table.QuantizedDimension())

    def _constant(self, kind: str, shape: tuple[int, ...], place: tuple[int, int], *, dense: bool) -> Constant:
        """A constant with its values where they are few, refused if the buffer is too short or too long for the shape."""
        count = math.prod(shape)
        needed = -(-count // 2) if kind == "INT4" else count * ITEMSIZE[kind]
        if dense and kind not in ("STRING", "RESOURCE", "VARIANT") and place[1] != needed:
            raise self.fault(f"needs {needed} bytes for {'x'.join(map(str, shape)) or 'a scalar'} of {kind.lower()}, but its buffer holds {place[1]}")
        if not dense or kind not in _FORMATS or count > MAX_VALUES:
            return Constant(place=place)
        return Constant(struct.unpack(f"<{count}{_FORMATS[kind]}", self.content[place[0] : place[0] + needed]), place=place)

    def _operator(self, graph: Any, number: int, codes: list[str], count: int) -> FileOperator:
        self.place = f"operator {number}"
        table = graph.Operators(number)
        code = table.OpcodeIndex()
        if not 0 <= code < len(codes):
            raise self.fault(f"has operator code {code}, of {len(codes)}")
        builtin = codes[code]
        self.place = f"operator {number} ({builtin})"
        inputs, outputs = self._positions(table, "Inputs", count), self._positions(table, "Outputs", count)
        return FileOperator(builtin, inputs, outputs, FrozenDict(self._options(table, builtin)))

    def _options(self, table: Any, builtin: str) -> dict[str, Any]:
        """The options of an operator by field; none where it has none."""
        if builtin not in OPTIONS:
            return {}
        name, fields = OPTIONS[builtin]
        schema = require_tflite()
        if table.BuiltinOptionsType() == schema.BuiltinOptions.NONE or not fields:
            return {}
        if table.BuiltinOptionsType() != getattr(schema.BuiltinOptions, name):
            raise self.fault(f"has options of type {table.BuiltinOptionsType()} where {name} belong")
        union = table.BuiltinOptions()
        options = getattr(schema, name)()
        options.Init(union.Bytes, union.Pos)
        found = {field: getattr(options, camel(field))() for field in fields}
        for field, value in found.items():
            if not math.isfinite(value):
                raise self.fault(f"has {field} {value}")
        return found

    def _metadata(self, model: Any, buffers: list[tuple[int, int]]) -> bytes | None:
        """The content of our entry of the metadata."""
        self.place = "metadata"
        for number in range(self._tables(model.MetadataLength())):
            entry = model.Metadata(number)
            if self._text(entry, 4) == METADATA_NAME:
                if not 0 <= entry.Buffer() < len(buffers) or buffers[entry.Buffer()][1] > MAX_METADATA:
                    raise self.fault(f"the entry {METADATA_NAME!r} is in buffer {entry.Buffer()}, which does not exist or is too long")
                start, length = buffers[entry.Buffer()]
                return bytes(self.content[start : start + length])
        return None
