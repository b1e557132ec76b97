"""SE-ResNet 50, 101, 152 (arXiv 1709.01507): squeeze-and-excitation at the end of every bottleneck of ResNet.

The plain names carry the stride in the 3x3 convolution, as timm's do; the suffix ``-v1`` puts it in the first 1x1, as in
the authors' released networks, whose stem pools without padding and counts the last partial window.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU, Sigmoid
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net
from costmodel.zoo.resnet import BOTTLENECK_EXPANSION, WIDTHS

PAPER = "arXiv:1709.01507"
#: Channels over squeezed channels.
REDUCTION = 16
#: Blocks in each of the four stages.
VARIANTS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def se_resnet(options: Options, repeats: tuple[int, ...], *, stride_first: bool = False, bottleneck: bool = True) -> Graph:
    """SE-ResNet; `stride_first` gives the authors' released network, no `bottleneck` the small depths that timm adds.

    timm squeezes to no fewer than 8 channels, which only its small depths notice.
    """
    net = Net(options, padding="symmetric")
    x = net.conv_norm(net.image, 64, 7, 2, activation=ReLU(), name="stem")
    x = net.max_pool(x, 3, 2, padding="valid" if stride_first else None, ceil=stride_first, name="stem_pool")
    for number, (width, count) in enumerate(zip(WIDTHS, repeats, strict=True)):
        for block in range(count):
            stride = 2 if number > 0 and block == 0 else 1
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x, width, stride, stride_first) if bottleneck else _basic(net, x, width, stride)
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _block(net: Net, x: Value, width: int, stride: int, stride_first: bool) -> Value:
    first, second = (stride, 1) if stride_first else (1, stride)
    y = net.conv_norm(x, width, 1, first, activation=ReLU(), name="conv1")
    y = net.conv_norm(y, width, 3, second, activation=ReLU(), name="conv2")
    y = net.conv_norm(y, width * BOTTLENECK_EXPANSION, name="conv3")
    return _squeeze_join(net, x, y, stride)


def _basic(net: Net, x: Value, width: int, stride: int) -> Value:
    y = net.conv_norm(x, width, 3, stride, activation=ReLU(), name="conv1")
    return _squeeze_join(net, x, net.conv_norm(y, width, 3, name="conv2"), stride)


def _squeeze_join(net: Net, x: Value, y: Value, stride: int) -> Value:
    y = net.squeeze_excite(y, max(8, y.channels // REDUCTION), inner=ReLU(), gate=Sigmoid())
    return net.join(x, y, stride, activation=ReLU())


#: Single-crop top-1 of the released networks: github.com/hujie-frank/SENet README, Table 1.
_PAPER_TOP1 = {50: 77.63, 101: 78.25, 152: 78.66}
#: timm's uniform evaluation of the same weights, and of its own of the network with the stride in the 3x3.
_TIMM_TOP1 = {50: 77.650, 101: 78.370, 152: 78.662}
_TIMM_OWN = Accuracy(value=80.260, resolution=224, evaluation="timm", source="timm results-imagenet.csv, seresnet50.ra2_in1k")


def _declare(depth: int, *, stride_first: bool) -> Architecture:
    released = Accuracy(value=_PAPER_TOP1[depth], resolution=224, source="github.com/hujie-frank/SENet README Table 1")
    timm = Accuracy(value=_TIMM_TOP1[depth], resolution=224, evaluation="timm", source=f"timm results-imagenet.csv, legacy_seresnet{depth}.in1k")
    return Architecture(
        name=f"se-resnet-{depth}" + ("-v1" if stride_first else ""),
        family="se-resnet",
        builder=lambda options: se_resnet(options, VARIANTS[depth], stride_first=stride_first),
        resolution=224,
        year=2017,
        paper=PAPER,
        accuracies=(released, timm) if stride_first else (released, _TIMM_OWN) if depth == 50 else (released,),
    )


ARCHITECTURES = (
    *(_declare(depth, stride_first=False) for depth in VARIANTS),
    *(_declare(depth, stride_first=True) for depth in VARIANTS),
)
