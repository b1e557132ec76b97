"""``costmodel scale``: a family made larger or smaller in depth, width and resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from costmodel.cli._options import complete_device, complete_model, network_options, require_finite, target_options
from costmodel.cli._outputs import WritingCommand, output_option, write


def _numbers(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """``1.2,1.1,1.15`` as numbers."""
    if text is None:
        return None
    try:
        found = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no list of numbers such as 1.2,1.1,1.15", ctx, param) from None
    for value in found:
        require_finite(f"--{param.name}", value)
    return found


#: Networks from which on looking for the largest may take half a minute and more, and says how far it is.
_MANY = 1000


@click.command(name="scale", cls=WritingCommand)
@click.argument("base", required=False, shell_complete=complete_model)
@click.option("--device", "-d", metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile: latencies, too.")
@click.option("--budget-ms", type=click.FloatRange(min=0, min_open=True), metavar="X", help="At most this latency; needs --device.")
@click.option(
    "--show",
    type=click.Choice(("largest", "ladder", "grid", "dimensions")),
    help="The largest network within the budget; a network for each phi; feasible coefficients; one dimension against all three.  "
    "[default: largest with a budget, else ladder]",
)
@click.option("--coefficients", callback=_numbers, metavar="A,B,C", help="Growth of depth, width and resolution with each phi.  [default: 1.2,1.1,1.15]")
@click.option("--phi", callback=_numbers, metavar="LIST", help="Where the ladder has networks, or how far --show dimensions goes.")
@click.option("--max-resolution", type=click.IntRange(min=1), metavar="N", help="Images of at most N pixels a side (EfficientNetV2: 480).")
@click.option("--late", type=float, default=1.0, metavar="X", help="Deepen the last third of the stages by X more with each phi (EfficientNetV2).")
@click.option("--resolution-step", type=int, default=8, show_default=True, metavar="N", help="Images are multiples of N pixels.")
@click.option("--spread", type=float, metavar="X", help="How far in phi each dimension may leave the balance, of --show largest.  [default: 1]")
@click.option("--tolerance", type=float, metavar="X", help="How near to 2 the constraint of --show grid must be.  [default: 0.1]")
@target_options
@network_options
@click.option("--families", "list_families", is_flag=True, help="List the families that have depth and width to scale.")
@output_option(pictures=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    base: str | None,
    budget_ms: float | None,
    show: str | None,
    list_families: bool,
    outputs: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Scale a network in depth, width and resolution, with the counts and latencies of the networks that are really built.

    Names of scaled networks (efficientnet-b0-d1.4-w1.2@288) are understood by every other command. Exits with 3 where no network is within
    the budget, and names the nearest.

    \b
    costmodel scale efficientnet-b0 --device pixel4 -o ladder.png
    costmodel scale efficientnet-b0 --device pixel4 --budget-ms 40
    costmodel scale mobilenet-v2 --show dimensions
    costmodel scale efficientnetv2-b0 --device rtx4090 --budget-ms 20 --max-resolution 480 --late 1.1
    """
    from costmodel.reporting import decisions, scaling_tables

    if list_families:
        _list_families(as_json)
        return
    if base is None:
        raise click.UsageError("which network is scaled? give BASE; `costmodel scale --families` lists those that can be")
    require_finite("--budget-ms", budget_ms)
    kind = show or ("ladder" if budget_ms is None else "largest")
    found, target, batch = _found(base, kind, None if budget_ms is None else budget_ms * 1e-3, options)
    document = scaling_tables.scaling_document(kind, found.to_dict(), target, batch)
    if as_json:
        click.echo(decisions.to_json(document))
    else:
        scaling_tables.print_scaling(document, target)

    def picture(path: str) -> None:
        from costmodel.reporting.scaling_plot import draw_ladder

        draw_ladder(document, path)

    write(outputs, {".csv": lambda: scaling_tables.scaling_csv(document), ".json": lambda: decisions.to_json(document) + "\n"}, picture)


def _found(base: str, kind: str, budget_s: float | None, options: dict[str, Any]) -> tuple[Any, Any, int]:
    """(what was asked for, the target or None, samples a pass)."""
    from costmodel import scaling
    from costmodel.reporting.progress import progress_bar

    _refuse_what_means_nothing(kind, budget_s, options)
    where = {name: options[name] for name in ("processor", "runtime", "dtype", "threads", "cores", "layout")}
    target = None if options["device"] is None else scaling.target_of(options["device"], **where)
    built = {name: options[name] for name in ("padding", "classes", "features_only")}
    batch = 1 if options["batch"] is None else options["batch"]
    root = scaling.base_of(base, batch=batch, **built)
    restrictions = scaling.Restrictions(max_resolution=options["max_resolution"], late=options["late"], resolution_step=options["resolution_step"])
    coefficients = scaling.Coefficients(*(options["coefficients"] or scaling.PAPER))
    rule: dict[str, Any] = {"coefficients": coefficients, "restrictions": restrictions}
    within: dict[str, Any] = {"target": target, "budget_s": budget_s}
    if kind == "largest":
        grid = scaling.Grid() if options["spread"] is None else scaling.Grid(spread=options["spread"])
        with progress_bar(f"networks scaled from {base}, the largest first", _MANY) as progress:
            return scaling.largest(root, **within, **rule, grid=grid, progress=progress), target, batch
    if kind == "ladder":
        return scaling.ladder(root, phis=options["phi"], **rule, **within), target, batch
    if kind == "grid":
        near: dict[str, Any] = {} if options["tolerance"] is None else {"tolerance": options["tolerance"]}
        return scaling.coefficient_grid(root, restrictions=restrictions, **near, **within), target, batch
    far: dict[str, Any] = {} if options["phi"] is None else {"phi": options["phi"][0]}
    return scaling.dimensions(root, **far, **rule, **within), target, batch


def _refuse_what_means_nothing(kind: str, budget_s: float | None, options: dict[str, Any]) -> None:
    """Options that belong to another table, or to a device that was not named."""
    if budget_s is not None and options["device"] is None:
        raise click.UsageError("--budget-ms is a device's latency: name the device with --device")
    if kind == "largest" and budget_s is None:
        raise click.UsageError("--show largest is the largest network within a budget: state --budget-ms, and --device")
    stray = [f"--{name}" for name in ("processor", "runtime", "dtype", "threads", "cores", "layout") if options["device"] is None and options[name] is not None]
    if stray:
        raise click.UsageError(f"{', '.join(stray)}: these belong to a device; name it with --device")
    places: dict[str, Sequence[str]] = {"phi": ("ladder", "dimensions"), "spread": ("largest",), "tolerance": ("grid",)}
    for name, kinds in places.items():
        if options[name] is not None and kind not in kinds:
            raise click.UsageError(f"--{name} is for --show {' or '.join(kinds)}, not {kind}")
    if options["coefficients"] is not None and (kind == "grid" or len(options["coefficients"]) != 3):
        raise click.UsageError("--coefficients are three, for depth, width and resolution; --show grid looks for them itself")
    if kind == "dimensions" and (len(options["phi"] or (0.0,)) != 1 or (options["phi"] is not None and budget_s is not None)):
        raise click.UsageError("--show dimensions takes one --phi, or a budget")


def _list_families(as_json: bool) -> None:
    from costmodel import scaling
    from costmodel.reporting import decisions, scaling_tables

    found = scaling.families()
    if as_json:
        click.echo(decisions.to_json({"families": {family: list(names) for family, names in found.items()}}))
    else:
        scaling_tables.print_families(found)
