"""The whole of it: measure this machine, fit, and write the profile down."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from costmodel._version import __version__
from costmodel.calibration.fit import Fitted
from costmodel.calibration.local.backends import LAYOUTS, TORCH_EAGER, backend
from costmodel.calibration.local.fitting import LocalFit, local_fit
from costmodel.calibration.local.journal import cache_path
from costmodel.calibration.local.machine import hardware_text, seen
from costmodel.calibration.local.measure import Progress
from costmodel.calibration.local.plan import Case, plan
from costmodel.calibration.local.run import Run, run_of
from costmodel.calibration.local.timing import Bench
from costmodel.calibration.profile_text import Table, quoted, sourced, with_values
from costmodel.devices import Device, parse_device, resolve_target
from costmodel.errors import UsageError
from costmodel.estimation import SCHEMA_VERSION
from costmodel.quantity import counted

#: Seconds that a case is repeated for.
_SECONDS_A_CASE = 0.4
_SECONDS_A_QUICK_CASE = 0.25
THIS_MACHINE = "this-machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCalibration:
    """The profile of this machine (`profile` is the text of its TOML file, `device` what it says) and how it was come by, runtime by runtime."""

    device: Device
    profile: str
    runs: tuple[Run, ...]
    fits: tuple[LocalFit, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before the profile is trusted."""
        found = []
        for run, own in zip(self.runs, self.fits, strict=True):
            place = f"{run.runtime}: " if len(self.runs) > 1 else ""
            found += [f"{place}{warning}" for warning in own.fit.warnings]
            found += [f"{place}not measured: {name} ({fault})" for name, fault in run.measured.missing.items()]
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel calibrate --json`` prints."""
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device.name,
            "runtimes": [_runtime(run, own) for run, own in zip(self.runs, self.fits, strict=True)],
            "warnings": list(self.warnings),
            "profile": self.profile,
            "costmodel_version": __version__,
        }

    def to_json(self) -> str:
        """`to_dict` as a JSON document."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def _runtime(run: Run, found: LocalFit) -> dict[str, Any]:
    """What the document says of a runtime."""
    return {
        "runtime": run.runtime,
        "layout": run.layout,
        "build": run.build,
        "journal": run.journal,
        "measurements": len(run.measured.seconds),
        "parameters": len(found.fit.free),
        "residual": found.fit.residual,
        "correction": asdict(found.correction),
        "start": run.start,
        "start_after_others_s": run.cold_s,
        "anchors": [asdict(entry) for entry in found.anchors],
        "interval_factor": found.factor,
        "values": [_value(entry) for entry in found.fit.parameters],
    }


def _value(entry: Fitted) -> dict[str, Any]:
    return {"name": entry.name, "value": entry.value, "prior": entry.prior, "spread": entry.spread, "frozen": entry.frozen}


