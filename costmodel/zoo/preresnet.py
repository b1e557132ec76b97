"""Pre-activation ResNet 18-200 (arXiv 1603.05027): normalisation and ReLU stand before every convolution.

The shortcut of a block that changes the shape is a strided 1x1 convolution without normalisation, taken after the
block's first normalisation and ReLU. A bottleneck's stride is in its 3x3 convolution (the variants that pytorchcv marks
``b``), as in the authors' released network.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options, pytorchcv
from costmodel.zoo._net import Net
from costmodel.zoo.resnet import BOTTLENECK_EXPANSION, WIDTHS, Variant
from costmodel.zoo.resnet import VARIANTS as RESNETS

PAPER = "arXiv:1603.05027"

VARIANTS = {
    **RESNETS,
    200: Variant((3, 24, 36, 3), True),
}


def preresnet(options: Options, variant: Variant, *, stem_norm: bool = True) -> Graph:
    """Pre-activation ResNet: stem, four stages, a last normalisation and ReLU, classifier.

    Without `stem_norm` the stem is a convolution alone, as in timm's resnetv2 (the first block begins with both anyway).
    """
    net = Net(options, padding="symmetric")
    x = net.conv_norm(net.image, 64, 7, 2, activation=ReLU(), name="stem") if stem_norm else net.conv(net.image, 64, 7, 2, name="stem")
    x = net.max_pool(x, 3, 2, name="stem_pool")
    for number, (width, repeats) in enumerate(zip(WIDTHS, variant.repeats, strict=True)):
        for block in range(repeats):
            stride = 2 if number > 0 and block == 0 else 1
            with net.scope(f"stages.{number}.{block}"):
                x = _block(net, x, width, stride, variant.bottleneck)
    x = net.norm_activation(x, activation=ReLU(), name="last")
    return net.finish(x if options.features_only else net.classifier(x, 1000))


def _block(net: Net, x: Value, width: int, stride: int, bottleneck: bool) -> Value:
    active = net.norm_activation(x, activation=ReLU(), name="conv1")
    out_channels = width * BOTTLENECK_EXPANSION if bottleneck else width
    if bottleneck:
        y = net.conv(active, width, name="conv1")
        y = net.conv(net.norm_activation(y, activation=ReLU(), name="conv2"), width, 3, stride, name="conv2")
        y = net.conv(net.norm_activation(y, activation=ReLU(), name="conv3"), out_channels, name="conv3")
    else:
        y = net.conv(active, width, 3, stride, name="conv1")
        y = net.conv(net.norm_activation(y, activation=ReLU(), name="conv2"), width, 3, name="conv2")
    if stride != 1 or x.channels != out_channels:
        x = net.conv(active, out_channels, 1, stride, name="shortcut")
    return net.add(Add(), y, x, name="residual")


#: Top-1 errors of pytorchcv's weights of the variants marked ``b``.
_ERRORS = {18: ("PreResNet-18", 28.43), 34: ("PreResNet-34", 24.89), 50: ("PreResNet-50b", 22.51), 101: ("PreResNet-101b", 21.04)}
_ERRORS |= {152: ("PreResNet-152b", 19.23), 200: ("PreResNet-200b", 19.07)}


def _declare(depth: int) -> Architecture:
    cited = (Accuracy(value=78.3, resolution=224, source="arXiv:1611.05431 Tables 3-4"),) if depth == 200 else ()
    return Architecture(
        name=f"preresnet-{depth}",
        family="preresnet",
        builder=lambda options: preresnet(options, VARIANTS[depth]),
        resolution=224,
        year=2016,
        paper=PAPER,
        accuracies=(*cited, pytorchcv(*_ERRORS[depth])),
    )


ARCHITECTURES = tuple(_declare(depth) for depth in VARIANTS)
