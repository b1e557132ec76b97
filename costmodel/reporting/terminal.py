"""Tables in the terminal, by rich; colour, width and NO_COLOR are rich's business."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from costmodel.devices import Device
from costmodel.estimation import Estimate, GroupEstimate, KernelEstimate
from costmodel.kernel import HOST
from costmodel.quantity import binary, duration, duration_between, share, si, significant
from costmodel.reporting.catalogue import METRICS, published
from costmodel.reporting.measured import Beside
from costmodel.reporting.sketch import sketch
from costmodel.reporting.tables import BASIS_MARKS, BASIS_WORDS, NARROW, PIPE_WIDTH, console, print_table, share_cell, target_words
from costmodel.reporting.tree import tree

_BOUND_STYLES = {"compute": "cyan", "memory": "magenta", "overhead": "yellow"}
#: A terminal narrower than this has no room for a roofline beside its words.
_SKETCH_WIDTH = 72


def print_estimate(report: Estimate, *, per: str, top: int, depth: int = 2) -> None:
    """Headline, counts, a roofline in text, then the rows that cost most; of modules down to `depth` levels (0: all)."""
    out = console()
    target = report.target
    out.print(Text.assemble((report.title, "bold"), " on ", (target.device.profile.title, "bold")))
    out.print(Text(target_words(target, report.batch), style="dim"))
    out.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(report):
        facts.add_row(label, value)
    out.print(facts)
    out.print()
    if out.width >= _SKETCH_WIDTH:
        _print_sketch(out, report)
    if per == "module":
        _print_modules(out, report, top, depth)
    elif per == "operator":
        _print_operators(out, report, top)
    else:
        _print_kernels(out, report, top)


def _facts(report: Estimate) -> list[tuple[str, Text | str]]:
    interval = report.interval
    shares = report.bound_shares
    bound = max(shares, key=lambda name: shares[name])
    others = " · ".join(f"{name} {value:.0%}" for name, value in sorted(shares.items(), key=lambda item: -item[1]) if name != bound and value >= 0.005)
    facts: list[tuple[str, Text | str]] = [
        (
            "latency",
            Text.assemble(
                (duration(report.latency_s), "bold green"),
                f"   {interval.level:.0%} between {duration_between(report.latency_low_s, report.latency_high_s)}",
                (f"   ({interval.basis}, factor {interval.factor:.2f})", "dim"),
            ),
        ),
        ("throughput", f"{significant(report.samples_per_s)} samples/s"),
        ("bound by", Text.assemble((f"{bound} {shares[bound]:.0%}", _BOUND_STYLES[bound]), (f"  {others}", "dim"))),
    ]
    if report.terms:
        facts.append(("outside kernels", " · ".join(f"{name.replace('_', ' ')} {duration(seconds)}" for name, seconds in report.terms.items())))
    facts += [
        ("MACs", Text.assemble(si(report.macs, "MAC"), (f"   {report.macs:,}", "dim"))),
        ("FLOPs", Text.assemble(si(report.flops, "FLOP"), (f"   2 x MACs + {si(report.other_flops)} other", "dim"))),
        *_convention(report),
        ("parameters", Text.assemble(si(report.parameters), (f"   {report.parameters:,}; {si(report.weight_bytes, 'B')} of weights", "dim"))),
        ("traffic", Text.assemble(si(report.traffic_bytes, "B"), ("   each kernel's external tensors once", "dim"))),
        ("peak memory", Text.assemble(f"{binary(report.peak_activation_bytes)} of activations", (_fit(report), "dim"))),
    ]
    if report.energy_j is not None:
        facts.append(("energy", Text.assemble(si(report.energy_j, "J"), (_energy_note(report), "dim"))))
    share = "all" if report.modelled_operators == report.operators else f"{report.modelled_operators} of"
    facts.append(("coverage", f"{share} {report.operators} operators modelled, in {len(report.kernels)} kernels"))
    return facts


def _convention(report: Estimate) -> list[tuple[str, Text | str]]:
    found = report.convention
    if found is None:
        return []
    rows: list[tuple[str, Text | str]] = [
        (f"as {found.convention}", Text.assemble(f"{si(found.value)} {found.word}", (f"   {found.value:,}; {found.rule}", "dim")))
    ]
    for figure in found.printed:
        words = f"   counted {figure.counted:,}, {figure.difference:+.1%}: {figure.explanation}; {figure.source}"
        rows.append((f"printed {figure.quantity}", Text.assemble(figure.printed, (words, "dim"))))
    return rows


def _energy_note(report: Estimate) -> str:
    sides = [report.target, *([report.target.host] if report.target.host is not None and any(row.partition == HOST for row in report.kernels) else [])]
    entries = [side.device.provenance.get(f"processors.{side.processor}.energy.static_w") for side in sides]
    stated = all(entry is not None and entry.kind != "assumed" for entry in entries)
    return "   from the stated power, +-30 % at best" if stated else "   rough: from assumed power"


def _fit(report: Estimate) -> str:
    capacity = report.target.hardware.memory.capacity_gib
    if report.fits is None or capacity is None:
        return ""
    with_file = " and file" if report.target.memory_holds_file else ""
    return f"   {'fits' if report.fits else 'does not fit'} {capacity:.3g} GiB with weights{with_file}"


def _print_kernels(out: Console, report: Estimate, top: int) -> None:
    """Kernels that cost most, equal ones as one row with their number; with `top` 0 every kernel in execution order."""
    groups: dict[tuple[Any, ...], list[KernelEstimate]] = {}
    for position, kernel in enumerate(report.kernels):
        alike = position if top == 0 else (kernel.kind, kernel.macs, kernel.traffic_bytes, kernel.latency_s, kernel.basis)
        groups.setdefault((alike,), []).append(kernel)
    ranked = list(groups.values())
    if top:
        ranked = sorted(ranked, key=lambda alike: -len(alike) * alike[0].latency_s)
    shown = ranked if top == 0 else ranked[:top]
    number, seconds = sum(len(alike) for alike in shown), sum(len(alike) * alike[0].latency_s for alike in shown)
    what = "all kernels in execution order" if top == 0 else f"what costs most: {number} of {len(report.kernels)} kernels, equal ones together"
    out.print(Text(f"{what}, {share(seconds, report.latency_s):.0%} of the latency", style="dim"))
    headings = ["kernel", "equal", "kind", "latency", "share", "bound", "MACs", "traffic", "of peak"]
    largest = max((len(alike) * alike[0].latency_s for alike in shown), default=0.0)
    rows = [_kernel_cells(alike[0], len(alike), report, largest) for alike in shown]
    if out.width < NARROW:
        headings, rows = _essential(headings), [_essential(row) for row in rows]
    print_table(out, headings, rows)
    marks = {alike[0].basis for alike in shown} - {"calibrated"}
    if marks:
        out.print(Text("; ".join(BASIS_WORDS[mark] for mark in sorted(marks)), style="dim"))


def _kernel_cells(kernel: KernelEstimate, number: int, report: Estimate, largest: float) -> list[Text | str]:
    seconds = number * kernel.latency_s
    return [
        kernel.name,
        str(number),
        kernel.kind.removesuffix("-convolution"),
        f"{duration(seconds)} {BASIS_MARKS[kernel.basis]}".rstrip(),
        share_cell(seconds, report.latency_s, largest),
        Text(kernel.bound, style=_BOUND_STYLES[kernel.bound]),
        si(number * kernel.macs) if kernel.macs else "-",
        si(number * kernel.traffic_bytes, "B"),
        f"{kernel.utilisation:.0%}",
    ]


def _essential(cells: list[Any]) -> list[Any]:
    """The columns of a narrow terminal: name, how many are equal, latency, share, bound."""
    return [cells[0], cells[1], cells[3], cells[4], cells[5]]


def _print_sketch(out: Console, report: Estimate) -> None:
    """The roofline in text, its lines beside what they mean."""
    found = sketch(report)
    if found is None:
        return
    room = out.width - len("roofline") - len(found.ceiling) - 4
    for name, line, style, words in (
        ("roofline", found.ceiling, "dim", found.words),
        ("reached", found.reached, "cyan", "FLOP/s of the kernels, logarithmic"),
        ("time", found.time, "blue", "share of the latency"),
        ("", found.scale, "dim", "FLOP per byte of traffic"),
    ):
        text = words if len(words) <= room else f"{words[: room - 1]}…"
        out.print(Text.assemble((f"{name:8}  ", "dim"), (line, style), (f"  {text}", "dim")))
    out.print()


def _print_modules(out: Console, report: Estimate, top: int, depth: int) -> None:
    branches, number = tree(report.by_module(), depth=depth, most=top)
    which = f"the dearest {len(branches)} of {number} modules" if len(branches) < number else f"all {number} modules"
    level = f", {depth} level{'s' if depth > 1 else ''} deep" if depth else ""
    out.print(Text(f"{which}{level}, in execution order; a module's figures include what is in it", style="dim"))
    _print_groups(out, report, [(branch.guides + branch.name, branch.group) for branch in branches], "module")


def _print_operators(out: Console, report: Estimate, top: int) -> None:
    rows = sorted(report.by_operator(), key=lambda row: -row.latency_s)
    shown = rows if top == 0 else rows[:top]
    out.print(Text(f"{len(shown)} of {len(rows)} operators, dearest first", style="dim"))
    _print_groups(out, report, [(row.name, row) for row in shown], "operator")


def _print_groups(out: Console, report: Estimate, rows: list[tuple[str, GroupEstimate]], noun: str) -> None:
    largest = max((row.latency_s for _, row in rows), default=0.0)
    cells: list[list[Text | str]] = [
        [
            name,
            str(row.kernels),
            duration(row.latency_s),
            share_cell(row.latency_s, report.latency_s, largest),
            si(row.macs) if row.macs else "-",
            si(row.traffic_bytes, "B"),
        ]
        for name, row in rows
    ]
    print_table(out, [noun, "kernels", "latency", "share", "MACs", "traffic"], cells)


_BACKEND_WORDS = {"torch": "torch eager", "onnxruntime": "ONNX Runtime", "litert": "LiteRT with XNNPACK"}


def print_beside(beside: Beside) -> None:
    """Measured beside predicted, by kind of work."""
    out = console()
    report, found = beside.estimate, beside.measurement
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    out.print(Text.assemble((report.model, "bold"), f" here, {_BACKEND_WORDS[beside.backend]}, fp32, {threads}, batch {report.batch}"))
    out.print(
        Text.assemble(
            "measured ",
            (duration(found.latency_s), "bold green"),
            (f" (median of {found.repeats}, spread {found.spread:.0%})", "dim"),
            "   predicted ",
            (duration(report.latency_s), "bold"),
            (f" ({duration_between(report.latency_low_s, report.latency_high_s, '-')}, {report.interval.basis})", "dim"),
            f"   {report.latency_s / found.latency_s - 1:+.0%}",
            "" if report.latency_low_s <= found.latency_s <= report.latency_high_s else ", outside the interval",
        )
    )
    out.print()
    rows: list[list[Text | str]] = [
        [
            row.kind,
            str(row.kernels),
            duration(row.measured_s) if found.operators else "-",
            share_cell(row.measured_s, found.latency_s, beside.rows[0].measured_s) if found.operators else "-",
            duration(row.predicted_s) if row.kernels else "-",
            f"{row.predicted_s / row.measured_s - 1:+.0%}" if row.kernels and row.measured_s else "-",
        ]
        for row in beside.rows
    ]
    print_table(out, ["kind of work", "kernels", "measured", "share", "predicted", "difference"], rows)
    if found.operators:
        out.print(Text(f"operators timed one by one add up to {duration(sum(row.measured_s for row in beside.rows))}", style="dim"))
    else:
        out.print(Text("LiteRT tells Python the time of the whole alone", style="dim"))


def print_models(rows: list[dict[str, Any]]) -> None:
    """A row for each network."""
    out = console()
    headings = ["network", "family", "input", "accuracy %", "year", "widths", "paper"]
    cells: list[list[Text | str]] = [
        [
            row["name"],
            row["family"],
            "x".join(map(str, dict.fromkeys(row["resolution"]))),
            _accuracy(row),
            str(row["year"]),
            " ".join(f"{width:g}" for width in row["widths"] or ()),
            row["paper"].removeprefix("github.com/"),
        ]
        for row in rows
    ]
    kept = 7 if out.width >= PIPE_WIDTH else 6 if out.width >= NARROW else 4
    print_table(out, headings[:kept], [row[:kept] for row in cells], left=("family", "widths", "paper"))
    out.print(Text(f"{len(rows)} network{'' if len(rows) == 1 else 's'}; accuracy is ImageNet top-1 where nothing else is said", style="dim"))
    out.print(Text("NAME-WIDTH takes a width multiplier where widths are listed, NAME@224 or NAME@288x512 a resolution", style="dim"))


def _accuracy(row: dict[str, Any]) -> str:
    """What is published at the listed resolution: top-1, or the figure of a segmentation or a detector with its name."""
    for metric, label in METRICS.items():
        percent = published(row, metric)
        if percent is not None:
            return f"{percent:.1f}{'' if metric == 'top1' else ' ' + label}"
    return "-"


def _at(accuracy: dict[str, Any]) -> str:
    return f" at {accuracy['resolution']}" if accuracy["resolution"] else ""


def print_model(document: dict[str, Any]) -> None:
    """Origin, accuracies, counts, modules, and the images that must exist as a whole."""
    out = console()
    origin = document["origin"]
    changed = f" ({document['changed']})" if document["changed"] else ""
    out.print(Text.assemble((document["name"] + changed, "bold"), f"  input {'x'.join(map(str, document['input'][0]))}"))
    if origin:
        out.print(Text(f"{origin['family']}, {origin['year']}, {origin['paper']}", style="dim"))
        for accuracy in origin["accuracies"]:
            out.print(Text.assemble(f"{METRICS[accuracy['metric']]} {accuracy['percent']:.1f} %{_at(accuracy)} ", (accuracy["source"], "dim")))
    macs, other = si(document["macs"], "MAC"), si(document["other_flops"])
    out.print(f"{document['parameters']:,} parameters, {document['macs']:,} MACs ({macs}), {other} other FLOPs, {document['operators']} operators")
    out.print()
    rows: list[list[Text | str]] = [
        [row["name"], str(row["operators"]), "x".join(map(str, row["output"])), f"{row['parameters']:,}", f"{row['macs']:,}"] for row in document["modules"]
    ]
    print_table(out, ["module", "operators", "output", "parameters", "MACs"], rows)
    _print_materialised(out, document["materialised"])


def _print_materialised(out: Console, found: dict[str, list[dict[str, Any]]]) -> None:
    """A row for each resolution: what must exist there, and as a table by the blocks' inputs lists it."""
    columns = [{tuple(row["resolution"]): row for row in found[where]} for where in ("output", "input")]
    resolutions = sorted(set(columns[0]) | set(columns[1]), reverse=True)
    if not resolutions:
        return
    out.print()
    out.print(Text("images that must exist as a whole, the others a few channels at a time (arXiv:1801.04381 section 5.1)", style="dim"))
    rows: list[list[Text | str]] = []
    for resolution in resolutions:
        pairs = [column.get(resolution) for column in columns]
        rows.append(["x".join(map(str, resolution)), *(cell for row in pairs for cell in _channels_cells(row))])
    print_table(out, ["resolution", "channels", "in 16 bit", "by block input", "in 16 bit"], rows)


