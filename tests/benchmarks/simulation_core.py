"""The simulator's own event queue beside simpy's, on the same steps: ``python -m tests.benchmarks.simulation_core`` (needs `pip install simpy`).

With several engines the makespans may differ slightly: where a step ends and enables another on its engine, simpy has already given the
slot to one that waited, while here the first in order gets it.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable

from costmodel.simulation._core import Engine, Plan, Step, run


def plan(steps: int, engines: int, seed: int) -> Plan:
    """Steps of random durations on engines of one slot, each after up to two of the twenty before it."""
    draw = random.Random(seed)
    made = [
        Step(
            f"s{number}",
            draw.randrange(engines),
            draw.randint(1, 10**6),
            tuple({draw.randrange(max(0, number - 20), number) for _ in range(2)} if number else ()),
        )
        for number in range(steps)
    ]
    return Plan(engines=tuple(Engine(f"e{number}", "core") for number in range(engines)), steps=tuple(made))


def by_simpy(of: Plan) -> int:
    """The makespan by simpy: a process a step, a resource of priorities an engine."""
    import simpy  # type: ignore[import-not-found,unused-ignore]  # only this benchmark needs it

    world = simpy.Environment()
    resources = [simpy.PriorityResource(world, engine.slots) for engine in of.engines]
    done = [world.event() for _ in of.steps]

    def process(position: int, step: Step):  # type: ignore[no-untyped-def]  # a generator of simpy's own types
        yield simpy.AllOf(world, [done[before] for before in step.after])
        with resources[step.engine].request(priority=position) as slot:
            yield slot
            yield world.timeout(step.duration_ps)
        done[position].succeed()

    for position, step in enumerate(of.steps):
        world.process(process(position, step))
    world.run()
    return int(world.now)


def seconds(what: Callable[[], object]) -> float:
    """The median of five passes."""
    found = []
    for _ in range(5):
        started = time.perf_counter()
        what()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def main() -> None:
    """Print both times and the makespans."""
    for engines in (1, 8):
        of = plan(2000, engines, seed=0)
        own, other = seconds(lambda of=of: run(of)), seconds(lambda of=of: by_simpy(of))  # type: ignore[misc]  # a default binds the loop's plan
        ends = run(of).makespan_ps, by_simpy(of)
        sys.stdout.write(
            f"2000 steps on {engines} engines: {own * 1e3:.1f} ms, simpy {other * 1e3:.1f} ms ({other / own:.1f} times); makespans {ends[0]} and {ends[1]} ps\n"
        )


if __name__ == "__main__":
    main()
