"""What `linear_work` says of packing and streaming on several cores, counted by hand. The clock is 1 Hz, the memory moves 1 GB/s."""

from __future__ import annotations

import pytest

from costmodel.laws import linear_work
from costmodel.work import Work, WorkKind
from tests.laws.test_linear_work import DEPTHWISE, EVEN, POINTWISE, ROW, MakeKernel, MakeProgram, image, machine

#: Cycles of the arithmetic of EVEN, and of packing its 64 columns of 36 and its 8 filters of 36.
PRODUCTS, PACKING = 64 * 8 * (36 * 2 + 3) + 36 * 5, 64 * 36 * 7 + 8 * 36 * 11
#: Bytes that packing moves: read, written, read again.
PACKED = 3 * 4 * (64 * 36 + 8 * 36)
BATCHED = image(WorkKind.MATMUL, m=5, n=5, k=8, groups=2)
#: Share of the memory's bandwidth at which it moves one byte a second.
BYTE = 1e-9


@pytest.mark.parametrize(
    ("share", "packing"),
    [
        pytest.param(None, PACKING, id="one thread packs"),
        pytest.param(1, PACKING / 4, id="the memory is fast"),
        pytest.param(2 * BYTE, PACKED / 2, id="the memory is busy"),
        pytest.param(BYTE, PACKING, id="one thread keeps the memory busy"),
    ],
)
def test_threads_pack_together_as_fast_as_the_memory(kernel_of: MakeKernel, program_of: MakeProgram, share: float | None, packing: float) -> None:
    assert PACKING / 4 < PACKED / 2 < PACKING < PACKED
    program, parameters = program_of(kernel_of(EVEN)), {"packing_share": share}
    cost = linear_work.price(program, machine(4, parameters=parameters)).kernels[0]
    assert cost.latency_s == pytest.approx(PRODUCTS / 4 + packing)
    assert cost.memory_s == pytest.approx(packing)
    assert linear_work.price(program, machine(parameters=parameters)).latency_s == PRODUCTS + PACKING


def test_cores_of_two_kinds_pack_as_much_as_each_is_fast(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    mixed = linear_work.price(program_of(kernel_of(EVEN)), machine(4, small=2, parameters={"packing_share": 1}))
    assert mixed.latency_s == pytest.approx((PRODUCTS + PACKING) / 4.5)


def test_runs_are_one_threads(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    cost = linear_work.price(program_of(kernel_of(EVEN)), machine(4, pack_cycles_per_run=5, parameters={"packing_share": 1}))
    assert cost.latency_s == pytest.approx((PRODUCTS + PACKING) / 4 + 64 * 3 * 5)


@pytest.mark.parametrize(
    ("work", "alone", "moved"),
    [
        pytest.param(ROW, 10 * 20 * 6, 4 * 10 * 20, id="the weights of one row are read once"),
        pytest.param(BATCHED, 2 * (5 * 8 * 7 + 5 * 8 * 11), 3 * 4 * 2 * (5 * 8 + 5 * 8), id="both operands of a batched product are packed"),
        pytest.param(POINTWISE, 8 * 4 * 11, 3 * 4 * 8 * 4, id="a pointwise convolution has no columns"),
    ],
)
def test_what_is_packed(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, alone: int, moved: int) -> None:
    program = program_of(kernel_of(work))
    serial, shared = (linear_work.price(program, machine(4, gemv_cycles_per_weight=6, parameters={"packing_share": share})).latency_s for share in (BYTE, 1))
    assert serial - shared == pytest.approx(min(alone, moved) - alone / 4)


@pytest.mark.parametrize("kind", [WorkKind.ELEMENTWISE, WorkKind.PAD, WorkKind.DEPTHWISE], ids=str)
def test_other_kernels_pack_nothing(kernel_of: MakeKernel, program_of: MakeProgram, kind: WorkKind) -> None:
    program = program_of(kernel_of(DEPTHWISE if kind is WorkKind.DEPTHWISE else image(kind)))
    assert linear_work.price(program, machine(4, parameters={"packing_share": 1})) == linear_work.price(program, machine(4))


@pytest.mark.parametrize(
    ("work", "streamed", "threads"),
    [
        # over 1 KiB: 1 KiB of outputs, 8 KiB of columns written and read, 128 bytes of weights
        pytest.param(EVEN, 1024 + 2 * 8192 + 128, 4, id="a product's inputs, outputs, columns and weights, by all threads"),
        pytest.param(POINTWISE, 1024, 4, id="no columns"),
        pytest.param(ROW, 1024, 4, id="the weights of one row stream anyway"),
        pytest.param(BATCHED, 1024, 4, id="operands of a batched product count as inputs alone"),
        pytest.param(DEPTHWISE, 1024, 4, id="a depthwise convolution, by all threads"),
        pytest.param(image(WorkKind.CONCAT), 1024, 1, id="others, by one"),
    ],
)
def test_what_streams(kernel_of: MakeKernel, program_of: MakeProgram, work: Work, streamed: int, threads: int) -> None:
    program, parameters = program_of(kernel_of(work)), {"resident_kib": 1}
    for count, sharing in ((1, 1), (4, threads)):
        with_streams, without = (
            linear_work.price(program, machine(count, parameters=parameters, streamed_cycles_per_byte=cycles)).kernels[0] for cycles in (100.0, 0.0)
        )
        assert with_streams.memory_s - without.memory_s == pytest.approx(streamed * 100 / sharing)
        assert with_streams.compute_s == without.compute_s


def test_streams_of_a_depthwise_convolution_that_one_thread_computes_are_its(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    program = program_of(kernel_of(DEPTHWISE))
    parameters = {"resident_kib": 1, "depthwise_shared": 0.25}
    with_streams, without = (
        linear_work.price(program, machine(4, parameters=parameters, streamed_cycles_per_byte=cycles)).latency_s for cycles in (100.0, 0.0)
    )
    assert with_streams - without == pytest.approx(1024 * 100 * (0.75 + 0.25 / 4))


def test_a_share_of_the_cost_per_output_may_stay_on_one_thread(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    program, parameters = program_of(kernel_of(EVEN)), {"outputs_shared": 0.25}
    outputs = 64 * 8 * 3
    assert linear_work.price(program, machine(parameters=parameters)).latency_s == PRODUCTS + PACKING
    assert linear_work.price(program, machine(4, parameters=parameters)).latency_s == pytest.approx(
        (PRODUCTS - outputs + 0.25 * outputs) / 4 + 0.75 * outputs + PACKING
    )


def test_what_winograds_transforms_replace_is_not_packed(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    work = Work(kind=WorkKind.CONVOLUTION, m=144, n=24, k=9 * 16, taps=9, spatial=144, elements_written=1)
    program, constants = program_of(kernel_of(work)), {"winograd_cycles_per_mac": 2.0, "winograd_cycles_per_element": 3.0}
    assert linear_work.price(program, machine(4, parameters={"packing_share": 1}, **constants)) == linear_work.price(program, machine(4, **constants))


def test_where_all_is_shared_packing_is_shared_once(kernel_of: MakeKernel, program_of: MakeProgram) -> None:
    found = linear_work.price(program_of(kernel_of(EVEN)), machine(4, parameters={"packing_share": 1, "rest_shared": 1}))
    assert found.latency_s == pytest.approx((PRODUCTS + PACKING) / 4)
