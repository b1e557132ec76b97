"""From a profile's units to a law's `Machine` in base units."""

from __future__ import annotations

from typing import Any

from costmodel.devices._profile import Cluster, Processor
from costmodel.frozen import FrozenDict
from costmodel.laws import CoreGroup, Machine, MemoryLevel

KIB = 1024
#: Precisions without a peak of their own reach another's: autocast's contractions are in half precision.
PEAK_OF = {"amp": "fp16"}


def make_machine(processor: Processor, cores: tuple[tuple[str, int], ...], parameters: Any, host: tuple[str, Machine] | None = None) -> Machine:
    """The machine of a processor with `cores` (cluster name, count) in use, fastest first; other processors use all they have."""
    clusters: dict[str, Cluster] = {cluster.name: cluster for cluster in processor.clusters}
    if clusters:
        groups = tuple(_group(clusters[name], count) for name, count in cores)
        dtypes = set.intersection(*(set(group.flops_per_cycle) for group in groups))
        peaks = {dtype: sum(group.count * group.clock_hz * group.flops_per_cycle[dtype] for group in groups) for dtype in dtypes}
    else:
        peaks = {dtype: peak * 1e12 for dtype, peak in processor.peak_tflop_per_s.items()}
        clock_hz = (processor.clock_ghz or 1.0) * 1e9
        groups = (CoreGroup(processor.type, 1, clock_hz, {}),)
    peaks |= {dtype: peaks[other] for dtype, other in PEAK_OF.items() if dtype not in peaks and other in peaks}
    levels = [MemoryLevel(cache.name, cache.capacity_kib * KIB, cache.bandwidth_gb_per_s * 1e9) for cache in processor.memory.caches]
    levels.append(MemoryLevel("memory", None, processor.memory.bandwidth_gb_per_s * 1e9))
    return Machine(cores=groups, peak_flops_per_s=FrozenDict(peaks), levels=tuple(levels), parameters=parameters, units=processor.multiprocessors, host=host)


def _group(cluster: Cluster, count: int) -> CoreGroup:
    together = cluster.clock_together_ghz if count > 1 else None
    rates = FrozenDict({str(dtype): rate for dtype, rate in cluster.flops_per_cycle.items()})
    return CoreGroup(cluster.core, count, (together or cluster.clock_ghz) * 1e9, rates)
