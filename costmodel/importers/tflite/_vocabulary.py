"""The vocabulary: every operator class with the function that writes it. The one place of this room that lists them all."""

from __future__ import annotations

from collections.abc import Callable

from costmodel.importers.tflite import _emit_elementwise as elementwise
from costmodel.importers.tflite import _emit_function as function
from costmodel.importers.tflite import _emit_indices as indices
from costmodel.importers.tflite import _emit_move as move
from costmodel.importers.tflite import _emit_product as product
from costmodel.importers.tflite import _emit_window as window
from costmodel.importers.tflite._fold import Step
from costmodel.importers.tflite._planner import Held, Planner

#: Plans the operators of one step for its operands; gives its outputs as they are held.
Emitter = Callable[[Planner, Step, tuple[Held, ...]], tuple[Held, ...]]

#: Operator class -> how it is written.
EMITTERS: dict[str, Emitter] = {
    # windows
    "Conv2d": window.convolution,
    "GroupedConv2d": window.convolution,
    "StandardisedConv2d": window.convolution,
    "DepthwiseConv2d": window.depthwise,
    "ConvTranspose2d": window.transposed_convolution,
    "MaxPool2d": window.max_pool,
    "MaxPoolIndices2d": indices.pool_with_indices,
    "MaxUnpool2d": indices.unpool,
    "AvgPool2d": window.average_pool,
    "AdaptiveAvgPool2d": window.adaptive_pool,
    "AdaptiveMaxPool2d": window.adaptive_pool,
    "Resize": window.resize,
    # products
    "Linear": product.linear,
    "MatMul": product.matmul,
    "ScaledDotProductAttention": product.attention,
    "Softmax": product.softmax,
    "RelativePositionBias": product.position_bias,
    "ShiftedWindowMask": product.window_mask,
    "RadialBasis": product.radial_basis,
    "Embedding": product.embedding,
    "LSTM": product.lstm,
    # functions of each element
    "ReLU": elementwise.simple("RELU"),
    "ReLU6": elementwise.simple("RELU6"),
    "LeakyReLU": elementwise.simple("LEAKY_RELU", alpha=lambda operator: operator.slope),
    "Sigmoid": elementwise.simple("LOGISTIC"),
    "Tanh": elementwise.simple("TANH"),
    "HardSwish": elementwise.simple("HARD_SWISH"),
    "GELU": elementwise.simple("GELU", approximate=False),
    "TanhGELU": elementwise.simple("GELU", approximate=True),
    "ELU": elementwise.elu,
    "Clamp": elementwise.clamp,
    "SiLU": elementwise.silu,
    "HardSigmoid": elementwise.hard_sigmoid,
    "PReLU": elementwise.prelu,
    "SharedPReLU": elementwise.prelu,
    "Add": elementwise.arithmetic("ADD"),
    "Subtract": elementwise.arithmetic("SUB"),
    "Multiply": elementwise.arithmetic("MUL"),
    "Divide": elementwise.arithmetic("DIV"),
    "Scale": elementwise.scale,
    "LayerScale": elementwise.layer_scale,
    # normalisations
    "BatchNorm": elementwise.batch_norm,
    "LayerNorm": elementwise.layer_norm,
    "RMSNorm": elementwise.rms_norm,
    "GroupNorm": elementwise.group_norm,
    "L2Norm": elementwise.l2_norm,
    "LocalResponseNorm": elementwise.response_norm,
    # moving elements
    "Concat": move.concat,
    "Split": move.split,
    "Slice": move.cut,
    "Pad": move.pad,
    "PadChannels": move.pad_channels,
    "Reshape": move.reshape,
    "Flatten": move.reshape,
    "Permute": move.permute,
    "ChannelShuffle": move.channel_shuffle,
    "SpaceToDepth": move.space_to_depth,
    "Roll": move.roll,
    "Mean": move.mean,
    "Parameter": move.parameter,
    "ExpandBatch": move.expand_batch,
    "Dropout": move.nothing,
    "Identity": move.nothing,
    "DepthToSpace": move.depth_to_space,
    "PadAxes": move.pad_axes,
    # functions by name, comparisons, repetitions
    "Function": function.function,
    "Pairwise": function.pairwise,
    "Select": function.select,
    "Offset": function.offset,
    "Reduce": function.reduce,
    "Cumulative": function.cumulative,
    "Cast": function.cast,
    "Flip": function.flip,
    "Repeat": function.repeat,
    "Expand": function.repeat,
    "Constant": function.constant,
    "Index": function.index,
    # no built-in form
    "Conv3d": function.unavailable("convolutions of volumes are not written"),
    "ConvTranspose3d": function.unavailable("convolutions of volumes are not written"),
    "Einsum": function.unavailable("no built-in operator takes an equation"),
    "FoldPatches": function.unavailable("no built-in operator adds windows up"),
    "Gather": function.unavailable("no built-in operator looks up each element along one axis"),
    "GRU": function.unavailable("TFLite has no built-in gated recurrent unit"),
    "RNN": function.unavailable("simple recurrent networks are not written"),
    "OperandConv2d": function.unavailable("filters that are computed are not written"),
    "Overwrite": function.unavailable("no built-in operator writes to part of a tensor"),
    "Triangle": function.unavailable("no built-in operator keeps a triangle of a matrix"),
    "Patches": function.unavailable("no built-in operator lays windows out as columns"),
    "Unknown": function.unavailable("it is not known what it computes"),
    "NonMaxSuppression": function.unavailable("no built-in operator suppresses the boxes of maps: end the network before it"),
    "Windows": function.unavailable("no built-in operator is a view of windows"),
}
