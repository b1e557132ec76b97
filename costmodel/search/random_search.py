"""Random search: the baseline that every other algorithm must beat for the same number of evaluations."""

from __future__ import annotations

from costmodel.errors import whole
from costmodel.search._space import Space
from costmodel.search._trials import Evaluate, Trials, evaluated


def random_search(space: Space, evaluate: Evaluate, *, budget: int, seed: int) -> Trials:
    """`budget` uniform random candidates with their values; the same for the same seed.

    Parameters
    ----------
    evaluate : candidates (number, blocks) to values (number,), less is better; called once.

    Raises
    ------
    UsageError
        If the evaluator returns something else than a value for each, or NaN.
    """
    x = space.sample(whole("budget", budget, 1, 10**9), seed=seed)
    return Trials(candidates=x, values=evaluated(evaluate, x))
