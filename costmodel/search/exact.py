"""Exact search by dynamic programming, for quantities that are sums over blocks: the least, the k least, and the whole Pareto front.

A space's table is a layered graph: a node is (block, shape that comes in), an edge an option, its length what the option adds. The least path, and
by the same recursion the k least paths and all non-dominated ones, need each edge once (Bellman, "On a routing problem", 1958): what
is beaten on the way to a node stays beaten however the path goes on, since the rest adds the same to both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from costmodel.errors import BudgetExceededError, UsageError, whole
from costmodel.search._rows import Quantity, Step
from costmodel.search._table import LatencyTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from costmodel.search._space import Candidates

#: Labels times options that are compared at once.
_BLOCK = 1 << 21


class Objective(NamedTuple):
    """An additive objective: a quantity of the table, or `scores`, an array (options,) for each block; the larger the better under `maximise`."""

    quantity: Quantity | Sequence[ArrayLike]
    maximise: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Candidates (number, blocks) and their values (number, objectives), each in the objective's own sign."""

    candidates: Candidates
    values: NDArray[np.float64]


#: Which rows of values (number, objectives) go on.
_Keep = Callable[[Any], Any]
#: Labels (number, values) and what options add (options, costs) to the values of each pair (number, options, values).
_Combine = Callable[[Any, Any], Any]


class _Labels(NamedTuple):
    """Partial candidates at a node: values (number, objectives), the label before (row in the block's list) and the option taken."""

    values: NDArray[np.float64]
    before: NDArray[np.int64]
    option: NDArray[np.int64]


def least(table: LatencyTable, objective: Objective | Quantity = "latency_s") -> Found:
    """The candidate with the least value of an additive objective (the greatest, if it is to be maximised)."""
    return k_least(table, 1, objective)


def k_least(table: LatencyTable, k: int, objective: Objective | Quantity = "latency_s") -> Found:
    """The `k` candidates with the least values, in order; fewer if the space has no more.

    Raises
    ------
    UsageError
        If the quantity is not additive on the table's target, or scores have another shape than the blocks.
    """
    k = whole("k", k, 1, 10**6)

    def keep(values: NDArray[np.float64]) -> NDArray[np.int64]:
        column = values[:, 0]
        chosen = np.argpartition(column, k - 1)[:k] if len(column) > k else np.arange(len(column))
        return chosen[np.argsort(column[chosen], kind="stable")]

    return _search(table, [_as_objective(objective)], keep)


def fastest(table: LatencyTable) -> Found:
    """The candidate with the least latency, behind a queue of launches too.

    There a partial candidate is two times, when its last kernel was issued and when it ended, and neither being later makes nothing that follows later:
    those that another beats in both go no further.
    """
    if not table.combination.launch_s:
        return least(table, "latency_s")
    steps = table.rows
    costs = [np.stack([rows.costs[name] for name in ("launched_s", "busy_s", "makespan_s")], axis=-1) for rows in steps]

    def queued(before: NDArray[np.float64], added: NDArray[np.float64]) -> NDArray[np.float64]:
        issued, ended = before[:, 0, None], before[:, 1, None]
        return np.stack([issued + added[:, 0], np.maximum(ended + added[:, 1], issued + added[:, 2])], axis=-1)

    found = _along(costs, [rows.after for rows in steps], 2, queued, non_dominated)
    first = int(np.argmin(found.values[:, 1]))
    return Found(candidates=found.candidates[first : first + 1], values=found.values[first : first + 1, 1:] + table.terms_s)


def front(table: LatencyTable, objectives: Sequence[Objective | Quantity]) -> Found:
    """All non-dominated values of additive objectives with one candidate each, ordered by the first objective.

    A candidate dominates another if it is nowhere worse and somewhere better; of candidates with equal values one is returned.
    With maximised MACs, parameters or scores for accuracy this answers "the fastest network of at least this capacity" for all capacities.

    Raises
    ------
    UsageError
        As `k_least`; and if there is no objective.
    """
    chosen = [_as_objective(objective) for objective in objectives]
    if not chosen:
        raise UsageError("a front needs at least one objective, such as 'latency_s'")
    return _search(table, chosen, non_dominated)


def fastest_with(table: LatencyTable, at_least: Mapping[Quantity, float], objective: Objective | Quantity = "latency_s") -> Found:
    """The candidate with the least `objective` among those whose quantities reach `at_least`.

    Raises
    ------
    BudgetExceededError
        If no candidate does: says the most that can be reached.
    """
    names = list(at_least)
    found = front(table, [objective, *(Objective(name, maximise=True) for name in names)])
    bounds = np.array([at_least[name] for name in names])
    fits = np.flatnonzero((found.values[:, 1:] >= bounds).all(axis=1))
    if not len(fits):
        most = ", ".join(f"{name} {value:g}" for name, value in zip(names, found.values[:, 1:].max(axis=0), strict=True))
        raise BudgetExceededError(f"no candidate of {table.space.name} has {', '.join(f'{n} {v:g}' for n, v in at_least.items())}; the most of each is {most}")
    return Found(candidates=found.candidates[fits[:1]], values=found.values[fits[:1]])


