"""A multi-core CPU whose runtime runs several operators at once where the graph has branches, on shares of its cores.

Of m operators that run at once each has one m-th of the cores, and takes what the law says of a machine with so few: barriers are cheaper and
serial parts weigh less, which is what branches gain. All share the bandwidth of main memory; what fits the last cache does not ask for any.
The model of onnxruntime's parallel executor and of torch's forked branches, whose operators draw on one pool of threads.
"""

from __future__ import annotations

import dataclasses

from costmodel.errors import UsageError
from costmodel.frozen import FrozenDict
from costmodel.laws import CoreGroup, Machine, price_in_picoseconds
from costmodel.laws._base import held_bytes
from costmodel.quantity import picoseconds
from costmodel.simulation._build import Builder, Mechanism


def build(builder: Builder) -> None:
    """Every inference: the program's terms, then each kernel once what it reads is there and fewer than `parallel` others run."""
    parallel, program = builder.settings.parallel, builder.program
    threads = builder.target.threads
    if threads is None or parallel > threads:
        raise UsageError(
            f"{builder.target.device.name} {builder.target.processor} has {threads or 1} cores in use: {parallel} operators at once need as many; "
            "raise --threads, or lower --parallel"
        )
    cores = builder.engine("operator", "cpu", parallel)
    memory = builder.link("memory", builder.target.machine.bytes_per_s)
    cached = held_bytes(builder.target.machine)
    shared = [shared_times(builder, count) for count in range(2, parallel + 1)]
    alone = shared[-1] if builder.settings.own_cores else builder.times
    for inference in range(builder.settings.inferences):
        before = builder.terms(cores, builder.begin(inference))
        for number, kernel in enumerate(program.kernels):
            times = (alone[number],) if builder.settings.own_cores else (alone[number], *(row[number] for row in shared))
            moved = kernel.traffic_bytes if kernel.traffic_bytes > cached else 0
            builder.step(kernel.name, cores, times[0], builder.after_kernels(number) or before, kernel=number, demands=((memory, moved),), shared_ps=times)
        builder.step("end", cores, 0, builder.last_kernels(), phase="join")
        builder.end()
    how = "each on its own share of the cores" if builder.settings.own_cores else "which share the cores"
    builder.mechanisms.append(Mechanism("inter-operator parallelism", "illustrative", f"up to {parallel} operators at once, {how}"))


def shared_times(builder: Builder, count: int) -> list[int]:
    """Picoseconds of each kernel on one `count`-th of the cores: the mean of the parts, which may have different cores."""
    machines = split(builder.target.machine, count)
    rows = [[picoseconds(made.latency_s) for made in price_in_picoseconds(builder.target.law, builder.program, machine).kernels] for machine in machines]
    return [round(sum(times) / len(times)) for times in zip(*rows, strict=True)]


def split(machine: Machine, count: int) -> list[Machine]:
    """The machine's cores dealt out to `count` machines, fastest first; each different one once for each time that it occurs."""
    cores = [position for position, group in enumerate(machine.cores) for _ in range(group.count)]
    whole = _speed(machine.cores)
    found = []
    for part in range(count):
        dealt = cores[part::count]
        groups = tuple(
            CoreGroup(group.core, dealt.count(position), group.clock_hz, group.flops_per_cycle)
            for position, group in enumerate(machine.cores)
            if position in dealt
        )
        portion = _speed(groups) / whole
        peaks = FrozenDict({dtype: rate * portion for dtype, rate in machine.peak_flops_per_s.items()})
        found.append(dataclasses.replace(machine, cores=groups, peak_flops_per_s=peaks))
    return found


def _speed(groups: tuple[CoreGroup, ...]) -> float:
    return sum(group.count * group.clock_hz * group.flops_per_cycle.get("fp32", 1.0) for group in groups)
