"""Reading operators that join, cut, pad and reorder."""

from __future__ import annotations

from typing import Any

from costmodel.importers.tflite._layout import IMAGE, Order, natural
from costmodel.importers.tflite._reader import Known, Reader
from costmodel.importers.tflite._schema import FileOperator
from costmodel.operator import Operator
from costmodel.ops.layout import Concat, Permute, Reshape, Slice, Split
from costmodel.ops.padding import Pad, PadAxes, PadChannels
from costmodel.ops.stored import ExpandBatch


def concatenation(reader: Reader, operator: FileOperator) -> None:
    """CONCATENATION."""
    places = range(len(operator.inputs))
    order = next((reader.get(operator, place).order for place in places if not reader.is_constant(operator, place)), None)
    if order is None:
        raise reader.form("joins constants only")
    rank = len(order)
    axis = int(operator.options.get("axis", 0))
    if not -rank <= axis < rank:
        raise reader.fault(f"joins along axis {axis} of {rank}")
    values = {place: _in(reader, operator, place, order) for place in places if not reader.is_constant(operator, place)}
    like = next(iter(values.values()))
    for place in places:
        if place not in values:
            value = reader.parameter(reader.operand(operator, place), order).value
            follows = value.spec.shape and value.spec.shape[0] == 1 and order[axis % rank] != 0  # a class token joins every sample
            values[place] = reader.add(ExpandBatch(), value, like, suffix=f"/{place}") if follows else value
    reader.give(operator, reader.add(Concat(order[axis % rank]), *(values[place] for place in places)), order)


def _in(reader: Reader, operator: FileOperator, place: int, order: Order) -> Any:
    known = reader.get(operator, place)
    if len(known.order) != len(order):
        raise reader.fault(f"has operands of {len(order)} and {len(known.order)} dimensions")
    return reader.arranged(known, order)


def split(reader: Reader, operator: FileOperator) -> None:
    """SPLIT and SPLIT_V; the sizes are those of the results."""
    even = operator.builtin == "SPLIT"
    known = reader.get(operator, 1 if even else 0)
    (axis,) = reader.integers(operator, 0 if even else 2) or (0,)
    rank = len(known.order)
    if not -rank <= axis < rank:
        raise reader.fault(f"cuts along axis {axis} of {rank}")
    sizes = tuple(reader.output(operator, number).shape[axis] for number in range(len(operator.outputs)))
    values = reader.builder.add_all(Split(sizes, known.order[axis]), known.value, name=reader.name)
    for number, value in enumerate(values):
        reader.give(operator, value, known.order, number)


