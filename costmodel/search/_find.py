"""`find`: one search, by the algorithm that suits its evaluator.

Evaluators that score thousands of candidates a second are searched in memory, and a search begins anew each time; the others in the outer loop, whose trials
are kept on disk.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from costmodel.errors import UsageError, unknown, whole
from costmodel.search import exact
from costmodel.search._folder import Folder
from costmodel.search._journal import has_search
from costmodel.search._outcome import Outcome, Progress
from costmodel.search._table import LatencyTable
from costmodel.search.evaluators import Counted, Evaluator
from costmodel.search.evolution import evolution
from costmodel.search.nsga2 import nsga2
from costmodel.search.outer import MOST_SEED, SAMPLERS, Sampler, outer_search, require_reachable
from costmodel.search.random_search import random_search

if TYPE_CHECKING:
    from costmodel.search._space import Candidates

Algorithm = Literal["every", "exact", "random", "evolution", "nsga2", "tpe"]
ALGORITHMS: tuple[Algorithm, ...] = ("every", "exact", "random", "evolution", "nsga2", "tpe")
#: Candidates that are evaluated unless told otherwise: by cheap evaluators, by others.
CHEAP_TRIALS, TRIALS = 20_000, 50
#: The most candidates of which every one is evaluated.
_MOST = 2_000_000
#: Choices that are held at once: 1.6 GB in 64 bits.
_MOST_CHOICES = 2 * 10**8
#: What a candidate beyond the target is worth to an algorithm with one value: worse than all others, and the worse the farther.
_BEYOND = 1e300


def find(
    table: LatencyTable,
    evaluator: Evaluator,
    *,
    algorithm: Algorithm | None = None,
    trials: int | None = None,
    seed: int | None = None,
    target_s: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """The best candidates of the table's space by an evaluator, within a target latency in seconds; the same for the same seed.

    Parameters
    ----------
    algorithm : ``every`` candidate (of a file, or of a small space), ``exact`` (MACs or parameters), ``random``, ``evolution``, ``nsga2`` or ``tpe``;
        None takes the best that the evaluator allows.
    trials, seed : candidates that are evaluated (None is 20,000 for cheap evaluators and 50 for others), and what draws them (None is 0);
        neither is of ``every`` or ``exact``, which draw none and leave none out.
    folder : as of `outer_search`; one that is searched in memory holds the folder too, and keeps nothing there.
    resume, progress : as of `outer_search`, for evaluators that are not cheap.

    Raises
    ------
    UsageError
        If the algorithm does not go with the evaluator, or with trials or a seed: says why; and as `outer_search`.
    BudgetExceededError
        If no candidate is within the target: says the least latency.
    """
    chosen = algorithm_for(table, evaluator, algorithm)
    seed = None if seed is None else whole("seed", seed, 0, MOST_SEED)
    if not evaluator.cheap or chosen == "tpe":
        number = trials if trials is not None else TRIALS
        more: dict[str, Any] = {"target_s": target_s, "folder": folder, "resume": resume, "progress": progress}
        return outer_search(table, evaluator, trials=number, seed=seed or 0, sampler=cast("Sampler", chosen), **more)
    if resume:
        raise UsageError(f"a search by {chosen} with this evaluator takes seconds and is not stored, so that there is nothing to resume: leave --resume out")
    if folder is not None:
        _require_unused(folder, chosen)
    if chosen in ("exact", "every"):
        _require_neither(chosen, evaluator, trials=trials, seed=seed)
    require_reachable(table, target_s)
    budget = whole("trials", CHEAP_TRIALS if trials is None else trials, 1, _MOST_CHOICES // len(table.space.blocks))
    with contextlib.nullcontext(folder) if folder is None or isinstance(folder, Folder) else Folder(folder) as held:
        if held is not None:
            held.hold()
            _require_unused(held, chosen)
        x = _searched(table, evaluator, chosen, budget, seed or 0, target_s)
        scores, latency_s = evaluator.scores(x), table.latency_s(x)
    failures = {int(place): "the evaluator has no score for it" for place in np.flatnonzero(~np.isfinite(scores))}
    considered = table.space.size if chosen == "exact" else min(budget, table.space.size) if chosen == "nsga2" else len(x)
    return Outcome(
        space=table.space,
        candidates=x,
        scores=scores,
        latency_s=latency_s,
        failures=failures,
        asked=considered,
        considered=considered,
        target_s=target_s,
    )


def _require_unused(folder: str | os.PathLike[str], algorithm: Algorithm) -> None:
    """Refuse the folder of a search with trials for one without."""
    if has_search(folder):
        raise UsageError(f"{os.fspath(folder)}: has a search already, with stored trials, and one by {algorithm} stores none; choose another folder")


def _require_neither(algorithm: Algorithm, evaluator: Evaluator, **given: int | None) -> None:
    """Refuse what an algorithm that draws nothing would not look at."""
    stray = [f"--{name}" for name, value in given.items() if value is not None]
    if stray:
        which, other = ("", ", or take another --algorithm, such as nsga2") if evaluator.known is None else (" that the evaluator knows", "")
        raise UsageError(f"{', '.join(stray)}: {algorithm} answers for all candidates{which} and draws none at random: leave {' and '.join(stray)} out{other}")


def algorithm_for(table: LatencyTable, evaluator: Evaluator, asked: Algorithm | None = None) -> Algorithm:
    """The algorithm asked for, or the best that the evaluator allows.

    Raises
    ------
    UsageError
        If it does not exist, or does not go with the evaluator.
    """
    if asked is not None and asked not in ALGORITHMS:
        raise unknown("algorithm", asked, ALGORITHMS)
    if evaluator.known is not None:
        if asked not in (None, "every"):
            raise UsageError(f"{asked}: this evaluator knows {len(evaluator.known)} candidates alone, which are all looked at: leave --algorithm out")
        return "every"
    additive = isinstance(evaluator, Counted) and not table.combination.launch_s
    if asked is None:
        return "exact" if additive else "nsga2" if evaluator.cheap else "tpe"
    if asked == "exact" and not additive:
        why = "on this target latency does not add up over blocks" if isinstance(evaluator, Counted) else "only MACs and parameters add up over blocks"
        raise UsageError(f"exact search needs a score that is a sum over blocks: {why}; take nsga2")
    if asked == "every" and not (evaluator.cheap and table.space.size <= _MOST):
        raise UsageError(f"every: {table.space.name} has {table.space.size:.3g} candidates, too many for this evaluator; take nsga2")
    if asked == "evolution" and not evaluator.cheap:
        raise UsageError(f"evolution is for evaluators that score many candidates at once; for this one take {', '.join(SAMPLERS)}")
    return asked


def _searched(table: LatencyTable, evaluator: Evaluator, algorithm: Algorithm, budget: int, seed: int, target_s: float | None) -> Candidates:
    """The candidates that an algorithm looked at, or of exact search and NSGA-II those that matter."""
    space = table.space

    def beyond(x: Any) -> Any:
        return np.zeros(len(x)) if target_s is None else np.maximum(0.0, table.latency_s(x) / target_s - 1)

    def value(x: Any) -> Any:
        found = -evaluator.scores(x)
        outside = beyond(x)
        return np.where(outside > 0, _BEYOND * (1 + np.minimum(outside, 1e6)), np.where(np.isnan(found), np.inf, found))

    if evaluator.known is not None:
        return evaluator.known
    if algorithm == "every":
        grid = np.indices(space.choices, dtype=np.int64)
        return np.ascontiguousarray(grid.reshape(len(space.choices), -1).T)
    if algorithm == "exact":
        assert isinstance(evaluator, Counted)
        return exact.front(table, ["latency_s", exact.Objective(evaluator.count, maximise=True)]).candidates
    if algorithm == "random":
        return random_search(space, value, budget=budget, seed=seed).candidates
    if algorithm == "evolution":
        population = min(100, budget)
        return evolution(space, value, budget=budget, seed=seed, population=population, tournament=min(25, population)).candidates
    return nsga2(
        space,
        lambda x: np.stack([table.latency_s(x), -evaluator.scores(x)], axis=1),
        budget=budget,
        seed=seed,
        population=min(100, budget),
        violation=beyond,
    ).candidates
