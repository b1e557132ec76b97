"""Laws: how the kernels of a program become time. One law a file; `costmodel.laws.law(name)` loads the one that is asked for."""

from costmodel.laws._base import (
    LAUNCH_QUEUE,
    PEAK_TOLERANCE,
    Combination,
    CoreGroup,
    Fault,
    KernelCost,
    Law,
    Machine,
    MemoryLevel,
    ProgramCost,
    launch_makespan,
    launch_ps,
    law,
    laws,
    price,
    price_in_picoseconds,
)

__all__ = [
    "LAUNCH_QUEUE",
    "PEAK_TOLERANCE",
    "Combination",
    "CoreGroup",
    "Fault",
    "KernelCost",
    "Law",
    "Machine",
    "MemoryLevel",
    "ProgramCost",
    "launch_makespan",
    "launch_ps",
    "law",
    "laws",
    "price",
    "price_in_picoseconds",
]
