"""Weights of a torch module for a graph of the same network, matched by the order in which both use them.

Rule: every module that owns tensors which its forward pass reads is a *layer* (it has a ``weight``, or pairs such as
``in_proj_weight`` and ``in_proj_bias``) or owns *bare* parameters (a class token, positions, a table of biases, a scale).
Layers are matched in order among themselves, and so are bare parameters, because modules read their bare parameters
earlier or later than a graph does. Names and shapes must agree; axes of size 1 do not matter. Tensors that several
modules hold (tied weights) count once, as in a graph whose node shares those of another.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from costmodel.errors import CostModelError, UsageError
from costmodel.graph import Graph, Node
from costmodel.reference._execute import checked_inputs, random_inputs
from costmodel.reference._torch import require_torch

#: Buffers that belong to a layer's weights; no operator declares them as parameters.
_STATISTICS = ("running_mean", "running_var")
#: ``in_proj_weight`` is the weight of the layer ``in_proj_``, ``weight_ih_l0`` the weight_ih of the layer 0.
_PAIRED = re.compile(r"(?P<prefix>.*?)(?P<name>(?:weight|bias)(?:_ih|_hh)?)(?P<suffix>_l\d+)?")


@dataclass(frozen=True, slots=True)
class _Held:
    """Tensors of a module that belong to one operator, by the operator's names for them."""

    path: str
    tensors: dict[str, Any]
    bare: bool
    epsilon: float | None
    #: Paths of other modules that hold the same tensors.
    tied: tuple[str, ...] = ()

    @property
    def learned(self) -> dict[str, Any]:
        return {name: tensor for name, tensor in self.tensors.items() if name not in _STATISTICS}

    def __str__(self) -> str:
        return f"{self.path or 'the module itself'} ({_described({name: tuple(tensor.shape) for name, tensor in self.tensors.items()})})"


