"""Constants for a device from the rows of others: all cores of one kind together, in cycles, with this device's clocks and multipliers.

Where `transfer` carries one relative's constants over, this fits one set to the rows of every other device under a runtime: single cores that issue in
order, or out of order, in one precision. What multiplies is counted in multiples of a core's multiply-accumulates a cycle, what moves or computes single
elements in cycles of one vector unit, launches in cycles. Where no other device has rows in a precision, those of another serve: multiplications by the
ratio of rates, moved elements by that of their bytes; where none has rows of a build's age, those of other ages serve, as cores of the other order of issue
tell ages apart.

int8 has few rows, of five families: it begins where floating point ends on the same cores, but for what instructions say of it; the share of the bandwidth and
the barrier of several cores begin where floating point on the same device ends. Its products are other kernels where a core has dot products, and where a
build knows them.

`leave_device_out` predicts every device from the others alone. `leave_family_out` adds the device's own rows without the family that it predicts, which
no other device's rows may show either: pooled constants are the priors of the device's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from costmodel.calibration.fit import Array, LinearResponses, Mask, fit, linear_responses, priced
from costmodel.calibration.held_out import free_of, ground_of, parts_of
from costmodel.calibration.parameters import Free, Path
from costmodel.calibration.samples import Sample
from costmodel.calibration.together import fitted_together, mean_together, speeds
from costmodel.calibration.transfer import DOT_PRODUCTS, IN_ORDER
from costmodel.devices import Target
from costmodel.laws import PEAK_TOLERANCE
from costmodel.laws._cycle_constants import PER_MAC, PRODUCTS, Constants
from costmodel.tensor import DType

#: Before any row: times what a core's multipliers would need at their best, for each constant that multiplies, in floating point; assumed.
_MULTIPLES = {
    "gemm_cycles_per_mac": 1.0,
    "spatial_gemm_cycles_per_mac": 1.4,
    "direct_cycles_per_mac": 1.5,
    "winograd_cycles_per_mac": 1.0,
    "unpacked_gemm_cycles_per_mac": 4.0,
    "depthwise_cycles_per_mac": 1.5,
    "depthwise_strided_cycles_per_mac": 2.5,
}
#: Cycles for each element of 4 bytes that is moved, and of arithmetic that is not multiplication, of a core with one vector unit; assumed, within a factor
#: of about two of what TFLite's kernels take on a Cortex-A76 (device_profiles/pixel4.toml). An exponential is 31 instructions and a division for four
#: elements (exp_ps and sigmoid, src/layer/arm/neon_mathfun.h, Tencent/ncnn 20250428); a tap of a pooling window an offset, a load and a maximum
#: (pooling_arm.cpp).
_CYCLES = {
    "tile_cycles_per_output": 3.0,
    "pack_cycles_per_element": 1.0,
    "winograd_cycles_per_element": 8.0,
    "elementwise_cycles_per_output": 1.0,
    "transcendental_cycles": 10.0,
    "error_function_cycles": 10.0,
    "softmax_cycles_per_element": 20.0,
    "pad_cycles_per_output": 1.0,
    "concat_cycles_per_output": 1.0,
    "copy_cycles_per_output": 1.0,
    "cast_cycles_per_element": 1.0,
    "resize_cycles_per_tap": 1.0,
    "pool_cycles_per_tap": 0.75,
    "reduction_cycles_per_input": 0.5,
}
#: What takes as many cycles however many vector units a core has, for elements of 4 bytes. Fully connected layers of several rows add to one accumulator, and
#: each addition waits two cycles for the one before (src/layer/arm/innerproduct_arm_asimdhp.cpp, Tencent/ncnn 20250428; Arm Cortex-A76 software optimisation
#: guide, accumulator forwarding of FMLA): 2 cycles for 4 products in fp32. A third of a transformer's are attention's, whose products are as others:
#: 2/3 0.5 + 1/3 0.3. Weights that pass by a single row come from the memory, at 10 GB/s and 2.4 GHz; assumed. A normalisation over five channels is 113
#: instructions for four elements, of which 55 are a power, one waiting for the other (lrn_arm.cpp and pow_ps of neon_mathfun.h): one a cycle is assumed.
_ANY_WIDTH = {"linear_cycles_per_mac": 0.43, "gemv_cycles_per_weight": 1.0, "normalisation_cycles_per_element": 28.0}
#: Products a cycle in fp32 of a core with one vector unit (four lanes): cycles of moved elements shrink as units are added.
_LANES = 4.0
#: int8 beside floating point of the same cores, before any row. All products that are no windows of single channels are as good as those of 1x1; products of
#: Winograd's tiles are of 16 bits, taken as two thirds as many a cycle, with neither dot products nor instructions for matrices
#: (convolution_winograd_dot_pack8to4_int8.h, Tencent/ncnn of 2022, the copy named below); what is padded is int8.
_WINOGRAD_INT8 = 1.5
#: Products that instructions for matrices compute.
_MATRIX_PRODUCTS = frozenset(PRODUCTS) - {"winograd_cycles_per_mac"}
#: Later builds pack eight channels in int8. Channels that are no multiple of it, such as an image's three, are copied byte by byte and multiplied four by
#: an instruction, where packed ones are sixteen by three (convolution_im2col_sgemm_pack1to4_int8, Tencent/ncnn of 2022, a copy in the source package of
#: rife-ncnn-vulkan-python 1.2.1); four times the cycles is assumed. Builds that have a name are older, pack nothing and have kernels for images.
_UNPACKED_INT8 = 4.0
#: The same on cores with dot products, whose instructions multiply single channels four taps at a time (convolution_im2col_gemm_int8.h, Tencent/ncnn of
#: 2024); a third more is assumed for what is left over of taps.
_UNPACKED_DOT = 1.3
#: Columns of int8 are a quarter of the bytes of those in fp32.
_COLUMNS_INT8 = 0.25
#: Windows of single channels, whose requantised outputs are few products each, in multiples of two products for each in fp32: no dot products there,
#: so that beside four (`DOT_PRODUCTS`) they are twice as many multiples.
_WINDOWS_INT8 = {"depthwise_cycles_per_mac": 8.0, "depthwise_strided_cycles_per_mac": 10.0}
#: Times that in builds that have a name, whose windows are rows of eight outputs and a rest of single ones (convdw3x3s1_int8_neon,
#: convolutiondepthwise_3x3_int8.h, Tencent/ncnn of 2020, a copy in the source package of srmd-ncnn-vulkan-python 1.0.1); assumed.
_WINDOWS_NAMED = 2.0
#: Sums are written in 32 bits, read, scaled and written again; what is quantised is read, scaled, rounded, narrowed and written (requantize_arm.cpp,
#: quantize_arm.cpp: about a dozen instructions for four elements); tiles of 16 and 32 bits are transformed as fast as those in fp32. These and the multiples
#: above are round numbers by which the four networks of a Snapdragon 855+ and an RK3399 add up when reckoned by hand. What is not int8 is fp32; where it is
#: fp16, as on cores with dot products, vectors hold twice as many, but of tiles.
_CYCLES_INT8 = {"tile_cycles_per_output": 4.0, "cast_cycles_per_element": 6.0}
_TILES_INT8 = 8.0
#: Quantising in builds that have a name: 14 instructions for eight elements, 7 of them a vector unit's, one after another in order
#: (Quantize_arm::forward of Tencent/ncnn of 2020, the copy named above).
_CAST_NAMED = 1.0
#: A core that issues in order needs so much more for each of these, and for a layer of one channel; assumed, near what outputs of tiles take more in floating
#: point, and what a Cortex-A53's layers take longer than a Cortex-A57's in tables of 2020 (both MobileNets of a Snapdragon 410 and 810, the copy named above).
_IN_ORDER_INT8 = 2.0
#: int8 products for each in fp32 of a core without dot products, or in a build that does not know them.
_WIDENED = 2.0
#: What instructions that multiply matrices (FEAT_I8MM) reach beside dot products, of twice whose products they are: their operands are loaded no faster.
#: Windows of single channels have none. Assumed after seeing rows held out, windows being faster by it, too, by then: with a half devices were 1.4 points
#: worse and families 0.2 better, with all of it 0.3 better and 0.5 worse. Constants of a relative carry over by what the datasheets say (`transfer`).
_MATRIX = 2 / 3
#: What memories and their system do, however wide a core is: cycles that starting a kernel takes, whatever it computes, as many for a layer that is made for
#: one channel and run, those of a byte that comes from beyond a core's own cache, 8 GB/s at 2.4 GHz, and of a score that a detection layer looks up and all
#: that it does about it; assumed, the last after seeing which of 60 and 90 predicts SSDs and YOLOs better whose families were held out. A detector compares
#: two boxes in fp32, whatever the network's precision is: 1,059,315 pairs take 4.9 ms at 2.6 GHz, 12 cycles each (YOLOv4-tiny's detection layer alone, filled
#: with zeros, ncnn 1.0.20240410 on one thread of a Xeon).
_UNSCALED = {
    "kernel_cycles": 10000.0,
    "channel_cycles": 10000.0,
    "streamed_cycles_per_byte": 0.3,
    "gather_cycles_per_output": 90.0,
    "comparison_cycles": 12.0,
}
#: Standard deviation of these assumptions' logarithm, a factor of 1.6.
_SPREAD = 0.5
#: Least multiple of what multipliers need: laws refuse constants over their tolerance of the peak; a thousandth is left for rounding.
_FASTEST = 1.001 / PEAK_TOLERANCE
#: How far from its assumption a constant may go.
_REACH = 100.0
INT8 = "int8"


class _Widths(NamedTuple):
    """Multiply-accumulates of a core a cycle without instructions for matrices, those of products with them, and its vector units."""

    rate: float
    products: float
    lanes: float


class _Kind(NamedTuple):
    """Cores whose constants are one set: those that issue in order or not, under builds of one age, in int8 those with dot products."""

    in_order: bool
    build: str = ""
    dot_products: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Rows of one core of a device: what each constant contributes to each (rows, constants)."""

    device: str
    core: str
    kind: _Kind
    dtype: str
    widths: _Widths
    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    responses: LinearResponses = field(repr=False)


