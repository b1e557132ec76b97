"""`Target`: what is estimated. A device never runs anything alone: (processor, runtime, dtype, cores, layout) does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from costmodel.devices._machine import make_machine
from costmodel.devices._profile import Device, Precision, Processor, Runtime
from costmodel.errors import UsageError, unknown
from costmodel.laws import Law, Machine, law
from costmodel.lowering import RuleSet, rule_set

Cores = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A processor of a device under a runtime, in a dtype, on some of its cores. Made by `resolve_target`.

    `cores` is (cluster, count), fastest first, empty where a processor is used as a whole; `machine` is the same in the
    law's terms.
    """

    device: Device
    processor: str
    runtime: str
    dtype: str
    cores: Cores
    layout: str
    machine: Machine

    @property
    def threads(self) -> int | None:
        """Cores in use together; None where the processor has no cores to choose."""
        return sum(count for _, count in self.cores) or None

    @property
    def cores_text(self) -> str | None:
        """The cores as the command line writes them."""
        return ",".join(f"{name}={count}" for name, count in self.cores) or None

    @property
    def rules(self) -> RuleSet:
        """How the runtime lowers graphs."""
        return rule_set(self._runtime.lowering)

    @property
    def law(self) -> Law:
        """How its kernels become time."""
        return law(self._runtime.law)

    @property
    def precision(self) -> Precision:
        """What is known of this runtime in this dtype."""
        return _precisions(self._processor, self._runtime)[self.dtype]

    @property
    def hardware(self) -> Processor:
        """The processor's part of the profile."""
        return self._processor

    @property
    def interval_factor(self) -> float:
        """The factor of the 90 % interval for these cores."""
        precision = self.precision
        parallel = precision.parallel_interval_factor
        stated = parallel if parallel is not None and (self.threads or 1) > 1 else precision.interval_factor
        return stated * self._runtime.widened_by

    @property
    def _processor(self) -> Processor:
        return self.device.profile.processors[self.processor]

    @property
    def _runtime(self) -> Runtime:
        return self._processor.runtimes[self.runtime]


def resolve_target(
    device: Device,
    *,
    processor: str | None = None,
    runtime: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    cores: str | None = None,
    layout: str | None = None,
) -> Target:
    """The target that these options name; what is left out takes the profile's default.

    Raises
    ------
    UnknownNameError, UsageError
        If the device offers no such processor, runtime, dtype, cores or layout: says which it offers.
    """
    profile = device.profile
    chosen = processor or profile.default_processor
    unit = profile.processors.get(chosen)
    if unit is None:
        raise unknown(f"processor of {device.name}", chosen, profile.processors)
    stack_name = runtime or unit.default_runtime
    stack = unit.runtimes.get(stack_name)
    if stack is None:
        raise _unknown_runtime(device, chosen, stack_name)
    precisions = _precisions(unit, stack)
    wanted = dtype or (unit.default_dtype if unit.default_dtype in precisions else next(iter(precisions)))
    if wanted not in precisions:
        raise UsageError(f"{device.name} {chosen} under {stack_name} has no figures for {wanted}; it has {', '.join(precisions)}")
    selection = _select_cores(device.name, chosen, unit, threads, cores)
    arrangement = layout or stack.layouts[0]
    if arrangement not in stack.layouts:
        raise UsageError(f"{stack_name} stores images as {' or '.join(stack.layouts)}, not {arrangement}")
    parameters = law(stack.law).PARAMETERS.model_validate(precisions[wanted].parameters)
    host = _host(device, stack)
    machine = make_machine(unit, selection, parameters, host)
    return Target(device=device, processor=chosen, runtime=stack_name, dtype=wanted, cores=selection, layout=arrangement, machine=machine)


def _precisions(unit: Processor, stack: Runtime) -> dict[str, Precision]:
    return {str(dtype): precision for dtype, precision in (unit.runtimes[stack.like] if stack.like else stack).dtypes.items()}


def _unknown_runtime(device: Device, processor: str, runtime: str) -> Exception:
    elsewhere = [name for name, unit in device.profile.processors.items() if runtime in unit.runtimes]
    hint = f"it runs on the processor {elsewhere[0]!r}: add --processor {elsewhere[0]}" if elsewhere else ""
    return unknown(f"runtime of {device.name} {processor}", runtime, device.profile.processors[processor].runtimes, hint=hint)


def _host(device: Device, stack: Runtime) -> tuple[str, Machine] | None:
    """The machine of what an accelerator leaves to the CPU, in the accelerator's dtype where the host has figures for it."""
    if stack.host is None:
        return None
    processor, runtime = stack.host
    available = _precisions(device.profile.processors[processor], device.profile.processors[processor].runtimes[runtime])
    host = resolve_target(device, processor=processor, runtime=runtime, dtype="int8" if "int8" in available else None)
    return device.profile.processors[processor].runtimes[runtime].law, host.machine


_CORE = re.compile(r"(\w+)=(\d+)")


def _select_cores(device: str, processor: str, unit: Processor, threads: int | None, cores: str | None) -> Cores:
    """The cores in use, fastest first."""
    if not unit.clusters:
        if threads is not None or cores is not None:
            raise UsageError(f"{device} {processor} is used as a whole: it takes neither --threads nor --cores")
        return ()
    if threads is not None and cores is not None:
        raise UsageError("give --threads or --cores, not both")
    fastest = sorted(unit.clusters, key=lambda cluster: -cluster.clock_ghz * cluster.flops_per_cycle["fp32"])
    if threads is None:
        wanted = _parse_cores(cores if cores is not None else unit.default_cores or "large=1", {c.name: c.cores for c in fastest}, device)
        return tuple((cluster.name, wanted[cluster.name]) for cluster in fastest if wanted.get(cluster.name))
    total = sum(cluster.cores for cluster in fastest)
    if not 1 <= threads <= total:
        raise UsageError(f"{device} {processor} has {total} core{'s' if total > 1 else ''}, so threads must lie between 1 and {total}, not {threads}")
    chosen: list[tuple[str, int]] = []
    for cluster in fastest:
        count = min(threads, cluster.cores)
        if count:
            chosen.append((cluster.name, count))
        threads -= count
    return tuple(chosen)


def _parse_cores(text: str, available: dict[Any, int], device: str) -> dict[str, int]:
    wanted: dict[str, int] = {}
    for item in text.split(","):
        match = _CORE.fullmatch(item.strip())
        if not match:
            raise UsageError(f"--cores must look like large=1,medium=3, not {text!r}")
        name, count = match[1], int(match[2])
        if name not in available:
            raise unknown(f"cluster of {device}", name, available)
        if name in wanted or not 1 <= count <= available[name]:
            raise UsageError(f"{device} has {available[name]} {name} core{'s' if available[name] > 1 else ''}: {item.strip()!r} cannot be had")
        wanted[name] = count
    return wanted
