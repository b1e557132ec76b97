"""Machines of other speed: parts of every kernel shrink by the stated factors, whatever the law."""

from __future__ import annotations

import pytest

import costmodel
from costmodel import estimation
from costmodel.devices import hypothetical
from costmodel.errors import UsageError
from costmodel.kernel import HOST
from costmodel.laws import price

#: (device, options) under each law, and with a host.
TARGETS = [
    ("pixel4", {}),
    ("pixel4", {"cores": "large=1,medium=3"}),
    ("pixel4", {"processor": "gpu"}),
    ("xeon-e5-2690", {}),
    ("rtx4090", {}),
    ("coral-usb", {}),
]


@pytest.mark.parametrize(("device", "options"), TARGETS)
@pytest.mark.parametrize("network", ["efficientnet-b0", "mobilenet-v3-small", "vgg-16"])
def test_parts_shrink_by_their_factors(network: str, device: str, options: dict[str, str]) -> None:
    target = costmodel.target(device, **options)
    program = estimation.lowered(costmodel.build(network), target)
    before = price(target.law, program, target.machine)
    after = price(target.law, program, hypothetical(target, peak=2.0, bandwidth=4.0).machine)
    for kernel, old, new in zip(program.kernels, before.kernels, after.kernels, strict=True):
        assert new.overhead_s == pytest.approx(old.overhead_s)
        if kernel.partition == HOST:
            assert new == old
            continue
        assert new.compute_s == pytest.approx(old.compute_s / 2)
        if old.memory_s < old.latency_s or not old.compute_s:
            assert new.memory_s == pytest.approx(old.memory_s / 4)
        assert old.latency_s / 4 <= new.latency_s * (1 + 1e-12)  # where bytes alone set the time, arithmetic may set it now
        assert new.latency_s <= old.latency_s


@pytest.mark.parametrize(("device", "options"), TARGETS)
def test_a_machine_as_fast_as_before_costs_the_same(device: str, options: dict[str, str]) -> None:
    target = costmodel.target(device, **options)
    graph = costmodel.build("mobilenet-v2")
    assert estimation.estimate(graph, hypothetical(target)).latency_s == estimation.estimate(graph, target).latency_s


def test_everything_twice_as_fast_halves_what_is_not_overhead() -> None:
    target = costmodel.target("pixel4")
    report, faster = (costmodel.estimate("efficientnet-b0", target=found) for found in (target, hypothetical(target, peak=2, bandwidth=2)))
    overhead_s = sum(kernel.overhead_s for kernel in report.kernels)
    assert faster.latency_s - overhead_s == pytest.approx((report.latency_s - overhead_s) / 2)


@pytest.mark.parametrize("factors", [{"peak": 0.0}, {"bandwidth": -1.0}, {"peak": float("nan")}])
def test_factors_must_be_positive(factors: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be positive"):
        hypothetical(costmodel.target("pixel4"), **factors)
