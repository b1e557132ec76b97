"""`Trace`: what every reader of another format makes of a network, in that format's own words; `assemble` makes it a `Graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from costmodel.operator import Specs
from costmodel.recognition import Operand


class Name(str):
    """The name of a tensor among the arguments of a call, where a plain string is an attribute."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class TracedCall:
    """One call: the operator in the format's words, its arguments by name (tensors as `Name`, alone or in lists), and what came out.

    `outputs` are names and specs, in order; an unnamed output ("") is read by nobody. `path` is the module that made the
    call, `leaf` whether that module has no others inside, and `place` says where in the file the call stands.
    """

    operator: str
    arguments: Mapping[str, Any]
    outputs: tuple[tuple[str, Any], ...]
    path: str = ""
    leaf: bool = False
    place: str = ""

    @property
    def specs(self) -> Specs:
        """Specs of the outputs."""
        return tuple(spec for _, spec in self.outputs)


@dataclass(frozen=True, slots=True)
class Trace:
    """A network as calls in order.

    Attributes
    ----------
    dialect : which names of an operator class the calls use: ``aten`` or ``onnx``.
    inputs, weights : by name, with the sizes of the trace. Weights are every stored tensor, used or not; the operand's own
        name is the one that its file or module gives it, which two weights share that are one tensor.
    batch : what dimension 0 of the inputs was in the trace.
    chosen : whether `batch` was chosen by us, a large prime, so that sizes which follow it can be told.
    notes : warnings that belong to every figure of the network.
    numbers : the numbers of a stored tensor, by the operand's own name, as an array; None where it has a shape only.
    """

    name: str
    dialect: str
    inputs: Mapping[str, Operand]
    weights: Mapping[str, Operand]
    calls: tuple[TracedCall, ...]
    outputs: tuple[str, ...]
    batch: int
    chosen: bool
    notes: tuple[str, ...] = field(default=())
    numbers: Callable[[str], Any] | None = field(default=None, repr=False)
