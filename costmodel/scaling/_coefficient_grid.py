"""Step 1 of compound scaling: which alpha, beta and gamma double the work at phi 1, and what the networks built with them really cost.

The paper (arXiv 1905.11946, section 3.3) constrains ``alpha * beta**2 * gamma**2`` to about 2 and trains what is feasible. Here
each feasible triple is built and counted: repeats are rounded up and channels to multiples of 8, so the counts lie beside the power
law. With a target the constraint is the device's: the latency at phi 1 is about twice the base's, or just within a budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from costmodel.devices import Target
from costmodel.errors import BudgetExceededError, UsageError
from costmodel.quantity import duration
from costmodel.scaling._coefficients import UNRESTRICTED, Coefficients, Restrictions, scale_at
from costmodel.scaling._network import Base, Prices, Scale, Scaled

#: Values of each coefficient: 1 to 1.5 in steps of 0.05.
VALUES = tuple(round(1 + 0.05 * step, 2) for step in range(11))
DOUBLE = 2.0
#: How far from 2 the constraint may be; the paper's own triple is at 1.920.
TOLERANCE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Feasible:
    """A triple within the constraint, the network at phi 1, and what it costs relative to the base."""

    coefficients: Coefficients
    network: Scaled
    macs_ratio: float
    parameters_ratio: float
    latency_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientGrid:
    """The feasible triples in ascending order; `considered` is how many were tried."""

    base: str
    constraint: Literal["product", "latency", "budget"]
    tolerance: float
    considered: int
    feasible: tuple[Feasible, ...]
    budget_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The grid as plain values."""
        return {
            "base": self.base,
            "constraint": self.constraint,
            "tolerance": self.tolerance,
            "budget_s": self.budget_s,
            "considered": self.considered,
            "feasible": [
                {
                    **row.coefficients._asdict(),
                    "product": row.coefficients.product,
                    **row.network.to_dict(),
                    "macs_ratio": row.macs_ratio,
                    "parameters_ratio": row.parameters_ratio,
                    "latency_ratio": row.latency_ratio,
                }
                for row in self.feasible
            ],
        }


def coefficient_grid(
    base: Base,
    *,
    values: Sequence[float] = VALUES,
    tolerance: float = TOLERANCE,
    restrictions: Restrictions = UNRESTRICTED,
    target: Target | None = None,
    budget_s: float | None = None,
) -> CoefficientGrid:
    """Every triple of `values` within the constraint, counted on the built networks.

    Without a target, ``|product - 2| <= tolerance``. With one, the same of the ratio of latencies; with a budget, the latency is
    within it, by at most half of `tolerance` of it.

    Raises
    ------
    BudgetExceededError
        If no triple meets the budget so; names the nearest.

    Examples
    --------
    >>> from costmodel.scaling import base_of
    >>> grid = coefficient_grid(base_of("efficientnet-b0"), values=(1.1, 1.15, 1.2))
    >>> len(grid.feasible), (1.2, 1.1, 1.15) in [row.coefficients for row in grid.feasible]
    (13, True)
    """
    if not 0 < tolerance < 1:
        raise UsageError(f"the tolerance must lie between 0 and 1, not {tolerance:g}")
    if budget_s is not None and not (math.isfinite(budget_s) and budget_s > 0 and target is not None):
        raise UsageError("a budget (--budget-ms) must be a positive time, on a device")
    triples = [Coefficients(*triple) for triple in product(values, repeat=3)]
    own = base.network(base.unscaled, target)
    wanted = triples if target is not None else [triple for triple in triples if abs(triple.product - DOUBLE) <= tolerance]
    networks = _networks(base, wanted, restrictions, target)
    rows = [
        Feasible(
            coefficients=triple,
            network=network,
            macs_ratio=network.macs / own.macs,
            parameters_ratio=network.parameters / own.parameters,
            latency_ratio=None if target is None else network.latency_s / own.latency_s,
        )
        for triple, network in networks.items()
    ]
    if target is not None:
        low, high = (DOUBLE - tolerance, DOUBLE + tolerance)
        if budget_s is not None:
            low, high = (budget_s * (1 - tolerance / 2) / own.latency_s, budget_s / own.latency_s)
        met = [row for row in rows if row.latency_ratio is not None and low <= row.latency_ratio <= high]
        if not met and budget_s is not None:
            raise _nothing_meets(base, networks, budget_s, target)
        rows = met
    return CoefficientGrid(
        base=base.name,
        constraint="product" if target is None else "latency" if budget_s is None else "budget",
        tolerance=tolerance,
        considered=len(triples),
        feasible=tuple(rows),
        budget_s=budget_s,
    )


def _networks(base: Base, triples: Sequence[Coefficients], restrictions: Restrictions, target: Target | None) -> dict[Coefficients, Scaled]:
    """The network of each triple at phi 1; what rounds to the same multipliers is built once."""
    built: dict[Scale, Scaled | None] = {}
    prices = None if target is None else Prices(target)
    found = {}
    for triple in triples:
        scale = scale_at(base, 1.0, triple, restrictions)
        if scale not in built:
            network = next(base.networks([scale]), None)
            built[scale] = network if network is None or prices is None else prices.of(network)
        network = built[scale]
        if network is not None:
            found[triple] = network
    return found


def _nothing_meets(base: Base, networks: dict[Coefficients, Scaled], budget_s: float, target: Target) -> BudgetExceededError:
    nearest = min(networks.values(), key=lambda network: abs(network.latency_s - budget_s))
    return BudgetExceededError(
        f"no coefficients bring {base.name} just within {duration(budget_s)} at phi 1 on {target.device.name} {target.processor}: the nearest is "
        f"{nearest.name} with {duration(nearest.latency_s)}; state another budget, or look for the largest network within it (--show largest)"
    )
