"""Files executed by LiteRT's built-in kernels and compared with torch's execution of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from costmodel import reference
from costmodel.graph import Graph

#: (N, H, W, C) out of (N, C, H, W).
IMAGE = (0, 2, 3, 1)


def execute(path: Path, inputs: Sequence[Any]) -> list[Any]:
    """Outputs of a file for a graph's inputs; images turned and 8-bit numbers scaled on the way in, the latter back on the way out."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_path=str(path), num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    interpreter.allocate_tensors()
    for detail, tensor in zip(interpreter.get_input_details(), inputs, strict=True):
        array = tensor.numpy().transpose(IMAGE if tensor.dim() == 4 else range(tensor.dim()))
        if detail["dtype"] is np.int8:
            scale, zero = detail["quantization"]
            array = np.clip(np.rint(array / scale + zero), -128, 127)
        interpreter.set_tensor(detail["index"], np.ascontiguousarray(array.astype(detail["dtype"])))
    interpreter.invoke()
    outputs = []
    for detail in interpreter.get_output_details():
        array = interpreter.get_tensor(detail["index"])
        if detail["dtype"] is np.int8:
            scale, zero = detail["quantization"]
            array = (array.astype(np.float32) - zero) * scale
        outputs.append(array)
    return outputs


def largest_error(path: Path, graph: Graph, inputs: Sequence[Any], weights: Any) -> float:
    """The largest difference between LiteRT's and torch's outputs, over the largest magnitude of that output in torch."""
    errors = []
    for wanted, given in zip(reference.execute(graph, list(inputs), weights), execute(path, inputs), strict=True):
        array = wanted.numpy()
        forms = [array, array.transpose(IMAGE)] if array.ndim == 4 else [array]
        errors.append(min(_difference(given, form) for form in forms if form.shape == given.shape))
    return max(errors)


def _difference(given: Any, wanted: Any) -> float:
    """The largest difference over the largest magnitude of what is wanted."""
    a, b = given.astype(np.float64), wanted.astype(np.float64)
    if (np.isnan(a) != np.isnan(b)).any():  # the root of a negative number is none in both
        return float("inf")
    return float(np.nanmax(np.abs(a - b)) / max(np.nanmax(np.abs(b)), 1e-30))


def varied_weights(graph: Graph) -> dict[str, dict[str, Any]]:
    """Random weights with normalisations and biases that are not the identity, and batch statistics."""
    generator = torch.Generator().manual_seed(1)
    weights = reference.random_weights(graph)
    for node in graph.nodes:
        held = weights.get(node.name, {})
        for name in [name for name, value in held.items() if value.dim() == 1]:
            held[name] = held[name] + 0.1 * torch.randn(held[name].shape, generator=generator)
        if type(node.operator).__name__ == "BatchNorm":
            channels = node.inputs[0].shape[1]
            held = weights.setdefault(node.name, {})
            held["running_mean"] = 0.1 * torch.randn(channels, generator=generator)
            held["running_var"] = 0.5 + torch.rand(channels, generator=generator)
    return weights
