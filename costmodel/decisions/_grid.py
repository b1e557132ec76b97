"""`Grid`: estimates of one network over batches, resolutions, widths, precisions and threads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from costmodel.decisions._network import is_outside
from costmodel.decisions._offer import Cost, cost_of
from costmodel.devices import Target
from costmodel.errors import CostModelError, UsageError
from costmodel.estimation import estimate
from costmodel.graph import Graph
from costmodel.tensor import PRECISIONS
from costmodel.zoo import find

AxisName = Literal["batch", "resolution", "width", "dtype", "threads"]
AXES: tuple[AxisName, ...] = ("batch", "resolution", "width", "dtype", "threads")
#: More cells than anyone reads or plots; a slip in a range makes more.
MAX_CELLS = 10_000
_IMAGE_DIMENSIONS = 4
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
#: What a list of values looks like, and a step of a range.
_EXAMPLES: dict[AxisName, tuple[str, str]] = {
    "batch": ("1,8,32 or 8:64:8", "1"),
    "resolution": ("128,160 or 128:480:32, or 288x512 (height x width)", "32"),
    "width": ("0.5,1 or 0.5:1.5:0.25", "0.25"),
    "threads": ("1,2,4 or 1:4:1", "1"),
}
_RESOLUTION = re.compile(r"([0-9]{1,6})x([0-9]{1,6})")

Resolution = tuple[int, int]
Value = int | float | str | Resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The values of each axis; an empty one stays at what the network, its file or the profile says."""

    batch: tuple[int, ...] = ()
    resolution: tuple[Resolution, ...] = ()
    width: tuple[float, ...] = ()
    dtype: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        cells = math.prod(len(getattr(self, name)) or 1 for name in AXES)
        if cells > MAX_CELLS:
            raise UsageError(f"this grid has {cells:,} cells, at most {MAX_CELLS:,} are estimated at once: give fewer values")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One point of the grid: its network's name, what was asked for, and the cost on `target`."""

    network: str
    batch: int
    resolution: Resolution | None
    width: float | None
    target: Target
    cost: Cost

    def value(self, axis: AxisName) -> Any:
        """Where the cell lies on an axis; None where its network or target has no such thing."""
        if axis == "dtype":
            return self.target.dtype
        return self.target.threads if axis == "threads" else getattr(self, axis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis along which the grid has more than one value."""

    name: AxisName
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The cells of a sweep in the order of `AXES`, the first axis slowest."""

    model: str
    cells: tuple[Cell, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes along which something changes."""
        values = ((name, tuple(dict.fromkeys(cell.value(name) for cell in self.cells))) for name in AXES)
        return tuple(Axis(name=name, values=found) for name, found in values if len(found) > 1)


def parse_axis(name: AxisName, text: str) -> tuple[Any, ...]:
    """The values that ``1,8,32`` or ``128:480:32`` (first, last, step) means for an axis, each once.

    Raises
    ------
    UsageError
        If the text means nothing, or nothing of that axis.

    Examples
    --------
    >>> parse_axis("batch", "1,8:32:8"), parse_axis("resolution", "192,288x512"), parse_axis("width", "0.5:1:0.25")
    ((1, 8, 16, 24, 32), ((192, 192), (288, 512)), (0.5, 0.75, 1.0))
    """
    found = [value for item in text.split(",") for value in _item(name, item.strip(), text)]
    if not found:
        raise UsageError(f"--{name} has no values: {text!r}")
    return tuple(dict.fromkeys(found))


def text_of(resolution: Resolution) -> str:
    """A resolution as the command line writes it: height x width, or the side of a square.

    Examples
    --------
    >>> text_of((224, 224)), text_of((288, 512))
    ('224', '288x512')
    """
    height, width = resolution
    return str(height) if height == width else f"{height}x{width}"


def _item(name: AxisName, item: str, text: str) -> list[Any]:
    if name == "dtype":
        if item not in PRECISIONS:
            raise UsageError(f"--dtype takes {', '.join(PRECISIONS)}, separated by commas, not {item!r}")
        return [item]
    oblong = _RESOLUTION.fullmatch(item) if name == "resolution" else None
    if oblong:
        return [(int(oblong[1]), int(oblong[2]))]
    parts = item.split(":")
    whole = name != "width"
    example, step_of_example = _EXAMPLES[name]
    numbers = all(_NUMBER.fullmatch(part) and not (whole and "." in part) for part in parts)
    if numbers and len(parts) == 2:
        raise UsageError(f"--{name}: {item} lacks the step: a range is first:last:step, such as {item}:{step_of_example}")
    if not numbers or len(parts) > 3:
        given = repr(item) if item == text.strip() else f"{item!r} in {text!r}"
        raise UsageError(f"--{name} must look like {example}, where ranges are first:last:step and numbers have up to 9 digits; not {given}")
    start, stop, step = map(float, parts * 3 if len(parts) == 1 else parts)
    values = [int(number) if whole else number for number in _between(f"--{name}: {item}", start, stop, step)]
    return [(value, value) for value in values] if name == "resolution" else values


def _between(place: str, start: float, stop: float, step: float) -> list[float]:
    """From `start` to `stop`, both included where the step reaches it."""
    if start == stop:
        return [start]
    if stop < start:
        raise UsageError(f"{place} (first:last:step) has no values: its last is below its first; ranges go upwards")
    if step <= 0:
        raise UsageError(f"{place} (first:last:step) never reaches its last: give it a step above 0")
    number = math.floor((stop - start) / step + 1e-9) + 1
    if number > MAX_CELLS:
        raise UsageError(f"{place} (first:last:step) has {number:,} values, at most {MAX_CELLS:,} are estimated at once: give a larger step")
    return [round(start + k * step, 9) for k in range(number)]


def grid(model: str | Graph, wanted: Wanted, targets: Sequence[Target], build: Callable[[str], Graph]) -> Grid:
    """Estimates at every combination of the wanted values.

    Parameters
    ----------
    model : a name, whose graph `build` makes, or a graph. Width needs a network of the zoo; the resolution of any other is
        that of its one image.
    targets : one for each precision and number of threads.

    Raises
    ------
    UsageError
        If the network has no such axis, or cannot take a value of it: names the value.
    """
    variants = [(width, resolution) for width in wanted.width or (None,) for resolution in wanted.resolution or (None,)]
    _check_name(model, wanted)
    priced: dict[tuple[int, float | None, Resolution | None, int], Cell] = {}
    for width, resolution in variants:
        graph = _variant(model, width, resolution, build)
        for batch in wanted.batch or (graph.batch,):
            place = _place(width, resolution, batch)
            try:
                sized = graph.with_batch(batch)
                for number, target in enumerate(targets):
                    cost = cost_of(estimate(sized, target))
                    cell = Cell(network=graph.name, batch=batch, resolution=resolution or _resolution(graph), width=width, target=target, cost=cost)
                    priced[batch, width, resolution, number] = cell
            except CostModelError as error:
                raise UsageError(f"{place}: {error}") from None
    batches = wanted.batch or tuple(dict.fromkeys(key[0] for key in priced))
    order = product(batches, wanted.resolution or (None,), wanted.width or (None,), range(len(targets)))
    return Grid(
        model=model if isinstance(model, str) else model.name,
        cells=tuple(priced[batch, width, resolution, number] for batch, resolution, width, number in order),
    )


def _check_name(model: str | Graph, wanted: Wanted) -> None:
    if isinstance(model, Graph) or is_outside(model):
        if wanted.width:
            raise UsageError("--width is for networks of the zoo: a graph or a file has the width that it has")
        return
    request = find(model)
    if wanted.resolution and request.resolution is not None:
        raise UsageError(f"{model!r} says its resolution already: give it after @ or with --resolution, not both")
    if wanted.width and request.width != 1.0:
        raise UsageError(f"{model!r} says its width already: give it in the name or with --width, not both")


def _variant(model: str | Graph, width: float | None, resolution: Resolution | None, build: Callable[[str], Graph]) -> Graph:
    """The network at a width and a resolution; the errors of a cell name it."""
    try:
        if isinstance(model, str) and not is_outside(model):
            base, _, at = model.partition("@")
            sides = at if resolution is None else text_of(resolution)
            return build(base + (f"-{width:g}" if width is not None and width != 1 else "") + (f"@{sides}" if sides else ""))
        graph = build(model) if isinstance(model, str) else model
        return graph if resolution is None else _resized(graph, resolution)
    except CostModelError as error:
        raise UsageError(f"{_place(width, resolution, None)}: {error}") from None if width or resolution else error


def _resized(graph: Graph, resolution: Resolution) -> Graph:
    images = {name: spec for name, spec in graph.inputs.items() if len(spec.shape) == _IMAGE_DIMENSIONS}
    if len(images) != 1:
        raise UsageError(f"{graph.name} has {len(images)} inputs that are images (N, C, H, W); --resolution needs exactly one")
    (name, spec), *_ = images.items()
    resized = graph.with_inputs({name: spec.with_shape(*spec.shape[:2], *resolution)})
    return replace(resized, name=f"{graph.name}@{text_of(resolution)}")


def _resolution(graph: Graph) -> Resolution | None:
    shapes = [spec.shape for spec in graph.inputs.values() if len(spec.shape) == _IMAGE_DIMENSIONS]
    return (shapes[0][2], shapes[0][3]) if len(shapes) == 1 else None


def _place(width: float | None, resolution: Resolution | None, batch: int | None) -> str:
    parts = (
        width is not None and f"width {width:g}",
        resolution is not None and f"resolution {text_of(resolution)}",
        batch is not None and f"batch {batch}",
    )
    return "at " + ", ".join(part for part in parts if part)
