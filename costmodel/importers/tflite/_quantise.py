"""A float32 plan in 8 bits: which operators work on int8, which tensors must share a scale, where types change.

Full-integer post-training form: weights int8, symmetric for each output channel; biases int32; activations int8,
asymmetric for each tensor; inputs and outputs int8 as they are. Operators without an 8-bit kernel, and normalisations by
statistics of the data, whose variances 8 bits cannot hold, stay float32 between DEQUANTIZE and QUANTIZE.
Source: TensorFlow Lite 8-bit quantization specification.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from costmodel.importers.tflite._plan import Planned
from costmodel.importers.tflite._planner import Fixed, Range
from costmodel.importers.tflite._schema import ABSENT, FileOperator, FileTensor, Plan

#: Operators whose 8-bit kernels want one scale for operands and result.
_SHARED = frozenset(
    {
        "RESHAPE",
        "TRANSPOSE",
        "CONCATENATION",
        "SPLIT",
        "SPLIT_V",
        "SLICE",
        "STRIDED_SLICE",
        "PAD",
        "PADV2",
        "MAX_POOL_2D",
        "AVERAGE_POOL_2D",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SPACE_TO_DEPTH",
        "TILE",
        "MAXIMUM",
        "MINIMUM",
        "REDUCE_MAX",
    }
)
#: Operators with 8-bit kernels whose result has a scale of its own.
_SCALED = frozenset(
    {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
        "ADD",
        "SUB",
        "MUL",
        "MEAN",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RELU_0_TO_1",
        "LEAKY_RELU",
        "PRELU",
        "ELU",
        "LOGISTIC",
        "TANH",
        "HARD_SWISH",
        "GELU",
        "SOFTMAX",
        "L2_NORMALIZATION",
    }
)
#: Operators with weights -> (position of the input, of the weights, of the bias, axis of the output channels in the weights).
_WEIGHTED = {"CONV_2D": (0, 1, 2, 0), "DEPTHWISE_CONV_2D": (0, 1, 2, 3), "FULLY_CONNECTED": (0, 1, 2, 0), "TRANSPOSE_CONV": (2, 1, 3, 0)}


@dataclass(frozen=True, slots=True)
class Rule:
    """How a constant is stored: ``channels`` of `axis`, ``tensor`` as a whole, ``bias`` of (input, weights), ``like`` another tensor, ``plain``."""

    how: str
    axis: int = 0
    of: tuple[int, int] = (ABSENT, ABSENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A plan in 8 bits without its scales, and what they follow from.

    `groups` names for every int8 activation the group that shares its scale; `sources` where a group's range is known
    from; `fixed` which groups have a prescribed scale; `rules` how each constant is stored.
    """

    plan: Plan
    groups: dict[int, int]
    sources: dict[int, tuple[Range, ...]]
    fixed: dict[int, Fixed]
    rules: dict[int, Rule]


def quantised(planned: Planned) -> Quantised:
    """`planned` in 8 bits."""
    return _Quantiser(planned).result()


