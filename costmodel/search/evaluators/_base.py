"""`Evaluator`: what gives candidates of one space their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates


class Evaluator(Protocol):
    """Scores of candidates of one space, the more the better."""

    @property
    def name(self) -> str:
        """What it is, with every setting that its scores depend on: stored searches are told apart by it."""

    @property
    def quantity(self) -> str:
        """What a score is, with its unit, as tables and axes say it."""

    @property
    def cheap(self) -> bool:
        """Whether thousands of candidates a second can be scored, all at once."""

    @property
    def known(self) -> Candidates | None:
        """The only candidates that it can score (number, blocks); None where it scores all."""

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        """A score for each of the candidates (number, blocks); NaN for one that it cannot score."""
