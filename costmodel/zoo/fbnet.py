"""FBNet-C (arXiv 1812.03443), Figure 4 and Table 1.

Mobile inverted bottlenecks whose kernel and expansion are searched block by block. Traps: blocks of expansion 1 keep their
first 1x1 convolution, unlike other families; blocks that the search skips are left out of the table.
Source of the blocks: timm 1.0.31, `fbnetc_100`, after github.com/facebookresearch/maskrcnn-benchmark, fbnet_modeldef.py.
"""

from __future__ import annotations

from typing import NamedTuple

from costmodel.graph import Graph
from costmodel.ops.elementwise import ReLU
from costmodel.zoo._architecture import Accuracy, Architecture, Options
from costmodel.zoo._net import Net

PAPER = "arXiv:1812.03443"
STEM, HEAD = 16, 1984


class Stage(NamedTuple):
    """Output channels, stride of the first block, and (kernel, expansion) of every block."""

    channels: int
    stride: int
    blocks: tuple[tuple[int, int], ...]


STAGES = (
    Stage(16, 1, ((3, 1),)),
    Stage(24, 2, ((3, 6), (3, 1), (3, 1))),
    Stage(32, 2, ((5, 6), (5, 3), (5, 6), (3, 6))),
    Stage(64, 2, ((5, 6), (5, 3), (5, 6), (5, 6))),
    Stage(112, 1, ((5, 6), (5, 6), (5, 6), (5, 3))),
    Stage(184, 2, ((5, 6), (5, 6), (5, 6), (5, 6))),
    Stage(352, 1, ((3, 6),)),
)


def fbnet_c(options: Options) -> Graph:
    """FBNet-C."""
    net = Net(options, padding="symmetric", epsilon=1e-3)
    x = net.conv_norm(net.image, STEM, 3, 2, activation=ReLU(), name="stem")
    for number, stage in enumerate(STAGES):
        for block, (kernel_size, expansion) in enumerate(stage.blocks):
            with net.scope(f"stages.{number}.{block}"):
                stride = stage.stride if block == 0 else 1
                x = net.mbconv(x, stage.channels, kernel_size, stride, expanded=x.channels * expansion, activation=ReLU())
    if options.features_only:
        return net.finish(x)
    x = net.conv_norm(x, HEAD, activation=ReLU(), name="head_conv")
    return net.finish(net.classifier(x, 1000))


ARCHITECTURES = (
    Architecture(
        name="fbnet-c",
        family="fbnet",
        builder=fbnet_c,
        resolution=224,
        year=2018,
        paper=PAPER,
        accuracies=(Accuracy(value=75.120, resolution=224, evaluation="timm", source="timm results-imagenet.csv, fbnetc_100.rmsp_in1k"),),
    ),
)
