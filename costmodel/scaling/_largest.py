"""The largest network of a family within a latency budget.

Two steps. The compound ladder is climbed in fine steps of phi, which finds how large a balanced network may be. Around that step
lies a grid of depths, widths and resolutions that are each at most `Grid.spread` in phi away from it: what trades one
dimension for another without losing the balance that the paper's Table 3 and Figure 8 show to matter. Of the grid the network
with the most MACs within the budget is taken. The second step is exact: the networks are priced from the largest down until one
fits, so no latency is taken to grow with the size. One is built when it may be the next, for no multiplier that grows makes MACs or parameters fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import product
from typing import Any

from costmodel.devices import Target
from costmodel.errors import BudgetExceededError, CostModelError, UsageError
from costmodel.estimation import Estimate
from costmodel.quantity import duration, duration_enough
from costmodel.scaling._coefficients import PAPER, UNRESTRICTED, Coefficients, Restrictions, checked, scale_at
from costmodel.scaling._network import Base, Prices, Scale, Scaled, climb, size_order

#: The ladder that is climbed, in phi: from a hundredth of the base's work to thousands of times as much.
PHI_RANGE, PHI_STEP = (-8.0, 12.0), 0.25
#: More networks than anyone waits for (about 10 ms each).
MAX_CANDIDATES = 20_000
#: Multipliers that are searched: the first of a `Scale`.
_AXES = 3
#: Called with (networks looked at, of how many at the most, the one at hand).
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Steps of the multipliers, and how far in phi each dimension may lie from the balanced network; images step as the restrictions say."""

    depth_step: float = 0.1
    width_step: float = 0.05
    spread: float = 1.0

    def __post_init__(self) -> None:
        for name, step in (("depth", self.depth_step), ("width", self.width_step)):
            if not 0.01 <= step <= 1:
                raise UsageError(f"the {name} step must lie between 0.01 and 1, not {step:g}")
        if not 0 <= self.spread <= 4:
            raise UsageError(f"the spread (--spread) must lie between 0 and 4, in phi, not {self.spread:g}")


GRID = Grid()


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The largest network within the budget, and what it was chosen from.

    `balanced` is the largest of the compound ladder alone, at `phi`; `candidates` the number of networks on the grid, `at_end`
    whether the ladder ended before the budget did, so that larger ones may fit, too.
    """

    base: str
    network: Scaled
    balanced: Scaled
    phi: float
    budget_s: float
    coefficients: Coefficients
    restrictions: Restrictions
    grid: Grid
    candidates: int
    at_end: bool

    @property
    def name(self) -> str:
        """The network's name, for any command and for `costmodel.build`."""
        return self.network.name

    @property
    def depth(self) -> float:
        """The multiplier of the base's depth."""
        return self.network.depth

    @property
    def width(self) -> float:
        """The multiplier of the base's width."""
        return self.network.width

    @property
    def resolution(self) -> int:
        """The side of the image in pixels."""
        return self.network.resolution

    @property
    def late(self) -> float:
        """The multiplier of late stages' depth."""
        return self.network.late

    @property
    def estimate(self) -> Estimate:
        """What the network costs on the target."""
        assert self.network.estimate is not None
        return self.network.estimate

    def to_dict(self) -> dict[str, Any]:
        """What was asked, the network, and the balanced one beside it, as plain values."""
        return {
            "base": self.base,
            "budget_s": self.budget_s,
            "network": self.network.to_dict(),
            "balanced": {"phi": self.phi, **self.balanced.to_dict()},
            "coefficients": {**self.coefficients._asdict(), "product": self.coefficients.product},
            "restrictions": {"max_resolution": self.restrictions.max_resolution, "late": self.restrictions.late},
            "grid": {
                "depth_step": self.grid.depth_step,
                "width_step": self.grid.width_step,
                "resolution_step": self.restrictions.resolution_step,
                "spread": self.grid.spread,
            },
            "candidates": self.candidates,
            "at_end": self.at_end,
        }


def largest(
    base: Base,
    target: Target,
    budget_s: float,
    *,
    coefficients: Coefficients = PAPER,
    restrictions: Restrictions = UNRESTRICTED,
    grid: Grid = GRID,
    progress: Progress | None = None,
) -> Solution:
    """The network of `base`'s family with the most MACs whose estimated latency on `target` is within the budget.

    `progress` is called with (networks looked at, of how many at the most, the one at hand).

    Raises
    ------
    BudgetExceededError
        If no network of the ladder is within the budget; names the fastest and its latency.
    UsageError
        If the budget is no positive number, or the grid has more than 20,000 networks.
    """
    if not (math.isfinite(budget_s) and budget_s > 0):
        raise UsageError(f"the budget (--budget-ms) must be a positive time, not {budget_s:g} s")
    checked(coefficients)
    steps = round((PHI_RANGE[1] - PHI_RANGE[0]) / PHI_STEP)
    rungs = {scale_at(base, phi, coefficients, restrictions): phi for phi in (PHI_RANGE[0] + PHI_STEP * step for step in range(steps + 1))}
    balanced, fastest = climb(base, rungs, target, budget_s)
    if balanced is None:
        raise _unreachable(base, target, budget_s, fastest)
    centre = Scale(balanced.depth, balanced.width, balanced.resolution, balanced.late)
    scales = candidates(base, rungs[centre], coefficients, restrictions, grid)
    number = sum(map(base.allows, dict.fromkeys((centre, *scales))))
    found = _first_within(_counted(downwards(base, scales, centre), number, progress), target, budget_s)
    last = [scale for scale in rungs if base.allows(scale)][-1]
    return Solution(
        base=base.name,
        network=found,
        balanced=balanced,
        phi=rungs[centre],
        budget_s=budget_s,
        coefficients=coefficients,
        restrictions=restrictions,
        grid=grid,
        candidates=number,
        at_end=centre == last,
    )


