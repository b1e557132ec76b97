"""ShuffleNet v1 0.5x-2.0x with 1, 2, 3, 4 or 8 groups (arXiv 1707.01083), Table 1 and Figure 2.

Counts follow the released code: a stem of 12 channels at 0.5x (16 with 8 groups), 24 at 1.0x and 1.5x, 48 at 2.0x, and a
classifier without bias. It is public for 3 and 8 groups; the others are the paper's under the same rules. Trap: at 0.5x
and 1.5x the first stage's quarter of the output is no multiple of 2 or 4 groups; it is rounded up to one here, which the
paper leaves open.
Source: github.com/megvii-model/ShuffleNet-Series, ShuffleNetV1.
"""

from __future__ import annotations

from costmodel.errors import UsageError
from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.blocks import ChannelShuffle
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat, Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1707.01083"
README = "github.com/megvii-model/ShuffleNet-Series ShuffleNetV1 README"
#: Units of each stage, and the first stage's channels at 1.0x by number of groups; each later stage doubles them.
REPEATS = (4, 8, 4)
CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
STEMS = {0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}


def shufflenet_v1(options: Options, width: float, groups: int, *, stem: int | None = None, bias: bool = False) -> Graph:
    """ShuffleNet v1 of one width and number of groups; `stem` channels in place of the released ones, `bias` in the classifier."""
    net = Net(options, padding="symmetric")
    channels = stem or (16 if (width, groups) == (0.5, 8) else STEMS.get(width))
    if channels is None:
        raise UsageError(f"{options.name}: no stem is published at width {width}; give its channels, or a width of {', '.join(map(str, STEMS))}")
    x = net.conv_norm(net.image, channels, 3, 2, activation=ReLU(), name="stem")
    x = net.max_pool(x, 3, 2, name="stem_pool")
    for number, repeats in enumerate(REPEATS):
        channels = int(CHANNELS[groups] * width) * 2**number
        for block in range(repeats):
            with net.scope(f"stages.{number}.{block}"):
                x = _unit(net, x, channels, groups, stride=2 if block == 0 else 1, dense_first=number == block == 0)
    if options.features_only:
        return net.finish(x)
    with net.scope("head"):
        x = net.add(Flatten(), net.add(AdaptiveAvgPool2d(), x, name="pool"), name="flatten")
        return net.finish(net.add(Linear(options.classes or 1000, bias=bias), x, name="classifier"))


def _unit(net: Net, x: Value, out_channels: int, groups: int, *, stride: int, dense_first: bool) -> Value:
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; added to x, or with stride 2 joined to the pooled x."""
    inner = -(-out_channels // (4 * groups)) * groups
    y = net.conv_norm(x, inner, groups=1 if dense_first else groups, activation=ReLU(), name="reduce")
    if groups > 1:
        y = net.add(ChannelShuffle(groups), y, name="shuffle")
    y = net.depthwise_norm(y, 3, stride)
    y = net.conv_norm(y, out_channels - x.channels if stride == 2 else out_channels, groups=groups, name="expand")
    if stride == 2:
        pooled = net.add(AvgPool2d((3, 3), (2, 2), net.pad_for(3), count_padding=True), x, name="shortcut")
        joined = net.add(Concat(), y, pooled, name="concat")
    else:
        joined = net.add(Add(), y, x, name="residual")
    return net.add(ReLU(), joined, name="activation")


#: Top-1 error in percent at (width, groups): the paper's Table 2, and Table 5 for 1.5x and 2.0x.
_PAPER_ERRORS = {
    (1.0, 1): 33.6,
    (1.0, 2): 32.7,
    (1.0, 3): 32.6,
    (1.0, 4): 32.8,
    (1.0, 8): 32.4,
    (0.5, 1): 45.1,
    (0.5, 2): 44.4,
    (0.5, 3): 43.2,
    (0.5, 4): 41.6,
    (0.5, 8): 42.3,
    (1.5, 3): 28.5,
    (2.0, 3): 26.3,
}
#: Top-1 error in percent of the released weights.
_README_ERRORS = {
    (0.5, 3): 42.7,
    (0.5, 8): 41.2,
    (1.0, 3): 32.2,
    (1.0, 8): 32.0,
    (1.5, 3): 28.4,
    (1.5, 8): 29.0,
    (2.0, 3): 25.9,
    (2.0, 8): 27.1,
}


def _accuracies(width: float, groups: int) -> tuple[Accuracy, ...]:
    sources = ((_PAPER_ERRORS, f"{PAPER} Table {2 if width <= 1 else 5}"), (_README_ERRORS, README))
    found = [(errors[width, groups], source) for errors, source in sources if (width, groups) in errors]
    return tuple(Accuracy(value=round(100 - error, 1), resolution=224, source=f"{source}, 100 less the error") for error, source in found)


def _declare(width: float, groups: int) -> Architecture:
    return Architecture(
        name=f"shufflenet-v1-{width}-g{groups}",
        family="shufflenet-v1",
        builder=lambda options: shufflenet_v1(options, width, groups),
        resolution=224,
        year=2017,
        paper=PAPER,
        accuracies=_accuracies(width, groups),
    )


ARCHITECTURES = tuple(_declare(width, groups) for width in STEMS for groups in CHANNELS)
