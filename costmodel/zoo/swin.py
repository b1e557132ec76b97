"""Swin transformer (arXiv 2103.14030), Table 7: windows of 7x7, and of 12x12 in `swin-b-w12`.

Patches of 4x4, then four stages of pairs of blocks: attention inside windows, and inside windows shifted by half a
window. Images are channels last throughout, as in the released code. Maps that windows do not divide are padded with
zeros on the right and at the bottom; windows are not shifted along an axis that one window covers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, Scale
from costmodel.ops.attention import RelativePositionBias, ShiftedWindowMask, Softmax
from costmodel.ops.blocks import Roll
from costmodel.ops.elementwise import GELU
from costmodel.ops.layout import Flatten, Permute, Reshape, Split
from costmodel.ops.matmul import Linear, MatMul
from costmodel.ops.normalisation import LayerNorm
from costmodel.ops.padding import Pad
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:2103.14030"
PATCH, MLP_RATIO = 4, 4
EPSILON = 1e-5
#: (rows, window row, columns, window column, C) as (rows, columns, window row, window column, C), and back.
SWAP_WINDOWS = Permute((0, 1, 3, 2, 4, 5))


class Variant(NamedTuple):
    """Channels of the first stage (they double), blocks and heads of the four stages, side of a window."""

    channels: int
    blocks: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    window: int = 7


VARIANTS = {
    "swin-t": Variant(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "swin-s": Variant(96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "swin-b": Variant(128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "swin-b-w12": Variant(128, (2, 2, 18, 2), (4, 8, 16, 32), window=12),
    "swin-l": Variant(192, (2, 2, 18, 2), (6, 12, 24, 48)),
}


def swin(options: Options, variant: Variant) -> Graph:
    """Swin: patches, four stages with patch merging between them, norm, mean, classifier."""
    net = Net(options, padding="symmetric")
    with net.scope("embed"):
        x = net.conv(net.image, variant.channels, PATCH, PATCH, bias=True, padding="valid", name="patches")
        x = net.add(LayerNorm(epsilon=EPSILON), net.add(Permute((0, 2, 3, 1)), x, name="channels_last"), name="norm")
    for number, (blocks, heads) in enumerate(zip(variant.blocks, variant.heads, strict=True)):
        if number:
            x = _merge(net, x)
        for block in range(blocks):
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x, heads, variant.window, shifted=block % 2 == 1)
    x = net.add(Permute((0, 3, 1, 2)), net.add(LayerNorm(epsilon=EPSILON), x, name="norm"), name="channels_first")
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _merge(net: Net, x: Value) -> Value:
    """Positions of 2x2 blocks side by side as 4C channels, normalised and projected to 2C (section 3.1)."""
    height, width, channels = x.spec.shape[1:]
    with net.scope("merge"):
        x = _resize(net, x, height + height % 2, width + width % 2, "pad")
        x = net.add(Reshape((-(-height // 2), 2, -(-width // 2), 2, channels)), x, name="blocks")
        x = net.add(Flatten(3), net.add(Permute((0, 1, 3, 4, 2, 5)), x, name="gather"), name="flatten")
        return net.add(Linear(2 * channels, bias=False), net.add(LayerNorm(epsilon=EPSILON), x, name="norm"), name="reduce")


def _block(net: Net, x: Value, heads: int, window: int, *, shifted: bool) -> Value:
    x = net.add(Add(), x, _window_attention(net, net.add(LayerNorm(epsilon=EPSILON), x, name="norm1"), heads, window, shifted), name="residual1")
    return net.add(Add(), x, _mlp(net, net.add(LayerNorm(epsilon=EPSILON), x, name="norm2")), name="residual2")


def _mlp(net: Net, x: Value) -> Value:
    width = x.spec.shape[-1]
    with net.scope("mlp"):
        return net.add(Linear(width), net.add(GELU(), net.add(Linear(MLP_RATIO * width), x, name="fc1"), name="gelu"), name="fc2")


def _window_attention(net: Net, x: Value, heads: int, window: int, shifted: bool) -> Value:
    """Pad, roll, cut into windows, attend inside each, and all of it back. x: (N, H, W, C)."""
    height, width, channels = x.spec.shape[1:]
    windows = (-(-height // window), -(-width // window))
    padded = (windows[0] * window, windows[1] * window)
    shift = (window // 2 * (shifted and windows[0] > 1), window // 2 * (shifted and windows[1] > 1))
    mask = ShiftedWindowMask(windows, (window, window), shift) if any(shift) else None
    with net.scope("attention"):
        x = _resize(net, x, *padded, "pad")
        if mask:
            x = net.add(Roll((-shift[0], -shift[1])), x, name="shift")
        x = net.add(Reshape((windows[0], window, windows[1], window, channels)), x, name="grid")
        x = net.add(Reshape((window**2, channels)), net.add(SWAP_WINDOWS, x, name="partition"), name="windows")
        x = _attention(net, x, heads, window, mask)
        x = net.add(SWAP_WINDOWS, net.add(Reshape((*windows, window, window, channels)), x, name="ungrid"), name="join")
        x = net.add(Reshape((*padded, channels)), x, name="image")
        if mask:
            x = net.add(Roll(shift), x, name="unshift")
        return _resize(net, x, height, width, "crop")


def _attention(net: Net, x: Value, heads: int, window: int, mask: ShiftedWindowMask | None) -> Value:
    """softmax(q k^T / sqrt(d) + bias [+ mask]) v in each window. x: (N*windows, positions, C)."""
    positions, channels = x.spec.shape[1:]
    size = channels // heads
    mixed = net.add(Linear(3 * channels), x, name="qkv")
    parts = []
    for name, part in zip("qkv", net.add_all(Split((channels,) * 3, 2), mixed, name="split"), strict=True):
        part = net.add(Reshape((positions, heads, size)), part, name=f"{name}_heads")
        parts.append(net.add(Permute((0, 2, 1, 3)), part, name=name))
    q, k, v = parts
    scores = net.add(MatMul(transpose_b=True), net.add(Scale(1 / math.sqrt(size)), q, name="scale"), k, name="scores")
    scores = net.add(RelativePositionBias((window, window)), scores, name="position_bias")
    if mask:
        scores = net.add(mask, scores, name="mask")
    y = net.add(MatMul(), net.add(Softmax(), scores, name="softmax"), v, name="values")
    y = net.add(Flatten(2), net.add(Permute((0, 2, 1, 3)), y, name="merge"), name="flatten")
    return net.add(Linear(channels), y, name="project")


def _resize(net: Net, x: Value, height: int, width: int, name: str) -> Value:
    """Zeros added, or positions cut off, on the right and at the bottom. x: (N, H, W, C), padded as an image (N, 1, H, W*C)."""
    before_height, before_width, channels = x.spec.shape[1:]
    if (before_height, before_width) == (height, width):
        return x
    x = net.add(Reshape((1, before_height, before_width * channels)), x, name=f"{name}_rows")
    x = net.add(Pad((0, height - before_height, 0, (width - before_width) * channels)), x, name=name)
    return net.add(Reshape((height, width, channels)), x, name=f"{name}_image")


README = "github.com/microsoft/Swin-Transformer README"
#: Resolution, top-1 by the authors (None: not on record here), and timm's uniform evaluation of the same weights.
_TOP1 = {
    "swin-t": (224, 81.2, "swin_tiny_patch4_window7_224.ms_in1k", 81.388),
    "swin-s": (224, 83.2, "swin_small_patch4_window7_224.ms_in1k", 83.228),
    "swin-b": (224, 83.5, "swin_base_patch4_window7_224.ms_in1k", 83.604),
    "swin-b-w12": (384, None, "swin_base_patch4_window12_384.ms_in1k", 84.478),
    "swin-l": (224, None, "swin_large_patch4_window7_224.ms_in22k_ft_in1k", 86.320),
}


def _declare(name: str, variant: Variant) -> Architecture:
    resolution, paper, weights, timm = _TOP1[name]
    authors = () if paper is None else (Accuracy(value=paper, resolution=resolution, source=README),)
    return Architecture(
        name=name,
        family="swin",
        builder=lambda options: swin(options, variant),
        resolution=resolution,
        year=2021,
        paper=PAPER,
        accuracies=(*authors, Accuracy(value=timm, resolution=resolution, evaluation="timm", source=f"timm results-imagenet.csv, {weights}")),
    )


ARCHITECTURES = tuple(_declare(name, variant) for name, variant in VARIANTS.items())
