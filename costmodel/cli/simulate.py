"""``costmodel simulate``: how a network runs over time on a model of the machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from costmodel.cli._options import Command, complete_device, complete_model, import_options, network_options, require_finite, target_options
from costmodel.cli._outputs import OutputFile, WritingCommand, output_option, write
from costmodel.errors import UsageError

DATAFLOWS = ("weight-stationary", "output-stationary", "input-stationary")
#: Loads of --curve, as shares of what the device serves at the most.
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
#: What options belong to, and what asks for it.
_SERVING_OPTIONS, _ARRAY_OPTIONS = "serving (--per-s, --arrivals or --curve)", "--detail array"
#: Options of serving and of the array, with what each is without being given.
_SERVING: dict[str, Any] = {
    "per_s": None,
    "arrivals": None,
    "curve": False,
    "also": (),
    "requests": None,
    "max_batch": 1,
    "max_wait_ms": 0.0,
    "devices": 1,
    "seed": None,
}
_ARRAY: dict[str, Any] = {"array": None, "dataflow": DATAFLOWS[0], "sram_kib": None}

#: Options of a run over time, with what each is without being given.
_RUNS: dict[str, Any] = {
    "overlap": True,
    "parallel": 1,
    "own_cores": False,
    "inferences": 1,
    "in_flight": 1,
    "policy": "fail",
    "cuda_graph": False,
    "copies": False,
    "quantise": False,
    "co_compiled": (),
    "link_mb_per_s": None,
    "trace": None,
    "outputs": (),
    "measured": None,
}


def _numbers(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    """``128x128`` or ``512,512,256`` as numbers, as many as the option wants."""
    if text is None:
        return None
    mark, count, example = ("x", 2, "128x128") if param.name == "array" else (",", 3, "512,512,256")
    words = text.lower().split(mark)
    if len(words) != count or not all(word.isascii() and word.isdigit() and int(word[:9]) > 0 and len(word) < 9 for word in words):
        raise click.BadParameter(f"{text!r} is nothing such as {example}", ctx, param)
    return tuple(int(word) for word in words)


def _array_options(command: Command) -> Command:
    for option in reversed(
        (
            click.option("--detail", type=click.Choice(("kernels", "array")), default="kernels", show_default=True, help="array: cycles of a systolic array."),
            click.option("--array", callback=_numbers, metavar="RxC", help="Rows and columns of the array.  [default: the Edge TPU's]"),
            click.option("--dataflow", type=click.Choice(DATAFLOWS), default=DATAFLOWS[0], show_default=True, help="What stays in the array."),
            click.option("--sram-kib", callback=_numbers, metavar="I,W,O", help="SRAMs of inputs, weights and outputs; an Edge TPU's are the profile's."),
        )
    ):
        command = option(command)
    return command


def _serving_options(command: Command) -> Command:
    for option in reversed(
        (
            click.option("--per-s", type=float, metavar="X", help="Serve X requests a second (Poisson): percentiles of latency."),
            click.option("--arrivals", metavar="F.csv", help="Serve the requests of a file: seconds, or seconds,network, a line each."),
            click.option("--curve", is_flag=True, help="Throughput against latency, from a tenth of the most to nearly all of it."),
            click.option("--also", multiple=True, metavar="MODEL", help="Serve this network, too; repeatable."),
            click.option("--requests", type=int, metavar="N", help="Poisson requests.  [default: 10000]"),
            click.option("--max-batch", type=int, default=1, show_default=True, metavar="N", help="Requests a batch, at the most."),
            click.option("--max-wait-ms", type=float, default=0.0, show_default=True, metavar="X", help="How long the first waits for others."),
            click.option("--devices", type=int, default=1, show_default=True, metavar="N", help="Devices that serve."),
            click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Of Poisson arrivals.  [default: 0]"),
        )
    ):
        command = option(command)
    return command


@click.command(name="simulate", cls=WritingCommand)
@click.argument("model", shell_complete=complete_model)
@click.option("--device", "-d", required=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile.")
@target_options
@network_options
@import_options
@click.option("--overlap/--no-overlap", default=True, help="Whether independent things may run at once; without, the estimate is repeated.  [default: overlap]")
@click.option("--parallel", type=int, default=1, show_default=True, metavar="N", help="Operators at once: inter-operator threads of a CPU, streams of a GPU.")
@click.option("--own-cores", is_flag=True, help="Operators keep to their share of the cores even where they run alone.")
@click.option("--inferences", type=int, default=1, show_default=True, metavar="N", help="Passes one after the other.")
@click.option("--in-flight", type=int, default=1, show_default=True, metavar="N", help="Passes that may have begun before the first of them has ended.")
@click.option("--policy", default="fail", show_default=True, metavar="NAME", help="Where memory does not suffice: fail, ignore, spill or evict.")
@click.option("--cuda-graph", is_flag=True, help="Launch a GPU's kernels together.")
@click.option("--copies", is_flag=True, help="Copy inputs to a GPU and outputs back.")
@click.option("--quantise", is_flag=True, help="Quantise inputs and dequantise outputs on an Edge TPU's host.")
@click.option("--co-compiled", multiple=True, metavar="MODEL", help="A network that the Edge TPU holds beside this one; repeatable.")
@click.option("--link-mb-per-s", type=click.FloatRange(1e-6, 1e12), metavar="X", help="Another link to the accelerator: about 40 for USB 2.")
@click.option("--measured", metavar="F.json", help="Beside a profile of the same network by torch.profiler or onnxruntime: operators, errors ranked.")
@_array_options
@_serving_options
@click.option("--trace", type=OutputFile(), metavar="F", help="Write a Chrome trace, which Perfetto opens.")
@output_option(pictures=True)
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="Rows of what decided the end; 0 prints all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(model: str, detail: str, top: int, as_json: bool, **options: Any) -> None:
    """Run the kernels of a network on a model of the machine: overlap, queues, bandwidth, capacity; where nothing overlaps this equals the estimate.

    -o F.png draws the timeline, --trace F.json writes it for Perfetto. What no measurement backs is called illustrative.
    With --per-s, --arrivals or --curve requests arrive over time and are served in batches; --detail array counts the cycles of a systolic array.

    \b
    costmodel simulate googlenet --device i9-10940x --parallel 2 -o branches.png
    costmodel simulate efficientnet-b0 --device a100 --cuda-graph --trace b0.json
    costmodel simulate resnet-50 --device coral-usb --inferences 4 --in-flight 2
    costmodel simulate mobilenet-v1 --device coral-usb --detail array --dataflow output-stationary
    costmodel simulate resnet-18 --device this-machine --runtime onnxruntime --measured profile.json
    costmodel simulate resnet-50 --device a100 --per-s 500 --max-batch 8 --max-wait-ms 2
    """
    serving = options["per_s"] is not None or options["arrivals"] is not None or options["curve"]
    if serving and detail == "array":
        raise UsageError("--detail array is of one pass, and requests are many: leave one of them out")
    if serving:
        _refuse("serving", options, {_ARRAY_OPTIONS: _ARRAY, "a run of one pass": _RUNS})
        _serve(model, as_json, options)
    elif detail == "array":
        _refuse("--detail array", options, {_SERVING_OPTIONS: _SERVING, "a run over time": _RUNS})
        _detail(model, top, as_json, options)
    elif options["measured"] is not None:
        _refuse("--measured", options, {_SERVING_OPTIONS: _SERVING, _ARRAY_OPTIONS: _ARRAY, "a run without it": {"trace": None, "outputs": ()}})
        _beside(model, top, as_json, options)
    else:
        del options["measured"]
        _refuse("a run", options, {_SERVING_OPTIONS: _SERVING, _ARRAY_OPTIONS: _ARRAY})
        _run(model, top, as_json, options)


def _refuse(what: str, options: dict[str, Any], others: dict[str, dict[str, Any]]) -> None:
    """Take out the options of something else, by what they belong to, and refuse those that were given."""
    problems = []
    for owner, defaults in others.items():
        stray = [f"--{name.replace('_', '-').replace('outputs', 'output')}" for name, usual in defaults.items() if options.pop(name) != usual]
        if stray:
            problems.append(f"{', '.join(stray)}: no part of {what}, but of {owner}")
    if problems:
        raise UsageError(f"{'; '.join(problems)}: leave out what is not meant")


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def _link_bytes_per_s(options: dict[str, Any]) -> float | None:
    """The link of a command line, taken out."""
    link = options.pop("link_mb_per_s")
    require_finite("--link-mb-per-s", link)
    return None if link is None else link * 1e6


def _beside(model: str, top: int, as_json: bool, options: dict[str, Any]) -> None:
    from costmodel.simulating import beside

    found = beside(model, options.pop("measured"), link_bytes_per_s=_link_bytes_per_s(options), **options)
    if as_json:
        click.echo(json.dumps({"model": model, "device": options["device"], **found.to_dict()}, ensure_ascii=False))
    else:
        from costmodel.reporting.matched_table import print_matched

        print_matched(found.to_dict(), f"{model} on {options['device']}", top=top)
    _warn(found.warnings)


def _run(model: str, top: int, as_json: bool, options: dict[str, Any]) -> None:
    from costmodel.simulating import simulate

    trace, outputs = options.pop("trace"), options.pop("outputs")
    timeline = simulate(model, link_bytes_per_s=_link_bytes_per_s(options), **options)
    if as_json:
        click.echo(timeline.to_json())
    else:
        from costmodel.reporting.timelines import print_timeline

        print_timeline(timeline, top=top)

    def picture(path: str) -> None:
        from costmodel.reporting.gantt import draw_gantt

        draw_gantt(timeline, path)

    _warn(timeline.warnings)
    makers = {".json": lambda: timeline.to_json() + "\n", ".csv": timeline.to_csv}
    write(outputs, makers, picture, also=[] if trace is None else [(trace, timeline.to_trace)])


def _detail(model: str, top: int, as_json: bool, options: dict[str, Any]) -> None:
    from costmodel.simulating import array_detail

    shape = options.pop("array")
    found = array_detail(model, shape=shape, **options)
    if as_json:
        click.echo(json.dumps({**found.to_dict(), "device": options["device"], "illustrative": True}, ensure_ascii=False))
    else:
        from costmodel.reporting.serving_tables import print_detail

        print_detail(found, str(options["device"]), top=top)
    _warn(found.warnings)


def _serve(model: str, as_json: bool, options: dict[str, Any]) -> None:
    from costmodel import simulating
    from costmodel.reporting import serving_tables
    from costmodel.simulation.serving import Policy, curve, warnings_of

    given = {name: options.pop(name) for name in _SERVING}
    require_finite("--max-wait-ms", given["max_wait_ms"])
    if options.pop("batch") is not None:
        raise UsageError("--batch is of one pass; --max-batch says how many requests a batch takes at the most")
    policy = Policy(max_batch=given["max_batch"], max_wait_s=given["max_wait_ms"] * 1e-3, devices=given["devices"])
    models, where = [model, *given["also"]], str(options["device"])
    if given["curve"]:
        if given["per_s"] is not None or given["arrivals"] is not None:
            raise UsageError("--curve has loads of its own: leave --per-s and --arrivals out")
        made = simulating.services(models, max_batch=policy.max_batch, **options)
        found = curve(made, policy, LOADS, **{name: given[name] for name in ("requests", "seed") if given[name] is not None})
        if as_json:
            click.echo(json.dumps({"device": where, "curve": [{"load": load, **serving.to_dict()} for load, serving in found.items()]}))
        else:
            serving_tables.print_curve(found, where)
        _warn(warnings_of(made))
        return
    asked = {name: given[name] for name in ("per_s", "arrivals", "requests", "seed")}
    serving = simulating.serve(models, policy=policy, **asked, **options)
    if as_json:
        click.echo(json.dumps({"device": where, **serving.to_dict()}, ensure_ascii=False))
    else:
        serving_tables.print_serving(serving, where)
    _warn(serving.warnings)
