"""Recurrent layers over a sequence. x: (N, T, C); out: (N, T, hidden), the state after every step, from a state of zeros.

Work: every step is a product of the state and the step's input with the same weights, m = N rows of it; `spatial` is the
number of steps, so that m = N*T, n = gates*hidden, k = C + hidden. MACs = T * N * gates * hidden * (C + hidden).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Shapes, Specs, operator
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.ops.blocks import Flip
from costmodel.ops.layout import Concat, Permute, Slice, reshaped
from costmodel.recognition import Added, Call, Operand
from costmodel.tensor import TensorSpec
from costmodel.work import Work, WorkKind

#: The order in which torch's own operators take the weights.
_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

_SEQUENCES = tuple((TensorSpec(shape),) for shape in ((2, 5, 12), (1, 3, 6), (3, 1, 7)))


class _Recurrent(Operator):
    """GATES products a step and unit; FLOPS and TRANSCENDENTALS are what each unit computes besides, biases apart."""

    __slots__ = ()

    GATES: ClassVar[int]
    FLOPS: ClassVar[int]
    TRANSCENDENTALS: ClassVar[int]

    autocast = "half"

    hidden: int
    bias: bool

    def infer(self, *inputs: TensorSpec) -> Specs:
        require_arguments(inputs, 1)
        (x,) = inputs
        require_rank(x, 3, "the sequence")
        if self.hidden < 1:
            raise ShapeError(f"the state must have at least 1 unit, not {self.hidden}")
        return (TensorSpec((*x.shape[:2], self.hidden), x.dtype),)

    def parameters(self, *inputs: TensorSpec) -> Shapes:
        rows = self.GATES * self.hidden
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs[0].shape[2]), "weight_hh": (rows, self.hidden)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        return shapes

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        (x,), (y,) = inputs, outputs
        rows, width = self.GATES * self.hidden, x.shape[2] + self.hidden
        biases = 2 * self.GATES if self.bias else 0
        return Work(
            kind=WorkKind.RECURRENT,
            m=x.shape[0] * x.shape[1],
            n=rows,
            k=width,
            spatial=x.shape[1],
            elements_read=x.numel,
            elements_written=y.numel,
            parameters=rows * (width + (2 if self.bias else 0)),
            other_flops=(self.FLOPS + biases) * y.numel,
            transcendentals=self.TRANSCENDENTALS * y.numel,
        )

    def run(self, *tensors: Any, **weights: Any) -> Any:
        import torch
        from torch.nn import functional

        (x,) = tensors
        state = x.new_zeros(x.shape[0], self.hidden)
        if x.device.type != "meta":
            return self.library(x, state, [weights[name] for name in _WEIGHTS if name in weights])
        # torch counts no FLOPs of its recurrent operators, so that shapes without data go step by step.
        memory, states = state, []
        for given in functional.linear(x, weights["weight_ih"], weights.get("bias_ih")).unbind(1):
            state, memory = self.step(given, functional.linear(state, weights["weight_hh"], weights.get("bias_hh")), state, memory)
            states.append(state)
        return torch.stack(states, 1)

    def step(self, given: Any, recalled: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        """The next state and memory from the gates' parts that come from the input (`given`) and from the state (`recalled`)."""
        raise TypeError(f"{type(self).__name__} must define step()")

    def library(self, x: Any, state: Any, weights: list[Any]) -> Any:
        """All states by torch's own operator, from the initial `state`."""
        raise TypeError(f"{type(self).__name__} must define library()")

    @classmethod
    def from_aten(cls, call: Call) -> Added | None:
        """One layer after another, each in both directions where the network reads both ways; the last states only of one layer one way."""
        x, stored = call.tensor("input"), call.get("params")
        biased, both, layers = bool(call.get("has_biases")), bool(call.get("bidirectional")), call.get("num_layers")
        per_layer = 4 if biased else 2
        if len(x.shape) != 3 or len(stored) != per_layer * layers * (1 + both):
            return None  # projections, or a packed sequence
        if not call.get("batch_first"):
            x = call.add(Permute((1, 0, 2)), x, suffix="batch_first")
        for layer in range(layers):
            ways = []
            for way in range(1 + both):
                start = per_layer * (layer * (1 + both) + way)
                weights = dict(zip(_WEIGHTS, stored[start : start + per_layer], strict=False))
                made = cls(weights["weight_hh"].shape[1], biased)  # type: ignore[call-arg]  # subclasses have the fields
                y = call.add(Flip((1,)), x, suffix=f"reverse{layer}") if way else x
                y = call.add(made, y, weights=weights, suffix=f"layer{layer}" + ("_reverse" if way else ""))
                ways.append(call.add(Flip((1,)), y, suffix=f"restore{layer}") if way else y)
            x = call.add(Concat(2), *ways, suffix=f"join{layer}") if both else ways[0]
        y = x if call.get("batch_first") else call.add(Permute((1, 0, 2)), x, suffix="steps_first")
        if layers > 1 or both:
            return (y,)
        steps = x.shape[1]
        state = call.add(Permute((1, 0, 2)), call.add(Slice(1, steps - 1, steps), x, suffix="last"), suffix="state")
        return (y, *(state for _ in call.outputs[1:]))

    @classmethod
    def from_onnx(cls, call: Call) -> Added | None:
        """One layer that reads forwards. The format keeps both biases in one tensor, and its gates in an order of its own."""
        x, weight, recurrent, biases = call.tensor("X"), call.tensor("W"), call.tensor("R"), call.get("B")
        hidden = recurrent.shape[-1]
        if weight.shape[0] != 1 or call.get("P") is not None or call.get("direction", "forward") != "forward" or len(x.shape) != 3:
            return None
        rows = cls.GATES * hidden
        weights = {"weight_ih": weight, "weight_hh": recurrent}
        if isinstance(biases, Operand):
            for key, start in (("bias_ih", 0), ("bias_hh", rows)):
                half = Slice(1, start, start + rows)
                weights[key] = dataclasses.replace(biases, spec=TensorSpec((1, rows), biases.spec.dtype), value=None, steps=(*biases.steps, half))
        batch_first = bool(call.get("layout", 0))
        if not batch_first:
            x = call.add(Permute((1, 0, 2)), x, suffix="batch_first")
        y = call.add(cls(hidden, biases is not None), x, weights=weights)  # type: ignore[call-arg]  # subclasses have the fields
        last = call.add(Slice(1, x.shape[1] - 1, x.shape[1]), y, suffix="last")
        state = last if batch_first else call.add(Permute((1, 0, 2)), last, suffix="state")
        if not batch_first:
            y = call.add(Permute((1, 0, 2)), y, suffix="steps_first")
        return (reshaped(call, y, call.outputs[0].shape) if call.outputs[0].numel == y.spec.numel else y, *(state for _ in call.outputs[1:]))


