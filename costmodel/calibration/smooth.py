"""The smooth laws in arrays: the kernels of all rows priced at once, with derivatives, for fits to hundreds of networks.

The formula is that of `costmodel.laws._smooth`, with what each law's parameters say of reach, occupancy and barriers; a test holds the two together. What only
measurements of single operators tell (`SmoothParameters.benched`) is left out: laws that state it are priced instead. Kernels of one row that are equal
count once, with their number. A GPU's wait for its host is taken as a whole: a network ends when its kernels do, or when the host has issued the last of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from costmodel.calibration.parameters import Path, replaced
from costmodel.laws import _smooth
from costmodel.laws._base import least_seconds
from costmodel.laws._smooth import Reach, SmoothParameters
from costmodel.work import CONTRACTIONS, WorkKind

if TYPE_CHECKING:
    from costmodel.calibration.samples import Sample
    from costmodel.kernel import Kernel
    from costmodel.laws import Machine

Array = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Positions = np.ndarray[Any, np.dtype[np.int64]]
#: Work kinds, and the same with channels innermost: what has shares of its own.
_KINDS = (*map(str, WorkKind), *(f"{kind}-nhwc" for kind in WorkKind))
_STEP = 1e-4


class Columns(NamedTuple):
    """One entry a distinct kernel of a row; all of shape (kernels,). `row` and `kind` are positions, `peak_s` seconds at the peak of its precision,
    `least_s` those that the activations take at least, `faster` how many times memory's bandwidth caches let them have, `side` of a window in threes;
    from `dense` on ones and zeros.
    """

    row: Positions
    times: Array
    kind: Positions
    peak_s: Array
    activations: Array
    weights: Array
    weights_once: Array
    fresh: Array
    joined: Array
    least_s: Array
    faster: Array
    transcendentals: Array
    error_functions: Array
    occupancy: Array
    tiled: Array
    spilling: Array
    k: Array
    n: Array
    m: Array
    spatial: Array
    side: Array
    filled: Array
    dense: Mask
    grouped: Mask
    misaligned: Mask
    strided: Mask
    winograd: Mask
    image: Mask
    window: Mask
    contraction: Mask


class _Times(NamedTuple):
    """Seconds of every distinct kernel, times its count, and what of it falls where a share of its kind, or that of weights, grows by one per cent."""

    total: Array
    by_compute: Array
    by_memory: Array
    by_weights: Array


class SmoothResponses:
    """Times of samples of one machine under a smooth law, as functions of the parameters' logarithms."""

    def __init__(self, samples: Sequence[Sample], paths: Sequence[Path], columns: Columns | None = None) -> None:
        self.samples, self.paths = samples, tuple(paths)
        self.machine = samples[0].target.machine
        combined = samples[0].target.law.combination(self.machine)
        self.host_s = combined.launch_s if combined else 0.0
        self.columns = columns_of(samples) if columns is None else columns
        self.kernels = np.array([len(sample.program.kernels) for sample in samples], dtype=float)

    def seconds(self, logs: Array) -> Array:
        parameters = self._parameters(logs)
        return self._whole(parameters, self._times(parameters).total)

    def slopes(self, logs: Array, wanted: Mask | None = None) -> Array:
        parameters = self._parameters(logs)
        times = self._times(parameters)
        whole = self._whole(parameters, times.total)
        bound = (self._rows(times.total) + parameters.floor_us * 1e-6 >= whole * (1 - 1e-9)) if self.host_s else np.ones(len(whole))
        falls = {"compute_share": self._by_kind(times.by_compute), "memory_share": self._by_kind(times.by_memory)}
        out = np.zeros((len(whole), len(logs)))
        for position, path in enumerate(self.paths):
            if wanted is not None and not wanted[position]:
                continue
            grows = self._moving(path[1], parameters) if path[0] == "relayout_passes" else self._grows(path[0], parameters, times)
            if path[0] in falls:
                out[:, position] = -falls[path[0]][:, self._members(path)].sum(axis=1) * bound / whole
            elif grows is not None:
                out[:, position] = self._rows(grows) * bound / whole
            else:
                moved = logs.copy()
                moved[position] += _STEP
                out[:, position] = (np.log(self.seconds(moved)) - np.log(whole)) / _STEP
        return out

    def _moving(self, kind: str, p: Any) -> Array:
        """Seconds of kernels of a kind that copies of their images take."""
        c = self.columns
        chosen = c.kind == _KINDS.index(kind)
        return np.asarray(c.times * chosen * p.relayout_passes[kind] * c.activations / (p.bytes_per_s(self.machine) * c.faster))

    def _grows(self, name: str, p: Any, times: _Times) -> Array | None:
        """Seconds by which kernels grow where one parameter does, by its logarithm; None where differences must tell."""
        c = self.columns
        if name == "weight_share":
            return -times.by_weights
        added = {
            "kernel_us": p.kernel_us * 1e-6,
            "contraction_us": c.contraction * p.contraction_us * 1e-6,
            "image_us": c.image * p.image_us * 1e-6,
            "transcendental_share": -self._functions_s(p, erf=False),
            "error_function_share": -self._functions_s(p, erf=True),
        }
        if name in added:
            return np.asarray(c.times * added[name], dtype=float)
        slower = self._slower(name, p)
        return None if slower is None else np.asarray(times.by_compute * c.contraction * slower, dtype=float)

    def _slower(self, name: str, p: Any) -> Array | None:
        """By how much of themselves contractions' arithmetic grows with one parameter of their shapes, by its logarithm."""
        c = self.columns
        half = getattr(p, name)
        ramp = c.dense & (c.n / (c.n + p.n_half) * c.m / (c.m + p.m_half) < c.occupancy)
        ramps = {
            "k_half": (c.dense, c.k),
            "n_half": (ramp, c.n),
            "m_half": (ramp, c.m),
            "grouped_k_half": (c.grouped, c.k),
            "grouped_n_half": (c.grouped, c.n),
        }
        factors = {"misaligned_factor": c.misaligned, "strided_factor": c.strided, "window_factor": c.winograd}
        if name in ramps:
            chosen, size = ramps[name]
            return np.asarray(chosen * half / (size + half), dtype=float)
        return np.asarray(-1.0 * factors[name], dtype=float) if name in factors else None

    def of(self, rows: Mask) -> SmoothResponses:
        """The same for some rows."""
        chosen = rows[self.columns.row]
        kept = Columns._make(column[chosen] for column in self.columns)
        numbers = np.cumsum(rows) - 1
        return SmoothResponses([sample for sample, take in zip(self.samples, rows, strict=True) if take], self.paths, kept._replace(row=numbers[kept.row]))

    def _parameters(self, logs: Array) -> Any:
        return replaced(self.machine.parameters, dict(zip(self.paths, np.exp(logs).tolist(), strict=True)))

    def _rows(self, kernels: Array) -> Array:
        return np.asarray(np.bincount(self.columns.row, kernels, minlength=len(self.samples)), dtype=float)

    def _by_kind(self, kernels: Array) -> Array:
        """(rows, kinds)."""
        size = len(self.samples) * len(_KINDS)
        found = np.bincount(self.columns.row * len(_KINDS) + self.columns.kind, kernels, minlength=size)
        return np.asarray(found, dtype=float).reshape(-1, len(_KINDS))

    def _members(self, path: Path) -> list[int]:
        """Positions of the kinds whose share stands at a path."""
        named = getattr(self.machine.parameters, path[0])
        return [number for number, kind in enumerate(_KINDS) if _entry(named, kind) == path[1]]

    def _whole(self, p: Any, kernels: Array) -> Array:
        """Seconds of rows from those of kernels: the floor, and the host where it is what takes longest."""
        return np.asarray(np.maximum(self._rows(kernels), self.host_s * self.kernels) + p.floor_us * 1e-6)

    def _times(self, p: Any) -> _Times:
        c, machine = self.columns, self.machine
        bytes_per_s = p.bytes_per_s(machine)
        compute_s = c.peak_s / (_table(p.compute_share)[c.kind] * np.where(c.contraction, self._shape(p), 1.0))
        reach = bytes_per_s * c.faster * _table(p.memory_share)[c.kind]
        if p.cache_bonus:
            reach = reach * (1 + p.cache_bonus / (1 + (c.activations / (p.cache_mib * _smooth.MIB)) ** 2))
        if p.spatial_half:
            reach = reach * np.where(c.image, c.spatial / (c.spatial + p.spatial_half), 1.0)
        moved_s = np.maximum(c.activations / reach, c.least_s)
        memory_s = moved_s + c.weights / (bytes_per_s * p.weight_share)
        extra_s = self._functions_s(p, erf=False) + self._functions_s(p, erf=True)
        if p.relayout_passes:
            passes = np.array([p.relayout_passes.get(kind, 0.0) for kind in _KINDS])
            extra_s = extra_s + passes[c.kind] * c.activations / (bytes_per_s * c.faster)
        plain, windows = p.repack_share, p.repack_share if p.window_repack_share is None else p.window_repack_share
        for share, chosen in ((plain, np.logical_not(c.window)), (windows, c.window)):
            if share is not None:
                extra_s = extra_s + np.logical_and(c.image, chosen) * c.weights_once / (bytes_per_s * share)
        if p.page_share is not None:
            extra_s = extra_s + c.fresh / (bytes_per_s * p.page_share)
        larger = np.maximum(np.maximum(compute_s, memory_s), 1e-30)
        one, other = (compute_s / larger) ** p.overlap, (memory_s / larger) ** p.overlap
        busy = larger * (one + other) ** (1 / p.overlap)
        overhead_s = p.kernel_us * 1e-6 + p.barrier_s(machine) * c.joined + (p.contraction_us * c.contraction + p.image_us * c.image) * 1e-6
        weight = c.times * busy / (one + other)
        floating = np.where(c.activations / reach > c.least_s * (1 - 1e-9), moved_s / np.maximum(memory_s, 1e-30), 0.0)
        weights = (memory_s - moved_s) / np.maximum(memory_s, 1e-30)
        return _Times(c.times * (busy + extra_s + overhead_s), weight * one, weight * other * floating, weight * other * weights)

    def _functions_s(self, p: Any, *, erf: bool) -> Array:
        """Seconds of erf where it has a share of its own, or of the other functions."""
        c = self.columns
        apart = p.error_function_share is not None
        share = p.error_function_share if erf and apart else p.transcendental_share
        done = c.error_functions * apart if erf else c.transcendentals - c.error_functions * apart
        return np.asarray(done / (self.machine.peak("fp32") * share), dtype=float)

    def _shape(self, p: Any) -> Array:
        c = self.columns
        filled = np.minimum(c.occupancy, c.n / (c.n + p.n_half) * c.m / (c.m + p.m_half))
        dense = c.k / (c.k + p.k_half) * filled
        grouped = c.k / (c.k + p.grouped_k_half) * c.n / (c.n + p.grouped_n_half)
        depthwise = np.minimum(1.0, c.side**p.depthwise_exponent)
        factor = np.where(c.dense, dense, np.where(c.grouped, grouped, depthwise)) * c.filled
        factor = factor * np.where(c.misaligned, p.misaligned_factor, 1.0) * c.tiled / (1 + p.spilled_cost * c.spilling)
        return np.asarray(factor * np.where(c.strided, p.strided_factor, 1.0) * np.where(c.winograd, p.window_factor, 1.0))


