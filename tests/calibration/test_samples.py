"""Rows become samples; what hardware cannot do is refused, what cannot be built is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from costmodel.calibration.metrics import ordered_pairs, score
from costmodel.calibration.rows import MeasuredRow
from costmodel.calibration.samples import BOOST, Samples, collect, contradictions, distinct, least_possible_s
from costmodel.devices import device


def row(network: str, milliseconds: float, **options: str) -> MeasuredRow:
    return MeasuredRow(network=network, device="pixel4", seconds=milliseconds * 1e-3, source="a test", line=7, path="f.csv", **options)  # type: ignore[arg-type]  # texts


def collected(*rows: MeasuredRow) -> Samples:
    return collect(rows, device("pixel4"))


def test_a_time_below_the_multiplications_at_peak_is_refused() -> None:
    (sound,) = collected(row("mobilenet-v1@224", 40)).samples
    least_ms = least_possible_s(sound.program, sound.target) * 1e3
    macs_ms = 2 * sound.macs / (BOOST * sound.target.machine.peak("fp32")) * 1e3
    assert macs_ms * 0.9 < least_ms <= macs_ms * 1.000001  # its one 3x3 convolution has stride 2, depthwise ones cannot be transformed
    assert collected(row("mobilenet-v1@224", least_ms * 1.01)).problems == ()
    (problem,) = collected(row("mobilenet-v1@224", least_ms * 0.99)).problems
    assert str(problem).startswith("f.csv:7: ")
    assert "needs for its multiplications" in problem.message


def test_winograd_is_no_impossibility() -> None:
    (vgg,) = collected(row("vgg-16@224", 1000)).samples
    at_peak_s = 2 * vgg.macs / vgg.target.machine.peak("fp32")
    assert least_possible_s(vgg.program, vgg.target) < at_peak_s / 4
    assert collected(row("vgg-16@224", at_peak_s * 1e3 / 2)).problems == ()


@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_another_unit_is_seen(factor: float) -> None:
    (problem,) = collected(row("mobilenet-v1@224", 39.7 * factor)).problems
    assert "another unit" in problem.message


def test_a_target_that_does_not_exist_is_a_problem_and_a_network_that_does_not_is_counted() -> None:
    found = collected(row("mobilenet-v1@224", 40, runtime="ncnn"), row("no-such-net", 40), row("graphs/none.json", 40), row("mobilenet-v1@224", 40))
    assert [problem.line for problem in found.problems] == [7]
    assert "ncnn" in found.problems[0].message
    assert [entry.row.network for entry in found.unbuilt] == ["no-such-net", "graphs/none.json"]
    assert len(found.samples) == 1


def test_a_repeated_row_is_refused_and_another_source_is_not() -> None:
    first = row("mobilenet-v1@224", 40)
    (problem,) = distinct(collected(first, replace(first, line=8))).problems
    assert str(problem) == "f.csv:8: repeats line 7: the same network on the same target with the same latency; keep one"
    (problem,) = distinct(collected(first, replace(first, seconds=0.041))).problems
    assert "another latency (40 ms there)" in problem.message
    (problem,) = distinct(collected(first, replace(first, source="another", path="g.csv"))).problems
    assert "repeats f.csv:7: " in problem.message
    assert distinct(collected(first, replace(first, seconds=0.041, source="another"))).problems == ()


def test_a_network_and_a_target_by_two_names_are_one() -> None:
    first = row("mobilenet-v1@224", 40)
    again = replace(first, network="mobilenet-v1-1.0", dtype="fp32", line=8)
    assert [problem.line for problem in distinct(collected(first, again)).problems] == [8]  # failed before: counted twice
    assert distinct(collected(first, replace(again, network="mobilenet-v1@192"))).problems == ()


def test_padding_that_is_the_networks_own_is_no_other_case() -> None:
    # failed before: the words were compared
    first = row("mobilenet-v1@224", 40)
    assert len(distinct(collected(first, replace(first, padding="same"))).problems) == 1
    assert distinct(collected(first, replace(first, padding="symmetric"))).problems == ()


def test_sources_that_contradict_each_other_are_said() -> None:
    first, second = row("mobilenet-v1@224", 40), row("mobilenet-v2@224", 30)
    (said,) = contradictions(collected(first, replace(first, seconds=0.08, source="another", line=8)).samples)
    assert said.startswith("f.csv:8: mobilenet-v1@224 takes 80 ms, but 40 ms at line 7 (a test) on the same target: both count")
    doubled = [replace(each, seconds=2 * each.seconds, source="another", line=8) for each in (first, second)]
    (said,) = contradictions(collected(first, second, *doubled).samples)
    assert "on the same target, and 1 more of another against a test: " in said
    assert contradictions(collected(first, replace(first, seconds=0.055, source="another", line=8)).samples) == ()


def test_a_refused_row_does_not_take_its_correction_with_it() -> None:
    # failed before: the second row was refused as a repeat of the first, and none was left
    found = distinct(collected(row("mobilenet-v1@224", 0.26), row("mobilenet-v1@224", 26)))
    assert [sample.seconds for sample in found.samples] == [pytest.approx(0.026)]
    assert len(found.problems) == 1


def test_rows_that_rest_on_assumptions_are_not_supported() -> None:
    found = collected(row("mobilenet-v1@224", 40), row("mobilevit-xxs@256", 40))
    assert [sample.supported for sample in found.samples] == [True, False]


def test_scores_by_hand() -> None:
    scores = score([1.08, 1.84, 3.0, 4.1], [1.0, 2.0, 3.0, 5.0], ["a", "a", "b", "b"])
    assert scores.mape == pytest.approx((0.08 + 0.08 + 0 + 0.18) / 4)
    assert scores.median_ape == pytest.approx(0.08)
    assert (scores.within_10, scores.within_20) == (0.75, 1.0)
    assert scores.largest_ape == pytest.approx(0.18)
    assert (scores.spearman, scores.kendall, scores.ordered) == (pytest.approx(1), pytest.approx(1), 1.0)
    assert scores.bias[0] == ("a", pytest.approx((1.08 * 0.92) ** 0.5 - 1), 2)


def test_pairs_within_ten_percent_have_no_order() -> None:
    assert ordered_pairs([2.0, 1.0], [1.0, 1.09]) == (0, 0)
    assert ordered_pairs([2.0, 1.0], [1.0, 1.2]) == (0, 1)
    assert ordered_pairs([1.0, 1.0], [1.0, 1.2]) == (0, 1)


def test_no_row_has_no_score() -> None:
    with pytest.raises(ValueError, match="no row"):
        score([], [], [])