class Pool:
    """Rows of several devices' single cores under one runtime; constants for any core from them.

    `builds` names by device what its rows' build has in common with others'; the latest needs no name. Rows in fp32 of cores with fp16 arithmetic tell of
    a build without Armv8.2's instructions, hence without dot products.
    """

    def __init__(self, samples: Sequence[Sample], builds: Mapping[str, str] | None = None) -> None:
        self.builds, self.samples = dict(builds or {}), tuple(samples)
        self._plain = {sample.target.device.name for sample in samples if sample.target.dtype == "fp32" and _has_half(sample.target)}
        self.rows = [rows for members in _by_ground(samples).values() for rows in self._rows_of(members)]
        self.together = [sample for sample in samples if (sample.target.threads or 1) > 1]
        self._known: dict[tuple[object, ...], dict[str, float]] = {}
        self._together: dict[tuple[str, str], dict[Path, float]] = {}
        self._floating: dict[tuple[str, str], dict[Path, float]] = {}

    def constants(self, target: Target, core: str, *, without_device: str = "", without_family: str = "") -> dict[str, float]:
        """Cycles by the names of `Constants` for a core of a target, from all rows but a device's and a family's.

        Raises
        ------
        ValueError
            If there is no row of a core of this kind in any precision, nor one of the other kind in this.
        """
        kind = self._kind(target, core, target.dtype)
        for dtype, like in _likes(target.dtype, kind):
            found = self._of_kind(dtype, like, without_device, without_family)
            if not found:
                continue
            found = self._adapted(found, dtype, like, kind, without_device, without_family)
            ratio = 1.0
            if dtype != target.dtype:
                ratio = 1.0 if target.dtype == INT8 else DType.named(target.dtype).itemsize / DType.named(dtype).itemsize
                found = _int8_priors(found, kind) if target.dtype == INT8 else found
            return _for_core(found, _names(target, core), self._widths(target, core), ratio)
        raise ValueError(f"no row of a core like {core}")

    def _of_kind(self, dtype: str, kind: _Kind, device: str, family: str) -> dict[str, float]:
        """Pooled constants of one kind of core in one precision without a device's and a family's rows; empty where no row is left."""
        key = (dtype, kind, device, family)
        if key not in self._known:
            chosen = [rows for rows in self.rows if rows.dtype == dtype and rows.device != device and rows.kind == kind]
            priors: dict[str, float] = {}
            if dtype == INT8 and chosen:
                floating = self._of_kind("fp16" if kind.dot_products else "fp32", kind._replace(dot_products=False), device, family)
                priors = _int8_priors(floating, kind) if floating else {}
            self._known[key] = _pooled(chosen, family, priors)
        return self._known[key]

    def _adapted(self, found: Mapping[str, float], dtype: str, like: _Kind, kind: _Kind, device: str, family: str) -> dict[str, float]:
        """Constants of cores of one kind for those of another: by how orders of issue differ in fp32, or by how builds do on cores of the other order.

        What early builds alone do, on cores in order, takes as much longer as int8 is assumed to; where no core of the other order tells of an early build,
        it quantises as it is written.
        """
        if (like.in_order, like.build) == (kind.in_order, kind.build):
            return dict(found)
        if like.in_order is not kind.in_order:
            own, others = (self._of_kind("fp32", _Kind(order), device, family) for order in (kind.in_order, like.in_order))
        else:
            builds = (like._replace(in_order=not like.in_order, build=build) for build in (kind.build, like.build))
            own, others = (self._of_kind(dtype, each, device, family) for each in builds)
            if kind.in_order and "channel_cycles" in own:
                found = {"channel_cycles": own["channel_cycles"] * _IN_ORDER_INT8, **found}
            if dtype == INT8 and not own:
                found = {**found, **_cast_named(kind)}
        return {name: value * (own[name] / others[name] if name in own and name in others else 1.0) for name, value in found.items()}

    def _kind(self, target: Target, core: str, dtype: str) -> _Kind:
        """The kind of a core of a target."""
        rates, name = _rates(target, core), target.device.name
        dot_products = dtype == INT8 and name not in self._plain and rates.get(INT8, 0.0) >= DOT_PRODUCTS * rates["fp32"]
        return _Kind(core in IN_ORDER, self.builds.get(name, ""), dot_products)

    def _widths(self, target: Target, core: str) -> _Widths:
        rates = _rates(target, core)
        rate, floating = rates.get(target.dtype, rates["fp32"]) / 2, rates["fp32"] / 2
        if target.dtype != INT8:
            return _Widths(rate, rate, floating / _LANES)
        dots = self._kind(target, core, INT8).dot_products
        dotted = min(rate, (DOT_PRODUCTS if dots else _WIDENED) * floating)
        return _Widths(dotted, max(dotted, rate * _MATRIX) if dots else dotted, floating / _LANES)

    def _rows_of(self, members: Sequence[Sample]) -> list[_Rows]:
        """The single cores of one device's ground that have rows."""
        found = []
        for core, rows in parts_of(members, ground_of(members[0].target)):
            target = rows[0].target
            if core is None or target.threads != 1:
                continue
            names = tuple(_names(target, core))
            found.append(
                _Rows(
                    device=target.device.name,
                    core=core,
                    kind=self._kind(target, core, target.dtype),
                    dtype=target.dtype,
                    widths=self._widths(target, core),
                    names=names,
                    samples=tuple(rows),
                    responses=linear_responses(rows, [("cores", core, name) for name in names]),
                )
            )
        return found

    def others_together(self, target: Target) -> dict[Path, float]:
        """What several cores do to each other: the mean of what other devices' rows say, cores as fast as alone; empty where none says anything."""
        devices = dict.fromkeys(sample.target.device.name for sample in self.together if sample.target.dtype == target.dtype)
        found = [self._together_of(device, target.dtype) for device in devices if device != target.device.name]
        return {**mean_together(found), **speeds(target)} if found else {}

    def own_together(self, target: Target) -> dict[Path, float] | None:
        """The same as a target's own device's rows of several cores say; None without such rows."""
        known = any((sample.target.device.name, sample.target.dtype) == (target.device.name, target.dtype) for sample in self.together)
        return {**speeds(target), **self._together_of(target.device.name, target.dtype)} if known else None

    def _together_of(self, device: str, dtype: str) -> dict[Path, float]:
        if (device, dtype) not in self._together:
            own = [sample for sample in self.together if (sample.target.device.name, sample.target.dtype) == (device, dtype)]
            rows = [sample for part in self.rows if (part.device, part.dtype) == (device, dtype) for sample in part.samples]
            known = {cores: _own(rows, target, self.values(target)) for cores, target in {sample.target.cores_text: sample.target for sample in own}.items()}
            floating = self._floating_dtype(device) if dtype == INT8 else ""
            beside = self._together_of(device, floating) if floating else None
            self._together[device, dtype] = fitted_together(own, [known[sample.target.cores_text] for sample in own], beside)
        return self._together[device, dtype]

    def _floating_dtype(self, device: str) -> str:
        """The precision in floating point of which a device has rows of several cores; empty without any."""
        return next((dtype for dtype in ("fp16", "fp32") if any((s.target.device.name, s.target.dtype) == (device, dtype) for s in self.together)), "")

    def floating_together(self, target: Target, family: str) -> dict[Path, float]:
        """What several cores do to each other as a device's rows in floating point say without a family; empty of floating point, and without such rows."""
        key, dtype = (target.device.name, family), self._floating_dtype(target.device.name)
        if target.dtype != INT8 or not dtype:
            return {}
        if key not in self._floating:
            own = [s for s in self.samples if (s.target.device.name, s.target.dtype) == (key[0], dtype) and s.family != family]
            self._floating[key] = _own_together(own, self, family)
        return self._floating[key]

    def values(self, target: Target, *, without_device: str = "", without_family: str = "") -> dict[Path, float]:
        """`constants` of all cores of a target, by path."""
        cores = dict.fromkeys(group.core for group in target.machine.cores)
        return {
            ("cores", core, name): value
            for core in cores
            for name, value in self.constants(target, core, without_device=without_device, without_family=without_family).items()
        }