def non_dominated(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of `values` (number, objectives) that no other dominates where less is better, one of equal ones, in lexicographic order.

    Examples
    --------
    >>> non_dominated(np.array([[2.0, 1.0], [1.0, 2.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
    [1, 0]
    """
    order = np.lexsort(values.T[::-1])
    ranked = values[order]
    if len(order) > 1:
        order = order[np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]]
        ranked = values[order]
    if values.shape[1] == 1:
        return order[:1]
    if values.shape[1] == 2:
        best = np.minimum.accumulate(ranked[:, 1])
        return order[np.r_[True, ranked[1:, 1] < best[:-1]]]
    kept: list[int] = []  # nothing later in this order dominates anything earlier
    front_values = np.empty_like(ranked)
    for row, value in enumerate(ranked):
        if not (front_values[: len(kept)] <= value).all(axis=1).any():
            front_values[len(kept)] = value
            kept.append(row)
    return order[kept]


def _as_objective(given: Objective | Quantity) -> Objective:
    return given if isinstance(given, Objective) else Objective(given)


def _steps(table: LatencyTable, objective: Objective) -> tuple[Step, ...]:
    """The tables of an objective, negated where it is maximised."""
    sign = -1.0 if objective.maximise else 1.0
    if isinstance(objective.quantity, str):
        quantity = cast("Quantity", objective.quantity)  # a string is no array of scores
        return tuple(Step(sign * step.costs, step.after) for step in table.steps(quantity))
    scores = [np.asarray(score, np.float64) for score in objective.quantity]
    blocks = table.space.blocks
    if len(scores) != len(blocks):
        raise UsageError(f"{table.space.name} has {len(blocks)} blocks, and there are scores for {len(scores)}")
    found = []
    for block, score, step in zip(blocks, scores, table.steps("macs"), strict=True):
        if score.shape != (len(block.options),) or not np.isfinite(score).all():
            raise UsageError(f"block {block.name!r} needs {len(block.options)} finite scores, not an array {score.shape}")
        found.append(Step(np.broadcast_to(sign * score, step.costs.shape), step.after))
    return tuple(found)


def _search(table: LatencyTable, objectives: list[Objective], keep: _Keep) -> Found:
    """Candidates whose added objectives `keep` lets through to the end."""
    chains = [_steps(table, objective) for objective in objectives]
    costs = [np.stack([step.costs for step in block], axis=-1) for block in zip(*chains, strict=True)]
    found = _along(costs, [step.after for step in chains[0]], len(objectives), lambda before, added: before[:, None, :] + added[None], keep)
    signs = np.array([-1.0 if objective.maximise else 1.0 for objective in objectives])
    return Found(candidates=found.candidates, values=found.values * signs)


def _along(costs: Sequence[NDArray[np.float64]], after: Sequence[NDArray[np.int64]], width: int, combine: _Combine, keep: _Keep) -> Found:
    """Labels of `width` values from block to block; `combine` adds a block's costs, `keep` says which of those that reach one node go on."""
    nodes = [_Labels(np.zeros((1, width)), np.zeros(1, np.int64), np.zeros(1, np.int64))]
    history: list[list[_Labels]] = []
    for block, following in zip(costs, after, strict=True):
        starts = np.cumsum([0, *(len(node.values) for node in nodes)])
        nodes = [_arriving(nodes, starts, block, following == shape, combine, keep) for shape in range(int(following.max()) + 1)]
        history.append(nodes)
    (end,) = nodes
    return Found(candidates=_traced(history, len(end.values)), values=end.values)


def _arriving(nodes: list[_Labels], starts: NDArray[np.int64], costs: NDArray[np.float64], leads: NDArray[np.bool_], combine: _Combine, keep: _Keep) -> _Labels:
    """The labels that reach a node from all nodes before it, by the options that `leads` (shapes in, options) marks."""
    size = nodes[0].values.shape[1]
    made = _Labels(np.empty((0, size)), np.empty(0, np.int64), np.empty(0, np.int64))
    for shape, node in enumerate(nodes):
        options = np.flatnonzero(leads[shape])
        if not len(options) or not len(node.values):
            continue
        options = options[keep(costs[shape, options])]  # an option beaten by another to the same node is never taken
        width = max(1, _BLOCK // len(options))
        for begin in range(0, len(node.values), width):
            part = node.values[begin : begin + width]
            values = combine(part, costs[shape, options]).reshape(-1, size)
            before = starts[shape] + begin + np.repeat(np.arange(len(part)), len(options))
            joined = [np.concatenate(pair) for pair in zip(made, (values, before, np.tile(options, len(part))), strict=True)]
            chosen = keep(joined[0])
            made = _Labels(*(array[chosen] for array in joined))
    return made


def _traced(history: list[list[_Labels]], number: int) -> Candidates:
    """The candidates that end in the last block's labels."""
    found = np.empty((number, len(history)), np.int64)
    at = np.arange(number)
    for block in reversed(range(len(history))):
        before = np.concatenate([node.before for node in history[block]])
        found[:, block] = np.concatenate([node.option for node in history[block]])[at]
        at = before[at]
    return found
