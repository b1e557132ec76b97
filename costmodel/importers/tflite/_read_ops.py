"""How each built-in operator of TFLite is read: a table from its name to what it adds to a graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from costmodel.importers.tflite._layout import IMAGE, Order, natural
from costmodel.importers.tflite._reader import Known, Reader
from costmodel.importers.tflite._schema import SAME, FileOperator
from costmodel.operator import Operator
from costmodel.ops.attention import Softmax
from costmodel.ops.convolution import ConvTranspose2d, convolution
from costmodel.ops.elementwise import (
    ELU,
    GELU,
    Add,
    Clamp,
    Divide,
    HardSigmoid,
    HardSwish,
    LayerScale,
    LeakyReLU,
    Multiply,
    PReLU,
    ReLU,
    ReLU6,
    Scale,
    SharedPReLU,
    Sigmoid,
    SiLU,
    Subtract,
    Tanh,
)
from costmodel.ops.layout import Concat, Embedding, ExpandBatch, Pad, PadChannels, Permute, Reshape, Slice, SpaceToDepth, Split
from costmodel.ops.matmul import Linear, MatMul
from costmodel.ops.normalisation import L2Norm, LayerNorm, LocalResponseNorm, RMSNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d, Mean
from costmodel.ops.recurrent import LSTM
from costmodel.ops.resize import Resize

Handler = Callable[[Reader, FileOperator], None]

#: Built-in operators that are one function of each element here; the function makes the operator from the options.
_UNARY: dict[str, Callable[[Any], Operator]] = {
    "RELU": lambda options: ReLU(),
    "RELU6": lambda options: ReLU6(),
    "RELU_N1_TO_1": lambda options: Clamp(-1.0, 1.0),
    "RELU_0_TO_1": lambda options: Clamp(0.0, 1.0),
    "LEAKY_RELU": lambda options: LeakyReLU(float(options.get("alpha", 0.0))),
    "ELU": lambda options: ELU(),
    "LOGISTIC": lambda options: Sigmoid(),
    "TANH": lambda options: Tanh(),
    "HARD_SWISH": lambda options: HardSwish(),
    "GELU": lambda options: GELU(),
    "SILU": lambda options: SiLU(),
    "HARD_SIGMOID": lambda options: HardSigmoid(),
    # a change of type is one multiplication an element
    "QUANTIZE": lambda options: Scale(),
    "DEQUANTIZE": lambda options: Scale(),
}
_BINARY: dict[str, type[Operator]] = {"ADD": Add, "SUB": Subtract, "MUL": Multiply, "DIV": Divide}


def convolution_2d(reader: Reader, operator: FileOperator) -> None:
    """CONV_2D (grouped where the filters are narrower than the image) and DEPTHWISE_CONV_2D."""
    x = reader.image(operator)
    weight = reader.tensor(operator, 1).shape
    if len(weight) != 4 or min(weight) < 1:
        raise reader.fault(f"has filters of the shape {weight}, not of 4 dimensions")
    depthwise = operator.builtin == "DEPTHWISE_CONV_2D"
    out, width = (weight[3], 1) if depthwise else (weight[0], weight[3])
    channels = x.spec.shape[1]
    if channels % width or (depthwise and out % channels):
        raise reader.fault(f"has filters of the shape {weight}, which do not fit {channels} channels")
    made = convolution(
        channels,
        out,
        (weight[1], weight[2]),
        _strides(reader, operator),
        padding=_padding(operator),
        dilation=(int(operator.options.get("dilation_h_factor", 1)), int(operator.options.get("dilation_w_factor", 1))),
        groups=channels if depthwise else channels // width,
        bias=reader.has(operator, 2),
    )
    reader.give_image(operator, reader.add(made, x))


def transposed_convolution(reader: Reader, operator: FileOperator) -> None:
    """TRANSPOSE_CONV; what its output size says about padding is spread as torch does."""
    known = reader.get(operator, 2)
    if len(known.value.spec.shape) != 4:
        raise reader.fault("takes an image of 4 dimensions")
    x = reader.arranged(known, IMAGE)
    weight, declared = reader.tensor(operator, 1).shape, reader.output(operator).shape
    if len(weight) != 4 or len(declared) != 4:
        raise reader.fault(f"has filters of the shape {weight} and a result of {declared}, not of 4 dimensions")
    stride = _strides(reader, operator)
    extra = [(x.spec.shape[2 + axis] - 1) * stride[axis] + weight[1 + axis] - declared[1 + axis] for axis in (0, 1)]
    padding = (max(0, -(-extra[0] // 2)), max(0, -(-extra[1] // 2)))
    more = (2 * padding[0] - extra[0], 2 * padding[1] - extra[1])
    made = ConvTranspose2d(weight[0], (weight[1], weight[2]), stride, padding, more, bias=reader.has(operator, 3))
    reader.give_image(operator, reader.add(made, x))


def pool(reader: Reader, operator: FileOperator) -> None:
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    kernel = (int(operator.options.get("filter_height", 0)), int(operator.options.get("filter_width", 0)))
    kind = MaxPool2d if operator.builtin == "MAX_POOL_2D" else AvgPool2d
    made = kind(kernel, _strides(reader, operator), _padding(operator))
    reader.give_image(operator, reader.add(made, reader.image(operator)))


def _strides(reader: Reader, operator: FileOperator) -> tuple[int, int]:
    found = (int(operator.options.get("stride_h", 0)), int(operator.options.get("stride_w", 0)))
    if min(found) < 1:
        raise reader.fault(f"has the stride {found}, which must be at least 1")
    return found


def _padding(operator: FileOperator) -> Any:
    return "same" if operator.options.get("padding", SAME) == SAME else "valid"


def unary(reader: Reader, operator: FileOperator) -> None:
    """A function of each element."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(_UNARY[operator.builtin](operator.options), known.value), known.order)