def leave_device_out(samples: Sequence[Sample], builds: Mapping[str, str] | None = None) -> list[float]:
    """Seconds of every sample by constants of the other devices' rows, in the samples' order."""
    pool = Pool(samples, builds)
    known: dict[tuple[object, ...], dict[Path, float]] = {}
    found = []
    for sample in samples:
        key = (sample.target.device.name, sample.target.dtype, sample.target.cores_text)
        if key not in known:
            known[key] = {**pool.values(sample.target, without_device=sample.target.device.name), **pool.others_together(sample.target)}
        found.append(float(priced([sample], known[key])[0]))
    return found


def leave_family_out(samples: Sequence[Sample], builds: Mapping[str, str] | None = None) -> list[float]:
    """Seconds of every sample by its device's rows of other families, with the other devices' rows of those families as priors."""
    pool = Pool(samples, builds)
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
                values = {**_own(own, target, values), **(_own_together(own, pool, family) if (target.threads or 1) > 1 else {})}
                for position, seconds in zip(same, priced([samples[position] for position in same], values), strict=True):
                    found[position] = float(seconds)
    return found


def _own(samples: Sequence[Sample], target: Target, priors: Mapping[Path, float]) -> dict[Path, float]:
    """The constants of a target's cores: those of `priors`, and in place of them what the device's own rows of one core say."""
    found = dict(priors)
    wanted = {group.core for group in target.machine.cores}
    for core, rows in parts_of(samples, ground_of(target)) if samples else ():
        if core in wanted and rows[0].target.threads == 1:
            found |= fit(rows, free_of(rows[0].target, core, priors), absolute=True).values
    return found


