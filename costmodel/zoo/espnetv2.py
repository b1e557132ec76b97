"""ESPNetv2 (arXiv 1811.11431), Table 1: pyramids of depthwise dilated convolutions, and the image joined in at each strided block.

The structure is that of github.com/sacmehta/ESPNetv2. The paper's FLOPs are MACs without the final linear layer, which has
1,024,000 of them (1,280,000 at 2.0). The released network carries parameters that no forward pass reads: a PReLU for each
strided pyramid and the image's branch of the last strided block. The published counts include them, and so do these.
pytorchcv's network has no such PReLUs and runs that branch: 240 parameters fewer and 41,601 MACs more at 0.5.
"""

from __future__ import annotations

import math

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import PReLU
from costmodel.ops.layout import Concat
from costmodel.ops.normalisation import BatchNorm
from costmodel.ops.pooling import AvgPool2d
from costmodel.ops.stored import Parameter
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1811.11431"
BRANCHES = 4
#: Pyramids after the strided block of levels 2 to 5, and the largest receptive field of each level's branches.
REPEATS = (0, 3, 7, 3)
RECEPTIVE_LIMITS = (13, 11, 9, 7, 5)
BASE = 32


def level_channels(scale: float) -> tuple[int, ...]:
    """Channels of the five levels; the first never grows.

    Examples
    --------
    >>> level_channels(0.5), level_channels(1.25)
    ((16, 32, 64, 128, 256), (32, 80, 160, 320, 640))
    """
    base = math.ceil(int(BASE * scale) / BRANCHES) * BRANCHES
    return (min(BASE, base), *(base * 2**level for level in range(1, 5)))


def espnetv2(options: Options, scale: float) -> Graph:
    """ESPNetv2 at `scale`: five levels, depthwise 3x3, grouped 1x1 to 1024 (1280 at 2.0), classifier."""
    net = Net(options, padding="symmetric")
    x = levels(net, scale, 5)[-1]
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, x.channels, 3, groups=x.channels, activation=PReLU(), name="head_depthwise")
    x = net.conv_norm(x, 1280 if scale == 2.0 else 1024, groups=BRANCHES, activation=PReLU(), name="head_conv")
    return net.finish(net.classifier(x, 1000, dropout=True))


def levels(net: Net, scale: float, count: int) -> list[Value]:
    """The outputs of the first `count` levels."""
    channels = level_channels(scale)
    outputs = [net.conv_norm(net.image, channels[0], 3, 2, activation=PReLU(), name="level1")]
    for level in range(1, count):
        with net.scope(f"level{level + 1}"):
            # Level 2 and 3 take the limit of the level before, and so do all strided blocks.
            x = _strided(net, outputs[-1], channels[level], RECEPTIVE_LIMITS[level - 1], with_image=level < 4)
            for block in range(REPEATS[level - 1]):
                with net.scope(str(block)):
                    x = pyramid(net, x, x.channels, RECEPTIVE_LIMITS[level])
            outputs.append(x)
    return outputs


def dilations(limit: int) -> list[int]:
    """Dilations of the branches: receptive fields 3, 5, 7, 9, those over `limit` replaced by 3, ascending.

    Examples
    --------
    >>> dilations(13), dilations(7), dilations(5)
    ([1, 2, 3, 4], [1, 1, 2, 3], [1, 1, 1, 2])
    """
    return sorted(branch + 1 if 3 + 2 * branch <= limit else 1 for branch in range(BRANCHES))


def pyramid(net: Net, x: Value, channels: int, limit: int, *, stride: int = 1) -> Value:
    """EESP: grouped 1x1, depthwise dilated branches, hierarchical sums, norm, grouped 1x1, residual if unstrided (section 3.1)."""
    y = net.conv_norm(x, channels // BRANCHES, groups=BRANCHES, activation=PReLU(), name="reduce")
    sums: list[Value] = []
    for number, dilation in enumerate(dilations(limit)):
        branch = net.conv(y, y.channels, 3, stride, groups=y.channels, dilation=dilation, name=f"branch{number}")
        sums.append(net.add(Add(), branch, sums[-1], name="sum") if sums else branch)
    y = norm_prelu(net, net.add(Concat(), *sums, name="concat"))
    y = net.conv_norm(y, channels, groups=BRANCHES, name="expand")
    if stride != 1:
        net.add(Parameter((channels,)), name="unused_activation")
        return y
    return net.add(PReLU(), net.add(Add(), y, x, name="residual"), name="out_activation")


def _strided(net: Net, x: Value, channels: int, limit: int, *, with_image: bool) -> Value:
    """Average pooling beside a strided pyramid, plus the image pooled to the same size and convolved (section 3.2)."""
    with net.scope("down"):
        pooled = _halve(net, x)
        y = net.add(Concat(), pooled, pyramid(net, x, channels - x.channels, limit, stride=2), name="concat")
        if with_image:
            image = _halve(net, net.image)
            while image.spec.shape[2] > pooled.spec.shape[2]:
                image = _halve(net, image)
            image = net.conv_norm(image, image.channels, 3, activation=PReLU(), name="image_conv")
            y = net.add(Add(), y, net.conv_norm(image, channels, name="image_expand"), name="image_sum")
        else:
            _unused_image_branch(net, channels)
        return net.add(PReLU(), y, name="activation")


def _unused_image_branch(net: Net, channels: int) -> None:
    """The parameters of 3x3 convolution, norm, PReLU, 1x1 convolution and norm that the last strided block never runs."""
    image = net.image.channels
    for shape in ((image, image, 3, 3), (image,), (image,), (image,), (channels, image, 1, 1), (channels,), (channels,)):
        net.add(Parameter(shape), name="unused_image")


def norm_prelu(net: Net, x: Value) -> Value:
    """Batch normalisation and PReLU."""
    return net.add(PReLU(), net.add(BatchNorm(net.epsilon), x, name="norm"), name="activation")


def _halve(net: Net, x: Value) -> Value:
    return net.add(AvgPool2d((3, 3), (2, 2), net.pad_for(3), count_padding=True), x, name="pool")


#: Top-1 of the released weights: github.com/sacmehta/ESPNetv2, README.
TOP1 = {"0.5": 57.7, "1.0": 66.1, "1.25": 67.9, "1.5": 69.2, "2.0": 72.1}


def _declare(scale: str) -> Architecture:
    return Architecture(
        name=f"espnetv2-{scale}",
        family="espnetv2",
        builder=lambda options: espnetv2(options, float(scale)),
        resolution=224,
        year=2018,
        paper=PAPER,
        accuracies=(Accuracy(value=TOP1[scale], resolution=224, source="github.com/sacmehta/ESPNetv2 README"),),
    )


ARCHITECTURES = tuple(_declare(scale) for scale in TOP1)
