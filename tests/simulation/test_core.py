"""What holds of every run: the eight invariants over random graphs and machines, and what the core refuses."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.errors import CostModelError, UsageError
from costmodel.laws import launch_makespan
from costmodel.simulation._core import Engine, Link, Plan, Run, Step, max_min, run
from costmodel.simulation._memory import Buffer, Memory
from costmodel.simulation._simulate import longest_chain

#: Cases of each property: the eight together are more than 2,000. Plans are drawn by number, which is ten times as fast as piece by piece.
CASES = settings(max_examples=300, deadline=None)
DURATIONS = st.integers(min_value=0, max_value=10**6)


def plans(*, engines: int = 4, linked: bool = False, chain: bool = False) -> st.SearchStrategy[Plan]:
    """Up to 16 steps on up to `engines` engines, some in order, some with several slots, each after up to two earlier steps."""

    def make(seed: int) -> Plan:
        draw = random.Random(seed)
        longest = draw.choice((3, 100, 10**6))  # short ones collide in time
        machine = tuple(Engine(f"e{number}", "core", draw.randint(1, 2), draw.random() < 0.4) for number in range(draw.randint(1, engines)))
        links = tuple(Link(f"l{number}", draw.randint(1, 50) * 1e9) for number in range(2)) if linked else ()
        steps = []
        for number in range(draw.randint(1, 16)):
            after = (number - 1,) * bool(number) if chain else tuple(sorted({draw.randrange(number) for _ in range(draw.randint(0, 2))})) if number else ()
            demands = tuple((link, draw.randint(0, longest // 10)) for link in range(len(links)))
            where, duration, priority = draw.randrange(len(machine)), draw.randint(0, longest), draw.randint(0, 2)
            steps.append(Step(f"s{number}", where, duration, after, priority=priority, demands=demands))
        return Plan(engines=machine, steps=tuple(steps), links=links)

    return st.integers(0, 2**32).map(make)


def check_order(plan: Plan, made: Run) -> None:
    """Nothing starts before what it comes after has ended, and no slot runs two steps at once."""
    for position, step in enumerate(plan.steps):
        assert all(made.ends[before] <= made.starts[position] for before in step.after)
    places: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for position, step in enumerate(plan.steps):
        places.setdefault((step.engine, made.slots[position]), []).append((made.starts[position], made.ends[position]))
    for spans in places.values():
        spans.sort()
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


@CASES
@given(plans(engines=1))
def test_one_engine_takes_the_sum(plan: Plan) -> None:
    plan = dataclasses.replace(plan, engines=(plan.engines[0]._replace(slots=1),))
    made = run(plan)
    assert made.makespan_ps == sum(step.duration_ps for step in plan.steps)
    check_order(plan, made)


@CASES
@given(plans())
def test_the_makespan_lies_between_its_bounds(plan: Plan) -> None:
    made = run(plan)
    loads = [-(-sum(step.duration_ps for step in plan.steps if step.engine == number) // engine.slots) for number, engine in enumerate(plan.engines)]
    assert max(longest_chain(plan), *loads) <= made.makespan_ps <= sum(step.duration_ps for step in plan.steps)
    check_order(plan, made)
    assert all(end - start == step.duration_ps for step, start, end in zip(plan.steps, made.starts, made.ends, strict=True))


@CASES
@given(plans(linked=True, chain=True), st.integers(1, 4), st.integers(1, 3))
def test_more_of_anything_never_slows_a_chain(plan: Plan, faster: int, slots: int) -> None:
    first = run(plan).makespan_ps
    wider = dataclasses.replace(plan, links=tuple(link._replace(per_s=link.per_s * faster) for link in plan.links))
    assert run(wider).makespan_ps <= first
    assert run(dataclasses.replace(plan, engines=tuple(engine._replace(slots=engine.slots + slots) for engine in plan.engines))).makespan_ps <= first
    chain = tuple(Buffer(f"b{number}", 0, 1000 * step.duration_ps, number, (number, number + 1)) for number, step in enumerate(plan.steps[:-1]))
    for policy in ("spill", "evict"):
        bounded = dataclasses.replace(plan, memories=(Memory("m", 10**8 * slots, policy, 1e9),), buffers=chain)
        assert first <= run(bounded).makespan_ps, "memory without end is never slower"


@CASES
@given(plans(linked=True))
def test_what_is_moved_is_what_there_was_to_move(plan: Plan) -> None:
    made = run(plan)
    check_order(plan, made)
    for number, link in enumerate(plan.links):
        moved = sum(amount for step in plan.steps if step.duration_ps for to, amount in step.demands if to == number)
        samples = [*made.links[number], (made.makespan_ps, 0.0)]
        area = sum(value * (later - now) for (now, value), (later, _) in itertools.pairwise(samples)) / 1e12
        fastest = max((value for _, value in samples), default=0.0)
        assert fastest <= link.per_s * (1 + 1e-5)
        assert area == pytest.approx(moved, abs=1 + len(samples) * len(plan.steps) * link.per_s / 1e12)  # ends are rounded up to a picosecond
    for step, start, end in zip(plan.steps, made.starts, made.ends, strict=True):
        assert end - start >= step.duration_ps, "nothing is faster than alone"


@CASES
@given(st.lists(DURATIONS, min_size=1, max_size=30), st.integers(0, 10**5))
def test_a_stream_of_launches_is_the_recursion(kernels: list[int], host: int) -> None:
    steps: list[Step] = []
    for duration in kernels:
        steps.append(Step("launch", 0, host))
        steps.append(Step("kernel", 1, duration, (len(steps) - 1,)))
    plan = Plan(engines=(Engine("host", "host", in_order=True), Engine("stream", "gpu", in_order=True)), steps=tuple(steps))
    assert run(plan).makespan_ps == launch_makespan(kernels, host)
    small = dataclasses.replace(plan, steps=tuple(step._replace(duration_ps=min(step.duration_ps, host)) if step.engine else step for step in steps))
    assert run(small).makespan_ps == len(kernels) * host + min(kernels[-1], host), "launch-bound: kernels times the cost of a launch"


@CASES
@given(plans(linked=True), st.integers(2, 7))
def test_the_same_again_and_all_rates_scaled(plan: Plan, factor: int) -> None:
    made = run(plan)
    assert run(plan) == made
    # all at once: where steps wait for each other, an end that is rounded by a picosecond may change who goes first
    together = dataclasses.replace(
        plan, engines=(Engine("wide", "core", len(plan.steps)),), steps=tuple(step._replace(engine=0, after=()) for step in plan.steps)
    )
    slower = dataclasses.replace(
        together,
        steps=tuple(step._replace(duration_ps=step.duration_ps * factor) for step in together.steps),
        links=tuple(link._replace(per_s=link.per_s / factor) for link in plan.links),
    )
    assert run(slower).makespan_ps == pytest.approx(run(together).makespan_ps * factor, abs=factor * (len(plan.steps) + 1) ** 2)
    unlinked = dataclasses.replace(plan, links=(), steps=tuple(step._replace(demands=()) for step in plan.steps))
    scaled = dataclasses.replace(unlinked, steps=tuple(step._replace(duration_ps=step.duration_ps * factor) for step in unlinked.steps))
    assert run(scaled).ends == tuple(end * factor for end in run(unlinked).ends)
    fast = dataclasses.replace(scaled, engines=tuple(engine._replace(rate=float(factor)) for engine in scaled.engines))
    assert run(fast).ends == run(unlinked).ends


@CASES
@given(st.lists(st.floats(0, 100), min_size=1, max_size=8), st.floats(0.1, 200))
def test_shares_are_max_min_fair(wanted: list[float], available: float) -> None:
    parts = max_min(wanted, available)
    assert sum(parts) <= available * (1 + 1e-5)
    least = min((part for part, want in zip(parts, wanted, strict=True) if part < want * (1 - 1e-9)), default=None)
    for part, want in zip(parts, wanted, strict=True):
        assert part <= want
        assert least is None or part == pytest.approx(least) or part <= least, "nobody has more than one who would like more"
    assert least is None or sum(parts) == pytest.approx(available), "and nothing is left over meanwhile"


def test_shared_cores_go_at_the_pace_of_their_table() -> None:
    steps = (Step("a", 0, 100, shared_ps=(100, 150)), Step("b", 0, 100, shared_ps=(100, 150)))
    assert run(Plan(engines=(Engine("cores", "cpu", 2),), steps=steps)).ends == (150, 150)
    beside = (steps[0], Step("rigid", 0, 30))
    assert run(Plan(engines=(Engine("cores", "cpu", 2),), steps=beside)).ends == (110, 30), "30 at two thirds of its pace, then 80 alone"
    later = (*steps, Step("c", 0, 100, (0,), shared_ps=(100, 150)))
    assert run(Plan(engines=(Engine("cores", "cpu", 1),), steps=later)).ends == (100, 200, 300)


@pytest.mark.parametrize(
    ("policy", "readers"),
    [
        ("spill", (1, 2)),  # b is written outside, and c reads it from there
        ("evict", (1,)),  # b sends a away, which nobody uses at the moment, and c, which reads a, brings it back
    ],
)
def test_policies_of_a_full_memory(policy: str, readers: tuple[int, ...]) -> None:
    # 60 bytes each in a memory of 100, and a byte a picosecond behind it: two moves in either case
    steps = (Step("a", 0, 10), Step("b", 0, 10, (0,)), Step("c", 0, 10, (1,)))
    buffers = (Buffer("a", 0, 60, 0, (0, 2)), Buffer("b", 0, 60, 1, readers))
    made = run(Plan(engines=(Engine("e", "core"),), steps=steps, memories=(Memory("m", 100, policy, 1e12),), buffers=buffers))
    assert made.ends == (10, 10 + 10 + 60, 80 + 10 + 60)
    assert made.moved_bytes == 2 * 60
    assert made.stalls_ps == (0, 60, 60)
    assert max(held for _, held in made.memory[0]) == 60


@pytest.mark.parametrize(
    ("policy", "buffers", "stalls", "outside"),
    [
        ("evict", (Buffer("w", 0, 60, -1, (0, 2), True), Buffer("a", 0, 60, 1, (1,))), (0, 0, 60), 60),  # dropped at no cost, then read again
        ("spill", (Buffer("w", 0, 60, -1, (0, 2), True), Buffer("a", 0, 60, 1, (1,))), (0, 60, 0), 60),  # a is written outside
        ("spill", (Buffer("w", 0, 60, -1, (0, 2), True), Buffer("v", 0, 50, -1, (1,), True)), (0, 50, 0), 50),  # only the reader of v waits
        ("evict", (Buffer("w", 0, 60, -1, (0, 2), True), Buffer("v", 0, 50, -1, (1,), True)), (0, 50, 60), 60),  # v takes the place of w
        ("spill", (Buffer("table", 0, 500, -1, (0, 1, 2), True, (7, 0, 9)),), (7, 0, 9), 500),  # rows of a table; step 1 reads none
        # nobody reads the file
        ("evict", (Buffer("file", 0, 90, -1, (), True), Buffer("w", 0, 10, -1, (2,), True), Buffer("a", 0, 60, 1, (2,))), (0, 0, 0), 90),
    ],
)
def test_what_is_there_from_the_beginning_is_never_written(policy: str, buffers: tuple[Buffer, ...], stalls: tuple[int, ...], outside: int) -> None:
    steps = (Step("a", 0, 10), Step("b", 0, 10, (0,)), Step("c", 0, 10, (1,)))
    made = run(Plan(engines=(Engine("e", "core"),), steps=steps, memories=(Memory("m", 100, policy, 1e12),), buffers=buffers))
    assert made.stalls_ps == stalls
    assert made.moved_bytes == sum(stalls)
    assert sum(nbytes for _, nbytes in made.outside_bytes) == outside
    assert max(held for _, held in made.memory[0]) <= 100


def test_what_was_sent_away_once_leaves_at_no_cost() -> None:
    # a is written away for b, comes back, and is dropped for c: three moves of it, no fourth
    steps = tuple(Step(name, 0, 10, (number - 1,) if number else ()) for number, name in enumerate("abcde"))
    buffers = (Buffer("a", 0, 60, 0, (2, 4)), Buffer("b", 0, 60, 1, (1,)), Buffer("c", 0, 60, 3, (3,)))
    made = run(Plan(engines=(Engine("e", "core"),), steps=steps, memories=(Memory("m", 100, "evict", 1e12),), buffers=buffers))
    assert made.stalls_ps == (0, 60, 60, 0, 60)


def test_a_memory_too_small_says_by_how_much_and_what_would_help() -> None:
    steps = (Step("a", 0, 1), Step("b", 0, 1, (0,)))
    buffers = (Buffer("file", 0, 1024, -1, (), True), Buffer("first", 0, 1024, 0, (0, 1)), Buffer("big", 0, 3072, 1, (1,)))
    plan = Plan(engines=(Engine("e", "core"),), steps=steps, memories=(Memory("m", 1024),), buffers=buffers)
    message = r"m of 1.00 KiB would have to hold 5.00 KiB when 'big' is there, 1.00 KiB of that all the time, 4.00 KiB too much.*spill.*evict.*ignore"
    with pytest.raises(CostModelError, match=message):
        run(plan)
    ignored = run(dataclasses.replace(plan, memories=(Memory("m", 1024, "ignore"),)))
    assert (ignored.makespan_ps, ignored.moved_bytes, max(held for _, held in ignored.memory[0])) == (2, 0, 5 * 1024)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plan(engines=(Engine("slow", "core", rate=0.0),), steps=()), "'slow' has a rate of 0.*above 0"),
        (lambda: Plan(engines=(Engine("none", "core", slots=0),), steps=()), "'none' has 0 slots"),
        (lambda: Plan(engines=(), steps=(), links=(Link("dead", 0.0),)), "'dead' moves 0 B/s.*above 0"),
        (lambda: Plan(engines=(Engine("e", "core"),), steps=(Step("s", 0, 1, (0,)),)), "'s' takes 1 ps after .0,.*earlier"),
        (lambda: run(Plan(engines=(), steps=(), memories=(Memory("m", 1, "spil"),))), "unknown memory policy 'spil'; did you mean spill"),
        (lambda: run(Plan(engines=(), steps=(), memories=(Memory("m", 1, "spill"),))), "'m' is to spill over a link of 0 B/s"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]  # a table of functions
