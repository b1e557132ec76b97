"""R-ASPP on MobileNetV2 and MobileNetV3: DeepLabv3's head without atrous branches, for Cityscapes (arXiv 1905.02244, Table 7).

``raspp-mobilenet-v2`` is row 1 of the table, ``raspp-mobilenet-v3-large`` row 5; the suffix ``-half`` halves the channels
of the last stage (RF2), which makes them rows 2 and 6. The paper's MACs fit 1025x2049, one more than the image's size.
"""

from __future__ import annotations

from costmodel.graph import Graph
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._atrous import mobilenet_v2_features, mobilenet_v3_features, resize_like
from costmodel.zoo._net import Net
from costmodel.zoo.deeplabv3 import HEAD, pooled_head

PAPER = "arXiv:1905.02244"


def raspp(options: Options, backbone: str, *, halved: bool) -> Graph:
    """The backbone at output stride 16, image pooling beside a 1x1, 1x1, classes, bilinear to the image's size."""
    net = Net(options, padding="same", epsilon=1e-3)
    features = mobilenet_v2_features(net, 16, halved=halved) if backbone == "mobilenet-v2" else mobilenet_v3_features(net, "large", 16, halved=halved)
    if options.features_only:
        return net.finish(features.high)
    x = net.conv(pooled_head(net, features.high, HEAD), options.classes or 19, bias=True, name="classifier")
    return net.finish(resize_like(net, x, options.resolution, name="upsample"))


def _declare(backbone: str, row: int, miou: float, *, halved: bool) -> Architecture:
    return Architecture(
        name=f"raspp-{backbone}" + ("-half" if halved else ""),
        family="raspp",
        builder=lambda options: raspp(options, backbone, halved=halved),
        resolution=(1025, 2049),
        year=2019,
        paper=PAPER,
        accuracies=(Accuracy(value=miou, metric="miou", source=f"{PAPER} Table 7 row {row}, Cityscapes validation"),),
    )


ARCHITECTURES = (
    _declare("mobilenet-v2", 1, 72.84, halved=False),
    _declare("mobilenet-v2", 2, 72.56, halved=True),
    _declare("mobilenet-v3-large", 5, 72.64, halved=False),
    _declare("mobilenet-v3-large", 6, 71.91, halved=True),
)