class _Quantiser:
    """The state of one call: old tensors by position in the float32 plan, new ones in the 8-bit one."""

    def __init__(self, planned: Planned) -> None:
        self.old, self.ranges = planned.plan, planned.ranges
        self.tensors: list[FileTensor] = []
        self.operators: list[FileOperator] = []
        self.narrow: dict[int, int] = {}  # old activation -> new int8 tensor
        self.wide: dict[int, int] = {}  # old activation -> new float32 tensor
        self.others: dict[int, int] = {}  # old integer tensor or constant -> new
        self.parent: dict[int, int] = {}
        self.fixed: dict[int, Fixed] = {}
        self.sources: dict[int, list[Range]] = {}
        self.rules: dict[int, Rule] = {}
        self.constants: dict[tuple[int, Rule], int] = {}
        self.own: set[int] = set()  # new int8 tensors that were made in a scale of their own
        self.requantised: dict[int, int] = {}
        self.readers: dict[int, set[str]] = {number: {"OUTPUT"} for number in self.old.outputs}
        for operator in self.old.operators:
            for number in operator.inputs:
                self.readers.setdefault(number, set()).add(operator.builtin)

    def result(self) -> Quantised:
        """Everything."""
        inputs = tuple(self._first(number) for number in self.old.inputs)
        for operator in self.old.operators:
            if self._is_narrow(operator):
                self._narrow_operator(operator)
            else:
                self._wide_operator(operator)
        outputs = tuple(self._as_narrow(number) if self._can_narrow(number) else self._as_is(number) for number in self.old.outputs)
        plan = dataclasses.replace(self.old, tensors=tuple(self.tensors), operators=tuple(self.operators), inputs=inputs, outputs=outputs)
        groups = {number: self._root(number) for number in self.parent}
        sources: dict[int, tuple[Range, ...]] = {}
        for number, found in self.sources.items():
            root = self._root(number)
            sources[root] = (*sources.get(root, ()), *found)
        fixed = {self._root(number): value for number, value in self.fixed.items()}
        return Quantised(plan=plan, groups=groups, sources=sources, fixed=fixed, rules=self.rules)

    # -- which tensors and operators -----------------------------------------------------------------------------------

    def _is_real(self, number: int) -> bool:
        return number != ABSENT and self.old.tensors[number].type == "FLOAT32"

    def _is_activation(self, number: int) -> bool:
        return self._is_real(number) and self.old.tensors[number].constant is None and not self.old.tensors[number].variable

    def _can_narrow(self, number: int) -> bool:
        """Whether an activation exists in int8 or has a range to be quantised with."""
        return number in self.narrow or (self._is_activation(number) and self.ranges.get(number) is not None)

    def _is_narrow(self, operator: FileOperator) -> bool:
        operands = [number for number in operator.inputs if self._is_activation(number)]
        if not operands or not all(self._is_real(number) for number in operator.outputs):
            return False
        if not all(self._can_narrow(number) for number in operands):
            return False
        own_range = all(self.ranges.get(number) is not None for number in operator.outputs)
        return operator.builtin in _SHARED or (operator.builtin in _SCALED and own_range)

    # -- operators -------------------------------------------------------------------------------------------------------

    def _narrow_operator(self, operator: FileOperator) -> None:
        shares = operator.builtin in _SHARED
        activations = {number: self._as_narrow(number) for number in operator.inputs if self._is_activation(number)}
        if shares and len(activations) > 1:
            activations = self._joined(activations)
        first = next(iter(activations.values()))
        outputs = []
        for number in operator.outputs:
            made = self._tensor(number, "INT8")
            self.narrow[number] = made
            self.parent[made] = made
            found = self.ranges.get(number)
            if isinstance(found, Fixed):
                self.fixed[made] = found
            elif shares:
                self._unite(made, first)
                self.sources.setdefault(made, []).extend([] if found is None else [found])
            else:
                self.sources[made] = [found]
                self.own.add(made)
            outputs.append(made)
        if shares:
            for number in activations.values():
                self._unite(number, first)
        inputs = [
            activations[number] if number in activations else self._constant(operator, place, activations, first, shares)
            for place, number in enumerate(operator.inputs)
        ]
        self.operators.append(FileOperator(operator.builtin, tuple(inputs), tuple(outputs), operator.options))

    def _wide_operator(self, operator: FileOperator) -> None:
        inputs = [self._as_wide(number) for number in operator.inputs]
        outputs = []
        for number in operator.outputs:
            made = self._tensor(number, self.old.tensors[number].type)
            (self.wide if self._is_real(number) else self.others)[number] = made
            outputs.append(made)
        self.operators.append(FileOperator(operator.builtin, tuple(inputs), tuple(outputs), operator.options))

    def _constant(self, operator: FileOperator, place: int, activations: dict[int, int], first: int, shares: bool) -> int:
        """A constant operand of an 8-bit operator."""
        number = operator.inputs[place]
        if not self._is_real(number):
            return self._as_is(number)
        if shares:
            return self._stored(number, "INT8", Rule("like", of=(first, ABSENT)))
        weighted = _WEIGHTED.get(operator.builtin)
        if weighted is None:
            return self._stored(number, "INT8", Rule("tensor"))
        source, weights, _, axis = weighted
        if place == weights:
            return self._stored(number, "INT8", Rule("channels", axis))
        held = self._stored(operator.inputs[weights], "INT8", Rule("channels", axis))
        return self._stored(number, "INT32", Rule("bias", of=(activations[operator.inputs[source]], held)))

    # -- tensors -------------------------------------------------------------------------------------------------------

    def _tensor(self, number: int, kind: str, suffix: str = "") -> int:
        old = self.old.tensors[number]
        self.tensors.append(dataclasses.replace(old, name=old.name + suffix, type=kind))
        return len(self.tensors) - 1

    def _first(self, number: int) -> int:
        """An input of the network."""
        if not self._is_real(number):
            return self._as_is(number)
        made = self._tensor(number, "INT8")
        self.narrow[number] = self.parent[made] = made
        self.sources[made] = [self.ranges[number]]
        return made

    def _as_is(self, number: int) -> int:
        """A tensor that has one form only."""
        if number == ABSENT:
            return ABSENT
        if self._is_activation(number):
            return self.wide[number]
        if number not in self.others:
            self.others[number] = self._tensor(number, self.old.tensors[number].type)
        return self.others[number]

    def _as_narrow(self, number: int) -> int:
        """An activation in int8, quantised where it is float32 only."""
        if number not in self.narrow:
            made = self._tensor(number, "INT8", "/int8")
            self.narrow[number] = self.parent[made] = made
            found = self.ranges[number]
            if isinstance(found, Fixed):
                self.fixed[made] = found
            else:
                self.sources[made] = [found]
            self.operators.append(FileOperator("QUANTIZE", (self.wide[number],), (made,)))
        return self.narrow[number]

    def _as_wide(self, number: int) -> int:
        """A tensor in float32, or of its own type."""
        if not self._is_activation(number):
            return self._as_is(number)
        if number not in self.wide:
            made = self._tensor(number, "FLOAT32", "/float32")
            self.wide[number] = made
            self.operators.append(FileOperator("DEQUANTIZE", (self.narrow[number],), (made,)))
        return self.wide[number]

    def _joined(self, activations: dict[int, int]) -> dict[int, int]:
        """Operands that must share a scale.

        What an operator made in a scale of its own, for nothing but joining, takes the common one; others are requantised.
        Where all have one prescribed scale, that is the common one.
        """
        prescribed = {self.fixed.get(self._root(number)) for number in activations.values()}
        if len(prescribed) == 1 and None not in prescribed:
            return activations
        free = [number for old, number in activations.items() if number in self.own and self.readers[old] <= {"CONCATENATION"}]
        for number in free:
            self._unite(number, free[0])
        joined = {}
        for old, number in activations.items():
            again = self.requantised.get(number)
            if number in free:
                joined[old] = number
            elif again is not None and free and self._root(again) == self._root(free[0]):
                joined[old] = again
            else:
                joined[old] = self.requantised[number] = self._requantised(number)
        return joined

    def _requantised(self, number: int) -> int:
        """The values of an int8 tensor in a scale of its own."""
        root = self._root(number)
        held = self.tensors[number]
        self.tensors.append(dataclasses.replace(held, name=f"{held.name}/requantised"))
        made = len(self.tensors) - 1
        self.parent[made] = made
        members = [other for other in self.parent if self._root(other) == root]
        self.sources[made] = [self.fixed[root]] if root in self.fixed else [range for other in members for range in self.sources.get(other, ())]
        self.operators.append(FileOperator("QUANTIZE", (number,), (made,)))
        return made

    def _stored(self, number: int, kind: str, rule: Rule) -> int:
        """A constant in 8 bits, once for each way of storing it."""
        key = (number, rule)
        if key not in self.constants:
            self.constants[key] = self._tensor(number, kind)
            self.rules[self.constants[key]] = rule
        return self.constants[key]

    # -- scales that are shared ------------------------------------------------------------------------------------------

    def _root(self, number: int) -> int:
        while self.parent[number] != number:
            number = self.parent[number]
        return number

    def _unite(self, first: int, second: int) -> None:
        a, b = self._root(first), self._root(second)
        if a != b:
            self.parent[max(a, b)] = min(a, b)
            if max(a, b) in self.fixed:
                self.fixed[min(a, b)] = self.fixed.pop(max(a, b))
