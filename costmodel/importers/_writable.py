"""What a graph must not hold to be written by torch or as ONNX, which trace what operators compute."""

from __future__ import annotations

import os

from costmodel.errors import UsageError
from costmodel.graph import Graph
from costmodel.ops.detection import NonMaxSuppression
from costmodel.ops.unknown import Unknown


def require_writable(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Refuse operators that cannot be traced.

    Raises
    ------
    UsageError
        If a node's operator is not known, or loops over boxes: names the first.
    """
    for node in graph.nodes:
        if isinstance(node.operator, Unknown):
            raise UsageError(f"{path}: {node.name} ({node.operator.name}) is not known here, so that it cannot be written")
        if isinstance(node.operator, NonMaxSuppression):
            raise UsageError(
                f"{path}: {node.name} (NonMaxSuppression) cannot be written: it loops over boxes, as many as the data leave; end the network before it, "
                "or save a .json"
            )
