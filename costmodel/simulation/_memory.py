"""Memories of a machine: what they hold, and what happens when it does not fit.

A buffer is reserved when the step that writes it starts, and freed when the last step that reads it has ended. Over capacity:

- ``fail``: an error.
- ``spill``: the new buffer stays outside; whoever writes or reads it takes the time of its bytes over the backing link more.
- ``evict``: what was used the longest ago leaves until the new buffer fits, and comes back when it is read; each way takes the time of its
  bytes. A buffer that never fits is spilled.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.errors import CostModelError, UsageError, unknown
from costmodel.quantity import binary

POLICIES = ("fail", "spill", "evict")


class Memory(NamedTuple):
    """A memory: bytes that it holds (None: any number), the policy beyond, and bytes a second to what lies behind it."""

    name: str
    capacity_bytes: int | None = None
    policy: str = "fail"
    backing_bytes_per_s: float = 0.0


class Buffer(NamedTuple):
    """Bytes in a memory from the start of step `first` (-1: from the beginning) to the end of the last of `readers`; without readers to the end of `first`."""

    name: str
    memory: int
    nbytes: int
    first: int
    readers: tuple[int, ...] = ()
    forever: bool = False


def require_policy(policy: str) -> None:
    """Refuse a policy that there is not.

    Raises
    ------
    UnknownNameError
        With close matches.
    """
    if policy not in POLICIES:
        raise unknown("memory policy", policy, POLICIES)


class Store:
    """What the memories of a run hold."""

    def __init__(self, memories: tuple[Memory, ...], buffers: tuple[Buffer, ...], steps: int) -> None:
        for memory in memories:
            require_policy(memory.policy)
            if memory.policy != "fail" and memory.capacity_bytes is not None and not memory.backing_bytes_per_s > 0:
                raise UsageError(f"memory {memory.name!r} is to {memory.policy} over a link of {memory.backing_bytes_per_s:g} B/s: give it a bandwidth above 0")
        self.memories, self.buffers = memories, buffers
        self.held = [0] * len(memories)
        self.samples: list[list[tuple[int, int]]] = [[(0, 0)] for _ in memories]
        self.moved_bytes = 0
        self.outside: set[int] = set()  # buffers that were spilled or evicted
        self.inside: dict[int, None] = {}  # in the order of their last use
        self.left = [len(set(buffer.readers)) for buffer in buffers]
        self.writes: dict[int, list[int]] = {}
        self.reads: dict[int, list[int]] = {}
        for number, buffer in enumerate(buffers):
            self.writes.setdefault(buffer.first, []).append(number)
            for reader in sorted(set(buffer.readers)):
                self.reads.setdefault(reader, []).append(number)
        self.in_use: dict[int, int] = {}
        for number in self.writes.get(-1, ()):
            self._reserve(number, 0)

    def start(self, step: int, now: int) -> int:
        """Picoseconds that the step takes more for what it must fetch or send away."""
        reads, writes = self.reads.get(step, ()), self.writes.get(step, ())
        if not reads and not writes:
            return 0
        for number in (*reads, *writes):
            self.in_use[number] = self.in_use.get(number, 0) + 1
        extra = 0
        for number in reads:
            if number in self.outside:
                extra += self._fetch(number, now)
            elif number in self.inside:
                self.inside[number] = self.inside.pop(number)
        for number in writes:
            extra += self._reserve(number, now)
        return extra

    def end(self, step: int, now: int) -> None:
        """The step is over: what nobody reads any more is freed."""
        reads, writes = self.reads.get(step, ()), self.writes.get(step, ())
        for number in (*reads, *writes):
            self.in_use[number] -= 1
        for number in reads:
            self.left[number] -= 1
            if not self.left[number] and not self.buffers[number].forever:
                self._free(number, now)
        for number in writes:
            if not self.buffers[number].readers and not self.buffers[number].forever:
                self._free(number, now)

    def _reserve(self, number: int, now: int) -> int:
        buffer = self.buffers[number]
        memory = self.memories[buffer.memory]
        excess = 0 if memory.capacity_bytes is None else self.held[buffer.memory] + buffer.nbytes - memory.capacity_bytes
        extra = 0
        if excess > 0 and memory.policy == "fail":
            raise CostModelError(_overflow(memory, buffer, self.held[buffer.memory], excess))
        if excess > 0 and memory.policy == "evict":
            extra, excess = self._make_room(buffer.memory, excess, now)
        if excess > 0:
            self.outside.add(number)
            return extra + self._moved(memory, buffer.nbytes)
        self._hold(number, now)
        return extra

    def _fetch(self, number: int, now: int) -> int:
        """Read what is outside: where it was evicted it comes back for good, if there is room."""
        buffer = self.buffers[number]
        memory = self.memories[buffer.memory]
        extra = self._moved(memory, buffer.nbytes)
        assert memory.capacity_bytes is not None
        if memory.policy == "evict":
            excess = self.held[buffer.memory] + buffer.nbytes - memory.capacity_bytes
            more, excess = self._make_room(buffer.memory, excess, now) if excess > 0 else (0, 0)
            extra += more
            if excess <= 0:
                self.outside.discard(number)
                self._hold(number, now)
        return extra

    def _make_room(self, where: int, excess: int, now: int) -> tuple[int, int]:
        """(picoseconds of sending away what nobody uses at the moment, bytes still missing); nothing leaves where that cannot be enough."""
        idle = [number for number in self.inside if self.buffers[number].memory == where and not self.in_use.get(number)]
        if sum(self.buffers[number].nbytes for number in idle) < excess:
            return 0, excess
        extra = 0
        for number in idle:
            if excess <= 0:
                break
            nbytes = self.buffers[number].nbytes
            excess -= nbytes
            self._release(number, now)
            self.outside.add(number)
            extra += self._moved(self.memories[where], nbytes)
        return extra, excess

    def _moved(self, memory: Memory, nbytes: int) -> int:
        self.moved_bytes += nbytes
        return round(nbytes * 1e12 / memory.backing_bytes_per_s)

    def _hold(self, number: int, now: int) -> None:
        self.inside[number] = None
        self._change(self.buffers[number].memory, self.buffers[number].nbytes, now)

    def _release(self, number: int, now: int) -> None:
        del self.inside[number]
        self._change(self.buffers[number].memory, -self.buffers[number].nbytes, now)

    def _free(self, number: int, now: int) -> None:
        if number in self.inside:
            self._release(number, now)
        self.outside.discard(number)

    def _change(self, where: int, nbytes: int, now: int) -> None:
        self.held[where] += nbytes
        self.samples[where].append((now, self.held[where]))


def _overflow(memory: Memory, buffer: Buffer, held: int, excess: int) -> str:
    assert memory.capacity_bytes is not None
    return (
        f"{memory.name} of {binary(memory.capacity_bytes)} holds {binary(held)} when {buffer.name!r} needs {binary(buffer.nbytes)}: {binary(excess)} too much. "
        f"Policy spill would leave {buffer.name!r} outside, at the price of its bytes each time that it is written or read; "
        "evict would send away what was used the longest ago"
    )
