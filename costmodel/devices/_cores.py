"""Which cores take part: by number of threads, or named by cluster."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping

from costmodel.devices._profile import Processor
from costmodel.errors import UsageError, unknown, whole

#: (cluster, count), fastest first; empty where a processor is used as a whole.
Cores = tuple[tuple[str, int], ...]

_CORE = re.compile(r"([a-z]+)=([0-9]{1,4})")


def select_cores(device: str, processor: str, unit: Processor, threads: int | None, cores: str | None) -> Cores:
    """The cores in use, fastest first."""
    if not unit.clusters:
        if threads is not None or cores is not None:
            raise UsageError(f"{device} {processor} is used as a whole: it takes neither --threads nor --cores")
        return ()
    if threads is not None and cores is not None:
        raise UsageError("give --threads or --cores, not both")
    fastest = sorted(unit.clusters, key=lambda cluster: -cluster.clock_ghz * cluster.flops_per_cycle["fp32"])
    if threads is None:
        wanted = parse_cores(cores if cores is not None else unit.default_cores or "large=1", {c.name: c.cores for c in fastest})
        return tuple((cluster.name, wanted[cluster.name]) for cluster in fastest if wanted.get(cluster.name))
    total = sum(cluster.cores for cluster in fastest)
    if not 1 <= whole("number of threads", threads, -(10**9), 10**9) <= total:
        raise UsageError(f"{device} {processor} has {total} core{'s' if total > 1 else ''}, so threads must lie between 1 and {total}, not {threads}")
    threads = operator.index(threads)
    chosen: list[tuple[str, int]] = []
    for cluster in fastest:
        count = min(threads, cluster.cores)
        if count:
            chosen.append((cluster.name, count))
        threads -= count
    return tuple(chosen)


def parse_cores(text: str, available: Mapping[str, int]) -> dict[str, int]:
    """Cores by cluster as ``large=1,medium=3`` names them.

    Raises
    ------
    UsageError
        If the text has another form, or names clusters or cores that are not among `available`.
    """
    wanted: dict[str, int] = {}
    for item in text.split(","):
        match = _CORE.fullmatch(item.strip())
        if not match:
            raise UsageError(f"cores must look like large=1,medium=3, not {text!r}")
        name, count = match[1], int(match[2])
        if name not in available:
            raise unknown("cluster", name, available)
        if name in wanted or not 1 <= count <= available[name]:
            plural, are = ("s", "are") if available[name] > 1 else ("", "is")
            raise UsageError(f"there {are} {available[name]} {name} core{plural}: {item.strip()!r} cannot be had")
        wanted[name] = count
    return wanted
