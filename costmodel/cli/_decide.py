"""What the commands that choose between networks share: which networks, and whose accuracies."""

from __future__ import annotations

import click

from costmodel.cli._options import Command, complete_device, complete_model, import_options

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
