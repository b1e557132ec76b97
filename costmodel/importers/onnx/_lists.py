"""Lists of tensors, by which exporters write chunks and stacks, as the splits and concatenations that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from costmodel.importers.onnx._file import Step

#: The operators on lists that are read.
LISTS = frozenset({"SplitToSequence", "SequenceConstruct", "SequenceAt", "ConcatFromSequence"})
#: More parts than any network has.
_MOST = 4096

Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What a step on lists is: steps on tensors with the shapes that they make, and the members of the list that it makes."""

    steps: tuple[Step, ...] = ()
    shapes: Mapping[str, Sizes] = field(default_factory=dict)
    members: tuple[str, ...] = ()


def unlisted(step: Step, lists: Mapping[str, Sequence[str]], values: Mapping[str, Any], shapes: Mapping[str, Sizes | None]) -> Unlisted | None:
    """What `step` is; None where the list, its parts or the place in it are known only when the network runs."""
    if not step.inputs or not step.outputs:
        return None
    if step.operator == "SequenceConstruct":
        return Unlisted(members=step.inputs)
    if step.operator == "SplitToSequence":
        return _split(step, values, shapes)
    members = lists.get(step.inputs[0], ())
    known = [shape for name in members if (shape := shapes[name]) is not None]
    if not members or len(known) != len(members):
        return None
    if step.operator == "ConcatFromSequence":
        return _joined(step, members, known)
    place = values.get(step.inputs[1]) if len(step.inputs) > 1 else None
    if place is None or place.size != 1 or place.dtype.kind != "i" or not -len(members) <= int(place.reshape(-1)[0]) < len(members):
        return None
    number = int(place.reshape(-1)[0])
    return Unlisted((_made(step, "Identity", (members[number],), step.outputs),), {step.outputs[0]: known[number]})


def _split(step: Step, values: Mapping[str, Any], shapes: Mapping[str, Sizes | None]) -> Unlisted | None:
    whole = shapes[step.inputs[0]]
    if not whole:
        return None
    axis = step.attributes.get("axis", 0) % len(whole)
    size, kept = whole[axis], True
    if len(step.inputs) > 1 and step.inputs[1]:
        given = values.get(step.inputs[1])
        if given is None or given.size > _MOST or given.dtype.kind != "i":
            return None
        parts = [int(part) for part in given.reshape(-1)]
        if not given.shape and parts[0] > 0:
            parts = [min(parts[0], size - start) for start in range(0, min(size, _MOST * parts[0]), parts[0])]
    else:
        parts, kept = [1] * min(size, _MOST), bool(step.attributes.get("keepdims", 1))
    if not parts or min(parts) < 1 or sum(parts) != size:
        return None
    names = [f"{step.outputs[0]}[{number}]" for number in range(len(parts))]
    found = {name: (*whole[:axis], part, *whole[axis + 1 :]) for name, part in zip(names, parts, strict=True)}
    steps = [_made(step, "Split", step.inputs[:1], names, axis=axis)]
    if not kept:
        steps += [_made(step, "Squeeze", (name,), (f"{name} squeezed",)) for name in names]
        found |= {f"{name} squeezed": (*whole[:axis], *whole[axis + 1 :]) for name in names}
        names = [f"{name} squeezed" for name in names]
    return Unlisted(tuple(steps), found, tuple(names))


def _joined(step: Step, members: Sequence[str], shapes: Sequence[Sizes]) -> Unlisted | None:
    stacked = bool(step.attributes.get("new_axis", 0))
    rank = len(shapes[0]) + stacked
    if not rank or any(len(shape) != len(shapes[0]) for shape in shapes):
        return None
    axis = step.attributes.get("axis", 0) % rank
    steps, names, found = [], list(members), {}
    if stacked:
        names = [f"{step.outputs[0]}[{number}]" for number in range(len(members))]
        shapes = [(*shape[:axis], 1, *shape[axis:]) for shape in shapes]
        steps = [_made(step, "Unsqueeze", (member,), (name,)) for member, name in zip(members, names, strict=True)]
        found = dict(zip(names, shapes, strict=True))
    if any(shape[:axis] + shape[axis + 1 :] != shapes[0][:axis] + shapes[0][axis + 1 :] for shape in shapes):
        return None
    found[step.outputs[0]] = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
    return Unlisted((*steps, _made(step, "Concat", names, step.outputs, axis=axis)), found)


def _made(step: Step, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Step:
    """A step at the place of another."""
    return replace(step, operator=operator, inputs=tuple(inputs), outputs=tuple(outputs), attributes=attributes, proto=None)
