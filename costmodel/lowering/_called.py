"""What PyTorch's CPU library does before a product: windows of small images laid out as rows, biases copied to where results go."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from costmodel.graph import Node
from costmodel.lowering._rules import RuleSet
from costmodel.work import Work, WorkKind

#: Taps up to which a convolution of a small image is a plain product; larger windows go to oneDNN (`ConvParams::use_mkldnn`).
_PLAIN_TAPS = 9


class Before(NamedTuple):
    """A copy before an operator: the end of its name, the elements that it writes, and whether it reads the operator's first input and stands for it."""

    suffix: str
    elements: int
    replaces: bool


def as_called(node: Node, rules: RuleSet) -> tuple[Work, Before | None]:
    """The work of an operator as the runtime calls it, and the copy before it; None where there is none.

    A dense convolution of one image of at most `plain_elements` is a matrix product, from an image laid out as rows where windows have several taps.
    Where biases are copied, a product adds to rows that hold them.
    """
    work = node.work
    if work.kind in (WorkKind.CONVOLUTION, WorkKind.POINTWISE) and _is_small(node, rules.plain_elements):
        product = replace(work, kind=WorkKind.LINEAR, taps=1, stride=1, spatial=1)
        return product, Before("windows", work.m * work.k, replaces=True) if work.taps > 1 else None
    if work.kind is WorkKind.LINEAR and rules.biases == "copied" and work.parameters > work.n * work.k:
        return work, Before("bias", work.elements_written, replaces=False)
    return work, None


def _is_small(node: Node, limit: int) -> bool:
    image = node.inputs[0]
    return len(image.shape) == 4 and image.shape[0] == 1 and image.numel <= limit and node.work.taps <= _PLAIN_TAPS
