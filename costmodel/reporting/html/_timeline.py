"""The timeline of an estimate's page: the kernels as they run on a model of the machine, a lane for each slot of each engine, without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from costmodel.estimation import Estimate, lowered
from costmodel.quantity import binary, duration, share
from costmodel.reporting.tables import cropped
from costmodel.simulation import Settings, Span, Timeline, simulate
from costmodel.simulation._timeline import Piece

#: Width of the drawing in percent, and the narrowest bar: what is narrower joins its neighbour.
WIDTH, LEAST = 100.0, 0.15
#: Names of a bar of several steps, and letters of each.
_SHOWN, _LETTERS = 2, 40


class Bar(NamedTuple):
    """A step, or several narrow ones, of a lane: place and width in percent, what it is bound by, and words."""

    x: float
    width: float
    kind: str
    words: str


class Lane(NamedTuple):
    """A slot of an engine: its name, how busy it was, its bars."""

    name: str
    busy: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What the template draws. `beside` says how the makespan relates to the estimate."""

    makespan: str
    beside: str
    illustrative: tuple[str, ...]
    lanes: tuple[Lane, ...]
    kinds: tuple[str, ...]
    facts: str


def drawing(report: Estimate) -> Drawing:
    """The timeline of the network of an estimate on its target."""
    program = lowered(report.graph, report.target, report.weights)
    timeline = simulate(program, report.target, Settings(policy="ignore"))
    places = [(number, slot) for number, engine in enumerate(timeline.engines) for slot in range(engine.slots)]
    lanes = tuple(_lane(timeline, place) for place in places)
    equal = timeline.makespan_ps == timeline.estimate_ps
    facts = [f"{binary(timeline.peak_memory_bytes)} of memory at the most, weights included", *_missing(timeline)]
    if "streamed_bytes" in timeline.facts:
        facts.append(f"{binary(timeline.facts['cached_bytes'])} of parameters on chip, {binary(timeline.facts['streamed_bytes'])} streamed")
    return Drawing(
        makespan=duration(timeline.makespan_s),
        beside="as estimated" if equal else f"{share(timeline.makespan_s, timeline.estimate_s):.3f} times the estimate",
        illustrative=tuple(f"{made.name}: {made.what}" for made in timeline.mechanisms if made.basis == "illustrative"),
        lanes=lanes,
        kinds=tuple(kind for kind in ("compute", "memory", "overhead", "transfer") if any(bar.kind == kind for lane in lanes for bar in lane.bars)),
        facts="; ".join(facts),
    )


def _missing(timeline: Timeline) -> tuple[str, ...]:
    """What a memory that is too small lacks; moving bytes in and out of it is not part of the estimate, nor of the drawing."""
    missing = timeline.facts.get("memory_missing_bytes", 0.0)
    if not missing:
        return ()
    capacity = binary(timeline.memories[0].limit or 0)
    return (f"the memory of {capacity} is too small by {binary(missing)}: what moving bytes in and out would cost is left out here, as in the latency above",)


def _lane(timeline: Timeline, place: tuple[int, int]) -> Lane:
    engine = timeline.engines[place[0]]
    spans = sorted((span for span in timeline.spans if (span.engine, span.slot) == place and span.end_ps > span.start_ps), key=lambda span: span.start_ps)
    busy = share(sum(span.end_ps - span.start_ps for span in spans), timeline.makespan_ps)
    name = engine.name if engine.slots == 1 else f"{engine.name} {place[1] + 1}"
    return Lane(name, f"{busy:.0%}", tuple(_bars(timeline, spans)))


def _bars(timeline: Timeline, spans: Iterable[Span]) -> Iterable[Bar]:
    """Bars of a lane: neighbours that are too narrow to be seen are one, of the kind of the longest."""
    scale = share(WIDTH, timeline.makespan_ps)
    waiting: list[tuple[str, Piece]] = []
    for span in spans:
        for piece in timeline.pieces(span):
            if waiting and (piece.end_ps - waiting[0][1].start_ps) * scale > LEAST:
                yield _bar(waiting, scale)
                waiting = []
            waiting.append((span.name, piece))
    if waiting:
        yield _bar(waiting, scale)


def _bar(parts: list[tuple[str, Piece]], scale: float) -> Bar:
    longest = max((piece for _, piece in parts), key=lambda piece: piece.end_ps - piece.start_ps)
    start, end = parts[0][1].start_ps, parts[-1][1].end_ps
    names = [cropped(name, _LETTERS) for name in dict.fromkeys(name for name, _ in parts)]
    listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return Bar(round(start * scale, 2), round((end - start) * scale, 2), longest.kind, f"{listed}: {duration((end - start) / 1e12)}, {longest.kind}")
