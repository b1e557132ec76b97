"""The page of a search: the picture of its front, the front as a table, the best candidate in words, and how to get the figures again."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from costmodel._version import __version__
from costmodel.quantity import duration
from costmodel.reporting.html._assemble import assembled
from costmodel.reporting.html._facts import BASIS_WORDS
from costmodel.reporting.search_plot import draw_search, drawable
from costmodel.reporting.search_tables import number_text, search_cells

Document = Mapping[str, Any]


def search_page(document: Document, command: str) -> str:
    """The search as one HTML document, from what ``costmodel search --json`` prints; `command` is the line that gives it again."""
    best, words = document["best"], ("processor", "cores", "runtime", "dtype", "layout")
    failed = f", {document['failed']} failed" if document["failed"] else ""
    target = "" if document["target_s"] is None else f" within {duration(document['target_s'])}"
    return assembled(
        "search.html",
        styles=("page.css", "choice.css"),
        vendored=(),
        scripts=("base.js", "search_start.js"),
        data={},
        title=document["space"],
        subtitle=document["profile"]["name"],
        quantity=document["quantity"],
        words=[*(document[word] for word in words if document[word]), f"batch {document['batch']}"],
        counts=f"{number_text(document['evaluated'])} of {number_text(document['space_size'])} candidates evaluated by {document['algorithm']}{failed}; "
        f"{document['front_size']} on the front{target}",
        notes=[*document["warnings"], *([document["note"]] if document["note"] else [])],
        picture=_picture(document) if document["candidates"] else "",
        level="" if best is None else f"{best['interval']['level']:.0%}",
        rows=[search_cells(row) for row in document["front"]],
        best=best,
        choices=[] if best is None else [(block, ", ".join(f"{k} {v}" for k, v in fields.items())) for block, fields in best["choices"].items()],
        failed=document["failed"],
        failures=[f"{failure['candidate']}: {failure['reason']}" for failure in document["failures"]],
        reproducibility=_reproducibility(document, command),
    )


def _picture(document: Document) -> str:
    """The picture as an address that holds it; nothing of scores that none can show."""
    if not drawable(document):
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "front.png"
        draw_search(document, path)
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _reproducibility(document: Document, command: str) -> list[tuple[str, str]]:
    profile = document["profile"]
    bases = sorted({row["interval"]["basis"] for row in document["front"]})
    return [
        ("command", command),
        ("space", f"{document['space']}, fingerprint {document['space_fingerprint']}"),
        ("evaluator", document["evaluator"]),
        ("seed", str(document["seed"])),
        ("costmodel", __version__),
        ("device profile", f"{profile['name']} version {profile['version']}, sha256 {profile['sha256']}"),
        *((f"interval: {basis}", BASIS_WORDS[basis]) for basis in bases),
        ("on the front", "no other evaluated candidate is at least as fast and has at least the score, and is better in one of them, by the estimates"),
    ]
