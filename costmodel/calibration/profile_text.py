"""A profile's text with fitted numbers in it: lines are replaced or added, everything else of the file stays as it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: A table's dotted path, as TOML's header writes it.
Table = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[(\[?)\s*([^\]]+?)\s*\]")
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def with_values(text: str, changes: Mapping[Table, Mapping[str, str]]) -> str:
    """The text in which keys of tables have these literals; keys and tables that are missing are added.

    Examples
    --------
    >>> print(with_values("[a]\\nb = 1 # why\\n\\n[c]\\nd = 2\\n", {("a",): {"b": "3", "e": "4"}}))
    [a]
    b = 3 # why
    e = 4
    <BLANKLINE>
    [c]
    d = 2
    """
    lines = text.rstrip("\n").split("\n")
    for table, values in changes.items():
        lines = _changed(lines, table, dict(values))
    return "\n".join(lines) + "\n"


def _changed(lines: list[str], table: Table, values: dict[str, str]) -> list[str]:
    start = next((number for number, line in enumerate(lines) if _table_of(line) == table), None)
    if start is None:
        return [*lines, "", f"[{dotted(table)}]", *(f"{key} = {value}" for key, value in values.items())]
    end = next((number for number in range(start + 1, len(lines)) if _HEADER.match(lines[number])), len(lines))
    body = lines[start + 1 : end]
    for number, line in enumerate(body):
        key = line.partition("=")[0].strip()
        if key in values and not line.lstrip().startswith("#"):
            body[number] = f"{key} = {values.pop(key)}{_comment(line)}"
    last = max((number for number, line in enumerate(body) if line.strip() and not line.lstrip().startswith("#")), default=-1) + 1
    return [*lines[: start + 1], *body[:last], *(f"{key} = {value}" for key, value in values.items()), *body[last:], *lines[end:]]


def _table_of(line: str) -> Table | None:
    match = _HEADER.match(line)
    return tuple(part.strip("\"' ") for part in match[2].split(".")) if match and not match[1] else None


def _comment(line: str) -> str:
    """The remark at the end of a line, with the space before it; a hash inside quotes is none."""
    quoted = False
    for position, letter in enumerate(line):
        if letter == '"' and line[position - 1] != "\\":
            quoted = not quoted
        if letter == "#" and not quoted:
            return " " + line[position:]
    return ""


def without_tables(text: str, beginning: Table) -> str:
    """The text without the tables whose path begins so.

    Examples
    --------
    >>> without_tables("[a]\\nb = 1\\n[a.c]\\nd = 2\\n[e]\\n", ("a", "c"))
    '[a]\\nb = 1\\n[e]\\n'
    """
    kept, dropping = [], False
    for line in text.split("\n"):
        if _HEADER.match(line):
            dropping = (_table_of(line) or ())[: len(beginning)] == beginning
        if not dropping:
            kept.append(line)
    return "\n".join(kept)


def dotted(table: Sequence[str]) -> str:
    """The path of a table as a header writes it."""
    return ".".join(part if _BARE.match(part) else quoted(part) for part in table)


def quoted(text: str) -> str:
    """A TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter >= " " else f"\\u{ord(letter):04x}" for letter in escaped) + '"'


def number(value: float, digits: int = 4) -> str:
    """A number as a profile writes it.

    Examples
    --------
    >>> number(0.13999), number(9656.0), number(1.0), number(0.0031284)
    ('0.14', '9656', '1', '0.003128')
    """
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e" in text and float(text) >= 1 else text


def sourced(value: float, kind: str, source: str, prior: float | None = None) -> str:
    """A number with where it is from, as an inline table; of a fitted one also what it was taken to be before."""
    before = "" if prior is None else f", prior = {number(prior)}"
    return f"{{ value = {number(value)}, kind = {quoted(kind)}, source = {quoted(source)}{before} }}"


def literal(value: Any) -> str:
    """A value in TOML: numbers, texts, truth values, and lists and inline tables of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{dotted((key,))} = {literal(item)}" for key, item in value.items()) + " }"
    return "[" + ", ".join(literal(item) for item in value) + "]"


def tables(document: Mapping[str, Any], path: Table = ()) -> list[str]:
    """The lines of a table and of those inside it; an inner table of a value with its source stays on its line."""
    flat = {key: value for key, value in document.items() if not _is_table(value)}
    lines = [f"{dotted((key,))} = {literal(value)}" for key, value in flat.items()]
    found = ["", f"[{dotted(path)}]", *lines] if path and (lines or not document) else lines
    for key, value in document.items():
        if _is_table(value):
            found += tables(value, (*path, key))
    return found


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" not in value
