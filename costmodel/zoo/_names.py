"""Names: from what a user types to an architecture, a width and a resolution."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from costmodel.errors import UnknownNameError, UsageError, unknown, whole
from costmodel.graph import Graph
from costmodel.zoo._architecture import Architecture, Options

#: Above this an image is a typing slip rather than a wish; counts stay exact up to here and beyond.
MAX_RESOLUTION = 65_536

#: More samples than any batch; counts stay exact far beyond.
MAX_BATCH = 10**12

_RESOLUTION = re.compile(r"([0-9]{1,9})(?:x([0-9]{1,9}))?")
_WIDTH = re.compile(r"(.+)-([0-9]{1,3}(?:\.[0-9]{1,6})?)")


@dataclass(frozen=True, slots=True)
class Request:
    """A resolved name: which architecture, at which width and resolution (None: the default one)."""

    architecture: Architecture
    width: float
    resolution: tuple[int, int] | None


def architectures() -> dict[str, Architecture]:
    """Every architecture by name; loads all families, builds none."""
    found: dict[str, Architecture] = {}
    for family in _families():
        found.update(_family(family))
    return found


def find(name: str) -> Request:
    """The architecture, width and resolution that `name` asks for.

    Raises
    ------
    UnknownNameError
        If no architecture has that name; with close matches.
    UsageError
        If the width multiplier or the resolution is out of range, or the family takes no multiplier.
    """
    base, at, wanted = name.partition("@")
    resolution = _resolution(name, wanted) if at else None
    known = _candidates(base)
    if base in known:
        return Request(known[base], 1.0, resolution)
    match = _WIDTH.fullmatch(base)
    if match and match[1] in known:
        architecture = known[match[1]]
        width = float(match[2])
        if architecture.widths is None:
            raise UsageError(f"{architecture.name} takes no width multiplier, so {base!r} means nothing; try {architecture.name!r}")
        if not 0.05 <= width <= 10:
            raise UsageError(f"the width multiplier of {base!r} must lie between 0.05 and 10")
        return Request(architecture, width, resolution)
    raise _unknown(base)


def build(
    name: str,
    *,
    batch: int = 1,
    padding: Literal["same", "symmetric"] | None = None,
    classes: int | None = None,
    features_only: bool = False,
) -> Graph:
    """The graph of a zoo network; see `costmodel.build`."""
    request = find(name)
    architecture = request.architecture
    batch = whole("batch", batch, 1, MAX_BATCH)
    if classes is not None and features_only:
        raise UsageError("classes and features_only exclude each other: without its head a network has no classes")
    if classes is not None:
        classes = whole("number of classes", classes, 1, MAX_BATCH)
    if padding not in (None, "same", "symmetric"):
        raise UsageError(f"padding must be 'same' or 'symmetric', not {padding!r}")
    return architecture.builder(
        Options(
            name=name,
            resolution=request.resolution or architecture.default_resolution,
            batch=batch,
            width=request.width,
            padding=padding,
            classes=classes,
            features_only=features_only,
        )
    )


@lru_cache(maxsize=1)
def _families() -> tuple[str, ...]:
    """Names of the family files; nothing is loaded."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py")))


def _family(module: str) -> dict[str, Architecture]:
    declared: tuple[Architecture, ...] = importlib.import_module(f"costmodel.zoo.{module}").ARCHITECTURES
    return {architecture.name: architecture for architecture in declared}


def _candidates(base: str) -> dict[str, Architecture]:
    """The architectures of the family file whose name (with ``-`` for ``_``) `base` begins with; the longest name wins."""
    files = [family for family in _families() if base.startswith(family.replace("_", "-"))]
    return _family(max(files, key=len)) if files else {}


def _resolution(name: str, wanted: str) -> tuple[int, int]:
    match = _RESOLUTION.fullmatch(wanted)
    if not match:
        raise UsageError(f"{name!r}: the resolution after '@' must look like 224 or 288x512 (height x width), not {wanted!r}")
    height, width = int(match[1]), int(match[2] or match[1])
    if not (1 <= height <= MAX_RESOLUTION and 1 <= width <= MAX_RESOLUTION):
        raise UsageError(f"{name!r}: the resolution must lie between 1 and {MAX_RESOLUTION}, not {wanted}")
    return height, width


def _unknown(base: str) -> UnknownNameError:
    return unknown("model", base, architectures(), hint="`costmodel models` lists them all")
