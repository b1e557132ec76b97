"""The smooth roofline that `roofline` and `gpu_tiles` share: one kernel's time from its flops, its bytes and its shape.

    t = overhead + (tc^q + tm^q)^(1/q) + X/(R r) + W/(B_n w) + p A/B_a

    tc = flops / (P * e_kind * u * a * f) + d        tm = A/(B_a * b_kind * h * c) + W/B_w

    u  = K/(K + k0) * min(occupancy, N/(N + n0) * M/(M + m0))  for dense contractions;  K/(K + kg) * N/(N + ng)  for grouped ones
         min(1, (k/3)^g)  for depthwise windows k x k, times `fallback_factor` where the library has no kernel for them
         the share of its blocks that is scores  for attention;  1, with a and f, for what is no contraction, which runs at the fp32 peak
    a  = `misaligned_factor` where a channel count is not a multiple of `aligned_to` (images that are transposed are padded on the way)
    p  = `relayout_passes` of the kind for images whose channels are not innermost: units that want them so get copies, and results are copied back
         for activations times weights u has two more factors where each law's machine has cores that share a product: `tiled`, the share of their rounds
         that tiles fill, and 1/(1 + `spilled_cost` `spilling`), where `spilling` is how far the weights exceed what is near the cores
    f  = `window_factor` for dense 3x3 windows of stride 1 (above 1: Winograd), `strided_factor` for dense windows of stride > 1
    h  = S/(S + s0) for convolutions on S positions;  c = 1 + l/(1 + (A/L)^2), the bonus of a cache of L bytes
    B_a, B_w, B_n = bytes a second of activations, of weights, and of what is near: `reach`, which each law states for its machines
    d  = what products wait besides for their operands, which each law states for its machines (`awaited_s`)
    overhead = `kernel_us` + the barrier of the threads + `kind_us` of the kind + `contraction_us` + `image_us` for convolutions, whose library describes
         itself and lays filters out anew at every call + `cold_us` T/(T + Z) for a kernel that moves T bytes
         in all, where Z is `cold_mib`: what a kernel needs besides its tensors (code, tables, buffers) is displaced by what its neighbours move, about as
         much as it does
    X  = transcendentals,  R = peak fp32 rate,  r = `transcendental_share`, for erf `error_function_share` where that is stated
    F/(B_a g) besides, g = `page_share`, for F bytes that the allocator keeps for nobody: see `fresh_bytes`
    w  = `repack_share`, where filters of convolutions are packed anew at every inference, another for filters of several taps, whose
         elements a reorder gathers one by one; no such term where it is not stated

M0 of dense windows of several taps is `window_m_half`, and the shares of windows of which the largest element is taken stand under `pooling-max`, where these
are stated. A product of one row fills no panels: where `row_share` is stated, it stands for e u a f.

Each step of a recurrent layer reads its weights, so that tm has W times the steps, and M is the rows of one step.

No activation moves faster than the fastest memory that can hold what the kernel touches. P and the bandwidths are the profile's, so that e and b are shares
of physics and bounded by it. Sources: Williams, Waterman and Patterson, "Roofline" (CACM 2009) for the maximum; the ramps and their values are fitted (see
the profiles).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

from costmodel.kernel import Kernel, Program
from costmodel.laws._base import PEAK_TOLERANCE, UNMODELLED, Fault, KernelCost, Machine, Movable, Parameters, dominant, least_seconds
from costmodel.work import CONTRACTIONS, Work, WorkKind

Share = Annotated[float, Field(gt=0, le=PEAK_TOLERANCE)]
#: A share that a fit may move, and how far.
MOVABLE_SHARE = Movable(low=1e-3, high=PEAK_TOLERANCE)
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]

#: Arithmetic that a transform saves at most: F(6x6, 3x3) Winograd, 36*9/64 (arXiv 1509.09308, section 4).
MAX_WINDOW_FACTOR = 36 * 9 / 64

DENSE = frozenset({WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.TRANSPOSED, WorkKind.LINEAR, WorkKind.MATMUL, WorkKind.RECURRENT})
IMAGES = frozenset({WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.DEPTHWISE, WorkKind.GROUPED, WorkKind.TRANSPOSED})
#: What shares call windows of which the largest element is taken.
MAXIMA = f"{WorkKind.POOLING}-max"
_ROWS = frozenset({WorkKind.POINTWISE, WorkKind.LINEAR})
MIB = 1024**2
#: Largest buffer that glibc's allocator keeps for later ones; larger ones are mapped at each request and given back (`DEFAULT_MMAP_THRESHOLD_MAX` of
#: malloc/malloc.c, 64-bit).
KEPT_BYTES = 32 * MIB
#: Queries and keys of a block of fused attention: FlashAttention's (arXiv 2307.08691, section 3.3); a part of a block costs a whole one.
ATTENTION_BLOCK = 64


class SmoothParameters(Parameters):
    """Shares of peak and bandwidth by work kind (``default`` for those not named), overheads, and shape ramps."""

    compute_share: Annotated[dict[str, Share], MOVABLE_SHARE]
    memory_share: Annotated[dict[str, Share], MOVABLE_SHARE]
    weight_share: Annotated[Share, MOVABLE_SHARE] = 1.0
    repack_share: Annotated[Share | None, MOVABLE_SHARE] = None
    relayout_passes: Annotated[dict[str, NonNegative], Field(default_factory=dict), Movable()]
    window_repack_share: Annotated[Share | None, MOVABLE_SHARE] = None  # of filters with several taps, where it differs
    page_share: Annotated[Share | None, MOVABLE_SHARE] = None
    overlap: Annotated[float, Field(ge=1), Movable(low=1.0, high=20.0)]
    kernel_us: Annotated[NonNegative, Movable()]
    contraction_us: Annotated[NonNegative, Movable()] = 0
    image_us: Annotated[NonNegative, Movable()] = 0
    cold_us: NonNegative = 0
    cold_mib: Positive = 0.5
    kind_us: Annotated[dict[str, NonNegative], Field(default_factory=dict), Movable()]
    floor_us: Annotated[NonNegative, Movable()] = 0
    k_half: Annotated[NonNegative, Movable()] = 0
    n_half: Annotated[NonNegative, Movable()] = 0
    m_half: Annotated[NonNegative, Movable()] = 0
    window_m_half: Annotated[NonNegative | None, Movable()] = None  # of dense windows of several taps, where it differs
    row_share: Annotated[Share | None, MOVABLE_SHARE] = None
    spilled_cost: Annotated[NonNegative, Movable()] = 0  # of products of which all weights lie beyond what is near the cores, in their own time
    grouped_k_half: Annotated[NonNegative, Movable()] = 0
    grouped_n_half: Annotated[NonNegative, Movable()] = 0
    depthwise_exponent: Annotated[NonNegative, Movable()] = 0
    depthwise_taps: Annotated[int, Field(ge=1)] | None = None  # windows of more have no kernel of their own
    depthwise_aligned_to: Annotated[int, Field(ge=1)] = 1  # nor have other counts of channels
    fallback_factor: Annotated[Share, Movable()] = 1.0  # what such depthwise convolutions reach of the others' rate
    spatial_half: Annotated[NonNegative, Movable()] = 0
    aligned_to: Annotated[int, Field(ge=1)] = 1
    misaligned_factor: Annotated[Share, MOVABLE_SHARE] = 1.0
    window_factor: Annotated[float, Field(gt=0, le=MAX_WINDOW_FACTOR), Movable(low=0.1, high=5.0)] = 1.0
    strided_factor: Annotated[float, Field(gt=0, le=1), Movable(low=1e-3, high=1.0)] = 1.0
    cache_bonus: Annotated[NonNegative, Movable()] = 0
    cache_mib: Positive = 1.0
    transcendental_share: Annotated[Share, MOVABLE_SHARE] = 1.0
    error_function_share: Annotated[Share | None, MOVABLE_SHARE] = None  # of erf, where it differs

    @property
    def benched(self) -> bool:
        """Whether something is stated that only measurements of single operators tell, and fits in arrays leave out."""
        maxima = MAXIMA in self.compute_share or MAXIMA in self.memory_share
        return maxima or bool(self.kind_us) or self.row_share is not None or self.window_m_half is not None or self.fallback_factor != 1 or self.cold_us > 0

    def bytes_per_s(self, machine: Machine) -> float:
        """Bytes a second that reach memory."""
        return machine.bytes_per_s

    def reach(self, machine: Machine, stored_weight_bytes: int = 0) -> Reach:
        """How fast a program's bytes move whose weights take so many."""
        far = self.bytes_per_s(machine)
        return Reach(far, far, far * self.weight_share, 0.0)

    def occupancy(self, kernel: Kernel, machine: Machine) -> float:
        """Share of the machine's units that a kernel keeps busy for as long as it runs."""
        return 1.0

    def awaited_s(self, kernel: Kernel, machine: Machine) -> float:
        """Seconds that a contraction waits for its operands on top of its arithmetic."""
        return 0.0

    def tiled(self, kernel: Kernel, machine: Machine) -> float:
        """Share of the rounds of all cores that the tiles of a product with weights fill."""
        return 1.0

    def spilling(self, kernel: Kernel, machine: Machine) -> float:
        """Share of a product's weights that is taken to lie beyond what is near the cores."""
        return 0.0

    def joined(self, kernel: Kernel, machine: Machine) -> float:
        """Share of the barrier of all threads that a kernel waits for."""
        return 1.0


