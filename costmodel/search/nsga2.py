"""NSGA-II: a population approaches the Pareto front of several objectives.

Each generation makes as many children as there are members (binary tournaments, crossover, mutation), and of both together the best survive: by the
front that they belong to, and within a front by how much room their neighbours leave them. Source: Deb et al., "A Fast and Elitist Multiobjective Genetic
Algorithm: NSGA-II" (IEEE Transactions on Evolutionary Computation 6(2), 2002, sections III and VI). Crossover with probability 0.9 and mutation
with one over the number of variables are its section IV's; a choice has no order, so crossover takes each block from either parent, and a
mutation redraws a block.

No candidate is evaluated twice: a child that was seen before is mutated until it is new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import UsageError, whole
from costmodel.search._space import Space
from costmodel.search.exact import Found, non_dominated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates

#: Candidates (number, blocks) to objectives (number, objectives): the less the better.
EvaluateMany = Callable[[Any], Any]

_CROSSOVER = 0.9
#: How often a child that was seen before is mutated again before a random candidate takes its place.
_ATTEMPTS = 20


def nsga2(
    space: Space,
    evaluate: EvaluateMany,
    *,
    budget: int,
    seed: int,
    population: int = 100,
    violation: Callable[[Any], Any] | None = None,
) -> Found:
    """The non-dominated candidates among at most `budget` different ones, with their objectives; the same for the same seed.

    Parameters
    ----------
    evaluate : candidates (number, blocks) to objectives (number, objectives), the less the better; called once a generation.
    population : members of a generation.
    violation : candidates to how far each is outside what is allowed (number,), 0 within. Of two candidates the one that violates less is
        the better whatever their objectives (the paper's section VI), and only those within are returned.

    Raises
    ------
    UsageError
        If the population is larger than the budget, or the evaluator returns something else than a row for each, or NaN.
    """
    budget, population = whole("budget", budget, 1, 10**9), whole("population", population, 2, 10**5)
    if population > budget:
        raise UsageError(f"needs population <= budget, not {population} and {budget}")
    rng = np.random.default_rng(seed)
    breeder = _Breeder(space, rng)
    x = breeder.fresh(population)
    values, outside = _evaluated(evaluate, x), _violations(violation, x)
    every = [(x, values, outside)]
    while len(breeder.seen) < budget and len(x):
        standing = _standing(values, outside)
        children = breeder.children(x, standing, min(population, budget - len(breeder.seen)))
        if not len(children):
            break
        every.append((children, _evaluated(evaluate, children), _violations(violation, children)))
        x, values, outside = (np.concatenate(pair) for pair in zip((x, values, outside), every[-1], strict=True))
        best = np.argsort(_standing(values, outside), kind="stable")[:population]
        x, values, outside = x[best], values[best], outside[best]
    x, values, outside = (np.concatenate(parts) for parts in zip(*every, strict=True))
    x, values = x[outside == 0], values[outside == 0]
    if not len(x):
        return Found(candidates=x, values=values)
    front = non_dominated(values)
    return Found(candidates=x[front], values=values[front])


def ranks(values: NDArray[np.float64], outside: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """The number of the front that each row of `values` (number, objectives) belongs to: 0 where nothing dominates it, 1 where only those do, ...

    With violations `outside` (number,), of two rows that differ in them the lesser dominates, and of those outside none does that is equal.

    Examples
    --------
    >>> ranks(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 3.0], [2.0, 4.0]])).tolist()
    [0, 0, 1, 1]
    """
    dominates = np.ones((len(values), len(values)), bool)
    strictly = np.zeros_like(dominates)
    for column in values.T:
        dominates &= column[:, None] <= column[None, :]
        strictly |= column[:, None] < column[None, :]
    dominates &= strictly
    if outside is not None:
        both_within = (outside[:, None] == 0) & (outside[None, :] == 0)
        dominates = np.where(both_within, dominates, outside[:, None] < outside[None, :])
    dominated_by, found = dominates.sum(axis=0), np.full(len(values), -1, np.int64)
    for number in range(len(values)):
        front = np.flatnonzero((dominated_by == 0) & (found < 0))
        if not len(front):
            break
        found[front] = number
        dominated_by -= dominates[front].sum(axis=0)
    return found


def crowding(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The crowding distance of each row of one front (number, objectives): the sides of the box that its neighbours leave it, infinite at the ends.

    Examples
    --------
    >>> crowding(np.array([[0.0, 4.0], [1.0, 1.0], [4.0, 0.0]])).tolist()
    [inf, 2.0, inf]
    """
    found = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        found[order[[0, -1]]] = np.inf
        if np.isfinite(ranked[[0, -1]]).all() and ranked[-1] > ranked[0]:
            found[order[1:-1]] += (ranked[2:] - ranked[:-2]) / (ranked[-1] - ranked[0])
    return found


