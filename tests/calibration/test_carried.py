"""Profiles of carried-over constants are those of their relatives as they are now."""

from __future__ import annotations

import shutil
from pathlib import Path

from costmodel.devices import profile_folder
from tests.calibration.carried_profiles import main


def test_carried_over_constants_are_up_to_date(tmp_path: Path) -> None:
    for path in profile_folder().glob("*.toml"):
        shutil.copy(path, tmp_path)
    main(tmp_path)
    stale = [
        path.name for path in sorted(tmp_path.glob("*.toml")) if path.read_text(encoding="utf-8") != (profile_folder() / path.name).read_text(encoding="utf-8")
    ]
    assert stale == []  # run python -m tests.calibration.carried_profiles
