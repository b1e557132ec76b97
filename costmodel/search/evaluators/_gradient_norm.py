"""Gradient norm: how strongly the loss of one mini-batch pulls at the weights of an untrained network.

The sum of the Euclidean norms of the gradients of the cross-entropy with respect to filters and matrices. Source: Abdelfattah et al.,
"Zero-Cost Proxies for Lightweight NAS" (arXiv 2101.08134, section 3.1, "grad_norm").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costmodel.search.evaluators._probe import Probe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientNorm:
    """The norm of each candidate."""

    probe: Probe
    quantity: str = "gradient norm"
    cheap: bool = False
    known: None = None

    @property
    def name(self) -> str:
        return f"gradient-norm, {self.probe.words}"

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        return np.array([self._score(row) for row in self.probe.space.checked(x)])

    def _score(self, candidate: NDArray[np.int64]) -> float:
        graph = self.probe.space.graph(candidate)
        last = graph.outputs[0]
        module = self.probe.module(candidate)
        import torch

        images, labels = self.probe.batch(graph[last.node].outputs[last.output].shape[-1])
        torch.nn.functional.cross_entropy(module(images), labels).backward()
        return float(sum(weight.grad.norm() for weight in module.parameters() if weight.dim() > 1 and weight.grad is not None))
