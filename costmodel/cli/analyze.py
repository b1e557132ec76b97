"""``costmodel analyze``: what one network costs on one device."""

from __future__ import annotations

from typing import Any

import click

from costmodel.cli._options import complete_device, complete_model, counting_options, import_options, network_options, require_finite, target_options
from costmodel.cli._outputs import OutputFile, WritingCommand, judged
from costmodel.errors import BudgetExceededError
from costmodel.reporting.endings import PAGES


@click.command(name="analyze", cls=WritingCommand)
@click.argument("model", shell_complete=complete_model)
@click.option("--device", "-d", required=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile.")
@target_options
@network_options
@import_options
@counting_options
@click.option("--per", type=click.Choice(("kernel", "operator", "module")), default="kernel", show_default=True, help="What a row of the table is.")
@click.option("--top", type=click.IntRange(min=0), default=15, show_default=True, metavar="N", help="Rows of the table; 0 prints all.")
@click.option("--depth", type=click.IntRange(min=0), default=2, show_default=True, metavar="N", help="Levels of modules with --per module; 0 prints all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--html", type=OutputFile(*PAGES), metavar="F", help="Write one self-contained page, too: roofline, table, graph, what would save time.")
@click.option("--strict", is_flag=True, help="Fail if part of the network has no cost on the target.")
@click.option("--max-latency-ms", type=click.FloatRange(min=0, min_open=True), metavar="X", help="Exit with 3 if the latency exceeds X.")
def command(
    model: str,
    device: str,
    per: str,
    top: int,
    depth: int,
    as_json: bool,
    html: str | None,
    strict: bool,
    max_latency_ms: float | None,
    **options: Any,
) -> None:
    """Counts, traffic, peak memory, latency with its interval, energy, and the kernels that cost most.

    \b
    costmodel analyze efficientnet-b5 --device pixel4
    costmodel analyze resnet-50@288 --device a100 --batch 64 --dtype fp16
    costmodel analyze mobilenet-v2-1.4 --device pixel4 --threads 4 --per module
    costmodel analyze efficientnet-b5 --device pixel4 --html b5.html
    """
    from costmodel import api

    require_finite("--max-latency-ms", max_latency_ms)
    report = api.estimate(model, device=device, strict=strict, **options)
    exceeded = None
    if max_latency_ms is not None and report.latency_s > max_latency_ms * 1e-3:
        exceeded = BudgetExceededError(f"latency {report.latency_s * 1e3:.4g} ms exceeds --max-latency-ms {max_latency_ms:g}")
    with judged(exceeded):
        if html is not None:
            report.to_html(html)
            click.echo(f"wrote {html}", err=True)
        if as_json:
            click.echo(report.to_json())
        else:
            from costmodel.reporting.terminal import print_estimate

            print_estimate(report, per=per, top=top, depth=depth)
        for warning in report.warnings:
            click.echo(f"warning: {warning}", err=True)
