"""Quantised networks as networks on real numbers, with the precision that they run in.

1. Operators on quantised tensors (QLinearConv and the like) are the plain ones without scales and zero points.
2. A DequantizeLinear of a stored tensor is that tensor, which counts once.
3. Other changes between real numbers and integers are nothing: the operators between them run in int8, and a target in int8
   counts a byte for each of their elements.
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
#: Attributes of the quantised forms alone.
_OWN = frozenset({"channels_last", "opset"})
#: Changes between real numbers and integers.
_CHANGES = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


def on_real(file: File, learned: Set[str]) -> File:
    """`file` on real numbers, with the precision that it had; the same file where nothing of it is quantised."""
    if not any(step.operator in _CHANGES or step.operator in PLAIN for step in file.steps):
        return file
    names: dict[str, str] = {}
    held = set(file.stored) | {name for step in file.steps if step.operator == "Constant" for name in step.outputs}
    steps: list[Step] = []
    activations = False
    for step in file.steps:
        inputs = tuple(names.get(name, name) for name in step.inputs)
        if step.operator not in _CHANGES or not inputs or not step.outputs:
            activations = activations or step.operator in PLAIN
            plain = _plain(step, inputs)
            steps.append(plain if plain.operator != step.operator or inputs != step.inputs else step)
            continue
        source, result = inputs[0], step.outputs[0]
        activations = activations or source not in held
        small = file.stored.get(source)
        if step.operator == "DequantizeLinear" and small is not None and small.value is not None and source not in learned:
            steps.append(step)  # a small constant, whose value is computed
        elif result in file.outputs:
            steps.append(_made(step, "Identity", (source,), (result,)))
        else:
            names[result] = source
            held |= {result} if source in held else set()
        for name in step.outputs[1:]:  # a scale and a zero point of the data, one number each
            steps += [_made(step, "ReduceMax", (source,), (name,), keepdims=0)] if name else []
    return replace(file, steps=tuple(steps), is_quantised=True, precision="int8" if activations else "")


def _plain(step: Step, inputs: tuple[str, ...]) -> Step:
    """An operator on quantised tensors as the plain one; any other with these inputs."""
    operator, places = PLAIN.get(step.operator, (step.operator, ()))
    if step.operator in PLAIN:
        inputs = inputs[2::3] if places is None else tuple(inputs[place] for place in places if place < len(inputs))
    return _made(step, operator, inputs, step.outputs, **{key: value for key, value in step.attributes.items() if key not in _OWN})


def _made(step: Step, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Step:
    """A step at the place of another, with a message of its own for shape inference."""
    from onnx import helper

    plain = {key: value for key, value in attributes.items() if isinstance(value, int | float | str | tuple) and value != ()}
    proto = helper.make_node(operator, inputs, outputs, **plain)
    return replace(step, operator=operator, inputs=tuple(inputs), outputs=tuple(outputs), attributes=attributes, proto=proto)
