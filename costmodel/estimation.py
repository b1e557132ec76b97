"""`Estimate`: what a graph costs on a target. Made by `estimate`; everything in it is immutable."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from costmodel._version import __version__
from costmodel.devices import Basis, Target
from costmodel.energy import energy_j
from costmodel.errors import UnmodelledError, UsageError
from costmodel.frozen import FrozenDict
from costmodel.graph import Graph
from costmodel.interval import Difference, Interval, blend, difference
from costmodel.kernel import HOST, Program
from costmodel.laws import LAUNCH_QUEUE, KernelCost, price_in_picoseconds
from costmodel.lowering import lower
from costmodel.memory import memory_need
from costmodel.ops.unknown import Unknown
from costmodel.quantity import share
from costmodel.work import CONTRACTIONS, evidence_kinds

if TYPE_CHECKING:
    from costmodel.convention import ConventionTotal

SCHEMA_VERSION = 1

#: What the names of `evidence_kinds` mean in a sentence.
_WORDS = {"exp": "exponentials in nonlinearities", "erf": "error functions in nonlinearities"}
#: The runtime that launches the fewest kernels, where a device offers it.
_FEWER_KERNELS = "torch-compile"
#: A share of the latency below which resting on an assumption is not worth a warning.
_WARN_SHARE = 0.05


class KernelEstimate(NamedTuple):
    """One kernel's counts and time. `latency_s` is authoritative; the three parts explain it and need not add up.

    `bound` names the largest part, `utilisation` is the achieved share of the processor's peak, and `basis` says whether
    measurements support kernels of this kind. `partition` is empty where one processor runs everything, else which of
    an accelerator's sides runs this kernel (``host`` is the CPU).
    """

    name: str
    operators: tuple[str, ...]
    kind: str
    macs: int
    flops: int
    traffic_bytes: int
    latency_s: float
    compute_s: float
    memory_s: float
    overhead_s: float
    bound: str
    utilisation: float
    basis: Basis
    partition: str = ""


class GroupEstimate(NamedTuple):
    """Kernels added up, for a module or an operator: `share` is its part of the latency of the network."""

    name: str
    kernels: int
    macs: int
    flops: int
    traffic_bytes: int
    latency_s: float
    share: float


class Unmodelled(NamedTuple):
    """A kernel for which the target's law has no constant; its time is missing from the latency."""

    name: str
    kind: str
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The cost of one forward pass of `batch` samples of a network on a target.

    Counts are exact integers; `modelled_operators` of `operators` have a cost, the others stand in `unmodelled`. `terms` are
    parts of the latency that belong to no kernel (a floor, a launch queue).
    `weights` is the format that weights are stored in where it is not the target's own; `convention` states the total as
    another tool or a paper would. `changed` says in words how the network differs from the one of that name, `origin` the file or
    code that it was read from. `graph` is the network itself; two estimates are equal wherever it came from.
    """

    model: str
    inputs: tuple[tuple[int, ...], ...]
    target: Target
    batch: int
    parameters: int
    macs: int
    other_flops: int
    weight_bytes: int
    traffic_bytes: int
    peak_activation_bytes: int
    model_file_bytes: int
    fits: bool | None
    latency_s: float
    energy_j: float | None
    operators: int
    modelled_operators: int
    kernels: tuple[KernelEstimate, ...]
    terms: Mapping[str, float]
    interval: Interval
    unmodelled: tuple[Unmodelled, ...]
    warnings: tuple[str, ...]
    weights: str | None = None
    convention: ConventionTotal | None = None
    changed: str = ""
    origin: str = field(default="", compare=False)
    graph: Graph = field(repr=False, compare=False)

    @property
    def title(self) -> str:
        """The network's name with the file that it was read from and what was changed."""
        notes = ", ".join(filter(None, (self.origin.removeprefix(f"torch:{self.model}"), self.changed, self.weights and f"weights {self.weights}")))
        return f"{self.model} ({notes})" if notes else self.model

    @property
    def flops(self) -> int:
        """``2 * macs + other_flops``."""
        return 2 * self.macs + self.other_flops

    @property
    def latency_low_s(self) -> float:
        """Lower end of `interval`."""
        return self.interval.around(self.latency_s)[0]

    @property
    def latency_high_s(self) -> float:
        """Upper end of `interval`."""
        return self.interval.around(self.latency_s)[1]

    @property
    def samples_per_s(self) -> float:
        """Samples completed per second in steady state: batch after batch, nothing overlapped."""
        return share(self.batch, self.latency_s)

    @property
    def bound_shares(self) -> dict[str, float]:
        """Shares of the latency in kernels bound by compute, memory and overhead; program terms count as overhead."""
        totals = {"compute": 0.0, "memory": 0.0, "overhead": sum(self.terms.values())}
        for kernel in self.kernels:
            totals[kernel.bound] += kernel.latency_s
        return {name: share(total, self.latency_s) for name, total in totals.items()}

    def by_module(self) -> tuple[GroupEstimate, ...]:
        """Every module path with all kernels below it, outer modules before inner ones, in execution order."""
        groups: dict[str, list[KernelEstimate]] = {}
        for kernel in self.kernels:
            parts = kernel.name.partition("/")[0].split(".")
            for depth in range(1, len(parts)):
                groups.setdefault(".".join(parts[:depth]), []).append(kernel)
            if len(parts) == 1:
                groups.setdefault(parts[0], []).append(kernel)
        return tuple(self._group(name, kernels) for name, kernels in groups.items())

    def by_operator(self) -> tuple[GroupEstimate, ...]:
        """Every operator that starts a kernel, with all its kernels; what is fused into another operator's is part of that."""
        groups: dict[str, list[KernelEstimate]] = {}
        for kernel in self.kernels:
            groups.setdefault(kernel.operators[0] if kernel.operators else kernel.name, []).append(kernel)
        return tuple(self._group(name, kernels) for name, kernels in groups.items())

    def _group(self, name: str, kernels: list[KernelEstimate]) -> GroupEstimate:
        latency_s = sum(kernel.latency_s for kernel in kernels)
        return GroupEstimate(
            name,
            len(kernels),
            sum(kernel.macs for kernel in kernels),
            sum(kernel.flops for kernel in kernels),
            sum(kernel.traffic_bytes for kernel in kernels),
            latency_s,
            share(latency_s, self.latency_s),
        )

    def to_dict(self) -> dict[str, Any]:
        """The document that `costmodel analyze --json` prints, as plain values."""
        target = self.target
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "input": [list(shape) for shape in self.inputs],
            "device": target.device.name,
            "processor": target.processor,
            "runtime": target.runtime,
            "dtype": target.dtype,
            "threads": target.threads,
            "cores": target.cores_text,
            "layout": target.layout,
            "batch": self.batch,
            "totals": {
                "parameters": self.parameters,
                "macs": self.macs,
                "other_flops": self.other_flops,
                "flops": self.flops,
                "weight_bytes": self.weight_bytes,
                "traffic_bytes": self.traffic_bytes,
                "peak_activation_bytes": self.peak_activation_bytes,
                "model_file_bytes": self.model_file_bytes,
                "fits": self.fits,
                "samples_per_s": self.samples_per_s,
                "latency_s": self.latency_s,
                "latency_low_s": self.latency_low_s,
                "latency_high_s": self.latency_high_s,
                "energy_j": self.energy_j,
                "kernels": len(self.kernels),
                "operators": self.operators,
                "modelled_operators": self.modelled_operators,
            },
            "interval": {"level": self.interval.level, "basis": self.interval.basis, "factor": self.interval.factor},
            "changed": self.changed,
            "origin": self.origin,
            "weights": self.weights,
            "convention": None if self.convention is None else asdict(self.convention),
            "terms": dict(self.terms),
            "kernels": [{**kernel._asdict(), "operators": list(kernel.operators)} for kernel in self.kernels],
            "unmodelled": [{**entry._asdict(), "operators": list(entry.operators)} for entry in self.unmodelled],
            "warnings": list(self.warnings),
            "profile": {"name": target.device.name, "version": target.device.profile.version, "sha256": target.device.sha256},
            "costmodel_version": __version__,
        }

    def to_json(self) -> str:
        """`to_dict` as a JSON document; numbers keep full precision."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the estimate as one self-contained page: no script, style or font is loaded from anywhere."""
        importlib.import_module("costmodel.reporting.html").write(self, path)