class Reach(NamedTuple):
    """Bytes a second: of activations that the last cache holds and of others, and of a program's weights; `held` is that cache's bytes.

    `stated` says that `near` and `far` are the datasheet's, which nothing exceeds.
    """

    near: float
    far: float
    weights: float
    held: float
    stated: bool = False

    def activations(self, nbytes: int) -> float:
        """Bytes a second at which a kernel's `nbytes` of activations move."""
        if nbytes <= self.held:
            return self.near
        kept = self.held / nbytes
        return 1 / (kept / self.near + (1 - kept) / self.far)


def overhead(machine: Machine, parameters: SmoothParameters) -> float:
    """Seconds before any kernel starts: dispatch, and the barrier of the threads."""
    return parameters.kernel_us * 1e-6 + parameters.barrier_s(machine)


def price_kernels(program: Program, machine: Machine) -> tuple[KernelCost, ...]:
    """Time of every kernel by itself."""
    parameters: SmoothParameters = machine.parameters
    reach, overhead_s = parameters.reach(machine, program.stored_weight_bytes), overhead(machine, parameters)
    return tuple([price_kernel(kernel, machine, parameters, reach=reach, overhead_s=overhead_s) for kernel in program.kernels])


def price_kernel(kernel: Kernel, machine: Machine, parameters: SmoothParameters, *, reach: Reach, overhead_s: float) -> KernelCost:
    """Time of one kernel."""
    anchor = kernel.works[0]
    kind = anchor.kind
    contraction = kind in CONTRACTIONS
    share = _of(parameters.compute_share, kernel)
    memory_share = _of(parameters.memory_share, kernel)
    if share is None or memory_share is None or anchor.pairs:  # one thread compares boxes, which no rate of a whole processor says
        return UNMODELLED
    peak = machine.peak(kernel.dtype if contraction else "fp32")
    if contraction:
        share = (
            parameters.row_share
            if parameters.row_share and _one_row(anchor)
            else share * _shape_factor(kernel, parameters, parameters.occupancy(kernel, machine)) * _shared_out(kernel, parameters, machine)
        )
        compute_s = 2 * kernel.macs / (peak * share) + parameters.awaited_s(kernel, machine)
        overhead_s += (parameters.contraction_us + parameters.image_us * (kind in IMAGES)) * 1e-6
    else:
        compute_s = kernel.other_flops / (peak * share)
    if parameters.cold_us:
        overhead_s += parameters.cold_us * 1e-6 * cold_share(kernel, parameters)
    overhead_s += parameters.kind_us.get(kind, 0.0) * 1e-6 - (1 - parameters.joined(kernel, machine)) * parameters.barrier_s(machine)
    activations = kernel.read_bytes + kernel.write_bytes
    rate = reach.activations(activations) * memory_share
    if parameters.cache_bonus and activations:
        rate *= 1 + parameters.cache_bonus / (1 + (activations / (parameters.cache_mib * MIB)) ** 2)
    if parameters.spatial_half and kind in IMAGES:
        rate *= anchor.spatial / (anchor.spatial + parameters.spatial_half)
    if activations:
        rate = min(rate, reach.activations(activations) if reach.stated else activations / least_seconds(activations, machine.levels))
    passes = anchor.spatial if kind is WorkKind.RECURRENT else 1  # every step of a recurrent layer reads its weights
    memory_s = activations / rate + passes * kernel.weight_bytes / reach.weights
    extra_s = transcendental_s(kernel, machine, parameters)
    if kind in IMAGES:
        repack = repack_share(parameters, anchor)
        extra_s += 0.0 if repack is None else kernel.weight_bytes / (reach.near * repack)
        extra_s += 0.0 if parameters.page_share is None else fresh_bytes(kernel) / (reach.far * parameters.page_share)
        extra_s += relayouts(parameters, kernel) * activations / reach.activations(activations) if activations else 0.0
    busy = smooth_max(compute_s, memory_s, parameters.overlap) + extra_s
    return KernelCost(overhead_s + busy, compute_s, memory_s, overhead_s, dominant(compute_s, memory_s, overhead_s))


