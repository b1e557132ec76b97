"""Idioms of attention: what Swin and its kin add to scores, written as a look-up and as a sum with a constant.

Both are compared with the constants of the origin, number by number. Where the origin has shapes only (a module on the meta
device, a file read without its weights) the shapes decide, and what a graph costs is the same for all constants of a shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from costmodel.graph import Node, TensorRef
from costmodel.importers._view import MAX_ELEMENTS, Replacement, Step, View, rearrange
from costmodel.ops.arithmetic import Add
from costmodel.ops.attention import RelativePositionBias, ShiftedWindowMask
from costmodel.ops.layout import Permute, Reshape
from costmodel.ops.matmul import MatMul
from costmodel.ops.stored import Expand, ExpandBatch, Index, Parameter


def transposed_product(view: View, node: Node) -> Replacement | None:
    """A product with a tensor whose last two dimensions were swapped for it: the product that reads them swapped."""
    if not isinstance(node.operator, MatMul) or node.operator.transpose_b:
        return None
    first, second = node.arguments
    swap = view.maker(second)
    if swap is None or not isinstance(swap.operator, Permute) or not view.only_reader(second):
        return None
    rank = len(swap.operator.order)
    if swap.operator.order != (*range(rank - 2), rank - 1, rank - 2):
        return None
    return {swap.name: (), node.name: (Step(MatMul(transpose_b=True), (first, swap.arguments[0])),)}


def position_bias(view: View, node: Node) -> Replacement | None:
    """A learned table looked up at fixed places, reordered and added to scores. Source: Swin, arXiv 2103.14030, equation 4."""
    if not isinstance(node.operator, Add):
        return None
    for scores, bias in (node.arguments, node.arguments[::-1]):
        shape = view.graph.spec(scores).shape
        if len(shape) != 4 or node.outputs[0].shape != shape or math.prod(view.graph.spec(bias).shape) != math.prod(shape[1:]):
            continue
        found = _looked_up(view, bias, shape[1], shape[2])
        if found is None or _repeated_constant(view, scores):
            continue  # masks are no scores: `window_mask_in_bias` knows the two
        table, gone, window = found
        source = view.source(table)
        weights = {"weight": source} if source else None
        return dict.fromkeys(gone, ()) | {node.name: (Step(RelativePositionBias(window), (scores,), weights=weights),)}
    return None


def _looked_up(view: View, ref: TensorRef, heads: int, positions: int) -> tuple[Node, list[str], tuple[int, int]] | None:
    """The table whose rows the bias of `positions` by `positions` is, the nodes that belong to the look-up alone, and the window."""
    start, steps = view.rearranged(ref)
    index = view.maker(start)
    if index is None or not isinstance(index.operator, Index) or index.operator.axes != (0,) or not view.only_reader(start):
        return None
    table = view.maker(index.arguments[0])
    if table is None or not isinstance(table.operator, Parameter) or not view.only_reader(index.arguments[0]):
        return None
    rows, columns = (*table.outputs[0].shape, 0)[:2]
    if columns != heads or not MAX_ELEMENTS > index.outputs[0].numel == positions**2 * heads or not view.is_constant(index.arguments[1]):
        return None
    known = view.numbers(index.arguments[1])
    places = np.arange(positions**2).reshape(index.inputs[1].shape)  # the pair of positions that each look-up is for, if in order
    looked = np.broadcast_to(places[..., None] * heads + np.arange(heads), index.outputs[0].shape)
    added = rearrange(looked, steps).reshape(heads, positions**2)
    if not (added == np.arange(positions**2) * heads + np.arange(heads)[:, None]).all():
        return None
    for window in _windows(positions, rows):
        if known is None or (RelativePositionBias(window).offsets().reshape(-1) == known.reshape(-1)).all():
            return table, [table.name, index.name, *_between(view, ref, start)], window
    return None


def _windows(positions: int, rows: int) -> Iterator[tuple[int, int]]:
    """Windows of so many positions whose offsets make so many rows: (2h - 1)(2w - 1) of them."""
    for height in range(1, positions + 1):
        width, rest = divmod(positions, height)
        if not rest and (2 * height - 1) * (2 * width - 1) == rows:
            yield height, width


def _between(view: View, end: TensorRef, start: TensorRef) -> list[str]:
    """Names of the nodes of single inputs that lead from one tensor to another."""
    names = []
    while end != start:
        names.append(end.node)
        end = view.graph[end.node].arguments[0]
    return names


def window_mask(view: View, node: Node) -> Replacement | None:
    """Scores (N*windows, heads, L, L) seen as (N, windows, heads, L, L) plus a constant for each window, and back. Source: as `ShiftedWindowMask`."""
    chain = view.before(node, Add) if isinstance(node.operator, Reshape) else None
    if chain is None:
        return None
    (add,) = chain
    shape = node.outputs[0].shape
    for grouped, constant in (add.arguments, add.arguments[::-1]):
        maker = view.maker(grouped)
        if maker is None or not isinstance(maker.operator, Reshape) or maker.inputs[0].shape != shape or not view.only_reader(grouped):
            continue
        found = _mask(view, constant, maker.outputs[0].shape)
        if found is not None and len(shape) == 4 and add.outputs[0].shape == maker.outputs[0].shape:
            return {maker.name: (), add.name: (), node.name: (Step(found, (maker.arguments[0],)),)}
    return None


def window_mask_in_bias(view: View, node: Node) -> Replacement | None:
    """Scores (N*windows, heads, L, L) plus [a bias plus a constant for each window, repeated for heads and samples]: one after the other."""
    if not isinstance(node.operator, Add):
        return None
    shape = node.outputs[0].shape
    for scores, both in (node.arguments, node.arguments[::-1]):
        inner = view.maker(both)
        if len(shape) != 4 or view.graph.spec(scores).shape != shape or inner is None or not isinstance(inner.operator, Add) or not view.only_reader(both):
            continue
        for bias, masks in (inner.arguments, inner.arguments[::-1]):
            flat = view.maker(masks)
            if flat is None or not isinstance(flat.operator, Reshape) or math.prod(view.graph.spec(bias).shape) != math.prod(shape[1:]):
                continue
            if flat.outputs[0].shape != shape or len(flat.inputs[0].shape) != 5 or flat.inputs[0].shape[2] != shape[1]:
                continue
            found = _mask(view, _before_repeating(view, flat.arguments[0]), flat.inputs[0].shape)
            if found is not None:
                return {inner.name: (), node.name: (Step(Add(), (scores, bias), "bias"), Step(found, (0,)))}
    return None


def _before_repeating(view: View, ref: TensorRef) -> TensorRef:
    """The tensor of which `ref` repeats elements as a view."""
    while (maker := view.maker(ref)) is not None and isinstance(maker.operator, Expand | ExpandBatch):
        ref = maker.arguments[0]
    return ref


def _repeated_constant(view: View, ref: TensorRef) -> bool:
    """Whether a tensor is a constant seen in another shape after it was repeated."""
    maker = view.maker(ref)
    return maker is not None and isinstance(maker.operator, Reshape) and view.is_constant(_before_repeating(view, maker.arguments[0]))


def _mask(view: View, ref: TensorRef, grouped: Sequence[int]) -> ShiftedWindowMask | None:
    """The mask that a constant is for scores of shape (N, windows, heads, L, L); None if it is another or no constant."""
    shape = view.graph.spec(ref).shape
    if len(grouped) != 5 or len(shape) != 5 or shape[0] != 1 or shape[1] != grouped[1] or shape[3:] != tuple(grouped[3:]) or shape[3] != shape[4]:
        return None
    if not view.is_constant(ref):
        return None
    count, positions = shape[1], shape[3]
    known = view.numbers(ref)
    if known is None:
        down, height = math.isqrt(count), math.isqrt(positions)
        square = down**2 == count > 1 and height**2 == positions
        return ShiftedWindowMask((down, down), (height, height), (height // 2, height // 2)) if square and shape[2] == 1 else None
    values = known[0]
    if (values != values[:, :1]).any() or set(np.unique(values)) != {0, -100}:
        return None  # heads differ, or it is no such mask
    return next((mask for mask in _masks(count, positions) if (mask.mask() == values[:, 0]).all()), None)


def _masks(count: int, positions: int) -> Iterator[ShiftedWindowMask]:
    """Masks for so many windows of so many positions: squares and shifts by half a window first."""

    def sides(size: int) -> list[tuple[int, int]]:
        return sorted(((side, size // side) for side in range(1, size + 1) if size % side == 0), key=lambda pair: abs(pair[0] - pair[1]))

    for windows, window in product(sides(count), sides(positions)):
        shifts = product(range(window[0]), range(window[1]))
        for shift in sorted(shifts, key=lambda pair: sum(abs(2 * step + 1 - size) for step, size in zip(pair, window, strict=True))):
            if any(shift):
                yield ShiftedWindowMask(windows, window, shift)
