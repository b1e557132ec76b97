"""Predicted against measured: tables of a validation and of a calibration, and the plot. All take the documents that ``--json`` prints."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from costmodel.errors import UsageError
from costmodel.quantity import counted
from costmodel.reporting.plots import put_figure, require_picture
from costmodel.reporting.tables import console

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Document = Mapping[str, Any]

_HELD_OUT = "families held out"
_SPLITS = ("profile", _HELD_OUT, "baseline macs", "baseline macs+activations", "baseline roofline")
#: Colours that stay apart for most kinds of colour vision (Okabe and Ito 2008), black left out; markers change where they repeat.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
_MARKERS = "os^DvP"


def print_validation(document: Document) -> None:
    """A block for each target: scores by split, then the families that are off by most."""
    out = console()
    for target in document["targets"]:
        table = Table(box=None, pad_edge=False, title=_name(target), title_justify="left", title_style="bold")
        table.add_column("split", no_wrap=True)
        for heading in ("rows", "MAPE", "median", "largest", "in 10%", "in 20%", "Spearman", "Kendall", "ordered"):
            table.add_column(heading, justify="right")
        for split in _SPLITS:
            scores = target["splits"][split]
            if scores is not None:
                table.add_row(split, *_cells(scores))
        out.print(table)
        out.print(_confidence(target))
        out.print(_bias(target), style="dim")
        out.print()
    if document["unbuilt"]:
        out.print(f"{counted(len(document['unbuilt']), 'row')} took no part, for the network cannot be built:")
        for entry in document["unbuilt"]:
            out.print(f"  {entry['network']} ({Path(entry['path']).name}:{entry['line']}): {entry['reason']}")


def _name(target: Document) -> str:
    return " ".join(str(target[part]) for part in ("processor", "runtime", "dtype", "cores") if target[part])


def _cells(scores: Document) -> list[str]:
    ranks = ["-" if scores[name] is None else f"{scores[name]:.3f}" for name in ("spearman", "kendall")]
    ordered = "-" if scores["ordered"] is None else f"{scores['ordered']:.1%}"
    sizes = [f"{scores[name]:.1%}" for name in ("mape", "median_ape", "largest_ape")]
    return [str(scores["rows"]), *sizes, *(f"{scores[name]:.0%}" for name in ("within_10", "within_20")), *ranks, ordered]


def _confidence(target: Document) -> str:
    """What the profile states of its interval, and what families held out call for."""
    interval = target["interval"]
    text = f"interval: the profile states a factor of {interval['stated_factor']:.3g}; estimates' own intervals cover {interval['covers']:.0%} of the rows"
    held = interval["held_out"]
    if held is not None and held["enough"]:
        text += f". Families held out call for {held['factor']:.3g}"
        text += "" if held["covered"] is None else f" (covering {held['covered']:.0%})"
    if target["parameters"] is not None:
        text += f"; {counted(target['parameters'], 'parameter')} determined"
    return text


def _bias(target: Document) -> str:
    """Families whose networks are off on average by over 3 %, most first."""
    split = "profile" if target["splits"][_HELD_OUT] is None else _HELD_OUT
    off = sorted((entry for entry in target["splits"][split]["bias"] if abs(entry["bias"]) > 0.03), key=lambda entry: -abs(entry["bias"]))
    listed = ", ".join(f"{entry['family']} {entry['bias']:+.0%} ({entry['rows']})" for entry in off)
    return f"bias, {split}: {listed or 'no family is off by over 3 %'}"


def print_calibration(document: Document) -> None:
    """The fits with their parameters, and the scores of families held out."""
    out = console()
    for fit in document["fits"]:
        title = " ".join(filter(None, (fit["processor"], fit["runtime"], fit["dtype"], fit["core"])))
        table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
        for heading, side in (("parameter", "left"), ("value", "right"), ("before", "right"), ("known within", "right"), ("", "left")):
            table.add_column(heading, justify=side)  # type: ignore[arg-type]  # one of rich's names
        for value in fit["values"]:
            name = value["name"].rpartition(".")[2]
            known = "-" if value["frozen"] else f"±{value['spread']:.0%}"
            table.add_row(name, f"{value['value']:.4g}", f"{value['prior']:.4g}", known, _standing(value))
        out.print(table)
        where = f" on {fit['cores']}" if fit["cores"] else ""
        rows = f"{counted(fit['rows'], 'row')} of {counted(len(fit['families']), 'family', 'families')}"
        out.print(f"{rows}{where}, {counted(fit['parameters'], 'parameter')}, residual {fit['residual']:.1%}\n")
    if not document["families_held_out"]:
        out.print("no family could be held out: rows of two families and more say how well others are predicted")
        return
    table = Table(box=None, pad_edge=False, title="families held out", title_justify="left", title_style="bold")
    table.add_column("target", no_wrap=True)
    for heading in ("rows", "MAPE", "median", "largest", "in 10%", "in 20%", "Spearman", "Kendall", "ordered"):
        table.add_column(heading, justify="right")
    for scores in document["families_held_out"]:
        table.add_row(_name(scores), *_cells(scores))
    out.print(table)


def _standing(value: Document) -> str:
    """What became of a parameter, beside its number."""
    if not value["frozen"]:
        return str(value["at"] or "")
    return "kept" if f"{value['value']:.4g}" == f"{value['prior']:.4g}" else "moved with the others"


def print_suggestions(suggestions: Sequence[Document]) -> None:
    """For each set of constants the networks to measure, with what the intervals come down to after each."""
    out = console()
    for found in suggestions:
        table = Table(box=None, pad_edge=False, title=_name(found), title_justify="left", title_style="bold")
        table.add_column("measure", no_wrap=True)
        table.add_column("mean interval, factor", justify="right")
        factors = found["mean_interval_factors"]
        table.add_row(f"(now, {counted(found['rows'], 'row')})" if found["rows"] else "(now, no row)", f"{factors[0]:.3f}")
        for network, factor in zip(found["networks"], factors[1:], strict=True):
            table.add_row(network, f"{factor:.3f}")
        out.print(table)
        candidates = counted(found["candidates"], "network")
        out.print(f"90 % intervals of {candidates} as far as the constants are concerned; what the law itself misses comes on top\n")


def print_local_calibration(document: Document) -> None:
    """What was measured here, how well networks follow from operators, and where the profile's interval is from, runtime by runtime."""
    out = console()
    for found in document["runtimes"]:
        title = f"{document['device']}, {found['runtime']}: {counted(found['measurements'], 'measurement')} ({found['build']})"
        table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
        table.add_column("network")
        for heading in ("measured", "from operators alone", "left out of the correction"):
            table.add_column(heading, justify="right")
        for entry in found["anchors"]:
            cells = (f"{math.expm1(entry[name]):+.1%}" for name in ("operators_alone", "left_out"))
            table.add_row(entry["network"], f"{entry['measured_s'] * 1e3:.4g} ms", *cells)
        out.print(table)
        correction = found["correction"]
        out.print(f"a network takes {correction['alpha']:.3f} times its operators and {correction['beta_us']:.1f} us a {found['start']} more", highlight=False)
        out.print(
            f"{counted(found['parameters'], 'parameter')}, off by {found['residual']:.0%} an operator; 90 % interval: factor {found['interval_factor']:.2f}",
            highlight=False,
        )


