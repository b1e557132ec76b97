"""`stripped`: an ONNX file without the numbers of its weights, which no figure needs and which may be gigabytes.

The file is walked as protobuf's wire format (a message is a sequence of keys, each with a number, eight or four bytes, or a
length and as many bytes), so that payloads are skipped where they stand and never copied. What remains is a message of the
same schema. Field numbers: onnx.proto of ONNX 1.23, message by message as named here.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from costmodel.errors import InvalidFileError, printable
from costmodel.files import require_regular

#: Constants of at most this many elements keep their values: shapes, axes, scales, epsilons.
MAX_KEPT = 64
#: Bytes that are compared at once.
_BLOCK = 2**20
#: Bytes of zeros of either sign.
_ZEROS = b"\x00\x80"
#: What a file may hold besides weights; the largest real networks have a few megabytes of nodes.
MAX_MESSAGE = 128 * 2**20
#: Graphs in graphs (If, Loop, Scan); protobuf itself stops at 100 messages.
MAX_DEPTH = 16
#: Fields of one message, so that a file cannot keep the reader busy for minutes.
MAX_FIELDS = 3_000_000
#: The key under which a tensor is marked whose elements are all equal, with that element: exporters merge such tensors where
#: they are not shared.
UNIFORM = "costmodel.uniform"

#: Bytes of an element by onnx.TensorProto.DataType; types of less than a byte and strings are not looked into.
_ITEMSIZE = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}


@dataclass(frozen=True, slots=True)
class _Message:
    """What to do with the fields of one message type: `inner` are messages to look into, `dropped` are left out."""

    name: str
    inner: dict[int, _Message] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()


_TENSOR = _Message("TensorProto")
_SPARSE = _Message("SparseTensorProto", {1: _TENSOR, 2: _TENSOR})
_ATTRIBUTE = _Message("AttributeProto", {5: _TENSOR, 10: _TENSOR, 22: _SPARSE, 23: _SPARSE}, frozenset({13}))
_NODE = _Message("NodeProto", {5: _ATTRIBUTE}, frozenset({6}))
_GRAPH = _Message("GraphProto", {1: _NODE, 5: _TENSOR, 15: _SPARSE}, frozenset({10}))
_ATTRIBUTE.inner.update({6: _GRAPH, 11: _GRAPH})
_FUNCTION = _Message("FunctionProto", {7: _NODE, 11: _ATTRIBUTE}, frozenset({8}))
_MODEL = _Message("ModelProto", {7: _GRAPH, 25: _FUNCTION}, frozenset({6, 20}))

#: Fields of a TensorProto that hold numbers, and those that are left out always: strings, descriptions, where external data lies.
_PAYLOADS = frozenset({4, 5, 7, 9, 10, 11})
_NOISE = frozenset({6, 12, 13, 16})
#: TensorProto.external_data, entries of a key and a value; paths are no longer than Linux takes them.
_EXTERNAL, _LONGEST_LOCATION = 13, 4096
_ENTRY = _Message("StringStringEntryProto")


def stripped(path: str | os.PathLike[str]) -> bytes:
    """The bytes of the ONNX file at `path` without the payloads of tensors of more than `MAX_KEPT` elements.

    Raises
    ------
    InvalidFileError
        If the file cannot be read or is no protobuf message: names the byte.
    """
    require_regular(path)
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise InvalidFileError(f"{path}: is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Stripper(data, str(path)).run()
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise InvalidFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


class _Stripper:
    """One walk over a file."""

    def __init__(self, data: mmap.mmap, path: str) -> None:
        self.data = data
        self.path = path
        self.fields = 0

    def run(self) -> bytes:
        out = bytearray()
        self._copy(0, len(self.data), _MODEL, out, 0)
        return bytes(out)

    def _copy(self, start: int, stop: int, message: _Message, out: bytearray, depth: int) -> None:
        """Append the fields between `start` and `stop` to `out`."""
        if depth > 4 * MAX_DEPTH:
            raise InvalidFileError(f"{self.path}: byte {start}: graphs are nested more than {MAX_DEPTH} deep")
        for number, begin, content, end in self._fields(start, stop, message):
            if number in message.dropped:
                continue
            inner = message.inner.get(number)
            if inner is None or content < 0:
                out += self.data[begin:end]
            else:
                part = bytearray()
                if inner is _TENSOR:
                    self._tensor(content, end, part)
                else:
                    self._copy(content, end, inner, part, depth + 1)
                out += _key(number, 2) + _varint(len(part))
                out += part
            if len(out) > MAX_MESSAGE:
                raise InvalidFileError(f"{self.path}: holds more than {MAX_MESSAGE >> 20} MiB besides its weights, which is no network")

    def _fields(self, start: int, stop: int, message: _Message) -> Iterator[tuple[int, int, int, int]]:
        """(field number, where its key begins, where its content begins if it has a length or -1, its end) of every field."""
        place = start
        while place < stop:
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise InvalidFileError(f"{self.path}: byte {place}: has more than {MAX_FIELDS} fields, which is no network")
            key, after = self._number(place, stop, message)
            number, kind = key >> 3, key & 7
            content = -1
            if kind == 0:
                end = self._number(after, stop, message)[1]
            elif kind == 1:
                end = after + 8
            elif kind == 5:
                end = after + 4
            elif kind == 2:
                length, content = self._number(after, stop, message)
                end = content + length
            else:
                raise InvalidFileError(f"{self.path}: byte {place}: is no ONNX file: a field of {message.name} has the kind {kind}")
            if number == 0 or end > stop:
                what = "the file is truncated" if end > len(self.data) else "the file is damaged"
                raise InvalidFileError(f"{self.path}: byte {place}: {what}: field {number} of {message.name} ends at byte {end} of {stop}")
            yield number, place, content, end
            place = end

    def _number(self, place: int, stop: int, message: _Message) -> tuple[int, int]:
        """(a whole number of the wire format, where it ends)."""
        value = shift = 0
        while place < stop and shift < 70:
            byte = self.data[place]
            value |= (byte & 0x7F) << shift
            place += 1
            if byte < 0x80:
                return value, place
            shift += 7
        raise InvalidFileError(f"{self.path}: byte {place}: the file is truncated or no ONNX file: a number of {message.name} does not end")

    def _tensor(self, start: int, stop: int, out: bytearray) -> None:
        """Append a tensor, with its numbers if they are few."""
        payloads = []
        elements, kind = 1, 0
        for number, begin, content, end in self._fields(start, stop, _TENSOR):
            if number in _PAYLOADS:
                payloads.append((number, begin, content, end))
            elif number not in _NOISE:
                out += self.data[begin:end]
            elif number == _EXTERNAL and content >= 0:
                self._require_inside(begin, content, end)
            if number == 1:
                for size in self._dims(begin, content, end):
                    elements *= size
            elif number == 2 and content < 0:
                kind = self._number(begin + 1, end, _TENSOR)[0]
        if 0 <= elements <= MAX_KEPT and sum(end - begin for _, begin, _, end in payloads) <= 32 * MAX_KEPT:
            for _, begin, _, end in payloads:
                out += self.data[begin:end]
        elif element := self._uniform(payloads, kind):
            text = element.hex().encode()
            entry = _key(1, 2) + _varint(len(UNIFORM)) + UNIFORM.encode() + _key(2, 2) + _varint(len(text)) + text
            out += _key(16, 2) + _varint(len(entry)) + entry

    def _require_inside(self, begin: int, start: int, stop: int) -> None:
        """External data is not opened, but a file that says it lies elsewhere than beside the file was not made by an exporter."""
        texts = {number: bytes(self.data[content:end]) for number, _, content, end in self._fields(start, stop, _ENTRY) if content >= 0}
        if texts.get(1) != b"location":
            return
        location = texts.get(2, b"").decode("utf-8", "replace")
        parts = location.replace("\\", "/").split("/")
        if not location or len(location) > _LONGEST_LOCATION or parts[0] == "" or ":" in parts[0] or ".." in parts or "\0" in location:
            raise InvalidFileError(
                f"{self.path}: byte {begin}: the weights of a tensor are said to lie in {printable(location[:200])!r}, outside the folder of the file"
            )

    def _dims(self, begin: int, content: int, end: int) -> Iterator[int]:
        """Sizes of a tensor, packed or one a field; a negative one is a huge number here."""
        place = content if content >= 0 else self._number(begin, end, _TENSOR)[1]
        while place < end:
            size, place = self._number(place, end, _TENSOR)
            yield size

    def _uniform(self, payloads: list[tuple[int, int, int, int]], kind: int) -> bytes:
        """The element that all elements of a tensor are, if they are; most tensors answer within the first two."""
        size = _ITEMSIZE.get(kind, 0)
        if len(payloads) != 1 or not size or payloads[0][0] != 9:
            return b""
        _, _, content, end = payloads[0]
        if content < 0 or (end - content) % size or end - content < 2 * size:
            return b""
        first = self.data[content : content + size]
        blocks = (self.data[place : min(end, place + _BLOCK)] for place in range(content, end, _BLOCK))
        if not self.data[content : content + 2 * size].translate(None, _ZEROS):
            return bytes(size) if all(not block.translate(None, _ZEROS) for block in blocks) else b""
        if first != self.data[content + size : content + 2 * size]:
            return b""
        whole = first * (_BLOCK // size)
        return first if all(block == whole[: len(block)] for block in blocks) else b""


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def marks(tensor: Any) -> Mapping[str, str]:
    """The notes that `stripped` or an exporter left on a tensor, a node or a value, by key."""
    return {entry.key: entry.value for entry in tensor.metadata_props}
