"""A headless Chromium, and pages opened in it from files.

Chromium is the distribution's own (``apt-get install chromium``); ``CHROMIUM`` names another one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from costmodel.estimation import Estimate
from costmodel.reporting.html import page

#: Width and height of windows in CSS pixels.
SIZES = {"desktop": (1360, 900), "phone": (390, 844)}

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("no Chromium found: install one (apt-get install chromium), or name it in CHROMIUM")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """A function that opens a page, or that of an estimate, from a file; on leaving, nothing may have been requested or complained about."""
    complaints: list[str] = []
    contexts = []

    def open_page(report: Estimate | str, *, size: str = "desktop", scheme: str = "light", scripts: bool = True) -> Any:
        path = tmp_path / "page.html"
        path.write_text(report if isinstance(report, str) else page(report), encoding="utf-8")
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts)
        contexts.append(context)
        found = context.new_page()
        found.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        found.on("pageerror", lambda error: complaints.append(str(error)))
        found.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
        found.goto(path.as_uri())
        if scripts:
            found.wait_for_selector("html[data-ready=yes]", timeout=20_000)
        return found

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
