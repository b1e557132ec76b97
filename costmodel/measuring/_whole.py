"""`measure_whole`: a network executed here by LiteRT or ONNX Runtime, as the file that `export` writes.

ONNX Runtime's own profile gives the time of each operator that its optimiser left; LiteRT tells Python of the whole alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from costmodel.calibration.local.backends import Backend, OnnxRuntime, backend
from costmodel.calibration.local.plan import Case
from costmodel.errors import UsageError
from costmodel.graph import Graph
from costmodel.reference import ContendedError, Measurement, OperatorTime, keep_memory
from costmodel.work import WorkKind

#: Name on the command line -> runtime.
RUNTIME_OF = {"torch": "torch-eager", "onnxruntime": "onnxruntime", "litert": "tflite-xnnpack"}
#: Operator of ONNX -> the kind of work that ours is; convolutions are told apart by their filters.
_KINDS = {
    "BatchNormalization": WorkKind.BATCH_NORM,
    "LayerNormalization": WorkKind.NORMALISATION,
    "SkipLayerNormalization": WorkKind.NORMALISATION,
    "InstanceNormalization": WorkKind.NORMALISATION,
    "LRN": WorkKind.NORMALISATION,
    "Gemm": WorkKind.LINEAR,
    "FusedGemm": WorkKind.LINEAR,
    "MatMul": WorkKind.MATMUL,
    "FusedMatMul": WorkKind.MATMUL,
    "MaxPool": WorkKind.POOLING,
    "AveragePool": WorkKind.POOLING,
    "GlobalAveragePool": WorkKind.REDUCTION,
    "ReduceMean": WorkKind.REDUCTION,
    "ReduceSum": WorkKind.REDUCTION,
    "Softmax": WorkKind.SOFTMAX,
    "Concat": WorkKind.CONCAT,
    "Pad": WorkKind.PAD,
    "Resize": WorkKind.RESIZE,
    "Gather": WorkKind.GATHER,
    "LSTM": WorkKind.RECURRENT,
    "GRU": WorkKind.RECURRENT,
}
_MOVES = frozenset(
    {"Transpose", "Slice", "Split", "Expand", "Tile", "Reshape", "ReorderInput", "ReorderOutput", "SpaceToDepth", "DepthToSpace", "GatherND", "Cast"}
)
_WARM_UP = 3


def measure_whole(graph: Graph, used: str, *, threads: int = 1, repeats: int = 9, attempts: int = 3, allow_contention: bool = False) -> Measurement:
    """Run `graph` here in ``onnxruntime`` or ``litert`` (XNNPACK) and time it; the other parameters are those of `costmodel.reference.measure`.

    Raises
    ------
    ContendedError
        If the machine was not quiet in any attempt: says what was seen.
    UsageError
        If a library is missing, or the numbers make no sense.
    CostModelError
        If the graph cannot be written as the backend's file.
    """
    if threads < 1 or repeats < 3:
        raise UsageError(f"measuring takes at least 1 thread and 3 repeats, not {threads} and {repeats}")
    keep_memory()
    engine = backend(RUNTIME_OF[used], threads=threads, layout="nchw")
    case = Case(name=graph.name, family=graph.name, role="anchor", graph=graph)
    run = engine.prepared(case, 1)
    operators = _operators(engine, case, repeats)
    for _ in range(attempts):
        found = _attempt(run, threads, repeats, operators)
        if not found.contended:
            return found
    if allow_contention:
        return found
    raise ContendedError(f"the machine is busy: {found.contended}; stop other programs and run this again")


def _attempt(run: Callable[[], Any], threads: int, repeats: int, operators: tuple[OperatorTime, ...]) -> Measurement:
    clock = time.process_time if threads == 1 else time.perf_counter
    for _ in range(_WARM_UP):
        run()
    taken = []
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        start = clock()
        run()
        taken.append(clock() - start)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall) / threads
    quartiles = statistics.quantiles(taken, n=4)
    median = statistics.median(taken)
    spread = (quartiles[2] - quartiles[0]) / median
    return Measurement(latency_s=median, spread=spread, cpu_share=share, threads=threads, repeats=repeats, operators=operators)


def _operators(engine: Backend, case: Case, repeats: int) -> tuple[OperatorTime, ...]:
    """What each operator takes, as ONNX Runtime's profile tells it; none of LiteRT's."""
    if not isinstance(engine, OnnxRuntime):
        return ()
    seconds: dict[tuple[str, WorkKind], list[float]] = {}
    for event in engine.profiled(case, _WARM_UP + repeats):
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith("_kernel_time"):
            seconds.setdefault((name.removesuffix("_kernel_time"), _kind(event["args"])), []).append(event["dur"] * 1e-6)
    return tuple(OperatorTime(name, kind, statistics.median(taken[_WARM_UP:])) for (name, kind), taken in seconds.items())


def _kind(about: dict[str, Any]) -> WorkKind:
    """The kind of work of an operator in a profile."""
    operator = about["op_name"]
    if operator in ("Conv", "FusedConv"):
        shapes = [shape for entry in about.get("input_type_shape", ()) for shape in entry.values()]
        return _convolution(shapes[0], shapes[1])
    if operator in _MOVES:
        return WorkKind.COPY
    return _KINDS.get(operator, WorkKind.ELEMENTWISE)


def _convolution(image: list[int], filters: list[int]) -> WorkKind:
    """The kind of a convolution with filters (C', C/groups, KH, KW).

    Examples
    --------
    >>> str(_convolution([1, 32, 8, 8], [32, 1, 3, 3]))
    'depthwise-convolution'
    """
    if filters[1] == 1 < image[1]:
        return WorkKind.DEPTHWISE
    if filters[1] < image[1]:
        return WorkKind.GROUPED
    return WorkKind.POINTWISE if filters[2:] == [1] * len(filters[2:]) else WorkKind.CONVOLUTION
