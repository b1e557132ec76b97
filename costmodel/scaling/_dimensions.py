"""One dimension alone against all three: the comparison of the paper's Tables 3 and 7 (EfficientNet, arXiv 1905.11946).

Without a budget every row has the multipliers that the power law says multiply the work by 2 to the phi; at phi 2 that is the
paper's: depth 4, width 2, resolution 2, or 1.4, 1.2 and 1.3 together. With a device's budget each row is the largest network
that this direction reaches within it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from costmodel.devices import Target
from costmodel.errors import BudgetExceededError, UsageError
from costmodel.quantity import duration, duration_enough
from costmodel.scaling._coefficients import PAPER, UNRESTRICTED, Coefficients, Restrictions, checked, require_near, scale_at
from costmodel.scaling._largest import GRID, PHI_RANGE, PHI_STEP
from costmodel.scaling._network import Base, Scale, Scaled, climb
from costmodel.zoo import MAX_MULTIPLIER, MIN_MULTIPLIER

Direction = Literal["depth", "width", "resolution", "compound"]
DIRECTIONS: tuple[Direction, ...] = ("depth", "width", "resolution", "compound")
#: Twice doubled: the tables' factor.
PHI = 2.0
#: Images are tried up to this many times the base's side.
_LARGEST_IMAGE = 10


class Printed(NamedTuple):
    """What the paper prints of such a row: MACs (called FLOPS there), ImageNet top-1 in percent, and where."""

    macs: float
    top1: float
    source: str


_TABLE_3, _TABLE_7 = "arXiv:1905.11946 Table 3", "arXiv:1905.11946 Table 7"
#: Base -> direction -> the printed row. Counts are 12-19 % below Table 7's depth, width and resolution rows; of ResNet-50 the depth
#: and width cells look exchanged (14.6e9 and 15.9e9 are counted); its compound row does not say its coefficients.
PRINTED: dict[str, dict[Direction, Printed]] = {
    "mobilenet-v1": {
        "width": Printed(2.2e9, 74.2, _TABLE_3),
        "resolution": Printed(2.2e9, 72.7, _TABLE_3),
        "compound": Printed(2.3e9, 75.6, _TABLE_3),
    },
    "mobilenet-v2": {
        "depth": Printed(1.2e9, 76.8, _TABLE_3),
        "width": Printed(1.1e9, 76.4, _TABLE_3),
        "resolution": Printed(1.2e9, 74.8, _TABLE_3),
        "compound": Printed(1.3e9, 77.4, _TABLE_3),
    },
    "resnet-50": {
        "depth": Printed(16.2e9, 78.1, _TABLE_3),
        "width": Printed(14.7e9, 77.7, _TABLE_3),
        "resolution": Printed(16.4e9, 77.5, _TABLE_3),
    },
    "efficientnet-b0": {
        "depth": Printed(1.8e9, 79.0, _TABLE_7),
        "width": Printed(1.8e9, 78.9, _TABLE_7),
        "resolution": Printed(1.9e9, 79.1, _TABLE_7),
        "compound": Printed(1.8e9, 81.1, _TABLE_7),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A direction, its network (None where even the smallest misses the budget), and its MACs relative to the base's."""

    direction: Direction
    network: Scaled | None
    macs_ratio: float | None
    printed: Printed | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """The base and the directions that it is scaled in; `phi` is None where a budget decided how far."""

    base: Scaled
    phi: float | None
    budget_s: float | None
    rows: tuple[Scaling, ...]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return {
            "base": self.base.to_dict(),
            "phi": self.phi,
            "budget_s": self.budget_s,
            "rows": [
                {
                    "direction": row.direction,
                    "network": None if row.network is None else row.network.to_dict(),
                    "macs_ratio": row.macs_ratio,
                    "printed": None if row.printed is None else {"macs": row.printed.macs, "top1_percent": row.printed.top1, "source": row.printed.source},
                }
                for row in self.rows
            ],
        }


