"""Comparisons and fronts in a real browser: ``python -m pytest -m browser``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import costmodel
from costmodel import api
from costmodel.decisions import Front
from costmodel.errors import printable
from costmodel.quantity import duration
from costmodel.reporting.comparison import Comparison, compare
from costmodel.reporting.decisions import pareto_rows, to_csv
from costmodel.reporting.html import comparison_page, fronts_page
from tests.browser.conftest import SIZES, Open
from tests.reporting.test_choice_pages import hostile_fronts
from tests.reporting.test_page import HOSTILE, hostile_graph

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


@pytest.fixture(scope="module")
def two() -> Comparison:
    return compare([[costmodel.estimate(name, device="pixel4")] for name in ("mobilenet-v2", "mobilenet-v3-large")])


@pytest.fixture(scope="module")
def several() -> Comparison:
    return compare([[costmodel.estimate(name, device=device) for device in ("pixel4", "a100")] for name in ("mobilenet-v2", "resnet-50", "vit-b-16")])


@pytest.fixture(scope="module")
def fronts() -> tuple[Front, ...]:
    targets = [api.target(device) for device in ("pixel4", "coral-usb")]
    return tuple(api.pareto(["mobilenet-v3", "efficientnet-lite", "resnet"], targets=targets))


def spaced(text: str) -> str:
    """A figure as pages write it: it keeps to its unit."""
    return text.replace(" ", "\u00a0")


def cells(found: Any, row: int) -> list[str]:
    """The figures of a row of the heat map."""
    texts: list[str] = found.locator("#map-table tbody tr").nth(row).locator("td b").all_text_contents()
    return texts


def test_the_map_shows_every_estimate_and_sorts(visit: Open, several: Comparison) -> None:
    found = visit(comparison_page(several))
    for row, reports in enumerate(several.rows):
        assert [text.split("\u00a0~")[0].split("\u00a0?")[0] for text in cells(found, row)] == [spaced(duration(report.latency_s)) for report in reports]
    found.click("#map-table thead button:has-text('a100')")
    order = sorted(several.rows, key=lambda reports: reports[1].latency_s)
    assert found.locator("#map-table tbody th").first.text_content().startswith(order[0][0].model)
    assert found.get_attribute("#map-table thead th:last-child", "aria-sort") == "ascending"
    assert found.evaluate("document.activeElement.textContent").startswith("a100")


def test_the_strongest_colour_is_the_slowest_of_its_device(visit: Open, several: Comparison) -> None:
    found = visit(comparison_page(several))
    slowest = max(range(3), key=lambda row: several.rows[row][0].latency_s)
    fills = [found.locator("#map-table tbody tr").nth(row).locator("td").first.evaluate("cell => cell.style.background") for row in range(3)]
    assert fills[slowest] == "rgb(8, 70, 127)", "--heat-1"
    assert len(set(fills)) == 3
    found.select_option("#measure", "ratio")
    ratio = several.rows[1][0].latency_s / several.rows[0][0].latency_s
    assert cells(found, 1)[0] == f"{ratio:#.3g}\u00a0x"


def test_kernels_side_by_side_filter_and_add_up(visit: Open, two: Comparison) -> None:
    found = visit(comparison_page(two))
    both = two.side_by_side
    assert both is not None
    assert found.text_content("#pair-status").startswith(f"{len(both.pairs)} of {len(both.pairs)} pairs")
    found.select_option("#pair-by", "nothing")
    assert found.locator("#pair-table tbody tr").count() == both.matched("nothing")
    found.select_option("#pair-by", "")
    found.fill("#pair-find", "depthwise")
    found.wait_for_timeout(200)
    named = [pair for pair in both.pairs if any(kernel and "depthwise" in f"{kernel.name} {kernel.kind}" for kernel in (pair.first, pair.second))]
    assert found.locator("#pair-table tbody tr").count() == len(named)
    together = found.locator("#kind-table tr.sum td").nth(2).text_content()
    assert together == f"−{spaced(duration(-both.difference_s))}"


def test_a_front_shows_filters_and_saves_the_same_figures(visit: Open, fronts: tuple[Front, ...]) -> None:
    found = visit(fronts_page(fronts))
    table = found.locator("#table-0 tbody tr")
    assert table.count() == len(fronts[0].standings)
    assert found.locator("#table-0 tbody tr.on").count() == len(fronts[0].best)
    assert found.locator("#table-1 tbody tr.may").count() == sum(entry.may_belong for entry in fronts[1].standings)
    with found.expect_download() as download:
        found.click("#save-csv")
    assert Path(download.value.path()).read_text(encoding="utf-8") == to_csv(pareto_rows(fronts))
    found.focus("#families button:has-text('mobilenet-v3')")
    found.keyboard.press("Enter")
    assert found.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    assert table.count() == sum(entry.offer.network.family != "mobilenet-v3" for entry in fronts[0].standings)
    found.click("#all-families")
    found.fill("#find", "lite4")
    found.wait_for_timeout(300)
    assert [text.strip() for text in found.locator("#table-0 tbody th").all_text_contents()] == [
        entry.offer.network.name for entry in fronts[0].standings if "lite4" in entry.offer.network.name
    ]


def test_a_network_of_the_table_is_pointed_at(visit: Open, fronts: tuple[Front, ...]) -> None:
    found = visit(fronts_page(fronts))
    best = fronts[0].best[-1]
    found.locator("#table-0 tbody button", has_text=best.offer.network.name).first.press("Enter")
    found.wait_for_selector("#chart-0 .tip")
    tip = found.text_content("#chart-0 .tip")
    assert best.offer.network.name in tip
    assert spaced(duration(best.offer.cost.latency_s)) in tip


def test_names_of_a_front_do_not_overlap(visit: Open, fronts: tuple[Front, ...]) -> None:
    found = visit(fronts_page(fronts))
    names = {entry.offer.network.name for entry in fronts[0].best}
    boxes = found.eval_on_selector_all(
        "#chart-0 text", "texts => texts.map(text => [text.textContent.replace(' †', ''), text.getBoundingClientRect().toJSON()])"
    )
    shown = [box for text, box in boxes if text in names]
    assert len(shown) > len(names) / 2
    for position, one in enumerate(shown):
        for other in shown[:position]:
            apart = (
                one["right"] <= other["left"] + 1 or other["right"] <= one["left"] + 1 or one["bottom"] <= other["top"] + 2 or other["bottom"] <= one["top"] + 2
            )
            assert apart, (one, other)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("kind", ["two", "several", "fronts"])
def test_names_contrasts_and_width_pass(visit: Open, request: pytest.FixtureRequest, kind: str, scheme: str, size: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    made = request.getfixturevalue(kind)
    found = visit(fronts_page(made) if kind == "fronts" else comparison_page(made), size=size, scheme=scheme)
    results = Axe().run(found, options={"runOnly": RULES})
    assert results.violations_count == 0, results.generate_report()
    assert found.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]


def test_charts_are_whole_on_paper(visit: Open, fronts: tuple[Front, ...]) -> None:
    found = visit(fronts_page(fronts), scheme="dark")
    found.emulate_media(media="print")
    assert found.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert found.evaluate("document.querySelector('#chart-0 svg').getBoundingClientRect().height") > 200


def test_without_scripts_the_figures_are_there(visit: Open, two: Comparison, fronts: tuple[Front, ...]) -> None:
    found = visit(comparison_page(two), scripts=False)
    assert duration(two.rows[1][0].latency_s) in found.text_content("#map-table")
    assert not found.locator("#pairs").is_visible()
    found = visit(fronts_page(fronts), scripts=False)
    assert found.locator("#table-0 tbody tr").count() == len(fronts[0].best)


def test_hostile_names_are_text(visit: Open) -> None:
    found = visit(comparison_page(compare([[costmodel.estimate(hostile_graph(), device=device) for device in ("pixel4", "a100")]])))
    assert found.evaluate("window.pwned") is None
    assert found.locator("img").count() == 0
    shown = found.eval_on_selector_all("#pair-table tbody .name", "cells => cells.map(cell => cell.textContent)")
    assert {printable(name) for name in HOSTILE} <= set(shown)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_hostile_names_of_a_front_are_text(visit: Open, size: str) -> None:
    made = hostile_fronts()
    found = visit(fronts_page(made), size=size)
    assert found.evaluate("window.pwned") is None
    assert found.locator("img").count() == 0
    assert set(found.locator("#table-0 tbody th").all_text_contents()) == set(HOSTILE)
    assert set(found.eval_on_selector_all("#families button", "buttons => buttons.map(button => button.title)")) == {f"_{name}" for name in HOSTILE}
    found.locator("#table-0 tbody button").first.press("Enter")
    found.wait_for_selector("#chart-0 .tip")
    assert made[0].standings[0].offer.network.name in found.text_content("#chart-0 .tip")
    assert found.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]
    with found.expect_download() as download:
        found.click("#save-csv")
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        assert file.read() == to_csv(pareto_rows(made))


def test_the_axis_of_latency_has_figures_however_near_one_looks(visit: Open, fronts: tuple[Front, ...]) -> None:
    """Also where all latencies lie within one decade, and after zooming in."""
    for made in (hostile_fronts(), fronts):
        found = visit(fronts_page(made))
        assert len(tick_texts(found)) >= 3
    box = found.locator("#chart-0 svg").bounding_box()
    found.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    found.keyboard.down("Control")
    for _ in range(12):
        found.mouse.wheel(0, -400)
    found.keyboard.up("Control")
    found.wait_for_timeout(400)
    assert len(tick_texts(found)) >= 2


def tick_texts(found: Any) -> list[str]:
    """What stands at the ticks of the first chart's axis of latency."""
    texts: list[str] = found.locator("#chart-0 text").all_text_contents()
    return [text for text in texts if re.fullmatch(r"[\d.]+\s(µs|ms|s)", text)]
