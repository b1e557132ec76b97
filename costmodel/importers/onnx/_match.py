"""Finding a pattern of nodes in a network and putting one node in its place. The patterns themselves are in `_patterns`.

A pattern is an expression such as ``Mul(x, Sigmoid(x))``: a call is a node with that operator, a keyword one of its
attributes, a number a constant, a name any tensor, the same one wherever it stands. Sums and products match in either order.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from costmodel.importers.onnx._evaluate import Shape
from costmodel.importers.onnx._file import Step

_COMMUTATIVE = frozenset({"Add", "Mul"})
Bound = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A match: tensors by the pattern's names for them, and the nodes, the outermost first."""

    bound: Mapping[str, Any]
    steps: tuple[Step, ...]
    net: Net
    kept: list[Step] = field(default_factory=list)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of the tensor that `name` stands for; empty where it is unknown."""
        return self.net.shapes[self.bound[name]].sizes or ()

    def value(self, name: str) -> Any:
        """Numbers of the constant that `name` stands for, None for a tensor that is no constant."""
        return self.net.values.get(self.bound[name])

    def number(self, name: str) -> float | None:
        """The one number that `name` stands for."""
        value = self.value(name)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None

    def step(self, operator: str) -> Step:
        """The outermost node with this operator."""
        return next(step for step in self.steps if step.operator == operator)

    def keep(self, step: Step, operator: str, inputs: Sequence[str], attributes: Mapping[str, Any], shape: tuple[int, ...]) -> str:
        """Leave a node standing in the place of one of the match's, for an output of another shape; the output's name."""
        name = step.outputs[0]
        self.kept.append(replace(step, operator=operator, inputs=tuple(inputs), attributes=attributes, proto=None))
        self.net.shapes[name] = replace(self.net.shapes[name], sizes=shape)
        return name


#: From a match the node that takes its place: (operator, inputs, attributes), or None if it is none after all.
Made = tuple[str, Sequence[str], Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Pattern:
    """`form` is replaced by what `make` makes of it. `forms` with alternatives in braces are written out by `alternatives`."""

    form: str
    make: Callable[[Found], Made]


class Net:
    """Steps that are being rewritten, with what is known of their tensors."""

    def __init__(self, steps: Sequence[Step], outputs: Sequence[str], shapes: dict[str, Shape], values: Mapping[str, Any], learned: frozenset[str]) -> None:
        self.steps: list[Step | None] = list(steps)
        self.outputs = frozenset(outputs)
        self.shapes = shapes
        self.values = values
        self.learned = learned
        self.makers: dict[str, int] = {}
        self.uses: dict[str, list[int]] = {}
        for place, step in enumerate(self.steps):
            self._enter(place, step)

    def _enter(self, place: int, step: Step | None) -> None:
        if step is not None:
            for name in step.outputs:
                self.makers[name] = place
            for name in step.inputs:
                self.uses.setdefault(name, []).append(place)

    def left(self) -> tuple[Step, ...]:
        """The steps as they are now."""
        return tuple(step for step in self.steps if step is not None)

    def maker(self, name: str) -> Step | None:
        """The step that makes a tensor."""
        place = self.makers.get(name)
        return None if place is None else self.steps[place]

    def apply(self, pattern: Pattern) -> None:
        """Replace every match of a pattern, in order."""
        form = _parsed(pattern.form)
        assert isinstance(form, ast.Call)
        root = form.func.id  # type: ignore[attr-defined]  # a call's function is a name
        for place, step in enumerate(self.steps):
            if step is None or step.operator != root:
                continue
            for bound, steps in self._node(form, step, {}):
                found = Found(bound, steps, self)
                made = self._replacement(pattern, step, found)
                if made is not None:
                    self._put(place, made, found)
                    break

    def _replacement(self, pattern: Pattern, root: Step, found: Found) -> Step | None:
        steps = found.steps
        inner = {name for step in steps[1:] for name in step.outputs}
        places = {self.makers[step.outputs[0]] for step in steps}
        if inner & self.outputs or any(not set(self.uses.get(name, ())) <= places for name in inner):
            return None  # somebody else reads a tensor that would be gone
        made = pattern.make(found)
        if made is None:
            return None
        operator, inputs, attributes = made
        return replace(root, operator=operator, inputs=tuple(inputs), attributes=dict(attributes), path=_common(steps), proto=None)

    def _put(self, place: int, made: Step, found: Found) -> None:
        kept = {step.outputs[0]: step for step in found.kept}
        for step in found.steps:
            old = self.makers[step.outputs[0]]
            for name in step.inputs:
                self.uses[name] = [use for use in self.uses[name] if use != old]
            self.steps[old] = kept.get(step.outputs[0])
            if step.outputs[0] in kept:
                self._enter(old, self.steps[old])
        self.steps[place] = made
        self._enter(place, made)

    # -- matching ---------------------------------------------------------------------------------------------------

    def _node(self, form: ast.Call, step: Step, bound: Bound) -> Iterator[tuple[Bound, tuple[Step, ...]]]:
        """Ways in which a step is the node of `form`: (names bound, steps of it)."""
        if not self._attributes(form, step) or len(step.inputs) < len(form.args):
            return
        given = step.inputs[: len(form.args)]
        orders = [given, given[::-1]] if step.operator in _COMMUTATIVE and given[0] != given[1] else [given]
        for order in orders:
            for found, inner in self._all(form.args, order, bound):
                yield found, (step, *inner)

    def _all(self, forms: Sequence[ast.expr], names: Sequence[str], bound: Bound) -> Iterator[tuple[Bound, tuple[Step, ...]]]:
        if not forms:
            yield bound, ()
            return
        for found, inner in self._tensor(forms[0], names[0], bound):
            for rest, others in self._all(forms[1:], names[1:], found):
                yield rest, tuple(dict.fromkeys((*inner, *others)))

    def _tensor(self, form: ast.expr, name: str, bound: Bound) -> Iterator[tuple[Bound, tuple[Step, ...]]]:
        """Ways in which a tensor is what `form` says."""
        if isinstance(form, ast.Name):
            if form.id == "_" or bound.get(form.id, name) == name:
                yield {**bound, form.id: name}, ()
        elif isinstance(form, ast.Call):
            step = self.maker(name)
            if step is not None and step.operator == form.func.id and step.outputs[0] == name:  # type: ignore[attr-defined]  # as above
                yield from self._node(form, step, bound)
        else:
            value = self.values.get(name)
            wanted = float(ast.literal_eval(form))
            if value is not None and value.size == 1 and math.isclose(float(value.reshape(-1)[0]), wanted, rel_tol=1e-3):
                yield bound, ()

    def _attributes(self, form: ast.Call, step: Step) -> bool:
        for keyword in form.keywords:
            wanted, found = ast.literal_eval(keyword.value), step.attributes.get(str(keyword.arg))
            if isinstance(wanted, float):
                if not isinstance(found, int | float) or not math.isclose(found, wanted, rel_tol=1e-3):
                    return False
            elif found != wanted:
                return False
        return True


@lru_cache(maxsize=1024)
def _parsed(form: str) -> ast.expr:
    return ast.parse(form, mode="eval").body


def _common(steps: Sequence[Step]) -> str:
    """The module that all steps belong to, which is that of each in most cases."""
    paths = [step.path.split(".") for step in steps]
    depth = 0
    while all(len(path) > depth and path[depth] == paths[0][depth] for path in paths):
        depth += 1
    return ".".join(paths[0][:depth]) or steps[0].path


def alternatives(form: str, **parts: Sequence[str]) -> list[str]:
    """`form` with each ``{name}`` replaced by each of the texts that `parts` has for it.

    Examples
    --------
    >>> alternatives("Mul(x, {c})", c=("Pow(x, 3)", "Mul(x, x)"))
    ['Mul(x, Pow(x, 3))', 'Mul(x, Mul(x, x))']
    """
    forms = [form]
    for name, texts in parts.items():
        forms = [one.replace(f"{{{name}}}", text) for one in forms for text in texts]
    return forms
