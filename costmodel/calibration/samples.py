"""Samples: measured rows with the graph, the target and the kernels that they are about; what cannot be a sample is said by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from costmodel import zoo
from costmodel.calibration.families import family_of
from costmodel.calibration.rows import MeasuredRow, RowProblem
from costmodel.devices import Device, Target, resolve_target
from costmodel.errors import CostModelError, UsageError
from costmodel.files import names_network_file
from costmodel.graph import Graph
from costmodel.importers.files import read_file
from costmodel.kernel import Program
from costmodel.laws import ProgramCost, price
from costmodel.laws._smooth import MAX_WINDOW_FACTOR
from costmodel.lowering import lower
from costmodel.quantity import share
from costmodel.work import WorkKind, evidence_kinds

#: What real clocks may exceed a nominal peak by before a row is called impossible: an RTX 4090 of nominal 2.52 GHz runs at up to
#: 2.8 (TechPowerUp's reviews), which leaves a margin for parts nobody has clocked.
BOOST = 1.25
#: A row this many times off its estimate is in another unit: units lie a factor of 1000 apart, estimates err by a factor of 10 at most.
_OTHER_UNIT = 100.0
#: Rows of two sources that are this many times apart are said to contradict each other: of those that ship, two of MobileNet V2 in int8 on a Pixel 2 are 1.5
#: times apart (hosted.csv), no others as much.
_CONTRADICTION = 1.6
#: Share of a latency that may rest on assumptions in a row that counts as supported; the share from which an estimate warns.
_ASSUMED = 0.05
#: How many reasons are shown where no row is left.
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A measured row with what the law needs to price it.

    `macs` and `activations` (elements that the operators write) are the graph's. `supported` says that the profile claims to rest on
    measurements for nearly all of its time, by the kinds of its kernels.
    """

    row: MeasuredRow
    family: str
    target: Target
    graph: Graph = field(repr=False)
    program: Program = field(repr=False)
    macs: int
    activations: int
    supported: bool

    @property
    def seconds(self) -> float:
        """Measured seconds."""
        return self.row.seconds

    @property
    def case(self) -> tuple[object, ...]:
        """What was measured, whoever did it and however they named it; `MeasuredRow.case` goes by their words."""
        target, operators = self.target, tuple([node.operator for node in self.graph.nodes])  # padding is theirs
        return (
            network_name(self.row),
            operators,
            target.device.name,
            target.processor,
            target.runtime,
            target.dtype,
            target.cores_text,
            target.layout,
            self.row.batch,
        )

    @property
    def predicted_s(self) -> float:
        """Seconds by the target's profile as it stands."""
        return price(self.target.law, self.program, self.target.machine).latency_s


