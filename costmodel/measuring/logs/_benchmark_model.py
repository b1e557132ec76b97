"""TensorFlow Lite's ``benchmark_model``: what it prints with and without ``--enable_op_profiling=true``.

Times are in microseconds, of the operator profile in milliseconds (tensorflow/lite/tools/benchmark/benchmark_model.cc and
tensorflow/core/util/stats_calculator.cc). The last ``count=`` line is that of the timed runs; the one before is the warm-up's. A log without the
closing ``Inference timings in us`` line was cut off, and so was one with operator profiles whose last does not end with ``nodes observed``.
"""

from __future__ import annotations

import re

from costmodel.measuring.logs._log import Run, Source, Tool, number

_SIGNS = re.compile(
    r"^(?:INFO: |\S+ )?(?:Min num runs: \[|#threads used for CPU inference: \[|Initialized session in |(?:Average i|I)nference timings in us: |STARTING!)",
    re.MULTILINE,
)
_COUNT = re.compile(r"count=(\d+)\s.*?\bavg=(\S+)")
_MEDIAN = re.compile(r"\bmedian=(\S+)")
#: In newer versions, and in the first ones.
_FINAL = re.compile(r"(?:Inference timings in us: .*Inference \(avg\)|Average inference timings in us: .*(?:Inference|no stats)): (\S+)")
_GRAPH = re.compile(r"(?:Graph: \[([^\]]+)\]|Loaded model (\S+))")
_THREADS = re.compile(r"(?:Num threads|#threads used for CPU inference): \[(-?\d+)\]")
_DELEGATE = re.compile(r"Use (xnnpack|gpu|nnapi|hexagon|coreml): \[(1|true)\]", re.IGNORECASE)
_CREATED = re.compile(r"(XNNPACK delegate for CPU|GPU delegate|Created 1 GPU delegate kernels|NNAPI delegate)")
_FAILED = re.compile(r"^(?:ERROR: |E tflite|Benchmarking failed|Failed to |Aborted|Segmentation fault)")
_NODE_LINE = re.compile(r"^\s+(\S[^\t]*?)\s+(\d+)\s+([\d.]+)\s+([\d.]+)%\s+([\d.]+)%\s+([\d.]+)\s+(\d+)\s*$")
_SUMMARY = "Summary by node type"
#: What profiles of operators begin and end with: of the start, where it has one, then of the runs.
_PROFILED = re.compile(r"Enable op profiling\s*: \[1\]|Profiling Info for |=== Run Order ===|=== Summary by node type ===")
_OF_START, _OF_RUNS = "Profiling Info for Benchmark Initialization", "Profiling Info for Regular Benchmark Runs"
_TABLE, _PROFILE_END = "=== Run Order ===", re.compile(r"^\d+ nodes observed\s*$", re.MULTILINE)
#: A profile that goes to a file of its own.
_ELSEWHERE = re.compile(r"CSV[^\[\n]*: \[[^\]\s]+\]", re.IGNORECASE)
#: How far the operators' sum may lie above the average of whole runs: it is of the same runs, and timers cost.
_TOLERANCE = 1.25
#: From microseconds and milliseconds to seconds.
_US, _MS = 1e-6, 1e-3


def _recognises(source: Source) -> bool:
    return source.document is None and source.broken is None and bool(_SIGNS.search(source.text))


