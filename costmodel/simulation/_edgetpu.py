"""An Edge TPU: an array, a link with a direction each way, and a host.

Parameters fill the cache in execution order, byte by byte, after those of co-compiled programs; what is left streams over the link at every
inference, in pieces that wait in a bounded FIFO for the array. So the first streamed bytes arrive while cached layers compute, as far ahead as the FIFO
reaches. Inputs and outputs cross the link, in int8; what the compiler leaves to the CPU runs on the host, once the tensors that it reads have
crossed. With several inferences in flight the next one's input and first pieces arrive while this one computes.
"""

from __future__ import annotations

import dataclasses

from costmodel.errors import UsageError
from costmodel.kernel import HOST, Program
from costmodel.laws.systolic_array import SystolicArrayParameters, cache_bytes, crossing
from costmodel.quantity import binary, picoseconds
from costmodel.simulation._build import Builder, Mechanism

#: Bytes of a piece: the unit of the chip's memory, 64 KiB; bytes that wait for the array: half of the 3 MiB of memory beside the cache (both:
#: google-coral/libedgetpu, driver/config/beagle/beagle_chip_structures.h). That it is half fits Coral's networks that stream best, of the sizes from
#: 0.25 to 3 MiB.
PIECE_BYTES = 2**16
FIFO_BYTES = 3 * 2**19
#: Bytes that a host reads and writes to turn an element of fp32 into one of int8, or back.
_QUANTISED_BYTES = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """Engines and links by position, and the link's bytes a second."""

    array: int
    inward: int
    outward: int
    host: int
    to_device: int
    to_host: int
    rate: float


def build(builder: Builder) -> None:
    """Every inference: input, layers with their streamed pieces, what the host runs, output."""
    parameters = builder.target.machine.parameters
    machine = _machine(builder, builder.settings.link_bytes_per_s or parameters.link_gb_per_s * 1e9)
    taken = sum(kernel.weight_bytes for other in builder.settings.co_compiled for kernel in other.kernels if kernel.partition != HOST)
    streamed = streamed_bytes(builder.program, parameters, taken)
    consumed: list[tuple[int, int]] = []  # steps that took a piece out of the FIFO, and its bytes
    for inference in range(builder.settings.inferences):
        _inference(builder, machine, streamed, consumed, builder.begin(inference))
        builder.end()
    builder.own_bounds = {number: "compute" for number, kernel in enumerate(builder.program.kernels) if kernel.partition != HOST}  # what streams is a step
    _explain(builder, machine, sum(streamed))


def streamed_bytes(program: Program, parameters: SystolicArrayParameters, taken: int = 0) -> list[int]:
    """Of each kernel the bytes of parameters that are not on chip, where the cache has `taken` bytes of other programs in it."""
    room = max(0, int(cache_bytes(program, parameters)) - taken)
    found = []
    for kernel in program.kernels:
        wanted = kernel.weight_bytes if kernel.partition != HOST else 0
        cached = min(wanted, room)
        room -= cached
        found.append(wanted - cached)
    return found


def _machine(builder: Builder, rate: float) -> _Machine:
    return _Machine(
        array=builder.engine("array", "array", in_order=True),
        inward=builder.engine("link to device", "link", in_order=True),
        outward=builder.engine("link to host", "link"),
        host=builder.engine("host cpu", "cpu"),
        to_device=builder.link("to device", rate),
        to_host=builder.link("to host", rate),
        rate=rate,
    )


def _inference(builder: Builder, machine: _Machine, streamed: list[int], consumed: list[tuple[int, int]], before: tuple[int, ...]) -> None:
    """The steps of one inference; `consumed` are those of the array that took a piece out of the FIFO, of all inferences."""
    program = builder.program
    rest = any(kernel.partition == HOST for kernel in program.kernels)
    delegated = any(kernel.partition != HOST for kernel in program.kernels)
    after = builder.terms(machine.host, before, without=("transfer", "crossing"))
    if delegated:
        if builder.settings.quantise:
            after = (_quantised(builder, machine, "quantise", program.input_bytes, after),)
        after = (_moved(builder, machine, "input", program.input_bytes, after, inward=True),)
    crossed: dict[int, int] = {}
    crosses: dict[int, int] = {}  # kernel -> bytes that it writes for the other side
    for number in crossing(program):
        buffer = program.buffers[number]
        crosses[buffer.first] = crosses.get(buffer.first, 0) + buffer.nbytes
    for number, kernel in enumerate(program.kernels):
        sources = [
            crossed[source] if (program.kernels[source].partition == HOST) != (kernel.partition == HOST) else builder.places[builder.inference, source][1]
            for source in builder.sources[number]
        ]
        ready = tuple(sorted(set(sources))) or after
        if kernel.partition == HOST:
            builder.step(kernel.name, machine.host, builder.times[number], ready, kernel=number)
        else:
            _layer(builder, machine, number, streamed[number], consumed, ready)
        if number in crosses:
            written = (builder.places[builder.inference, number][1],)
            crossed[number] = _moved(builder, machine, kernel.name, crosses[number], written, inward=kernel.partition == HOST)
    last = builder.last_kernels() or after
    if delegated and not rest:
        last = (_moved(builder, machine, "output", program.output_bytes, last, inward=False),)
        if builder.settings.quantise:
            last = (_quantised(builder, machine, "dequantise", program.output_bytes, last),)
    builder.step("end", machine.host, 0, last, phase="join")


