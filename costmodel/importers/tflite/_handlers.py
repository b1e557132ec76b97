"""The vocabulary in the other direction: every built-in operator and pattern with the function that reads it."""

from __future__ import annotations

from collections.abc import Callable

from costmodel.importers.tflite import _read_elementwise as elementwise
from costmodel.importers.tflite import _read_function as function
from costmodel.importers.tflite import _read_move as move
from costmodel.importers.tflite import _read_product as product
from costmodel.importers.tflite import _read_window as window
from costmodel.importers.tflite._reader import Reader
from costmodel.importers.tflite._schema import FileOperator

#: Adds what an operator of the file means to the graph of a reader.
Handler = Callable[[Reader, FileOperator], None]

#: Built-in operator or pattern -> how it is read.
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(elementwise.UNARY, elementwise.unary),
    **dict.fromkeys(elementwise.BINARY, elementwise.arithmetic),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), window.convolution_2d),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), window.pool),
    **dict.fromkeys(function.UNARY, function.function),
    **dict.fromkeys(function.BINARY, function.pairwise),
    **dict.fromkeys(("MEAN", *function.REDUCED), function.reduction),
    **dict.fromkeys(function.SEARCHES, function.search),
    **dict.fromkeys(("SELECT", "SELECT_V2"), function.select),
    **dict.fromkeys(("SPLIT", "SPLIT_V"), move.split),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), move.pad),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), move.reshape),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), window.resize),
    **dict.fromkeys(("LAYER_NORM", "RMS_NORM"), product.layer_norm),
    **dict.fromkeys(("GATHER", "EMBEDDING_LOOKUP"), function.gather),
    "TRANSPOSE_CONV": window.transposed_convolution,
    "CAST": function.cast,
    "PRELU": elementwise.prelu,
    "FULLY_CONNECTED": product.fully_connected,
    "BATCH_MATMUL": product.batch_matmul,
    "SOFTMAX": product.softmax,
    "CONCATENATION": move.concatenation,
    "STRIDED_SLICE": move.strided_slice,
    "SLICE": move.plain_slice,
    "TRANSPOSE": move.transpose,
    "SPACE_TO_DEPTH": window.space_to_depth,
    "DEPTH_TO_SPACE": window.depth_to_space,
    "L2_NORMALIZATION": product.l2_normalisation,
    "LOCAL_RESPONSE_NORMALIZATION": window.response_normalisation,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": product.lstm,
    "TILE": function.repeat,
    "BROADCAST_TO": function.broadcast_to,
    "CUMSUM": function.cumulative,
    "REVERSE_V2": function.flip,
    "SQUARED_DIFFERENCE": function.squared_difference,
    "PACK": move.pack,
    "UNPACK": move.unpack,
}
