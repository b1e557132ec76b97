"""``costmodel kit``: networks and scripts to measure on a device of one's own."""

from __future__ import annotations

import click

from costmodel.cli._options import complete_device
from costmodel.cli._outputs import OutputFolder, WritingCommand
from costmodel.errors import UsageError
from costmodel.quantity import counted
from costmodel.tensor import PRECISIONS


@click.command(name="kit", cls=WritingCommand)
@click.option("--runtime", required=True, metavar="NAME", help="What runs there: tflite, ncnn, onnxruntime or trtexec.")
@click.option("--output", "-o", required=True, type=OutputFolder(), metavar="FOLDER", help="The folder to write; it must be new or empty.")
@click.option("--like", metavar="NAME|FILE.toml", shell_complete=complete_device, help="Profile of a relative, whose constants choose the networks.")
@click.option("--networks", metavar="NAME,...", help="Take these networks of the zoo instead of choosing.")
@click.option("-n", "count", type=int, metavar="N", help="How many networks to choose.  [default: 6]")
@click.option("--dtype", type=click.Choice(PRECISIONS), default="fp32", show_default=True, help="Precision of the networks.")
@click.option("--batch", type=int, metavar="N", help="Samples a pass.  [default: 1; trtexec: 32]")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of the random weights.")
def command(runtime: str, output: str, networks: str | None, **options: object) -> None:
    """Write a kit: exported networks, chosen for what their times say about a device, and scripts that run them over adb or ssh.

    Each run gives one log; costmodel ingest reads them. Files are written by costmodel's exporters (extras tflite and torch, or onnx and torch;
    ncnn needs none).

    \b
    costmodel kit --runtime tflite -o kit/
    costmodel kit --runtime ncnn --networks resnet-18,mobilenet-v2 -o kit/
    """
    from costmodel.measuring import kit

    named = [] if networks is None else [name.strip() for name in networks.split(",") if name.strip()]
    if networks is not None and not named:
        raise UsageError("--networks names none: give names of the zoo with commas, or leave it out to have them chosen")
    made = kit(runtime, output, networks=named, progress=lambda text: click.echo(text, err=True), **options)  # type: ignore[arg-type]  # as declared above
    for reason in made.left_out:
        click.echo(f"left out: {reason}", err=True)
    chosen = f", chosen by the constants of {made.chosen_by}" if made.chosen_by else ""
    click.echo(f"{output}: {counted(len(made.networks), 'network')} for {runtime}{chosen}")
