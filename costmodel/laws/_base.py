"""What every law shares: the machine that it prices on, the costs that it returns, and the registry.

A law prices a `Program`, not a lone kernel: kernel costs plus named program terms (a floor, a launch queue, transfers).
Latency of the program is their sum. `latency_s` of a kernel is authoritative; its compute, memory and overhead parts
explain it and need not add up (a smooth maximum does not).
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from costmodel.errors import unknown
from costmodel.frozen import FrozenDict
from costmodel.kernel import Program
from costmodel.quantity import picoseconds
from costmodel.work import WorkKind

Bound = Literal["compute", "memory", "overhead"]

#: The program term of a device that waits for its host to issue kernels; whoever reports it can advise on it.
LAUNCH_QUEUE = "launch_queue"

#: A rate may exceed its nominal peak by this factor before a profile is refused: boost clocks of real parts do
#: (best GEMM over nominal peak: RTX 4090 1.05; see each profile's sources).
PEAK_TOLERANCE = 1.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Movable:
    """Marks a parameter, or a table of such, of which measurements of whole networks speak: a fit may move it, between `low` and `high` if stated."""

    low: float | None = None
    high: float | None = None


class Parameters(BaseModel):
    """Base of the laws' parameter schemas: immutable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, defer_build=True)

    #: Whether the law has constants of each core, in which its times are linear.
    by_core: ClassVar[bool] = False

    @classmethod
    def movable(cls) -> dict[str, Movable]:
        """The marked parameters by name."""
        return {name: mark for name, field in cls.model_fields.items() for mark in field.metadata if isinstance(mark, Movable)}

    def limits(self, machine: Machine, dtype: str) -> dict[str, tuple[float, float]]:
        """Least and largest values of marked parameters on a machine, by name or, for an entry of a table, by ``table.entry``."""
        return {name: (mark.low, mark.high) for name, mark in self.movable().items() if mark.low is not None and mark.high is not None}

    def barrier_s(self, machine: Machine) -> float:
        """Seconds that the threads of a kernel wait for each other, of a law that states it."""
        return 0.0


@dataclass(frozen=True, slots=True)
class CoreGroup:
    """Cores of one kind that take part: microarchitecture, how many, clock in Hz, peak FLOP per cycle and core by dtype."""

    core: str
    count: int
    clock_hz: float
    flops_per_cycle: Mapping[str, float]


class MemoryLevel(NamedTuple):
    """A level of the memory hierarchy: capacity (None: main memory) and bandwidth."""

    name: str
    capacity_bytes: float | None
    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The hardware that a target uses, in base units, with its law's parameters.

    `peak_flops_per_s` is by dtype name, dense, of all units in use; `levels` go from the fastest to main memory.
    `host` is the machine for what an accelerator does not take, with the name of its law.
    """

    cores: tuple[CoreGroup, ...]
    peak_flops_per_s: Mapping[str, float]
    levels: tuple[MemoryLevel, ...]
    parameters: Any
    units: int = 1
    host: tuple[str, Machine] | None = None

    @property
    def bytes_per_s(self) -> float:
        """Bandwidth of main memory."""
        return self.levels[-1].bytes_per_s

    def peak(self, dtype: str) -> float:
        """Peak throughput in flop/s; a dtype without units of its own runs at the fp32 rate."""
        return self.peak_flops_per_s.get(dtype, self.peak_flops_per_s["fp32"])


class KernelCost(NamedTuple):
    """Time of one kernel in seconds. `modelled` is False where the law has no constant for its kind: then all are 0."""

    latency_s: float
    compute_s: float
    memory_s: float
    overhead_s: float
    bound: Bound
    modelled: bool = True


UNMODELLED = KernelCost(0.0, 0.0, 0.0, 0.0, "overhead", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCost:
    """Costs of a program's kernels, in order, and the program's own terms in seconds.

    `makespan_s` is for a law that knows when the last kernel ends other than by adding up; the terms then make up the
    difference.
    """

    kernels: tuple[KernelCost, ...]
    terms: Mapping[str, float] = field(default_factory=dict)
    makespan_s: float | None = None

    @property
    def latency_s(self) -> float:
        """Seconds of the whole program: kernels and terms."""
        if self.makespan_s is not None:
            return self.makespan_s
        return sum([cost.latency_s for cost in self.kernels]) + sum(self.terms.values())


class Fault(NamedTuple):
    """A parameter that contradicts physics: the path inside the law's parameters, and the inequality with both values."""

    path: tuple[str, ...]
    message: str


class Combination(NamedTuple):
    """How the costs of parts of a program, one after the other, make up the cost of the whole.

    Kernels cost what they cost in any other program whose weights take at most `weight_bytes`. Where `launch_s` is 0 they add up; else
    the host needs so long to issue each, and a run of kernels with launches of H seconds, kernels of D seconds and a makespan of M seconds
    turns (issued, ended) into (issued + H, max(ended + D, issued + M)). What else there is does not depend on the program.
    """

    launch_s: float = 0.0
    weight_bytes: float = float("inf")


class Law(Protocol):
    """What a law file offers as module-level names."""

    PARAMETERS: type[Parameters]
    #: Most samples a pass; None where any number goes.
    MAX_BATCH: int | None
    #: Program terms that rest on an assumption whatever the profile's measurements were.
    ASSUMED_TERMS: frozenset[str]

    @staticmethod
    def price(program: Program, machine: Machine) -> ProgramCost:
        """The cost of every kernel, and the program terms."""

    @staticmethod
    def combination(machine: Machine) -> Combination | None:
        """How costs of parts combine; None where only the whole program has a cost."""

    @staticmethod
    def scaled(machine: Machine, *, peak: float, bandwidth: float) -> Machine:
        """The machine whose arithmetic is `peak` and whose memory `bandwidth` times as fast: every kernel's compute and
        memory parts shrink by these factors, overheads stay.
        """

    @staticmethod
    def faults(parameters: Any, machine: Machine, dtype: str) -> list[Fault]:
        """Parameters that no hardware with this machine's peaks could have in `dtype`."""


