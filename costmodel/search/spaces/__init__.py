"""The search spaces, published ones and one for small images: one file each with a function `make` that returns its `Space`."""

from __future__ import annotations

import importlib
from functools import cache

from costmodel.errors import unknown
from costmodel.search._space import Space

#: Space -> the file of this folder that makes it.
_FILES = {
    "mnasnet": "mnasnet",
    "mobilenet-v3": "mobilenet_v3",
    "fbnet": "fbnet",
    "efficientnetv2": "efficientnetv2",
    "nas-bench-201": "nas_bench_201",
    "small-images": "small_images",
}


def spaces() -> tuple[str, ...]:
    """Names of all spaces."""
    return tuple(_FILES)


@cache
def space(name: str) -> Space:
    """The search space called `name`.

    Raises
    ------
    UnknownNameError
        If there is none; with close matches.
    """
    if name not in _FILES:
        raise unknown("search space", name, _FILES)
    made: Space = importlib.import_module(f"costmodel.search.spaces.{_FILES[name]}").make()
    return made
