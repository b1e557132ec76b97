"""Pages in a real browser: ``python -m pytest -m browser``, with the extra ``browser`` and a Chromium on the path."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel.errors import printable
from costmodel.estimation import Estimate
from costmodel.quantity import duration
from costmodel.reporting.html._whatif import grid
from tests.browser.conftest import SIZES, Open
from tests.reporting.conftest import chain  # noqa: F401  # the fixture that makes large networks
from tests.reporting.test_page import HOSTILE, hostile_graph

pytestmark = pytest.mark.browser

#: Milliseconds from navigation until everything reacts.
MOST_MS = 2000


@pytest.fixture(scope="session")
def report() -> Estimate:
    return costmodel.estimate("efficientnet-b0", device="pixel4")


def rows(found: Any) -> int:
    """Rows of the table of kernels that are there."""
    count: int = found.locator("#kernel-table tbody tr").count()
    return count


def scroll_through(found: Any) -> None:
    """Scroll the table until no more rows come."""
    before = -1
    while rows(found) != before:
        before = rows(found)
        found.evaluate("(() => { const box = document.getElementById('table-scroll'); box.scrollTop = box.scrollHeight; })()")
        found.wait_for_timeout(100)


def first_names(found: Any, count: int = 5) -> list[str]:
    """Full names of the first rows."""
    names: list[str] = found.eval_on_selector_all("#kernel-table tbody .name", "cells => cells.map(cell => cell.title)")
    return names[:count]


def test_rows_are_the_kernels(visit: Open, report: Estimate) -> None:
    found = visit(report)
    scroll_through(found)
    assert rows(found) == len(report.kernels)
    dearest = sorted(report.kernels, key=lambda kernel: -kernel.latency_s)
    assert first_names(found) == [kernel.name for kernel in dearest[:5]]


def test_headings_sort(visit: Open, report: Estimate) -> None:
    found = visit(report)
    found.click("#kernel-table thead button:has-text('kernel')")
    assert found.get_attribute("#kernel-table thead th:first-child", "aria-sort") == "ascending"
    upwards = first_names(found, 1)
    found.click("#kernel-table thead button:has-text('kernel')")
    assert found.get_attribute("#kernel-table thead th:first-child", "aria-sort") == "descending"
    assert first_names(found, 1) != upwards
    found.click("#kernel-table thead button:has-text('MACs')")
    assert first_names(found, 1) == [max(report.kernels, key=lambda kernel: kernel.macs).name]


def test_words_kind_and_bound_filter(visit: Open, report: Estimate) -> None:
    found = visit(report)
    found.fill("#find", "squeeze gate")
    found.wait_for_timeout(200)
    matching = [kernel for kernel in report.kernels if "squeeze" in kernel.name and "gate" in kernel.name]
    assert rows(found) == len(matching)
    assert found.text_content("#table-status").startswith(f"{len(matching)} of {len(report.kernels)} kernels")
    found.fill("#find", "")
    found.select_option("#kind", "depthwise-convolution")
    found.wait_for_timeout(200)
    assert rows(found) == sum(kernel.kind == "depthwise-convolution" for kernel in report.kernels)
    found.select_option("#bound", "overhead")
    assert rows(found) == sum(kernel.kind == "depthwise-convolution" and kernel.bound == "overhead" for kernel in report.kernels)


@pytest.mark.parametrize("by", ["module", "kind"])
def test_rows_fold(visit: Open, report: Estimate, by: str) -> None:
    found = visit(report)
    found.select_option("#fold", by)
    groups = (
        {kernel.kind for kernel in report.kernels}
        if by == "kind"
        else {name.split(".")[0] for name in (kernel.name for kernel in report.kernels) if "." in name}
    )
    assert found.locator("#kernel-table tr.group").count() == len(groups)
    before = rows(found)
    found.locator("#kernel-table tr.group button").first.press("Enter")
    assert rows(found) > before
    assert found.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    found.click("#open-all")
    scroll_through(found)
    assert found.locator("#kernel-table tbody tr:not(.group)").count() == len(report.kernels)


def test_sliders_show_what_python_computed(visit: Open, report: Estimate) -> None:
    found = visit(report)
    table = grid(report)
    assert duration(report.latency_s).replace(" ", "\u00a0") in found.text_content("#whatif-results")
    own = next(entry for entry in table["batches"] if entry["batch"] == report.batch)
    one = table["factors"].index(1.0)
    for slider, latencies in (("#bandwidth", own["latency_s"][one]), ("#peak", [row[one] for row in own["latency_s"]])):
        found.focus(slider)
        found.keyboard.press("Home")
        for latency_s in latencies:
            assert found.text_content("#whatif-results .first dd").startswith(duration(latency_s).replace(" ", "\u00a0"))
            found.keyboard.press("ArrowRight")
        found.click("#sliders button")
    assert all(f"× {factor:g}" in found.text_content("#whatif-positions") for factor in table["factors"])
    found.click("#sliders button")
    assert "as estimated" in found.text_content("#whatif-results")


def test_modules_open_and_close_by_keyboard(visit: Open, report: Estimate) -> None:
    found = visit(report)
    before = found.locator("#graph-canvas .node").count()
    found.locator("#graph-canvas .node.module").first.focus()
    found.keyboard.press("Enter")
    assert found.locator("#graph-canvas .node").count() > before
    assert found.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    found.keyboard.press("Enter")
    assert found.locator("#graph-canvas .node").count() == before


def test_the_document_that_it_saves_is_the_estimate(visit: Open, report: Estimate) -> None:
    found = visit(report)
    with found.expect_download() as download:
        found.click("#save-json")
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8")) == report.to_dict()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_names_and_contrasts_pass_a_checker(visit: Open, report: Estimate, scheme: str, size: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = visit(report, size=size, scheme=scheme)
    found.select_option("#fold", "module")
    results = Axe().run(found, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
    assert results.violations_count == 0, results.generate_report()


def test_a_phone_needs_no_sideways_scrolling(visit: Open, report: Estimate) -> None:
    found = visit(report, size="phone")
    assert found.evaluate("document.documentElement.scrollWidth") == SIZES["phone"][0]


def test_the_switch_overrules_the_system(visit: Open, report: Estimate) -> None:
    found = visit(report, scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = found.evaluate(ground)
    found.click("#theme")
    assert found.text_content("#theme") == "Theme: light"
    light = found.evaluate(ground)
    assert light != dark
    found.click("#theme")
    assert found.evaluate(ground) == dark


def test_paper_is_light_and_a_few_sheets(visit: Open, report: Estimate) -> None:
    found = visit(report, scheme="dark")
    found.emulate_media(media="print")
    assert found.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert found.pdf(format="A4").count(b"/Type /Page\n") <= 8


def test_without_scripts_the_figures_are_there(visit: Open, report: Estimate) -> None:
    found = visit(report, scripts=False)
    assert duration(report.latency_s) in found.text_content("#headline")
    assert found.locator("#opportunity-table tbody tr").count() > 3
    assert not found.locator("#roofline").is_visible()


def test_hostile_names_are_text(visit: Open) -> None:
    found = visit(costmodel.estimate(hostile_graph(), device="pixel4"))
    found.select_option("#fold", "module")
    found.click("#open-all")
    found.click("#graph-dearest")
    assert found.evaluate("window.pwned") is None
    assert found.locator("img").count() == 0
    shown = found.eval_on_selector_all("#kernel-table tbody .name", "cells => cells.map(cell => cell.textContent)")
    assert sorted(shown) == sorted(map(printable, HOSTILE))


def test_thousands_of_operators_are_soon_there(visit: Open, chain: Callable[..., Any]) -> None:  # noqa: F811  # pytest's way to pass a fixture
    found = visit(costmodel.estimate(chain(3000), device="pixel4"))
    ready_ms = found.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    print(f"3000 operators: ready after {ready_ms:.0f} ms (meant: under {MOST_MS})")
    found.fill("#find", "conv99")
    found.wait_for_timeout(200)
    assert rows(found) == sum("conv99" in kernel.name for kernel in costmodel.estimate(chain(3000), device="pixel4").kernels)


def test_a_network_without_kernels_opens(visit: Open) -> None:
    from costmodel.graph import GraphBuilder
    from costmodel.ops.layout import Flatten
    from costmodel.tensor import TensorSpec

    builder = GraphBuilder("view")
    graph = builder.build(builder.add(Flatten(), builder.input("x", TensorSpec((1, 3, 8, 8)))))
    found = visit(costmodel.estimate(graph, device="pixel4"))
    assert found.text_content("#table-status").startswith("0 of 0 kernels")
