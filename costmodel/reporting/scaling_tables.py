"""Compound scaling in the terminal and as CSV; all take the documents that ``costmodel scale --json`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from costmodel._version import __version__
from costmodel.devices import Target
from costmodel.estimation import SCHEMA_VERSION
from costmodel.quantity import duration, duration_between, si, significant
from costmodel.reporting.decisions import to_csv
from costmodel.reporting.tables import console, print_table, target_words

Document = Mapping[str, Any]

_RELEASED = "released: the published network of that phi; ! where alpha^phi or beta^phi, to one decimal, is another; how the image differs from gamma^phi"
_COUNTED = "the product is a power law, MACs are counted on the built network"
_MULTIPLIERS = "depth, width: times those of the base, repeats rounded up and channels to multiples of 8"


def scaling_document(kind: str, found: Document, target: Target | None, batch: int) -> dict[str, Any]:
    """The document that ``costmodel scale --json`` prints; `kind` says what stands in it: largest, ladder, grid or dimensions."""
    where: dict[str, Any] = {"device": None}
    if target is not None:
        where = {
            "device": target.device.name,
            "processor": target.processor,
            "runtime": target.runtime,
            "dtype": target.dtype,
            "threads": target.threads,
            "cores": target.cores_text,
            "layout": target.layout,
            "profile": {"name": target.device.name, "version": target.device.profile.version, "sha256": target.device.sha256},
        }
    return {"schema_version": SCHEMA_VERSION, "kind": kind, **where, "batch": batch, **found, "costmodel_version": __version__}


def scaling_csv(document: Document) -> str:
    """A flat row for each network of a document."""
    if document["kind"] == "largest":
        rows = [{"which": "largest", **document["network"]}, {"which": "balanced", **{k: v for k, v in document["balanced"].items() if k != "phi"}}]
    elif document["kind"] == "dimensions":
        rows = [
            {"direction": name, **network, "printed_macs": None if printed is None else printed["macs"]}
            for name, network, printed in (
                ("base", document["base"], None),
                *((row["direction"], row["network"], row["printed"]) for row in document["rows"] if row["network"] is not None),
            )
        ]
    else:
        rows = [{k: v for k, v in row.items() if k != "released"} for row in document["rungs" if document["kind"] == "ladder" else "feasible"]]
    return to_csv(rows, columns=() if rows else ("alpha", "beta", "gamma", "name"))


def print_scaling(document: Document, target: Target | None) -> None:
    """A table of what the document holds, and what its figures mean."""
    out = console()
    if target is not None:
        out.print(Text.assemble((target.device.profile.title, "bold"), "  ", (target_words(target, document["batch"]), "dim")))
    {"largest": _print_largest, "ladder": _print_ladder, "grid": _print_grid, "dimensions": _print_dimensions}[document["kind"]](out, document)


def print_families(families: Mapping[str, Sequence[str]]) -> None:
    """The families that scale, with the networks to begin from."""
    out = console()
    for family, names in families.items():
        out.print(Text.assemble((family, "bold"), ": ", ", ".join(names)))


def _print_largest(out: Console, document: Document) -> None:
    network, balanced = document["network"], document["balanced"]
    out.print(Text.assemble("within ", (duration(document["budget_s"]), "bold"), ": ", (network["name"], "bold")))
    out.print()
    rows: list[list[Text | str]] = [
        ["largest", *_shape(network), *_costs(network)],
        [f"balanced, phi {balanced['phi']:g}", *_shape(balanced), *_costs(balanced)],
    ]
    print_table(out, ["", *_SHAPE, *_costs_headings(network)], rows)
    lines = [f"the most MACs of {document['candidates']} networks at most {document['grid']['spread']:g} in phi away from the balanced one (--spread)"]
    lines += ["even the largest balanced network is within the budget: larger ones may be, too"] if document["at_end"] else []
    _print_notes(out, [*lines, _MULTIPLIERS, *_restricted(document)])


def _print_ladder(out: Console, document: Document) -> None:
    rungs = document["rungs"]
    headings = ["network", "phi", *_costs_headings(rungs[0]), "MACs x base"]
    rows = []
    for rung in rungs:
        row = [rung["name"], f"{rung['phi']:g}", *_costs(rung), significant(rung["macs_ratio"])]
        rows.append(row + ([_verdict(rung["within"])] if rung["within"] is not None else []))
    print_table(out, headings + (["in budget"] if rungs[0]["within"] is not None else []), rows, left=("in budget",))
    released = [rung for rung in rungs if rung["released"]]
    if released:
        out.print()
        print_table(out, ["released", "phi", *_SHAPE], [[rung["released"]["name"], f"{rung['phi']:g}", *_beside_powers(rung["released"])] for rung in released])
    slope = document["log2_macs_per_phi"]
    lines = [f"alpha * beta^2 * gamma^2 = {document['coefficients']['product']:.4g}"]
    lines += [] if slope is None else [f"MACs double {slope:.3f} times with each phi (least squares over these networks)"]
    lines += [_RELEASED] if released else []
    _print_notes(out, [*lines, _MULTIPLIERS, *_restricted(document)])


def _print_grid(out: Console, document: Document) -> None:
    feasible = document["feasible"]
    rows = [
        [row["name"], f"{row['alpha']:g}", f"{row['beta']:g}", f"{row['gamma']:g}", f"{row['product']:.3f}", *_costs(row), significant(row["macs_ratio"])]
        + ([] if row["latency_ratio"] is None else [significant(row["latency_ratio"])])
        for row in feasible
    ]
    if rows:
        latency = ["latency x base"] if feasible[0]["latency_ratio"] is not None else []
        print_table(out, ["network at phi 1", "alpha", "beta", "gamma", "product", *_costs_headings(feasible[0]), "MACs x base", *latency], rows)
    constraint = {
        "product": f"alpha * beta^2 * gamma^2 within {document['tolerance']:g} of 2",
        "latency": f"the latency at phi 1 within {document['tolerance']:g} of twice the base's",
        "budget": f"the latency at phi 1 within the budget, by at most {document['tolerance'] / 2:.0%} of it",
    }[document["constraint"]]
    _print_notes(out, [f"{len(feasible)} of {document['considered']} triples: {constraint}", _COUNTED])


def _print_dimensions(out: Console, document: Document) -> None:
    base = document["base"]
    printed = any(row["printed"] for row in document["rows"])
    rows = [["base", base["name"], *_costs(base), "1"] + ([""] if printed else [])]
    for row in document["rows"]:
        network = row["network"]
        if network is None:
            rows.append([row["direction"], "not within the budget"])
            continue
        cells = [row["direction"], network["name"], *_costs(network), significant(row["macs_ratio"])]
        rows.append(cells + ([_printed(row["printed"])] if printed else []))
    headings = ["scaled in", "network", *_costs_headings(base), "MACs x base", *(["paper: MACs, top-1"] if printed else [])]
    print_table(out, headings, [row + [""] * (len(headings) - len(row)) for row in rows], left=("network", "paper: MACs, top-1"))
    if document["budget_s"] is not None:
        notes = [f"each direction's largest network within {duration(document['budget_s'])}"]
    else:
        notes = [f"each direction as far as a power law says multiplies the work by 2^{document['phi']:g}"]
    sources = {row["printed"]["source"] for row in document["rows"] if row["printed"]}
    _print_notes(out, [*notes, *(f"paper: {source}, which calls MACs FLOPS" for source in sorted(sources))])


_SHAPE = ("depth", "width", "image")


def _shape(network: Document) -> list[str]:
    return [f"{network['depth']:g}", f"{network['width']:g}", str(network["resolution"])]


def _costs_headings(network: Document) -> list[str]:
    return ["parameters", "MACs", *(["latency", f"{network['interval_level']:.0%} interval"] if "latency_s" in network else [])]


def _costs(network: Document) -> list[str]:
    cells = [si(network["parameters"]).replace(" ", ""), si(network["macs"]).replace(" ", "")]
    if "latency_s" in network:
        cells += [duration(network["latency_s"]), duration_between(network["latency_low_s"], network["latency_high_s"], "-")]
    return cells


def _verdict(within: bool) -> str:
    return "yes" if within else "no"


def _beside_powers(found: Document) -> list[str]:
    """The released multipliers and image, marked where the powers of the coefficients do not give them."""
    marked = [f"{found[name]:g}" + ("" if found[f"{name}_agrees"] else " !") for name in ("depth", "width")]
    return [*marked, f"{found['resolution']} ({found['resolution_excess']:+.1%})"]


def _printed(found: Document | None) -> str:
    return "" if found is None else f"{found['macs'] / 1e9:.1f}G, {found['top1_percent']:.1f}%"


def _restricted(document: Document) -> list[str]:
    stated = document["restrictions"]
    lines = [] if stated["max_resolution"] is None else [f"images of at most {stated['max_resolution']} pixels"]
    return lines + ([] if stated["late"] == 1 else [f"the last third of the stages deepens by {stated['late']:g} more with each phi"])


def _print_notes(out: Console, lines: Sequence[str]) -> None:
    for line in lines:
        out.print(Text(line, style="dim"))