def estimate(
    graph: Graph,
    target: Target,
    *,
    batch: int | None = None,
    strict: bool = False,
    weights: str | None = None,
    convention: str | None = None,
    changed: str = "",
) -> Estimate:
    """The cost of `graph` on `target`.

    Parameters
    ----------
    batch : samples a pass; None keeps the graph's own.
    strict : raise if any kernel has no cost.
    weights : a format that the weights are stored in, such as ``int8`` or ``6bit,pruned=0.7``; None is the target's dtype.
    convention : state the total as ``macs``, ``paper``, ``torch`` or ``fvcore`` count it, too.
    changed : how the network differs from the one of its name, in words, for the report.

    Raises
    ------
    UnmodelledError
        Under `strict`, if the target's law lacks a constant for some kernel; names the first ones.
    UsageError
        If `batch` is not at least 1.
    """
    graph = _batched(graph, target, batch)
    program = lowered(graph, target, weights)
    cost = price_in_picoseconds(target.law, program, target.machine)
    rows, unmeasured_s = _rows(program, cost.kernels, target, graph.batch)
    for name in target.law.ASSUMED_TERMS & set(cost.terms):
        unmeasured_s[name.replace("_", " ")] = cost.terms[name]
    latency_s = cost.latency_s
    unmodelled = _unmodelled(graph, program, cost.kernels)
    if strict and unmodelled:
        raise UnmodelledError(_strict_message(unmodelled, target))
    need = memory_need(program, capacity_gib=target.hardware.memory.capacity_gib, holds_file=target.memory_holds_file)
    host_s = sum([row.latency_s for row in rows if row.partition == HOST])
    interval, doubts = _confidence(target, graph.batch, unmeasured_s, latency_s, host_s)
    return Estimate(
        model=graph.name,
        inputs=tuple(spec.shape for spec in graph.inputs.values()),
        target=target,
        batch=graph.batch,
        parameters=graph.parameters,
        macs=graph.macs,
        other_flops=graph.other_flops,
        weight_bytes=need.weight_bytes,
        traffic_bytes=sum([row.traffic_bytes for row in rows]),
        peak_activation_bytes=need.peak_activation_bytes,
        model_file_bytes=need.model_file_bytes,
        fits=need.fits,
        latency_s=latency_s,
        energy_j=_energy_j(target, rows, latency_s, host_s),
        operators=len(graph),
        modelled_operators=len(graph) - len({name for entry in unmodelled for name in entry.operators}),
        kernels=rows,
        terms=FrozenDict(cost.terms),
        interval=interval,
        unmodelled=unmodelled,
        weights=weights,
        convention=_convention(graph, convention),
        changed=changed,
        graph=graph,
        warnings=(
            *graph.notes,
            *_precision_warning(graph, target),
            *_host_warning(rows, latency_s, host_s),
            *doubts,
            *_launch_queue_warning(target, cost.terms, latency_s),
            *_unmodelled_warning(unmodelled),
            *_fit_warning(need.fits, target),
            *_weights_warning(weights),
        ),
    )


