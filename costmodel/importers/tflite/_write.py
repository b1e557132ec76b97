"""Bytes of a `Plan`: the flatbuffer, built with the generated schema of the package `tflite`.

A flatbuffer holds at most 2 GB, so that weights of more than `INLINE_BYTES` follow it and are found by the schema's
fields `Buffer.offset` and `Buffer.size`, as in files that the TensorFlow converter writes for large models.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from costmodel import durable
from costmodel.importers.tflite._schema import (
    IDENTIFIER,
    ITEMSIZE,
    METADATA_NAME,
    OPTIONS,
    SCHEMA_VERSION,
    FileOperator,
    FileTensor,
    Plan,
    Quantisation,
    camel,
    require_tflite,
)

#: Bytes of constants that are stored inside the flatbuffer, whose offsets are 31 bits.
INLINE_BYTES = 1_900_000_000
#: Alignment of constants in the file: the schema's ``force_align: 16`` of Buffer.data.
ALIGNMENT = 16

#: The bytes of tensor number i of a plan.
Data = Callable[[int], bytes]


def write_plan(plan: Plan, data: Data, path: str | Path, *, inline_bytes: int = INLINE_BYTES) -> None:
    """Write `plan` with the constants that `data` gives to `path`.

    Raises
    ------
    CostModelError
        If the file cannot be written: names it.
    """
    held = _Held(plan, data, inline_bytes)
    with durable.putting(path) as file:
        document = _Writer(plan, held).finish()
        if held.inline:
            file.write(document)
            return
        # Sizes are known now; offsets need the length of the flatbuffer, which does not depend on their values.
        held.place(len(document))
        file.write(_Writer(plan, held).finish())
        for number, offset in held.offsets.items():
            file.write(b"\0" * (offset - file.tell()))
            file.write(held.content(number))


class _Held:
    """Which constants exist, how many bytes they have, and where they go."""

    def __init__(self, plan: Plan, data: Data, inline_bytes: int) -> None:
        self.data = data
        sizes = {number: math.prod(tensor.shape) * ITEMSIZE[tensor.type] for number, tensor in enumerate(plan.tensors) if tensor.constant is not None}
        self.sizes = sizes
        self.position = {number: place for place, number in enumerate(sizes, 1)}  # buffer 0 is empty by convention
        self.offsets = dict.fromkeys(sizes, 2)  # 0 and 1 mean none
        self.inline = sum(sizes.values()) <= inline_bytes

    def content(self, number: int) -> bytes:
        """The bytes of tensor `number`, as many as its shape says."""
        found = self.data(number)
        assert len(found) == self.sizes[number], f"tensor {number} has {len(found)} bytes, not {self.sizes[number]}"
        return found

    def place(self, end: int) -> None:
        """Offsets of constants after a flatbuffer of `end` bytes."""
        for number, size in self.sizes.items():
            end = -(-end // ALIGNMENT) * ALIGNMENT
            self.offsets[number] = end
            end += size


class _Writer:
    """One flatbuffer under construction; children come before parents."""

    def __init__(self, plan: Plan, held: _Held) -> None:
        import flatbuffers

        self.schema = require_tflite()
        self.plan, self.held = plan, held
        self.builder = flatbuffers.Builder(1024 + sum(size + 64 for size in held.sizes.values()) * held.inline)

    def finish(self) -> memoryview:
        """The finished document."""
        plan, held = self.plan, self.held
        buffers = [self._table("Buffer")]
        for number, size in held.sizes.items():
            if held.inline:
                buffers.append(self._table("Buffer", data=self._bytes(held.content(number))))
            else:
                buffers.append(self._table("Buffer", offset=held.offsets[number], size=size))
        metadata = []
        if plan.metadata is not None:
            metadata.append(self._table("Metadata", name=self._string(METADATA_NAME), buffer=len(buffers)))
            buffers.append(self._table("Buffer", data=self._bytes(plan.metadata)))
        names = list(dict.fromkeys(operator.builtin for operator in plan.operators))
        tensors = self._offsets([self._tensor(number, tensor) for number, tensor in enumerate(plan.tensors)])
        operators = self._offsets([self._operator(operator, names) for operator in plan.operators])
        subgraph = self._table(
            "SubGraph", tensors=tensors, inputs=self._int32(plan.inputs), outputs=self._int32(plan.outputs), operators=operators, name=self._string("main")
        )
        root = self._table(
            "Model",
            version=SCHEMA_VERSION,
            operator_codes=self._offsets([self._code(name) for name in names]),
            subgraphs=self._offsets([subgraph]),
            description=self._string(plan.name),
            buffers=self._offsets(buffers),
            **({"metadata": self._offsets(metadata)} if metadata else {}),
        )
        self.builder.Finish(root, file_identifier=IDENTIFIER)
        return memoryview(self.builder.Bytes)[self.builder.head :]

    def _table(self, table: str, **fields: Any) -> int:
        getattr(self.schema, f"{table}Start")(self.builder)
        for name, value in fields.items():
            getattr(self.schema, f"{table}Add{camel(name)}")(self.builder, value)
        made: int = getattr(self.schema, f"{table}End")(self.builder)
        return made

    def _tensor(self, number: int, tensor: FileTensor) -> int:
        fields: dict[str, Any] = {"shape": self._int32(tensor.shape), "name": self._string(tensor.name)}
        if tensor.quantisation is not None:
            fields["quantization"] = self._quantisation(tensor.quantisation)
        if tensor.variable:
            fields["is_variable"] = True
        kind = getattr(self.schema.TensorType, tensor.type)
        return self._table("Tensor", type=kind, buffer=self.held.position.get(number, 0), **fields)

    def _quantisation(self, found: Quantisation) -> int:
        import numpy as np

        scale = self.builder.CreateNumpyVector(np.array(found.scales, np.float32))
        zero = self.builder.CreateNumpyVector(np.array(found.zero_points, np.int64))
        return self._table("QuantizationParameters", scale=scale, zero_point=zero, quantized_dimension=found.axis)

    def _operator(self, operator: FileOperator, names: list[str]) -> int:
        fields: dict[str, Any] = {"inputs": self._int32(operator.inputs), "outputs": self._int32(operator.outputs)}
        if operator.builtin in OPTIONS:
            table, _ = OPTIONS[operator.builtin]
            fields["builtin_options"] = self._table(table, **operator.options)
            fields["builtin_options_type"] = getattr(self.schema.BuiltinOptions, table)
        return self._table("Operator", opcode_index=names.index(operator.builtin), **fields)

    def _code(self, builtin: str) -> int:
        number = getattr(self.schema.BuiltinOperator, builtin)
        old = min(number, self.schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
        return self._table("OperatorCode", deprecated_builtin_code=old, builtin_code=number, version=1)

    def _string(self, text: str) -> int:
        made: int = self.builder.CreateString(text)
        return made

    def _int32(self, values: tuple[int, ...]) -> int:
        import numpy as np

        made: int = self.builder.CreateNumpyVector(np.array(values, np.int32))
        return made

    def _offsets(self, places: list[int]) -> int:
        self.builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            self.builder.PrependUOffsetTRelative(place)
        made: int = self.builder.EndVector()
        return made

    def _bytes(self, content: bytes) -> int:
        """A vector of bytes that starts on a multiple of ALIGNMENT, counted from the end that is built first."""
        self.builder.StartVector(1, len(content), ALIGNMENT)
        self.builder.head = self.builder.head - len(content)
        self.builder.Bytes[self.builder.head : self.builder.head + len(content)] = content
        made: int = self.builder.EndVector()
        return made
