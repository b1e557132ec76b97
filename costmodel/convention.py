"""Counting conventions: what a tool or a paper would print for a network, and by which rule.

The same network has many "FLOPs": papers mostly print multiply-adds under that name, torch counts two for each, fvcore one
and adds normalisations. Naming the rule is the whole cure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from costmodel.errors import unknown
from costmodel.graph import Graph
from costmodel.zoo._printed import UNEXPLAINED, printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """A way of counting: the word that is printed, the rule behind it, and the count."""

    name: str
    word: str
    rule: str
    count: Callable[[Graph], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedFigure:
    """A figure that a source prints, beside the count: `difference` is count over print, less 1."""

    quantity: str
    printed: str
    counted: int
    difference: float
    explanation: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConventionTotal:
    """A network's total under a convention; under ``paper`` with what is printed for it."""

    convention: str
    word: str
    value: int
    rule: str
    printed: tuple[PrintedFigure, ...] = ()


def _fvcore(graph: Graph) -> int:
    return sum(node.operator.fvcore_flops(node.inputs, node.outputs) for node in graph.nodes)


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention(name="macs", word="MACs", rule="products added to an accumulator, in contractions only", count=lambda graph: graph.macs),
        Convention(
            name="paper",
            word="FLOPs",
            rule="what most vision papers print under this name (also FLOPS, Mult-Adds, MAdds): the MACs of contractions",
            count=lambda graph: graph.macs,
        ),
        Convention(
            name="torch",
            word="FLOPs",
            rule="torch.utils.flop_counter on meta tensors: two for each MAC of contractions, attention included, nothing else",
            count=lambda graph: 2 * graph.macs,
        ),
        Convention(
            name="fvcore",
            word="flops",
            rule="fvcore 0.1.5: one for each MAC, and normalisations, adaptive average pools and resizes by element; fused attention counts 0",
            count=_fvcore,
        ),
    )
}


def total(graph: Graph, convention: str) -> ConventionTotal:
    """The total of `graph` as `convention` counts it.

    Raises
    ------
    UnknownNameError
        If there is no such convention.

    Examples
    --------
    >>> from costmodel.zoo import build
    >>> graph = build("resnet-18")
    >>> [total(graph, name).value for name in ("macs", "torch", "fvcore")]
    [1814073344, 3628146688, 1819065856]
    """
    found = CONVENTIONS.get(convention)
    if found is None:
        raise unknown("convention", convention, CONVENTIONS)
    figures = _printed(graph) if found.name == "paper" else ()
    return ConventionTotal(convention=found.name, word=found.word, value=found.count(graph), rule=found.rule, printed=figures)


def _printed(graph: Graph) -> tuple[PrintedFigure, ...]:
    """What sources print for this network (one sample), and how the count relates to it."""
    figures = []
    for figure in printed(graph.name):
        counted = graph.parameters if figure.quantity == "parameters" else graph.macs // graph.batch
        agreement = "agrees within one in the last printed digit" if figure.agrees(counted) else UNEXPLAINED
        figures.append(
            PrintedFigure(
                quantity=figure.quantity,
                printed=figure.text,
                counted=counted,
                difference=counted / figure.value - 1,
                explanation=figure.note or agreement,
                source=figure.source,
            )
        )
    return tuple(figures)
