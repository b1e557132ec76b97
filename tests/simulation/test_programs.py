"""Random programs with branches on every machine: what holds however the kernels are run."""

from __future__ import annotations

import itertools
import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.kernel import Buffer, Kernel, Program, Weights
from costmodel.laws import price_in_picoseconds
from costmodel.quantity import picoseconds
from costmodel.simulation import Settings, Timeline, simulate
from costmodel.tensor import DType
from costmodel.work import Work, WorkKind

#: Machines of every kind with what they can do beyond the estimate.
MACHINES: tuple[tuple[str, Settings], ...] = (
    ("i9-10940x", Settings()),
    ("i9-10940x", Settings(parallel=2)),
    ("i9-10940x", Settings(parallel=3, own_cores=True)),
    ("v100", Settings()),
    ("v100", Settings(parallel=3)),
    ("v100", Settings(cuda_graph=True, parallel=2, copies=True)),
    ("v100", Settings(queue_depth=2)),
    ("coral-usb", Settings()),
    ("coral-usb", Settings(quantise=True, inferences=3, in_flight=2)),
    ("pixel4", Settings(inferences=2)),
)


def made(seed: int, dtype: DType) -> Program:
    """Up to 14 kernels, each of which reads one or two earlier outputs; nothing that is written is left unread but the last."""
    draw = random.Random(seed)
    count = draw.randint(1, 14)
    kernels, readers = [], [0] * (count + 1)
    for number in range(count):
        inputs = sorted({draw.randint(max(0, number - 3), number) for _ in range(draw.randint(1, 2))})
        for source in inputs:
            readers[source] = number
        m, n, k = draw.randint(1, 400), draw.randint(1, 200), draw.randint(1, 200)
        kind = draw.choice((WorkKind.LINEAR, WorkKind.ELEMENTWISE))
        weights = n * k * dtype.itemsize * draw.choice((1, 1, 40)) if kind is WorkKind.LINEAR else 0
        work = Work(kind=kind, m=m, n=n, k=k, elements_read=m * k, elements_written=m * n, parameters=n * k)
        if kind is WorkKind.ELEMENTWISE:
            work = Work(kind=kind, elements_read=m * k, elements_written=m * n, other_flops=m * n)
        size = dtype.itemsize
        kernels.append(Kernel(f"k{number}", (f"k{number}",), kind, (work,), dtype, m * k * size, m * n * size, weights, tuple(inputs), (number + 1,)))
    last = [count if not read and number else read for number, read in enumerate(readers)]
    buffers = tuple(Buffer(f"b{number}", draw.randint(1, 10**6), number - 1, last[number]) for number in range(count + 1))
    stored = sum(kernel.weight_bytes for kernel in kernels)
    return Program(
        name="random",
        rule_set="none",
        dtype=dtype,
        batch=1,
        kernels=tuple(kernels),
        buffers=buffers,
        input_bytes=draw.randint(1, 10**6),
        output_bytes=draw.randint(1, 10**6),
        stored_weight_bytes=stored,
        weights=tuple(Weights(kernel.name, kernel.weight_bytes, 0, ((number, kernel.weight_bytes),)) for number, kernel in enumerate(kernels)),
    )


def check(program: Program, timeline: Timeline) -> None:
    """Dependencies are kept, engines are never overbooked, memory is what it was before, and the parts make up the whole."""
    ends: dict[tuple[int, int], int] = {}
    starts: dict[tuple[int, int], int] = {}
    for span in timeline.spans:
        if span.kernel >= 0 and span.phase not in ("launch", "stream", "transfer"):
            key = (span.inference, span.kernel)
            ends[key] = max(ends.get(key, 0), span.end_ps)
            starts[key] = min(starts.get(key, span.start_ps), span.start_ps)
    assert len(starts) == len(program.kernels) * timeline.inferences, "every kernel runs in every inference"
    for (inference, number), start in starts.items():
        for source in {program.buffers[read].first for read in program.kernels[number].inputs} - {-1}:
            assert ends[inference, source] <= start
    for slot in {(span.engine, span.slot) for span in timeline.spans}:
        own = sorted((span.start_ps, span.end_ps) for span in timeline.spans if (span.engine, span.slot) == slot)
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(own))
    assert timeline.critical_path_ps <= timeline.makespan_ps
    assert all(0 <= share <= 1 + 1e-9 for share in timeline.busy.values())
    assert sum(timeline.bound_shares.values()) == pytest.approx(1)
    chain = [timeline.spans[number] for number in timeline.critical]
    assert chain[0].start_ps == 0
    assert chain[-1].end_ps == timeline.makespan_ps
    assert all(first.end_ps == second.start_ps for first, second in itertools.pairwise(chain)), "each lets the next one start"
    weights = program.stored_weight_bytes * (2 if timeline.target.memory_holds_file else 1)
    assert timeline.memories[0].samples[-1][1] == weights, "activations are freed"


@pytest.mark.parametrize(("device", "chosen"), MACHINES, ids=[f"{device}-{number}" for number, (device, _) in enumerate(MACHINES)])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_programs_run_as_they_must(device: str, chosen: Settings, seed: int) -> None:
    target = costmodel.target(device)
    program = made(seed, DType.named(target.dtype) if target.dtype != "amp" else DType.FP16)
    timeline = simulate(program, target, chosen)
    check(program, timeline)
    assert simulate(program, target, chosen) == timeline
    alone = simulate(program, target, Settings(overlap=False, inferences=chosen.inferences))
    estimated = picoseconds(price_in_picoseconds(target.law, program, target.machine).latency_s)
    assert alone.makespan_ps == chosen.inferences * estimated
    check(program, alone)


def test_a_timeline_can_be_pickled_and_not_changed() -> None:
    timeline = costmodel.simulate("squeezenet-1.1", device="coral-usb")
    assert pickle.loads(pickle.dumps(timeline)) == timeline
    with pytest.raises(AttributeError):
        timeline.makespan_ps = 0  # type: ignore[misc]  # it is frozen
    with pytest.raises(TypeError, match="read-only"):
        timeline.facts["cached_bytes"] = 0  # type: ignore[index]  # the same
