"""torch.profiler's Chrome trace: passes are the steps that a schedule marks, ``ProfilerStep#n``; without them the whole trace is one pass.

Times are in microseconds (kineto's output_json.cpp). Kernels of a GPU run after the call that launched them: a step lasts until the last kernel
that began before the next step has ended.
"""

from __future__ import annotations

import re
import statistics
from typing import Any

from costmodel.measuring.logs._log import Run, Source, Tool, plain_number

_SIGN = re.compile(r'"(?:schemaVersion|cpu_op|ProfilerStep#\d+)"')
_US = 1e-6
_WORK = ("cpu_op", "kernel", "gpu_memcpy", "gpu_memset")
_GPU = ("kernel", "gpu_memcpy", "gpu_memset")

Event = dict[str, Any]


def _recognises(source: Source) -> bool:
    if source.document is not None:
        return isinstance(source.document, dict) and "traceEvents" in source.document
    return source.broken is not None and '"traceEvents"' in source.text and bool(_SIGN.search(source.text))


def _runs(source: Source) -> tuple[Run, ...]:
    events = source.json("trace")["traceEvents"]
    if not isinstance(events, list):
        raise source.refuse(source.line_of("traceEvents"), "traceEvents is no list")
    timed = [event for event in events if isinstance(event, dict) and event.get("ph") == "X"]
    if bad := next((event for event in timed if not isinstance(event.get("ts"), int | float) or not isinstance(event.get("dur"), int | float)), None):
        raise source.refuse(source.line_of(f'"{bad.get("name")}"'), f"the event {bad.get('name')!r} has no time")
    work = [event for event in timed if event.get("cat") in _WORK]
    if not work:
        raise source.refuse(
            source.last_line, "the trace has no operator (cat cpu_op) and no kernel: it is of another program, or nothing ran while it was taken"
        )
    gpu = [event for event in work if event["cat"] in _GPU]
    steps = sorted(
        (event for event in timed if re.fullmatch(r"ProfilerStep#\d+", str(event.get("name"))) and event.get("cat") != "gpu_user_annotation"), key=_start
    )
    stated = {"processor": "gpu" if gpu else "cpu", "runtime": "torch-eager"}
    if not steps:
        seconds = plain_number(max(map(_end, work)) - min(map(_start, work)))
        if seconds is None:
            raise source.refuse(source.last_line, "the trace spans no time")
        return (Run(seconds=seconds * _US, statistic="single pass", passes=1, line=source.line_of("cpu_op"), stated=stated, remark="profiled"),)
    durations = _durations(steps, gpu, work)
    line = source.line_of(str(steps[0]["name"]))
    if not durations:
        raise source.refuse(line, "no step has an operator in it")
    return (Run(seconds=statistics.median(durations) * _US, statistic="median", passes=len(durations), line=line, stated=stated, remark="profiled"),)


def _durations(steps: list[Event], gpu: list[Event], work: list[Event]) -> list[float]:
    """Microseconds from the first operator of each step to the end of its last operator or kernel."""
    found = []
    for position, step in enumerate(steps):
        following = _start(steps[position + 1]) if position + 1 < len(steps) else float("inf")
        own = [event for event in work if event["cat"] == "cpu_op" and _start(step) <= _start(event) <= _end(step)]
        own += [event for event in gpu if _start(step) <= _start(event) < following]
        if own:
            found.append(max(map(_end, own)) - min(map(_start, own)))
    return [duration for duration in found if duration > 0]


def _start(event: Event) -> float:
    return float(event["ts"])


def _end(event: Event) -> float:
    return float(event["ts"]) + float(event["dur"])


TOOL = Tool(name="torch.profiler", recognises=_recognises, runs=_runs)
