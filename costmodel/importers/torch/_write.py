"""`write_pt2`: a `Graph` as a saved program of torch.export."""

from __future__ import annotations

import io
import os
import warnings
from typing import Any

from costmodel import durable
from costmodel.errors import CostModelError
from costmodel.graph import Graph
from costmodel.importers._module import module_of
from costmodel.importers._writable import require_writable
from costmodel.reference import Weights
from costmodel.reference._execute import random_inputs


def write_pt2(graph: Graph, path: str | os.PathLike[str], *, weights: Weights | None = None) -> None:
    """Write `graph` to `path` as a program of torch.export; its modules and weights are called as the nodes, the batch stays open.

    Parameters
    ----------
    weights : as `costmodel.reference.random_weights` makes them; None takes those.

    Raises
    ------
    UsageError
        If torch is not installed, or an operator of the graph is not known or loops over boxes.
    CostModelError
        If torch cannot export the graph or write the file: says what it says.
    """
    require_writable(graph, path)
    module = module_of(graph, weights)
    import torch

    failure = ""
    for batch in (2, graph.batch):
        inputs = random_inputs(graph.with_batch(batch))
        options: dict[str, Any] = {"dynamic_shapes": (tuple({0: torch.export.Dim("batch")} for _ in inputs),)} if batch == 2 and graph.batch != 2 else {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = io.BytesIO()  # torch's writer of files ends the process where the disk is full
                torch.export.save(torch.export.export(module, inputs, strict=False, **options), made)
        except Exception as error:  # whatever torch raises; the second try has the graph's own batch
            failure = failure or str(error).strip().split("\n")[0][:300]
        else:
            with durable.putting(path) as file:
                file.write(made.getvalue())
            return
    raise CostModelError(f"{path}: torch cannot write {graph.name}: {failure}")
