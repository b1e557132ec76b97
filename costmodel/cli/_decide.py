"""What the commands that choose between networks share: which networks, whose accuracies, and files for the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from costmodel import durable
from costmodel.cli._options import Command, complete_device, complete_model, import_options
from costmodel.errors import CostModelError, UsageError

#: Endings of the files that a result can be written to, besides pictures.
DATA = (".csv", ".json")

device_option = click.option(
    "--device", "-d", "devices", required=True, multiple=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile; repeatable."
)


def choice_options(command: Command) -> Command:
    """Which networks to choose from, what is known of their accuracy, and what files and modules among them leave open."""
    command = import_options(command)
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


def write(outputs: Sequence[str], makers: Mapping[str, Callable[[], str]], picture: Callable[[str], None] | None = None) -> None:
    """Write each file: text by the maker of its ending, and what has none as a picture; says so on stderr.

    Raises
    ------
    CostModelError
        If a file cannot be written: names it; what stood there is as it was.
    """
    for path in outputs:
        maker = makers.get(Path(path).suffix.lower())
        if maker is None:
            assert picture is not None, "`output_option` lets no ending through that nothing is made for"
            picture(path)
        else:
            write_text(path, maker())
        click.echo(f"wrote {path}", err=True)


def write_text(path: str, text: str) -> None:
    """Write a text into a file, whole or not at all; what cannot be encoded (names of files may be any bytes) becomes a question mark.

    Raises
    ------
    CostModelError
        If the file cannot be written: names it; what stood there is as it was.
    """
    try:
        durable.write_bytes(path, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise CostModelError(f"{path}: cannot be written: {error.strerror or error}; choose another place for it") from None
