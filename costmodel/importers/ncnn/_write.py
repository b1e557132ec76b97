"""`write_param`: a `Graph` as an ncnn ``.param`` file, as ncnnoptimize leaves networks: batch normalisations in the weights before them, nonlinearities
in the convolutions that they follow.

The format (ncnn wiki, "param and model file structure" and "operators"): a magic number, the numbers of layers and blobs, then a line a layer: type,
name, numbers of inputs and outputs, their blobs, and parameters by their number. A blob is read once; where more read it, a Split copies it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from costmodel import durable
from costmodel.errors import UsageError
from costmodel.graph import Graph, Node, TensorRef

MAGIC = 7767517
#: Nonlinearity -> how a layer with weights takes it in (key 9 its kind, key -23310 the array of its constants), as ncnnoptimize fuses them.
_TAKEN_IN = {
    "ReLU": "9=1",
    "ReLU6": "9=3 -23310=2,0.000000e+00,6.000000e+00",
    "Sigmoid": "9=4",
    "HardSwish": "9=6 -23310=2,1.666667e-01,5.000000e-01",
}
_WEIGHTED = frozenset({"Conv2d", "GroupedConv2d", "DepthwiseConv2d", "Linear"})
_NOTHING = frozenset({"Dropout", "Identity"})
#: An operator without attributes -> the layer with its parameters.
_PLAIN = {
    "ReLU": "ReLU",
    "ReLU6": "Clip 0=0.000000e+00 1=6.000000e+00",
    "Sigmoid": "Sigmoid",
    "SiLU": "Swish",
    "HardSigmoid": "HardSigmoid 0=1.666667e-01 1=5.000000e-01",
    "HardSwish": "HardSwish 0=1.666667e-01 1=5.000000e-01",
    "GELU": "GELU",
    "Add": "BinaryOp 0=0",
    "Multiply": "BinaryOp 0=2",
    "Flatten": "Flatten",
}


def write_param(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write `graph` to `path` as an ncnn network without weights, for benchncnn; the batch is 1, ncnn has no other.

    Raises
    ------
    UsageError
        If the batch is larger, or an operator has no form in such a file: names it.
    CostModelError
        If the file cannot be written: names it.
    """
    durable.put(path, param_text(graph, str(path)))


def param_text(graph: Graph, path: str = "") -> str:
    """The text that `write_param` writes."""
    if graph.batch != 1:
        raise UsageError(f"{path}: ncnn runs a batch of 1, not {graph.batch}")
    return _Writer(graph, path).text()


class _Writer:
    """Lines of layers, and which blob each tensor of the graph has become."""

    def __init__(self, graph: Graph, path: str) -> None:
        self.graph, self.path = graph, path
        self.lines: list[str] = []
        self.blobs = 0
        self.readers = Counter(argument for node in graph.nodes for argument in node.arguments)
        self.readers.update(graph.outputs)
        self.same: dict[TensorRef, TensorRef] = {}
        self.waiting: dict[TensorRef, list[str]] = {}

    def text(self) -> str:
        consumer = {node.arguments[0]: node for node in self.graph.nodes if len(node.arguments) == 1 and self.readers[node.arguments[0]] == 1}
        self._merge(consumer)
        for name, spec in self.graph.inputs.items():
            if len(spec.shape) != 4:
                raise UsageError(f"{self.path}: {name}: an input of ncnn here is one image, not {spec.shape}")
            _, channels, height, width = spec.shape
            self._layer("Input", name, (), (TensorRef(name),), f"0={width} 1={height} 2={channels}")
        for node in self.graph.nodes:
            if TensorRef(node.name) not in self.same:
                self._node(node)
        return "\n".join((str(MAGIC), f"{len(self.lines)} {self.blobs}", *self.lines)) + "\n"

    def _merge(self, consumer: dict[TensorRef, Node]) -> None:
        """Let operators vanish: those that do nothing, batch normalisations after weights, and nonlinearities after those."""
        self.taken_in: dict[str, str] = {}
        for node in self.graph.nodes:
            kind = type(node.operator).__name__
            if kind in _NOTHING:
                self.same[TensorRef(node.name)] = node.arguments[0]
            if kind not in _WEIGHTED:
                continue
            end = TensorRef(node.name)
            following = consumer.get(end)
            if following is not None and type(following.operator).__name__ == "BatchNorm":
                self.same[TensorRef(following.name)] = end
                following = consumer.get(TensorRef(following.name))
            if following is not None and type(following.operator).__name__ in _TAKEN_IN:
                self.taken_in[node.name] = _TAKEN_IN[type(following.operator).__name__]
                self.same[TensorRef(following.name)] = end
        self.readers = Counter(self._root(ref) for ref in self.readers.elements())
        for name in self.same:  # an operator that vanished no longer reads what it stands for
            self.readers[self._root(name)] -= 1

    def _root(self, ref: TensorRef) -> TensorRef:
        while ref in self.same:
            ref = self.same[ref]
        return ref

    def _node(self, node: Node) -> None:
        kind = type(node.operator).__name__
        form = _FORMS.get(kind)
        if kind in _PLAIN:
            layer, _, parameters = _PLAIN[kind].partition(" ")
        elif form is not None:
            layer, parameters = form(node)
        else:
            raise UsageError(f"{self.path}: {node.name} ({kind}) has no form in a .param file here; take another network, or convert its ONNX file with pnnx")
        if extra := self.taken_in.get(node.name):
            parameters += f" {extra}"
        outputs = tuple(TensorRef(node.name, position) for position in range(len(node.outputs)))
        self._layer(layer, node.name, node.arguments, outputs, parameters)

    def _layer(self, layer: str, name: str, inputs: tuple[TensorRef, ...], outputs: tuple[TensorRef, ...], parameters: str) -> None:
        """A layer's line, and a Split after it for each of its tensors that several layers read."""
        bottoms = [self.waiting[self._root(ref)].pop(0) for ref in inputs]
        tops = [f"{ref.node}.{ref.output}" if ref.output else ref.node for ref in outputs]
        self.lines.append(_line(layer, name, bottoms, tops, parameters))
        self.blobs += len(tops)
        for ref, top in zip(outputs, tops, strict=True):
            readers = self.readers[ref]
            self.waiting[ref] = [top]
            if readers > 1:
                copies = [f"{top}.copy{number}" for number in range(readers)]
                self.lines.append(_line("Split", f"{top}.split", [top], copies, ""))
                self.blobs += len(copies)
                self.waiting[ref] = copies


