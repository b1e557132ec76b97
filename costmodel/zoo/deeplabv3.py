"""Mobile DeepLabv3: MobileNetV2 at output stride 16 with a reduced DeepLabv3 head (arXiv 1801.04381, section 6.3, Table 7).

The head has 256 channels: a 1x1 convolution beside image pooling, then 1x1 and the classes. The suffix ``-aspp`` adds the
three 3x3 convolutions at rates 6, 12 and 18 (atrous spatial pyramid pooling, arXiv 1706.05587, section 3.3). The paper's
MACs fit an input of 513, one more than the crop that it states.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._atrous import image_pooling, mobilenet_v2_features, resize_like
from costmodel.zoo._net import Net

PAPER = "arXiv:1801.04381"
HEAD = 256
RATES = (6, 12, 18)


def deeplabv3_mobilenet_v2(options: Options, *, rates: tuple[int, ...] = ()) -> Graph:
    """MobileNetV2 at output stride 16, the head with atrous convolutions at `rates`, bilinear to the image's size."""
    net = Net(options, padding="same", epsilon=1e-3)
    features = mobilenet_v2_features(net, 16)
    if options.features_only:
        return net.finish(features.high)
    x = net.conv(pooled_head(net, features.high, HEAD, rates=rates), options.classes or 21, bias=True, name="classifier")
    return net.finish(resize_like(net, x, options.resolution, name="upsample"))


def pooled_head(net: Net, x: Value, channels: int, *, rates: tuple[int, ...] = ()) -> Value:
    """Image pooling, 1x1 and a 3x3 for each of `rates`, side by side, and a 1x1 over all of them."""
    with net.scope("head"):
        branches = [image_pooling(net, x, channels), net.conv_norm(x, channels, activation=ReLU(), name="pointwise")]
        for rate in rates:
            branches.append(net.conv_norm(x, channels, 3, activation=ReLU(), dilation=rate, name=f"atrous{rate}"))
        return net.conv_norm(net.add(Concat(), *branches, name="concat"), channels, activation=ReLU(), name="project")


def _declare(suffix: str, rates: tuple[int, ...], miou: float) -> Architecture:
    return Architecture(
        name=f"deeplabv3-mobilenet-v2{suffix}",
        family="deeplabv3",
        builder=lambda options: deeplabv3_mobilenet_v2(options, rates=rates),
        resolution=513,
        year=2018,
        paper=PAPER,
        accuracies=(Accuracy(value=miou, metric="miou", source=f"{PAPER} Table 7, VOC 2012 validation, output stride 16, one scale"),),
    )


ARCHITECTURES = (_declare("", (), 75.32), _declare("-aspp", RATES, 75.7))
