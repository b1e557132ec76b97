"""The log of a kit that was run on this machine (`costmodel.measuring.run_here`): one JSON document a run."""

from __future__ import annotations

import re
import statistics

from costmodel.measuring.logs._log import STATED, Run, Source, Tool, plain_number

#: The key that tells such a document, and its form.
KEY, VERSION = "costmodel_run", 1
_SIGN = re.compile(rf'"{KEY}"\s*:')


def _recognises(source: Source) -> bool:
    if source.document is not None:
        return isinstance(source.document, dict) and KEY in source.document
    return source.broken is not None and bool(_SIGN.search(source.text))


def _runs(source: Source) -> tuple[Run, ...]:
    document = source.json("log")
    if document[KEY] != VERSION:
        raise source.refuse(source.line_of(KEY), f"the log has form {document[KEY]!r}; this version of costmodel reads {VERSION}")
    passes = document.get("passes_s")
    values = [plain_number(value) for value in passes] if isinstance(passes, list) else []
    if not values or None in values:
        raise source.refuse(source.line_of("passes_s"), "passes_s must be a list of seconds above 0")
    stated = {name: str(document[name]) for name in STATED if document.get(name) not in (None, "")}
    seconds = statistics.median(value for value in values if value is not None)
    line = source.line_of("passes_s")
    return (
        Run(
            seconds=seconds,
            statistic="median",
            passes=len(values),
            line=line,
            model=stated.get("network", ""),
            stated=stated,
            remark=str(document.get("by", "")),
        ),
    )


TOOL = Tool(name="costmodel", recognises=_recognises, runs=_runs)
