"""The word-level language model of the ESPNetv2 paper (arXiv 1811.11431, section 4.4), on the Penn Treebank: 10,000 words.

The paper takes AWD-LSTM (arXiv 1708.02182) with its hyper-parameters and thins the products of the LSTM's inputs; the thinned
cell is described in one sentence and was not released. This is therefore AWD-LSTM itself, the upper bound of that network's
cost: embedding of 400 tied to the output layer, three LSTM layers of 1150, 1150 and 400 units, 24,221,600 parameters (24M
as published).

The input is a row of word indices: ``@1x70`` or ``@70`` are 70 words, the length that it is trained on.
"""

from __future__ import annotations

from costmodel.errors import ShapeError
from costmodel.graph import Graph, GraphBuilder, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.layout import Dropout
from costmodel.ops.matmul import Linear
from costmodel.ops.recurrent import LSTM
from costmodel.ops.stored import Embedding, Parameter
from costmodel.tensor import DType, TensorSpec
from costmodel.zoo._architecture import Architecture, Options

PAPER = "arXiv:1811.11431"
WORDS = 10_000
WIDTH = 400
UNITS = (1150, 1150, WIDTH)
LENGTH = 70


def espnetv2_lm(options: Options) -> Graph:
    """Words to scores of the next word: embedding, three LSTM layers, and the embedding's table again as output layer."""
    words = options.classes or WORDS
    net = GraphBuilder(options.name)
    x = net.input("words", TensorSpec((options.batch, _length(options)), DType.INT64))
    x = _dropout(net, net.add(Embedding(words, WIDTH), x, name="embedding"))
    for number, units in enumerate(UNITS):
        x = _dropout(net, net.add(LSTM(units), x, name=f"lstm{number}"))
    if options.features_only:
        return net.build(x)
    x = net.add(Linear(words, bias=False), x, name="output", shares="embedding")
    bias = net.add(Parameter((1, 1, words)), name="output_bias")
    return net.build(net.add(Add(), x, bias, name="add_bias"))


def _dropout(net: GraphBuilder, x: Value) -> Value:
    return net.add(Dropout(), x, name="dropout")


def _length(options: Options) -> int:
    """Words in a row; a square resolution is read as its side."""
    height, width = options.resolution
    if height not in (1, width):
        raise ShapeError(f"{options.name}: the input is one row of words, so ask for 1x{width} rather than {height}x{width}")
    return width


ARCHITECTURES = (
    Architecture(
        name="espnetv2-lm",
        family="espnetv2",
        builder=espnetv2_lm,
        resolution=(1, LENGTH),
        year=2018,
        paper=PAPER,
    ),
)
