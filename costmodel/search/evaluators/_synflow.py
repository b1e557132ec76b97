"""SynFlow: how much of a signal of ones flows through a network whose weights are all made positive.

With R the sum of the outputs for an input of ones and |w| for each weight w, the score is ln of the sum of |w dR/d|w|| over filters and matrices.
Source: Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow" (arXiv 2006.05467, section 5), as a
proxy of accuracy in Abdelfattah et al. (arXiv 2101.08134, section 3.1): no data, batch normalisation at rest, double precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costmodel.search._space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class Synflow:
    """ln of the synaptic flow of each candidate with weights of `seed`; none (NaN) where nothing flows or more than a number can hold."""

    space: Space
    seed: int = 0
    quantity: str = "SynFlow, ln"
    cheap: bool = False
    known: None = None

    @property
    def name(self) -> str:
        return f"synflow, seed {self.seed}"

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        return np.array([self._score(row) for row in self.space.checked(x)])

    def _score(self, candidate: NDArray[np.int64]) -> float:
        from costmodel.reference import random_weights, trainable

        graph = self.space.graph(candidate)
        positive = {node: {name: tensor.abs().double() for name, tensor in own.items()} for node, own in random_weights(graph, seed=self.seed).items()}
        module = trainable(graph, weights=positive).double().eval()
        import torch

        module(torch.ones(1, self.space.channels, *self.space.resolution, dtype=torch.float64)).sum().backward()
        flows = [float((weight.detach() * weight.grad).abs().sum()) for weight in module.parameters() if weight.dim() > 1 and weight.grad is not None]
        flow = sum(flows)
        return math.log(flow) if 0 < flow < math.inf else math.nan
