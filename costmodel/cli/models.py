"""``costmodel models``: what networks the zoo has, and what one is."""

from __future__ import annotations

from typing import Any

import click

from costmodel.cli._options import ShowGroup, complete_model, network_options


@click.group(cls=ShowGroup, name="models", invoke_without_command=True)
@click.option("--family", metavar="NAME", help="Only this family.")
@click.option("--like", metavar="TEXT", help="Only networks with this in their name, family or paper.")
@click.option("--since", metavar="YEAR", type=int, help="Only networks of this year or later.")
@click.option("--min-top1", metavar="PERCENT", type=click.FloatRange(0, 100), help="Only networks with at least this published ImageNet top-1.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(ctx: click.Context, family: str | None, like: str | None, since: int | None, min_top1: float | None, as_json: bool) -> None:
    """List the networks; `costmodel models show NAME` counts one module by module."""
    if ctx.invoked_subcommand is not None:
        return
    from costmodel.reporting import catalogue

    rows = catalogue.model_rows(family, like=like, since=since, min_top1=min_top1)
    if as_json:
        click.echo(catalogue.to_json(rows))
    else:
        from costmodel.reporting.terminal import print_models

        print_models(rows)


@command.command(name="show")
@click.argument("model", shell_complete=complete_model)
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(model: str, as_json: bool, **options: Any) -> None:
    """A network: origin, published accuracy, counts, and its modules."""
    from costmodel import api
    from costmodel.reporting import catalogue

    graph = api.resolve(model, **options)
    document = catalogue.model_document(model, graph, changed=api.changes(**{name: value for name, value in options.items() if name != "batch"}))
    if as_json:
        click.echo(catalogue.to_json(document))
    else:
        from costmodel.reporting.terminal import print_model

        print_model(document)
