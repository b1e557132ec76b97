"""What folding removes from a file, kept in its metadata: the graph itself, believed only if the file is what it would be written as."""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from typing import Any

from costmodel.errors import CostModelError
from costmodel.graph import Graph, graph_from_dict
from costmodel.importers.tflite._schema import FileOperator, FileTensor, Plan

#: Version of what the metadata entry holds.
VERSION = 1
#: Most bytes of the entry once unpacked, and most operators of its graph.
MAX_BYTES, MAX_NODES = 1 << 24, 20_000


def pack(graph: Graph) -> bytes:
    """The entry for `graph`; its precision is left to the file."""
    document = dataclasses.replace(graph, precision="").to_dict()
    return zlib.compress(json.dumps({"version": VERSION, "graph": document}).encode(), 9)


class MismatchError(CostModelError):
    """A metadata entry that does not describe the file it is in; says where they differ."""


def restore(plan: Plan) -> Graph:
    """The graph that `plan` was written from, which its metadata names.

    The graph is planned anew; every operator, tensor, option and constant of few numbers must be the file's.

    Raises
    ------
    MismatchError
        If the entry cannot be read, or is not of this file.
    """
    from costmodel.importers.tflite._plan import plan_graph
    from costmodel.importers.tflite._quantise import quantised

    assert plan.metadata is not None, "there is an entry"
    document = _unpacked(plan.metadata)
    try:
        graph = graph_from_dict(document, "metadata")
        planned = plan_graph(graph, limit=len(plan.operators))
        is_narrow = any(tensor.type == "INT8" for tensor in plan.tensors)
        expected = quantised(planned).plan if is_narrow else planned.plan
    except (CostModelError, ArithmeticError, LookupError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise MismatchError(str(error)[:200] or type(error).__name__) from None
    difference = _difference(expected, plan)
    if difference:
        raise MismatchError(difference)
    return graph


def _unpacked(entry: bytes) -> dict[str, Any]:
    """The document in an entry."""
    try:
        unpacker = zlib.decompressobj()
        document = json.loads(unpacker.decompress(entry, MAX_BYTES))
        if document["version"] != VERSION or len(document["graph"]["nodes"]) > MAX_NODES:
            raise MismatchError("the entry has another version, or too many operators")
        found: dict[str, Any] = document["graph"]
        return found
    except (zlib.error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise MismatchError(f"the entry cannot be read ({type(error).__name__}: {str(error)[:100]})") from None


def _difference(expected: Plan, found: Plan) -> str:
    """The first place in which the file is not as expected; empty where there is none."""
    for what in ("tensors", "operators", "inputs", "outputs"):
        wanted, given = getattr(expected, what), getattr(found, what)
        if len(wanted) != len(given):
            return f"{len(given)} {what} where {len(wanted)} belong"
        for position, (a, b) in enumerate(zip(wanted, given, strict=True)):
            same = _same_operator(a, b) if what == "operators" else _same_tensor(a, b) if what == "tensors" else a == b
            if not same:
                return f"{what[:-1]} {position} is another"
    return ""


def _same_tensor(a: FileTensor, b: FileTensor) -> bool:
    if (a.name, a.shape, a.type, a.variable, a.constant is None) != (b.name, b.shape, b.type, b.variable, b.constant is None):
        return False
    if a.constant is None or b.constant is None or a.constant.values is None or a.type in ("INT8", "FLOAT32"):
        return True
    return b.constant.values is None or a.constant.values == b.constant.values


def _same_operator(a: FileOperator, b: FileOperator) -> bool:
    if (a.builtin, a.inputs, a.outputs) != (b.builtin, b.inputs, b.outputs) or set(a.options) != set(b.options):
        return False
    return all(math.isclose(value, b.options[name], rel_tol=1e-6, abs_tol=1e-12) for name, value in a.options.items())
