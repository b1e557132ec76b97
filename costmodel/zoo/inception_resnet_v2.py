"""Inception-ResNet-v2 (arXiv 1602.07261, section 3.2) as released.

The stem is Inception-v3's; 10, 20 and 10 residual modules at 35x35, 17x17 and 8x8, whose branches end in a 1x1 convolution
with bias and without normalisation, scaled down before it is added. The last module has no ReLU.
Source: github.com/tensorflow/models, research/slim/nets/inception_resnet_v2.py.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph, Value
from costmodel.ops.arithmetic import Add, Scale
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._inception import Average, Branch, Conv, MaxPool, convolve_row, inception
from costmodel.zoo._net import Net
from costmodel.zoo.inception_v3 import STEM

PAPER = "arXiv:1602.07261"
ROW3, COLUMN3, ROW7, COLUMN7 = (1, 3), (3, 1), (1, 7), (7, 1)
LAST = 1536


class Residual(NamedTuple):
    """A module repeated: what its branches add is multiplied by `scale`."""

    branches: tuple[Branch, ...]
    scale: float
    repeats: int


#: 35x35: the one module that adds nothing to its input.
FIRST: tuple[Branch, ...] = (
    (Conv(96),),
    (Conv(48), Conv(64, 5)),
    (Conv(64), Conv(96, 3), Conv(96, 3)),
    (Average(count_padding=False), Conv(64)),
)
MODULE35 = Residual(((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(48, 3), Conv(64, 3))), 0.17, 10)
#: 35x35 to 17x17.
REDUCTION35: tuple[Branch, ...] = (
    (Conv(384, 3, 2, valid=True),),
    (Conv(256), Conv(256, 3), Conv(384, 3, 2, valid=True)),
    (MaxPool(2),),
)
MODULE17 = Residual(((Conv(192),), (Conv(128), Conv(160, ROW7), Conv(192, COLUMN7))), 0.1, 20)
#: 17x17 to 8x8.
REDUCTION17: tuple[Branch, ...] = (
    (Conv(256), Conv(384, 3, 2, valid=True)),
    (Conv(256), Conv(288, 3, 2, valid=True)),
    (Conv(256), Conv(288, 3), Conv(320, 3, 2, valid=True)),
    (MaxPool(2),),
)
MODULE8 = Residual(((Conv(192),), (Conv(192), Conv(224, ROW3), Conv(256, COLUMN3))), 0.2, 9)
MODULES: tuple[Residual | tuple[Branch, ...], ...] = (FIRST, MODULE35, REDUCTION35, MODULE17, REDUCTION17, MODULE8)


def inception_resnet_v2(options: Options) -> Graph:
    """Inception-ResNet-v2: stem, residual modules with two reductions between them, a 1x1 convolution, classifier."""
    net = Net(options, padding="same", epsilon=1e-3)
    x = net.image
    for number, step in enumerate(STEM):
        with net.scope(f"stem.{number}"):
            x = convolve_row(net.conv_norm, x, step) if isinstance(step, Conv) else net.max_pool(x, 3, step.stride, padding="valid")
    for number, module in enumerate(MODULES):
        with net.scope(f"modules.{number}"):
            if isinstance(module, Residual):
                for repeat in range(module.repeats):
                    with net.scope(str(repeat)):
                        x = net.add(ReLU(), _residual(net, x, module.branches, module.scale), name="activation")
            else:
                x = inception(net, x, module, net.conv_norm)
    with net.scope("last_module"):
        x = _residual(net, x, MODULE8.branches, 1.0)
    x = convolve_row(net.conv_norm, x, Conv(LAST), "last_conv")
    return net.finish(x if options.features_only else net.classifier(x, 1000, dropout=True))


def _residual(net: Net, x: Value, branches: tuple[Branch, ...], scale: float) -> Value:
    """The branches of x, brought to its channels and scaled, added to it."""
    y = net.conv(inception(net, x, branches, net.conv_norm), x.channels, bias=True, name="project")
    return net.add(Add(), net.add(Scale(scale), y, name="scale") if scale != 1 else y, x, name="residual")


ARCHITECTURES = (
    Architecture(
        name="inception-resnet-v2",
        family="inception",
        builder=inception_resnet_v2,
        resolution=299,
        year=2016,
        paper=PAPER,
        accuracies=(
            Accuracy(value=80.1, resolution=299, source="arXiv:1905.11946 Table 2"),
            Accuracy(value=80.434, resolution=299, evaluation="timm", source="timm results-imagenet.csv, inception_resnet_v2.tf_in1k"),
        ),
    ),
)
