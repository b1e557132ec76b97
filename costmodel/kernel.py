"""`Kernel` and `Program`: what a runtime launches for a graph, after lowering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from costmodel.tensor import DType
from costmodel.work import Work, WorkKind

#: The partition of kernels that an accelerator leaves to the CPU.
HOST = "host"


class Buffer(NamedTuple):
    """An activation that really exists in memory: its size, and the kernels (by position) that write it and read it last.

    `first` is -1 for an input of the network; `last` is the number of kernels for an output.
    """

    name: str
    nbytes: int
    first: int
    last: int


class Weights(NamedTuple):
    """Parameters as a model file stores them, once however many kernels share them.

    `vector_bytes` are those of `nbytes` that are no matrix, filter or table. `readers` are (position of a kernel, bytes that it reads of
    them in one pass): a lookup reads only the rows that it returns.
    """

    name: str
    nbytes: int
    vector_bytes: int
    readers: tuple[tuple[int, int], ...]


class Kernel(NamedTuple):
    """One launched unit of work: one or more fused operators, or a step that only the runtime needs (a PAD, a cast).

    `works` holds the anchor's work first, then that of everything fused into it. `read_bytes` and `write_bytes` count
    each distinct external activation once, `weight_bytes` the parameters as the runtime stores them, all in the dtypes
    of the target. `vector_bytes` are those of `weight_bytes` that are no matrix, filter or table: biases, normalisations,
    constants. `layout` is ``nhwc`` where channels are known to be innermost in this kernel. `inputs` and `outputs` are positions in `Program.buffers`.
    """

    name: str
    operators: tuple[str, ...]
    kind: WorkKind
    works: tuple[Work, ...]
    dtype: DType
    read_bytes: int
    write_bytes: int
    weight_bytes: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    partition: str = ""
    vector_bytes: int = 0
    layout: str = ""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all fused operators."""
        return sum([work.m * work.n * work.k * work.groups for work in self.works])

    @property
    def other_flops(self) -> int:
        """Arithmetic outside contractions, of all fused operators."""
        return sum([work.other_flops for work in self.works])

    @property
    def flops(self) -> int:
        """``2 * macs + other_flops``."""
        return 2 * self.macs + self.other_flops

    @property
    def traffic_bytes(self) -> int:
        """Bytes between off-chip memory and chip: each distinct external tensor once, weights included."""
        return self.read_bytes + self.write_bytes + self.weight_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A graph lowered for one runtime and dtype: kernels in execution order and the buffers between them.

    `stored_weight_bytes` are the parameters of a model file, `stored_vector_bytes` those of them that are no matrix, filter or table;
    `weights` list them, with the kernels that read each.
    """

    name: str
    rule_set: str
    dtype: DType
    batch: int
    kernels: tuple[Kernel, ...]
    buffers: tuple[Buffer, ...]
    input_bytes: int
    output_bytes: int
    stored_weight_bytes: int
    stored_vector_bytes: int = 0
    weights: tuple[Weights, ...] = ()

    @property
    def weight_bytes(self) -> int:
        """Parameter bytes that the kernels read in one pass."""
        return sum(kernel.weight_bytes for kernel in self.kernels)

    @property
    def live_bytes(self) -> tuple[int, ...]:
        """Bytes of activations that must exist while each kernel runs: its inputs and outputs, and what later kernels still need."""
        count = len(self.kernels)
        change = [0] * (count + 2)
        for buffer in self.buffers:
            change[max(buffer.first, 0)] += buffer.nbytes
            change[min(buffer.last, count) + 1] -= buffer.nbytes
        live, total = [], 0
        for position in range(count):
            total += change[position]
            live.append(total)
        return tuple(live)

    @property
    def peak_activation_bytes(self) -> int:
        """Largest sum of live activations over the execution order, weights excluded."""
        return max(self.live_bytes, default=self.input_bytes)