def _batched(graph: Graph, target: Target, batch: int | None) -> Graph:
    """The graph with that batch, refused where the target takes none so large."""
    if batch is not None:
        graph = graph.with_batch(batch)
    if target.law.MAX_BATCH is not None and graph.batch > target.law.MAX_BATCH:
        raise UsageError(f"{target.device.name} {target.processor} takes batches of at most {target.law.MAX_BATCH}, not {graph.batch}")
    return graph


def compare_two(first: Estimate, second: Estimate) -> Difference:
    """How the second latency relates to the first; where both are the same kernels on the same target it is known."""
    same = first.kernels == second.kernels and first.target == second.target
    return difference(first.latency_s, first.interval, second.latency_s, second.interval, same=same, shared=_shared_factor(first, second))


def _shared_factor(first: Estimate, second: Estimate) -> float | None:
    """The factor that the profile states for ratios, where both run on one target and rest on its measurements, their batches too, alone."""
    target = first.target
    stated = target.precision.difference_factor
    if stated is None or target != second.target or (target.threads or 1) > 1:
        return None
    own = target.evidence().factor
    return stated if first.interval.factor <= own and second.interval.factor <= own else None


def _convention(graph: Graph, convention: str | None) -> ConventionTotal | None:
    if convention is None:
        return None
    from costmodel.convention import total

    return total(graph, convention)


