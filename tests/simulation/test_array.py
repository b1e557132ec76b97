"""Closed forms of the systolic array against loops over cycles, in which operands move from multiplier to multiplier."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from costmodel.errors import UsageError
from costmodel.simulation.array import DATAFLOWS, Array, Layer, Place, double_buffered, fold_cycles, folds, layer
from costmodel.work import Work, WorkKind

Matrix = np.ndarray[tuple[int, int], np.dtype[np.int64]]


def held(stationary: Matrix, passing: Matrix) -> tuple[int, Matrix]:
    """(cycles, product) of a fold that stays: (length, r) passes an (r, c) array, sums move down and leave below, a cycle a multiplier."""
    rows, columns = stationary.shape
    length = passing.shape[0]
    loaded = np.zeros((rows, columns), dtype=np.int64)
    cycles = 0
    for row in reversed(range(rows)):  # a row enters above each cycle and pushes the others down
        loaded = np.vstack([stationary[row : row + 1], loaded[:-1]])
        cycles += 1
    assert (loaded == stationary).all()
    moving, sums = np.zeros((rows, columns), dtype=np.int64), np.zeros((rows, columns), dtype=np.int64)
    out = np.zeros((length, columns), dtype=np.int64)
    got = 0
    step = 0
    while got < length * columns:
        entering = np.array([passing[step - row, row] if 0 <= step - row < length else 0 for row in range(rows)])
        moving = np.hstack([entering[:, None], moving[:, :-1]])
        sums = np.vstack([np.zeros((1, columns), dtype=np.int64), sums[:-1]]) + moving * loaded
        for column in range(columns):
            vector = step - (rows - 1) - column
            if 0 <= vector < length:
                out[vector, column] = sums[-1, column]
                got += 1
        step += 1
    return cycles + step, out


def outputs_held(left: Matrix, right: Matrix) -> tuple[int, Matrix]:
    """(cycles, product) of a fold of outputs: (r, K) enters from the left, (K, c) from above, then the outputs move down and out."""
    (rows, depth), columns = left.shape, right.shape[1]
    across, down, sums = (np.zeros((rows, columns), dtype=np.int64) for _ in range(3))
    done = np.zeros((rows, columns), dtype=np.int64)
    step = 0
    while done.min() < depth:
        entering = np.array([left[row, step - row] if 0 <= step - row < depth else 0 for row in range(rows)])
        falling = np.array([right[step - column, column] if 0 <= step - column < depth else 0 for column in range(columns)])
        across = np.hstack([entering[:, None], across[:, :-1]])
        down = np.vstack([falling[None, :], down[:-1]])
        sums += across * down
        for row in range(rows):
            for column in range(columns):
                done[row, column] += 0 <= step - row - column < depth
        step += 1
    out = []
    for _ in range(rows):
        out.append(sums[-1].copy())
        sums = np.vstack([np.zeros((1, columns), dtype=np.int64), sums[:-1]])
        step += 1
    return step, np.array(out[::-1])


def by_cycles(m: int, n: int, k: int, array: Array, draw: random.Random) -> list[int]:
    """Cycles of every fold by the loops, whose product is checked against numpy's."""
    left = np.array([[draw.randint(-9, 9) for _ in range(k)] for _ in range(m)])
    right = np.array([[draw.randint(-9, 9) for _ in range(n)] for _ in range(k)])
    total, found = np.zeros((m, n), dtype=np.int64), []
    high, wide = array.rows, array.columns
    if array.dataflow == "output-stationary":
        for i in range(0, m, high):
            for j in range(0, n, wide):
                cycles, total[i : i + high, j : j + wide] = outputs_held(left[i : i + high], right[:, j : j + wide])
                found.append(cycles)
    elif array.dataflow == "weight-stationary":
        for j in range(0, n, wide):
            for p in range(0, k, high):
                cycles, part = held(right[p : p + high, j : j + wide], left[:, p : p + high])
                total[:, j : j + wide] += part
                found.append(cycles)
    else:
        for i in range(0, m, wide):
            for p in range(0, k, high):
                cycles, part = held(left[i : i + wide, p : p + high].T, right[p : p + high].T)
                total[i : i + wide] += part.T
                found.append(cycles)
    assert (total == left @ right).all()
    return found


