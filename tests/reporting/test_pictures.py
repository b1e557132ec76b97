"""Pictures: what stands on them, that labels keep apart, and that the same picture is the same file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

import costmodel
from costmodel.decisions import Figure, Front, Grid, Network, Wanted, front, parse_axis
from costmodel.errors import UsageError
from costmodel.reporting import pareto_plot, plots, sweep_plot
from costmodel.reporting.plots import COLOURS, MARKERS, look


@pytest.fixture(scope="module")
def fronts() -> tuple[Front, ...]:
    return costmodel.pareto(
        families=["mobilenet-v2", "mobilenet-v3", "efficientnet-lite", "vit"], targets=[costmodel.target("pixel4"), costmodel.target("coral-usb")]
    )


def sweep(model: str = "mobilenet-v2", device: str = "pixel4", **axes: str) -> Grid:
    return costmodel.sweep(model, device=device, wanted=Wanted(**{name: parse_axis(name, text) for name, text in axes.items()}))  # type: ignore[arg-type]  # names of axes


def painted(monkeypatch: pytest.MonkeyPatch, draw: Callable[[], None]) -> Any:
    """The figure that `draw` writes, with everything in its place."""
    kept: list[Any] = []
    original = plots.draw

    def keep(paint: Callable[[Any], Any], path: str | Path) -> None:
        original(lambda make: kept.append(paint(make)) or kept[0], path)

    monkeypatch.setattr(plots, "draw", keep)
    draw()
    kept[0].canvas.draw()
    return kept[0]


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_same_front_is_the_same_file(ending: str, fronts: tuple[Front, ...], tmp_path: Path) -> None:
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    for path in (first, second):
        pareto_plot.draw_pareto(fronts[:1], path)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")


def test_a_front_says_what_it_is_of(fronts: tuple[Front, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = painted(monkeypatch, lambda: pareto_plot.draw_pareto(fronts, tmp_path / "a.png"))
    for axes, words in zip(
        figure.axes, (("Google Pixel 4", "cpu · large=1 · tflite · fp32 · nhwc · batch 1"), ("Coral USB", "edgetpu · int8 · nhwc · batch 1")), strict=True
    ):
        assert words[0] in axes.get_title(loc="left")
        assert any(words[1] in text.get_text() for text in axes.texts)
        assert "latency" in axes.get_xlabel()
        assert "90% interval" in axes.get_xlabel()
        assert axes.get_ylabel() == "published ImageNet top-1 (%)"
        ticks = [label.get_text() for label in axes.get_xticklabels()]
        assert ticks
        assert all(text.endswith(("ms", " s", "µs")) for text in ticks)
        low, high = axes.get_xlim()
        assert len(ticks) >= math.floor(math.log10(high)) - math.ceil(math.log10(low)) + 1, "a tick for every decade, in the room for labels, too"
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:4] == ["efficientnet-lite", "mobilenet-v2", "mobilenet-v3", "vit"]
    assert {"on the front", "may belong to it", "beaten", "90% interval"} <= set(legend)
    foot = figure.get_supxlabel()
    assert "more than ImageNet-1k" in foot
    assert "full precision" in foot


def test_labels_of_a_front_keep_apart_and_name_the_front(fronts: tuple[Front, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = painted(monkeypatch, lambda: pareto_plot.draw_pareto(fronts, tmp_path / "a.png"))
    for axes, found in zip(figure.axes, fronts, strict=True):
        named = {entry.offer.network.name for entry in found.standings}
        labels = [text for text in axes.texts if text.get_text().rstrip("†") in named]
        boxes = [Text.get_window_extent(text) for text in labels]  # without the line that an annotation has besides
        assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
        front = {entry.offer.network.name for entry in found.best}
        shown = {text.get_text().rstrip("†") for text in labels}
        assert len(front & shown) >= 0.9 * len(front)


def test_points_and_bars_are_the_estimates(fronts: tuple[Front, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = painted(monkeypatch, lambda: pareto_plot.draw_pareto(fronts[:1], tmp_path / "a.png"))
    (axes,) = figure.axes
    drawn = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines if len(line.get_xdata()) == 1}
    assert drawn == {(entry.offer.cost.latency_s, entry.top1) for entry in fronts[0].standings}
    bars = {(float(x0), float(x1)) for bar in axes.collections for (x0, _), (x1, _) in bar.get_segments()}
    assert bars == {(entry.offer.cost.latency_low_s, entry.offer.cost.latency_high_s) for entry in fronts[0].standings}


def test_looks_are_all_different() -> None:
    assert len({look(position) for position in range(30)}) == 30
    assert (len(set(COLOURS)), len(set(MARKERS))) == (len(COLOURS), len(MARKERS))
    assert [look(position).colour for position in range(len(COLOURS))] == list(COLOURS)


def test_a_sweep_says_what_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = sweep(batch="1,4,16", resolution="128,224", dtype="fp32,int8")
    figure = painted(monkeypatch, lambda: sweep_plot.draw_sweep(grid, tmp_path / "a.png"))
    assert [axes.get_ylabel() for axes in figure.axes] == ["estimated latency", "estimated throughput (samples/s)"] * 2
    assert {axes.get_xlabel() for axes in figure.axes} == {"batch (samples), logarithmic"}
    assert [axes.get_title(loc="left") for axes in figure.axes[::2]] == ["mobilenet-v2, fp32", "mobilenet-v2, int8"]
    assert figure.axes[0].get_ylim() == figure.axes[2].get_ylim()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["128", "224"]
    words = figure.axes[0].texts[0].get_text()
    assert "Google Pixel 4 · cpu" in words
    assert "batch" not in words
    drawn = [float(y) for line in figure.axes[0].lines for y in line.get_ydata()]
    assert sorted(drawn) == sorted(cell.cost.latency_s for cell in grid.cells if cell.target.dtype == "fp32")


#: Axes of a sweep, words of the refusal.
NO_PICTURE = {
    "one cell": ({}, "needs numbers along one axis"),
    "names alone": ({"dtype": "fp32,int8"}, "needs numbers along one axis"),
    "four axes": ({"batch": "1,2", "resolution": "96,128", "width": "0.5,1", "threads": "1,2"}, "shows three axes and 4 change"),
    "many lines": ({"batch": "1:12:1", "resolution": "96:448:32"}, "12 values of resolution are too many lines"),
}


@pytest.mark.parametrize("case", NO_PICTURE)
def test_what_no_picture_shows_is_refused(case: str, tmp_path: Path) -> None:
    axes, words = NO_PICTURE[case]
    with pytest.raises(UsageError, match=words):
        sweep_plot.draw_sweep(sweep(**axes), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_a_picture_shows_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dollar signs are no formula, an underscore hides nothing, a long name pushes nothing out, and a character that no font has is a box."""
    names = ("$\\frac{a$", "_own", "n" * 500, "emoji 😀", "two\nlines")
    target = costmodel.target("pixel4")
    standings = costmodel.pareto(["mobilenet-v3"], targets=[target])[0].standings
    networks = [Network(name=name, family=name, figures={"": Figure(percent=50.0 + at, evaluation="own", source="own")}) for at, name in enumerate(names)]
    made = front(target, [replace(entry.offer, network=network) for entry, network in zip(standings, networks, strict=False)])
    figure = painted(monkeypatch, lambda: pareto_plot.draw_pareto([made], tmp_path / "a.png"))
    shown = [plots.label(name) for name in names]
    assert set(shown) <= {text.get_text() for text in figure.axes[0].texts}
    assert set(shown) <= {text.get_text() for text in figure.legends[0].get_texts()}
    assert figure.axes[0].get_position().width > 0.5


def test_another_ending_is_refused_before_anything_is_drawn(fronts: tuple[Front, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.gif: a picture ends in \.png, \.svg, \.pdf"):
        pareto_plot.draw_pareto(fronts, tmp_path / "a.gif")
