"""``costmodel export``: a network as a file that other tools run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from costmodel.cli._options import complete_model, import_options, network_options
from costmodel.cli._outputs import OutputFile, WritingCommand
from costmodel.files import WRITTEN


@click.command(name="export", cls=WritingCommand)
@click.argument("model", shell_complete=complete_model)
@click.option("--output", "-o", required=True, type=OutputFile(*WRITTEN), help=f"The file: {', '.join(WRITTEN)}.")
@click.option("--dtype", type=click.Choice(("fp32", "int8")), help="Precision of a .tflite file.  [default: fp32, or what the network's file has]")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Seed of the random weights.")
@network_options
@import_options
def command(model: str, output: str, dtype: str | None, seed: int, **options: Any) -> None:
    """Write a network with random weights (a saved graph has none) for measuring it on a real device.

    From Python, costmodel.export takes trained weights, too. int8 files are calibrated on random inputs.

    \b
    costmodel export mobilenet-v2 -o mobilenet-v2.tflite
    costmodel export torch:mynets.models:Net --input 1x3x224x224 -o net.onnx
    """
    from costmodel import api

    graph = api.resolve(model, **options)
    api.export(graph, output, dtype=dtype, seed=seed)
    click.echo(f"{output}: {graph.name}, {len(graph)} operators, {Path(output).stat().st_size:,} bytes")
