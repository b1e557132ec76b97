"""`lower`: apply a rule set to a graph.

Three steps. (1) Walk the operators in execution order; each becomes nothing (dropped, a view), one or several open
kernels, or part of an open kernel. (2) Order the kernels. (3) Count what each reads and writes: a tensor that lives only
inside one kernel does not exist in memory.

A *storage* is memory that holds an activation; views share their source's storage. Depth is the number of kernels outside
chains on the longest path to a tensor: chain operators may share a kernel only at equal depth, which makes a cycle of
kernels impossible with one integer each.
"""

from __future__ import annotations

from dataclasses import replace

from costmodel.errors import UsageError
from costmodel.graph import Graph, Node
from costmodel.kernel import Program
from costmodel.lowering._assemble import Assembly
from costmodel.lowering._attention import FUSED_RANK, FusedAttention, Step, checks, composed_attentions, fused_attentions, steps
from costmodel.lowering._called import as_called
from costmodel.lowering._order import in_order_of_reads
from costmodel.lowering._rules import ARITHMETIC, RuleSet
from costmodel.lowering._state import HALF, Open, Storage, compile_rules
from costmodel.lowering._strides import NHWC, Strides, channels_innermost, has_channels_innermost, in_order, of_results, of_view, rows_of_heads, wants
from costmodel.lowering._uses import count_uses, recomputed_results
from costmodel.tensor import PRECISIONS, DType
from costmodel.work import Work, WorkKind


def lower(graph: Graph, rules: RuleSet, dtype: str = "fp32", layout: str = "nchw") -> Program:
    """The program that a runtime with `rules` launches for `graph` in `dtype`.

    Parameters
    ----------
    dtype : ``fp32``, ``fp16``, ``bf16``, ``int8`` (weights and activations 1 byte, biases 4, but for what rules leave in fp32), or ``amp``: contractions in
        fp16, norms and softmax in fp32, every change of type a kernel of its own where the rules say so.
    layout : of images and filters: ``nchw``, or ``nhwc`` with channels innermost. Only rules that say what becomes of strides tell them apart.

    Raises
    ------
    UsageError
        If `dtype` is none of these.
    """
    if dtype not in PRECISIONS:
        raise UsageError(f"dtype must be one of {', '.join(PRECISIONS)}, not {dtype!r}")
    return _Lowering(graph, rules, dtype, layout).program()


