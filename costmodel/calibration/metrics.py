"""How far predictions lie from measurements, in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

#: Pairs closer than this share are taken as equal: no order of theirs is right or wrong.
CLEARLY_APART = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Errors of predictions against measurements: shares (0.02 is 2 %), rank agreements, and the mean log ratio of each family.

    `ordered` is the share of pairs of one target over 10 % apart that come out in the right order, None where there is no such pair;
    Spearman and Kendall are None under three rows.
    """

    rows: int
    mape: float
    median_ape: float
    largest_ape: float
    within_10: float
    within_20: float
    spearman: float | None
    kendall: float | None
    ordered: float | None
    pairs: int
    bias: tuple[tuple[str, float, int], ...]


def score(predicted_s: Sequence[float], measured_s: Sequence[float], families: Sequence[str]) -> Scores:
    """The scores of predictions, in seconds, of rows that stand in the same order.

    Raises
    ------
    ValueError
        If there is no row.
    """
    if not predicted_s:
        raise ValueError("there is no row to score")
    errors = [predicted / measured - 1 for predicted, measured in zip(predicted_s, measured_s, strict=True)]
    sizes = sorted(map(abs, errors))
    count = len(errors)
    right, pairs = ordered_pairs(predicted_s, measured_s)
    spearman, kendall = _ranks(predicted_s, measured_s)
    return Scores(
        rows=count,
        mape=sum(sizes) / count,
        median_ape=(sizes[(count - 1) // 2] + sizes[count // 2]) / 2,
        largest_ape=sizes[-1],
        within_10=sum(size <= 0.10 for size in sizes) / count,
        within_20=sum(size <= 0.20 for size in sizes) / count,
        spearman=spearman,
        kendall=kendall,
        ordered=right / pairs if pairs else None,
        pairs=pairs,
        bias=tuple(_bias(predicted_s, measured_s, families)),
    )


def ordered_pairs(predicted_s: Sequence[float], measured_s: Sequence[float]) -> tuple[int, int]:
    """(pairs in the right order, pairs that are over 10 % apart).

    Examples
    --------
    >>> ordered_pairs([1.0, 2.0, 3.0], [1.0, 1.05, 0.8])
    (0, 2)
    """
    right = pairs = 0
    for (first_p, first_m), (second_p, second_m) in combinations(zip(predicted_s, measured_s, strict=True), 2):
        if max(first_m, second_m) > (1 + CLEARLY_APART) * min(first_m, second_m):
            pairs += 1
            right += (first_p < second_p) == (first_m < second_m) and first_p != second_p
    return right, pairs


def _ranks(predicted_s: Sequence[float], measured_s: Sequence[float]) -> tuple[float | None, float | None]:
    """Spearman's and Kendall's coefficients; None where they mean nothing."""
    if len(predicted_s) < 3 or len(set(predicted_s)) == 1 or len(set(measured_s)) == 1:
        return None, None
    from scipy import stats

    return float(stats.spearmanr(predicted_s, measured_s).statistic), float(stats.kendalltau(predicted_s, measured_s).statistic)


def _bias(predicted_s: Sequence[float], measured_s: Sequence[float], families: Sequence[str]) -> list[tuple[str, float, int]]:
    """(family, geometric mean of predicted over measured, less 1, rows), by name."""
    logs: dict[str, list[float]] = {}
    for predicted, measured, family in zip(predicted_s, measured_s, families, strict=True):
        logs.setdefault(family, []).append(math.log(predicted / measured))
    return [(family, math.expm1(sum(found) / len(found)), len(found)) for family, found in sorted(logs.items())]
