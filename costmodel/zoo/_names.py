"""Names: from what a user types to an architecture, its multipliers and a resolution.

A name is ``ARCHITECTURE[-WIDTH][-dDEPTH][-wWIDTH][-lLATE][@RESOLUTION]``: ``mobilenet-v2-1.4-d1.2@288``, ``efficientnet-b0-d1.4-w1.2``.
The bare number is the width of families that publish multipliers; ``-d``, ``-w`` and ``-l`` are for every scalable architecture.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from costmodel.errors import UnknownNameError, UsageError, unknown, whole
from costmodel.graph import Graph
from costmodel.zoo._architecture import Architecture, Options

#: Above this an image is a typing slip rather than a wish; counts stay exact up to here and beyond.
MAX_RESOLUTION = 65_536

#: More samples than any batch; counts stay exact far beyond.
MAX_BATCH = 10**12

#: What a multiplier may be: wider than any published network is scaled.
MIN_MULTIPLIER, MAX_MULTIPLIER = 0.05, 10.0

_RESOLUTION = re.compile(r"([0-9]{1,9})(?:x([0-9]{1,9}))?")
_NUMBER = r"[0-9]{1,3}(?:\.[0-9]{1,6})?"
_WIDTH = re.compile(rf"(.+)-({_NUMBER})")
_SCALED = re.compile(rf"(.+?)(?:-d(?P<depth>{_NUMBER}))?(?:-w(?P<width>{_NUMBER}))?(?:-l(?P<late>{_NUMBER}))?")


@dataclass(frozen=True, slots=True)
class Request:
    """A resolved name: which architecture, at which width and resolution (None: the default one), depth and late depth."""

    architecture: Architecture
    width: float
    resolution: tuple[int, int] | None
    depth: float = 1.0
    late: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return self.resolution or self.architecture.default_resolution

    @property
    def is_scaled(self) -> bool:
        """Whether any multiplier of the architecture differs from 1."""
        return (self.width, self.depth, self.late) != (1.0, 1.0, 1.0)

    @property
    def name(self) -> str:
        """The shortest name that asks for this.

        Examples
        --------
        >>> find("mobilenet-v2-1.40-d1@224").name, find("efficientnet-b0-d1.4-w1.20@288").name
        ('mobilenet-v2-1.4', 'efficientnet-b0-d1.4-w1.2@288')
        """
        base, width = self.architecture.name, self.width
        if self.architecture.widths is not None:
            base, width = base + ("" if width == 1 else f"-{_text(width)}"), 1.0
        marked = (("d", self.depth), ("w", width), ("l", self.late))
        return base + "".join(f"-{letter}{_text(value)}" for letter, value in marked if value != 1) + resolution_suffix(self.architecture, self.size)


def architectures() -> dict[str, Architecture]:
    """Every architecture by name; loads all families, builds none."""
    found: dict[str, Architecture] = {}
    for family in _families():
        found.update(_family(family))
    return found


def find(name: str) -> Request:
    """The architecture, multipliers and resolution that `name` asks for.

    Raises
    ------
    UnknownNameError
        If no architecture has that name; with close matches.
    UsageError
        If a multiplier or the resolution is out of range, or the family takes no such multiplier.
    """
    base, at, wanted = name.partition("@")
    resolution = _resolution(name, wanted) if at else None
    known = _candidates(base)
    if base in known:
        return Request(known[base], 1.0, resolution)
    scaled = _SCALED.fullmatch(base)
    if scaled and scaled[1] != base:
        return _scaled(base, replace(find(scaled[1]), resolution=resolution), scaled)
    match = _WIDTH.fullmatch(base)
    if match and match[1] in known:
        architecture = known[match[1]]
        width = float(match[2])
        if architecture.widths is None:
            raise UsageError(f"{architecture.name} takes no width multiplier, so {base!r} means nothing; try {architecture.name!r}")
        if not MIN_MULTIPLIER <= width <= MAX_MULTIPLIER:
            raise UsageError(f"the width multiplier of {base!r} must lie between {MIN_MULTIPLIER:g} and {MAX_MULTIPLIER:g}")
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
            depth=request.depth,
            late=request.late,
            padding=padding,
            classes=classes,
            features_only=features_only,
        )
    )


def resolution_suffix(architecture: Architecture, resolution: tuple[int, int]) -> str:
    """``@`` and the resolution, empty for the default one."""
    height, width = resolution
    return "" if resolution == architecture.default_resolution else f"@{height}" if height == width else f"@{height}x{width}"


def _text(multiplier: float) -> str:
    """A multiplier as names state it, with at most six decimals."""
    return f"{multiplier:.6f}".rstrip("0").rstrip(".")


def _scaled(base: str, request: Request, match: re.Match[str]) -> Request:
    """The request with the depth, width and late depth that `base` states.

    Raises
    ------
    UsageError
        If the architecture takes none, the width is stated otherwise in this family, or one is out of range.
    """
    architecture = request.architecture
    if not architecture.scalable:
        raise UsageError(f"{architecture.name} takes no depth or width, so {base!r} means nothing; `costmodel scale --families` lists those that do")
    if match["width"] is not None and architecture.widths is not None:
        raise UsageError(f"{base!r}: the width of {architecture.name} is a bare number, as in {architecture.name}-{match['width']}")
    stated: dict[str, Any] = {name: float(match[name]) for name in ("depth", "width", "late") if match[name] is not None}
    for name, value in stated.items():
        if not MIN_MULTIPLIER <= value <= MAX_MULTIPLIER:
            raise UsageError(f"the {name} multiplier of {base!r} must lie between {MIN_MULTIPLIER:g} and {MAX_MULTIPLIER:g}")
    return replace(request, **stated)


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
