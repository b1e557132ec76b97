"""NASNet-A (arXiv 1707.07012), figure 4: 6 @ 4032 (large) and 4 @ 1056 (mobile).

Two reduction cells of a quarter and half the width follow the stem, then three groups of normal cells with a reduction
cell before the second and third. After a reduction cell, the large network's next cell takes as its other input the layer
that was the reduction's own other input; the mobile one takes the reduction's input.
Traps: in cells that halve a map of even sides, pytorchcv pads every separable convolution by a row and a column and cuts
them off its first half's result (568 million MACs for the mobile network; the paper and this count say 564); timm's
average pooling of stride 2 counts the padding's zeros in its mean, the original does not.
Source: github.com/tensorflow/models, research/slim/nets/nasnet/nasnet.py (`skip_reduction_layer_input`).
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._cells import Cell, Step, image_stem, run_cell
from costmodel.zoo._net import Net

PAPER = "arXiv:1707.07012"

NORMAL = Cell(
    (
        Step("sep5", 0, "sep3", 1),
        Step("sep5", 1, "sep3", 1),
        Step("avg3", 0, "none", 1),
        Step("avg3", 1, "avg3", 1),
        Step("sep3", 0, "none", 0),
    ),
    (1, 2, 3, 4, 5, 6),
)
REDUCTION = Cell(
    (
        Step("sep5", 0, "sep7", 1),
        Step("max3", 0, "sep7", 1),
        Step("avg3", 0, "sep5", 1),
        Step("avg3", 2, "none", 3),
        Step("sep3", 2, "max3", 0),
    ),
    (3, 4, 5, 6),
)


class Variant(NamedTuple):
    """Stem channels, width of the first group's cells, normal cells a group, which layer follows a reduction cell."""

    stem: int
    channels: int
    repeats: int
    skip_reduction_input: bool


def nasnet_a(options: Options, variant: Variant) -> Graph:
    """NASNet-A: a cell's width doubles at each reduction cell."""
    net = Net(options, padding="same", epsilon=1e-3)
    layers = [image_stem(net, variant.stem)]
    for number, divisor in enumerate((4, 2)):
        previous = layers[-2] if number else None
        layers.append(run_cell(net, REDUCTION, f"stem_cells.{number}", variant.channels // divisor, layers[-1], previous, stride=2, current_first=True))
    current, previous = layers[-1], layers[-2]
    for group in range(3):
        channels = variant.channels << group
        if group:
            reduced = run_cell(net, REDUCTION, f"reduction_cells.{group}", channels, current, previous, stride=2)
            current, previous = reduced, previous if variant.skip_reduction_input else current
        for number in range(variant.repeats):
            current, previous = run_cell(net, NORMAL, f"cells.{group}.{number}", channels, current, previous), current
    x = net.add(ReLU(), current.value, name="activation")
    return net.finish(x if options.features_only else net.classifier(x, 1000, dropout=True))


def _declare(name: str, variant: Variant, resolution: int, accuracies: tuple[Accuracy, ...]) -> Architecture:
    return Architecture(
        name=name,
        family="nasnet",
        builder=lambda options: nasnet_a(options, variant),
        resolution=resolution,
        year=2017,
        paper=PAPER,
        accuracies=accuracies,
    )


ARCHITECTURES = (
    _declare("nasnet-a-mobile", Variant(32, 44, 4, False), 224, (Accuracy(value=74.0, resolution=224, source="arXiv:1801.04381 Table 4"),)),
    _declare(
        "nasnet-a-large",
        Variant(96, 168, 6, True),
        331,
        (
            Accuracy(value=82.7, resolution=331, source="arXiv:1905.11946 Table 2"),
            Accuracy(value=82.638, resolution=331, evaluation="timm", source="timm results-imagenet.csv, nasnetalarge.tf_in1k"),
        ),
    ),
)
