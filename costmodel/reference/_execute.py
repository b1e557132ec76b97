"""Running a `Graph` in torch, from the operators' own `run`.

Weights are a mapping from node name to the tensors of its operator by their parameter names, and for batch normalisation
the buffers ``running_mean`` and ``running_var`` as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from costmodel.errors import UsageError
from costmodel.graph import Graph, Node, TensorRef
from costmodel.reference._torch import require_torch
from costmodel.tensor import TensorSpec

#: Node name -> parameter name -> torch.Tensor.
Weights = Mapping[str, Mapping[str, Any]]

#: Called around every operator: (node, compute) -> the result of compute().
Observer = Callable[[Node, Callable[[], Any]], Any]


def random_weights(graph: Graph, *, seed: int = 0, device: str = "cpu") -> dict[str, dict[str, Any]]:
    """Random weights for every node of `graph`, the same for the same seed.

    Matrices and filters are normal with variance 1/fan-in so that activations neither vanish nor explode; normalisations
    start at scale 1 and shift 0. On the device ``meta`` they have shapes only.
    """
    torch = require_torch()
    generator = None if device == "meta" else torch.Generator(device=device).manual_seed(seed)
    return {
        node.name: {name: _initial(torch, name, shape, generator, device) for name, shape in node.parameter_shapes.items()}
        for node in graph.nodes
        if not node.shares and node.parameter_shapes
    }


def _initial(torch: Any, name: str, shape: tuple[int, ...], generator: Any, device: str) -> Any:
    if len(shape) < 2:
        return torch.zeros(shape, device=device) if "bias" in name else torch.ones(shape, device=device)
    drawn = torch.empty(shape, device=device)
    return drawn if device == "meta" else drawn.normal_(0, 1 / math.sqrt(math.prod(shape[1:])), generator=generator)


def execute(
    graph: Graph,
    inputs: Sequence[Any] | None = None,
    weights: Weights | None = None,
    *,
    device: str = "cpu",
    observer: Observer | None = None,
    gradients: bool = False,
) -> tuple[Any, ...]:
    """The outputs of `graph` computed by torch.

    Parameters
    ----------
    inputs : a tensor for each input of the graph, in order; None takes random ones (zeros for integers).
    weights : as `random_weights` makes them; None takes those.
    device : ``cpu``, ``cuda`` or ``meta`` (shapes only) for what is made here.
    observer : called around every operator, for measuring and checking.
    gradients : whether torch records what gradients need.

    Raises
    ------
    UsageError
        If torch is not installed, or the inputs are not one tensor of the right shape for each input of the graph.
    """
    torch = require_torch()
    held = random_weights(graph, device=device) if weights is None else weights
    given = random_inputs(graph, device=device) if inputs is None else checked_inputs(torch, graph, inputs)
    values: dict[TensorRef, Any] = {TensorRef(name): tensor for name, tensor in zip(graph.inputs, given, strict=True)}
    del given
    last_use = _last_uses(graph)
    with torch.set_grad_enabled(gradients):
        for position, node in enumerate(graph.nodes):
            arguments = [values[ref] for ref in node.arguments]
            own = held.get(node.shares or node.name, {})

            def compute(node: Node = node, arguments: list[Any] = arguments, own: Mapping[str, Any] = own) -> Any:
                return node.operator.run(*arguments, **own)

            result = compute() if observer is None else observer(node, compute)
            produced = result if isinstance(result, tuple | list) else (result,)
            for output, tensor in enumerate(produced):
                values[TensorRef(node.name, output)] = tensor
            del arguments, result, produced
            for ref in last_use.get(position, ()):
                values.pop(ref, None)
    return tuple(values[ref] for ref in graph.outputs)


def checked_inputs(torch: Any, graph: Graph, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """`inputs`, if they are what the graph takes: a tensor of the right shape for each of its inputs.

    Raises
    ------
    UsageError
        If they are not; says what the graph takes.
    """
    wanted = ", ".join(f"{name} {spec.shape}" for name, spec in graph.inputs.items())
    if not isinstance(inputs, list | tuple) or not all(isinstance(tensor, torch.Tensor) for tensor in inputs):
        raise UsageError(f"{graph.name} takes a list of tensors, one for each input ({wanted})")
    found = [tuple(tensor.shape) for tensor in inputs]
    if found != [spec.shape for spec in graph.inputs.values()]:
        raise UsageError(f"{graph.name} takes {wanted}, not {', '.join(map(str, found)) or 'nothing'}")
    return tuple(inputs)


def _last_uses(graph: Graph) -> dict[int, list[TensorRef]]:
    """Tensors by the position of the operator after which nobody reads them."""
    last: dict[TensorRef, int] = {}
    for position, node in enumerate(graph.nodes):
        for output in range(len(node.outputs)):
            last[TensorRef(node.name, output)] = position
        for ref in node.arguments:
            last[ref] = position
    by_position: dict[int, list[TensorRef]] = {}
    for ref, position in last.items():
        if ref not in graph.outputs:
            by_position.setdefault(position, []).append(ref)
    return by_position


def random_inputs(graph: Graph, *, seed: int = 0, device: str = "cpu") -> tuple[Any, ...]:
    """A tensor for each input: standard normal, zeros where integers are wanted."""
    torch = require_torch()
    generator = None if device == "meta" else torch.Generator(device=device).manual_seed(seed)
    return tuple(_input(torch, spec, generator, device) for spec in graph.inputs.values())


def _input(torch: Any, spec: TensorSpec, generator: Any, device: str) -> Any:
    if spec.dtype.is_floating:
        drawn = torch.empty(spec.shape, device=device)
        return drawn if device == "meta" else drawn.normal_(generator=generator)
    return torch.zeros(spec.shape, dtype=torch.int64, device=device)


def as_module(graph: Graph, weights: Weights | None = None) -> Any:
    """`graph` as a ``torch.nn.Module`` in eval mode whose parameters are the weights: for export and tools; `trainable` makes one that trains."""
    torch = require_torch()
    held = random_weights(graph) if weights is None else weights
    names = {node: f"n{number}" for number, node in enumerate(held)}

    class GraphModule(torch.nn.Module):  # type: ignore[misc,name-defined]  # torch is loaded here only
        """The network; parameters are kept by node, in execution order."""

        def __init__(self) -> None:
            super().__init__()
            for node, tensors in held.items():
                self.add_module(names[node], torch.nn.ParameterDict({key: torch.nn.Parameter(tensor) for key, tensor in tensors.items()}))

        def forward(self, *inputs: Any) -> Any:
            """The outputs for these inputs; one tensor where the graph has one output."""
            own = {node: dict(getattr(self, name).items()) for node, name in names.items()}
            outputs = execute(graph, inputs, own)
            return outputs[0] if len(outputs) == 1 else outputs

    return GraphModule().eval()
