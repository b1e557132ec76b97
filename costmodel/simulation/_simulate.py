"""`simulate`: a program on a target's machine, over time."""

from __future__ import annotations

from costmodel.devices import Target
from costmodel.energy import energy_j
from costmodel.errors import UsageError
from costmodel.frozen import FrozenDict
from costmodel.kernel import HOST, Program
from costmodel.laws import ProgramCost, price_in_picoseconds
from costmodel.quantity import binary, picoseconds, si
from costmodel.simulation import _cpu, _edgetpu, _gpu, _sequence
from costmodel.simulation._build import Builder, Mechanism
from costmodel.simulation._core import Plan, Run, run
from costmodel.simulation._settings import Settings
from costmodel.simulation._timeline import KernelSpan, Span, Timeline, Track

#: What each setting needs of a machine, for those that not every machine has.
_BELONGS = {"cuda_graph": "gpu", "copies": "gpu", "quantise": "edgetpu", "co_compiled": "edgetpu"}


def simulate(program: Program, target: Target, settings: Settings | None = None) -> Timeline:
    """How `program` runs over time on `target`.

    Without overlap, and wherever nothing overlaps, the makespan is the estimate's, to the picosecond. Two settings of a GPU change it also then:
    `cuda_graph`, which has one launch where the estimate has one a kernel, and a `queue_depth` so small that the host waits for the device.

    Raises
    ------
    UsageError
        If a setting does not belong to the machine: says to which.
    CostModelError
        If memory does not suffice under the policy ``fail``: says by how much, and what the others would do.
    """
    chosen = Settings() if settings is None else settings
    machine = machine_of(target)
    _require_sense(chosen, machine, target)
    cost = price_in_picoseconds(target.law, program, target.machine)
    builder = Builder(program, cost, target, chosen)
    if machine == "gpu":
        _gpu.build(builder)
    elif machine == "edgetpu" and chosen.overlap:
        _edgetpu.build(builder)
    elif machine == "cpu" and chosen.parallel > 1:
        _cpu.build(builder)
    else:
        _sequence.build(builder)
    plan = builder.plan()
    return timeline(builder, plan, run(plan))


def machine_of(target: Target) -> str:
    """Which model of a machine a target has: ``gpu`` with a launch queue, ``edgetpu``, ``cpu``, or ``serial``, one kernel after the other."""
    name = target.law.__name__.rpartition(".")[2]  # type: ignore[attr-defined]  # a law is a module
    known = {"gpu_tiles": "gpu", "systolic_array": "edgetpu"}
    return known.get(name, "cpu" if target.threads else "serial")


def _require_sense(settings: Settings, machine: str, target: Target) -> None:
    where = f"{target.device.name} {target.processor} under {target.runtime}"
    for name, owner in _BELONGS.items():
        if getattr(settings, name) and machine != owner:
            raise UsageError(f"{where}: {name.replace('_', ' ')} is of a machine of kind {owner}, and this is of kind {machine}; leave it out")
        if getattr(settings, name) and not settings.overlap and name != "cuda_graph":
            raise UsageError(f"{name.replace('_', ' ')} is not part of the estimate, which a simulation without overlap repeats; leave one of them out")
    if settings.own_cores and (machine != "cpu" or settings.parallel == 1):
        raise UsageError(f"{where}: own cores are those of several operators at once on a CPU; raise parallel there, or leave it out")
    if settings.parallel > 1 and machine in ("edgetpu", "serial"):
        raise UsageError(f"{where} runs one kernel after the other; parallel is for CPUs with cores to choose and for GPUs with a launch queue")
    if settings.link_bytes_per_s and not ((machine == "edgetpu" and settings.overlap) or settings.copies):
        raise UsageError(f"{where} has no link here that could have another bandwidth; it belongs to an Edge TPU with overlap, or to a GPU with copies")


