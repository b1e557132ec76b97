"""`costmodel.simulate` and `costmodel.serve`: names resolved to programs and a target, and their run over time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from costmodel import api, estimation
from costmodel.devices import Device, Target
from costmodel.errors import CostModelError, UsageError
from costmodel.estimation import Estimate
from costmodel.graph import Graph
from costmodel.kernel import HOST
from costmodel.laws.systolic_array import SystolicArrayParameters
from costmodel.memory import memory_need
from costmodel.quantity import binary
from costmodel.simulation import Settings, Timeline
from costmodel.simulation import simulate as _simulate
from costmodel.simulation._edgetpu import streamed_bytes
from costmodel.simulation._memory import POLICIES
from costmodel.simulation.array import Detail, array_of, on_array
from costmodel.simulation.serving import REQUESTS, Policy, Service, Serving, poisson, read_arrivals, weights_of
from costmodel.simulation.serving import serve as _serve

if TYPE_CHECKING:
    from costmodel.kernel import Program
    from costmodel.measuring import Matched

Model = str | os.PathLike[str] | Graph
_SETTINGS = frozenset(field.name for field in fields(Settings)) - {"co_compiled"}


def simulate(
    model: Model,
    *,
    device: str | os.PathLike[str] | Device | None = None,
    target: Target | None = None,
    co_compiled: Sequence[Model] = (),
    **options: Any,
) -> Timeline:
    """How a network runs over time on a model of a device; where nothing overlaps it takes what `estimate` says, to the picosecond.

    Parameters
    ----------
    model, device, target : as for `estimate`.
    co_compiled : networks that an Edge TPU holds beside this one; their parameters fill the cache first.
    options : those of `costmodel.simulation.Settings` (``overlap``, ``parallel``, ``own_cores``, ``inferences``, ``in_flight``, ``policy``, ``cuda_graph``,
        ``copies``, ``quantise``, ``queue_depth``, ``link_bytes_per_s``), and those of `estimate`.

    Raises
    ------
    UsageError
        If a setting does not belong to the machine: says to which.
    CostModelError
        If memory does not suffice under the policy ``fail``: says by how much, and what the others would do.

    Examples
    --------
    >>> timeline = simulate("googlenet", device="i9-10940x", overlap=False)
    >>> timeline.makespan_ps == timeline.estimate_ps, timeline.illustrative
    (True, False)
    >>> simulate("googlenet", device="i9-10940x", parallel=2).makespan_s < timeline.makespan_s
    True
    """
    return _simulated(model, device=device, target=target, co_compiled=co_compiled, **options)[1]


def _simulated(model: Model, *, co_compiled: Sequence[Model] = (), **options: Any) -> tuple[Program, Timeline]:
    chosen = {name: options.pop(name) for name in _SETTINGS & set(options)}
    if not isinstance(chosen.get("policy", ""), str):
        raise UsageError(f"the policy of memory is a name, {', '.join(POLICIES)}, not {chosen['policy']!r}; without one it is fail")
    co_compiled = _several("co_compiled", co_compiled)
    report = api.estimate(model, **options)
    others = tuple(estimation.lowered(api.resolve(other), report.target) for other in co_compiled)
    program = estimation.lowered(report.graph, report.target, report.weights)
    timeline = _simulate(program, report.target, Settings(**chosen, co_compiled=others))
    return program, replace(timeline, warnings=report.warnings)  # which say of kernels without a cost what a timeline says, too


def _several(what: str, models: Sequence[Model]) -> Sequence[Model]:
    """Networks as a list, which a single name is not."""
    if isinstance(models, str | os.PathLike | Graph) or not isinstance(models, Iterable):
        example = repr(os.fspath(models)) if isinstance(models, str | os.PathLike) else "'resnet-50'"
        raise UsageError(f"{what} takes a list of networks, such as [{example}], not {type(models).__name__}")
    return list(models)


def beside(model: Model, profile: str | os.PathLike[str], **options: Any) -> Matched:
    """The kernels of a simulated network beside the operators of a profile of the same network, paired one by one.

    Parameters
    ----------
    profile : a trace of torch.profiler or a profile of onnxruntime, of a CPU.
    options : those of `simulate`.

    Raises
    ------
    InvalidFileError
        If the file is no such profile, or its passes cannot be told apart: says why.
    """
    from costmodel import measuring

    program, timeline = _simulated(model, **options)
    tool, operators = measuring.read_operators(profile)
    passes = 1
    if tool == "torch.profiler":  # onnxruntime's operators have names of their own
        passes, operators = measuring.one_pass(os.fspath(profile), program.kernels, operators)
    found = measuring.matched(tool, program.kernels, [kernel.busy_ps / timeline.inferences / 1e12 for kernel in timeline.kernels], operators)
    target = timeline.target
    machine = f"the profile is of a CPU, and the kernels are of {target.device.name} {target.processor} under {target.runtime}: errors compare two machines"
    doubts = () if target.processor == "cpu" else (machine,)
    return replace(found, passes=passes, warnings=(*doubts, *found.warnings, *timeline.warnings))


def array_detail(
    model: Model,
    *,
    device: str | os.PathLike[str] | Device | None = None,
    target: Target | None = None,
    shape: tuple[int, int] | None = None,
    dataflow: str = "weight-stationary",
    sram_kib: tuple[float, float, float] | None = None,
    **options: Any,
) -> Detail:
    """A network on a systolic array, layer by layer: cycles, utilisation and traffic.

    Parameters
    ----------
    model, device, target, options : as for `estimate`.
    shape : rows and columns; None is the Edge TPU's own.
    dataflow : ``weight-stationary``, ``output-stationary`` or ``input-stationary``.
    sram_kib : KiB of the SRAMs of inputs, weights and outputs; not of an Edge TPU, whose memory the profile states.

    Examples
    --------
    >>> detail = array_detail("resnet-18", device="coral-usb")
    >>> detail.array.rows, len(detail.layers)
    (64, 21)
    """
    report = api.estimate(model, device=device, target=target, **options)
    program = estimation.lowered(report.graph, report.target, report.weights)
    detail = on_array(program, report.target, array_of(report.target, program, shape=shape, dataflow=dataflow, sram_kib=sram_kib))
    return replace(detail, warnings=report.warnings)


def services(models: Sequence[Model], *, max_batch: int = 1, **options: Any) -> tuple[Service, ...]:
    """Networks as a server sees them: what a batch of 1 to `max_batch` takes by the estimate, and what an Edge TPU needs to load another network's parameters.

    A name that was there before gets its number, as in ``resnet-50#2``.

    Parameters
    ----------
    options : the device and the other keywords of `estimate`, but for the batch.

    Raises
    ------
    UsageError
        If there is no network, or options hold a batch.
    CostModelError
        If memory does not hold the weights of all networks beside the activations of the largest batch: says by how much.
    """
    if "batch" in options:
        raise UsageError("batch is of one pass; a policy's max_batch says how many requests a batch takes at the most")
    if not models:
        raise UsageError("there is no network to serve: name one at least")
    keys = [id(model) if isinstance(model, Graph) else os.fspath(model) for model in models]
    reports = {key: [api.estimate(model, **options, batch=1)] for key, model in dict(zip(keys, models, strict=True)).items()}
    _require_memory([first for (first,) in reports.values()], max_batch)
    for made in reports.values():
        made += [estimation.estimate(made[0].graph.with_batch(size), made[0].target, weights=made[0].weights) for size in range(2, max_batch + 1)]
    switches = {key: _switch_s(estimation.lowered(made[0].graph, made[0].target, made[0].weights), made[0].target) for key, made in reports.items()}
    found: list[Service] = []
    for number, key in enumerate(keys):
        first = reports[key][0]
        before, same = sum(reports[other][0].model == first.model for other in keys[:number]), keys.index(key)
        found.append(
            Service(
                name=f"{first.model}#{before + 1}" if before else first.model,
                batch_s=tuple(report.latency_s for report in reports[key]),
                switch_s=switches[key],
                parameters=found[same].name if same < number else "",
                warnings=first.warnings,
            )
        )
    return tuple(found)


def _require_memory(firsts: Sequence[Estimate], max_batch: int) -> None:
    """Refuse networks whose weights, all of them, do not fit beside the activations of the largest batch of any."""
    target = firsts[0].target
    programs = [estimation.lowered(report.graph.with_batch(max_batch), target, report.weights) for report in firsts]
    capacity_gib, holds_file = target.hardware.memory.capacity_gib, target.memory_holds_file
    need = memory_need(*programs, capacity_gib=capacity_gib, holds_file=holds_file)
    if need.missing_bytes:
        names, parts = ", ".join(report.model for report in firsts), "weights and model files" if holds_file else "weights"
        raise CostModelError(
            f"{names} on {target.device.name}: {binary(need.held_bytes - need.peak_activation_bytes)} of {parts} and "
            f"{binary(need.peak_activation_bytes)} of activations, of a batch of {max_batch}, are {binary(need.missing_bytes)} too much for memory of "
            f"{binary(need.held_bytes - need.missing_bytes)}. Lower the largest batch, or serve smaller or fewer networks; "
            "the policies spill and evict are for a run of one pass"
        )


def _switch_s(program: Program, target: Target) -> float:
    """Seconds of loading the parameters that an Edge TPU keeps on chip; 0 on other devices, whose memory holds several networks."""
    parameters = target.machine.parameters
    if not isinstance(parameters, SystolicArrayParameters):
        return 0.0
    kept = sum(kernel.weight_bytes for kernel in program.kernels if kernel.partition != HOST) - sum(streamed_bytes(program, parameters))
    return kept / (parameters.link_gb_per_s * 1e9)


def serve(
    models: Model | Sequence[Model],
    *,
    per_s: float | None = None,
    arrivals: str | os.PathLike[str] | None = None,
    requests: int | None = None,
    weights: Sequence[float] | None = None,
    seed: int | None = None,
    policy: Policy | None = None,
    **options: Any,
) -> Serving:
    """Requests for one or several networks on a device: percentiles of their latency, throughput and how busy the device is.

    Parameters
    ----------
    per_s : requests a second, Poisson; or instead
    arrivals : a file with a request a line, ``seconds`` or ``seconds,network``.
    requests, weights, seed : of Poisson arrivals: how many (None: `serving.REQUESTS`), how often each network is asked for (None: equally), and by which
        draw (None: 0).
    policy : batches, waiting and devices.
    options : the device and the other keywords of `estimate`.

    Raises
    ------
    UsageError
        If a value cannot be meant: names it.
    CostModelError
        If memory does not hold the networks at the largest batch: says by how much.
    InvalidFileError
        If the file is none of arrivals: names the line.

    Examples
    --------
    >>> found = serve("mobilenet-v2", device="coral-usb", per_s=200, requests=1000)
    >>> found.utilisation < 1, found.total.requests
    (True, 1000)
    """
    chosen = Policy() if policy is None else policy
    if not isinstance(chosen, Policy):
        raise UsageError(f"the policy of serving is a costmodel.simulation.serving.Policy, not {chosen!r}; policies of memory are for a run of one pass")
    named = [models] if isinstance(models, str | os.PathLike | Graph) else _several("models", models)
    if (per_s is None) == (arrivals is None):
        raise UsageError("give either requests a second or a file of arrivals")
    if arrivals is not None:
        if any(given is not None for given in (requests, weights, seed)):
            raise UsageError("requests, weights and seed are of requests drawn at random (per_s); a file of arrivals has its own: leave them out")
        made = services(named, max_batch=chosen.max_batch, **options)
        return _serve(made, read_arrivals(arrivals, [service.name for service in made]), chosen)
    assert per_s is not None
    shares = weights_of([model.name if isinstance(model, Graph) else str(model) for model in named], weights)
    drawn = poisson(per_s, REQUESTS if requests is None else requests, weights=shares, seed=0 if seed is None else seed)  # before anything is estimated
    return _serve(services(named, max_batch=chosen.max_batch, **options), drawn, chosen)