def cast(reader: Reader, operator: FileOperator) -> None:
    """CAST of real numbers; integers stay what they are."""
    known = reader.get(operator, 0)
    real = known.value.spec.dtype.is_floating
    if not real:
        raise reader.fault("casts integers or truth values to numbers, which no operator of the graph does")
    reader.give(operator, reader.add(Scale(), known.value), known.order)


def prelu(reader: Reader, operator: FileOperator) -> None:
    """PRELU with a slope for each channel, or one for all."""
    known = reader.get(operator, 0)
    slopes = math.prod(reader.tensor(operator, 1).shape)
    if slopes == 1:
        reader.give(operator, reader.add(SharedPReLU(), known.value), known.order)
        return
    rank = len(known.value.spec.shape)
    order = (0, *range(2, rank), 1)
    value = reader.arranged(known, order)
    if slopes != value.spec.shape[1]:
        raise reader.fault(f"has {slopes} slopes for {value.spec.shape[1]} channels")
    reader.give(operator, reader.add(PReLU(), value), order)


def arithmetic(reader: Reader, operator: FileOperator) -> None:
    """ADD, SUB, MUL, DIV; a product with a constant is a scale."""
    if len(operator.inputs) != 2:
        raise reader.fault(f"takes 2 operands, not {len(operator.inputs)}")
    for variable, constant in ((0, 1), (1, 0)):
        if operator.builtin in ("MUL", "DIV") and reader.is_constant(operator, constant) and not reader.is_constant(operator, variable):
            made = _scaling(reader, operator, reader.get(operator, variable), constant)
            if made is not None and not (operator.builtin == "DIV" and constant == 0):
                known = reader.get(operator, variable)
                reader.give(operator, reader.add(made, known.value), known.order)
                return
    knowns = [None if reader.is_constant(operator, place) else reader.get(operator, place) for place in (0, 1)]
    declared = reader.output(operator).shape
    order = next((known.order for known in knowns if known is not None and len(known.order) == len(declared)), natural(len(declared)))
    values = [_operand(reader, operator, place, order) for place in (0, 1)]
    reader.give(operator, reader.add(_BINARY[operator.builtin](), *values), order)


