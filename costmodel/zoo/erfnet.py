"""ERFNet (Romera et al., IEEE Transactions on Intelligent Transportation Systems 2018): factorised residual blocks.

A block is 3x1, 1x3 and again 3x1, 1x3 with dilation; every convolution has a bias, and a batch normalisation stands after
each pair. Source of the structure: github.com/Eromera/erfnet_pytorch and pytorchcv's `erfnet_cityscapes`.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.convolution import ConvTranspose2d
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat, Dropout
from costmodel.ops.normalisation import BatchNorm
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "doi:10.1109/TITS.2017.2750080"
#: Output channels of each downsampling, and the dilations of the blocks that follow it.
ENCODER = ((16, ()), (64, (1, 1, 1, 1, 1)), (128, (2, 4, 8, 16, 2, 4, 8, 16)))
#: Output channels of each upsampling; two blocks follow each.
DECODER = (64, 16)
DIVISOR = 8


def erfnet(options: Options) -> Graph:
    """Three downsamplings, two upsamplings, and a transposed convolution to the classes at the image's size."""
    net = Net(options, padding="symmetric")
    net.require_multiple_of(DIVISOR)
    x = net.image
    for number, (channels, dilations) in enumerate(ENCODER):
        with net.scope(f"encoder.{number}"):
            x = _downsample(net, x, channels)
            for block, dilation in enumerate(dilations):
                with net.scope(str(block)):
                    x = _factorised(net, x, dilation, dropout=True)
    if options.features_only:
        return net.finish(x)
    for number, channels in enumerate(DECODER):
        with net.scope(f"decoder.{number}"):
            x = net.add(ConvTranspose2d(channels, (3, 3), (2, 2), (1, 1), (1, 1), bias=True), x, name="upsample")
            x = _norm_relu(net, x)
            for block in range(2):
                with net.scope(str(block)):
                    x = _factorised(net, x, 1, dropout=False)
    return net.finish(net.add(ConvTranspose2d(options.classes or 19, bias=True), x, name="classifier"))


def _downsample(net: Net, x: Value, channels: int) -> Value:
    """A strided 3x3 beside 2x2 max pooling, concatenated (ENet's initial block)."""
    pooled = net.max_pool(x, 2, 2, padding="valid")
    y = net.conv(x, channels - x.channels, 3, 2, bias=True)
    return _norm_relu(net, net.add(Concat(), y, pooled, name="concat"))


def _factorised(net: Net, x: Value, dilation: int, *, dropout: bool) -> Value:
    y = x
    for position, spread in enumerate((1, dilation)):
        y = net.conv(y, x.channels, (3, 1), bias=True, dilation=spread, name=f"conv{position}_3x1")
        y = net.add(ReLU(), y, name=f"activation{position}")
        y = net.conv(y, x.channels, (1, 3), bias=True, dilation=spread, name=f"conv{position}_1x3")
        y = _norm_relu(net, y) if position == 0 else net.add(BatchNorm(net.epsilon), y, name="norm")
    if dropout:
        y = net.add(Dropout(), y, name="dropout")
    return net.add(ReLU(), net.add(Add(), y, x, name="residual"), name="activation")


def _norm_relu(net: Net, x: Value) -> Value:
    return net.add(ReLU(), net.add(BatchNorm(net.epsilon), x, name="norm"), name="activation")


ARCHITECTURES = (
    Architecture(
        name="erfnet",
        family="erfnet",
        builder=erfnet,
        resolution=(512, 1024),
        year=2017,
        paper=PAPER,
        accuracies=(Accuracy(value=68.0, metric="miou", source="arXiv:1803.06815 Fig. 6 (recalled, not re-read), Cityscapes test"),),
    ),
)
