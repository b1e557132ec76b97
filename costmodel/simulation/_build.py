"""What the machines share: a plan that grows kernel by kernel, with the program's buffers in the machine's memory."""

from __future__ import annotations

from typing import NamedTuple

from costmodel.devices import Target
from costmodel.kernel import Program
from costmodel.laws import LAUNCH_QUEUE, ProgramCost
from costmodel.memory import capacity_bytes
from costmodel.quantity import picoseconds
from costmodel.simulation._core import Engine, Link, Plan, Step
from costmodel.simulation._memory import Buffer, Memory
from costmodel.simulation._settings import Settings

#: Pinned copies over PCIe 3.0 x16: 15.75 GB/s less packet headers (PCI-SIG base specification 3.0), as bandwidth tests print it. What lies
#: behind a GPU's memory, and the way of inputs and outputs; profiles do not state their bus.
PCIE_BYTES_PER_S = 12e9
#: What lies behind the memory of everything else: UFS 2.1 storage, two lanes of 5.8 Gb/s with 8b/10b coding (JEDEC JESD220C).
STORAGE_BYTES_PER_S = 1.16e9


class Mechanism(NamedTuple):
    """Something that a simulation has beyond adding up; `basis` is ``estimate`` where the law has it too, ``illustrative`` where no measurement backs it."""

    name: str
    basis: str
    what: str


class Builder:
    """A plan in the making, for one program on one target."""

    def __init__(self, program: Program, cost: ProgramCost, target: Target, settings: Settings) -> None:
        self.program, self.cost, self.target, self.settings = program, cost, target, settings
        self.times = [picoseconds(made.latency_s) for made in cost.kernels]
        self.sources = [tuple(sorted({program.buffers[number].first for number in kernel.inputs} - {-1})) for kernel in program.kernels]
        self.engines: list[Engine] = []
        self.links: list[Link] = []
        self.steps: list[Step] = []
        self.mechanisms: list[Mechanism] = []
        self.facts: dict[str, float] = {}
        self.own_bounds: dict[int, str] = {}  # kernels whose steps are bound by something else than the law says of the whole
        self.inference = 0
        self.places: dict[tuple[int, int], tuple[int, int]] = {}  # (inference, kernel) -> its first and last step
        self._from = 0
        self.bounds: list[tuple[int, int]] = []  # of each inference: its first and last step

    def engine(self, name: str, kind: str, slots: int = 1, *, in_order: bool = False) -> int:
        """The position of a new engine."""
        self.engines.append(Engine(name, kind, slots, in_order))
        return len(self.engines) - 1

    def link(self, name: str, per_s: float, unit: str = "B") -> int:
        """The position of a new link."""
        self.links.append(Link(name, per_s, unit))
        return len(self.links) - 1

    def step(
        self,
        name: str,
        engine: int,
        duration_ps: int,
        after: tuple[int, ...] = (),
        *,
        kernel: int = -1,
        phase: str = "compute",
        demands: tuple[tuple[int, float], ...] = (),
        shared_ps: tuple[int, ...] = (),
    ) -> int:
        """The position of a new step; what it demands of a link is at most what that could move meanwhile."""
        position = len(self.steps)
        possible = tuple([(link, min(amount, self.links[link].per_s * duration_ps / 1e12)) for link, amount in demands]) if duration_ps else ()
        self.steps.append(Step(name, engine, duration_ps, after, kernel, phase, 0, tuple([each for each in possible if each[1]]), shared_ps, self.inference))
        if kernel >= 0:
            first, _ = self.places.get((self.inference, kernel), (position, position))
            self.places[self.inference, kernel] = first, position
        return position

    def after_kernels(self, kernel: int) -> tuple[int, ...]:
        """The last steps of the kernels whose outputs this one reads."""
        return tuple(sorted({self.places[self.inference, source][1] for source in self.sources[kernel]}))

    def last_kernels(self) -> tuple[int, ...]:
        """The last steps of the kernels whose outputs no other one reads."""
        read = {source for sources in self.sources for source in sources}
        return tuple(sorted({self.places[self.inference, number][1] for number in range(len(self.program.kernels)) if number not in read}))

    def terms(self, engine: int, after: tuple[int, ...], *, without: tuple[str, ...] = ()) -> tuple[int, ...]:
        """A step for each term of the program that is not among `without`, one after the other."""
        for name, seconds in self.cost.terms.items():
            if name not in (*without, LAUNCH_QUEUE):
                after = (self.step(name.replace("_", " "), engine, picoseconds(seconds), after, phase="term"),)
        return after

    def begin(self, inference: int) -> tuple[int, ...]:
        """Start an inference; what its first steps come after."""
        self.inference = inference
        self._from = len(self.steps)
        before = inference - self.settings.in_flight
        return (self.bounds[before][1],) if before >= 0 else ()

    def end(self) -> None:
        """The inference ends with the step made last."""
        self.bounds.append((self._from, len(self.steps) - 1))

    def plan(self) -> Plan:
        """The plan: steps, and the program's buffers and weights in the target's memory."""
        on_bus = self.target.processor == "gpu" and not self.target.memory_holds_file
        behind = (PCIE_BYTES_PER_S, "the bus to the host") if on_bus else (STORAGE_BYTES_PER_S, "storage")
        memory = Memory("memory", capacity_bytes(self.target.hardware.memory.capacity_gib), self.settings.policy, *behind)
        buffers = self._weights()
        stored = self.program.stored_weight_bytes
        if stored and self.target.memory_holds_file:
            buffers.append(Buffer("model file", 0, stored, -1, forever=True, kind="model file"))
        for inference in range(self.settings.inferences):
            buffers += self._activations(inference)
        return Plan(engines=tuple(self.engines), steps=tuple(self.steps), links=tuple(self.links), memories=(memory,), buffers=tuple(buffers))

    def _weights(self) -> list[Buffer]:
        """The stored parameters, each read by the first steps of its kernels."""
        found = []
        for made in self.program.weights:
            reads = [(self.places[inference, kernel][0], read) for inference in range(self.settings.inferences) for kernel, read in made.readers]
            steps, sizes = tuple(step for step, _ in reads), tuple(read for _, read in reads)
            found.append(Buffer(f"weights of {made.name}", 0, made.nbytes, -1, steps, True, sizes, "weights"))
        return found

    def _activations(self, inference: int) -> list[Buffer]:
        """The program's buffers, from the first step of the kernel that writes each to the last step of those that read it, each at its first step."""
        begin, end = self.bounds[inference]
        count = len(self.program.kernels)
        readers: list[dict[int, int]] = [{} for _ in self.program.buffers]  # step -> bytes, 0 where the buffer only stays until its end
        for kernel, made in enumerate(self.program.kernels):
            for number in made.inputs:
                start, stop = self.places[inference, kernel]
                readers[number][stop] = 0
                readers[number][start] = self.program.buffers[number].nbytes
        found = []
        for number, buffer in enumerate(self.program.buffers):
            first = begin if buffer.first < 0 else self.places[inference, buffer.first][0]
            last = (self.places[inference, buffer.first][1] if buffer.first >= 0 else begin, *((end,) if buffer.last >= count else ()))
            until = {**dict.fromkeys(last, 0), **readers[number]}
            steps = tuple(sorted(until))
            found.append(Buffer(buffer.name, 0, buffer.nbytes, first, steps, read_bytes=tuple(until[step] for step in steps)))
        return found