def _scaling(reader: Reader, operator: FileOperator, known: Known, constant: int) -> Operator | None:
    """A product with one number, or with a vector along one axis; None where the constant is larger."""
    tensor = reader.tensor(operator, constant)
    rank = len(known.order)
    if math.prod(tensor.shape) == 1 and len(tensor.shape) <= rank:
        value = reader.real(tensor)
        return Scale(1.0 if value is None else value)
    long = [axis - len(tensor.shape) for axis, size in enumerate(tensor.shape) if size > 1]
    if len(long) != 1 or len(tensor.shape) > rank:
        return None
    axis = known.order[rank + long[0]]
    return LayerScale(axis) if known.value.spec.shape[axis] == tensor.shape[long[0]] else None


def _operand(reader: Reader, operator: FileOperator, place: int, order: Order) -> Any:
    """An operand of an elementwise operator in the graph's axes, with axes of size 1 in front where it has fewer."""
    number, rank = reader.operand(operator, place), len(order)
    stored = reader.plan.tensors[number].shape
    if reader.is_constant(operator, place):
        if len(stored) == rank:
            return reader.parameter(number, order).value
        known = reader.parameter(number, natural(len(stored)))
    else:
        known = reader.get(operator, place)
    if len(known.order) == rank:
        return reader.arranged(known, order)
    value = reader.arranged(known)
    if order == natural(rank) or math.prod(stored) == 1:
        return value
    padded = (1,) * (rank - len(stored)) + stored
    shape = tuple(padded[order.index(axis)] for axis in range(rank))
    if sum(size > 1 for size in stored) > 1:
        wide = reader.add(Reshape(padded[1:]), value, suffix="/rank")
        return reader.arranged(Known(wide, natural(rank)), order)
    return reader.add(Reshape(shape[1:]), value, suffix="/rank")


def limits(reader: Reader, operator: FileOperator) -> None:
    """MAXIMUM and MINIMUM with a number."""
    for variable, constant in ((0, 1), (1, 0)):
        bound = reader.real(reader.tensor(operator, constant))
        if bound is not None:
            known = reader.get(operator, variable)
            made = Clamp(bound, math.inf) if operator.builtin == "MAXIMUM" else Clamp(-math.inf, bound)
            reader.give(operator, reader.add(made, known.value), known.order)
            return
    raise reader.fault("takes two tensors; only a limit that is one constant number is known")


def fully_connected(reader: Reader, operator: FileOperator) -> None:
    """FULLY_CONNECTED, on rows where the file does not keep the dimensions."""
    weight = reader.tensor(operator, 1)
    if weight.constant is None or len(weight.shape) != 2 or min(weight.shape) < 1:
        raise reader.fault(f"needs constant weights of 2 dimensions, not {weight.shape}")
    out, inner = weight.shape
    known = reader.get(operator, 0)
    declared = reader.output(operator).shape
    shape = tuple(known.value.spec.shape[axis] for axis in known.order)
    if len(declared) != len(shape) or shape[-1] != inner:
        rows = math.prod(shape) // inner
        known = reader.reshape(known, (rows, inner), image=False)
    if known.order[-1] != len(known.order) - 1:
        known = Known(reader.arranged(known), natural(len(known.order)))
    reader.give(operator, reader.add(Linear(out, bias=reader.has(operator, 2)), known.value), known.order)


def batch_matmul(reader: Reader, operator: FileOperator) -> None:
    """BATCH_MATMUL; a transposed first operand is permuted."""
    a, b = (reader.arranged(reader.get(operator, place)) for place in (0, 1))
    if operator.options.get("adj_x"):
        rank = len(a.spec.shape)
        a = reader.add(Permute((*range(rank - 2), rank - 1, rank - 2)), a, suffix="/adjoint")
    made = reader.add(MatMul(bool(operator.options.get("adj_y", False))), a, b)
    reader.give(operator, made, natural(len(made.spec.shape)))


