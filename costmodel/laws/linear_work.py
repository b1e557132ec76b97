"""`linear_work`: a kernel's time is a sum of physical work counts times constants in cycles.

    t = sigma + sum over work counts of count * cycles / clock

The model of phone CPUs under TensorFlow Lite's built-in kernels, where nothing overlaps: a convolution is an im2col copy, run by run,
a packed matrix product over 8x8 tiles with a cost for each output, and weights packed anew at every inference. What of a tensor a cache does not hold
streams from memory at a cost for each byte. Written in cycles the constants carry over between cores of one microarchitecture by the clock alone.

No kernel is faster than its bytes allow: those of the smallest memory that holds them, at its bandwidth.

Threads: matrix products, their outputs and depthwise convolutions, with what these stream, are shared among the cores in proportion to each core's
speed, and packing and the weights of a single row as well, but no faster than a share of the memory's bandwidth: a core in order packs so slowly that
four take a quarter of the time, where one fast core keeps the memory busy. Everything else stays on the fastest core. The same form with a
serial loop over K, padded K and a floor describes phone GPUs under the TFLite delegate, which takes Winograd's transforms for 3x3 windows of
stride 1 where both sides have enough channels and the image enough tiles.

ncnn has no packing of weights, but three kinds of products of their own: 3x3 windows of stride 1 by Winograd's transforms, where either side has enough
channels; windows that are multiplied where they are, such as an image's; and fully connected layers of several rows, which read all their weights for each
row. Grouped windows are one convolution for each group. Detection layers look scores up one by one; one thread compares YOLO's boxes. Threads split all
else but copies, each an equal part, so that the slowest core ends last, and wait for one memory: what boards and phones take longer than their cores
explain is in proportion to the bytes, activations and weights alike, and once more to those that no core's own cache holds. They wait for each other at
every kernel, and a core that gets hot beside others is slower than alone. In int8 early builds make a layer for every channel that they scale, and their
files leave fully connected layers in floating point.

Derivation and fits: qed-usc/mobile-ml-benchmark rows, TFLite 2.10; see the profiles for each constant's source.
"""

from __future__ import annotations

import math
from typing import Any

from costmodel.kernel import Kernel, Program
from costmodel.laws._base import (
    PEAK_TOLERANCE,
    UNMODELLED,
    Combination,
    CoreGroup,
    Fault,
    KernelCost,
    Machine,
    MemoryLevel,
    ProgramCost,
    dominant,
    held_bytes,
    least_seconds,
    scaled_machine,
)
from costmodel.laws._cycle_constants import LAUNCHES, MOVED, PER_MAC, Constants, LinearWorkParameters
from costmodel.laws._cycles import TILE_BYTES_INT8, Shape, is_winograd, kernel_cycles, winograd
from costmodel.laws._packing import PACKED, PACKED_KINDS, STREAMED, is_row, split_s, streamed_bytes, weights_and_columns
from costmodel.work import Work, WorkKind

MAX_BATCH: int | None = None
ASSUMED_TERMS: frozenset[str] = frozenset()

PARAMETERS = LinearWorkParameters

#: Work that ncnn leaves to one thread: concatenations, slices and shuffles of channels (concat_arm.cpp, slice_arm.cpp, shufflechannel_arm.cpp of 20250428).
#: Lookups of scores, detection layers', are shared: classes are a loop of OpenMP (detectionoutput.cpp), and so are the boxes of a position
#: (yolov3detectionoutput.cpp).
_COPIES = frozenset({WorkKind.CONCAT, WorkKind.COPY})


def price(program: Program, machine: Machine) -> ProgramCost:
    """Time of every kernel on the machine's cores; the floor is a program term."""
    parameters: LinearWorkParameters = machine.parameters
    shape = Shape(parameters, program.dtype.itemsize, machine.peak("int8") / machine.peak("fp32"))
    shape.contended_s, shape.threads = _contended(parameters, machine), sum(group.count for group in machine.cores)
    keeps = parameters.speeds_together if shape.threads > 1 else {}
    groups = [(parameters.cores[group.core], group.count, group.clock_hz * keeps.get(group.core, 1.0)) for group in machine.cores]
    shape.barrier_s = parameters.barrier_s(machine)
    shape.held_bytes = held_bytes(machine)
    if parameters.packing_share is not None and shape.threads > 1:
        shape.packing_bytes_per_s = parameters.packing_share * machine.bytes_per_s
    costs = tuple([_price(kernel, shape, groups, machine.levels) for kernel in program.kernels])
    return ProgramCost(kernels=costs, terms={"floor": parameters.floor_ms * 1e-3} if parameters.floor_ms else {})


