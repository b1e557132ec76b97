"""Weights of a graph's nodes as arrays, with batch normalisations folded in. Formulas: arXiv 1502.03167, algorithm 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import Graph, Node
from costmodel.importers.tflite._fold import Step

#: Node name -> parameter name -> array.
Arrays = Mapping[str, Mapping[str, Any]]


def arrays(graph: Graph, weights: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """`weights` as `costmodel.reference.execute` takes them, as arrays.

    Raises
    ------
    UsageError
        If a tensor is missing or has another shape: names the node.
    """
    found: dict[str, dict[str, Any]] = {}
    for node in graph.nodes:
        if node.shares:
            continue
        held = {name: _array(value) for name, value in weights.get(node.name, {}).items()}
        for name, shape in node.parameter_shapes.items():
            if name not in held or held[name].shape != tuple(shape):
                given = held[name].shape if name in held else "nothing"
                raise UsageError(f"weights: {node.name} needs {name} of shape {tuple(shape)}, not {given}")
        if held:
            found[node.name] = held
    return found


def _array(value: Any) -> Any:
    """A tensor or array on the CPU, real numbers as float32, integers as they are."""
    tensor = value.detach().cpu() if hasattr(value, "detach") else value
    if hasattr(tensor, "is_floating_point") and tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    array = np.asarray(tensor)
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def own(held: Arrays, node: Node) -> Mapping[str, Any]:
    """The tensors of `node`, or of the node whose tensors it shares."""
    return held.get(node.shares or node.name, {})


def weight_of(held: Arrays, node: Node) -> Any:
    """The parameter ``weight``."""
    return own(held, node)["weight"]


def scale_and_shift(held: Arrays, norm: Node) -> tuple[Any, Any]:
    """(scale, shift) of each channel that a batch normalisation amounts to."""
    found = own(held, norm)
    channels = norm.inputs[0].shape[1]
    operator: Any = norm.operator
    scale = np.asarray(found.get("weight", np.ones(channels, np.float32)), np.float64)
    scale = scale / np.sqrt(np.asarray(found.get("running_var", np.ones(channels)), np.float64) + operator.epsilon)
    shift = found.get("bias", np.zeros(channels, np.float32)) - found.get("running_mean", np.zeros(channels, np.float32)) * scale
    return scale.astype(np.float32), np.asarray(shift, np.float32)


def scale_of(held: Arrays, step: Step) -> Any:
    """What the filters of each output channel are multiplied by."""
    if step.norm is None:
        return np.ones(1, np.float32)
    return scale_and_shift(held, step.norm)[0]


def bias_of(held: Arrays, step: Step) -> Any:
    """The bias of an operator with its batch normalisation; zeros where there is neither."""
    bias = own(held, step.node).get("bias")
    if step.norm is None:
        return np.zeros(step.node.outputs[0].shape[1], np.float32) if bias is None else bias
    scale, shift = scale_and_shift(held, step.norm)
    return shift if bias is None else bias * scale + shift


def standardised(held: Arrays, node: Node, epsilon: float) -> Any:
    """Filters of mean 0 and variance 1/fan-in for each output channel, times a gain. Source: arXiv 2101.08692, equation 1."""
    found = own(held, node)
    weight = np.asarray(found["weight"], np.float64)
    rows = weight.reshape(len(weight), -1)
    normal = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + epsilon)
    gained = normal * np.asarray(found["gain"], np.float64).reshape(-1, 1) * rows.shape[1] ** -0.5
    return gained.reshape(weight.shape).astype(np.float32)
