"""Names of tensors in programs whose graphs lie inside one another, as autocast's and the branches of a condition do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from costmodel.importers._trace import Name, TracedCall

#: Operators of torch that compute what the graph inside them computes, on their last arguments.
#: Source: torch/_higher_order_ops and torch/_export/passes, torch 2.13.
ENTERED = frozenset({"wrap_with_autocast", "wrap_with_set_grad_enabled", "tag_activation_checkpoint", "wrap", "invoke_subgraph"})
#: The one that computes either of two graphs.
CONDITION = "cond"


@dataclass(frozen=True, slots=True)
class Scope:
    """The names of one graph: in the outermost they stay as they are, those of an inner graph get its operator's name in front.

    `bound` holds tensors that have a name elsewhere already: what an inner graph is given, and what it gives back.
    """

    prefix: str = ""
    bound: dict[str, Name] = field(default_factory=dict)

    def name(self, local: str) -> Name:
        """The name of a tensor in the whole program."""
        return self.bound.get(local) or Name(f"{self.prefix}{local}")

    def inside(self, operator: str, given: Mapping[str, Name]) -> Scope:
        """The scope of a graph inside `operator` whose inputs are called `given` outside."""
        return Scope(f"{self.prefix}{operator}/", dict(given))


def call_of(mode: Any, func: Any, args: Any, kwargs: Any) -> Any:
    """What a call gives while `mode` watches; the mode sees the calls of whichever graph a condition takes, and of a region, too."""
    name = str(func)
    if hasattr(func, "_schema") or not (name == CONDITION or name in ENTERED):
        return func(*args, **(kwargs or {}))
    if name == CONDITION:
        taken, given = args[1] if args[0] else args[2], args[3]
    else:
        place = next(place for place, value in enumerate(args) if callable(value))
        taken, given = args[place], args[place + 1 :]
    with mode:
        return taken(*given)


def is_entered(func: Any) -> bool:
    """Whether `call_of` lets the mode see the calls inside."""
    return not hasattr(func, "_schema") and (str(func) == CONDITION or str(func) in ENTERED)


def alike(first: Sequence[TracedCall], second: Sequence[TracedCall]) -> bool:
    """Whether two lists of calls cost the same: the same operators in order, with the same shapes and attributes."""
    return [_shown(call) for call in first] == [_shown(call) for call in second]


def _shown(call: TracedCall) -> tuple[object, ...]:
    return call.operator, call.specs, {key: _plain(value) for key, value in call.arguments.items()}


def _plain(value: object) -> object:
    """An argument without the name of a tensor."""
    return [_plain(item) for item in value] if isinstance(value, list) else "a tensor" if isinstance(value, Name) else value
