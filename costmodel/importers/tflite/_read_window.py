"""Reading operators on images (N, H, W, C): convolutions, pooling, resizing, blocks."""

from __future__ import annotations

from typing import Any

from costmodel.importers.tflite._layout import IMAGE
from costmodel.importers.tflite._reader import Reader
from costmodel.importers.tflite._schema import SAME, FileOperator
from costmodel.ops.blocks import DepthToSpace, SpaceToDepth
from costmodel.ops.convolution import ConvTranspose2d, convolution
from costmodel.ops.normalisation import LocalResponseNorm
from costmodel.ops.pooling import AvgPool2d, MaxPool2d
from costmodel.ops.resize import Resize


def convolution_2d(reader: Reader, operator: FileOperator) -> None:
    """CONV_2D (grouped where the filters are narrower than the image) and DEPTHWISE_CONV_2D."""
    x = reader.image(operator)
    weight = reader.weights(operator, 1)
    bias = reader.has(operator, 2) and bool(reader.weights(operator, 2))
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
        bias=bias,
    )
    reader.give_image(operator, reader.add(made, x))


def transposed_convolution(reader: Reader, operator: FileOperator) -> None:
    """TRANSPOSE_CONV; what its output size says about padding is spread as torch does."""
    known = reader.get(operator, 2)
    if len(known.value.spec.shape) != 4:
        raise reader.fault("takes an image of 4 dimensions")
    x = reader.arranged(known, IMAGE)
    weight, declared = reader.weights(operator, 1), reader.output(operator).shape
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
    """DEPTH_TO_SPACE; the order of the channels within a block makes no difference to what it costs."""
    reader.give_image(operator, reader.add(DepthToSpace(int(operator.options.get("block_size", 0))), reader.image(operator)))


def response_normalisation(reader: Reader, operator: FileOperator) -> None:
    """LOCAL_RESPONSE_NORMALIZATION; its alpha multiplies a sum, ours a mean."""
    size = 2 * int(operator.options.get("radius", 0)) + 1
    given = {name: float(operator.options.get(name, 0.0)) for name in ("alpha", "beta", "bias")}
    made = LocalResponseNorm(size, given["alpha"] * size, given["beta"], given["bias"])
    reader.give_image(operator, reader.add(made, reader.image(operator)))
