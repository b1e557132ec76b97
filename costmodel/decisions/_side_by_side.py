"""`SideBySide`: two estimates kernel by kernel, and where the difference of their latencies comes from.

Kernels are matched in the order that they run, first by name, then, between those, by equal work, by the last part of the name and the
kind (their role in a block), and by kind alone. What finds no partner stands alone: its whole time is part of the difference.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from costmodel.estimation import Estimate, KernelEstimate

#: What two kernels have in common; ``nothing`` for one that only one of the two networks has.
MatchedBy = Literal["name", "work", "role", "kind", "nothing"]

_RULES: tuple[tuple[MatchedBy, Callable[[KernelEstimate], Hashable]], ...] = (
    ("name", lambda kernel: kernel.name),
    ("work", lambda kernel: (kernel.kind, kernel.macs, kernel.flops, kernel.traffic_bytes)),
    ("role", lambda kernel: (kernel.kind, kernel.name.rpartition(".")[2])),
    ("kind", lambda kernel: kernel.kind),
)

#: Cells of a table of lengths, two bytes each.
_MOST_CELLS = 25_000_000


class Pair(NamedTuple):
    """A kernel of the first network and its counterpart in the second; one of them is None where there is no counterpart."""

    first: KernelEstimate | None
    second: KernelEstimate | None
    by: MatchedBy

    @property
    def difference_s(self) -> float:
        """How much longer the second takes, in seconds."""
        return _seconds(self.second) - _seconds(self.first)


class Change(NamedTuple):
    """A part of two latencies, in seconds: the kernels of one kind, or a term outside kernels; counts are of kernels, 0 for a term."""

    name: str
    first_s: float
    second_s: float
    first_kernels: int = 0
    second_kernels: int = 0

    @property
    def difference_s(self) -> float:
        """How much longer the second takes, in seconds."""
        return self.second_s - self.first_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """The kernels of two estimates in the order that they run, and the terms outside kernels.

    The differences of all `pairs` and `terms` add up to that of the latencies.
    """

    first: Estimate
    second: Estimate
    pairs: tuple[Pair, ...]
    terms: tuple[Change, ...]

    @property
    def difference_s(self) -> float:
        """How much longer the second takes, in seconds."""
        return self.second.latency_s - self.first.latency_s

    @property
    def by_difference(self) -> tuple[Pair, ...]:
        """The pairs that matter most for the difference first."""
        return tuple(sorted(self.pairs, key=lambda pair: -abs(pair.difference_s)))

    @property
    def kinds(self) -> tuple[Change, ...]:
        """Kernels of each kind together, then the terms outside kernels; the largest difference first within each."""
        times: list[defaultdict[str, float]] = [defaultdict(float), defaultdict(float)]
        numbers: list[Counter[str]] = [Counter(), Counter()]
        for side, report in enumerate((self.first, self.second)):
            for kernel in report.kernels:
                times[side][str(kernel.kind)] += kernel.latency_s
                numbers[side][str(kernel.kind)] += 1
        names = dict.fromkeys((*times[0], *times[1]))
        found = [Change(name, times[0][name], times[1][name], numbers[0][name], numbers[1][name]) for name in names]
        return (*sorted(found, key=lambda change: -abs(change.difference_s)), *self.terms)

    def matched(self, by: MatchedBy) -> int:
        """How many pairs have this in common."""
        return sum(pair.by == by for pair in self.pairs)


def side_by_side(first: Estimate, second: Estimate) -> SideBySide:
    """Two estimates kernel by kernel."""
    terms = [Change(name, first.terms.get(name, 0.0), second.terms.get(name, 0.0)) for name in dict.fromkeys((*first.terms, *second.terms))]
    return SideBySide(
        first=first,
        second=second,
        pairs=tuple(_aligned(first.kernels, second.kernels, 0)),
        terms=tuple(sorted(terms, key=lambda change: -abs(change.difference_s))),
    )


def _aligned(first: Sequence[KernelEstimate], second: Sequence[KernelEstimate], rule: int) -> list[Pair]:
    """Pairs in order: those of this rule, and between them those of the later ones."""
    if rule == len(_RULES) or not first or not second:
        return [Pair(kernel, None, "nothing") for kernel in first] + [Pair(None, kernel, "nothing") for kernel in second]
    by, key = _RULES[rule]
    found: list[Pair] = []
    before = (0, 0)
    for i, j in in_common([key(kernel) for kernel in first], [key(kernel) for kernel in second]):
        found += _aligned(first[before[0] : i], second[before[1] : j], rule + 1)
        found.append(Pair(first[i], second[j], by))
        before = (i + 1, j + 1)
    return found + _aligned(first[before[0] :], second[before[1] :], rule + 1)


def in_common(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Positions of a longest common subsequence; of halves by themselves where the table of lengths would have more than `_MOST_CELLS`.

    Examples
    --------
    >>> in_common("abcbd", "bxbad")
    [(1, 0), (3, 2), (4, 4)]
    """
    import numpy as np

    if len(first) * len(second) > _MOST_CELLS:
        i, j = len(first) // 2, len(second) // 2
        return in_common(first[:i], second[:j]) + [(i + a, j + b) for a, b in in_common(first[i:], second[j:])]
    numbers: dict[Hashable, int] = {}
    one, other = (np.array([numbers.setdefault(item, len(numbers)) for item in items], dtype=np.int64) for items in (first, second))
    lengths = np.zeros((len(one) + 1, len(other) + 1), dtype=np.uint16 if min(len(one), len(other)) < 2**16 else np.uint32)
    for i, item in enumerate(one):  # a row's left neighbours are a running maximum
        lengths[i + 1, 1:] = np.maximum.accumulate(np.maximum(lengths[i, 1:], lengths[i, :-1] + (other == item)))
    found = []
    i, j = len(one), len(other)
    while i and j:
        if one[i - 1] == other[j - 1]:
            i, j = i - 1, j - 1
            found.append((i, j))
        elif lengths[i - 1, j] >= lengths[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]


def _seconds(kernel: KernelEstimate | None) -> float:
    return 0.0 if kernel is None else kernel.latency_s
