"""Idioms of normalisations that are written in elementary calls."""

from __future__ import annotations

import math

from costmodel.graph import Node, TensorRef
from costmodel.importers._view import Replacement, Step, View
from costmodel.operator import Operator
from costmodel.ops.elementwise import Divide, Multiply, Scale
from costmodel.ops.functions import Offset, Pairwise
from costmodel.ops.layout import Identity, Reshape
from costmodel.ops.normalisation import LocalResponseNorm
from costmodel.ops.padding import PadAxes
from costmodel.ops.pooling import AvgPool2d


def response_norm(view: View, node: Node) -> Replacement | None:
    """X over a power of its squares' mean over neighbouring channels, as torch writes local response normalisation. x: (N, C, ...)."""
    if not isinstance(node.operator, Divide):
        return None
    x, divisor = node.arguments
    chain = _chain(view, divisor, Pairwise, Offset, Scale, AvgPool2d, PadAxes, Multiply)
    if chain is None:
        return None
    operators = [link.operator for link in chain]
    power, offset, scale, pool, pad, _ = operators
    assert isinstance(power, Pairwise)
    assert isinstance(offset, Offset)
    assert isinstance(scale, Scale)
    assert isinstance(pool, AvgPool2d)
    assert isinstance(pad, PadAxes)
    size = pool.kernel_size[0]
    shape = node.outputs[0].shape
    padded = chain[4].outputs[0].shape
    around = ((0, 0), (0, 0), (size // 2, (size - 1) // 2), *((0, 0),) * (len(padded) - 3))
    fits = (
        chain[5].arguments == (x, x)
        and pad == PadAxes(around)
        and chain[4].inputs[0].shape[:3] == (shape[0], 1, shape[1])
        and chain[3].inputs[0].shape == (*padded[:3], math.prod(padded[3:]))
        and (pool.kernel_size, pool.stride) == ((size, 1), (1, 1))
        and not pool.padding_of(*chain[3].inputs).any
        and power.function == "pow"
        and power.other is not None
        and not offset.negate
    )
    if not fits or power.other is None:
        return None
    return {node.name: (Step(LocalResponseNorm(size, scale.factor, power.other, offset.amount), (x,)),)}


def _chain(view: View, ref: TensorRef, *kinds: type[Operator]) -> list[Node] | None:
    """Nodes of these classes that lead to a tensor, last first, with nothing but reshapes between them; each is read once, or None."""
    found: list[Node] = []
    for kind in kinds:
        while (maker := view.maker(ref)) is not None and isinstance(maker.operator, Reshape | Identity) and view.only_reader(ref):
            ref = maker.arguments[0]
        if maker is None or not isinstance(maker.operator, kind) or not view.only_reader(ref):
            return None
        found.append(maker)
        ref = maker.arguments[0]
    return found
