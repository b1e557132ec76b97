"""The coefficients alpha, beta, gamma of compound scaling, and the restrictions that EfficientNetV2 put on it.

Depth grows by alpha^phi, width by beta^phi, resolution by gamma^phi (EfficientNet, arXiv 1905.11946, equation 3). Work goes with
depth x width^2 x resolution^2, hence alpha * beta^2 * gamma^2 ~ 2 doubles it with each phi.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from costmodel.errors import UsageError
from costmodel.scaling._network import MIN_RESOLUTION, Base, Scale

#: More than this per phi is a typing slip: the paper's are 1.2, 1.1 and 1.15.
_LARGEST = 4.0
#: No network is built so far from its base; the powers of `_LARGEST` are numbers up to there.
_FARTHEST = 100.0


class Coefficients(NamedTuple):
    """How much depth, width and resolution grow with each phi."""

    alpha: float
    beta: float
    gamma: float

    @property
    def product(self) -> float:
        """``alpha * beta**2 * gamma**2``: by how much the work of convolutions grows with each phi.

        Examples
        --------
        >>> round(Coefficients(1.2, 1.1, 1.15).product, 5)
        1.92027
        """
        return self.alpha * self.beta**2 * self.gamma**2

    def at(self, phi: float) -> tuple[float, float, float]:
        """The multipliers of depth, width and resolution."""
        return self.alpha**phi, self.beta**phi, self.gamma**phi


#: Found by the paper's grid search on B0 (section 3.3, step 1).
PAPER = Coefficients(1.2, 1.1, 1.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """What keeps the compound rule from its own way (EfficientNetV2, arXiv 2104.00298, section 3.3).

    `max_resolution` caps the image (480 there); `late` is by how much more the last third of the stages deepens with each phi
    above 0, since layers there add capacity at little cost. `resolution_step` rounds images to multiples of that many pixels.
    """

    max_resolution: int | None = None
    late: float = 1.0
    resolution_step: int = 8

    def __post_init__(self) -> None:
        if not 1.0 <= self.late <= _LARGEST:
            raise UsageError(f"late (--late) must lie between 1 and {_LARGEST:g}: by how much more late stages deepen with each phi, not {self.late:g}")
        if not 1 <= self.resolution_step <= 512:
            raise UsageError(f"the resolution step (--resolution-step) must lie between 1 and 512 pixels, not {self.resolution_step}")
        if self.max_resolution is not None and self.max_resolution < MIN_RESOLUTION:
            raise UsageError(f"the largest resolution (--max-resolution) must be at least {MIN_RESOLUTION} pixels, not {self.max_resolution}")

    def resolution(self, pixels: float) -> int:
        """The nearest multiple of the step, under the cap.

        Examples
        --------
        >>> Restrictions(max_resolution=480).resolution(257.6), Restrictions(max_resolution=480).resolution(595.8)
        (256, 480)
        """
        nearest = max(self.resolution_step, math.floor(pixels / self.resolution_step + 0.5) * self.resolution_step)
        return nearest if self.max_resolution is None else min(nearest, self.max_resolution)

    def late_at(self, phi: float) -> float:
        """The multiplier of late stages' depth."""
        return round(float(self.late ** max(phi, 0.0)), 2)


UNRESTRICTED = Restrictions()


def checked(coefficients: Coefficients) -> Coefficients:
    """The coefficients, refused where nothing could grow by them.

    Raises
    ------
    UsageError
        If one is below 1 or above 4, or all are 1.
    """
    for name, value in coefficients._asdict().items():
        if not 1.0 <= value <= _LARGEST:
            raise UsageError(f"{name} must lie between 1 and {_LARGEST:g}, not {value:g}; the paper's coefficients are {', '.join(map(str, PAPER))}")
    if coefficients.product == 1.0:
        raise UsageError("alpha, beta and gamma are all 1: nothing grows; raise one of them")
    return coefficients


def require_near(phi: float) -> None:
    """Refuse a phi of which no network can be built.

    Raises
    ------
    UsageError
        If phi is no number between -100 and 100.
    """
    if not abs(phi) <= _FARTHEST:
        raise UsageError(f"phi (--phi) must lie between {-_FARTHEST:g} and {_FARTHEST:g}, not {phi:g}: the work doubles with each")


def scale_at(base: Base, phi: float, coefficients: Coefficients = PAPER, restrictions: Restrictions = UNRESTRICTED) -> Scale:
    """The multipliers at `phi`, to two decimals, and the image rounded as the restrictions say; phi 0 is the base itself.

    Raises
    ------
    UsageError
        If phi is no number between -100 and 100.
    """
    require_near(phi)
    if phi == 0 and (restrictions.max_resolution is None or restrictions.max_resolution >= base.resolution):
        return base.unscaled
    depth, width, resolution = coefficients.at(phi)
    return Scale(round(depth, 2), round(width, 2), restrictions.resolution(base.resolution * resolution), restrictions.late_at(phi))
