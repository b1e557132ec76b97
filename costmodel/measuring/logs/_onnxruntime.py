"""onnxruntime: the profile that a session writes (a list of trace events, microseconds), and what ``onnxruntime_perf_test`` prints.

In a profile every ``model_run`` event is one pass (core/framework/session: `InferenceSession::Run`); the first allocates and is left out. A profile is one
JSON list, so a missing end shows at once.
"""

from __future__ import annotations

import re
import statistics
from typing import Any

from costmodel.measuring.logs._log import Run, Source, Tool, number, plain_number

_EVENT = re.compile(r'"cat"\s*:\s*"(?:Session|Node)"')
_AVERAGE = re.compile(r"^Average inference time cost(?: total)?:\s*(\S+)\s*(ms|us|s)\s*$")
_PASSES = re.compile(r"^Total inference requests:\s*(\d+)\s*$")
_PERF_TEST = re.compile(r"^(?:Average inference time cost|Total inference requests|Session creation time cost):", re.MULTILINE)
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_US = 1e-6
_PROVIDERS = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "gpu", "TensorrtExecutionProvider": "gpu"}


def _recognises(source: Source) -> bool:
    if source.document is None and source.broken is None:
        return bool(_PERF_TEST.search(source.text))
    return source.text.lstrip("\n").startswith(("[", "#")) and "traceEvents" not in source.text[:4096] and bool(_EVENT.search(source.text))


def _runs(source: Source) -> tuple[Run, ...]:
    if source.document is None and source.broken is None:
        return (_printed(source),)
    events = source.json("profile")
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise source.refuse(1, "the profile is no list of events")
    passes = [event for event in events if event.get("name") == "model_run"]
    durations = [plain_number(event.get("dur")) for event in passes]
    if len(durations) < 2:
        raise source.refuse(source.last_line, f"{len(durations)} passes (model_run) are too few: run the model at least twice, the first pass only warms up")
    if None in durations:
        at = durations.index(None)
        raise source.refuse(source.line_of('"model_run"', at), f"the pass has no duration above 0: {passes[at].get('dur')!r}")
    timed = [duration for duration in durations[1:] if duration is not None]
    line = source.line_of('"model_run"', 1)
    return (Run(seconds=statistics.median(timed) * _US, statistic="median", passes=len(timed), line=line, stated=_target(source, events), remark="profiled"),)


def _target(source: Source, events: list[dict[str, Any]]) -> dict[str, str]:
    """The processor, by the execution provider that most nodes ran on."""
    named = [event["args"]["provider"] for event in events if isinstance(event.get("args"), dict) and isinstance(event["args"].get("provider"), str)]
    runtime = "tensorrt" if "TensorrtExecutionProvider" in named else "onnxruntime"
    processor = _PROVIDERS.get(statistics.mode(named)) if named else None
    return {"runtime": runtime, **({"processor": processor} if processor else {})}


def _printed(source: Source) -> Run:
    """What onnxruntime_perf_test prints at its end."""
    average, passes = None, 0
    for line_number, line in enumerate(source.lines, 1):
        if line_number == len(source.lines) and source.unended:  # its figure may have lost digits
            break
        if found := _AVERAGE.match(line.strip()):
            try:
                average = average or (line_number, number(found[1]) * _UNITS[found[2]])
            except ValueError as error:
                raise source.refuse(line_number, str(error)) from None
        if found := _PASSES.match(line.strip()):
            passes = int(found[1])
    if average is None or passes < 1:
        missing = "'Average inference time cost'" if average is None else "'Total inference requests'"
        raise source.refuse(source.last_line, f"the log is cut off: it has no line {missing}")
    return Run(seconds=average[1], statistic="mean", passes=passes, line=average[0], stated={"runtime": "onnxruntime"})


TOOL = Tool(name="onnxruntime", recognises=_recognises, runs=_runs)
