"""MobileViT XXS, XS, S (arXiv 2110.02178), Table 4 and Figure 1.

MobileNetV2 blocks, and from stride 8 on MobileViT blocks: the map is unfolded into patches of 2x2, attention runs over the
patches separately for each of the four positions inside them, and the result is folded back and fused with the block's
input by a dense convolution. A map that patches do not divide is resized before and after (bilinear), as released.
Structure and order as in timm 1.0.31, which converts the weights of github.com/apple/ml-cvnets.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.attention import ScaledDotProductAttention
from costmodel.ops.elementwise import SiLU
from costmodel.ops.layout import Concat, Flatten, Permute, Reshape, Split
from costmodel.ops.matmul import Linear
from costmodel.ops.normalisation import LayerNorm
from costmodel.ops.resize import Resize
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2110.02178"
STEM = 16
PATCH, HEADS, MLP_RATIO = 2, 4, 2
EPSILON = 1e-5


class Stage(NamedTuple):
    """Output channels, repeats and stride of the MobileNetV2 blocks; width and layers of the transformer, if there is one."""

    channels: int
    repeats: int
    stride: int
    width: int = 0
    layers: int = 0


class Variant(NamedTuple):
    """Expansion of the MobileNetV2 blocks, stages, channels of the last convolution."""

    expansion: int
    stages: tuple[Stage, ...]
    head: int


def _stages(channels: tuple[int, int, int, int, int], widths: tuple[int, int, int]) -> tuple[Stage, ...]:
    """Table 4's five rows; the layers of the three transformers are 2, 4 and 3 in all sizes."""
    plain = (Stage(channels[0], 1, 1), Stage(channels[1], 3, 2))
    return plain + tuple(Stage(c, 1, 2, width, layers) for c, width, layers in zip(channels[2:], widths, (2, 4, 3), strict=True))


VARIANTS = {
    "xxs": Variant(2, _stages((16, 24, 48, 64, 80), (64, 80, 96)), 320),
    "xs": Variant(4, _stages((32, 48, 64, 80, 96), (96, 120, 144)), 384),
    "s": Variant(4, _stages((32, 64, 96, 128, 160), (144, 192, 240)), 640),
}


def mobilevit(options: Options, variant: Variant) -> Graph:
    """MobileViT."""
    net = Net(options, padding="symmetric")
    x = net.conv_norm(net.image, STEM, 3, 2, activation=SiLU(), name="stem")
    for number, stage in enumerate(variant.stages):
        for block in range(stage.repeats):
            with net.scope(f"stages.{number}.{block}"):
                stride = stage.stride if block == 0 else 1
                x = net.mbconv(x, stage.channels, 3, stride, expanded=x.channels * variant.expansion, activation=SiLU())
        if stage.layers:
            with net.scope(f"stages.{number}.{stage.repeats}"):
                x = _mobilevit_block(net, x, stage)
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, variant.head, activation=SiLU(), name="head_conv")
    return net.finish(net.classifier(x, 1000))


def _mobilevit_block(net: Net, x: Value, stage: Stage) -> Value:
    """Local convolutions, transformer over patches, 1x1 back, 3x3 over input and result."""
    y = net.conv_norm(x, x.channels, 3, activation=SiLU(), name="local")
    y = net.conv(y, stage.width, name="widen")
    height, across = y.spec.shape[2:]
    rows, columns = -(-height // PATCH), -(-across // PATCH)
    fits = (height, across) == (rows * PATCH, columns * PATCH)
    if not fits:
        y = net.add(Resize(mode="bilinear", size=(rows * PATCH, columns * PATCH)), y, name="resize")
    y = _unfold(net, y, columns)
    for layer in range(stage.layers):
        with net.scope(f"transformer.{layer}"):
            y = net.add(Add(), y, _attention(net, net.add(LayerNorm(epsilon=EPSILON), y, name="norm1")), name="residual1")
            y = net.add(Add(), y, _mlp(net, net.add(LayerNorm(epsilon=EPSILON), y, name="norm2")), name="residual2")
    y = _fold(net, net.add(LayerNorm(epsilon=EPSILON), y, name="norm"), rows, columns)
    if not fits:
        y = net.add(Resize(mode="bilinear", size=(height, across)), y, name="resize_back")
    y = net.conv_norm(y, x.channels, activation=SiLU(), name="project")
    return net.conv_norm(net.add(Concat(), x, y, name="concat"), x.channels, 3, activation=SiLU(), name="fuse")


def _unfold(net: Net, x: Value, columns: int) -> Value:
    """(N, C, H, W) to (N*positions, patches, C): one sequence of patches for each position inside a patch."""
    channels, height, width = x.spec.shape[1:]
    with net.scope("unfold"):
        x = net.add(Reshape((PATCH, columns, PATCH)), x, name="rows")
        x = net.add(Permute((0, 2, 1, 3)), x, name="patches")
        x = net.add(Reshape((channels, height * width // PATCH**2, PATCH**2)), x, name="channels")
        x = net.add(Permute((0, 3, 2, 1)), x, name="positions")
        return net.add(Reshape((height * width // PATCH**2, channels)), x, name="sequences")


def _fold(net: Net, x: Value, rows: int, columns: int) -> Value:
    """The reverse of `_unfold`."""
    patches, channels = x.spec.shape[1:]
    with net.scope("fold"):
        x = net.add(Reshape((PATCH**2, patches, channels)), x, name="positions")
        x = net.add(Permute((0, 3, 2, 1)), x, name="channels")
        x = net.add(Reshape((columns, PATCH, PATCH)), x, name="patches")
        x = net.add(Permute((0, 2, 1, 3)), x, name="rows")
        return net.add(Reshape((channels, rows * PATCH, columns * PATCH)), x, name="image")


def _attention(net: Net, x: Value) -> Value:
    """Multi-head self-attention with one projection to q, k and v."""
    tokens, width = x.spec.shape[1:]
    with net.scope("attention"):
        mixed = net.add(Linear(3 * width), x, name="qkv")
        heads = []
        for name, part in zip("qkv", net.add_all(Split((width,) * 3, 2), mixed, name="split"), strict=True):
            part = net.add(Reshape((tokens, HEADS, width // HEADS)), part, name=f"{name}_heads")
            heads.append(net.add(Permute((0, 2, 1, 3)), part, name=name))
        y = net.add(Permute((0, 2, 1, 3)), net.add(ScaledDotProductAttention(), *heads, name="scaled_dot_product"), name="merge")
        return net.add(Linear(width), net.add(Flatten(2), y, name="flatten"), name="project")


def _mlp(net: Net, x: Value) -> Value:
    width = x.spec.shape[-1]
    with net.scope("mlp"):
        return net.add(Linear(width), net.add(SiLU(), net.add(Linear(MLP_RATIO * width), x, name="fc1"), name="silu"), name="fc2")


#: timm's uniform evaluation of mobilevit_*.cvnets_in1k at 256.
_TIMM_TOP1 = {"xxs": 68.936, "xs": 74.618, "s": 78.298}


def _declare(size: str, variant: Variant) -> Architecture:
    source = f"timm results-imagenet.csv, mobilevit_{size}.cvnets_in1k"
    return Architecture(
        name=f"mobilevit-{size}",
        family="mobilevit",
        builder=lambda options: mobilevit(options, variant),
        resolution=256,
        year=2021,
        paper=PAPER,
        accuracies=(Accuracy(value=_TIMM_TOP1[size], resolution=256, evaluation="timm", source=source),),
    )


ARCHITECTURES = tuple(_declare(size, variant) for size, variant in VARIANTS.items())
