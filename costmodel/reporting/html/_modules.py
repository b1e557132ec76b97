"""The modules of a network as a tree with few branches at every node, so that each can be drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

#: Most children of one module; longer rows of operators, as files without module names have, are cut into pieces.
MOST_CHILDREN = 40


@dataclass(slots=True)
class _Module:
    """A module while the tree grows: its children in order, a module or the number of an operator each."""

    label: str
    path: str
    children: dict[str, _Module | int] = field(default_factory=dict)


def module_tree(names: Iterable[str]) -> tuple[list[dict[str, Any]], list[int]]:
    """(modules, the module of every operator), from the dotted names of operators in execution order.

    A module is a label, a path and the position of its parent, which is an earlier one; the first is the network.

    Examples
    --------
    >>> modules, of = module_tree(["stem", "stages.0.conv", "stages.0.norm"])
    >>> [module["path"] for module in modules], of
    (['', 'stages', 'stages.0'], [0, 2, 2])
    """
    names = list(names)
    root = _Module("", "")
    for number, name in enumerate(names):
        place = root
        *parts, last = name.split(".")
        for depth, part in enumerate(parts):
            inner = place.children.get(f"{part}.")
            if not isinstance(inner, _Module):
                inner = place.children[f"{part}."] = _Module(part, ".".join(parts[: depth + 1]))
            place = inner
        place.children[f"{last} {number}"] = number
    modules: list[dict[str, Any]] = []
    of = [0] * len(names)
    waiting: list[tuple[_Module, int]] = [(root, -1)]
    while waiting:
        module, parent = waiting.pop(0)
        position = len(modules)
        modules.append({"label": module.label, "path": module.path, "parent": parent})
        for child in _cut(module):
            if isinstance(child, int):
                of[child] = position
            else:
                waiting.append((child, position))
    return modules, of


def _cut(module: _Module) -> list[_Module | int]:
    """The children, or pieces of consecutive ones where there are too many."""
    children = list(module.children.values())
    if len(children) <= MOST_CHILDREN:
        return children
    pieces = -(-len(children) // MOST_CHILDREN) if len(children) <= MOST_CHILDREN**2 else MOST_CHILDREN
    size = -(-len(children) // pieces)
    found: list[_Module | int] = []
    for start in range(0, len(children), size):
        part = children[start : start + size]
        label = f"{start + 1} to {start + len(part)}"
        found.append(_Module(label, f"{module.path} {label}".strip(), {str(number): child for number, child in enumerate(part)}))
    return found
