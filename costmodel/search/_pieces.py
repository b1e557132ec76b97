"""`Piece`: what a layer, or a run of layers, adds to the cost of any network of a space; priced by `estimate`, once for each incoming shape.

A layer is estimated between two 1x1 convolutions, which make its input and read its output as its neighbours in a network do; of that
estimate the kernels of its own operators are taken. A kernel that holds operators of the layer and of a neighbour has no share that
is the layer's alone: then there is no table, and the error names the kernel.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from costmodel.devices import Target
from costmodel.errors import UsageError
from costmodel.estimation import Estimate, estimate, lowered
from costmodel.frozen import FrozenDict
from costmodel.graph import Graph, Value
from costmodel.laws import LAUNCH_QUEUE, Combination, launch_makespan
from costmodel.search._space import Layer, Space
from costmodel.zoo._net import Net

Shape = tuple[int, ...]
#: Channels of what stands around a layer that is priced.
_NEIGHBOUR = 8


class Piece(NamedTuple):
    """The cost of consecutive layers: counts, the largest sum of live activations, and times as the law combines them.

    `launched_s` is what the host needs to issue the kernels, `busy_s` their sum on the device, `makespan_s` when the last of them ends
    if host and device start together. `shape` is that of the output, None while it is the image; `unmodelled` are kinds of kernels without a cost.
    """

    shape: Shape | None
    macs: int = 0
    parameters: int = 0
    traffic_bytes: int = 0
    peak_activation_bytes: int = 0
    launched_s: float = 0.0
    busy_s: float = 0.0
    makespan_s: float = 0.0
    unmodelled: frozenset[str] = frozenset()

    def then(self, after: Piece) -> Piece:
        """Both, one after the other; see `Combination` for the makespan.

        Examples
        --------
        >>> one, other = Piece((1,), launched_s=3.0, busy_s=1.0, makespan_s=4.0), Piece((1,), launched_s=3.0, busy_s=5.0, makespan_s=8.0)
        >>> one.then(other).makespan_s
        11.0
        """
        return Piece(
            after.shape,
            self.macs + after.macs,
            self.parameters + after.parameters,
            self.traffic_bytes + after.traffic_bytes,
            max(self.peak_activation_bytes, after.peak_activation_bytes),
            self.launched_s + after.launched_s,
            self.busy_s + after.busy_s,
            max(self.makespan_s + after.busy_s, self.launched_s + after.makespan_s),
            self.unmodelled | after.unmodelled,
        )


class Pricer:
    """Prices layers of one space on one target and remembers them. `terms` are the program terms that every network has."""

    def __init__(self, space: Space, target: Target, batch: int) -> None:
        found = target.law.combination(target.machine)
        if found is None:
            raise UsageError(
                f"{target.device.name} {target.processor} under {target.runtime}: only a whole network has a latency there, blocks have none that add up "
                f"and there is no table; estimate candidates one by one: costmodel.estimate(space.graph(x), ...)"
            )
        self.space, self.target, self.batch = space, target, batch
        self.combination: Combination = found
        self.terms: FrozenDict[str, float] | None = None
        self._known: dict[Hashable, Piece] = {}

    def __len__(self) -> int:
        return len(self._known)

    def run(self, layers: tuple[Layer, ...], shape: Shape | None, *, last: bool = False) -> Piece:
        """Layers in a row on an input of `shape` (None: the image); `last` says that they end the network. No layers leave all as it is."""
        made = Piece(shape)
        for number, layer in enumerate(layers, start=1):
            made = made.then(self._layer(layer, made.shape, last=last and number == len(layers)))
        return made

    def _layer(self, layer: Layer, shape: Shape | None, *, last: bool) -> Piece:
        key = (layer, shape, last)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._price(layer, shape, last)
        return found

    def _price(self, layer: Layer, shape: Shape | None, last: bool) -> Piece:
        graph, out = self._in_context(layer, shape, last)
        report = estimate(graph, self.target)
        self._keep_terms(report)
        live = lowered(graph, self.target).live_bytes
        own = [number for number, row in enumerate(report.kernels) if self._is_own(row.operators, layer)]
        rows = [report.kernels[number] for number in own]
        nodes = [node for node in graph.nodes if node.name.startswith("layer.")]
        names = {row.name for row in rows}
        seconds = [row.latency_s for row in rows]
        return Piece(
            out,
            macs=sum(node.work.macs for node in nodes),
            parameters=sum(node.parameters for node in nodes),
            traffic_bytes=sum(row.traffic_bytes for row in rows),
            peak_activation_bytes=max((live[number] for number in own), default=0),
            launched_s=self.combination.launch_s * len(rows),
            busy_s=sum(seconds),
            makespan_s=launch_makespan(seconds, self.combination.launch_s),
            unmodelled=frozenset(entry.kind for entry in report.unmodelled if entry.name in names),
        )

    def _in_context(self, layer: Layer, shape: Shape | None, last: bool) -> tuple[Graph, Shape]:
        """The layer between two convolutions, or at an end of the network; and the shape of its output."""
        if shape is None:
            net = self.space.net("stem", batch=self.batch)
            x = net.image
        else:
            if len(shape) != 4:
                raise UsageError(f"{layer} of {self.space.name} takes {shape}, which is no image: put it and the layer before it into one layer")
            net = self.space.net("layer", batch=self.batch, channels=_NEIGHBOUR, resolution=(shape[2], shape[3]))
            with net.scope("before"):
                x = net.conv_norm(net.image, shape[1])
        with net.scope("layer"):
            y = layer(net, x)
        return self._ended(net, layer, y, last), y.spec.shape

    def _ended(self, net: Net, layer: Layer, y: Value, last: bool) -> Graph:
        if last:
            return net.finish(y)
        if len(y.spec.shape) != 4:
            raise UsageError(f"{layer} of {self.space.name} gives {y.spec}, which is no image: only the last layer of the head may")
        with net.scope("after"):
            return net.finish(net.conv_norm(y, _NEIGHBOUR))

    def _is_own(self, operators: tuple[str, ...], layer: Layer) -> bool:
        places = {name.partition(".")[0] for name in operators}
        if "layer" in places and len(places) > 1:
            raise UsageError(
                f"{self.space.name} on {self.target.device.name} under {self.target.runtime}: one kernel holds {', '.join(operators)}, of {layer} and of its "
                "neighbour, so that blocks have no cost of their own; let a layer begin and end with a convolution, or take a runtime that fuses less"
            )
        return places == {"layer"}

    def _keep_terms(self, report: Estimate) -> None:
        terms = FrozenDict({name: seconds for name, seconds in report.terms.items() if name != LAUNCH_QUEUE})
        if self.terms is None:
            self.terms = terms
        if terms != self.terms:
            raise UsageError(f"{self.target.device.name} under {self.target.runtime}: program terms differ between networks ({self.terms}, {terms}): no table")
