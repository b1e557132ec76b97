"""`Outcome`: what a search has found so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costmodel.search._space import Space
from costmodel.search.exact import non_dominated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Candidates that were evaluated, in order (number, blocks), with scores (NaN: failed) and latencies in seconds (number,).

    `failures` says why, by a candidate's place; `asked` counts what the algorithm proposed, of which candidates beyond the target and ones that
    came again are not evaluated. `considered` candidates is what the answer rests on: exact search and NSGA-II keep only the ones that matter.
    `note` says why a search ended early.
    """

    space: Space
    candidates: Candidates
    scores: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    failures: Mapping[int, str]
    asked: int
    considered: int
    target_s: float | None = None
    note: str = ""

    @property
    def allowed(self) -> NDArray[np.int64]:
        """Places of the scored candidates within the target."""
        within = np.isfinite(self.scores)
        return np.flatnonzero(within if self.target_s is None else within & (self.latency_s <= self.target_s))

    @property
    def front(self) -> NDArray[np.int64]:
        """Places of those that no other beats in both score and latency, fastest first; one of equal ones."""
        places = self.allowed
        if not len(places):
            return places
        chosen = places[non_dominated(np.stack([self.latency_s[places], -self.scores[places]], axis=1))]
        found: NDArray[np.int64] = chosen[np.argsort(self.latency_s[chosen], kind="stable")]
        return found

    def best(self, number: int = 1) -> NDArray[np.int64]:
        """Places of the highest scores within the target, the fastest of equal ones first."""
        places = self.allowed
        found: NDArray[np.int64] = places[np.lexsort((self.latency_s[places], -self.scores[places]))][:number]
        return found


#: Called with what was found so far.
Progress = Callable[[Outcome], None]
