"""Recurrent layers over a sequence. x: (N, T, C); out: (N, T, hidden), the state after every step, from a state of zeros.

Work: every step is a product of the state and the step's input with the same weights, m = N rows of it; `spatial` is the
number of steps, so that m = N*T, n = gates*hidden, k = C + hidden. MACs = T * N * gates * hidden * (C + hidden).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from costmodel.errors import ShapeError
from costmodel.operator import Example, Operator, Shapes, Specs, operator
from costmodel.ops._shapes import require_arguments, require_rank
from costmodel.ops.arithmetic import Add, Multiply, Subtract
from costmodel.ops.blocks import Flip
from costmodel.ops.elementwise import ReLU, Sigmoid, Tanh
from costmodel.ops.layout import Concat, Permute, Slice, Split, reshaped
from costmodel.ops.matmul import projected
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
        """One layer after another, each in both directions where the network reads both ways; the last states only of one layer one way.

        A single step is two linear layers and what follows them, each an operator.
        """
        if "cell" in call.name:
            return cls._step(call)
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
    def _of(cls, call: Call, hidden: int, bias: bool) -> _Recurrent:
        """The operator of one layer that `call` has."""
        return cls(hidden, bias)  # type: ignore[call-arg]  # subclasses have the fields

    @classmethod
    def _step(cls, call: Call) -> Added:
        """One step: the parts of the gates from the input and from the state, then the new state, and the new memory where there is one."""
        states = call.get("hx")
        state, *memory = states if isinstance(states, list) else [states]
        from_input = projected(call, call.tensor("input"), call.tensor("w_ih"), call.get("b_ih"), "input")
        from_state = projected(call, state, call.tensor("w_hh"), call.get("b_hh"), "state")
        return cls.gated(call, from_input, from_state, state, memory)

    @classmethod
    def gated(cls, call: Call, given: Operand, recalled: Operand, state: Operand, memory: Sequence[Operand]) -> Added:
        """What follows the two products of a step; see `step`."""
        raise TypeError(f"{cls.__name__} must define gated()")

    @classmethod
    def _layer(cls, call: Call, x: Operand, stored: Sequence[Operand], both: bool, suffix: str) -> Operand:
        """One layer, in both directions if `both`; `stored` are the weights of one way after those of the other."""
        per_way = len(stored) // (1 + both)
        ways = []
        for way in range(1 + both):
            weights = dict(zip(_WEIGHTS, stored[per_way * way : per_way * (way + 1)], strict=False))
            made = cls._of(call, weights["weight_hh"].shape[-1], per_way == 4)
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
    aten = ("aten.lstm.input", "aten.lstm_cell.default")
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
    def gated(cls, call: Call, given: Operand, recalled: Operand, state: Operand, memory: Sequence[Operand]) -> Added:
        width = state.shape[-1]
        gates = call.add(Add(), given, recalled, suffix="gates")
        take, keep, new, show = call.add_all(Split((width,) * 4, 1), gates, suffix="apart")
        kept = call.add(Multiply(), call.add(Sigmoid(), keep, suffix="keep"), memory[0], suffix="kept")
        taken = call.add(Multiply(), call.add(Sigmoid(), take, suffix="take"), call.add(Tanh(), new, suffix="new"), suffix="taken")
        remembered = call.add(Add(), kept, taken, suffix="memory")
        shown = call.add(Multiply(), call.add(Sigmoid(), show, suffix="show"), call.add(Tanh(), remembered, suffix="tanh"), suffix="shown")
        return shown, remembered

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
    aten = ("aten.gru.input", "aten.gru_cell.default")
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
    def gated(cls, call: Call, given: Operand, recalled: Operand, state: Operand, memory: Sequence[Operand]) -> Added:
        thirds = Split((state.shape[-1],) * 3, 1)
        (reset, update, new), (reset_state, update_state, new_state) = (
            call.add_all(thirds, given, suffix="apart"),
            call.add_all(thirds, recalled, suffix="apart"),
        )
        blend = call.add(Sigmoid(), call.add(Add(), update, update_state, suffix="update"), suffix="blend")
        through = call.add(Sigmoid(), call.add(Add(), reset, reset_state, suffix="reset"), suffix="through")
        fresh = call.add(Tanh(), call.add(Add(), new, call.add(Multiply(), through, new_state, suffix="let"), suffix="new"), suffix="fresh")
        change = call.add(Multiply(), call.add(Subtract(), state, fresh, suffix="difference"), blend, suffix="change")
        return (call.add(Add(), change, fresh, suffix="next"),)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(8), _SEQUENCES[0]), Example(cls(6, False), _SEQUENCES[1]), Example(cls(4), _SEQUENCES[2]))


@operator
class RNN(_Recurrent):
    """h = f(W x + U h + b), the recurrent network of Elman with f tanh or, as `nonlinearity` says, ReLU: 1 a unit besides the products.

    Source: Elman, Finding structure in time, Cognitive Science 14(2), 1990.
    """

    GATES = 1
    FLOPS = 1
    TRANSCENDENTALS = 1
    aten = ("aten.rnn_tanh.input", "aten.rnn_relu.input", "aten.rnn_tanh_cell.default", "aten.rnn_relu_cell.default")

    hidden: int
    bias: bool = True
    nonlinearity: str = "tanh"

    def infer(self, *inputs: TensorSpec) -> Specs:
        if self.nonlinearity not in ("tanh", "relu"):
            raise ShapeError(f"the nonlinearity is tanh or relu, not {self.nonlinearity!r}")
        return _Recurrent.infer(self, *inputs)

    def work(self, inputs: Specs, outputs: Specs) -> Work:
        work = _Recurrent.work(self, inputs, outputs)
        return work if self.nonlinearity == "tanh" else replace(work, transcendentals=0)

    def step(self, given: Any, recalled: Any, state: Any, memory: Any) -> tuple[Any, Any]:
        return getattr(given + recalled, self.nonlinearity)(), memory

    def library(self, x: Any, state: Any, weights: list[Any]) -> Any:
        import torch

        run = torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu
        return run(x, state[None], weights, self.bias, 1, 0.0, False, False, True)[0]

    @classmethod
    def _of(cls, call: Call, hidden: int, bias: bool) -> _Recurrent:
        return cls(hidden, bias, "relu" if "relu" in call.name else "tanh")

    @classmethod
    def gated(cls, call: Call, given: Operand, recalled: Operand, state: Operand, memory: Sequence[Operand]) -> Added:
        function = ReLU() if "relu" in call.name else Tanh()
        return (call.add(function, call.add(Add(), given, recalled, suffix="gates"), suffix="next"),)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example(cls(8), _SEQUENCES[0]), Example(cls(6, False, "relu"), _SEQUENCES[1]), Example(cls(4), _SEQUENCES[2]))
