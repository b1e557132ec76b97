"""`Planner`: the tensors and operators of a file while it is planned, and the orders in which tensors are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from costmodel.errors import InvalidFileError
from costmodel.frozen import FrozenDict
from costmodel.graph import TensorRef
from costmodel.importers.tflite._layout import Order, Shape, natural, same_bytes, stored_shape
from costmodel.importers.tflite._schema import Constant, FileOperator, FileTensor, Recipe


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor of the graph as the file holds it.

    `mixed` is set where (N, C*H*W) of the graph is stored as (N, H*W*C): the shape and order of what was flattened.
    """

    tensor: int
    shape: Shape
    order: Order
    mixed: tuple[Shape, Order] | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """A quantisation that TFLite prescribes for an output. Source: TensorFlow Lite 8-bit quantization specification."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Observed:
    """Values computed from the inputs and weights of a node; their range is what is wanted."""

    node: str
    compute: Callable[[Sequence[Any], Mapping[str, Any]], Any]


#: Where the range of a tensor is known from: a graph's tensor, a rule, a computation; or it is that of the operands.
Range = TensorRef | Fixed | Observed | None


class Planner:
    """Tensors and operators in the making.

    `limit` bounds how many operators are planned: a file that claims to come from a larger graph lies.
    """

    def __init__(self, name: str, *, limit: int | None = None) -> None:
        self.name, self.limit = name, limit
        self.tensors: list[FileTensor] = []
        self.operators: list[FileOperator] = []
        self.ranges: dict[int, Range] = {}
        self.windows: dict[int, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {}  # index -> kernel, stride, padding of its pool
        self.shifted: dict[tuple[int, tuple[int, int]], int] = {}
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._learned: dict[tuple[str, str, str], int] = {}
        self._arranged: dict[tuple[int, Order, Order], int] = {}

    def tensor(self, name: str, shape: Shape, type: str = "FLOAT32", constant: Constant | None = None, *, variable: bool = False) -> int:
        """The position of a new tensor."""
        self.tensors.append(FileTensor(name=name, shape=shape, type=type, constant=constant, variable=variable))
        return len(self.tensors) - 1

    def numbers(self, values: Sequence[int], shape: Shape | None = None, type: str = "INT32") -> int:
        """A constant of few known integers: axes, sizes, shapes."""
        return self._known(tuple(values), (len(values),) if shape is None else shape, type)

    def real(self, values: Sequence[float], shape: Shape = ()) -> int:
        """A constant of few known real numbers."""
        return self._known(tuple(float(value) for value in values), shape, "FLOAT32")

    def _known(self, values: tuple[int | float, ...], shape: Shape, type: str) -> int:
        key = (values, shape, type)
        if key not in self._numbers:
            self._numbers[key] = self.tensor(f"constant{len(self._numbers)}", shape, type, Constant(values))
        return self._numbers[key]

    def learned(self, owner: str, name: str, shape: Shape, recipe: Recipe, *, form: str = "", type: str = "FLOAT32") -> int:
        """A constant made from the weights of the node `owner`; asked for twice under one name and `form`, stored once."""
        key = (owner, name, f"{form}{shape}")
        if key not in self._learned:
            self._learned[key] = self.tensor(f"{owner}/{name}", shape, type, Constant(recipe=recipe))
        return self._learned[key]

    def operator(self, builtin: str, inputs: Sequence[int], name: str, shape: Shape, *, range: Range = None, type: str = "FLOAT32", **options: Any) -> int:
        """The output of a new operator with one output."""
        made = self.tensor(name, shape, type)
        self.add(builtin, inputs, (made,), **options)
        self.ranges[made] = range
        return made

    def add(self, builtin: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        """Record an operator whose outputs exist already."""
        if self.limit is not None and len(self.operators) >= self.limit:
            raise InvalidFileError(f"the network that it names needs more than its {self.limit} operators")
        self.operators.append(FileOperator(builtin, tuple(inputs), tuple(outputs), FrozenDict(options)))

    # -- orders ------------------------------------------------------------------------------------------------------

    def shape(self, tensor: int) -> Shape:
        """Shape of a tensor in the file's axis order."""
        return self.tensors[tensor].shape

    def arranged(self, held: Held, order: Order | None = None) -> int:
        """The tensor in `order` (the graph's own by default): as it is, reshaped where the bytes agree, or transposed."""
        held = self._unmixed(held)
        wanted = natural(len(held.shape)) if order is None else order
        if held.order == wanted:
            return held.tensor
        key = (held.tensor, held.order, wanted)
        if key not in self._arranged:
            kind = self.tensors[held.tensor].type
            name = self.tensors[held.tensor].name
            shape = stored_shape(held.shape, wanted)
            if same_bytes(held.shape, held.order, wanted):
                self._arranged[key] = self.reshape(held.tensor, f"{name}/reshape", shape)
            else:
                permutation = self.numbers([held.order.index(axis) for axis in wanted])
                self._arranged[key] = self.operator("TRANSPOSE", (held.tensor, permutation), f"{name}/transpose", shape, type=kind)
        return self._arranged[key]

    def reshape(self, tensor: int, name: str, shape: Shape) -> int:
        """The same bytes in another shape."""
        if self.shape(tensor) == shape:
            return tensor
        return self.operator("RESHAPE", (tensor, self.numbers(shape)), name, shape, type=self.tensors[tensor].type)

    def _unmixed(self, held: Held) -> Held:
        """What was flattened in the file's order, in the graph's order."""
        if held.mixed is None:
            return held
        shape, order = held.mixed
        name = self.tensors[held.tensor].name
        tensor = self.arranged(Held(self.reshape(held.tensor, f"{name}/unflatten", stored_shape(shape, order)), shape, order))
        return Held(self.reshape(tensor, f"{name}/flatten", held.shape), held.shape, natural(len(held.shape)))

    def like(self, held: Held, tensor: int) -> Held:
        """`tensor` held as `held` is: the result of a function of each element."""
        return replace(held, tensor=tensor)

    def flattened(self, held: Held, name: str, shape: Shape) -> Held:
        """`held` as (N, everything), its bytes as they are."""
        tensor = self.reshape(held.tensor, name, (held.shape[0], math.prod(held.shape[1:])))
        return Held(tensor, shape, natural(2), (held.shape, held.order))