def _own_together(own: Sequence[Sample], pool: Pool, family: str) -> dict[Path, float]:
    """What several cores do to each other as a device's own rows of several cores say; empty without any."""
    together = [sample for sample in own if (sample.target.threads or 1) > 1]
    if not together:
        return {}
    known: dict[str | None, dict[Path, float]] = {}
    for sample in together:
        if sample.target.cores_text not in known:
            priors = pool.values(sample.target, without_device=sample.target.device.name, without_family=family)
            known[sample.target.cores_text] = _own(own, sample.target, priors)
    return fitted_together(together, [known[sample.target.cores_text] for sample in together], pool.floating_together(together[0].target, family))


def _positions(samples: Sequence[Sample]) -> dict[tuple[str, str, str, str], list[int]]:
    """Positions of the samples of each device's ground."""
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for position, sample in enumerate(samples):
        found.setdefault((sample.target.device.name, *ground_of(sample.target)), []).append(position)
    return found


def _by_ground(samples: Sequence[Sample]) -> dict[tuple[str, str, str, str], list[Sample]]:
    return {key: [samples[position] for position in positions] for key, positions in _positions(samples).items()}


def _names(target: Target, core: str) -> list[str]:
    """The constants that a core has: those that are neither missing nor 0."""
    constants: Constants = target.machine.parameters.cores[core]
    return [name for name, value in constants if value]


