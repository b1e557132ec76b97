"""What a family file declares: architectures with their metadata, and the options that every one of them takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from costmodel.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """A published figure in percent, with where it stands; `evaluation` tells a paper's own from one library's of many networks.

    `metric` is ImageNet's top-1, a segmentation's mean intersection over union, or a detector's mean average precision.
    """

    value: float
    source: str
    metric: Literal["top1", "miou", "map"] = "top1"
    resolution: int | None = None
    evaluation: Literal["paper", "timm", "torchvision", "pytorchcv"] = "paper"


def pytorchcv(model: str, error: float) -> Accuracy:
    """ImageNet top-1 of pytorchcv's weights of `model`, from the top-1 error in percent that its README prints: one crop of 224."""
    return Accuracy(value=round(100 - error, 2), resolution=224, evaluation="pytorchcv", source=f"pytorchcv 0.0.74 README, {model}, 100 less the error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to build an architecture: batch, resolution (height, width), and what people change first.

    `padding` None means the padding of the architecture's origin.
    """

    name: str
    resolution: tuple[int, int]
    batch: int = 1
    width: float = 1.0
    padding: Literal["same", "symmetric"] | None = None
    classes: int | None = None
    features_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A named network of the zoo.

    `resolution` is the side of a square input, or (height, width). `widths` lists the multipliers for which figures are
    published; None means that the family defines no multiplier.
    """

    name: str
    family: str
    builder: Callable[[Options], Graph]
    resolution: int | tuple[int, int]
    year: int
    paper: str
    widths: tuple[float, ...] | None = None
    accuracies: tuple[Accuracy, ...] = ()

    @property
    def default_resolution(self) -> tuple[int, int]:
        """(height, width) of the input without ``@``."""
        return (self.resolution, self.resolution) if isinstance(self.resolution, int) else self.resolution
