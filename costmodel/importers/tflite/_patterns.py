"""Several operators of a file that together are one operator of a graph: SiLU, hard sigmoid, layer and RMS normalisation.

A plan comes out in which the last of them carries a name that no built-in operator has, and the others are gone. A
pattern counts only where nobody outside it reads a tensor inside it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

from costmodel.frozen import FrozenDict
from costmodel.importers.tflite._schema import ABSENT, NONE, RELU6, Constant, FileOperator, FileTensor, Plan

#: How far a constant may be from 1/6 and 3 after quantisation to 8 bits.
_TOLERANCE = 0.02


def composed(plan: Plan) -> tuple[Plan, tuple[int, ...]]:
    """`plan` with its patterns as single operators and constants that are merely unpacked as constants; and where in the file each operator stands."""
    return _Search(*_unpacked(plan)).result()


def scalar(tensor: FileTensor) -> float | None:
    """The one number of a constant, dequantised; None where it is not one number."""
    values = None if tensor.constant is None else tensor.constant.values
    if values is None or len(values) != 1:
        return None
    if tensor.quantisation is None:
        return float(values[0])
    return tensor.quantisation.scales[0] * (float(values[0]) - tensor.quantisation.zero_points[0])


def _unpacked(plan: Plan) -> tuple[Plan, list[int]]:
    """DEQUANTIZE, DENSIFY and RESHAPE of constants happen once, when a file is loaded: their results are constants."""
    tensors, operators, places = list(plan.tensors), [], []
    for place, operator in enumerate(plan.operators):
        if operator.builtin in ("DEQUANTIZE", "DENSIFY", "RESHAPE") and operator.inputs and operator.outputs and ABSENT not in operator.inputs:
            source = tensors[operator.inputs[0]].constant
            if source is not None:
                number = operator.outputs[0]
                tensors[number] = dataclasses.replace(tensors[number], constant=Constant(place=source.place))
                continue
        operators.append(operator)
        places.append(place)
    return dataclasses.replace(plan, tensors=tuple(tensors), operators=tuple(operators)), places


class _Search:
    """Patterns of one plan, found from their last operator back."""

    def __init__(self, plan: Plan, places: list[int]) -> None:
        self.plan, self.places = plan, places
        self.makers = {number: place for place, operator in enumerate(plan.operators) for number in operator.outputs}
        self.reads = Counter(number for operator in plan.operators for number in set(operator.inputs))
        self.reads.update(plan.outputs)
        self.reading: dict[int, list[tuple[int, FileOperator]]] = {}
        for place, operator in enumerate(plan.operators):
            for number in set(operator.inputs):
                self.reading.setdefault(number, []).append((place, operator))
        self.outputs = frozenset(plan.outputs)
        self.removed: set[int] = set()
        self.replaced: dict[int, FileOperator] = {}

    def result(self) -> tuple[Plan, tuple[int, ...]]:
        """The plan with what was found, and the places of its operators in the file."""
        searches: tuple[Callable[[int, FileOperator], bool], ...] = (self._silu, self._hard_sigmoid, self._normalisation)
        for place, operator in enumerate(self.plan.operators):
            if operator.builtin in ("MUL", "RSQRT") and place not in self.removed and _is_whole(operator):
                any(search(place, operator) for search in searches)
        kept = [place for place in range(len(self.plan.operators)) if place not in self.removed]
        operators = tuple(self.replaced.get(place, self.plan.operators[place]) for place in kept)
        return dataclasses.replace(self.plan, operators=operators), tuple(self.places[place] for place in kept)

    def maker(self, number: int, *builtins: str) -> tuple[int, FileOperator] | None:
        """The operator that makes a tensor, if it is one of these."""
        place = self.makers.get(number)
        if place is None or place in self.removed or self.plan.operators[place].builtin not in builtins or not _is_whole(self.plan.operators[place]):
            return None
        return place, self.plan.operators[place]

    def readers(self, number: int) -> list[tuple[int, FileOperator]]:
        """The operators that read a tensor."""
        return self.reading.get(number, [])

    def constant(self, number: int) -> bool:
        """Whether a tensor is stored in the file."""
        return number != ABSENT and self.plan.tensors[number].constant is not None

    def _silu(self, place: int, operator: FileOperator) -> bool:
        if operator.builtin != "MUL" or _fused(operator):
            return False
        for x, gate in (operator.inputs, operator.inputs[::-1]):
            found = self.maker(gate, "LOGISTIC")
            if found and found[1].inputs == (x,) and self.reads[gate] == 1:
                self.removed.add(found[0])
                self.replaced[place] = FileOperator("SILU", (x,), operator.outputs)
                return True
        return False

    def _hard_sigmoid(self, place: int, operator: FileOperator) -> bool:
        if operator.builtin != "MUL" or _fused(operator):
            return False
        for inner, factor in (operator.inputs, operator.inputs[::-1]):
            found = self.maker(inner, "ADD")
            if not found or not self._near(factor, 1 / 6) or self.reads[inner] != 1 or _fused(found[1]) != RELU6:
                continue
            for x, shift in (found[1].inputs, found[1].inputs[::-1]):
                if self._near(shift, 3.0):
                    self.removed.add(found[0])
                    self.replaced[place] = FileOperator("HARD_SIGMOID", (x,), operator.outputs)
                    return True
        return False

    def _near(self, number: int, value: float) -> bool:
        found = None if number == ABSENT else scalar(self.plan.tensors[number])
        return found is not None and abs(found / value - 1) < _TOLERANCE

    def _normalisation(self, place: int, root: FileOperator) -> bool:
        """Layer or RMS normalisation around a reciprocal root."""
        if root.builtin != "RSQRT":
            return False
        shifted = self.maker(root.inputs[0], "ADD")
        variance = shifted and next(filter(None, (self.maker(number, "MEAN") for number in shifted[1].inputs)), None)
        if not shifted or not variance or not any(self.constant(number) for number in shifted[1].inputs):
            return False
        square = self.maker(variance[1].inputs[0], "SQUARED_DIFFERENCE", "MUL", "SQUARE")
        if not square:
            return False
        inside = {place, shifted[0], variance[0], square[0]}
        source = square[1].inputs[0]
        mean = self.maker(square[1].inputs[1], "MEAN") if square[1].builtin == "SQUARED_DIFFERENCE" else None
        centred = self.maker(source, "SUB")
        if square[1].builtin == "SQUARED_DIFFERENCE":
            if not mean or mean[1].inputs[0] != source or not self._equal(mean[1].inputs[1], variance[1].inputs[1]):
                return False
            inside.add(mean[0])
        elif set(square[1].inputs) != {source}:
            return False
        elif centred and (mean := self.maker(centred[1].inputs[1], "MEAN")):
            if mean[1].inputs[0] != centred[1].inputs[0] or not self._equal(mean[1].inputs[1], variance[1].inputs[1]):
                return False
            inside |= {mean[0], centred[0]}
            source = centred[1].inputs[0]
        return self._scaled(root, source, mean[1] if mean else None, inside, variance[1].inputs[1])

    def _equal(self, first: int, second: int) -> bool:
        """Whether two tensors are one, or constants of the same values."""
        a, b = (None if number == ABSENT else self.plan.tensors[number].constant for number in (first, second))
        return first == second or (a is not None and b is not None and a.values is not None and a.values == b.values)

    def _scaled(self, root: FileOperator, x: int, mean: FileOperator | None, inside: set[int], axes: int) -> bool:
        """The products and sums after the root; True if they complete the pattern."""
        products = self.readers(root.outputs[0])
        if len(products) != 1 or products[0][1].builtin != "MUL" or _fused(products[0][1]) or not _is_whole(products[0][1]):
            return False
        last = products[0]
        numerator = next((number for number in last[1].inputs if number != root.outputs[0]), ABSENT)
        inside.add(last[0])
        if mean is not None:
            centred = self.maker(numerator, "SUB")
            if not centred or centred[1].inputs != (x, mean.outputs[0]):
                return False
            inside.add(centred[0])
        elif numerator != x:
            return False
        constants = []
        for builtin in ("MUL", "ADD"):
            following = self.readers(last[1].outputs[0])
            if last[1].outputs[0] in self.outputs or len(following) != 1:
                break
            if following[0][1].builtin == builtin and not _fused(following[0][1]) and _is_whole(following[0][1]):
                learned = [number for number in following[0][1].inputs if self.constant(number)]
                if len(learned) == 1:
                    constants.append(learned[0])
                    last = following[0]
                    inside.add(last[0])
        values = self.plan.tensors[axes].constant
        if values is None or values.values is None or not self._closed(inside, last[0]):
            return False
        self.removed |= inside - {last[0]}
        options = FrozenDict({f"axis{number}": int(axis) for number, axis in enumerate(values.values)})
        self.replaced[last[0]] = FileOperator("LAYER_NORM" if mean else "RMS_NORM", (x, *constants), last[1].outputs, options)
        return True

    def _closed(self, inside: set[int], last: int) -> bool:
        """Whether nobody outside reads what the operators inside make, the last one's result apart."""
        for place in inside - {last}:
            for number in self.plan.operators[place].outputs:
                if number in self.outputs or any(reader not in inside for reader, _ in self.readers(number)):
                    return False
        return True


def _is_whole(operator: FileOperator) -> bool:
    """Whether an operator has as many operands and results as its kind asks for; a damaged file's may not."""
    return len(operator.inputs) == (1 if operator.builtin in ("LOGISTIC", "RSQRT", "SQUARE") else 2) and len(operator.outputs) == 1


def _fused(operator: FileOperator) -> int:
    """The fused activation of an operator."""
    return int(operator.options.get("fused_activation_function", NONE))
