"""`write_tflite`: a graph as a TFLite file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from costmodel.errors import UsageError
from costmodel.graph import Graph


def write_tflite(graph: Graph, path: str | Path, *, weights: Any = None, dtype: Literal["fp32", "int8"] = "fp32", seed: int = 0) -> None:
    """Write."""
    from costmodel.importers.tflite._plan import plan_graph
    from costmodel.importers.tflite._weights import arrays
    from costmodel.importers.tflite._write import write_plan
    from costmodel.reference import random_weights

    planned = plan_graph(graph)
    held = arrays(graph, random_weights(graph, seed=seed) if weights is None else weights)
    plan = planned.plan

    def data(number: int) -> bytes:
        import numpy as np

        tensor = plan.tensors[number]
        constant = tensor.constant
        kinds = {"FLOAT32": np.float32, "INT32": np.int32, "INT64": np.int64}
        values = constant.values if constant.values is not None else constant.recipe(held)
        return np.ascontiguousarray(np.asarray(values, kinds[tensor.type]).reshape(tensor.shape)).tobytes()

    write_plan(plan, data, path)