class _Lowering:
    """The state of one `lower` call."""

    def __init__(self, graph: Graph, rules: RuleSet, dtype: str, layout: str) -> None:
        self.graph, self.rules, self.dtype, self.layout = graph, rules, dtype, layout
        self.strides: dict[tuple[str, int], Strides] | None = None if rules.strides == "ignored" else {}
        self.compiled = compile_rules(rules)
        self.amp = dtype == "amp"
        self.floating = DType.FP32 if self.amp else DType.named(dtype)
        self.unquantised = self.floating if self.compiled.requantised or self.floating is not DType.INT8 else DType.FP32  # what no `Quantise` names
        self.kernels: list[Open] = []
        self.storage: dict[tuple[str, int], Storage] = {}
        self.exposed: dict[tuple[str, int], int] = {}  # elements of a view where they differ from its storage's
        self.inputs: list[Storage] = []
        self.float_read: set[tuple[str, int]] = set()
        self.constant_bytes = 0
        self.recomputed = recomputed_results(graph, self.compiled)
        self.delegated = self._delegated()
        self.computed = DType.FP32 if rules.composed_attention == "full" else HALF if self.amp else self.floating
        self.composed = composed_attentions(graph, self.computed) if self.amp and rules.fused_attention else {}

    def program(self) -> Program:
        """Run the three steps."""
        graph = self.graph
        for name, spec in graph.inputs.items():
            made = Storage(name, spec.numel, self._stored(spec.dtype))
            self.storage[name, 0] = made
            self.inputs.append(made)
            if self.strides is not None:
                innermost = self.layout == NHWC and len(spec.shape) == 4
                self.strides[name, 0] = channels_innermost(spec.shape) if innermost else in_order(spec.shape)
        uses, self.float_read = count_uses(graph, self.compiled, int8=self.floating is DType.INT8)
        calls = {call.nodes[-1].name: call for call in fused_attentions(graph, self.rules.mask_ranks)} if self.rules.fused_attention else {}
        inside = {node.name for call in calls.values() for node in call.nodes}
        for position, node in enumerate(graph.nodes):
            if node.name in calls:
                self._attend(calls[node.name], position, uses)
            elif node.name not in inside:
                self._place(node, position, uses)
        for ref in graph.outputs:
            self.storage[ref].is_output = True
        kernels = [kernel for kernel in self.kernels if kernel.merged_into is None]
        for kernel in kernels:
            for storage, _ in kernel.reads:
                storage.readers.append(kernel)
        assembly = Assembly(
            graph,
            self.rules,
            self.compiled,
            floating=self.floating,
            amp=self.amp,
            storage=self.storage,
            inputs=self.inputs,
            delegated=self.delegated,
            constant_bytes=self.constant_bytes,
        )
        program = assembly.program(self._ordered(kernels))
        for kernel in self.kernels:  # kernels and storages refer to each other; parted, they are freed at once
            kernel.reads.clear()
            kernel.writes.clear()
        return program

    # -- step 1: operators into open kernels ---------------------------------------------------------------------

    def _place(self, node: Node, position: int, uses: dict[tuple[str, int], int]) -> None:
        """Turn one operator into what the rules make of it."""
        kind = node.operator.__class__.__name__
        compiled = self.compiled
        if kind in compiled.aliases or (node.work.kind is WorkKind.VIEW and node.arguments):
            if self._views(node):
                self._alias(node)
            else:
                self._copy(node, position, uses)
            return
        arguments: list[tuple[Storage, int]] = []
        for ref in node.arguments:
            storage = self.storage[ref]
            arguments.append((storage, self.exposed.get(ref, storage.elements) if self.exposed else storage.elements))
        if len(arguments) == 1 and node.work.elements_read < arguments[0][1]:
            arguments = [(arguments[0][0], node.work.elements_read)]  # a slice reads what it returns, a lookup its indices
        if kind in compiled.widened and self.floating is HALF:
            self._widen(node, kind, position, arguments, uses)
            return
        host = self._host(node, kind, arguments)
        if host is not None and host.position in self.delegated and position not in self.delegated:
            host = None  # the kernel runs on the delegate, this operator on the host
        innermost = self.strides is not None and self._lay(node, position, arguments)
        if self.amp:
            arguments = self._cast(node, position, arguments, free=host is not None)
        if kind in compiled.quantised and self.floating is DType.INT8:
            arguments = self._quantise(node, position, arguments)
        if kind in compiled.padded:
            arguments = self._pad(node, position, arguments, compiled.padded[kind])
        if host is not None:
            self._join(host, node, kind, position, arguments)
        elif kind == "ScaledDotProductAttention" and self.rules.fused_attention and len(node.inputs[0].shape) != FUSED_RANK:
            host = self._compose(node, kind, position, arguments)
        elif kind in compiled.decomposed:
            host = self._decompose(node, kind, position, arguments)
        else:
            work, arguments = self._called(node, position, arguments)
            host = self._open(node.name, node, kind, work, position, arguments)
        if innermost and host.anchor == kind:
            host.layout = NHWC
        depth = 0
        for storage, _ in arguments:
            if storage.depth > depth:
                depth = storage.depth
        if not host.chain or self._reduces_again(kind, arguments):
            depth += 1
        host.depth = depth = max(depth, host.depth)
        host.writes.extend(self._produce(node, host, depth, uses))
        host.last = kind
        if kind == "Softmax" and self.composed.get(node.name) is DType.FP32 and self.rules.casts == "kernels":
            elements = node.outputs[0].numel
            self._run(node, kind, position, checks(elements, 0, 1, HALF), {0: arguments[0], 1: (host.writes[-1], elements)})

    def _called(self, node: Node, position: int, arguments: list[tuple[Storage, int]]) -> tuple[Work, list[tuple[Storage, int]]]:
        """The work of an operator as the runtime calls it, and what it reads then."""
        work, before = as_called(node, self.rules)
        if before is None:
            return work, arguments
        sources = arguments[:1] if before.replaces else []
        made = self._moved(f"{node.name}/{before.suffix}", node, position, sources, before.elements)
        return work, [(made, before.elements), *arguments[len(sources) :]] if before.replaces else [*arguments, (made, before.elements)]

    def _compose(self, node: Node, kind: str, position: int, arguments: list[tuple[Storage, int]]) -> Open:
        """Attention as its parts, in the precision that the rules say where operands are in half precision."""
        chosen = steps(node, HALF if self.amp else self.floating, self.computed, fused=self.rules.casts == "fused")
        made = self._run(node, kind, position, chosen, dict(enumerate(arguments)))
        made.writes.clear()  # the result is the operator's own
        return made

    def _run(self, node: Node, kind: str, position: int, chosen: list[Step], known: dict[int | str, tuple[Storage, int]]) -> Open:
        """A kernel for each step, of which the last is returned; `known` is what steps may read."""
        for step in chosen:
            made = self._open(f"{node.name}/{step.suffix}", node, kind, step.work, position, [known[name] for name in step.reads])
            made.dtype = step.dtype
            made.written_weight_bytes = 0 if step.read else step.work.elements_written * step.result.itemsize  # no activation of the network
            made.writes.append(Storage(made.name, step.work.elements_written, step.result, depth=made.depth, writer=made, uses=1))
            known[step.suffix] = (made.writes[0], step.work.elements_written)
        return self.kernels[-1]

    def _attend(self, call: FusedAttention, position: int, uses: dict[tuple[str, int], int]) -> None:
        """One kernel for products, softmax and what is added between them; results of all heads of a row lie together."""
        node = call.nodes[-1]
        arguments = [(self.storage[ref], self.exposed.get(ref, self.storage[ref].elements)) for ref in call.reads]
        if self.amp:
            arguments = self._cast(node, position, arguments, free=False)
        kernel = self._open(node.name, node, "ScaledDotProductAttention", call.work, position, arguments)
        for member in call.nodes[:-1]:
            kernel.operators.append(member.name)
            kernel.works.append(Work(kind=WorkKind.VIEW, parameters=member.work.parameters))
        kernel.depth = max((storage.depth for storage, _ in arguments), default=0) + 1
        kernel.writes.extend(self._produce(node, kernel, kernel.depth, uses))
        if self.strides is not None:
            self.strides[node.name, 0] = rows_of_heads(node.outputs[0].shape)

    def _alias(self, node: Node) -> None:
        """Outputs that are their first input's bytes; a learned tensor has bytes of its own."""
        if not node.arguments:
            made = Storage(node.name, node.outputs[0].numel, self._stored(node.outputs[0].dtype), constant=True)
            self.storage[node.name, 0] = made
            self.constant_bytes += made.elements * made.dtype.itemsize
            return
        source = self.storage[node.arguments[0]]
        for output, spec in enumerate(node.outputs):
            self.storage[node.name, output] = source
            if spec.numel != source.elements:
                self.exposed[node.name, output] = min(spec.numel, source.elements)

    def _host(self, node: Node, kind: str, arguments: list[tuple[Storage, int]]) -> Open | None:
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
                if writer is None or storage.uses != 1 or writer.anchor not in fuse.into or writer.writes[-1] is not storage:
                    continue
                if self.floating is not DType.INT8 or writer.anchor not in compiled.apart or (node.name, 0) not in self.float_read:
                    return writer
        if kind in compiled.chains and not self._reduces_again(kind, arguments):
            return self._chain(arguments)
        return None

    def _reduces_again(self, kind: str, arguments: list[tuple[Storage, int]]) -> bool:
        """Whether an operator is a reduction of what each kernel computes again."""
        rule = self.compiled.recompute
        return rule is not None and kind in rule.reductions and arguments[0][0].recomputed

    def _chain(self, arguments: list[tuple[Storage, int]]) -> Open | None:
        """The chain kernel at this depth that produces an input; several are merged into the first."""
        depth = max((storage.depth for storage, _ in arguments), default=0)
        found: Open | None = None
        for storage, _ in arguments:
            writer = storage.writer
            if writer is None or not writer.chain or writer.depth != depth:
                continue
            if found is None:
                found = writer
            elif writer is not found:
                self._merge(found, writer)
        return found

    def _merge(self, target: Open, other: Open) -> None:
        other.merged_into = target
        target.operators += other.operators
        target.works += other.works
        target.reads += other.reads
        target.writes = other.writes + target.writes
        target.constant_elements += other.constant_elements
        target.position = max(target.position, other.position)
        for storage in other.writes:
            storage.writer = target

    def _join(self, host: Open, node: Node, kind: str, position: int, arguments: list[tuple[Storage, int]]) -> None:
        """Add an operator to an open kernel."""
        host.operators.append(node.name)
        host.works.append(node.work)
        host.position = position
        host.folded |= host.last in self.compiled.folds.get(kind, ())
        if not host.chain:  # another operand may come from a chain of equal depth that later reads this result
            others = [storage.depth + 1 for storage, _ in arguments if storage.writer is not host]
            host.depth = max([host.depth, *others])
        self._read(host, arguments)

    def _decompose(self, node: Node, kind: str, position: int, arguments: list[tuple[Storage, int]]) -> Open:
        """Open one kernel for each part; each reads its operands and the result of the part before."""
        made: Open | None = None
        written = 0
        absorbed = self.compiled.decomposed.get(kind, frozenset())
        for part in node.operator.parts(node.inputs, node.outputs):
            if made is not None and part.suffix in absorbed:
                before = made.works[-1]
                made.works[-1] = replace(
                    before, other_flops=before.other_flops + part.work.other_flops, transcendentals=before.transcendentals + part.work.transcendentals
                )
                continue
            operands = [arguments[operand] for operand in part.operands]
            if made is not None:
                between = Storage(made.name, written, self.unquantised, depth=made.depth, writer=made, uses=1)
                made.writes.append(between)
                operands.append((between, written))
            made = self._open(f"{node.name}/{part.suffix}", node, kind, part.work, position, operands)
            written = part.work.elements_written
        assert made is not None, f"{kind} has no parts"
        return made

    def _open(self, name: str, node: Node | None, kind: str, work: Work, position: int, arguments: list[tuple[Storage, int]]) -> Open:
        dtype = self.floating if node is None or kind in self.compiled.quantised else self.unquantised
        if self.amp:
            dtype = HALF if any(storage.dtype is HALF for storage, _ in arguments) else DType.FP32
            if node is not None:
                dtype = self._wanted(node) or dtype
        made = Open(name, kind, position, dtype, chain=kind in self.compiled.chains)
        if node is not None:
            made.operators.append(node.name)
        made.works.append(work)
        self.kernels.append(made)
        self._read(made, arguments)
        return made

    def _read(self, kernel: Open, arguments: list[tuple[Storage, int]]) -> None:
        for storage, elements in arguments:
            if storage.constant:
                kernel.constant_elements += elements
            else:
                kernel.reads.append((storage, elements))
                storage.half_readers += kernel.dtype is HALF

    def _produce(self, node: Node, kernel: Open, depth: int, uses: dict[tuple[str, int], int]) -> list[Storage]:
        made = []
        for output, spec in enumerate(node.outputs):
            ref = (node.name, output)
            dtype = self._stored(spec.dtype)
            if self.amp and dtype.is_floating:
                dtype = self._autocast_result(node)
            storage = Storage(node.name, spec.numel, dtype, depth=depth, writer=kernel, uses=uses.get(ref, 0), float_read=ref in self.float_read)
            storage.recomputed = ref in self.recomputed
            self.storage[ref] = storage
            made.append(storage)
        return made

    # -- strides ---------------------------------------------------------------------------------------------------

    def _views(self, node: Node) -> bool:
        """Whether the outputs of an operator that may be a view are one; notes their strides."""
        if self.strides is None:
            return True
        if not node.arguments:
            found: list[Strides] | None = [in_order(spec.shape) for spec in node.outputs]
        else:
            found = of_view(node, self.strides[node.arguments[0]])
        for output, spec in enumerate(node.outputs):
            self.strides[node.name, output] = in_order(spec.shape) if found is None else found[output]
        return found is not None or self.storage[node.arguments[0]].constant

    def _lay(self, node: Node, position: int, arguments: list[tuple[Storage, int]]) -> bool:
        """Copies of what an operator cannot read as it lies, in place of those `arguments`; whether it works on channels innermost."""
        assert self.strides is not None, "asked only where strides count"
        own = [self.strides[ref] for ref in node.arguments]
        for number, (strides, (storage, elements)) in enumerate(zip(own, arguments, strict=True)):
            if not storage.constant and self.rules.strides == "copied" and not wants(node, number, strides, self.layout):
                arguments[number] = (self._moved(f"{node.name}/copy", node, position, [(storage, elements)], elements), elements)
        results = of_results(node, own, self.layout)
        for output, strides in enumerate(results):
            self.strides[node.name, output] = strides
        return has_channels_innermost(node.outputs[0].shape, results[0])

    def _moved(self, name: str, node: Node, position: int, sources: list[tuple[Storage, int]], written: int) -> Storage:
        """Elements of sources, or of stored parameters where there are none, as an operator wants them: by a kernel of their own."""
        read = sum([elements for _, elements in sources])
        kernel = self._open(name, None, "Copy", Work(kind=WorkKind.COPY, elements_read=read, elements_written=written), position, sources)
        kernel.operators.append(node.name)
        kernel.dtype = sources[0][0].dtype if sources else self.floating
        depth = max([storage.depth for storage, _ in sources], default=0)
        copied = Storage(name, written, kernel.dtype, depth=depth + (not kernel.chain), writer=kernel, uses=1)
        kernel.depth = copied.depth
        kernel.writes.append(copied)
        return copied

    def _copy(self, node: Node, position: int, uses: dict[tuple[str, int], int]) -> None:
        """A reshape that must move its elements: a kernel, or part of a chain where the rules let it be."""
        ref = node.arguments[0]
        storage = self.storage[ref]
        elements = self.exposed.get(ref, storage.elements)
        host = self._chain([(storage, elements)]) if "Copy" in self.compiled.chains else None
        work = Work(kind=WorkKind.COPY, elements_read=elements, elements_written=elements)
        if host is None:
            host = self._open(node.name, node, "Copy", work, position, [(storage, elements)])
        else:
            host.operators.append(node.name)
            host.works.append(work)
            host.position = position
            self._read(host, [(storage, elements)])
        host.depth = max(host.depth, storage.depth + (not host.chain))
        made = Storage(node.name, elements, storage.dtype, depth=host.depth, writer=host, uses=uses.get((node.name, 0), 0) or uses.get(ref, 1))
        self.storage[node.name, 0] = made
        host.writes.append(made)
        host.last = "Copy"

    # -- padding and casts -----------------------------------------------------------------------------------------

    def _pad(self, node: Node, position: int, arguments: list[tuple[Storage, int]], unless_same: bool) -> list[tuple[Storage, int]]:
        """A PAD kernel before a window operator, where the rules ask for one."""
        padding = node.operator.padding_of(*node.inputs)
        if padding is None or not padding.any or (unless_same and padding.is_same):
            return arguments
        batch, channels, height, width = node.inputs[0].shape
        padded = batch * channels * (height + padding.top + padding.bottom) * (width + padding.left + padding.right)
        (source, elements), *rest = arguments
        work = Work(kind=WorkKind.PAD, elements_read=elements, elements_written=padded)
        kernel = self._open(f"{node.name}/pad", None, "Pad", work, position, [(source, elements)])
        kernel.dtype = source.dtype if self.unquantised is not self.floating else kernel.dtype
        kernel.operators.append(node.name)
        result = Storage(kernel.name, padded, source.dtype, depth=source.depth, writer=kernel, uses=1)
        kernel.writes.append(result)
        return [(result, padded), *rest]

    def _cast(self, node: Node, position: int, arguments: list[tuple[Storage, int]], *, free: bool) -> list[tuple[Storage, int]]:
        """Under autocast: the operands in the type that the operator wants, each change a kernel where casts are kernels."""
        wanted = self._wanted(node)
        if wanted is None or self.rules.casts == "fused" or free:
            return arguments
        result = []
        for storage, elements in arguments:
            if storage.dtype is not wanted and storage.dtype.is_floating:
                storage = self._cast_kernel(f"{node.name}/cast", node, position, storage, elements, wanted)
            result.append((storage, elements))
        if wanted is HALF and node.work.parameters:
            weights = Storage(f"{node.name}/weight", node.work.parameters, DType.FP32, constant=True)
            self._cast_kernel(f"{node.name}/weight_cast", node, position, weights, node.work.parameters, wanted)
            self.kernels[-1].writes.clear()  # weights, not an activation
            self.kernels[-1].written_weight_bytes = node.work.parameters * wanted.itemsize
        return result

    def _cast_kernel(self, name: str, node: Node, position: int, storage: Storage, elements: int, wanted: DType) -> Storage:
        work = Work(kind=WorkKind.CAST, elements_read=elements, elements_written=elements)
        kernel = self._open(name, None, "Cast", work, position, [(storage, elements)])
        kernel.operators.append(node.name)
        cast = Storage(name, elements, wanted, depth=storage.depth, writer=kernel, uses=1)
        kernel.writes.append(cast)
        return cast

    def _quantise(self, node: Node, position: int, arguments: list[tuple[Storage, int]]) -> list[tuple[Storage, int]]:
        """An int8 copy of the first argument, unless its writer computes in int8 and nobody reads it in floating point."""
        (storage, elements), *rest = arguments
        if storage.writer is not None and storage.writer.anchor in self.compiled.quantised and not storage.float_read:
            return arguments
        return [(self._cast_kernel(f"{node.name}/quantise", node, position, storage, elements, DType.INT8), elements), *rest]

    def _widen(self, node: Node, kind: str, position: int, arguments: list[tuple[Storage, int]], uses: dict[tuple[str, int], int]) -> None:
        """An operator that computes in fp32 where all else is in fp16, between casts."""
        wide = [(self._cast_kernel(f"{node.name}/widen", node, position, storage, elements, DType.FP32), elements) for storage, elements in arguments]
        kernel = self._open(node.name, node, kind, node.work, position, wide)
        kernel.dtype, kernel.last = DType.FP32, kind
        kernel.depth = max(storage.depth for storage, _ in wide) + 1
        elements = node.outputs[0].numel
        made = Storage(f"{node.name}/wide", elements, DType.FP32, depth=kernel.depth, writer=kernel, uses=1)
        kernel.writes.append(made)
        narrow = self._open(
            f"{node.name}/narrow", None, "Cast", Work(kind=WorkKind.CAST, elements_read=elements, elements_written=elements), position, [(made, elements)]
        )
        narrow.operators.append(node.name)
        narrow.depth, narrow.last = kernel.depth, "Cast"
        narrow.writes.extend(self._produce(node, narrow, narrow.depth, uses))

    def _wanted(self, node: Node) -> DType | None:
        if node.name in self.composed:
            return self.composed[node.name]
        policy = node.operator.autocast
        if policy == "half" or getattr(node.operator, "half", False):
            return HALF
        return DType.FP32 if policy == "full" else None

    def _autocast_result(self, node: Node) -> DType:
        wanted = self._wanted(node)
        if wanted is not None:
            return wanted
        if node.work.parameters and type(node.operator).__name__ in ARITHMETIC:
            return DType.FP32  # its own factors are parameters, which autocast leaves in fp32
        types = {self.storage[ref].dtype for ref in node.arguments}
        return HALF if types and DType.FP32 not in types else DType.FP32

    def _stored(self, dtype: DType) -> DType:
        return self.unquantised if dtype.is_floating else dtype

    # -- step 2: order -----------------------------------------------------------------------------------------------

    def _ordered(self, kernels: list[Open]) -> list[Open]:
        """Kernels in an order in which every one follows what it reads; the delegate's first, then by position where nothing forces another."""
        if not self.compiled.chains:
            return sorted(kernels, key=lambda kernel: (kernel.position not in self.delegated, kernel.position))
        return in_order_of_reads(kernels)

    def _delegated(self) -> frozenset[int]:
        """Positions of the operators that the delegate takes: all that it supports and that need no result of another.

        Whatever order a file lists branches in, these are one subgraph, which runs before everything else.
        """
        delegate = self.compiled.delegate
        if delegate is None:
            return frozenset()
        left: set[str] = set()
        taken: list[int] = []
        for position, node in enumerate(self.graph.nodes):
            if type(node.operator).__name__ in delegate.operators and not any(source in left for source, _ in node.arguments):
                taken.append(position)
            else:
                left.add(node.name)
        return frozenset(taken)
