"""DenseNet-BC 121, 161, 169, 201, 264 (arXiv 1608.06993, Table 1).

Every layer of a block sees the concatenation of all maps before it and adds `growth` channels: normalisation, ReLU, 1x1
to 4 growths, normalisation, ReLU, 3x3. Between blocks a 1x1 convolution halves the channels and average pooling the size.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat
from costmodel.ops.pooling import AvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1608.06993"
#: Channels of a layer's 1x1 convolution over the growth.
BOTTLENECK = 4


class Variant(NamedTuple):
    """Layers in each of the four blocks, growth; the stem has twice the growth.

    `deep_stem` means three 3x3 convolutions for its 7x7 (timm's names in ``d``).
    """

    layers: tuple[int, int, int, int]
    growth: int
    deep_stem: bool = False


VARIANTS = {
    121: Variant((6, 12, 24, 16), 32),
    161: Variant((6, 12, 36, 24), 48),
    169: Variant((6, 12, 32, 32), 32),
    201: Variant((6, 12, 48, 32), 32),
    264: Variant((6, 12, 64, 48), 32),
}


def densenet(options: Options, variant: Variant) -> Graph:
    """DenseNet-BC: stem, dense blocks with transitions, a last normalisation and ReLU, classifier."""
    net = Net(options, padding="symmetric")
    if variant.deep_stem:
        x = net.conv_norm(net.image, variant.growth, 3, 2, activation=ReLU(), name="stem0")
        x = net.conv_norm(x, variant.growth, 3, activation=ReLU(), name="stem1")
        x = net.conv_norm(x, 2 * variant.growth, 3, activation=ReLU(), name="stem2")
    else:
        x = net.conv_norm(net.image, 2 * variant.growth, 7, 2, activation=ReLU(), name="stem")
    x = net.max_pool(x, 3, 2, name="stem_pool")
    for number, layers in enumerate(variant.layers):
        if number:
            with net.scope(f"transitions.{number - 1}"):
                x = net.conv(net.norm_activation(x, activation=ReLU(), name="conv"), x.channels // 2)
                x = net.add(AvgPool2d(), x, name="pool")
        x = _block(net, x, number, layers, variant.growth)
    x = net.norm_activation(x, activation=ReLU(), name="last")
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _block(net: Net, x: Value, number: int, layers: int, growth: int) -> Value:
    """A dense block; its first layer has nothing to concatenate."""
    features = [x]
    for layer in range(layers):
        with net.scope(f"blocks.{number}.{layer}"):
            y = net.add(Concat(), *features, name="concat") if layer else x
            y = net.conv(net.norm_activation(y, activation=ReLU(), name="conv1"), BOTTLENECK * growth, name="conv1")
            features.append(net.conv(net.norm_activation(y, activation=ReLU(), name="conv2"), growth, 3, name="conv2"))
    return net.add(Concat(), *features, name=f"blocks.{number}.concat")


#: Table 3, single crop.
_PAPER_TOP1 = {121: 74.98, 169: 76.20, 201: 77.42, 264: 77.85}
_TIMM_TOP1 = {121: 74.750, 161: 77.384, 169: 75.922, 201: 77.284}


def _accuracies(depth: int) -> tuple[Accuracy, ...]:
    found = []
    if depth in _PAPER_TOP1:
        found.append(Accuracy(value=_PAPER_TOP1[depth], resolution=224, source=f"{PAPER} Table 3"))
    if depth in _TIMM_TOP1:
        source = f"timm results-imagenet.csv, densenet{depth}.tv_in1k"
        found.append(Accuracy(value=_TIMM_TOP1[depth], resolution=224, evaluation="timm", source=source))
    return tuple(found)


def _declare(depth: int) -> Architecture:
    return Architecture(
        name=f"densenet-{depth}",
        family="densenet",
        builder=lambda options: densenet(options, VARIANTS[depth]),
        resolution=224,
        year=2016,
        paper=PAPER,
        accuracies=_accuracies(depth),
    )


ARCHITECTURES = tuple(_declare(depth) for depth in VARIANTS)
