"""Scales of an 8-bit plan from ranges that were observed, and constants in them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import Graph, Node, TensorRef
from costmodel.importers.tflite._planner import Fixed, Observed, Range
from costmodel.importers.tflite._quantise import Quantised
from costmodel.importers.tflite._schema import FileTensor, Plan, Quantisation
from costmodel.importers.tflite._weights import Arrays

#: (smallest, largest) of what a tensor held.
Bounds = tuple[float, float]
_TYPES: dict[str, Any] = {"FLOAT32": np.float32, "INT8": np.int8, "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_}
#: Smallest scale: below it a tensor holds nothing but zeros.
_LEAST = 1e-30


def observe(graph: Graph, wanted: set[Range], inputs: Sequence[Any], weights: Mapping[str, Mapping[str, Any]], held: Arrays) -> dict[Range, Bounds]:
    """The bounds of what is `wanted`, from one execution of `graph` in torch."""
    from costmodel.reference import execute

    bounds: dict[Range, Bounds] = {range: _fixed_bounds(range) for range in wanted if isinstance(range, Fixed)}
    watched: dict[str, list[Observed]] = {}
    for range in wanted:
        if isinstance(range, Observed):
            watched.setdefault(range.node, []).append(range)
    kept_for = {ref for name in watched for ref in graph[name].arguments}
    values = {TensorRef(name): tensor for name, tensor in zip(graph.inputs, inputs, strict=True)}
    for ref, tensor in values.items():
        bounds[ref] = _bounds(tensor)

    def watch(node: Node, compute: Any) -> Any:
        for range in watched.get(node.name, ()):
            bounds[range] = _bounds(range.compute([values[ref] for ref in node.arguments], held))
        result = compute()
        for output, tensor in enumerate(result if isinstance(result, tuple | list) else (result,)):
            ref = TensorRef(node.name, output)
            if ref in wanted:
                bounds[ref] = _bounds(tensor)
            if ref in kept_for:
                values[ref] = tensor
        return result

    execute(graph, list(inputs), weights, observer=watch)
    return bounds


def _bounds(tensor: Any) -> Bounds:
    return (float(tensor.min()), float(tensor.max()))


def _fixed_bounds(found: Fixed) -> Bounds:
    return ((-128 - found.zero_point) * found.scale, (127 - found.zero_point) * found.scale)


class Scaled:
    """An 8-bit plan with its scales: `plan`, and the bytes of its constants."""

    def __init__(self, quantised: Quantised, bounds: Mapping[Range, Bounds], held: Arrays) -> None:
        self.source, self.held = quantised, held
        shared = {group: self._activation(group, bounds) for group in set(quantised.groups.values())}
        self.known: dict[int, Quantisation] = {number: shared[group] for number, group in quantised.groups.items()}
        for number in sorted(quantised.rules, key=lambda number: quantised.rules[number].how == "bias"):  # biases follow from weights
            self.known[number] = self._constant(number)
        tensors = [dataclasses.replace(tensor, quantisation=self.known.get(number)) for number, tensor in enumerate(quantised.plan.tensors)]
        self.plan: Plan = dataclasses.replace(quantised.plan, tensors=tuple(tensors))

    def _activation(self, group: int, bounds: Mapping[Range, Bounds]) -> Quantisation:
        """Asymmetric, with zero exactly represented."""
        fixed = self.source.fixed.get(group)
        if fixed is not None:
            return Quantisation((fixed.scale,), (fixed.zero_point,))
        found = [bounds[range] for range in self.source.sources.get(group, ())]
        if not all(math.isfinite(bound) for pair in found for bound in pair):
            name = next(self.source.plan.tensors[number].name for number, other in self.source.groups.items() if other == group)
            raise UsageError(f"int8: {name} holds infinities or no numbers for the inputs to calibrate with; give others, or other weights")
        low, high = min(0.0, *(low for low, _ in found)), max(0.0, *(high for _, high in found))
        scale = float(np.float32(max((high - low) / 255, _LEAST)))
        return Quantisation((scale,), (int(np.clip(round(-128 - low / scale), -128, 127)),))

    def _constant(self, number: int) -> Quantisation:
        rule = self.source.rules[number]
        if rule.how == "like":
            return self.known[rule.of[0]]
        if rule.how == "bias":
            source, weights = self.known[rule.of[0]].scales[0], self.known[rule.of[1]].scales
            return Quantisation(tuple(float(np.float32(source) * np.float32(scale)) for scale in weights), (0,) * len(weights))
        values = real_values(self.source.plan.tensors[number], self.held)
        if rule.how == "channels":
            rows = np.moveaxis(values, rule.axis, 0).reshape(values.shape[rule.axis], -1)
            scales = np.maximum(np.abs(rows).max(1) / 127, _LEAST)
            return Quantisation(tuple(float(scale) for scale in scales.astype(np.float32)), (0,) * len(scales), rule.axis)
        return Quantisation((float(np.float32(max(float(np.abs(values).max()) / 127, _LEAST))),), (0,))

    def data(self, number: int) -> bytes:
        """The bytes of constant `number`."""
        tensor = self.plan.tensors[number]
        if number not in self.source.rules:
            return stored_bytes(tensor, self.held)
        quantisation = self.known[number]
        values = np.asarray(real_values(tensor, self.held), np.float64)
        shape = [1] * values.ndim
        if len(quantisation.scales) > 1:
            shape[quantisation.axis] = -1
        scales, zeros = (np.asarray(given, np.float64).reshape(shape) for given in (quantisation.scales, quantisation.zero_points))
        limits = np.iinfo(_TYPES[tensor.type])
        least = limits.min if tensor.type == "INT32" or self.source.rules[number].how == "like" else -127
        return np.clip(np.rint(values / scales + zeros), least, limits.max).astype(_TYPES[tensor.type]).tobytes()


def real_values(tensor: FileTensor, held: Arrays) -> Any:
    """The values of a constant before it is quantised, in the file's shape."""
    constant = tensor.constant
    assert constant is not None, f"{tensor.name} is no constant"
    if constant.values is not None:
        return np.asarray(constant.values).reshape(tensor.shape)
    assert constant.recipe is not None, f"{tensor.name} has neither values nor a recipe"
    return np.asarray(constant.recipe(held)).reshape(tensor.shape)


def stored_bytes(tensor: FileTensor, held: Arrays) -> bytes:
    """The bytes of a constant that is stored as it is."""
    return np.ascontiguousarray(real_values(tensor, held), _TYPES[tensor.type]).tobytes()
