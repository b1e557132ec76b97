"""`lower`: apply a rule set to a graph.

Three steps. (1) Walk the operators in execution order; each becomes nothing (dropped, a view), one or several open
kernels, or part of an open kernel. (2) Order the kernels. (3) Count what each reads and writes: a tensor that lives only
inside one kernel does not exist in memory.

A *storage* is memory that holds an activation; views share their source's storage. Depth is the number of kernels outside
chains on the longest path to a tensor: chain operators may share a kernel only at equal depth, which makes a cycle of
kernels impossible with one integer each.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from functools import lru_cache

from costmodel.errors import UsageError
from costmodel.graph import Graph, Node
from costmodel.kernel import HOST, Buffer, Kernel, Program
from costmodel.lowering._rules import Decompose, Delegate, Drop, ExplicitPadding, Fold, Fuse, FuseChains, RuleSet, View
from costmodel.tensor import DType
from costmodel.work import CONTRACTIONS, Work, WorkKind

#: dtypes that a program can be lowered for; `amp` is torch's autocast to fp16.
LOWERED_DTYPES = ("fp32", "fp16", "bf16", "amp", "int8")

#: In a fused chain the kernel is named for its dearest member.
_CHAIN_ANCHOR = (WorkKind.SOFTMAX, WorkKind.NORMALISATION, WorkKind.BATCH_NORM, WorkKind.REDUCTION, WorkKind.RESIZE, WorkKind.ELEMENTWISE)


def lower(graph: Graph, rules: RuleSet, dtype: str = "fp32") -> Program:
    """The program that a runtime with `rules` launches for `graph` in `dtype`.

    Parameters
    ----------
    dtype : ``fp32``, ``fp16``, ``bf16``, ``int8`` (weights and activations 1 byte, biases 4), or ``amp``: contractions in
        fp16, norms and softmax in fp32, every change of type a kernel of its own where the rules say so.

    Raises
    ------
    UsageError
        If `dtype` is none of these.
    """
    if dtype not in LOWERED_DTYPES:
        raise UsageError(f"dtype must be one of {', '.join(LOWERED_DTYPES)}, not {dtype!r}")
    return _Lowering(graph, rules, dtype).program()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A rule set turned into look-ups by operator class."""

    aliases: frozenset[str]
    decomposed: frozenset[str]
    padded: dict[str, bool]  # class -> spared when SAME
    folds: dict[str, frozenset[str]]
    fusions: dict[str, tuple[Fuse, ...]]
    chains: frozenset[str]
    delegate: Delegate | None


@lru_cache(maxsize=64)
def _compile(rules: RuleSet) -> _Compiled:
    aliases: set[str] = set()
    decomposed: set[str] = set()
    padded: dict[str, bool] = {}
    folds: dict[str, frozenset[str]] = {}
    fusions: dict[str, tuple[Fuse, ...]] = {}
    chains: set[str] = set()
    delegate = None
    for rule in rules.rules:
        if isinstance(rule, Drop | View):
            aliases |= rule.operators
        elif isinstance(rule, Decompose):
            decomposed |= rule.operators - aliases
        elif isinstance(rule, ExplicitPadding):
            padded |= dict.fromkeys(rule.operators, rule.unless_same)
        elif isinstance(rule, Fold):
            folds |= dict.fromkeys(rule.operators, rule.into)
        elif isinstance(rule, Fuse):
            for name in rule.operators:
                fusions[name] = (*fusions.get(name, ()), rule)
        elif isinstance(rule, FuseChains):
            chains |= rule.operators
        else:
            delegate = rule
    return _Compiled(frozenset(aliases), frozenset(decomposed), padded, folds, fusions, frozenset(chains), delegate)


@dataclass(slots=True, eq=False)
class _Storage:
    """Memory of one activation: elements, type, who writes it, who reads it."""

    name: str
    elements: int
    dtype: DType
    depth: int = 0
    constant: bool = False
    writer: _Open | None = None
    readers: list[_Open] = field(default_factory=list)
    uses: int = 0
    half_readers: int = 0
    is_output: bool = False


@dataclass(slots=True, eq=False)
class _Open:
    """A kernel that may still grow."""

    name: str
    anchor: str
    position: int
    dtype: DType
    depth: int = 0
    chain: bool = False
    operators: list[str] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    reads: list[tuple[_Storage, int]] = field(default_factory=list)
    constant_elements: int = 0
    written_weight_bytes: int = 0
    writes: list[_Storage] = field(default_factory=list)
    last: str = ""
    folded: bool = False
    merged_into: _Open | None = None