def _standing(values: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.int64]:
    """The place of each row: by front, then by room; 0 is the best."""
    fronts = ranks(values, outside)
    room = np.zeros(len(values))
    for front in np.unique(fronts):
        members = np.flatnonzero(fronts == front)
        room[members] = crowding(values[members])
    places = np.empty(len(values), np.int64)
    places[np.lexsort((-room, fronts))] = np.arange(len(values))
    return places


class _Breeder:
    """Makes candidates that were not seen before, and remembers all that it made."""

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self.space, self.rng = space, rng
        self.choices = np.array(space.choices)
        self.seen: set[bytes] = set()

    def fresh(self, number: int) -> Candidates:
        """Random new candidates, fewer where the space has no more."""
        return self._new(lambda: self.rng.integers(0, self.choices), number)

    def children(self, x: Candidates, standing: NDArray[np.int64], number: int) -> Candidates:
        """`number` new candidates made from the members `x`."""
        return self._new(lambda: self._child(x, standing), number)

    def _child(self, x: Candidates, standing: NDArray[np.int64]) -> NDArray[np.int64]:
        rivals = self.rng.integers(0, len(x), (2, 2))
        one, other = (x[pair[np.argmin(standing[pair])]] for pair in rivals)
        mixed = self.rng.random() < _CROSSOVER
        child: NDArray[np.int64] = np.where(self.rng.random(len(one)) < 0.5, one, other) if mixed else one.copy()
        return self._mutated(child)

    def _mutated(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        hit = self.rng.random(len(row)) < 1 / len(row)
        return np.where(hit, self.rng.integers(0, self.choices), row)

    def _new(self, make: Callable[[], NDArray[np.int64]], number: int) -> Candidates:
        found: list[NDArray[np.int64]] = []
        for _ in range(min(number, self.space.size - len(self.seen))):
            row = make()
            for _ in range(_ATTEMPTS):
                if row.tobytes() not in self.seen:
                    break
                row = self._mutated(row)
            while row.tobytes() in self.seen:  # the space has unseen candidates, so that this ends
                row = self.rng.integers(0, self.choices)
            self.seen.add(row.tobytes())
            found.append(row)
        return np.array(found, np.int64).reshape(len(found), len(self.choices))


def _evaluated(evaluate: EvaluateMany, x: Candidates) -> NDArray[np.float64]:
    values = np.asarray(evaluate(x), np.float64)
    if values.ndim != 2 or len(values) != len(x) or not values.shape[1]:
        raise UsageError(f"the evaluator was given {len(x)} candidates and returned {values.shape}: it must return a row of objectives for each")
    wrong = np.flatnonzero(np.isnan(values).any(axis=1))
    if len(wrong):
        raise UsageError(f"the evaluator returned NaN for candidate {x[wrong[0]].tolist()}; return infinity for what is not allowed")
    return values


def _violations(violation: Callable[[Any], Any] | None, x: Candidates) -> NDArray[np.float64]:
    if violation is None:
        return np.zeros(len(x))
    found = np.asarray(violation(x), np.float64)
    if found.shape != (len(x),) or not (found >= 0).all():
        raise UsageError(f"the violation of {len(x)} candidates must be a number each, 0 or more, not {found.shape}")
    return found
