"""Mobile DeepLabv3: MobileNetV2 at output stride 16 with a reduced DeepLabv3 head (arXiv 1801.04381, section 6.3, Table 7).

The head has 256 channels: a 1x1 convolution beside image pooling, then 1x1 and the classes. The suffix ``-aspp`` adds the
three 3x3 convolutions at rates 6, 12 and 18 (atrous spatial pyramid pooling, arXiv 1706.05587, section 3.3). The paper's
MACs fit an input of 513, one more than the crop that it states.

`deeplabv3-resnet-50`, `-101` and `deeplabv3-mobilenet-v3-large` are torchvision's DeepLabv3 (arXiv 1706.05587): ResNet at
output stride 8 or MobileNetV3 at 16, rates 12, 24 and 36, a 3x3 convolution before the classes, no auxiliary classifier.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.elementwise import ReLU
from costmodel.ops.layout import Concat, Dropout
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._atrous import image_pooling, mobilenet_v2_features, mobilenet_v3_features, resize_like, resnet_features
from costmodel.zoo._net import Net

PAPER, DEEPLABV3 = "arXiv:1801.04381", "arXiv:1706.05587"
HEAD = 256
RATES, WIDE_RATES = (6, 12, 18), (12, 24, 36)


def deeplabv3_mobilenet_v2(options: Options, *, rates: tuple[int, ...] = ()) -> Graph:
    """MobileNetV2 at output stride 16, the head with atrous convolutions at `rates`, bilinear to the image's size."""
    net = Net(options, padding="same", epsilon=1e-3)
    features = mobilenet_v2_features(net, 16)
    if options.features_only:
        return net.finish(features.high)
    x = net.conv(pooled_head(net, features.high, HEAD, rates=rates), options.classes or 21, bias=True, name="classifier")
    return net.finish(resize_like(net, x, options.resolution, name="upsample"))


def deeplabv3(options: Options, backbone: str, *, deep_stem: bool = False) -> Graph:
    """DeepLabv3 as torchvision has it, on "resnet-50", "resnet-101" or "mobilenet-v3-large", bilinear to the image's size.

    A ResNet's `deep_stem` is pytorchcv's.
    """
    mobile = backbone == "mobilenet-v3-large"
    net = Net(options, padding="symmetric", epsilon=1e-3 if mobile else 1e-5)
    if mobile:
        x = mobilenet_v3_features(net, "large", 16, torchvision=True).high
    else:
        x = resnet_features(net, int(backbone.removeprefix("resnet-")), deep_stem=deep_stem)
    if options.features_only:
        return net.finish(x)
    net.epsilon = 1e-5
    x = net.add(Dropout(), pooled_head(net, x, HEAD, rates=WIDE_RATES, pooling_last=True), name="dropout")
    x = net.conv_norm(x, HEAD, 3, activation=ReLU(), name="last_conv")
    x = net.conv(x, options.classes or 21, bias=True, name="classifier")
    return net.finish(resize_like(net, x, options.resolution, name="upsample"))


def pooled_head(net: Net, x: Value, channels: int, *, rates: tuple[int, ...] = (), pooling_last: bool = False) -> Value:
    """Image pooling, 1x1 and a 3x3 for each of `rates`, side by side, and a 1x1 over all of them."""
    with net.scope("head"):
        branches = [] if pooling_last else [image_pooling(net, x, channels)]
        branches.append(net.conv_norm(x, channels, activation=ReLU(), name="pointwise"))
        for rate in rates:
            branches.append(net.conv_norm(x, channels, 3, activation=ReLU(), dilation=rate, name=f"atrous{rate}"))
        if pooling_last:
            branches.append(image_pooling(net, x, channels))
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


#: Backbone -> (torchvision's name of the weights, their mean intersection over union).
_TORCHVISION = {
    "resnet-50": ("DeepLabV3_ResNet50_Weights", 66.4),
    "resnet-101": ("DeepLabV3_ResNet101_Weights", 67.4),
    "mobilenet-v3-large": ("DeepLabV3_MobileNet_V3_Large_Weights", 60.3),
}


def _declare_torchvision(backbone: str) -> Architecture:
    weights, miou = _TORCHVISION[backbone]
    source = f"torchvision 0.28.0, {weights}.COCO_WITH_VOC_LABELS_V1 (COCO validation, VOC's classes)"
    return Architecture(
        name=f"deeplabv3-{backbone}",
        family="deeplabv3",
        builder=lambda options: deeplabv3(options, backbone),
        resolution=520,
        year=2017,
        paper=DEEPLABV3,
        accuracies=(Accuracy(value=miou, metric="miou", resolution=520, evaluation="torchvision", source=source),),
    )


ARCHITECTURES = (
    _declare("", (), 75.32),
    _declare("-aspp", RATES, 75.7),
    *(_declare_torchvision(backbone) for backbone in _TORCHVISION),
)
