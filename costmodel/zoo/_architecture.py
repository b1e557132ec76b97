"""What a family file declares: architectures with their metadata, and the options that every one of them takes."""

from __future__ import annotations

import math
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

    `padding` None means the padding of the architecture's origin. Where the architecture is `scalable`, `width` multiplies its
    channels, `depth` the blocks of every stage, and `late` those of the last third of the stages once more.
    """

    name: str
    resolution: tuple[int, int]
    batch: int = 1
    width: float = 1.0
    depth: float = 1.0
    late: float = 1.0
    padding: Literal["same", "symmetric"] | None = None
    classes: int | None = None
    features_only: bool = False

    def repeats(self, published: float, stage: int, stages: int) -> int:
        """Blocks of stage number `stage` of `stages` where `published` are at depth 1; a part of a block counts as one.

        The rule is EfficientNet's (github.com/tensorflow/tpu, `round_repeats`); a product such as 10 x 1.1 is 11, not a
        rounding error more. The last third of the stages, rounded up, are stages 5 and 6 of EfficientNetV2's Table 4, those
        to which its section 3.3 adds layers.

        Examples
        --------
        >>> options = Options(name="", resolution=(224, 224), depth=1.4, late=1.5)
        >>> [options.repeats(repeats, stage, 7) for stage, repeats in enumerate((1, 2, 2, 3, 3, 4, 1))]
        [2, 3, 3, 5, 7, 9, 3]
        """
        is_late = stage >= stages - math.ceil(stages / 3)
        return math.ceil(round(published * self.depth * (self.late if is_late else 1.0), 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A named network of the zoo.

    `resolution` is the side of a square input, or (height, width). `widths` lists the multipliers for which figures are
    published; None means that the family defines no multiplier. `scalable` says that `builder` takes any width and depth.
    """

    name: str
    family: str
    builder: Callable[[Options], Graph]
    resolution: int | tuple[int, int]
    year: int
    paper: str
    widths: tuple[float, ...] | None = None
    scalable: bool = False
    accuracies: tuple[Accuracy, ...] = ()

    @property
    def default_resolution(self) -> tuple[int, int]:
        """(height, width) of the input without ``@``."""
        return (self.resolution, self.resolution) if isinstance(self.resolution, int) else self.resolution
