"""How an operator class recognises a call of another format: what an importer shows it, and what it answers with.

An importer turns a file or a module into calls, each with named arguments, and offers every call to the classes that list
its name (``aten`` or ``onnx``). A class answers by adding operators through the call; it returns the operands that stand
for the call's outputs, or None if the call is not one of its own.

Sizes are those of the trace. An importer that can choose traces with a batch that is a large prime, so that every size
which follows the batch is recognised as its multiple; `Call.batch` is that number, or 1 if the batch could not be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from costmodel.tensor import TensorSpec

#: An `Operator`; its module imports this one, hence no better type here.
AnyOperator = Any

#: An activation depends on an input of the network, a parameter is learned, a constant is fixed.
Origin = Literal["activation", "parameter", "constant"]


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """A tensor of the network that is imported.

    `name` is what the importer knows it by; `spec` has the sizes of the trace; `value` holds the numbers of a small
    constant as nested tuples. `steps` are the reshapes and permutations that lead from a stored weight to this view of it.
    """

    name: str
    spec: TensorSpec
    origin: Origin = "activation"
    value: Any = None
    steps: tuple[AnyOperator, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the trace."""
        return self.spec.shape

    @property
    def is_weight(self) -> bool:
        """Whether it is stored with the network rather than computed from its inputs."""
        return self.origin != "activation"


Added = tuple[Operand, ...]
Emit = Callable[[AnyOperator, Sequence[Operand], Mapping[str, Operand], str], Added]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of another format.

    `arguments` are by the names that the format's own schema gives them: operands, lists of operands, and plain values;
    what the format leaves out is absent. `outputs` are the specs that the trace saw.
    """

    name: str
    arguments: Mapping[str, Any]
    outputs: tuple[TensorSpec, ...]
    batch: int
    carrier: Operand
    emit: Emit = field(repr=False)

    def get(self, name: str, default: Any = None) -> Any:
        """The argument called `name`, or `default` where it is absent or None."""
        found = self.arguments.get(name)
        return default if found is None else found

    def tensor(self, name: str) -> Operand:
        """The tensor argument called `name`.

        Raises
        ------
        UnreadableCallError
            If there is none.
        """
        found = self.arguments.get(name)
        if not isinstance(found, Operand):
            raise UnreadableCallError(f"{self.name}: the argument {name!r} is {found!r}, not a tensor")
        return found

    def ints(self, name: str, default: Sequence[int] | int | None = None, *, count: int = 0) -> tuple[int, ...]:
        """The argument called `name` as whole numbers; one number stands for `count` of them.

        Raises
        ------
        UnreadableCallError
            If it is something else, such as a size that is known only when the network runs.
        """
        found = self.get(name, default)
        values = tuple(found) if isinstance(found, list | tuple) else (found,)
        if not all(isinstance(value, int) for value in values):
            raise UnreadableCallError(f"{self.name}: the argument {name!r} is {found!r}, not whole numbers")
        return values * count if count and len(values) == 1 else values

    @property
    def tensors(self) -> tuple[Operand, ...]:
        """All tensor arguments in order."""
        return tuple(value for value in self.arguments.values() if isinstance(value, Operand))

    def add(self, operator: AnyOperator, *inputs: Operand, weights: Mapping[str, Operand] | None = None, suffix: str = "") -> Operand:
        """Add an operator with one output; see `add_all`."""
        return self.add_all(operator, *inputs, weights=weights, suffix=suffix)[0]

    def add_all(self, operator: AnyOperator, *inputs: Operand, weights: Mapping[str, Operand] | None = None, suffix: str = "") -> Added:
        """Add an operator to the graph and return its outputs.

        `weights` maps the operator's own names for its parameters to the stored tensors; a weight among `inputs` becomes an
        operand of its own. `suffix` tells several operators of one call apart.
        """
        return self.emit(operator, inputs, weights or {}, suffix)

    def follows_batch(self, size: int) -> bool:
        """Whether a size of the trace is a multiple of the batch."""
        return self.batch > 1 and size % self.batch == 0 and size > 0


class UnreadableCallError(Exception):
    """Raised by a reader: the call is of a known operator, but in a form that has no counterpart."""
