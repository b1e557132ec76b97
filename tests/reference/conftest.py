"""The libraries that the tests marked `peers` compare with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.peers import peer


@pytest.fixture(scope="session")
def peer_network() -> Callable[..., Any]:
    """`tests.peers.peer`."""
    return peer
