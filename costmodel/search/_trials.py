"""What search algorithms share: the evaluator that they call, and what they hand back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates

#: Candidates (number, blocks) to values (number,): the less the better, infinity for what is not allowed.
Evaluate = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """Candidates in the order in which they were evaluated (number, blocks), and their values (number,); the less the better."""

    candidates: Candidates
    values: NDArray[np.float64]

    @property
    def best(self) -> Candidates:
        """The candidate (blocks,) with the least value, the first of equal ones."""
        found: Candidates = self.candidates[int(np.argmin(self.values))]
        return found

    @property
    def best_value(self) -> float:
        """The least value."""
        return float(self.values.min())


def evaluated(evaluate: Evaluate, x: Candidates) -> NDArray[np.float64]:
    """The evaluator's values, checked.

    Raises
    ------
    UsageError
        If it returns another number of values, or NaN: names the candidate.
    """
    values = np.asarray(evaluate(x), np.float64)
    if values.shape != (len(x),):
        raise UsageError(f"the evaluator was given {len(x)} candidates and returned {values.shape}: it must return one value each")
    wrong = np.flatnonzero(np.isnan(values))
    if len(wrong):
        raise UsageError(f"the evaluator returned NaN for candidate {x[wrong[0]].tolist()}; return infinity for what is not allowed")
    return values
