"""What `linear_work` says of ncnn's kernels, counted by hand: Winograd's transforms, equal parts for all threads, one memory. The clock is 1 Hz."""

from __future__ import annotations

import dataclasses

import pytest

from costmodel.laws import CoreGroup, Machine, MemoryLevel, linear_work
from costmodel.tensor import DType
from costmodel.work import Work, WorkKind
from tests.laws.test_linear_work import CYCLES, MakeKernel, MakeProgram, machine

WINOGRAD = {"winograd_cycles_per_mac": 2.0, "winograd_cycles_per_element": 3.0}


def windows(channels: int, outputs: int, side: int, *, stride: int = 1) -> Work:
    return Work(kind=WorkKind.CONVOLUTION, m=side * side, n=outputs, k=9 * channels, taps=9, stride=stride, spatial=side * side, elements_written=1)


# work, products of transformed tiles, elements of those tiles
TRANSFORMED = (
    pytest.param(windows(16, 24, 12), 8 * 64 * 16 * 24, 2 * 2 * 64 * (16 + 24), id="tiles of 6x6 outputs, four of them padded to eight"),
    pytest.param(windows(16, 24, 13), 16 * 64 * 16 * 24, 3 * 3 * 64 * (16 + 24), id="a side that six does not divide, nine tiles to sixteen"),
    pytest.param(windows(129, 8, 12), 16 * 36 * 129 * 8, 3 * 3 * 36 * (129 + 8), id="tiles of 4x4 outputs over 128 channels"),
    pytest.param(windows(3, 16, 12), 8 * 64 * 3 * 16, 2 * 2 * 64 * (3 + 16), id="outputs alone have the channels"),
)


@pytest.mark.parametrize(("work", "products", "elements"), TRANSFORMED)
def test_windows_of_stride_1_are_winograds(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, products: int, elements: int) -> None:
    cost = linear_work.price(program_of(kernel_of(work)), machine(**WINOGRAD)).kernels[0]
    assert cost.latency_s == 2 * products + 3 * elements + CYCLES["k_step_cycles"] * work.k / 9