def softmax(reader: Reader, operator: FileOperator) -> None:
    """SOFTMAX over the file's last axis."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(Softmax(known.order[-1] if known.order else -1), known.value), known.order)


def reduction(reader: Reader, operator: FileOperator) -> None:
    """MEAN, SUM and REDUCE_MAX over axes; over a whole image they are global pools."""
    known = reader.get(operator, 0)
    rank = len(known.order)
    stored = sorted({axis % rank for axis in reader.integers(operator, 1)})
    if not stored:
        raise reader.fault("reduces over no axis")
    reduced = {known.order[axis] for axis in stored}
    keep = bool(operator.options.get("keep_dims", False))
    if known.order == IMAGE and reduced == {2, 3} and keep and operator.builtin != "SUM":
        made: Operator = AdaptiveAvgPool2d() if operator.builtin == "MEAN" else AdaptiveMaxPool2d()
        reader.give_image(operator, reader.add(made, known.value))
        return
    if 0 in reduced:
        raise reader.fault("reduces over the batch")
    value = reader.add(Mean(tuple(sorted(reduced)), keep), known.value)
    order = known.order if keep else tuple(sum(other not in reduced for other in range(axis)) for axis in known.order if axis not in reduced)
    reader.give(operator, value, order)


def concatenation(reader: Reader, operator: FileOperator) -> None:
    """CONCATENATION."""
    places = range(len(operator.inputs))
    order = next((reader.get(operator, place).order for place in places if not reader.is_constant(operator, place)), None)
    if order is None:
        raise reader.fault("joins constants only")
    rank = len(order)
    axis = int(operator.options.get("axis", 0))
    if not -rank <= axis < rank:
        raise reader.fault(f"joins along axis {axis} of {rank}")
    values = [reader.parameter(reader.operand(operator, place), order).value if reader.is_constant(operator, place) else _in(reader, operator, place, order) for place in places]
    reader.give(operator, reader.add(Concat(order[axis % rank]), *values), order)


def _in(reader: Reader, operator: FileOperator, place: int, order: Order) -> Any:
    known = reader.get(operator, place)
    if len(known.order) != len(order):
        raise reader.fault(f"has operands of {len(order)} and {len(known.order)} dimensions")
    return reader.arranged(known, order)


def split(reader: Reader, operator: FileOperator) -> None:
    """SPLIT and SPLIT_V; the sizes are those of the results."""
    even = operator.builtin == "SPLIT"
    known = reader.get(operator, 1 if even else 0)
    (axis,) = reader.integers(operator, 0 if even else 2) or (0,)
    rank = len(known.order)
    if not -rank <= axis < rank:
        raise reader.fault(f"cuts along axis {axis} of {rank}")
    sizes = tuple(reader.output(operator, number).shape[axis] for number in range(len(operator.outputs)))
    values = reader.builder.add_all(Split(sizes, known.order[axis]), known.value, name=reader.name)
    for number, value in enumerate(values):
        reader.give(operator, value, known.order, number)


def strided_slice(reader: Reader, operator: FileOperator) -> None:
    """STRIDED_SLICE, one axis after the other."""
    known = reader.get(operator, 0)
    begin, end, step = (reader.integers(operator, place) for place in (1, 2, 3))
    masks = {name: int(operator.options.get(f"{name}_mask", 0)) for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    if masks["ellipsis"] or masks["new_axis"] or not len(begin) == len(end) == len(step) <= len(known.order):
        raise reader.fault("has an ellipsis, a new axis, or bounds of different lengths")
    bounds = []
    for axis, (start, stop, stride) in enumerate(zip(begin, end, step, strict=True)):
        size = known.value.spec.shape[known.order[axis]]
        dropped = bool(masks["shrink_axis"] >> axis & 1)
        first = None if masks["begin"] >> axis & 1 else start
        last = (first or 0) + 1 or None if dropped else None if masks["end"] >> axis & 1 else stop
        if stride < 1:
            raise reader.fault(f"has the step {stride}, which must be at least 1")
        bounds.append((*slice(first, last, stride).indices(size), dropped))
    _cut(reader, operator, known, bounds)


def plain_slice(reader: Reader, operator: FileOperator) -> None:
    """SLICE: a beginning and a size for each axis, -1 for all that is left."""
    known = reader.get(operator, 0)
    begin, extent = reader.integers(operator, 1), reader.integers(operator, 2)
    if not len(begin) == len(extent) == len(known.order):
        raise reader.fault(f"has bounds for {len(begin)} and {len(extent)} of {len(known.order)} axes")
    sizes = [known.value.spec.shape[axis] for axis in known.order]
    _cut(reader, operator, known, [(start, size if count == -1 else start + count, 1, False) for start, count, size in zip(begin, extent, sizes, strict=True)])


def _cut(reader: Reader, operator: FileOperator, known: Known, bounds: list[tuple[int, int, int, bool]]) -> None:
    """(start, stop, step, dropped) for each axis of the file; axes that stay whole are passed over."""
    value, order = known.value, known.order
    for axis in sorted(range(len(bounds)), key=lambda axis: -known.order[axis]):
        start, stop, step, dropped = bounds[axis]
        place = known.order[axis]
        if (start, stop, step, dropped) == (0, known.value.spec.shape[place], 1, False):
            continue
        if place == 0:
            if dropped and known.value.spec.shape[0] == 1 and len(value.spec.shape) > 1:
                raise reader.fault("drops the batch")
            raise reader.fault("cuts the batch, which a graph keeps whole")
        value = reader.add(Slice(place, start, stop, step, dropped), value)
        if dropped:
            order = tuple(other - (other > place) for other in order if other != place)
    if value is known.value:
        reader.known[operator.outputs[0]] = Known(value, order, operator.outputs[0])
        return
    reader.give(operator, value, order)


def pad(reader: Reader, operator: FileOperator) -> None:
    """PAD and PADV2 around an image or after its channels; elsewhere zeros are joined on."""
    known = reader.get(operator, 0)
    amounts = reader.integers(operator, 1)
    rank = len(known.order)
    if len(amounts) != 2 * rank or min(amounts) < 0:
        raise reader.fault(f"pads by {amounts}: two amounts of at least 0 for each of {rank} axes are needed")
    by_axis = {known.order[axis]: (amounts[2 * axis], amounts[2 * axis + 1]) for axis in range(rank) if amounts[2 * axis] or amounts[2 * axis + 1]}
    if rank == 4 and set(by_axis) <= {2, 3}:
        value = reader.real(reader.tensor(operator, 2)) if reader.has(operator, 2) else 0.0
        made: Operator = Pad((*by_axis.get(2, (0, 0)), *by_axis.get(3, (0, 0))), 0.0 if value is None else value)
    elif set(by_axis) == {1} and by_axis[1][0] == 0:
        made = PadChannels(by_axis[1][1])
    else:
        raise reader.fault(f"pads axes {sorted(by_axis)} of the graph; images are padded around and channels at their end only")
    reader.give(operator, reader.add(made, known.value), known.order)


def reshape(reader: Reader, operator: FileOperator) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the result's shape says it all."""
    stored = reader.output(operator).shape
    found = reader.reshape(reader.get(operator, 0), stored, image=operator.outputs[0] in reader.images)
    reader.give(operator, found.value, found.order)


