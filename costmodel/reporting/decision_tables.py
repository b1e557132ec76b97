"""Fronts, recommendations and grids in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from costmodel.decisions import Certainty, Choice, Cost, Front, Grid, LeftOut, Offer, Recommendation, Standing, text_of
from costmodel.devices import Target
from costmodel.quantity import chance, duration, duration_between, si, significant
from costmodel.reporting.tables import BASIS_MARKS, BASIS_WORDS, EXTRA_DATA, NARROW, UPPER_BOUND, console, print_table, target_words

_CERTAINTY_STYLES: dict[Certainty, str] = {"surely": "green", "probably": "cyan", "perhaps": "yellow"}
_CERTAINTY_WORDS: dict[Certainty, str] = {
    "surely": "surely: the whole interval is within the latency limit",
    "probably": "probably: the estimate is",
    "perhaps": "perhaps: only the lower end of the interval is",
}
#: Networks left out that are named.
_NAMED = 3


def print_fronts(fronts: Sequence[Front], *, everything: bool) -> None:
    """For each target its front, with the networks that may belong to it, or with all of them."""
    out = console()
    for number, found in enumerate(fronts):
        if number:
            out.print()
        _print_where(out, found.target, found.batch)
        out.print()
        shown = [entry for entry in found.standings if everything or entry.on_front or entry.may_belong]
        level = f"{found.standings[0].offer.cost.interval.level:.0%} interval"
        headings = ["network", "top-1", "latency", level, "on the front", "probability", "beaten by", "family"]
        rows = [_standing_cells(entry) for entry in shown]
        kept = list(range(8)) if out.width >= NARROW else [0, 1, 2, 4]
        print_table(out, [headings[i] for i in kept], [[row[i] for i in kept] for row in rows], left=("family", "on the front", "beaten by"))
        beaten = len(found.standings) - len(found.best)
        more = len(found.standings) - len(shown)
        words = f"{len(found.best)} of {len(found.standings)} networks are on the front, {beaten} are beaten" + (
            f", {more} of them not shown (--all)" if more else ""
        )
        out.print(Text(words, style="dim"))
        _print_marks(out, [entry.offer for entry in shown])
        _print_left_out(out, found.left_out)
    out.print(Text("probability: of belonging to the true front, errors of latencies taken as independent", style="dim"))


def _standing_cells(entry: Standing) -> list[Text | str]:
    offer = entry.offer
    name = offer.network.name + _dagger(offer)
    standing = Text("front", style="bold green") if entry.on_front else Text("may belong", style="yellow") if entry.may_belong else Text("beaten", style="dim")
    against = "" if entry.probability_faster is None else f"{entry.beaten_by}, faster with {chance(entry.probability_faster)}"
    figures = [_top1(offer), _latency(offer.cost), _ends(offer.cost)]
    return [name, *figures, standing, chance(entry.probability), Text(against, style="dim"), offer.network.family]


def print_recommendation(found: Recommendation, targets: Sequence[Target], *, top: int) -> None:
    """For each precision the best that fit, what only perhaps does, and which limit keeps out how many."""
    out = console()
    limits = found.limits
    stated = [
        text
        for text in (
            limits.latency_s is not None and f"latency at most {duration(limits.latency_s)}",
            limits.top1 is not None and f"top-1 at least {limits.top1:g} %",
            limits.memory_bytes is not None and f"memory at most {si(limits.memory_bytes, 'B')}",
        )
        if text
    ]
    out.print(Text.assemble((", ".join(stated), "bold"), " on ", (targets[0].device.profile.title, "bold")))
    shown: list[Choice] = []
    for target in targets:
        chosen = [entry for entry in found.choices if entry.offer.target == target]
        perhaps = [entry for entry in found.perhaps if entry.offer.target == target]
        out.print()
        out.print(Text(target_words(target, found.batch), style="dim"))
        if not chosen and not perhaps:
            out.print("nothing fits")
            continue
        _print_choices(out, chosen[:top], perhaps[:_NAMED], limited=limits.latency_s is not None)
        shown += [*chosen[:top], *perhaps[:_NAMED]]
        if len(chosen) > top:
            out.print(Text(f"{len(chosen) - top} more fit (--top {len(chosen)})", style="dim"))
    out.print()
    order = "fastest first" if found.fastest_first else "most accurate first"
    out.print(Text(f"{len(found.choices)} of {found.considered} candidates fit, {order}; {_excluded(found)}", style="dim"))
    words = [_CERTAINTY_WORDS[word] for word in _CERTAINTY_WORDS if limits.latency_s is not None and any(entry.certainty == word for entry in shown)]
    if words:
        out.print(Text("; ".join(words), style="dim"))
    _print_marks(out, [entry.offer for entry in shown])
    _print_left_out(out, found.left_out)


def _print_choices(out: Console, chosen: Sequence[Choice], perhaps: Sequence[Choice], *, limited: bool) -> None:
    level = (*chosen, *perhaps)[0].offer.cost.interval.level
    headings = ["network", "top-1", "latency", f"{level:.0%} interval", "within", "memory", "MACs", "family"]
    rows = [_choice_cells(entry) for entry in (*chosen, *perhaps)]
    kept = [i for i in (range(8) if out.width >= NARROW else (0, 1, 2, 4)) if limited or headings[i] != "within"]
    print_table(out, [headings[i] for i in kept], [[row[i] for i in kept] for row in rows], left=("within", "family"))


def _choice_cells(entry: Choice) -> list[Text | str]:
    offer, cost = entry.offer, entry.offer.cost
    within = Text(f"{entry.certainty} {chance(entry.probability)}", style=_CERTAINTY_STYLES[entry.certainty])
    memory = si(cost.memory_bytes, "B")
    return [offer.network.name + _dagger(offer), _top1(offer), _latency(cost), _ends(cost), within, memory, si(cost.macs), offer.network.family]


def _excluded(found: Recommendation) -> str:
    """How many each limit, or several together, keep out."""
    if not found.excluded:
        return "no limit keeps anything out"
    return "kept out by " + ", ".join(f"{' and '.join(limits)}: {number}" for limits, number in found.excluded)


def print_grid(found: Grid) -> None:
    """A row for each cell: what changes, latency with its interval, throughput, memory."""
    out = console()
    first = found.cells[0]
    axes = [axis.name for axis in found.axes]
    out.print(Text.assemble((found.model, "bold"), " on ", (first.target.device.profile.title, "bold")))
    out.print(Text(target_words(first.target, first.batch) + (f"; what changes: {', '.join(axes)}" if axes else ""), style="dim"))
    out.print()
    headings = [*(axes if axes else ("network",)), "latency", f"{first.cost.interval.level:.0%} interval", "samples/s", "MACs", "memory", "energy"]
    rows: list[list[Text | str]] = []
    for cell in found.cells:
        cost = cell.cost
        own = [_value(cell.value(axis)) for axis in axes] or [cell.network]
        memory = si(cost.memory_bytes, "B") + (" !" if cost.fits is False else "")
        energy = "-" if cost.energy_j is None else si(cost.energy_j, "J")
        rows.append([*own, _latency(cost), _ends(cost), significant(cost.samples_per_s), si(cost.macs), memory, energy])
    print_table(out, headings, rows, left=("dtype",))
    notes = [BASIS_WORDS[mark] for mark in sorted({cell.cost.interval.basis for cell in found.cells} - {"calibrated"})]
    if any(cell.cost.fits is False for cell in found.cells):
        notes.append("! does not fit the device's memory")
    out.print(Text("; ".join([f"{len(found.cells)} cell{'s' if len(found.cells) != 1 else ''}", *notes]), style="dim"))


def _value(value: object) -> str:
    return "-" if value is None else text_of(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, int | float) else str(value)


def _print_where(out: Console, target: Target, batch: int) -> None:
    out.print(Text(target.device.profile.title, style="bold"))
    out.print(Text(target_words(target, batch), style="dim"))


def _print_marks(out: Console, offers: Sequence[Offer]) -> None:
    """What the marks beside names, accuracies and latencies mean."""
    notes = [BASIS_WORDS[mark] for mark in sorted({offer.cost.interval.basis for offer in offers} - {"calibrated"})]
    notes += [EXTRA_DATA] if any(_dagger(offer) for offer in offers) else []
    notes += [UPPER_BOUND] if any(offer.top1_is_bound for offer in offers) else []
    if notes:
        out.print(Text("; ".join(notes), style="dim"))


def _print_left_out(out: Console, left_out: Sequence[LeftOut]) -> None:
    if not left_out:
        return
    by_reason: dict[str, list[str]] = {}
    for entry in left_out:
        by_reason.setdefault(entry.reason, []).append(entry.name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        out.print(Text(f"left out: {', '.join(names[:_NAMED])}{more}: {reason}", style="dim"))


def _dagger(offer: Offer) -> str:
    return "†" if offer.figure is not None and offer.figure.extra_data else ""


def _top1(offer: Offer) -> str:
    return f"{'≤ ' if offer.top1_is_bound else ''}{offer.top1:.1f}"


def _latency(cost: Cost) -> str:
    return f"{duration(cost.latency_s)} {BASIS_MARKS[cost.interval.basis]}".rstrip()


def _ends(cost: Cost) -> str:
    return duration_between(cost.latency_low_s, cost.latency_high_s, "-")