def candidates(base: Base, phi: float, coefficients: Coefficients = PAPER, restrictions: Restrictions = UNRESTRICTED, grid: Grid = GRID) -> tuple[Scale, ...]:
    """The grid around `phi`: multiples of the steps whose depth, width and image each lie at most the spread away from it.

    An image that the cap holds back counts as near.

    Examples
    --------
    >>> from costmodel.scaling import base_of
    >>> found = candidates(base_of("efficientnet-b0"), 1.0)
    >>> sorted({scale.depth for scale in found}), sorted({scale.resolution for scale in found})[:3], len(found)
    ([1.0, 1.1, 1.2, 1.3, 1.4], [224, 232, 240], 250)
    """
    low, high = coefficients.at(phi - grid.spread), coefficients.at(phi + grid.spread)
    cap = restrictions.max_resolution or math.inf
    step = restrictions.resolution_step
    pixels = [step * number for number in _multiples(base.resolution * low[2], min(base.resolution * high[2], cap), step)]
    if base.resolution * high[2] >= cap:
        pixels.append(int(cap))
    depths = [round(grid.depth_step * number, 6) for number in _multiples(low[0], high[0], grid.depth_step)]
    widths = [round(grid.width_step * number, 6) for number in _multiples(low[1], high[1], grid.width_step)]
    number = len(depths) * len(widths) * len(pixels)
    if number > MAX_CANDIDATES:
        raise UsageError(f"this grid has {number:,} networks, at most {MAX_CANDIDATES:,} are built: lower --spread or widen its steps")
    late = restrictions.late_at(phi)
    return tuple(Scale(depth, width, side, late) for depth, width, side in product(depths, widths, dict.fromkeys(pixels)))


def _multiples(low: float, high: float, step: float) -> range:
    """The whole numbers n with ``low <= n * step <= high``, forgiving an error of rounding at either end."""
    return range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)


def downwards(base: Base, scales: Iterable[Scale], centre: Scale) -> Iterator[Scaled]:
    """The networks of a grid of multipliers and of one beside it, as `size_order` has them, each built when it may be the next.

    The largest multipliers begin; below a network are those of which one multiplier is a step smaller. Those that cannot be built are left out.
    """
    grid = frozenset(scales)
    axes = [sorted({scale[axis] for scale in grid}) for axis in range(_AXES)]
    waiting: list[tuple[tuple[int, int, int, float, float], Scale, Scaled]] = []
    seen: set[Scale] = set()

    def below(scale: Scale) -> list[Scale]:
        if scale not in grid:
            return []
        places = [(axis, values.index(scale[axis])) for axis, values in enumerate(axes)]
        return [Scale._make((*scale[:axis], axes[axis][place - 1], *scale[axis + 1 :])) for axis, place in places if place]

    def add(found: list[Scale]) -> None:
        while found:
            scale = found.pop()
            if scale not in seen:
                seen.add(scale)
                built = next(base.networks((scale,)), None)
                if built is None:
                    found += below(scale)
                else:
                    heappush(waiting, (size_order(built), scale, built))

    add([centre, *(scale for scale in grid if scale[:_AXES] == tuple(values[-1] for values in axes))])
    while waiting:
        equals = [heappop(waiting)]
        add(below(equals[0][1]))
        while waiting and waiting[0][0][:2] == equals[0][0][:2]:  # of one size, and of which the smallest multipliers come first
            equals.append(heappop(waiting))
            add(below(equals[-1][1]))
        yield from (network for _, _, network in sorted(equals, key=lambda entry: entry[0]))


def _counted(networks: Iterable[Scaled], number: int, progress: Progress | None) -> Iterator[Scaled]:
    """The networks, each told of before it comes."""
    for done, network in enumerate(networks):
        if progress is not None:
            progress(done, number, network.name)
        yield network


def _first_within(built: Iterable[Scaled], target: Target, budget_s: float) -> Scaled:
    """The first of the networks, ordered by size, that is within the budget; the balanced one is among them, so there is one."""
    return next(network for network in map(Prices(target).of, built) if network.latency_s <= budget_s)


def _unreachable(base: Base, target: Target, budget_s: float, fastest: Scaled | None) -> CostModelError:
    where = f"{target.device.name} {target.processor}"
    if fastest is None:
        return UsageError(
            f"no network of the ladder can be built from {base.name} with these coefficients; begin from another one, or nearer to {tuple(PAPER)}"
        )
    return BudgetExceededError(
        f"no network scaled from {base.name} runs within {duration(budget_s)} on {where}: "
        f"the nearest is {fastest.name} with {duration_enough(fastest.latency_s)}; "
        "raise the budget, or begin from a smaller family or in a lower precision"
    )
