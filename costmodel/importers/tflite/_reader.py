"""`Reader`: a `Plan` from a file becomes a `Graph`, operator by operator.

Images of the file are (N, H, W, C), those of the graph (N, C, H, W): every tensor is known by its value in the graph and
the order in which the file has the value's axes. Where an operator of the graph demands another order than the file has,
a `Permute` is added, as networks written for (N, C, H, W) have one there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from costmodel.errors import CostModelError, InvalidFileError
from costmodel.graph import Graph, GraphBuilder, TensorRef, Value
from costmodel.importers.tflite._layout import IMAGE, Order, Shape, blocks, natural, reshaped, same_bytes, stored_shape
from costmodel.importers.tflite._schema import ABSENT, NONE, RELU, RELU6, RELU_N1_TO_1, TANH, FileOperator, FileTensor, Plan
from costmodel.operator import Operator
from costmodel.ops.elementwise import Clamp, ReLU, ReLU6, Tanh
from costmodel.ops.layout import Permute, Reshape
from costmodel.ops.stored import Constant, Parameter
from costmodel.ops.unknown import Unknown
from costmodel.tensor import DType, TensorSpec

#: Types of the file's tensors in a graph: whatever is quantised is a real number there, and the target's dtype says how it is stored.
DTYPES = {"INT32": DType.INT32, "INT64": DType.INT64, "BOOL": DType.BOOL, "UINT32": DType.INT32, "UINT64": DType.INT64, "INT16": DType.INT32}
_ACTIVATIONS = {RELU: ReLU(), RELU6: ReLU6(), RELU_N1_TO_1: Clamp(-1.0, 1.0), TANH: Tanh()}

#: Operators whose images are (N, H, W, C) by their nature, and those that leave an image what it was.
_IMAGE_OPERATORS = frozenset(
    {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
        "AVERAGE_POOL_2D",
        "MAX_POOL_2D",
        "L2_POOL_2D",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SPACE_TO_DEPTH",
        "DEPTH_TO_SPACE",
        "LOCAL_RESPONSE_NORMALIZATION",
    }
)
_IMAGE_KEEPERS = frozenset(
    {
        "ADD",
        "SUB",
        "MUL",
        "DIV",
        "MAXIMUM",
        "MINIMUM",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RELU_0_TO_1",
        "LEAKY_RELU",
        "PRELU",
        "ELU",
        "LOGISTIC",
        "TANH",
        "HARD_SWISH",
        "GELU",
        "SILU",
        "HARD_SIGMOID",
        "QUANTIZE",
        "DEQUANTIZE",
        "CAST",
        "CONCATENATION",
        "SPLIT",
        "SPLIT_V",
        "PAD",
        "PADV2",
        "MIRROR_PAD",
        "SLICE",
        "STRIDED_SLICE",
        "MEAN",
        "SUM",
        "REDUCE_MAX",
        "L2_NORMALIZATION",
    }
)


class FormError(CostModelError):
    """A form of a built-in operator that has no counterpart in a graph, though nothing is wrong with it."""


@dataclass(frozen=True, slots=True)
class Known:
    """A tensor of the file as the graph has it; `number` is its position in the file where it has one."""

    value: Value
    order: Order
    number: int = ABSENT


class Reader:
    """One file on its way to a graph; handlers of operators use what is here."""

    def __init__(self, plan: Plan, path: str) -> None:
        self.plan, self.path = plan, path
        self.builder = GraphBuilder(plan.name)
        self.known: dict[int, Known] = {}
        self.learned: dict[int, str] = {}
        self.constants: dict[tuple[int, Order], Known] = {}
        self.turned: dict[tuple[TensorRef, Order], Value] = {}
        self.images = _images(plan)
        self.place = ""
        self.name = ""
        self.names: Counter[str] = Counter()

    # -- the file ----------------------------------------------------------------------------------------------------

    def fault(self, problem: str) -> InvalidFileError:
        """The error for what is wrong at the current operator."""
        return InvalidFileError(f"{self.path}: {self.place}: {problem}")

    def begin(self, position: int, operator: FileOperator) -> None:
        """Turn to the next operator; what it adds is called as its result is."""
        self.place = f"operator {position} ({operator.builtin})"
        self.name = self.unique(self.output(operator).name or operator.builtin.lower())

    def unique(self, name: str) -> str:
        """`name`, with a number where it was given before."""
        self.names[name] += 1
        return name if self.names[name] == 1 else f"{name}#{self.names[name]}"

    def form(self, problem: str) -> FormError:
        """The error for a form of an operator that no operator of a graph has."""
        return FormError(f"{self.place}: {problem}")

    def network_inputs(self) -> tuple[Value, ...]:
        """The inputs of the network."""
        return tuple(self.known[number].value for number in self.plan.inputs)

    def tensor(self, operator: FileOperator, position: int) -> FileTensor:
        """Operand number `position`."""
        return self.plan.tensors[self.operand(operator, position)]

    def operand(self, operator: FileOperator, position: int) -> int:
        """The position of operand number `position` among the file's tensors."""
        if position >= len(operator.inputs) or operator.inputs[position] == ABSENT:
            raise self.fault(f"has no operand {position}")
        return operator.inputs[position]

    def has(self, operator: FileOperator, position: int) -> bool:
        """Whether operand number `position` is given."""
        return position < len(operator.inputs) and operator.inputs[position] != ABSENT

    def is_constant(self, operator: FileOperator, position: int) -> bool:
        """Whether operand number `position` is stored in the file."""
        return self.tensor(operator, position).constant is not None

    def integers(self, operator: FileOperator, position: int) -> tuple[int, ...]:
        """The integers of a constant operand."""
        tensor = self.tensor(operator, position)
        if tensor.constant is None or tensor.constant.values is None or tensor.type not in ("INT32", "INT64"):
            raise self.fault(f"operand {position} ({tensor.name!r}) must be a constant of few integers")
        return tuple(int(value) for value in tensor.constant.values)

    def weights(self, operator: FileOperator, position: int) -> Shape:
        """The shape of an operand that must be stored in the file; one that is computed makes the operator's form unknown."""
        number = self.operand(operator, position)
        tensor = self.plan.tensors[number]
        if number in self.known:
            raise self.form(f"computes its operand {position}")
        if tensor.constant is None:
            raise self.fault(f"operand {position} ({tensor.name!r}) must be stored in the file, but its buffer is empty or missing")
        return tensor.shape

    def real(self, tensor: FileTensor) -> float | None:
        """The one number of a constant, None where it is not one number."""
        constant = tensor.constant
        if constant is None or constant.values is None or len(constant.values) != 1:
            return None
        value = float(constant.values[0])
        found = tensor.quantisation
        return value if found is None else found.scales[0] * (value - found.zero_points[0])

    def output(self, operator: FileOperator, position: int = 0) -> FileTensor:
        """Result number `position`."""
        if position >= len(operator.outputs) or operator.outputs[position] == ABSENT:
            raise self.fault(f"has no result {position}")
        return self.plan.tensors[operator.outputs[position]]

    # -- operands in the graph ---------------------------------------------------------------------------------------

    def get(self, operator: FileOperator, position: int) -> Known:
        """Operand number `position`, a constant as a learned tensor."""
        number = self.operand(operator, position)
        if number not in self.known and self.plan.tensors[number].constant is not None:
            return self.parameter(number, natural(len(self.plan.tensors[number].shape)))
        if number not in self.known:
            raise self.fault(f"reads tensor {number} ({self.plan.tensors[number].name!r}) before it is written: the operators form a cycle or are out of order")
        return self.known[number]

    def parameter(self, number: int, order: Order) -> Known:
        """A constant as a learned tensor in a graph's order; in another order it is shared."""
        if (number, order) in self.constants:
            return self.constants[number, order]
        stored = self.plan.tensors[number].shape
        shape = [0] * len(stored)
        for extent, axis in zip(stored, order, strict=True):
            shape[axis] = extent
        tensor = self.plan.tensors[number]
        name = self.unique(tensor.name or "constant")
        if tensor.type in DTYPES and tensor.quantisation is None:
            made = self.builder.add(Constant(tuple(shape), DTYPES[tensor.type]), name=name)
        else:
            made = self.builder.add(Parameter(tuple(shape)), name=name, shares=self.learned.get(number, ""))
            self.learned.setdefault(number, made.ref.node)
        self.constants[number, order] = Known(made, order)
        return self.constants[number, order]

    def arranged(self, known: Known, order: Order | None = None) -> Value:
        """The value whose axes the file has in `order` (the graph's own by default)."""
        shape = known.value.spec.shape
        wanted = natural(len(shape)) if order is None else order
        if known.order == wanted:
            return known.value
        # file axis i is graph axis known.order[i]; afterwards it is graph axis wanted[i]
        turn = tuple(known.order[wanted.index(axis)] for axis in range(len(shape)))
        key = (known.value.ref, turn)
        if key not in self.turned:
            view = same_bytes(shape, natural(len(shape)), turn)
            made: Operator = Reshape(tuple(shape[axis] for axis in turn[1:])) if view else Permute(turn)
            self.turned[key] = self.builder.add(made, known.value, name=f"{self.name}/{'reshape' if view else 'permute'}")
        if known.number != ABSENT:  # whoever reads it next finds it in the order that was wanted last
            self.known[known.number] = Known(self.turned[key], wanted, known.number)
        return self.turned[key]

    def image(self, operator: FileOperator, position: int = 0) -> Value:
        """Operand number `position` as an image (N, C, H, W)."""
        known = self.get(operator, position)
        if len(known.value.spec.shape) != 4:
            raise self.fault(f"takes an image of 4 dimensions, not {known.value.spec}")
        return self.arranged(known, IMAGE)

    # -- results -----------------------------------------------------------------------------------------------------

    def add(self, made: Operator, *values: Value, suffix: str = "") -> Value:
        """An operator with one output under the name of the current one."""
        return self.builder.add(made, *values, name=f"{self.name}{suffix}")

    def give(self, operator: FileOperator, value: Value, order: Order, position: int = 0) -> None:
        """Record a result, after its fused activation; its shape must be what the file declares."""
        fused = int(operator.options.get("fused_activation_function", NONE))
        if fused != NONE and operator.builtin != "UNIDIRECTIONAL_SEQUENCE_LSTM":
            if fused not in _ACTIVATIONS:
                raise self.fault(f"has the fused activation {fused}, which is not known")
            value = self.add(_ACTIVATIONS[fused], value, suffix="/activation")
        declared = self.output(operator, position).shape
        found = stored_shape(value.spec.shape, order)
        if found != declared:
            raise self.fault(f"gives {_sizes(found)} where the file declares {_sizes(declared)}")
        number = operator.outputs[position]
        if number in self.known or self.plan.tensors[number].constant is not None:
            raise self.fault(f"writes tensor {number}, which is written already or constant")
        self.known[number] = Known(value, order, number)

    def give_image(self, operator: FileOperator, value: Value) -> None:
        """Record a result that is an image."""
        self.give(operator, value, IMAGE)

    def reshape(self, known: Known, stored: Shape, *, image: bool) -> Known:
        """The same bytes of the file in the shape `stored`, by a graph's reshape; images keep their channels first there."""
        shape = known.value.spec.shape
        if math.prod(shape) != math.prod(stored):
            raise self.fault(f"{math.prod(shape)} elements do not fill {_sizes(stored)}")
        for order in ([IMAGE] if image and len(stored) == 4 else []) + [natural(len(stored))]:
            new = tuple(stored[order.index(axis)] for axis in range(len(stored)))
            if (found := reshaped(shape, known.order, new)) is not None and same_bytes(new, found, order):
                return Known(self._reshaped(known.value, new), order)
        runs = _in_runs(shape, known.order, stored)
        turned = None if runs is None else reshaped(shape, known.order, runs)
        if runs is not None and turned is not None and stored_shape(runs, turned) == stored:
            return Known(self._reshaped(known.value, runs), turned)
        if len(stored) == 2 and stored[0] == shape[0] and known.order[0] == 0:
            return Known(self._reshaped(known.value, stored), natural(2))  # a flattened image: its readers' weights are in that order
        return Known(self._reshaped(self.arranged(known), stored), natural(len(stored)))

    def _reshaped(self, value: Value, shape: Shape) -> Value:
        return value if value.spec.shape == shape else self.add(Reshape(shape[1:]), value)

    def unknown(self, operator: FileOperator) -> None:
        """An operator without a model: it has its place and its results, and every report lists it."""
        places = [place for place in range(len(operator.inputs)) if self.has(operator, place)]
        real = [place for place in places if not self.is_constant(operator, place) or self.tensor(operator, place).type not in DTYPES]
        knowns = sorted((self.get(operator, place) for place in real), key=lambda known: known.number == ABSENT)
        values = [known.value for known in knowns]
        batch = self.network_inputs()[0].spec.shape[0] if self.plan.inputs else 1
        first = values[0].spec.shape[0] if values and values[0].spec.shape else 0
        follows = bool(knowns) and knowns[0].number != ABSENT and first % batch == 0 and first > 0
        orders, shapes, types = [], [], []
        for position, number in enumerate(operator.outputs):
            stored = self.output(operator, position)
            order = natural(len(stored.shape))
            if len(order) == 4 and number in self.images:
                order = IMAGE
            elif knowns and len(knowns[0].order) == len(order):
                order = knowns[0].order
            shape = tuple(stored.shape[order.index(axis)] for axis in range(len(order)))
            if follows and shape and (shape[0] == first or (batch > 1 and shape[0] % batch == 0)):
                shape = (-(shape[0] // batch), *shape[1:])
            orders.append(order)
            shapes.append(shape)
            types.append(DTYPES.get(stored.type, DType.FP32))
        made = Unknown(operator.builtin, tuple(shapes), tuple(types), 0, max(1, first // batch))
        for position, value in enumerate(self.builder.add_all(made, *values, name=self.name)):
            self.give(operator, value, orders[position], position)

    # -- the whole ---------------------------------------------------------------------------------------------------

    def inputs(self) -> None:
        """The network's inputs."""
        for position, number in enumerate(self.plan.inputs):
            self.place = f"input {position}"
            if number == ABSENT or number in self.known or self.plan.tensors[number].constant is not None:
                raise self.fault("names no tensor of its own that could be given")
            tensor = self.plan.tensors[number]
            order = IMAGE if number in self.images else natural(len(tensor.shape))
            shape = tuple(tensor.shape[order.index(axis)] for axis in range(len(order)))
            try:
                value = self.builder.input(tensor.name or f"input{position}", TensorSpec(shape, DTYPES.get(tensor.type, DType.FP32)))
            except CostModelError as error:
                raise self.fault(str(error)) from None
            self.known[number] = Known(value, order, number)

    def finish(self) -> Graph:
        """The graph."""
        values = []
        for position, number in enumerate(self.plan.outputs):
            self.place = f"output {position}"
            if number not in self.known:
                raise self.fault(f"is tensor {number}, which nothing writes")
            values.append(self.known[number].value)
        self.place = "inputs and outputs of the network"
        if not values or not self.plan.inputs:
            raise self.fault("there is none")
        return self.builder.build(*values)

    def broadcast(self, shapes: Sequence[Shape]) -> Shape:
        """The shape that some of the file's shapes broadcast to."""
        rank = max(len(shape) for shape in shapes)
        padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
        return tuple(max(extents) for extents in zip(*padded, strict=True))


def _in_runs(shape: Shape, order: Order, stored: Shape) -> Shape | None:
    """The graph's shape in which every run of axes is replaced where it stands; None if runs are torn apart."""
    places = sorted((axis for axis in order if shape[axis] > 1), key=lambda axis: axis)
    pieces: dict[int, Shape] = {}
    for ours, theirs in blocks(tuple(shape[axis] for axis in order), stored):
        axes = [order[axis] for axis in ours]
        if axes != sorted(axes) or [places.index(axis) for axis in axes] != list(range(places.index(axes[0]), places.index(axes[0]) + len(axes))):
            return None
        pieces[axes[0]] = tuple(stored[axis] for axis in theirs)
    result = [extent for first in sorted(pieces) for extent in pieces[first]]
    if not pieces or min(pieces) != 0:
        result.insert(0, 1)  # a batch of one
    return tuple(result)


def _images(plan: Plan) -> frozenset[int]:
    """Tensors of 4 dimensions that are images: what image operators read or write, and what only passes elements on to those."""
    neighbours: dict[int, set[int]] = {}
    waiting: list[int] = []
    for operator in plan.operators:
        tensors = [number for number in (*operator.inputs, *operator.outputs) if number != ABSENT and len(plan.tensors[number].shape) == 4]
        tensors = [number for number in tensors if plan.tensors[number].constant is None]
        if operator.builtin in _IMAGE_OPERATORS or _pads_around(plan, operator):
            waiting += tensors
        elif operator.builtin in _IMAGE_KEEPERS and tensors:
            neighbours.setdefault(tensors[0], set()).update(tensors)
            for number in tensors[1:]:
                neighbours.setdefault(number, set()).add(tensors[0])
    found: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting.extend(neighbours.get(number, ()))
    return frozenset(found)


def _pads_around(plan: Plan, operator: FileOperator) -> bool:
    """Whether an operator pads (N, H, W, C) along H and W, which is done to images."""
    if operator.builtin not in ("PAD", "PADV2") or len(operator.inputs) < 2 or operator.inputs[1] == ABSENT:
        return False
    constant = plan.tensors[operator.inputs[1]].constant
    amounts = None if constant is None else constant.values
    return amounts is not None and len(amounts) == 8 and not any((*amounts[:2], *amounts[6:]))


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a scalar"
