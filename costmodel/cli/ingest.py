"""``costmodel ingest``: the logs of measuring tools as measured rows."""

from __future__ import annotations

import click

from costmodel.cli._options import complete_device
from costmodel.cli._outputs import OutputFile, WritingCommand
from costmodel.tensor import PRECISIONS


@click.command(name="ingest", cls=WritingCommand)
@click.argument("logs", nargs=-1, required=True, type=click.Path(exists=True), metavar="LOG...")
@click.option("--output", "-o", type=OutputFile(".csv"), metavar="F.csv", help="Write the rows here; without it, they are printed.")
@click.option("--network", metavar="NAME", help="The network, where logs do not say.")
@click.option("--device", "-d", metavar="NAME", shell_complete=complete_device, help="The device, where logs do not say.")
@click.option("--processor", metavar="NAME", help="Its compute unit: cpu, gpu or edgetpu.")
@click.option("--runtime", metavar="NAME", help="Software stack, such as tflite or torch-eager.")
@click.option("--dtype", type=click.Choice(PRECISIONS), help="Precision that it ran in.")
@click.option("--cores", metavar="SPEC", help="The cores that it ran on, such as large=1.")
@click.option("--layout", type=click.Choice(("nchw", "nhwc")), help="Layout of images in memory.")
@click.option("--padding", type=click.Choice(("same", "symmetric")), help="Padding of TensorFlow (same) or torch (symmetric).")
@click.option("--batch", metavar="N", help="Samples a pass.")
@click.option("--date", metavar="YYYY-MM-DD", help="When it was measured.")
def command(logs: tuple[str, ...], output: str | None, **stated: str | None) -> None:
    """Read logs into rows that calibrate and validate take: of TFLite's benchmark_model, ncnn's benchncnn, onnxruntime, trtexec, torch.profiler.

    LOG is a file or a folder. The tool is told by what a log holds. A log that is cut off or of another tool is refused with its line (exit
    code 4), and the rows of all others are written. Options state what logs leave open.

    \b
    costmodel ingest kit/logs -o rows.csv
    costmodel ingest trace.json --network resnet-50 --device my-server -o rows.csv
    """
    from costmodel import durable
    from costmodel.errors import InvalidFileError
    from costmodel.measuring import ingest

    found = ingest(logs, **stated)
    if found.rows and output is not None:
        durable.put(output, found.to_csv())
        click.echo(f"{output}: {len(found.rows)} row{'s' if len(found.rows) != 1 else ''}")
    elif found.rows:
        click.echo(found.to_csv(), nl=False)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)
    if found.problems:
        raise InvalidFileError(f"{len(found.problems)} refused:" + "".join(f"\n{problem}" for problem in found.problems))
