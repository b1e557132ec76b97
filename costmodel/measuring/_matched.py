"""Predicted beside measured: the kernels of a program and the operators of a profile, paired one by one.

First those pair up that have the same group, multiply-accumulates and outputs, in their orders; a runtime may run branches in another order. What is left is
aligned by group, the longest common subsequence of both orders. Nothing else pairs: what only one side has is listed as such.

A profile of several passes repeats its operators. A network may do so within a pass as well, so that how many passes there are is told by
the convolutions and products, of which a pass has about as many as the network has kernels.
"""

from __future__ import annotations

import difflib
import math
import statistics
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from costmodel.errors import InvalidFileError
from costmodel.kernel import Kernel
from costmodel.measuring._operators import GROUPS, MOVES, MeasuredOperator
from costmodel.quantity import share

#: Groups whose operators every runtime has one by one, as the network has them.
_CONTRACTIONS = frozenset({"convolution", "product"})
#: Shares of these, and of the measured time, below which a profile is doubtful: it may be of another network. Both assumed.
_PAIRED_SHARE, _TIME_SHARE = 0.8, 0.5


class Pair(NamedTuple):
    """A kernel and the operator of a profile that is the same; `error` is the predicted time over the measured one, less 1."""

    kernel: str
    kind: str
    operator: str
    predicted_s: float
    measured_s: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return share(self.predicted_s, self.measured_s) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Kernels beside operators, the largest difference in seconds first, and what only one side has: (name, seconds), the longest first.

    `passes` is of how many passes, told apart by their operators alone, the measured times are medians.
    """

    tool: str
    pairs: tuple[Pair, ...]
    only_predicted: tuple[tuple[str, float], ...]
    only_measured: tuple[tuple[str, float], ...]
    warnings: tuple[str, ...] = ()
    passes: int = 1

    @property
    def predicted_s(self) -> float:
        """Seconds of all kernels."""
        return sum(pair.predicted_s for pair in self.pairs) + sum(seconds for _, seconds in self.only_predicted)

    @property
    def measured_s(self) -> float:
        """Seconds of all operators."""
        return sum(pair.measured_s for pair in self.pairs) + sum(seconds for _, seconds in self.only_measured)

    @property
    def matched_share(self) -> float:
        """The share of the measured time whose operators have a kernel beside them."""
        return share(sum(pair.measured_s for pair in self.pairs), self.measured_s)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "tool": self.tool,
            "passes": self.passes,
            "predicted_s": self.predicted_s,
            "measured_s": self.measured_s,
            "matched_share": self.matched_share,
            "pairs": [{**pair._asdict(), "error": pair.error} for pair in self.pairs],
            "only_predicted": [{"kernel": name, "predicted_s": seconds} for name, seconds in self.only_predicted],
            "only_measured": [{"operator": name, "measured_s": seconds} for name, seconds in self.only_measured],
            "warnings": list(self.warnings),
        }


def matched(tool: str, kernels: Sequence[Kernel], predicted_s: Sequence[float], operators: Sequence[MeasuredOperator]) -> Matched:
    """Pair the kernels of a program, with their predicted seconds, with the operators of a profile."""
    partner = _by_counts(kernels, operators)
    _by_order(kernels, operators, partner)
    pairs = [
        Pair(kernels[number].name, str(kernels[number].kind), operators[other].name, predicted_s[number], operators[other].seconds)
        for number, other in partner.items()
    ]
    taken = set(partner.values())
    made = Matched(
        tool=tool,
        pairs=tuple(sorted(pairs, key=lambda pair: -abs(pair.predicted_s - pair.measured_s))),
        only_predicted=_longest((kernel.name, predicted_s[number]) for number, kernel in enumerate(kernels) if number not in partner),
        only_measured=_longest((operator.name, operator.seconds) for number, operator in enumerate(operators) if number not in taken),
    )
    return replace(made, warnings=_doubts(kernels, operators, partner, made.matched_share))


def one_pass(where: str, kernels: Sequence[Kernel], operators: Sequence[MeasuredOperator]) -> tuple[int, tuple[MeasuredOperator, ...]]:
    """(how many times the operators of a profile repeat those of a pass, the operators of one with their median times).

    Raises
    ------
    InvalidFileError
        If there are several times the network's convolutions and products, in no sequence that repeats: says what to do.
    """
    wanted = sum(group_of(kernel) in _CONTRACTIONS for kernel in kernels)
    there = sum(operator.group in _CONTRACTIONS for operator in operators)
    if not wanted or not there:
        return 1, tuple(operators)
    names = [operator.name for operator in operators]
    possible = [count for count in range(1, there + 1) if len(names) % count == 0 and names == names[: len(names) // count] * count]
    passes = min(possible, key=lambda count: abs(math.log(there / count / wanted)))
    if there > passes * wanted and there % (passes * wanted) == 0:
        raise InvalidFileError(
            f"{where}: {there} convolutions and products, {there // wanted} times the network's {wanted}, in no sequence that repeats: several passes with "
            "something else between them, or another network. Call prof.step() after each pass, or profile a single one"
        )
    length = len(names) // passes
    return passes, tuple(
        operators[position]._replace(seconds=statistics.median(operator.seconds for operator in operators[position::length])) for position in range(length)
    )


def _doubts(kernels: Sequence[Kernel], operators: Sequence[MeasuredOperator], partner: dict[int, int], matched_share: float) -> tuple[str, ...]:
    """A warning where too little pairs up for a profile of this network."""
    wanted = sum(group_of(kernel) in _CONTRACTIONS for kernel in kernels)
    there = sum(operator.group in _CONTRACTIONS for operator in operators)
    paired = sum(group_of(kernels[number]) in _CONTRACTIONS for number in partner)
    if paired < _PAIRED_SHARE * max(wanted, there):
        return (f"{paired} convolutions and products pair up, of {wanted} of the network and {there} of the profile: is it a profile of this network?",)
    if matched_share < _TIME_SHARE:
        return (f"{matched_share:.0%} of the measured time has a kernel beside it: is it a profile of this network?",)
    return ()


def _longest(rows: Any) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(rows, key=lambda row: -row[1]))


def group_of(kernel: Kernel) -> str:
    """The group that a kernel's operator has in a profile."""
    return GROUPS.get(kernel.kind, MOVES)


def _by_counts(kernels: Sequence[Kernel], operators: Sequence[MeasuredOperator]) -> dict[int, int]:
    """Kernel -> operator of the same group, outputs and, where they are stated, multiply-accumulates."""
    waiting: dict[tuple[str, int | None, int], deque[int]] = defaultdict(deque)
    for number, kernel in enumerate(kernels):
        group = group_of(kernel)
        work = kernel.works[0]
        waiting[group, work.macs if group == "convolution" else None, work.elements_written].append(number)
    found = {}
    for other, operator in enumerate(operators):
        if operator.outputs is not None and (numbers := waiting.get((operator.group, operator.macs, operator.outputs))):
            found[numbers.popleft()] = other
    return found


def _by_order(kernels: Sequence[Kernel], operators: Sequence[MeasuredOperator], partner: dict[int, int]) -> None:
    """Pair what is left where both orders have the same groups."""
    taken = set(partner.values())
    left = [number for number in range(len(kernels)) if number not in partner]
    right = [number for number in range(len(operators)) if number not in taken]
    blocks = difflib.SequenceMatcher(None, [group_of(kernels[number]) for number in left], [operators[number].group for number in right], autojunk=False)
    for block in blocks.get_matching_blocks():
        for step in range(block.size):
            partner[left[block.a + step]] = right[block.b + step]
