"""Which parameters of a law a fit may move: their prior, how far it reaches, and the bounds that physics sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from costmodel.calibration.transfer import SOURCE
from costmodel.devices import Target
from costmodel.laws import PEAK_TOLERANCE
from costmodel.laws._cycle_constants import LAUNCHES, PER_MAC, Constants
from costmodel.laws._marks import Mark, marked

#: Where a parameter stands inside a law's parameters: ``("cores", "cortex-a76", "kernel_cycles")``.
Path = tuple[str, ...]

#: Standard deviation of a constant's logarithm before any row is seen: a factor of 1.6 either way. Of a Pixel 4's own fp32 constants families held out
#: hardly mind: 1.7, 2.5 and 2.8 % (large, medium and small core) with 0.5, 2.0, 2.7 and 2.7 % with 0.3, 1.7, 2.4 and 3.3 % with 1 (qed-usc rows).
PRIOR_SPREAD = 0.5
#: The same for constants of a relative, which `python -m tests.calibration.transferred` estimates from pairs of phones (marginal likelihood; qed-usc rows;
#: reports/transfer.md): of what a kin of them is off by together, of memories more than of cores; of each beside its kin; of matrix products; of functions,
#: a library's work, between int8's 0.26 and fp32's 1.25. Two more are not the estimates. Beside its kin: families held out come out better (the four
#: cores of a Galaxy S10 and an iPhone XS, one at a time, fp32: 3.35 % with 0.13, 3.45 % with 0.15, 3.82 % with 0.25; with 0.1 the S10's small core and
#: int8 of the iPhone are worse). A kin: held out it makes no difference, but three suggested rows of those cores leave 3.9 % with 0.25, 4.6 % with the
#: estimated 0.2 and 4.4 % with 0.3.
KIN_SPREAD, MEMORY_SPREAD = 0.25, 0.4
OWN_SPREAD, PRODUCT_SPREAD, FUNCTION_SPREAD = 0.13, 0.25, 0.7
#: The same of a launch on a phone's GPU, which is the driver's work: neither its clock nor another vendor's driver says much about it.
LAUNCH_SPREAD = 1.5
#: How far from its prior a parameter may go at most, as a factor: beyond, the prior was about something else.
_REACH = 100.0

#: Margin of a bound for a profile's four digits.
_ROUNDED = 1.001

#: Constants of a core that are off together, as three kins: windows whose products are vectors; what streams through caches and what im2col copies
#: into them, which follow the memories; and all else that loads, stores and scalar instructions do. In none are matrix products, which follow the
#: multipliers, nonlinear functions, which follow a library, and what is like no other constant's work. Mark -> (kin, its spread, the spread beside it);
#: a constant without one of these marks is of the rest.
_REST = ("rest", KIN_SPREAD, OWN_SPREAD)
_SHARED = {
    Mark.PRODUCT: ("", 0.0, PRODUCT_SPREAD),
    Mark.FUNCTION: ("", 0.0, FUNCTION_SPREAD),
    Mark.SINGLE: ("", 0.0, PRIOR_SPREAD),
    Mark.DEPTHWISE: ("depthwise", KIN_SPREAD, OWN_SPREAD),
    Mark.MEMORY: ("memories", MEMORY_SPREAD, OWN_SPREAD),
}
_SHARED_BY = {name: shared for mark, shared in _SHARED.items() for name in marked(Constants, mark)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """A parameter that a fit may move: its prior (median of a log-normal), the prior's spread (standard deviation of the logarithm) and its bounds.

    Parameters of one `kin` are off by a common factor too, of spread `kin_spread`; empty where a parameter has no kin.
    """

    path: Path
    prior: float
    spread: float = PRIOR_SPREAD
    kin: str = ""
    kin_spread: float = KIN_SPREAD
    low: float
    high: float

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


def free_parameters(target: Target, core: str | None) -> tuple[Free, ...]:
    """The parameters of a target's law that its rows can speak about; those of `core` alone where the law has cores.

    A constant that is 0 or missing says that a runtime does no such work: it stays so.
    """
    parameters = target.machine.parameters
    if core is not None:
        return _of_core(target, core)
    found: list[Path] = []
    for name in parameters.movable():
        value = getattr(parameters, name)
        found += [(name, entry) for entry in value] if isinstance(value, Mapping) else [(name,)] if value else []
    limits = parameters.limits(target.machine, target.dtype)
    return tuple(_free(path, get(parameters, path), limits) for path in sorted(found))


def _of_core(target: Target, core: str) -> tuple[Free, ...]:
    """Constants in cycles: multiplications are bounded by the core's units, everything else by nothing; a relative's have kin."""
    parameters, machine = target.machine.parameters, target.machine
    constants = parameters.cores[core]
    group = next((group for group in machine.cores if group.core == core), machine.cores[0])
    rates = group.flops_per_cycle
    macs = rates.get(target.dtype, rates.get("fp32", 0.0)) / 2 if rates else machine.peak(target.dtype) / 2 / group.clock_hz
    carried = _carried_over(target)
    found = []
    for name, value in constants:
        if value:
            prior = float(value)
            low = 1 / (macs * PEAK_TOLERANCE) * _ROUNDED if name in PER_MAC else prior / _REACH
            launch = target.hardware.type == "gpu" and name in LAUNCHES
            kin, shared, spread = ("", 0.0, LAUNCH_SPREAD) if launch else _SHARED_BY.get(name, _REST) if carried else ("", 0.0, PRIOR_SPREAD)
            found.append(Free(path=("cores", core, name), prior=max(prior, low), spread=spread, kin=kin, kin_spread=shared, low=low, high=prior * _REACH))
    if parameters.floor_ms:
        found.append(Free(path=("floor_ms",), prior=parameters.floor_ms, low=parameters.floor_ms / _REACH, high=parameters.floor_ms * _REACH))
    return tuple(found)


def _carried_over(target: Target) -> bool:
    """Whether a target's constants were a relative's before any fit: what no fit moves, such as the tile of a product, still says so."""
    owner = target.hardware.runtimes[target.runtime].like or target.runtime
    table = ".".join(("processors", target.processor, "runtimes", owner, "dtypes", target.dtype, "parameters", ""))
    return any(entry.key == SOURCE for name, entry in target.device.provenance.items() if name.startswith(table))


def _free(path: Path, prior: float, limits: Mapping[str, tuple[float, float]]) -> Free:
    kind = ".".join(path).removesuffix("-nhwc")
    low, high = limits.get(kind) or limits.get(path[0], (prior / _REACH, prior * _REACH))
    return Free(path=path, prior=min(max(prior, low), high), low=low, high=high)


def get(parameters: Any, path: Path) -> float:
    """The value at a path."""
    for step in path:
        parameters = parameters[step] if isinstance(parameters, Mapping) else getattr(parameters, step)
    return float(parameters)


def replaced(parameters: Any, values: Mapping[Path, float]) -> Any:
    """The parameters with other values at these paths, unchecked: a law may be asked for what one constant alone contributes."""
    here: dict[str, Any] = {}
    deeper: dict[str, dict[Path, float]] = {}
    for path, value in values.items():
        if len(path) == 1:
            here[path[0]] = value
        else:
            deeper.setdefault(path[0], {})[path[1:]] = value
    for step, inner in deeper.items():
        here[step] = replaced(parameters[step] if isinstance(parameters, Mapping) else getattr(parameters, step), inner)
    if isinstance(parameters, BaseModel):
        return parameters.model_copy(update=here)
    return {**parameters, **here}


def factor(spread: float) -> float:
    """What a standard deviation of a logarithm means as a factor.

    Examples
    --------
    >>> factor(0.0), round(factor(0.7), 2)
    (1.0, 2.01)
    """
    return math.exp(spread)
