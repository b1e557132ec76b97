"""Constants for a device from the rows of others: all cores of one kind together, in cycles, with this device's clocks and multipliers.

Where `transfer` carries one relative's constants over, this fits one set to the rows of every other device under a runtime: single cores that issue in
order, or out of order, in one precision. What multiplies is counted in multiples of a core's multiply-accumulates a cycle, everything else in cycles.
Where no other device has rows in a precision, those of another serve: multiplications by the ratio of rates, moved elements by that of their bytes.

`leave_device_out` predicts every device from the others alone. `leave_family_out` adds the device's own rows without the family that it predicts, which
no other device's rows may show either: pooled constants are the priors of the device's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import minimize_scalar

from costmodel.calibration.fit import Array, LinearResponses, Mask, fit, linear_responses, priced
from costmodel.calibration.held_out import free_of, ground_of, parts_of
from costmodel.calibration.parameters import Free, Path
from costmodel.calibration.samples import Sample
from costmodel.calibration.transfer import DOT_PRODUCTS, IN_ORDER
from costmodel.devices import Target
from costmodel.laws import PEAK_TOLERANCE
from costmodel.laws.linear_work import PER_MAC, Constants
from costmodel.tensor import DType

#: Before any row: times what a core's multipliers would need at their best, for each constant that multiplies, in floating point; assumed. Of priors half
#: or twice as large, these gave families held out of all devices' rows the smaller errors (between 9 and 11 % on average).
_MULTIPLES = {
    "gemm_cycles_per_mac": 1.0,
    "spatial_gemm_cycles_per_mac": 1.4,
    "winograd_cycles_per_mac": 1.0,
    "linear_cycles_per_mac": 2.0,
    "depthwise_cycles_per_mac": 1.5,
    "depthwise_strided_cycles_per_mac": 2.5,
    "grouped_cycles_per_mac": 2.8,
}
#: Cycles for each element of 4 bytes that is moved, and of arithmetic that is not multiplication; assumed, within a factor of about two of what
#: TFLite's kernels take on a Cortex-A76 (device_profiles/pixel4.toml).
_CYCLES = {
    "tile_cycles_per_output": 3.0,
    "pack_cycles_per_element": 1.0,
    "winograd_cycles_per_element": 8.0,
    "gemv_cycles_per_weight": 0.5,
    "elementwise_cycles_per_output": 1.0,
    "transcendental_cycles": 5.0,
    "error_function_cycles": 10.0,
    "normalisation_cycles_per_element": 20.0,
    "softmax_cycles_per_element": 20.0,
    "pad_cycles_per_output": 1.0,
    "concat_cycles_per_output": 1.0,
    "copy_cycles_per_output": 1.0,
    "resize_cycles_per_tap": 1.0,
    "pool_cycles_per_tap": 0.4,
    "reduction_cycles_per_input": 0.5,
}
#: Without rows, int8 takes as many cycles as the widest arithmetic in floating point does on such cores, half the peak of its products; the spread of that.
_INT8, _INT8_SPREAD = 2.0, 0.35
#: Cycles that starting a kernel takes, whatever it computes; assumed.
_DISPATCH = {"kernel_cycles": 10000.0}
#: Standard deviation of these assumptions' logarithm, a factor of two.
_SPREAD = 0.7
#: Least multiple of what multipliers need: laws refuse constants over their tolerance of the peak; a thousandth is left for rounding.
_FASTEST = 1.001 / PEAK_TOLERANCE
#: How far from its assumption a constant may go.
_REACH = 100.0
#: Shares of the memory's bandwidth below this are not tried: a fiftieth is less than any row calls for.
_LEAST_SHARE = 0.02
_SHARE: Path = ("contended_share",)
#: Precisions in the order in which they stand in for one that no row has.
_STANDING_IN = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Rows of one core of a device: what each constant contributes to each (rows, constants)."""

    device: str
    core: str
    kind: tuple[bool, bool]
    dtype: str
    rate: float
    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    responses: LinearResponses = field(repr=False)


