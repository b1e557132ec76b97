"""The entry point: finding the command, and turning every outcome into an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from costmodel._version import __version__
from costmodel.errors import CostModelError, close_matches

#: Command -> the file of this folder that holds it as `command`.
_COMMANDS = {"analyze": "analyze", "compare": "compare", "devices": "devices", "measure": "measure", "models": "models"}

INTERRUPTED = 130


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
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--no-color", is_flag=True, help="Print without colour, as with NO_COLOR set.")
def _costmodel(debug: bool, no_color: bool) -> None:
    """What a neural network costs on hardware that you do not have in hand.

    \b
    costmodel analyze efficientnet-b5 --device pixel4
    costmodel compare mobilenet-v2 mobilenet-v3-large --device pixel4
    """
    if no_color:
        os.environ["NO_COLOR"] = "1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        code = _costmodel.main(given, prog_name="costmodel", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except SystemExit as stop:  # click and rich leave this way when the pipe closes, and click after completing a word
        if "_COSTMODEL_COMPLETE" in os.environ:
            raise
        return _reader_gone() if stop.code == 1 else int(stop.code or 0)
    except CostModelError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        print(f"error: {type(error).__name__}: {error}\nThis is a bug in costmodel; `costmodel --debug ...` shows where.", file=sys.stderr)
        return 1


def _reader_gone() -> int:
    """The reader has what it wanted: no error, and nothing for the interpreter to flush into the closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
