"""The pictures of `reports/`, drawn anew.

    python -m tests.benchmarks.gallery

Writes every picture and the table behind each into ``reports/gallery``; names of pictures as arguments draw those alone, ``-o``
writes elsewhere. The same code draws the same bytes. Latencies are estimates, accuracies are published ones. What was drawn together
stands in ``drawn.csv``, so that a picture that is not of its table is noticed, and `stale_rows` says which figures are of other constants.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import costmodel
from costmodel import zoo
from costmodel.decisions import zoo_networks
from costmodel.devices import Target
from costmodel.graph import Graph
from costmodel.quantity import si, significant
from costmodel.reporting import plots
from costmodel.reporting.annotate import Name, annotate, line_box, mark_box
from costmodel.reporting.decisions import pareto_rows, to_csv
from costmodel.reporting.pareto_plot import draw_pareto
from costmodel.reporting.plots import FAINT, GRID, INK, MUTED
from costmodel.reporting.tables import target_words

COMMAND = "python -m tests.benchmarks.gallery"
#: The file of the gallery that says what was drawn together.
DRAWN = "drawn.csv"
#: Figures that differ by less than this are the same: another machine's logarithms may round otherwise.
SAME = 1e-9
FOLDER = Path(__file__).parents[2] / "reports" / "gallery"
#: Latencies of arXiv 1905.11946, Table 4: batch 1 on a single core of a Xeon E5-2690, in seconds.
TABLE_4 = {"efficientnet-b1": 0.098, "resnet-152": 0.554, "efficientnet-b7": 3.1, "amoebanet-b": 19.0}
#: Two networks whose MACs differ by less than this are taken to have the same.
SAME_MACS = 1.1
METRICS = {"top1": "published ImageNet top-1 (%)", "map": "published COCO mAP (%)", "miou": "published Cityscapes mIoU (%)"}

Row = dict[str, Any]


class Point(NamedTuple):
    """A network in a picture: estimated seconds with their interval, MACs, and what it scores."""

    name: str
    label: str
    latency_s: float
    low_s: float
    high_s: float
    macs: int
    score: float


class Series(NamedTuple):
    """Networks that a line joins; labels leave `prefix` out, and say `whole` where nothing is left."""

    name: str
    prefix: str
    networks: Sequence[str]
    whole: str = ""


def score(name: str, metric: str) -> float:
    """The first published figure of a network in percent, the paper's where there is one."""
    if metric == "top1":
        return next(entry.percent for entry in zoo.published_top1() if entry.network == zoo.canonical(name) and not entry.dtype)
    return next(entry.value for entry in zoo.find(name).architecture.accuracies if entry.metric == metric)