def lowered(graph: Graph, target: Target, weights: str | None = None) -> Program:
    """The kernels of `graph` on `target`, their weights in the stated format."""
    program = lower(graph, target.rules, target.dtype, target.layout)
    if weights is None:
        return program
    if target.dtype == "amp":
        raise UsageError("--weights: under amp weights are stored in fp32 and cast at each pass; choose --dtype fp32 or fp16 to store them otherwise")
    from costmodel.compression import compress, parse_weight_format

    return compress(program, parse_weight_format(weights))


def _unmodelled(graph: Graph, program: Program, costs: Iterable[KernelCost]) -> tuple[Unmodelled, ...]:
    """Kernels without a cost; one of an operator that nobody knows has that operator's own name for its kind."""
    found = [kernel for kernel, cost in zip(program.kernels, costs, strict=True) if not cost.modelled]
    foreign = {node.name: node.operator.name for node in graph.nodes if isinstance(node.operator, Unknown)} if found else {}
    return tuple(Unmodelled(kernel.name, next(filter(None, map(foreign.get, kernel.operators)), kernel.kind), kernel.operators) for kernel in found)


def _rows(program: Program, costs: Iterable[KernelCost], target: Target, batch: int) -> tuple[tuple[KernelEstimate, ...], dict[str, float]]:
    """A row for each kernel, and seconds by kind that rest on no measurement."""
    sides = {side: _Side(of, batch) for side, of in ((HOST, target.host or target), ("", target))}
    unmeasured: dict[str, float] = {}
    rows = []
    for kernel, cost in zip(program.kernels, costs, strict=True):
        side = sides[HOST if kernel.partition == HOST else ""]
        kinds = evidence_kinds(kernel.works[0])
        basis = side.basis_of(kinds)
        if basis == "datasheet":
            unmeasured[kinds[-1]] = unmeasured.get(kinds[-1], 0.0) + cost.latency_s
        works = kernel.works
        macs, flops = (kernel.macs, kernel.flops) if len(works) > 1 else (works[0].macs, works[0].flops)
        rows.append(
            KernelEstimate(
                kernel.name,
                kernel.operators,
                kernel.kind,
                macs,
                flops,
                kernel.traffic_bytes,
                cost.latency_s,
                cost.compute_s,
                cost.memory_s,
                cost.overhead_s,
                cost.bound,
                share(flops, cost.latency_s * side.machine.peak(kernel.dtype if kernel.kind in CONTRACTIONS or kernel.partition else "fp32")),
                basis,
                kernel.partition,
            )
        )
    return tuple(rows), unmeasured


class _Side:
    """What a kernel's row needs of the target that runs it: an accelerator, or its host."""

    def __init__(self, target: Target, batch: int) -> None:
        self.machine = target.machine
        self.basis = target.evidence(batch).basis
        self.measured = frozenset(target.precision.measured_kinds)
        self.known: dict[tuple[str, ...], Basis] = {}

    def basis_of(self, kinds: tuple[str, ...]) -> Basis:
        found = self.known.get(kinds)
        if found is None:
            found = self.known[kinds] = self.basis if self.measured.issuperset(kinds) else "datasheet"
        return found


def _energy_j(target: Target, rows: tuple[KernelEstimate, ...], latency_s: float, host_s: float) -> float | None:
    """Joules of the target and, for the time that it works, of the host; None where either has no figures."""
    sides = [(target, [row for row in rows if row.partition != HOST], latency_s - host_s)]
    if host_s and target.host is not None:
        sides.append((target.host, [row for row in rows if row.partition == HOST], host_s))
    found = [
        energy_j(side, latency_s=seconds, macs=sum([row.macs for row in kernels]), traffic_bytes=sum([row.traffic_bytes for row in kernels]))
        for side, kernels, seconds in sides
    ]
    return None if None in found else sum(joules for joules in found if joules is not None)