def calibrate_this_machine(
    *,
    runtimes: Sequence[str] = (TORCH_EAGER,),
    quick: bool = False,
    threads: int = 1,
    layout: str = "nchw",
    journal: str | os.PathLike[str] | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> LocalCalibration:
    """The profile of this machine, from microbenchmarks made now (extra `torch`; each runtime under 15 minutes, `quick` under 5).

    Parameters
    ----------
    runtimes : what to measure, the profile's default first: ``torch-eager``, ``tflite`` and ``tflite-xnnpack`` (LiteRT with its own kernels and with
        XNNPACK's; extras `litert` and `tflite`), ``onnxruntime`` (extra `ort`).
    quick : a third of the operators and fewer networks.
    threads : so many for every runtime; the profile is then about them.
    layout : ``nchw`` or ``nhwc``, of torch's images and filters; the other runtimes have their own.
    journal : file that keeps what was measured, so that an interrupted run goes on there; None is one in the user's cache folder. Runtimes other than
        torch have one each, called like it with the runtime appended.
    restart : measure everything again.
    progress : called with (cases done, of how many, the case at hand).

    Raises
    ------
    ContendedError
        If other programs disturb too many measurements; what was measured is kept.
    UsageError
        If a library is missing, the journal is about something else or in use, or a number makes no sense.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= processors or layout not in LAYOUTS:
        raise UsageError(f"takes 1 to {processors} threads, as many as there are processors here, and the layout nchw or nhwc, not {threads} and {layout}")
    if not runtimes or len(set(runtimes)) < len(runtimes):
        raise UsageError(f"takes one runtime or several, each once, not {', '.join(runtimes) or 'none'}")
    path = cache_path("this-machine.journal") if journal is None else Path(journal)
    cases = plan(quick=quick)
    backends = [backend(runtime, threads=threads, layout=layout) for runtime in runtimes]
    seconds_a_case = _SECONDS_A_QUICK_CASE if quick else _SECONDS_A_CASE
    runs = []
    for used in backends:
        own = path if used.runtime == TORCH_EAGER else path.with_name(f"{path.name}.{used.runtime}")
        runs.append(run_of(used, partial(Bench, used, seconds_a_case=seconds_a_case), cases, own, restart=restart, progress=progress))
    return from_measured(cases, runs, name=THIS_MACHINE, threads=threads)


def from_measured(cases: Sequence[Case], runs: Sequence[Run], *, name: str, threads: int) -> LocalCalibration:
    """The profile that measured cases call for; the same for the same measurements."""
    reached = seen(cases, [run.measured.seconds for run in runs], 1 / min(run.memory_s_per_byte for run in runs))
    text = hardware_text(
        name, reached, threads=threads, layouts={run.runtime: run.layout for run in runs}, what=" and ".join(_what(run, threads) for run in runs)
    )
    priors = parse_device(text.encode(), name)
    fits = []
    for run in runs:
        target = resolve_target(priors, runtime=run.runtime, threads=threads)
        near = target.machine.parameters.cache_gb_per_s
        beside = {"entry_s": run.entry_s, "cold_s": run.cold_s}
        found = local_fit(cases, run.measured.seconds, target, cache_gb_per_s=near, plans_memory=run.plans_memory, **beside)
        text = with_values(text, changes(run, found, _what(run, threads)))
        fits.append(found)
    return LocalCalibration(device=parse_device(text.encode(), name), profile=text, runs=tuple(runs), fits=tuple(fits))


def _what(run: Run, threads: int) -> str:
    """What was measured, in words."""
    return f"{len(run.measured.seconds)} operators and networks, {run.runtime} ({run.build}), {threads} thread{'s' if threads > 1 else ''}, {run.layout}"


def changes(run: Run, found: LocalFit, what: str) -> dict[Table, dict[str, str]]:
    """Fitted values in place of priors, the interval, and where both are from."""
    tools = ", ".join(f"{name} {metadata.version(name)}" for name in ("scipy", "numpy"))
    frozen = {entry.path: entry for entry in found.fit.parameters if entry.frozen}
    when = f", {run.measured.when}" if run.measured.when else ""
    starts = f"{run.cold_s * 1e6:.1f} us a start after others; " if run.cold_s else ""
    source = (
        f"maximum a posteriori on {found.fit.rows} of {what}{when}; costmodel {__version__}, {tools}; {counted(len(found.fit.free), 'parameter')}; "
        f"training error {found.fit.residual:.0%} an operator (root mean square); {starts}networks: {found.correction.alpha:.3f} times the sum of "
        f"operators and {found.correction.beta_us:.1f} us a {run.start}, from {found.families} networks, which err by {_mean_error(found):.1%} when left out"
    )
    key = f"fit_{run.runtime.replace('-', '_')}"
    written: dict[Table, dict[str, str]] = {("sources",): {key: quoted(source)}}
    priors = {entry.path: entry.prior for entry in found.fit.parameters}
    for path, value in found.values.items():
        kind = "assumed" if path in frozen else "fitted"
        written.setdefault((*run.precision, "parameters", *path[:-1]), {})[path[-1]] = sourced(value, kind, key, priors.get(path))
    factor = math.ceil(found.factor * 1000) / 1000
    written[run.precision] = {"basis": quoted("calibrated"), "interval_factor": sourced(factor, "fitted", key)}
    return written


def _mean_error(found: LocalFit) -> float:
    return sum(abs(math.expm1(entry.left_out)) for entry in found.anchors) / max(1, len(found.anchors))
