"""Small networks with every kind of operator, for fixtures and tests: a few thousand weights each."""

from __future__ import annotations

from collections.abc import Callable

from costmodel.graph import Graph, GraphBuilder, Value
from costmodel.ops.arithmetic import Add, LayerScale, Multiply
from costmodel.ops.attention import ScaledDotProductAttention, Softmax
from costmodel.ops.blocks import ChannelShuffle, SpaceToDepth
from costmodel.ops.convolution import Conv2d, ConvTranspose2d, DepthwiseConv2d, GroupedConv2d
from costmodel.ops.elementwise import GELU, HardSigmoid, HardSwish, PReLU, ReLU, ReLU6, SiLU
from costmodel.ops.layout import Concat, Dropout, Flatten, Permute, Reshape, Slice, Split
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import BatchNorm, LayerNorm, LocalResponseNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from costmodel.ops.recurrent import LSTM
from costmodel.ops.resize import Resize
from costmodel.ops.stored import Embedding, ExpandBatch, Parameter
from costmodel.tensor import DType, TensorSpec


def mobile() -> Graph:
    """Inverted bottleneck with squeeze and excitation, SAME and explicit padding, an unfolded batch normalisation."""
    builder = GraphBuilder("mobile")
    x = builder.input("image", TensorSpec((1, 3, 16, 20)))
    with builder.scope("stem"):
        x = _normalised(builder, Conv2d(8, (3, 3), (2, 2)), x, HardSwish())
    with builder.scope("block"):
        y = _normalised(builder, Conv2d(16), x, ReLU6())
        y = _normalised(builder, DepthwiseConv2d((3, 3), (1, 1), (1, 1, 1, 1)), y, ReLU())
        gate = builder.add(ReLU(), builder.add(Conv2d(4, bias=True), builder.add(AdaptiveAvgPool2d(), y)))
        gate = builder.add(HardSigmoid(), builder.add(Conv2d(16, bias=True), gate))
        y = builder.add(BatchNorm(), builder.add(Conv2d(8), builder.add(Multiply(), y, gate)))
        x = builder.add(Add(), x, y)
    x = builder.add(SiLU(), builder.add(BatchNorm(), builder.add(MaxPool2d((3, 3), (2, 2), (1, 1, 1, 1)), x)))
    x = builder.add(Dropout(), builder.add(Flatten(), builder.add(AvgPool2d((2, 2), (2, 2)), x)))
    return builder.build(builder.add(Softmax(), builder.add(Linear(5), x, name="classifier")))


def transformer() -> Graph:
    """A convolution into patches, one encoder layer with a class token, layer scale."""
    builder = GraphBuilder("transformer")
    image = builder.input("image", TensorSpec((1, 3, 8, 8)))
    x = builder.add(Conv2d(12, (4, 4), (4, 4), "valid", bias=True), image, name="patches")
    x = builder.add(Permute((0, 2, 1)), builder.add(Flatten(2), x))
    token = builder.add(ExpandBatch(), builder.add(Parameter((1, 1, 12)), name="token"), image)
    x = builder.add(Add(), builder.add(Concat(1), token, x), builder.add(Parameter((1, 5, 12)), name="positions"))
    y = builder.add(Linear(36), builder.add(LayerNorm(), x), name="qkv")
    heads = [builder.add(Permute((0, 2, 1, 3)), builder.add(Reshape((5, 3, 4)), part)) for part in builder.add_all(Split((12, 12, 12), 2), y)]
    y = builder.add(Flatten(2), builder.add(Permute((0, 2, 1, 3)), builder.add(ScaledDotProductAttention(), *heads)))
    x = builder.add(Add(), x, builder.add(LayerScale(), builder.add(Linear(12), y)))
    y = builder.add(Linear(12), builder.add(GELU(), builder.add(Linear(24), builder.add(LayerNorm(), x))))
    x = builder.add(LayerNorm(), builder.add(Add(), x, y))
    return builder.build(builder.add(Linear(4), builder.add(Slice(1, 0, 1, squeeze=True), x)))


def segmentation() -> Graph:
    """Grouped and transposed convolutions, shuffles, resizing, PReLU, response normalisation, two outputs."""
    builder = GraphBuilder("segmentation")
    image = builder.input("image", TensorSpec((2, 4, 12, 16)))
    x = _normalised(builder, GroupedConv2d(8, 2, (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), image, PReLU())
    x = builder.add(LocalResponseNorm(3), builder.add(ChannelShuffle(2), x))
    deep = builder.add(SpaceToDepth(2), image)
    small = builder.add(Conv2d(8, (3, 3), (2, 2), bias=True), x)
    small = builder.add(Concat(1), small, deep)
    up = builder.add(ReLU(), builder.add(ConvTranspose2d(8, (3, 3), (2, 2), (1, 1), (1, 1), bias=True), small))
    wide = builder.add(Resize(2.0, "bilinear"), small)
    pooled = builder.add(AvgPool2d((3, 3), (1, 1), (1, 1, 1, 1), count_padding=True), up)
    x = builder.add(Concat(1), pooled, wide)
    coarse = builder.add(AdaptiveAvgPool2d((5, 3)), x)
    return builder.build(builder.add(Conv2d(3, bias=True), x, name="mask"), coarse)


def language() -> Graph:
    """An embedding, a long short-term memory, and the table again as nothing shared."""
    builder = GraphBuilder("language")
    words = builder.input("words", TensorSpec((2, 6), DType.INT64))
    x = builder.add(LSTM(8), builder.add(Embedding(20, 6), words), name="memory")
    return builder.build(builder.add(Linear(20, bias=False), x, name="words_out"))


def _normalised(builder: GraphBuilder, convolution: object, x: Value, activation: object) -> Value:
    """Convolution, batch normalisation, activation."""
    return builder.add(activation, builder.add(BatchNorm(), builder.add(convolution, x)))  # type: ignore[arg-type]  # operators


#: Name -> network.
NETWORKS: dict[str, Callable[[], Graph]] = {function.__name__: function for function in (mobile, transformer, segmentation, language)}
