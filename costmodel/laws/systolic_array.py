"""`systolic_array`: an Edge TPU. Layers run on a grid of tiles; parameters that do not fit on chip stream over the link.

    t = t0 + sum over layers of max(cycles / (e f) + s_out * outputs, streamed bytes / W) + (input + output bytes) / W

    cycles = ceil(positions / 16) * ceil(C' / 64) * taps * ceil(C / 4)     (16 tiles, 64 cells each, 4-way MAC)
    depthwise convolutions use one lane of four; 1x1 outputs spread their channels over the tiles

The parameter cache is filled in execution order, byte by byte: with P parameter bytes in a capacity of
C_total - kappa * (peak activation bytes), the share of every layer that streams is max(0, 1 - capacity / P). The peak is
that of the compiler's own schedule, which is taken to finish the longest branch first in whatever order a file lists them.
Streaming overlaps compute (VGG-19 costs over VGG-16 just its extra bytes). Sources: geometry from google-coral/libedgetpu,
driver/config/beagle/beagle_chip_structures.h; constants fitted to Coral's benchmark page.

What the compiler leaves to the CPU (partition ``host``) is priced by the host's law; the tensors that cross move over the
link. The delegate takes one subgraph, which runs first, so that there is one invocation and one crossing.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import Field

from costmodel.kernel import HOST, Buffer, Kernel, Program
from costmodel.laws._base import (
    PEAK_TOLERANCE,
    UNMODELLED,
    Combination,
    Fault,
    KernelCost,
    Machine,
    Movable,
    Parameters,
    ProgramCost,
    dominant,
    law,
    scaled_machine,
)
from costmodel.work import CONTRACTIONS, WorkKind

#: The compiler takes constant shapes, one sample a pass.
MAX_BATCH: int | None = 1
ASSUMED_TERMS: frozenset[str] = frozenset()

MIB = 1024**2
#: int8: two operands and a result.
_BYTES_OF_AN_ADDITION = 3
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class SystolicArrayParameters(Parameters):
    """The array's geometry and clock, its parameter cache, its link, and the costs of an output and of an invocation."""

    tiles: Annotated[int, Field(ge=1)]
    cells: Annotated[int, Field(ge=1)]
    lanes: Annotated[int, Field(ge=1)]
    clock_ghz: Positive
    efficiency: Annotated[float, Field(gt=0, le=PEAK_TOLERANCE), Movable()]
    output_ns: Annotated[NonNegative, Movable()]
    moved_output_ns: Annotated[NonNegative, Movable()]
    cache_mib: Annotated[NonNegative, Movable()]
    activation_share: Annotated[float, Field(ge=0, le=1), Movable(low=1e-3, high=1.0)]
    link_gb_per_s: Annotated[Positive, Movable()]
    link_ceiling_gb_per_s: Positive
    invocation_ms: Annotated[NonNegative, Movable()]

    @property
    def flops_per_s(self) -> float:
        """What all lanes multiply and add a second."""
        return 2 * self.tiles * self.cells * self.lanes * self.clock_ghz * 1e9

    def limits(self, machine: Machine, dtype: str) -> dict[str, tuple[float, float]]:
        """Also those of the array's peak and of the link's ceiling."""
        most = min(PEAK_TOLERANCE, PEAK_TOLERANCE * machine.peak(dtype) / self.flops_per_s * (1 - 1e-9))
        return super().limits(machine, dtype) | {"efficiency": (1e-3, most), "link_gb_per_s": (1e-3, self.link_ceiling_gb_per_s)}


PARAMETERS = SystolicArrayParameters


def price(program: Program, machine: Machine) -> ProgramCost:
    """Time of every layer; invocation and input and output transfers are program terms."""
    parameters: SystolicArrayParameters = machine.parameters
    link = parameters.link_gb_per_s * 1e9
    streamed = streamed_share(program, parameters)
    delegated = [kernel for kernel in program.kernels if kernel.partition != HOST]
    rest = [kernel for kernel in program.kernels if kernel.partition == HOST]
    on_host = _on_host(program, rest, machine) if rest else ProgramCost(kernels=())
    terms = {f"host_{name}": seconds for name, seconds in on_host.terms.items()}
    if delegated:
        terms["invocation"] = parameters.invocation_ms * 1e-3
        terms["transfer"] = (program.input_bytes + (0 if rest else program.output_bytes)) / link
    if delegated and rest:
        terms["crossing"] = sum(program.buffers[number].nbytes for number in crossing(program)) / link
    by_side = iter([_layer(kernel, parameters, streamed, link) for kernel in delegated]), iter(on_host.kernels)
    ordered = tuple(next(by_side[kernel.partition == HOST]) for kernel in program.kernels)
    return ProgramCost(kernels=ordered, terms=terms)


def streamed_share(program: Program, parameters: SystolicArrayParameters) -> float:
    """Share of the delegated parameters that does not fit on chip and streams over the link at every inference."""
    weights = sum(kernel.weight_bytes for kernel in program.kernels if kernel.partition != HOST)
    return max(0.0, 1 - cache_bytes(program, parameters) / weights) if weights else 0.0


def cache_bytes(program: Program, parameters: SystolicArrayParameters) -> float:
    """Bytes of parameters that stay on chip: what activations at their peak leave of the cache."""
    return max(0.0, parameters.cache_mib * MIB - parameters.activation_share * scheduled_peak_bytes(program))


