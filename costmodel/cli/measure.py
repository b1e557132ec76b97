"""``costmodel measure``: real execution on this machine, beside the prediction."""

from __future__ import annotations

from typing import Any

import click

from costmodel.cli._options import complete_device, complete_model, import_options, network_options
from costmodel.errors import UsageError

BACKENDS = ("torch", "onnxruntime", "litert")


@click.command(name="measure")
@click.argument("model", shell_complete=complete_model)
@click.option("--threads", type=int, default=1, show_default=True, metavar="N", help="Threads to run with.")
@click.option("--backend", type=click.Choice(BACKENDS), default="torch", show_default=True, help="What executes the network.")
@click.option(
    "--device", "-d", default="this-machine", show_default=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Profile to predict with."
)
@network_options
@import_options
@click.option("--repeats", type=int, default=9, show_default=True, metavar="N", help="Timed passes.")
@click.option("--allow-contention", is_flag=True, help="Report even if the machine was busy; the figures are marked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(model: str, threads: int, backend: str, device: str, repeats: int, allow_contention: bool, as_json: bool, **options: Any) -> None:
    """Run a network here, operator by operator, and print measured beside predicted time for each kind of work.

    Needs torch: pip install 'costmodel[torch]'; onnxruntime and litert (with XNNPACK) execute the file that export writes, and need the
    extras ort, or litert and tflite. Refuses to report when other programs disturb the measurement.

    \b
    costmodel measure mobilenet-v2
    costmodel measure resnet-50 --threads 2
    costmodel measure mobilenet-v2 --backend onnxruntime
    """
    import json

    from costmodel import api, measuring, reference
    from costmodel.reporting.measured import Beside

    graph = api.resolve(model, **options)
    if "cpu" not in api.device(device).profile.processors:
        raise UsageError(f"{device} has no cpu to compare with: it runs on this machine's; leave --device out, or name a profile that has one")
    predicted = api.estimate(graph, device=device, processor="cpu", runtime=measuring.RUNTIME_OF[backend], threads=threads)
    if backend == "torch":
        found = reference.measure(graph, threads=threads, repeats=repeats, allow_contention=allow_contention)
    else:
        found = measuring.measure_whole(graph, backend, threads=threads, repeats=repeats, allow_contention=allow_contention)
    beside = Beside(estimate=predicted, measurement=found, backend=backend)
    if as_json:
        click.echo(json.dumps(beside.to_dict(), ensure_ascii=False))
    else:
        from costmodel.reporting.terminal import print_beside

        print_beside(beside)
    if found.contended:
        click.echo(f"warning: the machine was busy: {found.contended}", err=True)