#: Letters of a title that fit an inch.
_LETTERS_AN_INCH = 11
#: Above and below every panel; with less, titles of panels run into the figure's.
_PAD_INCHES = 0.1


def plot(document: Document, path: str, *, split: str = _HELD_OUT) -> None:
    """Predicted against measured latency of every target, log-log, families in colours; predictions without the family where there are any."""
    require_picture(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    targets = document["targets"]
    if not targets:
        raise UsageError("there is no target to plot")
    columns = min(len(targets), 4)
    lines = -(-len(targets) // columns)
    figure = Figure(figsize=(max(3.7 * columns, 5.2), 3.6 * lines + 1.2), layout=ConstrainedLayoutEngine(h_pad=_PAD_INCHES), dpi=120)
    FigureCanvasAgg(figure)
    styles = _styles(targets)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes, target in zip(grid.flat, targets, strict=False):
        _panel(axes, target, styles, split)
    for axes in grid.flat[len(targets) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("predicted (ms)", fontsize=9)
    for axes in grid.flat[max(0, len(targets) - columns) : len(targets)]:
        axes.set_xlabel("measured (ms)", fontsize=9)
    words = f"{document['device']}: predicted against measured latency; grey band ±10 %"
    figure.suptitle(textwrap.fill(words, round(figure.get_figwidth() * _LETTERS_AN_INCH)), fontsize=11)
    handles = _legend(styles)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), max(4, 3 * columns)), frameon=False, fontsize=8)
    put_figure(figure, path)


def _styles(targets: Sequence[Document]) -> dict[str, tuple[str, str]]:
    """(colour, marker) of every family, the same in all panels; families by name."""
    families = sorted({row["family"] for target in targets for row in target["rows"]})
    return {family: (_COLOURS[n % len(_COLOURS)], _MARKERS[n // len(_COLOURS) % len(_MARKERS)]) for n, family in enumerate(families)}


def _legend(styles: Mapping[str, tuple[str, str]]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5, label=family) for family, (colour, marker) in styles.items()]


def _panel(axes: Axes, target: Document, styles: Mapping[str, tuple[str, str]], split: str) -> None:
    """One target's rows around the diagonal."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    points = []
    for row in target["rows"]:
        seconds = row["held_out_s"] if split == _HELD_OUT and row["held_out_s"] is not None else row["predicted_s"]
        points.append((row["measured_s"] * 1e3, seconds * 1e3, row["family"]))
    low = min(min(x, y) for x, y, _ in points) / 1.3
    high = max(max(x, y) for x, y, _ in points) * 1.3
    axes.fill_between([low, high], [low / 1.1, high / 1.1], [low * 1.1, high * 1.1], color="#000000", alpha=0.09, linewidth=0)
    axes.plot([low, high], [low, high], color="#888888", linewidth=0.8)
    for family, (colour, marker) in styles.items():
        chosen = [(x, y) for x, y, name in points if name == family]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), linestyle="", marker=marker, markersize=4.2, color=colour, markeredgecolor="white", markeredgewidth=0.4)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,), numticks=8))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
    held = target["splits"][split] is not None and split == _HELD_OUT
    scores = target["splits"][split] or target["splits"]["profile"]
    what = "without their own family" if held else "by the profile as it stands"
    axes.set_title(f"{_name(target)}\n{counted(scores['rows'], 'row')}, {what}: mean error {scores['mape']:.1%}", fontsize=8.5)
    axes.grid(True, linewidth=0.3, alpha=0.5)
