"""The exceptions that reach a user, each with the exit code that the command line gives it.

Rule: a message names the place, what was given, and the next step. Our own bugs are `assert`s, never one of these.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable
from typing import Any


class CostModelError(Exception):
    """Base of everything that costmodel raises on purpose."""

    exit_code = 1


class UsageError(CostModelError):
    """A request that cannot be meant: an option out of range, a combination that does not exist."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that nothing answers to; carries the close matches."""

    def __init__(self, message: str, *, matches: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.matches = matches


class ShapeError(UsageError):
    """Shapes that an operator cannot take; names the operator and the shapes."""


class InvalidFileError(CostModelError):
    """A file that cannot be read as what it should be."""

    exit_code = 4


class ProfileError(InvalidFileError):
    """A device profile with faults; `problems` holds one line for each."""

    def __init__(self, path: str, problems: tuple[str, ...]) -> None:
        noun = "problem" if len(problems) == 1 else "problems"
        super().__init__(f"{path}: {len(problems)} {noun}\n" + "\n".join(problems))
        self.path = path
        self.problems = problems

    def __reduce__(self) -> tuple[type[ProfileError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.path, self.problems)


class WriteError(CostModelError):
    """A file that cannot be written, as on a full disk: names it and says why."""


class OperatorError(CostModelError):
    """An operator class that fails where it should say what it computes: names the class, the method and what went wrong."""


class UnmodelledError(CostModelError):
    """Raised under `strict` when part of a network has no cost."""


class BudgetExceededError(CostModelError):
    """A budget that the user stated was exceeded."""

    exit_code = 3


def said(error: BaseException) -> str:
    """The kind of an error and what it says; of one that cannot say anything, that.

    Examples
    --------
    >>> said(ValueError("no such file"))
    'ValueError: no such file'
    """
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as second:  # a class of the user's whose __str__ fails
        return f"{type(error).__name__}, whose message cannot be made ({type(second).__name__})"


def whole(what: str, value: Any, least: int, most: int) -> int:
    """`value` as a plain int between `least` and `most`, whatever integer type it has (numpy's wrap around silently).

    Raises
    ------
    UsageError
        If it is no integer, or lies outside.

    Examples
    --------
    >>> whole("batch", 8, 1, 100)
    8
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise UsageError(f"the {what} must be a whole number, not {value!r}") from None
    if isinstance(value, bool) or not least <= number <= most:
        shown = value if len(str(value)) < 30 else f"a number of {len(str(value))} digits"
        raise UsageError(f"the {what} must be at least {least}, not {shown}" if number < least else f"the {what} must be at most {most}, not {shown}")
    return number


def close_matches(given: str, available: Iterable[str], *, limit: int = 5) -> tuple[str, ...]:
    """Names in `available` that look like `given`, best first; prefixes count as close.

    Examples
    --------
    >>> close_matches("efficentnet-b5", ["efficientnet-b5", "resnet-50"])
    ('efficientnet-b5',)
    """
    names = sorted(set(available))
    close = difflib.get_close_matches(given.lower(), names, n=limit, cutoff=0.6)
    prefixed = [name for name in names if len(given) >= 3 and name.startswith(given.lower())]
    return tuple(dict.fromkeys([*close, *prefixed]))[:limit]


def unknown(kind: str, given: str, available: Iterable[str], *, hint: str = "") -> UnknownNameError:
    """The error for a name that does not exist: its kind, close matches, and what exists.

    Parameters
    ----------
    kind : what the name should have been, for example ``"device"``.
    given : the name as the user typed it.
    available : every valid name; listed in full when there are at most 20 and none is close.
    hint : a next step, appended as it stands.
    """
    names = sorted(set(available))
    matches = close_matches(given, names)
    message = f"unknown {kind} {given!r}"
    if matches:
        message += f"; did you mean {', '.join(matches)}?"
    elif len(names) <= 20:
        message += f"; available: {', '.join(names) or 'none'}"
    if hint:
        message += f"; {hint}"
    return UnknownNameError(message, matches=matches)


def printable(text: str) -> str:
    """The text with a question mark for every character that a terminal might obey rather than show.

    Examples
    --------
    >>> printable("stages.0"), printable("a\x1b]0;b\x07")
    ('stages.0', 'a?]0;b?')
    """
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)
