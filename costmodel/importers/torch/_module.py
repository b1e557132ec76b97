"""`from_torch`: an ``nn.Module`` as a `Graph`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from costmodel.graph import Graph
from costmodel.importers._assemble import Imported, assemble
from costmodel.importers.torch._export import trace_by_export

#: A prime that no sensible network has among its sizes: whatever it divides follows the batch.
_PRIMES = (1009, 10007, 100003)


def from_torch(module: Any, inputs: Sequence[Any], *, name: str = "") -> Graph:
    return import_module(module, inputs, name=name).graph


def import_module(module: Any, inputs: Sequence[Any], *, name: str = "") -> Imported:
    import torch

    shapes = [tuple(x) if not hasattr(x, "shape") else tuple(x.shape) for x in inputs]
    batch = shapes[0][0]
    prime = _PRIMES[0]
    meta = copy.deepcopy(module).to("meta")
    tensors = [torch.empty((prime, *shape[1:]), device="meta") for shape in shapes]
    trace = trace_by_export(meta, tensors, name=name or type(module).__name__, batch=prime, chosen=True)
    return assemble(trace, batch=batch)
