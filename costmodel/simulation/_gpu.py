"""A GPU: a host thread that issues kernels into a bounded queue, streams that run them in order, and a copy engine for each direction.

With one stream the steps are the recursion of the law `gpu_tiles`, h_k = h_(k-1) + host, e_k = max(e_(k-1), h_k) + t_k, so that the makespan is the estimate's
where the queue is long enough. Several streams run branches at once: each kernel asks for the share of the multiprocessors that it can fill and for the
bandwidth that it uses alone, and these are shared fairly. A CUDA graph is one launch. Where a profile's launch costs nothing, because its kernels are
an engine that is one CUDA graph already, there is no queue, and asking for a graph changes nothing.
"""

from __future__ import annotations

from costmodel.kernel import Kernel
from costmodel.laws import launch_ps
from costmodel.laws.gpu_tiles import kernel_occupancy
from costmodel.quantity import picoseconds
from costmodel.simulation._build import PCIE_BYTES_PER_S, Builder, Mechanism
from costmodel.work import CONTRACTIONS

#: Threads that a multiprocessor holds at once: 2048 on V100, A100 and H100 (CUDA C++ Programming Guide, table of compute capabilities).
THREADS = 2048


def build(builder: Builder) -> None:
    """Every inference: copies if asked for, one launch a kernel or one in all, and the kernels on their streams."""
    settings = builder.settings
    host = builder.engine("host thread", "host", in_order=True)
    streams = settings.parallel if settings.overlap else 1
    device = builder.engine("streams" if streams > 1 else "stream", "gpu", streams, in_order=streams == 1)
    inward, outward = (builder.engine(name, "copy") for name in ("copy to device", "copy to host")) if settings.copies else (device, device)
    links = (builder.link("multiprocessors", 1.0, ""), builder.link("memory", builder.target.machine.bytes_per_s)) if streams > 1 else ()
    one_ps = launch_ps(builder.target.law, builder.target.machine)
    for inference in range(settings.inferences):
        after = builder.terms(host, builder.begin(inference))
        arrived = (_copy(builder, "input", inward, builder.program.input_bytes, after),) if settings.copies else after
        last = _kernels(builder, host, device, links, one_ps, after, arrived)
        if settings.copies:
            last = (_copy(builder, "output", outward, builder.program.output_bytes, last),)
        builder.step("end", device if streams == 1 or not settings.copies else outward, 0, last, phase="join")
        builder.end()
    _explain(builder, streams, launched=one_ps > 0)


def _copy(builder: Builder, name: str, engine: int, nbytes: int, after: tuple[int, ...]) -> int:
    rate = builder.settings.link_bytes_per_s or PCIE_BYTES_PER_S
    return builder.step(name, engine, picoseconds(nbytes / rate), after, phase="copy")


def _kernels(
    builder: Builder, host: int, device: int, links: tuple[int, ...], one_ps: int, before: tuple[int, ...], arrived: tuple[int, ...]
) -> tuple[int, ...]:
    """Launches of `one_ps` each after `before`, and kernels once the input has `arrived`; the steps that end the inference."""
    settings = builder.settings
    issued: tuple[int, ...] = ()
    running: list[int] = []
    if settings.cuda_graph and one_ps:
        issued = (builder.step("launch of the graph", host, one_ps, before, phase="launch"),)
    for number, kernel in enumerate(builder.program.kernels):
        if one_ps and not settings.cuda_graph:
            full = (running[number - settings.queue_depth],) if number >= settings.queue_depth else ()
            issued = (builder.step(kernel.name, host, one_ps, (*before, *full) if not issued else full, phase="launch"),)
        after = builder.after_kernels(number) if links else tuple(running[-1:])
        demands = _demands(builder, kernel, builder.times[number], links)
        running.append(builder.step(kernel.name, device, builder.times[number], tuple(sorted({*issued, *(after or arrived)})), kernel=number, demands=demands))
    read = {before for step in builder.steps for before in step.after}
    return tuple(step for step in running if step not in read) or arrived


def _demands(builder: Builder, kernel: Kernel, duration_ps: int, links: tuple[int, ...]) -> tuple[tuple[int, float], ...]:
    """Of the multiprocessors what its blocks fill, for as long as it runs; of memory its bytes."""
    if not links:
        return ()
    units = builder.target.machine.units
    filled = kernel_occupancy(kernel, units) if kernel.kind in CONTRACTIONS else min(1.0, kernel.works[-1].elements_written / (units * THREADS))
    return (links[0], filled * duration_ps / 1e12), (links[1], kernel.traffic_bytes)


def _explain(builder: Builder, streams: int, *, launched: bool) -> None:
    settings, add = builder.settings, builder.mechanisms.append
    if launched:
        add(Mechanism("launch queue", "estimate", "the host issues kernels in order and runs ahead of the device; its cost of a launch is the profile's"))
    if launched and settings.cuda_graph:
        add(Mechanism("CUDA graph", "illustrative", "the host launches all kernels at the cost of one; what the device saves between kernels is not modelled"))
    if streams > 1:
        add(Mechanism("streams", "illustrative", f"up to {streams} kernels at once share multiprocessors and bandwidth"))
    if settings.copies:
        add(Mechanism("copies", "illustrative", f"inputs and outputs over a bus of {(settings.link_bytes_per_s or PCIE_BYTES_PER_S) / 1e9:g} GB/s"))
