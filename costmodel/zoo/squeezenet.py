"""SqueezeNet 1.0 (arXiv 1602.07360, Table 1) and 1.1 (its repository): convolutions with bias, no normalisation.

A fire module squeezes by 1x1 and expands by 1x1 and 3x3 side by side. The stem does not pad, and the poolings count the
last partial window. Trap: the paper's figures are for an input of 224, the released network and the 833M
multiply-accumulates that later papers cite for one of 227.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat, Dropout, Flatten
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1602.07360"


class Fire(NamedTuple):
    """A fire module: squeezed channels, channels of each of the two expansions, and whether max pooling stands before it."""

    squeezed: int
    expanded: int
    pool: bool = False


class Variant(NamedTuple):
    """Channels and kernel of the stem, and the fire modules from fire2 on."""

    stem: int
    kernel_size: int
    fires: tuple[Fire, ...]


VARIANTS = {
    "1.0": Variant(
        96,
        7,
        (Fire(16, 64, True), Fire(16, 64), Fire(32, 128), Fire(32, 128, True), Fire(48, 192), Fire(48, 192), Fire(64, 256), Fire(64, 256, True)),
    ),
    "1.1": Variant(
        64,
        3,
        (Fire(16, 64, True), Fire(16, 64), Fire(32, 128, True), Fire(32, 128), Fire(48, 192, True), Fire(48, 192), Fire(64, 256), Fire(64, 256)),
    ),
}


def squeezenet(options: Options, variant: Variant) -> Graph:
    """SqueezeNet: stem, fire modules, and a 1x1 convolution with ReLU before the global average."""
    net = Net(options, padding="symmetric")
    x = features(net, variant)[-1]
    if options.features_only:
        return net.finish(x)
    with net.scope("head"):
        x = net.add(Dropout(), x, name="dropout")
        x = net.conv_activation(x, options.classes or 1000, activation=ReLU(), name="classifier")
        return net.finish(net.add(Flatten(), net.add(AdaptiveAvgPool2d(), x, name="pool"), name="flatten"))


def features(net: Net, variant: Variant) -> list[Value]:
    """What each fire module makes of the net's image, the stem before them."""
    x = net.conv_activation(net.image, variant.stem, variant.kernel_size, 2, activation=ReLU(), padding="valid", name="stem")
    made = []
    for number, fire in enumerate(variant.fires):
        with net.scope(f"fire{number + 2}"):
            if fire.pool:
                x = net.max_pool(x, 3, 2, padding="valid", ceil=True)
            x = _fire(net, x, fire)
        made.append(x)
    return made


def _fire(net: Net, x: Value, fire: Fire) -> Value:
    x = net.conv_activation(x, fire.squeezed, activation=ReLU(), name="squeeze")
    narrow = net.conv_activation(x, fire.expanded, activation=ReLU(), name="expand1x1")
    wide = net.conv_activation(x, fire.expanded, 3, activation=ReLU(), name="expand3x3")
    return net.add(Concat(), narrow, wide, name="concat")


_ACCURACIES = {
    "1.0": (
        Accuracy(value=57.5, resolution=227, source=f"{PAPER} Table 2, cited from memory"),
        Accuracy(value=58.092, resolution=224, source="torchvision 0.28.0, SqueezeNet1_0_Weights.IMAGENET1K_V1"),
    ),
    "1.1": (Accuracy(value=58.178, resolution=224, source="torchvision 0.28.0, SqueezeNet1_1_Weights.IMAGENET1K_V1"),),
}


def _declare(version: str) -> Architecture:
    return Architecture(
        name=f"squeezenet-{version}",
        family="squeezenet",
        builder=lambda options: squeezenet(options, VARIANTS[version]),
        resolution=224,
        year=2016,
        paper=PAPER,
        accuracies=_ACCURACIES[version],
    )


ARCHITECTURES = tuple(_declare(version) for version in VARIANTS)