def _rates(target: Target, core: str) -> Mapping[str, float]:
    """Peak operations a cycle by precision of a core of the target's processor."""
    peaks = next(cluster.flops_per_cycle for cluster in target.hardware.clusters if cluster.core == core)
    return {str(dtype): peak for dtype, peak in peaks.items()}


def _has_half(target: Target) -> bool:
    """Whether the first core of a target computes faster in fp16 than in fp32."""
    rates = _rates(target, target.machine.cores[0].core)
    return rates.get("fp16", 0.0) > rates["fp32"]


def _likes(dtype: str, kind: _Kind) -> tuple[tuple[str, _Kind], ...]:
    """(precision, kind) whose rows serve for one of `kind`, the nearest first."""
    latest = kind._replace(build="")
    own, reordered = tuple(dict.fromkeys((kind, latest))), latest._replace(in_order=not kind.in_order)
    if dtype == INT8:
        floating = latest._replace(dot_products=False)
        standing_in = ("fp16", "fp32") if kind.dot_products else ("fp32", "fp16")
        return *((dtype, each) for each in (*own, reordered)), *((each, floating) for each in standing_in)
    other = "fp32" if dtype == "fp16" else "fp16"
    return *((each, like) for each in (dtype, other) for like in own), (dtype, reordered)


