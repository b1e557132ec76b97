"""Where results go. Rules:

1. Every path that a command writes is an option of type `OutputFile` or `OutputFolder`, and the command is a `WritingCommand`: it looks at all of
   them before its work begins, so that no result is lost to a slip in a name.
2. Two options do not name one file, and nothing that the command reads is overwritten.
3. Of several files each that can be written is, and what kept the others from it is an error afterwards.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from costmodel.cli._options import Command
from costmodel.errors import BudgetExceededError, CostModelError, UsageError
from costmodel.reporting.endings import DATA, PAGES, PICTURES

#: Writes what belongs at a path; returns the lines to say of it, None where it is that it was written.
Writer = Callable[[str], Sequence[str] | None]


class OutputFile(click.Path):
    """A file to write, with one of `endings` where there are any; `in_place` says that a file which was read may be replaced by it."""

    def __init__(self, *endings: str, in_place: bool = False) -> None:
        super().__init__()
        self.endings, self.in_place = endings, in_place

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, whose ending is one of those that something is written for."""
        if value and self.endings and Path(value).suffix.lower() not in self.endings:
            raise UsageError(f"{value}: the ending says what is written, and this one says nothing: {', '.join(self.endings)}")
        return value


class OutputFolder(click.Path):
    """A folder to write, which may be new; `files` are those in it that a command replaces."""

    def __init__(self, *files: str) -> None:
        super().__init__()
        self.files = files

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, which is looked at by the command."""
        return value


class WritingCommand(click.Command):
    """A command that writes files, all of whose paths can be written when it begins."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As every command does; an option that names one file is given once."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        for param in dict.fromkeys(order):
            if _is_output(param) and not param.multiple and order.count(param) > 1:
                raise UsageError(f"{_label(param)} is given {order.count(param)} times and names one place: leave the others out")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Look at the paths, then do what a command does."""
        _require_outputs(ctx)
        return super().invoke(ctx)


def _require_outputs(ctx: click.Context) -> None:
    """Refuse paths of a command line that cannot all be written.

    Raises
    ------
    UsageError
        If two options name one file, one names a file that is read, or a folder's name is a file's: says which.
    CostModelError
        If nothing can be written in a place: says why.
    """
    read = {os.path.realpath(text): _label(param) for param, text in _texts(ctx) if not _is_output(param) and os.path.isfile(text)}
    seen: dict[str, str] = {}
    for param, path in _texts(ctx):
        if not _is_output(param):
            continue
        name, kind = _label(param), param.type
        if not path:
            raise UsageError(f"{name} is empty (a variable that is not set?): name what to write")
        for file in [os.path.join(path, each) for each in kind.files] if isinstance(kind, OutputFolder) else [path]:
            place = os.path.realpath(file)
            if place in seen:
                both = f"{seen[place]} twice" if seen[place] == name else f"{seen[place]} and by {name}"
                raise UsageError(f"{path}: is named by {both}, and one file holds one of them: give each its own")
            seen[place] = name
            if place in read and not (isinstance(kind, OutputFile) and kind.in_place):
                raise UsageError(f"{file}: is read ({read[place]}) and would be overwritten ({name}): give {name} another name")
        if isinstance(kind, OutputFolder):
            _require_folder(path, name)
        else:
            _require_writable(path)


def _is_output(param: click.Parameter) -> bool:
    return isinstance(param.type, OutputFile | OutputFolder)


def _label(param: click.Parameter) -> str:
    """What a user calls an option or an argument."""
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name


def _texts(ctx: click.Context) -> Iterator[tuple[click.Parameter, str]]:
    """Every text on a command line, with the parameter that it was given for."""
    for param in ctx.command.params:
        value = ctx.params.get(param.name or "")
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, str) and "\0" not in each:
                yield param, each


def _require_writable(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None
    if mode is not None and stat.S_ISDIR(mode):
        raise _unwritable(path, "Is a directory")
    special = mode is not None and not stat.S_ISREG(mode)  # a pipe or a device is written as it is, a file into one beside it
    folder = os.path.dirname(os.path.realpath(path))
    if not special and not os.path.isdir(folder):
        raise _unwritable(path, f"No such file or directory: {folder}")
    if not os.access(path if special else folder, os.W_OK):
        raise _unwritable(path, "Permission denied" if special else f"Permission denied in {folder}")


def _require_folder(path: str, name: str) -> None:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None
    place = Path(os.path.realpath(path))
    there = next(above for above in (place, *place.parents) if os.path.lexists(above))
    if not there.is_dir():
        raise UsageError(f"{path}: {'is' if there == place else f'{there} is'} a file, and {name} names a folder: choose another place")
    if not os.access(there, os.W_OK):
        raise _unwritable(path, f"Permission denied in {there}")


def _unwritable(path: str, reason: str) -> CostModelError:
    return CostModelError(f"{path}: cannot be written: {reason}; choose another place for it")


def output_option(*, pictures: bool, pages: bool = False) -> Callable[[Command], Command]:
    """``-o`` for files, whose ending says what is written."""
    kinds = (*(PICTURES if pictures else ()), *(PAGES if pages else ()), *DATA)
    help_text = f"Write a file ({', '.join(kinds)}); repeatable."
    return click.option("-o", "--output", "outputs", multiple=True, type=OutputFile(*kinds), metavar="FILE", help=help_text)


def write(
    outputs: Sequence[str],
    makers: Mapping[str, Callable[[], str]],
    picture: Writer | None = None,
    also: Sequence[tuple[str, Writer]] = (),
) -> None:
    """Write each file: text by the maker of its ending, `also` by writers of their own, then what has no maker as a picture; says so on stderr.

    Raises
    ------
    CostModelError
        If files cannot be written: names them, after all others were; what stood there is as it was.
    """
    jobs = [*((path, text_writer(makers[ending])) for path in outputs if (ending := Path(path).suffix.lower()) in makers), *also]
    drawn = [path for path in outputs if Path(path).suffix.lower() not in makers]
    assert picture is not None or not drawn, "`output_option` lets no ending through that nothing is made for"
    jobs += [(path, picture) for path in drawn if picture is not None]
    problems: list[CostModelError] = []
    for path, job in jobs:
        try:
            told = job(path)
        except CostModelError as error:
            problems.append(error)
        else:
            for line in [f"wrote {path}"] if told is None else told:
                click.echo(line, err=True)
    raise_all(problems)


@contextlib.contextmanager
def judged(verdict: CostModelError | None) -> Iterator[None]:
    """Print and write a result, then raise its verdict, which stands whatever became of that.

    Raises
    ------
    CostModelError
        What could not be written, and the verdict.
    """
    problems: list[CostModelError] = []
    try:
        yield
    except CostModelError as error:
        problems.append(error)
    except (OSError, SystemExit):  # the reader has closed the pipe: click and rich leave in both ways
        if verdict is None:
            raise
    raise_all(problems if verdict is None else [*problems, verdict])


def raise_all(problems: Sequence[CostModelError]) -> None:
    """Raise what there is as one error, nothing where there is none; the exit code is that of a budget that was exceeded, or else of the first."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        every = CostModelError("\n".join(map(str, problems)))
        every.exit_code = next((problem for problem in problems if isinstance(problem, BudgetExceededError)), problems[0]).exit_code
        raise every


def text_writer(maker: Callable[[], str]) -> Writer:
    """Writes the text that is made then."""

    def put(path: str) -> None:
        from costmodel import durable

        durable.put(path, maker())

    return put