class Pool:
    """Rows of several devices' single cores under one runtime; constants for any core from them."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.rows = [rows for members in _by_ground(samples).values() for rows in _rows_of(members)]
        self.together = [sample for sample in samples if (sample.target.threads or 1) > 1]
        self._known: dict[tuple[object, ...], dict[str, float]] = {}
        self._shares: dict[tuple[str, str], float] = {}

    def constants(self, target: Target, core: str, *, without_device: str = "", without_family: str = "") -> dict[str, float]:
        """Cycles by the names of `Constants` for a core of a target, from all rows but a device's and a family's.

        Raises
        ------
        ValueError
            If there is no row of a core of this kind in any precision, nor one of the other kind in this.
        """
        dtypes = (target.dtype, *(other for other in _STANDING_IN if other != target.dtype))
        own, other = [_kind(target, core, dtype) for dtype in dtypes], _kind(target, core, target.dtype)
        for dtype, kind in (*zip(dtypes, own, strict=True), (target.dtype, (not other[0], other[1]))):
            found = self._of_kind(dtype, kind, without_device, without_family)
            if found:
                return _for_core(found, _names(target, core), _rate(target, core), DType.named(target.dtype).itemsize / DType.named(dtype).itemsize)
        raise ValueError(f"no row of a core like {core}")

    def _of_kind(self, dtype: str, kind: tuple[bool, bool], device: str, family: str) -> dict[str, float]:
        """Pooled constants of one kind of core in one precision without a device's and a family's rows; empty where no row is left."""
        key = (dtype, kind, device, family)
        if key not in self._known:
            chosen = [rows for rows in self.rows if rows.dtype == dtype and rows.device != device and rows.kind == kind]
            floating = self._of_kind("fp16" if kind[1] else "fp32", (kind[0], False), device, family) if dtype == "int8" else {}
            self._known[key] = _pooled(chosen, family, {name: value * _INT8 if name in PER_MAC else value for name, value in floating.items()})
        return self._known[key]

    def share(self, target: Target, *, without_device: str = "") -> float | None:
        """The share of its memory's bandwidth that cores get together: geometric mean of what other devices' rows say; None where none does."""
        devices = dict.fromkeys(sample.target.device.name for sample in self.together if sample.target.dtype == target.dtype)
        found = [self._share_of(device, target.dtype) for device in devices if device != without_device]
        return math.exp(sum(map(math.log, found)) / len(found)) if found else None

    def own_share(self, target: Target) -> float | None:
        """The same as a target's own device's rows of several cores say; None without such rows."""
        known = any((sample.target.device.name, sample.target.dtype) == (target.device.name, target.dtype) for sample in self.together)
        return self._share_of(target.device.name, target.dtype) if known else None

    def _share_of(self, device: str, dtype: str) -> float:
        if (device, dtype) not in self._shares:
            own = [sample for sample in self.together if (sample.target.device.name, sample.target.dtype) == (device, dtype)]
            rows = [sample for part in self.rows if (part.device, part.dtype) == (device, dtype) for sample in part.samples]
            known = {cores: _own(rows, target, self.values(target)) for cores, target in {sample.target.cores_text: sample.target for sample in own}.items()}
            self._shares[device, dtype] = fitted_share(own, [known[sample.target.cores_text] for sample in own])
        return self._shares[device, dtype]

    def values(self, target: Target, *, without_device: str = "", without_family: str = "") -> dict[Path, float]:
        """`constants` of all cores of a target, by path."""
        cores = dict.fromkeys(group.core for group in target.machine.cores)
        return {
            ("cores", core, name): value
            for core in cores
            for name, value in self.constants(target, core, without_device=without_device, without_family=without_family).items()
        }


def leave_device_out(samples: Sequence[Sample]) -> list[float]:
    """Seconds of every sample by constants of the other devices' rows, in the samples' order."""
    pool = Pool(samples)
    known: dict[tuple[object, ...], dict[Path, float]] = {}
    found = []
    for sample in samples:
        key = (sample.target.device.name, sample.target.dtype, sample.target.cores_text)
        if key not in known:
            known[key] = _with_share(
                pool.values(sample.target, without_device=sample.target.device.name), pool.share(sample.target, without_device=sample.target.device.name)
            )
        found.append(float(priced([sample], known[key])[0]))
    return found


def leave_family_out(samples: Sequence[Sample]) -> list[float]:
    """Seconds of every sample by its device's rows of other families, with the other devices' rows of those families as priors."""
    pool = Pool(samples)
    found = [0.0] * len(samples)
    for positions in _positions(samples).values():
        members = [samples[position] for position in positions]
        for family in sorted({sample.family for sample in members}):
            own = [sample for sample in members if sample.family != family]
            held = [position for position in positions if samples[position].family == family]
            for cores in dict.fromkeys(samples[position].target.cores_text for position in held):
                same = [position for position in held if samples[position].target.cores_text == cores]
                target = samples[same[0]].target
                values = pool.values(target, without_device=target.device.name, without_family=family)
                values = _with_share(_own(own, target, values), _own_share(own, pool, family) if (target.threads or 1) > 1 else None)
                for position, seconds in zip(same, priced([samples[position] for position in same], values), strict=True):
                    found[position] = float(seconds)
    return found


def fitted_share(samples: Sequence[Sample], values: Sequence[Mapping[Path, float]]) -> float:
    """The share of the memory's bandwidth with which rows of several cores come out best, their constants given for each."""
    measured = np.log([sample.seconds for sample in samples])

    def misfit(log_share: float) -> float:
        share = math.exp(log_share)
        seconds = [float(priced([sample], {**known, _SHARE: share})[0]) for sample, known in zip(samples, values, strict=True)]
        return float(((np.log(seconds) - measured) ** 2).sum())

    found = minimize_scalar(misfit, bounds=(math.log(_LEAST_SHARE), 0.0), method="bounded", options={"xatol": 0.01})
    return math.exp(float(found.x))