def _channels_cells(row: dict[str, Any] | None) -> tuple[str, str]:
    return ("-", "-") if row is None else (f"{row['channels']:,}", si(row["fp16_bytes"], "B"))


def print_devices(rows: list[dict[str, Any]]) -> None:
    """A row for each runtime of each processor of each device; the defaults are marked."""
    out = console()
    cells: list[list[Text | str]] = []
    for row in rows:
        shown = ""
        for name, unit in row["processors"].items():
            for stack, dtypes in unit["runtimes"].items():
                default = name == row["default_processor"] and stack == unit["default_runtime"]
                precisions = " ".join(f"{dtype}*" if default and dtype == unit["default_dtype"] else dtype for dtype in dtypes)
                basis = "/".join(dict.fromkeys(precision["basis"] for precision in dtypes.values()))
                first = row["name"] if row["name"] != shown else ""
                shown = row["name"]
                cells.append([first, name, f"{stack}*" if default else stack, precisions, basis, row["title"] if first else ""])
    headings = ["device", "processor", "runtime", "dtypes", "basis", "what it is"]
    kept = 6 if out.width >= PIPE_WIDTH else 5 if out.width >= NARROW else 4
    print_table(out, headings[:kept], [row[:kept] for row in cells], left=tuple(headings))
    out.print(Text(f"{len(rows)} devices; * what is used unless options say otherwise; `costmodel devices show NAME` prints every number", style="dim"))


def print_device(found: Device) -> None:
    """Every number of a profile with its kind and source."""
    out = console()
    profile = found.profile
    out.print(Text.assemble((profile.name, "bold"), f"  {profile.title}, {profile.chip}, {profile.year}  ", (f"version {profile.version}", "dim")))
    out.print(Text(f"{found.path}  sha256 {found.sha256[:12]}", style="dim"))
    sources: dict[str, int] = {}
    rows: list[list[Text | str]] = [
        [path, f"{entry.value:g}", entry.kind, f"[{sources.setdefault(entry.source, len(sources) + 1)}]"] for path, entry in found.provenance.items()
    ]
    print_table(out, ["number", "value", "kind", "source"], rows)
    out.print()
    for source, number in sources.items():
        out.print(Text(f"[{number}] {source}", style="dim"))
