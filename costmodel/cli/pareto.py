"""``costmodel pareto``: published accuracy against estimated latency, the front marked."""

from __future__ import annotations

from typing import Any

import click

from costmodel.cli._decide import choice_options, device_option
from costmodel.cli._options import target_options
from costmodel.cli._outputs import WritingCommand, output_option, write
from costmodel.reporting.endings import PAGES


@click.command(name="pareto", cls=WritingCommand)
@choice_options
@device_option
@target_options
@output_option(pictures=True, pages=True)
@click.option("--all", "everything", is_flag=True, help="List every network, not only the front and what may belong to it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    models: tuple[str, ...],
    devices: tuple[str, ...],
    outputs: tuple[str, ...],
    everything: bool,
    as_json: bool,
    processor: str | None,
    runtime: str | None,
    dtype: str | None,
    threads: int | None,
    cores: str | None,
    layout: str | None,
    **options: Any,
) -> None:
    """Published ImageNet top-1 against estimated latency: which networks no other beats, and which may belong to them.

    Without MODEL every network of the zoo with a published accuracy, at each width and resolution that has one. A MODEL is a network,
    a family, or a file.

    \b
    costmodel pareto --device pixel4 -o front.png -o front.html
    costmodel pareto mobilenet-v3 efficientnet-lite --device pixel4 --device coral-usb -o front.svg
    costmodel pareto resnet-50 mine.onnx --accuracy mine.csv --device a100 --batch 64
    """
    from costmodel import api
    from costmodel.reporting import decisions

    chosen = {"processor": processor, "runtime": runtime, "dtype": dtype, "threads": threads, "cores": cores, "layout": layout}
    fronts = api.pareto(models, targets=[api.target(device, **chosen) for device in devices], **options)  # type: ignore[arg-type]  # by keyword
    if as_json:
        click.echo(decisions.to_json(decisions.pareto_document(fronts)))
    else:
        from costmodel.reporting.decision_tables import print_fronts

        print_fronts(fronts, everything=everything or bool(models))

    def picture(path: str) -> None:
        from costmodel.reporting.pareto_plot import draw_pareto

        draw_pareto(fronts, path)

    def page() -> str:
        from costmodel.reporting.html import fronts_page

        return fronts_page(fronts)

    makers = {
        **dict.fromkeys(PAGES, page),
        ".csv": lambda: decisions.to_csv(decisions.pareto_rows(fronts)),
        ".json": lambda: decisions.to_json(decisions.pareto_document(fronts)) + "\n",
    }
    write(outputs, makers, picture)
