"""`Timeline`: how a network ran in a simulation. Made by `simulate`; everything in it is immutable."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from costmodel._version import __version__
from costmodel.devices import Target
from costmodel.quantity import binary, share
from costmodel.simulation._build import Mechanism
from costmodel.simulation._core import Engine

SCHEMA_VERSION = 1
#: Phases that move bytes over a link.
TRANSFERS = frozenset({"stream", "transfer", "copy"})
#: Phases of a kernel that are not its work.
OVERHEADS = frozenset({"launch", "dispatch", "barrier"})


class Span(NamedTuple):
    """A step as it ran: `kernel` is a position in the program, -1 for what belongs to none; `stall_ps` of it were traffic of a memory policy."""

    name: str
    engine: int
    slot: int
    phase: str
    kernel: int
    inference: int
    start_ps: int
    end_ps: int
    stall_ps: int
    after: tuple[int, ...]


class Track(NamedTuple):
    """What a memory held, or a link moved a second, from each moment on; `limit` is None where there is none."""

    name: str
    unit: str
    limit: float | None
    samples: tuple[tuple[int, float], ...]

    @property
    def peak(self) -> float:
        """The largest sample."""
        return max((value for _, value in self.samples), default=0.0)

    @property
    def total(self) -> float:
        """The area below a rate: what was moved in all."""
        return sum(value * (later - now) for (now, value), (later, _) in zip(self.samples, self.samples[1:], strict=False)) / 1e12


class Piece(NamedTuple):
    """A part of a step: `kind` is what it is spent on, `phase` the step's, or ``transfer`` where it waits for a memory policy's bytes."""

    start_ps: int
    end_ps: int
    kind: str
    phase: str


class KernelSpan(NamedTuple):
    """A kernel of the program over all inferences: counts of one pass, the estimate of it, and how long it ran."""

    name: str
    kind: str
    flops: int
    traffic_bytes: int
    bound: str
    estimate_ps: int
    busy_ps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A network's run over time on a model of the machine.

    `critical` are the spans, by position, each of which let the next one start, up to the last end; `critical_path_ps` is the longest
    chain of dependent steps, however many engines there were. `estimate_ps` is what the analytic law says of the same number of
    passes, one after the other. `facts` are figures of the machine (bytes cached and streamed). `outside` are the most bytes of each kind (weights,
    model file, activations) that a memory policy kept outside at a moment.
    """

    model: str
    target: Target = field(repr=False)
    batch: int
    inferences: int
    makespan_ps: int
    estimate_ps: int
    critical_path_ps: int
    spans: tuple[Span, ...] = field(repr=False)
    engines: tuple[Engine, ...]
    kernels: tuple[KernelSpan, ...] = field(repr=False)
    critical: tuple[int, ...] = field(repr=False)
    memories: tuple[Track, ...] = field(repr=False)
    links: tuple[Track, ...] = field(repr=False)
    energy_j: float | None
    mechanisms: tuple[Mechanism, ...]
    facts: Mapping[str, float]
    outside: Mapping[str, int]
    warnings: tuple[str, ...]

    @property
    def makespan_s(self) -> float:
        """Seconds from the beginning to the last end."""
        return self.makespan_ps / 1e12

    @property
    def critical_path_s(self) -> float:
        """Seconds of the longest chain of dependent steps."""
        return self.critical_path_ps / 1e12

    @property
    def estimate_s(self) -> float:
        """Seconds of the analytic estimate."""
        return self.estimate_ps / 1e12

    @property
    def samples_per_s(self) -> float:
        """Samples of all inferences over the makespan."""
        return share(self.batch * self.inferences, self.makespan_s)

    @property
    def illustrative(self) -> bool:
        """Whether a mechanism took part that no measurement backs."""
        return any(mechanism.basis == "illustrative" for mechanism in self.mechanisms)

    @property
    def busy(self) -> dict[str, float]:
        """The share of the makespan that each engine's slots were busy."""
        times = [0] * len(self.engines)
        for span in self.spans:
            times[span.engine] += span.end_ps - span.start_ps
        return {engine.name: share(busy, self.makespan_ps * engine.slots) for engine, busy in zip(self.engines, times, strict=True)}

    def pieces(self, span: Span) -> tuple[Piece, ...]:
        """The parts of a step: first the wait for a memory policy's bytes, a ``transfer`` as what moves over a link is, then what it does itself.

        That is ``overhead`` for launches, barriers and terms, and else bound as the kernel.
        """
        ready_ps = min(span.end_ps, span.start_ps + span.stall_ps)
        if span.phase in TRANSFERS:
            kind = "transfer"
        elif span.kernel < 0 or span.phase in OVERHEADS:
            kind = "overhead"
        else:
            kind = self.kernels[span.kernel].bound
        found = (Piece(span.start_ps, ready_ps, "transfer", "transfer"), Piece(ready_ps, span.end_ps, kind, span.phase))
        return tuple(piece for piece in found if piece.end_ps > piece.start_ps)

    @property
    def outside_words(self) -> str:
        """What a memory policy kept outside at the most, in words; empty where it was nothing."""
        return ", ".join(f"{binary(nbytes)} of {kind}" for kind, nbytes in self.outside.items() if nbytes)

    @property
    def bound_shares(self) -> dict[str, float]:
        """Shares of the makespan, along `critical`, as the estimate has them: whole kernels, with their dispatch and barriers, by what bounds each.

        Launches and terms are overhead; transfers and waits for a memory policy's bytes count as memory. `time_shares` tells a kernel's parts apart.
        """
        totals = {"compute": 0, "memory": 0, "overhead": 0}
        for span, piece in self.critical_pieces():
            whole = span.kernel >= 0 and piece.phase != "launch"
            totals["memory" if piece.kind == "transfer" else self.kernels[span.kernel].bound if whole else piece.kind] += piece.end_ps - piece.start_ps
        return {name: share(total, self.makespan_ps) for name, total in totals.items()}

    @property
    def time_shares(self) -> dict[str, float]:
        """Shares of the makespan, along `critical`, by the kind of each of the `pieces`, which drawings show: dispatch and barriers of kernels are overhead."""
        totals = {"compute": 0, "memory": 0, "overhead": 0, "transfer": 0}
        for _, piece in self.critical_pieces():
            totals[piece.kind] += piece.end_ps - piece.start_ps
        return {name: share(total, self.makespan_ps) for name, total in totals.items()}

    def critical_pieces(self) -> Iterator[tuple[Span, Piece]]:
        """The `pieces` of the steps of `critical`, each with its step."""
        for span in (self.spans[number] for number in self.critical):
            for piece in self.pieces(span):
                yield span, piece

    @property
    def peak_memory_bytes(self) -> int:
        """The most bytes that memory held, weights and model file included; `outside` says what a policy kept outside."""
        return int(max((track.peak for track in self.memories), default=0))

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel simulate --json`` prints, as plain values."""
        target = self.target
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "device": target.device.name,
            "processor": target.processor,
            "runtime": target.runtime,
            "dtype": target.dtype,
            "threads": target.threads,
            "cores": target.cores_text,
            "layout": target.layout,
            "batch": self.batch,
            "inferences": self.inferences,
            "makespan_s": self.makespan_s,
            "estimate_s": self.estimate_s,
            "critical_path_s": self.critical_path_s,
            "samples_per_s": self.samples_per_s,
            "busy": self.busy,
            "bound_shares": self.bound_shares,
            "time_shares": self.time_shares,
            "peak_memory_bytes": self.peak_memory_bytes,
            "energy_j": self.energy_j,
            "illustrative": self.illustrative,
            "mechanisms": [mechanism._asdict() for mechanism in self.mechanisms],
            "facts": {**self.facts, **{f"{kind.replace(' ', '_')}_outside_bytes": nbytes for kind, nbytes in self.outside.items()}},
            "critical": [{"name": self.spans[number].name, "phase": self.spans[number].phase} for number in self.critical],
            "spans": [self._row(span) for span in self.spans],
            "warnings": list(self.warnings),
            "profile": {"name": target.device.name, "version": target.device.profile.version, "sha256": target.device.sha256},
            "costmodel_version": __version__,
        }

    def _row(self, span: Span) -> dict[str, Any]:
        return {
            "name": span.name,
            "engine": self.engines[span.engine].name,
            "slot": span.slot,
            "phase": span.phase,
            "inference": span.inference,
            "start_s": span.start_ps / 1e12,
            "end_s": span.end_ps / 1e12,
            "stall_s": span.stall_ps / 1e12,
        }

    def to_json(self) -> str:
        """`to_dict` as a JSON document; numbers keep full precision."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_csv(self) -> str:
        """The spans as CSV, a row each."""
        text = io.StringIO()
        rows = [self._row(span) for span in self.spans]
        table = csv.DictWriter(text, list(rows[0]) if rows else ["name"], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return text.getvalue()

    def to_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a Chrome trace, which Perfetto and chrome://tracing open: tracks of engines, counters of memory and bandwidth, dependencies as arrows."""
        importlib.import_module("costmodel.simulation._trace").write_trace(self, path)
