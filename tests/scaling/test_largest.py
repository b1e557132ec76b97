"""The largest network within a budget: exact over its grid, within the budget, and what happens at the ends."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import costmodel
from costmodel.errors import BudgetExceededError, UsageError
from costmodel.scaling import PAPER, Coefficients, Grid, Restrictions, Scale, Solution, base_of, candidates, families, largest, size_order
from costmodel.scaling._largest import downwards

#: Base -> the device whose budgets are tried, and the budgets in seconds.
PLACES = {
    "mobilenet-v2": ("pixel4", (0.004, 0.06)),
    "efficientnet-lite0": ("coral-usb", (0.003, 0.012)),  # a parameter cache: latency jumps
    "resnet-18": ("a100", (0.0015, 0.003)),  # tiles and launches: latency is no smooth thing
}


def brute_force(found: Solution, device: str) -> list[tuple[float, tuple[int, int, int, float, float]]]:
    """(latency, order of size) of every network of the grid, each built by name and estimated on its own."""
    base = base_of(found.base)
    late = found.restrictions.late_at(found.phi)
    scales = {
        *candidates(base, found.phi, found.coefficients, found.restrictions, found.grid),
        Scale(found.balanced.depth, found.balanced.width, found.balanced.resolution, late),
    }
    networks = [base.network(scale) for scale in scales if base.allows(scale)]
    return [(costmodel.estimate(costmodel.build(network.name), device=device).latency_s, size_order(network)) for network in networks]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_the_solver_equals_brute_force_over_its_grid(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(PLACES)))
    device, (least, most) = PLACES[name]
    budget_s = data.draw(st.floats(least, most))
    cap, late = data.draw(st.sampled_from([None, 192])), data.draw(st.sampled_from([1.0, 1.2]))
    restrictions = Restrictions(max_resolution=cap, late=late, resolution_step=data.draw(st.sampled_from([24, 32])))
    grid = Grid(spread=data.draw(st.sampled_from([0.5, 1.0])))
    found = largest(base_of(name), costmodel.target(device), budget_s, restrictions=restrictions, grid=grid)
    everything = brute_force(found, device)
    assert found.candidates == len(everything)
    assert size_order(found.network) == min(order for latency_s, order in everything if latency_s <= budget_s)
    assert found.estimate.latency_s <= budget_s


@pytest.mark.parametrize("name", [names[0] for names in families().values()])
def test_no_multiplier_that_grows_makes_a_network_smaller(name: str) -> None:
    base = base_of(name)
    rows = (
        [Scale(round(0.6 + 0.1 * step, 6), 1.1, 128) for step in range(16)],
        [Scale(1.2, round(0.5 + 0.05 * step, 6), 128) for step in range(24)],
        [Scale(0.9, 0.9, 64 + 8 * step) for step in range(12)],
    )
    for scales in rows:
        sizes = [(network.macs, network.parameters) for network in base.networks(scales)]
        assert len(sizes) == len(scales)
        assert all(before[0] <= after[0] and before[1] <= after[1] for before, after in pairwise(sizes))


@pytest.mark.parametrize("name", ["mobilenet-v2", "efficientnet-b0"])
def test_the_largest_come_first_and_none_is_left_out(name: str) -> None:
    base = base_of(name)
    scales, centre = candidates(base, -1.0, PAPER, Restrictions(resolution_step=48)), Scale(0.77, 0.81, 130)
    assert [size_order(network) for network in downwards(base, scales, centre)] == sorted(size_order(each) for each in base.networks((centre, *scales)))


def test_progress_counts_what_was_looked_at() -> None:
    base = base_of("mobilenet-v2")
    scales = candidates(base, 0.0)
    steps: list[tuple[int, int, str]] = []
    first = next(downwards(base, scales, base.unscaled))
    assert (first.macs, first.parameters) == (base.network(max(scales)).macs, base.network(max(scales)).parameters)
    largest(base, costmodel.target("pixel4"), 0.01, grid=Grid(spread=0.6), progress=lambda *step: steps.append(step))
    assert [done for done, _, _ in steps] == list(range(len(steps)))
    assert 1 <= len(steps) <= steps[0][1]


def test_no_neighbour_within_the_budget_is_larger() -> None:
    found = costmodel.scale("efficientnet-b0", device="pixel4", budget_s=0.040)
    assert found.estimate.latency_s <= 0.040
    base = base_of("efficientnet-b0")
    inside = set(candidates(base, found.phi))
    neighbours = [
        Scale(round(found.depth + down * 0.1, 6), round(found.width + across * 0.05, 6), found.resolution + side * 8)
        for down in (-1, 0, 1)
        for across in (-1, 0, 1)
        for side in (-1, 0, 1)
    ]
    tried = [base.network(scale, found.estimate.target) for scale in neighbours if scale in inside]
    assert len(tried) > 5
    assert all(network.latency_s > 0.040 or network.macs <= found.network.macs for network in tried)


def test_what_scale_returns() -> None:
    found = costmodel.scale("efficientnet-b0", device="pixel4", budget_s=0.040)
    assert found.estimate.model == found.name
    assert found.estimate.latency_s == costmodel.estimate(found.name, device="pixel4").latency_s
    assert costmodel.build(found.name).macs == found.estimate.macs == found.network.macs
    assert f"@{found.resolution}" in found.name
    assert found.network.macs >= found.balanced.macs
    assert pickle.loads(pickle.dumps(found)) == found
    target = costmodel.target("pixel4", cores="medium=1")
    slower = costmodel.scale("efficientnet-b0", target=target, budget_s=0.040)
    assert slower.network.macs < found.network.macs
    assert slower == costmodel.scale("efficientnet-b0", device="pixel4", cores="medium=1", budget_s=0.040)


def test_a_larger_budget_gives_a_larger_balanced_network() -> None:
    found = [costmodel.scale("mobilenet-v2", device="pixel4", budget_s=budget_s, spread=0) for budget_s in (0.005, 0.01, 0.02, 0.04, 0.08)]
    macs = [solution.network.macs for solution in found]
    assert macs == sorted(macs)
    assert macs[0] < macs[-1] / 8
    assert all(solution.network == solution.balanced for solution in found)


def test_restrictions_hold() -> None:
    on = {"device": "rtx4090", "dtype": "amp", "batch": 64, "budget_s": 0.015, "resolution_step": 32, "spread": 0.5}
    held = costmodel.scale("efficientnetv2-b0", **on, max_resolution=240, late=1.3)  # type: ignore[arg-type]  # keywords
    assert held.resolution <= 240
    assert held.late > 1
    assert f"-l{held.late:g}" in held.name
    free = costmodel.scale("efficientnetv2-b0", **on)  # type: ignore[arg-type]  # keywords
    assert free.late == 1
    assert free.estimate.batch == 64


def test_a_base_with_multipliers_of_its_own_is_scaled_from_there() -> None:
    found = costmodel.scale("mobilenet-v2-0.5@160", device="pixel4", budget_s=0.01)
    request = costmodel.build(found.name)
    assert request.macs == found.network.macs
    assert found.name.startswith(f"mobilenet-v2-{0.5 * found.width:g}")


def test_a_budget_that_nothing_meets_names_the_nearest() -> None:
    with pytest.raises(BudgetExceededError, match=r"mobilenet-v2 runs within 0\.100 ms on pixel4 cpu: the nearest is mobilenet-v2-") as caught:
        costmodel.scale("mobilenet-v2", device="pixel4", budget_s=1e-4)
    name = str(caught.value).split("the nearest is ")[1].split(" ")[0]
    assert f"{costmodel.estimate(name, device='pixel4').latency_s * 1e3:.2f} ms" in str(caught.value)


def test_the_ladder_may_end_before_the_budget() -> None:
    found = costmodel.scale("resnet-18", device="h200", dtype="fp16", budget_s=1e3, spread=0)
    assert found.at_end
    assert not costmodel.scale("resnet-18", device="h200", dtype="fp16", budget_s=1e-2, spread=0).at_end


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "pixel4", "budget_s": 0.0}, "the budget .--budget-ms. must be a positive time, not 0 s"),
        ({"device": "pixel4", "budget_s": float("nan")}, "must be a positive time, not nan"),
        ({"budget_s": 0.1}, "give either a device or a target"),
        ({"device": "pixel4", "budget_s": 0.1, "coefficients": (1.2, 1.1)}, "coefficients are three: alpha .depth., beta .width., gamma .resolution., not 2"),
        ({"device": "pixel4", "budget_s": 0.1, "spread": 9}, "the spread .--spread. must lie between 0 and 4"),
        ({"device": "pixel4", "budget_s": 0.1, "spread": 4, "resolution_step": 1}, "this grid has .* networks, at most 20,000 are built"),
        ({"device": "pixel5", "budget_s": 0.1}, "unknown device 'pixel5'"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        costmodel.scale("efficientnet-b0", **options)  # type: ignore[arg-type]  # that is the point


def test_the_grid_holds_the_balance() -> None:
    base = base_of("efficientnet-b0")
    for scale in candidates(base, 2.0, PAPER, Restrictions(), Grid(spread=1)):
        assert 1.2**1 - 1e-9 <= scale.depth <= 1.2**3 + 1e-9
        assert 1.1**1 - 1e-9 <= scale.width <= 1.1**3 + 1e-9
        assert 224 * 1.15**1 <= scale.resolution <= 224 * 1.15**3
        assert scale.resolution % 8 == 0
    assert {scale.resolution for scale in candidates(base, 6.0, PAPER, Restrictions(max_resolution=300))} == {300}
    assert {scale.depth for scale in candidates(base, 2.0, Coefficients(1.0, 1.1, 1.1))} == {1.0}