def _layer(builder: Builder, machine: _Machine, number: int, streamed: int, consumed: list[tuple[int, int]], ready: tuple[int, ...]) -> None:
    """A layer: the part whose parameters are on chip, then a part for each piece that streams."""
    kernel, total_ps = builder.program.kernels[number], picoseconds(builder.cost.kernels[number].compute_s)
    pieces = [PIECE_BYTES] * (streamed // PIECE_BYTES) + ([streamed % PIECE_BYTES] if streamed % PIECE_BYTES else [])
    cached = kernel.weight_bytes - streamed
    done_bytes, done_ps, after = cached, total_ps * cached // kernel.weight_bytes if pieces else total_ps, ready
    if not pieces or cached:
        after = (builder.step(kernel.name, machine.array, done_ps, ready, kernel=number),)
    for nbytes in pieces:
        room = _room(consumed, nbytes)
        arrived = _moved(builder, machine, kernel.name, nbytes, room, inward=True, phase="stream")
        done_bytes += nbytes
        part_ps = total_ps * done_bytes // kernel.weight_bytes - done_ps
        done_ps += part_ps
        after = (builder.step(kernel.name, machine.array, part_ps, tuple(sorted({*after, arrived})), kernel=number),)
        consumed.append((after[0], nbytes))


def _room(consumed: list[tuple[int, int]], nbytes: int) -> tuple[int, ...]:
    """The step that has taken so much out of the FIFO that `nbytes` more fit; none while all so far fit together."""
    held = nbytes
    for step, taken in reversed(consumed):
        held += taken
        if held > FIFO_BYTES:
            return (step,)
    return ()


def _moved(builder: Builder, machine: _Machine, name: str, nbytes: int, after: tuple[int, ...], *, inward: bool, phase: str = "transfer") -> int:
    engine, link = (machine.inward, machine.to_device) if inward else (machine.outward, machine.to_host)
    return builder.step(name, engine, picoseconds(nbytes / machine.rate, name), after, phase=phase, demands=((link, nbytes),))


def _quantised(builder: Builder, machine: _Machine, name: str, elements: int, after: tuple[int, ...]) -> int:
    """A pass over the elements at the bandwidth of the host's memory."""
    if builder.target.machine.host is None:
        raise UsageError(f"the profile of {builder.target.device.name} states no host, whose memory would quantise; leave quantise off")
    rate = builder.target.machine.host[1].bytes_per_s
    return builder.step(name, machine.host, picoseconds(elements * _QUANTISED_BYTES / rate), after, phase=name)


def _explain(builder: Builder, machine: _Machine, streamed: int) -> None:
    settings, add = builder.settings, builder.mechanisms.append
    weights = sum(kernel.weight_bytes for kernel in builder.program.kernels if kernel.partition != HOST)
    builder.facts.update({"cached_bytes": weights - streamed, "streamed_bytes": streamed, "link_bytes_per_s": machine.rate})
    if streamed:
        reach = binary(FIFO_BYTES)
        add(Mechanism("parameter streaming", "illustrative", f"the cache is filled in execution order, the rest streams up to {reach} ahead of the array"))
    if settings.quantise:
        add(Mechanism("quantisation", "illustrative", "inputs and outputs pass the host's memory once"))
    if settings.in_flight > 1:
        add(Mechanism("inferences in flight", "illustrative", f"up to {settings.in_flight} at once"))
    if settings.co_compiled:
        names = ", ".join(other.name for other in settings.co_compiled)
        add(Mechanism("co-compilation", "illustrative", f"the parameters of {names} stay in the cache"))
    if settings.link_bytes_per_s:
        add(Mechanism("another link", "illustrative", f"{settings.link_bytes_per_s / 1e6:g} MB/s each way"))
