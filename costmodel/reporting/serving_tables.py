"""Serving and the systolic array in the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from costmodel.quantity import binary, duration, si, significant
from costmodel.reporting.tables import console, print_table, share_cell
from costmodel.simulation.array import Detail
from costmodel.simulation.serving import PERCENTILES, Served, Serving

_HEADINGS = ["requests for", "number", "wait", "mean", *(f"p{number}" for number in PERCENTILES), "longest"]


def print_serving(found: Serving, where: str) -> None:
    """What was offered and completed, how busy the device was, and latencies of all requests and of each network."""
    out = console()
    out.print(Text.assemble(("served", "bold"), f" on {where}"))
    offered = "requests offered all at once" if found.offered_per_s is None else f"{significant(found.offered_per_s)} requests/s offered (by their distances)"
    completed = f"{significant(found.completed_per_s)} completed (first arrival to last end)"
    out.print(f"{offered}, {completed}, busy {found.utilisation:.1%}, {found.mean_batch:.2f} requests a batch")
    out.print()
    rows = [found.total, *found.networks] if len(found.networks) > 1 else [*found.networks]
    print_table(out, _HEADINGS, [_row(row) for row in rows])
    _print_switches(out, found.switched)


def _print_switches(out: Console, switched: int) -> None:
    if switched:
        out.print(Text("illustrative: a network that follows on another loads its parameters anew", style="yellow"))


def _row(row: Served) -> list[Text | str]:
    return [Text(row.name), str(row.requests), *(duration(seconds) for seconds in (row.wait_s, row.mean_s, *row.percentiles_s, row.longest_s))]


def print_curve(found: Mapping[float, Serving], where: str) -> None:
    """Throughput against latency, a row a load."""
    out = console()
    out.print(Text.assemble(("throughput against latency", "bold"), f" on {where}"))
    out.print()
    headings = ["load", "requests/s", "busy", "batch", "mean", *(f"p{number}" for number in PERCENTILES)]
    rows: list[list[Text | str]] = [
        [
            Text(f"{load:.0%}"),
            significant(serving.completed_per_s),
            f"{serving.utilisation:.1%}",
            f"{serving.mean_batch:.2f}",
            duration(serving.total.mean_s),
            *(duration(seconds) for seconds in serving.total.percentiles_s),
        ]
        for load, serving in found.items()
    ]
    print_table(out, headings, rows)
    _print_switches(out, sum(serving.switched for serving in found.values()))


def print_detail(detail: Detail, where: str, *, top: int) -> None:
    """Totals of a network on an array, and the `top` layers of most cycles (0: all)."""
    out, array = console(), detail.array
    out.print(Text.assemble((detail.model, "bold"), f" on {where}, {array.dataflow}, array of {array.rows}x{array.columns}: ", ("illustrative", "yellow")))
    srams = ", ".join(binary(size) for size in (array.input_sram_bytes, array.weight_sram_bytes, array.output_sram_bytes))
    out.print(Text(f"{si(array.clock_hz, 'Hz')}, SRAMs of {srams}, {significant(array.bytes_per_cycle)} bytes a cycle behind them", style="dim"))
    out.print()
    outside, busy = duration(detail.rest_s), f"{detail.utilisation:.1%}"
    out.print(f"{detail.cycles:,} cycles, {duration(detail.latency_s)} with {outside} outside the array, {busy} of the multipliers busy")
    out.print()
    layers = sorted(detail.layers, key=lambda layer: -layer.cycles)
    rows: list[list[Text | str]] = [
        [
            Text(layer.name),
            f"{layer.cycles:,}",
            share_cell(layer.cycles, detail.cycles, layers[0].cycles),
            f"{layer.utilisation:.1%}",
            f"{layer.stalls:,}",
            si(layer.macs),
            si(layer.sram_elements),
            si(layer.read_bytes, "B"),
            si(layer.written_bytes, "B"),
        ]
        for layer in (layers[:top] if top else layers)
    ]
    print_table(out, ["layer", "cycles", "share", "busy", "stalls", "MACs", "SRAM elements", "read", "written"], rows)