def _own(samples: Sequence[Sample], target: Target, priors: Mapping[Path, float]) -> dict[Path, float]:
    """The constants of a target's cores: those of `priors`, and in place of them what the device's own rows say."""
    found = dict(priors)
    wanted = {group.core for group in target.machine.cores}
    for core, rows in parts_of(samples, ground_of(target)) if samples else ():
        if core in wanted:
            found |= fit(rows, free_of(rows[0].target, core, priors)).values
    return found


def _own_share(own: Sequence[Sample], pool: Pool, family: str) -> float | None:
    """The share that a device's own rows of several cores speak for; None without any."""
    together = [sample for sample in own if (sample.target.threads or 1) > 1]
    known: dict[str | None, dict[Path, float]] = {}
    for sample in together:
        if sample.target.cores_text not in known:
            priors = pool.values(sample.target, without_device=sample.target.device.name, without_family=family)
            known[sample.target.cores_text] = _own(own, sample.target, priors)
    return fitted_share(together, [known[sample.target.cores_text] for sample in together]) if together else None


def _with_share(values: Mapping[Path, float], share: float | None) -> dict[Path, float]:
    return {**values, **({_SHARE: share} if share is not None else {})}


def _positions(samples: Sequence[Sample]) -> dict[tuple[str, str, str, str], list[int]]:
    """Positions of the samples of each device's ground."""
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for position, sample in enumerate(samples):
        found.setdefault((sample.target.device.name, *ground_of(sample.target)), []).append(position)
    return found


def _by_ground(samples: Sequence[Sample]) -> dict[tuple[str, str, str, str], list[Sample]]:
    return {key: [samples[position] for position in positions] for key, positions in _positions(samples).items()}


