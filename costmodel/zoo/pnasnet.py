"""PNASNet-5 (arXiv 1712.00559), figure 1: one cell for all places, with stride 2 where the resolution halves.

Large: width 216 at first, three groups of cells of which the second and third begin with one of stride 2.
Traps: EfficientNet's Table 2 prints 23 billion MACs, the paper and the count say 25; pytorchcv counts 42 million more,
because the strided separable convolutions of the cell that halves 42x42 compute a row and a column that they cut off.
"""

from __future__ import annotations

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._cells import Cell, Layer, Step, image_stem, run_cell
from costmodel.zoo._net import Net

PAPER = "arXiv:1712.00559"

CELL = Cell(
    (
        Step("sep5", 1, "max3", 1),
        Step("sep7", 0, "max3", 0),
        Step("sep5", 0, "sep3", 0),
        Step("sep3", 4, "max3", 0),
        Step("sep3", 1, "none", 0),
    ),
    (2, 3, 4, 5, 6),
)
STEM = 96
#: (width, stride) of the two cells of the stem and of the twelve that follow.
STEM_CELLS = ((54, 2), (108, 2))
CELLS = ((216, 1),) * 4 + ((432, 2),) + ((432, 1),) * 3 + ((864, 2),) + ((864, 1),) * 3


def pnasnet_5_large(options: Options) -> Graph:
    """PNASNet-5, large."""
    net = Net(options, padding="same", epsilon=1e-3)
    current: Layer = image_stem(net, STEM)
    previous: Layer | None = None
    for number, (channels, stride) in enumerate((*STEM_CELLS, *CELLS)):
        current, previous = run_cell(net, CELL, f"cells.{number}", channels, current, previous, stride=stride), current
    x = net.add(ReLU(), current.value, name="activation")
    return net.finish(x if options.features_only else net.classifier(x, 1000, dropout=True))


ARCHITECTURES = (
    Architecture(
        name="pnasnet-5-large",
        family="pnasnet",
        builder=pnasnet_5_large,
        resolution=331,
        year=2017,
        paper=PAPER,
        accuracies=(
            Accuracy(value=82.9, resolution=331, source="arXiv:1905.11946 Table 2"),
            Accuracy(value=82.814, resolution=331, evaluation="timm", source="timm results-imagenet.csv, pnasnet5large.tf_in1k"),
        ),
    ),
)
