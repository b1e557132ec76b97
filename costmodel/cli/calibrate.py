"""``costmodel calibrate``: a profile fitted to measured rows, or to microbenchmarks of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from costmodel.cli._options import complete_device
from costmodel.cli._outputs import OutputFile, WritingCommand
from costmodel.errors import UsageError
from costmodel.tensor import PRECISIONS

if TYPE_CHECKING:
    from costmodel.calibration.local.calibrate import LocalCalibration


@click.command(name="calibrate", cls=WritingCommand)
@click.argument("device", required=False, shell_complete=complete_device)
@click.option("--measurements", multiple=True, type=click.Path(), metavar="F.csv", help="Measured rows; repeatable.  [default: those that ship]")
@click.option("--like", metavar="NAME|FILE.toml", shell_complete=complete_device, help="Profile whose constants a device without its own begins from.")
@click.option("--processor", metavar="NAME", help="Rows of this compute unit alone. This machine: cpu or gpu.  [default: cpu]")
@click.option(
    "--runtime", metavar="NAME", help="Rows of this software stack alone. This machine: what to measure, several with commas.  [default: torch-eager]"
)
@click.option("--dtype", type=click.Choice(PRECISIONS), help="Rows of this precision alone. This machine's GPU: what to measure.  [default: amp]")
@click.option("--keep-constants", is_flag=True, help="Write the intervals alone, as families held out call for them.")
@click.option("--date", metavar="YYYY-MM-DD", help="When the rows were measured, for the profile's sources.")
@click.option("--skip-refused", is_flag=True, help="Go on without rows that cannot be meant.")
@click.option("--suggest", "count", type=int, metavar="N", help="Fit nothing; name the N networks to measure next.")
@click.option("--batch", type=int, metavar="N", help="Samples a pass of what --suggest names.  [default: 1]")
@click.option("--quick", is_flag=True, help="This machine: a third of the operators, fewer networks.")
@click.option("--threads", type=int, metavar="N", help="This machine: threads to run with.  [default: 1]")
@click.option("--layout", type=click.Choice(("nchw", "nhwc")), help="This machine: layout of torch's images.  [default: nchw]")
@click.option("--journal", type=OutputFile(), metavar="FILE", help="This machine: what keeps the measurements, so that an interrupted run goes on.")
@click.option("--restart", is_flag=True, help="This machine: measure everything again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--output", "-o", type=OutputFile(".toml", in_place=True), metavar="F.toml", help="Write the fitted profile here; without it, it is printed.")
def command(device: str | None, measurements: tuple[str, ...], as_json: bool, output: str | None, count: int | None, batch: int | None, **options: Any) -> None:
    """Fit a profile to measured rows of a device, and say how well families that were left out are predicted.

    The constants that the profile has are where the fit begins: rows move them as far as they say something about them.

    Without a device it is this machine, from microbenchmarks made now: operators with cold caches, then a few networks, under torch-eager, tflite,
    tflite-xnnpack (both by LiteRT) or onnxruntime; or its NVIDIA GPU under torch-eager. It refuses to measure beside other programs, and goes on where it was
    interrupted.

    \b
    costmodel calibrate -o this-machine.toml
    costmodel calibrate --runtime torch-eager,onnxruntime -o this-machine.toml
    costmodel calibrate --processor gpu -o this-gpu.toml
    costmodel calibrate pixel4 --measurements mine.csv -o pixel4-mine.toml
    costmodel calibrate my-phone.toml --like pixel4 --measurements mine.csv -o my-phone-fitted.toml
    costmodel calibrate galaxy-s10 --like pixel4 --suggest 3
    """
    from costmodel import api, durable
    from costmodel.reporting import accuracy

    here = {name: options.pop(name) for name in ("quick", "threads", "layout", "journal", "restart")}
    if device is None:
        given = options.pop("processor")
        processor = "cpu" if given is None else given
        if processor not in ("cpu", "gpu"):
            raise UsageError(f"this machine is measured as --processor cpu or gpu, not {processor!r}")
        own = {"dtype": options.pop("dtype")} if processor == "gpu" else {"runtime": options.pop("runtime"), "threads": here.pop("threads")}
        elsewhere = {"threads": here.pop("threads", None), "suggest": count, "batch": batch}
        _refuse(f"for this machine's {processor.upper()}", {"measurements": measurements, **options, **elsewhere})
        _here(output, as_json, processor, own, **here)
        return
    _refuse("for a device: it is of this machine, which has no name", here)
    if count is not None:
        _suggest(device, count, measurements, as_json, output, {**options, "batch": 1 if batch is None else batch})
        return
    if batch is not None:
        raise UsageError("--batch belongs to --suggest; rows say their own batch")
    date = options.pop("date")
    found = api.calibrate(device, measurements=measurements or None, date="" if date is None else date, **options)
    if output is not None:
        durable.put(output, found.profile)
    if as_json:
        click.echo(found.to_json())
    elif output is not None:
        accuracy.print_calibration(found.to_dict())
    else:
        click.echo(found.profile, nl=False)
    _wrote(output)
    for line in (*(f"refused: {problem}" for problem in found.problems), *(f"warning: {warning}" for warning in found.warnings)):
        click.echo(line, err=True)


def _suggest(device: str, count: int, measurements: tuple[str, ...], as_json: bool, output: str | None, options: dict[str, Any]) -> None:
    """Print which networks to measure next."""
    import json

    from costmodel.calibration.suggest import document
    from costmodel.measuring import suggest
    from costmodel.reporting import accuracy

    unfit = _given({"output": output, "keep_constants": options.pop("keep_constants"), "date": options.pop("date")})
    if unfit:
        raise UsageError(f"{', '.join(unfit)}: --suggest fits nothing; leave it out, or leave --suggest out")
    found = suggest(device, count, measurements=measurements or None, **options)
    if as_json:
        click.echo(json.dumps(document(device, found), ensure_ascii=False))
    else:
        accuracy.print_suggestions(document(device, found)["suggestions"])
    for problem in found[0].refused:
        click.echo(f"refused: {problem}", err=True)


def _refuse(when: str, options: Mapping[str, Any]) -> None:
    """Say no to options of the other kind of calibration."""
    given = _given(options)
    if given:
        raise UsageError(f"{given[0]} has no meaning {when}")


def _given(options: Mapping[str, Any]) -> list[str]:
    """The options that were given, whatever as."""
    return [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None and value is not False and value != ()]


def _here(output: str | None, as_json: bool, processor: str, own: dict[str, Any], *, layout: str | None, journal: str | None, **options: Any) -> None:
    """Calibrate this machine's CPU or GPU; `own` are options that the other does not have."""
    from costmodel import durable
    from costmodel.reporting import accuracy
    from costmodel.reporting.progress import progress_bar

    options |= {"layout": layout or "nchw", "journal": journal or (None if output is None else f"{output}.journal")}
    with progress_bar(f"measuring this machine's {processor.upper()}") as progress:
        try:
            found = _measured(processor, own, progress=progress, **options)
        except KeyboardInterrupt:
            click.echo("what was measured is kept: the same command goes on from there", err=True)
            raise
    if output is not None:
        durable.put(output, found.profile)
    if as_json:
        click.echo(found.to_json())
    elif output is not None:
        accuracy.print_local_calibration(found.to_dict())
    else:
        click.echo(found.profile, nl=False)
    _wrote(output)
    for warning in found.warnings:
        click.echo(f"warning: {warning}", err=True)


def _wrote(output: str | None) -> None:
    """Say where the profile is, beside the warnings: what is printed stays the result alone."""
    if output is not None:
        click.echo(f"wrote {output}", err=True)


def _measured(processor: str, own: Mapping[str, Any], **options: Any) -> LocalCalibration:
    import costmodel

    if processor == "gpu":
        return costmodel.calibrate_this_gpu(dtype=own["dtype"] or "amp", **options)
    runtimes = [runtime.strip() for runtime in ("torch-eager" if own["runtime"] is None else own["runtime"]).split(",")]
    return costmodel.calibrate_this_machine(runtimes=runtimes, threads=1 if own["threads"] is None else own["threads"], **options)
