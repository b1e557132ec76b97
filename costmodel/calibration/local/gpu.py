"""The GPU of this machine: measure it, fit, and write its profile down.

Operators and anchors are timed as CUDA graphs, so that constants are the GPU's own; what the host takes to issue a kernel comes from networks that wait for it.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from costmodel.calibration.local.calibrate import LocalCalibration, Run, changes
from costmodel.calibration.local.cuda import CudaBench, TorchCuda
from costmodel.calibration.local.fitting import local_fit
from costmodel.calibration.local.gpu_machine import Sheet, gpu_precision, gpu_text, peaks, sheet_of
from costmodel.calibration.local.journal import Journal, cache_path
from costmodel.calibration.local.measure import Progress, measure
from costmodel.calibration.local.plan import Case, gpu_plan
from costmodel.calibration.profile_text import quoted, sourced, with_values
from costmodel.devices import Target, parse_device, resolve_target
from costmodel.lowering import lower

THIS_GPU = "this-gpu"
_SECONDS_A_CASE, _SECONDS_A_QUICK_CASE = 0.2, 0.1
_MEMORY = "memory stream"
#: What a network that the host issues takes over what the GPU takes for it, from which on it is the host that it waits for.
_WAITS = 1.3


def calibrate_this_gpu(
    *,
    dtype: str = "amp",
    quick: bool = False,
    layout: str = "nchw",
    journal: str | os.PathLike[str] | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> LocalCalibration:
    """The profile of this machine's NVIDIA GPU under torch eager, from microbenchmarks made now (extra `torch`, a build of it for CUDA).

    Parameters
    ----------
    dtype : ``amp`` (autocast to fp16), ``fp16``, ``bf16`` or ``fp32``.
    quick : a third of the operators and fewer networks.
    layout : ``nchw`` or ``nhwc``, of images and filters.
    journal, restart, progress : as `calibrate_this_machine` takes them.

    Raises
    ------
    ContendedError
        If other programs disturb too many measurements; what was measured is kept.
    CostModelError
        If too many cannot be made here, however quiet it is. A batch that memory does not hold is left out, and the result's warnings say so.
    UsageError
        If torch is missing or sees no GPU, or the journal is about something else or in use.
    """
    backend = TorchCuda(dtype, layout)
    sheet = sheet_of(backend.properties)
    path = cache_path(f"{THIS_GPU}.journal") if journal is None else Path(journal)
    cases = gpu_plan(sheet.memory_bytes, quick=quick)
    about = {"processor": sheet.name, **backend.builds, "dtype": dtype, "layout": layout}
    with Journal(path, about, afresh=restart) as written:
        bench = CudaBench(backend, seconds_a_case=_SECONDS_A_QUICK_CASE if quick else _SECONDS_A_CASE)
        found = measure(cases, bench, written, progress)
        if _MEMORY not in written.seconds:
            written.add(_MEMORY, 1 / bench.memory_bytes_per_s(), 0.0, 5)
        stream = written.seconds[_MEMORY]
    build = ", ".join(f"{library} {version}" for library, version in backend.builds.items())
    run = Run(
        runtime=backend.runtime,
        layout=layout,
        build=build,
        measured=found,
        entry_s=0.0,
        plans_memory=backend.plans_memory,
        journal=str(path),
        precision=gpu_precision(dtype),
    )
    return gpu_from_measured(cases, run, sheet, 1 / stream, name=THIS_GPU)


def gpu_from_measured(cases: Sequence[Case], run: Run, sheet: Sheet, memory_bytes_per_s: float, *, name: str) -> LocalCalibration:
    """The profile that measured cases call for; the same for the same measurements."""
    seconds, dtype = run.measured.seconds, run.precision[-1]
    what = f"{len(seconds)} operators and networks, {run.runtime} {dtype} ({run.build}), {run.layout}, as CUDA graphs"
    rates = peaks(sheet, dtype, cases, seconds)
    batches = [case.graph.batch for case in cases if case.role == "anchor" and case.name in seconds]
    text = gpu_text(
        name,
        sheet,
        dtype=dtype,
        layout=run.layout,
        rates=rates,
        bandwidth=memory_bytes_per_s,
        batches=(min(batches), max(batches)),
        what=what,
    )
    target = resolve_target(parse_device(text.encode(), name))
    found = local_fit(cases, seconds, target, plans_memory=run.plans_memory)
    written = changes(run, found, what)
    host_us, waited = host_us_of(cases, seconds, target)
    written["sources",]["host"] = quoted(
        f"{what}: median over {waited} networks, issued kernel by kernel, that took {_WAITS:g} times their graph or more"
        if waited
        else f"{what}: no network waited for the host, which takes no longer than this"
    )
    written[*run.precision, "parameters"]["host_us"] = sourced(host_us, "measured", "host")
    text = with_values(text, written)
    return LocalCalibration(device=parse_device(text.encode(), name), profile=text, runs=(run,), fits=(found,))


def host_us_of(cases: Sequence[Case], seconds: Mapping[str, float], target: Target) -> tuple[float, int]:
    """Microseconds that the host takes to issue a kernel, and how many networks say so; where none waits for it, the least that any leaves it."""
    waiting: list[float] = []
    others: list[float] = []
    alone = {case.family: seconds[case.name] for case in cases if case.role == "anchor" and case.graph.batch == 1 and case.name in seconds}
    for case in cases:
        if case.role == "host" and case.name in seconds:
            kernels = len(lower(case.graph, target.rules, target.dtype, target.layout).kernels)
            each = waiting if seconds[case.name] >= _WAITS * alone.get(case.family, math.inf) else others
            each.append(1e6 * seconds[case.name] / kernels)
    return (statistics.median(waiting), len(waiting)) if waiting else (min(others), 0)
