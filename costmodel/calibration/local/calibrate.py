"""The whole of it: measure this machine, fit, and write the profile down."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from costmodel._version import __version__
from costmodel.calibration.fit import Fitted
from costmodel.calibration.local.fitting import LocalFit, local_fit
from costmodel.calibration.local.journal import Journal, cache_path
from costmodel.calibration.local.machine import PRECISION, hardware_text, seen
from costmodel.calibration.local.measure import Measured, Progress, about, measure
from costmodel.calibration.local.plan import Case, plan
from costmodel.calibration.local.timing import Bench
from costmodel.calibration.profile_text import Table, quoted, sourced, with_values
from costmodel.devices import Device, parse_device, resolve_target
from costmodel.errors import UsageError
from costmodel.estimation import SCHEMA_VERSION

#: Seconds that a case is repeated for.
_SECONDS_A_CASE = 0.4
_SECONDS_A_QUICK_CASE = 0.25
_KEY = "fit_this_machine"
_MEMORY = "memory stream"
THIS_MACHINE = "this-machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCalibration:
    """The profile of this machine (`profile` is the text of its TOML file, `device` what it says) and how it was come by."""

    device: Device
    profile: str
    measured: Measured
    found: LocalFit
    journal: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before the profile is trusted."""
        silent = [f"not measured: {name} ({fault})" for name, fault in self.measured.missing.items()]
        return (*self.found.fit.warnings, *silent)

    def to_dict(self) -> dict[str, Any]:
        """The document that ``costmodel calibrate --json`` prints."""
        fit = self.found.fit
        return {
            "schema_version": SCHEMA_VERSION,
            "device": self.device.name,
            "journal": self.journal,
            "measurements": len(self.measured.seconds),
            "parameters": len(fit.free),
            "residual": fit.residual,
            "correction": asdict(self.found.correction),
            "anchors": [asdict(entry) for entry in self.found.anchors],
            "interval_factor": self.found.factor,
            "values": [
                {"name": entry.name, "value": entry.value, "prior": entry.prior, "spread": entry.spread, "frozen": entry.frozen} for entry in fit.parameters
            ],
            "warnings": list(self.warnings),
            "profile": self.profile,
            "costmodel_version": __version__,
        }

    def to_json(self) -> str:
        """`to_dict` as a JSON document."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def _value(entry: Fitted) -> dict[str, Any]:
    return {"name": entry.name, "value": entry.value, "prior": entry.prior, "spread": entry.spread, "frozen": entry.frozen}


def calibrate_this_machine(
    *,
    quick: bool = False,
    threads: int = 1,
    layout: str = "nchw",
    journal: str | os.PathLike[str] | None = None,
    restart: bool = False,
    progress: Progress | None = None,
) -> LocalCalibration:
    """The profile of this machine under torch eager, from microbenchmarks made now (extra `torch`; under 15 minutes, `quick` under 5).

    Parameters
    ----------
    quick : a third of the operators and fewer networks.
    threads : torch's, which the profile is then about.
    layout : ``nchw`` or ``nhwc``, of images and filters.
    journal : file that keeps what was measured, so that an interrupted run goes on there; None is one in the user's cache folder.
    restart : measure everything again.
    progress : called with (cases done, of how many, the case at hand).

    Raises
    ------
    ContendedError
        If other programs disturb too many measurements; what was measured is kept.
    UsageError
        If torch is missing, the journal is about something else or in use, or a number makes no sense.
    """
    if threads < 1 or layout not in ("nchw", "nhwc"):
        raise UsageError(f"takes at least one thread and the layout nchw or nhwc, not {threads} and {layout}")
    path = cache_path("this-machine.journal") if journal is None else Path(journal)
    cases = plan(quick=quick)
    with Journal(path, about(threads, layout), afresh=restart) as written:
        bench = Bench(threads=threads, layout=layout, seconds_a_case=_SECONDS_A_QUICK_CASE if quick else _SECONDS_A_CASE)
        found = measure(cases, bench, written, progress)
        if _MEMORY not in written.seconds:
            written.add(_MEMORY, 1 / bench.memory_bytes_per_s(), 0.0, 5)
        memory_s_per_byte = written.seconds[_MEMORY]
    return from_measured(cases, found, memory_s_per_byte, name=THIS_MACHINE, threads=threads, layout=layout, journal=str(path))


def from_measured(
    cases: Sequence[Case], measured: Measured, memory_s_per_byte: float, *, name: str, threads: int, layout: str, journal: str
) -> LocalCalibration:
    """The profile that measured cases call for; the same for the same measurements."""
    torch_version = about(threads, layout)["torch"]
    what = f"{len(measured.seconds)} operators and networks, torch {torch_version} eager, {threads} thread{'s' if threads > 1 else ''}, {layout}"
    reached = seen(cases, measured.seconds, 1 / memory_s_per_byte)
    text = hardware_text(name, reached, threads=threads, layout=layout, what=what)
    target = resolve_target(parse_device(text.encode(), name), threads=threads)
    found = local_fit(cases, measured.seconds, target, target.machine.parameters.cache_gb_per_s)
    text = with_values(text, _changes(found, what))
    return LocalCalibration(device=parse_device(text.encode(), name), profile=text, measured=measured, found=found, journal=journal)


def _changes(found: LocalFit, what: str) -> dict[Table, dict[str, str]]:
    """Fitted values in place of priors, the interval, and where both are from."""
    tools = ", ".join(f"{name} {metadata.version(name)}" for name in ("scipy", "numpy"))
    frozen = {entry.path: entry for entry in found.fit.parameters if entry.frozen}
    source = (
        f"maximum a posteriori on {found.fit.rows} of {what}, {date.today().isoformat()}; costmodel {__version__}, {tools}; {len(found.fit.free)} parameters; "
        f"training error {found.fit.residual:.0%} an operator (root mean square); networks: {found.correction.alpha:.3f} times the sum of operators and "
        f"{found.correction.beta_us:.1f} us a kernel, from {len(found.anchors)} networks, which err by {_mean_error(found):.1%} when left out"
    )
    changes: dict[Table, dict[str, str]] = {("sources",): {_KEY: quoted(source)}}
    priors = {entry.path: entry.prior for entry in found.fit.parameters}
    for path, value in found.values.items():
        kind = "assumed" if path in frozen else "fitted"
        changes.setdefault((*PRECISION, "parameters", *path[:-1]), {})[path[-1]] = sourced(value, kind, _KEY, priors.get(path))
    factor = math.ceil(found.factor * 1000) / 1000
    changes[PRECISION] = {"basis": quoted("calibrated"), "interval_factor": sourced(factor, "fitted", _KEY)}
    return changes


def _mean_error(found: LocalFit) -> float:
    return sum(abs(math.expm1(entry.left_out)) for entry in found.anchors) / max(1, len(found.anchors))
