"""What the zero-cost proxies share: a mini-batch that a candidate sees once, and its network with fresh weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costmodel.search._space import Space
from costmodel.search.evaluators._images import Images
from costmodel.search.evaluators._trained import require_fitting

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """`samples` training images of a data set with their labels, or standard normal noise with random labels; weights of `seed`."""

    space: Space
    images: Images | None = None
    samples: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if self.images is not None:
            require_fitting(self.space, self.images)

    @property
    def words(self) -> str:
        """What it shows, for the name of an evaluator."""
        return f"{self.samples} of {'normal noise' if self.images is None else self.images.name}, seed {self.seed}"

    def batch(self, classes: int) -> tuple[Any, Any]:
        """Tensors of images (samples, channels, height, width) and labels (samples,)."""
        import torch

        rng = np.random.default_rng(self.seed)
        if self.images is None:
            shown = rng.standard_normal((self.samples, self.space.channels, *self.space.resolution)).astype(np.float32)
            return torch.from_numpy(shown), torch.from_numpy(rng.integers(0, classes, self.samples))
        part = self.images.training
        rows = rng.choice(len(part.labels), self.samples, replace=len(part.labels) < self.samples)
        return torch.from_numpy(part.images[rows]), torch.from_numpy(part.labels[rows])

    def module(self, candidate: NDArray[np.int64]) -> Any:
        """The candidate's network at the batch of the probe, in training mode: batch normalisation by the batch itself."""
        from costmodel.reference import trainable

        return trainable(self.space.graph(candidate, batch=self.samples), seed=self.seed)
