"""Options that several commands share, and their completion in the shell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from costmodel.tensor import PRECISIONS, DType, TensorSpec

Command = TypeVar("Command", bound=Callable[..., Any])

CONVENTIONS = ("macs", "paper", "torch", "fvcore")


class ShowGroup(click.Group):
    """A group that lists, with ``show NAME``; a bare name gets the hint, and options of the list are refused before ``show``."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand, or an error that says what was probably meant."""
        if args and args[0] not in self.commands:
            raise click.UsageError(f"no such command {args[0]!r}; did you mean '{ctx.info_name} show {args[0]}'?", ctx)
        given = [param.opts[-1] for param in self.params if param.name and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE]
        if args and given and not ctx.resilient_parsing:
            taken = {option for param in self.commands[args[0]].params for option in param.opts}
            hint = [f"write {option} after {args[0]!r}" if option in taken else f"leave {option} out" for option in given]
            raise click.UsageError(f"{', '.join(given)}: before {args[0]!r} this is about the list; {', '.join(hint)}", ctx)
        return super().resolve_command(ctx, args)


def require_finite(option: str, value: float | None) -> None:
    """Refuse what no comparison holds for.

    Raises
    ------
    click.UsageError
        If `value` is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        raise click.UsageError(f"{option} must be a finite number, not {value}")


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Network names that begin like what was typed."""
    from costmodel.api import model_names

    return [CompletionItem(name) for name in model_names() if name.startswith(incomplete)]


def complete_device(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Device names that begin like what was typed."""
    from costmodel.devices import device_names

    return [CompletionItem(name) for name in device_names() if name.startswith(incomplete)]


_TARGET = {
    "processor": click.option("--processor", metavar="NAME", help="Compute unit of the device: cpu, gpu or edgetpu."),
    "runtime": click.option("--runtime", metavar="NAME", help="Software stack, such as tflite or torch-eager."),
    "dtype": click.option("--dtype", type=click.Choice(PRECISIONS), help="Precision to run in."),
    "threads": click.option("--threads", type=int, metavar="N", help="Use the N fastest cores."),
    "cores": click.option("--cores", metavar="SPEC", help="Use these cores, such as large=1,medium=3."),
    "layout": click.option("--layout", type=click.Choice(("nchw", "nhwc")), help="Layout of images in memory."),
}


def target_options(command: Command, *, without: Sequence[str] = ()) -> Command:
    """Options that name a target besides its device; `without` names those that a command has in a form of its own."""
    for name in reversed(_TARGET):
        if name not in without:
            command = _TARGET[name](command)
    return command


def counting_options(command: Command) -> Command:
    """The format that weights are stored in, and the convention that totals are stated in."""
    command = click.option("--convention", type=click.Choice(CONVENTIONS), help="State the total as this tool, or a paper, counts it.")(command)
    return click.option("--weights", metavar="FORMAT", help="Store weights as fp16, int8, 6bit or pruned=0.7, or two joined by a comma.")(command)


def _shapes(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    """``1x3x224x224``, or ``1x128:int64`` for another type than fp32, as specs."""
    specs = []
    for text in texts:
        shape, _, dtype = text.partition(":")
        sizes = shape.lower().split("x")
        if not all(size.isascii() and size.isdigit() and int(size[:13]) > 0 and len(size) < 13 for size in sizes):
            raise click.BadParameter(f"{text!r} is no shape such as 1x3x224x224 (or 1x128:int64)", ctx, param)
        try:
            specs.append(TensorSpec(tuple(map(int, sizes)), DType.named(dtype or "fp32")))
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None
    return tuple(specs)


def _sizes(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, int]:
    """``batch=1`` as a mapping."""
    found = {}
    for text in texts:
        name, equals, size = text.partition("=")
        if not name or not equals or not size.isascii() or not size.isdigit() or not int(size[:13]) > 0 or len(size) > 12:
            raise click.BadParameter(f"{text!r} is no size such as batch=1", ctx, param)
        if name in found:
            raise click.BadParameter(f"{name} is given twice", ctx, param)
        found[name] = int(size)
    return found


def network_options(command: Command) -> Command:
    """Options that say how a network is built."""
    for option in reversed(
        (
            click.option("--batch", type=int, metavar="N", help="Samples a pass.  [default: 1]"),
            click.option("--padding", type=click.Choice(("same", "symmetric")), help="Padding of TensorFlow (same) or torch (symmetric)."),
            click.option("--classes", type=int, metavar="N", help="Outputs of the last layer."),
            click.option("--features-only", is_flag=True, help="The backbone without its head."),
        )
    ):
        command = option(command)
    return command


def import_options(command: Command) -> Command:
    """What a network that comes from outside leaves open: the inputs of a module, the sizes of a file."""
    given = "Input of a torch: module, such as 1x3x224x224; repeatable."
    command = click.option("--dim", "dims", multiple=True, callback=_sizes, metavar="NAME=N", help="A size that a file leaves open; repeatable.")(command)
    return click.option("--input", "inputs", multiple=True, callback=_shapes, metavar="SHAPE", help=given)(command)