def cold_share(kernel: Kernel, parameters: SmoothParameters) -> float:
    """Share of `cold_us` that a kernel costs: how far neighbours that move as many bytes displace what it needs besides its tensors."""
    return kernel.traffic_bytes / (kernel.traffic_bytes + parameters.cold_mib * MIB)


def transcendental_s(kernel: Kernel, machine: Machine, parameters: SmoothParameters) -> float:
    """Seconds of exp, tanh, powers and erf."""
    transcendentals = sum(work.transcendentals for work in kernel.works)
    if not transcendentals:
        return 0.0
    erf = sum(work.error_functions for work in kernel.works) if parameters.error_function_share else 0
    done = (transcendentals - erf) / parameters.transcendental_share + (erf / parameters.error_function_share if parameters.error_function_share else 0.0)
    return done / machine.peak("fp32")


def repack_share(parameters: SmoothParameters, work: Work) -> float | None:
    """Share of bandwidth at which filters are packed anew; None where they are not."""
    if work.taps > 1 and parameters.window_repack_share is not None:
        return parameters.window_repack_share
    return parameters.repack_share


def fresh_bytes(kernel: Kernel) -> int:
    """Bytes of a convolution that the allocator asks the system for at every inference, page by page: filters laid out anew and results, where larger
    than what it keeps. Other results lie in buffers that the compiled program takes again.
    """
    if kernel.kind not in IMAGES:
        return 0
    filters = kernel.weight_bytes * (2 if kernel.works[0].taps > 1 else 1)  # once with their channels innermost, once as the library packs them
    return (filters if kernel.weight_bytes > KEPT_BYTES else 0) + (kernel.write_bytes if kernel.write_bytes > KEPT_BYTES else 0)


