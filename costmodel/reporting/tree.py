"""Modules as a tree: what each costs with all that is in it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

from costmodel.estimation import GroupEstimate

_GUIDES = ("├─ ", "└─ ", "│  ", "   ")
#: The same where the encoding has no lines.
_PLAIN_GUIDES = ("|- ", "`- ", "|  ", "   ")


class Branch(NamedTuple):
    """A module with the lines that lead to it, by its own name within its parent."""

    guides: str
    name: str
    group: GroupEstimate


def tree(groups: Iterable[GroupEstimate], *, depth: int, most: int) -> tuple[list[Branch], int]:
    """(branches from top to bottom, how many there are down to `depth`): children in execution order below their parent.

    Parameters
    ----------
    groups : modules by their dotted names, parents included.
    depth : levels to show; 0 is all.
    most : the dearest to show, with the modules that they are in; 0 is all.
    """
    found = {group.name: group for group in groups if not depth or group.name.count(".") < depth}
    dearest = sorted(found.values(), key=lambda group: (-group.latency_s, group.name.count(".")))
    kept = {ancestor for group in (dearest[:most] if most else dearest) for ancestor in _lineage(group.name)}
    children: dict[str, list[str]] = {}
    for name in found:
        if name in kept:
            children.setdefault(name.rpartition(".")[0], []).append(name)
    return list(_below("", "", children, found)), len(found)


def _lineage(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _below(parent: str, lead: str, children: dict[str, list[str]], groups: dict[str, GroupEstimate]) -> Iterable[Branch]:
    """The branches below `parent`; those at the top have no guides of their own."""
    own = children.get(parent, [])
    middle, last, through, blank = _guides()
    for name in own:
        is_last = name == own[-1]
        guides = lead + ("" if not parent else last if is_last else middle)
        yield Branch(guides, name.rpartition(".")[2], groups[name])
        yield from _below(name, lead + ("" if not parent else blank if is_last else through), children, groups)


def _guides() -> tuple[str, str, str, str]:
    try:
        "".join(_GUIDES).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN_GUIDES
    return _GUIDES
