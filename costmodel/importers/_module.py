"""`module_of`: a graph as a ``torch.nn.Module`` with a submodule for every node, so that exporters keep the nodes' names and those of their weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from costmodel.graph import Graph, Node, TensorRef
from costmodel.ops.normalisation import BatchNorm
from costmodel.reference import Weights, random_weights


def module_of(graph: Graph, weights: Weights | None = None) -> Any:
    """`graph` as a module in eval mode: node ``stages.0.expand`` is the submodule of that path, and its weights belong to it.

    Without `weights` they are random; batch normalisations then have mean 0 and variance 1.

    Raises
    ------
    UsageError
        If torch is not installed.
    """
    held = random_weights(graph) if weights is None else weights
    import torch

    class Root(torch.nn.Module):  # type: ignore[misc]  # torch is loaded here only
        """The network."""

        def forward(self, *inputs: Any) -> Any:
            """The outputs for these inputs; one tensor where the graph has one output."""
            values = {TensorRef(name): tensor for name, tensor in zip(graph.inputs, inputs, strict=True)}
            for node in graph.nodes:
                found = self.get_submodule(paths[node.name])(*(values[ref] for ref in node.arguments))
                for output, tensor in enumerate(found if isinstance(found, tuple | list) else (found,)):
                    values[TensorRef(node.name, output)] = tensor
            outputs = tuple(values[ref] for ref in graph.outputs)
            return outputs[0] if len(outputs) == 1 else outputs

    class Container(torch.nn.Module):  # type: ignore[misc]  # as above
        """A step of a path that no node has."""

    class Member(torch.nn.Module):  # type: ignore[misc]  # as above
        """One node."""

        def __init__(self, node: Node, tensors: Any) -> None:
            super().__init__()
            self._operator = node.operator
            self._keys = tuple(tensors)
            for key, tensor in tensors.items():
                if key in node.parameter_shapes:
                    self.register_parameter(key, tensor if isinstance(tensor, torch.nn.Parameter) else torch.nn.Parameter(tensor))
                else:
                    self.register_buffer(key, tensor)

        def forward(self, *inputs: Any) -> Any:
            """What the operator computes."""
            return self._operator.run(*inputs, **{key: getattr(self, key) for key in self._keys})

    root = Root()
    members: dict[str, Any] = {}
    for node in graph.nodes:
        tensors = dict(held.get(node.shares or node.name, {}))
        if isinstance(node.operator, BatchNorm) and "running_mean" not in tensors:
            channels = node.inputs[0].shape[1]
            tensors |= {"running_mean": torch.zeros(channels), "running_var": torch.ones(channels)}
        member = members[node.name] = Member(node, tensors)
        if node.shares:
            for key, parameter in members[node.shares].named_parameters(recurse=False):
                member.register_parameter(key, parameter)
    paths = {name: _placed(root, name, members[name], Container) for name in sorted(members, key=lambda name: name.count("."))}
    return root.eval()


def _placed(root: Any, name: str, member: Any, container: Callable[[], Any]) -> str:
    """Put a module where its name says; the path, whose steps get an underscore where torch has something of their name."""
    here, path = root, []
    steps = [step or "_" for step in name.split(".")]
    for depth, step in enumerate(steps):
        last = depth == len(steps) - 1
        while hasattr(here, step) and (last or step not in here._modules):
            step += "_"
        if step not in here._modules:
            here.add_module(step, member if last else container())
        here = here._modules[step]
        path.append(step)
    return ".".join(path)
