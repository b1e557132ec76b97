"""The last step of lowering: what each kernel reads and writes, and the buffers between kernels.

A tensor that lives only inside one kernel does not exist in memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.graph import Graph
from costmodel.kernel import HOST, Buffer, Kernel, Program, Weights
from costmodel.lowering._rules import RuleSet
from costmodel.lowering._state import HALF, Compiled, Open, Storage
from costmodel.tensor import DType
from costmodel.work import CONTRACTIONS, Work, WorkKind

#: In a fused chain the kernel is named for its dearest member.
_CHAIN_ANCHOR = (WorkKind.SOFTMAX, WorkKind.NORMALISATION, WorkKind.BATCH_NORM, WorkKind.REDUCTION, WorkKind.RESIZE, WorkKind.ELEMENTWISE)


class Assembly:
    """Counts the bytes of one lowered graph. `delegated` are the positions of the operators that a delegate takes."""

    def __init__(
        self,
        graph: Graph,
        rules: RuleSet,
        compiled: Compiled,
        *,
        floating: DType,
        amp: bool,
        storage: Mapping[tuple[str, int], Storage],
        inputs: list[Storage],
        delegated: frozenset[int],
        constant_bytes: int,
    ) -> None:
        self.graph, self.rules, self.compiled = graph, rules, compiled
        self.floating, self.amp = floating, amp
        self.storage, self.inputs, self.delegated = storage, inputs, delegated
        self.constant_bytes = constant_bytes
        self.shared = {node.name: node.shares for node in graph.nodes if node.shares}
        self.uses: list[tuple[str, int, int, int, int]] = []  # operator, position of its kernel, bytes stored, those that are no matrix, bytes read

    def program(self, ordered: list[Open]) -> Program:
        """Buffers and kernels with their bytes, for kernels in their order of execution."""
        count = len(ordered)
        positions = {id(kernel): number for number, kernel in enumerate(ordered)}
        buffers: list[Buffer] = []
        index: dict[int, int] = {}
        bytes_of: dict[int, int] = {}
        for storage in self.inputs:
            self._buffer(storage, -1, count, positions, buffers, index, bytes_of)
        for number, kernel in enumerate(ordered):
            for storage in kernel.writes:
                if storage.is_output or any(reader is not kernel for reader in storage.readers):
                    self._buffer(storage, number, count, positions, buffers, index, bytes_of)
        kernels = tuple([self._kernel(kernel, number, index, bytes_of) for number, kernel in enumerate(ordered)])
        weights = self._weights(ordered)
        outputs = {id(self.storage[ref]): self.storage[ref] for ref in self.graph.outputs}
        return Program(
            name=self.graph.name,
            rule_set=self.rules.name,
            dtype=self.floating,
            batch=self.graph.batch,
            kernels=kernels,
            buffers=tuple(buffers),
            input_bytes=sum(storage.elements * storage.dtype.itemsize for storage in self.inputs),
            output_bytes=sum(storage.elements * storage.dtype.itemsize for storage in outputs.values()),
            stored_weight_bytes=sum([each.nbytes for each in weights]),
            stored_vector_bytes=sum([each.vector_bytes for each in weights]),
            weights=weights,
        )

    def _buffer(
        self, storage: Storage, first: int, count: int, positions: dict[int, int], buffers: list[Buffer], index: dict[int, int], bytes_of: dict[int, int]
    ) -> None:
        itemsize = DType.FP32.itemsize if storage.recomputed else storage.dtype.itemsize
        inner = storage.writer is not None and storage.readers and not storage.is_output
        if self.amp and self.rules.casts == "fused" and inner and not storage.recomputed and storage.half_readers == len(storage.readers):
            itemsize = HALF.itemsize  # the producer's epilogue writes the type that every reader wants
        bytes_of[id(storage)] = itemsize
        last = count if storage.is_output else max((positions[id(reader)] for reader in storage.readers), default=first)
        index[id(storage)] = len(buffers)
        buffers.append(Buffer(name=storage.name, nbytes=storage.elements * itemsize, first=first, last=last))

    def _weights(self, ordered: list[Open]) -> tuple[Weights, ...]:
        """The stored parameters of each operator that owns any, and the network's constants together."""
        stored: dict[str, tuple[int, int]] = {}  # owner -> bytes, and those of them that are no matrix, filter or table
        readers: dict[str, list[tuple[int, int]]] = {}
        for operator, position, nbytes, vectors, read in self.uses:
            owner = self.shared.get(operator, operator)
            if owner == operator:
                before = stored.get(owner, (0, 0))
                stored[owner] = before[0] + nbytes, before[1] + vectors
            if read:
                readers.setdefault(owner, []).append((position, read))
        found = [
            Weights(name, nbytes, vectors, tuple([(kernel, min(nbytes, read)) for kernel, read in readers.get(name, ())]))
            for name, (nbytes, vectors) in stored.items()
        ]
        if self.constant_bytes:
            reads = [(number, min(self.constant_bytes, kernel.constant_elements * self._itemsize(kernel))) for number, kernel in enumerate(ordered)]
            found.append(Weights("constants", self.constant_bytes, self.constant_bytes, tuple([each for each in reads if each[1]])))
        return tuple(found)

    def _kernel(self, kernel: Open, position: int, index: dict[int, int], bytes_of: dict[int, int]) -> Kernel:
        read: dict[int, int] = {}  # elements; views of one storage add up, to the whole of it at most
        for storage, elements in kernel.reads:
            if storage.writer is not kernel:
                read[id(storage)] = min(storage.elements, read.get(id(storage), 0) + elements)
        written = [storage for storage in kernel.writes if id(storage) in index]
        works = kernel.works
        if kernel.chain and len(works) > 1:
            anchor = min(range(len(works)), key=lambda i: _CHAIN_ANCHOR.index(works[i].kind) if works[i].kind in _CHAIN_ANCHOR else len(_CHAIN_ANCHOR))
            works = [works[anchor], *works[:anchor], *works[anchor + 1 :]]
        delegate = self.compiled.delegate
        matrices, vectors = self._weight_bytes(kernel, position)
        return Kernel(
            name=kernel.name,
            operators=tuple(kernel.operators),
            kind=works[0].kind,
            works=tuple(works),
            dtype=kernel.dtype,
            read_bytes=sum([elements * bytes_of[storage_id] for storage_id, elements in read.items()]),
            write_bytes=sum([storage.elements * bytes_of[id(storage)] for storage in written]) + kernel.written_weight_bytes,
            weight_bytes=matrices + vectors,
            vector_bytes=vectors,
            inputs=tuple([index[storage_id] for storage_id in read]),
            outputs=tuple([index[id(storage)] for storage in written]),
            layout=kernel.layout,
            partition="" if delegate is None else delegate.partition if kernel.position in self.delegated else HOST,
        )

    def _itemsize(self, kernel: Open) -> int:
        """Bytes of a parameter that a kernel reads: under int8 some kernels compute in floating point."""
        return kernel.dtype.itemsize if self.floating is DType.INT8 else self.floating.itemsize

    def _weight_bytes(self, kernel: Open, position: int) -> tuple[int, int]:
        """Parameter bytes that a kernel reads in one pass: (matrices, filters and tables; all other); what is stored is noted.

        Biases take 4 bytes under int8. Under autocast weights are stored in fp32; eager mode casts them in a kernel of its
        own, inductor in passing (reads 4 bytes, writes 2, reads 2). A lookup reads only the rows it returns.
        """
        itemsize = self._itemsize(kernel)
        matrices, vectors = 0, kernel.constant_elements * itemsize
        for number, (work, operator) in enumerate(zip(kernel.works, kernel.operators, strict=True)):
            if work.kind in CONTRACTIONS:
                weights, bias = _weights_and_bias(work, folded=kernel.folded and number == 0)
                biases = bias * (4 if self.floating is DType.INT8 else itemsize)
                stored = weights * itemsize + biases
                if stored:
                    self.uses.append((operator, position, stored, biases, stored))
                matrices += weights * ((2 if self.rules.casts == "kernels" else 8) if self.amp else itemsize)
                vectors += biases
            elif work.parameters and not (kernel.folded and number == 1):  # what is folded follows the contraction at once
                table = work.kind is WorkKind.GATHER
                stored = work.parameters * itemsize
                self.uses.append((operator, position, stored, stored * (not table), min(stored, work.elements_written * itemsize) if table else stored))
                matrices += work.elements_written * itemsize * table
                vectors += work.parameters * itemsize * (not table)
        return matrices, vectors


def _weights_and_bias(work: Work, *, folded: bool) -> tuple[int, int]:
    """Weight and bias elements of a contraction; folding a batch norm leaves a bias for every output channel."""
    if work.kind in (WorkKind.MATMUL, WorkKind.ATTENTION):
        return 0, 0
    weights = work.n * work.k * work.groups if work.parameters else 0  # filters that are computed are read as a tensor
    channels = work.n * work.groups // (work.taps if work.kind is WorkKind.TRANSPOSED else 1)
    return weights, channels if folded else work.parameters - weights
