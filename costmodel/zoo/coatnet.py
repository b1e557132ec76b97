"""CoAtNet-0 (arXiv 2106.04803): two stages of MBConv, then two of attention with relative position biases.

No official code exists. ``coatnet-0`` is timm 1.0.31's `coatnet_0_224`, meant to match the paper's Table 3; ``coatnet-0-rw`` is
timm's own deeper variant `coatnet_0_rw_224`, of which trained weights exist. Trap: the paper strides in the expanding 1x1
convolution, timm in the depthwise one, which costs a tenth more (4.55e9 against 4.14e9 MACs at 224).
The bias tables grow with the resolution, and with them the parameters.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.errors import ShapeError
from costmodel.graph import Graph, Value
from costmodel.operator import Operator
from costmodel.ops.arithmetic import Add, Scale
from costmodel.ops.attention import RelativePositionBias, Softmax
from costmodel.ops.elementwise import GELU, ReLU, Sigmoid, SiLU, Tanh
from costmodel.ops.layout import Flatten, Permute, Reshape, Split
from costmodel.ops.matmul import Linear, MatMul
from costmodel.ops.normalisation import BatchNorm, LayerNorm
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2106.04803"
WIDTHS = (96, 192, 384, 768)
HEAD_WIDTH, EXPANSION = 32, 4


class Variant(NamedTuple):
    """Stem, repeats, the nonlinearity of MBConv; `released` marks the conventions of timm's trained variant.

    Those are: squeeze-and-excitation before the depthwise convolution's normalisation, expansion and squeeze from the
    input's channels, a pooling for the stride, no biases on MBConv's output and on shortcuts, attention at the input's
    width, and no hidden layer before the classifier.
    """

    stem: tuple[int, int]
    repeats: tuple[int, int, int, int]
    activation: Operator
    released: bool


VARIANTS = {
    "coatnet-0": Variant((64, 64), (2, 3, 5, 2), GELU(), released=False),
    "coatnet-0-rw": Variant((32, 64), (2, 3, 7, 2), SiLU(), released=True),
}


def coatnet(options: Options, variant: Variant) -> Graph:
    """CoAtNet; every stage halves the map, beginning at stride 2."""
    net = Net(options, padding="symmetric")
    if net.padding == "symmetric" and any(size % 32 for size in options.resolution):
        height, across = options.resolution
        raise ShapeError(f"{options.name}: without padding='same' an image of {height}x{across} does not halve evenly; use a multiple of 32")
    x = net.conv_norm(net.image, variant.stem[0], 3, 2, activation=variant.activation, name="stem")
    x = net.conv(x, variant.stem[1], 3, name="stem_conv")
    for number, (width, repeats) in enumerate(zip(WIDTHS, variant.repeats, strict=True)):
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                stride = 2 if block == 0 else 1
                x = _mbconv(net, x, width, stride, variant) if number < 2 else _transformer(net, x, width, stride, variant)
    if options.features_only:
        return net.finish(x)
    return net.finish(net.classifier(_layer_norm(net, x, "norm"), 1000) if variant.released else _hidden_head(net, x))


def _hidden_head(net: Net, x: Value) -> Value:
    """Pooling, normalisation, a hidden layer of the same width with tanh, classifier."""
    with net.scope("head"):
        x = _layer_norm(net, net.add(AdaptiveAvgPool2d(), x, name="pool"), "norm")
        x = net.add(Linear(x.channels), net.add(Flatten(), x, name="flatten"), name="hidden")
        return net.add(Linear(net.options.classes or 1000), net.add(Tanh(), x, name="tanh"), name="classifier")


def _downsample(net: Net, x: Value, out_channels: int, *, bias: bool, name: str) -> Value:
    """2x2 average pooling, and a 1x1 convolution where the channels change."""
    x = net.add(AvgPool2d((2, 2), (2, 2), net.pad_for(2)), x, name=f"{name}_pool")
    return net.conv(x, out_channels, bias=bias, name=f"{name}_expand") if x.channels != out_channels else x


def _layer_norm(net: Net, x: Value, name: str) -> Value:
    """Layer normalisation over the channels of (N, C, H, W)."""
    with net.scope(name):
        x = net.add(LayerNorm(), net.add(Permute((0, 2, 3, 1)), x, name="channels_last"), name="norm")
        return net.add(Permute((0, 3, 1, 2)), x, name="channels_first")


def _mbconv(net: Net, x: Value, out_channels: int, stride: int, variant: Variant) -> Value:
    """Pre-norm MBConv: BN, 1x1, depthwise, squeeze-and-excitation, 1x1; plus the pooled shortcut."""
    released, activation = variant.released, variant.activation
    shortcut = _downsample(net, x, out_channels, bias=not released, name="shortcut") if stride == 2 else x
    expanded = EXPANSION * (x.channels if released else out_channels)
    y = net.add(BatchNorm(net.epsilon), x, name="norm")
    if released:
        y = net.add(activation, y, name="norm_activation")
        if stride == 2:
            y = _downsample(net, y, y.channels, bias=False, name="down")
            stride = 1
    y = net.conv_norm(y, expanded, activation=activation, name="expand")
    y = net.conv(y, expanded, 3, stride, groups=expanded, name="depthwise")
    if released:
        y = net.squeeze_excite(y, expanded // 4, inner=ReLU(), gate=Sigmoid())
    y = net.norm_activation(y, activation=activation, name="depthwise")
    if not released:
        y = net.squeeze_excite(y, out_channels // 4, inner=SiLU(), gate=Sigmoid())
    y = net.conv(y, out_channels, bias=not released, name="project")
    return net.add(Add(), y, shortcut, name="residual")


def _transformer(net: Net, x: Value, width: int, stride: int, variant: Variant) -> Value:
    """Attention on the pooled LN(x) added to the shortcut, then an MLP of 1x1 convolutions on LN(x) added to that."""
    shortcut = _downsample(net, x, width, bias=not variant.released, name="shortcut") if stride == 2 else x
    inner = x.channels if variant.released else width
    y = _layer_norm(net, x, "norm1")
    if stride == 2:
        y = _downsample(net, y, y.channels, bias=False, name="down")
    x = net.add(Add(), shortcut, _attention(net, y, inner, width), name="residual1")
    y = _layer_norm(net, x, "norm2")
    with net.scope("mlp"):
        y = net.add(GELU(), net.conv(y, EXPANSION * width, bias=True, name="fc1"), name="gelu")
        y = net.conv(y, width, bias=True, name="fc2")
    return net.add(Add(), x, y, name="residual2")


def _attention(net: Net, x: Value, inner: int, out_channels: int) -> Value:
    """softmax(q k^T / sqrt(32) + bias) v over all positions of (N, C, H, W), with 32 channels a head."""
    height, across = x.spec.shape[2:]
    with net.scope("attention"):
        mixed = net.conv(x, 3 * inner, bias=True, name="qkv")
        mixed = net.add(Reshape((inner // HEAD_WIDTH, 3 * HEAD_WIDTH, height * across)), mixed, name="heads")
        q, k, v = net.add_all(Split((HEAD_WIDTH,) * 3, 2), mixed, name="split")
        q = net.add(Permute((0, 1, 3, 2)), net.add(Scale(HEAD_WIDTH**-0.5), q, name="scale"), name="q")
        scores = net.add(RelativePositionBias((height, across)), net.add(MatMul(), q, k, name="query_key"), name="position_bias")
        y = net.add(MatMul(transpose_b=True), v, net.add(Softmax(), scores, name="softmax"), name="value")
        y = net.add(Reshape((inner, height, across)), y, name="merge")
        return net.conv(y, out_channels, bias=True, name="project")


def _declare(name: str, variant: Variant) -> Architecture:
    timm = Accuracy(value=82.396, resolution=224, evaluation="timm", source="timm results-imagenet.csv, coatnet_0_rw_224.sw_in1k")
    return Architecture(
        name=name,
        family="coatnet",
        builder=lambda options: coatnet(options, variant),
        resolution=224,
        year=2021,
        paper=PAPER,
        accuracies=(timm,) if variant.released else (),
    )


ARCHITECTURES = tuple(_declare(name, variant) for name, variant in VARIANTS.items())
