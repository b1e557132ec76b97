"""Pages put together: template, styles, scripts and data in one text, nothing loaded from elsewhere.

A content security policy forbids a page every request, and every script but its own, which it names by their hashes.
Text reaches a page through the template's escaping or, in data, through `textContent` alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
#: Licences of what a vendored script is made of, which their terms ask to go with it.
_LICENCES = {
    "echarts.slim.min.js": ("NOTICE-echarts", "LICENSE-echarts", "LICENSE-zrender", "LICENSE-d3", "LICENSE-tslib"),
    "dagre.min.js": ("LICENSE-dagre",),
}


def assembled(template: str, *, styles: Sequence[str], vendored: Sequence[str], scripts: Sequence[str], data: dict[str, Any], **words: Any) -> str:
    """A page: works from a file, without a network, in print, and in part without scripts.

    Parameters
    ----------
    template, styles, scripts : names of assets; scripts run in their order, as one, after the `vendored` ones.
    data : the document that the scripts work on.
    words : what the template names besides.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(_HERE / "assets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    own = "\n".join(_read("assets", name) for name in scripts)
    texts = [*(_read("vendor", name).strip() for name in vendored), f'(() => {{\n"use strict";\n{own}}})();']
    return environment.get_template(template).render(
        policy=_policy(texts),
        style=Markup("".join(_read("assets", name) for name in styles)),
        scripts=[Markup(text) for text in texts],
        data=Markup(embedded(data)),
        licences=[(name, _read("vendor", name)) for script in vendored for name in _LICENCES[script]],
        **words,
    )


def embedded(data: dict[str, Any]) -> str:
    """`data` as JSON that may stand inside a script element: nothing in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _read(folder: str, name: str) -> str:
    return (_HERE / folder / name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    """The content security policy: no request at all, these scripts, styles of the page, images made by the page."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts)
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
