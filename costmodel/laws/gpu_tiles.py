"""`gpu_tiles`: the smooth roofline of a GPU, whose matrix products run as tiles in waves over the multiprocessors, fed by a
launch queue.

A contraction of M x N outputs runs as ceil(M/tm)*ceil(N/tn) blocks (times `groups`, times a split of K where there are
fewer blocks than multiprocessors); they fill the machine in whole waves. The library's choice of tile is taken to be the
best of a few:

    occupancy = M*N*groups / (tm*tn*multiprocessors * waves),   waves = ceil(blocks / multiprocessors)

Of the A bytes that a kernel touches the part C/(2 A) is still in the last cache, of C bytes, from the kernel before, and moves at that cache's bandwidth
(B_a of the formula in `_smooth`): about half of the cache holds what a kernel reads, the other half what it writes itself. (Chosen after looking at rows of
both RTX: the 4090 has twelve times the 3090's cache.)

A block goes along its part of K in steps of 64 bytes of each operand, 32 elements in half precision and 64 in int8. In every wave a step waits `step_ns` for a
barrier and for fragments from shared memory; `fetch_ns` is what the chain of loads of one block takes a step, once, for the blocks of later waves load while
others multiply:

    d = steps * (fetch_ns + step_ns * waves)

The host issues kernels in order and runs ahead of the device where it can:

    h_k = h_(k-1) + host,   e_k = max(e_(k-1), h_k) + t_k

The makespan is e of the last kernel; what it exceeds the sum of the device times by is the program term
``launch_queue``. Not additive, but composable: a run of kernels with host sum H, device sum D and own makespan M turns
(h, e) into (h + H, max(e + D, h + M)).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from costmodel.kernel import Kernel, Program
from costmodel.laws._base import LAUNCH_QUEUE, Combination, Fault, Machine, Movable, ProgramCost, launch_queue, scaled_machine
from costmodel.laws._smooth import Reach, Share, SmoothParameters, price_kernels, share_faults
from costmodel.work import CONTRACTIONS, Work, WorkKind

MAX_BATCH: int | None = None
#: Public rows of GPUs are of large batches, where the host never delays the device.
ASSUMED_TERMS = frozenset({LAUNCH_QUEUE})

#: Output tiles (rows, columns) of cuBLAS and CUTLASS kernels for half precision; the smaller, the less reuse.
TILES = ((256, 128), (128, 128), (128, 64), (64, 64), (64, 32), (32, 32))
#: Least K that a split leaves to a block; below, the reduction of partial sums costs more than it gains.
MIN_SPLIT_K = 256

#: Bytes of each operand along K that a block stages at a time: 32 elements in half precision, 64 in int8 (CUTLASS 2, tiles of Turing in
#: include/cutlass/gemm/device/default_gemm_configuration.h).
STEP_BYTES = 64

#: Share of the last cache in which a kernel finds what the one before it wrote.
FOUND_SHARE = 0.5
_TILED = frozenset({WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.TRANSPOSED, WorkKind.LINEAR, WorkKind.MATMUL})


#: Share of bandwidth that a library's product of a GPU streams operands at, at least, where nothing but memory is in the way: what makes it slower is
#: its arithmetic, which grows with multiprocessors and clock. Free below, the RTX 3090's shares fell to 0.2 and predicted an RTX 4090 17 % off.
STREAMED = 0.7


class GpuTilesParameters(SmoothParameters):
    """The smooth roofline's parameters, what the host needs to issue one kernel, and what a step along K waits. Fits keep shares of bandwidth within the
    datasheet's.
    """

    memory_share: Annotated[dict[str, Share], Movable(low=1e-3, high=1.0)]
    host_us: Annotated[float, Field(ge=0)] = 0
    step_ns: Annotated[float, Field(ge=0)] = 0
    fetch_ns: Annotated[float, Field(ge=0)] = 0

    @property
    def benched(self) -> bool:
        """Also waits along K, which no large batch tells."""
        return self.step_ns > 0 or self.fetch_ns > 0 or super().benched

    def limits(self, machine: Machine, dtype: str) -> dict[str, tuple[float, float]]:
        """Also what products stream at, at least."""
        return super().limits(machine, dtype) | {f"memory_share.{kind}": (STREAMED, 1.0) for kind in CONTRACTIONS}

    def reach(self, machine: Machine, stored_weight_bytes: int = 0) -> Reach:
        """The datasheet's bandwidths of the last cache and of memory, and the bytes that a kernel finds in that cache."""
        far = machine.bytes_per_s
        cache = machine.levels[-2] if len(machine.levels) > 1 else None
        near, held = (far, 0.0) if cache is None or cache.capacity_bytes is None else (cache.bytes_per_s, FOUND_SHARE * cache.capacity_bytes)
        return Reach(near, far, far * self.weight_share, held, stated=True)

    def occupancy(self, kernel: Kernel, machine: Machine) -> float:
        """What the tiles of a product fill of whole waves."""
        return kernel_occupancy(kernel, machine.units)

    def awaited_s(self, kernel: Kernel, machine: Machine) -> float:
        """What the steps of a product along K wait; 0 where there are no tiles, or none is stated."""
        work = kernel.works[0]
        if work.kind not in _TILED or not (self.step_ns or self.fetch_ns):
            return 0.0
        tiling = best_tiling(work, machine.units)
        steps = -(-work.k * kernel.dtype.itemsize // (tiling.parts * STEP_BYTES))
        return steps * (self.fetch_ns + self.step_ns * tiling.waves) * 1e-9


class Tiling(NamedTuple):
    """How a product fills the machine: the share of whole waves that is outputs, how many parts K is split into, and the waves."""

    occupancy: float
    parts: int
    waves: int


PARAMETERS = GpuTilesParameters

__all__ = [
    "ASSUMED_TERMS",
    "MAX_BATCH",
    "PARAMETERS",
    "GpuTilesParameters",
    "combination",
    "faults",
    "price",
    "scaled",
    "tile_occupancy",
]


def price(program: Program, machine: Machine) -> ProgramCost:
    """Time of every kernel on the device; the floor and the wait for the host are program terms."""
    parameters: GpuTilesParameters = machine.parameters
    kernels = price_kernels(program, machine)
    terms = {"floor": parameters.floor_us * 1e-6, LAUNCH_QUEUE: launch_queue([cost.latency_s for cost in kernels], parameters.host_us * 1e-6)}
    return ProgramCost(kernels=kernels, terms={name: seconds for name, seconds in terms.items() if seconds})


def kernel_occupancy(kernel: Kernel, units: int) -> float:
    """Share of the multiprocessors' time that the tiles of a kernel's product fill; 1 where there are none."""
    work = kernel.works[0]
    return tile_occupancy(work, units) if work.kind in _TILED else 1.0


def tile_occupancy(work: Work, units: int) -> float:
    """Share of the tiles' arithmetic, over whole waves, that produces outputs; 1 is a machine full of full tiles.

    Examples
    --------
    >>> full = Work(kind=WorkKind.LINEAR, m=4096, n=4096, k=1024)
    >>> tile_occupancy(full, 128)
    1.0
    >>> one_row_too_many = Work(kind=WorkKind.LINEAR, m=128, n=128 * 109, k=128)
    >>> round(tile_occupancy(one_row_too_many, 108), 2) < 1
    True
    """
    return best_tiling(work, units).occupancy


def best_tiling(work: Work, units: int) -> Tiling:
    """The tiling of the best occupancy on so many multiprocessors; of equal ones that of the larger tiles."""
    return _best_tiling(work.m, work.n, work.k, work.groups, units, TILES)


@lru_cache(maxsize=1 << 14)
def _best_tiling(m: int, n: int, k: int, groups: int, units: int, tiles: tuple[tuple[int, int], ...]) -> Tiling:
    """The same for a shape, of these tiles; found once, for networks repeat shapes and a fit prices each many times over."""
    best = Tiling(0.0, 1, 1)
    outputs = m * n * groups
    splits = max(1, k // MIN_SPLIT_K)
    for rows, columns in tiles:
        blocks = -(-m // rows) * -(-n // columns) * groups
        parts = min(splits, -(-units // blocks)) if blocks < units else 1
        waves = -(-blocks * parts // units)
        occupancy = outputs * parts / (rows * columns * units * waves)
        if occupancy > best.occupancy:
            best = Tiling(min(1.0, occupancy), parts, waves)
    return best


def combination(machine: Machine) -> Combination | None:
    """Parts are runs of a queue of launches."""
    parameters: GpuTilesParameters = machine.parameters
    return Combination(parameters.host_us * 1e-6)


def scaled(machine: Machine, *, peak: float, bandwidth: float) -> Machine:
    """A machine of other speed: see `Law.scaled`; the shares of peak and bandwidth stay what they are."""
    return scaled_machine(machine, peak=peak, bandwidth=bandwidth, parameters=machine.parameters)


def faults(parameters: Any, machine: Machine, dtype: str) -> list[Fault]:
    """Work kinds that do not exist."""
    return share_faults(parameters, dtype)
