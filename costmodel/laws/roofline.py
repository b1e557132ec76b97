"""`roofline`: each kernel takes the smooth maximum of its compute and memory time, plus a dispatch cost; kernels add.

The law of server and desktop CPUs, and of processors known from their datasheet alone. See `_smooth` for the formula.
"""

from __future__ import annotations

from typing import Any

from costmodel.kernel import Program
from costmodel.laws._base import Combination, Fault, Machine, ProgramCost
from costmodel.laws._smooth import SmoothParameters, most_weight_bytes, overhead, price_kernel, reach_of, scaled, share_faults

ADDITIVE = True
MAX_BATCH: int | None = None
ASSUMED_TERMS: frozenset[str] = frozenset()
PARAMETERS = SmoothParameters

__all__ = ["ADDITIVE", "ASSUMED_TERMS", "MAX_BATCH", "PARAMETERS", "combination", "faults", "price", "scaled"]


def price(program: Program, machine: Machine) -> ProgramCost:
    """Time of every kernel; the floor is a program term."""
    parameters: SmoothParameters = machine.parameters
    reach, overhead_s = reach_of(program, machine, parameters), overhead(machine, parameters)
    kernels = tuple([price_kernel(kernel, machine, parameters, reach=reach, overhead_s=overhead_s) for kernel in program.kernels])
    return ProgramCost(kernels=kernels, terms={"floor": parameters.floor_us * 1e-6} if parameters.floor_us else {})


def combination(machine: Machine) -> Combination | None:
    """Kernels add up while the last cache holds all weights."""
    return Combination(weight_bytes=most_weight_bytes(machine, machine.parameters))


def faults(parameters: Any, machine: Machine, dtype: str) -> list[Fault]:
    """Work kinds that do not exist."""
    return share_faults(parameters, dtype)