def weights_from_module(
    graph: Graph, module: Any, inputs: Sequence[Any] | None = None, *, mapping: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Copies of the weights of a torch module, as weights of `graph`, which must be the same network.

    The module runs once; what it reads first is taken for what the graph uses first. Where neighbours have equal shapes
    the order alone decides, so compare the outputs of both once. Where the epsilon of a batch normalisation differs, the
    difference goes into the variance, so that the output is the module's.

    Parameters
    ----------
    module : a ``torch.nn.Module`` in eval mode.
    inputs : what it is called with, a tensor for each input of the graph; None takes random ones.
    mapping : node name -> path of the module (``layer1.0.conv1``) or of the parameter (``encoder.pos_embedding``) that it
        takes, for those that the module uses in another order; all others are matched in order without them. Of tied
        weights any path will do.

    Returns
    -------
    Weights as `execute` takes them; batch normalisations carry ``running_mean`` and ``running_var`` as well.

    Raises
    ------
    CostModelError
        If the two do not match: names the node and the module with their shapes, or what was left over.
    UsageError
        If torch is not installed, the module is in training mode, the inputs are not what the graph takes, or `mapping`
        names what does not exist, the same weights twice, or a node that shares the weights of another.

    Examples
    --------
    With torchvision installed::

        graph = costmodel.build("resnet-18")
        weights = weights_from_module(graph, torchvision.models.resnet18(weights="DEFAULT").eval())
        (logits,) = execute(graph, [images], weights)
    """
    torch = require_torch()
    if module.training:
        raise UsageError("the module is in training mode, in which running it would change its statistics: call module.eval() first")
    held = _in_order(module, _first_uses(torch, module, random_inputs(graph) if inputs is None else checked_inputs(torch, graph, inputs)))
    pairs = _stated(graph, held, mapping or {})
    free = [entry for entry in held if not any(entry is taken for taken in pairs.values())]
    pairs |= _matched([node for node in graph.nodes if node.parameter_shapes and not node.shares and node.name not in pairs], free)
    return {name: _copied(graph[name], entry) for name, entry in pairs.items()}


def _matched(nodes: Sequence[Node], held: Sequence[_Held]) -> dict[str, _Held]:
    """Each node with the next layer, or if that does not fit with the next bare parameter."""
    layers = deque(entry for entry in held if not entry.bare)
    bare = deque(entry for entry in held if entry.bare)
    pairs: dict[str, _Held] = {}
    for node in nodes:
        queue = next((queue for queue in (layers, bare) if queue and _fits(node, queue[0])), None)
        if queue is None:
            offered = " or ".join(str(queue[0]) for queue in (layers, bare) if queue) or "nothing more"
            raise CostModelError(f"node {node.name} ({_described(node.parameter_shapes)}) does not fit what the module uses next: {offered}")
        pairs[node.name] = queue.popleft()
    left = [str(entry) for entry in (*layers, *bare)]
    if left:
        raise CostModelError(f"the graph has no node for {len(left)} of the module's weights: {'; '.join(left[:5])}")
    return pairs


def _first_uses(torch: Any, module: Any, inputs: tuple[Any, ...]) -> dict[int, int]:
    """When each tensor of the module is first read by an operation: its id -> a rising number."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    own = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
    seen: dict[int, int] = {}

    class Watch(TorchDispatchMode):  # type: ignore[misc]  # torch is loaded here only
        """Every operation, with its arguments."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            for leaf in tree_leaves((args, kwargs)):
                if id(leaf) in own:
                    seen.setdefault(id(leaf), len(seen))
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Watch():
        module(*inputs)
    return seen


def _in_order(module: Any, uses: Mapping[int, int]) -> list[_Held]:
    """What the module uses, by first use; what another module holds as well, once."""
    found: dict[tuple[tuple[str, int], ...], _Held] = {}
    for path, part in module.named_modules():
        for entry in _held_by(path, part, uses):
            same = tuple(sorted((name, id(tensor)) for name, tensor in entry.tensors.items()))
            first = found.get(same)
            found[same] = entry if first is None else replace(first, tied=(*first.tied, entry.path))
    return sorted(found.values(), key=lambda entry: min(uses[id(tensor)] for tensor in entry.tensors.values()))


def _held_by(path: str, part: Any, uses: Mapping[int, int]) -> Iterator[_Held]:
    """The layers and the bare parameters among the tensors that a module itself owns and uses."""
    own = {name: tensor for name, tensor in part.named_parameters(recurse=False) if id(tensor) in uses}
    own |= {name: tensor for name, tensor in part.named_buffers(recurse=False) if id(tensor) in uses and name in ("weight", "bias", *_STATISTICS)}
    epsilon = getattr(part, "eps", None)
    if "weight" in own or any(name in own for name in _STATISTICS):
        yield _Held(path, own, False, epsilon)
        return
    groups: dict[str, dict[str, str]] = {}
    for name in own:
        match = _PAIRED.fullmatch(name)
        prefix, short = (match["prefix"] + (match["suffix"] or ""), match["name"]) if match else (name, "weight")
        groups.setdefault(prefix, {})[short] = name
    for prefix, names in groups.items():
        if len(names) > 1:
            yield _Held(_joined(path, prefix.strip("_")), {short: own[name] for short, name in names.items()}, False, epsilon)
        else:
            (name,) = names.values()
            yield _Held(_joined(path, name), {"weight": own[name]}, True, None)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _stated(graph: Graph, held: Sequence[_Held], mapping: Mapping[str, str]) -> dict[str, _Held]:
    """The pairs that the caller states."""
    paths = {path: entry for entry in held for path in (entry.path, *entry.tied)}
    pairs: dict[str, _Held] = {}
    for name, path in mapping.items():
        node = graph[name]
        if node.shares:
            raise UsageError(f"mapping: node {name!r} shares the weights of {node.shares!r}: map that one")
        entry = paths.get(path)
        if entry is None:
            raise UsageError(f"mapping: node {name!r} should take {path!r}, but the module uses no weights there")
        before = next((other for other, taken in pairs.items() if taken is entry), None)
        if before is not None:
            raise UsageError(f"mapping: nodes {before!r} and {name!r} both take {entry.path!r}; weights belong to one node, which others may share")
        if not _fits(node, entry):
            raise CostModelError(f"mapping: node {name} ({_described(node.parameter_shapes)}) does not fit {entry}")
        pairs[name] = entry
    return pairs


def _fits(node: Node, entry: _Held) -> bool:
    wanted = {name: _squeezed(shape) for name, shape in node.parameter_shapes.items()}
    return wanted == {name: _squeezed(tensor.shape) for name, tensor in entry.learned.items()}


def _squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _copied(node: Node, entry: _Held) -> dict[str, Any]:
    """The tensors in the node's shapes, with the node's epsilon accounted for."""
    shapes = node.parameter_shapes
    tensors = {name: tensor.detach().clone().reshape(shapes.get(name, tensor.shape)) for name, tensor in entry.tensors.items()}
    epsilon = getattr(node.operator, "epsilon", None)
    if epsilon is None or entry.epsilon is None or epsilon == entry.epsilon:
        return tensors
    if "running_var" not in tensors:
        raise CostModelError(f"node {node.name} has an epsilon of {epsilon}, {entry.path} one of {entry.epsilon}: their outputs would differ")
    return {**tensors, "running_var": tensors["running_var"] + (entry.epsilon - epsilon)}


def _described(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, shape)) or 'scalar'}" for name, shape in shapes.items())
