"""A timeline in the terminal: what the simulation says beside the estimate, how busy each engine was, and what held the end up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from costmodel.quantity import binary, duration, share, si, significant
from costmodel.reporting.tables import console, print_table, share_cell, target_words
from costmodel.simulation import Timeline


def print_timeline(timeline: Timeline, *, top: int) -> None:
    """Headline, facts, engines, mechanisms, and the `top` kernels of the chain that decided the makespan (0: all)."""
    out = console()
    out.print(Text.assemble((timeline.model, "bold"), " on ", (timeline.target.device.profile.title, "bold"), ", simulated"))
    out.print(Text(target_words(timeline.target, timeline.batch), style="dim"))
    out.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(timeline):
        facts.add_row(label, value)
    out.print(facts)
    out.print()
    busy = timeline.busy
    print_table(out, ["engine", "slots", "busy"], [_engine(name, slots, busy[name]) for name, slots in _engines(timeline)])
    for made in timeline.mechanisms:
        out.print(Text.assemble((f"{made.basis}: ", "yellow" if made.basis == "illustrative" else "dim"), f"{made.name}: {made.what}"))
    rows = list(_critical(timeline))
    shown = rows[:top] if top else rows
    if shown:
        out.print()
        out.print(Text(f"what decided the end: {len(shown)} of {len(rows)}", style="bold"))
        print_table(out, ["step", "phase", "engine", "time", "share"], shown, left=("phase", "engine", "share"))


def _facts(timeline: Timeline) -> list[tuple[str, Text | str]]:
    passes = f" for {timeline.inferences} inferences" if timeline.inferences > 1 else ""
    beside = share(timeline.makespan_s, timeline.estimate_s)
    facts: list[tuple[str, Text | str]] = [
        (
            "makespan",
            Text.assemble(
                (duration(timeline.makespan_s), "bold green"),
                passes,
                ("   illustrative: a mechanism has no measurement behind it" * timeline.illustrative, "yellow"),
            ),
        ),
        (
            "estimate",
            f"{duration(timeline.estimate_s)}   the simulation is {'equal' if timeline.makespan_ps == timeline.estimate_ps else f'{beside:.3f} times that'}",
        ),
        ("critical path", f"{duration(timeline.critical_path_s)}   the longest chain of dependent steps"),
        ("throughput", f"{significant(timeline.samples_per_s)} samples/s"),
        ("bound by", f"{_shares(timeline.bound_shares)}   whole kernels; transfers as memory, which an estimate counts as overhead"),
        ("spent on", f"{_shares(timeline.time_shares)}   as drawn: dispatch and barriers apart"),
        ("peak memory", peak_words(timeline)),
    ]
    if "memory_policy_bytes" in timeline.facts:
        waited = sum(span.stall_ps for span in timeline.spans) / 1e12
        facts.append(("memory policy", f"{binary(timeline.facts['memory_policy_bytes'])} moved, for which steps wait {duration(waited)}"))
    if timeline.energy_j is not None:
        facts.append(("energy", si(timeline.energy_j, "J")))
    if "cached_bytes" in timeline.facts:
        cached, streamed = timeline.facts["cached_bytes"], timeline.facts["streamed_bytes"]
        facts.append(("parameters", f"{binary(cached)} on chip, {binary(streamed)} streamed at every inference"))
    return facts


def _shares(shares: Mapping[str, float]) -> str:
    return " · ".join(f"{name} {value:.0%}" for name, value in sorted(shares.items(), key=lambda item: -item[1]) if value >= 0.005)


def peak_words(timeline: Timeline) -> str:
    """The most bytes that memory held, and what of the network lies outside or is beyond what there is."""
    held, outside = binary(timeline.peak_memory_bytes), timeline.outside_words
    missing = timeline.facts.get("memory_missing_bytes", 0.0)
    if outside:
        return f"{held}; outside at the most {outside}"
    return f"{held}, weights included" + (f": {binary(missing)} more than there is, at no cost here" if missing else "")


def _engines(timeline: Timeline) -> Iterable[tuple[str, int]]:
    return ((engine.name, engine.slots) for engine in timeline.engines)


def _engine(name: str, slots: int, busy: float) -> list[Text | str]:
    return [Text(name), str(slots), share_cell(busy, 1.0, 1.0)]


def _critical(timeline: Timeline) -> Iterable[list[Text | str]]:
    """The spans of the critical chain, the longest first; waits for a memory policy's bytes are transfers of their own."""
    found = [(piece.end_ps - piece.start_ps, span, piece.phase) for span, piece in timeline.critical_pieces()]
    for length, span, phase in sorted(found, key=lambda each: (-each[0], each[1].start_ps)):
        name, part = Text(span.name), share(length, timeline.makespan_ps)
        yield [name, phase, timeline.engines[span.engine].name, duration(length / 1e12), f"{part:.1%}"]
