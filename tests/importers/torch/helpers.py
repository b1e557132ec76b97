"""What the tests of the torch import share: torch's own count, and running an imported graph with the module's weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from costmodel.graph import Graph
from costmodel.importers._assemble import Imported
from costmodel.ops.unknown import Unknown
from costmodel.reference import execute


def macs_of_torch(module: Any, inputs: Sequence[Any] | Mapping[str, Any]) -> int:
    """Half of what torch counts as FLOPs in one run of `module` on the meta device."""
    copied = copy.deepcopy(module).to("meta").eval().requires_grad_(False)  # torch's counter hooks into gradients otherwise
    named = {key: value.to("meta") for key, value in inputs.items()} if isinstance(inputs, Mapping) else {}
    positional = [] if named else [value.to("meta") for value in inputs]  # type: ignore[union-attr]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copied(*positional, **named)
    return counter.get_total_flops() // 2


def learned(module: Any) -> int:
    """Elements of the parameters of `module`, tied ones once."""
    return sum(tensor.numel() for tensor in module.parameters())


def unknown_operators(graph: Graph) -> list[str]:
    """Names of the calls that no operator class knows."""
    return [node.operator.name for node in graph.nodes if isinstance(node.operator, Unknown)]


def weights_of(imported: Imported, module: Any) -> dict[str, dict[str, Any]]:
    """The module's tensors for each node of the graph that was imported from it."""
    held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found: dict[str, dict[str, Any]] = {}
    for node, sources in imported.sources.items():
        found[node] = {}
        for name, (stored, steps) in sources.items():
            tensor = held[stored].detach()
            for step in steps:
                tensor = step.run(tensor)
            found[node][name] = tensor
    return found


def difference(imported: Imported, module: Any, inputs: Sequence[Any]) -> float:
    """Largest difference between the outputs of the imported graph and of the module, over the largest output."""
    with torch.no_grad():
        expected = module(*inputs)
    expected = expected if isinstance(expected, tuple | list) else (expected,)
    found = execute(imported.graph, list(inputs), weights_of(imported, module))
    assert len(found) == len(expected)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))
