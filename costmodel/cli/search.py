"""``costmodel search``: the best networks of a space within a latency."""

from __future__ import annotations

import contextlib
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from costmodel.cli._options import complete_device, require_finite, target_options
from costmodel.cli._outputs import OutputFolder, WritingCommand, judged, write
from costmodel.errors import BudgetExceededError, CostModelError, said

if TYPE_CHECKING:
    from costmodel.search import Folder, Outcome, Space

_FILES = ("search.html", "search.png", "search.csv", "search.json")
_ALGORITHMS = ("every", "exact", "random", "evolution", "nsga2", "tpe")


def _complete_space(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from costmodel.search import spaces

    return [CompletionItem(name) for name in spaces() if name.startswith(incomplete)]


#: Options of one block whose estimates take a minute and more.
_MANY = 2000


@click.command(name="search", cls=WritingCommand)
@click.argument("space", shell_complete=_complete_space)
@click.option("--device", "-d", required=True, metavar="NAME|FILE.toml", shell_complete=complete_device, help="Device profile.")
@click.option("--target-ms", type=click.FloatRange(min=0, min_open=True), metavar="T", help="Only networks of at most this latency.")
@click.option(
    "--evaluator",
    default="surrogate",
    show_default=True,
    metavar="E",
    help="What scores candidates: surrogate (of ImageNet top-1), macs, parameters, naswot, synflow, gradient-norm, train, a CSV file with the columns "
    "candidate and score, or package.module:callable, which is given block -> field -> value.",
)
@click.option("--data", metavar="digits|DIR", help="Images for train, naswot and gradient-norm: scikit-learn's digits, or a folder for each class.")
@click.option("--resolution", type=click.IntRange(min=4), metavar="N", help="Images of NxN pixels.  [default: the space's; 8 of digits, 32 of a folder]")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Train for at most N epochs.  [default: 12]")
@click.option(
    "--algorithm",
    type=click.Choice(_ALGORITHMS),
    help="[default: exact for macs and parameters, nsga2 for evaluators that score thousands a second, else tpe]",
)
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Evaluate N candidates.  [default: 20000, or 50 where each takes its time]")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of the search, and of weights that are trained.  [default: 0]")
@target_options
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Samples a pass.")
@click.option(
    "--output", "-o", type=OutputFolder(*_FILES), metavar="DIR", help="Write search.html, .png, .csv, .json and the winners there; and each trial as it ends."
)
@click.option("--winners", type=click.IntRange(min=0), default=3, show_default=True, metavar="N", help="Export the N best networks.")
@click.option("--resume", is_flag=True, help="Go on with the search in the folder of --output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(space: str, device: str, target_ms: float | None, output: str | None, winners: int, resume: bool, as_json: bool, **options: Any) -> None:
    """Search a space for the networks with the highest score within a latency.

    SPACE is mnasnet, mobilenet-v3, fbnet, efficientnetv2, nas-bench-201, small-images, or package.module:callable that returns a Space of your own.
    Each trial is on disk when it ends (-o), so that a search that was killed goes on with --resume as if nothing had happened. Exits with 3 where no
    network is within the target, and says the least latency, or where none of those that were looked at is.

    \b
    costmodel search mnasnet --device pixel4 --target-ms 50 -o found
    costmodel search fbnet --device pixel4 --target-ms 30 --evaluator parameters
    costmodel search small-images --device this-machine --target-ms 0.5 --evaluator train --data digits -o found
    costmodel search small-images --device this-machine --target-ms 0.5 --evaluator train --data digits -o found --resume
    """
    from costmodel import search

    require_finite("--target-ms", target_ms)
    if resume and output is None:
        raise click.UsageError("--resume goes on with the search in a folder: name it with --output")
    folder = None if output is None else search.Folder(output)
    if resume and folder is not None:
        search.require_search(folder)
    target_s = None if target_ms is None else target_ms * 1e-3
    table, evaluator, told = _prepared(space, device, options)
    algorithm = search.algorithm_for(table, evaluator, options["algorithm"])
    wanted = {"algorithm": algorithm, "trials": options["trials"], "seed": options["seed"], "target_s": target_s}
    with folder or contextlib.nullcontext():
        with _live(options["trials"] or search.TRIALS, evaluator.quantity) as progress, _said_at_once(told):
            try:
                outcome = search.find(table, evaluator, **wanted, folder=folder, resume=resume, progress=progress)
            except KeyboardInterrupt:
                if folder is not None and search.has_search(folder):
                    click.echo(f"the finished trials are in {output}: the same command with --resume goes on", err=True)
                raise
        document = search.document(table, evaluator, outcome, algorithm=algorithm, seed=options["seed"] or 0, warnings=told)
        with judged(None if document["best"] is not None else _nothing_found(target_s)):
            _print(document, as_json)
            if folder is not None:
                _write(document, outcome, folder, winners)


def _nothing_found(target_s: float | None) -> CostModelError:
    from costmodel.quantity import duration

    if target_s is None:
        return CostModelError("no candidate that was looked at has a score")
    advice = "take more --trials, another --algorithm, or a higher --target-ms"
    return BudgetExceededError(f"no candidate that was looked at is within {duration(target_s)} and has a score; {advice}")


def _prepared(space: str, device: str, options: dict[str, Any]) -> tuple[Any, Any, list[str]]:
    """The table and the evaluator of these options, and what must be known of them, which is said on stderr."""
    from costmodel import api, search
    from costmodel.search import evaluators

    evaluators.require_named(options["evaluator"], data=options["data"] is not None, epochs=options["epochs"] is not None)
    target = api.target(device, **{name: options[name] for name in ("processor", "runtime", "dtype", "threads", "cores", "layout")})
    found: Space = _own_space(space) if ":" in space else search.space(space)
    data = None if options["data"] is None else evaluators.images(options["data"], resolution=options["resolution"] or 0)
    if data is not None:
        found = found.on(channels=data.shape[0], resolution=data.shape[1:], classes=len(data.classes))
    elif options["resolution"] is not None:
        found = found.at((options["resolution"], options["resolution"]))
    if max(found.choices) >= _MANY:
        click.echo(f"{found.name}: {max(found.choices):,} networks are estimated first, which takes minutes", err=True)
    table = search.LatencyTable(found, target, batch=options["batch"])
    notes = [f"kernels of {', '.join(table.unmodelled)} have no cost on {device}: latencies of candidates with them are too low"] if table.unmodelled else []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", evaluators.SurrogateWarning)
        evaluator = evaluators.named(options["evaluator"], table, data=data, seed=options["seed"] or 0, epochs=options["epochs"])
    notes += [str(warning.message) for warning in told]
    for note in notes:
        click.echo(f"warning: {note}", err=True)
    return table, evaluator, notes


def _own_space(text: str) -> Space:
    from costmodel import search
    from costmodel.search import evaluators

    function = evaluators.own(text, "space")
    try:
        made = function()
    except (Exception, SystemExit) as error:  # whatever the user's function raises
        raise click.UsageError(f"space {text}: cannot be made: {said(error)}") from None
    if not isinstance(made, search.Space):
        raise click.UsageError(f"space {text}: returned {type(made).__name__}, not a costmodel.search.Space")
    return made


@contextlib.contextmanager
def _said_at_once(told: list[str]) -> Iterator[None]:
    """What must be known of the journal goes to stderr when it is known, and to `told`; warnings of others go their way."""
    from costmodel.search import SearchWarning

    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if category is not SearchWarning:
                others(message, category, *rest, **more)
                return
            told.append(str(message))
            click.echo(f"warning: {message}", err=True)

        warnings.simplefilter("always", SearchWarning)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _live(wanted: int, quantity: str) -> Iterator[Any]:
    """What a search calls with what it has found."""
    from costmodel.reporting.search_tables import Live

    with Live(wanted=wanted, quantity=quantity) as live:

        def progress(found: Outcome) -> None:
            front = [(" ".join(map(str, found.candidates[place])), float(found.scores[place]), float(found.latency_s[place])) for place in found.front]
            live.update(done=len(found.candidates), failed=len(found.failures), proposed=found.asked, front=front)

        yield progress


def _print(document: dict[str, Any], as_json: bool) -> None:
    from costmodel.reporting import decisions, search_tables

    if as_json:
        click.echo(decisions.to_json(document))
    else:
        search_tables.print_search(document)


def _write(document: dict[str, Any], outcome: Outcome, place: Folder, winners: int) -> None:
    """The files of a search."""
    from costmodel import search
    from costmodel.reporting import decisions, search_plot, search_tables
    from costmodel.reporting.html import search_page

    folder = place.path
    line = shlex.join(["costmodel", *(word for word in sys.argv[1:] if word != "--resume")])
    makers = {
        ".html": lambda: search_page(document, line),
        ".csv": lambda: search_tables.search_csv(document),
        ".json": lambda: decisions.to_json(document) + "\n",
    }
    for kept in place.keep_foreign(_FILES):
        click.echo(f"warning: {kept}", err=True)
    if not document["candidates"]:
        (folder / "search.png").unlink(missing_ok=True)
    files = [str(folder / name) for name in _FILES if document["candidates"] or not name.endswith(".png")]

    def export(path: str) -> list[str]:
        with _said_at_once([]):
            found = search.export_winners(outcome, path, winners, batch=document["batch"])
        for winner in found:
            click.echo(f"wrote {winner.folder}: {', '.join(winner.files)}", err=True)
            for reason in winner.missing:
                click.echo(f"not written: {winner.folder}/{reason}", err=True)
        if lost := [f"not written: {reason.partition(': ')[2]}" for winner in found for reason in winner.lost]:
            raise CostModelError("\n".join(lost))
        return []

    def draw(path: str) -> None:
        Path(path).unlink(missing_ok=True)  # an earlier search's, where this one cannot be drawn
        search_plot.draw_search(document, path)

    try:
        write(files, makers, draw, also=[(str(folder / "winners"), export)])
    finally:
        place.remember(_FILES)