def points(series: Series, target: Target, *, batch: int = 1, metric: str = "top1") -> list[Point]:
    """The points of a series on a target."""
    found = []
    for name in series.networks:
        report = costmodel.estimate(name, target=target, batch=batch)
        label = name.removeprefix(series.prefix).lstrip("-") or series.whole or name
        found.append(Point(name, label, report.latency_s, report.latency_low_s, report.latency_high_s, report.macs // batch, score(name, metric)))
    return found


def rows(found: Iterable[tuple[str, Sequence[Point]]], target: Target, batch: int, metric: str) -> list[Row]:
    """The table behind a panel."""
    return [
        {
            "series": name,
            "network": point.name,
            "device": target.device.name,
            "target": target_words(target, batch),
            "latency_s": point.latency_s,
            "latency_low_s": point.low_s,
            "latency_high_s": point.high_s,
            "macs_per_sample": point.macs,
            "metric": metric,
            "percent": point.score,
        }
        for name, members in found
        for point in members
    ]


class Panel(NamedTuple):
    """Scores of several series against latency on one target."""

    heading: str
    target: Target
    series: tuple[Series, ...]
    batch: int = 1
    metric: str = "top1"
    published_s: dict[str, float] = {}  # noqa: RUF012  # never written


def draw_panels(panels: Sequence[Panel], path: Path) -> list[Row]:
    """A picture of panels side by side; returns the table behind it."""
    table: list[Row] = []
    names = list(dict.fromkeys(series.name for panel in panels for series in panel.series))
    looks = {name: plots.look(position) for position, name in enumerate(names)}

    def paint(make: Any) -> Any:
        figure = make(figsize=(5.6 * len(panels) + (1.9 if len(panels) == 1 else 1.2), 4.9))
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        drawn = []
        for axes, panel in zip(grid, panels, strict=True):
            found = [(series.name, points(series, panel.target, batch=panel.batch, metric=panel.metric)) for series in panel.series]
            table.extend(rows(found, panel.target, panel.batch, panel.metric))
            paint_panel(axes, panel, found, looks)
            drawn.append((axes, found))
        handles = {text: handle for axes in grid for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside right upper", alignment="left")
        figure.canvas.draw()
        figure.set_layout_engine("none")
        for axes, found in drawn:
            name_points(axes, found, looks)
        return figure

    plots.draw(paint, path)
    return table


def paint_panel(axes: Any, panel: Panel, found: Sequence[tuple[str, list[Point]]], looks: dict[str, plots.Look]) -> None:
    """Lines, bars and axes of one panel."""
    everyone = [point for _, members in found for point in members]
    ends = [end for point in everyone for end in (point.low_s, point.high_s)] + list(panel.published_s.values())
    plots.latency_axis(axes, ends, label="estimated latency (logarithmic), with its 90% interval")
    axes.set_ylabel(METRICS[panel.metric])
    plots.title(axes, panel.heading, f"{panel.target.device.profile.title} · {target_words(panel.target, panel.batch)}")
    for name, members in found:
        look = looks[name]
        for point in members:
            axes.hlines(point.score, point.low_s, point.high_s, color=look.colour, alpha=0.35, linewidth=1.0, zorder=2)
        x, y = [point.latency_s for point in members], [point.score for point in members]
        axes.plot(x, y, color=look.colour, marker=look.marker, markersize=5.5, markeredgecolor=INK, markeredgewidth=0.5, linewidth=1.3, label=name, zorder=4)
    for number, (name, seconds) in enumerate(panel.published_s.items()):
        label = "published latency" if number == 0 else None
        axes.plot(seconds, score(name, "top1"), marker="x", markersize=7, color=INK, markeredgewidth=1.4, linestyle="", zorder=6, label=label)
    axes.margins(y=0.12)


def name_points(axes: Any, found: Sequence[tuple[str, list[Point]]], looks: dict[str, plots.Look]) -> None:
    """Labels beside the points of all series, clear of the lines."""
    marks = [mark_box(axes, point.latency_s, point.score) for _, members in found for point in members]
    for _, members in found:
        marks += [line_box(axes, (point.low_s, point.score), (point.high_s, point.score)) for point in members]
        for first, second in pairwise(members):
            marks += [mark_box(axes, *between(first, second, share)) for share in (0.2, 0.4, 0.6, 0.8)]
    labels = [Name(point.latency_s, point.score, point.label, looks[name].colour, INK) for name, members in found for point in members]
    annotate(axes, labels, marks)


def between(first: Point, second: Point, share: float) -> tuple[float, float]:
    """A place on the line between two points of a logarithmic axis."""
    return first.latency_s ** (1 - share) * second.latency_s**share, first.score * (1 - share) + second.score * share


def whole_zoo(device: str) -> Callable[[Path], list[Row]]:
    """Every network of the zoo with a published top-1 on a device as it comes."""

    def draw(path: Path) -> list[Row]:
        fronts = costmodel.pareto(targets=[costmodel.target(device)])
        draw_pareto(fronts, path)
        return pareto_rows(fronts)

    return draw


def of(prefix: str, *variants: str) -> Series:
    """A series of networks that share a prefix, which is its name."""
    return Series(prefix, prefix, [f"{prefix}{variant if variant[:1] in '@' else '-' + variant}" for variant in variants])


def competitors_of_2019(path: Path) -> list[Row]:
    """EfficientNet's Figure 1 in latency, on the processor of its Table 4."""
    series = (
        of("efficientnet", *(f"b{number}" for number in range(8))),
        of("resnet", "50", "152"),
        of("densenet", "169", "201", "264"),
        Series("inception", "", ["inception-v3", "inception-v4", "inception-resnet-v2"]),
        Series("xception", "", ["xception"]),
        Series("resnext", "resnext", ["resnext-50-32x4d", "resnext-101-64x4d@320"]),
        Series("senet", "", ["senet-154@320"]),
        Series("nasnet, pnasnet", "", ["nasnet-a-large", "pnasnet-5-large"]),
        Series("amoebanet", "", ["amoebanet-a", "amoebanet-c", "amoebanet-b"]),
        Series("polynet", "", ["polynet"]),
    )
    target = costmodel.target("xeon-e5-2690", threads=1)
    return draw_panels([Panel("EfficientNet against its competitors of 2019, on one core", target, series, published_s=TABLE_4)], path)


def fused_on_accelerators(path: Path) -> list[Row]:
    """EfficientNetV2 and the fused blocks of EfficientNet-EdgeTPU against EfficientNet."""
    first = of("efficientnet", *(f"b{number}" for number in range(8)))
    gpu = (first, of("efficientnetv2", "b0", "b1", "b2", "b3", "s", "m", "l"))
    edge = (of("efficientnet", "b0", "b1", "b2", "b3"), of("efficientnetv2", "b0", "b1", "b2", "b3"), of("efficientnet-edgetpu", "s", "m", "l"))
    return draw_panels(
        [
            Panel("Fused-MBConv on a GPU", costmodel.target("v100", dtype="fp16"), gpu, batch=16),
            Panel("Fused-MBConv on an Edge TPU", costmodel.target("coral-usb"), edge),
        ],
        path,
    )


def mobilenet_v3_and_v2(path: Path) -> list[Row]:
    """MobileNetV3's three comparisons: classification, SSDLite, and LR-ASPP against R-ASPP."""
    phone = costmodel.target("pixel4")

    def named(base: str, *variants: str) -> list[str]:
        return [f"{base}-{variant}".rstrip("-") for variant in variants]

    classification = (
        Series("MobileNetV2", "mobilenet-v2", named("mobilenet-v2", "0.35", "0.5", "0.75", "", "1.3", "1.4"), "1.0"),
        Series("MobileNetV3-Large", "mobilenet-v3-large", named("mobilenet-v3-large", "0.35", "0.5", "0.75", "", "1.25"), "1.0"),
        Series("MobileNetV3-Small", "mobilenet-v3-small", named("mobilenet-v3-small", "0.35", "0.5", "0.75", "", "1.25"), "1.0"),
    )
    detection = (
        Series("MobileNetV2", "ssdlite-", named("ssdlite-mobilenet-v2", "")),
        Series("MobileNetV3-Large", "ssdlite-", named("ssdlite-mobilenet-v3-large", "reduced", "")),
        Series("MobileNetV3-Small", "ssdlite-", named("ssdlite-mobilenet-v3-small", "reduced", "")),
    )
    segmentation = (
        Series("V2 with R-ASPP", "raspp-mobilenet-v2", named("raspp-mobilenet-v2", "half", ""), "full"),
        Series("V2 with LR-ASPP", "lraspp-mobilenet-v2", named("lraspp-mobilenet-v2", "", "f256"), "f128"),
        Series("V3-Large with R-ASPP", "raspp-mobilenet-v3-large", named("raspp-mobilenet-v3-large", "half", ""), "full"),
        Series("V3-Large with LR-ASPP", "lraspp-mobilenet-v3-large", named("lraspp-mobilenet-v3-large", "", "f256"), "f128"),
        Series("V3-Small with LR-ASPP", "lraspp-mobilenet-v3-small", named("lraspp-mobilenet-v3-small", ""), "f128"),
    )
    return draw_panels(
        [
            Panel("Classification, 224x224", phone, classification),
            Panel("SSDLite, 320x320", phone, detection, metric="map"),
            Panel("Segmentation, 1025x2049", phone, segmentation, metric="miou"),
        ],
        path,
    )


#: Families that show what MACs do not tell; the others are grey.
TELLING = ("vgg", "resnet", "densenet", "mobilenet-v2", "mobilenet-v3", "efficientnet", "shufflenet-v1", "vit")


def macs_and_latency(path: Path) -> list[Row]:
    """MACs against latency for every network, on three kinds of devices."""
    targets = [(costmodel.target("pixel4"), 1), (costmodel.target("coral-usb"), 1), (costmodel.target("rtx4090", runtime="torch-compile"), 64)]
    table: list[Row] = []

    def paint(make: Any) -> Any:
        figure = make(figsize=(17.2, 5.4))
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
        grid = figure.subplots(1, len(targets))
        drawn = []
        for axes, (target, batch) in zip(grid, targets, strict=True):
            networks: dict[str, list[Point]] = {}
            for network in zoo_networks():
                networks.setdefault(network.family, []).extend(points(Series(network.family, "", [network.name]), target, batch=batch))
            table.extend(rows(networks.items(), target, batch, "top1"))
            paint_scatter(axes, networks, target, batch)
            drawn.append((axes, [point for members in networks.values() for point in members], batch))
        handles = {text: handle for handle, text in zip(*grid[0].get_legend_handles_labels(), strict=True)}
        legend = figure.legend(handles.values(), handles.keys(), loc="outside right upper", alignment="left", title="family")
        legend.get_title().set(fontsize=8, fontweight="bold")
        figure.canvas.draw()  # the frames have their places now, which the slope of a line in the picture needs
        figure.set_layout_engine("none")
        for axes, everyone, batch in drawn:
            paint_rates(axes, everyone, batch)
        return figure

    plots.draw(paint, path)
    return table


def paint_scatter(axes: Any, networks: dict[str, list[Point]], target: Target, batch: int) -> None:
    """One cloud over the lines of equal MACs a second, and what it shows in words."""
    everyone = [point for members in networks.values() for point in members]
    plots.latency_axis(
        axes, [point.latency_s for point in everyone], label="estimated latency (logarithmic)" + (f", batch {batch}" if batch > 1 else ""), which="y"
    )
    axes.set_xscale("log")
    low, high = min(point.macs for point in everyone) / 1.5, max(point.macs for point in everyone) * 1.5
    axes.set_xlim(low, high)
    plots.log_ticks(axes.xaxis, low, high, lambda value: si(value, digits=1))
    axes.set_xlabel("multiply-accumulates per sample (logarithmic)")
    axes.grid(visible=False)
    for position, family in enumerate(TELLING):
        look = plots.look(position)
        x, y = [point.macs for point in networks[family]], [point.latency_s for point in networks[family]]
        axes.plot(x, y, linestyle="", marker=look.marker, color=look.colour, markersize=5, markeredgecolor="white", markeredgewidth=0.4, label=family, zorder=4)
    rest = [point for family, members in networks.items() if family not in TELLING for point in members]
    label = f"{len(networks) - len(TELLING)} other families"
    axes.plot([p.macs for p in rest], [p.latency_s for p in rest], linestyle="", marker="o", color=FAINT, markersize=3, alpha=0.55, label=label, zorder=3)
    plots.title(axes, target.device.profile.title, target_words(target, batch))
    axes.text(0.985, 0.02, in_words(everyone), transform=axes.transAxes, va="bottom", ha="right", fontsize=7.5, color=INK, linespacing=1.35)


def paint_rates(axes: Any, everyone: Sequence[Point], batch: int) -> None:
    """Lines of equal MACs a second through the cloud, named where they enter the frame above it."""
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    rates = [point.macs * batch / point.latency_s for point in everyone]
    for power in range(math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates))) + 1):
        rate = 10.0**power
        axes.plot([low, high], [low * batch / rate, high * batch / rate], color=GRID, linewidth=1.0, zorder=0)
        x = max(low, bottom * rate / batch) * (high / low) ** 0.02
        y = x * batch / rate
        if y * 1.2 < top and not any(abs(math.log(point.macs / x)) < 0.9 and abs(math.log(point.latency_s / y)) < 0.5 for point in everyone):
            (x0, y0), (x1, y1) = (axes.transData.transform((at, at * batch / rate)) for at in (x, 10 * x))
            angle = math.degrees(math.atan2(y1 - y0, x1 - x0))
            axes.text(x, y * 1.06, si(rate, "MAC/s", digits=1), fontsize=6.5, color=MUTED, rotation=angle, rotation_mode="anchor")
    axes.set_xlim(low, high)
    axes.set_ylim(bottom, top)


