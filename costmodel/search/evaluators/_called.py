"""A function of the user's as an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.search._space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates

#: A candidate in words (`Space.decode`: block -> field -> value) to its score.
Score = Callable[[Mapping[str, Mapping[str, Any]]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """Calls `function` with each candidate in words. `label` is what storages know the function by: change it when the function changes.

    What the function raises is raised; a search marks that trial as failed and goes on.
    """

    space: Space
    function: Score
    label: str
    quantity: str = "score"
    cheap: bool = False
    known: None = None

    @property
    def name(self) -> str:
        return f"callable {self.label}"

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        return np.array([self._score(row) for row in self.space.checked(x)], np.float64)

    def _score(self, row: NDArray[np.int64]) -> float:
        given = self.function(self.space.decode(row))
        try:
            return float(given)
        except (TypeError, ValueError):
            raise UsageError(f"{self.name} returned {given!r} for candidate {row.tolist()}: it must return a number") from None
