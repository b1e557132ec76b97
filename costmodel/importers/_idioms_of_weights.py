"""Idioms of weights that are computed from learned tensors before they are used."""

from __future__ import annotations

import math

from costmodel.graph import Node, TensorRef
from costmodel.importers._view import Replacement, Step, View
from costmodel.ops.arithmetic import Multiply, Scale
from costmodel.ops.convolution import OperandConv2d, StandardisedConv2d, pair
from costmodel.ops.layout import Reshape
from costmodel.ops.normalisation import GroupNorm
from costmodel.ops.stored import Parameter


def standardised_convolution(view: View, node: Node) -> Replacement | None:
    """A convolution by filters normalised each for itself and multiplied by a learned gain, times a number. Source: arXiv 2101.08692."""
    operator = node.operator
    if not isinstance(operator, OperandConv2d):
        return None
    x, filters, *rest = node.arguments
    out, *fan_in = node.inputs[1].shape
    bias = _learned(view, rest[0]) if rest else None
    *path, product = _chain(view, filters)
    if product is None or not isinstance(product.operator, Multiply) or (rest and bias is None):
        return None
    for normalised, scaled in (product.arguments, product.arguments[::-1]):
        found, factor = _standardised(view, normalised, out), _gain(view, scaled, out)
        if found is None or factor is None or found[0].inputs[0].numel != out * math.prod(fan_in):
            continue
        (norm, weight, between), (gain, number, gains) = found, factor
        assert isinstance(norm.operator, GroupNorm)
        gamma = number * math.sqrt(math.prod(fan_in))
        made = StandardisedConv2d(
            out_channels=out,
            groups=operator.groups,
            kernel_size=pair(node.inputs[1].shape[2:]),
            stride=operator.stride,
            padding=operator.padding,
            dilation=operator.dilation,
            bias=bool(rest),
            epsilon=norm.operator.epsilon,
            gamma=1.0 if math.isclose(gamma, 1.0, rel_tol=1e-6) else gamma,
        )
        owners = {"weight": weight, "gain": gain} | ({"bias": bias} if bias else {})
        weights = {name: source for name, owner in owners.items() if (source := view.source(owner))}
        if weight.outputs[0].shape != node.inputs[1].shape or len(weights) != len(owners):
            continue
        gone = [other.name for other in (product, norm, *path, *between, *gains, *owners.values()) if other is not None]
        return dict.fromkeys(gone, ()) | {node.name: (Step(made, (x,), weights=weights),)}
    return None


def _chain(view: View, ref: TensorRef) -> list[Node | None]:
    """The reshapes that lead to a tensor, last first, and then the node before them; each is read once, or the end is None."""
    found: list[Node | None] = []
    while view.only_reader(ref) and (maker := view.maker(ref)) is not None:
        found.append(maker)
        if not isinstance(maker.operator, Reshape):
            return found
        ref = maker.arguments[0]
    return [*found, None]


def _learned(view: View, ref: TensorRef) -> Node | None:
    """The learned tensor that this is and that nobody else reads."""
    maker = view.maker(ref)
    return maker if maker is not None and isinstance(maker.operator, Parameter) and view.only_reader(ref) and not maker.shares else None


def _standardised(view: View, ref: TensorRef, channels: int) -> tuple[Node, Node, list[Node | None]] | None:
    """(normalisation, learned filters, reshapes between) of filters seen as (1, `channels`, rest) and normalised each for itself."""
    *_, norm = path = _chain(view, ref)
    if norm is None or not isinstance(norm.operator, GroupNorm) or norm.operator.affine or norm.operator.groups != channels:
        return None
    if norm.inputs[0].shape[:2] != (1, channels):
        return None
    *between, weight = _chain(view, norm.arguments[0])
    return (norm, weight, [*path[:-1], *between]) if weight is not None and isinstance(weight.operator, Parameter) and not weight.shares else None


def _gain(view: View, ref: TensorRef, channels: int) -> tuple[Node, float, list[Node | None]] | None:
    """(learned gain, the number it is multiplied by, nodes between) of a factor for each of `channels` filters."""
    path = _chain(view, ref)
    number = 1.0
    if path[-1] is not None and isinstance(path[-1].operator, Scale):
        number = path[-1].operator.factor
        path += _chain(view, path[-1].arguments[0])
    gain = path.pop()
    if gain is None or not isinstance(gain.operator, Parameter) or gain.outputs[0].numel != channels or gain.shares:
        return None
    return gain, number, path
