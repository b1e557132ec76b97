"""ConvNeXt (arXiv 2201.03545), section 3.

A block is a 7x7 depthwise convolution, layer normalisation over channels, and a two-layer perceptron of 4 widths with
GELU, scaled by a learned factor for each channel and added to its input. The perceptron works on channels last, as in
the released code: two permutations a block, which are views in torch.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, LayerScale
from costmodel.ops.elementwise import GELU
from costmodel.ops.layout import Flatten, Permute
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import LayerNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2201.03545"
PATCH, MLP_RATIO = 4, 4
CHANNELS_LAST, CHANNELS_FIRST = Permute((0, 2, 3, 1)), Permute((0, 3, 1, 2))


class Variant(NamedTuple):
    """Channels and blocks of the four stages."""

    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]


VARIANTS = {
    "convnext-t": Variant((96, 192, 384, 768), (3, 3, 9, 3)),
    "convnext-s": Variant((96, 192, 384, 768), (3, 3, 27, 3)),
    "convnext-b": Variant((128, 256, 512, 1024), (3, 3, 27, 3)),
    "convnext-l": Variant((192, 384, 768, 1536), (3, 3, 27, 3)),
}


def convnext(options: Options, variant: Variant) -> Graph:
    """ConvNeXt: patches of 4x4, four stages with a normalised 2x2 convolution between them, norm and classifier."""
    net = Net(options, padding="symmetric")
    x = net.image
    for number, (channels, blocks) in enumerate(zip(variant.channels, variant.blocks, strict=True)):
        x = _downsample(net, x, channels) if number else _stem(net, x, channels)
        for block in range(blocks):
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x)
    if options.features_only:
        return net.finish(x)
    with net.scope("head"):
        x = _norm(net, net.add(AdaptiveAvgPool2d(), x, name="pool"))
        return net.finish(net.add(Linear(options.classes or 1000), net.add(Flatten(), x, name="flatten"), name="classifier"))


def _stem(net: Net, x: Value, channels: int) -> Value:
    with net.scope("stem"):
        return _norm(net, net.conv(x, channels, PATCH, PATCH, bias=True, padding="valid", name="patches"))


def _downsample(net: Net, x: Value, channels: int) -> Value:
    with net.scope("downsample"):
        return net.conv(_norm(net, x), channels, 2, 2, bias=True, padding="valid")


def _norm(net: Net, x: Value) -> Value:
    """Layer normalisation over the channels of an image."""
    x = net.add(LayerNorm(), net.add(CHANNELS_LAST, x, name="channels_last"), name="norm")
    return net.add(CHANNELS_FIRST, x, name="channels_first")


def _block(net: Net, x: Value) -> Value:
    y = net.conv(x, x.channels, 7, groups=x.channels, bias=True, name="depthwise")
    y = net.add(LayerNorm(), net.add(CHANNELS_LAST, y, name="channels_last"), name="norm")
    y = net.add(GELU(), net.add(Linear(MLP_RATIO * x.channels), y, name="expand"), name="gelu")
    y = net.add(CHANNELS_FIRST, net.add(Linear(x.channels), y, name="project"), name="channels_first")
    return net.add(Add(), net.add(LayerScale(1), y, name="scale"), x, name="residual")


#: timm's uniform evaluation of the authors' weights trained on ImageNet-1k alone: (weights, top-1 at 224).
_TIMM_TOP1 = {
    "convnext-t": ("convnext_tiny.fb_in1k", 82.066),
    "convnext-s": ("convnext_small.fb_in1k", 83.144),
    "convnext-b": ("convnext_base.fb_in1k", 83.838),
    "convnext-l": ("convnext_large.fb_in1k", 84.304),
}


def _declare(name: str, variant: Variant) -> Architecture:
    weights, top1 = _TIMM_TOP1[name]
    return Architecture(
        name=name,
        family="convnext",
        builder=lambda options: convnext(options, variant),
        resolution=224,
        year=2022,
        paper=PAPER,
        accuracies=(Accuracy(value=top1, resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, {weights}"),),
    )


ARCHITECTURES = tuple(_declare(name, variant) for name, variant in VARIANTS.items())