def transpose(reader: Reader, operator: FileOperator) -> None:
    """TRANSPOSE: a permutation of the graph that keeps images images and channels among channels where it can."""
    known = reader.get(operator, 0)
    permutation = reader.integers(operator, 1)
    rank = len(known.order)
    if sorted(permutation) != list(range(rank)):
        raise reader.fault(f"has the permutation {permutation} of {rank} axes")
    moved = sorted(known.order[axis] for axis in range(rank) if permutation[axis] != axis)
    together = moved == list(range(moved[0], moved[0] + len(moved))) if moved else True
    order = natural(rank)
    if operator.outputs[0] in reader.images:
        order = IMAGE
    elif together and known.order != order and 0 not in moved:
        order = known.order
    turn = [0] * rank
    for axis in range(rank):
        turn[order[axis]] = known.order[permutation[axis]]
    reader.give(operator, reader.add(Permute(tuple(turn)), known.value), order)


def resize(reader: Reader, operator: FileOperator) -> None:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""
    size = reader.integers(operator, 1)
    if len(size) != 2:
        raise reader.fault(f"resizes to {size}, not to a height and a width")
    mode: Any = "bilinear" if operator.builtin == "RESIZE_BILINEAR" else "nearest"
    made = Resize(mode=mode, size=(size[0], size[1]), align_corners=bool(operator.options.get("align_corners")))
    reader.give_image(operator, reader.add(made, reader.image(operator)))


