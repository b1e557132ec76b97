"""Predicted beside measured, operator by operator, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from costmodel.quantity import duration
from costmodel.reporting.tables import console, print_table

Document = Mapping[str, Any]


def print_matched(document: Document, where: str, *, top: int) -> None:
    """Totals, the `top` pairs that differ most in seconds (0: all), and how much only one side has; `document` is that of `Matched.to_dict`."""
    out, pairs = console(), document["pairs"]
    out.print(Text.assemble((where, "bold"), f", beside a profile of {document['tool']}"))
    totals = f"predicted {duration(document['predicted_s'])}, measured {duration(document['measured_s'])}"
    medians = f" (medians of {document['passes']} passes)" if document["passes"] > 1 else ""
    out.print(f"{totals}{medians}; {document['matched_share']:.1%} of it in {len(pairs)} pairs")
    _print_rest(out, document["only_predicted"], "kernel", "predicted_s", "an operator")
    _print_rest(out, document["only_measured"], "operator", "measured_s", "a kernel")
    out.print()
    rows: list[list[Text | str]] = [
        [
            Text(pair["kernel"]),
            pair["kind"],
            pair["operator"],
            duration(pair["predicted_s"]),
            duration(pair["measured_s"]),
            f"{pair['error']:+.0%}",
        ]
        for pair in (pairs[:top] if top else pairs)
    ]
    print_table(out, ["kernel", "kind", "measured as", "predicted", "measured", "error"], rows, left=("kind", "measured as"))


def _print_rest(out: Any, rows: list[Document], what: str, seconds: str, other: str) -> None:
    """A line about what one side has alone."""
    if rows:
        shown = ", ".join(f"{row[what]} {duration(row[seconds])}" for row in rows[:3])
        total = duration(sum(row[seconds] for row in rows))
        more = ", ..." if len(rows) > 3 else ""
        out.print(Text(f"{what}s without {other}: {len(rows)}, {total}: {shown}{more}", style="dim"))
