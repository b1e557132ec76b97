"""Wide ResNet 50-2 and 101-2 (arXiv 1605.07146): ResNet whose bottlenecks have inner convolutions twice as wide.

The stride is in the 3x3, as in torchvision's networks.
"""

from __future__ import annotations

from costmodel.zoo._architecture import Accuracy, Architecture
from costmodel.zoo.resnet import VARIANTS, resnet

PAPER = "arXiv:1605.07146"
WIDENING = 2
#: Depth -> top-1 of torchvision's first weights in timm's uniform evaluation.
_TIMM_TOP1 = {50: 78.486, 101: 78.862}


def _declare(depth: int) -> Architecture:
    source = f"timm results-imagenet.csv, wide_resnet{depth}_2.tv_in1k"
    return Architecture(
        name=f"wide-resnet-{depth}-2",
        family="wide-resnet",
        builder=lambda options: resnet(options, VARIANTS[depth], inner=WIDENING),
        resolution=224,
        year=2016,
        paper=PAPER,
        accuracies=(Accuracy(value=_TIMM_TOP1[depth], resolution=224, evaluation="timm", source=source),),
    )


ARCHITECTURES = tuple(_declare(depth) for depth in _TIMM_TOP1)
