"""A surrogate of ImageNet accuracy: three coefficients fitted to the accuracies that papers print of networks with depthwise convolutions.

    ln(100 - top1) = a + b ln(parameters) + c (MACs / 1e9)^(-1/2)

Both terms fall as networks grow, and the second levels off, as accuracies do. It knows how large a network is, and nothing of how it is built or
trained. Each family weighs the same in the fit, whatever the number of its networks, and the error that it states is that on families left out of
the fit one after the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from costmodel import zoo
from costmodel.errors import UsageError
from costmodel.search._space import Space
from costmodel.search._table import LatencyTable
from costmodel.work import WorkKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costmodel.search._space import Candidates

_CLASSES = 1000


class SurrogateWarning(UserWarning):
    """Scores are guesses from the size of a network."""


class Published(NamedTuple):
    """A network with its size and the top-1 in percent that its paper prints."""

    family: str
    macs: int
    parameters: int
    top1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Coefficients (a, b, c), ranges of what was fitted, and the mean and largest error in points on families left out of the fit."""

    coefficients: tuple[float, ...]
    macs: tuple[int, int]
    parameters: tuple[int, int]
    networks: int
    families: int
    mean_error: float
    largest_error: float

    def top1(self, macs: NDArray[np.int64], parameters: NDArray[np.int64]) -> NDArray[np.float64]:
        """Top-1 in percent for arrays (number,); beyond what was fitted, that of the nearest size."""
        clipped = np.clip(macs, *self.macs), np.clip(parameters, *self.parameters)
        found: NDArray[np.float64] = 100 - np.exp(_features(*clipped) @ np.array(self.coefficients))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """Predicted ImageNet top-1 in percent, from MACs and parameters."""

    table: LatencyTable
    fit: Fit
    quantity: str = "top-1 predicted by a surrogate (%)"
    cheap: bool = True
    known: None = None

    @property
    def name(self) -> str:
        return f"surrogate {' '.join(map(repr, self.fit.coefficients))}"

    def scores(self, x: Candidates) -> NDArray[np.float64]:
        samples = self.table.batch
        return self.fit.top1(self.table.macs(x) // samples, self.table.parameters(x))


def surrogate(table: LatencyTable) -> Surrogate:
    """The surrogate for the candidates of a table; warns that it is one, with its error.

    Raises
    ------
    UsageError
        If the space's networks do not classify ImageNet's 1000 classes from colour images.
    """
    _require_imagenet(table.space)
    fit = fitted()
    warnings.warn(
        f"the accuracies of this search are a surrogate's, guessed from MACs and parameters alone: on families of networks that it was not fitted to it "
        f"is off by {fit.mean_error:.1f} points on average and by up to {fit.largest_error:.1f}; differences below that mean nothing: train the winners "
        "before you believe them",
        SurrogateWarning,
        stacklevel=2,
    )
    return Surrogate(table=table, fit=fit)


@lru_cache(maxsize=1)
def fitted() -> Fit:
    """The fit to every published network with depthwise convolutions, in full precision and without more data than ImageNet-1k."""
    rows = published()
    families = sorted({row.family for row in rows})
    errors = [abs(error) for family in families for error in _errors_without(rows, family)]
    macs, parameters = [row.macs for row in rows], [row.parameters for row in rows]
    return Fit(
        coefficients=tuple(map(float, _solved(rows))),
        macs=(min(macs), max(macs)),
        parameters=(min(parameters), max(parameters)),
        networks=len(rows),
        families=len(families),
        mean_error=float(np.mean(errors)),
        largest_error=float(np.max(errors)),
    )


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """The networks of the fit; each is built."""
    found = []
    for figure in zoo.published_top1():
        if figure.evaluation != "paper" or figure.dtype or figure.extra_data:
            continue
        graph = zoo.build(figure.network)
        if any(node.work.kind is WorkKind.DEPTHWISE for node in graph.nodes):
            found.append(Published(figure.family, graph.macs, graph.parameters, figure.percent))
    return tuple(found)


def _features(macs: NDArray[np.int64], parameters: NDArray[np.int64]) -> NDArray[np.float64]:
    size = np.asarray(macs, np.float64) / 1e9
    return np.stack([np.ones_like(size), np.log(np.asarray(parameters, np.float64)), size**-0.5], axis=1)


def _solved(rows: Sequence[Published]) -> NDArray[np.float64]:
    """Least squares in which each family weighs the same."""
    names = [row.family for row in rows]
    weights = np.sqrt([1 / names.count(name) for name in names])
    x = _features(np.array([row.macs for row in rows]), np.array([row.parameters for row in rows]))
    y = np.log([100 - row.top1 for row in rows])
    found: NDArray[np.float64] = np.linalg.lstsq(x * weights[:, None], y * weights, rcond=None)[0]
    return found


def _errors_without(rows: Sequence[Published], family: str) -> NDArray[np.float64]:
    """Errors in points on a family, by a fit to all others."""
    own = [row for row in rows if row.family == family]
    x = _features(np.array([row.macs for row in own]), np.array([row.parameters for row in own]))
    found: NDArray[np.float64] = 100 - np.exp(x @ _solved([row for row in rows if row.family != family])) - np.array([row.top1 for row in own])
    return found


def _require_imagenet(space: Space) -> None:
    graph = space.graph(np.zeros(len(space.blocks), np.int64))
    (image,) = graph.inputs.values()
    shape = graph.outputs and graph[graph.outputs[0].node].outputs[graph.outputs[0].output].shape
    if image.shape[1] != 3 or not shape or shape[-1] != _CLASSES:
        raise UsageError(
            f"{space.name} does not classify ImageNet's {_CLASSES} classes, whose published accuracies the surrogate is fitted to; use another evaluator"
        )