def _runs(source: Source) -> tuple[Run, ...]:
    counts, final, model, threads = [], None, "", None
    for line_number, line in enumerate(source.lines, 1):
        if _FAILED.match(line):
            raise source.refuse(line_number, f"the run failed: {line.strip()[:120]}")
        if (found := _COUNT.search(line)) and "Timings (microseconds)" not in line and "Memory (bytes)" not in line:
            counts.append((line_number, found, line))
        if found := _GRAPH.search(line):
            model = model or (found[1] or found[2])
        if found := _THREADS.search(line):
            threads = int(found[1])
        if found := _FINAL.search(line):
            if final is not None:
                raise source.refuse(line_number, "a second run in one log; keep one log a file")
            final = (line_number, found[1])
    if final is None:
        raise source.refuse(source.last_line, "the log is cut off: it ends without the line 'Inference timings in us'")
    if len(counts) < 1:
        raise source.refuse(final[0], "no line says how many runs were timed (count=...)")
    line_number, count, line = counts[-1]
    seconds, statistic = _time(source, line_number, count, line)
    _agrees(source, final, count[2])
    _check_profile(source, seconds)
    return (
        Run(
            seconds=seconds,
            statistic=statistic,
            passes=int(count[1]),
            line=line_number,
            model=model,
            threads=threads if threads and threads > 0 else None,
            stated=_target(source),
            remark="with operator profiling" if _PROFILED.search(source.text) else "",
        ),
    )


def _time(source: Source, line_number: int, count: re.Match[str], line: str) -> tuple[float, str]:
    """(seconds, statistic): the median where the tool prints one (2.16 and newer), else the mean."""
    median = _MEDIAN.search(line)
    try:
        return number((median or count)[1 if median else 2].rstrip(",")) * _US, "median" if median else "mean"
    except ValueError as error:
        raise source.refuse(line_number, f"{error}: {line.strip()[:120]}") from None


def _agrees(source: Source, final: tuple[int, str], average: str) -> None:
    """Whether the closing line states the same average, to its few digits."""
    try:
        stated, counted = number(final[1].rstrip(",")), number(average.rstrip(","))
    except ValueError as error:
        raise source.refuse(final[0], str(error)) from None
    if abs(stated / counted - 1) > 0.02:
        raise source.refuse(final[0], f"the average of {stated:g} us differs from the {counted:g} us of the runs before: parts of two logs")


def _target(source: Source) -> dict[str, str]:
    """Runtime and processor, by the delegates that were used."""
    used = {found[1].lower() for found in _DELEGATE.finditer(source.text)}
    created = " ".join(found[1] for found in _CREATED.finditer(source.text))
    if "gpu" in used or "GPU delegate" in created:
        return {"processor": "gpu", "runtime": "tflite-gpu", "dtype": "fp16"}
    if other := used & {"nnapi", "hexagon", "coreml"}:
        name = sorted(other)[0]
        raise source.refuse(source.line_of(f"Use {name}"), f"{name} is no runtime that profiles know; measure without --use_{name}")
    if "xnnpack" in used or "XNNPACK" in created:
        return {"processor": "cpu", "runtime": "tflite-xnnpack"}
    return {"processor": "cpu", "runtime": "tflite"}


def _check_profile(source: Source, seconds: float) -> None:
    """Whether the operators of the profile's summary add up to no more than a run: the sum of the runs' section, which is the last."""
    _require_profile(source)
    lines = source.lines
    starts = [number for number, line in enumerate(lines) if _SUMMARY in line]
    if not starts:
        return
    total, rows, at = 0.0, 0, starts[-1]
    for line_number in range(at + 2, len(lines)):
        found = _NODE_LINE.match(lines[line_number])
        if found is None:
            break
        total, rows = total + float(found[3]) * _MS, rows + 1
    if not rows:
        raise source.refuse(at + 1, "the operator profile is cut off: its summary by node type is empty")
    if total > _TOLERANCE * seconds:
        raise source.refuse(at + 1, f"the operators take {total * 1e3:.4g} ms, more than the whole run's {seconds * 1e3:.4g} ms: parts of two logs")


def _require_profile(source: Source) -> None:
    """Whether the profiles of operators that were asked for are there to their end."""
    text = source.text
    if not _PROFILED.search(text) or (_TABLE not in text and _ELSEWHERE.search(text)):
        return
    if (_OF_START in text and _OF_RUNS not in text) or not _PROFILE_END.search(text, max(0, text.rfind(_TABLE), text.rfind(_OF_RUNS))):
        raise source.refuse(source.last_line, "the log is cut off: the operator profile of its runs does not end with the line 'nodes observed'")


TOOL = Tool(name="TFLite benchmark_model", recognises=_recognises, runs=_runs)
