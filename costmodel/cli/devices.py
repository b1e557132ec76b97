"""``costmodel devices``: what profiles exist, and what one holds."""

from __future__ import annotations

import click

from costmodel.cli._options import ShowGroup, complete_device


@click.group(cls=ShowGroup, name="devices", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the device profiles; `costmodel devices show NAME` prints one with the source of every number."""
    if ctx.invoked_subcommand is not None:
        return
    from costmodel.reporting import catalogue

    profiles = catalogue.device_rows()
    if as_json:
        click.echo(catalogue.to_json(profiles))
    else:
        from costmodel.reporting.terminal import print_devices

        print_devices(profiles)


@command.command(name="show")
@click.argument("name", metavar="NAME|FILE.toml", shell_complete=complete_device)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(name: str, as_json: bool) -> None:
    """A profile: processors, runtimes, and every number with its kind and source."""
    from costmodel import api
    from costmodel.reporting import catalogue

    device = api.device(name)
    if as_json:
        click.echo(catalogue.to_json(catalogue.device_document(device)))
    else:
        from costmodel.reporting.terminal import print_device

        print_device(device)
