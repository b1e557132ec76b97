"""Damaged ONNX files from a seed: bytes changed, cut, doubled and mixed, and fields of the messages set to what they must not be.

Thousands of them: ``python -m tests.importers.onnx.mutants 5000`` prints what became of each kind, and every escape.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import onnx

from costmodel.errors import InvalidFileError, UsageError
from costmodel.importers.onnx import read_onnx

FILES = sorted((Path(__file__).parent / "files").glob("*.onnx"))
SIZES = (0, 1, -1, 2**31, 2**40, 2**62, -(2**63), 7, 1009)


def mutant(seed: int) -> bytes:
    """A damaged file, the same for the same seed."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(FILES).read_bytes())
    if chance.random() < 0.4:
        return bytes(_bytes_changed(chance, data))
    model = onnx.ModelProto.FromString(bytes(data))
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        chance.choice(FIELDS)(chance, model)
    return model.SerializeToString()


def _bytes_changed(chance: random.Random, data: bytearray) -> bytearray:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        place = chance.randrange(len(data))
        length = chance.choice((1, 4, 64, 1000))
        kind = chance.randrange(6)
        if kind == 0:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2 and len(data) > 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = chance.randbytes(length)
        elif kind == 4:
            data[place:place] = data[place : place + length]
        elif kind == 5 and chance.random() < 0.2:
            del data[max(1, place) :]
        if not data:
            data.append(0)
    return data


def _node(chance: random.Random, model: Any) -> Any:
    return chance.choice(model.graph.node)


def _size_of_weight(chance: random.Random, model: Any) -> None:
    tensor = chance.choice(model.graph.initializer)
    if tensor.dims:
        tensor.dims[chance.randrange(len(tensor.dims))] = chance.choice(SIZES)


def _size_of_input(chance: random.Random, model: Any) -> None:
    size = chance.choice(chance.choice(model.graph.input).type.tensor_type.shape.dim or [onnx.TensorShapeProto.Dimension()])
    if chance.random() < 0.5:
        size.dim_value = chance.choice(SIZES)
    else:
        size.dim_param = chance.choice(("n", "", "batch", "2*n", "\x1b[2J"))


def _wire(chance: random.Random, model: Any) -> None:
    node, other = _node(chance, model), _node(chance, model)
    if node.input and other.output:
        node.input[chance.randrange(len(node.input))] = chance.choice((other.output[0], "", "nowhere", node.output[0], "\x00"))


def _wires(chance: random.Random, model: Any) -> None:
    node = _node(chance, model)
    kind = chance.randrange(4)
    if kind == 0:
        del node.input[:]
    elif kind == 1:
        node.input.append(chance.choice(model.graph.node).output[0])
    elif kind == 2:
        del node.output[:]
    elif node.input:
        del node.input[-1]


def _operator(chance: random.Random, model: Any) -> None:
    node = _node(chance, model)
    node.op_type = chance.choice((_node(chance, model).op_type, "Loop", "If", "Nothing", "", "Conv", "Resize", "Einsum", "LSTM", "Range", "ConstantOfShape"))
    if chance.random() < 0.2:
        node.domain = chance.choice(("com.microsoft", "ai.onnx.ml", "\n"))


def _attribute(chance: random.Random, model: Any) -> None:
    node = _node(chance, model)
    if not node.attribute or chance.random() < 0.2:
        node.attribute.append(onnx.helper.make_attribute(chance.choice(("axis", "group", "axes", "perm", "kernel_shape", "to")), chance.choice(SIZES)))
        return
    attribute = chance.choice(node.attribute)
    kind = chance.randrange(4)
    if kind == 0:
        attribute.i = chance.choice(SIZES)
    elif kind == 1 and attribute.ints:
        attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(SIZES)
    elif kind == 2:
        attribute.type = chance.randrange(15)
    else:
        node.attribute.remove(attribute)


def _constant(chance: random.Random, model: Any) -> None:
    held = [attribute.t for node in model.graph.node for attribute in node.attribute if attribute.name == "value"] + list(model.graph.initializer)
    tensor = chance.choice([tensor for tensor in held if tensor.raw_data] or held)
    if tensor.raw_data and chance.random() < 0.7:
        data = bytearray(tensor.raw_data)
        data[chance.randrange(len(data))] = chance.randrange(256)
        tensor.raw_data = bytes(data)
    else:
        tensor.data_type = chance.randrange(30)


def _graph(chance: random.Random, model: Any) -> None:
    kind = chance.randrange(5)
    nodes = list(model.graph.node)
    if kind == 0:
        chance.shuffle(nodes)
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    elif kind == 1:
        model.graph.node.add().CopyFrom(_node(chance, model))
    elif kind == 2:
        model.graph.output[0].name = chance.choice(("nowhere", nodes[0].output[0] if nodes[0].output else "", model.graph.input[0].name))
    elif kind == 3:
        model.opset_import[0].version = chance.choice((-1, 0, 6, 7, 12, 19, 99, 2**40))
    else:
        model.graph.node.remove(_node(chance, model))


FIELDS = (_size_of_weight, _size_of_input, _wire, _wires, _operator, _attribute, _constant, _graph)


def outcome(data: bytes, folder: Path) -> str:
    """What reading a file comes to: ``read``, ``refused``, or ``asked`` for a dimension; anything else escapes."""
    path = folder / "mutant.onnx"
    path.write_bytes(data)
    try:
        graph = read_onnx(path)
    except (InvalidFileError, UsageError) as error:
        place, kind = ("--dim", "asked") if isinstance(error, UsageError) else (str(path), "refused")
        return kind if place in str(error) and str(error).isprintable() else f"badly {kind}: {error!r}"
    return "read" if graph.parameters >= 0 and graph.macs >= 0 else "negative counts"


def main() -> None:
    """Try as many mutants as the first argument says, from the seed that the second says."""
    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            try:
                found[outcome(mutant(seed), Path(folder))] += 1
            except Exception as error:
                found["escaped"] += 1
                print(f"seed {seed}: {type(error).__name__}: {error}")
    print(dict(found))


if __name__ == "__main__":
    main()
