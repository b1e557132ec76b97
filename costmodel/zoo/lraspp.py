"""LR-ASPP on MobileNetV2 and MobileNetV3, for Cityscapes (arXiv 1905.02244, section 6.4, Tables 7 and 8).

The paper's networks halve the last stage (RF2) and have a head of 128 channels, ``-f256`` of 256, at output stride 16 or,
with ``-os32``, 32: ``lraspp-mobilenet-v3-large`` is row 8 of Table 7, ``-small`` row 11, ``lraspp-mobilenet-v2`` row 4 and,
at widths 0.5 and 0.35, rows 9 and 10. The MACs of the paper fit 1025x2049, one more than the image's size; they are 0.3 to
5.5 % above these. ``lraspp-mobilenet-v3-large-torchvision`` is torchvision's network: no halving, and one global mean in
place of large pooling windows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, Multiply
from costmodel.ops.elementwise import ReLU, Sigmoid
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._atrous import Features, mobilenet_v2_features, mobilenet_v3_features, resize_like
from costmodel.zoo._net import Net

PAPER = "arXiv:1905.02244"
#: Pooling window and stride of the attention branch: section 6.4 and figure 10.
WINDOW, STRIDE = 49, (16, 20)


class Variant(NamedTuple):
    """Backbone, channels of the head, output stride, and whether it is torchvision's network."""

    backbone: Literal["v2", "large", "small"]
    head: int = 128
    output_stride: int = 16
    torchvision: bool = False


def lraspp(options: Options, variant: Variant) -> Graph:
    """The backbone, the head on its last features, and the classes from both resolutions, bilinear to the image's size."""
    net = Net(options, padding="symmetric" if variant.torchvision else "same", epsilon=1e-3)
    features = _features(net, variant)
    if options.features_only:
        return net.finish(*features)
    classes = options.classes or (21 if variant.torchvision else 19)
    with net.scope("head"):
        x = net.conv_norm(features.high, variant.head, activation=ReLU(), name="pointwise")
        x = net.add(Multiply(), x, _attention(net, features.high, variant), name="scale")
        x = resize_like(net, x, features.low.spec.shape[2:])
        low = net.conv(features.low, classes, bias=True, name="low_classifier")
        high = net.conv(x, classes, bias=True, name="high_classifier")
        x = net.add(Add(), low, high, name="sum")
    return net.finish(resize_like(net, x, options.resolution, name="upsample"))


def _features(net: Net, variant: Variant) -> Features:
    halved = not variant.torchvision
    if variant.backbone == "v2":
        return mobilenet_v2_features(net, variant.output_stride, halved=halved)
    return mobilenet_v3_features(net, variant.backbone, variant.output_stride, halved=halved, torchvision=variant.torchvision)


def _attention(net: Net, x: Value, variant: Variant) -> Value:
    """A weight in 0..1 for each channel and large region; images under the window are pooled whole along that axis."""
    height, width = x.spec.shape[2:]
    with net.scope("attention"):
        pool = AdaptiveAvgPool2d() if variant.torchvision else AvgPool2d((min(WINDOW, height), min(WINDOW, width)), STRIDE, "valid")
        y = net.conv(net.add(pool, x, name="pool"), variant.head, name="conv")
        y = net.add(Sigmoid(), y, name="gate")
        return y if variant.torchvision else resize_like(net, y, (height, width))


VARIANTS = {
    "mobilenet-v2": Variant("v2"),
    "mobilenet-v2-f256": Variant("v2", head=256),
    "mobilenet-v3-large": Variant("large"),
    "mobilenet-v3-large-f256": Variant("large", head=256),
    "mobilenet-v3-large-os32": Variant("large", output_stride=32),
    "mobilenet-v3-small": Variant("small"),
    "mobilenet-v3-small-os32": Variant("small", output_stride=32),
    "mobilenet-v3-large-torchvision": Variant("large", torchvision=True),
}
#: (mean intersection over union on Cityscapes in percent, table and split).
_MIOU = {
    "mobilenet-v2": (72.74, "Table 7 row 4, validation"),
    "mobilenet-v2-f256": (72.97, "Table 7 row 3, validation"),
    "mobilenet-v3-large": (72.36, "Table 7 row 8, validation"),
    "mobilenet-v3-large-f256": (72.37, "Table 7 row 7, validation"),
    "mobilenet-v3-large-os32": (72.0, "Table 8, test"),
    "mobilenet-v3-small": (68.38, "Table 7 row 11, validation"),
    "mobilenet-v3-small-os32": (68.3, "Table 8, test"),
}


#: torchvision's own weights, which know the 20 categories of Pascal VOC.
_TORCHVISION = Accuracy(
    value=57.9,
    metric="miou",
    resolution=520,
    evaluation="torchvision",
    source="torchvision 0.28.0, LRASPP_MobileNet_V3_Large_Weights.COCO_WITH_VOC_LABELS_V1, COCO val2017 with VOC's labels",
)


def _declare(name: str, variant: Variant) -> Architecture:
    cited = (Accuracy(value=_MIOU[name][0], metric="miou", source=f"{PAPER} {_MIOU[name][1]}, Cityscapes"),) if name in _MIOU else ()
    return Architecture(
        name=f"lraspp-{name}",
        family="lraspp",
        builder=lambda options: lraspp(options, variant),
        resolution=520 if variant.torchvision else (1025, 2049),
        year=2019,
        paper=PAPER,
        widths=(0.35, 0.5, 1.0) if variant.backbone == "v2" else None,
        accuracies=(_TORCHVISION,) if variant.torchvision else cited,
    )


ARCHITECTURES = tuple(_declare(name, variant) for name, variant in VARIANTS.items())
