"""The outer loop for evaluators that take their time: Optuna proposes, the table rules out what is too slow, the evaluator scores the rest.

Each trial is proposed by a sampler of its own, seeded by the search's seed and the trial's number, from all trials before. So a search that is killed and
resumed goes on exactly as if nothing had happened: a finished trial is on disk and stays, an unfinished one is proposed and evaluated again.

A candidate beyond the target latency is recorded with how far beyond (a constraint, by which the samplers learn), and costs no evaluation; one that was
evaluated before keeps its score. An evaluator that raises or returns NaN makes a failed trial, and the search goes on.
"""

from __future__ import annotations

import contextlib
import math
import os
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from costmodel.errors import CostModelError, InvalidFileError, UsageError, said, whole
from costmodel.search import exact
from costmodel.search._folder import Folder
from costmodel.search._journal import Journal
from costmodel.search._outcome import Outcome, Progress
from costmodel.search._space import Block, Space
from costmodel.search._table import LatencyTable
from costmodel.search.evaluators import Evaluator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates

Sampler = Literal["random", "tpe", "nsga2"]
SAMPLERS: tuple[Sampler, ...] = ("random", "tpe", "nsga2")
#: Proposals in a row that are beyond the target, or known, before one that is neither is drawn from so many random ones.
_PATIENCE, _DRAWN = 5, 20_000
#: Random trials before TPE models any (Optuna's default), and members of a generation of NSGA-II: few, as evaluations are dear.
_STARTUP, _POPULATION = 10, 20
#: Seeds are of 64 bits, as numpy's and torch's are.
MOST_SEED = 2**64 - 1


