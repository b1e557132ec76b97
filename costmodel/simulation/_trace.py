"""A timeline as a Chrome trace: the JSON object of Google's "Trace Event Format", which Perfetto and chrome://tracing open.

Each engine is a thread (each slot of an engine of several has its own), its steps are complete events (``X``). Their times are microseconds with three
decimals: Perfetto's clock counts nanoseconds, rounds start and duration apart, and drops a step that ends a nanosecond inside the next one; the
picoseconds stand among the arguments. Memories, links and the traffic of kernels are counters (``C``); dependencies between engines are flows
(``s`` to ``f``). The same timeline gives the same bytes.
"""

from __future__ import annotations

import json
import os
from typing import Any

from costmodel import durable
from costmodel.errors import printable
from costmodel.simulation._timeline import TRANSFERS, Span, Timeline

Event = dict[str, Any]
_PID = 1


def write_trace(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write `trace_text`, whole or not at all.

    Raises
    ------
    CostModelError
        If the file cannot be written: names it.
    """
    durable.put(path, trace_text(timeline))


def trace_text(timeline: Timeline) -> str:
    """The trace as JSON, an event a line."""
    events = [*_names(timeline), *_spans(timeline), *_counters(timeline), *_flows(timeline)]
    lines = ",\n".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events)
    about = json.dumps(_about(timeline), ensure_ascii=False, separators=(",", ":"))
    return f'{{"displayTimeUnit":"ms","otherData":{about},"traceEvents":[\n{lines}\n]}}\n'


def _about(timeline: Timeline) -> dict[str, str]:
    target = timeline.target
    basis = "illustrative" if timeline.illustrative else "as estimated"
    backed = {f"{made.basis}: {made.name}": made.what for made in timeline.mechanisms}
    return backed | {"model": timeline.model, "device": target.device.name, "processor": target.processor, "runtime": target.runtime, "basis": basis}


def _us(ps: int) -> float:
    """Microseconds of the nearest nanosecond."""
    return _ns(ps) / 1e3


def _ns(ps: int) -> int:
    return (ps + 500) // 1000


def _threads(timeline: Timeline) -> dict[tuple[int, int], int]:
    """(engine, slot) -> thread number."""
    slots = ((number, slot) for number, engine in enumerate(timeline.engines) for slot in range(engine.slots))
    return {place: thread for thread, place in enumerate(slots, start=1)}


def _names(timeline: Timeline) -> list[Event]:
    target = timeline.target
    title = printable(f"{timeline.model} on {target.device.name} {target.processor} ({target.runtime}, {target.dtype}, batch {timeline.batch})")
    found: list[Event] = [{"ph": "M", "pid": _PID, "name": "process_name", "args": {"name": title}}]
    for (number, slot), thread in _threads(timeline).items():
        engine = timeline.engines[number]
        name = engine.name if engine.slots == 1 else f"{engine.name} {slot + 1}"
        found.append({"ph": "M", "pid": _PID, "tid": thread, "name": "thread_name", "args": {"name": name}})
        found.append({"ph": "M", "pid": _PID, "tid": thread, "name": "thread_sort_index", "args": {"sort_index": thread}})
    return found


def _spans(timeline: Timeline) -> list[Event]:
    threads = _threads(timeline)
    found = []
    for span in timeline.spans:
        if span.phase == "join":
            continue
        arguments: dict[str, Any] = {"phase": span.phase, "inference": span.inference, "start_ps": span.start_ps, "duration_ps": span.end_ps - span.start_ps}
        if span.kernel >= 0:
            kernel = timeline.kernels[span.kernel]
            arguments |= {"kind": kernel.kind, "flops": kernel.flops, "traffic_bytes": kernel.traffic_bytes, "bound": kernel.bound}
        if span.stall_ps:
            arguments["stall_ps"] = span.stall_ps
        found.append(
            {
                "ph": "X",
                "pid": _PID,
                "tid": threads[span.engine, span.slot],
                "ts": _us(span.start_ps),
                "dur": (_ns(span.end_ps) - _ns(span.start_ps)) / 1e3,
                "name": printable(span.name),
                "cat": span.phase,
                "args": arguments,
            }
        )
    return found


def _counters(timeline: Timeline) -> list[Event]:
    found = []
    for track in (*timeline.memories, *timeline.links):
        name, unit = (f"{track.name} held", "bytes") if track in timeline.memories else (track.name, track.unit)
        found += [{"ph": "C", "pid": _PID, "ts": _us(ps), "name": name, "args": {unit: value}} for ps, value in _last_of_each(track.samples)]
    return found + [{"ph": "C", "pid": _PID, "ts": _us(ps), "name": "traffic of kernels", "args": {"B/s": value}} for ps, value in _traffic(timeline)]


def _last_of_each(samples: tuple[tuple[int, float], ...]) -> list[tuple[int, float]]:
    """One sample a moment: the last."""
    return list(dict(samples).items())


def _traffic(timeline: Timeline) -> list[tuple[int, float]]:
    """Bytes a second that kernels move, spread evenly over the time in which each runs."""
    changes: dict[int, float] = {}
    inferences = timeline.inferences
    for span in timeline.spans:
        busy = timeline.kernels[span.kernel].busy_ps if span.kernel >= 0 and span.phase not in ("launch", *TRANSFERS) else 0
        if busy and span.end_ps > span.start_ps:
            rate = timeline.kernels[span.kernel].traffic_bytes * inferences / busy * 1e12
            changes[span.start_ps] = changes.get(span.start_ps, 0.0) + rate
            changes[span.end_ps] = changes.get(span.end_ps, 0.0) - rate
    found: list[tuple[int, float]] = []
    total = 0.0
    for ps in sorted(changes):
        total += changes[ps]
        found.append((ps, round(max(0.0, total))))
    return found


def _flows(timeline: Timeline) -> list[Event]:
    """An arrow for each dependency from one engine to another.

    It leaves from the middle of the step: at its end Perfetto takes the step that follows there.
    """
    threads, found, number = _threads(timeline), [], 0
    for span in timeline.spans:
        for position in span.after:
            before = timeline.spans[position]
            if before.engine == span.engine or "join" in (before.phase, span.phase):
                continue
            number += 1
            middle_ps = (before.start_ps + before.end_ps) // 2
            found += [_end_of_flow("s", number, before, threads, middle_ps), _end_of_flow("f", number, span, threads, span.start_ps)]
    return found


def _end_of_flow(kind: str, number: int, span: Span, threads: dict[tuple[int, int], int], ps: int) -> Event:
    event: Event = {"ph": kind, "pid": _PID, "tid": threads[span.engine, span.slot], "ts": _us(ps), "id": number, "name": "dependency", "cat": "dependency"}
    return event | ({"bp": "e"} if kind == "f" else {})
