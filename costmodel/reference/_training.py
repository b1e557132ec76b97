"""A graph as a torch module that can be trained: batch statistics while it trains, running ones afterwards."""

from __future__ import annotations

from typing import Any

from costmodel.graph import Graph
from costmodel.reference._execute import Observer, execute, random_weights
from costmodel.reference._torch import require_torch

#: How far a batch moves running statistics: torch's own default.
_MOMENTUM = 0.1


def trainable(graph: Graph, *, seed: int = 0, weights: Any = None) -> Any:
    """`graph` as a ``torch.nn.Module`` in training mode, with random weights of `seed` or those given (node -> name -> tensor).

    Batch normalisations keep running means and variances as buffers, which `eval()` has them use; dropout drops nothing. It takes the batch of
    the graph, and gives one tensor where the graph has one output.

    Raises
    ------
    UsageError
        If torch is not installed.
    """
    torch = require_torch()
    held = random_weights(graph, seed=seed) if weights is None else weights
    statistics = {node.name: shapes for node in graph.nodes if (shapes := node.operator.statistics(*node.inputs))}
    names = {node: f"n{number}" for number, node in enumerate(dict.fromkeys([*held, *statistics]))}

    class Trainable(torch.nn.Module):  # type: ignore[misc,name-defined]  # torch is loaded here only
        """The network; parameters and statistics are kept by node, in execution order."""

        def __init__(self) -> None:
            super().__init__()
            for node, name in names.items():
                own = torch.nn.Module()
                for key, tensor in held.get(node, {}).items():
                    own.register_parameter(key, torch.nn.Parameter(tensor))
                for key, shape in statistics.get(node, {}).items():
                    own.register_buffer(key, torch.ones(shape) if key.endswith("var") else torch.zeros(shape))
                self.add_module(name, own)

        def forward(self, *inputs: Any, observer: Observer | None = None) -> Any:
            """The outputs for these inputs; `observer` as of `execute`."""
            own = {node: self._tensors(node, getattr(self, name)) for node, name in names.items()}
            outputs = execute(graph, inputs, own, gradients=torch.is_grad_enabled(), observer=observer)
            return outputs[0] if len(outputs) == 1 else outputs

        def _tensors(self, node: str, module: Any) -> dict[str, Any]:
            found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            return {**found, "momentum": _MOMENTUM} if self.training and node in statistics else found

    return Trainable()
