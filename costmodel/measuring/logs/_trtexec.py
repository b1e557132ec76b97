"""TensorRT's ``trtexec``: what it prints, and the JSON of ``--exportTimes`` and ``--exportProfile``.

The latency is the median ``GPU Compute Time`` (TensorRT's trtexec guide: kernels of one query, without copies to and from the host). A run that ended
well closes with ``&&&& PASSED``.
"""

from __future__ import annotations

import re
import statistics
from typing import Any

from costmodel.measuring.logs._log import Run, Source, Tool, number, plain_number

_SIGN = "TensorRT.trtexec"
_SUMMARY = "=== Performance summary ==="
_COMPUTE = re.compile(r"GPU Compute Time: min = (\S+) ms, max = (\S+) ms, mean = (\S+) ms, median = (\S+) ms")
_QUERIES = re.compile(r"Timing trace has (\d+) queries")
_MODEL = re.compile(r"\] Model: (\S+)|--(?:onnx|loadEngine)=(\S+)")
_PRECISION = re.compile(r"\] Precision: (\S+)")
_BATCH = re.compile(r"\] Input(?:\(s\))? (?:inference|build) shapes?: \S+?=(\d+)(?:x\d+)+")
_DTYPES = {
    "FP32": "fp32",
    "FP32+FP16": "fp16",
    "FP16": "fp16",
    "FP32+INT8": "int8",
    "INT8": "int8",
    "FP32+FP16+INT8": "int8",
    "BF16": "bf16",
    "FP32+BF16": "bf16",
}
_MS = 1e-3


def _recognises(source: Source) -> bool:
    if source.broken is not None:
        return bool(re.search(r'"(?:computeMs|latencyMs|averageMs)"\s*:', source.text))
    if source.document is None:
        return _SIGN in source.text or _SUMMARY in source.text
    return isinstance(source.document, list) and any(isinstance(entry, dict) and {"computeMs", "averageMs"} & set(entry) for entry in source.document)


def _runs(source: Source) -> tuple[Run, ...]:
    if source.document is None and source.broken is None:
        return (_printed(source),)
    entries = source.json("exported file")
    if any("computeMs" in entry for entry in entries if isinstance(entry, dict)):
        return (_times(source, entries),)
    return (_profile(source, entries),)


def _printed(source: Source) -> Run:
    if "&&&& FAILED" in source.text:
        raise source.refuse(source.line_of("&&&& FAILED"), "the run failed (&&&& FAILED)")
    compute = next(((n, found) for n, line in enumerate(source.lines, 1) if (found := _COMPUTE.search(line))), None)
    if compute is None or "&&&& PASSED" not in source.text:
        missing = "the line 'GPU Compute Time'" if compute is None else "'&&&& PASSED' at its end"
        raise source.refuse(source.last_line, f"the log is cut off: it has not {missing}")
    line_number, found = compute
    try:
        seconds = number(found[4]) * _MS
    except ValueError as error:
        raise source.refuse(line_number, str(error)) from None
    queries, model, batch = _QUERIES.search(source.text), _MODEL.search(source.text), _BATCH.search(source.text)
    precision = _PRECISION.search(source.text)
    dtype = _DTYPES.get(precision[1]) if precision else None
    if precision and dtype is None:
        raise source.refuse(source.line_of("Precision: "), f"the precision {precision[1]} is none of {', '.join(_DTYPES)}")
    stated = {"processor": "gpu", "runtime": "tensorrt"}
    stated |= {"dtype": dtype} if dtype else {}
    stated |= {"batch": batch[1]} if batch else {}
    return Run(
        seconds=seconds,
        statistic="median",
        passes=int(queries[1]) if queries else 1,
        line=line_number,
        model=(model[1] or model[2]) if model else "",
        stated=stated,
    )


def _times(source: Source, entries: list[Any]) -> Run:
    """The queries of --exportTimes."""
    found = []
    for position, entry in enumerate(entries):
        value = plain_number(entry.get("computeMs")) if isinstance(entry, dict) else None
        if value is None:
            raise source.refuse(source.line_of("computeMs", position), f"query {position} has no computeMs above 0")
        found.append(value)
    line = source.line_of("computeMs")
    return Run(seconds=statistics.median(found) * _MS, statistic="median", passes=len(found), line=line, stated={"processor": "gpu", "runtime": "tensorrt"})


def _profile(source: Source, entries: list[Any]) -> Run:
    """The layers of --exportProfile: their mean times add up to a pass."""
    total, passes, layers = 0.0, 1, 0
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("count"), int) and "name" not in entry:
            passes = entry["count"]
        elif isinstance(entry, dict) and plain_number(entry.get("averageMs")) is not None:
            total, layers = total + float(entry["averageMs"]), layers + 1
        elif not (isinstance(entry, dict) and entry.get("averageMs") == 0):
            raise source.refuse(source.line_of("averageMs", layers), f"a layer has no averageMs: {str(entry)[:80]}")
    if not layers or passes < 1:
        raise source.refuse(source.last_line, "the profile has no layer that takes time")
    stated = {"processor": "gpu", "runtime": "tensorrt"}
    return Run(
        seconds=total * _MS, statistic="mean", passes=passes, line=source.line_of("averageMs"), stated=stated, remark=f"sum of {layers} layers, profiled"
    )


TOOL = Tool(name="TensorRT trtexec", recognises=_recognises, runs=_runs)
