"""The smooth roofline, the tiles and launch queue of a GPU, and the systolic array, against arithmetic written out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import costmodel
import costmodel.laws
from costmodel.errors import UnknownNameError
from costmodel.kernel import Kernel, Program
from costmodel.laws import Combination, CoreGroup, Machine, MemoryLevel, gpu_tiles, launch_makespan, law, laws, roofline, systolic_array
from costmodel.laws._base import dominant
from costmodel.laws._smooth import SmoothParameters, overhead, smooth_max
from costmodel.laws.gpu_tiles import GpuTilesParameters, tile_occupancy
from costmodel.laws.roofline import RooflineParameters
from costmodel.laws.systolic_array import SystolicArrayParameters, array_cycles, streamed_share
from costmodel.tensor import DType
from costmodel.work import Work, WorkKind

MakeKernel, MakeProgram = Callable[..., Kernel], Callable[..., Program]
bounded = settings(deadline=None, derandomize=True, database=None, max_examples=200)
seconds = st.floats(0, 1e6, allow_subnormal=False)
exponents = st.floats(1, 64)


def test_laws_are_the_files() -> None:
    folder = Path(costmodel.laws.__file__).parent
    assert sorted(laws()) == sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    for name in laws():
        found = law(name)
        assert found.PARAMETERS.model_config["extra"] == "forbid"
    with pytest.raises(UnknownNameError, match="unknown law 'rooflin'; did you mean roofline"):
        law("rooflin")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"device": "pixel4"}, Combination()),
        ({"device": "xeon-e5-2690"}, Combination()),
        ({"device": "coral-usb"}, None),
        ({"device": "rtx4090"}, Combination(launch_s=20 * 1e-6)),  # host_us of the profile
    ],
)
def test_how_costs_of_parts_combine(options: dict[str, str], found: Combination | None) -> None:
    target = costmodel.target(**options)
    assert target.law.combination(target.machine) == found


@bounded
@given(a=seconds, b=seconds, exponent=exponents)
def test_a_smooth_maximum_lies_between_the_maximum_and_the_sum(a: float, b: float, exponent: float) -> None:
    found = smooth_max(a, b, exponent)
    assert max(a, b) <= found * (1 + 1e-12)
    assert found <= (a + b) * (1 + 1e-12)
    assert found == smooth_max(b, a, exponent)
    assert smooth_max(3 * a, 3 * b, exponent) == pytest.approx(3 * found, rel=1e-12)


@bounded
@given(a=seconds, b=seconds, more=seconds, exponent=exponents)
def test_a_smooth_maximum_never_falls(a: float, b: float, more: float, exponent: float) -> None:
    assert smooth_max(a + more, b, exponent) >= smooth_max(a, b, exponent) * (1 - 1e-12)
    assert smooth_max(a, b, exponent + 1) <= smooth_max(a, b, exponent) * (1 + 1e-12)


def test_a_smooth_maximum_at_its_ends() -> None:
    assert smooth_max(3.0, 4.0, 1) == 3.0 + 4.0
    assert smooth_max(3.0, 4.0, 2) == pytest.approx(math.hypot(3, 4))
    assert smooth_max(3.0, 4.0, 1000) == pytest.approx(4.0)
    assert smooth_max(0.0, 0.0, 3) == 0.0
    assert smooth_max(1e-300, 1e-300, 4) == pytest.approx(1e-300 * 2**0.25)


@pytest.mark.parametrize(
    ("parts", "bound"), [((3, 2, 1), "compute"), ((2, 3, 1), "memory"), ((1, 2, 3), "overhead"), ((2, 2, 2), "compute"), ((0, 0, 0), "compute")]
)
def test_the_bound_is_the_largest_part(parts: tuple[float, float, float], bound: str) -> None:
    assert dominant(*parts) == bound


# the smooth roofline: 1 TFLOP/s in fp32, 4 in fp16, 100 GB/s, overlap 1, so that compute and memory add up

PEAKS = {"fp32": 1e12, "fp16": 4e12}


def machine(parameters: SmoothParameters | SystolicArrayParameters, *, threads: int = 1, units: int = 1, cache_bytes_per_s: float = 1e12) -> Machine:
    return Machine(
        cores=(CoreGroup("core", threads, 1e9, {}),),
        peak_flops_per_s=PEAKS,
        levels=(MemoryLevel("cache", 1e6, cache_bytes_per_s), MemoryLevel("memory", None, 1e11)),
        parameters=parameters,
        units=units,
    )


SHARES = {"compute_share": {"default": 0.5}, "memory_share": {"default": 0.8}, "overlap": 1, "kernel_us": 10}


def smooth(**changes: object) -> RooflineParameters:
    return RooflineParameters.model_validate(SHARES | changes)


CONV = Work(kind=WorkKind.CONVOLUTION, m=1000, n=64, k=9 * 32, taps=9, spatial=1000, elements_written=64_000)
STRIDED = Work(kind=WorkKind.CONVOLUTION, m=1000, n=64, k=9 * 32, taps=9, stride=2, spatial=1000)
DEPTHWISE = Work(kind=WorkKind.DEPTHWISE, m=1000, n=1, k=25, taps=25, groups=64, spatial=1000)
GROUPED = Work(kind=WorkKind.GROUPED, m=1000, n=8, k=9 * 8, taps=9, groups=8, spatial=1000)
SIGMOID = Work(kind=WorkKind.ELEMENTWISE, other_flops=4 * 10**6, transcendentals=10**6)
POOL = Work(kind=WorkKind.POOLING, taps=9, other_flops=8 * 10**5, comparisons=8 * 10**5)
MEAN = Work(kind=WorkKind.POOLING, taps=9, other_flops=9 * 10**5)
ERF = Work(kind=WorkKind.ELEMENTWISE, other_flops=4 * 10**6, transcendentals=10**6, error_functions=10**6)
COMPUTE, MEMORY, WEIGHTS = 2 * CONV.macs / (1e12 * 0.5), 10**6 / (1e11 * 0.8), 10**5 / 1e11

# name, parameters beside the base, work, expected seconds of a kernel with 10^6 activation bytes and 10^5 weight bytes
ROOFLINES = (
    ("convolution", {}, CONV, 10e-6 + COMPUTE + MEMORY + WEIGHTS),
    ("overlap", {"overlap": 2}, CONV, 10e-6 + math.hypot(COMPUTE, MEMORY + WEIGHTS)),
    ("its own share", {"compute_share": {"default": 0.5, "convolution": 0.25}}, CONV, 10e-6 + 2 * COMPUTE + MEMORY + WEIGHTS),
    ("weights at a share", {"weight_share": 0.5}, CONV, 10e-6 + COMPUTE + MEMORY + 2 * WEIGHTS),
    ("weights packed anew", {"repack_share": 0.1}, CONV, 10e-6 + COMPUTE + MEMORY + WEIGHTS + 10 * WEIGHTS),
    ("buffers that the allocator keeps", {"page_share": 0.1}, CONV, 10e-6 + COMPUTE + MEMORY + WEIGHTS),
    ("library call", {"contraction_us": 5}, CONV, 15e-6 + COMPUTE + MEMORY + WEIGHTS),
    ("a convolution described anew", {"contraction_us": 5, "image_us": 50}, CONV, 65e-6 + COMPUTE + MEMORY + WEIGHTS),
    ("loops are no convolutions", {"image_us": 50}, MEAN, 10e-6 + 9e5 / (1e12 * 0.5) + MEMORY + WEIGHTS),
    (
        "convolutions have tiles of their own",
        {"tile_rows": 999, "tile_outputs": 63, "core_cache_mib": 1, "spilled_cost": 9},
        CONV,
        10e-6 + COMPUTE + MEMORY + WEIGHTS,
    ),
    ("ramp over K", {"k_half": 288}, CONV, 10e-6 + 2 * COMPUTE + MEMORY + WEIGHTS),
    ("ramps over M and N", {"m_half": 1000, "n_half": 64}, CONV, 10e-6 + 4 * COMPUTE + MEMORY + WEIGHTS),
    ("Winograd", {"window_factor": 2.25}, CONV, 10e-6 + COMPUTE / 2.25 + MEMORY + WEIGHTS),
    ("no Winograd with a stride", {"window_factor": 2.25, "strided_factor": 0.5}, STRIDED, 10e-6 + 2 * COMPUTE + MEMORY + WEIGHTS),
    ("aligned", {"aligned_to": 32, "misaligned_factor": 0.5}, CONV, 10e-6 + COMPUTE + MEMORY + WEIGHTS),
    ("misaligned", {"aligned_to": 64, "misaligned_factor": 0.5}, CONV, 10e-6 + 2 * COMPUTE + MEMORY + WEIGHTS),
    ("small images", {"spatial_half": 1000}, CONV, 10e-6 + COMPUTE + 2 * MEMORY + WEIGHTS),
    ("in a cache", {"cache_bonus": 3, "cache_mib": 1e6 / 2**20}, CONV, 10e-6 + COMPUTE + MEMORY / (1 + 3 / 2) + WEIGHTS),
    ("depthwise", {"depthwise_exponent": 1}, DEPTHWISE, 10e-6 + 2 * DEPTHWISE.macs / (1e12 * 0.5) + MEMORY + WEIGHTS),  # 5/3 counts as 1
    ("grouped", {"grouped_k_half": 72, "grouped_n_half": 8}, GROUPED, 10e-6 + 4 * 2 * GROUPED.macs / (1e12 * 0.5) + MEMORY + WEIGHTS),
    ("elementwise", {"contraction_us": 5}, SIGMOID, 10e-6 + 4e6 / (1e12 * 0.5) + MEMORY + WEIGHTS + 1e6 / 1e12),
    ("ramp over M of windows", {"m_half": 9, "window_m_half": 1000}, CONV, 10e-6 + 2 * COMPUTE + MEMORY + WEIGHTS),
    ("half displaced", {"cold_us": 30, "cold_mib": 1.1e6 / 2**20}, CONV, 25e-6 + COMPUTE + MEMORY + WEIGHTS),
    ("half displaced, whatever it computes", {"cold_us": 30, "cold_mib": 1.1e6 / 2**20}, MEAN, 25e-6 + 9e5 / (1e12 * 0.5) + MEMORY + WEIGHTS),
    ("maxima", {"memory_share": {"default": 0.8, "pooling": 0.4, "pooling-max": 0.2}}, POOL, 10e-6 + 8e5 / (1e12 * 0.5) + 4 * MEMORY + WEIGHTS),
    ("means", {"memory_share": {"default": 0.8, "pooling": 0.4, "pooling-max": 0.2}}, MEAN, 10e-6 + 9e5 / (1e12 * 0.5) + 2 * MEMORY + WEIGHTS),
    ("maxima as means", {"memory_share": {"default": 0.8, "pooling": 0.4}}, POOL, 10e-6 + 8e5 / (1e12 * 0.5) + 2 * MEMORY + WEIGHTS),
    ("erf", {"transcendental_share": 0.1, "error_function_share": 0.5}, ERF, 10e-6 + 4e6 / (1e12 * 0.5) + MEMORY + WEIGHTS + 2 * 1e6 / 1e12),
    ("erf as others", {"transcendental_share": 0.1}, ERF, 10e-6 + 4e6 / (1e12 * 0.5) + MEMORY + WEIGHTS + 10 * 1e6 / 1e12),
    ("slow exponentials", {"transcendental_share": 0.1}, SIGMOID, 10e-6 + 4e6 / (1e12 * 0.5) + MEMORY + WEIGHTS + 10 * 1e6 / 1e12),
)


@pytest.mark.parametrize(("changes", "work", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ROOFLINES])
def test_the_roofline_of_a_kernel(kernel_of: MakeKernel, program_of: MakeProgram, changes: dict[str, object], work: Work, expected: float) -> None:
    cost = roofline.price(program_of(kernel_of(work, read=6 * 10**5, written=4 * 10**5, weights=10**5)), machine(smooth(**changes)))
    assert cost.latency_s == pytest.approx(expected, rel=1e-12)
    assert cost.kernels[0].modelled
    assert cost.terms == {}


def test_matrix_products_run_at_the_peak_of_their_type_and_all_else_in_fp32(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    half = machine(smooth(kernel_us=0))
    product, pointwise = (roofline.price(program_of(kernel_of(work, dtype=DType.FP16)), half).latency_s for work in (CONV, SIGMOID))
    assert product == pytest.approx(2 * CONV.macs / (4e12 * 0.5))
    assert pointwise == pytest.approx(4e6 / (1e12 * 0.5) + 1e6 / 1e12)


def test_a_floor_is_a_term_of_the_program(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    cost = roofline.price(program_of(kernel_of(CONV), kernel_of(CONV)), machine(smooth(floor_us=100)))
    assert cost.terms == {"floor": pytest.approx(100e-6)}
    assert cost.latency_s == pytest.approx(2 * (10e-6 + COMPUTE) + 100e-6)


def test_threads_share_a_bandwidth_and_wait_for_each_other() -> None:
    parameters = smooth(core_gb_per_s=50, thread_us=3)
    for threads in (1, 2, 8):
        on = machine(parameters, threads=threads)
        assert parameters.bytes_per_s(on) == pytest.approx(1 / (1 / (threads * 50e9) + 1 / 1e11))
        assert overhead(on, parameters) == pytest.approx(10e-6 + 3e-6 * math.log2(threads))


@pytest.mark.parametrize(("work", "passes"), [(CONV, 2), (dataclasses.replace(CONV, taps=1), 1), (DEPTHWISE, 2), (SIGMOID, 0)])
def test_buffers_that_the_allocator_does_not_keep_are_mapped_anew(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, passes: int) -> None:
    large = 32 * 2**20 + 4
    for weights, written, fresh in ((large, 0, passes * large), (0, large, min(passes, 1) * large), (large - 4, large - 4, 0)):
        program = program_of(kernel_of(work, weights=weights, written=written))
        with_pages, without = (roofline.price(program, machine(smooth(page_share=share))).latency_s for share in (0.1, None))
        assert with_pages - without == pytest.approx(fresh / (1e11 * 0.1))


@pytest.mark.parametrize(("written", "joined"), [(1, 1), (4096, 1), (4097, 2), (4 * 4096, 4), (10**6, 14)])
def test_a_loop_of_few_elements_wakes_few_threads(kernel_of: MakeKernel, program_of: MakeProgram, written: int, joined: int) -> None:
    on = machine(smooth(thread_us=3, chunk_elements=4096), threads=14)
    loop, product = (roofline.price(program_of(kernel_of(work, written=4 * written)), on).kernels[0].overhead_s for work in (SIGMOID, CONV))
    assert loop == pytest.approx(10e-6 + 3e-6 * math.log2(joined))
    assert product == pytest.approx(10e-6 + 3e-6 * math.log2(14))


# (rows, outputs, products), cores, share of their rounds that tiles of 320 rows by 64 outputs fill
@pytest.mark.parametrize(
    ("m", "n", "groups", "cores", "filled"),
    [(320, 64, 1, 1, 1), (320, 64, 1, 14, 1 / 14), (321, 896, 1, 14, 1), (197, 768, 1, 14, 12 / 14), (197, 1024, 1, 14, 16 / 28), (1, 65, 7, 14, 1)],
)
def test_cores_share_a_product_in_whole_tiles(kernel_of: MakeKernel, program_of: MakeProgram, m: int, n: int, groups: int, cores: int, filled: float) -> None:
    work = Work(kind=WorkKind.LINEAR, m=m, n=n, k=64, groups=groups)
    tiled, whole = (
        roofline.price(program_of(kernel_of(work)), machine(smooth(kernel_us=0, **tiles), threads=cores)).latency_s
        for tiles in ({"tile_rows": 320, "tile_outputs": 64}, {})
    )
    assert whole / tiled == pytest.approx(filled)


def test_weights_beyond_the_cores_own_caches_slow_a_product(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    product = Work(kind=WorkKind.LINEAR, m=10**6, n=64, k=64)
    for weights, cores, spilled in ((0, 2, 0.0), (2 * 2**20, 2, 0.5), (2 * 2**20, 1, 2 / 3)):
        program = program_of(kernel_of(product, weights=weights))
        slowed, plain = (
            roofline.price(program, machine(smooth(kernel_us=0, overlap=20, core_cache_mib=1, spilled_cost=cost), threads=cores)).kernels[0].compute_s
            for cost in (2.0, 0.0)
        )
        assert slowed / plain == pytest.approx(1 + 2 * spilled)


def test_a_kind_without_a_share_is_not_modelled(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    cost = roofline.price(program_of(kernel_of(CONV)), machine(smooth(compute_share={"linear": 0.5})))
    assert (cost.kernels[0].modelled, cost.latency_s) == (False, 0.0)
    faults = roofline.faults(smooth(compute_share={"linear": 0.5, "conv": 0.5}), machine(smooth()), "fp32")
    assert [fault.path for fault in faults] == [("compute_share", "conv"), ("compute_share",)]


# tiles and waves: with tiles of 128 x 128 alone


@pytest.mark.parametrize(
    ("m", "n", "k", "groups", "units", "expected"),
    [
        (128, 128, 128, 1, 1, 1),
        (257, 128, 128, 1, 1, 257 / (3 * 128)),  # three tiles for two and a row
        (128, 129, 128, 1, 2, 129 / (2 * 128)),
        (128, 128 * 108, 128, 1, 108, 1),
        (128, 128 * 109, 128, 1, 108, 109 / (2 * 108)),  # two waves for one and a block
        (128, 128, 128, 216, 108, 1),  # groups are blocks
        (128, 128, 128, 1, 108, 1 / 108),
        (128, 128, 4096, 1, 108, 4096 / 256 / 108),  # K split into blocks of 256
        (128, 128, 256 * 1000, 1, 108, 1),
        (1, 1000, 512, 1, 8, 1000 * 1 / (8 * 128 * 128)),
    ],
)
def test_tiles_come_whole_and_in_waves(m: int, n: int, k: int, groups: int, units: int, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_tiles, "TILES", ((128, 128),))
    assert tile_occupancy(Work(kind=WorkKind.LINEAR, m=m, n=n, k=k, groups=groups), units) == pytest.approx(expected, rel=1e-12)


@bounded
@given(m=st.integers(1, 5000), n=st.integers(1, 5000), k=st.integers(1, 5000), groups=st.integers(1, 64), units=st.integers(1, 200))
def test_occupancy_is_a_share_and_the_library_takes_the_best_tile(m: int, n: int, k: int, groups: int, units: int) -> None:
    work = Work(kind=WorkKind.LINEAR, m=m, n=n, k=k, groups=groups)
    assert 0 < tile_occupancy(work, units) <= 1
    blocks = -(-m // 128) * -(-n // 128) * groups
    waves = -(-blocks // units)
    if blocks >= units:
        assert tile_occupancy(work, units) >= m * n * groups / (128 * 128 * units * waves) * (1 - 1e-12)


def test_a_shape_is_tiled_once_for_a_machine() -> None:
    gpu_tiles._best_tiling.cache_clear()
    works = [Work(kind=kind, m=12544, n=96, k=864) for kind in (WorkKind.CONVOLUTION, WorkKind.LINEAR)]  # a shape is all that counts
    assert len({tile_occupancy(work, 108) for work in works * 2}) == 1
    assert gpu_tiles._best_tiling.cache_info().misses == 1
    assert tile_occupancy(works[0], 128) != tile_occupancy(works[0], 108)
    assert tile_occupancy(Work(kind=WorkKind.LINEAR, m=12544, n=97, k=864), 108) != tile_occupancy(works[0], 108)


def gpu(**changes: object) -> GpuTilesParameters:
    return GpuTilesParameters.model_validate(SHARES | changes)


@pytest.mark.parametrize("name", ["cache_gb_per_s", "spilled_weight_share", "core_gb_per_s", "thread_us", "core_cache_mib"])
def test_what_only_cores_have_is_no_parameter_of_a_gpu(name: str) -> None:
    assert getattr(smooth(**{name: 0.5}), name) == 0.5
    with pytest.raises(ValidationError, match=name):
        gpu(**{name: 0.5})


@pytest.mark.parametrize("name", laws())
def test_what_a_fit_may_move_lies_within_what_the_law_takes(name: str) -> None:
    schema = law(name).PARAMETERS
    for marked, mark in schema.movable().items():
        assert marked in schema.model_fields
        assert (mark.low is None) == (mark.high is None)
        assert mark.low is None or mark.high is None or 0 < mark.low < mark.high
    assert bool(schema.movable()) is not schema.by_core


def test_few_tiles_or_the_ramps_hold_and_not_both(kernel_of: MakeKernel, program_of: MakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_tiles, "TILES", ((128, 128),))
    work = Work(kind=WorkKind.LINEAR, m=128, n=128, k=128)
    for half, share in ((0, 0.25), (128, 0.25), (3 * 128, 1 / 16)):  # one of four multiprocessors against 1, 1/4, 1/16
        on = machine(gpu(kernel_us=0, m_half=half, n_half=half), units=4)
        assert gpu_tiles.price(program_of(kernel_of(work)), on).latency_s == pytest.approx(2 * work.macs / (1e12 * 0.5 * share))


def test_what_a_gpus_cache_holds_moves_at_its_bandwidth(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    added = Work(kind=WorkKind.ELEMENTWISE, other_flops=1)
    on = machine(gpu(kernel_us=0, memory_share={"default": 0.5}))  # 1 MB at 1 TB/s, memory 0.1 TB/s
    for nbytes, seconds in ((5e5, 5e5 / 0.5e12), (4e6, (5e5 / 1e12 + 3.5e6 / 1e11) / 0.5)):
        found = gpu_tiles.price(program_of(kernel_of(added, read=int(nbytes))), on).kernels[0]
        assert found.memory_s == pytest.approx(seconds)
    bound = machine(gpu(kernel_us=0, memory_share={"default": 1.05}))
    assert gpu_tiles.price(program_of(kernel_of(added, read=4 * 10**6)), bound).kernels[0].memory_s == pytest.approx(5e5 / 1e12 + 3.5e6 / 1e11)


def test_images_are_transposed_where_channels_are_not_innermost_and_padded_with_it(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    work = Work(kind=WorkKind.CONVOLUTION, m=128, n=12, k=9 * 12, taps=9)
    first = kernel_of(work, read=10**7)
    changes = {"kernel_us": 0, "aligned_to": 8, "misaligned_factor": 0.5, "overlap": 60}
    for passes, of, extra_s, compute in (
        ({}, first, 0.0, 2),
        ({"convolution": 2.5}, first, 2.5, 1),
        ({"convolution": 2.5}, first._replace(layout="nhwc"), 0.0, 2),
    ):
        cost = gpu_tiles.price(program_of(of), machine(gpu(relayout_passes=passes, **changes))).kernels[0]
        bytes_s = 5e5 / 1e12 + 9.5e6 / 1e11
        assert cost.latency_s - cost.memory_s == pytest.approx(extra_s * bytes_s)
        assert cost.compute_s == pytest.approx(compute * 2 * work.macs / (1e12 * 0.5 * tile_occupancy(work, 1)))


@pytest.mark.parametrize(
    ("dtype", "m", "k", "steps", "waves"),
    [
        ("fp16", 4 * 128, 256, 256 * 2 // 64, 1),
        ("int8", 4 * 128, 256, 256 // 64, 1),  # half the bytes, half the steps
        ("int8", 4 * 128, 257, 256 // 64 + 1, 1),  # and a part of one
        ("fp16", 5 * 128, 256, 256 * 2 // 64, 2),
        ("fp16", 128, 512, 512 // 2 * 2 // 64, 1),  # K split between two of four multiprocessors
        ("fp32", 4 * 128, 256, 256 * 4 // 64, 1),
    ],
)
def test_products_wait_for_every_step_along_k(
    dtype: str, m: int, k: int, steps: int, waves: int, kernel_of: MakeKernel, program_of: MakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_tiles, "TILES", ((128, 128),))
    program = program_of(kernel_of(Work(kind=WorkKind.LINEAR, m=m, n=128, k=k))._replace(dtype=DType(dtype)))
    without, with_waits = (gpu_tiles.price(program, machine(gpu(**waits), units=4)).kernels[0].compute_s for waits in ({}, {"step_ns": 30, "fetch_ns": 400}))
    assert with_waits - without == pytest.approx(steps * (400 + 30 * waves) * 1e-9)


def test_only_products_in_tiles_wait(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    for kind in (WorkKind.DEPTHWISE, WorkKind.ELEMENTWISE):
        program = program_of(kernel_of(Work(kind=kind, m=64, n=1, k=9, taps=9, groups=8, other_flops=5)))
        assert gpu_tiles.price(program, machine(gpu(step_ns=30, fetch_ns=400))) == gpu_tiles.price(program, machine(gpu()))
    assert [found.benched for found in (gpu(step_ns=30), gpu(fetch_ns=400), gpu())] == [True, True, False]


@pytest.mark.parametrize(
    ("kernels", "host", "expected"),
    [
        ([], 3, 0),
        ([1], 3, 3 + 1),
        ([1, 1, 1], 3, 3 * 3 + 1),  # the host is slower: the last is issued at 9
        ([5, 1, 1], 3, 3 + 5 + 1 + 1),  # the first hides the others' issue at 6 and 9... and 8 < 9
        ([5, 1, 2], 3, 9 + 2),
        ([5, 5, 5], 0, 15),
    ],
)
def test_the_launch_queue(kernels: list[float], host: float, expected: float) -> None:
    assert launch_makespan(kernels, host) == expected


@bounded
@given(kernels=st.lists(st.floats(0, 10), min_size=1, max_size=12), host=st.floats(0, 10), cut=st.integers(0, 12))
def test_the_launch_queue_is_composed_of_runs(kernels: list[float], host: float, cut: int) -> None:
    whole = launch_makespan(kernels, host)
    assert whole >= max(sum(kernels), host * len(kernels)) * (1 - 1e-12)
    assert whole <= sum(kernels) + host * len(kernels) + 1e-9
    first, second = kernels[:cut], kernels[cut:]
    issued, ended = host * len(first), launch_makespan(first, host)
    assert max(ended + sum(second), issued + launch_makespan(second, host)) == pytest.approx(whole, abs=1e-9)


def test_waiting_for_the_host_is_a_term(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    three = program_of(kernel_of(CONV), kernel_of(CONV), kernel_of(CONV))
    slow, fast = machine(gpu(host_us=1000, floor_us=7)), machine(gpu(host_us=0))
    busy = sum(cost.latency_s for cost in gpu_tiles.price(three, fast).kernels)
    cost = gpu_tiles.price(three, slow)
    assert cost.latency_s == pytest.approx(3 * 1000e-6 + busy / 3 + 7e-6)
    assert cost.latency_s == pytest.approx(busy + sum(cost.terms.values()))
    assert gpu_tiles.price(three, fast).terms == {}


# the systolic array: 16 tiles of 64 cells with 4 lanes


def array(**changes: object) -> SystolicArrayParameters:
    values = {"tiles": 16, "cells": 64, "lanes": 4, "clock_ghz": 0.5, "efficiency": 0.5, "output_ns": 0, "moved_output_ns": 2, "cache_mib": 1}
    values |= {"activation_share": 0, "link_gb_per_s": 1, "link_ceiling_gb_per_s": 2, "invocation_ms": 0.1} | changes
    return SystolicArrayParameters.model_validate(values)


@pytest.mark.parametrize(
    ("work", "cycles"),
    [
        (Work(kind=WorkKind.CONVOLUTION, m=64, n=8, k=9 * 4, taps=9), 4 * 1 * 9 * 1),
        (Work(kind=WorkKind.CONVOLUTION, m=65, n=65, k=9 * 5, taps=9), 5 * 2 * 9 * 2),
        (Work(kind=WorkKind.POINTWISE, m=3136, n=24, k=16), 196 * 1 * 4),
        (Work(kind=WorkKind.DEPTHWISE, m=3136, n=1, k=9, taps=9, groups=96), 196 * 2 * 9),  # one lane of four
        (Work(kind=WorkKind.LINEAR, m=1, n=1000, k=1280), 1 * 320),  # the 1024 cells share the outputs
        (Work(kind=WorkKind.LINEAR, m=1, n=1025, k=1280), 2 * 320),
        (Work(kind=WorkKind.LINEAR, m=2, n=1000, k=1280), 1 * 16 * 320),
        (Work(kind=WorkKind.TRANSPOSED, m=16, n=4 * 64, k=6, taps=4), 1 * 4 * 2),
    ],
)
def test_cycles_on_the_array(kernel_of: MakeKernel, work: Work, cycles: int) -> None:
    assert array_cycles(kernel_of(work), array()) == cycles


@pytest.mark.parametrize(
    ("weights", "live", "activation_share", "share"),
    [
        (0, 0, 0.0, 0.0),
        (2**19, 0, 0.0, 0.0),
        (2**20, 0, 0.0, 0.0),  # just fits
        (2**21, 0, 0.0, 0.5),
        (2**22, 0, 0.0, 0.75),
        (2**20, 2**19, 0.5, 0.25),  # a quarter of the cache holds activations
        (2**20, 2**22, 1.0, 1.0),
    ],
)
def test_what_does_not_fit_on_chip_streams(
    kernel_of: MakeKernel, program_of: MakeProgram, weights: int, live: int, activation_share: float, share: float
) -> None:
    program = program_of(kernel_of(CONV, weights=weights), live=live)
    assert streamed_share(program, array(activation_share=activation_share)) == pytest.approx(share)


ROWS = Work(kind=WorkKind.LINEAR, m=1, n=1000, k=1280, elements_written=1000)
GELU = Work(kind=WorkKind.ELEMENTWISE, other_flops=1000, elements_written=1000)


def test_a_layer_takes_its_cycles_or_its_stream(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    weights = 2**21  # half of it streams: 2**20 bytes at 1 GB/s
    on = machine(array(output_ns=3))
    fits, streams = (systolic_array.price(program_of(kernel_of(ROWS, weights=size), input_bytes=500, output_bytes=500), on) for size in (2**20, weights))
    assert fits.kernels[0].latency_s == pytest.approx(320 / (0.5 * 0.5e9) + 1000 * 3e-9)
    assert streams.kernels[0].latency_s == pytest.approx(2**20 / 1e9)
    assert streams.kernels[0].bound == "memory"
    assert fits.terms == {"invocation": pytest.approx(0.1e-3), "transfer": pytest.approx(1000 / 1e9)}
    moved = systolic_array.price(program_of(kernel_of(GELU)), on)
    assert moved.kernels[0].latency_s == pytest.approx(1000 * 2e-9)


def test_the_host_prices_what_the_array_does_not_take(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    delegated, rest = kernel_of(ROWS, weights=100), kernel_of(GELU, read=10**6, partition="host")
    host = machine(smooth())
    with_host, alone = (
        Machine(cores=(), peak_flops_per_s={"fp32": 1e12}, levels=host.levels, parameters=array(), host=found) for found in (("roofline", host), None)
    )
    cost = systolic_array.price(program_of(rest, delegated, rest), with_host)
    expected = roofline.price(program_of(rest), host).latency_s
    assert [kernel.latency_s for kernel in cost.kernels] == [pytest.approx(expected), pytest.approx(320 / (0.5 * 0.5e9)), pytest.approx(expected)]
    assert set(cost.terms) == {"invocation", "transfer", "crossing"}
    assert [kernel.modelled for kernel in systolic_array.price(program_of(delegated, rest), alone).kernels] == [True, False]
    assert systolic_array.price(program_of(rest), with_host).terms == {}


def test_an_array_faster_than_its_peak_and_a_link_over_its_ceiling_are_faults() -> None:
    rate = 2 * 16 * 64 * 4 * 0.5e9 * 0.5  # operations a second
    for peak, link, paths in ((rate, 1, []), (rate / 2, 1, [("efficiency",)]), (rate, 3, [("link_gb_per_s",)])):
        on = Machine(cores=(), peak_flops_per_s={"fp32": peak}, levels=(), parameters=array(link_gb_per_s=link))
        assert [fault.path for fault in systolic_array.faults(on.parameters, on, "int8")] == paths
