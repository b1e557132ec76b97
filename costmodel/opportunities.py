"""Opportunities: what would make a network faster on a target, and by how much. Each is a changed graph or a changed target,
really estimated anew; nothing is extrapolated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from costmodel import edits, estimation
from costmodel.devices import Basis, Target, resolve_target
from costmodel.errors import CostModelError
from costmodel.estimation import Estimate
from costmodel.graph import Graph
from costmodel.operator import Operator

#: What a change asks for: nothing but another way to run it; numbers of less precision; training anew.
Needs = Literal["same outputs", "other precision", "training"]

#: Savings below this share of the latency are not worth a line.
LEAST_SHARE = 0.005
#: Blocks of different shape that are tried one by one, those on the most elements first.
_MOST_TRIALS = 16
#: Images whose sides are multiples of this are halved five times without a remainder, as most networks do.
_STRIDE = 32
#: Matrix units and vector registers take channels in groups of this many.
_ALIGNED = 8

_NAMES = {"cpu": "CPU", "gpu": "GPU", "edgetpu": "Edge TPU", "tpu": "TPU"}

Change = Callable[[], Graph | Target]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opportunity:
    """One change with the latency that it gives: `estimate(graph, target, weights=...)` is how it was got.

    `saved_s` is positive. `basis` and `factor` are those of the changed estimate's interval; `macs` and `parameters` the
    changed network's. What a network that needs training would recognise is not known.
    """

    title: str
    detail: str
    needs: Needs
    latency_s: float
    saved_s: float
    basis: Basis
    factor: float
    macs: int
    parameters: int
    graph: Graph = field(repr=False)
    target: Target = field(repr=False)


def opportunities(report: Estimate) -> tuple[Opportunity, ...]:
    """Changes that save time, the most first; at most one of each sort, and only such as save half a percent or more."""
    return tuple(sorted(_found(report), key=lambda entry: -entry.saved_s))


def _found(report: Estimate) -> Iterator[Opportunity]:
    """The best of every sort of change."""
    for family in _FAMILIES:
        tried = [made for made in family(report) if made is not None]
        if tried:
            yield max(tried, key=lambda entry: entry.saved_s)


def _try(report: Estimate, change: Change, title: str, detail: str, needs: Needs) -> Opportunity | None:
    """The opportunity of a change, or None where it cannot be made or does not save."""
    try:
        made = change()
        graph, target = (made, report.target) if isinstance(made, Graph) else (report.graph, made)
        after = estimation.estimate(graph, target, weights=report.weights)
    except CostModelError:
        return None
    saved_s = report.latency_s - after.latency_s
    if saved_s < LEAST_SHARE * report.latency_s or len(after.unmodelled) > len(report.unmodelled):
        return None
    return Opportunity(
        title=title,
        detail=detail,
        needs=needs,
        latency_s=after.latency_s,
        saved_s=saved_s,
        basis=after.interval.basis,
        factor=after.interval.factor,
        macs=after.macs,
        parameters=after.parameters,
        graph=graph,
        target=target,
    )


def _resolved(target: Target, **changed: str | int) -> Target:
    """`target` with other options; what is not among them stays."""
    options: dict[str, str | None] = {"processor": target.processor, "runtime": target.runtime, "dtype": target.dtype, "layout": target.layout}
    cores = {} if "threads" in changed else {"cores": target.cores_text}
    return resolve_target(target.device, **{**options, **cores, **changed})  # type: ignore[arg-type]  # names and types are those of the options


def _dtypes(target: Target, runtime: str) -> tuple[str, ...]:
    stack = target.hardware.runtimes[runtime]
    return tuple(str(dtype) for dtype in (target.hardware.runtimes[stack.like] if stack.like else stack).dtypes)


def _precisions(report: Estimate) -> Iterator[Opportunity | None]:
    target = report.target
    for dtype in _dtypes(target, target.runtime):
        if dtype != target.dtype:
            yield _try(report, partial(_resolved, target, dtype=dtype), f"{dtype} instead of {target.dtype}", "the whole network", "other precision")


def _runtimes(report: Estimate) -> Iterator[Opportunity | None]:
    target = report.target
    for name in target.hardware.runtimes:
        if name != target.runtime and target.dtype in _dtypes(target, name):
            title = f"{name} instead of {target.runtime}"
            yield _try(report, partial(_resolved, target, runtime=name), title, "another runtime on the same processor", "same outputs")


def _layouts(report: Estimate) -> Iterator[Opportunity | None]:
    target = report.target
    for layout in target.hardware.runtimes[target.runtime].layouts:
        if layout != target.layout:
            change = partial(_resolved, target, layout=layout)
            yield _try(report, change, f"{layout} instead of {target.layout}", "images in memory", "same outputs")


def _threads(report: Estimate) -> Iterator[Opportunity | None]:
    target = report.target
    if not target.threads:
        return
    for threads in range(target.threads + 1, sum(cluster.cores for cluster in target.hardware.clusters) + 1):
        change = partial(_resolved, target, threads=threads)
        yield _try(report, change, f"{threads} threads instead of {target.threads}", "the fastest cores", "same outputs")


def _processors(report: Estimate) -> Iterator[Opportunity | None]:
    target = report.target
    for name, unit in target.device.profile.processors.items():
        if name != target.processor:
            needs: Needs = "same outputs" if unit.default_dtype == target.dtype else "other precision"
            detail = f"{unit.default_runtime}, {unit.default_dtype}"
            yield _try(
                report,
                partial(resolve_target, target.device, processor=name),
                f"{_NAMES.get(name, name)} instead of {_NAMES.get(target.processor, target.processor)}",
                detail,
                needs,
            )


def _hard(report: Estimate) -> Iterator[Opportunity | None]:
    """Nonlinearities by those closest to them that need no exponential, or one that vector units have."""
    for old, replacements in edits.NONLINEARITIES.items():
        if replacements[0] != edits.CHEAPEST:
            yield _swapped(report, old, replacements[0])


def _cheapest(report: Estimate) -> Iterator[Opportunity | None]:
    """Nonlinearities by the cheapest, which many runtimes compute inside the kernel before it."""
    for old, replacements in edits.NONLINEARITIES.items():
        if edits.CHEAPEST in replacements:
            yield _swapped(report, old, edits.CHEAPEST)


def _swapped(report: Estimate, old: type[Operator], new: Operator) -> Opportunity | None:
    count = sum(type(node.operator) is old for node in report.graph.nodes)
    if not count:
        return None
    title, detail = f"{_word(type(new))} instead of {_word(old)}", f"{count} nonlinearit{'y' if count == 1 else 'ies'}"
    return _try(report, partial(edits.replace_nonlinearity, report.graph, old, new), title, detail, "training")


def _word(operator: type[Operator]) -> str:
    return {"HardSwish": "hard-swish", "HardSigmoid": "hard-sigmoid", "TanhGELU": "GELU by tanh"}.get(operator.__name__, operator.__name__)


def _folded(report: Estimate) -> Iterator[Opportunity | None]:
    change = partial(edits.fold_batch_norms, report.graph)
    yield _try(report, change, "batch normalisations folded into convolutions", "before deployment", "same outputs")


def _aligned(report: Estimate) -> Iterator[Opportunity | None]:
    change = partial(edits.align_channels, report.graph, _ALIGNED)
    yield _try(report, change, f"channels rounded up to a multiple of {_ALIGNED}", "convolutions and linear layers", "training")


def _windows(report: Estimate) -> Iterator[Opportunity | None]:
    side = edits.largest_window(report.graph)
    if side > 3:
        title, change = f"3x3 instead of {side}x{side}", partial(edits.shrink_windows, report.graph, 3)
        yield _try(report, change, title, "all larger depthwise windows", "training")


def _resolution(report: Estimate) -> Iterator[Opportunity | None]:
    """The largest smaller image that the network halves without a remainder."""
    image = next((spec.shape for spec in report.graph.inputs.values() if len(spec.shape) == 4), None)
    if image is None:
        return
    smaller = [(side - 1) // _STRIDE * _STRIDE for side in image[2:]]
    if min(smaller) >= _STRIDE:
        before, after = ("x".join(map(str, dict.fromkeys(sides))) for sides in (image[2:], smaller))
        change = partial(edits.resize_input, report.graph, *smaller)
        yield _try(report, change, f"@{after} instead of @{before}", "the same weights on smaller images", "training")


def _squeezes(report: Estimate) -> Iterator[Opportunity | None]:
    """All channel attention taken out."""
    blocks = edits.squeeze_excites(report.graph)
    if blocks:
        yield _without(report, blocks, blocks)


def _first_squeezes(report: Estimate) -> Iterator[Opportunity | None]:
    """Channel attention taken out of the first stages, of as few as hold half of what taking out all of it saves."""
    blocks = edits.squeeze_excites(report.graph)
    sizes = list(dict.fromkeys(block.image.shape[2:] for block in blocks))
    everything = _without(report, blocks, blocks) if blocks else None
    for count in range(1, len(sizes)):
        made = _without(report, tuple(block for block in blocks if block.image.shape[2:] in sizes[:count]), blocks)
        if everything is not None and made is not None and made.saved_s >= everything.saved_s / 2:
            yield made
            return


def _without(report: Estimate, chosen: tuple[edits.SqueezeExcite, ...], blocks: tuple[edits.SqueezeExcite, ...]) -> Opportunity | None:
    where = _span([block.scale for block in chosen])
    title = f"no squeeze-and-excitation in {where}" if chosen != blocks else "no squeeze-and-excitation"
    detail = f"{len(chosen)} of {len(blocks)} blocks, {where}"
    return _try(report, partial(edits.remove_squeeze_excites, report.graph, chosen), title, detail, "training")


def _fused(report: Estimate) -> Iterator[Opportunity | None]:
    """Fused-MBConv in those blocks where it saves: each shape is tried alone, then all that saved together."""
    graph = report.graph
    blocks = edits.wide_blocks(graph)
    shapes: dict[tuple[object, ...], list[edits.WideBlock]] = {}
    for block in blocks:
        shapes.setdefault(block.signature, []).append(block)
    ranked = sorted(shapes.values(), key=lambda alike: -len(alike) * graph[alike[0].depthwise].inputs[0].numel)
    trials = ((alike[0].signature, _try(report, partial(edits.fuse_blocks, graph, alike), "", "", "training")) for alike in ranked[:_MOST_TRIALS])
    useful = {signature for signature, made in trials if made is not None}
    saving = [block for block in blocks if block.signature in useful]
    if saving:
        where = _span([block.expand for block in saving])
        detail = f"{len(saving)} block{'' if len(saving) == 1 else 's'}, {where}"
        yield _try(report, partial(edits.fuse_blocks, graph, saving), f"Fused-MBConv in {where}", detail, "training")


def _span(names: list[str]) -> str:
    """The modules of the first and the last name, as deep as they differ.

    Examples
    --------
    >>> _span(["stages.1.0.expand", "stages.3.1.expand"]), _span(["stages.1.0.expand"]), _span(["a.b", "a.b"])
    ('stages.1 to stages.3', 'stages.1', 'a')
    """
    paths = [name.split(".")[:-1] or [name] for name in (names[0], names[-1])]
    shared = 0
    while shared < min(map(len, paths)) and paths[0][shared] == paths[1][shared]:
        shared += 1
    first, last = (".".join(path[: shared + 1 if paths[0] != paths[1] else 2]) for path in paths)
    return first if first == last else f"{first} to {last}"


_FAMILIES: tuple[Callable[[Estimate], Iterator[Opportunity | None]], ...] = (
    *(_precisions, _runtimes, _layouts, _threads, _processors),
    *(_hard, _cheapest, _folded, _aligned, _windows, _resolution, _squeezes, _first_squeezes, _fused),
)
