"""`scale`: what ``costmodel.scale`` is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from costmodel.devices import Device, Target, device, resolve_target
from costmodel.errors import UsageError
from costmodel.scaling._coefficients import PAPER, Coefficients, Restrictions
from costmodel.scaling._largest import Grid, Solution, largest
from costmodel.scaling._network import base_of


def scale(
    base: str,
    *,
    budget_s: float,
    device: str | os.PathLike[str] | Device | None = None,
    target: Target | None = None,
    batch: int = 1,
    padding: Literal["same", "symmetric"] | None = None,
    classes: int | None = None,
    features_only: bool = False,
    coefficients: Sequence[float] = PAPER,
    max_resolution: int | None = None,
    late: float = 1.0,
    resolution_step: int = 8,
    spread: float = 1.0,
    **options: Any,
) -> Solution:
    """The largest network scaled from `base` whose estimated latency is within a budget: name, depth, width, resolution, estimate.

    Parameters
    ----------
    base : a zoo name whose family has depth and width to scale, such as ``efficientnet-b0`` or ``mobilenet-v2``.
    budget_s : the most seconds of a forward pass.
    device, options : the device and the keywords of `target`; or instead
    target : a `Target` made before.
    batch, padding, classes, features_only : as for `costmodel.build`.
    coefficients : alpha, beta, gamma of the balanced ladder around which is searched.
    max_resolution : the largest image in pixels (EfficientNetV2: 480).
    late : by how much more the last third of the stages deepens with each phi (EfficientNetV2).
    resolution_step : images are multiples of that many pixels.
    spread : how far in phi each dimension may lie from the balanced network.

    Raises
    ------
    BudgetExceededError
        If no network is within the budget; names the nearest.
    UsageError
        If the family cannot be scaled, or an option is out of range.

    Examples
    --------
    >>> found = scale("efficientnet-b0", device="pixel4", budget_s=0.040)
    >>> found.estimate.latency_s <= 0.040, found.name == found.estimate.model
    (True, True)
    """
    if len(coefficients) != 3:
        raise UsageError(f"coefficients are three: alpha (depth), beta (width), gamma (resolution), not {len(coefficients)}")
    return largest(
        base_of(base, batch=batch, padding=padding, classes=classes, features_only=features_only),
        target_of(device, target, **options),
        budget_s,
        coefficients=Coefficients(*coefficients),
        restrictions=Restrictions(max_resolution=max_resolution, late=late, resolution_step=resolution_step),
        grid=Grid(spread=spread),
    )


def target_of(named: str | os.PathLike[str] | Device | None, target: Target | None = None, **options: Any) -> Target:
    """The target given, or that of a device with these options.

    Raises
    ------
    UsageError
        If not exactly one of them is given.
    """
    if (named is None) == (target is None):
        raise UsageError("give either a device or a target")
    if target is not None:
        if options:
            raise UsageError(f"{', '.join(sorted(options))}: these belong to the target, which is given already")
        return target
    assert named is not None
    return resolve_target(named if isinstance(named, Device) else device(os.fspath(named)), **options)
