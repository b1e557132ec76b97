"""``costmodel compare``: networks by devices, and for two the difference."""

from __future__ import annotations

import re
from typing import Any

import click

from costmodel.cli._options import complete_device, complete_model, counting_options, import_options, network_options, target_options
from costmodel.cli._outputs import OutputFile, WritingCommand, judged
from costmodel.errors import BudgetExceededError, UsageError
from costmodel.reporting.endings import PAGES


@click.command(name="compare", cls=WritingCommand)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", shell_complete=complete_model)
@click.option(
    "--device", "-d", "devices", required=True, multiple=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile; repeatable."
)
@target_options
@network_options
@import_options
@counting_options
@click.option("--per", type=click.Choice(("kind", "kernel")), default="kind", show_default=True, help="What the difference of two is told by.")
@click.option("--top", type=click.IntRange(min=0), default=12, show_default=True, metavar="N", help="Rows of that table; 0 prints all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--html", type=OutputFile(*PAGES), metavar="F", help="Write one self-contained page, too: a heat map, and two side by side.")
@click.option("--fail-on", metavar="+P%", help="Exit with 3 if a later network is more than P % slower than the first.")
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    per: str,
    top: int,
    as_json: bool,
    html: str | None,
    fail_on: str | None,
    **options: Any,
) -> None:
    """One table, networks by devices; for two, the ratio with its interval, how probably the second is faster, and why.

    \b
    costmodel compare mobilenet-v2 mobilenet-v3-large --device pixel4
    costmodel compare mobilenet-v2 mobilenet-v3-large --device pixel4 --per kernel
    costmodel compare efficientnet-b0 resnet-50 --device pixel4 --device a100 --html map.html
    """
    from costmodel import api, decisions
    from costmodel.reporting import comparison

    limit = None if fail_on is None else _limit(fail_on)
    if limit is not None and len(models) < 2:
        raise UsageError("--fail-on compares networks with the first one: name at least two")
    shared = {name: options.pop(name) for name in ("inputs", "dims")}
    rows = ((model, decisions.concerning(model, models, **shared)) for model in models)
    table = comparison.compare([[api.estimate(model, device=device, **options, **own) for device in devices] for model, own in rows])
    exceeded = table.slower_than_first(limit) if limit is not None else ()
    with judged(BudgetExceededError("; ".join(exceeded)) if exceeded else None):
        if html is not None:
            from costmodel.reporting.html import write_comparison

            write_comparison(table, html)
            click.echo(f"wrote {html}", err=True)
        if as_json:
            click.echo(table.to_json())
        else:
            from costmodel.reporting.comparison_table import print_comparison

            print_comparison(table, per=per, top=top)
        for warning in table.warnings:
            click.echo(f"warning: {warning}", err=True)


_LIMIT = re.compile(r"\+?([0-9]{1,6}(?:\.[0-9]{1,6})?)%?")


def _limit(text: str) -> float:
    """The share that ``+5%`` means."""
    match = _LIMIT.fullmatch(text.strip())
    if not match:
        raise UsageError(f"--fail-on must look like +5%, not {text!r}")
    return float(match[1]) / 100