def space_to_depth(reader: Reader, operator: FileOperator) -> None:
    """SPACE_TO_DEPTH."""
    made = SpaceToDepth(max(1, int(operator.options.get("block_size", 0))))
    reader.give_image(operator, reader.add(made, reader.image(operator)))


def depth_to_space(reader: Reader, operator: FileOperator) -> None:
    """DEPTH_TO_SPACE: channels (down, across, channel) laid out in blocks."""
    x = reader.image(operator)
    block = int(operator.options.get("block_size", 0))
    channels, height, width = x.spec.shape[1:]
    if block < 1 or channels % block**2:
        raise reader.fault(f"has blocks of {block}, which do not divide {channels} channels")
    parted = reader.add(Reshape((block, block, channels // block**2, height, width)), x, suffix="/blocks")
    turned = reader.add(Permute((0, 3, 4, 1, 5, 2)), parted)
    reader.give_image(operator, reader.add(Reshape((channels // block**2, height * block, width * block)), turned, suffix="/image"))


def l2_normalisation(reader: Reader, operator: FileOperator) -> None:
    """L2_NORMALIZATION over the file's last axis."""
    known = reader.get(operator, 0)
    reader.give(operator, reader.add(L2Norm(known.order[-1] if known.order else -1), known.value), known.order)


def response_normalisation(reader: Reader, operator: FileOperator) -> None:
    """LOCAL_RESPONSE_NORMALIZATION; its alpha multiplies a sum, ours a mean."""
    size = 2 * int(operator.options.get("radius", 0)) + 1
    given = {name: float(operator.options.get(name, 0.0)) for name in ("alpha", "beta", "bias")}
    made = LocalResponseNorm(size, given["alpha"] * size, given["beta"], given["bias"])
    reader.give_image(operator, reader.add(made, reader.image(operator)))


def layer_norm(reader: Reader, operator: FileOperator) -> None:
    """The patterns LAYER_NORM and RMS_NORM over the last axes of the file."""
    known = reader.get(operator, 0)
    rank = len(known.order)
    axes = sorted({int(axis) % rank for axis in operator.options.values()})
    if axes != list(range(rank - len(axes), rank)) or (operator.builtin == "RMS_NORM" and len(axes) > 1):
        raise reader.fault(f"normalises axes {axes} of {rank}; only the last ones are known")
    affine = len(operator.inputs) > 1
    made: Operator = LayerNorm(len(axes), affine=affine) if operator.builtin == "LAYER_NORM" else RMSNorm(affine=affine)
    value = reader.add(made, reader.arranged(known))
    reader.give(operator, value, natural(rank))


def gather(reader: Reader, operator: FileOperator) -> None:
    """GATHER of rows of a constant table, and EMBEDDING_LOOKUP."""
    table, indices = (0, 1) if operator.builtin == "GATHER" else (1, 0)
    found = reader.tensor(operator, table)
    if found.constant is None or len(found.shape) != 2 or operator.options.get("axis", 0) != 0:
        raise reader.fault("looks something up that is not a constant table of rows")
    value = reader.add(Embedding(*found.shape), reader.arranged(reader.get(operator, indices)))
    reader.give(operator, value, natural(len(value.spec.shape)))


def lstm(reader: Reader, operator: FileOperator) -> None:
    """UNIDIRECTIONAL_SEQUENCE_LSTM without projection or peepholes."""
    if any(reader.has(operator, place) for place in (9, 10, 11, 16, 17)) or not reader.has(operator, 1) or operator.options.get("time_major"):
        raise reader.fault("has peepholes, a projection, coupled gates, or time as its first axis")
    hidden = reader.tensor(operator, 2).shape[0]
    value = reader.add(LSTM(hidden), reader.arranged(reader.get(operator, 0)))
    reader.give(operator, value, natural(3))


def tile(reader: Reader, operator: FileOperator) -> None:
    """TILE along the batch: a learned tensor repeated for every sample."""
    known = reader.get(operator, 0)
    counts = reader.integers(operator, 1)
    first = reader.known[reader.plan.inputs[0]].value
    if len(counts) != len(known.order) or any(count != 1 for count in counts[1:]) or counts[0] != first.spec.shape[0]:
        raise reader.fault(f"repeats {counts} times; only a repetition for every sample of the batch is known")
    reader.give(operator, reader.add(ExpandBatch(), reader.arranged(known), first), natural(len(known.order)))


def pack(reader: Reader, operator: FileOperator) -> None:
    """PACK: operands side by side on a new axis."""
    stored = reader.output(operator).shape
    axis = int(operator.options.get("axis", 0)) % max(1, len(stored))
    if axis == 0:
        raise reader.fault("packs along the batch")
    values = []
    for place in range(len(operator.inputs)):
        value = reader.arranged(reader.get(operator, place))
        shape = value.spec.shape
        values.append(reader.add(Reshape((*shape[1:axis], 1, *shape[axis:])), value, suffix=f"/{place}"))
    reader.give(operator, reader.add(Concat(axis), *values), natural(len(stored)))


def unpack(reader: Reader, operator: FileOperator) -> None:
    """UNPACK: pieces of length 1 without their axis."""
    known = reader.get(operator, 0)
    axis = int(operator.options.get("axis", 0)) % len(known.order)
    value = reader.arranged(known)
    count = value.spec.shape[axis]
    if axis == 0 or count != len(operator.outputs):
        raise reader.fault(f"takes axis {axis} of {value.spec} apart into {len(operator.outputs)}")
    pieces = reader.builder.add_all(Split((1,) * count, axis), value, name=reader.name)
    for number, piece in enumerate(pieces):
        shape = piece.spec.shape
        reader.give(operator, reader.add(Reshape((*shape[1:axis], *shape[axis + 1 :])), piece, suffix=f"/{number}"), natural(len(shape) - 1), number)


#: Built-in operator or pattern -> how it is read.
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_UNARY, unary),
    **dict.fromkeys(_BINARY, arithmetic),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), convolution_2d),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), pool),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), limits),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), reduction),
    **dict.fromkeys(("SPLIT", "SPLIT_V"), split),
    **dict.fromkeys(("PAD", "PADV2"), pad),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), resize),
    **dict.fromkeys(("LAYER_NORM", "RMS_NORM"), layer_norm),
    **dict.fromkeys(("GATHER", "EMBEDDING_LOOKUP"), gather),
    "TRANSPOSE_CONV": transposed_convolution,
    "CAST": cast,
    "PRELU": prelu,
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    "SOFTMAX": softmax,
    "CONCATENATION": concatenation,
    "STRIDED_SLICE": strided_slice,
    "SLICE": plain_slice,
    "TRANSPOSE": transpose,
    "SPACE_TO_DEPTH": space_to_depth,
    "DEPTH_TO_SPACE": depth_to_space,
    "L2_NORMALIZATION": l2_normalisation,
    "LOCAL_RESPONSE_NORMALIZATION": response_normalisation,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "TILE": tile,
    "PACK": pack,
    "UNPACK": unpack,
}