def scheduled_peak_bytes(program: Program) -> int:
    """Largest sum of live activations where of several branches the longest runs first, to its end, and the next after it.

    The same for every order in which the operators of one network may be listed.
    """
    kernels, buffers = program.kernels, program.buffers
    sources = [sorted({buffers[number].first for number in kernel.inputs} - {-1}) for kernel in kernels]
    depth: list[int] = []
    for found in sources:
        depth.append(1 + max((depth[source] for source in found), default=0))
    keys = [(-depth[at], -kernel.write_bytes, -kernel.macs) for at, kernel in enumerate(kernels)]
    position: dict[int, int] = {}
    waiting = sorted(set(range(len(kernels))) - {source for found in sources for source in found}, key=keys.__getitem__, reverse=True)
    while waiting:
        at = waiting[-1]
        missing = [source for source in sources[at] if source not in position]
        if missing:
            waiting.extend(sorted(missing, key=keys.__getitem__, reverse=True))
        else:
            waiting.pop()
            position.setdefault(at, len(position))
    last = [-1] * len(buffers)
    for at, kernel in enumerate(kernels):
        for number in kernel.inputs:
            last[number] = max(last[number], position[at])
    moved = [
        Buffer(
            name=buffer.name,
            nbytes=buffer.nbytes,
            first=position.get(buffer.first, -1),
            last=len(kernels) if buffer.last == len(kernels) else max(last[number], position.get(buffer.first, -1)),
        )
        for number, buffer in enumerate(buffers)
    ]
    return dataclasses.replace(program, buffers=tuple(moved)).peak_activation_bytes


def array_cycles(kernel: Kernel, parameters: SystolicArrayParameters) -> float:
    """Cycles of a contraction on the grid: positions over tiles, output channels over cells, input channels over lanes."""
    work = kernel.works[0]
    if work.kind is WorkKind.DEPTHWISE:
        positions, channels, steps = work.m, work.n * work.groups, work.k  # one lane of each cell works
    elif work.kind is WorkKind.TRANSPOSED:
        positions, channels, steps = work.m, work.n * work.groups, -(-work.k // parameters.lanes)
    else:
        positions, channels, steps = work.m * work.groups, work.n, work.taps * -(-(work.k // work.taps) // parameters.lanes)
    if positions == 1:  # re-mapped: the tiles share the output channels instead
        return float(-(-channels // (parameters.tiles * parameters.cells)) * steps)
    return float(-(-positions // parameters.tiles) * -(-channels // parameters.cells) * steps)


def _layer(kernel: Kernel, parameters: SystolicArrayParameters, streamed: float, link: float) -> KernelCost:
    outputs = kernel.works[-1].elements_written
    if kernel.kind is WorkKind.ATTENTION or kernel.kind is WorkKind.GATHER:
        return UNMODELLED
    if kernel.kind in CONTRACTIONS:
        compute_s = array_cycles(kernel, parameters) / (parameters.efficiency * parameters.clock_ghz * 1e9) + outputs * parameters.output_ns * 1e-9
    else:  # an addition reads two elements for each that it writes: other kernels cost as much a byte
        touched = max(outputs, (kernel.read_bytes + kernel.write_bytes) / _BYTES_OF_AN_ADDITION)
        compute_s = touched * parameters.moved_output_ns * 1e-9
    memory_s = streamed * kernel.weight_bytes / link
    return KernelCost(max(compute_s, memory_s), compute_s, memory_s, 0.0, dominant(compute_s, memory_s, 0.0))


def crossing(program: Program) -> tuple[int, ...]:
    """The buffers, by position, that one partition writes and the other reads."""
    side = [kernel.partition == HOST for kernel in program.kernels]
    found = set()
    for kernel in program.kernels:
        for number in kernel.inputs:
            first = program.buffers[number].first
            if first >= 0 and side[first] != (kernel.partition == HOST):
                found.add(number)
    return tuple(sorted(found))


def _on_host(program: Program, kernels: list[Kernel], machine: Machine) -> ProgramCost:
    """The kernels that stay on the CPU, by the host's own law."""
    if machine.host is None:
        return ProgramCost(kernels=tuple(UNMODELLED for _ in kernels))
    name, host = machine.host
    part = dataclasses.replace(program, kernels=tuple(kernels), input_bytes=0, output_bytes=0, stored_weight_bytes=0)
    return law(name).price(part, host)


def combination(machine: Machine) -> Combination | None:
    """None: how much of a layer's parameters streams depends on all parameters and on the peak of activations."""
    return None


def scaled(machine: Machine, *, peak: float, bandwidth: float) -> Machine:
    """A machine of other speed: see `Law.scaled`; the host stays as it is."""
    parameters: SystolicArrayParameters = machine.parameters
    faster = parameters.model_copy(
        update={
            "clock_ghz": parameters.clock_ghz * peak,
            "output_ns": parameters.output_ns / peak,
            "moved_output_ns": parameters.moved_output_ns / peak,
            "link_gb_per_s": parameters.link_gb_per_s * bandwidth,
            "link_ceiling_gb_per_s": parameters.link_ceiling_gb_per_s * bandwidth,
        }
    )
    return scaled_machine(machine, peak=peak, bandwidth=bandwidth, parameters=faster)


def faults(parameters: Any, machine: Machine, dtype: str) -> list[Fault]:
    """An array faster than the processor's peak, and a link over its ceiling."""
    found = []
    peak = machine.peak(dtype)
    rate = parameters.flops_per_s * parameters.efficiency
    if rate > PEAK_TOLERANCE * peak:
        found.append(Fault(("efficiency",), f"gives {rate / 1e12:.4g} TOP/s with this geometry and clock, over the peak of {peak / 1e12:.4g}"))
    if parameters.link_gb_per_s > parameters.link_ceiling_gb_per_s:
        found.append(Fault(("link_gb_per_s",), f"{parameters.link_gb_per_s:g} is over link_ceiling_gb_per_s = {parameters.link_ceiling_gb_per_s:g}"))
    return found