class _Lowering:
    """The state of one `lower` call."""

    def __init__(self, graph: Graph, rules: RuleSet, dtype: str) -> None:
        self.graph, self.rules, self.dtype = graph, rules, dtype
        self.compiled = _compile(rules)
        self.amp = dtype == "amp"
        self.half = DType.FP16
        self.floating = DType.FP32 if self.amp else DType.named(dtype)
        self.kernels: list[_Open] = []
        self.storage: dict[tuple[str, int], _Storage] = {}
        self.exposed: dict[tuple[str, int], int] = {}  # elements of a view where they differ from its storage's
        self.inputs: list[_Storage] = []
        self.stored_weight_bytes = 0
        self.boundary = self._boundary()

    def program(self) -> Program:
        """Run the three steps."""
        graph = self.graph
        for name, spec in graph.inputs.items():
            made = _Storage(name, spec.numel, self._stored(spec.dtype))
            self.storage[name, 0] = made
            self.inputs.append(made)
        uses = self._count_uses()
        for position, node in enumerate(graph.nodes):
            self._place(node, position, uses)
        for ref in graph.outputs:
            self.storage[ref].is_output = True
        kernels = [kernel for kernel in self.kernels if kernel.merged_into is None]
        for kernel in kernels:
            for storage, _ in kernel.reads:
                storage.readers.append(kernel)
        program = self._assemble(self._ordered(kernels))
        for kernel in self.kernels:  # kernels and storages refer to each other; parted, they are freed at once
            kernel.reads.clear()
            kernel.writes.clear()
        return program

    # -- step 1: operators into open kernels ---------------------------------------------------------------------

    def _count_uses(self) -> dict[tuple[str, int], int]:
        """How many operators and outputs read each tensor, through views and dropped operators."""
        aliases = self.compiled.aliases
        root: dict[tuple[str, int], tuple[str, int]] = {}
        uses: dict[tuple[str, int], int] = {}
        for node in self.graph.nodes:
            if node.operator.__class__.__name__ in aliases:
                if node.arguments:
                    source = root.get(node.arguments[0], node.arguments[0])
                    for output in range(len(node.outputs)):
                        root[node.name, output] = source
                continue
            for ref in node.arguments:
                read = root.get(ref, ref)
                uses[read] = uses.get(read, 0) + 1
        for ref in self.graph.outputs:
            read = root.get(ref, ref)
            uses[read] = uses.get(read, 0) + 1
        return uses

    def _place(self, node: Node, position: int, uses: dict[tuple[str, int], int]) -> None:
        """Turn one operator into what the rules make of it."""
        kind = node.operator.__class__.__name__
        compiled = self.compiled
        if kind in compiled.aliases:
            self._alias(node)
            return
        arguments: list[tuple[_Storage, int]] = []
        for ref in node.arguments:
            storage = self.storage[ref]
            arguments.append((storage, self.exposed.get(ref, storage.elements) if self.exposed else storage.elements))
        if len(arguments) == 1 and node.work.elements_read < arguments[0][1]:
            arguments = [(arguments[0][0], node.work.elements_read)]  # a slice reads what it returns, a lookup its indices
        host = self._host(node, kind, arguments)
        if host is not None and host.position < self.boundary <= position:
            host = None  # the kernel runs on the delegate, this operator on the host
        if self.amp:
            arguments = self._cast(node, position, arguments, free=host is not None)
        if kind in compiled.padded:
            arguments = self._pad(node, position, arguments, compiled.padded[kind])
        if host is not None:
            self._join(host, node, kind, position, arguments)
        elif kind in compiled.decomposed:
            host = self._decompose(node, kind, position, arguments)
        else:
            host = self._open(node.name, node, kind, node.work, position, arguments)
        depth = 0
        for storage, _ in arguments:
            if storage.depth > depth:
                depth = storage.depth
        if not host.chain:
            depth += 1
        host.depth = depth = max(depth, host.depth)
        host.writes.extend(self._produce(node, host, depth, uses))
        host.last = kind

    def _alias(self, node: Node) -> None:
        """Outputs that are their first input's bytes; a learned tensor has bytes of its own."""
        if not node.arguments:
            made = _Storage(node.name, node.outputs[0].numel, self._stored(node.outputs[0].dtype), constant=True)
            self.storage[node.name, 0] = made
            self.stored_weight_bytes += made.elements * made.dtype.itemsize
            return
        source = self.storage[node.arguments[0]]
        for output, spec in enumerate(node.outputs):
            self.storage[node.name, output] = source
            elements = spec.numel
            if elements != source.elements:
                self.exposed[node.name, output] = min(elements, source.elements)

    def _host(self, node: Node, kind: str, arguments: list[tuple[_Storage, int]]) -> _Open | None:
        """The open kernel that this operator joins, if a rule lets it."""
        compiled = self.compiled
        into = compiled.folds.get(kind)
        if into is not None:
            writer = arguments[0][0].writer
            if writer is not None and arguments[0][0].uses == 1 and writer.last in into and writer.writes[-1] is arguments[0][0]:
                return writer
        for fuse in compiled.fusions.get(kind, ()):
            if fuse.same_shape and any(elements != node.outputs[0].numel for _, elements in arguments):
                continue
            for storage, _ in arguments:
                writer = storage.writer
                if writer is not None and storage.uses == 1 and writer.anchor in fuse.into and writer.writes[-1] is storage:
                    return writer
        if kind in compiled.chains:
            return self._chain(arguments)
        return None

    def _chain(self, arguments: list[tuple[_Storage, int]]) -> _Open | None:
        """The chain kernel at this depth that produces an input; several are merged into the first."""
        depth = max((storage.depth for storage, _ in arguments), default=0)
        found: _Open | None = None
        for storage, _ in arguments:
            writer = storage.writer
            if writer is None or not writer.chain or writer.depth != depth:
                continue
            if found is None:
                found = writer
            elif writer is not found:
                self._merge(found, writer)
        return found

    def _merge(self, target: _Open, other: _Open) -> None:
        other.merged_into = target
        target.operators += other.operators
        target.works += other.works
        target.reads += other.reads
        target.writes = other.writes + target.writes
        target.constant_elements += other.constant_elements
        target.position = max(target.position, other.position)
        for storage in other.writes:
            storage.writer = target

    def _join(self, host: _Open, node: Node, kind: str, position: int, arguments: list[tuple[_Storage, int]]) -> None:
        """Add an operator to an open kernel."""
        host.operators.append(node.name)
        host.works.append(node.work)
        host.position = position
        host.folded |= host.last in self.compiled.folds.get(kind, ())
        if not host.chain:  # another operand may come from a chain of equal depth that later reads this result
            others = [storage.depth + 1 for storage, _ in arguments if storage.writer is not host]
            host.depth = max([host.depth, *others])
        self._read(host, arguments)

    def _decompose(self, node: Node, kind: str, position: int, arguments: list[tuple[_Storage, int]]) -> _Open:
        """Open one kernel for each part; each reads its operands and the result of the part before."""
        made: _Open | None = None
        written = 0
        for part in node.operator.parts(node.inputs, node.outputs):
            operands = [arguments[operand] for operand in part.operands]
            if made is not None:
                between = _Storage(made.name, written, self.floating, depth=made.depth, writer=made, uses=1)
                made.writes.append(between)
                operands.append((between, written))
            made = self._open(f"{node.name}/{part.suffix}", node, kind, part.work, position, operands)
            written = part.work.elements_written
        assert made is not None, f"{kind} has no parts"
        return made

    def _open(self, name: str, node: Node | None, kind: str, work: Work, position: int, arguments: list[tuple[_Storage, int]]) -> _Open:
        dtype = self.floating
        if self.amp:
            dtype = self.half if any(storage.dtype is self.half for storage, _ in arguments) else DType.FP32
            if node is not None and node.operator.autocast != "widest":
                dtype = self.half if node.operator.autocast == "half" else DType.FP32
        made = _Open(name, kind, position, dtype, chain=kind in self.compiled.chains)
        if node is not None:
            made.operators.append(node.name)
        made.works.append(work)
        self.kernels.append(made)
        self._read(made, arguments)
        return made

    def _read(self, kernel: _Open, arguments: list[tuple[_Storage, int]]) -> None:
        for storage, elements in arguments:
            if storage.constant:
                kernel.constant_elements += elements
            else:
                kernel.reads.append((storage, elements))
                storage.half_readers += kernel.dtype is self.half

    def _produce(self, node: Node, kernel: _Open, depth: int, uses: dict[tuple[str, int], int]) -> list[_Storage]:
        made = []
        for output, spec in enumerate(node.outputs):
            ref = (node.name, output)
            dtype = self._stored(spec.dtype)
            if self.amp and dtype.is_floating:
                dtype = self._autocast_result(node)
            storage = _Storage(node.name, spec.numel, dtype, depth=depth, writer=kernel, uses=uses.get(ref, 0))
            self.storage[ref] = storage
            made.append(storage)
        return made

    # -- padding and casts -----------------------------------------------------------------------------------------

    def _pad(self, node: Node, position: int, arguments: list[tuple[_Storage, int]], unless_same: bool) -> list[tuple[_Storage, int]]:
        """A PAD kernel before a window operator, where the rules ask for one."""
        padding = node.operator.padding_of(*node.inputs)
        if padding is None or not padding.any or (unless_same and padding.is_same):
            return arguments
        batch, channels, height, width = node.inputs[0].shape
        padded = batch * channels * (height + padding.top + padding.bottom) * (width + padding.left + padding.right)
        (source, elements), *rest = arguments
        work = Work(kind=WorkKind.PAD, elements_read=elements, elements_written=padded)
        kernel = self._open(f"{node.name}/pad", None, "Pad", work, position, [(source, elements)])
        kernel.operators.append(node.name)
        result = _Storage(kernel.name, padded, source.dtype, depth=source.depth, writer=kernel, uses=1)
        kernel.writes.append(result)
        return [(result, padded), *rest]

    def _cast(self, node: Node, position: int, arguments: list[tuple[_Storage, int]], *, free: bool) -> list[tuple[_Storage, int]]:
        """Under autocast: the operands in the type that the operator wants, each change a kernel where casts are kernels."""
        wanted = self._wanted(node)
        if wanted is None or self.rules.casts == "fused" or free:
            return arguments
        result = []
        for storage, elements in arguments:
            if storage.dtype is not wanted and storage.dtype.is_floating:
                storage = self._cast_kernel(f"{node.name}/cast", node, position, storage, elements, wanted)
            result.append((storage, elements))
        if wanted is self.half and node.work.parameters:
            weights = _Storage(f"{node.name}/weight", node.work.parameters, DType.FP32, constant=True)
            self._cast_kernel(f"{node.name}/weight_cast", node, position, weights, node.work.parameters, wanted)
            self.kernels[-1].writes.clear()  # weights, not an activation
            self.kernels[-1].written_weight_bytes = node.work.parameters * wanted.itemsize
        return result

    def _cast_kernel(self, name: str, node: Node, position: int, storage: _Storage, elements: int, wanted: DType) -> _Storage:
        work = Work(kind=WorkKind.CAST, elements_read=elements, elements_written=elements)
        kernel = self._open(name, None, "Cast", work, position, [(storage, elements)])
        kernel.operators.append(node.name)
        cast = _Storage(name, elements, wanted, depth=storage.depth, writer=kernel, uses=1)
        kernel.writes.append(cast)
        return cast

    def _wanted(self, node: Node) -> DType | None:
        policy = node.operator.autocast
        if policy == "half":
            return self.half
        return DType.FP32 if policy == "full" else None

    def _autocast_result(self, node: Node) -> DType:
        wanted = self._wanted(node)
        if wanted is not None:
            return wanted
        types = {self.storage[ref].dtype for ref in node.arguments}
        return self.half if types and DType.FP32 not in types else DType.FP32

    def _stored(self, dtype: DType) -> DType:
        return self.floating if dtype.is_floating else dtype

    # -- step 2: order -----------------------------------------------------------------------------------------------

    def _ordered(self, kernels: list[_Open]) -> list[_Open]:
        """Kernels in an order in which every one follows what it reads; by position where nothing forces another."""
        if not self.compiled.chains:
            return sorted(kernels, key=lambda kernel: kernel.position)
        index = {id(kernel): number for number, kernel in enumerate(kernels)}
        waiting = [0] * len(kernels)
        followers: list[list[int]] = [[] for _ in kernels]
        for number, kernel in enumerate(kernels):
            sources = {index[id(storage.writer)] for storage, _ in kernel.reads if storage.writer is not None and storage.writer is not kernel}
            waiting[number] = len(sources)
            for source in sources:
                followers[source].append(number)
        ready = [(kernels[number].position, number) for number, count in enumerate(waiting) if count == 0]
        heapq.heapify(ready)
        ordered = []
        while ready:
            _, number = heapq.heappop(ready)
            ordered.append(kernels[number])
            for follower in followers[number]:
                waiting[follower] -= 1
                if waiting[follower] == 0:
                    heapq.heappush(ready, (kernels[follower].position, follower))
        assert len(ordered) == len(kernels), "fusion made a cycle of kernels"
        return ordered

    # -- step 3: bytes -----------------------------------------------------------------------------------------------

    def _assemble(self, ordered: list[_Open]) -> Program:
        """Buffers and kernels with their bytes."""
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
        kernels = tuple([self._kernel(kernel, index, bytes_of) for kernel in ordered])
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
            stored_weight_bytes=self.stored_weight_bytes - sum([node.work.parameters for node in self.graph.nodes if node.shares]) * self.floating.itemsize,
        )

    def _buffer(
        self, storage: _Storage, first: int, count: int, positions: dict[int, int], buffers: list[Buffer], index: dict[int, int], bytes_of: dict[int, int]
    ) -> None:
        itemsize = storage.dtype.itemsize
        inner = storage.writer is not None and storage.readers and not storage.is_output
        if self.amp and self.rules.casts == "fused" and inner and storage.half_readers == len(storage.readers):
            itemsize = self.half.itemsize  # the producer's epilogue writes the type that every reader wants
        bytes_of[id(storage)] = itemsize
        last = count if storage.is_output else max((positions[id(reader)] for reader in storage.readers), default=first)
        index[id(storage)] = len(buffers)
        buffers.append(Buffer(name=storage.name, nbytes=storage.elements * itemsize, first=first, last=last))

    def _kernel(self, kernel: _Open, index: dict[int, int], bytes_of: dict[int, int]) -> Kernel:
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
        weight_bytes, stored = self._weight_bytes(kernel)
        self.stored_weight_bytes += stored
        return Kernel(
            name=kernel.name,
            operators=tuple(kernel.operators),
            kind=works[0].kind,
            works=tuple(works),
            dtype=kernel.dtype,
            read_bytes=sum([elements * bytes_of[storage_id] for storage_id, elements in read.items()]),
            write_bytes=sum([storage.elements * bytes_of[id(storage)] for storage in written]) + kernel.written_weight_bytes,
            weight_bytes=weight_bytes,
            inputs=tuple([index[storage_id] for storage_id in read]),
            outputs=tuple([index[id(storage)] for storage in written]),
            partition="" if delegate is None else delegate.partition if kernel.position < self.boundary else HOST,
        )

    def _weight_bytes(self, kernel: _Open) -> tuple[int, int]:
        """Parameter bytes of a kernel: (read in one pass, stored in a model file).

        Biases take 4 bytes under int8. Under autocast weights are stored in fp32; eager mode casts them in a kernel of its
        own, inductor in passing (reads 4 bytes, writes 2, reads 2). A lookup reads only the rows it returns.
        """
        itemsize = self.floating.itemsize
        read, stored = kernel.constant_elements * itemsize, 0
        for number, work in enumerate(kernel.works):
            if work.kind in CONTRACTIONS:
                weights, bias = _weights_and_bias(work, folded=kernel.folded and number == 0)
                biases = bias * (4 if self.floating is DType.INT8 else itemsize)
                stored += weights * itemsize + biases
                read += weights * ((2 if self.rules.casts == "kernels" else 8) if self.amp else itemsize) + biases
            elif work.parameters and not (kernel.folded and number == 1):  # what is folded follows the contraction at once
                stored += work.parameters * itemsize
                read += (work.elements_written if work.kind is WorkKind.GATHER else work.parameters) * itemsize
        return read, stored

    def _boundary(self) -> int:
        """Position of the first operator that the delegate does not take."""
        delegate = self.compiled.delegate
        if delegate is None:
            return len(self.graph.nodes)
        for position, node in enumerate(self.graph.nodes):
            if type(node.operator).__name__ not in delegate.operators:
                return position
        return len(self.graph.nodes)


def _weights_and_bias(work: Work, *, folded: bool) -> tuple[int, int]:
    """Weight and bias elements of a contraction; folding a batch norm leaves a bias for every output channel."""
    if work.kind in (WorkKind.MATMUL, WorkKind.ATTENTION):
        return 0, 0
    weights = work.n * work.k * work.groups
    channels = work.n * work.groups // (work.taps if work.kind is WorkKind.TRANSPOSED else 1)
    return weights, channels if folded else work.parameters - weights
