"""Quantised networks as networks on int8 tensors: the operators of a float network, with changes of type where the runtime changes it.

1. Operators on quantised tensors (QLinearConv and the like) are the plain ones without scales and zero points.
2. A DequantizeLinear of a stored tensor is that tensor, which counts once.
3. Between operators a QuantizeLinear and the DequantizeLinear after it are nothing: an operator whose inputs were dequantised
   and whose outputs are quantised, alone or with others, runs on int8. Elsewhere both are casts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from costmodel.importers.onnx._file import File, Step

#: Operator on quantised tensors -> the plain one, and which of its inputs that takes; None where they come in threes.
PLAIN: Mapping[str, tuple[str, tuple[int, ...] | None]] = {
    "QLinearConv": ("Conv", (0, 3, 8)),
    "QLinearMatMul": ("MatMul", (0, 3)),
    "ConvInteger": ("Conv", (0, 1)),
    "MatMulInteger": ("MatMul", (0, 1)),
    "com.microsoft::QLinearAdd": ("Add", (0, 3)),
    "com.microsoft::QLinearMul": ("Mul", (0, 3)),
    "com.microsoft::QLinearSigmoid": ("Sigmoid", (0,)),
    "com.microsoft::QLinearLeakyRelu": ("LeakyRelu", (0,)),
    "com.microsoft::QLinearSoftmax": ("Softmax", (0,)),
    "com.microsoft::QLinearAveragePool": ("AveragePool", (0,)),
    "com.microsoft::QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "com.microsoft::QGemm": ("Gemm", (0, 3, 6)),
    "com.microsoft::QLinearConcat": ("Concat", None),
}
_CONTRACTIONS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
#: Attributes of the quantised forms alone.
_OWN = frozenset({"channels_last", "opset"})
_FLOAT, _INT8 = 1, 3


def on_int8(file: File, learned: Set[str]) -> File:
    """`file` without quantisation between operators; the same file where there is none."""
    if not any(step.operator in PLAIN or step.operator.endswith("QuantizeLinear") or step.operator == "DequantizeLinear" for step in file.steps):
        return file
    return replace(file, steps=_Rewriting(file, learned).run(), is_quantised=True)


class _Rewriting:
    """State of one pass: who makes and reads each tensor, and which operators run on int8."""

    def __init__(self, file: File, learned: Set[str]) -> None:
        self.file, self.learned = file, learned
        self.steps = [_plain(step) for step in file.steps]
        self.makers = {name: step for step in self.steps for name in step.outputs if name}
        self.readers: dict[str, list[Step]] = {}
        for step in self.steps:
            for name in step.inputs:
                self.readers.setdefault(name, []).append(step)
        self.outputs = frozenset(file.outputs)
        self.names: dict[str, str] = {}
        self.quantised = self._on_int8()

    def run(self) -> tuple[Step, ...]:
        found: list[Step] = []
        for step in self.steps:
            if step.operator == "DequantizeLinear" and len(step.inputs) > 1 and step.outputs:
                found += self._dequantised(step)
            elif step.operator in ("QuantizeLinear", "DynamicQuantizeLinear") and step.inputs and step.outputs:
                found += self._quantised(step)
            else:
                found += self._plain_step(step)
        return tuple(found)

    def _on_int8(self) -> set[Step]:
        """Operators between dequantised inputs and outputs that are quantised; and products of dequantised activations and weights."""
        fed: set[Step] = set()
        for step in self.steps:
            sources = [self.makers[name] for name in step.inputs if name in self.makers]
            is_fed = any(maker in fed or (maker.operator == "DequantizeLinear" and not self._is_stored(maker.inputs[0])) for maker in sources)
            if is_fed and not step.operator.lower().endswith("quantizelinear"):
                fed.add(step)
        drained: set[Step] = set()
        for step in reversed(self.steps):
            after = [reader for name in step.outputs for reader in self.readers.get(name, ())]
            if after and not set(step.outputs) & self.outputs and all(reader.operator == "QuantizeLinear" or reader in drained for reader in after):
                drained.add(step)
        both = {step for step in fed if step.operator in _CONTRACTIONS and self._of_both(step)}
        return (fed & drained) | both

    def _of_both(self, step: Step) -> bool:
        """Whether the first two inputs of a product were dequantised."""
        return all(name in self.makers and self.makers[name].operator == "DequantizeLinear" for name in step.inputs[:2])

    def _is_stored(self, name: str) -> bool:
        maker = self.makers.get(name)
        return name in self.file.stored or (
            maker is not None and maker.operator in ("Constant", "QuantizeLinear") and self._is_stored((*maker.inputs, name)[0])
        )

    def _dequantised(self, step: Step) -> list[Step]:
        source, result = step.inputs[0], step.outputs[0]
        if self._is_stored(source):
            held = self.file.stored.get(source)
            if held is not None and held.value is not None and source not in self.learned:
                return [step]  # a small constant, whose value is computed
            self.names[result] = self.names.get(source, source)
            return []
        readers = self.readers.get(result, [])
        if result not in self.outputs and all(reader in self.quantised or reader.operator == "QuantizeLinear" for reader in readers):
            self.names[result] = self.names.get(source, source)
            return []
        for reader in readers:
            if reader in self.quantised:
                self.names[f"{result}\0{id(reader)}"] = self.names.get(source, source)
        return [_cast(step, self.names.get(source, source), result, _FLOAT)]

    def _quantised(self, step: Step) -> list[Step]:
        source = self.names.get(step.inputs[0], step.inputs[0])
        maker = self.makers.get(step.inputs[0])
        if self._is_stored(step.inputs[0]) or (maker is not None and (maker in self.quantised or maker.operator == "DequantizeLinear")):
            self.names[step.outputs[0]] = source
            made = []
        else:
            made = [_cast(step, source, step.outputs[0], _INT8)]
        if step.operator == "DynamicQuantizeLinear":  # a scale and a zero point of the data, one number each
            made += [_made(step, "ReduceMax", (source,), (name,), keepdims=0) for name in step.outputs[1:] if name]
        return made

    def _plain_step(self, step: Step) -> list[Step]:
        inputs = tuple(self.names.get(f"{name}\0{id(step)}", self.names.get(name, name)) for name in step.inputs)
        step_with = _made(step, step.operator, inputs, step.outputs, **step.attributes) if inputs != step.inputs else step
        after = [reader for name in step.outputs for reader in self.readers.get(name, ())]
        returns = step in self.quantised and (
            set(step.outputs) & self.outputs or any(r not in self.quantised and r.operator != "QuantizeLinear" for r in after)
        )
        if not returns or len(step.outputs) != 1:
            return [step_with]
        inner = f"{step.outputs[0]} in int8"
        return [_made(step, step_with.operator, inputs, (inner,), **step.attributes), _cast(step, inner, step.outputs[0], _FLOAT)]


def _plain(step: Step) -> Step:
    """An operator on quantised tensors as the plain one."""
    found = PLAIN.get(step.operator)
    if found is None:
        return step
    operator, places = found
    inputs = step.inputs[2::3] if places is None else tuple(step.inputs[place] for place in places if place < len(step.inputs))
    return _made(step, operator, inputs, step.outputs, **{key: value for key, value in step.attributes.items() if key not in _OWN})


def _cast(step: Step, source: str, result: str, kind: int) -> Step:
    return _made(step, "Cast", (source,), (result,), to=kind)


def _made(step: Step, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Step:
    """A step at the place of another, with a message of its own for shape inference."""
    from onnx import helper

    plain = {key: value for key, value in attributes.items() if isinstance(value, int | float | str | tuple) and value != ()}
    proto = helper.make_node(operator, inputs, outputs, **plain)
    return replace(step, operator=operator, inputs=tuple(inputs), outputs=tuple(outputs), attributes=attributes, proto=proto)
