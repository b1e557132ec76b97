"""A systolic array in detail: cycles, utilisation and traffic of each layer under three dataflows, with double-buffered SRAMs.

A layer is `groups` products of an (M, K) with a (K, N) matrix. One operand stays in the array of R rows and C columns, a fold of it at a time;
the others pass through, skewed by a cycle a row and a column. With r <= R and c <= C the extent of a fold and T the length of what passes:

    dataflow           rows hold   columns hold   T   cycles of a fold
    output-stationary  M           N              K   (T + r + c - 2) + r    multiply, then move the outputs out, a row a cycle
    weight-stationary  K           N              M   r + (T + r + c - 2)    move the weights in, a row a cycle, then multiply
    input-stationary   K           M              N   r + (T + r + c - 2)    the same with inputs

With r = R and c = C these are the closed forms of SCALE-Sim (Samajdar et al., arXiv 1811.02883, section III). A partial fold uses a corner of
the array, at its edges.

SRAMs are halves that take turns: while fold f computes, the bytes that fold f + 1 reads arrive and those that fold f - 1 wrote leave, over one
channel of B bytes a cycle, and both halves change over when both are ready:

    cycles = ceil(load_0 / B) + sum over f of max(compute_f, ceil((load_(f+1) + store_(f-1)) / B)) + ceil(store_last / B)

What fits half an SRAM is fetched once and kept; partial sums that do not fit go out and come back, in accumulators of 4 bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from costmodel.devices import Target
from costmodel.errors import UsageError, unknown
from costmodel.kernel import HOST, Kernel, Program
from costmodel.laws import price_in_picoseconds
from costmodel.laws.systolic_array import SystolicArrayParameters
from costmodel.quantity import share
from costmodel.simulation._edgetpu import streamed_bytes
from costmodel.work import CONTRACTIONS, Work

DATAFLOWS = ("weight-stationary", "output-stationary", "input-stationary")
#: On-chip memory of an Edge TPU's activations: 196,608 bytes in each of 16 tiles (google-coral/libedgetpu, driver/config/beagle/beagle_chip_structures.h).
NARROW_KIB = 16 * 196_608 / 1024
#: KiB of the SRAMs of inputs, weights and outputs.
Srams = tuple[float, float, float]
#: Bytes of a partial sum: int32 or fp32.
ACCUMULATOR_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """A systolic array with its SRAMs, in bytes, and the bytes a cycle of the channel behind them.

    Raises
    ------
    UsageError
        If there is no such dataflow, or a size cannot be meant.
    """

    rows: int
    columns: int
    clock_hz: float
    bytes_per_cycle: float
    input_sram_bytes: int = 2**20
    weight_sram_bytes: int = 2**20
    output_sram_bytes: int = 2**20
    element_bytes: int = 1
    dataflow: str = DATAFLOWS[0]

    def __post_init__(self) -> None:
        if self.dataflow not in DATAFLOWS:
            raise unknown("dataflow", self.dataflow, DATAFLOWS)
        for name in ("rows", "columns", "clock_hz", "bytes_per_cycle", "input_sram_bytes", "weight_sram_bytes", "output_sram_bytes", "element_bytes"):
            if not getattr(self, name) > 0:
                raise UsageError(f"an array with {name} = {getattr(self, name):g} computes nothing: give it a value above 0")


class Fold(NamedTuple):
    """One filling of the array: cycles, bytes that come (of them weights, and partial sums) and go over the channel, and elements read from and written to
    SRAMs.
    """

    cycles: int
    load_bytes: int
    store_bytes: int
    reads: int
    writes: int
    weight_bytes: int
    sum_bytes: int = 0


class Place(NamedTuple):
    """Which share of a layer's weights, inputs, and outputs with their partial sums lies behind the channel; the rest is on chip already.

    A convolution's inputs are fewer than those of its matrix, whose rows overlap: the SRAM makes these out of what it holds.
    """

    weights: float = 1.0
    inputs: float = 1.0
    outputs: float = 1.0


class Layer(NamedTuple):
    """A layer on an array: `cycles` of which `stalls` waited for the channel; the share of multipliers at work; traffic."""

    name: str
    macs: int
    cycles: int
    stalls: int
    utilisation: float
    sram_elements: int
    read_bytes: int
    written_bytes: int


def fold_cycles(dataflow: str, rows: int, columns: int, length: int) -> int:
    """Cycles of a fold of (rows, columns) past which `length` vectors move; see the table above.

    Examples
    --------
    >>> fold_cycles("output-stationary", 32, 32, 100) == 2 * 32 + 32 + 100 - 2
    True
    """
    assert dataflow in DATAFLOWS
    return (length + rows + columns - 2) + rows


def folds(work: Work, array: Array) -> Iterator[Fold]:
    """The folds of one group of a contraction, in order."""
    m, n, k = work.m, work.n, work.k
    if array.dataflow == "output-stationary":
        yield from _output_stationary(m, n, k, array)
    elif array.dataflow == "weight-stationary":
        yield from _operand_stationary(k, n, m, array, array.weight_sram_bytes, array.input_sram_bytes)
    else:
        yield from _operand_stationary(k, m, n, array, array.input_sram_bytes, array.weight_sram_bytes)


def _extents(size: int, most: int) -> list[int]:
    """A size cut into parts of at most `most`."""
    return [min(most, size - start) for start in range(0, size, most)]


def _output_stationary(m: int, n: int, k: int, array: Array) -> Iterator[Fold]:
    """Rows of outputs outside, columns inside: the inputs of a row are kept while they fit, the weights if all of them do."""
    size = array.element_bytes
    weights_stay = 2 * k * n * size <= array.weight_sram_bytes
    for row, r in enumerate(_extents(m, array.rows)):
        inputs_stay = 2 * r * k * size <= array.input_sram_bytes
        for column, c in enumerate(_extents(n, array.columns)):
            weights = k * c * (row == 0 or not weights_stay) * size
            inputs = r * k * (column == 0 or not inputs_stay) * size
            yield Fold(fold_cycles("output-stationary", r, c, k), weights + inputs, r * c * size, r * k + k * c, r * c, weights)


def _operand_stationary(rows: int, columns: int, length: int, array: Array, own_bytes: int, passing_bytes: int) -> Iterator[Fold]:
    """Columns outside, rows (the sum over K) inside: each fold of the operand that stays is loaded once, what passes once if all of it fits."""
    size = array.element_bytes
    passing_stays = 2 * rows * length * size <= passing_bytes
    down = _extents(rows, array.rows)
    for column, c in enumerate(_extents(columns, array.columns)):
        sums_stay = 2 * length * c * ACCUMULATOR_BYTES <= array.output_sram_bytes
        for row, r in enumerate(down):
            last = row == len(down) - 1
            own, passing = r * c * size, length * r * (column == 0 or not passing_stays) * size
            load, weights = own + passing, own if array.dataflow == "weight-stationary" else passing
            store = length * c * size if last else 0
            back = 0 if sums_stay else length * c * ACCUMULATOR_BYTES * (row > 0)
            store += 0 if sums_stay else length * c * ACCUMULATOR_BYTES * (not last)
            sums = length * c * (row > 0)
            yield Fold(fold_cycles("weight-stationary", r, c, length), load + back, store, r * c + length * r + sums, length * c, weights, back)


def layer(name: str, work: Work, array: Array, place: Place | None = None) -> Layer:
    """A contraction on the array: its groups one after the other; without `place` everything comes from behind the channel."""
    group, count = list(folds(work, array)), work.groups
    if not group or not count:
        return Layer(name, 0, 0, 0, 0.0, 0, 0, 0)
    loads, stores = [fold.load_bytes for fold in group], [fold.store_bytes for fold in group]
    if place is not None:
        loads = [_up(_behind(fold, place)) for fold in group]
        stores = [_up(nbytes * place.outputs) for nbytes in stores]
    compute = [fold.cycles for fold in group]
    cycles = double_buffered(compute, loads, stores, count, array.bytes_per_cycle)
    elements = sum([fold.reads + fold.writes for fold in group])
    busy = work.macs / (cycles * array.rows * array.columns)
    return Layer(name, work.macs, cycles, cycles - count * sum(compute), busy, count * elements, count * sum(loads), count * sum(stores))


def _behind(fold: Fold, place: Place) -> float:
    """Bytes of a fold that come over the channel."""
    inputs = fold.load_bytes - fold.weight_bytes - fold.sum_bytes
    return fold.weight_bytes * place.weights + inputs * place.inputs + fold.sum_bytes * place.outputs


def _up(value: float) -> int:
    """The next whole number, a rounding error aside."""
    return -int(-(value - 1e-6) // 1)


def double_buffered(compute: list[int], load: list[int], store: list[int], groups: int, bytes_per_cycle: float) -> int:
    """Cycles of folds whose loads and stores pass over one channel meanwhile, `groups` times the same folds; the formula above.

    Examples
    --------
    >>> double_buffered([10, 10], [20, 40], [8, 8], 1, 2.0) == 20 / 2 + max(10, 40 / 2) + max(10, 8 / 2) + 8 / 2
    True
    """

    def moved(nbytes: int) -> int:
        return -int(-nbytes // bytes_per_cycle)

    count = len(compute)
    # of the second group and those after it: each fold has one before and, but for the last of all, one behind
    inner = [max(compute[at], moved(load[(at + 1) % count] + store[at - 1])) for at in range(count)]
    total = sum(inner) * groups
    total += max(compute[0], moved(load[1 % count] * (count > 1 or groups > 1))) - inner[0]  # nothing was written before the first fold
    if count > 1 or groups > 1:
        total += max(compute[-1], moved(store[-2] if count > 1 else store[-1])) - inner[-1]  # nothing is loaded after the last
    return moved(load[0]) + total + moved(store[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A program on an array: its contractions layer by layer, and the seconds that the law gives everything else."""

    model: str
    array: Array
    layers: tuple[Layer, ...]
    rest_s: float
    warnings: tuple[str, ...] = ()

    @property
    def cycles(self) -> int:
        """Cycles of all layers, one after the other."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def latency_s(self) -> float:
        """Seconds of the layers at the array's clock, and of the rest."""
        return self.cycles / self.array.clock_hz + self.rest_s

    @property
    def utilisation(self) -> float:
        """The share of the multipliers at work while the array has a layer."""
        return share(sum(layer.macs for layer in self.layers), self.cycles * self.array.rows * self.array.columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        totals = {"cycles": self.cycles, "latency_s": self.latency_s, "rest_s": self.rest_s, "utilisation": self.utilisation}
        layers = [layer._asdict() for layer in self.layers]
        return {"model": self.model, "array": asdict(self.array), "totals": totals, "layers": layers, "warnings": list(self.warnings)}


def on_array(program: Program, target: Target, array: Array) -> Detail:
    """A program on the array in the place of the target's law: contractions by cycles, the rest and the program's terms as the law has them.

    On an Edge TPU activations and cached parameters are on chip already, and the channel is the link. Attention counts as one product of
    the shape that its `Work` states.
    """
    cost = price_in_picoseconds(target.law, program, target.machine)
    streamed = None
    if isinstance(target.machine.parameters, SystolicArrayParameters):
        streamed = streamed_bytes(program, target.machine.parameters)
    layers, rest_s = [], sum(cost.terms.values())
    for number, (kernel, made) in enumerate(zip(program.kernels, cost.kernels, strict=True)):
        if kernel.kind in CONTRACTIONS and kernel.partition != HOST:
            off_chip = None if streamed is None else share(streamed[number], kernel.weight_bytes)
            layers.append(layer(kernel.name, kernel.works[0], array, _place(kernel, off_chip)))
        else:
            rest_s += made.latency_s
    return Detail(model=program.name, array=array, layers=tuple(layers), rest_s=rest_s)


def _place(kernel: Kernel, streamed: float | None) -> Place:
    """Everything behind the channel, inputs as many as there are; or, where a share of the parameters streams, that alone."""
    if streamed is not None:
        return Place(streamed, 0.0, 0.0)
    work = kernel.works[0]
    return Place(1.0, min(1.0, share(work.elements_read, work.m * work.k * work.groups)), 1.0)


def array_of(target: Target, program: Program, *, shape: tuple[int, int] | None = None, dataflow: str = DATAFLOWS[0], sram_kib: Srams | None = None) -> Array:
    """The array of a target: an Edge TPU's is square, and its clock, cache and link are the profile's; of others `shape` must be given.

    Parameters
    ----------
    sram_kib : of inputs, weights and outputs; not of an Edge TPU, whose activations are on chip and whose cache the profile states.

    Raises
    ------
    UsageError
        If the profile states no array and `shape` is missing, or no clock; if SRAMs are given where the profile has them.
    """
    parameters = target.machine.parameters
    if isinstance(parameters, SystolicArrayParameters):
        if sram_kib is not None:
            where = f"{target.device.name} {target.processor}"
            raise UsageError(f"{where}: activations are on chip and the parameter cache is the profile's: leave the sizes of SRAMs (--sram-kib) out")
        side = math.isqrt(parameters.tiles * parameters.cells * parameters.lanes)
        own, clock_hz, per_s = (side, side), parameters.clock_ghz * 1e9, parameters.link_gb_per_s * 1e9
        default = (NARROW_KIB / 2, parameters.cache_mib * 1024, NARROW_KIB / 2)
    else:
        if shape is None:
            raise UsageError(f"the profile of {target.device.name} states no systolic array: give its rows and columns, such as --array 128x128")
        own, clock_hz, per_s = shape, target.machine.cores[0].clock_hz, target.machine.bytes_per_s
        default = (1024.0, 1024.0, 1024.0)
    rows, columns = shape or own
    kib = [int(size * 1024) for size in (sram_kib or default)]
    return Array(
        rows=rows,
        columns=columns,
        clock_hz=clock_hz,
        bytes_per_cycle=per_s / clock_hz,
        input_sram_bytes=kib[0],
        weight_sram_bytes=kib[1],
        output_sram_bytes=kib[2],
        element_bytes=program.dtype.itemsize,
        dataflow=dataflow,
    )