def _rows_of(members: Sequence[Sample]) -> list[_Rows]:
    """The single cores of one device's ground that have rows."""
    found = []
    for core, rows in parts_of(members, ground_of(members[0].target)):
        target = rows[0].target
        if core is None or target.threads != 1:
            continue
        names = tuple(_names(target, core))
        responses = linear_responses(rows, [("cores", core, name) for name in names])
        found.append(
            _Rows(
                device=target.device.name,
                core=core,
                kind=_kind(target, core, target.dtype),
                dtype=target.dtype,
                rate=_rate(target, core),
                names=names,
                samples=tuple(rows),
                responses=responses,
            )
        )
    return found


def _names(target: Target, core: str) -> list[str]:
    """The constants that a core has: those that are neither missing nor 0."""
    constants: Constants = target.machine.parameters.cores[core]
    return [name for name, value in constants if value]


def _kind(target: Target, core: str, dtype: str) -> tuple[bool, bool]:
    """Whether a core issues in order, and whether it has dot products where the precision is int8: such kernels have nothing in common with others."""
    rates = _rates(target, core)
    return core in IN_ORDER, dtype == "int8" and rates.get("int8", 0.0) >= DOT_PRODUCTS * rates["fp32"]


def _rates(target: Target, core: str) -> Mapping[str, float]:
    """Peak operations a cycle by precision of a core of the target's processor."""
    peaks = next(cluster.flops_per_cycle for cluster in target.hardware.clusters if cluster.core == core)
    return {str(dtype): peak for dtype, peak in peaks.items()}


def _rate(target: Target, core: str) -> float:
    """Multiply-accumulates a cycle at best."""
    rates = _rates(target, core)
    return rates.get(target.dtype, rates["fp32"]) / 2


def _pooled(chosen: Sequence[_Rows], without_family: str, priors: Mapping[str, float]) -> dict[str, float]:
    """One set of constants for several cores: of what multiplies, multiples of what the multipliers need at their best. `priors` precede assumptions."""
    names = sorted({name for rows in chosen for name in rows.names})
    parts: list[Array] = []
    rests: list[Array] = []
    samples: list[Sample] = []
    for rows in chosen:
        keep: Mask = np.array([sample.family != without_family for sample in rows.samples])
        part = np.zeros((int(keep.sum()), len(names)))
        for column, name in enumerate(rows.names):
            scale = 1 / rows.rate if name in PER_MAC else 1.0
            part[:, names.index(name)] = rows.responses.matrix[keep, column] * scale
        parts.append(part)
        rests.append(rows.responses.rest[keep])
        samples += [sample for sample, kept in zip(rows.samples, keep, strict=True) if kept]
    if not samples:
        return {}
    known = LinearResponses(np.concatenate(parts), np.concatenate(rests), bounded=False)
    itemsize = DType.named(chosen[0].dtype).itemsize
    free = [_assumed(name, itemsize) for name in names]
    free = [replace(entry, prior=max(priors[entry.name], entry.low), spread=_INT8_SPREAD) if entry.name in priors else entry for entry in free]
    return {entry.path[0]: entry.value for entry in fit(samples, free, known).parameters}


def _assumed(name: str, itemsize: int) -> Free:
    """What a constant is taken to be before any row."""
    prior = {**_MULTIPLES, **_DISPATCH, **{key: value * itemsize / 4 for key, value in _CYCLES.items()}}[name]
    if itemsize == 1 and name in _MULTIPLES:
        prior *= _INT8
    low = _FASTEST if name in PER_MAC else prior / _REACH
    return Free(path=(name,), prior=max(prior, low), spread=_SPREAD, low=low, high=prior * _REACH)


def _for_core(found: Mapping[str, float], wanted: Sequence[str], rate: float, bytes_ratio: float) -> dict[str, float]:
    """Pooled constants as cycles of one core; what the pool lacks is assumed, scaled as its other constants are on average."""
    kept = {}
    scale = math.exp(float(np.mean([math.log(value / _assumed(name, 4).prior) for name, value in found.items()])))
    for name in wanted:
        value = found.get(name, _assumed(name, 4).prior * scale)
        kept[name] = value / rate if name in PER_MAC else value if name in _DISPATCH else value * bytes_ratio
    return kept
