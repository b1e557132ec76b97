"""GoogLeNet, Inception-v1 (arXiv 1409.4842, Table 1), without the auxiliary classifiers, which only training uses.

`googlenet(..., auxiliary=True)` has those of torchvision, on the inputs of 4b and 4e, as two further outputs.

`googlenet` is the paper's: biases, no batch normalisation, response normalisation around the second stage of the stem;
poolings count the last partial window, as in Caffe. `googlenet-bn` is torchvision's: batch normalisation, a 3x3 where the
paper has the 5x5, a 2x2 window in the last pooling. Trap: the paper's row for the first convolution (2.7K parameters,
34M operations) does not equal 7x7x3x64.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Dropout, Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import LocalResponseNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._inception import Conv, Convolve, MaxPool, inception
from costmodel.zoo._net import Net

PAPER = "arXiv:1409.4842"


class Module(NamedTuple):
    """A row of Table 1: the columns from #1x1 to pool proj."""

    direct: int
    reduce3: int
    conv3: int
    reduce5: int
    conv5: int
    project: int


#: Modules between poolings: 3a-3b, 4a-4e, 5a-5b.
STAGES = (
    (Module(64, 96, 128, 16, 32, 32), Module(128, 128, 192, 32, 96, 64)),
    (
        Module(192, 96, 208, 16, 48, 64),
        Module(160, 112, 224, 24, 64, 64),
        Module(128, 128, 256, 24, 64, 64),
        Module(112, 144, 288, 32, 64, 64),
        Module(256, 160, 320, 32, 128, 128),
    ),
    (Module(256, 160, 320, 32, 128, 128), Module(384, 192, 384, 48, 128, 128)),
)
#: The modules whose outputs the auxiliary classifiers read.
AUXILIARY = ("4a", "4d")
#: The numbers of the Caffe reference network; the paper gives none.
RESPONSE_NORM = LocalResponseNorm(5, 1e-4, 0.75, 1.0)


def googlenet(options: Options, *, normalised: bool = False, auxiliary: bool = False) -> Graph:
    """GoogLeNet; `normalised` gives torchvision's network, `auxiliary` the classifiers of training as further outputs."""
    net = Net(options, padding="symmetric", epsilon=1e-3)
    convolve = net.conv_norm if normalised else net.conv_activation
    x = _stem(net, convolve, response_norm=not normalised)
    taken = []
    for number, stage in enumerate(STAGES):
        if number:
            window = 2 if normalised and number == len(STAGES) - 1 else 3
            x = net.max_pool(x, window, 2, padding="valid", ceil=True, name=f"pool{number + 2}")
        for letter, module in zip("abcde", stage, strict=False):
            with net.scope(f"inception{number + 3}{letter}"):
                x = _module(net, x, module, convolve, wide=3 if normalised else 5)
            if f"{number + 3}{letter}" in AUXILIARY:
                taken.append(x)
    if options.features_only:
        return net.finish(x)
    main = net.classifier(x, 1000, dropout=True)
    return net.finish(main, *(_auxiliary(net, y, convolve, number) for number, y in enumerate(taken if auxiliary else ())))


def _auxiliary(net: Net, x: Value, convolve: Convolve, number: int) -> Value:
    """A classifier on 4x4 means: 1x1 to 128 channels, 1024 units, the classes."""
    with net.scope(f"auxiliary{number}"):
        x = convolve(net.add(AdaptiveAvgPool2d((4, 4)), x, name="pool"), 128, activation=ReLU())
        x = net.add(Linear(1024), net.add(Flatten(), x, name="flatten"), name="hidden")
        x = net.add(Dropout(), net.add(ReLU(), x, name="hidden_activation"), name="dropout")
        return net.add(Linear(net.options.classes or 1000), x, name="classifier")


def _stem(net: Net, convolve: Convolve, *, response_norm: bool) -> Value:
    with net.scope("stem"):
        x = convolve(net.image, 64, 7, 2, activation=ReLU(), name="conv1")
        x = net.max_pool(x, 3, 2, padding="valid", ceil=True, name="pool1")
        if response_norm:
            x = net.add(RESPONSE_NORM, x, name="response_norm1")
        x = convolve(x, 64, activation=ReLU(), name="conv2")
        x = convolve(x, 192, 3, activation=ReLU(), name="conv3")
        if response_norm:
            x = net.add(RESPONSE_NORM, x, name="response_norm2")
        return net.max_pool(x, 3, 2, padding="valid", ceil=True, name="pool2")


def _module(net: Net, x: Value, module: Module, convolve: Convolve, *, wide: int) -> Value:
    """An inception module whose third branch has a `wide` kernel."""
    branches = (
        (Conv(module.direct),),
        (Conv(module.reduce3), Conv(module.conv3, 3)),
        (Conv(module.reduce5), Conv(module.conv5, wide)),
        (MaxPool(), Conv(module.project)),
    )
    return inception(net, x, branches, convolve)


ARCHITECTURES = (
    Architecture(
        name="googlenet",
        family="googlenet",
        builder=googlenet,
        resolution=224,
        year=2014,
        paper=PAPER,
        accuracies=(Accuracy(value=69.8, resolution=224, source="arXiv:1707.07012 Tables 2-3, there called Inception V1"),),
    ),
    Architecture(
        name="googlenet-bn",
        family="googlenet",
        builder=lambda options: googlenet(options, normalised=True),
        resolution=224,
        year=2014,
        paper=PAPER,
        accuracies=(Accuracy(value=69.778, resolution=224, source="torchvision 0.28.0, GoogLeNet_Weights.IMAGENET1K_V1"),),
    ),
)
