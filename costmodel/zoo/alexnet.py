"""AlexNet (NIPS 2012): the paper's network of two halves, and the one of a single tower, ``alexnet-owt``.

`alexnet` is the paper's: grouped convolutions where the two GPUs do not talk, response normalisation, and no padding in
the first layer, which needs an input of 227 for the printed maps of 55x55 (the paper prints 224). `alexnet-owt` is the
network of "one weird trick" (arXiv 1404.5997) that torchvision ships: fewer channels, no groups, no normalisation.
Away from their resolutions the 6x6 map that the first fully connected layer takes comes from adaptive average pooling.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops._shapes import PaddingMode
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Dropout, Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import LocalResponseNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "NIPS 2012 (Krizhevsky, Sutskever, Hinton), ImageNet classification with deep convolutional neural networks"


class Layer(NamedTuple):
    """A convolution: output channels, kernel, stride, groups, and whether a 3x3 max pooling of stride 2 follows."""

    channels: int
    kernel_size: int
    stride: int
    groups: int
    pool: bool


PAPER_LAYERS = (
    Layer(96, 11, 4, 1, True),
    Layer(256, 5, 1, 2, True),
    Layer(384, 3, 1, 1, False),
    Layer(384, 3, 1, 2, False),
    Layer(256, 3, 1, 2, True),
)
OWT_LAYERS = (
    Layer(64, 11, 4, 1, True),
    Layer(192, 5, 1, 1, True),
    Layer(384, 3, 1, 1, False),
    Layer(256, 3, 1, 1, False),
    Layer(256, 3, 1, 1, True),
)
#: The paper's k = 2, n = 5, beta = 0.75 and alpha = 1e-4 of the sum; the operator's alpha is of the mean, 5 times that.
RESPONSE_NORM = LocalResponseNorm(5, 5e-4, 0.75, 2.0)
#: Layers whose nonlinearity response normalisation follows (section 3.5).
NORMALISED_LAYERS = (0, 1)
HIDDEN = 4096


def alexnet(options: Options) -> Graph:
    """The paper's network: convolution, ReLU, response normalisation, overlapping pooling."""
    net = Net(options, padding="symmetric")
    x = net.image
    for number, layer in enumerate(PAPER_LAYERS):
        with net.scope(f"features.{number}"):
            x = _conv(net, x, layer, "valid" if number == 0 else None)
            if number in NORMALISED_LAYERS:
                x = net.add(RESPONSE_NORM, x, name="response_norm")
            x = _pool(net, x, layer)
    return net.finish(x if options.features_only else _head(net, x, adapt=x.spec.shape[2:] != (6, 6)))


def alexnet_owt(options: Options) -> Graph:
    """The network of a single tower; its first convolution pads by 2, which neither convention's rule gives."""
    net = Net(options, padding="symmetric")
    x = net.image
    for number, layer in enumerate(OWT_LAYERS):
        with net.scope(f"features.{number}"):
            x = _pool(net, _conv(net, x, layer, (2, 2, 2, 2) if number == 0 else None), layer)
    return net.finish(x if options.features_only else _head(net, x, adapt=True))


def _conv(net: Net, x: Value, layer: Layer, padding: PaddingMode | None) -> Value:
    return net.conv_activation(x, layer.channels, layer.kernel_size, layer.stride, activation=ReLU(), groups=layer.groups, padding=padding)


def _pool(net: Net, x: Value, layer: Layer) -> Value:
    return net.max_pool(x, 3, 2, padding="valid") if layer.pool else x


def _head(net: Net, x: Value, *, adapt: bool) -> Value:
    with net.scope("head"):
        if adapt:
            x = net.add(AdaptiveAvgPool2d((6, 6)), x, name="pool")
        x = net.add(Flatten(), x, name="flatten")
        for number in range(2):
            x = net.add(Linear(HIDDEN), net.add(Dropout(), x, name=f"dropout{number}"), name=f"hidden{number}")
            x = net.add(ReLU(), x, name=f"hidden{number}_activation")
        return net.add(Linear(net.options.classes or 1000), x, name="classifier")


ARCHITECTURES = (
    Architecture(
        name="alexnet",
        family="alexnet",
        builder=alexnet,
        resolution=227,
        year=2012,
        paper=PAPER,
        accuracies=(Accuracy(value=59.3, source="NIPS 2012 (Krizhevsky et al.) section 6, one network, ILSVRC-2012, mean of ten crops"),),
    ),
    Architecture(
        name="alexnet-owt",
        family="alexnet",
        builder=alexnet_owt,
        resolution=224,
        year=2014,
        paper="arXiv:1404.5997",
        accuracies=(Accuracy(value=56.522, resolution=224, source="torchvision 0.28.0, AlexNet_Weights.IMAGENET1K_V1"),),
    ),
)
