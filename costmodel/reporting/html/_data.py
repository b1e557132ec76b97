"""What the page's scripts work on, as one JSON document: the estimate, the graph, memory over time, ceilings, the what-if grid."""

from __future__ import annotations

from typing import Any

from costmodel.estimation import Estimate, KernelEstimate, lowered
from costmodel.graph import Graph
from costmodel.kernel import Program
from costmodel.reporting.html._modules import module_tree
from costmodel.reporting.html._whatif import grid

#: Fields of a kernel that the document lists as they are; its name and operators are numbers into `operators`.
_COLUMNS = tuple(name for name in KernelEstimate._fields if name not in ("name", "operators"))
#: Tensors that are listed at the memory's peak.
_LISTED_AT_PEAK = 8


def document(report: Estimate) -> dict[str, Any]:
    """Everything that scripts draw. ``report`` with ``kernels`` put back (`unpacked`) is `Estimate.to_dict`."""
    graph = report.graph
    program = lowered(graph, report.target, report.weights)
    names = [*graph.inputs, *(node.name for node in graph.nodes)]
    numbers = {name: number for number, name in enumerate(names)}
    modules, of = module_tree(names)
    plain = report.to_dict()
    costs: dict[tuple[Any, ...], int] = {}
    return {
        "report": {**plain, "kernels": []},
        "kernels": {"rows": [_row(kernel, numbers, costs) for kernel in report.kernels], "columns": _COLUMNS, "costs": list(costs)},
        "operators": {"names": names, "classes": _classes(graph), "shapes": _shapes(graph), "modules": of, "edges": _edges(graph, numbers)},
        "modules": modules,
        "memory": _memory(program),
        "ceilings": _ceilings(report),
        "whatif": grid(report),
    }


def unpacked(data: dict[str, Any]) -> dict[str, Any]:
    """The document of `Estimate.to_dict` from that of a page; what the page's own script does to offer it as a file."""
    names, costs = data["operators"]["names"], data["kernels"]["costs"]
    kernels = []
    for anchor, suffix, operators, cost in data["kernels"]["rows"]:
        first = {"name": (names[anchor] if anchor >= 0 else "") + suffix, "operators": [names[number] for number in operators]}
        kernels.append(first | dict(zip(_COLUMNS, costs[cost], strict=True)))
    return {**data["report"], "kernels": kernels}


def _row(kernel: KernelEstimate, numbers: dict[str, int], costs: dict[tuple[Any, ...], int]) -> list[Any]:
    """(anchor, suffix, operators, cost): anchor and suffix make up the name, for most kernels are called like an operator, or like
    one with a suffix; the cost is a number into `costs`, which equal kernels share.
    """
    operators = [numbers[name] for name in kernel.operators]
    base, slash, rest = kernel.name.partition("/")
    anchor = numbers.get(kernel.name, numbers.get(base, -1))
    suffix = kernel.name if anchor < 0 else "" if kernel.name in numbers else slash + rest
    values = kernel._asdict()
    cost = costs.setdefault(tuple(values[name] for name in _COLUMNS), len(costs))
    return [anchor, suffix, operators, cost]


def _classes(graph: Graph) -> list[str]:
    return [*("input" for _ in graph.inputs), *(type(node.operator).__name__ for node in graph.nodes)]


def _shapes(graph: Graph) -> list[str]:
    """The first output's shape and dtype of every operator."""
    return [*(str(spec) for spec in graph.inputs.values()), *(str(node.outputs[0]) if node.outputs else "" for node in graph.nodes)]


def _edges(graph: Graph, numbers: dict[str, int]) -> list[int]:
    """Source and target of every edge, one after another."""
    return [number for node in graph.nodes for ref in node.arguments for number in (numbers[ref.node], numbers[node.name])]


def _memory(program: Program) -> dict[str, Any]:
    """Live bytes at every kernel, and the largest tensors that live at the peak."""
    live = program.live_bytes
    at = max(range(len(live)), key=live.__getitem__, default=0)
    alive = sorted((buffer for buffer in program.buffers if buffer.first <= at <= buffer.last), key=lambda buffer: -buffer.nbytes)
    listed = [{"name": buffer.name, "nbytes": buffer.nbytes} for buffer in alive[:_LISTED_AT_PEAK]]
    return {"live_bytes": list(live), "peak_at": at, "at_peak": listed, "others": len(alive) - len(listed)}


def _ceilings(report: Estimate) -> dict[str, Any]:
    """Peaks by dtype, equal ones together, and bandwidths by memory level."""
    machine = report.target.machine
    peaks: dict[float, list[str]] = {}
    for dtype, rate in machine.peak_flops_per_s.items():
        peaks.setdefault(rate, []).append(dtype)
    return {
        "peaks": [{"dtypes": sorted(dtypes), "flops_per_s": rate} for rate, dtypes in sorted(peaks.items(), reverse=True)],
        "levels": [{"name": level.name, "bytes_per_s": level.bytes_per_s} for level in machine.levels],
        "dtype_peak": machine.peak(report.target.dtype),
    }
