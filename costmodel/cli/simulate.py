"""``costmodel simulate``: how a network runs over time on a model of the machine."""

from __future__ import annotations

from typing import Any

import click

from costmodel.cli._decide import output_option, write
from costmodel.cli._options import complete_device, complete_model, import_options, network_options, require_finite, target_options


@click.command(name="simulate")
@click.argument("model", shell_complete=complete_model)
@click.option("--device", "-d", required=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile.")
@target_options
@network_options
@import_options
@click.option("--overlap/--no-overlap", default=True, help="Whether independent things may run at once; without, the estimate is repeated.  [default: overlap]")
@click.option("--parallel", type=int, default=1, show_default=True, metavar="N", help="Operators at once: inter-operator threads of a CPU, streams of a GPU.")
@click.option("--inferences", type=int, default=1, show_default=True, metavar="N", help="Passes one after the other.")
@click.option("--in-flight", type=int, default=1, show_default=True, metavar="N", help="Passes that may have begun before the first of them has ended.")
@click.option("--policy", default="fail", show_default=True, metavar="NAME", help="Where memory does not suffice: fail, spill or evict.")
@click.option("--cuda-graph", is_flag=True, help="Launch a GPU's kernels together.")
@click.option("--copies", is_flag=True, help="Copy inputs to a GPU and outputs back.")
@click.option("--quantise", is_flag=True, help="Quantise inputs and dequantise outputs on an Edge TPU's host.")
@click.option("--co-compiled", multiple=True, metavar="MODEL", help="A network that the Edge TPU holds beside this one; repeatable.")
@click.option("--link-mb-per-s", type=float, metavar="X", help="Another link to the accelerator: about 40 for USB 2.")
@click.option("--trace", type=click.Path(dir_okay=False), metavar="F", help="Write a Chrome trace, which Perfetto opens.")
@output_option(pictures=True)
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="Rows of what decided the end; 0 prints all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(model: str, device: str, link_mb_per_s: float | None, trace: str | None, outputs: tuple[str, ...], top: int, as_json: bool, **options: Any) -> None:
    """Run the kernels of a network on a model of the machine: overlap, queues, bandwidth, capacity; where nothing overlaps this equals the estimate.

    -o F.png draws the timeline, --trace F.json writes it for Perfetto. What no measurement backs is called illustrative.

    \b
    costmodel simulate googlenet --device i9-10940x --parallel 2 -o branches.png
    costmodel simulate efficientnet-b0 --device a100 --cuda-graph --trace b0.json
    costmodel simulate resnet-50 --device coral-usb --inferences 4 --in-flight 2
    costmodel simulate mobilenet-v2 --device coral-usb --link-mb-per-s 40 --co-compiled mobilenet-v1
    """
    from costmodel.simulating import simulate

    require_finite("--link-mb-per-s", link_mb_per_s)
    link = None if link_mb_per_s is None else link_mb_per_s * 1e6
    timeline = simulate(model, device=device, link_bytes_per_s=link, **options)
    if as_json:
        click.echo(timeline.to_json())
    else:
        from costmodel.reporting.timelines import print_timeline

        print_timeline(timeline, top=top)
    if trace is not None:
        timeline.to_trace(trace)
        click.echo(f"wrote {trace}", err=True)

    def picture(path: str) -> None:
        from costmodel.reporting.gantt import draw_gantt

        draw_gantt(timeline, path)

    write(outputs, {".json": lambda: timeline.to_json() + "\n", ".csv": timeline.to_csv}, picture)
    for warning in timeline.warnings:
        click.echo(f"warning: {warning}", err=True)
