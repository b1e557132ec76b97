"""What each operator of a network took, out of the profile of a runtime: torch.profiler's trace or onnxruntime's profile, of a CPU.

Profiles name operators as the runtime does, so that an operator is told by its group (what kind of work), and where the profile states shapes by its
multiply-accumulates and the elements that it writes. Of several passes each operator has the median; the first of onnxruntime's only warms up.
"""

from __future__ import annotations

import math
import os
import re
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from costmodel.errors import InvalidFileError, printable
from costmodel.files import read_bytes
from costmodel.measuring.logs import MAX_BYTES, Source, parse
from costmodel.work import WorkKind

#: The group of each kind of work; kinds that are in none move elements.
GROUPS = {
    **dict.fromkeys((WorkKind.CONVOLUTION, WorkKind.POINTWISE, WorkKind.DEPTHWISE, WorkKind.GROUPED, WorkKind.TRANSPOSED), "convolution"),
    **dict.fromkeys((WorkKind.LINEAR, WorkKind.MATMUL), "product"),
    WorkKind.ATTENTION: "attention",
    WorkKind.RECURRENT: "recurrent",
    **dict.fromkeys((WorkKind.ELEMENTWISE, WorkKind.BATCH_NORM), "elementwise"),
    WorkKind.NORMALISATION: "normalisation",
    WorkKind.SOFTMAX: "softmax",
    **dict.fromkeys((WorkKind.POOLING, WorkKind.REDUCTION), "pooling"),
    WorkKind.CONCAT: "concat",
}
MOVES = "move"
#: Groups of torch's operators by a beginning of their names, the longest first; others are elementwise, and views move nothing.
_ATEN = {
    "conv": "convolution",
    "linear": "product",
    **dict.fromkeys(("addmm", "mm", "matmul", "bmm", "baddbmm", "einsum"), "product"),
    "scaled_dot_product_attention": "attention",
    **dict.fromkeys(("lstm", "gru", "rnn_tanh"), "recurrent"),
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "local_response_norm"), "normalisation"),
    **dict.fromkeys(("softmax", "log_softmax"), "softmax"),
    **dict.fromkeys(("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "mean", "sum"), "pooling"),
    **dict.fromkeys(("cat", "concat", "stack"), "concat"),
    **dict.fromkeys(("pad", "constant_pad_nd", "clone", "contiguous", "copy_", "to", "upsample", "index", "roll"), MOVES),
}
_VIEWS = frozenset(
    {
        *("view", "reshape", "flatten", "permute", "transpose", "t", "unsqueeze", "squeeze", "expand"),
        *("chunk", "split", "slice", "select", "detach", "dropout", "size"),
    }
)
#: Groups of ONNX operators; others are elementwise.
_ONNX = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvTranspose"), "convolution"),
    **dict.fromkeys(("Gemm", "FusedGemm", "MatMul", "FusedMatMul"), "product"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "recurrent"),
    **dict.fromkeys(("LayerNormalization", "SkipLayerNormalization", "InstanceNormalization", "LRN"), "normalisation"),
    **dict.fromkeys(("Softmax", "LogSoftmax"), "softmax"),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum"), "pooling"),
    "Concat": "concat",
    **dict.fromkeys(
        ("ReorderInput", "ReorderOutput", "Transpose", "Slice", "Split", "Expand", "Tile", "Pad", "Resize", "Gather", "Cast", "DepthToSpace"), MOVES
    ),
}
_ONNX_VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape"})
_US = 1e-6
#: Microseconds that an operator takes at the most: eleven days.
_LONGEST_US = 1e12


class MeasuredOperator(NamedTuple):
    """An operator of a profile: its name there, its group, seconds, and counts where the profile states shapes."""

    name: str
    group: str
    seconds: float
    macs: int | None = None
    outputs: int | None = None


def read_operators(path: str | os.PathLike[str]) -> tuple[str, tuple[MeasuredOperator, ...]]:
    """(tool, its operators in the order in which they ran, views left out).

    Raises
    ------
    InvalidFileError
        If the file is no such profile, is cut off, or is of a GPU: names the line, or what to do.
    """
    where = os.fspath(path)
    source = parse(read_bytes(where, MAX_BYTES).decode("utf-8", errors="replace"), where)
    if isinstance(source.document, dict) and isinstance(source.document.get("traceEvents"), list):
        return "torch.profiler", _torch(source)
    if isinstance(source.document, list):
        return "onnxruntime", _onnxruntime(source)
    what = f"line {source.broken[0]}: {source.broken[1]}" if source.broken else "it is no JSON"
    raise InvalidFileError(f"{where}: no profile of operators ({what}); write one by torch.profiler's export_chrome_trace, or onnxruntime's enable_profiling")


