"""A table says what the estimate of the whole graph says, and where it cannot it says so."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.errors import InvalidFileError, UsageError
from costmodel.graph import Value
from costmodel.laws import launch_makespan
from costmodel.ops.elementwise import ReLU
from costmodel.search import Block, LatencyTable, Option, Space, space
from costmodel.search._files import file_name
from costmodel.search._pieces import Piece
from costmodel.search._table import TOLERANCE
from costmodel.zoo._net import Net
from tests.search.conftest import everything

TARGETS: dict[str, dict[str, Any]] = {
    "pixel4": {"device": "pixel4"},
    "pixel4-gpu": {"device": "pixel4", "processor": "gpu"},
    "rtx4090": {"device": "rtx4090"},
    "rtx4090-compiled": {"device": "rtx4090", "runtime": "torch-compile"},
    "rtx4090-fp32-nhwc": {"device": "rtx4090", "dtype": "fp32", "layout": "nhwc"},
    "xeon-e5-2690": {"device": "xeon-e5-2690"},
}
QUANTITIES = ("latency_s", "macs", "parameters", "traffic_bytes", "peak_activation_bytes", "energy_j")


@cache
def space_of(name: str) -> Space:
    """A published space; of NAS-Bench-201, where each option is a network that must be estimated whole, every 500th."""
    found = space(name)
    if name != "nas-bench-201":
        return found
    return dataclasses.replace(found, blocks=(Block(name="cell", options=found.blocks[0].options[::500]),))


@pytest.mark.parametrize("where", TARGETS)
@pytest.mark.parametrize("name", ["mnasnet", "mobilenet-v3", "fbnet", "efficientnetv2", "nas-bench-201", "small-images"])
def test_a_table_equals_the_estimates(name: str, where: str) -> None:
    searched, target = space_of(name), costmodel.target(**TARGETS[where])
    table = LatencyTable(searched, target)
    x = searched.sample(12, seed=11)
    found = {quantity: getattr(table, quantity)(x) for quantity in QUANTITIES if quantity != "energy_j" or target.hardware.energy}
    for number, row in enumerate(x):
        report = costmodel.estimate(searched.graph(row), target=target)
        for quantity, values in found.items():
            assert values[number] == pytest.approx(getattr(report, quantity), rel=TOLERANCE, abs=0), quantity
        assert table.busy_s(x)[number] == pytest.approx(sum(kernel.latency_s for kernel in report.kernels), rel=TOLERANCE)


def test_a_table_of_a_batch(small: Space) -> None:
    target = costmodel.target("rtx4090")
    table, x = LatencyTable(small, target, batch=64), everything(small)[::7]
    true = [costmodel.estimate(small.graph(row), target=target, batch=64) for row in x]
    assert table.latency_s(x) == pytest.approx([report.latency_s for report in true], rel=TOLERANCE)
    assert table.peak_activation_bytes(x).tolist() == [report.peak_activation_bytes for report in true]


def test_choices_that_do_not_exist_are_refused(table: LatencyTable) -> None:
    for wrong, name in ((6, "two"), (-1, "two"), (2**40, "two")):
        with pytest.raises(UsageError, match=f"block '{name}' of small has choices 0 to 5, not {wrong}"):
            table.latency_s(np.array([[0, 0, 0], [5, wrong, 2]]))
    with pytest.raises(UsageError, match="an integer array"):
        table.macs([[0.5, 0, 0]])
    assert table.macs(np.empty((0, 3), int)).shape == (0,)
    assert table.macs(np.array([[5, 5, 2]], np.uint8)).tolist() == table.macs([[5, 5, 2]]).tolist()


def test_each_layer_is_priced_once_for_each_shape(table: LatencyTable) -> None:
    # stem; block one from 8 channels: 4 first layers, 2 that repeat one; block two from two widths: 8 and 2; block three from two widths: 4;
    # head from 16, 24 and 32 channels
    assert table.priced == 1 + (4 + 2) + (8 + 2) + 4 + 3


seconds = st.lists(st.floats(0, 1e-3), max_size=6)


@settings(deadline=None, derandomize=True, database=None)
@given(parts=st.lists(seconds, min_size=1, max_size=5), launch=st.floats(1e-6, 1e-3))
def test_runs_of_launches_compose(parts: list[list[float]], launch: float) -> None:
    made = Piece(None)
    for part in parts:
        made = made.then(Piece(None, launched_s=launch * len(part), busy_s=sum(part), makespan_s=launch_makespan(part, launch)))
    whole = [kernel for part in parts for kernel in part]
    assert made.makespan_s == pytest.approx(launch_makespan(whole, launch), rel=1e-12)


def test_the_launch_queue_matters_here(small: Space) -> None:
    table, x = LatencyTable(small, costmodel.target("rtx4090")), everything(small)
    assert (table.latency_s(x) > table.busy_s(x) * 1.01).any()
    with pytest.raises(UsageError, match=r"latency_s does not add up over blocks on rtx4090 under torch-eager.*take busy_s"):
        table.steps("latency_s")
    assert sum(step.costs[0, 0] for step in table.steps("busy_s")) == pytest.approx(table.busy_s(np.zeros((1, 3), int))[0])


def test_a_parameter_cache_is_refused(small: Space) -> None:
    with pytest.raises(UsageError, match=r"coral-usb edgetpu under edgetpu: only a whole network has a latency there.*estimate candidates one by one"):
        LatencyTable(small, costmodel.target("coral-usb"))


def test_weights_that_a_cache_does_not_hold_are_refused(small: Space) -> None:
    target = costmodel.target("xeon-e5-2690")
    machine = dataclasses.replace(target.machine, parameters=target.machine.parameters.model_copy(update={"cache_gb_per_s": 10.0}))
    cached = dataclasses.replace(target, machine=machine)
    x = everything(small)[::9]
    true = [costmodel.estimate(small.graph(row), target=cached).latency_s for row in x]
    assert LatencyTable(small, cached).latency_s(x) == pytest.approx(true, rel=TOLERANCE)  # all small enough
    with pytest.raises(UsageError, match=r"xeon-e5-2690 under torch-eager: weights of up to \d+ bytes exceed the cache of \d+"):
        LatencyTable(space("fbnet"), cached)


class Activated(NamedTuple):
    """A layer that begins with what a compiler fuses into the kernel before."""

    channels: int

    def __call__(self, net: Net, x: Value) -> Value:
        return net.conv_norm(net.add(ReLU(), x, name="relu"), self.channels)


def test_a_kernel_across_blocks_is_refused(small: Space) -> None:
    crossing = dataclasses.replace(small, blocks=(Block(name="b", options=(Option((Activated(8),), ()),)),))
    with pytest.raises(UsageError, match=r"small on rtx4090 under torch-compile: one kernel holds .*before.*layer\.relu"):
        LatencyTable(crossing, costmodel.target("rtx4090", runtime="torch-compile"))
    assert LatencyTable(crossing, costmodel.target("rtx4090")).priced == 3  # eager fuses nothing


def test_a_table_as_a_file(table: LatencyTable, small: Space, tmp_path: Path) -> None:
    path, x = table.save(tmp_path), everything(small)
    assert small.fingerprint[:8] in path.name
    assert table.target.device.sha256[:8] in path.name
    again = LatencyTable.load(tmp_path, small, table.target)
    for quantity in QUANTITIES:
        assert getattr(again, quantity)(x).tolist() == getattr(table, quantity)(x).tolist()
    assert (again.priced, again.unmodelled) == (table.priced, table.unmodelled)


def test_files_of_something_else_are_refused(table: LatencyTable, small: Space, tmp_path: Path) -> None:
    path = table.save(tmp_path)
    with pytest.raises(UsageError, match=r"there is no such table; LatencyTable\(space, target\)\.save"):
        LatencyTable.load(tmp_path, small, costmodel.target("pixel4", cores="medium=1"))
    other = tmp_path / file_name(small, table.target, 2)
    other.write_bytes(path.read_bytes())
    with pytest.raises(InvalidFileError, match="was made for batch 1, not 2"):
        LatencyTable.load(tmp_path, small, table.target, batch=2)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidFileError, match="is no whole table"):
        LatencyTable.load(tmp_path, small, table.target)


def test_no_damage_is_read_as_a_table(table: LatencyTable, small: Space, tmp_path: Path) -> None:
    path, x = table.save(tmp_path), everything(small)
    whole, true = path.read_bytes(), table.latency_s(x)
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[draw.integers(len(whole))] ^= 1 << draw.integers(8)
        path.write_bytes(damaged)
        try:
            assert (LatencyTable.load(tmp_path, small, table.target).latency_s(x) == true).all()  # what no reader looks at may differ
        except InvalidFileError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("0.after", (0, 0), 7, r"array 0\.after leads to row 7, and there are \d"),
        ("2.after", (0, 0), 1, r"array 2\.after leads to row 1, and there are 1"),
        ("1.after", (0, 0), -1, r"array 1\.after has -1, which is below 0"),
        ("1.busy_s", (0, 0), -1e-9, r"array 1\.busy_s has -1e-09, which is below 0"),
    ],
)
def test_tables_that_lead_nowhere_are_refused(
    name: str, place: tuple[int, int], value: float, message: str, table: LatencyTable, small: Space, tmp_path: Path
) -> None:
    path = table.save(tmp_path)
    with np.load(path) as file:
        arrays = {key: file[key].copy() for key in file}
    arrays[name][place] = value
    np.savez_compressed(path, **arrays)
    with pytest.raises(InvalidFileError, match=message):
        LatencyTable.load(tmp_path, small, table.target)


@pytest.mark.torch
def test_the_expected_latency_is_the_mean_over_candidates(table: LatencyTable, small: Space) -> None:
    torch = pytest.importorskip("torch")
    module, x = table.expected("latency_s"), everything(small)
    for row in x[::17]:
        chosen = [torch.eye(options)[choice] for options, choice in zip(small.choices, row, strict=True)]
        assert float(module(chosen)) == pytest.approx(table.latency_s(row[None])[0], rel=1e-12)
    logits = [torch.linspace(-1, 1, options, dtype=torch.float64, requires_grad=True) for options in small.choices]
    probabilities = [torch.softmax(block, 0) for block in logits]
    weights = np.prod([p.detach().numpy()[x[:, number]] for number, p in enumerate(probabilities)], axis=0)
    made = module(probabilities)
    assert made.item() == pytest.approx(float(weights @ table.latency_s(x)), rel=1e-12)
    made.backward()
    step = 1e-6
    logits[1].data[2] += step
    moved = module([torch.softmax(block, 0) for block in logits]).item()
    assert float(logits[1].grad[2]) == pytest.approx((moved - made.item()) / step, rel=1e-3)


@pytest.mark.torch
def test_probabilities_of_another_space_are_refused(table: LatencyTable) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError, match="needs 3 tensors of probabilities, one a block, not 2"):
        table.expected()([torch.ones(6), torch.ones(6)])
    with pytest.raises(UsageError, match=r"block 'three' needs \(3,\) probabilities, not \(4,\)"):
        table.expected()([torch.ones(6), torch.ones(6), torch.ones(4)])
