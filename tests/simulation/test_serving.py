"""Serving against queueing theory, hand-made schedules, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from costmodel.errors import InvalidFileError, UsageError
from costmodel.simulation.serving import Policy, Request, Service, curve, poisson, read_arrivals, saturation_per_s, serve

MS = 10**9
ONE = Service(name="one", batch_s=(10e-3,))


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7])
def test_the_mean_wait_is_that_of_m_d_1(load: float) -> None:
    found = serve([ONE], poisson(load / 10e-3, 400_000, seed=2))
    assert found.total.wait_s == pytest.approx(load * 10e-3 / (2 * (1 - load)), rel=0.02)
    assert found.utilisation == pytest.approx(load, rel=0.01)
    assert found.total.mean_s == pytest.approx(found.total.wait_s + 10e-3)


@pytest.mark.parametrize(("most", "devices"), [(1, 1), (4, 1), (4, 3)])
def test_saturated_devices_serve_at_the_reciprocal_of_the_bottleneck(most: int, devices: int) -> None:
    service = Service(name="net", batch_s=(10e-3, 12e-3, 14e-3, 16e-3))
    policy = Policy(max_batch=most, devices=devices)
    most_per_s = saturation_per_s([service], policy)
    assert most_per_s == pytest.approx(devices * most / service.batch_s[most - 1])
    found = serve([service], poisson(10 * most_per_s, 40_000), policy)
    assert found.completed_per_s == pytest.approx(most_per_s, rel=1e-3)
    assert found.mean_batch == pytest.approx(most, rel=1e-3)
    assert found.utilisation == pytest.approx(1, rel=1e-3)


def test_a_schedule_by_hand() -> None:
    service = Service(name="net", batch_s=(10e-3, 12e-3, 14e-3))
    arrivals = [Request(at * MS, 0) for at in (0, 1, 2, 30)]
    # at once: 0 runs to 10, then 1 and 2 together to 22, then 30 to 40
    eager = serve([service], arrivals, Policy(max_batch=3))
    assert (eager.total.mean_s, eager.total.longest_s) == (pytest.approx((10 + 21 + 20 + 10) / 4 * 1e-3), 21e-3)
    assert eager.mean_batch == 4 / 3
    # waiting 5 ms: the batch is full at 2 and runs to 16; 30 waits to 35 in vain
    patient = serve([service], arrivals, Policy(max_batch=3, max_wait_s=5e-3))
    assert patient.total.mean_s == pytest.approx((16 + 15 + 14 + 15) / 4 * 1e-3)
    assert patient.total.percentiles_s == (15e-3, 16e-3, 16e-3, 16e-3)
    # two devices, batches of one: 0-10, 1-11, then 2 from 10, 30 at once
    two = serve([service], arrivals, Policy(devices=2))
    assert two.total.mean_s == pytest.approx((10 + 10 + 18 + 10) / 4 * 1e-3)


def test_the_offered_rate_is_one_by_the_mean_distance() -> None:
    apart = serve([ONE], [Request(at * MS, 0) for at in (0, 500, 2000)])
    assert (apart.offered_per_s, apart.completed_per_s) == (1.0, pytest.approx(3 / 2.01))
    assert serve([ONE], [Request(MS, 0)]).offered_per_s is None
    assert serve([ONE], [Request(MS, 0), Request(MS, 0)]).offered_per_s is None


def test_several_networks_and_what_a_switch_costs() -> None:
    services = [Service(name="a", batch_s=(10e-3,), switch_s=5e-3), Service(name="b", batch_s=(20e-3,), switch_s=3e-3)]
    arrivals = [Request(0, 0), Request(1 * MS, 1), Request(2 * MS, 0)]
    found = serve(services, arrivals)
    # a 0-10, b with its switch 10-33, a with its switch 33-48
    assert [(row.name, row.requests, row.longest_s) for row in found.networks] == [("a", 2, pytest.approx(46e-3)), ("b", 1, pytest.approx(32e-3))]
    assert found.utilisation == 1.0


def test_a_full_batch_goes_before_one_that_waits() -> None:
    services = [Service(name="a", batch_s=(10e-3, 11e-3)), Service(name="b", batch_s=(10e-3, 11e-3))]
    found = serve(services, [Request(0, 0), Request(1 * MS, 1), Request(2 * MS, 1)], Policy(max_batch=2, max_wait_s=4e-3))
    assert {row.name: row.longest_s for row in found.networks} == {"a": pytest.approx(23e-3), "b": pytest.approx(12e-3)}


def test_latency_grows_with_the_load() -> None:
    found = curve([ONE], Policy(), (0.2, 0.5, 0.8, 0.95), requests=20_000)
    waits = [serving.total.wait_s for serving in found.values()]
    assert waits == sorted(waits)
    assert [serving.completed_per_s for serving in found.values()] == pytest.approx([load / 10e-3 for load in found], rel=0.02)
    assert curve([ONE], Policy(), (0.2,), requests=100) == curve([ONE], Policy(), (0.2,), requests=100)


def test_loads_of_several_networks_are_shares_of_what_is_served_with_switches() -> None:
    services = [Service(name="a", batch_s=(10e-3, 12e-3), switch_s=5e-3), Service(name="b", batch_s=(20e-3, 30e-3), switch_s=10e-3)]
    most = saturation_per_s(services, Policy())
    # equally often: every second request switches, (10 + 20 + (5 + 10) / 2) / 2 ms a request
    assert most == pytest.approx(1 / 18.75e-3, rel=0.02)
    assert saturation_per_s([service for service in services if service.name == "a"], Policy()) == 1 / 10e-3
    for policy in (Policy(), Policy(max_batch=2), Policy(devices=2)):
        (found,) = curve(services, policy, (0.95,), requests=20_000).values()
        assert found.switched > 0
        assert found.completed_per_s == pytest.approx(found.offered_per_s, rel=0.02), "what is offered is served"
        assert 0.7 < found.utilisation < 1
    assert saturation_per_s(services, Policy(), (9, 1)) == pytest.approx(1 / (0.9 * 10e-3 + 0.1 * 20e-3 + 0.09 * 15e-3), rel=0.02)


def test_services_with_the_same_parameters_load_nothing_after_one_another() -> None:
    services = [Service(name="a", batch_s=(10e-3,), switch_s=5e-3), Service(name="a#2", batch_s=(10e-3,), switch_s=5e-3, parameters="a")]
    found = serve(services, [Request(0, 0), Request(0, 1), Request(0, 0)])
    assert (found.switched, found.total.longest_s) == (0, 30e-3)
    assert saturation_per_s(services, Policy()) == pytest.approx(1 / 10e-3)


def test_arrivals_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "arrivals.csv"
    path.write_text("# seconds, network\n0, b\n\n0.25,a\n0.25,b\n")
    assert read_arrivals(path, ["a", "b"]) == [Request(0, 1), Request(25 * 10**10, 0), Request(25 * 10**10, 1)]
    path.write_text("0,b\n", encoding="utf-8-sig")
    assert read_arrivals(path, ["a", "b"]) == [Request(0, 1)], "a byte order mark is none of the number"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5,a\n0.25,a\n", r":2: 0.25 s is earlier than the line before, 0.5 s: sort"),
        ("-1\n", r":1: .*not at -1 s"),
        ("nan\n", r":1: .*not at nan s"),
        ("0,a\n1.1e12,a\n", r":2: .*up to 1e\+12 s, not at 1.1e\+12 s"),
        ("soon\n", r":1: 'soon' is no number of seconds"),
        ("1_0,a\n", r":1: '1_0' is no number of seconds"),
        ("0,c\n", r":1: unknown network 'c'"),
        ("0\n", r":1: which of a, b\? write 0,a"),
        ("# nothing\n", "no request in it"),
    ],
)
def test_files_of_arrivals_that_cannot_be_meant(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "arrivals.csv"
    path.write_text(text)
    with pytest.raises(InvalidFileError, match=message):
        read_arrivals(path, ["a", "b"])


def test_arrivals_that_never_end_are_refused() -> None:
    with pytest.raises(InvalidFileError, match="/dev/zero: cannot be read: is a pipe or a device"):
        read_arrivals("/dev/zero", ["a"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Service(name="free", batch_s=(0.0,)), "free: batches must take more than 0 s"),
        (lambda: Policy(max_batch=0), "the max batch must be at least 1"),
        (lambda: Policy(max_wait_s=-1), r"0 s or longer, up to 1e\+12 s, not -1 s"),
        (lambda: Policy(max_wait_s=1e13), r"up to 1e\+12 s, not 1e\+13 s"),
        (lambda: poisson(0, 5), "0 requests a second never arrive"),
        (lambda: poisson(float("nan"), 5), "nan requests a second never arrive"),
        (lambda: poisson(2e12, 5), r"2e\+12 requests a second are less than a picosecond apart"),
        (lambda: poisson(1e-13, 5), r"5 requests at 1e-13 a second take longer than 1e\+12 s"),
        (lambda: poisson(5e-324, 5), r"5 requests at 4.94066e-324 a second take longer than 1e\+12 s"),
        (lambda: poisson(1, 5, seed=-1), "the seed must be at least 0, not -1"),
        (lambda: serve([Service(name="slow", batch_s=(1e13,))], [Request(0, 0)]), r"slow: 1e\+13 s cannot be counted in picoseconds"),
        (lambda: poisson(1, 5, weights=(1, 0)), "weights above 0"),
        (lambda: poisson(1, 5, weights=(1e308, 1e308)), "finite weights above 0"),
        (lambda: Service(name="a", batch_s=(1.0,), switch_s=-1), "a: loading it after another network takes 0 s or longer, .* not -1 s"),
        (lambda: Service(name="a", batch_s=(1.0,), switch_s=float("nan")), "a: loading it .* not nan s"),
        (lambda: serve([], [Request(0, 0)]), "no network to serve"),
        (lambda: saturation_per_s([], Policy()), "no network to serve"),
        (lambda: serve([ONE, ONE], [Request(0, 0)]), "services 0 and 1 are both called one"),
        (lambda: serve([ONE], [Request(0, 1)]), "request 0 is for network 1, and there are 1, counted from 0"),
        (lambda: serve([ONE], [Request(0, 0), Request(0, -1)]), "request 1 is for network -1"),
        (lambda: serve([ONE], [Request(-1, 0)]), "request 0 arrives at -1 ps, earlier than 0, when time begins"),
        (lambda: serve([ONE], [Request(5, 0), Request(4, 0)]), "request 1 arrives at 4 ps, earlier than 5 ps, when the one before it"),
        (lambda: serve([ONE], [(0, 0)]), r"request 0 is \(0, 0\), which is no Request"),  # type: ignore[list-item]  # that is the point
        (lambda: curve([ONE], Policy(), (0.5,), weights=(1, 1)), "one: networks are drawn by a weight each, 1 and not 2"),
        (lambda: curve([ONE], Policy(), (0.5,), weights=(-1,)), "finite weights above 0"),
        (lambda: saturation_per_s([ONE], Policy(max_batch=2)), "one has times for batches up to 1, not 2"),
        (lambda: serve([ONE], []), "no request to serve"),
        (lambda: serve([ONE], [Request(0, 0)], Policy(max_batch=2)), "one has times for batches up to 1, not 2"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()
