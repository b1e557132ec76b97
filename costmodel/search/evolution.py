"""Regularised (aging) evolution: the youngest population, not the fittest one, survives.

Each step takes `tournament` random members, mutates the best of them, evaluates the child and lets it take the place of the oldest member. Source: Real et
al., "Regularized Evolution for Image Classifier Architecture Search" (arXiv 1802.01548), algorithm 1; population 100 and
tournament 25 are its section 3.3's.

A mutation redraws the option of one block among those that differ in a single field from the present one where there are such, and among
all others otherwise.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from costmodel.errors import UsageError, whole
from costmodel.search._space import Block, Space
from costmodel.search._trials import Evaluate, Trials, evaluated


def evolution(space: Space, evaluate: Evaluate, *, budget: int, seed: int, population: int = 100, tournament: int = 25) -> Trials:
    """`budget` candidates found by regularised evolution with their values, in order; the same for the same seed.

    Parameters
    ----------
    evaluate : candidates (number, blocks) to values (number,), less is better; called for the first population at once, then for each child.
    population, tournament : members alive at a time, and how many of them compete to be a parent.

    Raises
    ------
    UsageError
        If the tournament is larger than the population or the population than the budget, if the space has a single candidate, or if the
        evaluator returns something else than a value for each, or NaN.
    """
    budget, population = whole("budget", budget, 1, 10**9), whole("population", population, 1, 10**6)
    tournament = whole("tournament", tournament, 1, 10**6)
    if not tournament <= population <= budget:
        raise UsageError(f"needs tournament <= population <= budget, not {tournament}, {population} and {budget}")
    if space.size < 2:
        raise UsageError(f"{space.name} has a single candidate: there is nothing to search")
    rng = np.random.default_rng(seed)
    neighbours = _Neighbours(space)
    candidates = np.empty((budget, len(space.blocks)), np.int64)
    values = np.empty(budget)
    candidates[:population] = space.sample(population, seed=int(rng.integers(2**31)))
    values[:population] = evaluated(evaluate, candidates[:population])
    alive = deque(range(population))
    for number in range(population, budget):
        rivals = rng.choice(population, tournament, replace=False)
        parent = min((alive[rival] for rival in rivals), key=lambda member: (values[member], member))
        candidates[number] = neighbours.mutated(candidates[parent], rng)
        values[number] = evaluated(evaluate, candidates[number : number + 1])[0]
        alive.append(number)
        alive.popleft()
    return Trials(candidates=candidates, values=values)


class _Neighbours:
    """For each option of a block the options that differ from it in one field, found when first asked for."""

    def __init__(self, space: Space) -> None:
        self.blocks = space.blocks
        self.open = [number for number, block in enumerate(space.blocks) if len(block.options) > 1]
        self.known: dict[tuple[int, int], np.ndarray] = {}

    def mutated(self, candidate: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        block = int(rng.choice(self.open))
        present = int(candidate[block])
        near = self.known.get((block, present))
        if near is None:
            near = self.known[block, present] = _near(self.blocks[block], present)
        child = candidate.copy()
        child[block] = rng.choice(near)
        return child


def _near(block: Block, present: int) -> np.ndarray:
    """Options that differ in one field from the option `present`; all others where none does."""
    own = block.options[present].fields
    others = np.array([number for number in range(len(block.options)) if number != present])
    near = [number for number in others if _differences(block.options[number].fields, own) == 1]
    return np.array(near) if near else others


def _differences(fields: tuple[tuple[str, object], ...], own: tuple[tuple[str, object], ...]) -> int:
    return len(fields) if len(fields) != len(own) else sum(one != other for one, other in zip(fields, own, strict=True))
