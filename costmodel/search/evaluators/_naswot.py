"""NASWOT: how differently an untrained network treats the images of a mini-batch.

Each image has a code of one bit for each unit of each nonlinearity: whether the unit is active. With N units and d the Hamming distance of codes,
K_ij = N - d(c_i, c_j), and the score is ln |det K|. Source: Mellor et al., "Neural Architecture Search without Training" (arXiv 2006.04647, section 3).
Units of hard-swish and SiLU count as active where they are positive, as those of ReLU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import Node
from costmodel.search.evaluators._probe import Probe
from costmodel.search.layers import ACTIVATIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Naswot:
    """ln |det K| of each candidate; minus infinity never: a singular kernel has no score (NaN)."""

    probe: Probe
    quantity: str = "NASWOT, ln det K"
    cheap: bool = False
    known: None = None

    @property
    def name(self) -> str:
        return f"naswot, {self.probe.words}"

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        return np.array([self._score(row) for row in self.probe.space.checked(x)])

    def _score(self, candidate: NDArray[np.int64]) -> float:
        import torch

        kernel = np.zeros((self.probe.samples, self.probe.samples))
        units = 0

        def watch(node: Node, compute: Callable[[], Any]) -> Any:
            nonlocal units
            made = compute()
            if isinstance(node.operator, tuple(ACTIVATIONS.values())):
                active = (made > 0).reshape(len(made), -1).to(torch.float32)
                units += active.shape[1]
                kernel[:] += (active @ active.T + (1 - active) @ (1 - active).T).double().numpy()
            return made

        with torch.no_grad():
            self.probe.module(candidate)(self.probe.batch(2)[0], observer=watch)
        if not units:
            raise UsageError(f"{self.probe.space.name}: candidate {candidate.tolist()} has none of {', '.join(ACTIVATIONS)}, whose activity NASWOT compares")
        sign, found = np.linalg.slogdet(kernel)
        return float(found) if sign != 0 else float("nan")
