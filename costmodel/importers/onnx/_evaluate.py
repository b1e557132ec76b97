"""`evaluated`: the shape of every tensor of a file for given inputs, and the values of what depends on shapes and constants alone.

Node by node, in order: the library infers the shape from the shapes and the known values of the inputs, and what is known
whole is computed. Thus Shape, Gather, Concat and the like, by which exporters write sizes, are gone before a graph is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from costmodel.errors import InvalidFileError
from costmodel.graph import MAX_SIZE
from costmodel.importers.onnx._file import DTYPES, MAX_COMPUTED, File, Step, Stored, _first_line
from costmodel.importers.onnx._lists import LISTS, unlisted
from costmodel.tensor import DType, TensorSpec

#: Values of at most this many elements are shown to shape inference: shapes, axes, splits, scales.
MAX_SHOWN = 1024
#: Operators that are computed where all inputs are known: they have no parameters, and no output that depends on chance.
COMPUTED = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Cast",
        "CastLike",
        "Ceil",
        "Clip",
        "Concat",
        "ConstantOfShape",
        "Cos",
        "DequantizeLinear",
        "Div",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "NonZero",
        "Not",
        "Or",
        "Pad",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Sign",
        "Sin",
        "Size",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
        "Xor",
        "CumSum",
    ]
)


class ContradictionError(Exception):
    """The shapes of a file do not fit together for the inputs that were given."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Element type (as the format numbers them) and shape of a tensor; None is a shape that is known only when the network runs."""

    kind: int
    sizes: tuple[int, ...] | None

    @property
    def spec(self) -> TensorSpec:
        """In the package's terms; an unknown shape counts as one element."""
        return TensorSpec(self.sizes if self.sizes is not None else (1,), DTYPES.get(self.kind, DType.FP32))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Shapes and values by tensor name, and the steps that are left once the known ones are gone.

    `copies` maps the name of a stored tensor's copy to that of the tensor.
    """

    shapes: Mapping[str, Shape]
    values: Mapping[str, Any]
    copies: Mapping[str, str]
    steps: tuple[Step, ...]


def evaluated(
    file: File, inputs: Mapping[str, tuple[int, ...]], symbols: Mapping[str, int], *, learned: Set[str] = frozenset(), batch: tuple[int, int] | None = None
) -> Evaluated:
    """`file` for inputs of these shapes.

    Parameters
    ----------
    symbols : the sizes that names of dimensions stand for.
    learned : stored tensors that are parameters, of which nothing is computed.
    batch : (the batch that the file fixes, the one that the inputs have instead): what the file has written out for the
        first is read as if it had been written for the second.

    Raises
    ------
    ContradictionError
        If the shapes contradict each other; names the node.
    InvalidFileError
        If a node reads what nothing before it makes.
    """
    return _Evaluation(file, inputs, symbols, batch, learned).run()


class _Evaluation:
    """State of one pass over the nodes."""

    def __init__(self, file: File, inputs: Mapping[str, tuple[int, ...]], symbols: Mapping[str, int], batch: tuple[int, int] | None, learned: Set[str]) -> None:
        self.file = file
        self.symbols = symbols
        self.batch = batch
        self.shapes = {name: Shape(file.inputs[name].kind, sizes) for name, sizes in inputs.items()}
        self.shapes |= {name: Shape(tensor.kind, tensor.shape) for name, tensor in file.stored.items()}
        self.values = {name: tensor.value for name, tensor in file.stored.items() if tensor.value is not None and name not in learned}
        self.copies: dict[str, str] = {}
        self.left: list[Step] = []
        self.messages: dict[str, Any] = {}
        self.lists: dict[str, tuple[str, ...]] = {}

    def run(self) -> Evaluated:
        for step in self.file.steps:
            for name in step.inputs:
                if name and name not in self.shapes:
                    raise InvalidFileError(f"{step.place}: reads {name!r}, which no input, initializer or earlier node makes")
            for name in step.outputs:
                if name and name in self.shapes:
                    raise InvalidFileError(f"{step.place}: makes {name!r}, which exists already: every tensor is made once")
            self._place(step)
        for name in self.file.outputs:
            if name not in self.shapes:
                raise InvalidFileError(f"{self.file.path}: output {name!r}: no node makes it")
        return Evaluated(self.shapes, self.values, self.copies, tuple(self.left))

    def _place(self, step: Step) -> None:
        """Shapes of the outputs, values where they are known, and the step itself where they are not."""
        if step.operator == "Constant":
            self._constant(step)
            return
        if step.operator == "Identity" and step.outputs and step.inputs and step.inputs[0] in self.file.stored and step.inputs[0] not in self.values:
            self.copies[step.outputs[0]] = step.inputs[0]
            self.shapes[step.outputs[0]] = self.shapes[step.inputs[0]]
            return
        if step.operator in LISTS and self._listed(step):
            return
        step = self._widened(step)
        self._infer(step)
        if step.operator in COMPUTED and self._compute(step):
            return
        self.left.append(step)

    def _listed(self, step: Step) -> bool:
        """Whether a step on lists of tensors is one on tensors, which it is then."""
        found = unlisted(step, self.lists, self.values, {name: shape.sizes for name, shape in self.shapes.items()})
        if found is None:
            return False
        kind = self.shapes[(found.steps[0] if found.steps else step).inputs[0]].kind
        self.shapes |= {name: Shape(kind, sizes) for name, sizes in found.shapes.items()}
        if found.members:
            self.lists[step.outputs[0]] = found.members
            self.shapes[step.outputs[0]] = Shape(kind, None)
        self.left += found.steps
        return True

    def _constant(self, step: Step) -> None:
        """A tensor that a node holds."""
        import numpy

        (key, found), *_ = [*step.attributes.items(), ("", None)]
        if not step.outputs:
            return
        name = step.outputs[0]
        if isinstance(found, Stored):
            self.shapes[name] = Shape(found.kind, found.shape)
            if found.value is not None:
                self.values[name] = found.value
            else:
                self.left.append(step)
            return
        if key not in ("value_int", "value_ints", "value_float", "value_floats"):
            self.shapes[name] = Shape(8, None)
            self.left.append(step)
            return
        value = numpy.asarray(found, dtype=numpy.int64 if "int" in key else numpy.float32)
        self.values[name] = value
        self.shapes[name] = Shape(7 if "int" in key else 1, value.shape)

    # -- shapes ---------------------------------------------------------------------------------------------------

    def _infer(self, step: Step) -> None:
        found = self._from_library(step)
        for name in step.outputs:
            if name:
                self.shapes[name] = found.get(name) or self._stated(name)
        self._check(step)

    def _widened(self, step: Step) -> Step:
        """A concatenation whose stored parts, such as a class token, are repeated for the chosen batch as the file has them for its own."""
        if self.batch is None or step.operator != "Concat" or step.attributes.get("axis", 0) == 0:
            return step
        fixed, chosen = self.batch
        sizes = {name: self.shapes[name].sizes or () for name in step.inputs}
        if not any(shape[:1] == (chosen,) for shape in sizes.values()):
            return step
        names = {}
        for name, shape in sizes.items():
            if shape[:1] == (fixed,) and (name in self.file.stored or name in self.values):
                names[name] = f"{name} for every sample"
                self.shapes[names[name]] = Shape(self.shapes[name].kind, (chosen, *shape[1:]))
                self.left.append(replace(step, operator="Expand", inputs=(name,), outputs=(names[name],), attributes={}, proto=None))
        inputs = tuple(names.get(name, name) for name in step.inputs)
        proto = step.proto
        if names:
            proto = type(proto).FromString(proto.SerializeToString())
            proto.input[:] = inputs
        return replace(step, inputs=inputs, proto=proto)

    def _from_library(self, step: Step) -> dict[str, Shape]:
        """What the library infers: nothing for an operator that it does not know."""
        from onnx import helper, shape_inference

        schema = _schema(step.operator, self.file.opset)
        if schema is None or "graph" in step.attributes.values() or any(self.shapes[name].sizes is None for name in step.inputs if name):
            return {}
        types, data = {}, {}
        for name in step.inputs:
            if name:
                types[name] = self._type(name, step.operator)
                if name in self.values and self.values[name].size <= MAX_SHOWN:
                    data[name] = self._message(step, name)
        try:
            found = shape_inference.infer_node_outputs(schema, step.proto, types, data, opset_imports=[helper.make_opsetid("", self.file.opset)], ir_version=10)
        except Exception as error:  # the library raises many kinds
            raise ContradictionError(f"{step.place}: {_first_line(error)}") from None
        shapes = {}
        for name, kind in found.items():
            tensor = kind.tensor_type
            if kind.HasField("tensor_type") and tensor.HasField("shape") and all(size.HasField("dim_value") for size in tensor.shape.dim):
                shapes[name] = Shape(tensor.elem_type, tuple(size.dim_value for size in tensor.shape.dim))
        return shapes

    def _type(self, name: str, reader: str) -> Any:
        from onnx import helper

        shape = self.shapes[name]
        quantised = self.file.is_quantised and (shape.kind in (2, 3) or (shape.kind == 6 and name in self.file.stored)) and reader != "DequantizeLinear"
        key = f"type {name} {quantised}"
        if key not in self.messages:
            self.messages[key] = helper.make_tensor_type_proto(1 if quantised else shape.kind, shape.sizes)  # plain operators take real numbers
        return self.messages[key]

    def _message(self, step: Step, name: str) -> Any:
        """A known value for the library; a shape that was written out for the file's own batch is first rewritten."""
        from onnx import numpy_helper

        value = self.values[name]
        if self.batch is not None and step.operator in ("Reshape", "Expand") and name == step.inputs[-1]:
            scaled = self._rebatched(step, [int(size) for size in value.flatten()])
            if scaled is not None:
                return numpy_helper.from_array(numpy_array(scaled))
        if name not in self.messages:
            self.messages[name] = numpy_helper.from_array(value)
        return self.messages[name]

    def _rebatched(self, step: Step, target: list[int]) -> list[int] | None:
        """A shape as it would be for the chosen batch: the size that stands where the input has its batch is scaled; None keeps it.

        The batch stands where as many elements are before it as in the input.
        """
        assert self.batch is not None
        fixed, chosen = self.batch
        sizes = self.shapes[step.inputs[0]].sizes or ()
        axis = next((axis for axis, size in enumerate(sizes) if size % chosen == 0 and size), None)
        place = -1
        if step.operator == "Expand":
            if axis is not None:
                place = len(target) - len(sizes) + axis
            elif step.inputs[0] in self.file.stored and len(sizes) == len(target) and sizes[:1] == (1,):
                place = 0  # a class token for every sample
        elif axis is not None and math.prod(target) != math.prod(sizes):
            before = math.prod(sizes[:axis])
            place = next((place for place in range(len(target)) if math.prod(target[:place]) == before), -1)
        if place < 0 or target[place] < 1 or target[place] % fixed or target[place] % chosen == 0:
            return None
        return [*target[:place], target[place] // fixed * chosen, *target[place + 1 :]]

    def _stated(self, name: str) -> Shape:
        """What the file itself says of a tensor."""
        declared = self.file.declared.get(name)
        kind = declared.kind if declared is not None else 1
        if declared is None or declared.shape is None:
            return Shape(kind, None)
        sizes: list[int] = []
        for axis, size in enumerate(declared.shape):
            number = self.symbols.get(size) if isinstance(size, str) else size
            if number is None:
                return Shape(kind, None)
            if axis == 0 and self.batch is not None and number and number % self.batch[0] == 0 and isinstance(size, int):
                number = number // self.batch[0] * self.batch[1]
            sizes.append(number)
        return Shape(kind, tuple(sizes))

    def _check(self, step: Step) -> None:
        """Sizes that no tensor has, and a reshape that loses elements, which the library lets pass."""
        for name in step.outputs:
            sizes = self.shapes[name].sizes if name else None
            if sizes is not None and (any(not 0 <= size <= MAX_SIZE for size in sizes) or len(sizes) > 32):
                raise ContradictionError(f"{step.place}: gives {name!r} a shape that no tensor has: {list(sizes[:8])}")
        if step.operator == "Conv" and len(step.inputs) > 1:
            x, weight = (self.shapes[name].sizes or () for name in step.inputs[:2])
            groups = step.attributes.get("group", 1)
            if len(x) > 1 and len(weight) > 1 and isinstance(groups, int) and x[1] != weight[1] * groups:
                raise ContradictionError(f"{step.place}: {groups} groups of filters {list(weight)} do not fit {x[1]} channels")
        if step.operator in ("Reshape", "Squeeze", "Unsqueeze", "Flatten") and step.outputs and step.inputs:
            before, after = self.shapes[step.inputs[0]].sizes, self.shapes[step.outputs[0]].sizes
            if before is not None and after is not None and math.prod(before) != math.prod(after):
                raise ContradictionError(f"{step.place}: makes {list(after)} of {list(before)}, which has another number of elements")

    # -- values ---------------------------------------------------------------------------------------------------

    def _compute(self, step: Step) -> bool:
        """Whether the outputs are known, which they are then."""
        import numpy

        made = [self.shapes[name].sizes for name in step.outputs if name]
        if any(math.prod(sizes) > MAX_COMPUTED if sizes is not None else step.operator != "NonZero" for sizes in made):
            return False
        if step.operator in ("Shape", "Size") and step.inputs:
            sizes = self.shapes[step.inputs[0]].sizes
            if sizes is None:
                return False
            cut = sizes[slice(step.attributes.get("start", 0), step.attributes.get("end"))]
            results = [numpy.asarray(cut if step.operator == "Shape" else math.prod(sizes), dtype=numpy.int64)]
        elif any(name and name not in self.values and not (step.operator == "CastLike" and position) for position, name in enumerate(step.inputs)):
            return False
        else:
            computed = self._by_library(step)
            if computed is None:
                return False
            results = computed
        for name, value in zip(step.outputs, results, strict=False):
            if name:
                self.values[name] = value
                self.shapes[name] = Shape(self.shapes[name].kind, tuple(value.shape))
        return True

    def _by_library(self, step: Step) -> list[Any] | None:
        """The outputs computed by the library's reference implementation, None where it has none for these values."""
        import numpy
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        feeds = {}
        for position, name in enumerate(step.inputs):
            if name:
                unread = step.operator == "CastLike" and position
                feeds[name] = numpy.zeros(1, helper.tensor_dtype_to_np_dtype(self.shapes[name].kind)) if unread else self.values[name]
        try:
            values = [helper.make_tensor_value_info(name, self.shapes[name].kind, None) for name in feeds]
            outputs = [helper.make_tensor_value_info(name, self.shapes[name].kind, None) for name in step.outputs if name]
            graph = helper.make_graph([step.proto], "one", values, outputs)
            version = max(self.file.opset, 19) if step.operator == "DequantizeLinear" else self.file.opset  # older ones have no implementation
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
            with numpy.errstate(all="ignore"):
                found = iter(ReferenceEvaluator(model).run(None, feeds))
            return [numpy.asarray(next(found)) if name else None for name in step.outputs]
        except Exception:  # the library raises many kinds; the node then stays as it is
            return None


@lru_cache(maxsize=4096)
def _schema(operator: str, opset: int) -> Any:
    """The library's schema of an operator of the format's own domain; None where there is none."""
    from onnx import defs

    try:
        return defs.get_schema(operator, opset, "")
    except Exception:  # SchemaError lies in a compiled module
        return None


def numpy_array(sizes: Sequence[int]) -> Any:
    """Sizes as the format stores them."""
    import numpy

    return numpy.asarray(sizes, dtype=numpy.int64)
