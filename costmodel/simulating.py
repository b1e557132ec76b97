"""`costmodel.simulate`: names resolved to a program and a target, and their run over time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from costmodel import api, estimation
from costmodel.devices import Device, Target
from costmodel.graph import Graph
from costmodel.simulation import Settings, Timeline
from costmodel.simulation import simulate as _simulate

if TYPE_CHECKING:
    from costmodel.kernel import Program

Model = str | os.PathLike[str] | Graph
_SETTINGS = frozenset(field.name for field in fields(Settings)) - {"co_compiled"}


def simulate(
    model: Model,
    *,
    device: str | os.PathLike[str] | Device | None = None,
    target: Target | None = None,
    co_compiled: Sequence[Model] = (),
    **options: Any,
) -> Timeline:
    """How a network runs over time on a model of a device; where nothing overlaps it takes what `estimate` says, to the picosecond.

    Parameters
    ----------
    model, device, target : as for `estimate`.
    co_compiled : networks that an Edge TPU holds beside this one; their parameters fill the cache first.
    options : those of `costmodel.simulation.Settings` (``overlap``, ``parallel``, ``inferences``, ``in_flight``, ``policy``, ``cuda_graph``, ``copies``,
        ``quantise``, ``queue_depth``, ``link_bytes_per_s``), and those of `estimate`.

    Raises
    ------
    UsageError
        If a setting does not belong to the machine: says to which.
    CostModelError
        If memory does not suffice under the policy ``fail``: says by how much, and what the others would do.

    Examples
    --------
    >>> timeline = simulate("googlenet", device="i9-10940x", overlap=False)
    >>> timeline.makespan_ps == timeline.estimate_ps, timeline.illustrative
    (True, False)
    >>> simulate("googlenet", device="i9-10940x", parallel=2).makespan_s < timeline.makespan_s
    True
    """
    chosen = {name: options.pop(name) for name in _SETTINGS & set(options)}
    report = api.estimate(model, device=device, target=target, **options)
    others = tuple(_program(other, report.target) for other in co_compiled)
    settings = Settings(**chosen, co_compiled=others)
    timeline = _simulate(estimation.lowered(report.graph, report.target, report.weights), report.target, settings)
    return replace(timeline, warnings=(*report.warnings, *timeline.warnings))


def _program(model: Model, target: Target) -> Program:
    return estimation.lowered(api.resolve(model), target)