@pytest.mark.parametrize(("side", "outputs"), [(8, 4), (9, 6), (12, 6), (13, 4), (16, 4), (17, 6), (18, 6), (19, 4), (20, 4), (21, 6), (56, 6)])
def test_early_builds_choose_tiles_by_the_image(kernel_of: MakeKernel, program_of: MakeProgram, side: int, outputs: int) -> None:
    """However many channels there are: by hand after convolution_arm.cpp of 2020, where w is the side and two more."""
    work = windows(256, 256, side)
    cost = linear_work.price(program_of(kernel_of(work)), machine(parameters={"winograd_by_image": True}, **WINOGRAD)).kernels[0]
    tiles, positions = (-(-side // outputs)) ** 2, (outputs + 2) ** 2
    products, elements = -(-tiles // 8) * 8 * 256 * 256 * positions, tiles * positions * 512
    assert cost.latency_s == 2 * products + 3 * elements + CYCLES["k_step_cycles"] * 256


def test_what_computes_in_fp32_among_fp16_takes_twice_the_cycles(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    work = Work(kind=WorkKind.NORMALISATION, elements_read=100, elements_written=100)
    given = machine(normalisation_cycles_per_element=3)
    half, full = (linear_work.price(program_of(kernel_of(work, dtype=dtype), dtype=DType.FP16), given).kernels[0] for dtype in (DType.FP16, DType.FP32))
    assert (half.compute_s, full.compute_s) == (300, 600)
    assert half.overhead_s == full.overhead_s


def test_tiles_of_int8_are_half_as_wide_as_the_sums_of_their_products(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    work = windows(16, 24, 12)
    cost = linear_work.price(program_of(kernel_of(work, dtype=DType.INT8), dtype=DType.INT8), machine(**WINOGRAD)).kernels[0]
    assert cost.latency_s == 2 * 8 * 64 * 16 * 24 + 3 * 2 * 2 * 64 * (16 / 2 + 24) + CYCLES["k_step_cycles"] * 16


@pytest.mark.parametrize(("dtype", "itemsize"), [(DType.INT8, 4), (DType.FP16, 2), (DType.FP32, 4)])
def test_several_cores_wait_for_tiles_that_are_written_and_read(kernel_of: MakeKernel, program_of: MakeProgram, dtype: DType, itemsize: int) -> None:
    """Of int8 by the sums' 32 bits, two inputs of 16 bits as one; a tenth of 1e9 bytes a second, for half of the time."""
    work = windows(16, 24, 12)
    program = program_of(kernel_of(work, dtype=dtype), dtype=dtype)
    quiet, given = (machine(2, parameters=share, **WINOGRAD) for share in ({}, {"contended_share": 0.1}))
    elements = 2 * 2 * 64 * (16 / 2 + 24 if dtype is DType.INT8 else 16 + 24)
    assert _seconds(program, given) - _seconds(program, quiet) == pytest.approx(0.5 * 2 * itemsize * elements / 1e8, rel=1e-3)


@pytest.mark.parametrize(
    ("channels", "outputs", "taken"),
    [(256, 256, True), (256, 252, False), (248, 256, False), (260, 256, False), (256, 126, True), (8, 126, True), (8, 128, False), (3, 6, True)],
)
def test_builds_of_2022_choose_winograd_for_many_channels_or_odd_outputs(
    kernel_of: MakeKernel, program_of: MakeProgram, channels: int, outputs: int, taken: bool
) -> None:
    """int8 on cores with dot products: by hand after create_pipeline_int8_arm of convolution_arm.cpp."""
    asked = {"winograd_channels": 256, "winograd_narrow_channels": 256, "winograd_odd_outputs": True}
    program = program_of(kernel_of(windows(channels, outputs, 12), dtype=DType.INT8), dtype=DType.INT8)
    plain, found = (linear_work.price(program, machine(parameters=asked, **changes)) for changes in ({}, WINOGRAD))
    assert (found != plain) is taken


@pytest.mark.parametrize(
    ("work", "taken"),
    [
        pytest.param(windows(64, 64, 21), True, id="36 tiles, enough channels"),
        pytest.param(windows(64, 63, 21), False, id="too few output channels"),
        pytest.param(windows(63, 64, 21), False, id="too few input channels"),
        pytest.param(windows(64, 64, 20), False, id="25 tiles"),
    ],
)
def test_the_gpu_delegate_asks_for_channels_on_both_sides_and_tiles(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, taken: bool) -> None:
    asked = {"winograd_narrow_channels": 64, "winograd_tiles": 32, "winograd_wide_channels": 0}
    program = program_of(kernel_of(work))
    plain, found = (linear_work.price(program, machine(parameters=asked, **changes)) for changes in ({}, WINOGRAD))
    assert (found != plain) is taken


# work, whether its windows are multiplied where they are, not as columns
DIRECT = (
    pytest.param(windows(3, 64, 12, stride=2), True, id="an image"),
    pytest.param(windows(16, 8, 12, stride=2), True, id="strided, eight outputs"),
    pytest.param(windows(16, 9, 12, stride=2), False, id="strided, nine outputs"),
    pytest.param(dataclasses.replace(windows(16, 64, 12), k=25 * 16, taps=25), True, id="5x5"),
    pytest.param(dataclasses.replace(windows(16, 64, 12, stride=2), k=25 * 16, taps=25), False, id="strided 5x5"),
    pytest.param(dataclasses.replace(windows(3, 64, 12), k=3, taps=1, kind=WorkKind.POINTWISE), False, id="an image's single taps"),
)


@pytest.mark.parametrize(("work", "direct"), DIRECT)
def test_windows_are_multiplied_where_they_are(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, direct: bool) -> None:
    """At their own rate, and without columns."""
    given = machine(direct_cycles_per_mac=6, parameters={"direct_channels": 8})
    plain, found = (linear_work.price(program_of(kernel_of(work)), each).kernels[0] for each in (machine(), given))
    products = -(-work.m // 8) * 8 * -(-work.n // 8) * 8 * work.k
    columns = work.m * work.k * CYCLES["pack_cycles_per_element"]
    assert found.latency_s - plain.latency_s == pytest.approx((products * (6 - CYCLES["gemm_cycles_per_mac"]) - columns) if direct else 0)


GROUPS = Work(kind=WorkKind.GROUPED, m=64, n=16, k=9 * 8, groups=5, taps=9, stride=2, spatial=64, elements_written=64 * 80)


def test_groups_are_one_convolution_after_another(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    apart = {"groups_apart": True}
    group = dataclasses.replace(GROUPS, kind=WorkKind.CONVOLUTION, groups=1)
    one, five = (linear_work.price(program_of(kernel_of(work)), machine(parameters=apart)).kernels[0] for work in (group, GROUPS))
    assert five.latency_s - five.overhead_s == pytest.approx(5 * (one.latency_s - one.overhead_s))
    assert five.overhead_s == one.overhead_s


def test_threads_share_a_groups_vectors_and_wait_after_each(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    """Sixteen outputs are two vectors of eight: two threads of four have work; barriers come five times."""
    parameters = {"groups_apart": True, "rest_shared": 1, "barrier_cycles": 100}
    two, four = (linear_work.price(program_of(kernel_of(GROUPS)), machine(count, parameters=parameters)).kernels[0] for count in (2, 4))
    assert four.latency_s == pytest.approx(two.latency_s)
    assert four.overhead_s == pytest.approx(CYCLES["kernel_cycles"] + 5 * 100)


@pytest.mark.parametrize("work", [windows(16, 24, 12, stride=2), windows(3, 8, 12)], ids=["a stride", "too few channels"])
def test_other_windows_are_not(kernel_of: MakeKernel, program_of: MakeProgram, work: Work) -> None:
    program = program_of(kernel_of(work))
    assert linear_work.price(program, machine(**WINOGRAD)) == linear_work.price(program, machine())


def test_rows_of_a_fully_connected_layer_have_their_own_rate(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    work = Work(kind=WorkKind.LINEAR, m=8, n=8, k=10, elements_written=64)
    plain, own = (linear_work.price(program_of(kernel_of(work)), machine(**more)).kernels[0].latency_s for more in ({}, {"linear_cycles_per_mac": 6}))
    assert own - plain == 8 * 8 * 10 * (6 - 2)


COPY = Work(kind=WorkKind.COPY, elements_read=512, elements_written=512)
PAD = Work(kind=WorkKind.PAD, elements_read=400, elements_written=512)


@pytest.mark.parametrize(("static", "seconds"), [(True, 4 * 512 * 47 / 3), (False, 1 / (2 / (512 * 47) + 1 / (4 * 512 * 47)))])
def test_threads_take_equal_parts_or_as_much_as_they_are_fast(kernel_of: MakeKernel, program_of: MakeProgram, static: bool, seconds: float) -> None:
    """Two fast cores and one that takes four times as long: twice the cycles at half the clock."""
    given = machine(2, small=1, parameters={"rest_shared": 1, "static_split": static})
    cost = linear_work.price(program_of(kernel_of(PAD)), given).kernels[0]
    assert cost.latency_s == pytest.approx(seconds)
    assert (cost.memory_s, cost.compute_s) == (pytest.approx(seconds), pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize(("kind", "cycles"), [(WorkKind.COPY, 59), (WorkKind.CONCAT, 53)])
def test_copies_of_tensors_stay_on_the_fastest_core(kernel_of: MakeKernel, program_of: MakeProgram, kind: WorkKind, cycles: int) -> None:
    given = machine(2, small=1, parameters={"rest_shared": 1, "static_split": True})
    assert _seconds(program_of(kernel_of(dataclasses.replace(COPY, kind=kind))), given) == 512 * cycles


@pytest.mark.parametrize(("count", "small", "share"), [(1, 0, 1), (2, 0, 2 / 3), (3, 0, 1 / 3), (4, 0, 1 / 3), (2, 2, 4 / 3)])
def test_one_thread_compares_boxes_and_as_many_look_at_scores_as_a_position_has(
    kernel_of: MakeKernel, program_of: MakeProgram, count: int, small: int, share: float
) -> None:
    """Three boxes a position: two threads take two and one. Small cores need four times as long."""
    work = Work(kind=WorkKind.GATHER, groups=3, elements_read=510, elements_written=20, pairs=40)
    given = machine(count, small=small, parameters={"rest_shared": 1, "static_split": True})
    assert _seconds(program_of(kernel_of(work)), given) == pytest.approx(40 * CYCLES["comparison_cycles"] + 510 * share * CYCLES["pool_cycles_per_tap"])


def test_lookups_of_scores_are_shared(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    given = machine(2, parameters={"rest_shared": 1, "static_split": True})
    assert _seconds(program_of(kernel_of(dataclasses.replace(COPY, kind=WorkKind.GATHER))), given) == 512 * 59 / 2


@pytest.mark.parametrize(("small", "speeds", "seconds"), [(0, {"big": 0.5}, 2 * 512 * 47 / 2), (1, {"big": 0.5, "small": 0.8}, 4 / 0.8 * 512 * 47 / 3)])
def test_cores_keep_a_part_of_their_speed_beside_others(
    kernel_of: MakeKernel, program_of: MakeProgram, small: int, speeds: dict[str, float], seconds: float
) -> None:
    shared = {"rest_shared": 1, "static_split": True, "speeds_together": speeds}
    given, alone = machine(2, small=small, parameters=shared), machine(1, parameters=shared)
    assert _seconds(program_of(kernel_of(PAD)), given) == pytest.approx(seconds)
    assert _seconds(program_of(kernel_of(PAD)), alone) == 512 * 47


@pytest.mark.parametrize(("count", "small", "waited"), [(1, 0, 0), (2, 0, 7), (2, 1, 14)])
def test_threads_wait_for_the_last_at_every_kernel(kernel_of: MakeKernel, program_of: MakeProgram, count: int, small: int, waited: int) -> None:
    """Seven cycles of the slowest core, whose clock is 0.5 Hz where it is a small one."""
    program = program_of(kernel_of(PAD), kernel_of(COPY))
    quiet, given = (machine(count, small=small, parameters={"rest_shared": 1, "barrier_cycles": cycles}) for cycles in (0, 7))
    assert _seconds(program, given) - _seconds(program, quiet) == pytest.approx(2 * waited)
    assert sum(kernel.overhead_s for kernel in linear_work.price(program, given).kernels) == 2 * waited


@pytest.mark.parametrize(("read", "waits"), [(512, False), (1024, True)])
def test_nonlinearities_in_place_wait_for_no_memory(kernel_of: MakeKernel, program_of: MakeProgram, read: int, waits: bool) -> None:
    """A sum of two tensors reads another; 4 bytes an element at a tenth of 1e9 bytes a second, for half of the time."""
    kernel = kernel_of(Work(kind=WorkKind.ELEMENTWISE, elements_read=read, elements_written=512), read=4 * read, written=4 * 512)
    quiet, given = (machine(2, parameters={"rest_shared": 1, "static_split": True, **share}) for share in ({}, {"contended_share": 0.1}))
    waiting = _seconds(program_of(kernel), given) - _seconds(program_of(kernel), quiet)
    assert waiting == pytest.approx(0.5 * 4 * (read + 512) / 1e8 if waits else 0, rel=1e-3)


@pytest.mark.parametrize(("taps", "times"), [(9, 1), (25, 3 / 5)])
def test_windows_may_cost_by_their_rows(kernel_of: MakeKernel, program_of: MakeProgram, taps: int, times: float) -> None:
    work = Work(kind=WorkKind.DEPTHWISE, m=64, n=1, k=taps, taps=taps, groups=8, elements_written=512)
    by_taps, by_rows = (_seconds(program_of(kernel_of(work)), machine(parameters={"window_rows": rows}, depthwise_call_cycles=0)) for rows in (False, True))
    assert (by_taps, by_rows) == (64 * 8 * taps * 13, pytest.approx(64 * 8 * taps * 13 * times))


def test_half_of_what_is_left_may_be_shared(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    cost = linear_work.price(program_of(kernel_of(COPY)), machine(4, parameters={"rest_shared": 0.5})).kernels[0]
    assert cost.latency_s == 512 * 59 * (0.5 / 4 + 0.5)


# work, layers that early builds make for its channels in int8
LAYERS = (
    pytest.param(windows(16, 24, 12), 24, id="windows, by Winograd or not"),
    pytest.param(dataclasses.replace(windows(16, 24, 12, stride=2), k=16, taps=1, kind=WorkKind.POINTWISE), 24, id="single taps"),
    pytest.param(Work(kind=WorkKind.DEPTHWISE, m=64, n=1, k=9, taps=9, groups=8, spatial=64, elements_written=512), 16, id="two for windows of one channel"),
    pytest.param(Work(kind=WorkKind.DEPTHWISE, m=64, n=2, k=9, taps=9, groups=8, spatial=64, elements_written=1024), 24, id="of two outputs for each"),
    pytest.param(dataclasses.replace(windows(16, 24, 12), m=2 * 144), 48, id="two images"),
    pytest.param(GROUPS, 5 * 17, id="every group's"),
    pytest.param(Work(kind=WorkKind.LINEAR, m=1, n=10, k=20, elements_written=10), 0, id="fully connected layers scale by themselves"),
    pytest.param(PAD, 0, id="nothing is scaled"),
)


@pytest.mark.parametrize(("work", "layers"), LAYERS)
def test_layers_are_made_for_channels(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, layers: int) -> None:
    """Threads share them."""
    program = program_of(kernel_of(work))
    for count in (1, 2):
        plain, found = (_seconds(program, machine(count, channel_cycles=cycles, **WINOGRAD)) for cycles in (0, 1000))
        assert found - plain == pytest.approx(1000 * layers / count)


@pytest.mark.parametrize(
    ("work", "times"),
    [
        pytest.param(Work(kind=WorkKind.LINEAR, m=1, n=10, k=20, elements_read=20, elements_written=10), 1, id="a cycle for a weight of a single row is one"),
        pytest.param(Work(kind=WorkKind.LINEAR, m=8, n=16, k=20, elements_read=160, elements_written=128), 4, id="products"),
        pytest.param(Work(kind=WorkKind.ELEMENTWISE, elements_read=900, elements_written=900), 1, id="what is never int8"),
    ],
)
def test_what_int8_leaves_in_floating_point(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, times: float) -> None:
    """Constants are of int8 for products alone, of which the core has four times as many; under fp16 everything in fp32 takes twice as many cycles."""
    quick = machine(1, gemv_cycles_per_weight=3.0, kernel_cycles=0.0)
    quick = dataclasses.replace(quick, peak_flops_per_s={**quick.peak_flops_per_s, "int8": 4 * quick.peak_flops_per_s["fp32"]})

    def seconds(program: DType, kernel: DType) -> float:
        return _seconds(program_of(kernel_of(work, dtype=kernel), dtype=program), quick)

    assert seconds(DType.INT8, DType.FP32) == pytest.approx(times * seconds(DType.INT8, DType.INT8))
    assert seconds(DType.FP16, DType.FP32) == pytest.approx(2 * seconds(DType.FP16, DType.FP16))


@pytest.mark.parametrize("count", [1, 4])
def test_cores_wait_for_one_memory(kernel_of: MakeKernel, program_of: MakeProgram, count: int) -> None:
    """Of four cores three find it busy: three quarters of 1000 bytes at a tenth of 1e9 bytes a second."""
    kernel = kernel_of(COPY, read=500, written=300, weights=200)
    waiting = _seconds(program_of(kernel), machine(count, parameters={"contended_share": 0.1}))
    assert waiting - _seconds(program_of(kernel), machine(count)) == pytest.approx((1 - 1 / count) * 1000 / 1e8, rel=1e-3)


def test_transformed_tiles_are_moved_too(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    """Tiles are written and read."""
    work = windows(16, 24, 12)
    program = program_of(kernel_of(work, read=1000))
    waiting = _seconds(program, machine(2, parameters={"contended_share": 1e-6}, **WINOGRAD)) - _seconds(program, machine(2, **WINOGRAD))
    moved = 1000 + 4 * 2 * 4 * 64 * (16 + 24)
    assert waiting == pytest.approx(0.5 * moved / 1e3)


def test_cores_wait_once_more_for_what_no_cache_of_their_own_holds(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    """512 bytes of input and 1,024 of output beyond 512 bytes of each."""
    program = program_of(kernel_of(PAD, read=1600, written=2048))
    given = {"streamed_cycles_per_byte": 1e-12}
    held, beyond = ({"contended_share": 1e-6, "rest_shared": 1, "resident_kib": kib} for kib in (100, 0.5))
    waiting = _seconds(program, machine(2, parameters=beyond, **given)) - _seconds(program, machine(2, parameters=held, **given))
    assert waiting == pytest.approx(0.5 * (1600 - 512 + 2048 - 512) / 1e3)


@pytest.mark.parametrize(
    ("count", "cache", "own", "times"),
    [
        pytest.param(4, 100, 6, 3, id="ten rows are three for each of four threads"),
        pytest.param(2, 100, 6, 5, id="or five for each of two"),
        pytest.param(4, 200, 6, 1, id="a cache holds them"),
        pytest.param(4, 100, None, 1, id="products of a matrix as any other"),
    ],
)
def test_weights_of_several_rows_pass_by_for_every_row_of_a_thread(
    kernel_of: MakeKernel, program_of: MakeProgram, count: int, cache: int, own: float | None, times: int
) -> None:
    """A share of 1e-9 of 1e9 bytes a second is one byte; all cores but one find the memory busy; a third of such weights are of attention."""
    kernel = kernel_of(Work(kind=WorkKind.LINEAR, m=10, n=8, k=10, elements_written=80), read=100, written=50, weights=150)
    seconds = []
    for share in ({"contended_share": 1e-9}, {}):
        given = machine(count, parameters={"rest_shared": 1, **share}, linear_cycles_per_mac=own)
        seconds.append(_seconds(program_of(kernel), dataclasses.replace(given, levels=(MemoryLevel("cache", cache, 1e9), *given.levels))))
    assert seconds[0] - seconds[1] == pytest.approx((1 - 1 / count) * (kernel.traffic_bytes + 2 * (times - 1) * kernel.weight_bytes / 3))


def test_quantising_has_a_constant_of_its_own(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    cast = program_of(kernel_of(Work(kind=WorkKind.CAST, elements_read=512, elements_written=512)))
    assert _seconds(cast, machine()) == 512 * CYCLES["copy_cycles_per_output"]
    assert _seconds(cast, machine(cast_cycles_per_element=83)) == 512 * 83


def test_a_core_cannot_transform_faster_than_it_multiplies() -> None:
    given = machine(winograd_cycles_per_mac=0.01)
    faulty = Machine(cores=(CoreGroup("big", 1, 1.0, {"fp32": 8}),), peak_flops_per_s=given.peak_flops_per_s, levels=given.levels, parameters=given.parameters)
    assert [fault.path[-1] for fault in linear_work.faults(given.parameters, faulty, "fp32")] == ["winograd_cycles_per_mac"]


def _seconds(program: object, on: Machine) -> float:
    return linear_work.price(program, on).latency_s  # type: ignore[arg-type]  # made by the fixture
