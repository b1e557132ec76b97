"""Taking `kind` and `source` out of a parsed profile, and finding the line of a key path.

In a file, a number is either written in a table that states `kind` and `source` (its own or an outer one's), or as an
inline table ``{ value = 2.84, kind = "datasheet", source = "..." }``; a fitted one may state its ``prior`` there. A source is a key of the file's
``[sources]`` table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from costmodel.devices._profile import KINDS, Provenance
from costmodel.errors import close_matches

Path = tuple[str | int, ...]

#: Numbers that describe the file or the product, not a property of hardware.
_WITHOUT_SOURCE = frozenset({("schema",), ("year",)})
#: Lists of numbers that describe the measurements behind a precision.
_OF_MEASUREMENTS = frozenset({"measured_batches"})


class Problem(NamedTuple):
    """A fault in a profile: where, and what."""

    path: Path
    message: str


class Stripped(NamedTuple):
    """A profile without `kind` and `source`: plain values, the provenance by path, and what was wrong."""

    values: dict[str, Any]
    provenance: dict[str, Provenance]
    problems: list[Problem]


def strip_provenance(document: dict[str, Any]) -> Stripped:
    """Separate the values of a profile from where they come from."""
    sources = document.get("sources", {})
    problems: list[Problem] = []
    if not isinstance(sources, dict) or any(not isinstance(text, str) for text in sources.values()):
        problems.append(Problem(("sources",), "must be a table of texts, one for each source"))
        sources = {}
    walker = _Walker(sources, {}, problems)
    values = walker.table({key: value for key, value in document.items() if key != "sources"}, (), (None, None))
    return Stripped(values, walker.provenance, problems)


class _Walker(NamedTuple):
    sources: Mapping[str, str]
    provenance: dict[str, Provenance]
    problems: list[Problem]

    def table(self, table: dict[str, Any], path: Path, inherited: tuple[str | None, str | None]) -> dict[str, Any]:
        kind, source = self._stated(table, path, inherited)
        return {key: self.value(value, (*path, key), (kind, source)) for key, value in table.items() if key not in ("kind", "source")}

    def value(self, value: Any, path: Path, inherited: tuple[str | None, str | None]) -> Any:
        if isinstance(value, dict):
            if "value" in value and set(value) <= {"value", "kind", "source", "prior"}:
                stated = self._stated(value, path, inherited)
                found = self.value(value["value"], path, stated)
                self._prior(value.get("prior"), path)
                return found
            return self.table(value, path, inherited)
        if isinstance(value, list) and path[-1] in _OF_MEASUREMENTS:
            return tuple(value)
        if isinstance(value, list):
            return tuple(self.value(item, (*path, position), inherited) for position, item in enumerate(value))
        if isinstance(value, int | float) and not isinstance(value, bool) and path not in _WITHOUT_SOURCE:
            self._record(value, path, inherited)
        return value

    def _stated(self, table: dict[str, Any], path: Path, inherited: tuple[str | None, str | None]) -> tuple[str | None, str | None]:
        kind, source = table.get("kind", inherited[0]), table.get("source", inherited[1])
        if kind is not None and kind not in KINDS:
            self.problems.append(Problem((*path, "kind"), f"must be one of {', '.join(KINDS)}, not {kind!r}"))
            kind = None
        if source is not None and (not isinstance(source, str) or source not in self.sources):
            near = close_matches(str(source), self.sources)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(self.sources)) or 'no entries'}"
            self.problems.append(Problem((*path, "source"), f"{source!r} is no key of the table [sources]{hint}"))
            source = None
        return kind, source

    def _prior(self, prior: Any, path: Path) -> None:
        """What a number was taken to be before a fit, kept beside where it is from."""
        name = ".".join(map(str, path))
        if prior is None or name not in self.provenance:
            return
        if isinstance(prior, bool) or not isinstance(prior, int | float) or not 0 < prior < math.inf:
            self.problems.append(Problem((*path, "prior"), f"must be a number above 0, not {prior!r}"))
            return
        self.provenance[name] = self.provenance[name]._replace(prior=float(prior))

    def _record(self, value: float, path: Path, stated: tuple[str | None, str | None]) -> None:
        kind, source = stated
        if kind is None or source is None:
            missing = " and ".join(name for name, given in (("kind", kind), ("source", source)) if given is None)
            self.problems.append(
                Problem(path, f"the number {value} has no {missing}: write {{ value = {value}, kind = ..., source = ... }}, or state them for its table")
            )
            return
        self.provenance[".".join(map(str, path))] = Provenance(value, kind, self.sources[source], key=source)


_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")


def line_numbers(text: str) -> dict[Path, int]:
    """The line (from 1) on which each key path of a TOML text begins; tables, arrays of tables and dotted keys followed.

    Examples
    --------
    >>> line_numbers('a = 1\\n[b]\\nc = 2\\n[[b.d]]\\ne = 3\\n')[("b", "d", 0, "e")]
    5
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            here = _resolve(tuple(part.strip("\"'") for part in _PART.findall(header[2])), counts)
            if header[1] == "[[":
                position = counts.get(here, -1) + 1
                counts[here] = position
                here = (*here, position)
            for depth in range(1, len(here) + 1):
                lines.setdefault(here[:depth], number)
            continue
        key = _KEY.match(line)
        if key:
            path: Path = (*here, *(part.strip("\"'") for part in _PART.findall(key[1])))
            for depth in range(len(here) + 1, len(path) + 1):
                lines.setdefault(path[:depth], number)
    return lines


def _resolve(parts: tuple[str, ...], counts: Mapping[Path, int]) -> Path:
    """A header's path with the current position of every array of tables on the way."""
    path: Path = ()
    for depth, part in enumerate(parts):
        path = (*path, part)
        if path in counts and depth < len(parts) - 1:
            path = (*path, counts[path])
    return path


def nearest_line(lines: Mapping[Path, int], path: Path) -> int:
    """The line of `path`, or of the closest thing around it that has one."""
    for depth in range(len(path), 0, -1):
        found = lines.get(path[:depth])
        if found is not None:
            return found
    return 1
