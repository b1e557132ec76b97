"""What every reader of logs shares: the text of a log with its heading, the timed runs that it tells of, and refusals with a line.

A kit's scripts put a heading before what a tool prints, ``# costmodel: network=resnet-18@224 device=my-phone cores=large=1``, which says what
the tool does not know.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from costmodel.errors import InvalidFileError

#: How the line begins that says what was measured.
HEADING = "# costmodel:"
#: Bytes of a log that are read at most: traces of thousands of passes stay below.
MAX_BYTES = 512 * 2**20
#: Digits of an integer of 64 bits, its sign among them.
_MOST_DIGITS = 20
#: Seconds that a pass takes at the most: eleven days.
_LONGEST_S = 1e6
#: What a heading may state.
STATED = ("network", "device", "processor", "runtime", "dtype", "cores", "layout", "padding", "batch", "date")


class LogError(InvalidFileError):
    """A log that is cut off, contradicts itself or is of another tool: names the line."""

    def __init__(self, path: str, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path, self.line, self.text = path, line, message

    def __reduce__(self) -> tuple[type[LogError], tuple[str, int, str]]:
        return type(self), (self.path, self.line, self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A log as it was read: its lines, what its heading states, and the document in it where it is JSON.

    `broken` is why the text is no JSON, and the line: ``(line, message)``.
    """

    path: str
    text: str
    stated: Mapping[str, str]
    document: Any = None
    broken: tuple[int, str] | None = None

    @property
    def lines(self) -> list[str]:
        """The lines; line n of the file is item n - 1."""
        return self.text.split("\n")

    @property
    def last_line(self) -> int:
        """The number of the last line that holds anything."""
        return len(self.text.rstrip().split("\n"))

    def refuse(self, line: int, message: str) -> LogError:
        """The error of a line."""
        return LogError(self.path, line, message)

    def require_time(self, run: Run) -> None:
        """Refuse a run whose time no pass takes: none, endless, or nobody would have waited for it."""
        if not 0 < run.seconds < _LONGEST_S:
            raise self.refuse(run.line, f"a pass takes {run.seconds:g} s here: the log is damaged")

    @property
    def unended(self) -> str:
        """The last line, where it has no end: what wrote the log was stopped, or the log was cut off."""
        return self.text[self.text.rfind("\n") + 1 :].strip()

    def json(self, what: str) -> Any:
        """The document in the log.

        Raises
        ------
        LogError
            If it is no JSON: says where it breaks off, as `what`.
        """
        if self.broken is not None:
            line, message = self.broken
            raise self.refuse(line, f"the {what} is cut off or damaged here: {message}")
        return self.document

    def line_of(self, text: str, nth: int = 0) -> int:
        """The number of the n-th line with this text; the first line where there is none."""
        found = [number for number, line in enumerate(self.lines, 1) if text in line]
        return found[nth] if nth < len(found) else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A network as timed by a tool: `seconds` for one pass, the `statistic` (mean, median) of `passes` passes, on this line of the log.

    `model` is what the tool calls the network, a path or a name; `stated` what its output says of the target, by column of measured rows.
    """

    seconds: float
    statistic: str
    passes: int
    line: int
    model: str = ""
    threads: int | None = None
    stated: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program whose output is read: its name, how its output is told from others', by content, and the runs in it."""

    name: str
    recognises: Callable[[Source], bool]
    runs: Callable[[Source], tuple[Run, ...]]


def parse(text: str, path: str) -> Source:
    """A log's text as a `Source`.

    Raises
    ------
    LogError
        If its heading says what no heading can say.
    """
    plain = text.replace("\r\n", "\n").removeprefix("\ufeff")
    stated = _heading(plain, path)
    body = "\n".join("" if line.startswith("#") else line for line in plain.split("\n"))
    document, broken = None, None
    if body.lstrip()[:1] in ("[", "{"):
        try:
            document = json.loads(body, parse_int=_integer)
        except json.JSONDecodeError as error:
            broken = (error.lineno, error.msg)
        except _LongError as error:
            broken = (1 + body[: body.find(error.args[0])].count("\n"), f"an integer of {len(error.args[0])} digits")
        except RecursionError:
            broken = (1, "it is nested too deeply")
    return Source(path=path, text=plain, stated=stated, document=document, broken=broken)


class _LongError(Exception):
    """An integer that no tool writes."""


def _integer(text: str) -> int:
    """An integer of a JSON document, which is of 64 bits at most; Python would refuse some longer ones and overflow on others."""
    if len(text) > _MOST_DIGITS:
        raise _LongError(text)
    return int(text)


def _heading(text: str, path: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith(HEADING):
            continue
        try:
            words = shlex.split(line.removeprefix(HEADING))
        except ValueError as error:
            raise LogError(path, number, f"the heading cannot be read: {error}") from None
        for word in words:
            name, equals, value = word.partition("=")
            if not equals or name not in STATED:
                raise LogError(path, number, f"the heading has {word!r}; it may state {', '.join(f'{known}=' for known in STATED)}")
            if found.setdefault(name, value) != value:
                raise LogError(path, number, f"the heading says {name}={value} after {name}={found[name]}: two logs in one file; keep one log a file")
    return found


def number(text: str) -> float:
    """A number as tools print it.

    Raises
    ------
    ValueError
        If it is none, or not finite and above 0.
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?", text) or not 0 < float(text) < float("inf"):
        raise ValueError(f"{text!r} is no time above 0")
    return float(text)


def plain_number(value: Any) -> float | None:
    """A number above 0 out of a JSON document; None where it is none."""
    sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    return float(value) if sound else None