def outer_search(
    table: LatencyTable,
    evaluator: Evaluator,
    *,
    trials: int,
    seed: int,
    sampler: Sampler = "tpe",
    target_s: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Up to `trials` evaluated candidates within the target; the same for the same seed, interrupted or not.

    Parameters
    ----------
    target_s : candidates of more latency, in seconds, are not evaluated; None evaluates all.
    folder : keeps every finished trial; None keeps nothing. A `Folder` stays held until it is closed, so that results can be written before another search is.
    resume : go on with the search in the folder, to `trials` in all.
    progress : called after each evaluated candidate.

    Raises
    ------
    UsageError
        If trials, seed or target are no such numbers; if Optuna is not installed, the sampler is unknown, or the folder's search is of something
        else: names both.
    InvalidFileError
        If the folder's journal is damaged, or another program's file: it stays as it is.
    BudgetExceededError
        If no candidate is within the target: says the least latency.
    CostModelError
        If every evaluation failed: says how the first one did.
    """
    trials, seed = whole("trials", trials, 1, 10**6), whole("seed", seed, 0, MOST_SEED)
    if sampler not in SAMPLERS:
        raise UsageError(f"the sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}")
    _require_optuna()
    require_reachable(table, target_s)
    if folder is None:
        return _Loop(table, evaluator, trials, seed, sampler, target_s, None).run(progress)
    identity = identity_of(table, evaluator, sampler, seed, target_s)
    with contextlib.nullcontext(folder) if isinstance(folder, Folder) else Folder(folder) as held:
        return _Loop(table, evaluator, trials, seed, sampler, target_s, Journal(held, identity, resume=resume)).run(progress)


def identity_of(table: LatencyTable, evaluator: Evaluator, algorithm: str, seed: int, target_s: float | None) -> dict[str, Any]:
    """What a stored search must have in common with the one that goes on with it."""
    from costmodel.search._files import identity

    about = {name: value for name, value in identity(table.space, table.target, table.batch).items() if name not in ("format", "version", "costmodel")}
    return {**about, "evaluator": evaluator.name, "algorithm": algorithm, "seed": seed, "target_s": target_s}


def require_reachable(table: LatencyTable, target_s: float | None) -> None:
    """Refuse a target that no candidate reaches.

    Raises
    ------
    UsageError
        If it is no positive number.
    BudgetExceededError
        If so: says the least latency and whose it is.
    """
    if target_s is None:
        return
    from costmodel.errors import BudgetExceededError
    from costmodel.quantity import duration, duration_enough

    if isinstance(target_s, bool) or not isinstance(target_s, (int, float)) or not 0 < target_s < math.inf:
        raise UsageError(f"the target latency (target_s, --target-ms) must be a positive number, in seconds from Python, not {target_s!r}")

    found = exact.fastest(table)
    least_s = float(found.values[0, 0])
    if least_s > target_s:
        raise BudgetExceededError(
            f"no network of {table.space.name} takes {duration(target_s)} or less on {table.target.device.name}: the least is {duration_enough(least_s)}, "
            f"of candidate {' '.join(map(str, found.candidates[0]))}"
        )


def _require_optuna() -> None:
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        raise UsageError("this search needs Optuna, which is not installed: pip install 'costmodel[search]'")


class _Parameters:
    """Candidates as parameters of Optuna: one for each field of a block whose options are all combinations of their values, else one for the block."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.blocks = [_fields(block) for block in space.blocks]

    def distributions(self) -> dict[str, tuple[Any, ...]]:
        """The choices of every parameter."""
        return {name: choices for block in self.blocks for name, choices in block[0]}

    def candidate(self, chosen: dict[str, Any]) -> Candidates:
        """The candidate (blocks,) of chosen values."""
        return np.array([options[tuple(chosen[name] for name, _ in names)] for names, options in self.blocks], np.int64)

    def chosen(self, candidate: NDArray[np.int64]) -> dict[str, Any]:
        """The chosen values of a candidate."""
        found: dict[str, Any] = {}
        for (names, options), choice in zip(self.blocks, candidate, strict=True):
            values = next(key for key, number in options.items() if number == choice)
            found |= {name: value for (name, _), value in zip(names, values, strict=True)}
        return found


def _fields(block: Block) -> tuple[list[tuple[str, tuple[Any, ...]]], dict[tuple[Any, ...], int]]:
    """Names of a block's parameters with their choices, and its options by the values of all of them."""
    names = [name for name, _ in block.options[0].fields]
    values = [tuple(value for _, value in option.fields) for option in block.options]
    choices = [tuple(dict.fromkeys(row[place] for row in values)) for place in range(len(names))]
    plain = all(type(value) in (int, float, str) for row in values for value in row)
    if names and plain and all(len(row) == len(names) for row in values) and set(product(*choices)) == set(values):
        return [(f"{block.name}.{name}", each) for name, each in zip(names, choices, strict=True)], {row: number for number, row in enumerate(values)}
    return [(block.name, tuple(range(len(values))))], {(number,): number for number in range(len(values))}


class _Loop:
    """One search in memory, which begins with what the journal has."""

    def __init__(
        self, table: LatencyTable, evaluator: Evaluator, trials: int, seed: int, sampler: Sampler, target_s: float | None, journal: Journal | None
    ) -> None:
        import optuna

        self.optuna, self.table, self.evaluator, self.trials, self.seed = optuna, table, evaluator, trials, seed
        self.sampler, self.target_s, self.journal = sampler, target_s, journal
        self.parameters = _Parameters(table.space)
        self.distributions = {name: optuna.distributions.CategoricalDistribution(choices) for name, choices in self.parameters.distributions().items()}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(directions=["maximize", "minimize"])
        self.candidates: list[NDArray[np.int64]] = []
        self.scores: list[float] = []
        self.latencies: list[float] = []
        self.failures: dict[int, str] = {}
        self.place: dict[bytes, int] = {}
        self.asked = self.idle = self.generation = 0
        for trial in [] if journal is None else journal.study.get_trials(deepcopy=False):
            self._take_up(trial)

    def _take_up(self, trial: Any) -> None:
        """A trial of the journal, as if it had just ended."""
        try:
            self.table.space.checked(np.array([trial.user_attrs["candidate"]], np.int64))
            self.study.add_trial(trial)
            self._remember(trial)
        except (UsageError, KeyError, ValueError, TypeError, OverflowError) as error:
            assert self.journal is not None
            why = f"trial {trial.number} is none of this search: {type(error).__name__}: {error}"
            raise InvalidFileError(f"{self.journal.path}: {why}; choose another folder") from None

    def run(self, progress: Progress | None) -> Outcome:
        note = ""
        while len(self.candidates) < self.trials and not note:
            before = len(self.candidates)
            note = self._step()
            if progress is not None and len(self.candidates) > before:
                progress(self.outcome())
        if self.candidates and len(self.failures) == len(self.candidates):
            raise CostModelError(f"none of {len(self.candidates)} candidates could be scored; the first: {self.failures[0]}")
        return self.outcome(note)

    def outcome(self, note: str = "") -> Outcome:
        return Outcome(
            space=self.table.space,
            candidates=np.array(self.candidates, np.int64).reshape(-1, len(self.table.space.blocks)),
            scores=np.array(self.scores, np.float64),
            latency_s=np.array(self.latencies, np.float64),
            failures=dict(self.failures),
            asked=self.asked,
            considered=len(self.candidates),
            target_s=self.target_s,
            note=note,
        )

    def _step(self) -> str:
        """Propose, evaluate and record one candidate; why the search ends, or nothing."""
        if self.idle >= _PATIENCE:
            drawn = self._drawn()
            if drawn is None:
                return f"ended after {len(self.candidates)} of {self.trials} candidates: no other within the target was found"
            self._record(self._enqueued(drawn), drawn)
            return ""
        trial = self._asked()
        self._record(trial, self.parameters.candidate(trial.params))
        return ""

    def _asked(self) -> Any:
        self.study.sampler = sampler = self._sampler(int(np.random.SeedSequence([self.seed, self.asked]).generate_state(1)[0]))
        if self.sampler == "nsga2":
            # parents as Optuna keeps them: the trial that first asks for a generation's would have them in another order than the next ones
            while len(sampler.get_population(self.study, self.generation)) >= _POPULATION:
                self.generation += 1
                sampler.get_parent_population(self.study, self.generation)
        return self.study.ask(self.distributions)

    def _sampler(self, seed: int) -> Any:
        samplers = self.optuna.samplers
        if self.sampler == "random":
            return samplers.RandomSampler(seed=seed)
        if self.sampler == "tpe":
            return samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)
        return samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)

    def _enqueued(self, candidate: NDArray[np.int64]) -> Any:
        self.study.enqueue_trial(self.parameters.chosen(candidate))
        return self._asked()

    def _drawn(self) -> NDArray[np.int64] | None:
        """A random candidate within the target that was not evaluated, from the whole space or near to those that are within."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, self.asked, 1]))
        fastest = exact.fastest(self.table).candidates
        anywhere = rng.integers(0, self.table.space.choices, (_DRAWN, fastest.shape[1]))
        known = np.concatenate([fastest, np.array(self.candidates, np.int64).reshape(-1, fastest.shape[1])])
        near = known[rng.integers(0, len(known), _DRAWN)]
        moved = rng.random(near.shape) < rng.random((_DRAWN, 1))
        x = np.concatenate([anywhere, np.where(moved, anywhere, near), fastest])
        within = x if self.target_s is None else x[self.table.latency_s(x) <= self.target_s]
        return next((row for row in within if row.tobytes() not in self.place), None)

    def _record(self, trial: Any, candidate: NDArray[np.int64]) -> None:
        """Tell the study what became of a proposal, and append it to the journal."""
        latency_s = float(self.table.latency_s(candidate[None])[0])
        trial.set_user_attr("candidate", candidate.tolist())
        trial.set_user_attr("latency_s", latency_s)
        beyond = 0.0 if self.target_s is None else max(0.0, latency_s / self.target_s - 1)
        if self.target_s is not None:
            trial.set_constraint("latency", beyond)
        known = self.place.get(candidate.tobytes())
        if beyond:
            kind, score, reason = "beyond", 0.0, ""  # no score is compared where a constraint is violated
        elif known is not None:
            kind, score, reason = "again", self.scores[known], self.failures.get(known, "")
        else:
            kind, (score, reason) = "evaluated", self._evaluated(candidate)
        trial.set_user_attr("kind", kind)
        if reason:
            trial.set_user_attr("reason", reason)
            self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)
        else:
            self.study.tell(trial, [score, latency_s])
        frozen = self.study.get_trials(deepcopy=False)[-1]
        if self.journal is not None:
            self.journal.add(frozen)
        self._remember(frozen)

    def _evaluated(self, candidate: NDArray[np.int64]) -> tuple[float, str]:
        """(score, why there is none)."""
        try:
            found = np.asarray(self.evaluator.scores(candidate[None]), np.float64)
        except BaseException as error:  # whatever a user's evaluator raises, sys.exit's too, the search goes on
            if type(error) is KeyboardInterrupt:  # Ctrl-C; one of a class of its own is the evaluator's
                raise
            return float("nan"), said(error)
        if found.shape != (1,):
            return float("nan"), f"the evaluator returned {found.shape} for one candidate"
        score = float(found[0])
        return score, "" if np.isfinite(score) else f"the evaluator returned {score}"

    def _remember(self, trial: Any) -> None:
        """Count a finished trial."""
        self.asked += 1
        attributes = trial.user_attrs
        self.idle = self.idle + 1 if attributes["kind"] != "evaluated" else 0
        if attributes["kind"] != "evaluated":
            return
        candidate = np.array(attributes["candidate"], np.int64)
        self.place[candidate.tobytes()] = place = len(self.candidates)
        self.candidates.append(candidate)
        self.latencies.append(float(attributes["latency_s"]))
        reason = attributes.get("reason", "")
        self.scores.append(float("nan") if reason else float(trial.values[0]))
        if reason:
            self.failures[place] = reason