def dimensions(
    base: Base,
    *,
    phi: float = PHI,
    coefficients: Coefficients = PAPER,
    restrictions: Restrictions = UNRESTRICTED,
    target: Target | None = None,
    budget_s: float | None = None,
) -> Dimensions:
    """The base scaled in depth, width or resolution alone and in all together.

    Restrictions hold for the compound row; the others are what they are compared with. The step of resolutions holds for all.

    Raises
    ------
    BudgetExceededError
        If no direction reaches the budget; names the nearest.

    Examples
    --------
    >>> from costmodel.scaling import base_of
    >>> [(row.direction, row.network.macs) for row in dimensions(base_of("mobilenet-v2")).rows if row.network]
    [('depth', 1219587776), ('width', 1137428224), ('resolution', 1199257088), ('compound', 1284428256)]
    """
    checked(coefficients)
    own = base.network(base.unscaled, target)
    if budget_s is not None:
        if target is None or not (math.isfinite(budget_s) and budget_s > 0):
            raise UsageError("a budget (--budget-ms) must be a positive time, on a device")
        found = _within(base, coefficients, restrictions, target, budget_s)
    else:
        found = {direction: _at(base, direction, phi, coefficients, restrictions, target) for direction in DIRECTIONS}
    in_paper = budget_s is None and phi == PHI and coefficients == PAPER and restrictions.late == 1 and restrictions.max_resolution is None
    printed = PRINTED.get(base.name, {}) if in_paper else {}
    return Dimensions(
        base=own,
        phi=None if budget_s is not None else phi,
        budget_s=budget_s,
        rows=tuple(
            Scaling(
                direction=direction,
                network=network,
                macs_ratio=None if network is None else network.macs / own.macs,
                printed=printed.get(direction),
            )
            for direction, network in found.items()
        ),
    )


def _at(base: Base, direction: Direction, phi: float, coefficients: Coefficients, restrictions: Restrictions, target: Target | None) -> Scaled:
    """The network of one direction whose work the power law multiplies by 2 to the phi."""
    require_near(phi)
    side = Restrictions(resolution_step=restrictions.resolution_step)
    root = round(2 ** (phi / 2), 2)
    if direction == "depth":
        scale = Scale(round(2**phi, 2), 1.0, base.resolution)
    elif direction == "width":
        scale = Scale(1.0, root, base.resolution)
    elif direction == "resolution":
        scale = Scale(1.0, 1.0, side.resolution(base.resolution * root))
    else:  # one decimal, as the paper's rows
        depth, width, resolution = (round(value, 1) for value in coefficients.at(phi))
        scale = Scale(depth, width, restrictions.resolution(base.resolution * resolution), restrictions.late_at(phi))
    network = next(base.networks([scale], target), None)
    if network is None:
        raise UsageError(f"phi {phi:g} scales {base.name} out of range in {direction}: depth x{scale.depth:g}, width x{scale.width:g} at {scale.resolution}")
    return network


def _within(base: Base, coefficients: Coefficients, restrictions: Restrictions, target: Target, budget_s: float) -> dict[Direction, Scaled | None]:
    """The largest network of each direction within the budget."""
    found: dict[Direction, Scaled | None] = {}
    nearest: list[Scaled] = []
    for direction in DIRECTIONS:
        found[direction], fastest = climb(base, _upwards(base, direction, coefficients, restrictions), target, budget_s)
        nearest += [] if fastest is None else [fastest]
    if not any(found.values()):
        least = min(nearest, key=lambda network: network.latency_s)
        raise BudgetExceededError(
            f"no network scaled from {base.name} runs within {duration(budget_s)} on {target.device.name} {target.processor}: "
            f"the nearest is {least.name} with {duration_enough(least.latency_s)}; raise the budget, or begin from a smaller family"
        )
    return found


def _upwards(base: Base, direction: Direction, coefficients: Coefficients, restrictions: Restrictions) -> Iterator[Scale]:
    """The networks of one direction, ever larger."""
    if direction == "resolution":
        step = restrictions.resolution_step
        yield from (Scale(1.0, 1.0, side) for side in range(step, _LARGEST_IMAGE * base.resolution + 1, step))
    elif direction == "compound":
        steps = round((PHI_RANGE[1] - PHI_RANGE[0]) / PHI_STEP)
        phis = (PHI_RANGE[0] + PHI_STEP * number for number in range(steps + 1))
        yield from dict.fromkeys(scale_at(base, phi, coefficients, restrictions) for phi in phis)
    else:
        step_of = GRID.depth_step if direction == "depth" else GRID.width_step
        values = [round(step_of * number, 6) for number in range(1, round(MAX_MULTIPLIER / step_of) + 1)]
        for value in (value for value in values if value >= MIN_MULTIPLIER):
            yield Scale(value, 1.0, base.resolution) if direction == "depth" else Scale(1.0, value, base.resolution)
