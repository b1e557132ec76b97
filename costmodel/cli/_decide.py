"""What the commands that choose between networks share: which networks, whose accuracies, and files for the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from costmodel.cli._options import Command, complete_device, complete_model
from costmodel.errors import CostModelError, UsageError

#: Endings of the files that a result can be written to, besides pictures.
DATA = (".csv", ".json")

device_option = click.option(
    "--device", "-d", "devices", required=True, multiple=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile; repeatable."
)


def choice_options(command: Command) -> Command:
    """Which networks to choose from, and what is known of their accuracy."""
    for option in reversed(
        (
            click.argument("models", nargs=-1, metavar="[MODEL...]", shell_complete=complete_model),
            click.option("--family", "families", multiple=True, metavar="NAME", help="All networks of this family; repeatable."),
            click.option("--accuracy", metavar="F.csv", help="Accuracies of your own: a CSV file with the columns network and top1."),
            click.option("--evaluation", metavar="NAME", help="Whose published figures: paper, timm, torchvision or pytorchcv."),
            click.option("--no-extra-data", "extra_data", flag_value=False, default=True, help="Leave out networks trained on more than ImageNet-1k."),
            click.option("--batch", type=int, metavar="N", help="Samples a pass.  [default: 1]"),
            click.option("--padding", type=click.Choice(("same", "symmetric")), help="Padding of TensorFlow (same) or torch (symmetric)."),
        )
    ):
        command = option(command)
    return command


def output_option(*, pictures: bool, pages: bool = False) -> Callable[[Command], Command]:
    """``-o`` for files, whose ending says what is written."""
    from costmodel.reporting.endings import PAGE, PICTURES

    kinds = (*(PICTURES if pictures else ()), *((PAGE,) if pages else ()), *DATA)
    words = ", ".join(kinds)

    def check(ctx: click.Context, param: click.Parameter, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            ending = Path(path).suffix.lower()
            if ending not in kinds:
                raise UsageError(f"{path}: the ending says what is written, and this one says nothing: {words}")
        return paths

    return click.option("-o", "--output", "outputs", multiple=True, callback=check, metavar="FILE", help=f"Write a file ({words}); repeatable.")


def write(outputs: Sequence[str], makers: Mapping[str, Callable[[], str]], picture: Callable[[str], Any]) -> None:
    """Write each file: text by the maker of its ending, anything else as a picture; says so on stderr.

    Raises
    ------
    CostModelError
        If a file cannot be written: names it.
    """
    for path in outputs:
        maker = makers.get(Path(path).suffix.lower())
        try:
            if maker is None:
                picture(path)
            else:
                Path(path).write_text(maker(), encoding="utf-8")
        except OSError as error:
            raise CostModelError(f"{path}: cannot be written: {error.strerror or error}") from None
        click.echo(f"wrote {path}", err=True)