def _contended(parameters: LinearWorkParameters, machine: Machine) -> float:
    """Seconds that a byte costs several cores beyond their share of the work: of n cores all but one find the memory busy."""
    count = sum(group.count for group in machine.cores)
    return 0.0 if parameters.contended_share is None else (1 - 1 / count) / (parameters.contended_share * machine.bytes_per_s)


def _price(kernel: Kernel, shape: Shape, groups: list[tuple[Constants, int, float]], levels: tuple[MemoryLevel, ...]) -> KernelCost:
    floor_s = least_seconds(kernel.traffic_bytes, levels)
    constants, count, clock = groups[0]
    split = kernel_cycles(kernel, constants, shape)
    if split is None:
        return UNMODELLED
    shared, serial, moved = split
    spread = 0.0 if shape.static_split and kernel.works[0].kind in _COPIES else shape.rest_shared
    calculated = 0.0 if kernel.works[0].pairs else spread  # the same of arithmetic: one thread compares boxes
    joint = shared + calculated * serial + spread * moved
    joint_s = 0.0
    if joint:
        joint_s = joint / (count * clock) if len(groups) == 1 else _together(kernel, shape, groups)
    compute_s, memory_s = joint_s, 0.0
    if spread and moved:
        memory_s = joint_s * spread * moved / joint
        compute_s -= memory_s
    compute_s += (1 - calculated) * serial / clock
    memory_s += (1 - spread) * moved / clock
    if constants.streamed_cycles_per_byte:
        memory_s += _streaming_s(kernel, shape, groups)
    if shape.packing_bytes_per_s:
        memory_s -= (1 - spread) * _saved_s(kernel.works[0], shape, groups)
    if shape.contended_s:
        beyond = streamed_bytes(kernel.works[0], kernel.dtype.itemsize, shape.resident) if constants.streamed_cycles_per_byte is not None else 0.0
        memory_s += shape.contended_s * (_moved_bytes(kernel, constants, shape) + beyond)
    groups_in_turn = kernel.works[0].groups if shape.groups_apart and kernel.works[0].kind is WorkKind.GROUPED else 1
    overhead_s = constants.kernel_cycles / clock + shape.barrier_s * groups_in_turn
    latency_s = compute_s + memory_s + overhead_s
    if latency_s < floor_s:
        latency_s = memory_s = floor_s
    return KernelCost(latency_s, compute_s, memory_s, overhead_s, dominant(compute_s, memory_s, overhead_s))


