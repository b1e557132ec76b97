"""How far a long run is, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(what: str, least: int = 0) -> Iterator[Callable[[int, int, str], None]]:
    """What a long run tells of its progress: (done, of how many, the one at hand). A bar on a terminal, elsewhere a line at every tenth of `least` or more."""
    if not sys.stderr.isatty():
        yield _tenths(what, least)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[at]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, at="")
        yield lambda done, total, at: bar.update(task, completed=done, total=total, at=at)


def _tenths(what: str, least: int) -> Callable[[int, int, str], None]:
    said = -1

    def tell(done: int, total: int, at: str) -> None:
        nonlocal said
        tenth = 10 * done // max(1, total)
        if tenth != said and at and total >= least:
            said = tenth
            print(f"{what}: {done} of {total}, {at}", file=sys.stderr, flush=True)

    return tell
