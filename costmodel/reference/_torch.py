"""The one place that imports torch for this room, with the way to get it where it is missing."""

from __future__ import annotations

import importlib.util
from typing import Any

from costmodel.errors import UsageError


def require_torch() -> Any:
    """The torch module.

    Raises
    ------
    UsageError
        If it is not installed; says how to get it.
    """
    if importlib.util.find_spec("torch") is None:
        raise UsageError("this needs torch, which is not installed: pip install 'costmodel[torch]' (the main job never needs it)")
    import torch

    return torch