def strided_slice(reader: Reader, operator: FileOperator) -> None:
    """STRIDED_SLICE, one axis after the other."""
    known = reader.get(operator, 0)
    begin, end, step = (reader.integers(operator, place) for place in (1, 2, 3))
    masks = {name: int(operator.options.get(f"{name}_mask", 0)) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    if masks["ellipsis"] or masks["new_axis"] or not len(begin) == len(end) == len(step) <= len(known.order):
        raise reader.form("has an ellipsis, a new axis, or bounds of different lengths")
    bounds = []
    for axis, (start, stop, stride) in enumerate(zip(begin, end, step, strict=True)):
        size = known.value.spec.shape[known.order[axis]]
        dropped = bool(masks["shrink_axis"] >> axis & 1)
        first = None if masks["begin"] >> axis & 1 else start
        last = (first or 0) + 1 or None if dropped else None if masks["end"] >> axis & 1 else stop
        if stride < 1:
            raise reader.form(f"has the step {stride}")
        bounds.append((*slice(first, last, stride).indices(size), dropped))
    _cut(reader, operator, known, bounds)


def plain_slice(reader: Reader, operator: FileOperator) -> None:
    """SLICE: a beginning and a size for each axis, -1 for all that is left."""
    known = reader.get(operator, 0)
    begin, extent = reader.integers(operator, 1), reader.integers(operator, 2)
    if not len(begin) == len(extent) == len(known.order):
        raise reader.fault(f"has bounds for {len(begin)} and {len(extent)} of {len(known.order)} axes")
    sizes = [known.value.spec.shape[axis] for axis in known.order]
    _cut(reader, operator, known, [(start, size if count == -1 else start + count, 1, False) for start, count, size in zip(begin, extent, sizes, strict=True)])


def _cut(reader: Reader, operator: FileOperator, known: Known, bounds: list[tuple[int, int, int, bool]]) -> None:
    """(start, stop, step, dropped) for each axis of the file; axes that stay whole are passed over."""
    value, order = known.value, known.order
    for axis in sorted(range(len(bounds)), key=lambda axis: -known.order[axis]):
        start, stop, step, dropped = bounds[axis]
        place = known.order[axis]
        if (start, stop, step, dropped) == (0, known.value.spec.shape[place], 1, False):
            continue
        if place == 0:
            if dropped and known.value.spec.shape[0] == 1 and len(value.spec.shape) > 1:
                raise reader.form("drops the batch")
            raise reader.form("cuts the batch, which a graph keeps whole")
        value = reader.add(Slice(place, start, stop, step, dropped), value)
        if dropped:
            order = tuple(other - (other > place) for other in order if other != place)
    if value is known.value:
        reader.known[operator.outputs[0]] = Known(value, order, operator.outputs[0])
        return
    reader.give(operator, value, order)


def pad(reader: Reader, operator: FileOperator) -> None:
    """PAD, PADV2 and MIRROR_PAD, around an image, after its channels, or anywhere."""
    known = reader.get(operator, 0)
    amounts = reader.integers(operator, 1)
    rank = len(known.order)
    if len(amounts) != 2 * rank or min(amounts) < 0:
        raise reader.fault(f"pads by {amounts}: two amounts of at least 0 for each of {rank} axes are needed")
    sides = tuple((amounts[2 * place], amounts[2 * place + 1]) for place in (known.order.index(axis) for axis in range(rank)))
    padded = {axis for axis, pair in enumerate(sides) if any(pair)}
    value = reader.real(reader.tensor(operator, 2)) if reader.has(operator, 2) else 0.0
    if operator.builtin == "MIRROR_PAD":
        made: Operator = PadAxes(sides, "reflect")
    elif rank == 4 and padded <= {2, 3}:
        made = Pad((*sides[2], *sides[3]), 0.0 if value is None else value)
    elif padded == {1} and sides[1][0] == 0 and not value:
        made = PadChannels(sides[1][1])
    else:
        made = PadAxes(sides, "constant", 0.0 if value is None else value)
    reader.give(operator, reader.add(made, known.value), known.order)


def reshape(reader: Reader, operator: FileOperator) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the result's shape says it all."""
    stored = reader.output(operator).shape
    found = reader.reshape(reader.get(operator, 0), stored, image=operator.outputs[0] in reader.images)
    reader.give(operator, found.value, found.order)


def transpose(reader: Reader, operator: FileOperator) -> None:
    """TRANSPOSE: a permutation of the graph that keeps images images and channels among channels where it can."""
    known = reader.get(operator, 0)
    permutation = reader.integers(operator, 1)
    rank = len(known.order)
    if sorted(permutation) != list(range(rank)):
        raise reader.fault(f"has the permutation {permutation} of {rank} axes")
    moved = sorted(known.order[axis] for axis in range(rank) if permutation[axis] != axis)
    together = moved == list(range(moved[0], moved[0] + len(moved))) if moved else True
    order = natural(rank)
    if operator.outputs[0] in reader.images:
        order = IMAGE
    elif together and known.order != order and 0 not in moved:
        order = known.order
    turn = [0] * rank
    for axis in range(rank):
        turn[order[axis]] = known.order[permutation[axis]]
    reader.give(operator, reader.add(Permute(tuple(turn)), known.value), order)


def pack(reader: Reader, operator: FileOperator) -> None:
    """PACK: operands side by side on a new axis."""
    stored = reader.output(operator).shape
    axis = int(operator.options.get("axis", 0)) % max(1, len(stored))
    if axis == 0:
        raise reader.form("packs along the batch")
    values = []
    for place in range(len(operator.inputs)):
        value = reader.arranged(reader.get(operator, place))
        shape = value.spec.shape
        values.append(reader.add(Reshape((*shape[1:axis], 1, *shape[axis:])), value, suffix=f"/{place}"))
    reader.give(operator, reader.add(Concat(axis), *values), natural(len(stored)))


def unpack(reader: Reader, operator: FileOperator) -> None:
    """UNPACK: pieces of length 1 without their axis."""
    known = reader.get(operator, 0)
    axis = int(operator.options.get("axis", 0)) % len(known.order)
    value = reader.arranged(known)
    count = value.spec.shape[axis]
    if axis == 0 or count != len(operator.outputs):
        raise reader.fault(f"takes axis {axis} of {value.spec} apart into {len(operator.outputs)}")
    pieces = reader.builder.add_all(Split((1,) * count, axis), value, name=reader.name)
    for number, piece in enumerate(pieces):
        shape = piece.spec.shape
        reader.give(operator, reader.add(Reshape((*shape[1:axis], *shape[axis + 1 :])), piece, suffix=f"/{number}"), natural(len(shape) - 1), number)
