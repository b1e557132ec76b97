"""How far a long run is, said on stderr."""

from __future__ import annotations

import pytest

from costmodel.reporting.progress import progress_bar


def test_elsewhere_than_on_a_terminal_every_tenth_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("networks") as tell:
        for done in range(40):
            tell(done, 40, f"number {done}")
        tell(40, 40, "")
    assert capsys.readouterr().err.splitlines() == [f"networks: {done} of 40, number {done}" for done in range(0, 40, 4)]


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("networks", 41) as tell:
        tell(20, 40, "one")
    assert capsys.readouterr().err == ""