Event = dict[str, Any]


def _torch(source: Source) -> tuple[MeasuredOperator, ...]:
    events = [event for event in source.document["traceEvents"] if isinstance(event, dict) and event.get("ph") == "X" and _is_timed(event)]
    if any(event.get("cat") in ("kernel", "gpu_memcpy") for event in events):
        raise InvalidFileError(f"{source.path}: a trace of a GPU, whose kernels are not matched here; `costmodel ingest` reads its total")
    every = [event for event in events if event.get("cat") == "cpu_op"]
    _require_durations(source, every)
    operators = _outermost(every)
    steps = [event for event in events if re.fullmatch(r"ProfilerStep#\d+", str(event.get("name")))]
    passes = [[event for event in operators if step["ts"] <= event["ts"] < step["ts"] + step["dur"]] for step in steps] or [operators]
    passes = [of for of in passes if of]
    if not passes:
        raise InvalidFileError(f"{source.path}: no operator (cat cpu_op) in the trace: nothing ran while it was taken")
    names = [[str(event["name"]) for event in of] for of in passes]
    if any(found != names[-1] for found in names):
        raise InvalidFileError(f"{source.path}: the steps ran different operators; profile steps that do the same, or a single pass")
    found = []
    for position, event in enumerate(passes[-1]):
        group = _aten_group(str(event["name"]).removeprefix("aten::"))
        if group is not None:
            found.append(MeasuredOperator(str(event["name"]), group, statistics.median(float(of[position]["dur"]) for of in passes) * _US))
    return tuple(found)


def _is_timed(event: Event) -> bool:
    return all(isinstance(event.get(name), int | float) for name in ("ts", "dur"))


def _require_durations(source: Source, operators: Iterable[Event]) -> None:
    """Refuse operators that end before they begin, or never."""
    for event in operators:
        if not 0 <= event["dur"] <= _LONGEST_US:
            name = printable(str(event.get("name")))
            raise InvalidFileError(f"{source.path}: operator {name} takes {str(event['dur'])[:20]} us (dur): the profile is damaged; write it again")


def _outermost(events: Iterable[Event]) -> list[Event]:
    """Operators that no other one called, thread by thread, in the order of time."""
    ends: dict[Any, float] = {}
    found = []
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        if event["ts"] >= ends.get(event.get("tid"), -math.inf):
            ends[event.get("tid")] = event["ts"] + event["dur"]
            found.append(event)
    return found


def _aten_group(name: str) -> str | None:
    """The group of a torch operator; None of a view."""
    plain = name.strip("_")
    if name in _VIEWS or plain in _VIEWS:
        return None
    best = max((known for known in _ATEN if plain.startswith(known)), key=len, default="")
    return _ATEN.get(best, "elementwise")


def _onnxruntime(source: Source) -> tuple[MeasuredOperator, ...]:
    times: dict[str, list[float]] = {}
    about: dict[str, Event] = {}
    for event in source.document:
        if isinstance(event, dict) and event.get("cat") == "Node" and str(event.get("name", "")).endswith("_kernel_time") and _is_timed(event):
            _require_durations(source, (event,))
            name = str(event["name"]).removesuffix("_kernel_time")
            times.setdefault(name, []).append(float(event["dur"]))
            about[name] = event.get("args") or {}
    if not times:
        raise InvalidFileError(f"{source.path}: no operator (cat Node) in the profile: run the model between enabling and ending it")
    if any("CPU" not in str(args.get("provider", "CPU")) for args in about.values()):
        raise InvalidFileError(f"{source.path}: a profile of another provider than the CPU's, whose kernels are not matched here")
    found = []
    for name, taken in times.items():
        operator = str(about[name].get("op_name", ""))
        if operator not in _ONNX_VIEWS:
            group = _ONNX.get(operator, "elementwise")
            seconds = statistics.median(taken[1:] or taken) * _US
            found.append(MeasuredOperator(name, group, seconds, *_counts(group, about[name])))
    return tuple(found)


def _counts(group: str, about: Event) -> tuple[int | None, int | None]:
    """(multiply-accumulates of a convolution, elements written), where the shapes are stated."""
    written = [math.prod(shape) for entry in about.get("output_type_shape") or () for shape in entry.values()]
    read = [shape for entry in about.get("input_type_shape") or () for shape in entry.values()]
    outputs = sum(written) if written else None
    macs = outputs * math.prod(read[1][1:]) if outputs and group == "convolution" and len(read) > 1 and len(read[1]) == 4 else None
    return macs, outputs