def _confidence(target: Target, batch: int, unmeasured_s: Mapping[str, float], latency_s: float, host_s: float) -> tuple[Interval, tuple[str, ...]]:
    """The interval, and warnings where much of the latency rests on assumptions, or on another layout's, other cores' or another batch's figures.

    Where everything comes from a datasheet the basis says so, and no share of the latency is more assumed than the rest.
    """
    own, host = target.evidence(batch), None if target.host is None else target.host.evidence(batch)
    on_host = share(host_s, latency_s)
    factor = own.factor if host is None else (1 - on_host) * own.factor + on_host * host.factor
    warnings = [f"the figures are carried over: {what}" for what in (*own.borrowed, *(host.borrowed if host is not None and host_s else ()))]
    if own.basis == "datasheet":
        return blend("datasheet", factor, 0.0), tuple(warnings)
    unmeasured = share(sum(unmeasured_s.values()), latency_s)
    if unmeasured >= _WARN_SHARE:
        kinds = ", ".join(
            f"{_WORDS.get(kind, kind)} {share(seconds, latency_s):.0%}" for kind, seconds in sorted(unmeasured_s.items(), key=lambda item: -item[1])[:3]
        )
        warnings.append(f"{unmeasured:.0%} of the latency rests on assumptions or a single measured network ({kinds})")
    return blend(own.basis, factor, unmeasured), tuple(warnings)


def _launch_queue_warning(target: Target, terms: Mapping[str, float], latency_s: float) -> tuple[str, ...]:
    if share(terms.get(LAUNCH_QUEUE, 0.0), latency_s) < _WARN_SHARE:
        return ()
    other = f" or --runtime {_FEWER_KERNELS}" if target.runtime != _FEWER_KERNELS and _FEWER_KERNELS in target.hardware.runtimes else ""
    return (f"the host issues operators more slowly than the device runs them: a larger --batch{other} uses the device better",)


def _host_warning(rows: tuple[KernelEstimate, ...], latency_s: float, host_s: float) -> tuple[str, ...]:
    if not host_s:
        return ()
    on_host = [row for row in rows if row.partition == HOST]
    first = on_host[0].operators[0] if on_host[0].operators else on_host[0].name
    part = f"{len(on_host)} of {len(rows)} kernels ({share(host_s, latency_s):.0%} of the time)"
    return (f"{part} run on the CPU, from {first!r} on, which the accelerator does not take",)


def _unmodelled_warning(unmodelled: tuple[Unmodelled, ...]) -> tuple[str, ...]:
    if not unmodelled:
        return ()
    places: dict[str, list[str]] = {}
    for entry in unmodelled:
        places.setdefault(entry.kind, []).append(entry.name)
    listed = "; ".join(f"{kind} x{len(names)} at {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" for kind, names in sorted(places.items()))
    return (f"{len(unmodelled)} kernels have no cost on this target, so that the latency is too low by theirs: {listed}",)


def _precision_warning(graph: Graph, target: Target) -> tuple[str, ...]:
    same = graph.precision in ("", target.dtype)
    return () if same else (f"the file stores this network in {graph.precision}, the figures are for {target.dtype}",)


def _fit_warning(fits: bool | None, target: Target) -> tuple[str, ...]:
    if fits is not False:
        return ()
    parts = "activations, weights and model file" if target.memory_holds_file else "activations and weights"
    return (f"does not fit the {target.hardware.memory.capacity_gib:g} GiB of {target.device.name}: {parts} together",)


def _weights_warning(weights: str | None) -> tuple[str, ...]:
    return () if weights is None else (f"the latency takes {weights} weights as read in that format and unpacked at no cost, which few runtimes do",)


def _strict_message(unmodelled: tuple[Unmodelled, ...], target: Target) -> str:
    named = ", ".join(f"{entry.name} ({entry.kind})" for entry in unmodelled[:5])
    more = f" and {len(unmodelled) - 5} more" if len(unmodelled) > 5 else ""
    return f"{len(unmodelled)} kernels have no cost on {target.device.name} {target.processor} under {target.runtime}: {named}{more}"
