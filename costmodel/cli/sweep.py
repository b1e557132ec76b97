"""``costmodel sweep``: a grid of estimates of one network."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from costmodel.cli._options import complete_device, complete_model, import_options, target_options
from costmodel.cli._outputs import OutputFile, WritingCommand, output_option, text_writer, write


@click.command(name="sweep", cls=WritingCommand)
@click.argument("model", shell_complete=complete_model)
@click.option("--device", "-d", required=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile.")
@click.option("--batch", metavar="LIST", help="Samples a pass: 1,8,32 or first:last:step.")
@click.option("--resolution", metavar="LIST", help="Input resolutions: 128:480:32, or 224,288x512 (height x width).")
@click.option("--width", metavar="LIST", help="Width multipliers: 0.5,0.75,1.")
@click.option("--dtype", metavar="LIST", help="Precisions: fp32,int8.")
@click.option("--threads", metavar="LIST", help="Numbers of the fastest cores: 1,2,4.")
@partial(target_options, without=("dtype", "threads"))
@click.option("--padding", type=click.Choice(("same", "symmetric")), help="Padding of TensorFlow (same) or torch (symmetric).")
@import_options
@output_option(pictures=True)
@click.option("--csv", "csv_path", type=OutputFile(), metavar="F", help="Write the table as CSV, whatever the name ends in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(model: str, device: str, outputs: tuple[str, ...], csv_path: str | None, as_json: bool, **options: Any) -> None:
    """Estimates of one network at every combination of batches, resolutions, widths, precisions and threads.

    \b
    costmodel sweep resnet-50 --device a100 --batch 1,8,32,128 --dtype fp32,amp -o batches.png
    costmodel sweep mobilenet-v2 --device pixel4 --resolution 128:320:32 --width 0.35,0.5,1 --csv grid.csv
    """
    from costmodel import api
    from costmodel.decisions import AXES, Wanted, parse_axis
    from costmodel.reporting import decisions

    given = {name: options.pop(name) for name in AXES}
    wanted = Wanted(**{name: parse_axis(name, text) for name, text in given.items() if text is not None})
    found = api.sweep(model, device=device, wanted=wanted, **options)
    if as_json:
        click.echo(decisions.to_json(decisions.grid_document(found)))
    else:
        from costmodel.reporting.decision_tables import print_grid

        print_grid(found)

    def picture(path: str) -> None:
        from costmodel.reporting.sweep_plot import draw_sweep

        draw_sweep(found, path)

    def table() -> str:
        return decisions.to_csv(decisions.grid_rows(found))

    makers = {".csv": table, ".json": lambda: decisions.to_json(decisions.grid_document(found)) + "\n"}
    write(outputs, makers, picture, also=[] if csv_path is None else [(csv_path, text_writer(table))])
