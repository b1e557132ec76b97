"""Short real training: what share of the validation images a candidate classifies correctly after a few epochs.

AdamW with a rate that falls along a cosine to nothing; training ends early once the validation loss has not fallen for `patience` epochs, and the best
epoch's accuracy is the score. Every candidate starts from weights of the same seed and sees the images in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from costmodel.errors import UsageError
from costmodel.graph import Graph
from costmodel.search._space import Space
from costmodel.search.evaluators._images import Images, Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates


class Recipe(NamedTuple):
    """How candidates are trained: at most so many epochs in batches, and how many without a lower validation loss end it."""

    epochs: int = 12
    patience: int = 3
    batch: int = 64
    rate: float = 3e-3
    decay: float = 1e-2
    seed: int = 0


class Training(NamedTuple):
    """Shares of correct validation and test images at the best epoch, and the epochs that were run; `module` is the network as the last one left it."""

    validation: float
    test: float
    epochs: int
    module: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Trains each candidate of a space on the images of a data set."""

    space: Space
    images: Images
    recipe: Recipe = field(default_factory=Recipe)
    quantity: str = "validation accuracy (%)"
    cheap: bool = False
    known: None = None

    def __post_init__(self) -> None:
        require_fitting(self.space, self.images)

    @property
    def name(self) -> str:
        return f"train on {self.images.name}, {self.recipe}"

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        graphs = (self.space.graph(row, batch=self.recipe.batch) for row in self.space.checked(x))
        return np.array([100 * train(graph, self.images, self.recipe).validation for graph in graphs])


def train(graph: Graph, images: Images, recipe: Recipe | None = None, *, last: bool = False) -> Training:
    """Train a network whose batch is the recipe's; a validation share of NaN where its loss was no number.

    Parameters
    ----------
    last : take the last epoch, not the best one: where nothing may be chosen by the images that are looked at.

    Raises
    ------
    UsageError
        If torch is not installed, or a batch is larger than the training part.
    """
    from costmodel.reference import trainable

    chosen = recipe or Recipe()
    if chosen.batch > len(images.training.labels):
        raise UsageError(f"a batch of {chosen.batch} is more than the {len(images.training.labels)} images of {images.name} that are trained on")
    module = trainable(graph, seed=chosen.seed)
    import torch

    steps = len(images.training.labels) // chosen.batch
    optimiser = torch.optim.AdamW(module.parameters(), lr=chosen.rate, weight_decay=chosen.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, chosen.epochs * steps)
    order = np.random.default_rng(chosen.seed)
    best, lowest, since, epoch = (math.nan, math.nan), math.inf, 0, 0
    for epoch in range(1, chosen.epochs + 1):
        _epoch(torch, module, optimiser, schedule, images.training, chosen.batch, order)
        loss, right = _judged(torch, module, images.validation, chosen.batch)
        if math.isnan(loss):
            return Training(math.nan, math.nan, epoch, module)
        since += 1
        if last or loss < lowest:
            best, lowest, since = (right, _judged(torch, module, images.test, chosen.batch)[1]), loss, 0
        if since >= chosen.patience:
            break
    return Training(*best, epoch, module)


def require_fitting(space: Space, images: Images) -> None:
    """Refuse a space whose networks do not take the images or do not tell their classes apart.

    Raises
    ------
    UsageError
        If so: says how the space is made to fit.
    """
    channels, height, width = images.shape
    if (space.channels, space.resolution) != (channels, (height, width)):
        raise UsageError(
            f"{space.name} takes images of {space.channels}x{space.resolution[0]}x{space.resolution[1]}, those of {images.name} are "
            f"{channels}x{height}x{width}: take space.on(channels={channels}, resolution={(height, width)}, classes={len(images.classes)})"
        )
    graph = space.graph(np.zeros(len(space.blocks), np.int64))
    last = graph.outputs[0]
    outputs = graph[last.node].outputs[last.output].shape[-1]
    if outputs != len(images.classes):
        raise UsageError(
            f"{space.name} tells {outputs} classes apart, {images.name} has {len(images.classes)}: take space.on(..., classes={len(images.classes)})"
        )


def _epoch(torch: Any, module: Any, optimiser: Any, schedule: Any, part: Part, batch: int, order: np.random.Generator) -> None:
    """One pass over whole batches; what is left over comes in another epoch's order."""
    module.train()
    rows = order.permutation(len(part.labels))
    for begin in range(0, len(rows) - batch + 1, batch):
        chosen = rows[begin : begin + batch]
        loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(part.images[chosen])), torch.from_numpy(part.labels[chosen]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _judged(torch: Any, module: Any, part: Part, batch: int) -> tuple[float, float]:
    """(mean cross-entropy, share of correct images)."""
    module.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for images, labels in _padded(part, batch):
            outputs = module(torch.from_numpy(images))[: len(labels)]
            truth = torch.from_numpy(labels)
            loss += float(torch.nn.functional.cross_entropy(outputs, truth, reduction="sum"))
            right += int((outputs.argmax(dim=1) == truth).sum())
    return loss / len(part.labels), right / len(part.labels)


def _padded(part: Part, batch: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Whole batches of images, the last one filled up with its last image, with the labels of the true ones."""
    for begin in range(0, len(part.labels), batch):
        images, labels = part.images[begin : begin + batch], part.labels[begin : begin + batch]
        missing = batch - len(labels)
        yield (np.concatenate([images, images[-1:].repeat(missing, axis=0)]) if missing else images), labels
