"""Constants in cycles of one core, and the parameters beside them; for `linear_work`, whose docstring says what the counts are."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from costmodel.laws._base import Machine, Parameters
from costmodel.laws._marks import Mark, marked

Cycles = Annotated[float, Field(ge=0)]
Optional = Cycles | None


class Constants(Parameters):
    """Cycles of one core for each unit of work. A kind of work whose constant is missing is not modelled."""

    gemm_cycles_per_mac: Annotated[float, Field(gt=0), Mark.PRODUCT]  # padded tiles: up(M)*up(N)*up(K)
    spatial_gemm_cycles_per_mac: Annotated[Optional, Mark.PRODUCT] = None  # for windows of more than one tap, where it differs
    direct_cycles_per_mac: Annotated[Optional, Mark.PRODUCT] = None  # of windows that are multiplied where they are, without columns
    unpacked_gemm_cycles_per_mac: Annotated[Optional, Mark.PRODUCT] = None  # over channels that do not fill vectors of 8, where they differ
    tile_cycles_per_output: Cycles  # up(M)*up(N): ramp of the K loop, store
    k_step_cycles: Annotated[Cycles, Mark.SINGLE] = 0  # a serial step over K: what a processor of many lanes cannot share
    pack_cycles_per_element: Annotated[Cycles, Mark.MOVED, Mark.MEMORY] = 0  # im2col: M*K for windows and strides
    pack_cycles_per_run: Annotated[Cycles, Mark.MOVED] = 0  # contiguous runs that im2col copies: the rows of a window at every position
    streamed_cycles_per_byte: Annotated[Optional, Mark.MOVED, Mark.MEMORY] = None  # of activations, columns and weights beyond their first resident_kib
    winograd_cycles_per_mac: Annotated[Optional, Mark.PRODUCT] = None  # products of transformed tiles: 3x3 windows of stride 1
    winograd_cycles_per_element: Cycles = 0  # elements of transformed tiles, of inputs and outputs
    linear_cycles_per_mac: Annotated[Optional, Mark.PRODUCT] = None  # fully connected layers of several rows, where they differ
    weight_cycles_per_element: Annotated[Cycles, Mark.MOVED] = 0  # packing of weights at every inference
    gemv_cycles_per_weight: Annotated[Optional, Mark.MOVED] = None  # one row: weights stream once
    depthwise_cycles_per_mac: Annotated[Optional, Mark.DEPTHWISE] = None
    depthwise_strided_cycles_per_mac: Annotated[Optional, Mark.DEPTHWISE] = None
    depthwise_call_cycles: Annotated[Cycles, Mark.SINGLE] = 0
    # of making, running and freeing a layer that scales one output channel, as early int8 does, with all that it does in fp32 around it; and of one that
    # quantises a group's image
    channel_cycles: Annotated[Cycles, Mark.SINGLE] = 0
    grouped_cycles_per_mac: Annotated[Optional, Mark.GROUPED] = None
    grouped_cycles_per_tap: Cycles = 0  # output * taps
    elementwise_cycles_per_output: Annotated[Optional, Mark.MOVED] = None
    fused_cycles_per_output: Cycles = 0  # an operator that joins a contraction's kernel
    transcendental_cycles: Annotated[Optional, Mark.FUNCTION] = None  # exp, tanh, logistic: beyond the elementwise cost
    error_function_cycles: Annotated[Optional, Mark.FUNCTION] = None
    normalisation_cycles_per_element: Annotated[Optional, Mark.FUNCTION] = None
    softmax_cycles_per_element: Annotated[Optional, Mark.FUNCTION] = None
    pad_cycles_per_output: Annotated[Optional, Mark.MOVED] = None
    concat_cycles_per_output: Annotated[Optional, Mark.MOVED] = None
    copy_cycles_per_output: Annotated[Optional, Mark.MOVED, Mark.SINGLE] = None
    gather_cycles_per_output: Annotated[Optional, Mark.MOVED, Mark.SINGLE] = None  # elements that are looked up one by one, where they differ from copies
    comparison_cycles: Optional = None  # a comparison of two of a detector's boxes, in any precision
    cast_cycles_per_element: Annotated[Optional, Mark.MOVED] = None  # changes of type such as quantisation, where they differ from copies
    resize_cycles_per_tap: Annotated[Optional, Mark.MOVED] = None
    pool_cycles_per_tap: Optional = None
    reduction_cycles_per_input: Annotated[Optional, Mark.MOVED] = None
    kernel_cycles: Annotated[Cycles, Mark.LAUNCH]  # dispatch of one kernel


class LinearWorkParameters(Parameters):
    """The constants of each core, the tile of the matrix product, what of a tensor fits a cache, what threads share, and a floor."""

    by_core: ClassVar[bool] = True

    tile_m: Annotated[int, Field(ge=1)] = 8
    tile_n: Annotated[int, Field(ge=1)] = 8
    tile_k: Annotated[int, Field(ge=1)] = 1
    resident_kib: Annotated[float, Field(gt=0)] = 512
    floor_ms: Annotated[float, Field(ge=0)] = 0
    depthwise_shared: Annotated[float, Field(ge=0, le=1)] = 1  # share of depthwise arithmetic that threads split
    outputs_shared: Annotated[float, Field(ge=0, le=1)] = 1  # the same of the cost per output of products
    packing_share: Annotated[float, Field(gt=0, le=1)] | None = None  # of the memory's bandwidth, with which threads pack together; None: one thread packs
    rest_shared: Annotated[float, Field(ge=0, le=1)] = 0  # the same of all that is left but the dispatch of kernels
    static_split: bool = False  # every thread takes an equal part, however fast its core is; copies of tensors stay on one
    speeds_together: dict[str, Annotated[float, Field(gt=0)]] = Field(default={})  # of a core's speed, what it keeps where several compute
    barrier_cycles: Cycles = 0  # of the slowest core, that threads take to begin a kernel together and to wait for the last
    window_rows: bool = False  # windows of single channels cost by their rows, each loaded once: a wider one less for each tap
    contended_share: Annotated[float, Field(gt=0, le=1)] | None = None  # of the main memory's bandwidth that cores get while they wait for each other
    groups_apart: bool = False  # grouped windows are one convolution for each group, one after another, shared by as many threads as outputs fill vectors
    direct_channels: Annotated[int, Field(ge=0)] = 0  # of output up to which strided 3x3 windows are multiplied where they are
    winograd_channels: Annotated[int, Field(ge=1), Mark.CHOSEN] = 16  # that input or output must have
    winograd_narrow_channels: Annotated[int, Field(ge=1), Mark.CHOSEN] = 1  # that both must have
    winograd_tiles: Annotated[int, Field(ge=0), Mark.CHOSEN] = 0  # that an image must have
    winograd_wide_channels: Annotated[int, Field(ge=0), Mark.CHOSEN] = 128  # of input and output up to which tiles have 6x6 outputs; 4x4 beyond
    winograd_odd_outputs: bool = False  # outputs that fill no vector of four are, whatever the channels; others with inputs that fill theirs
    winograd_by_image: bool = False  # the image alone says which, whatever winograd_wide_channels is, as in early builds
    cores: dict[str, Constants]

    def barrier_s(self, machine: Machine) -> float:
        """Seconds that the threads of a kernel wait for each other, a single one for none."""
        return self.barrier_cycles / min(group.clock_hz for group in machine.cores) if sum(group.count for group in machine.cores) > 1 else 0.0


#: Constants that a core's multipliers bound, and of these the ones of matrix products.
PER_MAC, PRODUCTS = marked(Constants, Mark.PRODUCT, Mark.DEPTHWISE, Mark.GROUPED), marked(Constants, Mark.PRODUCT)
LAUNCHES, MOVED = marked(Constants, Mark.LAUNCH), frozenset(marked(Constants, Mark.MOVED))
#: Parameters that a runtime chooses by the vendor of a processor.
CHOSEN = marked(LinearWorkParameters, Mark.CHOSEN)
