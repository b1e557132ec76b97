"""Vision transformer, ViT (arXiv 2010.11929, Table 1; the small width is DeiT's, arXiv 2012.12877).

A block is pre-norm: x + attention(LN(x)), then x + MLP(LN(x)) with a hidden layer of 4 widths and GELU.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.errors import ShapeError
from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.attention import ScaledDotProductAttention
from costmodel.ops.convolution import Conv2d
from costmodel.ops.elementwise import GELU
from costmodel.ops.layout import Concat, Flatten, Permute, Reshape, Slice, Split
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import LayerNorm
from costmodel.ops.stored import ExpandBatch, Parameter
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2010.11929"
MLP_RATIO = 4


class Variant(NamedTuple):
    """Patch size, width, layers, heads."""

    patch: int
    width: int
    depth: int
    heads: int


VARIANTS = {
    "vit-s-32": Variant(32, 384, 12, 6),
    "vit-b-16": Variant(16, 768, 12, 12),
    "vit-b-32": Variant(32, 768, 12, 12),
    "vit-l-16": Variant(16, 1024, 24, 16),
    "vit-l-32": Variant(32, 1024, 24, 16),
    "vit-h-14": Variant(14, 1280, 32, 16),
}


def vit(options: Options, variant: Variant) -> Graph:
    """ViT: patches, class token, learned positions, `depth` blocks, norm, head on the class token."""
    net = Net(options, padding="same")
    patch, width = variant.patch, variant.width
    if any(size % patch for size in options.resolution):
        height, across = options.resolution
        raise ShapeError(f"{options.name}: patches of {patch}x{patch} do not divide an image of {height}x{across}; use a multiple of {patch}")
    with net.scope("embed"):
        x = net.add(Conv2d(width, (patch, patch), (patch, patch), "valid", bias=True), net.image, name="patches")
        x = net.add(Permute((0, 2, 1)), net.add(Flatten(2), x, name="flatten"), name="tokens")
        token = net.add(ExpandBatch(), net.add(Parameter((1, 1, width)), name="class_token"), x, name="class_tokens")
        x = net.add(Concat(1), token, x, name="concat")
        x = net.add(Add(), x, net.add(Parameter((1, x.spec.shape[1], width)), name="positions"), name="add_positions")
    for number in range(variant.depth):
        with net.scope(f"blocks.{number}"):
            x = net.add(Add(), x, _attention(net, net.add(LayerNorm(), x, name="norm1"), variant), name="residual1")
            x = net.add(Add(), x, _mlp(net, net.add(LayerNorm(), x, name="norm2")), name="residual2")
    x = net.add(LayerNorm(), x, name="norm")
    if options.features_only:
        return net.finish(x)
    x = net.add(Slice(1, 0, 1, squeeze=True), x, name="class_output")
    return net.finish(net.add(Linear(options.classes or 1000), x, name="head"))


def _attention(net: Net, x: Value, variant: Variant) -> Value:
    """Multi-head self-attention with one projection to q, k and v."""
    tokens, width = x.spec.shape[1:]
    with net.scope("attention"):
        mixed = net.add(Linear(3 * width), x, name="qkv")
        heads = []
        for name, part in zip("qkv", net.add_all(Split((width,) * 3, 2), mixed, name="split"), strict=True):
            part = net.add(Reshape((tokens, variant.heads, width // variant.heads)), part, name=f"{name}_heads")
            heads.append(net.add(Permute((0, 2, 1, 3)), part, name=name))
        y = net.add(Permute((0, 2, 1, 3)), net.add(ScaledDotProductAttention(), *heads, name="scaled_dot_product"), name="merge")
        return net.add(Linear(width), net.add(Flatten(2), y, name="flatten"), name="project")


def _mlp(net: Net, x: Value) -> Value:
    width = x.spec.shape[-1]
    with net.scope("mlp"):
        return net.add(Linear(width), net.add(GELU(), net.add(Linear(MLP_RATIO * width), x, name="fc1"), name="gelu"), name="fc2")


#: timm's uniform evaluation: (weights, top-1) at 224.
_TIMM_TOP1 = {
    "vit-s-32": ("vit_small_patch32_224.augreg_in21k_ft_in1k", 76.010),
    "vit-b-16": ("vit_base_patch16_224.augreg_in1k", 79.154),
    "vit-b-32": ("vit_base_patch32_224.augreg_in1k", 74.908),
    "vit-l-16": ("vit_large_patch16_224.augreg_in21k_ft_in1k", 85.856),
}

#: torchvision's; for H/14 of a frozen trunk with a linear classifier at 224 and of a network trained as a whole at 518.
_TORCHVISION = {
    "vit-h-14": tuple(
        Accuracy(value=value, resolution=resolution, evaluation="torchvision", source=f"torchvision 0.28.0, ViT_H_14_Weights.IMAGENET1K_SWAG_{how}_V1")
        for value, resolution, how in ((85.708, 224, "LINEAR"), (88.552, 518, "E2E"))
    ),
    "vit-l-32": (Accuracy(value=76.972, resolution=224, evaluation="torchvision", source="torchvision 0.28.0, ViT_L_32_Weights.IMAGENET1K_V1"),),
}


def declare(name: str, variant: Variant, *, family: str, paper: str, year: int, top1: tuple[str, float] | None) -> Architecture:
    """An architecture of ViT's structure; `top1` is (timm's weights, their accuracy at 224)."""
    timm = (Accuracy(value=top1[1], resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, {top1[0]}"),) if top1 else ()
    return Architecture(
        name=name,
        family=family,
        builder=lambda options: vit(options, variant),
        resolution=224,
        year=year,
        paper=paper,
        accuracies=(*timm, *_TORCHVISION.get(name, ())),
    )


ARCHITECTURES = tuple(declare(name, variant, family="vit", paper=PAPER, year=2020, top1=_TIMM_TOP1.get(name)) for name, variant in VARIANTS.items())