def _line(layer: str, name: str, bottoms: list[str], tops: list[str], parameters: str) -> str:
    return " ".join(filter(None, (f"{layer:<24}", name, f"{len(bottoms)} {len(tops)}", *bottoms, *tops, parameters)))


def _window(node: Node) -> str:
    """Kernel, dilation, stride and padding by the keys of Convolution."""
    operator: Any = node.operator
    sides = operator.padding_of(*node.inputs)
    (kh, kw), (sh, sw), (dh, dw) = operator.kernel_size, operator.stride, operator.dilation
    top, bottom, left, right = (sides.top, sides.bottom, sides.left, sides.right) if sides is not None else (0, 0, 0, 0)
    return f"1={kw} 11={kh} 2={dw} 12={dh} 3={sw} 13={sh} 4={left} 14={top} 15={right} 16={bottom} 5=1"


def _convolution(node: Node) -> tuple[str, str]:
    operator: Any = node.operator
    inputs, outputs = node.inputs[0].shape[1], node.outputs[0].shape[1]
    if node.inputs[0].shape[2:] == (1, 1) and type(operator).__name__ == "Conv2d":  # what a global pooling leaves has one axis in ncnn
        return "InnerProduct", f"0={outputs} 1=1 2={outputs * inputs}"
    groups = inputs if type(operator).__name__ == "DepthwiseConv2d" else getattr(operator, "groups", 1)
    taps = operator.kernel_size[0] * operator.kernel_size[1]
    parameters = f"0={outputs} {_window(node)} 6={outputs * (inputs // groups) * taps}"
    return ("ConvolutionDepthWise", f"{parameters} 7={groups}") if groups > 1 else ("Convolution", parameters)


def _linear(node: Node) -> tuple[str, str]:
    outputs, inputs = node.outputs[0].shape[-1], node.inputs[0].shape[-1]
    if len(node.inputs[0].shape) != 2:
        raise UsageError(f"{node.name}: a Linear of {len(node.inputs[0].shape)} axes has no form in a .param file here; take another network")
    return "InnerProduct", f"0={outputs} 1=1 2={outputs * inputs}"


def _pool(kind: int) -> Callable[[Node], tuple[str, str]]:
    def form(node: Node) -> tuple[str, str]:
        operator: Any = node.operator
        sides = operator.padding_of(*node.inputs)
        (kh, kw), (sh, sw) = operator.kernel_size, operator.stride
        top, bottom, left, right = (sides.top, sides.bottom, sides.left, sides.right) if sides is not None else (0, 0, 0, 0)
        size, out = node.inputs[0].shape[2], node.outputs[0].shape[2]
        floor = (size + top + bottom - kh) // sh + 1 == out
        counted = f" 6={int(operator.count_padding)}" if kind else ""
        return "Pooling", f"0={kind} 1={kw} 11={kh} 2={sw} 12={sh} 3={left} 13={top} 14={right} 15={bottom} 5={int(floor)}{counted}"

    return form


def _adaptive(node: Node) -> tuple[str, str]:
    height, width = node.outputs[0].shape[2:]
    return "Pooling", "0=1 4=1" if (height, width) == (1, 1) else f"0=1 7=1 8={width} 18={height}"


def _concat(node: Node) -> tuple[str, str]:
    return "Concat", f"0={_axis(node)}"


def _split(node: Node) -> tuple[str, str]:
    sizes = [spec.shape[node.operator.axis] for spec in node.outputs]  # type: ignore[attr-defined]  # it is a Split
    return "Slice", f"-23300={len(sizes)},{','.join(map(str, sizes))} 1={_axis(node)}"


def _axis(node: Node) -> int:
    """The axis without the batch's."""
    axis: int = node.operator.axis  # type: ignore[attr-defined]  # of a Concat or a Split
    return (axis if axis >= 0 else axis + len(node.inputs[0].shape)) - 1


def _norm(node: Node) -> tuple[str, str]:
    return "BatchNorm", f"0={node.inputs[0].shape[1]}"


def _shuffle(node: Node) -> tuple[str, str]:
    return "ShuffleChannel", f"0={node.operator.groups}"  # type: ignore[attr-defined]  # it is a ChannelShuffle


#: Operator -> its layer and parameters.
_FORMS: dict[str, Callable[[Node], tuple[str, str]]] = {
    "Conv2d": _convolution,
    "GroupedConv2d": _convolution,
    "DepthwiseConv2d": _convolution,
    "Linear": _linear,
    "MaxPool2d": _pool(0),
    "AvgPool2d": _pool(1),
    "AdaptiveAvgPool2d": _adaptive,
    "Concat": _concat,
    "Split": _split,
    "BatchNorm": _norm,
    "ChannelShuffle": _shuffle,
}