def buffered_by_cycles(compute: list[int], load: list[int], store: list[int], per_cycle: int) -> int:
    """Cycles by a loop over them: the channel moves so many bytes in each, the array counts down, and halves change over when both are done."""
    cycles = 0
    stages = [(0, load[0])]
    for at, fold in enumerate(compute):
        stages.append((fold, (load[at + 1] if at + 1 < len(load) else 0) + (store[at - 1] if at else 0)))
    stages.append((0, store[-1]))
    for left, waiting in stages:
        while left > 0 or waiting > 0:
            left, waiting, cycles = left - 1, waiting - per_cycle, cycles + 1
    return cycles


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_folds_take_the_cycles_of_the_loop(dataflow: str) -> None:
    draw = random.Random(dataflow)
    for _ in range(170):  # of each dataflow: more than 500 layers in all
        array = Array(rows=draw.randint(1, 5), columns=draw.randint(1, 5), clock_hz=1e9, bytes_per_cycle=1e9, dataflow=dataflow)
        m, n, k = (draw.randint(1, 9) for _ in range(3))
        work = Work(kind=WorkKind.LINEAR, m=m, n=n, k=k)
        assert [fold.cycles for fold in folds(work, array)] == by_cycles(m, n, k, array, draw), (m, n, k, array)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_layers_with_their_buffers_take_the_cycles_of_the_loop(dataflow: str) -> None:
    draw = random.Random(dataflow)
    for _ in range(170):
        per_cycle, sram = draw.randint(1, 16), draw.choice((1, 40, 200, 10**6))
        sizes = {"input_sram_bytes": sram, "weight_sram_bytes": sram, "output_sram_bytes": sram}
        array = Array(rows=draw.randint(1, 6), columns=draw.randint(1, 6), clock_hz=1e9, bytes_per_cycle=per_cycle, dataflow=dataflow, **sizes)
        work = Work(kind=WorkKind.LINEAR, m=draw.randint(1, 12), n=draw.randint(1, 12), k=draw.randint(1, 12), groups=draw.randint(1, 3))
        repeated = list(folds(work, array)) * work.groups
        loads, stores = [fold.load_bytes for fold in repeated], [fold.store_bytes for fold in repeated]
        found = layer("layer", work, array)
        assert found.cycles == buffered_by_cycles([fold.cycles for fold in repeated], loads, stores, per_cycle)
        assert found.cycles == found.stalls + sum(fold.cycles for fold in repeated)
        assert (found.read_bytes, found.written_bytes) == (sum(loads), sum(stores))
        assert 0 < found.utilisation <= 1


def made(dataflow: str, **more: object) -> Layer:
    array = Array(rows=4, columns=4, clock_hz=1e9, bytes_per_cycle=1e9, dataflow=dataflow, **more)  # type: ignore[arg-type]  # as named
    return layer("layer", Work(kind=WorkKind.LINEAR, m=8, n=12, k=10), array)


@pytest.mark.parametrize(
    ("dataflow", "large", "small"),
    [
        # bytes read with SRAMs that hold everything: each operand once; with SRAMs of a byte nothing is kept
        ("output-stationary", 8 * 10 + 10 * 12, 2 * 3 * (4 * 10 + 10 * 4)),
        ("weight-stationary", 8 * 10 + 10 * 12, 10 * 12 + 3 * 8 * 10 + 4 * 2 * 8 * 12),  # and the sums of two of three parts of K come back
        ("input-stationary", 8 * 10 + 10 * 12, 8 * 10 + 2 * 10 * 12 + 4 * 2 * 8 * 12),
    ],
)
def test_traffic_depends_on_what_the_srams_keep(dataflow: str, large: int, small: int) -> None:
    assert made(dataflow).read_bytes == large
    assert made(dataflow).written_bytes == 8 * 12
    tiny = made(dataflow, input_sram_bytes=1, weight_sram_bytes=1, output_sram_bytes=1)
    assert tiny.read_bytes == small
    assert tiny.written_bytes == 8 * 12 + (0 if dataflow == "output-stationary" else 4 * 2 * 8 * 12)


@pytest.mark.parametrize("dataflow", ["weight-stationary", "input-stationary"])
def test_partial_sums_come_back_whole_where_inputs_overlap(dataflow: str) -> None:
    work = Work(kind=WorkKind.CONVOLUTION, m=49, n=16, k=144, taps=9, spatial=49)
    held, spilled = (
        [
            layer("a", work, Array(rows=8, columns=8, clock_hz=1e9, bytes_per_cycle=4, output_sram_bytes=nbytes, dataflow=dataflow), place)
            for nbytes in (2**20, 64)
        ]
        for place in (Place(), Place(inputs=1 / 9))
    )
    for kept, moved in (held, spilled):
        assert moved.read_bytes - kept.read_bytes == moved.written_bytes - kept.written_bytes == 17 * 49 * 16 * 4  # 18 folds down, the last is a result


def test_the_closed_forms_are_scale_sims() -> None:
    assert fold_cycles("output-stationary", 16, 8, 100) == 2 * 16 + 8 + 100 - 2
    full = layer("full", Work(kind=WorkKind.LINEAR, m=32, n=16, k=100), Array(rows=16, columns=8, clock_hz=1e9, bytes_per_cycle=1e9, dataflow=DATAFLOWS[1]))
    assert full.cycles - 2 == (2 * 16 + 8 + 100 - 2) * (32 // 16) * (16 // 8), "one cycle to load the first fold and one to store the last"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Array(rows=4, columns=4, clock_hz=1e9, bytes_per_cycle=1, dataflow="weight-stationry"), "unknown dataflow.*did you mean weight-stationary"),
        (lambda: Array(rows=0, columns=4, clock_hz=1e9, bytes_per_cycle=1), "rows = 0 computes nothing"),
        (lambda: Array(rows=4, columns=4, clock_hz=1e9, bytes_per_cycle=0), "bytes_per_cycle = 0 computes nothing"),
    ],
)
def test_arrays_that_cannot_be_meant_are_refused(make: Callable[[], Array], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_one_fold_alone() -> None:
    assert double_buffered([10], [7], [3], 1, 1.0) == 7 + 10 + 3