_LAWS = ("gpu_tiles", "linear_work", "roofline", "systolic_array")


def laws() -> tuple[str, ...]:
    """Names of all laws."""
    return _LAWS


def law(name: str) -> Law:
    """The law called `name`.

    Raises
    ------
    UnknownNameError
        If there is none; with close matches.
    """
    if name not in _LAWS:
        raise unknown("law", name, _LAWS)
    return importlib.import_module(f"costmodel.laws.{name}")  # type: ignore[return-value]  # law modules offer the protocol's names


def price(of: Law, program: Program, machine: Machine) -> ProgramCost:
    """The cost of `program` by a law; a kernel of an operator that nobody knows has none, whatever the law makes of its bytes."""
    cost = of.price(program, machine)
    unknown_s = sum([made.latency_s for kernel, made in zip(program.kernels, cost.kernels, strict=True) if kernel.kind is WorkKind.UNMODELLED])
    if not unknown_s:
        return cost
    kernels = tuple(UNMODELLED if kernel.kind is WorkKind.UNMODELLED else made for kernel, made in zip(program.kernels, cost.kernels, strict=True))
    return ProgramCost(kernels=kernels, terms=cost.terms, makespan_s=None if cost.makespan_s is None else cost.makespan_s - unknown_s)


def launch_makespan(kernels_s: Iterable[float], host_s: float) -> float:
    """When the last of a stream of kernels ends, each issued `host_s` after the one before; exact for whole numbers.

    Examples
    --------
    >>> launch_makespan([1.0, 1.0], 3.0), launch_makespan([5.0, 1.0], 3.0)
    (7.0, 9.0)
    """
    issued = ended = 0 * host_s
    for kernel_s in kernels_s:
        issued += host_s
        ended = max(ended, issued) + kernel_s
    return ended


def launch_queue(kernels_s: Sequence[float], host_s: float) -> float:
    """What a stream of kernels waits for its host beyond their own time; exact for whole numbers, 0 where nothing has to be issued.

    Examples
    --------
    >>> launch_queue([1, 1], 3), launch_queue([5, 1], 3), launch_queue([5, 1], 0)
    (5, 3, 0)
    """
    return max(0, launch_makespan(kernels_s, host_s) - sum(kernels_s)) if host_s else 0


def launch_ps(of: Law, machine: Machine) -> int:
    """Picoseconds that the host needs to issue a kernel; 0 where kernels follow each other without it, as in an engine that is one CUDA graph."""
    combined = of.combination(machine)
    return picoseconds(combined.launch_s) if combined else 0


def price_in_picoseconds(of: Law, program: Program, machine: Machine) -> ProgramCost:
    """`price` with every kernel and term rounded once to whole picoseconds, and a makespan that is exactly what they make up.

    Whatever is reported uses these, so that a simulation can equal it; fits use the unrounded costs, whose derivatives are smooth.
    """
    cost = price(of, program, machine)
    times = [picoseconds(made.latency_s, kernel.name) for made, kernel in zip(cost.kernels, program.kernels, strict=True)]
    kernels = tuple([made if made.latency_s == ps / 1e12 else KernelCost(ps / 1e12, *made[1:]) for made, ps in zip(cost.kernels, times, strict=True)])
    terms = {name: picoseconds(seconds, name) for name, seconds in cost.terms.items() if name != LAUNCH_QUEUE}
    queue_ps = int(launch_queue(times, launch_ps(of, machine)))
    if queue_ps:
        terms[LAUNCH_QUEUE] = queue_ps
    total_ps = sum(times) + sum(terms.values())
    return ProgramCost(kernels=kernels, terms={name: ps / 1e12 for name, ps in terms.items()}, makespan_s=total_ps / 1e12)


def scaled_machine(machine: Machine, *, peak: float, bandwidth: float, parameters: Parameters) -> Machine:
    """`machine` with its stated peaks and bandwidths multiplied, and a law's `parameters` in the place of its own."""
    return dataclasses.replace(
        machine,
        peak_flops_per_s=FrozenDict({dtype: rate * peak for dtype, rate in machine.peak_flops_per_s.items()}),
        levels=tuple(level._replace(bytes_per_s=level.bytes_per_s * bandwidth) for level in machine.levels),
        parameters=parameters,
    )


def least_seconds(nbytes: float, levels: tuple[MemoryLevel, ...]) -> float:
    """Seconds that moving `nbytes` takes at least: at the bandwidth of the fastest memory that can hold them."""
    for level in levels:
        if level.capacity_bytes is None or nbytes <= level.capacity_bytes:
            return nbytes / level.bytes_per_s
    return nbytes / levels[-1].bytes_per_s


def held_bytes(machine: Machine) -> float:
    """Bytes that the last cache holds."""
    return max((level.capacity_bytes for level in machine.levels if level.capacity_bytes is not None), default=0.0)


def dominant(compute_s: float, memory_s: float, overhead_s: float) -> Bound:
    """The largest of the three parts, by name."""
    if overhead_s > compute_s and overhead_s > memory_s:
        return "overhead"
    return "compute" if compute_s >= memory_s else "memory"
