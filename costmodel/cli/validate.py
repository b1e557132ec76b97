"""``costmodel validate``: predictions beside measured rows, and how far they lie apart."""

from __future__ import annotations

from typing import Any

import click

from costmodel.cli._options import complete_device
from costmodel.cli._outputs import OutputFile, WritingCommand
from costmodel.reporting.endings import PICTURES
from costmodel.tensor import PRECISIONS


@click.command(name="validate", cls=WritingCommand)
@click.argument("device", shell_complete=complete_device)
@click.option("--measurements", multiple=True, type=click.Path(), metavar="F.csv", help="Measured rows; repeatable.  [default: those that ship]")
@click.option("--processor", metavar="NAME", help="Rows of this compute unit alone.")
@click.option("--runtime", metavar="NAME", help="Rows of this software stack alone.")
@click.option("--dtype", type=click.Choice(PRECISIONS), help="Rows of this precision alone.")
@click.option("--cores", metavar="SPEC", help="Rows of these cores alone, such as large=1.")
@click.option("--skip-refused", is_flag=True, help="Go on without rows that cannot be meant.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--output", "-o", type=OutputFile(*PICTURES), metavar="F.png", help="Plot predicted against measured here (.png, .svg or .pdf).")
def command(device: str, measurements: tuple[str, ...], skip_refused: bool, as_json: bool, output: str | None, **only: Any) -> None:
    """Judge a profile on measured rows, target by target, beside three simpler predictions.

    Errors are of the profile as it stands, and of its law fitted without the family that it predicts.

    \b
    costmodel validate pixel4 --processor cpu --dtype fp32
    costmodel validate pixel4 --measurements mine.csv -o pixel4.png
    """
    from costmodel import api
    from costmodel.reporting import accuracy

    found = api.validate(device, measurements=measurements or None, skip_refused=skip_refused, **only)
    if as_json:
        click.echo(found.to_json())
    else:
        accuracy.print_validation(found.to_dict())
    for line in (*(f"refused: {problem}" for problem in found.problems), *(f"warning: {note}" for note in found.notes)):
        click.echo(line, err=True)
    if output is not None:
        accuracy.plot(found.to_dict(), output)
