"""The page itself: template, styles, scripts and data put together, nothing loaded from elsewhere.

A content security policy forbids the page every request, and every script but its own, which it names by their hashes.
Text reaches the page through the template's escaping or, in data, through `textContent` alone.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from costmodel.errors import CostModelError
from costmodel.estimation import Estimate
from costmodel.opportunities import opportunities
from costmodel.reporting.html import _facts
from costmodel.reporting.html._data import document, embedded

_HERE = Path(__file__).parent
#: Scripts in the order that they run.
_VENDORED = ("echarts.slim.min.js", "dagre.min.js")
_SCRIPTS = ("base.js", "charts.js", "table.js", "graph.js", "whatif.js", "start.js")
#: Licences of what the page carries, which their terms ask to go with it.
_LICENCES = ("NOTICE-echarts", "LICENSE-echarts", "LICENSE-zrender", "LICENSE-d3", "LICENSE-tslib", "LICENSE-dagre")


def page(report: Estimate) -> str:
    """The estimate as one HTML document: works from a file, without a network, in print, and in part without scripts."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(_HERE / "assets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    own = "\n".join(_read("assets", name) for name in _SCRIPTS)
    scripts = [*(_read("vendor", name).strip() for name in _VENDORED), f'(() => {{\n"use strict";\n{own}}})();']
    return environment.get_template("page.html").render(
        report=report,
        policy=_policy(scripts),
        style=Markup(_read("assets", "page.css")),
        scripts=[Markup(text) for text in scripts],
        data=Markup(embedded(document(report))),
        target_words=_facts.target_words(report),
        latency=_facts.latency(report),
        headline=_facts.headline(report),
        opportunities=_facts.opportunity_rows(report, opportunities(report)),
        reproducibility=_facts.reproducibility(report),
        licences=[(name, _read("vendor", name)) for name in _LICENCES],
    )


def write(report: Estimate, path: str | os.PathLike[str]) -> None:
    """Write the page of an estimate into a file.

    Raises
    ------
    CostModelError
        If the file cannot be written; names it.
    """
    text = page(report)
    try:
        Path(path).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise CostModelError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}; choose another place for the page") from None


def _read(folder: str, name: str) -> str:
    return (_HERE / folder / name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    """The content security policy: no request at all, these scripts, styles of the page, images made by the page."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
