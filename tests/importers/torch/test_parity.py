"""A network imported from timm or torchvision and the zoo's own give the same kernels and latencies."""

from __future__ import annotations

import pytest

from tests.importers.torch.parity import CASES, Case, beside, both

pytestmark = [pytest.mark.torch, pytest.mark.peers]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.ours}-{case.peer}")
def test_imported_and_built_here_are_one(case: Case) -> None:
    ours, theirs = both(case)
    assert theirs.macs == ours.macs
    assert theirs.parameters == ours.parameters - case.fewer
    for target, found in beside(ours, theirs).items():
        differing = {kind for kind, _, _ in (found.ours | found.theirs)}
        assert differing <= case.kinds, (target, found.ours, found.theirs)
        assert found.ratio == pytest.approx(1, abs=case.within), target