def in_words(everyone: Sequence[Point]) -> str:
    """How far apart networks of equal MACs are, and how often fewer MACs are faster."""
    alike = [(a, b) for a, b in combinations(everyone, 2) if max(a.macs, b.macs) < SAME_MACS * min(a.macs, b.macs)]
    widest = max(alike, key=lambda pair: abs(math.log(pair[0].latency_s / pair[1].latency_s)))
    slow, fast = sorted(widest, key=lambda point: -point.latency_s)
    pairs = [(a, b) for a, b in combinations(everyone, 2) if a.macs != b.macs and a.latency_s != b.latency_s]
    wrong = sum((a.macs < b.macs) != (a.latency_s < b.latency_s) for a, b in pairs) / len(pairs)
    factor = significant(slow.latency_s / fast.latency_s, 2)
    return (
        f"same MACs, {factor} times the latency:\n{slow.name} against {fast.name};\n"
        f"of two networks the one with fewer MACs\nis the slower one in {wrong:.0%} of all pairs"
    )


#: Picture -> (what draws it and returns the table behind it, what it shows).
PICTURES: dict[str, tuple[Callable[[Path], list[Row]], str]] = {
    "pareto_pixel4": (whole_zoo("pixel4"), "Published top-1 against latency, the whole zoo on one large core of a Pixel 4"),
    "pareto_coral-usb": (whole_zoo("coral-usb"), "The same on the Coral USB accelerator"),
    "pareto_rtx4090": (whole_zoo("rtx4090"), "The same on an RTX 4090 at batch 1, where launching kernels is what costs"),
    "pareto_xeon-e5-2690": (whole_zoo("xeon-e5-2690"), "The same on the eight cores of a Xeon E5-2690"),
    "efficientnet_2019": (competitors_of_2019, "EfficientNet against its competitors of 2019 in latency, with the four latencies that its paper prints"),
    "macs_and_latency": (macs_and_latency, "Why multiply-accumulates mislead: networks of equal MACs on three kinds of devices"),
    "fused_on_accelerators": (fused_on_accelerators, "EfficientNet against V2 and EdgeTPU forms with Fused-MBConv on a V100 and on the Edge TPU"),
    "mobilenet_v3_and_v2": (mobilenet_v3_and_v2, "MobileNetV3 against V2: classification, SSDLite, and LR-ASPP against R-ASPP"),
}


