"""Memories of a machine: what they hold, and what happens when it does not fit.

A buffer is reserved when the step that writes it starts, and freed when the last step that reads it has ended. What is there from the
beginning (weights, a model file) has its copy in the storage behind the memory, and nobody writes it. Over capacity:

- ``fail``: an error, which says what the worst moment needs.
- ``ignore``: everything is held all the same, at no cost.
- ``spill``: the new buffer stays outside; whoever writes or reads it takes the time of the bytes over the backing link more.
- ``evict``: what was used the longest ago leaves until the new buffer fits, first what nobody reads any more, and comes back when it is read.
  Bytes that come back take their time, those that leave only where no copy lies behind. A buffer that never fits is spilled.

From the beginning the memory is filled in the order of the buffers; what finds no room stays outside, which costs nothing before it is read.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.errors import CostModelError, UsageError, unknown
from costmodel.quantity import binary

POLICIES = ("fail", "ignore", "spill", "evict")
#: Policies that move bytes.
MOVING = ("spill", "evict")


class Memory(NamedTuple):
    """A memory: bytes that it holds (None: any number), the policy beyond, and bytes a second to what lies `behind` it."""

    name: str
    capacity_bytes: int | None = None
    policy: str = "fail"
    backing_bytes_per_s: float = 0.0
    behind: str = "storage"


class Buffer(NamedTuple):
    """Bytes in a memory from the start of step `first` (-1: from the beginning) to the end of the last of `readers`; without readers to the end of `first`.

    `read_bytes` are what each of `readers` reads of it: 0 for a step that only needs it to stay, all of it where nothing is given.
    """

    name: str
    memory: int
    nbytes: int
    first: int
    readers: tuple[int, ...] = ()
    forever: bool = False
    read_bytes: tuple[int, ...] = ()
    kind: str = "activations"


def require_policy(policy: str) -> None:
    """Refuse a policy that there is not.

    Raises
    ------
    UnknownNameError
        With close matches.
    """
    if policy not in POLICIES:
        raise unknown("memory policy", policy, POLICIES, hint=f"policies are {', '.join(POLICIES)}")


class Store:
    """What the memories of a run hold."""

    def __init__(self, memories: tuple[Memory, ...], buffers: tuple[Buffer, ...], steps: int) -> None:
        for memory in memories:
            require_policy(memory.policy)
            if memory.policy in MOVING and memory.capacity_bytes is not None and not memory.backing_bytes_per_s > 0:
                raise UsageError(f"memory {memory.name!r} is to {memory.policy} over a link of {memory.backing_bytes_per_s:g} B/s: give it a bandwidth above 0")
        self.memories, self.buffers = memories, buffers
        self.held = [0] * len(memories)
        self.samples: list[list[tuple[int, int]]] = [[(0, 0)] for _ in memories]
        self.moved_bytes = 0
        self.peaks: list[tuple[int, str]] = [(0, "")] * len(memories)  # the most bytes held, and the buffer that made it so many
        self.outside: set[int] = set()  # buffers that were spilled or evicted
        self.copied: set[int] = {number for number, buffer in enumerate(buffers) if buffer.first < 0}  # buffers with a copy behind the memory
        self.kept_outside: dict[str, int] = {}
        self.most_outside: dict[str, int] = {}  # of each kind of buffer the most bytes outside at a moment
        self.inside: dict[int, None] = {}  # in the order of their last use
        self.left = [len(set(buffer.readers)) for buffer in buffers]
        self.writes: dict[int, list[int]] = {}
        self.reads: dict[int, dict[int, int]] = {}  # step -> buffer -> bytes that it reads of it
        for number, buffer in enumerate(buffers):
            self.writes.setdefault(buffer.first, []).append(number)
            for reader, nbytes in zip(buffer.readers, buffer.read_bytes or (buffer.nbytes,) * len(buffer.readers), strict=True):
                own = self.reads.setdefault(reader, {})
                own[number] = max(own.get(number, 0), nbytes)
        self.in_use: dict[int, int] = {}
        for number in self.writes.get(-1, ()):
            if self._excess(number) > 0 and memories[buffers[number].memory].policy in MOVING:
                self._leave(number)
            else:
                self._hold(number, 0)

    def start(self, step: int, now: int) -> int:
        """Picoseconds that the step takes more for what it must fetch or send away."""
        reads, writes = self.reads.get(step, {}), self.writes.get(step, ())
        if not reads and not writes:
            return 0
        for number in (*reads, *writes):
            self.in_use[number] = self.in_use.get(number, 0) + 1
        extra = 0
        for number, nbytes in reads.items():
            if number in self.inside:
                self.inside[number] = self.inside.pop(number)
            elif number in self.outside and nbytes:
                extra += self._fetch(number, nbytes, now)
        for number in writes:
            extra += self._reserve(number, now)
        return extra

    def end(self, step: int, now: int) -> None:
        """The step is over: what nobody reads any more is freed."""
        reads, writes = self.reads.get(step, {}), self.writes.get(step, ())
        for number in (*reads, *writes):
            self.in_use[number] -= 1
        for number in reads:
            self.left[number] -= 1
            if not self.left[number] and not self.buffers[number].forever:
                self._free(number, now)
        for number in writes:
            if not self.buffers[number].readers and not self.buffers[number].forever:
                self._free(number, now)

    def require_room(self) -> None:
        """Refuse a run in which a memory of policy ``fail`` held more than it can.

        Raises
        ------
        CostModelError
            Says what the worst moment needs, and what the other policies would do.
        """
        for number, memory in enumerate(self.memories):
            peak, name = self.peaks[number]
            if memory.policy == "fail" and memory.capacity_bytes is not None and peak > memory.capacity_bytes:
                resident = sum(buffer.nbytes for buffer in self.buffers if buffer.memory == number and buffer.first < 0)
                raise CostModelError(_overflow(memory, name, peak, resident))

    def _excess(self, number: int) -> int:
        """Bytes beyond the capacity with this buffer inside."""
        buffer = self.buffers[number]
        capacity = self.memories[buffer.memory].capacity_bytes
        return 0 if capacity is None else self.held[buffer.memory] + buffer.nbytes - capacity

    def _reserve(self, number: int, now: int) -> int:
        """Picoseconds until the buffer is inside, or written outside."""
        buffer = self.buffers[number]
        memory = self.memories[buffer.memory]
        excess, extra = self._excess(number), 0
        if excess > 0 and memory.policy == "evict":
            extra, excess = self._make_room(buffer.memory, excess, now)
        if excess > 0 and memory.policy in MOVING:
            self._leave(number)
            return extra + self._moved(memory, buffer.nbytes)
        self._hold(number, now)
        return extra

    def _fetch(self, number: int, nbytes: int, now: int) -> int:
        """Read what is outside: what was evicted comes back for good, if all of it is read and there is room."""
        buffer = self.buffers[number]
        memory = self.memories[buffer.memory]
        extra = self._moved(memory, nbytes)
        if memory.policy == "evict" and nbytes == buffer.nbytes:
            self._return(number)
            excess = self._excess(number)
            more, excess = self._make_room(buffer.memory, excess, now) if excess > 0 else (0, 0)
            extra += more
            if excess <= 0:
                self._hold(number, now)
            else:
                self._leave(number)
        return extra

    def _make_room(self, where: int, excess: int, now: int) -> tuple[int, int]:
        """(picoseconds of sending away what nobody uses at the moment, bytes still missing); nothing leaves where that cannot be enough."""
        idle = [number for number in self.inside if self.buffers[number].memory == where and not self.in_use.get(number)]
        if sum(self.buffers[number].nbytes for number in idle) < excess:
            return 0, excess
        extra = 0
        for number in sorted(idle, key=lambda number: self.left[number] > 0):
            if excess <= 0:
                break
            nbytes = self.buffers[number].nbytes
            excess -= nbytes
            self._release(number, now)
            if number not in self.copied:
                extra += self._moved(self.memories[where], nbytes)
            self._leave(number)
        return extra, excess

    def _moved(self, memory: Memory, nbytes: int) -> int:
        self.moved_bytes += nbytes
        return round(nbytes * 1e12 / memory.backing_bytes_per_s)

    def _leave(self, number: int) -> None:
        """The buffer is outside, and has a copy there from now on."""
        buffer = self.buffers[number]
        self.outside.add(number)
        self.copied.add(number)
        held = self.kept_outside[buffer.kind] = self.kept_outside.get(buffer.kind, 0) + buffer.nbytes
        self.most_outside[buffer.kind] = max(held, self.most_outside.get(buffer.kind, 0))

    def _return(self, number: int) -> None:
        self.outside.remove(number)
        self.kept_outside[self.buffers[number].kind] -= self.buffers[number].nbytes

    def _hold(self, number: int, now: int) -> None:
        buffer = self.buffers[number]
        self.inside[number] = None
        self._change(buffer.memory, buffer.nbytes, now)
        if self.held[buffer.memory] > self.peaks[buffer.memory][0]:
            self.peaks[buffer.memory] = self.held[buffer.memory], buffer.name

    def _release(self, number: int, now: int) -> None:
        del self.inside[number]
        self._change(self.buffers[number].memory, -self.buffers[number].nbytes, now)

    def _free(self, number: int, now: int) -> None:
        if number in self.inside:
            self._release(number, now)
        elif number in self.outside:
            self._return(number)

    def _change(self, where: int, nbytes: int, now: int) -> None:
        self.held[where] += nbytes
        self.samples[where].append((now, self.held[where]))


def _overflow(memory: Memory, name: str, peak: int, resident: int) -> str:
    assert memory.capacity_bytes is not None
    always = f"{binary(resident)} of that all the time, " if resident else ""
    return (
        f"{memory.name} of {binary(memory.capacity_bytes)} would have to hold {binary(peak)} when {name!r} is there, {always}"
        f"{binary(peak - memory.capacity_bytes)} too much. Policy spill would leave outside what finds no room, at the price of its bytes each time "
        "that it is written or read; evict would send away what was used the longest ago; ignore leaves the price out"
    )
