"""A processor that runs one kernel after the other: what an estimate adds up, as steps. CPUs, phone GPUs, and accelerators without overlap."""

from __future__ import annotations

from costmodel.kernel import HOST
from costmodel.quantity import picoseconds
from costmodel.simulation._build import Builder


def build(builder: Builder) -> None:
    """Every inference: the program's terms, then its kernels in order, whatever they read; where some are the host's, each waits for the one before."""
    kind = builder.target.hardware.type
    divided = any(kernel.partition == HOST for kernel in builder.program.kernels)
    own = builder.engine(kind, kind, in_order=True)
    host = builder.engine("host cpu", "cpu", in_order=True) if divided else own
    barrier_ps = barrier(builder)
    for inference in range(builder.settings.inferences):
        after = before = builder.terms(own, builder.begin(inference))
        for number, kernel in enumerate(builder.program.kernels):
            if not divided:
                after = builder.after_kernels(number) or before
            after = phases(builder, number, host if kernel.partition == HOST else own, after, 0 if kernel.partition == HOST else barrier_ps)
        builder.end()


def barrier(builder: Builder) -> int:
    """Picoseconds that the threads of a kernel wait for each other."""
    return picoseconds(builder.target.machine.parameters.barrier_s(builder.target.machine))


def phases(builder: Builder, number: int, engine: int, after: tuple[int, ...], barrier_ps: int) -> tuple[int, ...]:
    """A kernel as dispatch, compute and barrier, which together take exactly its time."""
    kernel, cost, total = builder.program.kernels[number], builder.cost.kernels[number], builder.times[number]
    barrier_ps = min(barrier_ps, total)
    dispatch_ps = min(max(0, picoseconds(cost.overhead_s) - barrier_ps), total - barrier_ps)
    parts = (("dispatch", dispatch_ps), ("compute", total - dispatch_ps - barrier_ps), ("barrier", barrier_ps))
    for phase, duration_ps in parts:
        if duration_ps or (phase == "compute" and not total):
            after = (builder.step(kernel.name, engine, duration_ps, after, kernel=number, phase=phase),)
    return after
