"""Published ImageNet accuracies of networks by their full names, widths and resolutions included.

An architecture states its own figures; those of its other widths, resolutions and precisions stand in `accuracies.csv`
with their sources. A figure belongs to one resolution, so that a network has a name for each.
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from costmodel.zoo._architecture import Accuracy, Architecture
from costmodel.zoo._names import architectures, find, resolution_suffix

EVALUATIONS = ("paper", "timm", "torchvision", "pytorchcv")
#: Data beyond ImageNet-1k in the names of timm's weights (the tag after the dot names them: ``augreg_in21k_ft_in1k``) and of torchvision's.
_EXTRA_DATA = re.compile(r"in12k|in21k|in22k|jft|laion|yfcc|ig1b|swsl|ssl_|swag", re.IGNORECASE)


class Published(NamedTuple):
    """A published ImageNet top-1 in percent, with where it stands.

    `dtype` is empty where the network was evaluated in full precision; `extra_data` says that it was trained on more than
    ImageNet-1k.
    """

    network: str
    family: str
    percent: float
    dtype: str
    evaluation: str
    source: str
    extra_data: bool


def canonical(name: str) -> str:
    """The shortest name of the same network: no multiplier of 1, no resolution that is the default.

    Raises
    ------
    UsageError
        If no network has that name; see `find`.

    Examples
    --------
    >>> canonical("mobilenet-v2-1.40@224"), canonical("resnet-50@288")
    ('mobilenet-v2-1.4', 'resnet-50@288')
    """
    return find(name).name


@lru_cache(maxsize=1)
def published_top1() -> tuple[Published, ...]:
    """Every published top-1 of the zoo, the usual figure of a network first; nothing is built."""
    found = [figure for architecture in architectures().values() for figure in _own(architecture)]
    table = (files("costmodel.zoo") / "accuracies.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines()):
        family = find(row["network"]).architecture.family
        found.append(Published(canonical(row["network"]), family, float(row["top1"]), row["dtype"], row["evaluation"], row["source"], False))
    return tuple(found)


def _own(architecture: Architecture) -> list[Published]:
    """The figures that an architecture states itself."""
    entries = [entry for entry in architecture.accuracies if entry.metric == "top1"]
    return [
        Published(
            architecture.name + resolution_suffix(architecture, _resolution(architecture, entry)),
            architecture.family,
            entry.value,
            "",
            entry.evaluation,
            entry.source,
            _has_extra_data(entry, [other for other in entries if _resolution(architecture, other) == _resolution(architecture, entry)]),
        )
        for entry in entries
    ]


def _has_extra_data(entry: Accuracy, beside: list[Accuracy]) -> bool:
    """Whether its source names more data; a paper's figure is taken to have what every library's of that network has."""
    libraries = [other for other in beside if other.evaluation != "paper"]
    if entry.evaluation == "paper" and libraries:
        return all(_EXTRA_DATA.search(other.source) for other in libraries)
    return _EXTRA_DATA.search(entry.source) is not None


def _resolution(architecture: Architecture, entry: Accuracy) -> tuple[int, int]:
    return architecture.default_resolution if entry.resolution is None else (entry.resolution, entry.resolution)
