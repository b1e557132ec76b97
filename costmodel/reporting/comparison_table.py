"""A comparison in the terminal: networks by devices, and of two where the difference comes from."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from costmodel.decisions import Change, Pair, SideBySide
from costmodel.estimation import Estimate
from costmodel.interval import Difference
from costmodel.quantity import binary, chance, duration, duration_between, share, si, significant
from costmodel.reporting.comparison import Comparison
from costmodel.reporting.tables import BASIS_MARKS, BASIS_WORDS, LEAST_NAME, console, print_table

#: Cells of the columns of parameters and MACs, which give way before latencies do.
_COUNTS_WIDTH = 20


def print_comparison(table: Comparison, *, per: str = "kind", top: int = 12) -> None:
    """Networks by devices: latency, its interval, peak activation memory; of two the difference, and what it comes from per kind or kernel."""
    out = console()
    head = table.rows[0]
    devices = table.device_names
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column("network", no_wrap=True, overflow="ellipsis", ratio=1)
    against = {id(entry.second): entry.difference for entry in table.differences} if table.difference is None else {}
    cells = [[_latency_cell(report, against.get(id(report))) for report in row] for row in table.rows]
    needed = sum(max(len(line) + 2 for row in cells for line in row[position].plain.splitlines()) for position in range(len(head)))
    counts = ("parameters", "MACs") if out.width >= LEAST_NAME + _COUNTS_WIDTH + needed else ()
    for heading in counts:
        grid.add_column(heading, justify="right", no_wrap=True)
    for device in devices:
        grid.add_column(Text(device), justify="right")
    for row, latencies in zip(table.rows, cells, strict=True):
        grid.add_row(row[0].title, *(si(row[0].parameters), si(row[0].macs))[: len(counts)], *latencies)
    out.print(grid)
    marks = {report.interval.basis for row in table.rows for report in row} - {"calibrated"}
    levels = " or ".join(sorted({f"{report.interval.level:.0%}" for row in table.rows for report in row}))
    legend = [f"each cell: latency, its {levels} interval, peak of the activations", *(BASIS_WORDS[mark] for mark in sorted(marks))]
    if against:
        legend.insert(1, f"time against that of the first {'network' if len(table.rows) > 1 else 'device'}, and how probably it is faster")
    out.print(Text("; ".join(legend), style="dim"))
    for row in table.rows:
        if row[0].convention is not None:
            out.print(Text(f"{row[0].title} as {row[0].convention.convention}: {si(row[0].convention.value)} {row[0].convention.word}", style="dim"))
    for place, device in enumerate(devices):
        named = f"{device}: " if len(set(devices)) > 1 else ""
        out.print(Text(named + table.column_words(place), style="dim"))
    found = table.difference
    if found is not None:
        second = table.rows[-1][-1]
        name = second.title if len(table.rows) > 1 else devices[-1]
        out.print()
        ends = f"{found.level:.0%}: {significant(found.ratio_low)} to {significant(found.ratio_high)}"
        out.print(Text.assemble((name, "bold"), " takes ", (f"{significant(found.ratio)} x", "bold"), " the time of the first ", (f"({ends})", "dim")))
        out.print(Text.assemble("probability that it is faster: ", (chance(found.probability_faster), "bold")))
    both = table.side_by_side
    if both is not None and any([*(pair.difference_s for pair in both.pairs), *(term.difference_s for term in both.terms)]):
        out.print()
        _print_kinds(out, both, top) if per == "kind" else _print_pairs(out, both, top)


def _latency_cell(report: Estimate, against: Difference | None) -> Text:
    """A latency with the mark of its basis, over its interval, the peak of the activations, and the difference from the first."""
    mark = BASIS_MARKS[report.interval.basis]
    ends = duration_between(report.latency_low_s, report.latency_high_s, "-")
    versus = "" if against is None else f"\n{significant(against.ratio)} x, faster {chance(against.probability_faster)}"
    return Text.assemble((f"{duration(report.latency_s)} {mark}".rstrip(), "bold green"), (f"\n{ends}\n{binary(report.peak_activation_bytes)}{versus}", "dim"))


def _print_kinds(out: Console, both: SideBySide, top: int) -> None:
    """Where the difference comes from, kinds of kernels and terms outside kernels."""
    changes = sorted((change for change in both.kinds if change.difference_s), key=lambda change: -abs(change.difference_s))
    shown = changes[:top] if top else changes
    rows: list[list[Text | str]] = [
        [change.name.replace("_", " "), *_sides(change.first_s, change.second_s), _numbers(change), _part(change.difference_s, both)] for change in shown
    ]
    out.print(Text(_heading(both), style="bold"))
    print_table(out, ["kind of kernel", "first", "second", "difference", "kernels", "of it"], rows)
    _print_rest(out, len(shown), len(changes), "kinds")


def _print_pairs(out: Console, both: SideBySide, top: int) -> None:
    """Where the difference comes from, kernel by kernel."""
    pairs = [pair for pair in both.by_difference if pair.difference_s]
    shown = pairs[:top] if top else pairs
    rows: list[list[Text | str]] = [[_names(pair), *_pair_cells(pair), pair.by, _part(pair.difference_s, both)] for pair in shown]
    out.print(Text(_heading(both), style="bold"))
    print_table(out, ["kernel", "first", "second", "difference", "matched by", "of it"], rows, left=("matched by",))
    _print_rest(out, len(shown), len(pairs), "kernels")
    outside = [f"{change.name.replace('_', ' ')} {_signed(change.difference_s)}" for change in both.terms if change.difference_s]
    if outside:
        out.print(Text(f"outside kernels: {', '.join(outside)}", style="dim"))


def _heading(both: SideBySide) -> str:
    return f"where the difference of {_signed(both.difference_s)} comes from" if both.difference_s else "what differs though both take equally long"


def _print_rest(out: Console, shown: int, all_of_them: int, noun: str) -> None:
    if shown < all_of_them:
        out.print(Text(f"{shown} of {all_of_them} {noun} that differ; --top 0 lists all", style="dim"))


def _names(pair: Pair) -> str:
    """What the two are called; one name where it is the same."""
    first, second = ("-" if kernel is None else kernel.name for kernel in (pair.first, pair.second))
    return first if first == second else f"{first} / {second}"


def _pair_cells(pair: Pair) -> list[Text | str]:
    first, second = (None if kernel is None else kernel.latency_s for kernel in (pair.first, pair.second))
    return ["-" if first is None else duration(first), "-" if second is None else duration(second), _signed(pair.difference_s)]


def _sides(first_s: float, second_s: float) -> list[Text | str]:
    return [duration(first_s), duration(second_s), _signed(second_s - first_s)]


def _numbers(change: Change) -> str:
    return f"{change.first_kernels} / {change.second_kernels}" if change.first_kernels or change.second_kernels else "-"


def _signed(seconds: float) -> str:
    return f"{'-' if seconds < 0 else '+'}{duration(abs(seconds))}"


def _part(seconds: float, both: SideBySide) -> str:
    """A share of the whole difference; what works against it is negative."""
    return f"{share(seconds, both.difference_s):+.0%}" if both.difference_s else "-"
