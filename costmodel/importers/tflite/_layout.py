"""Axis orders: graphs hold images as (N, C, H, W), TFLite as (N, H, W, C).

An *order* says how a file's tensor stands to the graph's: axis i of the file's is axis ``order[i]`` of the graph's. A
permutation in a graph is therefore no operator in the file, only another order; a TRANSPOSE is written where an operator
demands an order that the bytes do not have.
"""

from __future__ import annotations

import math

Order = tuple[int, ...]
Shape = tuple[int, ...]

#: (N, H, W, C) out of (N, C, H, W).
IMAGE: Order = (0, 2, 3, 1)


def natural(rank: int) -> Order:
    """The order in which both have the same axes."""
    return tuple(range(rank))


def stored_shape(shape: Shape, order: Order) -> Shape:
    """Shape of the file's tensor for a graph's shape.

    Examples
    --------
    >>> stored_shape((1, 3, 224, 320), IMAGE)
    (1, 224, 320, 3)
    """
    return tuple(shape[axis] for axis in order)


def position(order: Order, axis: int) -> int:
    """The file's axis that is `axis` of the graph; negative ones count from the end."""
    return order.index(axis % len(order))


def permuted(order: Order, permutation: Order) -> Order:
    """The order of the same bytes after a permutation of the graph's axes (output axis j is input axis permutation[j])."""
    return tuple(permutation.index(axis) for axis in order)


def same_bytes(shape: Shape, first: Order, second: Order) -> bool:
    """Whether two orders of one graph shape differ in axes of size 1 only.

    Examples
    --------
    >>> same_bytes((1, 8, 1, 1), IMAGE, natural(4))
    True
    """
    return [axis for axis in first if shape[axis] > 1] == [axis for axis in second if shape[axis] > 1]


def reshaped(shape: Shape, order: Order, new: Shape) -> Order | None:
    """The order of the same bytes once the graph's shape is `new`; None if no order of `new` describes them.

    Examples
    --------
    >>> reshaped((1, 64, 14, 14), IMAGE, (1, 64, 196))
    (0, 2, 1)
    >>> reshaped((2, 64, 7, 7), IMAGE, (2, 3136)) is None
    True
    """
    runs = blocks(shape, new)
    flow = [axis for axis in order if shape[axis] > 1]
    result: list[int] = []
    while flow:
        block = next(block for block in runs if flow[0] in block[0])
        size = len(block[0])
        if tuple(flow[:size]) != block[0]:
            return None
        result += block[1]
        del flow[:size]
    for axis, extent in enumerate(new):  # axes of size 1 stand after the axis before them, wherever that went
        if extent == 1:
            result.insert(result.index(axis - 1) + 1 if axis - 1 in result else 0, axis)
    return tuple(result)


def blocks(shape: Shape, new: Shape) -> list[tuple[Order, Order]]:
    """The shortest runs of axes (those of size 1 left out) of equal extent in both shapes."""
    left = [axis for axis, extent in enumerate(shape) if extent > 1]
    right = [axis for axis, extent in enumerate(new) if extent > 1]
    found = []
    while left or right:
        ours, theirs = [left.pop(0)], [right.pop(0)]
        while (a := math.prod(shape[axis] for axis in ours)) != (b := math.prod(new[axis] for axis in theirs)):
            if a < b:
                ours.append(left.pop(0))
            else:
                theirs.append(right.pop(0))
        found.append((tuple(ours), tuple(theirs)))
    return found
