"""`linear_work`: cycles of kernels counted by hand, and what threads share. The clock is 1 Hz, so that cycles are seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from costmodel.kernel import Kernel, Program
from costmodel.laws import CoreGroup, Machine, MemoryLevel, linear_work
from costmodel.laws._cycle_constants import LinearWorkParameters
from costmodel.tensor import DType
from costmodel.work import Work, WorkKind

MakeKernel, MakeProgram = Callable[..., Kernel], Callable[..., Program]

#: One prime for each constant, so that no two errors cancel.
CYCLES = {
    "gemm_cycles_per_mac": 2,
    "tile_cycles_per_output": 3,
    "k_step_cycles": 5,
    "pack_cycles_per_element": 7,
    "weight_cycles_per_element": 11,
    "depthwise_cycles_per_mac": 13,
    "depthwise_call_cycles": 17,
    "grouped_cycles_per_mac": 19,
    "grouped_cycles_per_tap": 23,
    "elementwise_cycles_per_output": 29,
    "transcendental_cycles": 31,
    "error_function_cycles": 37,
    "normalisation_cycles_per_element": 41,
    "softmax_cycles_per_element": 43,
    "pad_cycles_per_output": 47,
    "concat_cycles_per_output": 53,
    "copy_cycles_per_output": 59,
    "resize_cycles_per_tap": 61,
    "pool_cycles_per_tap": 67,
    "reduction_cycles_per_input": 71,
    "comparison_cycles": 73,
    "kernel_cycles": 0,
}


def machine(count: int = 1, *, small: int = 0, parameters: dict[str, object] | None = None, **changes: float | None) -> Machine:
    """`count` cores at 1 Hz, and `small` ones that need twice the cycles at half the clock."""
    constants = CYCLES | changes
    slow = {name: None if value is None else 2 * value for name, value in constants.items()}
    found = LinearWorkParameters.model_validate({"cores": {"big": constants, "small": slow}, **(parameters or {})})
    groups = (CoreGroup("big", count, 1.0, {"fp32": 8}), CoreGroup("small", small, 0.5, {"fp32": 8}))
    return Machine(
        cores=groups if small else groups[:1],
        peak_flops_per_s={"fp32": 8.0 * count},
        levels=(MemoryLevel("memory", None, 1e9),),
        parameters=found,
    )


def image(kind: WorkKind, **numbers: int) -> Work:
    return Work(kind=kind, elements_read=256, elements_written=512, other_flops=512, **numbers)


# 64 positions of 8 channels from windows of 3x3 on 4 channels; 49 positions of 5 channels from 3
EVEN = image(WorkKind.CONVOLUTION, m=64, n=8, k=36, taps=9)
EIGHT = image(WorkKind.CONVOLUTION, m=64, n=8, k=72, taps=9)
ODD = image(WorkKind.CONVOLUTION, m=49, n=5, k=27, taps=9)
POINTWISE = image(WorkKind.POINTWISE, m=64, n=8, k=4)
STRIDED = image(WorkKind.POINTWISE, m=64, n=8, k=4, stride=2)
ROW = image(WorkKind.LINEAR, m=1, n=10, k=20)
DEPTHWISE = image(WorkKind.DEPTHWISE, m=64, n=1, k=9, taps=9, groups=8)
GROUPED = image(WorkKind.GROUPED, m=64, n=2, k=18, taps=9, groups=4)
SIGMOID = image(WorkKind.ELEMENTWISE, transcendentals=512)
GELU = image(WorkKind.ELEMENTWISE, transcendentals=512, error_functions=512)

# name, changed constants, parameters, work, cycles that threads share, cycles that they do not
KERNELS = (
    ("convolution", {}, {}, EVEN, 64 * 8 * (36 * 2 + 3) + 36 * 5, 64 * 36 * 7 + 8 * 36 * 11),
    ("whole tiles of 8 by 8", {}, {}, ODD, 56 * 8 * (27 * 2 + 3) + 27 * 5, 49 * 27 * 7 + 5 * 27 * 11),
    ("padded depth", {}, {"tile_k": 4}, ODD, 56 * 8 * (4 * 9 * 2 + 3) + 4 * 9 * 5, 49 * 27 * 7 + 5 * 27 * 11),
    ("other tiles", {}, {"tile_m": 1, "tile_n": 4}, ODD, 49 * 8 * (27 * 2 + 3) + 27 * 5, 49 * 27 * 7 + 5 * 27 * 11),
    ("windows at their own rate", {"spatial_gemm_cycles_per_mac": 4}, {}, EVEN, 64 * 8 * (36 * 4 + 3) + 36 * 5, 64 * 36 * 7 + 8 * 36 * 11),
    ("channels that fill no vector", {"unpacked_gemm_cycles_per_mac": 4}, {}, EVEN, 64 * 8 * (36 * 4 + 3) + 36 * 5, 64 * 36 * 7 + 8 * 36 * 11),
    ("channels that fill one", {"unpacked_gemm_cycles_per_mac": 4}, {}, EIGHT, 64 * 8 * (72 * 2 + 3) + 72 * 5, 64 * 72 * 7 + 8 * 72 * 11),
    ("pointwise packs nothing", {"spatial_gemm_cycles_per_mac": 4}, {}, POINTWISE, 64 * 8 * (4 * 2 + 3) + 4 * 5, 8 * 4 * 11),
    ("a stride packs", {}, {}, STRIDED, 64 * 8 * (4 * 2 + 3) + 4 * 5, 64 * 4 * 7 + 8 * 4 * 11),
    ("runs of windows", {"pack_cycles_per_run": 5}, {}, EVEN, 64 * 8 * 75 + 36 * 5, 64 * (36 * 7 + 3 * 5) + 8 * 36 * 11),
    ("runs of a stride", {"pack_cycles_per_run": 5}, {}, STRIDED, 64 * 8 * (4 * 2 + 3) + 4 * 5, 64 * (4 * 7 + 5) + 8 * 4 * 11),
    ("no runs without columns", {"pack_cycles_per_run": 5}, {}, POINTWISE, 64 * 8 * (4 * 2 + 3) + 4 * 5, 8 * 4 * 11),
    ("one row as a product", {}, {}, ROW, 8 * 16 * (20 * 2 + 3) + 20 * 5, 10 * 20 * 11),
    ("one row streams its weights", {"gemv_cycles_per_weight": 6}, {}, ROW, 0, 10 * 20 * 6),
    ("depthwise", {}, {}, DEPTHWISE, 64 * 9 * 8 * 13, 17),
    ("depthwise, no stride", {"depthwise_strided_cycles_per_mac": 100}, {}, DEPTHWISE, 64 * 9 * 8 * 13, 17),
    ("grouped is serial", {}, {}, GROUPED, 0, 64 * 2 * 18 * 4 * 19 + 512 * 9 * 23),
    (
        "batched product",
        {},
        {},
        image(WorkKind.MATMUL, m=5, n=5, k=8, groups=2),
        2 * (8 * 8 * (8 * 2 + 3) + 8 * 5),
        2 * (5 * 8 * 7 + 5 * 8 * 11),
    ),
    ("transposed", {}, {}, image(WorkKind.TRANSPOSED, m=49, n=12, k=4, taps=4), 56 * 16 * (4 * 2 + 3), 49 * 12 * 7 + 12 * 4 * 11),
    ("elementwise", {}, {}, image(WorkKind.ELEMENTWISE), 0, 512 * 29),
    ("norm", {}, {}, image(WorkKind.BATCH_NORM), 0, 512 * 29),
    ("exp", {}, {}, SIGMOID, 0, 512 * (29 + 31)),
    ("erf", {}, {}, GELU, 0, 512 * (29 + 37)),
    # 1 KiB read, 2 KiB written
    ("in a cache", {"streamed_cycles_per_byte": 100}, {"resident_kib": 2}, image(WorkKind.ELEMENTWISE), 0, 512 * 29),
    ("beyond a cache", {"streamed_cycles_per_byte": 100}, {"resident_kib": 1}, image(WorkKind.ELEMENTWISE), 0, 512 * 29 + 1024 * 100),
    ("pad beyond a cache", {"streamed_cycles_per_byte": 100}, {"resident_kib": 0.5}, image(WorkKind.PAD), 0, 512 * 47 + (512 + 1536) * 100),
    ("statistics", {}, {}, image(WorkKind.NORMALISATION), 0, 512 * 41),
    ("softmax", {}, {}, image(WorkKind.SOFTMAX), 0, 512 * 43),
    ("pad", {}, {}, image(WorkKind.PAD), 0, 512 * 47),
    ("concat", {}, {}, image(WorkKind.CONCAT), 0, 512 * 53),
    ("copy", {}, {}, image(WorkKind.COPY), 0, 512 * 59),
    ("lookup", {}, {}, image(WorkKind.GATHER), 0, 512 * 59),
    ("cast", {}, {}, image(WorkKind.CAST), 0, 512 * 59),
    ("resize", {}, {}, image(WorkKind.RESIZE, taps=4), 0, 512 * 4 * 61),
    ("pool", {}, {}, image(WorkKind.POOLING, taps=9), 0, 512 * 9 * 67),
    ("reduction", {}, {}, image(WorkKind.REDUCTION), 0, 256 * 71),
)
THREADED = {WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.LINEAR, WorkKind.MATMUL, WorkKind.TRANSPOSED, WorkKind.DEPTHWISE}
PARAMETERS = [pytest.param(*row[1:], id=row[0]) for row in KERNELS]


@pytest.mark.parametrize(("changes", "parameters", "work", "shared", "serial"), PARAMETERS)
def test_cycles_on_one_core(
    kernel_of: MakeKernel,
    program_of: MakeProgram,
    changes: dict[str, float],
    parameters: dict[str, object],
    work: Work,
    shared: int,
    serial: int,
) -> None:
    cost = linear_work.price(program_of(kernel_of(work)), machine(parameters=parameters, **changes)).kernels[0]
    assert cost.latency_s == cost.compute_s + cost.memory_s == shared + serial
    assert cost.overhead_s == 0
    assert cost.compute_s >= shared
    arithmetic_alone = {WorkKind.GROUPED, WorkKind.NORMALISATION, WorkKind.SOFTMAX, WorkKind.RESIZE, WorkKind.POOLING, WorkKind.DEPTHWISE}
    moving_alone = {WorkKind.PAD, WorkKind.CONCAT, WorkKind.COPY, WorkKind.GATHER, WorkKind.CAST, WorkKind.REDUCTION}
    assert (cost.memory_s == 0) == (work.kind in arithmetic_alone or (work.kind not in moving_alone and serial == 0))
    assert (cost.compute_s == 0) == (work.kind in moving_alone or (work.transcendentals == 0 and shared == 0 and work.kind not in arithmetic_alone))


@pytest.mark.parametrize(("changes", "parameters", "work", "shared", "serial"), PARAMETERS)
def test_threads_share_products_and_depthwise_convolutions_alone(
    kernel_of: MakeKernel,
    program_of: MakeProgram,
    changes: dict[str, float],
    parameters: dict[str, object],
    work: Work,
    shared: int,
    serial: int,
) -> None:
    program = program_of(kernel_of(work))
    assert (shared > 0) == (work.kind in THREADED and "gemv_cycles_per_weight" not in changes)  # weights that stream come from one memory
    four = linear_work.price(program, machine(4, parameters=parameters, **changes))
    assert four.latency_s == pytest.approx(shared / 4 + serial)
    # two small cores do as much as half a big one: 2 cores * half the clock / twice the cycles
    mixed = linear_work.price(program, machine(4, small=2, parameters=parameters, **changes))
    assert mixed.latency_s == pytest.approx(shared / 4.5 + serial)


def test_a_kernel_costs_its_dispatch_and_a_program_its_floor(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    program = program_of(kernel_of(POINTWISE), kernel_of(SIGMOID))
    cost = linear_work.price(program, machine(kernel_cycles=1000, parameters={"floor_ms": 500}))
    assert [kernel.overhead_s for kernel in cost.kernels] == [1000, 1000]
    assert cost.terms == {"floor": 0.5}
    assert cost.latency_s == 2 * 1000 + (512 * 11 + 20 + 352) + 512 * 60 + 0.5


def test_what_joins_a_kernel_costs_its_outputs_but_a_folded_norm_nothing(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    norm, relu = image(WorkKind.BATCH_NORM), image(WorkKind.ELEMENTWISE)
    plain, fused = (
        linear_work.price(program_of(kernel_of(*works)), machine(fused_cycles_per_output=97)).latency_s for works in ((POINTWISE,), (POINTWISE, norm, relu))
    )
    assert fused - plain == 512 * 97


def test_smaller_elements_stay_in_a_cache_longer(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    on = machine(streamed_cycles_per_byte=100, parameters={"resident_kib": 1})
    for dtype, streamed in ((DType.FP32, 1024), (DType.FP16, 0), (DType.INT8, 0)):
        assert linear_work.price(program_of(kernel_of(image(WorkKind.ELEMENTWISE), dtype=dtype), dtype=dtype), on).latency_s == 512 * 29 + streamed * 100


@pytest.mark.parametrize(
    ("missing", "work"),
    [
        ("depthwise_cycles_per_mac", DEPTHWISE),
        ("grouped_cycles_per_mac", GROUPED),
        ("elementwise_cycles_per_output", image(WorkKind.ELEMENTWISE)),
        ("transcendental_cycles", SIGMOID),
        ("error_function_cycles", GELU),
        ("normalisation_cycles_per_element", image(WorkKind.NORMALISATION)),
        ("softmax_cycles_per_element", image(WorkKind.SOFTMAX)),
        ("pad_cycles_per_output", image(WorkKind.PAD)),
        ("concat_cycles_per_output", image(WorkKind.CONCAT)),
        ("copy_cycles_per_output", image(WorkKind.COPY)),
        ("resize_cycles_per_tap", image(WorkKind.RESIZE)),
        ("pool_cycles_per_tap", image(WorkKind.POOLING)),
        ("reduction_cycles_per_input", image(WorkKind.REDUCTION)),
        ("comparison_cycles", image(WorkKind.GATHER, pairs=40)),
    ],
)
@pytest.mark.parametrize("small", [0, 2])
def test_a_missing_constant_is_not_modelled_rather_than_free(kernel_of: MakeKernel, program_of: MakeProgram, missing: str, work: Work, small: int) -> None:
    cost = linear_work.price(program_of(kernel_of(work)), machine(4, small=small, **{missing: None})).kernels[0]
    assert (cost.modelled, cost.latency_s) == (False, 0.0)


def test_attention_in_one_kernel_is_not_modelled(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    work = image(WorkKind.ATTENTION, m=5, n=5, k=16, groups=2)
    assert not linear_work.price(program_of(kernel_of(work)), machine()).kernels[0].modelled


def test_constants_faster_than_the_units_and_cores_without_constants_are_faults() -> None:
    fine = machine()  # 8 operations are 4 MAC a cycle: 0.25 cycles a MAC
    assert linear_work.faults(fine.parameters, fine, "fp32") == []
    fast = machine(gemm_cycles_per_mac=0.2)
    assert [fault.path for fault in linear_work.faults(fast.parameters, fast, "fp32")] == [("cores", "big", "gemm_cycles_per_mac")]
    other = Machine(cores=(CoreGroup("other", 1, 1.0, {"fp32": 8}),), peak_flops_per_s={"fp32": 8.0}, levels=fine.levels, parameters=fine.parameters)
    faults = linear_work.faults(other.parameters, other, "fp32")
    assert [fault.path for fault in faults] == [("cores",)]
    assert "no constants for core 'other'; it has big, small" in faults[0].message