def network_name(row: MeasuredRow) -> str:
    """The shortest name of a row's network, or the whole path of its file.

    Raises
    ------
    UnknownNameError, UsageError
        If the zoo has none of that name.
    """
    return str((Path(row.path).parent / row.network).resolve()) if names_network_file(row.network) else zoo.find(row.network).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbuilt:
    """A row whose network cannot be built here, or has parts without a cost on the target, and why."""

    row: MeasuredRow
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What became of rows: samples, rows that are refused, rows whose network cannot be had."""

    samples: tuple[Sample, ...]
    problems: tuple[RowProblem, ...] = ()
    unbuilt: tuple[Unbuilt, ...] = ()

    def require_some(self, what: str, problems: Iterable[RowProblem] = ()) -> None:
        """Refuse rows of which none became a sample.

        Raises
        ------
        UsageError
            If it is so: says `what` there is none for, and why the first rows took no part; `problems` are of rows that were refused before.
        """
        if not self.samples:
            reasons = [*map(str, (*problems, *self.problems)), *(f"{entry.row.place}: {entry.reason}" for entry in self.unbuilt)]
            raise UsageError("".join([f"no row of {what}", *(f"\n{reason}" for reason in reasons[:_SHOWN])]))


def collect(rows: Iterable[MeasuredRow], device: Device) -> Samples:
    """The samples of `rows` on `device`, in their order.

    A row that names no target of the device, or a time that its hardware cannot reach, is a problem of the row; a network
    that cannot be built is nobody's fault and only counted.
    """
    workshop = _Workshop(device)
    samples: list[Sample] = []
    problems: list[RowProblem] = []
    unbuilt: list[Unbuilt] = []
    for row in rows:
        try:
            target = workshop.target(row)
        except CostModelError as error:
            problems.append(RowProblem(path=row.path, line=row.line, message=str(error)))
            continue
        try:
            graph = workshop.graph(row)
        except CostModelError as error:
            unbuilt.append(Unbuilt(row=row, reason=str(error).partition("\n")[0]))
            continue
        sample = workshop.sample(row, target, graph)
        cost = price(target.law, sample.program, target.machine)
        missing = sorted({str(kernel.kind) for kernel, made in zip(sample.program.kernels, cost.kernels, strict=True) if not made.modelled})
        sample = replace(sample, supported=_assumed_share(sample, cost) <= _ASSUMED)
        message = impossible(sample, cost.latency_s)
        if missing:
            unbuilt.append(Unbuilt(row=row, reason=f"{target.device.name} has no cost for {', '.join(missing)}"))
        elif message:
            problems.append(RowProblem(path=row.path, line=row.line, message=message))
        else:
            samples.append(sample)
    return Samples(samples=tuple(samples), problems=tuple(problems), unbuilt=tuple(unbuilt))


def distinct(found: Samples) -> Samples:
    """The samples without those whose row says again what one before it says; such rows are problems.

    Rows that are refused for something else are none of the samples, so that they do not take their corrections with them.
    """
    taken: dict[tuple[object, ...], MeasuredRow] = {}
    samples, problems = [], list(found.problems)
    for sample in found.samples:
        message = _repeated(sample, taken)
        if message:
            problems.append(RowProblem(path=sample.row.path, line=sample.row.line, message=message))
        else:
            samples.append(sample)
    return replace(found, samples=tuple(samples), problems=tuple(problems))


def _repeated(sample: Sample, taken: dict[tuple[object, ...], MeasuredRow]) -> str:
    """Why a row repeats one that was taken (the same case from the same source, or with the same latency); else it is taken, and this is empty."""
    row = sample.row
    keys = ((*sample.case, row.source), (*sample.case, row.seconds))
    first = next((taken[key] for key in keys if key in taken), None)
    if first is None:
        taken |= dict.fromkeys(keys, row)
        return ""
    how = "the same latency" if first.seconds == row.seconds else f"another latency ({first.seconds * 1e3:g} ms there)"
    return f"repeats {_seen_from(row, first)}: the same network on the same target with {how}; keep one"


def _seen_from(row: MeasuredRow, other: MeasuredRow) -> str:
    """Where another row stands, as a message at `row` says it."""
    return f"line {other.line}" if other.path == row.path else other.place


def contradictions(samples: Iterable[Sample]) -> tuple[str, ...]:
    """What to say of rows of different sources that cannot both be of one target, of each two sources once."""
    taken: dict[tuple[object, ...], MeasuredRow] = {}
    found: dict[tuple[str, str], list[tuple[MeasuredRow, MeasuredRow]]] = {}
    for sample in samples:
        row = sample.row
        first = taken.setdefault(sample.case, row)
        if max(row.seconds / first.seconds, first.seconds / row.seconds) > _CONTRADICTION:
            found.setdefault((row.source, first.source), []).append((row, first))
    said = []
    for (source, other), pairs in found.items():
        row, first = pairs[0]
        more = f", and {len(pairs) - 1} more of {source} against {other}" if len(pairs) > 1 else ""
        said.append(
            f"{row.place}: {row.network} takes {row.seconds * 1e3:.4g} ms, but {first.seconds * 1e3:.4g} ms at {_seen_from(row, first)} ({other}) on the same "
            f"target{more}: both count; is one of another build, device or unit?"
        )
    return tuple(said)


def unmeasured(networks: Iterable[str], target: Target, batch: int = 1) -> tuple[Sample, ...]:
    """Samples of networks that nobody measured on `target`, with the predicted time as theirs; those that cannot be built or priced are left out."""
    workshop = _Workshop(target.device)
    found = []
    for network in networks:
        row = MeasuredRow(network=network, device=target.device.name, batch=batch, seconds=1.0, source="not measured")
        try:
            sample = workshop.sample(row, target, workshop.graph(row))
        except CostModelError:
            continue
        cost = price(target.law, sample.program, target.machine)
        if all(made.modelled for made in cost.kernels):
            row = replace(row, seconds=cost.latency_s)
            found.append(replace(sample, row=row, supported=_assumed_share(sample, cost) <= _ASSUMED))
    return tuple(found)


def _assumed_share(sample: Sample, cost: ProgramCost) -> float:
    """Share of the time in kernels of kinds that the profile does not claim to have measured."""
    measured = set(sample.target.precision.measured_kinds)
    pairs = zip(sample.program.kernels, cost.kernels, strict=True)
    assumed = sum(made.latency_s for kernel, made in pairs if not measured.issuperset(evidence_kinds(kernel.works[0])))
    return share(assumed, cost.latency_s)


def least_possible_s(program: Program, target: Target) -> float:
    """Seconds that no implementation on this hardware goes below: the multiplications at peak, with a boosted clock and Winograd.

    Bytes give no such bound: everything may stay in caches.
    """
    seconds = 0.0
    for kernel in program.kernels:
        work = kernel.works[0]
        saved = MAX_WINDOW_FACTOR if work.kind is WorkKind.CONVOLUTION and work.taps >= 9 and work.stride == 1 else 1.0
        seconds += 2 * kernel.macs / saved / (BOOST * target.machine.peak(kernel.dtype))
    return seconds


def impossible(sample: Sample, predicted_s: float) -> str:
    """Why the measured time cannot be; empty where it can."""
    measured_s, where = sample.seconds, f"{sample.row.network} on {sample.target.device.name} {sample.target.processor}"
    least_s = least_possible_s(sample.program, sample.target)
    if measured_s < least_s:
        peak = sample.target.machine.peak(sample.target.dtype)
        hint = "; is the column in another unit?" if measured_s * _OTHER_UNIT < least_s else ""
        return (
            f"{measured_s * 1e3:.4g} ms is under the {least_s * 1e3:.4g} ms that {where} needs for its multiplications at "
            f"{BOOST:g} times the peak of {peak / 1e9:.4g} GFLOP/s, Winograd taken into account{hint}"
        )
    if measured_s > _OTHER_UNIT * predicted_s or measured_s * _OTHER_UNIT < predicted_s:
        return f"{measured_s * 1e3:.4g} ms against {predicted_s * 1e3:.4g} ms predicted for {where}: is the column in another unit, or the target another?"
    return ""


class _Workshop:
    """Builds graphs, targets and programs once, however many rows name them."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.graphs: dict[tuple[str, str, int], Graph] = {}
        self.failed: dict[tuple[str, str, int], CostModelError] = {}
        self.targets: dict[tuple[str, ...], Target] = {}
        self.programs: dict[tuple[int, str, str, str], Program] = {}

    def target(self, row: MeasuredRow) -> Target:
        key = (row.processor, row.runtime, row.dtype, row.cores, row.layout)
        if key not in self.targets:
            processor, runtime, dtype, cores, layout = (text or None for text in key)
            self.targets[key] = resolve_target(self.device, processor=processor, runtime=runtime, dtype=dtype, cores=cores, layout=layout)
        return self.targets[key]

    def graph(self, row: MeasuredRow) -> Graph:
        key = (row.network if not names_network_file(row.network) else str(Path(row.path).parent / row.network), row.padding, row.batch)
        if key in self.failed:
            raise self.failed[key]
        if key not in self.graphs:
            try:
                self.graphs[key] = _build(*key)
            except CostModelError as error:
                self.failed[key] = error
                raise
        return self.graphs[key]

    def sample(self, row: MeasuredRow, target: Target, graph: Graph) -> Sample:
        key = (id(graph), target.rules.name, target.dtype, target.layout)
        if key not in self.programs:
            self.programs[key] = lower(graph, target.rules, target.dtype, target.layout)
        activations = sum([node.work.elements_written for node in graph.nodes])
        family = row.family or family_of(row.network)
        program = self.programs[key]
        return Sample(row=row, family=family, target=target, graph=graph, program=program, macs=graph.macs, activations=activations, supported=True)


def _build(network: str, padding: str, batch: int) -> Graph:
    if names_network_file(network):
        return read_file(network, batch=batch)
    if padding == "":
        return zoo.build(network, batch=batch)
    return zoo.build(network, batch=batch, padding="same" if padding == "same" else "symmetric")
