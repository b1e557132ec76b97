"""``costmodel recommend``: the best networks within limits."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from costmodel.cli._decide import choice_options
from costmodel.cli._options import complete_device, require_finite, target_options
from costmodel.cli._outputs import WritingCommand, judged, output_option, write
from costmodel.errors import BudgetExceededError
from costmodel.tensor import PRECISIONS


@click.command(name="recommend", cls=WritingCommand)
@choice_options
@click.option("--device", "-d", required=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile.")
@click.option("--max-latency-ms", type=click.FloatRange(min=0, min_open=True), metavar="X", help="At most this latency.")
@click.option("--min-top1", type=click.FloatRange(0, 100, max_open=True), metavar="Y", help="At least this ImageNet top-1, in percent.")
@click.option("--max-memory-mb", type=click.FloatRange(min=0, min_open=True), metavar="Z", help="At most this for weights and activations, in 1e6 bytes.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(PRECISIONS), help="Precision to run in; repeatable.  [default: all that the runtime has]")
@partial(target_options, without=("dtype",))
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="Networks to list for each precision.")
@output_option(pictures=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    models: tuple[str, ...],
    device: str,
    max_latency_ms: float | None,
    min_top1: float | None,
    max_memory_mb: float | None,
    dtypes: tuple[str, ...],
    processor: str | None,
    runtime: str | None,
    threads: int | None,
    cores: str | None,
    layout: str | None,
    top: int,
    outputs: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """What fits: the most accurate networks within limits, how surely, and which limit keeps the others out.

    Networks are chosen from the zoo at each width and resolution that has a published accuracy, or from MODEL and --family. Without
    a latency limit the fastest come first. Exits with 3 where nothing fits, and says what would.

    \b
    costmodel recommend --device pixel4 --max-latency-ms 20
    costmodel recommend --device coral-usb --max-latency-ms 5 --max-memory-mb 8
    costmodel recommend --device rtx4090 --min-top1 84 --batch 32
    """
    from costmodel import api
    from costmodel.decisions import Limits
    from costmodel.reporting import decisions

    for option, value in (("--max-latency-ms", max_latency_ms), ("--min-top1", min_top1), ("--max-memory-mb", max_memory_mb)):
        require_finite(option, value)
    limits = Limits(
        latency_s=None if max_latency_ms is None else max_latency_ms * 1e-3,
        top1=min_top1,
        memory_bytes=None if max_memory_mb is None else max_memory_mb * 1e6,
    )
    targets = api.targets(device, dtypes=dtypes, processor=processor, runtime=runtime, threads=threads, cores=cores, layout=layout)
    found = api.recommend(models, targets=targets, limits=limits, **options)
    with judged(None if found.choices else BudgetExceededError(decisions.why_nothing_fits(found))):
        if as_json:
            click.echo(decisions.to_json(decisions.recommendation_document(found)))
        else:
            from costmodel.reporting.decision_tables import print_recommendation

            print_recommendation(found, targets, top=top)
        makers = {
            ".csv": lambda: decisions.recommendation_csv(found),
            ".json": lambda: decisions.to_json(decisions.recommendation_document(found)) + "\n",
        }
        write(outputs, makers)
