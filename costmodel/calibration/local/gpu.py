"""The GPU of this machine: measure it, fit, and write its profile down.

Operators and anchors are timed as CUDA graphs, so that constants are the GPU's own; what the host takes to issue a kernel comes from networks that wait for it.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from costmodel.calibration.local.calibrate import LocalCalibration, changes
from costmodel.calibration.local.cuda import CudaBench, TorchCuda
from costmodel.calibration.local.fitting import local_fit
from costmodel.calibration.local.gpu_machine import Sheet, gpu_text, peaks, sheet_of
from costmodel.calibration.local.journal import cache_path
from costmodel.calibration.local.measure import Progress
from costmodel.calibration.local.plan import Case, gpu_plan
from costmodel.calibration.local.run import Run, run_of
from costmodel.calibration.profile_text import quoted, sourced, with_values
from costmodel.devices import Target, parse_device, resolve_target
from costmodel.lowering import lower

THIS_GPU = "this-gpu"
_SECONDS_A_CASE, _SECONDS_A_QUICK_CASE = 0.2, 0.1
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
    bench_of = partial(CudaBench, backend, seconds_a_case=_SECONDS_A_QUICK_CASE if quick else _SECONDS_A_CASE)
    return gpu_from_measured(cases, run_of(backend, bench_of, cases, path, restart=restart, progress=progress), sheet, name=THIS_GPU)


def gpu_from_measured(cases: Sequence[Case], run: Run, sheet: Sheet, *, name: str) -> LocalCalibration:
    """The profile that measured cases call for; the same for the same measurements."""
    seconds = run.measured.seconds
    what = f"{len(seconds)} operators and networks, {run.runtime} {run.dtype} ({run.build}), {run.layout}, as CUDA graphs"
    rates = peaks(sheet, run.dtype, cases, seconds)
    batches = [case.graph.batch for case in cases if case.role == "anchor" and case.name in seconds]
    text = gpu_text(
        name,
        sheet,
        dtype=run.dtype,
        layout=run.layout,
        rates=rates,
        bandwidth=1 / run.memory_s_per_byte,
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
