"""Searches in the terminal and as CSV; all take the documents that ``costmodel search --json`` prints. `Live` shows one while it runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from costmodel.quantity import binary, duration, duration_between, si, significant
from costmodel.reporting.decisions import to_csv
from costmodel.reporting.tables import console, print_table

Document = Mapping[str, Any]

#: Rows of the front in the terminal: the ends and some between.
_SHOWN, _LIVE = 12, 6
_COLUMNS = ("candidate", "score", "latency_s", "macs", "parameters", "peak_activation_bytes", "on_front")


def search_csv(document: Document) -> str:
    """A row for each candidate with a score, the best first; an evaluator reads the columns candidate and score."""
    return to_csv(document["candidates"], columns=_COLUMNS)


def print_search(document: Document) -> None:
    """What was searched, the front, and the best candidate in words."""
    out = console()
    out.print(Text.assemble((document["space"], "bold"), " on ", (document["profile"]["name"], "bold"), f"  {document['quantity']}"))
    words = (document["processor"], document["cores"], document["runtime"], document["dtype"], document["layout"], f"batch {document['batch']}")
    out.print(Text(" · ".join(word for word in words if word), style="dim"))
    failed = f", {document['failed']} failed" if document["failed"] else ""
    target = "" if document["target_s"] is None else f" within {duration(document['target_s'])}"
    out.print(
        Text(
            f"{number_text(document['evaluated'])} of {number_text(document['space_size'])} candidates evaluated by {document['algorithm']}{failed}",
            style="dim",
        )
    )
    for failure in document["failures"][:3]:
        out.print(Text(f"failed: {failure['candidate']}: {failure['reason']}", style="dim"))
    if document["note"]:
        out.print(Text(document["note"], style="dim"))
    best = document["best"]
    if best is None:
        out.print(f"no candidate{target} has a score")
        return
    out.print()
    out.print(Text(f"the front{target}: {document['front_size']} candidates that no other beats in both", style="dim"))
    rows = [search_cells(row) for row in _spread(document["front"], _SHOWN)]
    print_table(out, ["candidate", "score", "latency", f"{best['interval']['level']:.0%} between", "MACs", "parameters", "peak memory"], rows)
    out.print()
    out.print(Text.assemble("the best", target, ": ", (best["candidate"], "bold green")))
    for block, fields in best["choices"].items():
        out.print(Text(f"  {block}  {', '.join(f'{name} {value}' for name, value in fields.items())}"))


def search_cells(row: Document) -> list[Text | str]:
    """A candidate of the front as people read it: candidate, score, latency, interval, MACs, parameters, peak memory."""
    return [
        row["candidate"],
        score_text(row["score"]),
        duration(row["latency_s"]),
        duration_between(row["latency_low_s"], row["latency_high_s"]),
        si(row["macs"]),
        si(row["parameters"]),
        binary(row["peak_activation_bytes"]),
    ]


def number_text(number: int) -> str:
    """A number of candidates: whole up to a million, then with three digits.

    Examples
    --------
    >>> number_text(20000), number_text(15045919506432)
    ('20,000', '1.5e+13')
    """
    return f"{number:,}" if number < 10**6 else f"{number:.3g}"


def score_text(score: float) -> str:
    """A score for people: large ones with a prefix, others with four digits.

    Examples
    --------
    >>> score_text(76.42915), score_text(690139120.0), score_text(-3.5)
    ('76.43', '690 M', '-3.500')
    """
    return si(score) if abs(score) >= 1e5 else significant(score, 4)


def _spread(rows: Sequence[Document], most: int) -> list[Document]:
    """At most `most` rows, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


class Live:
    """Progress and the front so far on stderr, while a search runs; nothing where stderr is no terminal."""

    def __init__(self, *, wanted: int, quantity: str) -> None:
        self._out = Console(stderr=True, highlight=False)
        self._shown = sys.stderr.isatty()
        self._quantity, self._wanted = quantity, wanted
        self._live = RichLive(Text("searching ..."), console=self._out, refresh_per_second=4, transient=True)

    def __enter__(self) -> Live:
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._shown:
            self._live.stop()

    def update(self, *, done: int, failed: int, proposed: int, front: Sequence[tuple[str, float, float]]) -> None:
        """Show so many evaluated, failed and proposed candidates, and the front: (candidate, score, seconds), fastest first."""
        if not self._shown:
            return
        self._live.update(self.picture(done=done, failed=failed, proposed=proposed, front=front))

    def picture(self, *, done: int, failed: int, proposed: int, front: Sequence[tuple[str, float, float]]) -> Group:
        """What `update` shows."""
        head = Text(f"{done} of {self._wanted} candidates evaluated, {failed} failed, {proposed} proposed; the front so far has {len(front)}")
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading, side in (("candidate", "left"), (self._quantity, "right"), ("latency", "right")):
            table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]  # one of rich's words
        chosen = front if len(front) <= _LIVE else front[-_LIVE:]
        for candidate, score, seconds in chosen:
            table.add_row(Text(candidate), score_text(score), duration(seconds))
        return Group(head, ProgressBar(total=self._wanted, completed=done, width=40), table)
