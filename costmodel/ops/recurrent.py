"""Recurrent layers over a sequence. x: (N, T, C); out: (N, T, hidden), the state after every step, from a state of zeros.

Work: every step is a product of the state and the step's input with the same weights, m = N rows of it; `spatial` is the
number of steps, so that m = N*T, n = gates*hidden, k = C + hidden. MACs = T * N * gates * hidden * (C + hidden).
"""

from __future__ import annotations

from collections.abc import Sequence
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
            start = per_layer * layer * (1 + both)
            x = cls._layer(call, x, stored[start : start + per_layer * (1 + both)], both, str(layer))
        y = x if call.get("batch_first") else call.add(Permute((1, 0, 2)), x, suffix="steps_first")
        if layers > 1 or both:
            return (y,)
        steps = x.shape[1]
        state = call.add(Permute((1, 0, 2)), call.add(Slice(1, steps - 1, steps), x, suffix="last"), suffix="state")
        return (y, *(state for _ in call.outputs[1:]))

    @classmethod
    def _layer(cls, call: Call, x: Operand, stored: Sequence[Operand], both: bool, suffix: str) -> Operand:
        """One layer, in both directions if `both`; `stored` are the weights of one way after those of the other."""
        per_way = len(stored) // (1 + both)
        ways = []
        for way in range(1 + both):
            weights = dict(zip(_WEIGHTS, stored[per_way * way : per_way * (way + 1)], strict=False))
            made = cls(weights["weight_hh"].shape[-1], per_way == 4)  # type: ignore[call-arg]  # subclasses have the fields
            y = call.add(Flip((1,)), x, suffix=f"reverse{suffix}") if way else x
            y = call.add(made, y, weights=weights, suffix=f"layer{suffix}" + ("_reverse" if way else ""))
            ways.append(call.add(Flip((1,)), y, suffix=f"restore{suffix}") if way else y)
        return call.add(Concat(2), *ways, suffix=f"join{suffix}") if both else ways[0]

    @classmethod
    def from_onnx(cls, call: Call) -> Added | None:
        """One layer, forwards or in both directions. `params` are its weights as torch has them; gates have the format's own order."""
        x, stored = call.tensor("X"), call.get("params", [])
        direction = call.get("direction", "forward")
        both = direction == "bidirectional"
        if len(x.shape) != 3 or len(stored) not in (2 * (1 + both), 4 * (1 + both)) or direction == "reverse" or any(w.origin != "parameter" for w in stored):
            return None
        batch_first = bool(call.get("layout", 0))
        if not batch_first:
            x = call.add(Permute((1, 0, 2)), x, suffix="batch_first")
        y = cls._layer(call, x, stored, both, "0")
        batch, steps, width = y.shape
        apart = reshaped(call, y, (batch, steps, 1 + both, width // (1 + both))) if both else reshaped(call, y, (batch, steps, 1, width))
        found = [apart if batch_first else call.add(Permute((1, 2, 0, 3)), apart, suffix="steps_first")]
        if len(call.outputs) > 1 and not both:
            last = call.add(Slice(1, steps - 1, steps), y, suffix="last")
            found += [last if batch_first else call.add(Permute((1, 0, 2)), last, suffix="state")] * (len(call.outputs) - 1)
        return tuple(found)


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
