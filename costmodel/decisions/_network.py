"""`Network`: a name that can be built or read, with the accuracies that are known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from costmodel.errors import UnknownNameError, UsageError, unknown
from costmodel.files import names_network_file
from costmodel.frozen import FrozenDict
from costmodel.tensor import DType
from costmodel.zoo import EVALUATIONS, Published, architectures, canonical, find, published_top1

#: The key of a figure that was measured in full precision.
FULL = ""
#: The precision that costs accuracy; in the others networks keep that of full precision, for all that a choice between them needs
#: (MobileNetV3-Large: 75.2 in fp32, 73.8 in int8, arXiv 1905.02244, Tables 3 and 4).
_LOSSY = DType.INT8
#: The family of networks that come from outside the zoo.
OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A top-1 in percent and where it stands; `extra_data`: trained on more than ImageNet-1k."""

    percent: float
    evaluation: str
    source: str
    extra_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network by the name that it is built or read by; `figures` by precision, the empty one being full precision."""

    name: str
    family: str
    figures: Mapping[str, Figure] = field(default_factory=FrozenDict)

    def figure(self, dtype: str) -> Figure | None:
        """What is known of its accuracy in `dtype`: a figure for that precision, else the one of full precision."""
        return self.figures.get(dtype) or self.figures.get(FULL)

    def is_bound(self, dtype: str) -> bool:
        """Whether `figure` is of full precision and `dtype` is likely to stay below it."""
        return dtype == _LOSSY and dtype not in self.figures and FULL in self.figures


def zoo_networks(*, evaluation: str | None = None, extra_data: bool = True) -> tuple[Network, ...]:
    """Every network of the zoo that has a published top-1, at each width and resolution that has one.

    Parameters
    ----------
    evaluation : whose figures: ``paper``, ``timm``, ``torchvision`` or ``pytorchcv``; None takes the first that a network
        has, the paper's where there is one.
    extra_data : whether figures of networks trained on more than ImageNet-1k count.

    Raises
    ------
    UnknownNameError
        If nobody of that name evaluated.
    """
    if evaluation is not None and evaluation not in EVALUATIONS:
        raise unknown("evaluation", evaluation, EVALUATIONS)
    found: dict[str, dict[str, Figure]] = {}
    families: dict[str, str] = {}
    for entry in published_top1():
        if evaluation in (None, entry.evaluation) and (extra_data or not entry.extra_data):
            families[entry.network] = entry.family
            found.setdefault(entry.network, {}).setdefault(entry.dtype, _figure(entry))
    return tuple(Network(name=name, family=families[name], figures=FrozenDict(figures)) for name, figures in found.items())


def _figure(entry: Published) -> Figure:
    return Figure(percent=entry.percent, evaluation=entry.evaluation, source=entry.source, extra_data=entry.extra_data)


def select(known: Iterable[Network], models: Sequence[str] = (), families: Sequence[str] = ()) -> tuple[Network, ...]:
    """The networks that are asked for, once each: by name, by family, or all that are known where nothing is named.

    A name is a network of the zoo before it is a family, and a file or ``torch:`` is a network of its own; what is asked
    for by name is taken even where no accuracy is known.

    Raises
    ------
    UnknownNameError
        If a name means neither a network nor a family; with close matches.
    UsageError
        If nothing is left.
    """
    by_name = {network.name: network for network in known}
    all_families = {architecture.family for architecture in architectures().values()} | {network.family for network in by_name.values()}
    for family in families:
        if family not in all_families:
            raise unknown("family", family, all_families, hint="`costmodel models` lists every network with its family")
    if not models and not families:
        if not by_name:
            raise UsageError("no network has an accuracy of this kind: ask for another --evaluation, or give --accuracy")
        return tuple(by_name.values())
    found: dict[str, Network] = {}
    for model in models:
        for network in _named(model, by_name, all_families):
            found.setdefault(network.name, network)
    for network in by_name.values():
        if network.family in families:
            found.setdefault(network.name, network)
    if not found:
        raise UsageError(f"no network of {', '.join(families)} has an accuracy of this kind: ask for another --evaluation, or give --accuracy")
    return tuple(found.values())


def is_outside(name: str) -> bool:
    """Whether a name means a file or ``torch:`` rather than a network of the zoo."""
    return name.startswith("torch:") or names_network_file(name)


def concerning(name: str, names: Sequence[str], **options: Any) -> dict[str, Any]:
    """Those of the options `padding`, `inputs` and `dims` that concern a network of several: the zoo's, modules, and files with open sizes.

    Raises
    ------
    UsageError
        If an option concerns none of `names`: says what it is for.
    """
    for option, value in options.items():
        words, concerns = _CONCERNS[option]
        if value and not any(map(concerns, names)):
            raise UsageError(f"{words}, and none is among {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}")
    return {option: value for option, value in options.items() if value and _CONCERNS[option][1](name)}


#: Option -> what it is for, and whether a name is such a thing.
_CONCERNS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "padding": ("padding (--padding) is for networks of the zoo", lambda name: not is_outside(name)),
    "inputs": ("inputs (--input) are for torch:package.module:callable", lambda name: name.startswith("torch:")),
    "dims": ("dims (--dim) are for .onnx and .pt2 files that leave sizes open", lambda name: name.lower().endswith((".onnx", ".pt2"))),
}
#: Networks that an error names.
_NAMED = 3


def key_of(name: str) -> str:
    """What a network is known by: the zoo's shortest name for it, or the name of a file as it stands."""
    return name if is_outside(name) else canonical(name)


def _named(model: str, by_name: Mapping[str, Network], families: set[str]) -> list[Network]:
    if is_outside(model):
        return [by_name.get(model, Network(name=model, family=OWN))]
    if model in families and model not in architectures():
        members = [network for network in by_name.values() if network.family == model]
        if not members:
            raise UsageError(f"no network of the family {model!r} has an accuracy of this kind: name its networks themselves")
        return members
    try:
        name = canonical(model)
    except UnknownNameError:
        raise unknown("network or family", model, {*by_name, *architectures(), *families}, hint="`costmodel models` lists them all") from None
    return [by_name.get(name, Network(name=name, family=find(model).architecture.family))]
