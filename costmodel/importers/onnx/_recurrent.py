"""Weights of recurrent layers, one tensor for each matrix and bias as operators have them, of the format's packed ones.

The format keeps the gates of both directions in one tensor and both biases in another, in an order of its own; exporters
that may not compute with weights write how to get there from the network's tensors, cut by cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from costmodel.importers._trace import Name
from costmodel.importers.onnx._evaluate import Shape
from costmodel.importers.onnx._file import Step
from costmodel.recognition import Operand

#: Operator -> products a unit.
_GATES = {"LSTM": 4, "GRU": 3}


def unpacked(steps: Sequence[Step], weights: dict[str, Operand], shapes: Mapping[str, Shape]) -> list[Step]:
    """The steps, where recurrent ones have the attribute ``params``: their weights as torch's operators take them.

    `weights` gets these tensors, and loses those of which they were made.
    """
    made = {name: step for step in steps for name in step.outputs}
    found: list[Step] = []
    for step in steps:
        packed = _packed(step, weights, made, shapes) if step.operator in _GATES else None
        if packed is None:
            found.append(step)
            continue
        params = []
        for key, spec in _parts(step, packed, shapes):
            weights[key] = Operand(key, spec.spec, "parameter")
            params.append(Name(key))
        kept = (step.inputs[0], "", "", "", *step.inputs[4:5])
        found.append(replace(step, inputs=kept, attributes={**step.attributes, "params": params}))
    return _without_makers(steps, found, weights)


def _packed(step: Step, weights: Mapping[str, Operand], made: Mapping[str, Step], shapes: Mapping[str, Shape]) -> tuple[str, ...] | None:
    """Names of the packed weights, if all of them are made of learned tensors alone."""
    names = tuple(name for name in step.inputs[1:4] if name)
    known = len(step.inputs) > 2 and all(
        shapes[name].sizes is not None and len(shapes[name].sizes or ()) == (3 if place < 2 else 2) for place, name in enumerate(names)
    )
    return names if known and all(_is_learned(name, weights, made) for name in names) else None


def _is_learned(name: str, weights: Mapping[str, Operand], made: Mapping[str, Step]) -> bool:
    """Whether a tensor is a parameter, or cut and joined from parameters and constants."""
    waiting, seen, learned = [name], set(), False
    while waiting:
        current = waiting.pop()
        if current in seen or not current:
            continue
        seen.add(current)
        operand, maker = weights.get(current), made.get(current)
        if operand is not None:
            learned = learned or operand.origin == "parameter"
        elif maker is None or maker.operator not in ("Concat", "Slice", "Split", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Identity", "Gather"):
            return False
        else:
            waiting.extend(maker.inputs)
    return learned


def _parts(step: Step, packed: Sequence[str], shapes: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
    """(name, shape) of each weight: both matrices and both biases of one direction, then of the other."""
    kind = shapes[packed[0]].kind
    ways, rows, inputs = shapes[packed[0]].sizes or (0, 0, 0)
    hidden = (shapes[packed[1]].sizes or (0, 0, 0))[2]
    for way in range(ways):
        suffix = f"[{way}]" if ways > 1 else ""
        yield f"{packed[0]}{suffix} of {step.outputs[0] or step.outputs[-1]}", Shape(kind, (rows, inputs))
        yield f"{packed[1]}{suffix} of {step.outputs[0] or step.outputs[-1]}", Shape(kind, (rows, hidden))
        if len(packed) > 2:
            for half in ("input", "state"):
                yield f"{packed[2]}{suffix} of {step.outputs[0] or step.outputs[-1]}, {half}", Shape(kind, (rows,))


def _without_makers(before: Sequence[Step], after: Sequence[Step], weights: dict[str, Operand]) -> list[Step]:
    """The steps without those that only made packed weights; the tensors that these read go with them."""
    earlier, later = set(before), set(after)
    if later <= earlier:
        return list(after)
    read = {name for step in after for name in step.inputs}
    kept = list(after)
    gone: set[str] = {name for step in before if step not in later for name in step.inputs[1:4]}
    while True:
        dead = [step for step in kept if set(step.outputs) & gone and not set(step.outputs) & read]
        if not dead:
            break
        gone |= {name for step in dead for name in step.inputs}
        removed = set(dead)
        kept = [step for step in kept if step not in removed]
        read = {name for step in kept for name in step.inputs}
    for name in gone - read:
        weights.pop(name, None)
    return kept