def _moved_bytes(kernel: Kernel, constants: Constants, shape: Shape) -> int:
    """Bytes that the cores move together: the kernel's tensors, and transformed tiles, which are written and read.

    Where fully connected layers of several rows take one row at a time in each thread, weights that no cache holds pass by once for every row of a thread,
    but those of attention, a third of a transformer's (12 squares of its width), which are products as others. Where threads take equal parts,
    nonlinearities, and scales of channels, work in place, on what a core has just written and its caches hold.
    """
    work = kernel.works[0]
    if shape.static_split and work.kind is WorkKind.ELEMENTWISE and work.elements_read < 2 * work.elements_written:
        return 0
    if work.kind is WorkKind.LINEAR and constants.linear_cycles_per_mac is not None and kernel.weight_bytes > shape.held_bytes:
        return kernel.traffic_bytes + 2 * (-(-work.m // shape.threads) - 1) * kernel.weight_bytes // 3
    if not is_winograd(work, constants, shape):
        return kernel.traffic_bytes
    itemsize = TILE_BYTES_INT8 if shape.itemsize == 1 else shape.itemsize
    return kernel.traffic_bytes + itemsize * 2 * winograd(work, shape)[1]


def _streaming_s(kernel: Kernel, shape: Shape, groups: list[tuple[Constants, int, float]]) -> float:
    """Seconds of what a kernel streams beyond the caches: shared where its arithmetic is."""
    work = kernel.works[0]
    streamed = streamed_bytes(work, kernel.dtype.itemsize, shape.resident)
    if not streamed:  # as most kernels
        return 0.0
    constants, count, hertz = groups[0]
    alone_s = streamed * (constants.streamed_cycles_per_byte or 0.0) / hertz
    shared = 1.0 if work.kind in PACKED_KINDS else shape.depthwise_shared if work.kind is WorkKind.DEPTHWISE else shape.rest_shared
    if not shared or shape.threads == 1:
        return alone_s
    together_s = alone_s / count if len(groups) == 1 else split_s((streamed * (one.streamed_cycles_per_byte or 0.0) / hz, cores) for one, cores, hz in groups)
    return (1 - shared) * alone_s + shared * together_s


def _saved_s(work: Work, shape: Shape, groups: list[tuple[Constants, int, float]]) -> float:
    """Seconds by which packing, or streaming the weights of one row, is faster on all cores than on the first, as far as the memory allows."""
    if work.kind not in PACKED_KINDS or is_winograd(work, groups[0][0], shape):
        return 0.0
    weights, columns = weights_and_columns(work)
    row = is_row(work)
    first, count, clock = groups[0]
    alone_s = _packing_cycles(weights, columns, row, first) / clock
    if not alone_s:
        return 0.0
    split = alone_s / count if len(groups) == 1 else split_s((_packing_cycles(weights, columns, row, one) / hertz, cores) for one, cores, hertz in groups)
    least_s = (STREAMED if row else PACKED) * (weights + columns) * shape.itemsize / shape.packing_bytes_per_s
    return alone_s - min(alone_s, max(split, least_s))


def _packing_cycles(weights: int, columns: int, row: bool, c: Constants) -> float:
    if row and c.gemv_cycles_per_weight is not None:
        return c.gemv_cycles_per_weight * weights
    return c.weight_cycles_per_element * weights + c.pack_cycles_per_element * columns


def _together(kernel: Kernel, shape: Shape, groups: list[tuple[Constants, int, float]]) -> float:
    """Seconds of what all cores share: each an equal part, or as much as it is fast."""
    seconds = []
    for constants, _, hertz in groups:
        split = kernel_cycles(kernel, constants, shape)
        seconds.append((split[0] + shape.rest_shared * (split[2] + (0.0 if kernel.works[0].pairs else split[1]))) / hertz if split else math.inf)
    if shape.static_split:
        return max(seconds) / sum(count for _, count, _ in groups)
    return 1 / sum(count / alone for (_, count, _), alone in zip(groups, seconds, strict=True))


def scaled(machine: Machine, *, peak: float, bandwidth: float) -> Machine:
    """A machine of other speed: see `Law.scaled`; cycles of arithmetic shrink by one factor, those of moving by the other."""
    parameters: LinearWorkParameters = machine.parameters
    cores = {name: _faster(constants, peak, bandwidth) for name, constants in parameters.cores.items()}
    return scaled_machine(machine, peak=peak, bandwidth=bandwidth, parameters=parameters.model_copy(update={"cores": cores}))


def _faster(constants: Constants, peak: float, bandwidth: float) -> Constants:
    cycles = {name: value for name, value in constants if value is not None and name not in LAUNCHES}
    return constants.model_copy(update={name: value / (bandwidth if name in MOVED else peak) for name, value in cycles.items()})


def combination(machine: Machine) -> Combination | None:
    """Kernels add up."""
    return Combination()


def faults(parameters: Any, machine: Machine, dtype: str) -> list[Fault]:
    """Constants that would make a core multiply faster than its units can, and cores without constants."""
    found = []
    for group in machine.cores:
        constants = parameters.cores.get(group.core)
        if constants is None:
            found.append(Fault(("cores",), f"has no constants for core {group.core!r}; it has {', '.join(sorted(parameters.cores)) or 'none'}"))
            continue
        found += _rate_faults(group, constants, machine, dtype)
    return found


def _rate_faults(group: CoreGroup, constants: Constants, machine: Machine, dtype: str) -> list[Fault]:
    if group.flops_per_cycle:
        fastest = group.flops_per_cycle.get(dtype, group.flops_per_cycle.get("fp32", 0.0)) / 2
    else:  # a processor whose peak is stated as a whole
        fastest = machine.peak(dtype) / 2 / group.clock_hz
    found = []
    for name in PER_MAC:
        cycles = getattr(constants, name)
        if cycles is not None and cycles * fastest * PEAK_TOLERANCE < 1:
            found.append(
                Fault(
                    ("cores", group.core, name),
                    f"implies {1 / cycles if cycles else float('inf'):.4g} MAC a cycle, over the core's peak of {fastest:.4g} (times {PEAK_TOLERANCE})",
                )
            )
    return found
