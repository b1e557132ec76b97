"""The table of printed figures: every network is one that the zoo builds, and every difference beyond rounding has its limit.

The tolerances are those within which published tables are known to be off; what exceeds them has its reason in the table, so
that a new disagreement is seen.
"""

from __future__ import annotations

import pytest

from costmodel import zoo
from costmodel.convention import total
from costmodel.zoo._printed import Printed, _table

CASES = [(network, figure) for network, figures in _table().items() for figure in figures]


@pytest.mark.parametrize(("network", "figure"), CASES, ids=[f"{network}-{figure.quantity}-{figure.text}" for network, figure in CASES])
def test_the_count_is_near_the_print_or_the_reason_is_known(network: str, figure: Printed) -> None:
    graph = zoo.build(network)
    counted = graph.parameters if figure.quantity == "parameters" else graph.macs
    off = abs(counted / figure.value - 1)
    assert figure.agrees(counted) or off < 0.05 or figure.note, f"{counted} against {figure.text} ({figure.source}): {off:.1%}"


def test_the_paper_convention_explains_a_difference() -> None:
    found = total(zoo.build("efficientnet-b5", batch=2), "paper")
    (macs,) = [figure for figure in found.printed if figure.quantity == "macs"]
    assert (macs.printed, macs.counted) == ("9.9B", 10_266_384_752)
    assert macs.difference == pytest.approx(10_266_384_752 / 9.9e9 - 1)
    assert "3.6 % low" in macs.explanation
    assert found.value == 2 * 10_266_384_752
