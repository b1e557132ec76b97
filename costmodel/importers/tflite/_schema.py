"""The nouns of a TFLite file, and the part of its schema that is used here.

A `Plan` is what a file holds, without its bytes: tensors in the file's own axis order, operators in execution order.
Writing makes a plan from a graph, then bytes; reading makes a plan from bytes, then a graph. Source: tensorflow/lite's
schema.fbs, version 3, as generated in the package `tflite`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from costmodel.errors import UsageError
from costmodel.frozen import FrozenDict
from costmodel.tensor import DType

#: Version of the schema that TFLite files carry, and their identifier at byte 4.
SCHEMA_VERSION = 3
IDENTIFIER = b"TFL3"
#: Name of the metadata entry that holds what folding removed.
METADATA_NAME = "costmodel"
#: The schema's enums Padding and ActivationFunctionType.
SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6, TANH = 0, 1, 2, 3, 4
#: Types of a graph's tensors as the schema names them; real numbers are float32 until they are quantised.
TYPES = {DType.INT8: "INT8", DType.INT32: "INT32", DType.INT64: "INT64", DType.BOOL: "BOOL"}
#: Position of an optional operand that is left out.
ABSENT = -1

#: Tensor type -> bytes of an element (INT4 packs two in one).
ITEMSIZE = {
    "FLOAT32": 4,
    "FLOAT16": 2,
    "BFLOAT16": 2,
    "FLOAT64": 8,
    "INT4": 1,
    "INT8": 1,
    "UINT8": 1,
    "BOOL": 1,
    "INT16": 2,
    "UINT16": 2,
    "INT32": 4,
    "UINT32": 4,
    "INT64": 8,
    "UINT64": 8,
    "COMPLEX64": 8,
    "COMPLEX128": 16,
    "STRING": 1,
    "RESOURCE": 1,
    "VARIANT": 1,
}

_ACTIVATED = ("fused_activation_function",)
_POOL = ("Pool2DOptions", ("padding", "stride_w", "stride_h", "filter_width", "filter_height", *_ACTIVATED))

#: Built-in operator -> (table of its options, their fields in snake case).
OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", _ACTIVATED),
    "AVERAGE_POOL_2D": _POOL,
    "ABS": ("AbsOptions", ()),
    "ARG_MAX": ("ArgMaxOptions", ("output_type",)),
    "ARG_MIN": ("ArgMinOptions", ("output_type",)),
    "ATAN2": ("ATan2Options", ()),
    "BATCH_MATMUL": ("BatchMatMulOptions", ("adj_x", "adj_y")),
    "BROADCAST_TO": ("BroadcastToOptions", ()),
    "CAST": ("CastOptions", ()),
    "CONCATENATION": ("ConcatenationOptions", ("axis", *_ACTIVATED)),
    "CONV_2D": ("Conv2DOptions", ("padding", "stride_w", "stride_h", "dilation_w_factor", "dilation_h_factor", *_ACTIVATED)),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        ("padding", "stride_w", "stride_h", "depth_multiplier", "dilation_w_factor", "dilation_h_factor", *_ACTIVATED),
    ),
    "COS": ("CosOptions", ()),
    "CUMSUM": ("CumsumOptions", ("exclusive", "reverse")),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("block_size",)),
    "DEQUANTIZE": ("DequantizeOptions", ()),
    "DIV": ("DivOptions", _ACTIVATED),
    "EQUAL": ("EqualOptions", ()),
    "EXP": ("ExpOptions", ()),
    "EXPAND_DIMS": ("ExpandDimsOptions", ()),
    "FLOOR_DIV": ("FloorDivOptions", ()),
    "FLOOR_MOD": ("FloorModOptions", ()),
    "FULLY_CONNECTED": ("FullyConnectedOptions", (*_ACTIVATED, "weights_format", "keep_num_dims")),
    "GATHER": ("GatherOptions", ("axis", "batch_dims")),
    "GELU": ("GeluOptions", ("approximate",)),
    "GREATER": ("GreaterOptions", ()),
    "GREATER_EQUAL": ("GreaterEqualOptions", ()),
    "HARD_SWISH": ("HardSwishOptions", ()),
    "L2_NORMALIZATION": ("L2NormOptions", _ACTIVATED),
    "LEAKY_RELU": ("LeakyReluOptions", ("alpha",)),
    "LESS": ("LessOptions", ()),
    "LESS_EQUAL": ("LessEqualOptions", ()),
    "LOCAL_RESPONSE_NORMALIZATION": ("LocalResponseNormalizationOptions", ("radius", "bias", "alpha", "beta")),
    "LOGICAL_AND": ("LogicalAndOptions", ()),
    "LOGICAL_NOT": ("LogicalNotOptions", ()),
    "LOGICAL_OR": ("LogicalOrOptions", ()),
    "MAXIMUM": ("MaximumMinimumOptions", ()),
    "MAX_POOL_2D": _POOL,
    "MEAN": ("ReducerOptions", ("keep_dims",)),
    "MINIMUM": ("MaximumMinimumOptions", ()),
    "MIRROR_PAD": ("MirrorPadOptions", ("mode",)),
    "MUL": ("MulOptions", _ACTIVATED),
    "NEG": ("NegOptions", ()),
    "NOT_EQUAL": ("NotEqualOptions", ()),
    "PACK": ("PackOptions", ("values_count", "axis")),
    "PAD": ("PadOptions", ()),
    "PADV2": ("PadV2Options", ()),
    "POW": ("PowOptions", ()),
    "QUANTIZE": ("QuantizeOptions", ()),
    "REDUCE_ALL": ("ReducerOptions", ("keep_dims",)),
    "REDUCE_ANY": ("ReducerOptions", ("keep_dims",)),
    "REDUCE_MAX": ("ReducerOptions", ("keep_dims",)),
    "REDUCE_MIN": ("ReducerOptions", ("keep_dims",)),
    "REDUCE_PROD": ("ReducerOptions", ("keep_dims",)),
    "RESHAPE": ("ReshapeOptions", ()),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", ("align_corners", "half_pixel_centers")),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", ("align_corners", "half_pixel_centers")),
    "REVERSE_V2": ("ReverseV2Options", ()),
    "SELECT_V2": ("SelectV2Options", ()),
    "SIGN": ("SignOptions", ()),
    "SLICE": ("SliceOptions", ()),
    "SOFTMAX": ("SoftmaxOptions", ("beta",)),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", ("block_size",)),
    "SPLIT": ("SplitOptions", ("num_splits",)),
    "SPLIT_V": ("SplitVOptions", ("num_splits",)),
    "SQUARE": ("SquareOptions", ()),
    "SQUARED_DIFFERENCE": ("SquaredDifferenceOptions", ()),
    "SQUEEZE": ("SqueezeOptions", ()),
    "STRIDED_SLICE": ("StridedSliceOptions", ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")),
    "SUB": ("SubOptions", _ACTIVATED),
    "SUM": ("ReducerOptions", ("keep_dims",)),
    "TILE": ("TileOptions", ()),
    "TRANSPOSE": ("TransposeOptions", ()),
    "TRANSPOSE_CONV": ("TransposeConvOptions", ("padding", "stride_w", "stride_h", *_ACTIVATED)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("UnidirectionalSequenceLSTMOptions", (*_ACTIVATED, "cell_clip", "proj_clip", "time_major")),
    "UNPACK": ("UnpackOptions", ("num", "axis")),
}

#: Makes the float32 or integer values of a constant from the weights of the graph, in the file's axis order.
Recipe = Callable[[Mapping[str, Mapping[str, Any]]], Any]


@dataclass(frozen=True, slots=True)
class Constant:
    """What a constant tensor holds: `values` where they are few and known, a `recipe` over weights where it is planned.

    `place` is the (offset, length) of its bytes in a file that was read.
    """

    values: tuple[int | float, ...] | None = None
    recipe: Recipe | None = field(default=None, compare=False)
    place: tuple[int, int] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Quantisation:
    """real = scale * (stored - zero point), one pair for the tensor or one for each index of `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTensor:
    """A tensor as the file has it: shape in the file's axis order, type by the schema's name."""

    name: str
    shape: tuple[int, ...]
    type: str = "FLOAT32"
    constant: Constant | None = None
    quantisation: Quantisation | None = None
    variable: bool = False


@dataclass(frozen=True, slots=True)
class FileOperator:
    """One operator: its built-in name (``CUSTOM:name`` for a custom one), tensors by position, options by field."""

    builtin: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int | float | bool] = field(default_factory=FrozenDict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a file holds; `metadata` is the content of the entry `METADATA_NAME`."""

    name: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    metadata: bytes | None = None


def require_tflite() -> Any:
    """The package `tflite`.

    Raises
    ------
    UsageError
        If it is not installed; says how to get it.
    """
    import importlib.util

    if importlib.util.find_spec("tflite") is None:
        raise UsageError("TFLite files need the package tflite, which is not installed: pip install 'costmodel[tflite]'")
    import tflite

    return tflite


def camel(name: str) -> str:
    """The generated name of a field: ``stride_w`` is ``StrideW``.

    Examples
    --------
    >>> camel("dilation_w_factor")
    'DilationWFactor'
    """
    return "".join(part.capitalize() for part in name.split("_"))
