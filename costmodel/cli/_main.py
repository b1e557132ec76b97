"""The entry point: finding the command, and turning every outcome into an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from costmodel._version import __version__
from costmodel.errors import CostModelError, close_matches, printable

#: Command -> the file of this folder that holds it as `command`.
_COMMANDS = {
    name: name
    for name in (
        "analyze", "calibrate", "compare", "devices", "export", "ingest", "kit", "measure", "models", "pareto", "recommend", "scale", "search",
        "simulate", "sweep", "validate",
    )
}  # fmt: skip


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"costmodel.cli.{_COMMANDS[cmd_name]}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in _COMMANDS:
            near = close_matches(args[0], _COMMANDS)
            hint = f"did you mean {near[0]!r}?" if near else f"commands are {', '.join(sorted(_COMMANDS))}"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="costmodel")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; anywhere on the line.")
@click.option("--no-color", is_flag=True, help="Print without colour, as with NO_COLOR set; anywhere on the line.")
def _costmodel(debug: bool, no_color: bool) -> None:
    """What a neural network costs on hardware that you do not have in hand.

    \b
    costmodel analyze efficientnet-b5 --device pixel4
    costmodel compare mobilenet-v2 mobilenet-v3-large --device pixel4
    """


def run(arguments: Sequence[str] | None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if "--no-color" in given:
        os.environ["NO_COLOR"] = "1"
        os.environ.pop("FORCE_COLOR", None)
    _prepare_streams()
    try:
        code = _costmodel.main([word for word in given if word not in ("--debug", "--no-color")], prog_name="costmodel", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except (Exception, SystemExit) as error:
        if debug and not isinstance(error, SystemExit):
            traceback.print_exc()
        return _code_of(error)


def _code_of(error: BaseException) -> int:
    """The exit code of an outcome; what is to be said about it has been printed."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, click.Abort):
        raise KeyboardInterrupt from None
    if isinstance(error, SystemExit):  # click and rich leave this way when the pipe closes, and click after completing a word
        if "_COSTMODEL_COMPLETE" in os.environ:
            raise error
        return _reader_gone() if error.code == 1 else int(error.code or 0)
    if isinstance(error, BrokenPipeError):
        return _reader_gone()
    if isinstance(error, CostModelError):
        print(f"error: {_shown(error)}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, OSError):
        if error.filename is not None:
            print(f"error: {printable(str(error.filename))}: {error.strerror or error}", file=sys.stderr)
            return 1
        print(f"error: cannot write the result: {error.strerror or error}", file=sys.stderr)
        _silence()
        return 1
    print(f"error: {type(error).__name__}: {_shown(error)}\nThis is a bug in costmodel; `costmodel --debug ...` shows where.", file=sys.stderr)
    return 1


def _shown(error: BaseException) -> str:
    """The text of an error, line by line, with nothing in it that a terminal would obey: names of files and nodes may be anybody's."""
    return "\n".join(printable(line.replace("\t", " ")) for line in str(error).split("\n"))


def _prepare_streams() -> None:
    """Streams that cannot fail on a character: what an encoding lacks becomes a question mark; a closed one swallows."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open for the life of the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _reader_gone() -> int:
    """The reader has what it wanted: no error."""
    _silence()
    return 0


def _silence() -> None:
    """Nothing is left for the interpreter to flush into a pipe that is closed or a disk that is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
