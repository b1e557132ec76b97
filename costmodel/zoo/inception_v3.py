"""Inception-v3 (arXiv 1512.00567) as released, without the auxiliary classifier, which only training uses.

`inception_v3(..., auxiliary=True)` has it, on the last map of 17x17, as a second output.

The stem and every reduction work without padding, so that 299 becomes 149, 147, 73, 71, 35, 17 and 8. Every convolution
has batch normalisation. Traps: the paper's own table differs from the released network, which has four modules at 17x17
and a reduction; torchvision divides the means of the pooling branches by 9 at the border too, TensorFlow does not.
"""

from __future__ import annotations

from costmodel.graph import Graph, Value
from costmodel.ops.layout import Flatten
from costmodel.ops.matmul import Linear
from costmodel.ops.pooling import AdaptiveAvgPool2d, AvgPool2d
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._inception import Average, Branch, Conv, Fork, MaxPool, convolve_row, inception
from costmodel.zoo._net import Net

PAPER = "arXiv:1512.00567"
AVERAGE = Average(count_padding=True)
ROW3, COLUMN3, ROW7, COLUMN7 = (1, 3), (3, 1), (1, 7), (7, 1)
STEM: tuple[Conv | MaxPool, ...] = (
    Conv(32, 3, 2, valid=True),
    Conv(32, 3, valid=True),
    Conv(64, 3),
    MaxPool(2),
    Conv(80),
    Conv(192, 3, valid=True),
    MaxPool(2),
)


def _module35(projected: int) -> tuple[Branch, ...]:
    """A module at 35x35, figure 5."""
    return (
        (Conv(64),),
        (Conv(48), Conv(64, 5)),
        (Conv(64), Conv(96, 3), Conv(96, 3)),
        (AVERAGE, Conv(projected)),
    )


def _module17(inner: int) -> tuple[Branch, ...]:
    """A module at 17x17, figure 6 with n = 7."""
    return (
        (Conv(192),),
        (Conv(inner), Conv(inner, ROW7), Conv(192, COLUMN7)),
        (Conv(inner), Conv(inner, COLUMN7), Conv(inner, ROW7), Conv(inner, COLUMN7), Conv(192, ROW7)),
        (AVERAGE, Conv(192)),
    )


#: 35x35 to 17x17.
REDUCTION35: tuple[Branch, ...] = (
    (Conv(384, 3, 2, valid=True),),
    (Conv(64), Conv(96, 3), Conv(96, 3, 2, valid=True)),
    (MaxPool(2),),
)
#: 17x17 to 8x8.
REDUCTION17: tuple[Branch, ...] = (
    (Conv(192), Conv(320, 3, 2, valid=True)),
    (Conv(192), Conv(192, ROW7), Conv(192, COLUMN7), Conv(192, 3, 2, valid=True)),
    (MaxPool(2),),
)
#: A module at 8x8, figure 7.
MODULE8: tuple[Branch, ...] = (
    (Conv(320),),
    (Conv(384), Fork((Conv(384, ROW3), Conv(384, COLUMN3)))),
    (Conv(448), Conv(384, 3), Fork((Conv(384, ROW3), Conv(384, COLUMN3)))),
    (AVERAGE, Conv(192)),
)
MODULES = (
    *(_module35(projected) for projected in (32, 64, 64)),
    REDUCTION35,
    *(_module17(inner) for inner in (128, 160, 160, 192)),
    REDUCTION17,
    MODULE8,
    MODULE8,
)


def inception_v3(options: Options, *, auxiliary: bool = False) -> Graph:
    """Inception-v3: stem, eleven modules, classifier; `auxiliary` adds the classifier of training as a second output."""
    net = Net(options, padding="same", epsilon=1e-3)
    x = net.image
    for number, step in enumerate(STEM):
        with net.scope(f"stem.{number}"):
            x = convolve_row(net.conv_norm, x, step) if isinstance(step, Conv) else net.max_pool(x, 3, step.stride, padding="valid")
    taken = x
    for number, branches in enumerate(MODULES):
        if branches is REDUCTION17:
            taken = x
        with net.scope(f"modules.{number}"):
            x = inception(net, x, branches, net.conv_norm)
    if options.features_only:
        return net.finish(x)
    main = net.classifier(x, 1000, dropout=True)
    return net.finish(main, _auxiliary(net, taken)) if auxiliary else net.finish(main)


def _auxiliary(net: Net, x: Value) -> Value:
    """A classifier on means of 5x5: 1x1 to 128 channels, 5x5 without padding to 768, the classes."""
    with net.scope("auxiliary"):
        x = net.add(AvgPool2d((5, 5), (3, 3)), x, name="pool")
        x = convolve_row(net.conv_norm, convolve_row(net.conv_norm, x, Conv(128), "conv0"), Conv(768, 5, valid=True), "conv1")
        x = net.add(Flatten(), net.add(AdaptiveAvgPool2d(), x, name="last_pool"), name="flatten")
        return net.add(Linear(net.options.classes or 1000), x, name="classifier")


ARCHITECTURES = (
    Architecture(
        name="inception-v3",
        family="inception",
        builder=inception_v3,
        resolution=299,
        year=2015,
        paper=PAPER,
        accuracies=(
            Accuracy(value=78.8, resolution=299, source=f"{PAPER} section 3, single crop"),
            Accuracy(value=77.866, resolution=299, evaluation="timm", source="timm results-imagenet.csv, inception_v3.tf_in1k"),
        ),
    ),
)
