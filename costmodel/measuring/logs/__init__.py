"""Logs of measuring tools, told apart by what is in them: one file a tool, each with a `Tool` that is listed here.

To read another tool's output, add a file with its `Tool` and a line to `TOOLS`.
"""

from __future__ import annotations

from costmodel.measuring.logs import _benchmark_model, _benchncnn, _here, _onnxruntime, _torch, _trtexec
from costmodel.measuring.logs._log import HEADING, MAX_BYTES, STATED, LogError, Run, Source, Tool, parse

#: In the order in which they are tried; no log is recognised by two (a test).
TOOLS: tuple[Tool, ...] = (_here.TOOL, _torch.TOOL, _onnxruntime.TOOL, _trtexec.TOOL, _benchncnn.TOOL, _benchmark_model.TOOL)

__all__ = ["HEADING", "MAX_BYTES", "STATED", "TOOLS", "LogError", "Run", "Source", "Tool", "parse", "read_log"]


def read_log(text: str, path: str) -> tuple[Source, Tool, tuple[Run, ...]]:
    """The log with what its heading states, the tool that wrote it and the runs in it.

    Raises
    ------
    LogError
        If no tool is known that writes such text, or the log is cut off or damaged: names the line.
    """
    source = parse(text, path)
    if not text.strip():
        raise source.refuse(1, "the log is empty")
    for tool in TOOLS:
        if tool.recognises(source):
            runs = tool.runs(source)
            for run in runs:
                source.require_time(run)
            return source, tool, runs
    if source.broken is not None:
        raise source.refuse(source.broken[0], f"is no log that is read here, nor JSON: {source.broken[1]}")
    first = next((number for number, line in enumerate(source.lines, 1) if line.strip() and not line.startswith("#")), source.last_line)
    shown = source.lines[first - 1].strip()[:60] if first <= len(source.lines) else ""
    raise source.refuse(first, f"is no log of {', '.join(tool.name for tool in TOOLS)}: {shown!r}")
