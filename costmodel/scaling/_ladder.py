"""The ladder of compound scaling: one network for each phi, beside the networks that the paper's authors released."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from costmodel.devices import Target
from costmodel.errors import UsageError
from costmodel.scaling._coefficients import PAPER, UNRESTRICTED, Coefficients, Restrictions, checked, scale_at
from costmodel.scaling._network import Base, Scaled
from costmodel.zoo.efficientnet import SCALINGS

#: The phi to which the resolution of each released network belongs, and its width where the two agree; the released code
#: (github.com/tensorflow/tpu, models/official/efficientnet/efficientnet_builder.py) states multipliers and no phi.
RELEASED_PHI = {"b0": 0.0, "b1": 0.5, "b2": 1.0, "b3": 2.0, "b4": 3.5, "b5": 5.0, "b6": 6.0, "b7": 7.0}
WHOLE_PHI = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)


class Released(NamedTuple):
    """A released network of that phi, and in which of its dimensions it is what the powers give, to its one decimal.

    `resolution_excess` is by which part its image is larger than ``gamma**phi`` makes it; no rule rounds to the released sizes.
    """

    name: str
    depth: float
    width: float
    resolution: int
    depth_agrees: bool
    width_agrees: bool
    resolution_excess: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A network of the ladder; `macs_ratio` is to the base, `within` says whether it is within the budget (None: none was stated)."""

    phi: float
    network: Scaled
    macs_ratio: float
    released: Released | None
    within: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Networks by phi."""

    base: str
    coefficients: Coefficients
    restrictions: Restrictions
    rungs: tuple[Rung, ...]
    budget_s: float | None

    @property
    def slope(self) -> float | None:
        """Doublings of MACs per phi: the least-squares slope of log2(MACs); 1 is what the rule promises. None of a single rung."""
        phis = [rung.phi for rung in self.rungs]
        logs = [math.log2(rung.network.macs) for rung in self.rungs]
        mean_phi, mean_log = sum(phis) / len(phis), sum(logs) / len(logs)
        spread = sum((phi - mean_phi) ** 2 for phi in phis)
        return sum((phi - mean_phi) * (log - mean_log) for phi, log in zip(phis, logs, strict=True)) / spread if spread else None

    def to_dict(self) -> dict[str, Any]:
        """The ladder as plain values."""
        return {
            "base": self.base,
            "budget_s": self.budget_s,
            "coefficients": {**self.coefficients._asdict(), "product": self.coefficients.product},
            "restrictions": {"max_resolution": self.restrictions.max_resolution, "late": self.restrictions.late},
            "log2_macs_per_phi": self.slope,
            "rungs": [
                {
                    "phi": rung.phi,
                    **rung.network.to_dict(),
                    "macs_ratio": rung.macs_ratio,
                    "within": rung.within,
                    "released": None if rung.released is None else rung.released._asdict(),
                }
                for rung in self.rungs
            ],
        }


def ladder(
    base: Base,
    *,
    phis: Sequence[float] | None = None,
    coefficients: Coefficients = PAPER,
    restrictions: Restrictions = UNRESTRICTED,
    target: Target | None = None,
    budget_s: float | None = None,
) -> Ladder:
    """The networks at each phi; None takes those of the released networks where the base is EfficientNet-B0, and 0 to 7 elsewhere.

    Raises
    ------
    UsageError
        If a network at some phi cannot be named or built: names the phi.
    """
    checked(coefficients)
    beside_released = base.name == "efficientnet-b0" and coefficients == PAPER and restrictions.max_resolution is None and restrictions.late == 1
    own = base.network(base.unscaled)
    rungs = []
    for phi in phis if phis is not None else tuple(RELEASED_PHI.values()) if beside_released else WHOLE_PHI:
        scale = scale_at(base, phi, coefficients, restrictions)
        network = next(base.networks([scale], target), None)
        if network is None:
            raise UsageError(f"phi {phi:g} is out of range for {base.name}: depth x{scale.depth:g}, width x{scale.width:g} at {scale.resolution}")
        rungs.append(
            Rung(
                phi=phi,
                network=network,
                macs_ratio=network.macs / own.macs,
                released=_released(phi) if beside_released else None,
                within=None if budget_s is None or target is None else network.latency_s <= budget_s,
            )
        )
    return Ladder(base=base.name, coefficients=coefficients, restrictions=restrictions, rungs=tuple(rungs), budget_s=budget_s)


def _released(phi: float) -> Released | None:
    """The released network of that phi, and where the paper's coefficients give it."""
    depth, width, resolution = PAPER.at(phi)
    for name, at in RELEASED_PHI.items():
        if at == phi:
            found = SCALINGS[name]
            return Released(
                f"efficientnet-{name}",
                found.depth,
                found.width,
                found.resolution,
                depth_agrees=found.depth == round(depth, 1),
                width_agrees=found.width == round(width, 1),
                resolution_excess=found.resolution / (SCALINGS["b0"].resolution * resolution) - 1,
            )
    return None