def _int8_priors(floating: Mapping[str, float], kind: _Kind) -> dict[str, float]:
    """What int8's constants are taken to be: those in floating point, but for what int8 is about.

    Normalisations, which are AlexNet's and GoogLeNet's in the rows, compute in fp32 (lrn_arm.cpp), also where all else that is not int8 is in fp16.
    """
    products = floating["gemm_cycles_per_mac"]
    ordered, undotted = _IN_ORDER_INT8 if kind.in_order else 1.0, DOT_PRODUCTS / _WIDENED if kind.dot_products else 1.0
    slower = ordered * (0.5 if kind.dot_products else 1.0)
    windows = (_WINDOWS_NAMED if kind.build else 1.0) * undotted
    return {
        **floating,
        "spatial_gemm_cycles_per_mac": products,
        "winograd_cycles_per_mac": products * _WINOGRAD_INT8 * undotted,
        "winograd_cycles_per_element": _TILES_INT8 * ordered,
        "unpacked_gemm_cycles_per_mac": products * (1.0 if kind.build else _UNPACKED_DOT if kind.dot_products else _UNPACKED_INT8),
        "pack_cycles_per_element": floating["pack_cycles_per_element"] * _COLUMNS_INT8,
        "pad_cycles_per_output": floating["pad_cycles_per_output"] / (2 if kind.dot_products else 4),
        "normalisation_cycles_per_element": floating["normalisation_cycles_per_element"] * (2 if kind.dot_products else 1),
        **{name: value * slower for name, value in _CYCLES_INT8.items()},
        **_cast_named(kind),
        **{name: value * windows for name, value in _WINDOWS_INT8.items()},
    }


def _cast_named(kind: _Kind) -> dict[str, float]:
    """What quantising takes in builds that have a name; nothing in others."""
    return {"cast_cycles_per_element": _CAST_NAMED * (_IN_ORDER_INT8 if kind.in_order else 1.0)} if kind.build else {}


def _scale(name: str, widths: _Widths) -> float:
    """Cycles of a core for one that is pooled: multiples of a multiplication, cycles of one vector unit, or as many cycles."""
    if name in _UNSCALED or name in _ANY_WIDTH:
        return 1.0
    if name not in PER_MAC:
        return 1 / widths.lanes
    return 1 / (widths.products if name in _MATRIX_PRODUCTS else widths.rate)


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
            part[:, names.index(name)] = rows.responses.matrix[keep, column] * _scale(name, rows.widths)
        parts.append(part)
        rests.append(rows.responses.rest[keep])
        samples += [sample for sample, kept in zip(rows.samples, keep, strict=True) if kept]
    if not samples:
        return {}
    known = LinearResponses(np.concatenate(parts), np.concatenate(rests), bounded=False)
    itemsize = DType.named(chosen[0].dtype).itemsize
    free = [_assumed(name, itemsize) for name in names]
    free = [replace(entry, prior=max(priors[entry.name], entry.low)) if entry.name in priors else entry for entry in free]
    return {entry.path[0]: entry.value for entry in fit(samples, free, known, absolute=True).parameters}


def _assumed(name: str, itemsize: int) -> Free:
    """What a constant is taken to be before any row."""
    prior = {**_MULTIPLES, **_UNSCALED, **{key: value * itemsize / 4 for key, value in {**_CYCLES, **_ANY_WIDTH}.items()}}[name]
    low = _FASTEST if name in _MULTIPLES else prior / _REACH
    return Free(path=(name,), prior=max(prior, low), spread=_SPREAD, low=low, high=prior * _REACH)


def _for_core(found: Mapping[str, float], wanted: Sequence[str], widths: _Widths, bytes_ratio: float) -> dict[str, float]:
    """Pooled constants as cycles of one core; what the pool lacks is assumed, scaled as its other constants are on average."""
    kept = {}
    scale = math.exp(float(np.mean([math.log(value / _assumed(name, 4).prior) for name, value in found.items()])))
    for name in wanted:
        value = found.get(name, _assumed(name, 4).prior * scale) * _scale(name, widths)
        kept[name] = value if name in _MULTIPLES or name in _UNSCALED else value * bytes_ratio
    return kept