@operator
class LSTM(_Recurrent):
    """Long short-term memory, four gates. Source: Hochreiter and Schmidhuber, Neural Computation 9(8), 1997, with forget gates.

    Besides the products: three sigmoids of 4, two tanh, c = f*c + i*g of 3, and o*tanh(c).
    """

    GATES = 4
    FLOPS = 3 * 4 + 2 + 3 + 1
    TRANSCENDENTALS = 5
    aten = ("aten.lstm.input",)
    onnx = ("LSTM",)

    hidden: int
    bias: bool = True

    def step(self, given: Any, recalled: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        take, keep, new, show = (given + recalled).chunk(4, 1)
        memory = keep.sigmoid() * memory + take.sigmoid() * new.tanh()
        return show.sigmoid() * memory.tanh(), memory

    def library(self, x: Any, state: Any, weights: list[Any]) -> Any:
        import torch

        return torch.lstm(x, (state[None], state[None]), weights, self.bias, 1, 0.0, False, False, True)[0]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(8), _SEQUENCES[0]), Example(cls(6, False), _SEQUENCES[1]), Example(cls(4), _SEQUENCES[2]))


@operator
class GRU(_Recurrent):
    """Gated recurrent unit, three gates, the reset gate after the product as in torch. Source: arXiv 1406.1078, section 2.3.

    Besides the products: two sigmoids of 4, tanh, r*n and one addition, and h = (1 - z)*n + z*h of 4.
    """

    GATES = 3
    FLOPS = 2 * 4 + 1 + 2 + 4
    TRANSCENDENTALS = 3
    aten = ("aten.gru.input",)
    onnx = ("GRU",)

    hidden: int
    bias: bool = True

    def step(self, given: Any, recalled: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        (reset, update, new), (reset_state, update_state, new_state) = given.chunk(3, 1), recalled.chunk(3, 1)
        blend = (update + update_state).sigmoid()
        new = (new + (reset + reset_state).sigmoid() * new_state).tanh()
        return (1 - blend) * new + blend * state, memory

    def library(self, x: Any, state: Any, weights: list[Any]) -> Any:
        import torch

        return torch.gru(x, state[None], weights, self.bias, 1, 0.0, False, False, True)[0]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(8), _SEQUENCES[0]), Example(cls(6, False), _SEQUENCES[1]), Example(cls(4), _SEQUENCES[2]))