def _table(shares: dict[str, float]) -> Array:
    """Shares by position of the kind."""
    return np.array([shares[_entry(shares, kind)] for kind in _KINDS])


def _entry(shares: Mapping[str, float], kind: str) -> str:
    """The name under which a kind, or a kind in a layout, stands in a table of shares."""
    return next((name for name in (kind, kind.removesuffix("-nhwc")) if name in shares), "default")


def columns_of(samples: Sequence[Sample]) -> Columns:
    """The kernels of samples of one machine."""
    machine = samples[0].target.machine
    parameters: SmoothParameters = machine.parameters
    entries: list[tuple[float, ...]] = []
    reach = parameters.reach(machine)
    for row, sample in enumerate(samples):
        counts = Counter(_features(kernel, machine, reach) for kernel in sample.program.kernels)
        entries += [(row, count, *features) for features, count in counts.items()]
    table = np.array(entries, dtype=float).T
    found = dict(zip(Columns._fields, table, strict=True))
    flags = Columns._fields[Columns._fields.index("dense") :]
    return Columns(**{name: column.astype(int) if name in ("row", "kind") else column > 0 if name in flags else column for name, column in found.items()})


def _features(kernel: Kernel, machine: Machine, reach: Reach) -> tuple[float, ...]:
    work, kind = kernel.works[0], kernel.kind
    contraction = kind in CONTRACTIONS
    moved = kernel.read_bytes + kernel.write_bytes
    dense, grouped = kind in _smooth.DENSE, kind is WorkKind.GROUPED
    recurrent = kind is WorkKind.RECURRENT
    least_s = moved / reach.activations(moved) if reach.stated else least_seconds(moved, machine.levels)
    return (
        _KINDS.index(f"{kind}-{kernel.layout}" if kernel.layout else kind),
        2 * kernel.macs / machine.peak(kernel.dtype) if contraction else kernel.other_flops / machine.peak("fp32"),
        moved,
        (work.spatial if recurrent else 1) * kernel.weight_bytes,
        kernel.weight_bytes,
        _smooth.fresh_bytes(kernel),
        machine.parameters.joined(kernel, machine),
        least_s,
        reach.activations(moved) / reach.far,
        sum(one.transcendentals for one in kernel.works),
        sum(one.error_functions for one in kernel.works),
        machine.parameters.occupancy(kernel, machine),
        machine.parameters.tiled(kernel, machine),
        machine.parameters.spilling(kernel, machine),
        max(1, work.k),  # 1 where there is no product, so that no ramp divides by 0
        max(1, work.n),
        max(1, work.m // work.spatial if recurrent else work.m),
        work.spatial,
        math.sqrt(work.taps) / 3 if kind is not WorkKind.ATTENTION else 1.0,
        _smooth.attention_filled(work) if kind is WorkKind.ATTENTION else 1.0,
        dense,
        grouped,
        _smooth.is_misaligned(machine.parameters, kernel),
        work.stride > 1 and kind is WorkKind.CONVOLUTION,
        work.stride == 1 and kind is WorkKind.CONVOLUTION and work.taps == 9,
        kind in _smooth.IMAGES,
        work.taps > 1,
        contraction,
    )
