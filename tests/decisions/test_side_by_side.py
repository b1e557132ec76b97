"""Two estimates kernel by kernel: every kernel has its place, and the differences add up."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

import costmodel
from costmodel.decisions import _side_by_side, side_by_side
from costmodel.estimation import Estimate

CASES = {
    "two widths": (("mobilenet-v2", {}), ("mobilenet-v2-1.4", {}), "pixel4"),
    "two families": (("mobilenet-v2", {}), ("mobilenet-v3-large", {}), "pixel4"),
    "with a host": (("resnet-50", {}), ("vit-b-16", {}), "coral-usb"),
    "with terms": (("efficientnet-b0", {}), ("efficientnetv2-b0", {}), "v100"),
    "two precisions": (("resnet-50", {"dtype": "fp32"}), ("resnet-50", {"dtype": "fp16"}), "a100"),
}


def estimates(case: str) -> tuple[Estimate, Estimate]:
    (first, own), (second, other), device = CASES[case]
    return costmodel.estimate(first, device=device, **own), costmodel.estimate(second, device=device, **other)


@pytest.mark.parametrize("case", CASES)
def test_every_kernel_stands_once_in_its_order(case: str) -> None:
    first, second = estimates(case)
    both = side_by_side(first, second)
    assert [pair.first for pair in both.pairs if pair.first] == list(first.kernels)
    assert [pair.second for pair in both.pairs if pair.second] == list(second.kernels)
    for pair in both.pairs:
        assert (pair.by == "nothing") == (pair.first is None or pair.second is None)


@pytest.mark.parametrize("case", CASES)
def test_differences_add_up(case: str) -> None:
    first, second = estimates(case)
    both = side_by_side(first, second)
    total = second.latency_s - first.latency_s
    scale = first.latency_s + second.latency_s
    assert both.difference_s == total
    assert sum(pair.difference_s for pair in both.pairs) + sum(term.difference_s for term in both.terms) == pytest.approx(total, abs=1e-9 * scale)
    assert sum(change.difference_s for change in both.kinds) == pytest.approx(total, abs=1e-9 * scale)
    assert sum(change.first_kernels for change in both.kinds) == len(first.kernels)
    assert [abs(pair.difference_s) for pair in both.by_difference] == sorted((abs(pair.difference_s) for pair in both.pairs), reverse=True)


def test_names_match_first_then_roles() -> None:
    both = side_by_side(*estimates("two widths"))
    assert both.matched("name") == len(both.pairs)
    found = {(pair.first.name, pair.second.name): pair.by for pair in side_by_side(*estimates("two families")).pairs if pair.first and pair.second}
    assert found["stem", "stem"] == "name"
    assert found["stages.1.0.expand", "blocks.1.expand"] == "role"


def test_an_estimate_differs_from_itself_in_nothing() -> None:
    report = costmodel.estimate("efficientnet-b0", device="rtx4090")
    both = side_by_side(report, report)
    assert both.matched("name") == len(report.kernels)
    assert not any(change.difference_s for change in both.kinds)


def longest(first: str, second: str) -> int:
    """Length of a longest common subsequence, by its recurrence."""
    row = [0] * (len(second) + 1)
    for item in first:
        row = [0] + [max(row[j + 1], row[j] + 1 if item == other else 0) for j, other in enumerate(second)]
        for j in range(1, len(row)):
            row[j] = max(row[j], row[j - 1])
    return row[-1]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_common_subsequences_are_the_longest(first: str, second: str) -> None:
    found = _side_by_side.in_common(first, second)
    assert len(found) == longest(first, second)
    assert all(first[i] == second[j] for i, j in found)
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in itertools.pairwise(found))


def test_enormous_sequences_are_matched_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_side_by_side, "_MOST_CELLS", 9)
    assert _side_by_side.in_common("abcdef", "abcdef") == [(i, i) for i in range(6)]
