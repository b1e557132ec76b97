"""What the latency would be with other hardware or another batch: the law's own answers on a grid, which sliders look up."""

from __future__ import annotations

from typing import Any

from costmodel.devices import hypothetical
from costmodel.errors import CostModelError
from costmodel.estimation import Estimate, lowered
from costmodel.graph import Graph
from costmodel.kernel import Program
from costmodel.laws import price_in_picoseconds
from costmodel.memory import memory_need
from costmodel.quantity import share

#: Positions of the sliders for peak and bandwidth: steps of a fifth to a third on either side of 1, which is the device as it is.
FACTORS = (0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
#: The same for networks of many kernels, the coarser the more there are.
_COARSER = ((0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0), (0.25, 0.5, 1.0, 2.0, 4.0))
_BATCHES = (1, 4, 16, 64, 256)
#: Kernels priced for one page at most; a grid is coarser where a network has more than fit in that.
_MOST_PRICED = 500_000


def grid(report: Estimate) -> dict[str, Any]:
    """Latency in s, and the shares bound by compute and memory, by batch, factor of peak and factor of bandwidth.

    ``batches[i]["latency_s"][p][b]`` is at ``factors[p]`` times the peak and ``factors[b]`` times the bandwidth.
    """
    factors, batches = _extent(report)
    found = []
    for batch in batches:
        try:
            graph = report.graph.with_batch(batch)
            program = lowered(graph, report.target, report.weights)
        except CostModelError:  # shapes that are fixed to one batch
            continue
        found.append(_at_batch(report, graph, program, factors))
    return {"factors": list(factors), "batches": found}


def _extent(report: Estimate) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """The factors and batches of a grid that is priced in a second or two."""
    most = report.target.law.MAX_BATCH
    batches = tuple(sorted({report.batch, *(batch for batch in _BATCHES if most is None or batch <= most)}))
    kernels = len(report.kernels) or 1
    for factors in (FACTORS, *_COARSER):
        if kernels * len(factors) ** 2 * len(batches) <= _MOST_PRICED:
            return factors, batches
    return _COARSER[-1], (report.batch,)


def _at_batch(report: Estimate, graph: Graph, program: Program, factors: tuple[float, ...]) -> dict[str, Any]:
    target = report.target
    need = memory_need(program, capacity_gib=target.hardware.memory.capacity_gib, holds_file=target.memory_holds_file)
    found: dict[str, Any] = {"batch": graph.batch, "peak_activation_bytes": need.peak_activation_bytes, "fits": need.fits}
    tables: dict[str, list[list[float]]] = {"latency_s": [], "compute": [], "memory": []}
    for peak in factors:
        rows: dict[str, list[float]] = {name: [] for name in tables}
        for bandwidth in factors:
            other = hypothetical(target, peak=peak, bandwidth=bandwidth)
            cost = price_in_picoseconds(other.law, program, other.machine)
            rows["latency_s"].append(cost.latency_s)
            for bound in ("compute", "memory"):
                rows[bound].append(round(share(sum([made.latency_s for made in cost.kernels if made.bound == bound]), cost.latency_s), 4))
        for name, row in rows.items():
            tables[name].append(row)
    return found | tables
