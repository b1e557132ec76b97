"""The lists of networks and devices as plain documents."""

from __future__ import annotations

import json
from typing import Any

from costmodel.devices import Device, device, device_names
from costmodel.errors import unknown
from costmodel.graph import Graph
from costmodel.memory import BlocksAt, materialised
from costmodel.tensor import DType
from costmodel.zoo import Architecture, architectures, find

#: What accuracies are called, the usual one first.
METRICS = {"top1": "top-1", "miou": "mIoU", "map": "mAP"}


def to_json(document: Any) -> str:
    """`document` as JSON."""
    return json.dumps(document, ensure_ascii=False)


def model_rows(family: str | None = None, *, like: str | None = None, since: int | None = None, min_top1: float | None = None) -> list[dict[str, Any]]:
    """A row for each network that meets every condition given; nothing is built.

    `like` is looked for in name, family and paper; `min_top1` is in percent, and a network with no published top-1 at its
    default resolution does not meet it.

    Raises
    ------
    UnknownNameError
        If there is no such family.
    """
    found = architectures()
    families = {architecture.family for architecture in found.values()}
    if family is not None and family not in families:
        raise unknown("family", family, families)
    rows = [_architecture(architecture) for architecture in found.values() if family in (None, architecture.family)]
    return [
        row
        for row in rows
        if (like is None or any(like.lower() in row[key].lower() for key in ("name", "family", "paper")))
        and (since is None or row["year"] >= since)
        and (min_top1 is None or ((top1 := published(row, "top1")) is not None and top1 >= min_top1))
    ]


def published(row: dict[str, Any], metric: str) -> float | None:
    """The first published figure of `metric`, in percent, at the listed resolution; None where there is none."""
    found = (entry for entry in row["accuracies"] if entry["metric"] == metric and entry["resolution"] in (row["resolution"][0], None))
    return next((entry["percent"] for entry in found), None)


def _architecture(architecture: Architecture) -> dict[str, Any]:
    return {
        "name": architecture.name,
        "family": architecture.family,
        "resolution": list(architecture.default_resolution),
        "widths": None if architecture.widths is None else list(architecture.widths),
        "year": architecture.year,
        "paper": architecture.paper,
        "accuracies": [
            {
                "metric": accuracy.metric,
                "percent": accuracy.value,
                "resolution": accuracy.resolution,
                "evaluation": accuracy.evaluation,
                "source": accuracy.source,
            }
            for accuracy in architecture.accuracies
        ],
    }


def _origin(name: str, changed: str) -> dict[str, Any]:
    """Where a zoo network comes from; its published accuracies only where they are of this very network."""
    request = find(name)
    document = _architecture(request.architecture)
    if changed or request.is_scaled:
        document["accuracies"] = []
    elif request.resolution is not None:
        document["accuracies"] = [entry for entry in document["accuracies"] if (entry["resolution"],) * 2 == request.resolution]
    return document


def model_document(name: str, graph: Graph, *, changed: str = "") -> dict[str, Any]:
    """A network's origin (where it is one of the zoo), counts, and modules with their counts.

    `changed` says in words how the network differs from the one of that name (other outputs, no head); published accuracies
    are not its own then.
    """
    origin = None if name.lower().endswith(".json") else _origin(name, changed)
    modules: dict[str, dict[str, Any]] = {}
    for node in graph.nodes:
        path = ".".join(node.name.split(".")[:2]) if "." in node.name else node.name
        row = modules.setdefault(path, {"name": path, "operators": 0, "parameters": 0, "macs": 0, "output": []})
        row["operators"] += 1
        row["parameters"] += node.parameters
        row["macs"] += node.work.macs
        row["output"] = list(node.outputs[0].shape)
    return {
        "name": graph.name,
        "changed": changed,
        "origin": origin,
        "input": [list(spec.shape) for spec in graph.inputs.values()],
        "parameters": graph.parameters,
        "macs": graph.macs,
        "other_flops": graph.other_flops,
        "flops": graph.flops,
        "operators": len(graph),
        "modules": list(modules.values()),
        "materialised": {"output": _materialised(graph, "output"), "input": _materialised(graph, "input")},
    }


def _materialised(graph: Graph, blocks_at: BlocksAt) -> list[dict[str, Any]]:
    """What must exist as a whole at each resolution, in 16 bits an element as MobileNetV2's table states it."""
    rows = materialised(graph, DType.FP16, blocks_at=blocks_at)
    return [{"resolution": list(row.resolution), "channels": row.channels, "fp16_bytes": row.nbytes} for row in rows]


def device_rows() -> list[dict[str, Any]]:
    """A row for each shipped profile."""
    return [_device(device(name)) for name in device_names()]


def _device(found: Device) -> dict[str, Any]:
    profile = found.profile
    return {
        "name": profile.name,
        "title": profile.title,
        "category": profile.category,
        "chip": profile.chip,
        "year": profile.year,
        "version": profile.version,
        "default_processor": profile.default_processor,
        "processors": {
            name: {
                "default_runtime": unit.default_runtime,
                "default_dtype": unit.default_dtype,
                "default_cores": unit.default_cores,
                "runtimes": {
                    stack_name: {
                        dtype: {"basis": precision.basis, "interval_factor": precision.interval_factor}
                        for dtype, precision in (unit.runtimes[stack.like] if stack.like else stack).dtypes.items()
                    }
                    for stack_name, stack in unit.runtimes.items()
                },
            }
            for name, unit in profile.processors.items()
        },
    }


def device_document(found: Device) -> dict[str, Any]:
    """A profile with every number's value, kind and source."""
    return {
        **_device(found),
        "path": found.path,
        "sha256": found.sha256,
        "numbers": {path: entry._asdict() for path, entry in found.provenance.items()},
    }