def timeline(builder: Builder, plan: Plan, made: Run) -> Timeline:
    """The result of a run."""
    program, cost, target, count = builder.program, builder.cost, builder.target, builder.settings.inferences
    spans = tuple(
        Span(step.name, step.engine, slot, step.phase, step.kernel, step.inference, start, end, stall, step.after)
        for step, slot, start, end, stall in zip(plan.steps, made.slots, made.starts, made.ends, made.stalls_ps, strict=True)
    )
    end = made.makespan_ps
    memories = tuple(Track(memory.name, "B", memory.capacity_bytes, samples) for memory, samples in zip(plan.memories, made.memory, strict=True))
    links = tuple(Track(link.name, f"{link.unit}/s", link.per_s, (*samples, (end, 0.0))) for link, samples in zip(plan.links, made.links, strict=True))
    return Timeline(
        model=program.name,
        target=target,
        batch=program.batch,
        inferences=count,
        makespan_ps=end,
        estimate_ps=count * picoseconds(cost.latency_s),
        critical_path_ps=longest_chain(plan),
        spans=spans,
        engines=plan.engines,
        kernels=_kernels(builder, spans),
        critical=_critical(made),
        memories=memories,
        links=links,
        energy_j=_energy_j(target, program, cost, end / 1e12, count),
        mechanisms=(*builder.mechanisms, *_policy(plan, made)),
        facts=FrozenDict({**builder.facts, **_memory_facts(plan, made)}),
        outside=FrozenDict(dict(made.outside_bytes)),
        warnings=_warnings(cost),
    )


def _policy(plan: Plan, made: Run) -> tuple[Mechanism, ...]:
    """What a memory policy moved, and over what; nothing where it moved nothing."""
    if not made.moved_bytes:
        return ()
    (memory,) = plan.memories
    verb = {"spill": "spilled", "evict": "evicted"}[memory.policy]
    what = f"{verb} {binary(made.moved_bytes)} over {memory.behind} at {si(memory.backing_bytes_per_s, 'B/s')}: assumed, the profile states no such rate"
    return (Mechanism("memory policy", "illustrative", what),)


def _memory_facts(plan: Plan, made: Run) -> dict[str, float]:
    """Bytes that a policy moved, and those beyond the capacity that ``ignore`` left unpriced."""
    facts: dict[str, float] = {"memory_policy_bytes": made.moved_bytes} if made.moved_bytes else {}
    for memory, samples in zip(plan.memories, made.memory, strict=True):
        excess = 0 if memory.capacity_bytes is None else max(held for _, held in samples) - memory.capacity_bytes
        if excess > 0:
            facts["memory_missing_bytes"] = excess
    return facts


def longest_chain(plan: Plan) -> int:
    """Picoseconds of the longest chain of dependent steps, each as fast as it can be."""
    ends: list[int] = []
    for step in plan.steps:
        rate = plan.engines[step.engine].rate
        fastest = min((step.duration_ps, *step.shared_ps))
        ends.append(max((ends[before] for before in step.after), default=0) + (fastest if rate == 1.0 else round(fastest / rate)))
    return max(ends, default=0)


def _critical(made: Run) -> tuple[int, ...]:
    """The steps, each of which let the next one start, up to the one that ends last."""
    if not made.ends:
        return ()
    position = max(range(len(made.ends)), key=lambda step: (made.ends[step], step))
    found = []
    while position >= 0:
        found.append(position)
        position = made.causes[position]
    return tuple(reversed(found))


def _kernels(builder: Builder, spans: tuple[Span, ...]) -> tuple[KernelSpan, ...]:
    program, cost = builder.program, builder.cost
    busy = [0] * len(program.kernels)
    for span in spans:
        if span.kernel >= 0 and span.phase != "launch":
            busy[span.kernel] += span.end_ps - span.start_ps
    return tuple(
        KernelSpan(
            kernel.name, kernel.kind, kernel.flops, kernel.traffic_bytes, builder.own_bounds.get(number, made.bound), builder.times[number], busy[number]
        )
        for number, (kernel, made) in enumerate(zip(program.kernels, cost.kernels, strict=True))
    )


def _energy_j(target: Target, program: Program, cost: ProgramCost, makespan_s: float, count: int) -> float | None:
    """Joules of the target and, for the time that it works, of the host; None where either has no figures."""
    host_s = count * sum([made.latency_s for kernel, made in zip(program.kernels, cost.kernels, strict=True) if kernel.partition == HOST])
    sides = [(target, False, makespan_s - host_s)]
    if host_s and target.host is not None:
        sides.append((target.host, True, host_s))
    total = 0.0
    for side, on_host, seconds in sides:
        own = [kernel for kernel in program.kernels if (kernel.partition == HOST) == on_host]
        macs, traffic = count * sum([kernel.macs for kernel in own]), count * sum([kernel.traffic_bytes for kernel in own])
        joules = energy_j(side, latency_s=max(0.0, seconds), macs=macs, traffic_bytes=traffic)
        if joules is None:
            return None
        total += joules
    return total


def _warnings(cost: ProgramCost) -> tuple[str, ...]:
    missing = sum(1 for made in cost.kernels if not made.modelled)
    noun = "kernel has" if missing == 1 else "kernels have"
    return (f"{missing} {noun} no cost on this target and no time here: `costmodel analyze` lists them",) if missing else ()
