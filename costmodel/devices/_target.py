"""`Target`: what is estimated. A device never runs anything alone: (processor, runtime, dtype, cores, layout) does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from costmodel.devices._cores import Cores, select_cores
from costmodel.devices._machine import make_machine
from costmodel.devices._profile import LEAST_FACTOR, Basis, Device, Precision, Processor, Runtime
from costmodel.errors import UsageError, unknown
from costmodel.laws import Law, Machine, law
from costmodel.lowering import RuleSet, rule_set

#: What borrowing a layout, a core selection, another core's fit or a batch multiplies the interval's factor by: nhwc against nchw moves ResNets on an
#: RTX 3090 by 14-17 % (timm rows), one thread against all of them more; of a batch it is assumed.
BORROWED_FACTOR = 1.2


class Evidence(NamedTuple):
    """What figures rest on, the factor of their 90 % interval, and what the measurements behind them did not have, which makes it wider."""

    basis: Basis
    factor: float
    borrowed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A processor of a device under a runtime, in a dtype, on some of its cores. Made by `resolve_target`.

    `cores` is (cluster, count), fastest first, empty where a processor is used as a whole; `machine` is the same in the
    law's terms; `host` is what runs the operators that an accelerator does not take.
    """

    device: Device
    processor: str
    runtime: str
    dtype: str
    cores: Cores
    layout: str
    machine: Machine
    host: Target | None = None

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
    def dtypes(self) -> tuple[str, ...]:
        """The precisions that this runtime has figures for on this processor."""
        return tuple(_precisions(self._processor, self._runtime))

    @property
    def memory_holds_file(self) -> bool:
        """Whether the model file is read into the processor's own memory; a GPU's file stays with its host."""
        return self.device.profile.category != "gpu"

    @property
    def hardware(self) -> Processor:
        """The processor's part of the profile."""
        return self._processor

    def evidence(self, batch: int | None = None) -> Evidence:
        """What figures for a batch rest on; None is one that the measurements had."""
        precision = self.precision
        borrowed = []
        layouts = (precision.layout,) if isinstance(precision.layout, str) else precision.layout
        if layouts and self.layout not in layouts:
            borrowed.append(f"layout {self.layout} (measured: {', '.join(layouts)})")
        if precision.measured_cores and self.cores_text not in precision.measured_cores:
            borrowed.append(f"cores {self.cores_text} (measured: {'; '.join(precision.measured_cores)})")
        unfitted, fitted = self._unfitted_cores()
        if unfitted:
            borrowed.append(f"constants of {', '.join(unfitted)} (fitted: {', '.join(fitted)})")
        batches = precision.measured_batches
        if batches is not None and batch is not None and not batches[0] <= batch <= batches[1]:
            borrowed.append(f"batch {batch} (measured: {' to '.join(map(str, dict.fromkeys(batches)))})")
        basis: Basis = "transferred" if precision.basis == "calibrated" and borrowed else precision.basis
        parallel = precision.parallel_interval_factor
        stated = parallel if parallel is not None and (self.threads or 1) > 1 else precision.interval_factor
        widened = stated * self._runtime.widened_by * BORROWED_FACTOR ** len(borrowed)
        return Evidence(basis, max(widened, LEAST_FACTOR[basis]), tuple(borrowed))

    def _unfitted_cores(self) -> tuple[list[str], list[str]]:
        """Cores in use, fastest first, of whose constants none was fitted, and those of which some were; nothing where none was of either."""
        if not self.machine.parameters.by_core:
            return [], []
        constants = f"processors.{self.processor}.runtimes.{self._runtime.like or self.runtime}.dtypes.{self.dtype}.parameters.cores"
        known = self.device.provenance
        fitted = [
            core
            for core, values in self.machine.parameters.cores.items()
            if any((entry := known.get(f"{constants}.{core}.{name}")) is not None and entry.kind == "fitted" for name in type(values).model_fields)
        ]
        unfitted = dict.fromkeys(group.core for group in self.machine.cores if fitted and group.core not in fitted)
        return list(unfitted), fitted

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
    chosen = profile.default_processor if processor is None else processor
    unit = profile.processors.get(chosen)
    if unit is None:
        raise unknown(f"processor of {device.name}", chosen, profile.processors)
    stack_name = unit.default_runtime if runtime is None else runtime
    stack = unit.runtimes.get(stack_name)
    if stack is None:
        raise _unknown_runtime(device, chosen, stack_name)
    precisions = _precisions(unit, stack)
    wanted = (unit.default_dtype if unit.default_dtype in precisions else next(iter(precisions))) if dtype is None else dtype
    if wanted not in precisions:
        raise UsageError(f"{device.name} {chosen} under {stack_name} has no figures for {wanted}; it has {', '.join(precisions)}")
    selection = select_cores(device.name, chosen, unit, threads, cores)
    arrangement = stack.layouts[0] if layout is None else layout
    if arrangement not in stack.layouts:
        raise UsageError(f"{stack_name} stores images as {' or '.join(stack.layouts)}, not {arrangement}")
    parameters = law(stack.law).PARAMETERS.model_validate(precisions[wanted].parameters)
    host = _host(device, stack)
    machine = make_machine(unit, selection, parameters, None if host is None else (host._runtime.law, host.machine))
    return Target(device=device, processor=chosen, runtime=stack_name, dtype=wanted, cores=selection, layout=arrangement, machine=machine, host=host)


def hypothetical(target: Target, *, peak: float = 1.0, bandwidth: float = 1.0) -> Target:
    """`target` if its arithmetic were `peak` and its memory `bandwidth` times as fast; overheads stay.

    What an accelerator leaves to its host takes as long as before.

    Raises
    ------
    UsageError
        If a factor is not positive.
    """
    if not (peak > 0 and bandwidth > 0):
        raise UsageError(f"the factors of peak and bandwidth must be positive, not {peak:g} and {bandwidth:g}")
    return dataclasses.replace(target, machine=target.law.scaled(target.machine, peak=peak, bandwidth=bandwidth))


def _precisions(unit: Processor, stack: Runtime) -> dict[str, Precision]:
    if not stack.like:
        return {str(dtype): precision for dtype, precision in stack.dtypes.items()}
    return {str(dtype): differing(precision, stack.differs.get(dtype, {})) for dtype, precision in unit.runtimes[stack.like].dtypes.items()}


def differing(precision: Precision, parameters: Mapping[str, Any]) -> Precision:
    """The precision with some of its law's parameters otherwise."""
    return precision.model_copy(update={"parameters": {**precision.parameters, **parameters}}) if parameters else precision


def _unknown_runtime(device: Device, processor: str, runtime: str) -> Exception:
    elsewhere = [name for name, unit in device.profile.processors.items() if runtime in unit.runtimes]
    hint = f"it runs on the processor {elsewhere[0]!r}: add --processor {elsewhere[0]}" if elsewhere else ""
    return unknown(f"runtime of {device.name} {processor}", runtime, device.profile.processors[processor].runtimes, hint=hint)


def _host(device: Device, stack: Runtime) -> Target | None:
    """What runs the operators that an accelerator leaves to the CPU, in int8 where the host has figures for it."""
    if stack.host is None:
        return None
    processor, runtime = stack.host
    unit = device.profile.processors[processor]
    available = _precisions(unit, unit.runtimes[runtime])
    return resolve_target(device, processor=processor, runtime=runtime, dtype="int8" if "int8" in available else None)
