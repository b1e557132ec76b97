"""`roofline`: each kernel takes the smooth maximum of its compute and memory time, plus a dispatch cost; kernels add.

The law of server and desktop CPUs, and of processors known from their datasheet alone. See `_smooth` for the formula. Of n cores that each have B_core,

    B_a = B_n = 1/(1/(n B_core) + 1/B),   B_w = B_n b_w

where B is the memory's bandwidth and b_w `weight_share`. Where `cache_gb_per_s` is known, what the last cache of C bytes holds moves at n times that instead:
of a kernel's A bytes the part C/A, of a network's weights W_net the part C/W_net, the other weights at `spilled_weight_share` of B. Threads wait for each other
for `thread_us` times log2 n a kernel; a loop of E elements (what is no contraction) runs on E/`chunk_elements` threads, if these are fewer.

An (m, k) x (k, n') product with W bytes of weights is shared in tiles of `tile_rows` x `tile_outputs` where these are stated: T tiles take
ceil(T/n) rounds of all n cores, of which they fill T/(n ceil(T/n)). Its weights count as far from the cores by the share W/(W + n C_core), where C_core is
`core_cache_mib`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

from costmodel.kernel import Kernel, Program
from costmodel.laws._base import Combination, Fault, Machine, Movable, ProgramCost, held_bytes, scaled_machine
from costmodel.laws._smooth import MIB, MOVABLE_SHARE, NonNegative, Positive, Reach, Share, SmoothParameters, price_kernels, share_faults
from costmodel.work import CONTRACTIONS, WorkKind

MAX_BATCH: int | None = None
ASSUMED_TERMS: frozenset[str] = frozenset()


class RooflineParameters(SmoothParameters):
    """The smooth roofline's parameters, and what cores add: a bandwidth of each, a barrier of all, and a last cache whose bandwidth was measured."""

    thread_us: Annotated[NonNegative, Movable()] = 0  # a barrier: times log2 of the threads
    chunk_elements: Annotated[int, Field(ge=1)] | None = None  # that a loop gives each thread at least
    tile_rows: Annotated[int, Field(ge=1)] | None = None  # of a product with weights that one core takes at a time
    tile_outputs: Annotated[int, Field(ge=1)] | None = None
    core_cache_mib: Positive | None = None  # of each core alone, over which its part of a product's weights spills
    core_gb_per_s: Positive | None = None
    cache_gb_per_s: Positive | None = None
    spilled_weight_share: Annotated[Share | None, MOVABLE_SHARE] = None

    @property
    def benched(self) -> bool:
        """Also where the cache's bandwidth is stated."""
        return self.cache_gb_per_s is not None or super().benched

    def barrier_s(self, machine: Machine) -> float:
        """Seconds that the threads of a kernel wait for each other."""
        return self.thread_us * 1e-6 * math.log2(_count(machine))

    def joined(self, kernel: Kernel, machine: Machine) -> float:
        """A loop of few elements runs on few threads, where it is stated how many each gets."""
        count = _count(machine)
        if self.chunk_elements is None or count == 1 or kernel.kind in CONTRACTIONS:
            return 1.0
        elements = max(kernel.read_bytes, kernel.write_bytes) // kernel.dtype.itemsize
        return math.log2(min(count, max(1, -(-elements // self.chunk_elements)))) / math.log2(count)

    def tiled(self, kernel: Kernel, machine: Machine) -> float:
        """Tiles over those that all cores would take in as many rounds."""
        work = kernel.works[0]
        if self.tile_rows is None or self.tile_outputs is None or not work.m or kernel.kind is not WorkKind.LINEAR:
            return 1.0
        tiles, count = -(-work.m // self.tile_rows) * -(-work.n // self.tile_outputs) * work.groups, _count(machine)
        return tiles / (-(-tiles // count) * count)

    def spilling(self, kernel: Kernel, machine: Machine) -> float:
        """The weights over themselves and what all cores' own caches hold."""
        if self.core_cache_mib is None or not kernel.weight_bytes or kernel.kind is not WorkKind.LINEAR:
            return 0.0
        return kernel.weight_bytes / (kernel.weight_bytes + _count(machine) * self.core_cache_mib * MIB)

    def bytes_per_s(self, machine: Machine) -> float:
        """Bytes a second that the cores in use reach together."""
        if self.core_gb_per_s is None:
            return machine.bytes_per_s
        return 1 / (1 / (_count(machine) * self.core_gb_per_s * 1e9) + 1 / machine.bytes_per_s)

    def reach(self, machine: Machine, stored_weight_bytes: int = 0) -> Reach:
        """Activations and weights move as fast as the last cache lets them as far as it holds them, where its bandwidth is stated."""
        if self.cache_gb_per_s is None:
            return super().reach(machine, stored_weight_bytes)
        near, held = self.cache_gb_per_s * 1e9 * _count(machine), held_bytes(machine)
        weights = near * self.weight_share
        if stored_weight_bytes > held:
            kept = held / stored_weight_bytes
            weights = 1 / (kept / weights + (1 - kept) / (machine.bytes_per_s * (self.spilled_weight_share or self.weight_share)))
        return Reach(near, self.bytes_per_s(machine), weights, held)


PARAMETERS = RooflineParameters


def price(program: Program, machine: Machine) -> ProgramCost:
    """Time of every kernel; the floor is a program term."""
    parameters: RooflineParameters = machine.parameters
    return ProgramCost(kernels=price_kernels(program, machine), terms={"floor": parameters.floor_us * 1e-6} if parameters.floor_us else {})


def _count(machine: Machine) -> int:
    """Cores in use; 1 for a processor without."""
    return sum(group.count for group in machine.cores) or 1


def combination(machine: Machine) -> Combination | None:
    """Kernels add up; while the last cache holds all weights, where its bandwidth is stated."""
    parameters: RooflineParameters = machine.parameters
    return Combination() if parameters.cache_gb_per_s is None else Combination(weight_bytes=held_bytes(machine))


def scaled(machine: Machine, *, peak: float, bandwidth: float) -> Machine:
    """A machine of other speed: see `Law.scaled`; the shares of peak and bandwidth stay what they are."""
    parameters: RooflineParameters = machine.parameters
    rates = {"core_gb_per_s": parameters.core_gb_per_s, "cache_gb_per_s": parameters.cache_gb_per_s}
    faster = parameters.model_copy(update={name: rate * bandwidth for name, rate in rates.items() if rate is not None})
    return scaled_machine(machine, peak=peak, bandwidth=bandwidth, parameters=faster)


def faults(parameters: Any, machine: Machine, dtype: str) -> list[Fault]:
    """Work kinds that do not exist."""
    return share_faults(parameters, dtype)