def relayouts(parameters: SmoothParameters, kernel: Kernel) -> float:
    """How many times over a kernel's images move besides because their channels are not innermost."""
    return 0.0 if kernel.layout else parameters.relayout_passes.get(kernel.kind, 0.0)


def is_misaligned(parameters: SmoothParameters, kernel: Kernel) -> bool:
    """Whether a product runs with channel counts that its units do not take as they are; a transposition pads them on its way."""
    work, aligned = kernel.works[0], parameters.aligned_to
    if relayouts(parameters, kernel):
        return False
    if kernel.kind in DENSE:
        return bool(work.k // work.taps % aligned or work.n % aligned)
    return kernel.kind is WorkKind.GROUPED and aligned > 1 and bool(work.k // work.taps % (2 * aligned))


def smooth_max(a: float, b: float, exponent: float) -> float:
    """(a^q + b^q)^(1/q): the sum at q = 1, the maximum as q grows.

    Examples
    --------
    >>> smooth_max(3.0, 4.0, 2), smooth_max(0.0, 2.0, 8), smooth_max(1.0, 1.0, 1)
    (5.0, 2.0, 2.0)
    """
    larger, smaller = (a, b) if a >= b else (b, a)
    if larger <= 0.0:
        return 0.0
    power: float = (smaller / larger) ** exponent
    root: float = (1 + power) ** (1 / exponent)
    return larger * root


def _of(shares: Mapping[str, float], kernel: Kernel) -> float | None:
    """The share of a kernel's kind, in its layout or of maxima where these have one of their own."""
    found = shares.get(f"{kernel.kind}-{kernel.layout}") if kernel.layout else None
    if found is None and kernel.works[0].comparisons:
        found = shares.get(MAXIMA)
    if found is None:
        found = shares.get(kernel.kind)
    return shares.get("default") if found is None else found


def m_half(parameters: SmoothParameters, work: Work) -> float:
    """Rows of a product at which it reaches half its rate."""
    if work.taps > 1 and parameters.window_m_half is not None:
        return parameters.window_m_half
    return parameters.m_half


def _one_row(work: Work) -> bool:
    """Whether a product is of a matrix and one vector."""
    return work.m == work.groups == 1 and work.kind in _ROWS


def _shape_factor(kernel: Kernel, p: SmoothParameters, occupancy: float) -> float:
    """U * a * f: how much of the class's best rate this shape reaches.

    The ramps over M and N are fitted where tiles are plenty and blur their edges; where tiles are few, `occupancy` counts
    them. Both describe how well outputs fill the machine, so the smaller one holds, not the product.
    """
    work, kind = kernel.works[0], kernel.kind
    factor = p.misaligned_factor if is_misaligned(p, kernel) else 1.0
    if kind in DENSE:
        factor *= work.k / (work.k + p.k_half)
        rows = work.m // work.spatial if kind is WorkKind.RECURRENT else work.m
        factor *= min(occupancy, work.n / (work.n + p.n_half) * rows / (rows + m_half(p, work)))
    elif kind is WorkKind.GROUPED:
        factor *= work.k / (work.k + p.grouped_k_half) * work.n / (work.n + p.grouped_n_half)
    elif kind is WorkKind.ATTENTION:
        factor *= attention_filled(work)
    else:
        factor *= min(1.0, (math.sqrt(work.taps) / 3) ** p.depthwise_exponent) * (p.fallback_factor if _falls_back(work, p) else 1.0)
    if kind is WorkKind.CONVOLUTION:
        factor *= p.strided_factor if work.stride > 1 else p.window_factor if work.taps == 9 else 1.0
    return factor


def _shared_out(kernel: Kernel, p: SmoothParameters, machine: Machine) -> float:
    """How much of its rate a product with weights keeps because cores share it in tiles, and because its weights come from afar."""
    if kernel.kind is not WorkKind.LINEAR:
        return 1.0
    return p.tiled(kernel, machine) / (1 + p.spilled_cost * p.spilling(kernel, machine))


def _falls_back(work: Work, p: SmoothParameters) -> bool:
    """Whether the library has no kernel for a depthwise convolution, which then takes a path for any."""
    if work.kind is not WorkKind.DEPTHWISE:
        return False
    return bool((p.depthwise_taps is not None and work.taps > p.depthwise_taps) or work.groups % p.depthwise_aligned_to)


def attention_filled(work: Work) -> float:
    """Share of the blocks of scores that are scores.

    Examples
    --------
    >>> attention_filled(Work(kind=WorkKind.ATTENTION, m=49, n=64, k=64))
    0.765625
    """
    queries, keys = (-(-size // ATTENTION_BLOCK) * ATTENTION_BLOCK for size in (work.m, work.n))
    return work.m * work.n / (queries * keys)


def share_faults(parameters: SmoothParameters, dtype: str) -> list[Fault]:
    """Work kinds that do not exist, and a missing default."""
    kinds = {*map(str, WorkKind), "default"}
    kinds |= {MAXIMA, *(f"{kind}-nhwc" for kind in WorkKind)}
    found = []
    for table in ("compute_share", "memory_share", "kind_us", "relayout_passes"):
        shares: dict[str, float] = getattr(parameters, table)
        found += [Fault((table, name), f"is no work kind; kinds are {', '.join(sorted(kinds))}") for name in shares if name not in kinds]
        if table.endswith("_share") and "default" not in shares:
            found.append(Fault((table,), "needs a 'default' for the kinds that it does not name"))
    return found
