"""Inception-v4 (arXiv 1602.07261), figures 3 to 9.

As in Inception-v3 every convolution has batch normalisation, and strides come without padding: 299 becomes 149, 147, 73,
71, 35, 17 and 8. Trap: EfficientNet's table prints 48M parameters; the released network has 42.7M.
"""

from __future__ import annotations

from costmodel.graph import Graph
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._inception import Average, Branch, Conv, Fork, MaxPool, convolve_row, inception
from costmodel.zoo._net import Net

PAPER = "arXiv:1602.07261"
AVERAGE = Average(count_padding=False)
ROW3, COLUMN3, ROW7, COLUMN7 = (1, 3), (3, 1), (1, 7), (7, 1)
STEM = (Conv(32, 3, 2, valid=True), Conv(32, 3, valid=True), Conv(64, 3))
#: The stem's three forks, figure 3.
STEM_MODULES: tuple[tuple[Branch, ...], ...] = (
    ((MaxPool(2),), (Conv(96, 3, 2, valid=True),)),
    (
        (Conv(64), Conv(96, 3, valid=True)),
        (Conv(64), Conv(64, ROW7), Conv(64, COLUMN7), Conv(96, 3, valid=True)),
    ),
    ((Conv(192, 3, 2, valid=True),), (MaxPool(2),)),
)
#: 35x35, figure 4.
MODULE_A: tuple[Branch, ...] = (
    (Conv(96),),
    (Conv(64), Conv(96, 3)),
    (Conv(64), Conv(96, 3), Conv(96, 3)),
    (AVERAGE, Conv(96)),
)
#: 35x35 to 17x17, figure 7.
REDUCTION_A: tuple[Branch, ...] = (
    (Conv(384, 3, 2, valid=True),),
    (Conv(192), Conv(224, 3), Conv(256, 3, 2, valid=True)),
    (MaxPool(2),),
)
#: 17x17, figure 5.
MODULE_B: tuple[Branch, ...] = (
    (Conv(384),),
    (Conv(192), Conv(224, ROW7), Conv(256, COLUMN7)),
    (Conv(192), Conv(192, COLUMN7), Conv(224, ROW7), Conv(224, COLUMN7), Conv(256, ROW7)),
    (AVERAGE, Conv(128)),
)
#: 17x17 to 8x8, figure 8.
REDUCTION_B: tuple[Branch, ...] = (
    (Conv(192), Conv(192, 3, 2, valid=True)),
    (Conv(256), Conv(256, ROW7), Conv(320, COLUMN7), Conv(320, 3, 2, valid=True)),
    (MaxPool(2),),
)
#: 8x8, figure 6.
MODULE_C: tuple[Branch, ...] = (
    (Conv(256),),
    (Conv(384), Fork((Conv(256, ROW3), Conv(256, COLUMN3)))),
    (Conv(384), Conv(448, COLUMN3), Conv(512, ROW3), Fork((Conv(256, ROW3), Conv(256, COLUMN3)))),
    (AVERAGE, Conv(256)),
)
MODULES = (*STEM_MODULES, *(MODULE_A,) * 4, REDUCTION_A, *(MODULE_B,) * 7, REDUCTION_B, *(MODULE_C,) * 3)


def inception_v4(options: Options) -> Graph:
    """Inception-v4: stem, modules with two reductions between them, classifier."""
    net = Net(options, padding="same", epsilon=1e-3)
    x = net.image
    for number, row in enumerate(STEM):
        x = convolve_row(net.conv_norm, x, row, f"stem{number}")
    for number, branches in enumerate(MODULES):
        with net.scope(f"modules.{number}"):
            x = inception(net, x, branches, net.conv_norm)
    return net.finish(x if options.features_only else net.classifier(x, 1000, dropout=True))


ARCHITECTURES = (
    Architecture(
        name="inception-v4",
        family="inception",
        builder=inception_v4,
        resolution=299,
        year=2016,
        paper=PAPER,
        accuracies=(
            Accuracy(value=80.0, resolution=299, source="arXiv:1905.11946 Table 2"),
            Accuracy(value=80.144, resolution=299, evaluation="timm", source="timm results-imagenet.csv, inception_v4.tf_in1k"),
        ),
    ),
)