def main() -> None:
    """Draw what is asked for."""
    parser = argparse.ArgumentParser(description="the pictures of reports/gallery")
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help=f"of {', '.join(PICTURES)}; all where none is named")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, help="folder to write to")
    options = parser.parse_args()
    unknown = sorted(set(options.pictures) - set(PICTURES))
    if unknown:
        parser.error(f"no such picture: {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.pictures or PICTURES:
        start = time.process_time()
        path = options.output / f"{name}.png"
        table = PICTURES[name][0](path)
        (options.output / f"{name}.csv").write_text(to_csv(table), encoding="utf-8")
        record(options.output, name)
        print(f"{path.name}: {len(table)} rows, {path.stat().st_size / 1e3:.0f} kB, {time.process_time() - start:.1f} s CPU")
    if not options.pictures:
        (options.output / "README.md").write_text(index(), encoding="utf-8")


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record(folder: Path, name: str) -> None:
    """Keep in ``drawn.csv`` of a folder which table and which picture were made together."""
    found = {row["picture"]: row for row in read_rows(folder / DRAWN)} if (folder / DRAWN).exists() else {}
    found[name] = {"picture": name, "table_sha256": digest(folder / f"{name}.csv"), "picture_sha256": digest(folder / f"{name}.png")}
    (folder / DRAWN).write_text(to_csv(found[key] for key in PICTURES if key in found), encoding="utf-8")


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table, cells as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def target_of(row: Mapping[str, str]) -> tuple[Target, int]:
    """The target of a row of a table, and the batch."""
    if "target" not in row:
        options = {name: row[name] for name in ("processor", "runtime", "dtype", "layout")}
        return costmodel.target(row["device"], **options, cores=row["cores"] or None), int(row["batch"])
    processor, *cores, runtime, dtype, layout, batch = row["target"].split(" · ")
    found = costmodel.target(row["device"], processor=processor, runtime=runtime, dtype=dtype, layout=layout, cores=cores[0] if cores else None)
    return found, int(batch.removeprefix("batch "))


def stale_rows(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """Rows of tables that the present constants do not give: network, device, and both latencies, in words."""
    graphs: dict[str, Graph] = {}
    found = []
    for row in rows:
        target, batch = target_of(row)
        if row["network"] not in graphs:
            graphs[row["network"]] = costmodel.build(row["network"])
        report = costmodel.estimate(graphs[row["network"]], target=target, batch=batch)
        pairs = [(float(row[key]), getattr(report, key)) for key in ("latency_s", "latency_low_s", "latency_high_s")]
        if any(not math.isclose(drawn, present, rel_tol=SAME) for drawn, present in pairs):
            found.append(f"{row['network']} on {row['device']}: drawn {row['latency_s']} s, now {report.latency_s} s")
    return found


def index() -> str:
    """The page that shows all pictures."""
    lines = [
        f"Regenerate with: {COMMAND}",
        "",
        "# Gallery",
        "",
        "Latencies are estimates with their 90 % intervals, accuracies are published ones. Each picture has its table beside it.",
    ]
    for name, (_, words) in PICTURES.items():
        lines += ["", f"## {words}", "", f"![{words}]({name}.png)", "", f"[table]({name}.csv)"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
